"""Delivery: carrying dispatches out. drain() is the only job; everything else is called by it.

Each mailbox with something due gets a turn of its own (turn.py), side by side with the others and
with the threads that freeze batches. What they find out is stored by one writer (journal.py).
"""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache

from flask import Flask, current_app
from sqlalchemy import BigInteger, Select, and_, literal, or_, select

from portal import (
    aftermath,
    alarms,
    batches,
    inboxes,
    instance,
    journal,
    logs,
    queueing,
    restoration,
    spreading,
    turn,
    watching,
    workers,
)
from portal.attempts import recover_stale, send
from portal.columns import db_now
from portal.dispatch import WORK, Dispatch, Lane, State, claiming, release_ready
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.statements import Statement
from portal.stores import reading
from portal.turn import Turn, to_look_after

#: So many mailboxes have their turn in one process at the same time.
MOST_MAILBOXES = 120
#: So many are taken at a time, so that two workers share them.
HANDFUL = 8
#: Those of the threads that freeze what batches hold; named like mailboxes, which no mailbox is.
FREEZERS = (0, -1)
#: That which looks for what left after a backup: before anything else may leave, and afterwards in
#: mailboxes that are connected only then.
LOOKER = -2
#: That which reads Gmail's lists where an address is awaited.
WATCHER = -3
#: That which reads what comes into the mailboxes.
READER = -4
#: More than there will ever be ids: a lane and an id as one number that says who goes first.
LANES_APART = 2**40
#: A drain stays awake for what leaves within so many seconds.
SOON = 30
#: Who broke off is left alone for so many seconds; the others go on.
SHUT_OUT = 15.0
#: For so many seconds a drain tries messages alone before anything else is sent; where more of them
#: wait, it ends sooner than usual, so that they come again.
ALONE, BETWEEN = 5.0, 30.0
#: So many rounds in a row may go wrong before an idle drain gives up, with longer and longer waits
#: between them, up to so many seconds.
MOST_FAILURES, LONGEST_WAIT = 5, 15.0

__all__ = ["drain", "drain_mailbox", "due_mailboxes", "send", "sweep"]

log = logging.getLogger(__name__)


def drain() -> None:
    """The RQ job: sweep, then freeze batches and give every mailbox with something due its turn,
    side by side: the first mail of a batch leaves long before its last is frozen."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ends = time.monotonic() + queueing.DRAIN_SECONDS
    with journal.kept(app):
        left = _carry_suspects()
        Drain(app, min(ends, time.monotonic() + BETWEEN) if left else ends).run()
    if left or time.monotonic() >= ends:
        queueing.ring()


def _carry_suspects() -> bool:
    """Try messages that workers did not survive one after another; whether more of them wait.

    It takes a few seconds at most, and what goes wrong keeps nobody else's mail waiting.
    """
    ends, tried = time.monotonic() + ALONE, set[int]()
    try:
        while time.monotonic() < ends and not queueing.stopping.is_set():
            if not carry_suspect(tried):
                return False
    except Exception as problem:
        _tell_of("a message could not be tried alone", problem)
    return True


def carry_suspect(tried: set[int]) -> bool:
    """Try a message that workers did not survive, with nothing beside it; whether there was one.

    tried: those that had their turn already; it is added to them. It takes no turn of its mailbox:
    it is one message, and its address is asked for afresh.
    """
    if not instance.may_work():
        return False
    with reading():
        found = db.session.scalar(claiming.suspect(tried))
    if found is not None:
        tried.add(found)
        send(found)
    return found is not None


class Drain:
    """One run of the job: who is at work just now, and who is better left alone for how long."""

    def __init__(self, app: Flask, ends: float) -> None:
        self._app, self._ends = app, ends
        self._pause: float = app.config["PORTAL"].SWEEP_SECONDS
        self._running: dict[Future[float], int] = {}
        self._shut_out: dict[int, float] = {}
        self._resting: dict[int, float] = {}
        self._sweep_at = self._watch_at = -math.inf
        self._failures = 0

    def run(self) -> None:
        threads = MOST_MAILBOXES + len(FREEZERS) + 3
        with ThreadPoolExecutor(threads, thread_name_prefix="turn") as pool:
            try:
                while self._goes_on(pool):
                    pass
            finally:
                journal.undo()  # the turns that are waited for may wait for what is open here

    def _goes_on(self, pool: ThreadPoolExecutor) -> bool:
        """One round; whether there is another. What goes wrong in one stops nobody's turn.

        Raises it when it went wrong again and again and nobody is at work.
        """
        if queueing.stopping.is_set() or time.monotonic() >= self._ends:
            return False
        try:
            going = self._round(pool)
        except Exception as problem:
            _tell_of("a round of the drain broke off", problem)
            self._failures += 1
            if self._failures >= MOST_FAILURES and all(one.done() for one in self._running):
                raise
            queueing.stopping.wait(min(2.0**self._failures, LONGEST_WAIT))
            return True
        self._failures = 0
        return going

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """Sweep now and then, start what is due, take in who is done; False at the end."""
        if time.monotonic() >= self._sweep_at:
            sweep()
            self._sweep_at = time.monotonic() + self._pause
        self._start_due(pool)
        if not self._running and not _something_soon():
            return False
        self._collect()
        return True

    def _start_due(self, pool: ThreadPoolExecutor) -> None:
        for work in self._due_work():
            self._running[pool.submit(_work_in_thread, self._app, work, self._ends)] = work
            workers.beat(workers.SENDING)

    def _due_work(self) -> list[int]:
        busy = _still(self._shut_out) | set(self._running.values())
        if not instance.may_work():
            return [LOOKER] if LOOKER not in busy and restoration.is_due() else []
        room = min(HANDFUL, MOST_MAILBOXES - len(self._running))
        boxes = due_mailboxes(busy, _still(self._resting))[: max(0, room)]
        return [*self._due_beside(busy), *boxes]

    def _due_beside(self, busy: set[int]) -> list[int]:
        """What is due that is no mailbox's turn."""
        freezers = [one for one in FREEZERS if one not in busy]
        due = freezers if freezers and batches.is_due() else []
        if time.monotonic() >= self._watch_at:
            self._watch_at = time.monotonic() + self._pause
            due += [one for one in (WATCHER, LOOKER, READER) if one not in busy]
        return due

    def _collect(self) -> None:
        """Take in who is done; wait a moment where nobody is."""
        if not self._running:
            queueing.stopping.wait(0.2)
            return
        done, _ = wait(self._running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            work, problem = self._running.pop(future), future.exception()
            if problem is not None:
                self._shut_out[work] = time.monotonic() + SHUT_OUT
                _tell_of("a turn broke off", problem, work)
            else:
                self._resting[work] = future.result()


def _still(until: dict[int, float]) -> set[int]:
    """Those whose time (monotonic) is not over."""
    return {one for one, moment in until.items() if moment > time.monotonic()}


def _tell_of(what: str, problem: BaseException, work: int = 0) -> None:
    """Into the log and onto the operator's page; whatever was open in this thread is undone."""
    journal.undo()
    with logs.about(mailbox=work if work > 0 else None):
        log.error(what, exc_info=problem)
    workers.beat(workers.SENDING, f"{type(problem).__name__}: {problem}")


def sweep() -> None:
    """Put right what a crash, a lost doorbell or the passing of time left behind.

    Each step stands by itself: what goes wrong in one keeps neither the others nor mail waiting.
    """
    if not instance.may_work():
        return
    for step in (recover_stale, release_ready, spreading.spread, alarms.tell_managers):
        _by_itself(step)


def _by_itself(step: Callable[[], object]) -> None:
    try:
        step()
        journal.undo()  # what it read may still be open
    except Exception as problem:
        _tell_of(f"the sweep broke off at {step.__name__}", problem)


def due_mailboxes(without: set[int], resting: set[int] | None = None) -> list[int]:
    """Mailboxes with something to do now that nobody is working: first who has what a person waits
    for, then whose mail has waited longest, so that none is passed over for ever.

    resting: those whose day has no more room for batches; only people's mail counts there.
    """
    lease: float = current_app.config["PORTAL"].LEASE_SECONDS
    statement = _due(lease) if not resting else Statement(_whose_work(lease, resting))
    with reading():
        found = statement.rows(db.session.connection())
    ranked = sorted((rank, one) for one, rank in found if rank is not None)
    return [one for _, one in ranked if one not in without]


@cache
def _due(lease: float) -> Statement:
    return Statement(_whose_work(lease, set()))


def _whose_work(lease: float, resting: set[int]) -> Select[tuple[int, int]]:
    """Each free mailbox, with the rank of the first thing that it has to do."""
    sends = and_(claiming.may_leave(), claiming.sends())
    if resting:
        sends = and_(sends, or_(Dispatch.lane < Lane.BATCH, Mailbox.id.not_in(resting)))
    work = select(Dispatch.lane * literal(LANES_APART, BigInteger) + Dispatch.id).where(
        Dispatch.mailbox_id == Mailbox.id, WORK, or_(sends, to_look_after())
    )
    first = work.order_by(Dispatch.lane, Dispatch.id).limit(1)
    free = turn.is_free(lease), turn.may_call()
    return select(Mailbox.id, first.scalar_subquery()).where(*free)


def drain_mailbox(mailbox_id: int, ends: float = math.inf) -> float:
    """Give one mailbox its turn; until when (monotonic) its batches rest.

    ends: when (monotonic) to take no more, so that no message in hand is cut off by RQ's time-out.
    """
    mine = Turn(mailbox_id, ends)
    mine.run()
    return mine.rests_until


def _something_soon() -> bool:
    """Whether something can still be taken back, and leaves before this drain need ring again."""
    with reading():
        return _leaves_soon().first(db.session.connection()) is not None


@cache
def _leaves_soon() -> Statement:
    soon = Dispatch.not_before.between(db_now(), db_now(SOON))
    query = select(Dispatch.id).where(WORK, Dispatch.state == State.QUEUED, soon)
    return Statement(query.limit(1))


def _work_in_thread(app: Flask, work: int, ends: float) -> float:
    with app.app_context():
        if work == LOOKER and restoration.is_due():
            restoration.settle(ends)
        elif work == LOOKER:
            aftermath.look(ends)
        elif work == WATCHER:
            watching.watch(ends)
        elif work == READER:
            inboxes.look(ends)
        elif work in FREEZERS:
            batches.prepare(ends)
        else:
            return drain_mailbox(work, ends)
        return 0.0
