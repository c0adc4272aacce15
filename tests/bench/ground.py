"""Ground: what every bench stands on: a store, a Redis, a sink, and the real worker."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from portal import queueing
from portal.children import Child, end_all
from portal.config import Config
from tests import servers
from tests.bench import sink

CORES = os.cpu_count() or 1
#: BENCH=long: the figures over longer runs.
LONG = os.environ.get("BENCH") == "long"
STORES = ("sqlite", "postgresql")
#: As many units and messages as the portal's settings know, for runs that no quota is to slow.
UNLIMITED = {"GMAIL_UNITS_PER_MINUTE": "1000000", "GMAIL_DAILY_WORKSPACE": "100000"}
REAL_UNITS = 6_000
#: What Google allows a mailbox of a company.
REAL = {"GMAIL_UNITS_PER_MINUTE": str(REAL_UNITS), "GMAIL_DAILY_WORKSPACE": "2000"}


@dataclass(frozen=True)
class Ground:
    """A portal without pages, ready to be drained."""

    home: Path
    app: Flask
    environ: dict[str, str]
    sink: sink.Running


@contextlib.contextmanager
def ground(store: str, latency: float, *, real_quotas: bool = False) -> Iterator[Ground]:
    """An empty portal on this store, with its context pushed. latency: seconds of each call."""
    units = REAL_UNITS if real_quotas else 0
    with contextlib.ExitStack() as parts:
        home = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="swbench-")))
        redis_url = parts.enter_context(servers.redis_server())
        google = parts.enter_context(sink.running(home, latency=latency, units_per_minute=units))
        address = parts.enter_context(database(store, home))
        environ = servers.settings(
            DATABASE_URL=address,
            REDIS_URL=redis_url,
            PROVIDER_TIMEOUT="30",
            LEASE_SECONDS="180",
            **(REAL if real_quotas else UNLIMITED),
            **servers.pointed_at(google.url),
        )
        config = Config.from_env(environ, dotenv=Path(os.devnull))
        app = parts.enter_context(servers.inside(config))
        yield Ground(home, app, environ, google)


@contextlib.contextmanager
def database(store: str, home: Path) -> Iterator[str]:
    """A migrated database, as an installation runs it: what is committed is on the disk."""
    if store == "sqlite":
        address = f"sqlite:///{home}/bench.sqlite3"
        servers.migrate(address)
        yield address
        return
    with servers.postgres() as server:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {setting} = on")
        server.execute("SELECT pg_reload_conf()")
        with server.database("bench") as address:
            servers.migrate(address)
            yield address


@contextlib.contextmanager
def workers(place: Ground, many: int = CORES) -> Iterator[list[Child]]:
    """Real workers, listening and idle."""
    with contextlib.ExitStack() as all_of_them:
        started = [
            all_of_them.enter_context(servers.worker(place.environ, place.home / f"worker-{n}.log"))
            for n in range(many)
        ]
        deadline = time.monotonic() + 30
        while queueing.health() != "ok" and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            yield started
        finally:  # what is still waiting is nobody's loss
            end_all(started, patience=0)
