"""Turn: one mailbox in the hands of one drain, under its lease, at its provider's pace.

A sender hands over one message after another, in the order of asking; a reader beside it reads the
proofs and settles what is unclear, so that the next message need not wait for that. Both draw on
one meter, which is stored with each claim: whoever has the next turn goes on at the same pace.
"""

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from flask import Flask, current_app
from sqlalchemy import ColumnElement, Float, and_, bindparam, or_, select, update

from portal import evidence, journal, ledger, logs, mailboxes, pace, queueing
from portal.attempts import Hands, carry, put_back, worker_name
from portal.columns import db_now, lapsed, now
from portal.dispatch import WORK, Claim, Lane, Proof, State, claiming
from portal.dispatch.claiming import ToProve
from portal.envelope import TryLater
from portal.evidence import DISCARDING, LATEST_LOOK
from portal.extensions import db
from portal.failpoints import reached
from portal.mailboxes import Mailbox
from portal.statements import Statement
from portal.stores import looking, reading

#: The reader waits so long for another accepted message before it ends; seconds.
LINGER = 2.0
#: So many due looks are fetched at a time, to find the one that the gate waits for among them.
HANDFUL = 8
#: A wait is looked up again after this many seconds: something else may have become due.
LONGEST_NAP = 0.5
#: What an earlier turn left is looked for so often beside what was just accepted; seconds.
LOOK_AROUND = 1.0
#: A claim renews no lease that was renewed so many seconds ago, if the pace that was stored with it
#: is no further off than this.
JUST_RENEWED, SAME_PACE = 0.5, 0.05
DAY_FULL = "It has sent what its provider allows in 24 hours."


#: Tables, not classes, as in dispatch/claiming.py.
BOXES, ROWS = claiming.BOXES, claiming.DISPATCHES


class Turn:
    """The one who may work a mailbox now. ends: when (monotonic) to take no more.

    rests_until: until when (monotonic) its batches have no room in the day; people's mail may go.
    """

    def __init__(self, mailbox_id: int, ends: float = math.inf) -> None:
        self.mailbox_id, self.ends, self.rests_until = mailbox_id, ends, 0.0
        thread = threading.get_ident()
        self._worker = worker_name()
        self.holder = f"{self._worker}/{thread}/{time.monotonic_ns()}"
        self.hands = Hands(mailbox_id, self._gate, self._go_on)
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        self._lease: float = current_app.config["PORTAL"].LEASE_SECONDS
        self._lost, self._accepted = threading.Event(), threading.Event()
        # The gate: open once the message before, and what an earlier turn left, was looked at.
        self._looked_at, self._awaited = threading.Event(), 0
        self._marking = threading.Lock()
        self._idle, self._more, self._did_something = False, True, False
        # Accepted in this turn and yet to be read; how much there was to look after lately.
        self._fresh: dict[int, ToProve] = {}
        self._unread, self._looked_around = 0, -math.inf
        self._booked = 0  # units for what is claimed with a receipt
        self._reader: threading.Thread | None = None
        self._problem: Exception | None = None
        self._is_full, self._noted = False, False
        self._kept_at = self._kept_pace = -math.inf
        self._meter = pace.Meter(1)
        self._day = pace.Day(1, 0, ())

    def run(self) -> None:
        """Take the lease, carry out what is due until nothing is, give the lease back."""
        if not journal.write(self._take):
            return
        try:
            reached("drain.leased")
            self._look_at_the_ledger()
            while self._going():
                self._idle = not self._send_next()
                if self._idle and not self._read_along():
                    break
            if not self._did_something:  # whatever made it look due, it must not go round and round
                queueing.stopping.wait(LONGEST_NAP)
        finally:
            self._end()
        if self._problem is not None:
            raise self._problem

    # -- sending ---------------------------------------------------------------------------------

    def _send_next(self) -> bool:
        """Hand over the next message; False when none may leave now."""
        claim = self._taken_along() or self._take_next()
        if claim is None:
            return False
        self._did_something, self._noted = True, False
        if not carry(claim, self.hands):
            self._meter.give_back(self._sending_units())
        elif not self._noted:
            self._day.note(now(), len(claim.recipients))
        with self._marking:
            self._awaited = claim.dispatch_id
            self._looked_at.clear()
            if self.hands.accepted is not None:
                self._fresh[claim.dispatch_id] = self.hands.accepted
        self._accepted.set()
        self._have_read()
        return True

    def _take_next(self) -> Claim | None:
        """Claim the next message, once the meter has room for it."""
        lowest = self._open_lane()
        if lowest is None or not (self._more or self._is_queued(lowest)):
            return None
        units = self._sending_units()
        claim = None
        if self._wait_until(self._meter.reserve(units, time.monotonic())):
            claim = journal.write(lambda: self._claim(lowest))
            self._more = claim is not None
        if claim is None:
            self._meter.give_back(units)
        return claim

    def _go_on(self, claim: Claim) -> Callable[[], Claim | None] | None:
        """This message was taken: what claims the next one in the commit that stores so.

        None where the next one may not leave at once.
        """
        moment, units = now(), self._sending_units()
        self._day.note(moment, len(claim.recipients))
        self._noted = True
        open_ = self._day.opens_at(moment, batch=True) <= moment
        if not (self._more and open_ and self._going()):
            return None
        at = time.monotonic()
        if self._meter.reserve(units, at) > at:
            self._meter.give_back(units)
            return None
        self._booked = units
        return lambda: self._claim(Lane.BATCH)

    def _taken_along(self) -> Claim | None:
        """What was claimed with the receipt of the message before."""
        claim, self.hands.next = self.hands.next, None
        if self._booked and claim is None:
            self._meter.give_back(self._booked)
            self._more = False
        self._booked = 0
        return claim

    def _gate(self) -> bool:
        """Wait until the message before has been looked at; False when the turn ends before."""
        while not self._looked_at.is_set():
            if not self._going():
                return False
            self._accepted.set()
            self._have_read()
            self._looked_at.wait(LONGEST_NAP)
        return True

    def _claim(self, lowest: Lane) -> Claim | None:
        if not (self._was_just_renewed() or self._renewed()):
            self._lost.set()
            return None
        claim = claiming.claim_next(self.mailbox_id, self.holder, self._worker, self._lease, lowest)
        if claim is not None:
            reached("claim.written", claim.dispatch_id)
        elif not self._renewed():  # it is somebody else's by now, or rests
            self._lost.set()
        return claim

    def _was_just_renewed(self) -> bool:
        ahead = self._meter.free_at - max(self._kept_pace, time.monotonic())
        return time.monotonic() - self._kept_at < JUST_RENEWED and ahead < SAME_PACE

    def _open_lane(self) -> Lane | None:
        """Who may still send in these 24 hours: everybody, people alone, or nobody."""
        moment = now()
        if self._day.opens_at(moment, batch=True) <= moment:
            return Lane.BATCH
        opens = self._day.opens_at(moment, batch=False)
        if opens > moment:
            self._rest(opens, moment)
            return None
        self.rests_until = time.monotonic() + 30
        return Lane.PERSON

    def _rest(self, opens: datetime, moment: datetime) -> None:
        """Nothing more goes today; the mailbox says until when, and why."""
        if not self._is_full:
            self._is_full = True
            mailboxes.pause(self.mailbox_id, (opens - moment).total_seconds() + 1, DAY_FULL)

    def _sending_units(self) -> int:
        return self.hands.provider().sending_units

    def _is_queued(self, lowest: Lane) -> bool:
        with looking() as store:
            found = _queued().first(store, mailbox=self.mailbox_id, lowest=lowest)
        return found is not None

    # -- reading ---------------------------------------------------------------------------------

    def _read_along(self) -> bool:
        """Let the reader go on while the sender has nothing; False when it is done too."""
        self._accepted.set()
        if not self._is_reading() and self._evidence() is None:
            return False
        self._have_read()
        assert self._reader is not None
        self._reader.join(0.1)
        return True

    def _have_read(self) -> None:
        """See to it that somebody reads what comes back."""
        if not self._is_reading():
            self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
            self._reader.start()

    def _is_reading(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def _read(self) -> None:
        with self._app.app_context():
            try:
                while self._going() and (self._read_next() or self._lingered()):
                    pass
            except Exception as problem:  # the turn ends with it, in the thread that has the lease
                self._problem = problem
                self._lost.set()

    def _lingered(self) -> bool:
        """Wait for another accepted message, while any may come; whether one came."""
        came = not self._idle and self._accepted.wait(LINGER)
        self._accepted.clear()
        return came

    def _read_next(self) -> bool:
        """Look after one message that has left, or was meant to; whether there is another."""
        awaited = self._awaited
        due = self._just_accepted() or self._evidence()
        if due is None:
            self._open_gate(awaited)
            return False
        self._did_something = True
        units = self._reading_units(due.state)
        if not self._wait_until(self._meter.reserve(units, time.monotonic())):
            self._meter.give_back(units)
            return False
        self._keep()
        self._look_after(due)
        if due.dispatch_id == awaited:
            self._open_gate(awaited)
        return self._unread > 1 or bool(self._fresh)

    def _just_accepted(self) -> ToProve | None:
        """What was accepted in this turn, unless it is time to look for what else is due."""
        if time.monotonic() - self._looked_around > LOOK_AROUND:
            return None
        with self._marking:
            oldest = next(iter(self._fresh), None)
            return None if oldest is None else self._fresh.pop(oldest)

    def _open_gate(self, awaited: int) -> None:
        """All that was to be looked at up to this message has been."""
        with self._marking:
            if awaited == self._awaited:
                self._looked_at.set()

    def _reading_units(self, state: str) -> int:
        if state == State.UNKNOWN:
            return 0  # how many calls it takes, nobody knows: each is booked as it is made
        if state != State.ACCEPTED:
            return self.hands.provider().tariff.discarding
        return self.hands.provider().reading_units

    def _spend(self, call: str) -> None:
        """Wait until a call may be made. Raises TryLater where the turn ends before."""
        units = self.hands.provider().tariff.calls[call]
        if not self._wait_until(self._meter.reserve(units, time.monotonic())):
            self._meter.give_back(units)
            raise TryLater("The turn ended before it was looked up.")

    def _look_after(self, due: ToProve) -> None:
        with logs.about(dispatch=due.dispatch_id, mailbox=self.mailbox_id):
            self._look_at(due)

    def _look_at(self, due: ToProve) -> None:
        if due.state == State.UNKNOWN:
            evidence.reconcile(due.dispatch_id, self._spend)
        elif due.state != State.ACCEPTED:
            evidence.discard_draft(due.dispatch_id)
        elif evidence.prove(due, self.hands.provider(), self._fits) == Proof.DIFFERS:
            self.hands.forget()

    def _fits(self, due: ToProve) -> None:
        """It bears its From: the next one may go while that is being stored."""
        self._open_gate(due.dispatch_id)

    def _evidence(self) -> ToProve | None:
        """What to look after next: what the gate waits for, else the oldest of those due."""
        self._looked_around = time.monotonic()
        with looking() as store:
            found = _unread().rows(store, mailbox=self.mailbox_id)
            mine = [one for one in found if one[0] == self._awaited]
            if len(found) == HANDFUL and not mine and not self._looked_at.is_set():
                mine = _this_one().rows(store, awaited=self._awaited)
        self._unread = len(found)
        for first in [*mine, *found][:1]:
            with self._marking:
                self._fresh.pop(first[0], None)
            return ToProve(*first)
        return None

    # -- the lease and the pace ------------------------------------------------------------------

    def _going(self) -> bool:
        over = queueing.stopping.is_set() or time.monotonic() >= self.ends
        return not over and not self._lost.is_set()

    def _wait_until(self, at: float) -> bool:
        """Sleep until a moment (monotonic); False when the turn ends before."""
        while self._going():
            left = at - time.monotonic()
            if left <= 0:
                return True
            queueing.stopping.wait(min(left, LONGEST_NAP))
            self._keep()
        return False

    def _look_at_the_ledger(self) -> None:
        with reading():
            box = db.session.get_one(Mailbox, self.mailbox_id, populate_existing=True)
            self._day = ledger.day_of(box)
            self._meter = ledger.meter_of(box, time.monotonic())

    def _take(self) -> bool:
        self._kept_at = time.monotonic()
        mine = {"mailbox": self.mailbox_id, "holder": self.holder}
        return _taken(self._lease).changed(journal.connection(), **mine) == 1

    def _keep(self) -> None:
        """Renew the lease now and then, where no claim does."""
        if time.monotonic() - self._kept_at > self._lease / 4 and not journal.write(self._renewed):
            self._lost.set()

    def _renewed(self) -> bool:
        """Keep the mailbox; False when it was lost, or paused or held meanwhile."""
        self._kept_at, self._kept_pace = time.monotonic(), self._meter.free_at
        ahead = max(0.0, self._kept_pace - self._kept_at)
        mine = {"mailbox": self.mailbox_id, "holder": self.holder}
        return _kept(self._lease).changed(journal.connection(), **mine, ahead=ahead) == 1

    def _end(self) -> None:
        self._lost.set()
        self._accepted.set()
        if self._reader is not None:
            self._reader.join()
        db.session.rollback()
        if self.hands.next is not None:
            put_back(self.hands.next, None)
        mine = {"mailbox": self.mailbox_id, "holder": self.holder}
        journal.write(lambda: _given_back().changed(journal.connection(), **mine))


def may_call() -> ColumnElement[bool]:
    """Whether the provider may be asked anything now: a full day forbids nothing but sending."""
    rested = lapsed(BOXES.c.paused_until, claiming.LONGEST_PAUSE)
    return or_(rested, BOXES.c.pause_note == DAY_FULL)


def is_free(lease: float) -> ColumnElement[bool]:
    """Whether nobody works a mailbox. lease: seconds for which one is ever taken."""
    return lapsed(BOXES.c.drain_until, lease)


def to_look_after() -> ColumnElement[bool]:
    """Whether a dispatch has left, or was meant to, and something is still to be found out."""
    column = ROWS.c
    unread = and_(column.state == State.ACCEPTED, column.proof == Proof.UNREAD)
    discarding = or_(*(column.state == one for one in DISCARDING))
    useless = and_(discarding, column.draft_id.is_not(None))
    soon = or_(column.settle_after.is_(None), lapsed(column.settle_after, LATEST_LOOK))
    unclear = and_(column.state == State.UNKNOWN, column.settle_after.is_not(None))
    return and_(or_(unclear, unread, useless), soon)


@cache
def _queued() -> Statement:
    mine = ROWS.c.mailbox_id == bindparam("mailbox")
    lane = ROWS.c.lane <= bindparam("lowest")
    free = ~claiming.is_shut(bindparam("mailbox"))
    query = select(ROWS.c.id).where(mine, WORK, lane, claiming.may_leave(), free)
    return Statement(query.limit(1))


@cache
def _unread() -> Statement:
    mine = ROWS.c.mailbox_id == bindparam("mailbox")
    query = select(*claiming.TO_PROVE).where(mine, WORK, to_look_after())
    return Statement(query.order_by(ROWS.c.lane, ROWS.c.id).limit(HANDFUL))


@cache
def _this_one() -> Statement:
    mine = ROWS.c.id == bindparam("awaited")
    return Statement(select(*claiming.TO_PROVE).where(mine, to_look_after()))


def _held_by_me() -> ColumnElement[bool]:
    column = BOXES.c
    return and_(column.id == bindparam("mailbox"), column.drain_holder == bindparam("holder"))


@cache
def _taken(lease: float) -> Statement:
    free = and_(BOXES.c.id == bindparam("mailbox"), is_free(lease), may_call())
    values: dict[str, Any] = {"drain_holder": bindparam("holder"), "drain_until": db_now(lease)}
    return Statement(update(BOXES).where(free).values(**values))


@cache
def _kept(lease: float) -> Statement:
    ahead = bindparam("ahead", type_=Float())
    values: dict[str, Any] = {"drain_until": db_now(lease), "paced_until": db_now(ahead)}
    return Statement(update(BOXES).where(_held_by_me(), may_call()).values(**values))


@cache
def _given_back() -> Statement:
    values: dict[str, Any] = {"drain_holder": None, "drain_until": None}
    return Statement(update(BOXES).where(_held_by_me()).values(**values))
