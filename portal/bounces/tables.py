"""Tables: how far each mailbox's inbox was read, what came in that concerns a sending, and which
addresses mail came back from.

What has nothing to do with a sending is not stored, however much of it was read.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.dispatch import Dispatch
from portal.extensions import Base
from portal.incoming import Sort, Verdict
from portal.mailboxes import Mailbox


class Inbox(Base):
    """How far the inbox of one mailbox was read. mark: the provider's own bookmark, "" before the
    first look; pending: messages before the mark that are still to be read."""

    __tablename__ = "inboxes"

    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id"), primary_key=True)
    mark: Mapped[str] = mapped_column(Text, default="")
    pending: Mapped[list[str]] = mapped_column(JSON, default=list)
    #: Nothing that arrived before concerns the portal.
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: The last time that everything up to then had been read.
    looked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Who reads it just now, and until when; and when it is to be read again.
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Why it cannot be read, since when, and how often in a row that was tried.
    problem: Mapped[str] = mapped_column(Text, default="")
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)

    mailbox: Mapped[Mailbox] = relationship()


class Standing(StrEnum):
    """What became of an arrival.

    FOLLOWED: it is tied to its sending, and all that follows from it was done. EARLY: it is tied to
    a sending whose result is not stored yet. WAITING: nobody knows yet which it concerns. ASKED: it
    may concern a sending, and a person is asked. DISMISSED: a person said that it does not.
    BROKEN: it could not be read or stored.
    """

    FOLLOWED = "followed"
    EARLY = "early"
    WAITING = "waiting"
    ASKED = "asked"
    DISMISSED = "dismissed"
    BROKEN = "broken"


class Tie(StrEnum):
    """By what an arrival was tied to a sending, surest first."""

    TOKEN = "token"
    MESSAGE_ID = "message id"
    THREAD = "thread"
    GUESS = "guess"
    PERSON = "person"


#: A report whose sending came back, and nobody was told by mail so far.
UNTOLD = text("told_at IS NULL AND sort = 'bounce' AND standing = 'followed'")


class Arrival(Base):
    """One message in a mailbox that concerns a sending, or may. provider_id: by which its mailbox
    knows it; failed: for whom it failed, as incoming.Failed; link: where its owner can read it;
    told_at: when whoever had sent it was told by mail, or nobody needed to be."""

    __tablename__ = "arrivals"
    __table_args__ = (
        UniqueConstraint("mailbox_id", "provider_id"),
        Index("ix_arrivals_dispatch", "dispatch_id", "at"),
        Index("ix_arrivals_standing", "standing", "seen_at"),
        Index("ix_arrivals_untold", "seen_at", sqlite_where=UNTOLD, postgresql_where=UNTOLD),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id"))
    provider_id: Mapped[str]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    standing: Mapped[str]
    sort: Mapped[str] = mapped_column(default=Sort.OTHER)
    verdict: Mapped[str] = mapped_column(default="")
    sender: Mapped[str] = mapped_column(default="")
    sender_name: Mapped[str] = mapped_column(default="")
    subject: Mapped[str] = mapped_column(Text, default="")
    failed: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    clues: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    whole: Mapped[bool] = mapped_column(default=False)
    link: Mapped[str] = mapped_column(Text, default="")
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))
    tied_by: Mapped[str] = mapped_column(default="")
    tries: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(Text, default="")
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    mailbox: Mapped[Mailbox] = relationship()
    dispatch: Mapped[Dispatch | None] = relationship()

    @property
    def is_bounce(self) -> bool:
        return self.sort == Sort.BOUNCE

    @property
    def is_reply(self) -> bool:
        return self.sort == Sort.REPLY

    @property
    def who(self) -> str:
        """Who wrote it, as a page names them."""
        return self.sender_name or self.sender


class Caution(Base):
    """Mail to this address came back, so the next sending to it asks. key: as addresses are
    compared; one whose cleared_at is set asks no more."""

    __tablename__ = "cautions"

    key: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    verdict: Mapped[str] = mapped_column(default=Verdict.UNKNOWN)
    reason: Mapped[str]
    words: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: A failure that passes is asked about no longer than this.
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))
    cleared_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cleared_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    dispatch: Mapped[Dispatch | None] = relationship()
    cleared_by: Mapped[User | None] = relationship()
