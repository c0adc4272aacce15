"""Tables: a batch, and the documents in it with what checking each of them found."""

from datetime import datetime
from enum import StrEnum

from flask import current_app
from sqlalchemy import JSON, ColumnElement, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import UtcDateTime, lapsed, now
from portal.dispatch import Dispatch
from portal.documents import Document
from portal.extensions import Base


class BatchStatus(StrEnum):
    """Where a batch stands."""

    DRAFT = "draft"
    COMPLETED = "completed"


class ItemState(StrEnum):
    """Where one document of a batch stands.

    In a draft: unchecked, ready, waits (it can be sent, and will be on hold until its sender is
    ready) or blocked. After completion the ready and waiting ones are pending until the worker has
    frozen them, then sent (their dispatch says the rest) or left (something had changed, or they
    were blocked: nothing was sent).
    """

    UNCHECKED = "unchecked"
    READY = "ready"
    WAITS = "waits"
    BLOCKED = "blocked"
    PENDING = "pending"
    SENT = "sent"
    LEFT = "left"


#: What a worker has to freeze. A partial index holds just these rows, so that a worker which looks
#: for work every few seconds finds none in no time after years of batches.
PENDING_ROWS = text("state = 'pending'")


class Batch(Base):
    """One batch. mixed: how it treats several branches, as Company.mixed_batches says when made.

    checked_by_id: as whose sending it was checked, which decides where a rule says "whoever presses
    Send".
    """

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="invoice")
    status: Mapped[str] = mapped_column(default=BatchStatus.DRAFT, index=True)
    mixed: Mapped[str] = mapped_column(default="each")
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    checked_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    completed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retry_of_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    version: Mapped[int] = mapped_column(default=1)

    created_by: Mapped[User] = relationship(foreign_keys=created_by_id, lazy="joined")
    completed_by: Mapped[User | None] = relationship(foreign_keys=completed_by_id)
    retry_of: Mapped["Batch | None"] = relationship(remote_side=id)

    __mapper_args__ = {"version_id_col": version}

    @property
    def is_draft(self) -> bool:
        return self.status == BatchStatus.DRAFT


class BatchItem(Base):
    """One document in a batch, and what checking it found.

    size: bytes that go along, the PDF's estimated and the files' exact. fix says where the problem
    is put right: "document:5", "contact:12", "property:7", or "sender" (who mail comes from).
    sending_number, lease_until and tries are the worker's, while it freezes the item.
    """

    __tablename__ = "batch_items"
    __table_args__ = (
        UniqueConstraint("batch_id", "document_id"),
        Index("ix_batch_items_state", "batch_id", "state", "id"),
        Index(
            "ix_batch_items_pending",
            "id",
            sqlite_where=PENDING_ROWS,
            postgresql_where=PENDING_ROWS,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"), index=True)
    state: Mapped[str] = mapped_column(default=ItemState.UNCHECKED)
    sender_email: Mapped[str] = mapped_column(default="")
    sender_name: Mapped[str] = mapped_column(default="")
    mailbox_id: Mapped[int | None] = mapped_column(ForeignKey("mailboxes.id"))
    reason: Mapped[str] = mapped_column(Text, default="")
    to: Mapped[list[str]] = mapped_column(JSON, default=list)
    cc: Mapped[list[str]] = mapped_column(JSON, default=list)
    why: Mapped[str] = mapped_column(Text, default="")
    size: Mapped[int] = mapped_column(default=0)
    problem_code: Mapped[str] = mapped_column(default="")
    problem: Mapped[str] = mapped_column(Text, default="")
    hint: Mapped[str] = mapped_column(Text, default="")
    fix: Mapped[str] = mapped_column(default="")
    document_version: Mapped[int] = mapped_column(default=0)
    sending_number: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))

    batch: Mapped[Batch] = relationship()
    document: Mapped[Document] = relationship()
    dispatch: Mapped[Dispatch | None] = relationship()


def is_free() -> ColumnElement[bool]:
    """Whether no worker has an item in hand."""
    return lapsed(BatchItem.lease_until, current_app.config["PORTAL"].LEASE_SECONDS)
