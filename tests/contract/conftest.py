"""A local Google whose every answer is held against Google's own discovery document."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Response, request
from google.oauth2.credentials import Credentials
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build_from_document

from portal.sandbox.server import SandboxServer
from portal.sandbox.settings import SandboxSettings
from portal.sandbox.shell import CUT
from tests.contract.discovery import Notary, document
from tests.sandbox.visitor import CALLBACK, GMAIL, OFFICE, Steering, Visitor

SCOPES = [
    "openid",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
    f"{GMAIL}compose",
    f"{GMAIL}settings.basic",
    f"{GMAIL}readonly",
]


@pytest.fixture(scope="session")
def watched() -> Iterator[tuple[SandboxServer, Notary]]:
    server, notary = SandboxServer(), Notary()

    def witness(answer: Response) -> Response:
        if CUT not in request.environ:
            notary.witness(request, answer)
        return answer

    server.app.after_request(witness)
    with server:
        yield server, notary


@pytest.fixture
def notary(watched: tuple[SandboxServer, Notary]) -> Iterator[Notary]:
    """Fails the test at its end if one answer was not as Google describes it."""
    server, notary = watched
    server.google.settings.steer(SandboxSettings().steerable())
    server.google.reset()
    notary.wrong.clear()
    notary.seen.clear()
    yield notary
    assert not notary.wrong, "\n".join(notary.wrong)
    assert notary.seen, "nothing was checked"


@pytest.fixture
def server(watched: tuple[SandboxServer, Notary], notary: Notary) -> SandboxServer:
    return watched[0]


@pytest.fixture
def steering(server: SandboxServer) -> Steering:
    return Steering(server.url)


@pytest.fixture
def flow(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """Google's own helper for signing in, told where the local Google is."""
    # It insists on HTTPS otherwise, and a stand-in on this machine has none.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client = {
        "client_id": "local-client-id",
        "client_secret": "local-client-secret",
        "auth_uri": f"{server.url}/o/oauth2/v2/auth",
        "token_uri": f"{server.url}/token",
    }
    return Flow.from_client_config({"web": client}, scopes=SCOPES, redirect_uri=CALLBACK)


@pytest.fixture
def credentials(flow: Flow, server: SandboxServer) -> Credentials:
    """What the office's person allowed, walked through all pages."""
    visitor = Visitor(server.url)
    visitor.open(flow.authorization_url(access_type="offline", prompt="consent")[0])
    for words in (OFFICE, "Go to Sendwright (unsafe)", "Continue"):
        visitor.press(words)
    flow.fetch_token(code=visitor.returned()["code"])
    found: Credentials = flow.credentials
    return found


@pytest.fixture
def official(credentials: Credentials, server: SandboxServer) -> Any:
    """Google's own client of the Gmail API, pointed at the local Google."""
    return official_client(server.url, credentials)


def official_client(origin: str, credentials: Credentials) -> Any:
    local = document() | {"rootUrl": f"{origin}/", "baseUrl": f"{origin}/", "mtlsRootUrl": ""}
    return build_from_document(local, credentials=credentials)
