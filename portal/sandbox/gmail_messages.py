"""Gmail messages: send, read and list mail; the profile, labels and history beside it."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import request

from portal.sandbox import mailbox, mime, sending
from portal.sandbox.errors import forbidden, invalid, not_found
from portal.sandbox.gmail import (
    Caller,
    Json,
    checked,
    choice,
    json_body,
    method,
    number,
    page_token,
)
from portal.sandbox.mailbox import SYSTEM_LABELS, Message
from portal.sandbox.search import Search
from portal.sandbox.sending import Submission

NEWEST = 2**62
MESSAGE_FIELDS = frozenset(
    [
        "id",
        "threadId",
        "labelIds",
        "snippet",
        "historyId",
        "internalDate",
        "payload",
        "sizeEstimate",
        "raw",
        "classificationLabelValues",
    ]
)
FORMATS = ("full", "metadata", "minimal", "raw")
HISTORY_TYPES = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}
NO_CONTENT = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"


@method("getProfile", "GET", "/profile")
def get_profile(caller: Caller) -> Json:
    store, account = caller.google.store, caller.account
    messages, threads = mailbox.count(store, account.id)
    return {
        "emailAddress": account.email,
        "messagesTotal": messages,
        "threadsTotal": threads,
        "historyId": str(mailbox.history_id(store, account.id)),
    }


@method("messages.send", "POST", "/messages/send", upload=True)
def send(caller: Caller) -> Json:
    told, uploaded = request_parts(MESSAGE_FIELDS)
    with caller.google.store.transaction():
        submission = submitted(caller, told, uploaded)
        return sending.accept(caller.google, caller.account, submission).brief()


@method("messages.get", "GET", "/messages/<id>")
def get(caller: Caller, id: str) -> Json:
    wanted = choice("format", FORMATS, "full")
    if caller.sees_only_metadata and wanted in ("full", "raw"):
        raise forbidden(f"Metadata scope doesn't allow format {wanted.upper()}")
    answer = drawn(caller, found(caller, id), wanted)
    if caller.sees_only_metadata:
        del answer["snippet"]  # it is a part of the text
    return answer


@method("messages.list", "GET", "/messages")
def list_messages(caller: Caller) -> Json:
    query = request.args.get("q")
    if query and caller.sees_only_metadata:
        raise forbidden("Metadata scope does not support 'q' parameter")
    labels = [label.upper() for label in request.args.getlist("labelIds")]
    for label in labels:
        if label not in SYSTEM_LABELS:
            raise invalid(f"Invalid label: {label}")
    limit = number("maxResults", 100, 500)
    matching = Search(caller.google.store, caller.account.id, query or "", labels)
    page = matching.page(before=page_token() or NEWEST, limit=limit + 1)
    answer: Json = {"messages": [one.stub() for one in page[:limit]]} if page else {}
    if len(page) > limit:
        answer["nextPageToken"] = str(page[limit - 1].seq)
    return answer | {"resultSizeEstimate": matching.estimate(len(page))}


@method("messages.attachments.get", "GET", "/messages/<message_id>/attachments/<id>")
def get_attachment(caller: Caller, message_id: str, id: str) -> Json:
    message = found(caller, message_id)
    data = mime.attachment(mailbox.raw(caller.google.store, message), id)
    if data is None:
        raise invalid("Invalid attachment token")
    return {"size": len(data), "data": mime.to_base64url(data)}


@method("threads.get", "GET", "/threads/<id>")
def get_thread(caller: Caller, id: str) -> Json:
    wanted = choice("format", FORMATS[:3], "full")
    if caller.sees_only_metadata and wanted == "full":
        raise forbidden("Metadata scope doesn't allow format FULL")
    rows = caller.google.store.rows(
        "SELECT seq FROM messages WHERE account_id = ? AND thread_id = ? ORDER BY seq",
        *(caller.account.id, id),
    )
    messages = [mailbox.by_seq(caller.google.store, row["seq"]) for row in rows]
    if not messages:
        raise not_found()
    drawings = [drawn(caller, one, wanted) for one in messages if one is not None]
    return {"id": id, "historyId": drawings[-1]["historyId"], "messages": drawings}


@method("labels.list", "GET", "/labels")
def list_labels(caller: Caller) -> Json:
    return {"labels": [_label(name) for name in SYSTEM_LABELS]}


@method("labels.get", "GET", "/labels/<id>")
def get_label(caller: Caller, id: str) -> Json:
    if id not in SYSTEM_LABELS:
        raise not_found()
    store, account_id = caller.google.store, caller.account.id
    messages, threads = mailbox.count(store, account_id, id)
    unread = len(mailbox.page(store, account_id, [id, "UNREAD"], before=NEWEST, limit=10_000))
    return _label(id) | {
        "messagesTotal": messages,
        "messagesUnread": unread,
        "threadsTotal": threads,
        "threadsUnread": min(unread, threads),
    }


@method("history.list", "GET", "/history")
def list_history(caller: Caller) -> Json:
    store, account_id = caller.google.store, caller.account.id
    start = request.args.get("startHistoryId", "")
    if not start.isdecimal():
        raise invalid("Missing/invalid startHistoryId")
    if int(start) < mailbox.history_floor(store, account_id):
        raise not_found()
    limit = number("maxResults", 100, 500)
    rows = store.rows(
        "SELECT * FROM history WHERE account_id = ? AND id > ? ORDER BY id LIMIT ?",
        *(account_id, max(int(start), page_token() or 0), limit + 1),
    )
    kinds = {HISTORY_TYPES.get(one) for one in request.args.getlist("historyTypes")}
    label = request.args.get("labelId")
    shown = [
        _record(row)
        for row in rows[:limit]
        if (not kinds or row["kind"] in kinds) and (not label or label in row["labels"].split())
    ]
    answer: Json = {"history": shown} if shown else {}
    if len(rows) > limit:
        answer["nextPageToken"] = str(rows[limit - 1]["id"])
    return answer | {"historyId": str(mailbox.history_id(store, account_id))}


def found(caller: Caller, message_id: str) -> Message:
    if not re.fullmatch(r"[0-9a-f]{1,16}", message_id):
        raise invalid("Invalid id value")
    message = mailbox.find(caller.google.store, caller.account.id, message_id)
    if message is None:
        raise not_found()
    return message


def drawn(caller: Caller, message: Message, wanted: str) -> Json:
    store = caller.google.store
    body = mailbox.body(store, message)
    answer: Json = message.brief() | {
        "snippet": mime.snippet(message.head_bytes, body),
        "sizeEstimate": message.size,
        "historyId": str(message.history_id),
        "internalDate": str(int(message.at * 1000)),
    }
    if wanted == "raw":
        answer["raw"] = mime.to_base64url(message.head_bytes + b"\r\n" + body)
    elif wanted == "metadata":
        answer["payload"] = _metadata(message)
    elif wanted == "full":
        answer["payload"] = mime.part_tree(message.head_bytes + b"\r\n" + body)
    return answer


def submitted(caller: Caller, told: Json, uploaded: bytes | None) -> Submission:
    raw = uploaded if uploaded is not None else raw_of(told)
    if not raw:
        raise invalid(NO_CONTENT)
    thread_id = told.get("threadId") or None
    store = caller.google.store
    if thread_id and not mailbox.thread_exists(store, caller.account.id, str(thread_id)):
        raise not_found()
    return sending.take_in(caller.google, raw, thread_id)


def raw_of(told: Json) -> bytes | None:
    text = told.get("raw")
    if text is None:
        return None
    try:
        return mime.from_base64url(text)
    except (ValueError, AttributeError):
        words = "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed"
        raise invalid(words, "badRequest") from None


def request_parts(fields: frozenset[str]) -> tuple[Json, bytes | None]:
    """The JSON resource and, on the upload addresses, the mail's own bytes."""
    if not request.path.startswith("/upload/"):
        return json_body(fields), None
    if request.args.get("uploadType") == "multipart":
        resource, raw = _multipart(request.get_data(), request.mimetype_params.get("boundary"))
        return checked(json.loads(resource or b"{}"), fields), raw
    if request.args.get("uploadType") != "media":
        raise invalid("Upload type is not supported here: media or multipart.", "badRequest")
    _check_media_type(request.mimetype)
    return {}, request.get_data()


def _multipart(data: bytes, boundary: str | None) -> tuple[bytes, bytes]:
    if not boundary:
        raise invalid("Missing boundary in multipart body.", "badContent")
    delimiter = rb"(?:^|\r?\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?:\r?\n|$)"
    pieces = [piece for piece in re.split(delimiter, data) if piece.strip()]
    if len(pieces) != 2:
        raise invalid("Multipart upload needs exactly two parts.", "badContent")
    resource, (head, mail) = mime.split(pieces[0])[1], mime.split(pieces[1])
    _check_media_type(mime.Head.parse(head).text("Content-Type").partition(";")[0].strip())
    return resource, mail


def _check_media_type(kind: str) -> None:
    if not kind.startswith("message/"):
        words = f"Media type '{kind}' is not supported. Valid media types: [message/*]"
        raise invalid(words, "badContent")


def _metadata(message: Message) -> Json:
    wanted = {name.lower() for name in request.args.getlist("metadataHeaders")}
    pairs = [(n, v) for n, v in message.head.pairs() if not wanted or n.lower() in wanted]
    kind = message.head.text("Content-Type").partition(";")[0].strip().lower() or "text/plain"
    return {"mimeType": kind, "headers": [{"name": n, "value": v} for n, v in pairs]}


def _label(name: str) -> Json:
    shown = name in ("INBOX", "SENT", "DRAFT", "STARRED", "UNREAD")
    answer: Json = {"id": name, "name": name, "type": "system"}
    if not shown:
        answer |= {"messageListVisibility": "hide", "labelListVisibility": "labelHide"}
    return answer


def _record(row: Any) -> Json:
    stub = {"id": row["message"], "threadId": row["thread"]}
    detail = {"message": stub | {"labelIds": row["labels"].split()}}
    return {"id": str(row["id"]), "messages": [stub], row["kind"]: [detail]}
