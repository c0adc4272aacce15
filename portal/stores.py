"""How the database is opened: SQLite in WAL mode with honest locking, PostgreSQL as it comes."""

import contextlib
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast

from flask import Flask, current_app, has_request_context, request
from psycopg.pq import Format
from sqlalchemy import CursorResult, Result, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from portal.extensions import db

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
#: A view that writes though it is asked by GET.
WRITES = "writes_by_get"
View = TypeVar("View", bound=Callable[..., Any])


#: Whoever tries again by himself asks no connection whether it lives that was used so lately (s).
TRUSTED, LAST_USED = 1.0, "last_used"
#: The execution option of what PostgreSQL is to return in its own form.
IN_BINARY = "in_binary"
#: A PostgreSQL whose machine vanishes without a word is given up after seconds, not after the many
#: minutes that TCP would wait (libpq's names; the last one in milliseconds).
VANISHING = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def engine_options(url: str) -> dict[str, Any]:
    """Pool settings for a database address. What is stored never stands in an error's words."""
    hide: dict[str, Any] = {"hide_parameters": True}
    if make_url(url).get_backend_name() == "sqlite":
        connect_args = {"timeout": 30, "check_same_thread": False}
        return {**hide, "connect_args": connect_args, "pool_size": 24}
    pool = {"pool_size": 24, "max_overflow": 8, "pool_recycle": 1800}
    return {**hide, **pool, "connect_args": VANISHING}


def prepare(app: Flask) -> None:
    """Bind the rules of the store to the app's engine. Makes the folder of a SQLite file."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    if url.get_backend_name() != "sqlite":
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", _heed_in_binary)
            event.listen(db.engine, "checkin", _note_use)
            event.listen(db.engine, "checkout", _look_whether_it_lives)
        return
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    with app.app_context():
        event.listen(db.engine, "connect", _open_sqlite)
        event.listen(db.engine, "begin", _begin_sqlite)


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[LAST_USED] = time.monotonic()


def _look_whether_it_lives(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """SQLAlchemy's own look comes before each transaction, which costs the journal a lot."""
    idle = time.monotonic() - record.info.get(LAST_USED, math.inf)
    if idle < 0 or (idle < TRUSTED and _trying_again.get()):  # < 0: it was opened just now
        return
    try:
        db.engine.dialect.do_ping(connection)
    except db.engine.dialect.loaded_dbapi.Error as problem:
        raise InvalidatePoolError from problem


def _heed_in_binary(
    _on: Connection, cursor: Any, _text: str, _values: Any, context: Any, _many: bool
) -> None:
    # Bytes are written out as hex otherwise: twice as long, and read five times as slowly.
    if context.execution_options.get(IN_BINARY):
        cursor.format = Format.BINARY


def _open_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    # FULL: a claim or a draft's id that a power cut takes back could make the same mail twice.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when somebody wrote in between,
    # whatever the time-out. So whoever may write takes the write lock at the start, and holds it
    # for milliseconds: nothing calls a provider with a transaction open.
    connection.exec_driver_sql("BEGIN" if _only_reads() else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """What runs in here only reads, and so waits for nobody; its transaction is over afterwards."""
    token = _reading.set(True)
    try:
        yield
        db.session.commit()
    finally:
        _reading.reset(token)


@contextlib.contextmanager
def looking() -> Iterator[Connection]:
    """reading() for what runs with every mail: a bare connection, past the session."""
    token = _reading.set(True)
    try:
        with db.engine.connect() as connection:
            yield connection
    finally:
        _reading.reset(token)


@contextlib.contextmanager
def trying_again() -> Iterator[None]:
    """What finds its connection gone in here is done again by the caller."""
    token = _trying_again.set(True)
    try:
        yield
    finally:
        _trying_again.reset(token)


_reading: ContextVar[bool] = ContextVar("reading", default=False)
_trying_again: ContextVar[bool] = ContextVar("trying_again", default=False)


def writes(view: View) -> View:
    """Marks a view that has to store what comes as a GET: a provider's answer to a sign-in, which
    its state protects. On SQLite it has the lock from its first word, so none is lost to another
    who writes meanwhile."""
    setattr(view, WRITES, True)
    return view


def _only_reads() -> bool:
    if _reading.get():
        return True
    if not has_request_context() or request.method not in SAFE_METHODS:
        return False
    return not hasattr(current_app.view_functions.get(request.endpoint or ""), WRITES)


def rows_changed(result: Result[Any]) -> int:
    """How many rows an UPDATE or DELETE changed: the whole of a conditional claim."""
    return cast("CursorResult[Any]", result).rowcount
