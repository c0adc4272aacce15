"""The local Google, and whoever speaks to it."""

import pytest

from portal.sandbox.server import SandboxServer
from tests.sandbox.visitor import App, Gmail, Steering, Visitor


@pytest.fixture
def server(local_google: SandboxServer) -> SandboxServer:
    return local_google


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
