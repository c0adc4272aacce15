"""Soak: many thousands of mails through the same workers, and whether they grow by it.

The queue is filled as it empties, and what has left is emptied of its bytes, so that the disk need
not hold gigabytes. At the end everything asked for must have left exactly once.
"""

import time
from collections import Counter
from collections.abc import Iterator

from sqlalchemy import func, select, update

from portal import queueing
from portal.children import Child
from portal.dispatch import Dispatch, Message, Proof, State
from portal.extensions import db
from tests.bench import mails
from tests.bench.ground import LONG, Ground, ground, workers
from tests.bench.machine import cpu_of, memory_of
from tests.bench.row import Row

MAILS = 100_000 if LONG else 20_000
MAILBOXES, LATENCY = 50, 0.02
#: Mails of one filling, and as how many still wait when the next is made.
WAVE, LOW = 2_000, 1_000
#: What workers hold is counted from here on: until then they take what they need to work at all.
WARM = 0.1
LONGEST_SILENCE = 60


def rows() -> Iterator[Row]:
    with ground("sqlite", LATENCY) as place:
        boxes = mails.connect(MAILBOXES)
        tokens = mails.queue(boxes, WAVE // MAILBOXES)
        with workers(place) as started:
            held, cpu = soaked(place, boxes, tokens, started)
        left = Counter(token for _, _, token in place.sink.accepted())
    growth = held[-1] / held[0]
    name = f"memory after {MAILS:,} mails ÷ after {int(WARM * MAILS):,}"
    yield Row(name, f"{held[-1]:.0f} MB", f"{held[0]:.0f} MB", growth, "<= 1.05")
    yield Row("  most it ever held in between", f"{max(held):.0f} MB")
    yield Row("  CPU a mail, the whole way", f"{cpu:.2f} ms", figure=cpu, mark="<= 1.5")
    twice = sum(times > 1 for times in left.values())
    yield Row("  left twice, of all", f"{twice} of {MAILS:,}", figure=twice, mark="<= 0")
    lost = len(set(tokens) - set(left))
    yield Row("  never left, of all", f"{lost} of {MAILS:,}", figure=lost, mark="<= 0")


def soaked(
    place: Ground, boxes: list[int], tokens: list[str], started: list[Child]
) -> tuple[list[float], float]:
    """Megabytes held, from the tenth part on, and CPU milliseconds for each mail."""
    pids = [one.process.pid for one in started]
    held, last, moved, before = [], 0, time.monotonic(), cpu_of(pids)
    queueing.ring()
    while (gone := place.sink.state()["accepted"]) < max(MAILS, len(tokens)):
        if gone > last:
            last, moved = gone, time.monotonic()
        assert time.monotonic() - moved < LONGEST_SILENCE, f"{gone} left, then nothing more"
        if len(tokens) < MAILS and len(tokens) - gone < LOW:
            empty_what_left()
            tokens += mails.queue(boxes, WAVE // MAILBOXES)
            queueing.ring()
        if gone > WARM * MAILS:
            held.append(memory_of(pids))
        time.sleep(0.5)
    return held, 1000 * (cpu_of(pids) - before) / MAILS


def empty_what_left() -> None:
    """The bytes of what left and is proved; their place in the file is used again."""
    done = Dispatch.state == State.ACCEPTED, Dispatch.proof != Proof.UNREAD
    db.session.execute(
        update(Message)
        .where(Message.dispatch_id.in_(select(Dispatch.id).where(*done)))
        .where(func.length(Message.mime) > 0)
        .values(mime=b"")
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
