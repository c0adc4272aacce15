"""The stage: stores, Redis, a carrier and worker hosts that can be killed, cut off and healed.

A host is a machine of its own as far as its workers can tell: its own name, its own processes, and,
where asked for, its own cables to PostgreSQL, Redis and the carrier.
"""

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from portal.children import Child, session_members
from portal.parts import redis_options, redis_program
from tests import servers
from tests.faults.carriers import Carrier, Gmail
from tests.faults.warm import WarmWorker

SHORT = {"SETTLE_GRACE": "1", "SWEEP_SECONDS": "1"}
FAKETIME = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
)
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def faketime() -> Path | None:
    """The library that gives a process a clock of its own, if this machine has it."""
    return next((path for path in FAKETIME if path.exists()), None)


def install_faketime() -> None:
    """Let the system's packages do it, where they may."""
    if faketime() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in ("update", "install --yes --no-install-recommends faketime"):
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                asked = ["apt-get", "--quiet", *command.split()]
                subprocess.run(asked, stdout=subprocess.DEVNULL, timeout=120, check=False)


class RedisServer:
    """A Redis that can be killed and started again; what it wrote down is there again."""

    def __init__(self, home: Path) -> None:
        self.path = home / "redis.sock"
        self.url = f"unix://{self.path}"
        (home / "redis").mkdir()
        program, _ = redis_program()
        command = [program, *redis_options(self.path, home)]
        # A child is told to end when the thread that started it does, so that one has to last.
        self._hand = ThreadPoolExecutor(1)
        self.child = Child("Redis", command, dict(os.environ), home / "redis.log")
        self.await_answer()

    def await_answer(self) -> None:
        servers.wait_for(lambda: servers.pings(self.url), self.child)

    def flush(self) -> None:
        """After a restart that is going on."""
        self._hand.submit(self._flush).result()

    def _flush(self) -> None:
        Redis.from_url(self.url, socket_timeout=5).flushall()

    def restart(self) -> None:
        self._hand.submit(self._restart).result()

    def _restart(self) -> None:
        self.child.process.kill()
        self.child.process.wait()
        self.child.start()
        self.await_answer()

    def end(self) -> None:
        self._hand.shutdown()
        self.child.end_what_is_left()


@dataclass
class Host:
    """One machine with one worker, which is started again whenever it has ended."""

    name: str
    environ: dict[str, str]
    home: Path
    kept: bool = True
    worker: WarmWorker = field(init=False)
    leaders: list[int] = field(default_factory=list)
    starts: int = 0

    def __post_init__(self) -> None:
        bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        log = self.home / f"{self.name}.log"
        self.worker = WarmWorker(self._named(), bare | self.environ, log)
        self._started()

    def _named(self) -> list[str]:
        """A host name of its own, where one may be given."""
        if os.geteuid() != 0 or not shutil.which("unshare"):
            return []
        if subprocess.run(
            ["unshare", "--uts", "true"], check=False, capture_output=True
        ).returncode:
            return []
        return ["unshare", "--uts", "sh", "-c", f'hostname {self.name}; exec "$@"', "sh"]

    def _started(self) -> None:
        self.leaders.append(self.worker.pid)
        self.starts += 1

    def look_after(self) -> None:
        if self.kept and self.worker.has_ended():
            self.worker.start()
            self._started()

    @property
    def pids(self) -> list[int]:
        """The worker, its work-horse, and what earlier ones left behind."""
        return [pid for leader in self.leaders for pid in session_members(leader)]

    def ask_to_end(self) -> None:
        self.worker.ask_to_end()

    def kill(self) -> None:
        for pid in self.pids:
            send_signal(pid, signal.SIGKILL)


def send_signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@dataclass
class Stage:
    """Everything that one run plays on. postgres: the server, or None where the store is SQLite."""

    home: Path
    database: str
    postgres: servers.Postgres | None
    redis: RedisServer
    carrier: Carrier
    hosts: list[Host] = field(default_factory=list)
    clock: Path | None = None
    back: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environ(self) -> dict[str, str]:
        return servers.settings(
            DATABASE_URL=self.database,
            REDIS_URL=self.redis.url,
            **SHORT,
            **self.carrier.pace,
            **self.carrier.settings,
        )

    # -- hosts -----

    def open_host(self, name: str, **chosen: str) -> Host:
        host = Host(name, self.environ | self._clock_of_its_own() | chosen, self.home)
        self.hosts.append(host)
        return host

    def _clock_of_its_own(self) -> dict[str, str]:
        if self.clock is None:
            return {}
        return {
            "LD_PRELOAD": str(faketime()),
            "PYTHONPATH": str(Path(__file__).parent / "clock"),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def give_hosts_a_clock(self) -> None:
        if faketime() is not None:
            self.clock = self.home / "clock"
            self.clock.write_text("+0")

    def watch(self) -> None:
        """Start again what has ended, until the stage is cleared."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for host in self.hosts:
                host.look_after()

    def worker_of(self, name: str) -> int | None:
        host = next((one for one in self.hosts if one.name == name), None)
        return host.worker.pid if host else None

    # -- what can happen around them -----

    def restart_store(self, how: str) -> None:
        """PostgreSQL starts again; of SQLite, somebody else has the lock for a while."""
        if self.postgres is not None:
            with self._one_at_a_time:
                self.postgres.restart(how)
            return
        held = threading.Event()
        threading.Thread(target=self._hold_lock, args=(1.5, held), daemon=True).start()
        held.wait(0.3)  # whoever stands in a transaction has the lock, and has to go on first

    def _hold_lock(self, seconds: float, held: threading.Event) -> None:
        path = self.database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(seconds)
            other.execute("ROLLBACK")

    def set_clock_back(self) -> None:
        """Where the store has a clock of its own, by ten minutes; else by several leases: what was
        to wait waits for as much longer."""
        if self.clock is not None:
            self.back += 600 if self.postgres is not None else 5 * self.carrier.lease
            self.clock.write_text(f"-{self.back:.0f}")

    def fill_disk(self, pids: list[int], seconds: float) -> None:
        """What these processes write past a few pages is refused, for a while."""
        if self.postgres is not None:
            with self._one_at_a_time:  # while it starts again, it is nobody
                told = (self.postgres.home / "postmaster.pid").read_text()
            pids = children_of(int(told.split()[0]))
        for pid in pids:
            _limit(pid, (8192, resource.RLIM_INFINITY))
        threading.Timer(seconds, lambda: [_limit(pid, NO_LIMIT) for pid in pids]).start()

    # -- the end -----

    def end(self, patience: float = 20) -> None:
        """Ask every worker to end; what does not, and what was orphaned, is killed."""
        self._over.set()
        time.sleep(0.15)
        for host in self.hosts:
            host.kept = False
            host.ask_to_end()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not all(one.worker.has_ended() for one in self.hosts):
            time.sleep(0.1)
        for host in self.hosts:
            host.kill()
            host.worker.has_ended(within=10)
            host.worker.close()


def _no_log(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if ".log" not in name]


def _limit(pid: int, limits: tuple[int, int]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def children_of(parent: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and _parent(int(name)) == parent:
                found.append(int(name))
    return found


def _parent(pid: int) -> int:
    """From the second field after the name, which may hold anything but ends with a bracket."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def stage(
    home: Path, database: str, postgres: servers.Postgres | None, carrier: type[Carrier] = Gmail
) -> Iterator[Stage]:
    """A stage on a database that has its tables and nothing in them."""
    redis, carries = RedisServer(home), carrier(home)
    made = Stage(home, database, postgres, redis, carries)
    try:
        yield made
    finally:
        made.end()
        redis.end()
        carries.end()
        if kept := os.environ.get("FAULTS_LOGS"):
            shutil.copytree(home, kept, ignore=_no_log, dirs_exist_ok=True)
