"""Quota: the units a person's calls cost, and how many a minute Google lets through."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from portal.sandbox.errors import over_quota, too_many_at_once

UNITS = {
    "messages.send": 100,
    "drafts.send": 100,
    "drafts.create": 10,
    "drafts.update": 15,
    "drafts.delete": 10,
    "drafts.list": 5,
    "drafts.get": 20,
    "messages.get": 20,
    "messages.list": 5,
    "messages.attachments.get": 20,
    "threads.get": 40,
    "history.list": 2,
    "getProfile": 1,
    "labels.list": 1,
    "labels.get": 1,
    "settings.sendAs.list": 1,
    "settings.sendAs.get": 1,
    "settings.sendAs.create": 100,
    "settings.sendAs.update": 100,
    "settings.sendAs.patch": 100,
    "settings.sendAs.verify": 100,
    "settings.sendAs.delete": 5,
}
MINUTE = 60.0


#: In so many seconds a burst is counted.
BURST = 2.0


class Quota:
    """Kept in memory: a restart forgives at most one minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: dict[int, deque[tuple[float, int]]] = defaultdict(deque)
        self._sum: dict[int, int] = defaultdict(int)
        self._busy: Counter[int] = Counter()

    def spend(self, account_id: int, method: str, now: float, limit: int, burst: int = 0) -> None:
        """limit: units in any minute; burst: units in any two seconds; 0 for none."""
        units = UNITS.get(method, 1)
        with self._lock:
            self._expire(account_id, now)
            if limit and self._sum[account_id] + units > limit:
                raise over_quota(limit)
            if burst and self._lately(account_id, now) + units > burst:
                raise over_quota(limit)
            self._spent[account_id].append((now, units))
            self._sum[account_id] += units

    @contextmanager
    def in_hand(self, account_id: int, most: int) -> Iterator[None]:
        """One call of a person's is being answered; most: so many at once, 0 for any number."""
        with self._lock:
            if most and self._busy[account_id] >= most:
                raise too_many_at_once()
            self._busy[account_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[account_id] -= 1

    def used(self, account_id: int, now: float) -> int:
        with self._lock:
            self._expire(account_id, now)
            return self._sum[account_id]

    def _lately(self, account_id: int, now: float) -> int:
        newest = reversed(self._spent[account_id])
        return sum(units for _, units in takewhile(lambda one: one[0] > now - BURST, newest))

    def _expire(self, account_id: int, now: float) -> None:
        spent = self._spent[account_id]
        while spent and spent[0][0] <= now - MINUTE:
            self._sum[account_id] -= spent.popleft()[1]

    def clear(self) -> None:
        with self._lock:
            self._spent.clear()
            self._sum.clear()
