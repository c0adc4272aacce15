"""Server: the local mail server's two doors, in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from portal.sandbox.post import certificates
from portal.sandbox.post.conversation import Conversation, Handler
from portal.sandbox.post.desk import Desk

HOST = "127.0.0.1"
# It tells of every line of every client, and warns of itself.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


class Post:
    """A local mail server: `with Post() as post: post.tls_port`.

    tls_port speaks TLS from the first byte; port offers STARTTLS, or with secure=False nothing of
    the kind. shown: which of its certificates callers see. open_to_all: nobody has to log in.
    folder: where the certificates lie; one that ends with the server, unless given.
    """

    def __init__(
        self,
        *,
        tls_port: int = 0,
        port: int = 0,
        shown: str = "good",
        secure: bool = True,
        open_to_all: bool = False,
        folder: Path | None = None,
        desk: Desk | None = None,
    ) -> None:
        self.desk = desk or Desk()
        self._folder, self._own_folder = folder, folder is None
        self._wanted, self._shown, self._secure = (tls_port, port), shown, secure
        self._handler = Handler(self.desk, open_to_all=open_to_all)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name="local mail server")
        self._servers: list[asyncio.Server] = []
        self.tls_port = self.port = 0
        self.authority = Path()

    def start(self) -> Self:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sendwright-post-"))
        self.authority = self._folder / "authority.pem"
        if not self.authority.exists():
            certificates.make_all(self._folder)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if self._own_folder and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def show(self, shown: str) -> None:
        """From the next connection on, another certificate."""
        self._shown = shown

    # -- inside the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.run_forever()

    async def _open(self) -> None:
        wanted_tls, wanted = self._wanted
        tls = await self._listen(self._behind_tls, wanted_tls)
        plain = await self._listen(self._in_the_open, wanted)
        self.tls_port, self.port = _port_of(tls), _port_of(plain)

    async def _listen(self, make: Callable[[], asyncio.BaseProtocol], port: int) -> asyncio.Server:
        made = await self._loop.create_server(make, HOST, port)
        self._servers.append(made)
        return made

    def _behind_tls(self) -> asyncio.BaseProtocol:
        return _TlsDoor(self._conversation(auth_require_tls=False), self._context())

    def _in_the_open(self) -> asyncio.BaseProtocol:
        if not self._secure:
            return self._conversation(auth_require_tls=False)
        return self._conversation(tls_context=self._context())

    def _conversation(self, **more: Any) -> Conversation:
        return Conversation(
            self.desk,
            self._handler,
            hostname="mail.inner.lan",
            loop=self._loop,
            authenticator=self._handler.authenticate,
            **more,
        )

    def _context(self) -> Any:
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


class _TlsDoor(asyncio.Protocol):
    """Puts TLS, with the certificate of the moment, before a conversation."""

    def __init__(self, inner: Conversation, context: Any) -> None:
        self._inner, self._context = inner, context

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._wrap(transport))

    async def _wrap(self, transport: asyncio.BaseTransport) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            wrapped = await loop.start_tls(
                transport,  # type: ignore[arg-type]
                self._inner,
                self._context,
                server_side=True,
            )
            if wrapped is not None:
                self._inner.connection_made(wrapped)


def _port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])
