"""The launcher: starts every part of Sendwright on one machine, watches them, and ends them all.

    python -m portal.launch [--data DIRECTORY]

This is what `make run` does. In production the same parts are started separately.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from portal import parts
from portal.children import TICK, end_all
from portal.config import ROOT, Config, ConfigProblem, read_dotenv
from portal.keys import complete_keys
from portal.parts import HOST, Launch, StartProblem, Stopped, say
from portal.sandbox import certificates

if TYPE_CHECKING:
    from portal.seeds import SignIn

#: Seconds in which the worker may finish the message it is sending.
FAREWELL = 8.0
LOCAL_CLIENT = {
    "GOOGLE_CLIENT_ID": "local-client-id",
    "GOOGLE_CLIENT_SECRET": "local-client-secret",
}
LOCAL_MICROSOFT_CLIENT = {
    "MICROSOFT_CLIENT_ID": "10ca1000-0000-4000-8000-000000000001",
    "MICROSOFT_CLIENT_SECRET": "local-microsoft-secret",
}


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
    try:  # what is in there is nobody else's to read, whoever has an account on this machine
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("log", "redis"):
            (data / name).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StartProblem(f"{data} cannot be written: {problem.strerror}.") from None


def settings(data: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What every part is started with: what was given, and what one machine alone can fill in."""
    environ = {name: value for name, value in given.items() if value != ""}
    environ.update(complete_keys(data / "keys.env", environ))
    environ.setdefault("LOG_FORMAT", "text")  # somebody tries it out, and reads var/log
    environ.setdefault("DATABASE_URL", f"sqlite:///{data}/sendwright.sqlite3")
    environ.setdefault("PUBLIC_URL", f"http://{HOST}:{environ.get('PORT', '8000')}")
    if real_provider(environ) == "":  # where one is real, no pretended one may stand beside it
        environ.update(local_google_settings(environ.get("SANDBOX_PORT", "8025")))
        environ.update(local_microsoft_settings(environ))
        if not environ.keys() & {"SMTP_ALLOWED_HOSTS", "SMTP_CA_FILE"}:
            environ.update(local_post_settings(data, environ))
        if "DNS_RESOLVER" not in environ:
            environ.update(local_names_settings(environ))
    return environ


def real_provider(environ: Mapping[str, str]) -> str:
    """The setting that says that a real provider knows this portal; none of them: ""."""
    known = ("GOOGLE_CLIENT_ID", "MICROSOFT_CLIENT_ID")
    return next((name for name in known if name in environ), "")


def local_google_settings(port: str) -> dict[str, str]:
    address = f"http://{HOST}:{port}"
    return {
        **LOCAL_CLIENT,
        "GOOGLE_DISCOVERY_URL": f"{address}/.well-known/openid-configuration",
        "GMAIL_API_URL": address,
        "GMAIL_WEB_URL": address,
    }


def local_microsoft_settings(environ: Mapping[str, str]) -> dict[str, str]:
    own, google = environ.get("MICROSOFT_SANDBOX_PORT", "0"), environ.get("SANDBOX_PORT", "8025")
    port = parts.next_port(own, google, 1)
    address = f"http://{HOST}:{port}"
    return {
        **LOCAL_MICROSOFT_CLIENT,
        "MICROSOFT_SANDBOX_PORT": port,
        "MICROSOFT_AUTHORITY_URL": address,
        "GRAPH_URL": address,
        "OUTLOOK_WEB_URL": address,
    }


def local_post_settings(data: Path, environ: Mapping[str, str]) -> dict[str, str]:
    own, google = environ.get("POST_SANDBOX_PORT", "0"), environ.get("SANDBOX_PORT", "8025")
    port = parts.next_port(own, google, 2)
    web_port = parts.next_port(environ.get("POST_SANDBOX_WEB_PORT", "0"), google, 4)
    authority = parts.local_mail(data) / "authority.pem"
    if not authority.exists():
        certificates.make_all(authority.parent)
    return {
        "POST_SANDBOX_PORT": port,
        "POST_SANDBOX_WEB_PORT": web_port,
        "SMTP_ALLOWED_HOSTS": f"{HOST}:{port}",
        "SMTP_CA_FILE": str(authority),
    }


def local_names_settings(environ: Mapping[str, str]) -> dict[str, str]:
    own, google = environ.get("DNS_SANDBOX_PORT", "0"), environ.get("SANDBOX_PORT", "8025")
    port = parts.next_port(own, google, 3)
    return {"DNS_SANDBOX_PORT": port, "DNS_RESOLVER": f"{HOST}:{port}"}


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
    redis = parts.start_redis(launch, sockets)
    instead = f"not started: {real_provider(launch.environ)} is set"
    google = parts.start_local_google(launch) if local else instead
    microsoft = parts.start_local_microsoft(launch) if local_microsoft(launch) else ""
    post = parts.start_local_post(launch) if local_post(launch) else ""
    names = parts.start_local_names(launch) if local_names(launch) else ""
    parts.await_redis(launch)
    sign_ins = parts.prepare_database(launch)
    parts.start_portal(launch)
    workers = parts.start_workers(launch)

    say_ready("Redis", redis)
    if local:
        parts.await_page(launch, "The local Google", launch.config.GOOGLE_DISCOVERY_URL)
    say_ready("Local Google", google)
    if microsoft:
        parts.await_page(launch, "The local Microsoft", f"{microsoft}/common/discovery/v2.0/keys")
        say_ready("Local Microsoft", microsoft)
    if post:
        parts.await_page(launch, "The local mail server", f"{post}/_sandbox/state")
        at = f"{HOST}:{launch.config.POST_SANDBOX_PORT}"
        say_ready("Local mail", f"{post} ({at}, any address, password bright-spark-mail)")
    if names:
        parts.await_port(launch, "The local name server", launch.config.DNS_SANDBOX_PORT)
        say_ready("Local names", names)
    say_ready("Database", parts.shown_database(launch.config.DATABASE_URL))
    address = parts.portal_address(launch.config)
    parts.await_page(launch, "The portal", f"{address}/healthz")
    say_ready("Portal", address)
    parts.await_worker(launch)
    say_ready("Workers", workers)
    say_sign_ins(launch.config.PUBLIC_URL, sign_ins)


def refuse_busy_ports(launch: Launch) -> None:
    wanted = {"PORT": launch.config.PORT}
    if launch.config.is_local_google:
        wanted["SANDBOX_PORT"] = launch.config.SANDBOX_PORT
    if local_microsoft(launch):
        wanted["MICROSOFT_SANDBOX_PORT"] = launch.config.MICROSOFT_SANDBOX_PORT
    if local_post(launch):
        wanted["POST_SANDBOX_PORT"] = launch.config.POST_SANDBOX_PORT
        wanted["POST_SANDBOX_WEB_PORT"] = launch.config.POST_SANDBOX_WEB_PORT
    if local_names(launch):
        wanted["DNS_SANDBOX_PORT"] = launch.config.DNS_SANDBOX_PORT
    for variable, port in wanted.items():
        if is_busy(port):
            raise StartProblem(
                f"port {port} is in use by another program. "
                f"Set {variable} to a free port, for example: {variable}={port + 100} make run"
            )
    if len(set(wanted.values())) < len(wanted):
        raise StartProblem(f"Two of {', '.join(wanted)} are the same; give each its own.")


def local_microsoft(launch: Launch) -> bool:
    return LOCAL_MICROSOFT_CLIENT["MICROSOFT_CLIENT_ID"] == launch.config.MICROSOFT_CLIENT_ID


def local_post(launch: Launch) -> bool:
    """Whether a local mail server stands in for other providers: it alone has a port."""
    return bool(launch.config.POST_SANDBOX_PORT)


def local_names(launch: Launch) -> bool:
    """Whether a local name server is the one that is asked."""
    port = launch.config.DNS_SANDBOX_PORT
    return bool(port) and f"{HOST}:{port}" == launch.config.DNS_RESOLVER


def is_busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def watch(launch: Launch) -> None:
    while True:
        parts.check_on(launch)
        time.sleep(4 * TICK)


def end(launch: Launch) -> None:
    """Those who use the others go first; Redis goes last."""
    say("\nEnding ...")
    end_all(launch.portal, FAREWELL)
    end_all(launch.support, FAREWELL)


def say_sign_ins(address: str, sign_ins: "list[SignIn]") -> None:
    say(f"\nOpen {address} in a browser and sign in" + (" as one of:" if sign_ins else "."))
    for one in sign_ins:
        say(f"  {one.email:<32} {one.password:<24} {one.name}, {one.role}")


def say_ready(name: str, what: str) -> None:
    say(f"  {name:<18}{what}")


if __name__ == "__main__":
    main()
