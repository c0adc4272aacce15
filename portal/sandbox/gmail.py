"""Method: one call of the Gmail API, with who may make it, what it costs and how it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from portal.sandbox import grants
from portal.sandbox.accounts import Account
from portal.sandbox.errors import (
    GoogleError,
    bad_credentials,
    forbidden,
    google_json,
    invalid,
    no_credentials,
    scope_missing,
)
from portal.sandbox.google import LocalGoogle, current
from portal.sandbox.scopes import FULL_MAIL, GMAIL, METADATA

blueprint = Blueprint("gmail", __name__)

READERS = (FULL_MAIL, GMAIL + "modify", GMAIL + "readonly")
WRITERS = (FULL_MAIL, GMAIL + "modify", GMAIL + "compose")
SENDERS = (*WRITERS, GMAIL + "send")
LISTERS = (*READERS, METADATA)
SETTINGS_READERS = (*READERS, GMAIL + "settings.basic")
SETTINGS_WRITERS = (GMAIL + "settings.basic", GMAIL + "settings.sharing")
SHARERS = (GMAIL + "settings.sharing",)
SCOPES: dict[str, tuple[str, ...]] = {
    "getProfile": (*READERS, GMAIL + "compose", METADATA),
    "settings.sendAs.list": SETTINGS_READERS,
    "settings.sendAs.get": SETTINGS_READERS,
    "settings.sendAs.patch": SETTINGS_WRITERS,
    "settings.sendAs.update": SETTINGS_WRITERS,
    "settings.sendAs.create": SHARERS,
    "settings.sendAs.delete": SHARERS,
    "settings.sendAs.verify": SHARERS,
    "messages.send": SENDERS,
    "messages.get": LISTERS,
    "messages.list": LISTERS,
    "messages.attachments.get": READERS,
    "drafts.create": WRITERS,
    "drafts.update": WRITERS,
    "drafts.send": WRITERS,
    "drafts.delete": WRITERS,
    "drafts.get": (*READERS, GMAIL + "compose"),
    "drafts.list": (*READERS, GMAIL + "compose"),
    "threads.get": LISTERS,
    "history.list": LISTERS,
    "labels.list": (*LISTERS, GMAIL + "labels"),
    "labels.get": (*LISTERS, GMAIL + "labels"),
}
GARBAGE = "<html><title>Error</title></html>"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose mailbox is called, and what this access token may do there."""

    google: LocalGoogle
    account: Account
    scopes: frozenset[str]

    @property
    def sees_only_metadata(self) -> bool:
        # Google refuses bodies and `q` as soon as this scope is present, whatever stands beside.
        return METADATA in self.scopes


Act = Callable[..., Json | None]


def method(name: str, verb: str, path: str, *, upload: bool = False) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        def view(user: str, **values: str) -> Response:
            return perform(name, user, act, values)

        roots = ("/gmail/v1", "/upload/gmail/v1") if upload else ("/gmail/v1",)
        for number, root in enumerate(roots):
            endpoint = f"{name.replace('.', '_')}_{number}"
            rule = f"{root}/users/<user>{path}"
            blueprint.add_url_rule(rule, endpoint, view, methods=[verb])
        return act

    return register


def perform(name: str, user: str, act: Act, values: dict[str, str]) -> Response:
    google = current()
    caller = _caller(google)
    account = caller.account
    if user != "me" and user.lower() != account.email.lower():
        raise forbidden(f"Delegation denied for {account.email}")
    google.calls[name] += 1
    try:
        with google.quota.in_hand(account.id, google.settings.calls_at_once):
            return _performed(name, caller, act, values)
    except GoogleError as refusal:
        if refusal.code == 429:
            google.refused[name] += 1
        raise


def _performed(name: str, caller: Caller, act: Act, values: dict[str, str]) -> Response:
    google, account = caller.google, caller.account
    firing = google.faults.take(name, account.email)
    if firing:
        firing.before()
    _allow(name, caller)
    told = google.settings
    limits = told.units_per_minute, told.units_in_a_burst
    google.quota.spend(account.id, name, google.clock.now(), *limits)
    answer = act(caller, **values)
    if firing:
        firing.after_deed()
        if firing.fault.kind == "garbage":
            return Response(GARBAGE, mimetype="text/html")
    return rendered(answer)


def _caller(google: LocalGoogle) -> Caller:
    token = bearer_token()
    found = grants.owner_of(google, token)
    if found is None:
        raise bad_credentials()
    return Caller(google, *found)


def bearer_token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.args.get("access_token"):
        return request.args["access_token"]
    raise no_credentials()


def _allow(name: str, caller: Caller) -> None:
    allowed = SCOPES[name]
    if caller.scopes.isdisjoint(allowed):
        raise scope_missing(name, allowed)
    if not caller.account.gmail:
        raise GoogleError(
            400, "failedPrecondition", "Mail service not enabled", status="FAILED_PRECONDITION"
        )


def rendered(answer: Json | None) -> Response:
    if answer is None:
        return Response(status=204)
    return google_json(answer)


def json_body(allowed: frozenset[str]) -> Json:
    """The request's JSON object; like Google, unknown names are refused."""
    try:
        told = json.loads(request.get_data() or b"{}")
    except ValueError:
        raise invalid("Invalid JSON payload received.", "parseError") from None
    return checked(told, allowed)


def checked(told: object, allowed: frozenset[str]) -> Json:
    if not isinstance(told, dict):
        raise invalid("Invalid JSON payload received. Root element must be a message.")
    for name in told:
        if name not in allowed:
            words = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            raise invalid(words, "badRequest")
    return told


def choice(name: str, choices: tuple[str, ...], default: str) -> str:
    value = request.args.get(name, default)
    if value.lower() not in choices:
        raise invalid(f"Invalid value at '{name}' ({value})", "badRequest")
    return value.lower()


def number(name: str, default: int, most: int) -> int:
    value = request.args.get(name, str(default))
    if not value.isdecimal():
        raise invalid(f"Invalid value at '{name}' (TYPE_UINT32), \"{value}\"", "badRequest")
    return min(int(value), most) or default


def page_token() -> int | None:
    value = request.args.get("pageToken")
    if not value:
        return None
    if not value.isdecimal():
        raise invalid("Invalid pageToken")
    return int(value)
