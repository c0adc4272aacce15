"""One local Google for all tests here, as new before each of them."""

from collections.abc import Iterator

import pytest

from portal.sandbox.server import SandboxServer
from portal.sandbox.settings import SandboxSettings
from tests.sandbox.visitor import App, Gmail, Steering, Visitor


@pytest.fixture(scope="session")
def running() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    fresh = SandboxSettings()
    running.google.settings.domains = fresh.domains
    running.google.settings.steer(fresh.steerable())
    running.google.reset()
    return running


@pytest.fixture
def steering(server: SandboxServer) -> Steering:
    return Steering(server.url)


@pytest.fixture
def app(server: SandboxServer) -> App:
    return App(server.url)


@pytest.fixture
def visitor(server: SandboxServer) -> Visitor:
    return Visitor(server.url)


@pytest.fixture
def gmail(steering: Steering) -> Gmail:
    """The office's mailbox, with all that the portal asks for."""
    return steering.gmail()
