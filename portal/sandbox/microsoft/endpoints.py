"""Endpoint: what an app calls itself at Microsoft's sign-in: discovery, keys, tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from portal.sandbox import clients
from portal.sandbox.microsoft import directory, errors, grants, identity
from portal.sandbox.microsoft.directory import CONSUMERS
from portal.sandbox.microsoft.errors import GraphError, StsError
from portal.sandbox.microsoft.grants import Grant
from portal.sandbox.microsoft.microsoft import current
from portal.sandbox.microsoft.scopes import asked, joined
from portal.sandbox.signing import public_keys

blueprint = Blueprint("endpoints", __name__)
Answer = dict[str, Any]
#: Names that stand for many tenants; whose one it is shows only in the tokens.
SEVERAL = ("common", "organizations")
CLAIMS = ["sub", "iss", "cloud_instance_name", "cloud_instance_host_name",
          "cloud_graph_host_name", "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce",
          "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"]  # fmt: skip


def endpoint(name: str, rule: str, verb: str) -> Callable[..., Any]:
    def register(act: Callable[[str], Answer]) -> Callable[[str], Answer]:
        def view(tenant: str) -> Response:
            return _perform(name, act, tenant)

        blueprint.add_url_rule(f"/<tenant>{rule}", name, view, methods=[verb])
        return act

    return register


def _perform(name: str, act: Callable[[str], Answer], tenant: str) -> Response:
    microsoft = current()
    microsoft.calls[name] += 1
    account = grants.account_of(
        microsoft.store, request.form.get("refresh_token", ""), request.form.get("code", "")
    )
    firing = microsoft.faults.take(name, account.email if account else None)
    if firing:
        firing.before()
    answer = jsonify(act(known_tenant(tenant)))
    if name == "token":
        answer.headers["Cache-Control"] = "no-store, no-cache"
        answer.headers["Pragma"] = "no-cache"
    if firing:
        firing.after_deed()
        if firing.fault.kind == "garbage":
            return Response("<html><title>Error</title></html>", mimetype="text/html")
    return answer


def origin() -> str:
    return request.host_url.rstrip("/")


def known_tenant(name: str) -> str:
    """The tenant's id, or one of the names that stand for several."""
    if name in SEVERAL:
        return name
    found = directory.tenant(current().store, CONSUMERS if name == "consumers" else name)
    if found is None:
        raise errors.tenant_unknown(name)
    return found.id


@endpoint("discovery", "/v2.0/.well-known/openid-configuration", "GET")
def discovery(tenant: str) -> Answer:
    base = f"{origin()}/{tenant}"
    return {
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        # Microsoft's own words, braces and all: the app has to put the token's `tid` in.
        "issuer": identity.issuer(origin(), "{tenantid}" if tenant in SEVERAL else tenant),
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{origin()}/oidc/userinfo",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
        "claims_supported": CLAIMS,
        "tenant_region_scope": None,
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": request.host,
        "rbac_url": "https://pas.windows.net",
    }


@endpoint("keys", "/discovery/v2.0/keys", "GET")
def keys(tenant: str) -> Answer:
    listed = public_keys(current().store)["keys"]
    return {"keys": [{**key, "issuer": identity.issuer(origin(), "{tenantid}")} for key in listed]}


@endpoint("token", "/oauth2/v2.0/token", "POST")
def token(tenant: str) -> Answer:
    client_id = _authenticated_client(tenant)
    kind = request.form.get("grant_type", "")
    microsoft = current()
    if kind == "authorization_code":
        verifier = request.form.get("code_verifier")
        code, back = _required("code"), _required("redirect_uri")
        return _tokens(grants.redeem(microsoft, client_id, code, back, verifier))
    if kind == "refresh_token":
        grant = grants.refresh(microsoft, client_id, _required("refresh_token"))
        return _tokens(_narrowed(grant))
    raise StsError(
        "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{kind}'."
    )


@blueprint.route("/oidc/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    microsoft = current()
    microsoft.calls["userinfo"] += 1
    _, _, told = request.headers.get("Authorization", "").partition(" ")
    owner = grants.owner_of(microsoft, told.strip())
    if owner is None:
        raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
    return jsonify(identity.claims_of(owner[0], microsoft.settings.client_id, owner[1]))


def _narrowed(grant: Grant) -> Grant:
    """A refresh may ask for less, and for nothing that was not granted."""
    told = request.form.get("scope", "")
    wanted, unknown = asked(told, request.host_url)
    if unknown or not set(wanted) <= grant.scopes:
        app_name = current().settings.app_name
        raise errors.no_consent(grant.client_id, app_name)
    return grant


def _tokens(grant: Grant) -> Answer:
    microsoft = current()
    answer: Answer = {
        "token_type": "Bearer",
        "scope": joined(grant.scopes),
        "expires_in": grants.EXPIRES_IN,
        "ext_expires_in": grants.EXPIRES_IN,
        "access_token": grants.access_token(microsoft, grant),
    }
    if "offline_access" in grant.scopes:
        answer["refresh_token"] = grants.refresh_token(microsoft, grant)
    if "openid" in grant.scopes:
        answer["id_token"] = identity.id_token(microsoft.store, origin(), grant)
    return answer


def _authenticated_client(tenant: str) -> str:
    settings = current().settings
    client_id, secret = _credentials()
    if not client_id:
        words = "The request body must contain the following parameter: 'client_id'."
        raise StsError("invalid_request", 900144, words)
    if client_id != settings.client_id:
        raise errors.app_unknown(client_id, tenant)
    if not clients.same(secret, settings.client_secret):
        raise errors.secret_wrong(client_id)
    if settings.secret_expired:
        raise errors.secret_expired(client_id)
    return client_id


def _credentials() -> tuple[str, str]:
    try:
        basic = clients.basic_credentials(request.headers.get("Authorization", ""))
    except ValueError:
        basic = ("", "")
    return basic or (request.form.get("client_id", ""), request.form.get("client_secret", ""))


def _required(name: str) -> str:
    value = request.form.get(name, "")
    if not value:
        words = f"The request body must contain the following parameter: '{name}'."
        raise StsError("invalid_request", 900144, words)
    return value
