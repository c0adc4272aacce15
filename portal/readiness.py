"""Readiness: whether this portal can serve, and what of it is amiss. Cheap, and without secrets."""

import threading
import time
from dataclasses import dataclass, field
from functools import cache

from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from portal import mailboxes, queueing
from portal.config import ROOT
from portal.extensions import db
from portal.instance import Instance
from portal.vault import CannotOpen

#: An answer serves whoever asks within so many seconds.
KEPT = 2.0


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


@dataclass
class _Kept:
    """The last answer of this process, and when it was found (monotonic)."""

    answer: Readiness | None = None
    at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


def lately() -> Readiness:
    """How it stood at most KEPT seconds ago.

    Anybody may ask, and a Redis that hangs keeps whoever looks at it waiting.
    """
    kept: _Kept = current_app.extensions.setdefault("sendwright-readiness", _Kept())
    with kept.lock:  # those who come meanwhile share what the first one finds
        if kept.answer is None or time.monotonic() - kept.at > KEPT:
            kept.answer = now()
            kept.at = time.monotonic()
        return kept.answer


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
