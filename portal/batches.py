"""Batches: documents that are completed together.

A batch is a draft until somebody completes it; before that nothing is generated and nothing sent.
check() stores what each item comes to: sender and reason, recipients, what is lacking. complete()
gives the ready ones to the worker, which freezes them one by one (prepare()): exactly what was
checked, or, where something changed meanwhile, nothing.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import UtcDateTime, now
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


class Batch(Base):
    """One batch. mixed: how it treats several branches, as Company.mixed_batches says when made."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="invoice")
    status: Mapped[str] = mapped_column(default=BatchStatus.DRAFT, index=True)
    mixed: Mapped[str] = mapped_column(default="each")
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    completed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retry_of_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    version: Mapped[int] = mapped_column(default=1)

    created_by: Mapped[User] = relationship(foreign_keys=created_by_id, lazy="joined")
    completed_by: Mapped[User | None] = relationship(foreign_keys=completed_by_id)

    __mapper_args__ = {"version_id_col": version}


class BatchItem(Base):
    """One document in a batch, and what checking it found."""

    __tablename__ = "batch_items"
    __table_args__ = (
        UniqueConstraint("batch_id", "document_id"),
        Index("ix_batch_items_state", "batch_id", "state", "id"),
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
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))

    document: Mapped[Document] = relationship()
    dispatch: Mapped[Dispatch | None] = relationship()
