"""Signing in with Google, through Authlib: consent, refresh and revocation.

All addresses come from the discovery document that GOOGLE_DISCOVERY_URL names. Error bodies of the
token endpoint: Google's OAuth 2.0 guides ("web-server", "token expiration"); `error_subtype` is
read from the raw answer, since Authlib keeps only `error` and `error_description`.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, current_app, session
from joserfc.errors import JoseError

from portal.config import Config
from portal.envelope import NeedsSignIn, OperatorProblem, ProviderAnswer, TryLater

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


@dataclass(frozen=True)
class Grant:
    """What Google gave: lifetimes in seconds, scopes as they were granted, not as asked."""

    access_token: str
    refresh_token: str
    lifetime: int
    scopes: frozenset[str]


@dataclass(frozen=True)
class Account:
    """Who signed in. Keyed on `sub`; the address may change."""

    sub: str
    email: str
    name: str
    hosted_domain: str


class SignInProblem(Exception):
    """Why the way to Google and back failed, in one sentence. code tells the cases apart."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def register(app: Flask, config: Config) -> None:
    """Make the app's Google client. Nothing is fetched before it is first used."""
    app.extensions[EXTENSION] = OAuth(app).register(
        "google",
        client_id=config.GOOGLE_CLIENT_ID,
        client_secret=config.GOOGLE_CLIENT_SECRET,
        server_metadata_url=config.GOOGLE_DISCOVERY_URL,
        client_kwargs={
            "code_challenge_method": "S256",
            "default_timeout": config.PROVIDER_TIMEOUT,
        },
    )


def begin(redirect_uri: str, scopes: Sequence[str], login_hint: str = "") -> tuple[Response, str]:
    """Send the browser to Google. Returns the redirect and its state."""
    client = _client()
    wishes = {"access_type": "offline", "prompt": "consent select_account"}
    if login_hint:
        wishes |= {"login_hint": login_hint, "prompt": "consent"}
    try:
        asked = client.create_authorization_url(redirect_uri, scope=" ".join(scopes), **wishes)
    except (requests.RequestException, ValueError) as problem:
        raise SignInProblem("unreachable", UNREACHABLE) from problem
    url = asked.pop("url")  # the session is a cookie: nothing is kept there that is not needed
    client.save_authorize_data(redirect_uri=redirect_uri, **asked)
    return current_app.redirect(url), str(asked["state"])  # type: ignore[return-value]


def forget(state: str) -> None:
    """Drop what begin() left in the session: nobody is expected back with this state."""
    _client().framework.clear_state_data(session, state)


def finish() -> tuple[Account, Grant]:
    """Take the browser's return. Checks state, PKCE, nonce, issuer and audience."""
    try:
        token = _client().authorize_access_token()
    except OAuthError as problem:
        raise _sign_in_problem(problem.error or "") from problem
    except JoseError as problem:
        raise SignInProblem("identity", "Google's answer did not prove who signed in.") from problem
    except (requests.RequestException, ValueError) as problem:
        raise SignInProblem("unreachable", UNREACHABLE) from problem
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
    return account, _grant(token)


def refresh(refresh_token: str) -> Grant:
    """A fresh access token. Raises NeedsSignIn, OperatorProblem or TryLater."""
    client = _client()
    raw: list[requests.Response] = []
    try:
        metadata = client.load_server_metadata()
        with client._get_oauth_client(**metadata) as session:
            session.register_compliance_hook("refresh_token_response", _keep(raw))
            token = session.refresh_token(metadata["token_endpoint"], refresh_token=refresh_token)
        return _grant(token)
    except OAuthError as problem:
        raise _refresh_problem(problem, raw) from problem
    except (requests.RequestException, ValueError, TypeError, KeyError) as problem:
        raise TryLater(UNREACHABLE, f"{type(problem).__name__}: {problem}"[:300]) from problem


def revoke(token: str) -> bool:
    """Hand the grant back. It ends every grant of this account to the whole Cloud project."""
    client = _client()
    try:
        endpoint = client.load_server_metadata()["revocation_endpoint"]
        timeout = client.client_kwargs["default_timeout"]
        return requests.post(endpoint, data={"token": token}, timeout=timeout).ok
    except (requests.RequestException, ValueError, KeyError):
        return False


UNREACHABLE = "Google could not be reached. Try again in a minute."


def _client() -> Any:
    return current_app.extensions[EXTENSION]


def _keep(raw: list[requests.Response]) -> Any:
    def hook(response: requests.Response) -> requests.Response:
        raw.append(response)
        return response

    return hook


def _grant(token: dict[str, Any]) -> Grant:
    scopes = str(token.get("scope", "")).split()
    return Grant(
        access_token=str(token["access_token"]),
        refresh_token=str(token.get("refresh_token") or ""),
        lifetime=int(token.get("expires_in") or 3600),
        scopes=frozenset(SPELLINGS.get(scope, scope) for scope in scopes),
    )


def _sign_in_problem(error: str) -> SignInProblem:
    if error == "access_denied":
        return SignInProblem(
            "cancelled", "You did not allow the connection, so nothing was changed."
        )
    if error == "mismatching_state":
        return SignInProblem(
            "state",
            "This sign-in was not started here, was used before, or took too long. Start it again.",
        )
    if error in DEAD_CLIENT:
        return SignInProblem(
            "client",
            "Google does not know this portal: GOOGLE_CLIENT_ID or GOOGLE_CLIENT_SECRET is wrong.",
        )
    if error == "invalid_grant":
        return SignInProblem("code", "Google's answer had expired or was used before. Start again.")
    return SignInProblem("refused", f"Google refused the sign-in ({error or 'no reason given'}).")


def _refresh_problem(problem: OAuthError, raw: list[requests.Response]) -> ProviderAnswer:
    error, subtype = problem.error or "", ""
    status = raw[-1].status_code if raw else 0
    if raw:
        with contextlib.suppress(ValueError, AttributeError):
            subtype = str(raw[-1].json().get("error_subtype", ""))
    words = " ".join(filter(None, [str(status), error, subtype, problem.description or ""]))
    if status >= 500 or status == 429:
        return TryLater(UNREACHABLE, words)
    if error in DEAD_CLIENT:
        return OperatorProblem("Google no longer accepts this portal's client id or secret.", words)
    if error in DEAD_GRANT:
        return NeedsSignIn("Google no longer accepts this mailbox's sign-in.", words)
    return TryLater(f"Google gave no new access ({error or status}).", words)
