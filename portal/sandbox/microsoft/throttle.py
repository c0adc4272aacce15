"""Throttle: how many calls, at once and in ten minutes, and how many bytes one mailbox may take."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from portal.sandbox.microsoft.errors import throttled

TEN_MINUTES = 600.0
FIVE_MINUTES = 300.0


class Throttle:
    """Kept in memory: a restart forgives at most ten minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: dict[tuple[str, int], deque[tuple[float, int]]] = defaultdict(deque)
        self._sum: Counter[tuple[str, int]] = Counter()
        self._busy: Counter[int] = Counter()

    def call(self, mailbox: int, now: float, limit: int) -> None:
        self._spend(("RequestCount", mailbox), 1, now, limit, TEN_MINUTES)

    def upload(self, mailbox: int, count: int, now: float, limit: int) -> None:
        self._spend(("UploadBytes", mailbox), count, now, limit, FIVE_MINUTES)

    @contextmanager
    def in_hand(self, mailbox: int, most: int) -> Iterator[None]:
        """One call to a mailbox is being answered; most: so many at once, 0 for any number."""
        with self._lock:
            if most and self._busy[mailbox] >= most:
                raise throttled("MailboxConcurrency", 1)
            self._busy[mailbox] += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[mailbox] -= 1

    def clear(self) -> None:
        with self._lock:
            self._spent.clear()
            self._sum.clear()

    def _spend(
        self, what: tuple[str, int], count: int, now: float, limit: int, span: float
    ) -> None:
        with self._lock:
            spent = self._spent[what]
            while spent and spent[0][0] <= now - span:
                self._sum[what] -= spent.popleft()[1]
            if limit and self._sum[what] + count > limit:
                raise throttled(what[0], spent[0][0] + span - now if spent else span)
            spent.append((now, count))
            self._sum[what] += count
