"""Workers: which sending processes are alive and what each does. For looking at, never a lock.

A worker is the process that RQ runs, together with the work-horses it forks. It says so with a row
of its own; a row that nobody renews is a worker that ended without a word.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy import Text, delete, select, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from portal.columns import UtcDateTime, db_now, now
from portal.config import Config
from portal.extensions import Base, db
from portal.logs import redacted
from portal.providers.obstacles import harmless
from portal.stores import rows_changed

#: A worker that says the same again within so many seconds is not written down again.
SELDOM = 5.0
#: What is remembered of a worker that ended without a word, in seconds.
REMEMBERED = 24 * 3600
#: So long a start waits for a store that is locked or away, and so often it looks, in seconds.
PATIENCE, LOOK_AGAIN = 120.0, 1.0

log = logging.getLogger(__name__)
#: This process as a worker: its name, and what it said last. A work-horse inherits it.
_mine: dict[str, str] = {}
_said: dict[str, tuple[str, float]] = {}


class Worker(Base):
    """One worker process, by its own account. name: host:pid of the process RQ runs.

    doing: waiting, sending or looking for Redis. last_error: what went wrong beside any one mail.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    doing: Mapped[str] = mapped_column(Text, default="")
    last_error: Mapped[str] = mapped_column(Text, default="")
    last_error_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


WAITING, SENDING, NO_REDIS = "waiting", "sending", "looking for Redis"


@dataclass(frozen=True)
class Seen:
    """A worker and whether it is alive, by the database's clock."""

    worker: Worker
    alive: bool


def host() -> str:
    """What this machine is called among the workers: WORKER_NAME, else the host's own name."""
    config: Config = current_app.config["PORTAL"]
    return config.WORKER_NAME or socket.gethostname()


def wait_for_store(first: Callable[[], None]) -> None:
    """Do the first thing with the store, again and again while that is locked or away.

    Raises OperationalError once PATIENCE is over, and at once whatever else goes wrong.
    """
    ends, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            return first()
        except OperationalError as problem:
            db.session.rollback()
            if time.monotonic() > ends:
                raise
            if not told:
                log.warning("The database is locked or away, and waited for: %s", why(problem))
        told = True
        time.sleep(LOOK_AGAIN)


def why(problem: OperationalError) -> str:
    """What the database itself said, on one line."""
    return redacted(" ".join(str(problem.orig).split()))


def begin() -> None:
    """This process is a worker from now on. Forgets ended ones of this host. Commits."""
    _mine["name"] = f"{host()}:{os.getpid()}"
    _said.clear()
    _quietly(_forget_ended_here)
    beat(WAITING)


def beat(doing: str, error: str = "") -> None:
    """Say that this worker lives, what it does, and what went wrong. Commits.

    Does nothing in a process that is no worker. Never fails: a worker whose store is away works on.
    """
    if "name" not in _mine:
        return
    said, at = _said.get("last", ("", 0.0))
    if error or said != doing or time.monotonic() - at > SELDOM:
        _said["last"] = doing, time.monotonic()
        _quietly(lambda: _store(doing, harmless(redacted(error))))


def gone() -> None:
    """This worker ends in good order. Commits."""
    name = _mine.pop("name", None)
    with contextlib.suppress(SQLAlchemyError):
        db.session.rollback()  # the wish to stop may have come in the middle of a sign of life
    if name is not None:
        _quietly(lambda: db.session.execute(delete(Worker).where(Worker.name == name)))


def everyone() -> list[Seen]:
    """Every worker known of, those that are alive first, by host."""
    config: Config = current_app.config["PORTAL"]
    lives = Worker.seen_at > db_now(-patience(config))
    query = select(Worker, lives).order_by(lives.desc(), Worker.host, Worker.started_at)
    fresh = query.execution_options(populate_existing=True)
    return [Seen(worker, bool(alive)) for worker, alive in db.session.execute(fresh)]


def standing() -> tuple[tuple[str, bool, str], ...]:
    """Each worker known of, whether it is alive, and what it does: read cheaply, for a page that
    looks again and again."""
    config: Config = current_app.config["PORTAL"]
    lives = Worker.seen_at > db_now(-patience(config))
    query = select(Worker.name, lives, Worker.doing).order_by(Worker.name)
    found = db.session.connection().execute(query)
    return tuple((name, bool(alive), doing) for name, alive, doing in found)


def alive() -> list[Worker]:
    """The workers that gave a sign of life lately."""
    return [one.worker for one in everyone() if one.alive]


def patience(config: Config) -> float:
    """So many seconds a worker may be silent; an idle one speaks in each round of the sweeper."""
    return 30 + max(60.0, 2 * config.SWEEP_SECONDS)


def _store(doing: str, error: str) -> None:
    name = _mine["name"]
    values: dict[str, object] = {"doing": doing, "seen_at": db_now()}
    if error:
        values |= {"last_error": error[:2000], "last_error_at": now()}
    changed = db.session.execute(update(Worker).where(Worker.name == name).values(**values))
    if not rows_changed(changed):
        whose, _, pid = name.rpartition(":")
        db.session.add(Worker(name=name, host=whose, pid=int(pid), **values))
    db.session.execute(delete(Worker).where(Worker.seen_at < db_now(-REMEMBERED)))


def _forget_ended_here() -> None:
    for one in db.session.scalars(select(Worker).where(Worker.host == host())):
        if not _runs(one.pid) or one.name == _mine["name"]:
            db.session.delete(one)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
        db.session.commit()
    except SQLAlchemyError as problem:
        log.warning("the sign of life could not be stored: %s", type(problem).__name__)
        with contextlib.suppress(SQLAlchemyError):
            db.session.rollback()
