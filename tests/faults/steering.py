"""Steering: every process asks here, at each failpoint, what is to happen at that very place.

One Unix socket. Whoever asks waits for the answer, and while it waits, it stands exactly there.
"""

import contextlib
import json
import random
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.cells import MADE_UNCLEAR_AT, NAMELESS, UNCLEAR, WRITING, Cell, Plan

GO = "go"
#: How many of those who come to a point that is nobody's own are struck there.
ODDS = 0.5


@dataclass(frozen=True)
class Arrival:
    """Who stands where. host: the name under which its machine was told of the steering."""

    point: str
    dispatch: int | None
    pid: int
    parent: int
    host: str


@dataclass
class Book:
    """Which dispatch meets which cell, and what was met so far."""

    plan: Plan
    chance: random.Random
    by_dispatch: dict[int, Cell] = field(default_factory=dict)
    by_asker: dict[str, Cell] = field(default_factory=dict)
    struck: list[tuple[Cell, int | None]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    over: bool = False
    met: set[tuple[str, int]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, arrival: Arrival) -> Cell | None:
        """What strikes here and now; each only once."""
        with self.lock:
            self.seen[arrival.point] += 1
            if self.over:
                return None
            cell = self._due(arrival)
            if cell is not None:
                self.struck.append((cell, arrival.dispatch))
            return cell

    def missed(self, cell: Cell, arrival: Arrival) -> None:
        """What was to strike did not: it counts for nothing."""
        with self.lock:
            self.struck.remove((cell, arrival.dispatch))

    def _due(self, arrival: Arrival) -> Cell | None:
        if arrival.host in self.by_asker:
            due = self.by_asker[arrival.host]
            return self.by_asker.pop(arrival.host) if due.point == arrival.point else None
        if arrival.point in NAMELESS:
            return self._next_nameless(arrival)
        due = self.by_dispatch.get(arrival.dispatch or 0)
        if due is None or due.point != arrival.point:
            return None
        return self.by_dispatch.pop(arrival.dispatch or 0)

    def _next_nameless(self, arrival: Arrival) -> Cell | None:
        """For whoever comes, but not for everybody, and for nobody twice."""
        left = self.plan.nameless.get(arrival.point)
        who = (arrival.point, arrival.dispatch or 0)
        if not left or (arrival.dispatch and who in self.met) or self.chance.random() > ODDS:
            return None
        self.met.add(who)
        return left.pop()

    def to_be_unclear(self, arrival: Arrival) -> bool:
        """Whether an unclear outcome has to be made here for what comes later."""
        due = self.by_dispatch.get(arrival.dispatch or 0)
        return arrival.point == MADE_UNCLEAR_AT and due is not None and due.point == UNCLEAR

    @property
    def left(self) -> int:
        with self.lock:
            nameless = sum(len(some) for some in self.plan.nameless.values())
            return len(self.by_dispatch) + len(self.by_asker) + nameless


class Gathering:
    """Several who stand at different points meet one and the same event."""

    def __init__(self, patience: float, most: int = 24) -> None:
        self._patience, self._most = patience, most
        self._lock = threading.Lock()
        self._groups: dict[Any, _Group] = {}

    def join(self, key: Any, arrival: Arrival, act: Callable[[], None]) -> None:
        """Wait until it has happened; the first of a group makes it happen."""
        with self._lock:
            group = self._groups.get(key)
            first = group is None
            group = group or self._groups.setdefault(key, _Group())
            group.members += 1
            if arrival.point in WRITING or group.members >= self._most:
                group.hurry.set()
        if not first:
            group.over.wait(60)
            return
        group.hurry.wait(self._patience)
        with self._lock:
            self._groups.pop(key, None)
        try:
            act()
        finally:
            group.over.set()


@dataclass
class _Group:
    members: int = 0
    hurry: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class Steering:
    """The socket, with a thread for each who asks."""

    def __init__(self, home: Path, meet: Callable[[Arrival], str]) -> None:
        self._meet = meet
        self._home = home
        self._path = home / "steering"

    def address(self, name: str) -> str:
        """Where one machine, or one process that asks, is told to ask: its name travels along."""
        link = self._home / name
        with contextlib.suppress(FileExistsError):
            link.symlink_to(self._path)
        return str(link)

    def __enter__(self) -> "Steering":
        steering = self

        class Desk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    told = json.loads(self.rfile.readline())
                    self.wfile.write(steering.answer(told).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(str(self._path), Desk)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, told: dict[str, Any]) -> str:
        host = Path(told["steered_by"]).name
        arrival = Arrival(told["point"], told["dispatch"], told["pid"], told["parent"], host)
        try:
            return self._meet(arrival)
        except Exception as problem:  # a mistake of the harness must not stop the worker
            print(f"steering: {arrival}: {problem!r} {time.monotonic():.1f}", flush=True)
            return GO
