"""Reading: which dispatches there are, for pages and for counting."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Executable,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
)

from portal.accounts import User
from portal.columns import now
from portal.dispatch.tables import OPEN_STATES, Dispatch, Event, Proof, Purpose, State
from portal.documents import Document
from portal.extensions import db
from portal.instance import Instance
from portal.mailboxes import Address, Mailbox
from portal.senders import BY_HAND

#: A hand-over usually takes a second or two; behind a longer one, waiting needs explaining.
LONG_TURN = timedelta(seconds=15)


def of_document(document: Document) -> list[Dispatch]:
    """All sendings of a document, newest first, tests included."""
    query = select(Dispatch).where(Dispatch.document_id == document.id)
    return list(db.session.scalars(query.order_by(Dispatch.id.desc())).unique())


def followed_by(one: Dispatch) -> list[Dispatch]:
    """The sendings somebody asked for after this one, because of it; oldest first."""
    query = select(Dispatch).where(Dispatch.document_id == one.document_id)
    query = query.where(Dispatch.resend_of_id == one.id)
    return list(db.session.scalars(query.order_by(Dispatch.id)).unique())


def latest_by_document(ids: list[int]) -> dict[int, Dispatch]:
    """The last real sending of each document."""
    newest = (
        select(func.max(Dispatch.id))
        .where(Dispatch.document_id.in_(ids), Dispatch.purpose == Purpose.DOCUMENT)
        .group_by(Dispatch.document_id)
    )
    found = db.session.scalars(select(Dispatch).where(Dispatch.id.in_(newest))).unique()
    return {one.document_id: one for one in found if one.document_id is not None}


def needing_attention(user: User | None = None, limit: int = 200) -> list[Dispatch]:
    """What somebody should look at: on hold, refused, came back, unclear, under another From, or
    not taken for everybody."""
    troubles = State.HELD, State.UNKNOWN, State.REFUSED, State.RETURNED
    troubled = or_(
        Dispatch.state.in_(troubles),
        Dispatch.proof == Proof.DIFFERS,
        Dispatch.turned_away.is_not(None),
    )
    query = select(Dispatch).where(troubled)
    query = query.where(Dispatch.purpose == Purpose.DOCUMENT)
    query = query.where(Dispatch.hold_code.not_in(BY_HAND))  # somebody wants it so
    if user is not None:
        query = query.where(Dispatch.requested_by_id == user.id)
    newest = list(db.session.scalars(query.order_by(Dispatch.id.desc()).limit(limit)).unique())
    latest = latest_by_document([one.document_id for one in newest if one.document_id is not None])
    last = {one.id for one in latest.values()}
    open_still = (State.HELD, State.UNKNOWN)  # a later sending does not settle these
    return [one for one in newest if one.state in open_still or one.id in last]


def waiting_for(mailbox_id: int) -> int:
    """How many messages wait for a mailbox, or for an address it is to send as."""
    own = and_(Dispatch.mailbox_id == mailbox_id, Dispatch.state.in_(OPEN_STATES))
    wanted = select(Address.email).where(Address.mailbox_id == mailbox_id)
    homeless = and_(
        Dispatch.mailbox_id.is_(None),
        Dispatch.state == State.HELD,
        func.lower(Dispatch.from_email).in_(wanted),
    )
    return db.session.scalar(select(func.count()).where(or_(own, homeless))) or 0


def asked_by(user: User) -> int:
    """How many messages that this person asked for still wait, and can be cancelled."""
    query = select(func.count()).where(
        Dispatch.requested_by_id == user.id, Dispatch.state.in_((State.QUEUED, State.HELD))
    )
    return db.session.scalar(query) or 0


def queued() -> int:
    """How many messages are in the queue."""
    query = select(func.count()).where(Dispatch.state == State.QUEUED)
    return db.session.scalar(query) or 0


def tally(since: datetime, user: User | None = None) -> dict[State, int]:
    """How many sendings were asked for since a moment, by where they stand now; tests aside."""
    query = select(Dispatch.state, func.count()).group_by(Dispatch.state)
    query = query.where(Dispatch.requested_at >= since, Dispatch.purpose == Purpose.DOCUMENT)
    if user is not None:
        query = query.where(Dispatch.requested_by_id == user.id)
    return {State(state): count for state, count in db.session.execute(query)}


def standing(dispatch_id: int) -> tuple[Any, ...] | None:
    """Everything that changes what is said of one while somebody looks on, read cheaply: its state,
    since when, until when it can be taken back, and more. None where there is no such dispatch.
    """
    found = db.session.connection().execute(_standing(), {"id": dispatch_id}).first()
    return tuple(found) if found is not None else None


@cache  # pages that follow a sending ask every second: it costs more to write down than to answer
def _standing() -> Executable:
    newest = select(func.max(Event.id)).where(Event.dispatch_id == bindparam("id"))
    mine = (Dispatch.state, Dispatch.state_since, Dispatch.not_before, Dispatch.hold_code)
    more = (Dispatch.lane, Dispatch.attempt, Dispatch.proof, Dispatch.needs_person)
    settling = (Dispatch.settle_after, Dispatch.settle_tries, Dispatch.queued_at)
    boxes = (Mailbox.health, Mailbox.held_at, Mailbox.paused_until)
    everything = (Instance.held_at, Instance.stopped_at)
    columns = (*mine, *more, *settling, *boxes, *everything, Document.version)
    query: Select[*tuple[Any, ...]] = select(*columns, newest.scalar_subquery()).select_from(
        Dispatch
    )
    query = query.outerjoin(Mailbox, Mailbox.id == Dispatch.mailbox_id)
    query = query.outerjoin(Document, Document.id == Dispatch.document_id)
    return query.outerjoin(Instance, true()).where(Dispatch.id == bindparam("id"))


def waits_behind(one: Dispatch) -> bool:
    """Whether an earlier message of the same mailbox has kept this one waiting for a while."""
    if one.state != State.QUEUED or now() - one.state_since < LONG_TURN:
        return False
    ahead = select(Dispatch.id).where(
        Dispatch.mailbox_id == one.mailbox_id,
        Dispatch.state == State.SUBMITTING,
        Dispatch.id < one.id,
    )
    return db.session.scalar(ahead.limit(1)) is not None
