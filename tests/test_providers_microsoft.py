"""The way to Microsoft and back: what is checked on it, and what each failure says."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, session

from portal.envelope import NeedsSignIn, OperatorProblem, ProviderAnswer, TryLater
from portal.providers import microsoft
from portal.providers.graph import FULL_SCOPES, SEND_SHARED
from portal.providers.signing import Account, Grant, SignInProblem
from tests import servers
from tests.factories import OFFICE
from tests.office365 import Microsoft
from tests.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from portal.sandbox.microsoft import MicrosoftServer

pytestmark = pytest.mark.sqlite_only
BACK = "http://127.0.0.1:8000/microsoft/callback"


@pytest.fixture
def there(local_microsoft: "MicrosoftServer") -> Microsoft:
    return Microsoft(local_microsoft.url)


@pytest.fixture
def app(database: str, there: Microsoft) -> Flask:
    config = servers.config_of(DATABASE_URL=database, PROVIDER_TIMEOUT="2", **there.settings)
    return servers.make_app(config)


@pytest.fixture
def journey(app: Flask) -> Iterator["Journey"]:
    with app.test_request_context("/"):
        yield Journey(app)


class Journey:
    """One browser session that sets out for Microsoft and comes back."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        answer, self.state = microsoft.begin(BACK, FULL_SCOPES)
        self.sent_to = answer.headers["Location"]
        self.kept = dict(session)

    def consent(self, there: Microsoft, who: str = "office@", press: str = "Accept") -> Any:
        visitor = Visitor(there.url)
        visitor.open(self.sent_to)
        visitor.press(who)
        if visitor.left_for is None:
            visitor.press(press)
        return visitor.returned()

    def come_back(self, **query: str) -> tuple[Account, Grant]:
        with self.app.test_request_context("/microsoft/callback", query_string=query):
            session.update(self.kept)
            return microsoft.finish()

    def problem(self, **query: str) -> SignInProblem:
        with pytest.raises(SignInProblem) as caught:
            self.come_back(**query)
        return caught.value


def test_what_microsoft_is_asked_for(journey: Journey) -> None:
    asked = {name: one[0] for name, one in parse_qs(urlsplit(journey.sent_to).query).items()}
    assert asked["redirect_uri"] == BACK and asked["state"] == journey.state
    assert asked["code_challenge_method"] == "S256" and len(asked["nonce"]) >= 16
    assert set(asked["scope"].split()) == set(FULL_SCOPES)
    assert asked["prompt"] == "select_account"  # consent would ask who may not decide
    assert urlsplit(journey.sent_to).path == "/organizations/oauth2/v2.0/authorize"


def test_the_account_and_what_it_granted_come_back(journey: Journey, there: Microsoft) -> None:
    account, grant = journey.come_back(**journey.consent(there))
    [office] = [one for one in there.ask("state")["accounts"] if one["email"] == OFFICE]
    assert account == Account(f"{office['oid']}@{office['tenant_id']}", OFFICE, office["name"], "")
    assert set(FULL_SCOPES) - grant.scopes <= {"offline_access"} and grant.refresh_token


def test_an_issuer_of_another_tenant_proves_nothing(
    journey: Journey, there: Microsoft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several tenants the issuer holds the tenant's id: each token must name its own."""
    metadata = microsoft._client().load_server_metadata()
    assert "{tenantid}" in metadata["issuer"]
    for issuer in ("https://login.microsoftonline.com/{tenantid}/v2.0", "", "{tenantid}"):
        monkeypatch.setitem(metadata, "issuer", issuer)
        journey = Journey(journey.app)
        assert journey.problem(**journey.consent(there)).code == "identity"


def test_who_says_no_has_changed_nothing(journey: Journey, there: Microsoft) -> None:
    assert journey.problem(**journey.consent(there, press="Cancel")).code == "cancelled"


def test_where_users_may_not_consent_an_administrator_is_named(
    journey: Journey, there: Microsoft
) -> None:
    there.tell("tenants", domain="brightspark.example", users_consent=False)
    problem = journey.problem(**journey.consent(there, press="Return to"))
    assert problem.code == "approval" and "administrator" in problem.message


def test_an_account_without_a_mailbox_is_told_so(journey: Journey, there: Microsoft) -> None:
    answer = journey.consent(there, who="apprentice@")
    problem = journey.problem(**answer)
    assert problem.code == "mailbox" and "apprentice@brightspark.example has no mailbox" in str(
        problem
    )


def test_a_mailbox_that_is_not_in_the_cloud_is_told_so(journey: Journey, there: Microsoft) -> None:
    there.fault("messages.list", "no-mailbox")
    assert journey.problem(**journey.consent(there)).code == "mailbox"


def test_a_state_counts_once_and_only_where_it_was_given(
    journey: Journey, there: Microsoft
) -> None:
    answer = journey.consent(there)
    assert journey.problem(**answer | {"state": "made-up"}).code == "state"
    journey.come_back(**answer)
    assert journey.problem(**answer).code == "code"  # an old cookie, and a code used before


# -- fresh access -----

NUMBERS: list[tuple[int, type[ProviderAnswer], str]] = [
    (50173, NeedsSignIn, "withdrawn"),
    (700082, NeedsSignIn, "90 days"),
    (70008, NeedsSignIn, "ran out"),
    (65001, NeedsSignIn, "taken back"),
    (50076, NeedsSignIn, "second proof"),
    (50079, NeedsSignIn, "set up a second proof"),
    (50057, NeedsSignIn, "switched off"),
]


@pytest.mark.parametrize(("number", "kind", "said"), NUMBERS)
def test_a_sign_in_that_ended_says_why(
    app: Flask, there: Microsoft, number: int, kind: type[ProviderAnswer], said: str
) -> None:
    secret = there.grant()["refresh_token"]
    there.tell("revoke", email=OFFICE, code=number)
    with app.app_context(), pytest.raises(kind, match=said) as caught:
        microsoft.refresh(secret)
    assert f"AADSTS{number}" in caught.value.words and "Trace ID" not in caught.value.words


FAULTS: list[tuple[str, type[ProviderAnswer], str]] = [
    ("secret-expired", OperatorProblem, "client secret at Microsoft has run out"),
    ("429", TryLater, "could not be reached"),
    ("503-before", TryLater, "could not be reached"),
    ("cut-before", TryLater, "could not be reached"),
    ("garbage", TryLater, "could not be reached"),
    ("refuse", TryLater, "gave no new access"),
]


@pytest.mark.parametrize(("fault", "kind", "said"), FAULTS)
def test_what_is_no_fault_of_the_sign_in_ends_none(
    app: Flask, there: Microsoft, fault: str, kind: type[ProviderAnswer], said: str
) -> None:
    secret = there.grant()["refresh_token"]
    there.fault("token", fault)
    with app.app_context():
        with pytest.raises(kind, match=said):
            microsoft.refresh(secret)
        fresh = microsoft.refresh(secret)
    assert fresh.refresh_token and fresh.refresh_token != secret  # kept, or it ends in 90 days


def test_a_wrong_secret_is_the_operators(app: Flask, there: Microsoft) -> None:
    secret = there.grant()["refresh_token"]
    with app.app_context():
        microsoft._client().client_secret = "another"
        with pytest.raises(OperatorProblem, match="MICROSOFT_CLIENT_SECRET is wrong"):
            microsoft.refresh(secret)


# -- an administrator's approval -----


def test_the_link_for_the_administrator_allows_it_for_everybody(
    app: Flask, journey: Journey, there: Microsoft
) -> None:
    there.tell("tenants", domain="brightspark.example", users_consent=False)
    back = "http://127.0.0.1:8000/microsoft/approved"
    visitor = Visitor(there.url)
    visitor.open(microsoft.approval_address(app.config["PORTAL"], back))
    visitor.press("olive@")
    visitor.press("Accept")
    assert visitor.returned()["admin_consent"] == "True"
    account, _ = journey.come_back(**journey.consent(there))
    assert account.email == OFFICE


def test_personal_accounts_are_not_asked_for_what_they_do_not_know(app: Flask) -> None:
    config = app.config["PORTAL"]
    assert SEND_SHARED in microsoft.scopes_of(config)
    common = config.model_copy(update={"MICROSOFT_TENANT": "common"})
    assert SEND_SHARED not in microsoft.scopes_of(common)
    assert "/organizations/v2.0/adminconsent?" in microsoft.approval_address(common, BACK)
