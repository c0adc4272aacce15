"""Clock: the local Google's own time, which steering may wind forward."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from portal.sandbox.store import Store


class Clock:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.offset = float(store.remembered("clock_offset") or 0)

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        self._set(self.offset + seconds)

    def reset(self) -> None:
        self._set(0.0)

    def _set(self, offset: float) -> None:
        self.offset = offset
        self._store.remember("clock_offset", str(offset))

    def on_the_wall(self, moment: float) -> datetime:
        """A moment of this clock as callers must wait for it, by their own clocks."""
        return datetime.fromtimestamp(moment - self.offset, UTC)
