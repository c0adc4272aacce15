"""Server: the local mail server's two doors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

from portal.sandbox.doors import HOST, Doors
from portal.sandbox.post.conversation import Conversation, Handler
from portal.sandbox.post.desk import Desk

# It tells of every line of every client, and warns of itself.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


class Post(Doors):
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
        super().__init__("post", tls_port, port, shown, secure=secure, folder=folder)
        self.desk = desk or Desk()
        self._handler = Handler(self.desk, open_to_all=open_to_all)

    def show(self, shown: str) -> None:
        """From the next connection on, another certificate."""
        self._shown = shown

    async def _listen(self, tls_port: int, port: int) -> tuple[asyncio.Server, asyncio.Server]:
        return (
            await self._loop.create_server(self._behind_tls, HOST, tls_port),
            await self._loop.create_server(self._in_the_open, HOST, port),
        )

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
