"""Trials: the round of real tests, one for each sender in use, ticked by who saw them arrive."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.dispatch import Dispatch
from portal.extensions import Base


class TrialRound(Base):
    """One round of tests."""

    __tablename__ = "trial_rounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))

    started_by: Mapped[User] = relationship()
    trials: Mapped[list["Trial"]] = relationship(back_populates="round", order_by="Trial.id")


class Trial(Base):
    """One sender's test: sent, and seen by somebody, or not seen."""

    __tablename__ = "trials"
    __table_args__ = (UniqueConstraint("round_id", "sender_email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("trial_rounds.id", ondelete="CASCADE"))
    sender_email: Mapped[str]
    to_email: Mapped[str] = mapped_column(default="")
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))
    outcome: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    settled_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    round: Mapped[TrialRound] = relationship(back_populates="trials")
    dispatch: Mapped[Dispatch | None] = relationship()
    settled_by: Mapped[User | None] = relationship()
