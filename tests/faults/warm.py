"""Worker processes that start at once: python -m tests.faults.warm.

What a worker imports takes over a second of a core, and a run that kills thousands would spend
itself on that. One process for each host imports it all, then forks a worker whenever it reads a
line, and answers with its number. From there on it is worker.py as ever: a session of its own, its
own connections, its own end.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from portal.children import SET_PARENT_DEATH_SIGNAL
from tests import servers

#: What a worker imports only once it knows its store.
LATER = (
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)


class WarmWorker:
    """The worker of one host. before: what stands before the command, to give it a name."""

    def __init__(self, before: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        paths = [*filter(None, [environ.get("PYTHONPATH")]), str(servers.ROOT)]
        with log.open("ab") as file:
            self._mother = subprocess.Popen(
                [*before, sys.executable, "-m", "tests.faults.warm"],
                env={**environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self._end = -1
        self.start()

    def start(self) -> None:
        """Start it, or start it again. RuntimeError: it could not be started at all."""
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(flush=True, file=self._mother.stdin)
        answer = self._mother.stdout.readline()
        if not answer:
            raise RuntimeError(f"no worker: exit status {self._mother.wait()}")
        self.pid = int(answer)
        if self._end >= 0:
            os.close(self._end)
        # It may have been killed before anybody looked at it.
        self._end = -1
        with contextlib.suppress(ProcessLookupError):
            self._end = os.pidfd_open(self.pid)

    def has_ended(self, within: float = 0) -> bool:
        """within: seconds to wait for it."""
        return self._end < 0 or bool(select.select([self._end], [], [], within)[0])

    def ask_to_end(self) -> None:
        if not self.has_ended():
            signal.pidfd_send_signal(self._end, signal.SIGTERM)

    def close(self) -> None:
        """It has ended, and no other is wanted."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._mother.communicate(timeout=10)
        self._mother.kill()  # on a machine with too much to do she may still be taking her leave
        self._mother.wait()
        if self._end >= 0:
            os.close(self._end)
            self._end = -1


def main() -> None:
    """Fork a worker for each line read, until there are no more."""
    import importlib

    import worker

    for name in LATER:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ended needs no funeral
    while sys.stdin.readline():
        if (pid := os.fork()) == 0:
            _become_worker()
            os._exit(_status(worker.main))
        print(pid, flush=True)


def _become_worker() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    with open(os.devnull, "r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)


def _status(work: object) -> int:
    """What a process would end with; nothing of the mother's runs on."""
    assert callable(work)
    try:
        status = int(work() or 0)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    main()
