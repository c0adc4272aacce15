"""Witness: what is remembered outside the database, so that it notices when it went back in time.

The highest number of an attempt at whose hand-over somebody stood. Redis keeps it, and beside a
SQLite file a small file too. A witness may be lost, emptied or behind without harm: it only ever
speaks up when it knows more than the database. It is told right after a hand-over is stored and
before anything is sent, so what it can miss is one hand-over whose process ended between the two.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from portal import queueing

ATTEMPTS = "attempts"
#: After Redis did not answer, it is left alone for so long: nobody's mail waits for a witness.
LEAVE_ALONE = 15.0
PATIENCE = 0.5


class Witness:
    """The witness of one installation. beside: the path of its SQLite file, or nothing."""

    def __init__(self, key: str, beside: str) -> None:
        self.key, self.highest = key, 0
        self._path = f"{beside}.witness" if beside else ""
        self._lock = threading.Lock()
        self._redis: Redis | None = None
        self._away_until = 0.0

    def tell(self, attempt_id: int) -> None:
        """Remember that this attempt was handed over. Never raises."""
        with self._lock:
            if attempt_id <= self.highest:
                return
            self.highest = attempt_id
            self._write_file(attempt_id)
        self._tell_redis(attempt_id)

    def known(self) -> int:
        """The highest attempt anybody remembers; 0 where nobody remembers any."""
        return max(self.highest, self._read_file(), self._ask_redis())

    def _write_file(self, attempt_id: int) -> None:
        if not self._path:
            return
        # In place and always as long: some file systems wait for the disk where a file is emptied.
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(file, f"{self.key} {attempt_id:020d}\n".encode(), 0)
            finally:
                os.close(file)

    def _read_file(self) -> int:
        if not self._path or not os.path.exists(self._path):
            return 0
        with contextlib.suppress(OSError, ValueError), open(self._path) as file:
            key, number = file.read().split()
            return int(number) if key == self.key else 0
        return 0

    def _tell_redis(self, attempt_id: int) -> None:
        # gt: of two processes that tell at the same time, the higher number stays.
        self._with_redis(lambda redis: redis.zadd(self._name, {ATTEMPTS: attempt_id}, gt=True))

    def _ask_redis(self) -> int:
        return int(self._with_redis(lambda redis: redis.zscore(self._name, ATTEMPTS)) or 0)

    def _with_redis(self, ask: Callable[[Redis], Any]) -> Any:
        """What Redis answers; None where it is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            self._redis = self._redis or queueing.connection(PATIENCE)
            return ask(self._redis)
        except RedisError:
            self._away_until = time.monotonic() + LEAVE_ALONE
            return None

    @property
    def _name(self) -> str:
        return f"sendwright:witness:{self.key}"
