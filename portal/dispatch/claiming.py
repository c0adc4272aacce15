"""Claiming: the writes that every sent mail needs, each one statement, prepared once.

A claim is an attempt number. Every later write names it, so a process that lost its claim changes
nothing. The caller commits (portal.journal).
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Select,
    String,
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from portal import journal
from portal.accounts import User
from portal.columns import db_now, lapsed, now
from portal.dispatch.moving import show_going_on
from portal.dispatch.tables import (
    WORK,
    Attempt,
    Dispatch,
    Event,
    Lane,
    Message,
    Proof,
    Purpose,
    State,
)
from portal.envelope import SentCopy
from portal.instance import Instance
from portal.mailboxes import Mailbox
from portal.providers.obstacles import harmless
from portal.senders import Said
from portal.statements import Statement

#: Nothing can be taken back for longer, and no provider asks for a longer rest (seconds): what says
#: so was written before a clock was set back.
LONGEST_UNDO, LONGEST_PAUSE = 600, 25 * 3600

#: A message that so many workers did not survive is tried alone from then on, so that whatever ends
#: the next one is it, and nobody beside it.
SUSPECT = 3

# Tables, not classes: for what runs with every mail, the short way through SQLAlchemy counts.
DISPATCHES = cast("Table", Dispatch.__table__)
MESSAGES = cast("Table", Message.__table__)
ATTEMPTS = cast("Table", Attempt.__table__)
EVENTS = cast("Table", Event.__table__)
INSTANCE = cast("Table", Instance.__table__)
BOXES = cast("Table", Mailbox.__table__)
USERS = cast("Table", User.__table__)


@dataclass(frozen=True)
class Claim:
    """A dispatch taken for one attempt, with all that handing it over needs."""

    dispatch_id: int
    attempt: int
    mailbox_id: int | None = None
    token: str = ""
    from_email: str = ""
    draft_id: str | None = None
    recipients: tuple[str, ...] = ()
    mime: bytes = b""
    mime_sha256: str = ""
    attempt_id: int = 0
    purpose: str = Purpose.DOCUMENT

    @property
    def is_as_frozen(self) -> bool:
        """Whether the bytes are those whose hash was kept when somebody pressed Send."""
        return hashlib.sha256(self.mime).hexdigest() == self.mime_sha256


@dataclass(frozen=True)
class ToProve:
    """What reading the sent copy of an accepted message needs to know. tries: looks so far."""

    dispatch_id: int
    state: str
    proof: str
    mailbox_id: int | None
    message_id: str | None
    from_email: str
    tries: int
    purpose: str = Purpose.DOCUMENT


#: The columns of a ToProve.
TO_PROVE = (
    DISPATCHES.c.id,
    DISPATCHES.c.state,
    DISPATCHES.c.proof,
    DISPATCHES.c.mailbox_id,
    DISPATCHES.c.provider_message_id,
    DISPATCHES.c.from_email,
    DISPATCHES.c.proof_tries,
    DISPATCHES.c.purpose,
)


def claim_next(
    mailbox_id: int, holder: str, worker: str, lease: float, lowest: Lane = Lane.BATCH
) -> Claim | None:
    """Take the next due message of a mailbox: what a person waits for, then in the order of asking.

    holder: whose turn the mailbox has; lowest: the last lane that may go now; lease: seconds. None
    where nothing is due, or somebody else has the turn.
    """
    values = {"mailbox": mailbox_id, "holder": holder, "lowest": lowest}
    return _taken(_next_of_mailbox(lease), worker, values)


def claim_one(dispatch_id: int, worker: str, lease: float) -> Claim | None:
    """Take this very dispatch, if it is in the queue."""
    return _taken(_this_one(lease), worker, {"wanted": dispatch_id})


def hand_over(claim: Claim, lease: float, draft_id: str | None) -> bool:
    """The last look before the call: still ours, the lease has not run out, mail may leave at all,
    and nobody whose address it bears has withdrawn.

    draft_id: the draft that is about to be sent, None where there is none. From the commit on the
    mail may leave.
    """
    mine = {"wanted": claim.dispatch_id, "mine": claim.attempt, "box": claim.mailbox_id or 0}
    # Whoever tries an address was asked when they pressed the button.
    author = "" if claim.purpose == Purpose.TRIAL else claim.from_email.lower()
    return _handed_over(lease).changed(_here(), **mine, draft=draft_id, author=author) == 1


def accepted(claim: Claim, message_id: str) -> bool:
    """Settle it on a receipt, which is certain whatever was thought of this attempt meanwhile.

    False where it had been settled as accepted before.
    """
    values = {"wanted": claim.dispatch_id, "mine": claim.attempt, "message": message_id}
    if _accepted().changed(_here(), **values, at=now()) != 1:
        return False
    show_going_on(claim.dispatch_id, State.ACCEPTED)
    return True


def to_prove(dispatch_id: int) -> ToProve:
    """What is known of a message whose sent copy is about to be read."""
    found = _to_prove().first(_here(), wanted=dispatch_id)
    assert found is not None  # nothing takes a dispatch away
    return ToProve(*found)


def just_accepted(claim: Claim, message_id: str) -> ToProve:
    """What is known of a message that was accepted a moment ago."""
    here = claim.mailbox_id, message_id, claim.from_email
    return ToProve(claim.dispatch_id, State.ACCEPTED, Proof.UNREAD, *here, 0, claim.purpose)


def proved(dispatch_id: int, proof: Proof, copy: SentCopy) -> None:
    """Keep what the sent copy says."""
    values: dict[str, str | None] = {"sender": copy.sender, "thread": copy.thread_id or None}
    values["message"] = copy.internet_message_id
    _proved().changed(_here(), wanted=dispatch_id, proved=proof, **values)


def end_attempt(claim: Claim, outcome: str, words: str) -> None:
    """Keep how an attempt ended, with the provider's own words.

    Pages show them to everybody here: what stands between may have put addresses of the inner
    network there.
    """
    mine = {"wanted": claim.dispatch_id, "mine": claim.attempt}
    words = words if outcome == "accepted" else harmless(words)
    _ended().changed(_here(), **mine, how=outcome, words=words[:2000], at=now())


def told(dispatch_id: int, words: str, actor: str = "") -> None:
    """tell(), at once rather than with the session's next flush."""
    _told().changed(_here(), of=dispatch_id, at=now(), actor=actor, words=words)


def is_due() -> ColumnElement[bool]:
    """Whether what is in the queue may leave yet, or can still be taken back."""
    return lapsed(DISPATCHES.c.not_before, LONGEST_UNDO)


def sends() -> ColumnElement[bool]:
    """Whether a mailbox's mail may leave: nobody holds it, and its provider does not rest it."""
    return and_(BOXES.c.held_at.is_(None), lapsed(BOXES.c.paused_until, LONGEST_PAUSE))


def is_shut(mailbox_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether nothing may leave through a mailbox just now."""
    return exists(select(BOXES.c.id).where(BOXES.c.id == mailbox_id, ~sends()))


def is_open_to(mailbox_id: ColumnElement[int], holder: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether mail may leave through a mailbox just now, by whoever has its turn."""
    mine = and_(BOXES.c.id == mailbox_id, BOXES.c.drain_holder == holder)
    return exists(select(BOXES.c.id).where(mine, sends()))


def may_leave() -> ColumnElement[bool]:
    """Whether a dispatch waits for nothing but its mailbox's turn."""
    return and_(DISPATCHES.c.state == State.QUEUED, is_due(), in_company(), _allowed())


def in_company() -> ColumnElement[bool]:
    """Whether it may be tried beside others, because it is not suspected of ending workers."""
    return DISPATCHES.c.endings < SUSPECT


def suspect(tried: Collection[int] = ()) -> Select[int]:
    """The id of a message that is due and must be tried alone; of several, the least suspected.

    tried: those that are not to be tried again just now.
    """
    column = DISPATCHES.c
    due = and_(column.state == State.QUEUED, is_due(), ~in_company(), _allowed())
    query = select(column.id).join(BOXES, BOXES.c.id == column.mailbox_id)
    fresh = column.id.not_in(tried)
    return query.where(WORK, due, sends(), fresh).order_by(column.endings, column.id).limit(1)


def _here() -> Connection:
    return journal.connection()


def _taken(statement: Statement, worker: str, values: dict[str, Any]) -> Claim | None:
    moment = now()
    row = statement.first(_here(), **values, since=moment)
    if row is None:
        return None
    dispatch_id, attempt, mailbox_id, token, from_email, draft_id, to, cc, fingerprint, why = row
    show_going_on(dispatch_id, State.SUBMITTING)
    noted = _begun().first(_here(), of=dispatch_id, number=attempt, worker=worker, at=moment)
    frozen = _message().first(_here(), wanted=dispatch_id)
    assert noted is not None
    mail = token, from_email, draft_id, (*to, *cc), frozen[0] if frozen else b"", fingerprint
    return Claim(dispatch_id, attempt, mailbox_id, *mail, noted[0], why)


@cache
def _next_of_mailbox(lease: float) -> Statement:
    column = DISPATCHES.c
    next_one = (
        select(column.id)
        .where(
            column.mailbox_id == bindparam("mailbox"),
            WORK,
            column.state == State.QUEUED,
            column.lane <= bindparam("lowest"),
            is_due(),
            in_company(),
            is_open_to(bindparam("mailbox"), bindparam("holder")),
        )
        .order_by(column.lane, column.id)
        .limit(1)
        .correlate(None)
    )
    # Its mailbox again: it may have gone to another one between the look and the change.
    mine = DISPATCHES.c.mailbox_id == bindparam("mailbox")
    return Statement(_claimed(lease, and_(DISPATCHES.c.id == next_one.scalar_subquery(), mine)))


@cache
def _this_one(lease: float) -> Statement:
    return Statement(_claimed(lease, DISPATCHES.c.id == bindparam("wanted")))


def _claimed(lease: float, which: ColumnElement[bool]) -> Executable:
    column = DISPATCHES.c
    return (
        update(DISPATCHES)
        .where(which, column.state == State.QUEUED, _allowed())
        .values(
            state=State.SUBMITTING,
            state_since=bindparam("since"),
            state_note="",
            attempt=column.attempt + 1,
            lease_until=db_now(lease),
            handed_over_at=None,
        )
        .returning(
            column.id,
            column.attempt,
            column.mailbox_id,
            column.token,
            column.from_email,
            column.draft_id,
            column.to,
            column.cc,
            column.mime_sha256,
            column.purpose,
        )
    )


@cache
def _message() -> Statement:
    wanted = MESSAGES.c.dispatch_id == bindparam("wanted")
    return Statement(select(MESSAGES.c.mime).where(wanted), in_binary=True)


@cache
def _begun() -> Statement:
    begun = insert(ATTEMPTS).values(
        dispatch_id=bindparam("of"),
        number=bindparam("number"),
        worker=bindparam("worker"),
        started_at=bindparam("at"),
        outcome="",
        words="",
    )
    return Statement(begun.returning(ATTEMPTS.c.id))


@cache
def _told() -> Statement:
    told = insert(EVENTS).values(
        dispatch_id=bindparam("of"),
        at=bindparam("at"),
        actor=bindparam("actor"),
        text=bindparam("words"),
    )
    return Statement(told)


@cache
def _handed_over(lease: float) -> Statement:
    column = DISPATCHES.c
    mine = and_(column.id == bindparam("wanted"), column.attempt == bindparam("mine"))
    return Statement(
        update(DISPATCHES)
        .where(mine, column.state == State.SUBMITTING, column.lease_until > db_now(), _allowed())
        .where(~_is_withheld())
        .values(handed_over_at=db_now(), lease_until=db_now(lease), draft_id=bindparam("draft"))
    )


def _allowed() -> ColumnElement[bool]:
    """Whether mail may leave at all, asked in the very statement that lets it."""
    stopped = or_(INSTANCE.c.stopped_at.is_not(None), INSTANCE.c.held_at.is_not(None))
    return ~exists(select(INSTANCE.c.id).where(stopped))


def _is_withheld() -> ColumnElement[bool]:
    """Whether the person does not agree whose address it bears (as senders.trouble_with() says it
    from what mailboxes knows): asked in the very statement that lets it, since what was known of
    an address a moment ago may be so no longer."""
    author, mine = bindparam("author", type_=String()), BOXES.c.id == bindparam("box")
    own = and_(mine, func.lower(BOXES.c.email) == author)  # the mailbox's own address
    theirs, owner = USERS.alias(), USERS.alias()
    companys = exists(select(BOXES.c.id).where(own, BOXES.c.owner_id.is_(None)))
    of_person = and_(func.lower(theirs.c.email) == author, theirs.c.is_department.is_(False))
    of_owner = and_(own, owner.c.id == BOXES.c.owner_id, owner.c.is_department.is_(False))
    unagreed = exists(select(theirs.c.id).where(of_person, _says_no(theirs)))
    unagreed_owner = exists(
        select(owner.c.id).where(
            of_owner, _says_no(owner), ~exists(select(theirs.c.id).where(of_person))
        )
    )
    return and_(~companys, or_(unagreed, unagreed_owner))


def _says_no(people: FromClause) -> ColumnElement[bool]:
    """Whether somebody has not agreed of the address they have now."""
    said_of = func.lower(people.c.consent_email) == func.lower(people.c.email)
    return ~and_(people.c.consent == Said.AGREED, said_of)


@cache
def _accepted() -> Statement:
    column = DISPATCHES.c
    mine = and_(column.id == bindparam("wanted"), column.attempt == bindparam("mine"))
    return Statement(
        update(DISPATCHES)
        .where(mine, column.state != State.ACCEPTED)
        .values(
            state=State.ACCEPTED,
            state_since=bindparam("at"),
            state_note="",
            accepted_at=bindparam("at"),
            lease_until=None,
            settle_after=None,
            needs_person=False,
            provider_message_id=bindparam("message"),
        )
    )


@cache
def _to_prove() -> Statement:
    return Statement(select(*TO_PROVE).where(DISPATCHES.c.id == bindparam("wanted")))


@cache
def _proved() -> Statement:
    column = DISPATCHES.c
    mine = and_(column.id == bindparam("wanted"), column.state == State.ACCEPTED)
    return Statement(
        update(DISPATCHES)
        .where(mine)
        .values(
            proof=bindparam("proved"),
            proof_from=bindparam("sender"),
            proof_message_id=bindparam("message"),
            thread_id=bindparam("thread"),
            settle_after=None,
        )
    )


@cache
def _ended() -> Statement:
    mine = and_(
        ATTEMPTS.c.dispatch_id == bindparam("wanted"), ATTEMPTS.c.number == bindparam("mine")
    )
    ended = update(ATTEMPTS).where(mine)
    return Statement(
        ended.values(ended_at=bindparam("at"), outcome=bindparam("how"), words=bindparam("words"))
    )
