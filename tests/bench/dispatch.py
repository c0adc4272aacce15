"""How fast a dispatch is: from the click to Gmail's answer, and a queue's drain beside its floor.

    python -m tests.bench.dispatch

The floor is a bare loop over one kept-open connection that makes the same three calls for each
mail (create the draft, send it, read the sent copy) with bytes built beforehand. Both run against
the same local Google in the same minute; the ratio is what counts, not the milliseconds.
"""

import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests
import urllib3

from portal import delivery
from portal.config import Config
from portal.dispatch import Dispatch
from portal.extensions import db
from portal.mailboxes import Mailbox, access_token
from portal.sandbox.server import SandboxServer
from tests import factories, servers

CLICKS = 15
MAILS = 150
NO_LIMITS = {"units_per_minute": 0, "workspace_daily": 0}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.redis_server() as redis_url,
        SandboxServer() as google,
    ):
        home = Path(folder)
        environ = servers.settings(
            DATABASE_URL=f"sqlite:///{home}/bench.sqlite3",
            REDIS_URL=redis_url,
            LEASE_SECONDS="60",
            **servers.pointed_at(google.url),
        )
        servers.migrate(environ["DATABASE_URL"])
        requests.post(f"{google.url}/_sandbox/settings", json=NO_LIMITS, timeout=5)
        app = servers.make_app(Config.from_env(environ, dotenv=Path(os.devnull)))
        with app.app_context():
            box = factories.connected(google.url)
            print_clicks(home, environ)
            print_drain(google.url, box)
            db.session.remove()
            db.engine.dispose()


def print_clicks(home: Path, environ: dict[str, str]) -> None:
    """Through the real doorbell and a real worker."""
    reader = sqlite3.connect(f"file:{home}/bench.sqlite3?mode=ro", uri=True)
    asked, accepted = [], []
    with servers.worker(environ, home / "worker.log"):
        click(reader)  # the worker's first drain warms it up
        for _ in range(CLICKS):
            stored, left = click(reader)
            asked.append(stored)
            accepted.append(left)
    print("one dispatch, ms            median   slowest")
    for name, seconds in (("click to stored", asked), ("click to accepted", accepted)):
        middle, slowest = 1000 * statistics.median(seconds), 1000 * max(seconds)
        print(f"  {name:<24}{middle:8.0f}  {slowest:8.0f}")


def click(reader: sqlite3.Connection) -> tuple[float, float]:
    """Seconds until the dispatch was stored, and until Gmail had accepted it."""
    invoice = factories.document()
    started = time.perf_counter()
    dispatch_id = factories.asked(invoice).id
    db.session.commit()
    stored = time.perf_counter() - started
    while reader.execute(STATE, (dispatch_id,)).fetchone() != ("accepted",):
        time.sleep(0.002)
    return stored, time.perf_counter() - started


STATE = "SELECT state FROM dispatches WHERE id = ?"


def print_drain(google: str, box: Mailbox) -> None:
    queued = [factories.asked().id for _ in range(MAILS)]
    frozen = [db.session.get_one(Dispatch, one).mime for one in queued]
    token = access_token(box.id)
    db.session.commit()
    floor = timed(lambda: bare_loop(google, token, frozen))
    drained = timed(delivery.drain)
    print(f"\n{MAILS} mails of one mailbox       mails/s   ÷ bare loop")
    print(f"  bare loop, same calls   {MAILS / floor:8.0f}        1.00")
    print(f"  drain, evidence stored  {MAILS / drained:8.0f}  {floor / drained:10.2f}")


def bare_loop(google: str, token: str, frozen: list[bytes]) -> None:
    pool = urllib3.PoolManager(maxsize=1, retries=False)
    bearer = {"Authorization": f"Bearer {token}"}
    upload = f"{google}/upload/gmail/v1/users/me/drafts?uploadType=media"
    for mime in frozen:
        mail = {**bearer, "Content-Type": "message/rfc822"}
        draft = pool.request("POST", upload, body=mime, headers=mail).json()["id"]
        body = json.dumps({"id": draft})
        typed = {**bearer, "Content-Type": "application/json"}
        send = f"{google}/gmail/v1/users/me/drafts/send"
        sent = pool.request("POST", send, body=body, headers=typed).json()["id"]
        copy = f"{google}/gmail/v1/users/me/messages/{sent}?format=metadata&metadataHeaders=From"
        pool.request("GET", copy, headers=bearer)


def timed(deed: Callable[[], None]) -> float:
    started = time.perf_counter()
    deed()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
