"""Doors: a stand-in's two ports, one behind TLS and one in the open, in a thread of their own."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import tempfile
import threading
from abc import abstractmethod
from pathlib import Path
from typing import Self

from portal.sandbox import certificates
from portal.sandbox.running import Running

HOST = "127.0.0.1"


class Doors(Running):
    """tls_port, port: wanted, or any; then those that are listened at. shown: which of its
    certificates callers see. secure: whether the open door offers STARTTLS. folder: where the
    certificates lie; one that ends with the doors, unless given. authority: who signed them."""

    def __init__(
        self, name: str, tls_port: int, port: int, shown: str, *, secure: bool, folder: Path | None
    ) -> None:
        self._name, self._folder, self._own_folder = name, folder, folder is None
        self._wanted, self._shown, self._secure = (tls_port, port), shown, secure
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name=name)
        self._servers: tuple[asyncio.Server, ...] = ()
        self.tls_port = self.port = 0
        self.authority = Path()

    def start(self) -> Self:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"sendwright-{self._name}-"))
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

    # -- inside the thread -----------------------------------------------------------------------

    @abstractmethod
    async def _listen(self, tls_port: int, port: int) -> tuple[asyncio.Server, asyncio.Server]:
        """Both doors opened: with TLS, in the open."""

    async def _open(self) -> None:
        self._servers = await self._listen(*self._wanted)
        self.tls_port, self.port = (int(one.sockets[0].getsockname()[1]) for one in self._servers)

    def _context(self) -> ssl.SSLContext:
        """With the certificate of the moment."""
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
