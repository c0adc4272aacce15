"""Method: one call of Microsoft Graph, with who may make it, how often, and how it fails."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from portal.sandbox.faults import Firing
from portal.sandbox.microsoft import directory, errors, grants, items, posting
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.errors import GraphError, access_denied, bad_request, graph_json
from portal.sandbox.microsoft.items import Item
from portal.sandbox.microsoft.microsoft import LocalMicrosoft, current
from portal.sandbox.microsoft.resource import View
from portal.sandbox.microsoft.settings import MAX_REQUEST_BYTES

blueprint = Blueprint("graph", __name__)

PROFILE = ("User.Read",)
READ = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite", "Mail.Read.Shared",
        "Mail.ReadWrite.Shared")  # fmt: skip
READ_ALL = READ[1:]
WRITE = ("Mail.ReadWrite", "Mail.ReadWrite.Shared")
SEND = ("Mail.Send", "Mail.Send.Shared")
#: Any one of these is enough; in another's mailbox only those that end in .Shared.
SCOPES: dict[str, tuple[str, ...]] = {
    "me": PROFILE,
    "messages.create": WRITE,
    "messages.get": READ,
    "messages.value": READ_ALL,
    "messages.list": READ,
    "messages.delta": READ,
    "messages.update": WRITE,
    "messages.delete": WRITE,
    "messages.permanentDelete": WRITE,
    "messages.send": SEND,
    "sendMail": SEND,
    "mailFolders.list": READ,
    "mailFolders.get": READ,
    "attachments.create": WRITE,
    "attachments.list": READ_ALL,
    "attachments.get": READ_ALL,
    "attachments.delete": WRITE,
    "attachments.createUploadSession": WRITE,
}
ON_MAIL = frozenset(SCOPES) - {"me"}
GARBAGE = "<html><title>Error</title></html>"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, whose mailbox is called, and what this access token may do there."""

    microsoft: LocalMicrosoft
    account: Account
    mailbox: Account
    scopes: frozenset[str]

    @property
    def immutable(self) -> bool:
        """Whether this very request asked for immutable ids."""
        told = ",".join(request.headers.getlist("Prefer")).replace(" ", "").lower()
        return 'idtype="immutableid"' in told

    @property
    def now(self) -> float:
        return self.microsoft.clock.now()

    def view(self, item: Item) -> View:
        basic = self.scopes.isdisjoint(READ_ALL)
        return View(self.microsoft, self.mailbox, item, self.immutable, basic)

    def item(self, item_id: str) -> Item:
        if not item_id.startswith(("AAMk", "AAkA")):
            raise errors.malformed_id()
        found = items.find(self.microsoft.store, self.mailbox.id, item_id, immutable=self.immutable)
        if found is None:
            raise errors.not_found()
        return found


Act = Callable[..., Response]


def method(name: str, verb: str, path: str) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        def view(user: str = "", **values: str) -> Response:
            return perform(name, user, act, values)

        for number, root in enumerate(("/me", "/users/<user>")):
            endpoint = f"{name.replace('.', '_')}_{verb}_{path.count('/')}_{number}"
            blueprint.add_url_rule(f"/v1.0{root}{path}", endpoint, view, methods=[verb])
        return act

    return register


def perform(name: str, user: str, act: Act, values: dict[str, str]) -> Response:
    microsoft = current()
    posting.let_leave(microsoft)
    account, scopes = _owner(microsoft)
    caller = Caller(microsoft, account, _mailbox(account, user), scopes)
    microsoft.calls[name] += 1
    told = microsoft.settings
    try:
        with microsoft.throttle.in_hand(caller.mailbox.id, told.calls_at_once):
            return _performed(name, caller, act, values)
    except GraphError as refusal:
        microsoft.refused[name] += refusal.status == 429
        raise


def _performed(name: str, caller: Caller, act: Act, values: dict[str, str]) -> Response:
    microsoft = caller.microsoft
    firing = microsoft.faults.take(name, caller.mailbox.email)
    if firing:
        firing.before()
    _allow(name, caller)
    limit = microsoft.settings.requests_per_ten_minutes
    microsoft.throttle.call(caller.mailbox.id, caller.now, limit)
    if len(request.get_data()) > MAX_REQUEST_BYTES:
        raise errors.too_large()
    answer = act(caller, **values)
    answer.headers["request-id"] = str(uuid.uuid4())
    if caller.immutable:
        answer.headers["Preference-Applied"] = "IdType=ImmutableId"
    return _spoilt(answer, firing) if firing else answer


def _spoilt(answer: Response, firing: Firing) -> Response:
    firing.after_deed()
    if firing.fault.kind == "garbage":
        return Response(GARBAGE, mimetype="text/html")
    if firing.fault.kind == "202-retry-after":
        answer.headers.update(errors.retry_after(firing.fault.delay or 30))
    return answer


def _owner(microsoft: LocalMicrosoft) -> tuple[Account, frozenset[str]]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.bad_token("Access token is empty.")
    found = grants.owner_of(microsoft, token.strip())
    if found is None:
        raise errors.bad_token()
    return found


def _mailbox(account: Account, user: str) -> Account:
    if not user:
        return account
    found = directory.by_name(current().store, user)
    if found is None or found.tenant_id != account.tenant_id:
        words = f"The requested user '{user}' is invalid."
        raise GraphError(404, "ErrorInvalidUser", words)
    return found


def _allow(name: str, caller: Caller) -> None:
    other = caller.mailbox.id != caller.account.id
    allowed = [one for one in SCOPES[name] if one.endswith(".Shared") or not other]
    if name in ON_MAIL:
        if caller.scopes.isdisjoint(allowed):
            raise access_denied()
        if not caller.mailbox.mailbox:
            raise errors.no_mailbox()
        store = caller.microsoft.store
        if other and not directory.may(store, caller.account, "full_access", caller.mailbox):
            raise access_denied()
    elif caller.scopes.isdisjoint(SCOPES[name]):
        words = "Insufficient privileges to complete the operation."
        raise GraphError(403, "Authorization_RequestDenied", words)


def entity(what: str, answer: Json, status: int = 200) -> Response:
    """One resource, under the name of what it is."""
    context = f"{request.host_url}v1.0/$metadata#{what}/$entity"
    return graph_json({"@odata.context": context, **answer}, status)


def collection(what: str, found: list[Json], links: dict[str, str] | None = None) -> Response:
    """links: where it goes on."""
    context = f"{request.host_url}v1.0/$metadata#{what}"
    return graph_json({"@odata.context": context, **(links or {}), "value": found})


def accepted(headers: dict[str, str] | None = None) -> Response:
    return Response(status=202, headers=headers)


def nothing() -> Response:
    return Response(status=204)


def json_body() -> Json:
    try:
        told = json.loads(request.get_data() or b"null")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        words = (
            "Unable to read JSON request payload. Please ensure Content-Type header is set and "
            "payload is of valid JSON format."
        )
        raise bad_request(words)
    return told


def is_mime() -> bool:
    """Whether the body is a mail in base64, rather than Graph's JSON."""
    kind = request.mimetype
    if kind not in ("text/plain", "application/json"):
        raise GraphError(415, "UnsupportedMediaType", f"Cannot read a body of type '{kind}'.")
    return kind == "text/plain"
