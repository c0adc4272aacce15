"""Cables: what a host is connected by, so that it can be cut off, made to wait, and healed."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

WHOLE, CUT, FROZEN = "whole", "cut", "frozen"


@dataclass
class Cable:
    """A port of this machine that leads to another socket, in one of three states.

    leads_to: the path of a Unix socket, or a host and a port. Cut, it refuses whoever comes, ends
    whoever is there; frozen, it takes everything in and lets nothing through.
    """

    leads_to: str | tuple[str, int]
    state: str = WHOLE
    _ends: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        self.state = CUT
        with self._lock:
            ends, self._ends = list(self._ends), set()
        for one in ends:
            _end(one)

    def freeze(self) -> None:
        self.state = FROZEN

    def heal(self) -> None:
        self.state = WHOLE

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        if not self._passes():
            _end(near)
            return
        try:
            far = _reach(self.leads_to)
        except OSError:
            _end(near)
            return
        with self._lock:
            self._ends |= {near, far}
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._passes():
                    break
                target.sendall(data)
        for one in (source, target):
            _end(one)
            with self._lock:
                self._ends.discard(one)

    def _passes(self) -> bool:
        """Wait while it is frozen; whether anything passes then."""
        while self.state == FROZEN:
            time.sleep(0.05)
        return self.state == WHOLE


def _reach(where: str | tuple[str, int]) -> socket.socket:
    if isinstance(where, tuple):
        return socket.create_connection(where, timeout=10)
    far = socket.socket(socket.AF_UNIX)
    far.connect(where)
    return far


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
