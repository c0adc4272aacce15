"""Signing in with Microsoft, through Authlib: consent, refresh, and an administrator's approval.

Addresses come from the discovery document of the tenant that MICROSOFT_TENANT names. Microsoft says
in `error_codes` what is wrong (AADSTS numbers; Microsoft identity platform, "Authentication and
authorization error codes"): Authlib keeps only the words, so the numbers are read from the raw
answer, or from the words themselves where they alone come back.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import requests
from authlib.integrations.base_client import OAuthError
from flask import Flask, Response, current_app

from portal.config import Config
from portal.envelope import NeedsSignIn, OperatorProblem, ProviderAnswer, TryLater
from portal.providers import signing
from portal.providers.graph import FULL_SCOPES, SEND_SHARED, Graph
from portal.providers.signing import Account, Grant, SignInProblem

EXTENSION = "sendwright.microsoft"
#: Where these may sign in, personal accounts may, and they know no shared mailboxes.
WITH_PERSONAL = ("common", "consumers")
GRAPH_SCOPES = "https://graph.microsoft.com/"
_NUMBER = re.compile(r"AADSTS(\d+)")

UNREACHABLE = signing.unreachable("Microsoft")
AGAIN = "Microsoft no longer accepts this mailbox's sign-in."
#: What each number means for a mailbox, where signing in again helps.
SIGN_IN_AGAIN = {
    50173: "The sign-in was withdrawn, or its password changed.",
    700082: "Nothing was sent through this mailbox for 90 days, so its sign-in ran out.",
    70008: "The sign-in ran out.",
    70000: AGAIN,
    65001: "The permission to use this mailbox was taken back.",
    50076: "Microsoft asks whoever owns this mailbox for a second proof of who they are.",
    50079: "Microsoft asks whoever owns this mailbox to set up a second proof of who they are.",
    50057: "This mailbox's account is switched off.",
    50034: "This mailbox's account no longer exists.",
    53003: "A rule of the company's Microsoft 365 forbids this sign-in: ask its administrator.",
    50158: "A rule of the company's Microsoft 365 asks for more: sign in again.",
}
#: What only whoever looks after the portal can put right.
SET_UP = {
    7000222: "The portal's client secret at Microsoft has run out: make a new one.",
    7000215: "The portal's MICROSOFT_CLIENT_SECRET is wrong.",
    7000216: "The portal's MICROSOFT_CLIENT_SECRET is missing.",
    700016: "Microsoft does not know this portal: MICROSOFT_CLIENT_ID is wrong, or not for this "
    "company.",
    90002: "Microsoft knows no company by the name in MICROSOFT_TENANT.",
    50011: "Microsoft does not know this portal's address: add it to the registration.",
}
#: Only an administrator may allow it.
APPROVAL = (90094, 90095, 65001, 90093)
NEEDS_APPROVAL = (
    "Your company lets only an administrator of its Microsoft 365 connect a program like this one."
)


def register(app: Flask, config: Config) -> None:
    """Make the app's Microsoft client. Nothing is fetched before it is first used."""
    tenant = f"{config.MICROSOFT_AUTHORITY_URL}/{config.MICROSOFT_TENANT}"
    app.extensions[EXTENSION] = signing.client_of(
        app,
        "microsoft",
        config.MICROSOFT_CLIENT_ID,
        config.MICROSOFT_CLIENT_SECRET,
        f"{tenant}/v2.0/.well-known/openid-configuration",
        config.PROVIDER_TIMEOUT,
    )


def scopes_of(config: Config) -> tuple[str, ...]:
    """What is asked for, of the accounts that may sign in here."""
    if config.MICROSOFT_TENANT in WITH_PERSONAL:
        return tuple(one for one in FULL_SCOPES if one != SEND_SHARED)
    return FULL_SCOPES


def begin(redirect_uri: str, scopes: Sequence[str], login_hint: str = "") -> tuple[Response, str]:
    """Send the browser to Microsoft. Returns the redirect and its state."""
    # Never prompt=consent: it would ask whoever may not decide, though an administrator has.
    wishes = {"login_hint": login_hint} if login_hint else {"prompt": "select_account"}
    return signing.set_out(_client(), "Microsoft", redirect_uri, scopes, wishes)


def forget(state: str) -> None:
    """Drop what begin() left in the session: nobody is expected back with this state."""
    signing.drop_state(_client(), state)


def finish() -> tuple[Account, Grant]:
    """Take the browser's return: who signed in, what was granted, and that there is a mailbox.

    Raises SignInProblem, with the code "approval" where an administrator is to be asked.
    """
    checks = {"claims_options": {"iss": {"essential": True, "validate": _is_of_its_tenant}}}
    token = signing.come_back(_client(), "Microsoft", _sign_in_problem, **checks)
    who = token.get("userinfo") or {}
    if not who.get("oid") or not who.get("tid"):
        raise SignInProblem("identity", "Microsoft did not say which account signed in.")
    grant = signing.grant_of(token, _spelt)
    named = str(who.get("preferred_username") or who.get("email") or "This account")
    name, email = _mailbox(grant, named)
    # Not `sub`, which is another for each registration: a new one would lose every mailbox.
    return Account(f"{who['oid']}@{who['tid']}", email, name, ""), grant


def refresh(refresh_token: str) -> Grant:
    """A fresh access token, and a new refresh token. Raises NeedsSignIn, OperatorProblem or
    TryLater."""
    return signing.renewed(_client(), "Microsoft", refresh_token, _refresh_problem, _spelt)


def revoke(token: str) -> bool:
    """Microsoft lets no program hand a grant back; its owner can take it away."""
    return False


def approval_address(config: Config, back: str) -> str:
    """Where an administrator allows the portal for everybody of the company."""
    mine = [f"{GRAPH_SCOPES}{one}" for one in scopes_of(config) if one[0].isupper()]
    # One company's own name, or any company's: Microsoft takes no others here.
    several = config.MICROSOFT_TENANT in WITH_PERSONAL
    tenant = "organizations" if several else config.MICROSOFT_TENANT
    asked = {
        "client_id": config.MICROSOFT_CLIENT_ID,
        "redirect_uri": back,
        "scope": " ".join(mine),
        "state": "approval",
    }
    return f"{config.MICROSOFT_AUTHORITY_URL}/{tenant}/v2.0/adminconsent?{urlencode(asked)}"


def _client() -> Any:
    return current_app.extensions[EXTENSION]


def _spelt(scope: str) -> str:
    return scope.rpartition("/")[2] if scope.startswith("https://") else scope


def _is_of_its_tenant(claims: Any, issuer: str) -> bool:
    """With several tenants the issuer is a pattern: each token names the one it is from."""
    pattern = str(_client().load_server_metadata().get("issuer", ""))
    return bool(pattern) and issuer == pattern.replace("{tenantid}", str(claims.get("tid", "")))


def _mailbox(grant: Grant, named: str) -> tuple[str, str]:
    """The account's name and its mailbox's own address, as Graph says."""
    config: Config = current_app.config["PORTAL"]
    access = grant.access_token
    graph = Graph(
        config.GRAPH_URL, set(grant.scopes), lambda refused: access, config.PROVIDER_TIMEOUT
    )
    try:
        name, email = graph.owner()
    except NeedsSignIn as problem:
        raise SignInProblem("mailbox", f"{named} has no mailbox. {CHOOSE_ANOTHER}") from problem
    except ProviderAnswer as problem:
        raise SignInProblem("unreachable", problem.message) from problem
    if not email:
        raise SignInProblem("mailbox", f"{named} has no mailbox. {CHOOSE_ANOTHER}")
    return name, email


CHOOSE_ANOTHER = (
    "Sign in with an account that has one in Microsoft 365, or let its administrator give it one."
)


def _numbers(problem: OAuthError, raw: requests.Response | None = None) -> list[int]:
    """The AADSTS numbers of a refusal, the first the most telling."""
    told: object = []
    if raw is not None:
        try:
            told = raw.json().get("error_codes", [])
        except (ValueError, AttributeError):
            told = []
    listed = [one for one in told if isinstance(one, int)] if isinstance(told, list) else []
    return [*listed, *map(int, _NUMBER.findall(problem.description or ""))]


def _sign_in_problem(problem: OAuthError) -> SignInProblem:
    error, numbers = problem.error or "", _numbers(problem)
    if any(one in APPROVAL for one in numbers) or error == "consent_required":
        return SignInProblem("approval", NEEDS_APPROVAL)
    if error == "access_denied":
        return SignInProblem("cancelled", signing.DECLINED)
    if error == "mismatching_state":
        return SignInProblem("state", signing.STALE)
    set_up = next((SET_UP[one] for one in numbers if one in SET_UP), None)
    if set_up or error == "invalid_client":
        return SignInProblem("client", set_up or SET_UP[7000215])
    if error == "invalid_grant":
        said = "Microsoft's answer had expired or was used before. Start again."
        return SignInProblem("code", said)
    number = f"AADSTS{numbers[0]}" if numbers else error or "no reason given"
    return SignInProblem("refused", f"Microsoft refused the sign-in ({number}).")


def _refresh_problem(problem: OAuthError, raw: requests.Response | None) -> ProviderAnswer:
    numbers, status = _numbers(problem, raw), raw.status_code if raw is not None else 0
    described = (problem.description or "").partition(" Trace ID")[0]
    words = " ".join(filter(None, [str(status), problem.error or "", described]))[:400]
    if status >= 500 or status == 429 or problem.error == "temporarily_unavailable":
        return TryLater(UNREACHABLE, words)
    for number in numbers:
        if number in SET_UP:
            return OperatorProblem(SET_UP[number], words)
        if number in SIGN_IN_AGAIN:
            return NeedsSignIn(SIGN_IN_AGAIN[number], words)
    if problem.error == "invalid_client":
        return OperatorProblem("Microsoft no longer accepts this portal's id or secret.", words)
    if problem.error in ("invalid_grant", "interaction_required", "consent_required"):
        return NeedsSignIn(AGAIN, words)
    return TryLater(f"Microsoft gave no new access ({problem.error or status}).", words)
