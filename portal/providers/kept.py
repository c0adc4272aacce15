"""Kept: connections that stay open between two messages, each for one log-in and no other."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from portal.providers.submission import Server

#: Whose connection it is: the server, whether it is the relay's, and the log-in.
Key = tuple[Server, bool, str]


class Connection(Protocol):
    """used_at: when it was last used, on the monotonic clock."""

    used_at: float


Line = TypeVar("Line", bound=Connection)


class Kept(Generic[Line]):
    """The open connections of this process. most: of these; close: how one of them is ended."""

    def __init__(self, most: int, close: Callable[[Line], None]) -> None:
        self._most, self._close = most, close
        self._lines: dict[Key, Line] = {}
        self._lock = threading.Lock()

    def take(self, key: Key) -> Line | None:
        """The one kept for this log-in, nobody else's from now on."""
        with self._lock:
            return self._lines.pop(key, None)

    def put(self, key: Key, line: Line) -> None:
        """Keep one, in the place of an earlier one, or of the oldest where there are too many."""
        line.used_at = time.monotonic()
        with self._lock:
            over = [self._lines.pop(key, None)]
            if len(self._lines) >= self._most:
                over.append(self._lines.pop(next(iter(self._lines))))
            self._lines[key] = line
        for one in over:
            if one is not None:
                self._close(one)

    def forget(self) -> None:
        """After a fork: the parent's sockets must not be shared."""
        self._lines.clear()
