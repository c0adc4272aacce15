"""Server: the local letterbox's two doors, in a thread of their own."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from portal.sandbox.letterbox.boxes import Boxes
from portal.sandbox.letterbox.conversation import Conversation
from portal.sandbox.post import certificates

HOST = "127.0.0.1"


class Letterbox:
    """A local IMAP server: `with Letterbox() as letterbox: letterbox.tls_port`.

    tls_port speaks TLS from the first byte; port offers STARTTLS, or with secure=False nothing of
    the kind. folder: where the certificates lie; one that ends with the server, unless given.
    """

    def __init__(
        self,
        *,
        tls_port: int = 0,
        port: int = 0,
        secure: bool = True,
        folder: Path | None = None,
        boxes: Boxes | None = None,
    ) -> None:
        self.boxes = boxes or Boxes()
        self._folder, self._own_folder = folder, folder is None
        self._wanted, self._shown, self._secure = (tls_port, port), "good", secure
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self.tls_port = self.port = 0
        self.authority = Path()

    def start(self) -> Self:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sendwright-letterbox-"))
        self.authority = self._folder / "authority.pem"
        if not self.authority.exists():
            certificates.make_all(self._folder)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if self._own_folder and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- inside the thread -----------------------------------------------------------------------

    async def _listen(self) -> None:
        tls_port, port = self._wanted
        tls = await asyncio.start_server(self._behind_tls, HOST, tls_port, ssl=self._context())
        plain = await asyncio.start_server(self._in_the_open, HOST, port)
        self._servers = [tls, plain]
        self.tls_port, self.port = (int(one.sockets[0].getsockname()[1]) for one in self._servers)

    async def _behind_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Conversation(self.boxes, reader, writer, None).run()

    async def _in_the_open(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tls = self._context() if self._secure else None
        await Conversation(self.boxes, reader, writer, tls).run()

    def _context(self) -> ssl.SSLContext:
        assert self._folder is not None
        return certificates.context(self._folder, self._shown)

    async def _close(self) -> None:
        for one in self._servers:
            one.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
