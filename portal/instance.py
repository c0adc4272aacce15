"""Instance: which installation this database belongs to, and whether mail may leave it at all.

Exactly one row. A database that was restored or copied does not know what left after the copy was
made, so it sends nothing until somebody confirms; the office may also hold everything by hand.
"""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.extensions import Base, db
from portal.stores import reading


class Instance(Base):
    """The one row. home names the store it was last confirmed in, address the portal's address.

    stopped_at: since when nothing leaves because the store is not the one that was confirmed;
    held_at: since when nothing leaves because somebody held everything.
    """

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(default=lambda: uuid.uuid4().hex)
    epoch: Mapped[int] = mapped_column(default=1)
    home: Mapped[str] = mapped_column(Text, default="")
    address: Mapped[str] = mapped_column(default="")
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_why: Mapped[str] = mapped_column(Text, default="")
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    held_why: Mapped[str] = mapped_column(Text, default="")

    held_by: Mapped[User | None] = relationship(foreign_keys=held_by_id)
    confirmed_by: Mapped[User | None] = relationship(foreign_keys=confirmed_by_id)


def this() -> Instance:
    """The one row, made where there is none yet. The caller commits."""
    found = db.session.scalar(select(Instance))
    if found is None:
        found = Instance(id=1)
        db.session.add(found)
        db.session.flush()
    return found


def may_send() -> bool:
    """Whether mail may leave at all: this is the store confirmed, and nobody holds everything."""
    row = db.session.execute(select(Instance.stopped_at, Instance.held_at)).first()
    return row is None or (row.stopped_at is None and row.held_at is None)


def may_work() -> bool:
    """Whether a worker may touch anything: not while the store waits to be confirmed."""
    with reading():
        return db.session.scalar(select(Instance.stopped_at)) is None


def hold_all(user: User, why: str = "") -> None:
    """Let nothing more leave until somebody lets it go. Commits."""
    one = this()
    if one.held_at is None:
        one.held_at, one.held_by_id, one.held_why = now(), user.id, why
    db.session.commit()


def let_go() -> None:
    """Let mail leave again after hold_all(). Commits."""
    one = this()
    one.held_at, one.held_by_id, one.held_why = None, None, ""
    db.session.commit()
