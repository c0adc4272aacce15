"""Server: the local letterbox's two doors."""

from __future__ import annotations

import asyncio
from pathlib import Path

from portal.sandbox.doors import HOST, Doors
from portal.sandbox.letterbox.boxes import Boxes
from portal.sandbox.letterbox.conversation import Conversation


class Letterbox(Doors):
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
        super().__init__("letterbox", tls_port, port, "good", secure=secure, folder=folder)
        self.boxes = boxes or Boxes()

    async def _listen(self, tls_port: int, port: int) -> tuple[asyncio.Server, asyncio.Server]:
        return (
            await asyncio.start_server(self._behind_tls, HOST, tls_port, ssl=self._context()),
            await asyncio.start_server(self._in_the_open, HOST, port),
        )

    async def _behind_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Conversation(self.boxes, reader, writer, None).run()

    async def _in_the_open(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tls = self._context() if self._secure else None
        await Conversation(self.boxes, reader, writer, tls).run()
