"""OAuth: the endpoints an app calls itself: discovery, keys, token, revocation, userinfo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request, url_for

from portal.sandbox import accounts, clients, grants, identity
from portal.sandbox.errors import GoogleError, OAuthError, google_json
from portal.sandbox.gmail import bearer_token
from portal.sandbox.google import current
from portal.sandbox.grants import Grant
from portal.sandbox.scopes import joined
from portal.sandbox.signing import public_keys

blueprint = Blueprint("oauth", __name__)
Answer = dict[str, Any]


def endpoint(name: str, rule: str, verbs: tuple[str, ...]) -> Callable[..., Any]:
    def register(act: Callable[[], Answer]) -> Callable[[], Answer]:
        def view() -> Response:
            return _perform(name, act)

        blueprint.add_url_rule(rule, name, view, methods=list(verbs))
        return act

    return register


def _perform(name: str, act: Callable[[], Answer]) -> Response:
    google = current()
    google.calls[name] += 1
    firing = google.faults.take(name, _account_concerned())
    if firing:
        firing.before()
    answer = google_json(act())
    if firing:
        firing.after_deed()
        if firing.fault.kind == "garbage":
            return Response("<html><title>Error</title></html>", mimetype="text/html")
    if name in ("token", "revoke", "userinfo"):
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Pragma"] = "no-cache"
    return answer


def _account_concerned() -> str | None:
    """For faults that are to strike one account only."""
    told = (request.form.get("refresh_token"), request.form.get("code"), request.form.get("token"))
    account_id = current().store.value(
        "SELECT account_id FROM grants WHERE refresh_token IN (?, ?)"
        " UNION SELECT account_id FROM codes WHERE code = ? LIMIT 1",
        *(told[0], told[2], told[1]),
    )
    return None if account_id is None else accounts.by_id(current().store, account_id).email


def issuer() -> str:
    return request.host_url.rstrip("/")


@endpoint("discovery", "/.well-known/openid-configuration", ("GET",))
def discovery() -> Answer:
    return {
        "issuer": issuer(),
        "authorization_endpoint": url_for("consent.authorize", _external=True),
        "device_authorization_endpoint": issuer() + "/device/code",
        "token_endpoint": url_for("oauth.token", _external=True),
        "userinfo_endpoint": url_for("oauth.userinfo", _external=True),
        "revocation_endpoint": url_for("oauth.revoke", _external=True),
        "jwks_uri": url_for("oauth.certs", _external=True),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": [
            "aud",
            "email",
            "email_verified",
            "exp",
            "family_name",
            "given_name",
            "iat",
            "iss",
            "name",
            "picture",
            "sub",
        ],
        "code_challenge_methods_supported": ["plain", "S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    }


@endpoint("certs", "/oauth2/v3/certs", ("GET",))
def certs() -> Answer:
    return public_keys(current().store)


@endpoint("token", "/token", ("POST",))
def token() -> Answer:
    client_id = _authenticated_client()
    kind = request.form.get("grant_type", "")
    if kind == "authorization_code":
        verifier = request.form.get("code_verifier")
        google, code, back = current(), _required("code"), _required("redirect_uri")
        return _tokens(grants.redeem(google, client_id, code, back, verifier))
    if kind == "refresh_token":
        return _tokens(grants.refresh(current(), client_id, _required("refresh_token")))
    raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {kind}")


@endpoint("revoke", "/revoke", ("POST",))
def revoke() -> Answer:
    told = request.form.get("token") or request.args.get("token") or ""
    if not grants.revoke(current().store, told):
        raise OAuthError("invalid_token", "Token expired or revoked")
    return {}


@endpoint("userinfo", "/v1/userinfo", ("GET", "POST"))
def userinfo() -> Answer:
    try:
        owner = grants.owner_of(current(), bearer_token())
    except GoogleError:
        owner = None
    if owner is None:
        raise OAuthError("invalid_request", "Invalid Credentials", code=401)
    account, scopes = owner
    if "openid" not in scopes:
        raise OAuthError("insufficient_scope", "Request had insufficient scopes.", code=403)
    return identity.claims_of(account, scopes)


def _tokens(grant: Grant) -> Answer:
    google = current()
    access = grants.access_token(google, grant)
    answer: Answer = {
        "access_token": access,
        "expires_in": grants.EXPIRES_IN,
        "scope": joined(grant.scopes),
        "token_type": "Bearer",
    }
    if grant.refresh_token:
        answer["refresh_token"] = grant.refresh_token
    left = grants.remaining(google.store, grant, google.clock.now())
    if left is not None:
        answer["refresh_token_expires_in"] = left
    if "openid" in grant.scopes:
        answer["id_token"] = identity.id_token(google.store, issuer(), grant, access)
    return answer


def _authenticated_client() -> str:
    settings = current().settings
    client_id, secret = _basic() or (
        request.form.get("client_id", ""),
        request.form.get("client_secret", ""),
    )
    if not client_id:
        raise OAuthError("invalid_request", "Could not determine client ID from request.")
    if client_id != settings.client_id:
        raise OAuthError("invalid_client", "The OAuth client was not found.", code=401)
    if not clients.same(secret, settings.client_secret):
        raise OAuthError("invalid_client", "Unauthorized", code=401)
    return client_id


def _basic() -> tuple[str, str] | None:
    try:
        return clients.basic_credentials(request.headers.get("Authorization", ""))
    except ValueError:
        raise OAuthError("invalid_client", "Unauthorized", code=401) from None


def _required(name: str) -> str:
    value = request.form.get(name, "")
    if not value:
        raise OAuthError("invalid_request", f"Missing required parameter: {name}")
    return value
