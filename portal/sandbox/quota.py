"""Quota: the units a person's calls cost, and how many a minute Google lets through."""

from __future__ import annotations

import threading
from collections import defaultdict, deque

from portal.sandbox.errors import over_quota

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


class Quota:
    """Kept in memory: a restart forgives at most one minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: dict[int, deque[tuple[float, int]]] = defaultdict(deque)
        self._sum: dict[int, int] = defaultdict(int)

    def spend(self, account_id: int, method: str, now: float, limit: int) -> None:
        units = UNITS.get(method, 1)
        with self._lock:
            self._expire(account_id, now)
            if limit and self._sum[account_id] + units > limit:
                raise over_quota(limit)
            self._spent[account_id].append((now, units))
            self._sum[account_id] += units

    def used(self, account_id: int, now: float) -> int:
        with self._lock:
            self._expire(account_id, now)
            return self._sum[account_id]

    def _expire(self, account_id: int, now: float) -> None:
        spent = self._spent[account_id]
        while spent and spent[0][0] <= now - MINUTE:
            self._sum[account_id] -= spent.popleft()[1]

    def clear(self) -> None:
        with self._lock:
            self._spent.clear()
            self._sum.clear()
