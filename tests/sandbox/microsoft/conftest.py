"""One local Microsoft for all tests here, as new before each of them, and quick to send."""

from collections.abc import Iterator

import pytest

from portal.sandbox.microsoft import MicrosoftServer, MicrosoftSettings
from tests.sandbox.microsoft.client import Graph, Microsoft, SignIn
from tests.sandbox.visitor import Visitor


@pytest.fixture(scope="session")
def running_microsoft() -> Iterator[MicrosoftServer]:
    with MicrosoftServer() as server:
        yield server


@pytest.fixture
def microsoft(running_microsoft: MicrosoftServer) -> Microsoft:
    local, fresh = running_microsoft.microsoft, MicrosoftSettings(send_delay=0.0)
    local.settings.domains = fresh.domains
    local.settings.steer(fresh.steerable())
    local.reset()
    return Microsoft(running_microsoft.url)


@pytest.fixture
def sign_in(microsoft: Microsoft) -> SignIn:
    return SignIn(microsoft.origin)


@pytest.fixture
def visitor(microsoft: Microsoft) -> Visitor:
    return Visitor(microsoft.origin)


@pytest.fixture
def graph(microsoft: Microsoft) -> Graph:
    """The office's mailbox."""
    return microsoft.graph()
