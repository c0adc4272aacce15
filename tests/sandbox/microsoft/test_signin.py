"""Signing in at the local Microsoft: its pages, its tokens, and who may consent to what."""

from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from portal.sandbox.microsoft.directory import BRIGHT_SPARK, CONSUMERS, COPPER_CO
from tests.sandbox.microsoft.client import (
    ACCOUNTS,
    CALLBACK,
    MARY,
    NIA,
    OFFICE,
    OLIVE,
    ORDERS,
    Graph,
    Microsoft,
    SignIn,
    refused,
    sts_refused,
)
from tests.sandbox.visitor import Visitor

DAY = 86_400
IT = "it@copperco.example"


def authorize(tenant: str = "organizations") -> str:
    return f"/{tenant}/oauth2/v2.0/authorize"


def claims(microsoft: Microsoft, token: str) -> dict[str, Any]:
    """The id_token's claims, once its signature is checked against the published keys."""
    found = requests.get(f"{microsoft.origin}/common/discovery/v2.0/keys", timeout=5).json()
    return dict(jwt.decode(token, KeySet.import_key_set(found), algorithms=["RS256"]).claims)


# Discovery


@pytest.mark.parametrize(
    ("tenant", "issuer"),
    [
        ("common", "{tenantid}"),
        ("organizations", "{tenantid}"),
        ("consumers", CONSUMERS),
        ("brightspark.example", BRIGHT_SPARK),
        (COPPER_CO, COPPER_CO),
    ],
)
def test_several_tenants_share_an_issuer_with_a_gap_in_it(
    microsoft: Microsoft, tenant: str, issuer: str
) -> None:
    path = f"{microsoft.origin}/{tenant}/v2.0/.well-known/openid-configuration"
    known = requests.get(path, timeout=5).json()
    assert known["issuer"] == f"{microsoft.origin}/{issuer}/v2.0"
    assert known["token_endpoint"].startswith(microsoft.origin)


def test_a_tenant_nobody_knows_is_refused(microsoft: Microsoft) -> None:
    path = f"{microsoft.origin}/nowhere.example/v2.0/.well-known/openid-configuration"
    sts_refused(requests.get(path, timeout=5), 400, "invalid_tenant", 90002)


# Pages


def test_the_pages_come_in_microsofts_order(visitor: Visitor, sign_in: SignIn) -> None:
    visitor.open(authorize(), **sign_in.ask())
    assert visitor.page and visitor.page.title == "Pick an account"
    assert ACCOUNTS not in visitor.page.text, "nobody signs in as a shared mailbox"
    assert MARY not in visitor.page.text, "a personal account is no organisation's"
    visitor.press(OFFICE)
    assert visitor.page.title == "Permissions requested"
    assert "Send mail as you" in visitor.page.text and "unverified" in visitor.page.text
    visitor.press("Accept")
    back = visitor.returned()
    assert visitor.left_for and visitor.left_for.startswith(CALLBACK)
    assert back["state"] == "the-state" and back["code"]


def test_who_declines_comes_back_with_microsofts_words(visitor: Visitor, sign_in: SignIn) -> None:
    visitor.open(authorize(), **sign_in.ask(login_hint=OFFICE))
    visitor.press("Cancel")
    back = visitor.returned()
    assert (back["error"], back["error_subcode"]) == ("access_denied", "cancel")
    assert back["error_description"].startswith("AADSTS65004: ")


def test_who_consented_before_is_asked_nothing_again(visitor: Visitor, sign_in: SignIn) -> None:
    sign_in.sign_in()
    visitor.open(authorize(), **sign_in.ask(login_hint=OFFICE))
    assert "code" in visitor.returned()
    visitor.open(authorize(), **sign_in.ask(login_hint=OFFICE, prompt="none"))
    assert "code" in visitor.returned()
    visitor.open(authorize(), **sign_in.ask(login_hint=OFFICE, prompt="consent"))
    assert visitor.page and visitor.page.title == "Permissions requested"
    visitor.open(authorize(), **sign_in.ask(login_hint=OFFICE, prompt="select_account"))
    assert visitor.page.title == "Pick an account" and "suggested" in visitor.page.text


@pytest.mark.parametrize(
    ("hint", "error", "number"),
    [("", "login_required", 50058), (OFFICE, "consent_required", 65001)],
)
def test_prompt_none_never_shows_a_page(
    visitor: Visitor, sign_in: SignIn, hint: str, error: str, number: int
) -> None:
    visitor.open(authorize(), **sign_in.ask(prompt="none", login_hint=hint))
    back = visitor.returned()
    assert back["error"] == error
    assert back["error_description"].startswith(f"AADSTS{number}: ")


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"client_id": "another"}, 700016),
        ({"redirect_uri": "http://evil.example/callback"}, 50011),
        ({"redirect_uri": "http://127.0.0.1.evil.example/"}, 50011),
        ({"response_type": "token"}, 700054),
        ({"scope": "openid spam"}, 70011),
        ({"login_hint": MARY}, 50020),
        ({"login_hint": ACCOUNTS}, 50057),
    ],
)
def test_an_impossible_request_ends_on_a_page_of_microsofts(
    visitor: Visitor, sign_in: SignIn, changes: dict[str, str], number: int
) -> None:
    visitor.open(authorize(), **sign_in.ask(**changes))
    assert visitor.page and f"AADSTS{number}: " in visitor.page.text


# Administrators


def test_where_people_may_not_consent_an_administrator_has_to(
    visitor: Visitor, sign_in: SignIn
) -> None:
    visitor.open(authorize(), **sign_in.ask(login_hint=ORDERS))
    assert visitor.page and visitor.page.title == "Need admin approval"
    visitor.press("Return to the application")
    back = visitor.returned()
    assert back["error"] == "access_denied" and "AADSTS90094" in back["error_description"]

    asked = {**sign_in.ask(state="for-all"), "response_type": ""}
    visitor.open(f"/{COPPER_CO}/v2.0/adminconsent", **asked)
    visitor.press(ORDERS)
    assert visitor.page.title.startswith("You can’t accept this")
    visitor.press("Use another account")
    visitor.press(IT)
    assert "for all users in Copper & Co" in visitor.page.text
    visitor.press("Accept")
    back = visitor.returned()
    assert (back["admin_consent"], back["tenant"], back["state"]) == ("True", COPPER_CO, "for-all")
    assert "Mail.Send" in back["scope"].split()
    assert sign_in.sign_in(ORDERS, login_hint=ORDERS)["access_token"]


def test_an_administrator_who_cancels_comes_back_without_consent(
    visitor: Visitor, sign_in: SignIn
) -> None:
    visitor.open(f"/{COPPER_CO}/adminconsent", client_id=sign_in.ask()["client_id"],
                 redirect_uri=CALLBACK, state="the-state")  # fmt: skip
    visitor.press(IT)
    visitor.press("Cancel")
    back = visitor.returned()
    assert (back["error"], back["state"]) == ("permission_denied", "the-state")


def test_an_administrator_may_accept_for_everybody_on_the_way(
    visitor: Visitor, sign_in: SignIn
) -> None:
    visitor.open(authorize(), **sign_in.ask(login_hint=OLIVE))
    visitor.press("Accept", {"everybody": "1"})
    assert "code" in visitor.returned()
    visitor.open(authorize(), **sign_in.ask(login_hint=NIA))
    assert "code" in visitor.returned(), "Nia is not asked"


def test_who_presses_accept_without_the_right_gets_nothing(
    microsoft: Microsoft, sign_in: SignIn
) -> None:
    told = {**sign_in.ask(), "tenant": COPPER_CO, "account": ORDERS, "decision": "accept"}
    answer = requests.post(f"{microsoft.origin}/signin/consent", data=told, timeout=5)
    assert answer.status_code == 400 and "AADSTS90094" in answer.text


# Tokens


def test_the_token_answer_says_who_signed_in_and_of_which_tenant(
    microsoft: Microsoft, sign_in: SignIn
) -> None:
    tokens = sign_in.sign_in()
    assert tokens["expires_in"] == 3599
    assert set(tokens["scope"].split()) == {
        *("openid", "profile", "email", "User.Read", "Mail.ReadWrite", "Mail.Send"),
    }
    told = claims(microsoft, tokens["id_token"])
    assert told["iss"] == f"{microsoft.origin}/{BRIGHT_SPARK}/v2.0"
    assert (told["tid"], told["ver"], told["nonce"]) == (BRIGHT_SPARK, "2.0", "the-nonce")
    assert told["preferred_username"] == told["email"] == OFFICE
    assert told["sub"] != told["oid"], "one is the app's own, the other the account's"
    me = Graph(microsoft.origin, tokens["access_token"]).get("")
    assert (me["id"], me["mail"]) == (told["oid"], OFFICE)


def test_a_personal_account_belongs_to_the_tenant_of_all_of_them(
    microsoft: Microsoft, sign_in: SignIn
) -> None:
    tokens = sign_in.sign_in(MARY, tenant="common")
    assert claims(microsoft, tokens["id_token"])["tid"] == CONSUMERS


def test_without_offline_access_there_is_no_refresh_token(sign_in: SignIn) -> None:
    assert "refresh_token" not in sign_in.sign_in(scope="openid User.Read Mail.Send")


def test_scopes_may_be_asked_for_by_their_whole_name(microsoft: Microsoft, sign_in: SignIn) -> None:
    whole = "openid https://graph.microsoft.com/Mail.Send " + f"{microsoft.origin}/User.Read"
    assert sign_in.sign_in(scope=whole)["scope"] == "User.Read Mail.Send openid"


def test_who_keeps_each_new_refresh_token_stays_signed_in(
    microsoft: Microsoft, sign_in: SignIn
) -> None:
    first = sign_in.sign_in()["refresh_token"]
    kept = first
    for _ in range(3):
        microsoft.tell("clock", advance=60 * DAY)
        answer = sign_in.refresh(kept)
        assert answer.status_code == 200, answer.text
        assert answer.json()["refresh_token"] != kept
        kept = answer.json()["refresh_token"]
    body = sts_refused(sign_in.refresh(first), 400, "invalid_grant", 700082)
    assert "was inactive for 90.00:00:00" in body["error_description"]


@pytest.mark.parametrize(
    ("number", "error", "suberror"),
    [
        (50173, "invalid_grant", "bad_token"),
        (700082, "invalid_grant", None),
        (70008, "invalid_grant", None),
        (65001, "invalid_grant", "consent_required"),
        (50076, "invalid_grant", "basic_action"),
        (50079, "interaction_required", "basic_action"),
        (50057, "invalid_grant", None),
    ],
)
def test_a_grant_that_ended_says_why_in_its_number(
    microsoft: Microsoft, sign_in: SignIn, number: int, error: str, suberror: str | None
) -> None:
    tokens = sign_in.sign_in()
    assert microsoft.tell("revoke", email=OFFICE, code=number) == {"revoked": 1}
    body = sts_refused(sign_in.refresh(tokens["refresh_token"]), 400, error, number)
    assert body.get("suberror") == suberror
    answer = Graph(microsoft.origin, tokens["access_token"]).call("GET", "/messages")
    refused(answer, 401, "InvalidAuthenticationToken")


def test_a_code_serves_once_with_its_verifier_and_for_ten_minutes(
    microsoft: Microsoft, sign_in: SignIn
) -> None:
    code = sign_in.consented()["code"]
    wrong = sign_in.redeem(code, code_verifier="another")
    sts_refused(wrong, 400, "invalid_grant", 501481)
    assert sign_in.redeem(code).status_code == 200
    sts_refused(sign_in.redeem(code), 400, "invalid_grant", 54005)
    late = sign_in.consented()["code"]
    microsoft.tell("clock", advance=601)
    sts_refused(sign_in.redeem(late), 400, "invalid_grant", 70008)
    sts_refused(sign_in.redeem("made up"), 400, "invalid_grant", 70000)
    sts_refused(sign_in.refresh("made up"), 400, "invalid_grant", 70000)


def test_the_app_has_to_prove_itself(microsoft: Microsoft, sign_in: SignIn) -> None:
    token = sign_in.sign_in()["refresh_token"]
    wrong = sign_in.refresh(token, client_secret="wrong")
    sts_refused(wrong, 401, "invalid_client", 7000215)
    sts_refused(sign_in.refresh(token, client_id="x"), 400, "unauthorized_client", 700016)
    microsoft.tell("settings", secret_expired=True)
    sts_refused(sign_in.refresh(token), 401, "invalid_client", 7000222)
    sts_refused(sign_in.token(grant_type="refresh_token"), 401, "invalid_client", 7000222)
    microsoft.tell("settings", secret_expired=False)
    sts_refused(sign_in.token(grant_type="refresh_token"), 400, "invalid_request", 900144)
    sts_refused(sign_in.token(grant_type="password"), 400, "unsupported_grant_type", 70003)
    basic = requests.post(
        f"{microsoft.origin}/common/oauth2/v2.0/token",
        data={"grant_type": "refresh_token", "refresh_token": token},
        auth=("10ca1000-0000-4000-8000-000000000001", "local-microsoft-secret"),
        timeout=5,
    )
    assert basic.status_code == 200


def test_a_refresh_cannot_ask_for_more_than_was_granted(sign_in: SignIn) -> None:
    token = sign_in.sign_in()["refresh_token"]
    more = sign_in.refresh(token, scope="Mail.Send.Shared")
    sts_refused(more, 400, "invalid_grant", 65001)
    assert sign_in.refresh(token, scope="Mail.Send").status_code == 200
