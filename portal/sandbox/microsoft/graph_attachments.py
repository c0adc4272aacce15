"""Attachments by Graph: small files at once, large ones in pieces through an upload session."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Response, request

from portal.sandbox.microsoft import composing, directory, errors, items, posting, resource
from portal.sandbox.microsoft.errors import GraphError, bad_request, graph_json
from portal.sandbox.microsoft.graph import (
    Caller,
    Json,
    blueprint,
    collection,
    entity,
    json_body,
    method,
    nothing,
)
from portal.sandbox.microsoft.items import Item
from portal.sandbox.microsoft.microsoft import current
from portal.sandbox.microsoft.resource import moment
from portal.sandbox.microsoft.settings import (
    MAX_ATTACHMENT_BYTES,
    MAX_REQUEST_BYTES,
    MEGABYTE,
    SESSION_FROM_BYTES,
)

SESSION_LIFE = 86_400.0
SESSIONS = "/api/v2.0/Users('<owner>')/Messages('<message>')/AttachmentSessions('<session>')"
_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$")


@method("attachments.create", "POST", "/messages/<id>/attachments")
def create(caller: Caller, id: str) -> Response:
    store, file = caller.microsoft.store, composing.file_from(json_body())
    with store.transaction():
        item = _with_file(caller.microsoft.store, _draft(caller, id), file, caller.now)
    view = caller.view(item)
    place, part = resource.files(view)[-1]
    return entity(_what(caller, id), resource.file(view, place, part), 201)


@method("attachments.list", "GET", "/messages/<id>/attachments")
def list_files(caller: Caller, id: str) -> Response:
    view = caller.view(caller.item(id))
    with_bytes = "$select" not in request.args
    found = [
        resource.file(view, place, part, with_bytes=with_bytes)
        for place, part in resource.files(view)
    ]
    return collection(_what(caller, id), found)


@method("attachments.get", "GET", "/messages/<id>/attachments/<file>")
def get(caller: Caller, id: str, file: str) -> Response:
    view = caller.view(caller.item(id))
    for place, part in resource.files(view):
        if resource.file_id(view, place) == file:
            return entity(_what(caller, id), resource.file(view, place, part))
    raise errors.not_found()


@method("attachments.delete", "DELETE", "/messages/<id>/attachments/<file>")
def delete(caller: Caller, id: str, file: str) -> Response:
    store = caller.microsoft.store
    with store.transaction():
        item = _draft(caller, id)
        view = caller.view(item)
        for place, _ in resource.files(view):
            if resource.file_id(view, place) == file:
                raw = composing.without_part(items.raw(store, item), place)
                items.rewrite(store, item, raw, caller.now)
                return nothing()
    raise errors.not_found()


@method("attachments.createUploadSession", "POST", "/messages/<id>/attachments/createUploadSession")
def create_upload_session(caller: Caller, id: str) -> Response:
    microsoft, item = caller.microsoft, _draft(caller, id)
    if caller.mailbox.id != caller.account.id and not microsoft.settings.shared_uploads:
        raise errors.access_denied()
    told = _attachment_item()
    session, token = secrets.token_urlsafe(24), secrets.token_urlsafe(60)
    expires = caller.now + SESSION_LIFE
    microsoft.store.insert(
        "uploads",
        id=session,
        token=token,
        immutable_id=item.immutable_id,
        account_id=caller.mailbox.id,
        name=told["name"],
        kind=str(told.get("contentType") or "application/octet-stream"),
        size=told["size"],
        content_id=told.get("contentId") if told.get("isInline") else None,
        bytes=b"",
        expires=expires,
    )
    owner = f"{caller.mailbox.oid}@{caller.mailbox.tenant_id}"
    path = SESSIONS.replace("<owner>", owner).replace("<message>", item.rest_id)
    path = path.replace("<session>", session)
    answer: Json = {
        "@odata.context": f"{request.host_url}v1.0/$metadata#microsoft.graph.uploadSession",
        "uploadUrl": f"{request.host_url.rstrip('/')}{path}?authtoken={token}",
        "expirationDateTime": moment(expires),
        "nextExpectedRanges": ["0-"],
    }
    return graph_json(answer, 201)


@blueprint.put(SESSIONS)
def upload(owner: str, message: str, session: str) -> Response:
    """One piece of a file: 200 while more is awaited, 201 with the last one.

    The address itself allows it: an Authorization header is not wanted here.
    """
    microsoft = current()
    microsoft.calls["uploads.put"] += 1
    posting.let_leave(microsoft)
    row = _session(session)
    account = directory.by_id(microsoft.store, row["account_id"])
    firing = microsoft.faults.take("uploads.put", account.email)
    if firing:
        firing.before()
    answer = _taken_in(row, request.get_data())
    if firing:
        firing.after_deed()
    return answer


@blueprint.delete(SESSIONS)
def cancel_upload(owner: str, message: str, session: str) -> Response:
    row = _session(session)
    current().store.run("DELETE FROM uploads WHERE id = ?", row["id"])
    return nothing()


def _taken_in(row: Any, piece: bytes) -> Response:
    microsoft, start = current(), _start(row, piece)
    settings, now = microsoft.settings, microsoft.clock.now()
    limit = settings.upload_bytes_per_five_minutes
    microsoft.throttle.upload(row["account_id"], len(piece), now, limit)
    with microsoft.store.transaction():
        whole = row["bytes"] + piece
        if start + len(piece) < row["size"]:
            microsoft.store.run("UPDATE uploads SET bytes = ? WHERE id = ?", whole, row["id"])
            answer: Json = {
                "@odata.context": f"{request.host_url}api/v2.0/$metadata#AttachmentSessions",
                "ExpirationDateTime": moment(row["expires"]),
                "nextExpectedRanges": [str(start + len(piece))],
            }
            return graph_json(answer)
        return _attached(row, whole, now)


def _attached(row: Any, whole: bytes, now: float) -> Response:
    store = current().store
    item = items.by_immutable_id(store, row["immutable_id"])
    if item is None or not item.draft or item.leaves is not None:
        raise errors.not_found()
    names = ("name", "kind", "content_id")
    item = _with_file(store, item, {name: row[name] for name in names} | {"bytes": whole}, now)
    store.run("DELETE FROM uploads WHERE id = ?", row["id"])
    base = request.path.partition("/AttachmentSessions")[0]
    answer = Response(status=201)
    view = resource.View(current(), directory.by_id(store, item.account_id), item, False)
    place, _ = resource.files(view)[-1]
    target = f"{request.host_url.rstrip('/')}{base}"
    answer.headers["Location"] = f"{target}/Attachments('{resource.file_id(view, place)}')"
    return answer


def _session(session: str) -> Any:
    microsoft = current()
    row = microsoft.store.row("SELECT * FROM uploads WHERE id = ?", session)
    if row is None or row["expires"] < microsoft.clock.now():
        raise errors.not_found()
    if row["token"] != request.args.get("authtoken"):
        raise errors.bad_token("The upload session's token is not valid.")
    return row


def _start(row: Any, piece: bytes) -> int:
    found = _RANGE.match(request.headers.get("Content-Range", ""))
    if found is None:
        raise bad_request("The Content-Range header is missing or malformed.")
    start, end, size = (int(number) for number in found.groups())
    if len(piece) > MAX_REQUEST_BYTES:
        raise errors.too_large()
    if size != row["size"] or end - start + 1 != len(piece):
        raise bad_request("The Content-Range header does not match the bytes sent.")
    if start != len(row["bytes"]):
        words = f"The next range must start at {len(row['bytes'])}."
        raise GraphError(416, "ErrorInvalidRange", words)
    return start


def _attachment_item() -> Json:
    told = {name.lower(): given for name, given in json_body().items()}.get("attachmentitem")
    named = isinstance(told, dict) and told.get("name") and isinstance(told.get("size"), int)
    if not isinstance(told, dict) or not named:
        raise bad_request("AttachmentItem needs attachmentType, name and size.")
    if told["size"] < SESSION_FROM_BYTES:
        words = f"The attachment size should be no less than {SESSION_FROM_BYTES}."
        raise bad_request(words, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
    if told["size"] > MAX_ATTACHMENT_BYTES:
        words = f"The attachment is larger than {MAX_ATTACHMENT_BYTES // MEGABYTE} MB."
        raise bad_request(words, "ErrorAttachmentSizeLimitExceeded")
    return told


def _with_file(store: Any, item: Item, file: Json, now: float) -> Item:
    raw = composing.with_file(items.raw(store, item), file)
    return items.rewrite(store, item, raw, now)


def _draft(caller: Caller, id: str) -> Item:
    item = caller.item(id)
    if not item.draft or item.leaves is not None:
        words = "Update operation is invalid for property of a sent message."
        raise GraphError(400, "ErrorInvalidPropertyUpdateSentMessage", words)
    return item


def _what(caller: Caller, id: str) -> str:
    return f"users('{caller.mailbox.oid}')/messages('{id}')/attachments"
