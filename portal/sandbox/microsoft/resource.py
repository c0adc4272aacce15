"""Resource: an item as Graph's JSON words it, whole or the properties that were asked for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message as MimeMessage
from email.utils import getaddresses
from functools import cached_property
from typing import Any
from urllib.parse import quote

from flask import request

from portal.sandbox import mime
from portal.sandbox.microsoft import items
from portal.sandbox.microsoft.composing import FILE
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.errors import access_denied
from portal.sandbox.microsoft.items import Item
from portal.sandbox.microsoft.microsoft import LocalMicrosoft

Json = dict[str, Any]


@dataclass(frozen=True)
class View:
    """An item as one caller sees it."""

    microsoft: LocalMicrosoft
    account: Account
    item: Item
    immutable: bool
    #: Whether the app may read what Mail.ReadBasic lets it, and no more.
    basic: bool = False

    @property
    def id(self) -> str:
        return self.item.immutable_id if self.immutable else self.item.rest_id

    @cached_property
    def mail(self) -> MimeMessage:
        return message_from_bytes(items.raw(self.microsoft.store, self.item))

    @cached_property
    def head(self) -> mime.Head:
        return self.item.head


def whole(view: View, select: Iterable[str] = (), expand: Json | None = None) -> Json:
    """The properties that were selected, or else all that Graph gives unasked."""
    named = ["id", *(name for name in select if name != "id")] if select else DEFAULT
    if view.basic:
        named = [name for name in named if name not in WITHHELD]
        if expand:
            raise access_denied()
    answer: Json = {"@odata.etag": f'W/"{_change_key(view)}"'}
    answer |= {name: value for name in named if (value := PROPERTIES[name](view)) is not LEFT_OUT}
    for name, wanted in (expand or {}).items():
        answer[name] = EXPANDED[name](view, wanted)
    return answer


def files(view: View) -> list[tuple[str, MimeMessage]]:
    """The attachments: each leaf that has a name, with its place in the mail."""
    return [(place, part) for place, part in mime.walk(view.mail) if part.get_filename()]


def file(view: View, place: str, part: MimeMessage, *, with_bytes: bool = True) -> Json:
    data = mime.content(part)
    content_id = (part.get("Content-ID") or "").strip("<> ") or None
    answer: Json = {
        "@odata.type": FILE,
        "@odata.mediaContentType": part.get_content_type(),
        "id": file_id(view, place),
        "lastModifiedDateTime": moment(view.item.modified),
        "name": mime.decoded(part.get_filename() or ""),
        "contentType": part.get_content_type(),
        "size": len(data),
        "isInline": content_id is not None,
        "contentId": content_id,
        "contentLocation": None,
    }
    return answer | ({"contentBytes": base64.b64encode(data).decode()} if with_bytes else {})


def file_id(view: View, place: str) -> str:
    return f"{view.id.rstrip('=')}ABIAE{mime.to_base64url(f'part:{place}'.encode()).rstrip('=')}"


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def person(name: str, address: str) -> Json:
    return {"emailAddress": {"name": name or address, "address": address}}


LEFT_OUT = object()


def _people(view: View, header: str) -> list[Json]:
    listed = getaddresses([view.head.raw(header) or ""])
    return [person(mime.decoded(name), address) for name, address in listed if address]


def _one(view: View, *headers: str) -> object:
    for header in headers:
        if found := _people(view, header):
            return found[0]
    return LEFT_OUT


def _body(view: View) -> Json:
    html = mime.first_text(view.mail, "html")
    if html is not None:
        return {"contentType": "html", "content": html}
    return {"contentType": "text", "content": mime.first_text(view.mail, "plain") or ""}


def _headers(view: View) -> object:
    """Of a draft its own headers, of what was received all; of the sender's copy none."""
    steered = view.microsoft.settings.headers_on_sent_copies
    if not view.item.draft and view.item.folder != "inbox" and not steered:
        return LEFT_OUT
    pairs = list(view.head.pairs())
    if view.item.draft:
        pairs = [pair for pair in pairs if pair[0].lower().startswith("x-")]
    return [{"name": name, "value": value} for name, value in pairs]


def _change_key(view: View) -> str:
    return f"CQAAABYAAAA{view.item.seq:x}A{view.item.change:x}"


def _link(view: View) -> str:
    return f"{request.host_url}owa/?ItemID={quote(view.id, safe='')}&exvsurl=1"


def _beside(name: str, otherwise: object) -> Callable[[View], object]:
    return lambda view: view.item.extras.get(name, otherwise)


PROPERTIES: dict[str, Callable[[View], object]] = {
    "id": lambda view: view.id,
    "createdDateTime": lambda view: moment(view.item.created),
    "lastModifiedDateTime": lambda view: moment(view.item.modified),
    "changeKey": _change_key,
    "categories": _beside("categories", []),
    "receivedDateTime": lambda view: moment(view.item.received),
    "sentDateTime": lambda view: moment(view.item.sent),
    "hasAttachments": lambda view: view.item.attachments > 0,
    "internetMessageId": lambda view: view.item.internet_id,
    "subject": lambda view: view.head.text("Subject"),
    "bodyPreview": lambda view: view.item.preview,
    "importance": _beside("importance", "normal"),
    "parentFolderId": lambda view: items.folder_id(view.account, view.item.folder),
    "conversationId": lambda view: view.item.conversation_id,
    "conversationIndex": lambda view: f"AQH{view.item.conversation_id[8:30]}",
    "isDeliveryReceiptRequested": _beside("isDeliveryReceiptRequested", False),
    "isReadReceiptRequested": _beside("isReadReceiptRequested", False),
    "isRead": lambda view: view.item.read,
    "isDraft": lambda view: view.item.draft,
    "webLink": _link,
    "inferenceClassification": _beside("inferenceClassification", "focused"),
    "body": _body,
    "sender": lambda view: _one(view, "Sender", "From"),
    "from": lambda view: _one(view, "From"),
    "toRecipients": lambda view: _people(view, "To"),
    "ccRecipients": lambda view: _people(view, "Cc"),
    "bccRecipients": lambda view: _people(view, "Bcc"),
    "replyTo": lambda view: _people(view, "Reply-To"),
    "flag": _beside("flag", {"flagStatus": "notFlagged"}),
    "internetMessageHeaders": _headers,
    "uniqueBody": _body,
}
ON_REQUEST = ("internetMessageHeaders", "uniqueBody")
#: Mail.ReadBasic shows all but these, attachments and extended properties (permissions reference).
WITHHELD = ("body", "bodyPreview", "uniqueBody")
#: PidTagMessageSize, as one asks for it.
SIZE = "integer 0x0e08"
DEFAULT = [name for name in PROPERTIES if name not in ON_REQUEST]


def _extended(view: View, wanted: Any) -> list[Json]:
    kept = view.item.extras.get("singleValueExtendedProperties", {})
    if any(name.lower() == SIZE for name in wanted):
        kept = {**kept, "Integer 0xe08": str(view.item.size)}
        wanted = [*wanted, "Integer 0xe08"]
    return [{"id": name, "value": value} for name, value in kept.items() if name in wanted]


EXPANDED: dict[str, Callable[[View, Any], list[Json]]] = {
    "attachments": lambda view, _: [file(view, place, part) for place, part in files(view)],
    "singleValueExtendedProperties": _extended,
}
