"""Journal: what many threads found out, stored by one writer in few transactions.

A thread that writes waits until its own words are committed, so nothing that follows runs ahead of
what is stored. Whoever writes at the same moment shares one commit, which is what makes a durable
store fast. Without a running journal each write is a transaction of its own.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, TimeoutError

from portal.extensions import db
from portal.stores import trying_again

T = TypeVar("T")

#: So many may share one commit; more would keep the first waiting.
MOST_TOGETHER = 64
#: For so long a store that went away is asked again before whoever writes is told.
PATIENCE = 20.0

log = logging.getLogger(__name__)


class NotStored(Exception):
    """The writer broke off before it came to these words; nothing of them is stored."""


@dataclass
class _Entry:
    """One thread's words, and what came of them. error: why they are not stored (yet)."""

    work: Callable[[], Any]
    stored: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = field(default_factory=NotStored)

    def run(self) -> None:
        self.result = self.work()


class Journal:
    """One writer thread for the threads of this process."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Store what was handed in, then stop."""
        self._entries.put(None)
        self._thread.join()

    def write(self, work: Callable[[], T]) -> T:
        entry = _Entry(work)
        self._entries.put(entry)
        entry.stored.wait()
        if entry.error is not None:
            raise entry.error
        return cast("T", entry.result)

    def _serve(self) -> None:
        with self._app.app_context():
            going = True
            while going:
                entries, going = self._next()
                if entries:
                    self._store(entries)

    def _next(self) -> tuple[list[_Entry], bool]:
        """What waits now, at least one; False when the end was asked for."""
        entries: list[_Entry] = []
        entry = self._entries.get()
        while entry is not None:
            entries.append(entry)
            if len(entries) == MOST_TOGETHER or self._entries.empty():
                return entries, True
            entry = self._entries.get()
        return entries, False

    def _store(self, entries: list[_Entry]) -> None:
        try:
            _together_or_alone(entries)
        except BaseException:  # all threads wait for this one: it outlives whatever is raised
            log.exception("words were not stored")
            undo()
        finally:
            for entry in entries:
                entry.stored.set()


def write(work: Callable[[], T]) -> T:
    """Run `work` in a transaction and commit it; what it returned, once that is durable.

    work: writes with db.session, commits nothing, calls no provider, and can be run again when the
    store went away in the middle. Raises what work raises, with nothing stored.
    """
    journal = _running.get("journal")
    if journal is not None:
        if db.session().in_transaction():  # what this thread has open, the writer would wait for
            db.session.commit()
        return journal.write(work)
    entry = _Entry(work)
    _alone(entry)
    if entry.error is not None:
        raise entry.error
    return cast("T", entry.result)


@contextlib.contextmanager
def kept(app: Flask) -> Iterator[None]:
    """Within this, all threads of the process write through one journal."""
    journal = Journal(app)
    journal.start()
    _running["journal"] = journal
    try:
        yield
    finally:
        _running.pop("journal", None)
        journal.end()


_running: dict[str, Journal] = {}


def undo() -> None:
    """End what this thread has open, with nothing of it stored. Never fails.

    What cannot even be rolled back, its connection being gone, is thrown away with the connection.
    """
    try:
        db.session.rollback()
    except Exception as problem:
        log.warning("could not roll back: %s", type(problem).__name__)
        with contextlib.suppress(Exception):
            db.session().invalidate()
        db.session.registry.clear()


def by_itself(work: Callable[[], T], log: logging.Logger, failing: str) -> T | None:
    """What one thing of several returned; None where it went wrong, which stops none of the others.

    work: commits by itself. What it left open is undone then, and `log` says what is failing.
    """
    try:
        return work()
    except Exception:
        undo()
        log.exception(failing)
        return None


def connection() -> Connection:
    """The connection of the transaction that this thread is in."""
    return getattr(_mine, "connection", None) or db.session.connection()


_mine = threading.local()


def _together_or_alone(entries: list[_Entry]) -> None:
    try:
        _together(entries)
    except Exception as problem:  # each for itself: one's mistake is not another's
        undo()
        if len(entries) > 1:
            log.info("writing %d entries one by one: %s", len(entries), type(problem).__name__)
        for entry in entries:
            _alone(entry)


def _together(entries: list[_Entry]) -> None:
    with trying_again():
        _mine.connection = db.session.connection()
    try:
        for entry in entries:
            entry.run()
    finally:
        _mine.connection = None
    db.session.commit()
    for entry in entries:
        entry.error = None


def _alone(entry: _Entry) -> None:
    """One transaction, tried again while the store is away."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _together([entry])
        except Exception as problem:
            undo()
            entry.error = problem
            if not _went_away(problem) or time.monotonic() > deadline:
                return None
        time.sleep(0.25)


def _went_away(problem: Exception) -> bool:
    """Whether the store could not be reached, or was too busy, rather than refused the words."""
    if isinstance(problem, TimeoutError):  # all its connections are taken
        return True
    if not isinstance(problem, DBAPIError):
        return False
    words = str(problem.orig).casefold()
    return problem.connection_invalidated or any(one in words for one in AWAY)


#: How the drivers say that the store is away, starting, full for now, or somebody else's.
AWAY = (
    "connection",
    "server closed",
    "terminating",
    "starting up",
    "shutting down",
    "locked",
    "disk is full",
    "no space left",
    "disk i/o error",
    "could not extend",
)
