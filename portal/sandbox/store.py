"""Store: the one SQLite database that holds everything a stand-in remembers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

META = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"


class StoreClosed(Exception):
    """A call was still under way when the stand-in ended."""


class Store:
    def __init__(self, path: str | None, schema: str) -> None:
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._closed = False
        self._connection = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None
        )
        self._connection.row_factory = sqlite3.Row
        # A stand-in may lose its last seconds with the machine's power, never with its process.
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-65536"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(META + schema)

    @property
    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreClosed
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._connected.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if outermost:
                    self._connected.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    self._connected.execute("COMMIT")
            finally:
                self._depth -= 1

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connected.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._lock:
            found: sqlite3.Row | None = self._connected.execute(sql, values).fetchone()
            return found

    def value(self, sql: str, *values: Any) -> Any:
        found = self.row(sql, *values)
        return None if found is None else found[0]

    def run(self, sql: str, *values: Any) -> int:
        """The number of rows changed."""
        with self._lock:
            return self._connected.execute(sql, values).rowcount

    def insert(self, table: str, **values: Any) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with self._lock:
            cursor = self._connected.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values())
            )
            return cursor.lastrowid or 0

    def remembered(self, key: str) -> str | None:
        found = self.value("SELECT value FROM meta WHERE key = ?", key)
        return None if found is None else str(found)

    def remember(self, key: str, value: str) -> None:
        self.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value)

    def forget(self, tables: tuple[str, ...]) -> None:
        with self.transaction():
            for table in tables:
                self.run(f"DELETE FROM {table}")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._connection.close()
