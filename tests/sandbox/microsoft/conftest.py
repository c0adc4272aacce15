"""One local Microsoft for all tests here, as new before each of them, and quick to send."""

import pytest

from portal.sandbox.microsoft import MicrosoftServer
from tests.sandbox.microsoft.client import Graph, Microsoft, SignIn
from tests.sandbox.visitor import Visitor


@pytest.fixture
def microsoft(local_microsoft: MicrosoftServer) -> Microsoft:
    local_microsoft.microsoft.settings.steer({"send_delay": 0.0})
    return Microsoft(local_microsoft.url)


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
