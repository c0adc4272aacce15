"""Gmail settings: the send-from addresses, which an ordinary caller may read but not add."""

from __future__ import annotations

from portal.sandbox import addresses
from portal.sandbox.addresses import Address
from portal.sandbox.errors import forbidden, invalid, not_found
from portal.sandbox.gmail import Caller, Json, json_body, method

SEND_AS_FIELDS = frozenset(
    [
        "sendAsEmail",
        "displayName",
        "replyToAddress",
        "signature",
        "isPrimary",
        "isDefault",
        "treatAsAlias",
        "smtpMsa",
        "verificationStatus",
    ]
)
WORDING = ("displayName", "replyToAddress", "signature")
DELEGATED_ONLY = (
    "Access restricted to service accounts that have been delegated domain-wide authority"
)


@method("settings.sendAs.list", "GET", "/settings/sendAs")
def list_addresses(caller: Caller) -> Json:
    listed = addresses.of(caller.google.store, caller.account.id)
    return {"sendAs": [address.resource() for address in listed]}


@method("settings.sendAs.get", "GET", "/settings/sendAs/<email>")
def get_address(caller: Caller, email: str) -> Json:
    return _found(caller, email).resource()


@method("settings.sendAs.patch", "PATCH", "/settings/sendAs/<email>")
@method("settings.sendAs.update", "PUT", "/settings/sendAs/<email>")
def change_address(caller: Caller, email: str) -> Json:
    """Of the primary address alone an ordinary caller may change the words around it."""
    told = json_body(SEND_AS_FIELDS)
    address = _found(caller, email)
    if not address.is_primary:
        raise forbidden(DELEGATED_ONLY)
    wording: dict[str, str] = {name: told[name] for name in WORDING if name in told}
    if any(not isinstance(value, str) for value in wording.values()):
        raise invalid("Invalid value in SendAs", "badRequest")
    addresses.describe(caller.google.store, address, wording)
    if told.get("isDefault"):
        addresses.make_default(caller.google.store, address)
    return _found(caller, email).resource()


@method("settings.sendAs.create", "POST", "/settings/sendAs")
def create_address(caller: Caller) -> Json:
    json_body(SEND_AS_FIELDS)
    raise forbidden(DELEGATED_ONLY)


@method("settings.sendAs.delete", "DELETE", "/settings/sendAs/<email>")
def delete_address(caller: Caller, email: str) -> Json:
    raise forbidden(DELEGATED_ONLY)


@method("settings.sendAs.verify", "POST", "/settings/sendAs/<email>/verify")
def verify_address(caller: Caller, email: str) -> Json:
    raise forbidden(DELEGATED_ONLY)


def _found(caller: Caller, email: str) -> Address:
    address = addresses.find(caller.google.store, caller.account.id, email)
    if address is None:
        raise not_found()
    return address
