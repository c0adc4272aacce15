"""Composing: a message as Graph's JSON words it, made into the mail that it means."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from portal.sandbox import mime
from portal.sandbox.microsoft.errors import GraphError, bad_request
from portal.sandbox.mime import Head

Json = dict[str, Any]
LISTS = {
    "toRecipients": "To",
    "ccRecipients": "Cc",
    "bccRecipients": "Bcc",
    "replyTo": "Reply-To",
}
#: What stands beside the mail rather than in it.
BESIDE = frozenset(
    [
        "categories",
        "importance",
        "flag",
        "inferenceClassification",
        "isDeliveryReceiptRequested",
        "isReadReceiptRequested",
        "isRead",
        "singleValueExtendedProperties",
    ]
)
IN_THE_MAIL = frozenset(
    [*LISTS, "subject", "body", "from", "sender", "internetMessageHeaders", "attachments"]
)
FILE = "#microsoft.graph.fileAttachment"
MOST_HEADERS = 5
#: What Exchange keeps of a mail's head; of all others only those that begin with X-.
KEPT = frozenset(
    ["from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id",
     "in-reply-to", "references", "mime-version", "content-type", "content-transfer-encoding",
     "content-disposition", "content-language", "importance", "priority", "thread-topic",
     "thread-index", "disposition-notification-to", "auto-submitted", "list-unsubscribe",
     "list-unsubscribe-post"]
)  # fmt: skip


def checked(told: object) -> Json:
    if not isinstance(told, dict):
        raise bad_request("Unable to read JSON request payload.")
    for name in told:
        if name not in BESIDE | IN_THE_MAIL and not name.startswith("@odata."):
            words = (
                f"The property '{name}' does not exist on type 'microsoft.graph.message'. Make "
                "sure to only use property names that are defined by the type or mark the type as "
                "open type."
            )
            raise bad_request(words, "RequestBodyRead")
    return told


@contextmanager
def _as_far_as_it_can_be_read() -> Iterator[None]:
    try:
        yield
    except GraphError:
        raise
    except Exception as problem:
        # On odd mail the library fails in more ways than it names.
        raise bad_request(f"Unable to read the message. {problem}") from problem


@_as_far_as_it_can_be_read()
def from_json(told: Json) -> bytes:
    message = EmailMessage(policy=SMTP)
    _put_head(message, told)
    message["MIME-Version"] = "1.0"
    _put_body(message, told.get("body") or {})
    for one in told.get("attachments") or []:
        _attach(message, file_from(one))
    return message.as_bytes()


@_as_far_as_it_can_be_read()
def changed(raw: bytes, told: Json) -> bytes:
    """The same mail with what was told put in place of what stood there."""
    old = _parsed(raw)
    files = list(old.iter_attachments()) if "body" in told and old.is_multipart() else []
    _put_head(old, told)
    if "body" not in told:
        return old.as_bytes()
    new = EmailMessage(policy=SMTP)
    for name, value in old.items():
        if not name.lower().startswith("content-"):
            new[name] = value
    _put_body(new, told["body"] or {})
    for file in files:
        if new.get_content_type() != "multipart/mixed":
            new.make_mixed()
        new.attach(file)
    return new.as_bytes()


@_as_far_as_it_can_be_read()
def with_file(raw: bytes, file: Json) -> bytes:
    message = _parsed(raw)
    _attach(message, file)
    return message.as_bytes()


@_as_far_as_it_can_be_read()
def without_part(raw: bytes, part_id: str) -> bytes:
    message = _parsed(raw)
    whole = dict(mime.walk(message))
    payload: Any = message.get_payload()
    message.set_payload([part for part in payload if part is not whole.get(part_id)])
    return message.as_bytes()


def file_from(told: object) -> Json:
    """A file's name, kind, bytes and content id, from Graph's fileAttachment."""
    if not isinstance(told, dict) or told.get("@odata.type", FILE) != FILE:
        raise bad_request("Only file attachments can be attached here.", "ErrorInvalidParameter")
    try:
        data = base64.b64decode(told.get("contentBytes") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        words = "Cannot convert the literal to the expected type 'Edm.Binary'."
        raise bad_request(words, "RequestBodyRead") from None
    if not told.get("name"):
        raise bad_request("Required property 'name' is missing.", "ErrorRequiredPropertyMissing")
    inline = told.get("contentId") if told.get("isInline") else None
    kind = told.get("contentType") or "application/octet-stream"
    return {"name": str(told["name"]), "kind": str(kind), "bytes": data, "content_id": inline}


def from_mime(encoded: bytes) -> bytes:
    """Standard base64, and nothing else: not base64url, not the mail as it is."""
    try:
        return binascii.a2b_base64(b"".join(encoded.split()), strict_mode=True) or _nothing()
    except binascii.Error:
        return _nothing()


def only_kept(raw: bytes, own_headers: int) -> bytes:
    """The mail with those header fields that Exchange keeps."""
    head_bytes, body = mime.split(raw)
    head, own = Head.parse(head_bytes), 0
    kept = []
    for name, value in head.fields:
        is_own = name.lower().startswith("x-")
        own += is_own
        if name.lower() in KEPT or (is_own and own <= own_headers):
            kept.append((name, value))
    return Head(kept).bytes() + b"\r\n" + body


def new_internet_id() -> str:
    server = f"ME3P{secrets.randbelow(900) + 100}MB{secrets.randbelow(9000) + 1000}"
    return f"<{server}{secrets.token_hex(16).upper()}@{server}.AUSP282.PROD.OUTLOOK.COM>"


def _nothing() -> bytes:
    words = "Invalid base64 string for MIME content."
    raise GraphError(400, "ErrorMimeContentInvalidBase64String", words)


def _parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


def _put_head(message: EmailMessage, told: Json) -> None:
    if "subject" in told:
        _set(message, "Subject", str(told["subject"] or ""))
    for name, header in LISTS.items():
        if name in told:
            people = [_address(one) for one in told[name] or []]
            _set(message, header, ", ".join(people))
    if told.get("from"):
        _set(message, "From", _address(told["from"]))
    if "internetMessageHeaders" in told:
        _put_own_headers(message, told["internetMessageHeaders"])


def _put_own_headers(message: EmailMessage, told: Any) -> None:
    if not told or len(told) > MOST_HEADERS:
        words = (
            f"Maximum number of headers in one message should be less than or equal to "
            f"{MOST_HEADERS}."
            if told
            else "The collection of internet message headers is empty."
        )
        raise bad_request(words, "InvalidInternetMessageHeaderCollection")
    for one in told:
        name = str(one["name"])
        if not name.lower().startswith("x-"):
            words = f"The internet message header name '{name}' should start with 'x-' or 'X-'."
            raise bad_request(words, "InvalidInternetMessageHeader")
        _set(message, name, str(one["value"]))


def _set(message: EmailMessage, name: str, value: str) -> None:
    del message[name]
    if value:
        message[name] = value


def _address(told: Json) -> str:
    person = told["emailAddress"]
    return mime.named(str(person.get("name") or ""), str(person.get("address") or ""))


def _put_body(message: EmailMessage, told: Json) -> None:
    kind = "html" if str(told.get("contentType") or "text").lower() == "html" else "plain"
    message.set_content(str(told.get("content") or ""), subtype=kind, cte="base64")


def _attach(message: EmailMessage, file: Json) -> None:
    main, _, sub = file["kind"].partition(";")[0].strip().partition("/")
    told: Json = {"maintype": main, "subtype": sub or "octet-stream", "filename": file["name"]}
    letter = message.get_body(("html",)) if file["content_id"] else None
    if isinstance(letter, EmailMessage):
        letter.add_related(file["bytes"], cid=f"<{file['content_id']}>", **told)
    else:
        message.add_attachment(file["bytes"], **told)
