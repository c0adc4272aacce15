"""Waiting: what has not left yet, why, and until when: the Outbox's rows and its rhythm.

Documents of a batch are counted by batches.waiting, not listed here one by one.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, and_, func, or_, select, true, tuple_
from sqlalchemy.orm import joinedload, lazyload, selectinload

from portal.columns import db_now
from portal.dispatch.tables import SPARE_SECONDS, WORK, Dispatch, Event, Lane, State
from portal.documents import Document
from portal.extensions import db
from portal.instance import Instance
from portal.mailboxes import Health, Mailbox
from portal.senders import BY_HAND

#: So many rows a page shows of one group, and so many at most are counted.
ROWS, MOST_COUNTED = 25, 1000
#: So many of a person's own are shown where many mailboxes have something to send.
OWN = 10


class Group(StrEnum):
    """Why something has not left yet. QUEUE is its mailbox's turn, whatever that waits for."""

    UNDO = "undo"
    QUEUE = "queue"
    HELD = "held"
    PERSON = "person"
    UNCLEAR = "unclear"


class Rest(StrEnum):
    """Why a mailbox sends nothing now; GOES_ON where it does."""

    EVERYTHING = "everything"
    HELD = "held"
    PAUSED = "paused"
    DAY = "day"
    GOES_ON = "goes_on"


@dataclass(frozen=True)
class Stretch:
    """Some rows of a group, in the order in which they will leave. after: what goes on after the
    last of them; "" where that is all."""

    rows: list[Dispatch]
    after: str = ""


@dataclass(frozen=True)
class Resting:
    """Why a mailbox rests, and until when where that is known."""

    why: Rest
    until: datetime | None = None


# -- decisions, pure -----------------------------------------------------------------------------


def resting(
    moment: datetime,
    *,
    everything_held: bool = False,
    held: bool = False,
    paused_until: datetime | None = None,
    day_until: datetime | None = None,
) -> Resting:
    """What keeps a mailbox from sending: what a person said before what the provider says.

    day_until: when the limit of 24 hours lets the next message leave; None while it does.
    """
    if everything_held:
        return Resting(Rest.EVERYTHING)
    if held:
        return Resting(Rest.HELD)
    if paused_until is not None and paused_until > moment:
        return Resting(Rest.PAUSED, max(paused_until, day_until or paused_until))
    if day_until is not None and day_until > moment:
        return Resting(Rest.DAY, day_until)
    return Resting(Rest.GOES_ON)


def undo_left(not_before: datetime | None, moment: datetime) -> int | None:
    """Seconds that are shown for taking it back; 0 in the last moment, None when it is over."""
    if not_before is None or not_before <= moment:
        return None
    shown = (not_before - moment).total_seconds() - SPARE_SECONDS
    return max(0, math.ceil(shown))


def rhythm(age: timedelta | None, *, counting: bool = False, moving: bool = False) -> int:
    """After how many seconds to look again. age: since the last change, None where nothing waits.

    counting: something leaves within seconds; moving: a mailbox is at work.
    """
    if counting or (age is not None and age < timedelta(seconds=15)):
        return 1
    if moving:
        return 2
    return 5 if age is not None and age < timedelta(minutes=10) else 15


# -- reading -------------------------------------------------------------------------------------


def stretch(group: Group, mailbox_id: int | None = None, after: str = "") -> Stretch:
    """The next rows of a group; of a mailbox's queue where one is named.

    What is sent by hand or wanted at once is listed, and of batches what a person holds.
    """
    query = select(Dispatch).where(_of(group), _one_by_one(group))
    query = query.order_by(Dispatch.lane, Dispatch.id).limit(ROWS + 1)
    if mailbox_id is not None:
        query = query.where(Dispatch.mailbox_id == mailbox_id)
    if (place := _read_place(after)) is not None:
        query = query.where(tuple_(Dispatch.lane, Dispatch.id) > tuple_(*place))
    found = list(db.session.scalars(query.options(*_LOADED)).unique())
    rows = found[:ROWS]
    return Stretch(rows, _place(rows[-1]) if len(found) > ROWS else "")


def count(group: Group) -> int:
    """How many of a group there are, batches and all; more than MOST_COUNTED are not counted."""
    some = select(Dispatch.id).where(_of(group)).limit(MOST_COUNTED + 1).subquery()
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def in_queue() -> int:
    """How many are queued, those that can still be taken back among them; at most MOST_COUNTED and
    one more are counted."""
    queued = select(Dispatch.id).where(Dispatch.state == State.QUEUED)
    some = queued.limit(MOST_COUNTED + 1).subquery()  # an index knows them without their messages
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def ahead_of(one: Dispatch) -> int:
    """How many of its mailbox go before it; more than MOST_COUNTED are not counted."""
    before = tuple_(Dispatch.lane, Dispatch.id) < tuple_(one.lane, one.id)
    query = select(Dispatch.id).where(
        Dispatch.mailbox_id == one.mailbox_id, WORK, Dispatch.state == State.QUEUED, before
    )
    some = query.where(_may_leave()).limit(MOST_COUNTED + 1).subquery()
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def handed_over_now(mailbox_id: int) -> list[Dispatch]:
    """What of a mailbox is being handed over at this moment."""
    query = select(Dispatch).where(
        Dispatch.mailbox_id == mailbox_id, Dispatch.state == State.SUBMITTING
    )
    return list(db.session.scalars(query.order_by(Dispatch.id).limit(ROWS).options(*_LOADED)))


def own(user_id: int, mailbox_ids: list[int]) -> list[Dispatch]:
    """What a person asked for that waits in these mailboxes' queues, newest first."""
    query = select(Dispatch).where(
        WORK, Dispatch.mailbox_id.in_(mailbox_ids), Dispatch.lane.in_((Lane.FIRST, Lane.PERSON))
    )
    query = query.where(Dispatch.state == State.QUEUED, Dispatch.requested_by_id == user_id)
    query = query.where(_may_leave()).order_by(Dispatch.id.desc()).limit(OWN)
    return list(db.session.scalars(query.options(*_LOADED)).unique())


def standing() -> tuple[Any, ...]:
    """What changes with anything that waits, in one cheap reading: the newest line of all stories,
    and who holds what, or keeps it waiting."""
    return tuple(db.session.connection().execute(_standing()).one())


@cache  # the Outbox asks every second or two
def _standing() -> Executable:
    return select(
        select(func.max(Event.id)).scalar_subquery(),
        select(func.max(Instance.held_at)).scalar_subquery(),
        select(func.max(Instance.stopped_at)).scalar_subquery(),
        func.count().filter(Mailbox.health == Health.CONNECTED),
        *(function(Mailbox.held_at) for function in (func.count, func.max)),
        *(function(Mailbox.paused_until) for function in (func.count, func.max)),
    ).select_from(Mailbox)


def mailboxes_at_work() -> list[int]:
    """The mailboxes with something to hand over, or just being handed over."""
    going = Dispatch.state.in_((State.QUEUED, State.SUBMITTING))
    some = select(Dispatch.id).where(Dispatch.mailbox_id == Mailbox.id, going).exists()
    return list(db.session.scalars(select(Mailbox.id).where(some)))


def _one_by_one(group: Group) -> ColumnElement[bool]:
    """In words that an index serves, however many of a batch stand beside them."""
    if group is Group.QUEUE:
        return and_(WORK, Dispatch.lane.in_((Lane.FIRST, Lane.PERSON)))
    return true() if group is Group.PERSON else Dispatch.batch_id.is_(None)


def _of(group: Group) -> ColumnElement[bool]:
    queued, held = Dispatch.state == State.QUEUED, Dispatch.state == State.HELD
    return {
        # What is sent by hand alone can be taken back: in words that an index serves.
        Group.UNDO: and_(
            WORK,
            Dispatch.mailbox_id.in_(select(Mailbox.id)),
            Dispatch.lane.in_((Lane.FIRST, Lane.PERSON)),
            queued,
            Dispatch.not_before > db_now(),
        ),
        Group.QUEUE: and_(queued, _may_leave()),
        Group.HELD: and_(held, Dispatch.hold_code.not_in(BY_HAND)),
        Group.PERSON: and_(held, Dispatch.hold_code.in_(BY_HAND)),
        Group.UNCLEAR: Dispatch.state == State.UNKNOWN,
    }[group]


def _may_leave() -> ColumnElement[bool]:
    return or_(Dispatch.not_before.is_(None), Dispatch.not_before <= db_now())


#: What a row shows: of the document its number and customer, not its lines and its property.
_LOADED = (
    joinedload(Dispatch.document).options(lazyload("*"), joinedload(Document.contact)),
    selectinload(Dispatch.requested_by),
    selectinload(Dispatch.mailbox),
)


def _place(one: Dispatch) -> str:
    return f"{one.lane}.{one.id}"


def _read_place(written: str) -> tuple[int, int] | None:
    """Where to go on; what cannot be read is the beginning."""
    lane, _, number = written.partition(".")
    if lane not in {str(int(one)) for one in Lane} or not number.isdecimal() or len(number) > 15:
        return None
    return int(lane), int(number)
