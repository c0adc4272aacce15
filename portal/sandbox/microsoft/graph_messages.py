"""Graph's mail: drafts made, changed and sent; messages read and listed; folders; who one is."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request

from portal.sandbox.microsoft import composing, directory, errors, items, posting, query, resource
from portal.sandbox.microsoft.composing import BESIDE
from portal.sandbox.microsoft.errors import GraphError, bad_request
from portal.sandbox.microsoft.graph import (
    Caller,
    Json,
    accepted,
    collection,
    entity,
    is_mime,
    json_body,
    method,
    nothing,
)
from portal.sandbox.microsoft.items import FOLDERS, Item

USER = ["businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone",
        "officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id"]  # fmt: skip
CHANGED_MEANWHILE = (
    "The send or update operation could not be performed because the change key passed in the "
    "request does not match the current change key for the item."
)
EXTENDED = "singleValueExtendedProperties"


@method("me", "GET", "")
def me(caller: Caller) -> Response:
    store, account = caller.microsoft.store, caller.mailbox
    first, _, last = account.name.partition(" ")
    known: Json = {
        "businessPhones": [],
        "displayName": account.name,
        "givenName": first,
        "jobTitle": None,
        "mail": account.email if account.mailbox else None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": last or None,
        "userPrincipalName": account.email,
        "id": account.oid,
        "proxyAddresses": [
            f"SMTP:{account.email}",
            *(f"smtp:{alias}" for alias in directory.aliases(store, account)),
        ],
    }
    wanted = request.args.get("$select", "").split(",") if "$select" in request.args else USER
    return entity("users", {name: known[name] for name in wanted if name in known})


@method("messages.create", "POST", "/messages")
@method("messages.create", "POST", "/mailFolders/<folder>/messages")
def create(caller: Caller, folder: str = "drafts") -> Response:
    """A draft, whichever folder it is made in."""
    raw, extras = _told()
    item = items.put(
        caller.microsoft.store,
        caller.mailbox,
        posting.take_in(caller.microsoft, raw),
        caller.now,
        folder=_folder(caller, folder),
        extras=extras,
    )
    return _message(caller, item, 201)


@method("messages.get", "GET", "/messages/<id>")
@method("messages.get", "GET", "/mailFolders/<folder>/messages/<id>")
def get(caller: Caller, id: str, folder: str = "") -> Response:
    told = query.asked()
    answer = resource.whole(caller.view(caller.item(id)), told.select, told.expand)
    return entity(_messages(caller), answer)


@method("messages.value", "GET", "/messages/<id>/$value")
def value(caller: Caller, id: str) -> Response:
    """The whole mail as MIME."""
    raw = items.raw(caller.microsoft.store, caller.item(id))
    return Response(raw, content_type="text/plain")


@method("messages.list", "GET", "/messages")
@method("messages.list", "GET", "/mailFolders/<folder>/messages")
def list_messages(caller: Caller, folder: str = "") -> Response:
    told = query.asked()
    found = items.page(
        caller.microsoft.store,
        caller.mailbox.id,
        _folder(caller, folder) if folder else None,
        where=told.where,
        values=told.values,
        order=told.order,
        skip=told.skip,
        limit=told.top + 1,
    )
    listed = [
        resource.whole(caller.view(item), told.select, told.expand) for item in found[: told.top]
    ]
    links = {"@odata.nextLink": _next_link(told)} if len(found) > told.top else {}
    return collection(_messages(caller), listed, links)


@method("messages.update", "PATCH", "/messages/<id>")
def update(caller: Caller, id: str) -> Response:
    store, told = caller.microsoft.store, composing.checked(json_body())
    with store.transaction():
        item = caller.item(id)
        _check_at_rest(item)
        beside = {name: told[name] for name in told if name in BESIDE}
        within = {name: told[name] for name in told if name not in BESIDE}
        if within and not item.draft:
            words = "Update operation is invalid for property of a sent message."
            raise GraphError(400, "ErrorInvalidPropertyUpdateSentMessage", words)
        if within:
            raw = composing.changed(items.raw(store, item), within)
            item = items.rewrite(store, item, raw, caller.now)
        if beside:
            read = bool(beside.pop("isRead", item.read))
            extras = _merged(item.extras, beside)
            item = items.note(store, item, caller.now, read=read, extras=extras)
    return _message(caller, item)


@method("messages.delete", "DELETE", "/messages/<id>")
def delete(caller: Caller, id: str) -> Response:
    """Into Deleted Items, where its immutable id still finds it; from there for good."""
    store = caller.microsoft.store
    with store.transaction():
        item = caller.item(id)
        _check_at_rest(item)
        if item.folder == "deleteditems":
            items.remove(store, item)
        else:
            items.move(store, item, "deleteditems", caller.now)
    return nothing()


@method("messages.permanentDelete", "POST", "/messages/<id>/permanentDelete")
def permanent_delete(caller: Caller, id: str) -> Response:
    store = caller.microsoft.store
    with store.transaction():
        item = caller.item(id)
        _check_at_rest(item)
        items.remove(store, item)
    return nothing()


@method("messages.send", "POST", "/messages/<id>/send")
def send(caller: Caller, id: str) -> Response:
    store = caller.microsoft.store
    with store.transaction():
        item = caller.item(id)
        _check_at_rest(item)
        if not item.draft:
            item = _once_more(caller, item)
        return _submitted(caller, item)


@method("sendMail", "POST", "/sendMail")
def send_mail(caller: Caller) -> Response:
    """In one step: 202, and no id by which to ask what became of it."""
    kept = True
    if is_mime():
        raw, extras = composing.from_mime(request.get_data()), {}
    else:
        told = {name.lower(): given for name, given in json_body().items()}
        kept = str(told.get("savetosentitems", True)).lower() != "false"
        message = composing.checked(told.get("message"))
        raw, extras = composing.from_json(message), _merged({}, message)
    store = caller.microsoft.store
    with store.transaction():
        taken = posting.take_in(caller.microsoft, raw)
        item = items.put(store, caller.mailbox, taken, caller.now, folder="outbox", extras=extras)
        return _submitted(caller, item, kept=kept)


@method("mailFolders.list", "GET", "/mailFolders")
def list_folders(caller: Caller) -> Response:
    what = f"users('{caller.mailbox.oid}')/mailFolders"
    return collection(what, [_described(caller, folder) for folder in FOLDERS])


@method("mailFolders.get", "GET", "/mailFolders/<folder>")
def get_folder(caller: Caller, folder: str) -> Response:
    what = f"users('{caller.mailbox.oid}')/mailFolders"
    return entity(what, _described(caller, _folder(caller, folder)))


def _told() -> tuple[bytes, Json]:
    """The mail's bytes, and what stands beside them."""
    if is_mime():
        return composing.from_mime(request.get_data()), {}
    message = composing.checked(json_body())
    return composing.from_json(message), _merged({}, message)


def _submitted(caller: Caller, item: Item, *, kept: bool = True) -> Response:
    delay = posting.submit(
        caller.microsoft,
        caller.account,
        caller.mailbox,
        item,
        for_others="Mail.Send.Shared" in caller.scopes,
        kept=kept,
    )
    return accepted(errors.retry_after(delay) if delay else None)


def _once_more(caller: Caller, item: Item) -> Item:
    """What has been sent already: nothing is documented, so both can be tried."""
    if not caller.microsoft.settings.sends_again:
        raise errors.not_found()
    raw = items.raw(caller.microsoft.store, item)
    return items.put(
        caller.microsoft.store, caller.mailbox, raw, caller.now, folder="outbox",
        extras=item.extras, body_id=item.body_id,
    )  # fmt: skip


def _check_at_rest(item: Item) -> None:
    if item.leaves is not None:
        raise GraphError(409, "ErrorIrresolvableConflict", CHANGED_MEANWHILE)


def _merged(before: Json, told: Json) -> Json:
    """What stands beside the mail; extended properties by their ids."""
    extras = {name: told[name] for name in told if name in BESIDE - {"isRead", EXTENDED}}
    try:
        named = {str(one["id"]): str(one["value"]) for one in told.get(EXTENDED) or []}
    except (TypeError, KeyError) as problem:
        raise bad_request("Unable to read JSON request payload.") from problem
    extended = {**before.get(EXTENDED, {}), **named}
    return {**before, **extras, **({EXTENDED: extended} if extended else {})}


def _message(caller: Caller, item: Item, status: int = 200) -> Response:
    return entity(_messages(caller), resource.whole(caller.view(item)), status)


def _messages(caller: Caller) -> str:
    return f"users('{caller.mailbox.oid}')/messages"


def _folder(caller: Caller, name: str) -> str:
    found = items.folder_named(caller.mailbox, name)
    if found is None:
        raise errors.malformed_id()
    return found


def _described(caller: Caller, folder: str) -> Json:
    store, account = caller.microsoft.store, caller.mailbox
    return {
        "id": items.folder_id(account, folder),
        "displayName": FOLDERS[folder],
        "parentFolderId": f"AQMkADAw{account.oid.replace('-', '')}AAAAAAroot==",
        "childFolderCount": 0,
        "unreadItemCount": items.count(store, account.id, folder, unread=True),
        "totalItemCount": items.count(store, account.id, folder),
        "isHidden": False,
    }


def _next_link(told: query.Query) -> str:
    asked = request.args.to_dict() | {"$skip": str(told.skip + told.top)}
    return f"{request.base_url}?{urlencode(asked, safe='$')}"
