"""Signing in with Google, through Authlib: consent, refresh and revocation.

All addresses come from the discovery document that GOOGLE_DISCOVERY_URL names. Error bodies of the
token endpoint: Google's OAuth 2.0 guides ("web-server", "token expiration"); `error_subtype` is
read from the raw answer, since Authlib keeps only `error` and `error_description`.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from flask import Flask, Response, current_app

from portal.config import Config
from portal.envelope import NeedsSignIn, OperatorProblem, ProviderAnswer, TryLater
from portal.providers import signing
from portal.providers.signing import Account, Grant, SignInProblem

EXTENSION = "sendwright.google"
#: What Google calls the sign-in scopes in its answers.
SPELLINGS = {
    "https://www.googleapis.com/auth/userinfo.email": "email",
    "https://www.googleapis.com/auth/userinfo.profile": "profile",
}
#: Dead until somebody signs in again, whatever we try.
DEAD_GRANT = {"invalid_grant", "admin_policy_enforced", "unauthorized_client", "access_denied"}
#: The operator's own set-up is wrong; no person's sign-in would help.
DEAD_CLIENT = {"invalid_client", "deleted_client"}


def register(app: Flask, config: Config) -> None:
    """Make the app's Google client. Nothing is fetched before it is first used."""
    app.extensions[EXTENSION] = signing.client_of(
        app,
        "google",
        config.GOOGLE_CLIENT_ID,
        config.GOOGLE_CLIENT_SECRET,
        config.GOOGLE_DISCOVERY_URL,
        config.PROVIDER_TIMEOUT,
    )


def begin(redirect_uri: str, scopes: Sequence[str], login_hint: str = "") -> tuple[Response, str]:
    """Send the browser to Google. Returns the redirect and its state."""
    wishes = {"access_type": "offline", "prompt": "consent select_account"}
    if login_hint:
        wishes |= {"login_hint": login_hint, "prompt": "consent"}
    return signing.set_out(_client(), "Google", redirect_uri, scopes, wishes)


def forget(state: str) -> None:
    """Drop what begin() left in the session: nobody is expected back with this state."""
    signing.drop_state(_client(), state)


def finish() -> tuple[Account, Grant]:
    """Take the browser's return. Checks state, PKCE, nonce, issuer and audience."""
    token = signing.come_back(_client(), "Google", _sign_in_problem)
    who = token.get("userinfo") or {}
    if not who.get("sub") or not who.get("email"):
        raise SignInProblem("identity", "Google did not say which account signed in.")
    if str(who.get("email_verified", True)).lower() != "true":
        raise SignInProblem("identity", f"Google has not verified that {who['email']} is theirs.")
    account = Account(
        str(who["sub"]),
        str(who["email"]).lower(),
        str(who.get("name", "")),
        str(who.get("hd", "")),
    )
    return account, signing.grant_of(token, _spelt)


def refresh(refresh_token: str) -> Grant:
    """A fresh access token. Raises NeedsSignIn, OperatorProblem or TryLater."""
    return signing.renewed(_client(), "Google", refresh_token, _refresh_problem, _spelt)


def revoke(token: str) -> bool:
    """Hand the grant back. It ends every grant of this account to the whole Cloud project."""
    client = _client()
    try:
        endpoint = client.load_server_metadata()["revocation_endpoint"]
        timeout = client.client_kwargs["default_timeout"]
        return requests.post(endpoint, data={"token": token}, timeout=timeout).ok
    except (requests.RequestException, ValueError, KeyError):
        return False


UNREACHABLE = signing.unreachable("Google")


def _client() -> Any:
    return current_app.extensions[EXTENSION]


def _spelt(scope: str) -> str:
    return SPELLINGS.get(scope, scope)


def _sign_in_problem(problem: OAuthError) -> SignInProblem:
    error = problem.error or ""
    if error == "access_denied":
        return SignInProblem("cancelled", signing.DECLINED)
    if error == "mismatching_state":
        return SignInProblem("state", signing.STALE)
    if error in DEAD_CLIENT:
        return SignInProblem(
            "client",
            "Google does not know this portal: GOOGLE_CLIENT_ID or GOOGLE_CLIENT_SECRET is wrong.",
        )
    if error == "invalid_grant":
        return SignInProblem("code", "Google's answer had expired or was used before. Start again.")
    return SignInProblem("refused", f"Google refused the sign-in ({error or 'no reason given'}).")


def _refresh_problem(problem: OAuthError, raw: requests.Response | None) -> ProviderAnswer:
    error, subtype = problem.error or "", ""
    status = raw.status_code if raw is not None else 0
    if raw is not None:
        with contextlib.suppress(ValueError, AttributeError):
            subtype = str(raw.json().get("error_subtype", ""))
    words = " ".join(filter(None, [str(status), error, subtype, problem.description or ""]))
    if status >= 500 or status == 429:
        return TryLater(UNREACHABLE, words)
    if error in DEAD_CLIENT:
        return OperatorProblem("Google no longer accepts this portal's client id or secret.", words)
    if error in DEAD_GRANT:
        return NeedsSignIn("Google no longer accepts this mailbox's sign-in.", words)
    return TryLater(f"Google gave no new access ({error or status}).", words)
