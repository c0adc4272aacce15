"""Readiness: whether this portal can serve, and what of it is amiss. Cheap, and without secrets."""

from dataclasses import dataclass
from functools import cache

from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from portal import mailboxes, queueing
from portal.config import ROOT
from portal.extensions import db
from portal.instance import Instance
from portal.vault import CannotOpen


@dataclass(frozen=True)
class Readiness:
    """database: ok, away or outdated; keys: ok or wrong; queue: ok, no_redis or no_worker;
    sending: on, held (by a person) or stopped (until a restored database is confirmed).

    Without Redis or a worker the portal is ready all the same: what is asked for is stored.
    """

    database: str
    keys: str = "unknown"
    queue: str = "unknown"
    sending: str = "unknown"

    @property
    def reason(self) -> str:
        """Why it cannot serve, as one sentence; empty when it can."""
        if self.database == "away":
            return "The database does not answer."
        if self.database == "outdated":
            return "The database's tables are not those of this code: run db upgrade."
        return "" if self.keys == "ok" else "TOKEN_KEYS do not open what is stored."


def now() -> Readiness:
    """How it stands."""
    try:
        database = "ok" if _version() == head() else "outdated"
        if database != "ok":
            return Readiness(database)
        return Readiness(database, _keys(), queueing.health(), _sending())
    except SQLAlchemyError:
        db.session.rollback()
        return Readiness("away")


@cache
def head() -> str:
    """The newest migration of this code."""
    return ScriptDirectory(str(ROOT / "migrations")).get_current_head() or ""


def _version() -> str:
    return db.session.scalar(text("SELECT version_num FROM alembic_version")) or ""


def _keys() -> str:
    try:
        mailboxes.refuse_unreadable()
    except CannotOpen:
        return "wrong"
    return "ok"


def _sending() -> str:
    row = db.session.execute(select(Instance.stopped_at, Instance.held_at)).first()
    if row is None or (row.stopped_at is None and row.held_at is None):
        return "on"
    return "stopped" if row.stopped_at is not None else "held"
