"""Delivery: carrying dispatches out. drain() is the only job; everything else is called by it.

Each mailbox with something due gets a turn of its own (turn.py), side by side with the others and
with the threads that freeze batches. What they find out is stored by one writer (journal.py).
"""

import logging
import math
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from flask import Flask, current_app
from sqlalchemy import and_, or_, select

from portal import (
    alarms,
    batches,
    instance,
    journal,
    logs,
    mailboxes,
    queueing,
    restoration,
    spreading,
    turn,
    workers,
)
from portal.attempts import recover_stale, send
from portal.columns import db_now
from portal.dispatch import WORK, Dispatch, Lane, State, claiming, release_ready
from portal.envelope import ProviderAnswer
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.stores import reading
from portal.turn import Turn, to_look_after

#: So many mailboxes have their turn in one process at the same time.
MOST_MAILBOXES = 120
#: So many are taken at a time, so that two workers share them.
HANDFUL = 8
#: Those of the threads that freeze what batches hold; named like mailboxes, which no mailbox is.
FREEZERS = (0, -1)
#: That which looks for what left after a backup, before anything else may leave.
LOOKER = -2
#: A drain stays awake for what leaves within so many seconds.
SOON = 30
#: How often the list is read again while somebody is adding an address, and otherwise (seconds).
WATCH_NEW, WATCH_OLD, NEW_FOR = 10, 300, 3600

__all__ = ["drain", "drain_mailbox", "due_mailboxes", "send", "sweep"]

log = logging.getLogger(__name__)


def drain() -> None:
    """The RQ job: sweep, then freeze batches and give every mailbox with something due its turn,
    side by side: the first mail of a batch leaves long before its last is frozen."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ends = time.monotonic() + queueing.DRAIN_SECONDS
    with journal.kept(app):
        Drain(app, ends).run()
    if time.monotonic() >= ends:
        queueing.ring()


class Drain:
    """One run of the job: who is at work just now, and who is better left alone."""

    def __init__(self, app: Flask, ends: float) -> None:
        self._app, self._ends = app, ends
        self._pause: float = app.config["PORTAL"].SWEEP_SECONDS
        self._running: dict[Future[float], int] = {}
        self._failed: set[int] = set()
        self._resting: dict[int, float] = {}

    def run(self) -> None:
        sweep()
        swept = time.monotonic()
        threads = MOST_MAILBOXES + len(FREEZERS) + 1
        with ThreadPoolExecutor(threads, thread_name_prefix="turn") as pool:
            while not queueing.stopping.is_set() and time.monotonic() < self._ends:
                self._start_due(pool)
                if not self._running and not _something_soon():
                    break
                self._collect()
                if time.monotonic() - swept > self._pause:
                    sweep()
                    swept = time.monotonic()

    def _start_due(self, pool: ThreadPoolExecutor) -> None:
        for work in self._due_work():
            self._running[pool.submit(_work_in_thread, self._app, work, self._ends)] = work
            workers.beat(workers.SENDING)

    def _due_work(self) -> list[int]:
        busy = self._failed | set(self._running.values())
        if not instance.may_work():
            return [LOOKER] if LOOKER not in busy and restoration.is_due() else []
        freezers = [one for one in FREEZERS if one not in busy]
        room = min(HANDFUL, MOST_MAILBOXES - len(self._running))
        resting = {one for one, until in self._resting.items() if until > time.monotonic()}
        boxes = due_mailboxes(busy, resting)[: max(0, room)]
        return [*(freezers if freezers and batches.is_due() else ()), *boxes]

    def _collect(self) -> None:
        """Take in who is done; wait a moment where nobody is."""
        if not self._running:
            queueing.stopping.wait(0.2)
            return
        done, _ = wait(self._running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            work = self._running.pop(future)
            if future.exception() is not None:  # the next drain tries again, this one does not
                _tell_of(work, future.exception())
                self._failed.add(work)
            else:
                self._resting[work] = future.result()


def _tell_of(work: int, problem: BaseException | None) -> None:
    with logs.about(mailbox=work if work not in FREEZERS else None):
        log.error("a turn broke off", exc_info=problem)
    workers.beat(workers.SENDING, f"{type(problem).__name__}: {problem}")


def sweep() -> None:
    """Put right what a crash, a lost doorbell or the passing of time left behind."""
    if not instance.may_work():
        return
    recover_stale()
    watch_addresses()
    release_ready()
    spreading.spread()
    alarms.tell_managers()


def due_mailboxes(without: set[int], resting: set[int] | None = None) -> list[int]:
    """Mailboxes with something to do now that nobody is working.

    resting: those whose day has no more room for batches; only people's mail counts there.
    """
    lease = current_app.config["PORTAL"].LEASE_SECONDS
    sends = and_(claiming.may_leave(), claiming.sends())
    if resting:
        sends = and_(sends, or_(Dispatch.lane < Lane.BATCH, Mailbox.id.not_in(resting)))
    work = select(Dispatch.id).where(
        Dispatch.mailbox_id == Mailbox.id, WORK, or_(sends, to_look_after())
    )
    first = work.order_by(Dispatch.lane, Dispatch.id).limit(1).scalar_subquery()
    free = turn.is_free(lease), turn.may_call()
    query = select(Mailbox.id).where(*free, first.is_not(None)).order_by(Mailbox.id)
    with reading():
        return [one for one in db.session.scalars(query) if one not in without]


def drain_mailbox(mailbox_id: int, ends: float = math.inf) -> float:
    """Give one mailbox its turn; until when (monotonic) its batches rest.

    ends: when (monotonic) to take no more, so that no message in hand is cut off by RQ's time-out.
    """
    mine = Turn(mailbox_id, ends)
    mine.run()
    return mine.rests_until


def _something_soon() -> bool:
    """Whether something can still be taken back, and leaves before this drain need ring again."""
    soon = Dispatch.not_before.between(db_now(), db_now(SOON))
    query = select(Dispatch.id).where(WORK, Dispatch.state == State.QUEUED, soon).limit(1)
    with reading():
        return db.session.scalar(query) is not None


def _work_in_thread(app: Flask, work: int, ends: float) -> float:
    with app.app_context():
        if work == LOOKER:
            restoration.settle(ends)
        elif work in FREEZERS:
            batches.prepare(ends)
        else:
            return drain_mailbox(work, ends)
        return 0.0


# -- watching -----


def watch_addresses() -> None:
    """Read Gmail's lists again where an address is awaited, so that held mail leaves by itself."""
    for mailbox_id in _watched():
        box = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
        try:
            mailboxes.refresh_addresses(box)
        except ProviderAnswer as problem:
            with logs.about(mailbox=mailbox_id):
                log.info("its send-from addresses could not be read: %s", problem.words)
    db.session.commit()


def _watched() -> list[int]:
    held = select(Dispatch.from_email).where(Dispatch.state == State.HELD)
    awaited = or_(Address.verification.in_(("wanted", "pending")), Address.email.in_(held))
    recent = Address.since > db_now(-NEW_FOR)
    due = or_(
        Mailbox.addresses_checked_at.is_(None),
        Mailbox.addresses_checked_at < db_now(-WATCH_OLD),
        and_(recent, Mailbox.addresses_checked_at < db_now(-WATCH_NEW)),
        and_(Address.email.in_(held), Mailbox.addresses_checked_at < db_now(-WATCH_NEW)),
    )
    query = select(Mailbox.id).join(Address, Address.mailbox_id == Mailbox.id)
    here = Mailbox.issuer == mailboxes.this_google()
    query = query.where(Mailbox.health == mailboxes.Health.CONNECTED, here, awaited, due)
    return list(db.session.scalars(query.distinct()))
