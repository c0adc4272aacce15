"""The way to Google and back: what is checked on it, and what each failure says."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask, session

from portal.envelope import (
    NeedsSignIn,
    OperatorProblem,
    TryLater,
)
from portal.providers import google
from portal.providers.gmail import FULL_SCOPES, SCOPE
from portal.providers.signing import Account, Grant, SignInProblem
from tests import servers
from tests.factories import OFFICE
from tests.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

pytestmark = pytest.mark.sqlite_only
BACK = "http://127.0.0.1:8000/google/callback"


@pytest.fixture
def app(database: str, local_google: "SandboxServer") -> Flask:
    config = servers.config_of(
        DATABASE_URL=database, PROVIDER_TIMEOUT="1", **servers.pointed_at(local_google.url)
    )
    return servers.make_app(config)


@pytest.fixture
def there(app: Flask) -> Iterator["There"]:
    with app.test_request_context("/"):
        yield There(app)


class There:
    """One browser session that sets out for Google and comes back."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        answer, self.state = google.begin(BACK, FULL_SCOPES)
        self.sent_to = answer.headers["Location"]
        self.kept = dict(session)

    @property
    def asked(self) -> dict[str, str]:
        return {name: one[0] for name, one in parse_qs(urlsplit(self.sent_to).query).items()}

    def consent(self, local_google: "SandboxServer", **steps: Any) -> dict[str, str]:
        visitor = Visitor(local_google.url)
        visitor.open(self.sent_to)
        visitor.press("office@")
        visitor.press("Go to")
        visitor.press("Continue", **steps)
        return visitor.returned()

    def come_back(self, **query: str) -> tuple[Account, Grant]:
        with self.app.test_request_context("/google/callback", query_string=query):
            session.update(self.kept)
            try:
                return google.finish()
            finally:
                self.kept = dict(session)


def fault(local_google: "SandboxServer", method: str, kind: str, **more: Any) -> None:
    body = {"method": method, "kind": kind, **more}
    assert requests.post(f"{local_google.url}/_sandbox/faults", json=body, timeout=5).ok


def minted(local_google: "SandboxServer") -> str:
    body = {"email": OFFICE, "scopes": " ".join(FULL_SCOPES)}
    answer = requests.post(f"{local_google.url}/_sandbox/tokens", json=body, timeout=5)
    return str(answer.json()["refresh_token"])


def test_what_google_is_asked_for(there: There) -> None:
    asked = there.asked
    assert asked["redirect_uri"] == BACK
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert asked["access_type"] == "offline" and "consent" in asked["prompt"]
    assert asked["state"] == there.state and len(there.state) >= 20
    assert len(asked["nonce"]) >= 16
    assert set(asked["scope"].split()) == set(FULL_SCOPES)
    assert "local-client-secret" not in there.sent_to


def test_the_account_and_what_it_granted_come_back(
    there: There, local_google: "SandboxServer"
) -> None:
    account, grant = there.come_back(**there.consent(local_google))
    assert account.email == OFFICE and account.sub
    assert account.hosted_domain == "brightspark.example"
    assert grant.scopes == set(FULL_SCOPES)
    assert grant.refresh_token and grant.lifetime == 3599


def test_a_box_left_unticked_is_missing_from_the_grant(
    there: There, local_google: "SandboxServer"
) -> None:
    _, grant = there.come_back(**there.consent(local_google, untick="metadata"))
    assert SCOPE + "metadata" not in grant.scopes
    assert SCOPE + "compose" in grant.scopes


def test_a_state_counts_once_and_only_where_it_was_given(
    there: There, local_google: "SandboxServer"
) -> None:
    answer = there.consent(local_google)
    kept = dict(there.kept)
    for state in ("", "made-up", there.state[::-1]):
        with pytest.raises(SignInProblem) as problem:
            there.come_back(**answer | {"state": state})
        assert problem.value.code == "state"
    there.kept = {}
    with pytest.raises(SignInProblem) as problem:  # a stranger's browser
        there.come_back(**answer)
    assert problem.value.code == "state"
    there.kept = kept
    there.come_back(**answer)
    with pytest.raises(SignInProblem) as problem:
        there.come_back(**answer)
    assert problem.value.code == "state"
    there.kept = kept
    with pytest.raises(SignInProblem) as problem:  # an old cookie, and a code used before
        there.come_back(**answer)
    assert problem.value.code == "code"


@pytest.mark.parametrize(("field", "code"), [("nonce", "identity"), ("code_verifier", "code")])
def test_another_nonce_or_verifier_proves_nothing(
    field: str, code: str, there: There, local_google: "SandboxServer"
) -> None:
    answer = there.consent(local_google)
    [name] = [one for one in there.kept if one.endswith(there.state)]
    there.kept[name]["data"][field] = "x" * 48
    with pytest.raises(SignInProblem) as problem:
        there.come_back(**answer)
    assert problem.value.code == code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("access_denied", "cancelled", "nothing was changed"),
        ("server_error", "refused", "server_error"),
        ("invalid_client", "client", "GOOGLE_CLIENT_ID"),
    ],
)
def test_a_refusal_on_the_way_says_what_happened(
    there: There, error: str, code: str, said: str
) -> None:
    with pytest.raises(SignInProblem) as problem:
        there.come_back(error=error, state=there.state)
    assert problem.value.code == code and said in problem.value.message


@pytest.mark.parametrize("kind", ["500-before", "swallow", "cut-before", "garbage"])
def test_a_google_that_does_not_answer_is_said_to_be_out_of_reach(
    kind: str, there: There, local_google: "SandboxServer"
) -> None:
    answer = there.consent(local_google)
    fault(local_google, "token", kind)
    with pytest.raises(SignInProblem) as problem:
        there.come_back(**answer)
    assert problem.value.code == "unreachable"


def test_setting_out_without_google_says_so(app: Flask, local_google: "SandboxServer") -> None:
    fault(local_google, "discovery", "500-before")
    with app.test_request_context("/"), pytest.raises(SignInProblem) as problem:
        google.begin(BACK, FULL_SCOPES)
    assert problem.value.code == "unreachable"


# -- refreshing and revoking -----


def test_a_refresh_token_gives_access_and_stays_good(
    app: Flask, local_google: "SandboxServer"
) -> None:
    secret = minted(local_google)
    with app.app_context():
        first, second = google.refresh(secret), google.refresh(secret)
    assert first.access_token != second.access_token
    assert first.refresh_token == secret


@pytest.mark.parametrize("subtype", ["", "invalid_rapt"])
def test_a_revoked_sign_in_needs_a_person_and_keeps_googles_words(
    subtype: str, app: Flask, local_google: "SandboxServer"
) -> None:
    secret = minted(local_google)
    body = {"email": OFFICE, "error_subtype": subtype}
    requests.post(f"{local_google.url}/_sandbox/revoke", json=body, timeout=5)
    with app.app_context(), pytest.raises(NeedsSignIn) as problem:
        google.refresh(secret)
    assert "invalid_grant" in problem.value.words and subtype in problem.value.words


@pytest.mark.parametrize(
    "kind", ["500-before", "503-before", "swallow", "cut-before", "half-answer", "garbage", "429"]
)
def test_a_passing_trouble_is_tried_again(
    kind: str, app: Flask, local_google: "SandboxServer"
) -> None:
    secret = minted(local_google)
    with app.app_context():
        fault(local_google, "token", kind)
        with pytest.raises(TryLater):
            google.refresh(secret)
        assert google.refresh(secret).access_token


def test_a_hanging_google_is_left_after_the_time_out(
    app: Flask, local_google: "SandboxServer"
) -> None:
    secret = minted(local_google)
    fault(local_google, "token", "delay", delay=4)
    with app.app_context(), pytest.raises(TryLater):
        google.refresh(secret)


@pytest.mark.parametrize("answer", [{}, {"access_token": "x", "expires_in": "soon"}, [], None])
def test_an_answer_that_is_no_grant_is_no_crash(
    answer: Any, app: Flask, local_google: "SandboxServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests.Response, "json", lambda self, **_: answer)
    with app.app_context():
        client = google._client()
        client.server_metadata = {"token_endpoint": f"{local_google.url}/token", "_loaded_at": 1}
        with pytest.raises(TryLater):
            google.refresh("any")


def test_a_client_that_google_does_not_know_is_the_operators_matter(
    database: str, local_google: "SandboxServer"
) -> None:
    wrong = {"GOOGLE_CLIENT_SECRET": "wrong", **servers.pointed_at(local_google.url)}
    app = servers.make_app(servers.config_of(DATABASE_URL=database, **wrong))
    with app.app_context(), pytest.raises(OperatorProblem, match="client id or secret"):
        google.refresh(minted(local_google))


def test_a_grant_is_handed_back(app: Flask, local_google: "SandboxServer") -> None:
    secret = minted(local_google)
    with app.app_context():
        assert google.revoke(secret)
        assert not google.revoke(secret)
        fault(local_google, "revoke", "swallow")
        assert not google.revoke(minted(local_google))
        with pytest.raises(NeedsSignIn):
            google.refresh(secret)
