"""A Child: one process that the launcher started, watches, and never leaves behind.

Every child leads a session of its own: Ctrl-C in the terminal reaches the launcher alone, and
whatever the child forks later (RQ puts its work-horse into another process group) is still
found by its session and ended with it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TICK = 0.05
SET_PARENT_DEATH_SIGNAL = 1


@dataclass
class Child:
    """One running process, its log, and the sentence its name appears in."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        keep_previous(self.log)
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(os.getpid()),
            )

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def epitaph(self) -> str:
        """What to tell the operator about a child that went by itself."""
        ended = how_it_ended(self.process.returncode)
        return f"{self.name} stopped by itself ({ended}). The end of {self.log}:\n{tail(self.log)}"

    def ask_to_end(self) -> None:
        if not self.has_ended():
            self.process.terminate()

    def end_what_is_left(self) -> None:
        """Kill the child and whatever it started, then collect it."""
        for _ in range(2):  # again for what was forked while we looked
            for pid in session_members(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


def end_all(children: Iterable[Child], patience: float) -> None:
    """Ask all to end, wait so many seconds together, kill what remains."""
    waiting = list(children)
    for child in waiting:
        child.ask_to_end()
    wait_until(lambda: all(child.has_ended() for child in waiting), patience)
    for child in waiting:
        child.end_what_is_left()


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(TICK)
    return True


def session_members(leader: int) -> list[int]:
    """The processes of one session, the leader among them."""
    return [pid for pid in all_pids() if session_of(pid) == leader]


def all_pids() -> list[int]:
    if os.path.isdir("/proc/self"):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    listed = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def end_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before it starts so that even a killed launcher takes it along."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def arrange() -> None:
        prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:  # it went while we were being born
            os._exit(1)

    return arrange


def how_it_ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented for the terminal."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (it is empty)"


def keep_previous(log: Path) -> None:
    """Every start begins a log; the one before stays beside it."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.before"))
