"""Server: serves a stand-in over real sockets, which its faults may really cut."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Self

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from portal.sandbox.app import create_sandbox
from portal.sandbox.faults import ConnectionCut
from portal.sandbox.google import LocalGoogle
from portal.sandbox.running import Running
from portal.sandbox.settings import SandboxSettings
from portal.sandbox.shell import CUT
from portal.sandbox.store import Store

IDLE_SECONDS = 75
# Room for the biggest mail in base64 inside JSON, and a little more to be able to refuse it.
MAX_BODY_BYTES = 64 * 1024 * 1024
RESET = struct.pack("ii", 1, 0)
Answer = tuple[str, list[tuple[str, str]], bytes]


class Handler(WSGIRequestHandler):
    """One kept-open HTTP/1.1 connection; werkzeug's own handler closes after every answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    wbufsize = -1

    def run_wsgi(self) -> None:
        body = self._read_body()
        if body is None:
            return
        environ = self.make_environ()
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        answer = self._call(environ)
        cut = environ.get(CUT)
        if isinstance(cut, ConnectionCut):
            self._cut(cut, answer)
        else:
            self._answer(*answer)

    def handle_expect_100(self) -> bool:
        allowed = super().handle_expect_100()
        self.wfile.flush()
        return allowed

    def finish(self) -> None:
        # A caller that gave up has closed its end: nothing is left to be told.
        with contextlib.suppress(OSError):
            super().finish()

    def _read_body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return bytes(self.make_environ()["wsgi.input"].read())
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._answer("413 Request Entity Too Large", [("Content-Length", "0")], b"")
            return None
        return self.rfile.read(int(length))

    def _call(self, environ: dict[str, Any]) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: object = None
        ) -> Callable[[bytes], object]:
            started.append((status, headers))
            return lambda data: None

        pieces: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            body = b"".join(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close:
                close()
        return (*started[-1], body)

    def _answer(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.wfile.write(self._head(status, headers, len(body)))
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: str, headers: list[tuple[str, str]], length: int) -> bytes:
        told = {name.lower() for name, _ in headers}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if "date" not in told:
            lines.append(f"Date: {self.date_time_string()}")
        if "content-length" not in told:
            lines.append(f"Content-Length: {length}")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _cut(self, cut: ConnectionCut, answer: Answer) -> None:
        self.close_connection = True
        time.sleep(cut.hang)
        if cut.how == "half":
            status, headers = "200 OK", [("Content-Type", "application/json; charset=UTF-8")]
            self.wfile.write(self._head(status, headers, 400) + b'{"id": "')
            self.wfile.flush()
        if cut.how == "reset":
            # Closing with nothing lingering makes the kernel answer with a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.server.drop(self.connection)  # type: ignore[attr-defined]

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: hundreds of sends a second would drown what matters."""


class Server(ThreadedWSGIServer):
    request_queue_size = 256
    daemon_threads = True
    # The threads of kept-open connections end with their sockets, not with a join.
    block_on_close = False

    def __init__(self, host: str, port: int, app: Flask) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(host, port, app, handler=Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def drop(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        connection.close()

    def drop_all(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class StandInServer(Running):
    """A stand-in's app in a thread of this process."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self.app, self._host, self._port = app, host, port
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Whatever it keeps open beside its sockets."""

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    def start(self) -> Self:
        self._server = Server(self._host, self._port, self.app)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name=self.app.name
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.drop_all()
        self._server = None
        self.close()

    def wait(self) -> None:
        assert self._thread is not None
        self._thread.join()


class SandboxServer(StandInServer):
    """A local Google: `with SandboxServer() as google: google.url`."""

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(create_sandbox(settings), host, port)

    @property
    def google(self) -> LocalGoogle:
        google: LocalGoogle = self.app.extensions["local_google"]
        return google

    @property
    def store(self) -> Store:
        return self.google.store

    def close(self) -> None:
        self.store.close()


def serve(
    host: str = "127.0.0.1",
    port: int = 8025,
    store_path: str | None = None,
    *,
    settings: SandboxSettings | None = None,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serves a local Google until SIGINT or SIGTERM."""
    settings = settings or SandboxSettings()
    settings.store_path = store_path or settings.store_path
    serve_until_told(SandboxServer(settings, host=host, port=port), ready)


def serve_until_told(stand_in: StandInServer, ready: Callable[[str], object] | None = None) -> None:
    """Blocks until SIGINT or SIGTERM; `ready` is told the address once it answers."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with stand_in as server:
        if ready:
            ready(server.url)
        ended.wait()
