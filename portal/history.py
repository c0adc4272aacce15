"""History: what was done to a contact, a place, a rule or a setting, by whom. Only ever added
to, as long as the record is there.
"""

from datetime import datetime

from sqlalchemy import Index, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from portal.columns import UtcDateTime, now
from portal.extensions import Base, db


class Change(Base):
    """One line of a record's history. noun and noun_id say whose: ("contact", 7)."""

    __tablename__ = "changes"
    __table_args__ = (Index("ix_changes_of", "noun", "noun_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    actor: Mapped[str] = mapped_column(default="")
    noun: Mapped[str]
    noun_id: Mapped[int]
    text: Mapped[str] = mapped_column(Text)


def note(noun: str, noun_id: int, text: str, actor: str = "") -> None:
    """Add a line. The caller commits."""
    db.session.add(Change(noun=noun, noun_id=noun_id, text=text, actor=actor))


def last_change(*besides: str) -> datetime | None:
    """When anything was last done to any record but these nouns'."""
    query = select(Change.at).where(Change.noun.not_in(besides))
    return db.session.scalar(query.order_by(Change.id.desc()).limit(1))


def of(noun: str, *ids: int, limit: int = 100) -> list[Change]:
    """The history of one record, or of several that became one; newest first."""
    query = select(Change).where(Change.noun == noun, Change.noun_id.in_(ids))
    return list(db.session.scalars(query.order_by(Change.id.desc()).limit(limit)))


def forget(noun: str, noun_id: int) -> None:
    """Leave out the history of a record that is deleted: a new one may get its number."""
    db.session.execute(delete(Change).where(Change.noun == noun, Change.noun_id == noun_id))
