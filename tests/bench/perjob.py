"""Per job: the ordinary way to send from a queue, one RQ job for each mail in a fork of its own.

    python -m tests.bench.perjob <redis>     one worker

A job claims its row of a SQLite outbox, makes the draft, sends it, reads the copy back, and commits
what became of it as often as the portal does. Workers have all of it loaded before they fork.
"""

import importlib
import sqlite3
import sys

from redis import Redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from tests.bench.caller import Caller

QUEUE = "mails"
FORKS = 16
TABLE = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY, box INTEGER, state TEXT, attempt INTEGER DEFAULT 0,
    draft TEXT, message TEXT, sender TEXT, mime BLOB
)"""
CLAIM = (
    "UPDATE outbox SET state = 'sending', attempt = attempt + 1 WHERE id = ? AND state = 'queued'"
)


def send(outbox: str, sink: str, mail: int) -> None:
    """The job."""
    store = opened(outbox)
    if store.execute(CLAIM, (mail,)).rowcount != 1:
        return
    box, mime = store.execute("SELECT box, mime FROM outbox WHERE id = ?", (mail,)).fetchone()
    caller = Caller(sink, box)
    draft = caller.draft(mime)
    store.execute("UPDATE outbox SET draft = ? WHERE id = ?", (draft, mail))
    sent = caller.send(draft)
    store.execute("UPDATE outbox SET state = 'sent', message = ? WHERE id = ?", (sent, mail))
    store.execute("UPDATE outbox SET sender = ? WHERE id = ?", (caller.sender_of(sent), mail))


def opened(outbox: str) -> sqlite3.Connection:
    """Each statement is a transaction; as in the portal, it is on the disk when it returns."""
    store = sqlite3.connect(outbox, timeout=30, isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    return store


def fill(outbox: str, redis_url: str, sink: str, mime: bytes, mails: int) -> None:
    """So many mails of as many mailboxes as there are forks, each with its job."""
    store = opened(outbox)
    store.execute(TABLE)
    rows = [(n, n % FORKS, "queued", mime) for n in range(mails)]
    store.execute("BEGIN")
    store.executemany("INSERT INTO outbox (id, box, state, mime) VALUES (?, ?, ?, ?)", rows)
    store.execute("COMMIT")
    queue = Queue(QUEUE, connection=Redis.from_url(redis_url), serializer=JSONSerializer)
    prepared = [
        Queue.prepare_data("tests.bench.perjob.send", args=(outbox, sink, n), result_ttl=0)
        for n in range(mails)
    ]
    queue.enqueue_many(prepared)


def main(redis_url: str) -> None:
    importlib.import_module("tests.bench.perjob")  # by the name that the jobs will ask for
    redis = Redis.from_url(redis_url)
    Worker([QUEUE], connection=redis, serializer=JSONSerializer).work(logging_level="WARNING")


if __name__ == "__main__":
    main(*sys.argv[1:])
