"""MicrosoftServer: serves a local Microsoft over real sockets, which its faults may really cut."""

from __future__ import annotations

from collections.abc import Callable

from portal.sandbox.microsoft.app import create_local_microsoft
from portal.sandbox.microsoft.microsoft import LocalMicrosoft
from portal.sandbox.microsoft.settings import MicrosoftSettings
from portal.sandbox.server import StandInServer, serve_until_told
from portal.sandbox.store import Store


class MicrosoftServer(StandInServer):
    """A local Microsoft: `with MicrosoftServer() as microsoft: microsoft.url`."""

    def __init__(
        self,
        settings: MicrosoftSettings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(create_local_microsoft(settings), host, port)

    @property
    def microsoft(self) -> LocalMicrosoft:
        microsoft: LocalMicrosoft = self.app.extensions["local_microsoft"]
        return microsoft

    @property
    def store(self) -> Store:
        return self.microsoft.store

    def close(self) -> None:
        self.store.close()


def serve(
    host: str = "127.0.0.1",
    port: int = 8026,
    store_path: str | None = None,
    *,
    settings: MicrosoftSettings | None = None,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serves a local Microsoft until SIGINT or SIGTERM."""
    settings = settings or MicrosoftSettings()
    settings.store_path = store_path or settings.store_path
    serve_until_told(MicrosoftServer(settings, host=host, port=port), ready)
