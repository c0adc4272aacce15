"""Signing in: the road to a provider's page and back, through Authlib, and what is brought home.

A kind of mailbox that one signs in to has a module with register, begin, forget, finish, refresh
and revoke (google.py, microsoft.py). What is alike in them is here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, current_app, session
from joserfc.errors import JoseError

from portal.envelope import ProviderAnswer, TryLater


@dataclass(frozen=True)
class Grant:
    """What the provider gave: lifetimes in seconds, scopes as they were granted, not as asked.

    ends_in: when the sign-in itself ends, where the provider says so; 0 where it does not.
    """

    access_token: str
    refresh_token: str
    lifetime: int
    scopes: frozenset[str]
    ends_in: int = 0


@dataclass(frozen=True)
class Account:
    """Who signed in. Keyed on `sub`; the address may change."""

    sub: str
    email: str
    name: str
    hosted_domain: str


class SignInProblem(Exception):
    """Why the way to the provider and back failed, in one sentence. code tells the cases apart."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SignIn(Protocol):
    """What the module of each kind offers."""

    def begin(
        self, redirect_uri: str, scopes: Sequence[str], login_hint: str = ""
    ) -> tuple[Response, str]: ...

    def forget(self, state: str) -> None: ...

    def finish(self) -> tuple[Account, Grant]: ...

    def refresh(self, refresh_token: str) -> Grant: ...

    def revoke(self, token: str) -> bool: ...


STALE = "This sign-in was not started here, was used before, or took too long. Start it again."
DECLINED = "You did not allow the connection, so nothing was changed."


def unreachable(name: str) -> str:
    return f"{name} could not be reached. Try again in a minute."


def client_of(
    app: Flask, name: str, client_id: str, secret: str, discovery: str, timeout: float
) -> Any:
    """An Authlib client with PKCE. Nothing is fetched before it is first used."""
    kwargs = {"code_challenge_method": "S256", "default_timeout": timeout}
    return OAuth(app).register(
        name,
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=discovery,
        client_kwargs=kwargs,
    )


def set_out(
    client: Any, name: str, redirect_uri: str, scopes: Sequence[str], wishes: Mapping[str, str]
) -> tuple[Response, str]:
    """Send the browser to the provider. Returns the redirect and its state."""
    try:
        asked = client.create_authorization_url(redirect_uri, scope=" ".join(scopes), **wishes)
    except (requests.RequestException, ValueError) as problem:
        raise SignInProblem("unreachable", unreachable(name)) from problem
    url = asked.pop("url")  # the session is a cookie: nothing is kept there that is not needed
    client.save_authorize_data(redirect_uri=redirect_uri, **asked)
    return current_app.redirect(url), str(asked["state"])  # type: ignore[return-value]


def drop_state(client: Any, state: str) -> None:
    """Drop what set_out() left in the session: nobody is expected back with this state."""
    client.framework.clear_state_data(session, state)


def come_back(
    client: Any, name: str, sorted_by: Callable[[OAuthError], SignInProblem], **checks: Any
) -> dict[str, Any]:
    """Take the browser's return. Checks state, PKCE, nonce, issuer and audience.

    Returns the provider's token answer, with `userinfo` from its proven id_token.
    """
    try:
        token: dict[str, Any] = client.authorize_access_token(**checks)
    except OAuthError as problem:
        raise sorted_by(problem) from problem
    except JoseError as problem:
        said = f"{name}'s answer did not prove who signed in."
        raise SignInProblem("identity", said) from problem
    except (requests.RequestException, ValueError) as problem:
        raise SignInProblem("unreachable", unreachable(name)) from problem
    return token


def renewed(
    client: Any,
    name: str,
    refresh_token: str,
    sorted_by: Callable[[OAuthError, requests.Response | None], ProviderAnswer],
    spelt: Callable[[str], str],
) -> Grant:
    """A fresh access token. sorted_by: given the raw refusal too; spelt: as in grant_of()."""
    raw: list[requests.Response] = []
    try:
        metadata = client.load_server_metadata()
        with client._get_oauth_client(**metadata) as asking:
            asking.register_compliance_hook("refresh_token_response", _keep(raw))
            token = asking.refresh_token(metadata["token_endpoint"], refresh_token=refresh_token)
        return grant_of(token, spelt)
    except OAuthError as problem:
        raise sorted_by(problem, raw[-1] if raw else None) from problem
    except (requests.RequestException, ValueError, TypeError, KeyError) as problem:
        words = f"{type(problem).__name__}: {problem}"[:300]
        raise TryLater(unreachable(name), words) from problem


def _keep(raw: list[requests.Response]) -> Any:
    def hook(response: requests.Response) -> requests.Response:
        raw.append(response)
        return response

    return hook


def grant_of(token: Mapping[str, Any], spelt: Callable[[str], str]) -> Grant:
    """What a token answer grants. spelt: a scope of the answer, as the portal spells it."""
    return Grant(
        access_token=str(token["access_token"]),
        refresh_token=str(token.get("refresh_token") or ""),
        lifetime=int(token.get("expires_in") or 3600),
        scopes=frozenset(map(spelt, str(token.get("scope", "")).split())),
        ends_in=int(token.get("refresh_token_expires_in") or 0),
    )
