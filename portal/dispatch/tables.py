"""Tables: a dispatch, its frozen message, its attempts, and its story."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.documents import Document
from portal.documents.status import EMAIL_STATUSES, EmailStatus, StatusFacts
from portal.envelope import Envelope, Mailable
from portal.extensions import Base
from portal.mailboxes import Mailbox
from portal.senders import BY_HAND, Trouble


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
    """What it is sent for: a document to its recipient, a test to whoever pressed the button, the
    portal's own word to somebody of the company, or the trial of an address nobody is sure of."""

    DOCUMENT = "document"
    TEST = "test"
    NOTICE = "notice"
    TRIAL = "trial"


class Lane(IntEnum):
    """Who goes first where many wait for one mailbox: what somebody wants gone at once, then what a
    person waits for, then batches."""

    FIRST = -1
    PERSON = 0
    BATCH = 1


#: So much longer than it is shown a sending can be taken back.
SPARE_SECONDS = 5
#: How each state is shown: as the e-mail status of its document is.
STATES = {state: EMAIL_STATUSES[EmailStatus(state)] for state in State}
#: What is noted of an unclear sending that somebody sent again without finding out.
NEVER_KNOWN = "Nobody could tell whether it left, so it was sent again."
#: What is noted where somebody looked in vain, and where it was found later all the same.
NOT_FOUND = "A person found that it did not leave."
LEFT_AFTER_ALL = "It had left after all: somebody found it later."
#: Where something can still become of it.
OPEN_STATES = (State.QUEUED, State.SUBMITTING, State.HELD, State.UNKNOWN)


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
#: What the provider keeps with its answers.
THREADED = text("thread_id IS NOT NULL")


class Dispatch(Base):
    """One intent to send, with the frozen message and all that is known of its fate."""

    __tablename__ = "dispatches"
    __table_args__ = (
        UniqueConstraint("document_id", "purpose", "sending_number"),
        Index("ix_dispatches_mailbox_state", "mailbox_id", "state", "id"),
        Index("ix_dispatches_state", "state", "id"),
        # These answer how far a batch is and what a mailbox sent today without a look at the rows.
        Index("ix_dispatches_batch", "batch_id", "state", "mailbox_id", "accepted_at"),
        Index("ix_dispatches_accepted", "mailbox_id", "accepted_at"),
        # By these what comes in is tied to what it answers.
        Index("ix_dispatches_proved", "proof_message_id"),
        Index(
            "ix_dispatches_thread",
            "thread_id",
            sqlite_where=THREADED,
            postgresql_where=THREADED,
        ),
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
    #: How many of its attempts a worker did not survive.
    endings: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    handed_over_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    draft_id: Mapped[str | None]
    settle_after: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settle_tries: Mapped[int] = mapped_column(default=0)
    needs_person: Mapped[bool] = mapped_column(default=False)

    provider_message_id: Mapped[str | None]
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: For whom the provider did not take it while it took it for the others, each with "email",
    #: its "words", and whether it asked for time ("passing"). None is tried again by itself: the
    #: frozen message names them all, and nobody may get it twice.
    turned_away: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    proof: Mapped[str] = mapped_column(default=Proof.UNREAD)
    proof_tries: Mapped[int] = mapped_column(default=0)
    proof_from: Mapped[str] = mapped_column(default="")
    proof_message_id: Mapped[str] = mapped_column(default="")
    #: By which the provider keeps a mail and its answers together.
    thread_id: Mapped[str | None]

    #: None of a notice, which no page of documents shows.
    document: Mapped[Document] = relationship()
    mailbox: Mapped[Mailbox | None] = relationship()
    #: None of what the portal itself asked for.
    requested_by: Mapped[User] = relationship()
    #: Read only where somebody wants the bytes.
    message: Mapped["Message"] = relationship(cascade="all, delete-orphan")
    attempts: Mapped[list["Attempt"]] = relationship(order_by="Attempt.id", viewonly=True)
    events: Mapped[list["Event"]] = relationship(order_by="Event.id", viewonly=True)

    @property
    def provider_name(self) -> str:
        """Who takes it: Gmail, Microsoft 365, mail.example.com."""
        return self.mailbox.provider_name if self.mailbox else "the mail provider"

    @property
    def facts(self) -> StatusFacts:
        return STATES[State(self.state)]

    @property
    def mime(self) -> bytes:
        """The exact bytes that leave."""
        return self.message.mime

    @mime.setter
    def mime(self, frozen: bytes) -> None:
        self.message = Message(mime=frozen)

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
    def never_known(self) -> bool:
        """Whether nobody found out what became of it before it was sent again."""
        return self.state == State.REFUSED and self.state_note == NEVER_KNOWN

    @property
    def may_turn_out(self) -> bool:
        """Whether somebody may still find out that it left: a person decided without proof."""
        return self.state == State.REFUSED and self.state_note in (NEVER_KNOWN, NOT_FOUND)

    @property
    def left_after_all(self) -> bool:
        """Whether it was found to have left once somebody had given it up."""
        return self.state == State.ACCEPTED and self.state_note == LEFT_AFTER_ALL

    @property
    def held_by_hand(self) -> bool:
        """Whether it waits for a person's word, so that nothing lets it go by itself."""
        return self.state == State.HELD and self.hold_code in BY_HAND

    @property
    def held_by_manager(self) -> bool:
        """Whether only a manager may let it go, or cancel it."""
        return self.held_by_hand and self.hold_code == Trouble.MANAGER

    @property
    def moving(self) -> bool:
        """Whether its page should keep looking."""
        waiting_for_proof = self.state == State.ACCEPTED and self.proof == Proof.UNREAD
        return (self.facts.moving and not self.needs_person) or waiting_for_proof

    def envelope(self) -> Envelope:
        return Envelope(self.token, self.sender, (*self.to, *self.cc), self.mime)


class Message(Base):
    """The exact bytes of one dispatch, written once when it was frozen.

    They stand apart: a row that holds them is written anew, bytes and all, whenever its state
    changes.
    """

    __tablename__ = "messages"

    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatches.id"), primary_key=True)
    mime: Mapped[bytes] = mapped_column(LargeBinary)


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
