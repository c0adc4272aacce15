"""Dispatch: the intent to send one document once. The row is the queue.

request() freezes everything when somebody presses Send; delivery.py carries it out. A dispatch is
unique on (document, purpose, sending number), so a double click, a second tab or a colleague lands
on the same row. Legal moves are drawn in docs/architecture.md.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import (
    JSON,
    ColumnElement,
    Executable,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
)
from sqlalchemy import update as sql_update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from portal import mailboxes, policy, queueing
from portal.accounts import User
from portal.checks import Problem, Sending, preflight
from portal.columns import UtcDateTime, now
from portal.documents import Document, mail, wording
from portal.documents.status import EMAIL_STATUSES, EmailStatus, StatusFacts
from portal.documents.wording import one_line
from portal.envelope import LARGEST_MESSAGE, Attachment, Envelope, Mailable, seal
from portal.extensions import Base, db
from portal.mailboxes import Address, Mailbox
from portal.people import clean_address, company
from portal.recipients import Reached, reached
from portal.senders import Choice, Rule, SendFrom, Trouble, find, trouble_with
from portal.stores import rows_changed


class State(StrEnum):
    """Where a dispatch stands. The words a person sees are in STATES."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    HELD = "held"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Purpose(StrEnum):
    """What it is sent for: a document to its recipient, a test to whoever pressed the button, or
    the portal's own word to somebody of the company."""

    DOCUMENT = "document"
    TEST = "test"
    NOTICE = "notice"


class Lane(IntEnum):
    """Who goes first where many wait for one mailbox: what a person waits for, then batches."""

    PERSON = 0
    BATCH = 1


#: How each state is shown: as the e-mail status of its document is.
STATES = {state: EMAIL_STATUSES[EmailStatus(state)] for state in State}
#: Where something can still become of it.
OPEN_STATES = (State.QUEUED, State.SUBMITTING, State.HELD, State.UNKNOWN)
#: Names the portal's own words in the space of dispatch tokens.
NOTICES = uuid.UUID("5e2d0b7a-51f4-4c43-9d54-52a4d3a1f0c6")
#: A hand-over usually takes a second or two; behind a longer one, waiting needs explaining.
LONG_TURN = timedelta(seconds=15)


class Proof(StrEnum):
    """What the sent copy says of its From."""

    UNREAD = "unread"
    MATCHES = "matches"
    DIFFERS = "differs"
    NOT_GRANTED = "not_granted"


#: What a worker may have to do something about. A partial index holds just these rows, and serves
#: only queries that say the very same, so that finding work costs the same after a million mails.
WORK = text(
    "(state IN ('queued', 'unknown') OR (state = 'accepted' AND proof = 'unread')"
    " OR (state IN ('refused', 'cancelled') AND draft_id IS NOT NULL))"
)


class Dispatch(Base):
    """One intent to send, with the frozen message and all that is known of its fate."""

    __tablename__ = "dispatches"
    __table_args__ = (
        UniqueConstraint("document_id", "purpose", "sending_number"),
        Index("ix_dispatches_mailbox_state", "mailbox_id", "state", "id"),
        Index("ix_dispatches_state", "state", "id"),
        # These answer how far a batch is and what a mailbox sent today by themselves: to the
        # columns behind the message, SQLite reads through the message.
        Index("ix_dispatches_batch", "batch_id", "state", "mailbox_id", "accepted_at"),
        Index("ix_dispatches_accepted", "mailbox_id", "accepted_at"),
        Index(
            "ix_dispatches_work",
            "mailbox_id",
            "lane",
            "id",
            sqlite_where=WORK,
            postgresql_where=WORK,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    lane: Mapped[int] = mapped_column(default=Lane.PERSON)
    purpose: Mapped[str] = mapped_column(default=Purpose.DOCUMENT)
    sending_number: Mapped[int]
    token: Mapped[str] = mapped_column(unique=True)

    state: Mapped[str]
    state_since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    state_note: Mapped[str] = mapped_column(Text, default="")
    hold_code: Mapped[str] = mapped_column(default="")

    mailbox_id: Mapped[int | None] = mapped_column(ForeignKey("mailboxes.id"))
    from_email: Mapped[str]
    from_name: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    to: Mapped[list[str]] = mapped_column(JSON)
    cc: Mapped[list[str]] = mapped_column(JSON)
    #: Who each address is and why it was written to, by address.
    recipients_why: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    mime: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    mime_sha256: Mapped[str]
    mime_size: Mapped[int]
    pdf_sha256: Mapped[str]
    document_version: Mapped[int]
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When it last came into the queue from outside: asked for, or released from a hold.
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: It may be taken back until then; None leaves at once.
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The sending whose message this one repeats, and why somebody wanted that.
    resend_of_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))
    resend_reason: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))

    attempt: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    handed_over_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    draft_id: Mapped[str | None]
    settle_after: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settle_tries: Mapped[int] = mapped_column(default=0)
    needs_person: Mapped[bool] = mapped_column(default=False)

    provider_message_id: Mapped[str | None]
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    proof: Mapped[str] = mapped_column(default=Proof.UNREAD)
    proof_tries: Mapped[int] = mapped_column(default=0)
    proof_from: Mapped[str] = mapped_column(default="")
    proof_message_id: Mapped[str] = mapped_column(default="")

    #: None of a notice, which no page of documents shows.
    document: Mapped[Document] = relationship()
    mailbox: Mapped[Mailbox | None] = relationship()
    #: None of what the portal itself asked for.
    requested_by: Mapped[User] = relationship()
    attempts: Mapped[list["Attempt"]] = relationship(order_by="Attempt.id", viewonly=True)
    events: Mapped[list["Event"]] = relationship(order_by="Event.id", viewonly=True)

    @property
    def facts(self) -> StatusFacts:
        return STATES[State(self.state)]

    @property
    def sender(self) -> Mailable:
        return Mailable(self.from_email, self.from_name)

    @property
    def about(self) -> str:
        """What it is called: by its document, else by its subject."""
        return self.subject if self.document_id is None else self.document.number

    @property
    def is_test(self) -> bool:
        return self.purpose == Purpose.TEST

    @property
    def moving(self) -> bool:
        """Whether its page should keep looking."""
        waiting_for_proof = self.state == State.ACCEPTED and self.proof == Proof.UNREAD
        return (self.facts.moving and not self.needs_person) or waiting_for_proof

    def envelope(self) -> Envelope:
        return Envelope(self.token, self.sender, (*self.to, *self.cc), self.mime)


class Attempt(Base):
    """One try at handing a dispatch over, with the provider's own words."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("dispatch_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatches.id"))
    number: Mapped[int]
    worker: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(default="")
    words: Mapped[str] = mapped_column(Text, default="")


class Event(Base):
    """One line of a dispatch's story. Only ever added."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatches.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    actor: Mapped[str] = mapped_column(default="")
    text: Mapped[str] = mapped_column(Text)


class Blocked(Exception):
    """The document cannot be sent as it is. Nothing was stored."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


@dataclass(frozen=True)
class Wish:
    """What the person asks for on the send page. sending_number is the one the page showed.

    once: a sender chosen for this one sending.
    """

    sending_number: int
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    purpose: Purpose = Purpose.DOCUMENT
    once: Rule | None = None


# -- asking --------------------------------------------------------------------------------------


def next_number(document: Document, purpose: Purpose = Purpose.DOCUMENT) -> int:
    """The sending number a page shows: 1 first, more for a deliberate further sending."""
    query = select(func.max(Dispatch.sending_number)).where(
        Dispatch.document_id == document.id, Dispatch.purpose == purpose
    )
    return (db.session.scalar(query) or 0) + 1


def request(
    document: Document,
    user: User,
    wish: Wish,
    choice: Choice | None = None,
    *,
    batch_id: int | None = None,
) -> Dispatch:
    """Accept a sending: choose, check, freeze, store, ring. The same wish twice is one dispatch.

    choice: what the policy said, where the caller has asked it; batch_id: the batch it belongs to.
    Raises Blocked, wording.WordingProblem, people.BadAddress; then no dispatch is stored. Commits.
    """
    earlier = _same(document, wish)
    if earlier is not None:
        return earlier
    choice = choice or policy.sender_of(document, user, wish.once)
    problems = preflight(Sending(document, choice, wish.to, wish.cc))
    if any(problem.blocking for problem in problems):
        raise Blocked([problem for problem in problems if problem.blocking])
    dispatch = _frozen(document, user, wish, choice)
    dispatch.batch_id, dispatch.lane = batch_id, Lane.BATCH if batch_id else Lane.PERSON
    try:
        db.session.add(dispatch)
        db.session.flush()
        tell(dispatch.id, _asked_text(dispatch), user.name)
        if choice.trouble:
            tell(dispatch.id, f"On hold: {choice.problem}")
        show_on_document(dispatch.id, State(dispatch.state))
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return _same(document, wish) or _raise(RuntimeError("the same dispatch vanished"))
    if batch_id is None:  # who freezes a batch is awake, and looks for itself
        queueing.ring()
    return dispatch


def notice(
    key: str,
    to: Mailable,
    subject: str,
    body: str,
    through: SendFrom,
    *,
    user: User | None = None,
    purpose: Purpose = Purpose.NOTICE,
) -> Dispatch:
    """Send the portal's own word to somebody, once for each key, ever. Commits and rings.

    It takes the same road as a document: frozen, handed over once, its From read back.
    """
    known = noticed(key)
    if known is not None:
        return known
    token = uuid.uuid5(NOTICES, key).hex
    sender = Mailable(through.email, through.name or company().name)
    made = _frozen_notice(token, sender, to, one_line(subject), body, through.mailbox_id)
    made.purpose, made.requested_by_id = purpose, user.id if user else None
    try:
        db.session.add(made)
        db.session.flush()
        tell(made.id, f"Asked for, to {to.email} from {sender.email}.", user.name if user else "")
        db.session.commit()
    except IntegrityError:  # somebody had the same thought a moment ago
        db.session.rollback()
        return noticed(key) or _raise(RuntimeError("the same notice vanished"))
    queueing.ring()
    return made


def noticed(key: str) -> Dispatch | None:
    """The notice asked for under a key, if it was."""
    return db.session.scalar(select(Dispatch).where(Dispatch.token == uuid.uuid5(NOTICES, key).hex))


def came_back(dispatch: Dispatch, user: User, why: str) -> bool:
    """Somebody found in the mailbox that an accepted mail came back. Commits."""
    moved = move(dispatch.id, (State.ACCEPTED,), State.RETURNED, state_note=why)
    if moved:
        tell(dispatch.id, f"Came back: {why}" if why else "Came back.", user.name)
    db.session.commit()
    return moved


def cancel(dispatch: Dispatch, user: User) -> bool:
    """Take back what has not started. False when it is too late. Commits."""
    moved = move(dispatch.id, (State.QUEUED, State.HELD), State.CANCELLED)
    if moved:
        tell(dispatch.id, "Cancelled before it was sent.", user.name)
    db.session.commit()
    return moved


def settle(dispatch: Dispatch, user: User, *, left: bool) -> bool:
    """A person decides what the provider's evidence could not tell. Commits."""
    if not dispatch.needs_person:
        return False
    if left:
        moved = accept(dispatch.id, (State.UNKNOWN,), proof=Proof.NOT_GRANTED)
    else:
        note = "A person found that it did not leave."
        values = {"state_note": note, "needs_person": False, "settle_after": None}
        moved = move(dispatch.id, (State.UNKNOWN,), State.REFUSED, **values)
    if moved:
        found = "did leave" if left else "did not leave"
        tell(dispatch.id, f"Settled by hand: it {found}.", user.name)
    db.session.commit()
    return moved


def release_ready() -> int:
    """Queue what was on hold and whose address and mailbox are ready now. Commits."""
    waiting = select(Dispatch.from_email, Dispatch.requested_by_id).distinct()
    pairs = db.session.execute(waiting.where(Dispatch.state == State.HELD)).all()
    addresses = mailboxes.send_from_addresses() if pairs else []
    released = 0
    for from_email, asker_id in pairs:
        found = find(from_email, addresses, asker_id)
        trouble, problem = trouble_with(from_email, found)
        held = (Dispatch.from_email == from_email, Dispatch.requested_by_id == asker_id)
        if trouble is None and found is not None:
            released += _release(found, *held)
        else:
            _keep_holding(trouble or "", problem, *held)
    db.session.commit()
    return released


def _release(found: SendFrom, *held: ColumnElement[bool]) -> int:
    """Into the queue of the mailbox that may carry them now; another's draft stays behind."""
    ids = db.session.scalars(select(Dispatch.id).where(Dispatch.state == State.HELD, *held))
    same = Dispatch.mailbox_id == found.mailbox_id
    values = {
        "hold_code": "",
        "state_note": "",
        "mailbox_id": found.mailbox_id,
        "queued_at": now(),
        "draft_id": case((same, Dispatch.draft_id), else_=None),
    }
    moved = [one for one in ids.all() if move(one, (State.HELD,), State.QUEUED, **values)]
    for one in moved:
        tell(one, f"{found.email} is ready: back in the queue.")
    return len(moved)


def _keep_holding(trouble: str, problem: str, *held: ColumnElement[bool]) -> None:
    """The reason may have become another one."""
    db.session.execute(
        sql_update(Dispatch)
        .where(Dispatch.state == State.HELD, Dispatch.state_note != problem, *held)
        .values(hold_code=trouble, state_note=problem)
        .execution_options(synchronize_session=False)
    )


def hold_mailbox(mailbox_id: int, why: str) -> int:
    """Put a broken mailbox's whole queue on hold. The caller commits."""
    waiting = (Dispatch.mailbox_id == mailbox_id, Dispatch.state == State.QUEUED)
    ids = list(db.session.scalars(select(Dispatch.id).where(*waiting)))
    values = {"hold_code": Trouble.MAILBOX, "state_note": why}
    return sum(_hold(one, why, values) for one in ids)


def _hold(dispatch_id: int, why: str, values: dict[str, Any]) -> bool:
    moved = move(dispatch_id, (State.QUEUED,), State.HELD, **values)
    if moved:
        tell(dispatch_id, f"On hold: {why}")
    return moved


# -- moving --------------------------------------------------------------------------------------


def move(
    dispatch_id: int,
    allowed: tuple[State, ...],
    state: State,
    *conditions: Any,
    **values: Any,
) -> bool:
    """Change a state if it still is one of `allowed`; True when this call changed it."""
    if state not in allowed:
        values.setdefault("state_since", now())
    done = db.session.execute(
        sql_update(Dispatch)
        .where(Dispatch.id == dispatch_id, Dispatch.state.in_(allowed), *conditions)
        .values(state=state, **values)
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done) != 1:
        return False
    if state not in allowed:
        show_on_document(dispatch_id, state)
    return True


def show_on_document(dispatch_id: int, state: State) -> None:
    """Let the document's e-mail status say what its newest sending says."""
    db.session.execute(_shown(), {"dispatch_id": dispatch_id, "state": state})


@cache  # it is asked for at every move, and costs more to write down than to carry out
def _shown() -> Executable:
    newer = aliased(Dispatch)
    newest = select(Dispatch.document_id).where(
        Dispatch.id == bindparam("dispatch_id"),
        Dispatch.purpose == Purpose.DOCUMENT,
        ~select(newer.id)
        .where(
            newer.document_id == Dispatch.document_id,
            newer.purpose == Purpose.DOCUMENT,
            newer.sending_number > Dispatch.sending_number,
        )
        .exists(),
    )
    return (
        sql_update(Document)
        .where(Document.id == newest.scalar_subquery())
        .values(email_status=bindparam("state"))
        .execution_options(synchronize_session=False)
    )


def accept(dispatch_id: int, allowed: tuple[State, ...], *conditions: Any, **values: Any) -> bool:
    """Settle a dispatch as accepted, on a receipt, on evidence, or by hand."""
    settled = {
        "accepted_at": now(),
        "lease_until": None,
        "settle_after": None,
        "needs_person": False,
        "state_note": "",
    }
    return move(dispatch_id, allowed, State.ACCEPTED, *conditions, **settled | values)


def load(dispatch_id: int) -> Dispatch:
    """The dispatch as the database has it now, whatever this process remembers."""
    return db.session.get_one(Dispatch, dispatch_id, populate_existing=True)


def tell(dispatch_id: int, text: str, actor: str = "") -> None:
    """Add a line to the dispatch's story. The caller commits."""
    db.session.add(Event(dispatch_id=dispatch_id, text=text, actor=actor))


# -- reading -------------------------------------------------------------------------------------


def of_document(document: Document) -> list[Dispatch]:
    """All sendings of a document, newest first, tests included."""
    query = select(Dispatch).where(Dispatch.document_id == document.id)
    return list(db.session.scalars(query.order_by(Dispatch.id.desc())).unique())


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
    """What somebody should look at: on hold, refused, came back, unclear, or under another From."""
    troubles = State.HELD, State.UNKNOWN, State.REFUSED, State.RETURNED
    troubled = Dispatch.state.in_(troubles) | (Dispatch.proof == Proof.DIFFERS)
    query = select(Dispatch).where(troubled)
    query = query.where(Dispatch.purpose == Purpose.DOCUMENT)
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


# -- freezing ------------------------------------------------------------------------------------


def _same(document: Document, wish: Wish) -> Dispatch | None:
    return db.session.scalar(
        select(Dispatch).where(
            Dispatch.document_id == document.id,
            Dispatch.purpose == wish.purpose,
            Dispatch.sending_number == wish.sending_number,
        )
    )


def _frozen(document: Document, user: User, wish: Wish, choice: Choice) -> Dispatch:
    assert choice.sender is not None  # preflight refuses a sending without a sender
    facts, files = document.facts(), mail.enclosures(document)
    to, cc = _everyone_once(wish)
    found = reached(document.recipients(), to, cc)
    db.session.commit()  # all is read: while it is drawn, nobody who writes has to wait
    paper = mail.paper(document, facts)
    made = _sealed(
        uuid.uuid4().hex,
        choice.sender,
        [Mailable(one.email, one.name) for one in found.to],
        [Mailable(one.email, one.name) for one in found.cc],
        wording.one_line(wish.subject),
        wish.body,
        wording.html_body(wish.body, facts, user.name),
        [paper, *files],
    )
    if made.mime_size > LARGEST_MESSAGE:
        raise Blocked([_too_large(made.mime_size)])
    made.to, made.cc = to, cc  # as they were written, capitals and all
    made.document, made.document_version = document, document.version
    made.purpose, made.sending_number, made.requested_by = wish.purpose, wish.sending_number, user
    made.state = State.HELD if choice.trouble else State.QUEUED
    made.state_note, made.hold_code = choice.problem, choice.trouble or ""
    made.mailbox_id, made.reason = choice.mailbox_id, choice.reason
    made.recipients_why = _whys(found, wish.purpose)
    made.pdf_sha256 = hashlib.sha256(paper.content).hexdigest()
    return made


def _frozen_notice(
    token: str, sender: Mailable, to: Mailable, subject: str, body: str, mailbox_id: int
) -> Dispatch:
    html = wording.plain_html(body, sender.name)
    made = _sealed(token, sender, [to], [], subject, body, html, [])
    made.sending_number, made.document_version, made.pdf_sha256 = 1, 0, ""
    made.state, made.mailbox_id = State.QUEUED, mailbox_id
    made.reason = "The portal's own word."
    return made


def _sealed(
    token: str,
    sender: Mailable,
    to: list[Mailable],
    cc: list[Mailable],
    subject: str,
    body: str,
    html: str,
    attachments: list[Attachment],
) -> Dispatch:
    """The message built once and for all, in the row that will carry it."""
    envelope = seal(
        token=token,
        message_id=f"<{token}@{_host()}>",
        sender=sender,
        to=to,
        cc=cc,
        subject=subject,
        text=body,
        html=html,
        attachments=attachments,
    )
    return Dispatch(
        token=token,
        from_email=sender.email,
        from_name=sender.name,
        to=[one.email for one in to],
        cc=[one.email for one in cc],
        subject=subject,
        body=body,
        mime=envelope.mime,
        mime_sha256=envelope.sha256,
        mime_size=len(envelope.mime),
    )


def _everyone_once(wish: Wish) -> tuple[list[str], list[str]]:
    """Clean addresses, each once over To and Cc together, To first."""
    seen: dict[str, str] = {}
    for one in wish.to:
        seen.setdefault(clean_address(one).casefold(), "to")
    cleaned_to = _unique([clean_address(one) for one in wish.to])
    cleaned_cc = _unique([clean_address(one) for one in wish.cc])
    return cleaned_to, [one for one in cleaned_cc if one.casefold() not in seen]


def _unique(addresses: list[str]) -> list[str]:
    return list({one.casefold(): one for one in reversed(addresses)}.values())[::-1]


def _whys(found: Reached, purpose: Purpose) -> dict[str, str]:
    if purpose == Purpose.TEST:
        return {one.email: "a test, to whoever asked for it" for one in found.to}
    everybody = (*found.to, *found.cc)
    return {one.email: f"{one.name}, {one.why}" if one.name else one.why for one in everybody}


def _too_large(size: int) -> Problem:
    return Problem(
        "too_large",
        f"With its attachments the mail comes to {size // 2**20} MB; Gmail takes 35 MB.",
        "Remove some files.",
        "document",
    )


def _asked_text(dispatch: Dispatch) -> str:
    what = "Test" if dispatch.is_test else f"Sending {dispatch.sending_number}"
    return f"{what} asked for, to {', '.join(dispatch.to)} from {dispatch.from_email}."


def _host() -> str:
    return urlsplit(current_app.config["PORTAL"].PUBLIC_URL).hostname or "localhost"


def _raise(problem: Exception) -> Any:
    raise problem
