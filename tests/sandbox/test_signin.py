"""Signing in at the local Google: the pages a person passes, and what the app gets for it."""

import time
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from portal.sandbox.server import SandboxServer
from tests.sandbox.visitor import CALLBACK, FULL, GMAIL, OFFICE, App, Gmail, Steering, Visitor

LONG_SCOPES = "https://www.googleapis.com/auth/userinfo.email"


def claims(server: SandboxServer, token: str) -> dict[str, Any]:
    """The id_token's claims, once its signature is checked against the published keys."""
    keys = KeySet.import_key_set(requests.get(f"{server.url}/oauth2/v3/certs", timeout=5).json())
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    assert decoded.header["kid"] == keys.keys[0].kid
    return dict(decoded.claims)


def test_the_pages_come_in_googles_order(visitor: Visitor, app: App) -> None:
    visitor.open("/o/oauth2/v2/auth", **app.ask())
    assert visitor.page and visitor.page.title == "Choose an account"
    visitor.press(OFFICE)
    assert visitor.page.title == "Google hasn’t verified this app"
    assert "Advanced" in visitor.page.text
    visitor.press("Go to Sendwright (unsafe)")
    assert visitor.page.title == "Sendwright wants access to your Google Account"
    assert len(visitor.page.soup.select("input[name=granted][checked]")) == 3
    visitor.press("Continue")
    back = visitor.returned()
    assert visitor.left_for and visitor.left_for.startswith(CALLBACK)
    assert back["state"] == "the-state"
    assert back["code"].startswith("4/0A")
    assert back["hd"] == "brightspark.example"


@pytest.mark.parametrize("button", ["Cancel", "Back to safety"])
def test_whoever_cancels_comes_back_with_access_denied(
    visitor: Visitor, app: App, button: str
) -> None:
    visitor.open("/o/oauth2/v2/auth", **app.ask(login_hint=OFFICE))
    if button == "Cancel":
        visitor.press("Go to Sendwright")
    visitor.press(button)
    assert visitor.returned() == {"state": "the-state", "error": "access_denied"}


def test_the_token_answer_says_who_signed_in_and_what_was_granted(
    server: SandboxServer, app: App
) -> None:
    tokens = app.sign_in()
    assert tokens["expires_in"] == 3599
    assert set(tokens["scope"].split()) == {
        "openid",
        LONG_SCOPES,
        "https://www.googleapis.com/auth/userinfo.profile",
        f"{GMAIL}compose",
        f"{GMAIL}settings.basic",
        f"{GMAIL}metadata",
    }
    told = claims(server, tokens["id_token"])
    assert told["iss"] == server.url
    assert told["aud"] == told["azp"] == "local-client-id"
    assert (told["email"], told["email_verified"]) == (OFFICE, True)
    assert told["hd"] == "brightspark.example"
    assert told["nonce"] == "the-nonce"
    assert abs(told["iat"] - time.time()) < 60
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    info = requests.get(f"{server.url}/v1/userinfo", headers=headers, timeout=5).json()
    assert (info["sub"], info["name"]) == (told["sub"], "Bright Spark Plumbing")


def test_a_personal_account_has_no_hosted_domain(server: SandboxServer, app: App) -> None:
    told = claims(server, app.sign_in("max@elsewhere.example")["id_token"])
    assert "hd" not in told


def test_a_box_left_unticked_is_missing_from_the_grant(server: SandboxServer, app: App) -> None:
    tokens = app.sign_in(untick="settings.basic")
    assert f"{GMAIL}settings.basic" not in tokens["scope"]
    assert f"{GMAIL}compose" in tokens["scope"]
    answer = Gmail(server.url, tokens["access_token"]).call("GET", "/settings/sendAs")
    assert answer.status_code == 403
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_a_hint_skips_the_chooser_unless_choosing_is_asked_for(visitor: Visitor, app: App) -> None:
    visitor.open("/o/oauth2/v2/auth", **app.ask(login_hint=OFFICE))
    assert visitor.page and visitor.page.title == "Google hasn’t verified this app"
    visitor.press("Use another account")
    assert visitor.page.title == "Choose an account"
    visitor.open("/o/oauth2/v2/auth", **app.ask(login_hint=OFFICE, prompt="select_account"))
    assert visitor.page.title == "Choose an account"
    assert "suggested" in visitor.page.text


def test_sign_in_alone_needs_no_warning_and_offers_no_boxes(visitor: Visitor, app: App) -> None:
    visitor.open("/o/oauth2/v2/auth", **app.ask(scope="openid email", login_hint=OFFICE))
    assert visitor.page and visitor.page.title.startswith("Sendwright wants access")
    assert not visitor.page.soup.select("input[type=checkbox]")


def test_an_internal_app_meets_no_warning(visitor: Visitor, app: App, steering: Steering) -> None:
    steering.tell("settings", internal_app=True)
    visitor.open("/o/oauth2/v2/auth", **app.ask(login_hint=OFFICE))
    assert visitor.page and visitor.page.title.startswith("Sendwright wants access")


def test_a_refresh_token_comes_with_the_first_consent_or_a_forced_one(app: App) -> None:
    assert "refresh_token" in app.sign_in()
    assert "refresh_token" not in app.sign_in()
    assert "refresh_token" in app.sign_in(prompt="consent")
    assert "refresh_token" not in app.sign_in("max@elsewhere.example", access_type="")


def test_who_consented_before_is_asked_nothing_again(visitor: Visitor, app: App) -> None:
    app.sign_in()
    visitor.open("/o/oauth2/v2/auth", **app.ask(login_hint=OFFICE))
    assert "code" in visitor.returned()
    visitor.open("/o/oauth2/v2/auth", **app.ask(login_hint=OFFICE, prompt="none"))
    assert "code" in visitor.returned()


@pytest.mark.parametrize(
    ("hint", "error"), [("", "interaction_required"), (OFFICE, "consent_required")]
)
def test_prompt_none_never_shows_a_page(visitor: Visitor, app: App, hint: str, error: str) -> None:
    visitor.open("/o/oauth2/v2/auth", **app.ask(prompt="none", login_hint=hint))
    assert visitor.returned()["error"] == error


def test_earlier_grants_are_included_when_asked_for(app: App) -> None:
    app.sign_in(scope=f"openid email {GMAIL}send")
    merged = app.sign_in(scope=f"openid email {GMAIL}metadata", include_granted_scopes="true")
    assert f"{GMAIL}send" in merged["scope"] and f"{GMAIL}metadata" in merged["scope"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_id": "another"}, "invalid_client"),
        ({"redirect_uri": "http://evil.example/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1.evil.example/"}, "redirect_uri_mismatch"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid spam"}, "invalid_scope"),
        ({"scope": ""}, "Missing required parameter: scope"),
    ],
)
def test_a_wrong_request_is_blocked_without_going_back_to_the_app(
    visitor: Visitor, app: App, changes: dict[str, str], words: str
) -> None:
    visitor.open("/o/oauth2/v2/auth", **app.ask(**changes))
    assert visitor.left_for is None and visitor.page
    assert visitor.page.title.startswith("Access blocked")
    assert words in visitor.page.text


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"code_verifier": "wrong" * 10}, "invalid_grant", "Invalid code verifier."),
        ({"code_verifier": ""}, "invalid_grant", "Missing code verifier."),
        ({"redirect_uri": CALLBACK + "2"}, "redirect_uri_mismatch", "Bad Request"),
        ({"code": "4/0Amade-up"}, "invalid_grant", "Malformed auth code."),
        ({"client_secret": "wrong"}, "invalid_client", "Unauthorized"),
        ({"client_id": "wrong"}, "invalid_client", "The OAuth client was not found."),
        ({"grant_type": "password"}, "unsupported_grant_type", "Invalid grant_type: password"),
    ],
)
def test_a_code_is_worth_nothing_without_all_that_belongs_to_it(
    app: App, changes: dict[str, str], error: str, description: str
) -> None:
    told = {"code": app.consented()["code"], "redirect_uri": CALLBACK}
    told |= {"code_verifier": app.verifier, "grant_type": "authorization_code", **changes}
    answer = app.token(**told)
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert answer.json() == {"error": error, "error_description": description}


def test_a_code_used_twice_takes_back_the_tokens_it_made(server: SandboxServer, app: App) -> None:
    code = app.consented()["code"]
    tokens = app.redeem(code).json()
    assert Gmail(server.url, tokens["access_token"]).get("/profile")["emailAddress"] == OFFICE
    assert app.redeem(code).json() == {
        "error": "invalid_grant",
        "error_description": "Bad Request",
    }
    assert Gmail(server.url, tokens["access_token"]).call("GET", "/profile").status_code == 401
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_does_not_keep(app: App, steering: Steering) -> None:
    code = app.consented()["code"]
    steering.tell("clock", advance=601)
    assert app.redeem(code).json()["error"] == "invalid_grant"


def test_an_app_may_show_its_secret_by_basic_authentication(app: App) -> None:
    data = {"grant_type": "authorization_code", "code": app.consented()["code"]}
    data |= {"redirect_uri": CALLBACK, "code_verifier": app.verifier}
    auth = (app.client_id, app.client_secret)
    answer = requests.post(f"{app.origin}/token", data=data, auth=auth, timeout=5)
    assert answer.status_code == 200
    wrong = requests.post(
        f"{app.origin}/token", data=data, auth=("local-client-id", "x"), timeout=5
    )
    assert wrong.status_code == 401


def test_an_access_token_lasts_an_hour_and_is_renewed_by_refreshing(
    server: SandboxServer, app: App, steering: Steering
) -> None:
    tokens = app.sign_in()
    mailbox = Gmail(server.url, tokens["access_token"])
    steering.tell("clock", advance=3_601)
    late = mailbox.call("GET", "/profile")
    assert late.status_code == 401
    assert late.json()["error"]["errors"][0]["reason"] == "authError"
    renewed = app.refresh(tokens["refresh_token"]).json()
    assert "refresh_token" not in renewed
    assert Gmail(server.url, renewed["access_token"]).get("/profile")["emailAddress"] == OFFICE


def test_revoking_one_token_takes_back_all_that_the_account_granted(
    server: SandboxServer, app: App
) -> None:
    first, second = app.sign_in(), app.sign_in(prompt="consent")
    revoke = {"token": first["access_token"]}
    assert requests.post(f"{server.url}/revoke", data=revoke, timeout=5).json() == {}
    assert app.refresh(second["refresh_token"]).json() == {
        "error": "invalid_grant",
        "error_description": "Token has been expired or revoked.",
    }
    assert Gmail(server.url, second["access_token"]).call("GET", "/profile").status_code == 401
    again = requests.post(f"{server.url}/revoke", data=revoke, timeout=5)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")
    assert "refresh_token" in app.sign_in()


def test_a_revocation_can_carry_googles_error_subtype(app: App, steering: Steering) -> None:
    tokens = app.sign_in()
    steering.tell("revoke", email=OFFICE, error_subtype="invalid_rapt")
    assert app.refresh(tokens["refresh_token"]).json() == {
        "error": "invalid_grant",
        "error_subtype": "invalid_rapt",
        "error_description": "reauth related error (invalid_rapt)",
    }


def test_an_app_in_testing_loses_its_tokens_after_seven_days(app: App, steering: Steering) -> None:
    steering.tell("settings", testing=True)
    tokens = app.sign_in()
    assert 604_000 < tokens["refresh_token_expires_in"] <= 604_800
    assert app.refresh(tokens["refresh_token"]).status_code == 200
    steering.tell("clock", advance=7 * 86_400 + 1)
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_the_hundred_and_first_token_quietly_kills_the_first(app: App, steering: Steering) -> None:
    oldest = steering.tell("tokens", email=OFFICE, scopes=FULL)["refresh_token"]
    for _ in range(99):
        newest = steering.tell("tokens", email=OFFICE, scopes=FULL)["refresh_token"]
    assert app.refresh(oldest).status_code == 200
    steering.tell("tokens", email=OFFICE, scopes=FULL)
    assert app.refresh(oldest).status_code == 400
    assert app.refresh(newest).status_code == 200
