"""Instance: which installation this database belongs to, and whether mail may leave it at all.

Exactly one row. A database that was restored or copied does not know what left after the copy was
made, so it sends nothing until somebody confirms it (restoration.py); the office may also hold
everything by hand.

Four things tell: where the store is (home.py), the portal's address, what is remembered outside the
database (witness.py), and what this very process has handed over. A copy of a whole machine, its
settings and its Redis included, is told by none of them.
"""

import logging
import time
import uuid
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from flask import Flask, current_app
from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    Text,
    column,
    event,
    func,
    literal_column,
    select,
    table,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import history, home, journal
from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.config import Config
from portal.extensions import Base, db
from portal.people import company
from portal.statements import Statement
from portal.stores import reading, rows_changed
from portal.witness import Witness

WENT_BACK = "The portal's records went back in time: mail has left that they know nothing of."
ATTEMPTS = table("attempts", column("id"))

log = logging.getLogger(__name__)


class Instance(Base):
    """The one row. home names the store it was last confirmed in, address the portal's address.

    stopped_at: since when nothing leaves because the store is not the one that was confirmed;
    held_at: since when nothing leaves because somebody held everything. choice is what was said of
    a stopped store: nothing yet, "real" while Sent is looked through back to back_to (found: what
    came of it, by mailbox; looking_until: the lease of who looks), or "copy".
    """

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(default=lambda: uuid.uuid4().hex)
    epoch: Mapped[int] = mapped_column(default=1)
    home: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_why: Mapped[str] = mapped_column(Text, default="")
    choice: Mapped[str] = mapped_column(default="")
    back_to: Mapped[datetime | None] = mapped_column(UtcDateTime)
    looking_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    found: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    held_why: Mapped[str] = mapped_column(Text, default="")

    held_by: Mapped[User | None] = relationship(foreign_keys=held_by_id)
    confirmed_by: Mapped[User | None] = relationship(foreign_keys=confirmed_by_id)


def this() -> Instance:
    """The one row, made where there is none yet. The caller commits."""
    found = db.session.scalar(select(Instance).execution_options(populate_existing=True))
    if found is None:
        found = Instance(id=1)
        db.session.add(found)
        db.session.flush()
    return found


def key() -> str:
    """What this installation's messages are known by, until a store is confirmed anew."""
    return db.session.scalar(select(Instance.key)) or this().key


def may_send() -> bool:
    """Whether mail may leave at all: this is the store confirmed, and nobody holds everything."""
    row = db.session.execute(select(Instance.stopped_at, Instance.held_at)).first()
    return row is None or (row.stopped_at is None and row.held_at is None)


def is_stopped() -> bool:
    """Whether the store was restored or copied, and nobody has confirmed it yet."""
    stopped = select(Instance.id).where(Instance.stopped_at.is_not(None))
    return db.session.scalar(stopped) is not None


def lost_sendings() -> dict[int, list[dict[str, Any]]]:
    """What left after a backup was made and is not known here, by its document; tests aside."""
    found = db.session.scalar(select(Instance.found)) or {}
    lost: dict[int, list[dict[str, Any]]] = {}
    for one in (one for look in found.values() for one in look["strangers"]):
        if one["document"] and not one.get("test"):
            lost.setdefault(one["document"], []).append(one)
    return lost


def hold_all(user: User, why: str = "") -> None:
    """Let nothing more leave until somebody lets it go. Commits."""
    one = this()
    if one.held_at is None:
        one.held_at, one.held_by_id, one.held_why = now(), user.id, why
        told = f"All mail held. Why: {why}" if why else "All mail held."
        history.note("company", company().id, told, user.name)
    db.session.commit()


def let_go(user: User) -> None:
    """Let mail leave again after hold_all(). Commits."""
    one = this()
    if one.held_at is not None:
        one.held_at, one.held_by_id, one.held_why = None, None, ""
        history.note("company", company().id, "All mail let go.", user.name)
    db.session.commit()


# -- whether this is the store that was confirmed --------------------------------------------------


class Standing(NamedTuple):
    """What decides. number: the table's own in PostgreSQL; latest: the highest attempt."""

    stopped_at: datetime | None
    key: str
    number: str
    latest: int | None


class Watch:
    """What one process knows of the store: when it looked, and whose witness it is."""

    def __init__(self) -> None:
        self.looked_at = float("-inf")
        self.table = ""
        self.witness: Witness | None = None

    def forget(self, *_: object) -> None:
        """A connection was opened: what is at its other end may be another store."""
        self.looked_at = float("-inf")

    def witness_for(self, key: str) -> Witness:
        if self.witness is None or self.witness.key != key:
            self.witness = Witness(key, home.file_of())
            self.forget()
        return self.witness


def watch(app: Flask) -> None:
    """Look at the store anew whenever a connection to it is opened. Called once by create_app()."""
    app.extensions["instance"] = one = Watch()
    with app.app_context():
        event.listen(db.engine, "connect", one.forget)


def may_work() -> bool:
    """Whether a worker may touch anything: this is the store that was confirmed.

    One short query, unless a connection was opened or SWEEP_SECONDS are over: then it looks at the
    store itself, and stops it where it is another. Call it with no transaction open. Commits.
    """
    one = _watch()
    highest = one.witness.highest if one.witness else 0
    row = _standing()
    if row is None or _must_look(one, row, highest):
        return _look(one)
    return row.stopped_at is None


def witness(attempt_id: int) -> None:
    """Remember outside the database that this attempt was handed over. Never fails.

    Call it after the hand-over is committed, before anything is sent.
    """
    one = _watch()
    if one.witness is None:
        with reading():
            key = db.session.scalar(select(Instance.key)) or ""
        one.witness_for(key)
    assert one.witness is not None
    one.witness.tell(attempt_id)


def settle_here(one: Instance) -> None:
    """Take the store as it is now for the one that was confirmed. The caller commits."""
    one.epoch, one.key = one.epoch + 1, uuid.uuid4().hex
    one.home = home.read(_config().PUBLIC_URL)
    one.stopped_at, one.stopped_why, one.looking_until = None, "", None


def _watch() -> Watch:
    found: Watch = current_app.extensions["instance"]
    return found


def _config() -> Config:
    found: Config = current_app.config["PORTAL"]
    return found


def _standing() -> Standing | None:
    """What decides, asked in one go."""
    with reading():
        found = _asked(db.engine.dialect.name).first(db.session.connection())
    return None if found is None else Standing(*found)


@cache
def _asked(dialect: str) -> Statement:
    latest = select(func.max(ATTEMPTS.c.id)).scalar_subquery()
    number: ColumnElement[str] = literal_column(
        "CAST(instance.tableoid AS text)" if dialect == "postgresql" else "''"
    )
    columns = Instance.stopped_at, Instance.key, number.label("number"), latest.label("latest")
    return Statement(select(*columns))


def _must_look(one: Watch, row: Standing, highest: int) -> bool:
    if one.witness is None or one.witness.key != row.key or one.table != row.number:
        return True
    over = time.monotonic() - one.looked_at > _config().SWEEP_SECONDS
    return over or (row.latest or 0) < highest


def _look(one: Watch) -> bool:
    """Compare the store with what is known of it. Whether it is the one that was confirmed."""
    began = time.monotonic()
    with reading():
        key = db.session.scalar(select(Instance.key))
    known = one.witness_for(key).known() if key else 0  # asked first: it may grow meanwhile
    row = _standing()
    with reading():
        if home.is_played_back():  # then this was no look
            return False
        kept = db.session.scalar(select(Instance.home)) or {}
        found = home.read(_config().PUBLIC_URL)
    one.looked_at, one.table = began, row.number if row else ""
    if not kept:
        journal.write(lambda: _bind(found))
        return may_work()
    if row is None or row.stopped_at is not None:
        return False
    latest = row.latest or 0
    why = home.difference(kept, found) or (WENT_BACK if latest < known else "")
    if why:
        _stop(why, kept, found)
        return False
    one.witness_for(row.key).tell(latest)
    if found.keys() - kept.keys():
        journal.write(lambda: _learn(kept | found))
    return True


def _bind(found: dict[str, str]) -> None:
    """The first look of all: this store is the one, with a key of its own."""
    one = this()
    if not one.home:
        one.home, one.key = found or {"unknown": "1"}, uuid.uuid4().hex


def _learn(found: dict[str, str]) -> None:
    this().home = found


def _stop(why: str, kept: dict[str, str], found: dict[str, str]) -> None:
    running = update(Instance).where(Instance.stopped_at.is_(None))
    stopped = running.values(stopped_at=now(), stopped_why=why, choice="", found={}, back_to=None)
    if journal.write(lambda: rows_changed(db.session.execute(stopped))):
        parts = sorted(one for one in kept if one in found and kept[one] != found[one])
        log.error("Nothing is sent any more. %s (%s)", why, ", ".join(parts) or "witness")
