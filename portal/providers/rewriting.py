"""Rewriting: a frozen message in the words of Graph's JSON, for Exchange keeps no mail as it is.

Exchange takes every message apart and writes its own when it leaves: its own Message-ID, its own
plain text beside the HTML, the directory's name beside the address. So nothing is gained by handing
over the bytes, and what is documented of From, of headers and of files is documented of the JSON
(Graph: "message", "user-post-messages", "outlook-send-mail-from-other-user"). The frozen bytes stay
the evidence of what was asked. Pure.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from portal.envelope import DISPATCH_HEADER

Json = dict[str, Any]
#: A property of the portal's own on each of its messages: drafts and sent copies are found by it.
#: Exchange tells a sender's copy's headers to nobody (microsoft-graph-docs issues 2716, 18761).
MARK = "String {8f2a6b1e-3d57-4c0a-9b64-1c5e7a90d2f3} Name SendwrightDispatch"
FILE = "#microsoft.graph.fileAttachment"
#: Graph takes requests of 4 MB, the files in base64 among them, and files of 3 MB at once (Graph:
#: "use-the-api", "outlook-large-attachments").
LARGEST_REQUEST, LARGEST_AT_ONCE = 3_800_000, 2_800_000


@dataclass(frozen=True)
class File:
    """One attachment."""

    name: str
    kind: str
    content: bytes

    def as_json(self) -> Json:
        return {
            "@odata.type": FILE,
            "name": self.name,
            "contentType": self.kind,
            "contentBytes": base64.b64encode(self.content).decode(),
        }


@dataclass(frozen=True)
class Rewritten:
    """A message for Graph. fields: all but the files, which may be too large to go with them."""

    token: str
    fields: Json
    files: tuple[File, ...]

    @property
    def whole(self) -> Json:
        """The message with its files."""
        return {**self.fields, "attachments": [one.as_json() for one in self.files]}

    @property
    def changeable(self) -> Json:
        """What can be put right in a draft; its headers are given once and for all."""
        return {name: one for name, one in self.fields.items() if name != "internetMessageHeaders"}

    @property
    def fits(self) -> bool:
        """Whether one request can carry all of it."""
        size = sum(len(one.content) for one in self.files) * 4 // 3
        small = all(len(one.content) <= LARGEST_AT_ONCE for one in self.files)
        return small and size + len(body_of(self.fields)) <= LARGEST_REQUEST


def body_of(told: Json) -> bytes:
    """A request's body."""
    return json.dumps(told).encode()


def rewritten(mime: bytes) -> Rewritten:
    """What frozen bytes come to in Graph's JSON."""
    message = message_from_bytes(mime, policy=default)
    assert isinstance(message, EmailMessage)
    token = str(message.get(DISPATCH_HEADER, ""))
    html = message.get_body(("html", "plain"))
    kind = "html" if html is not None and html.get_content_subtype() == "html" else "text"
    senders = _people(message, "From")
    fields: Json = {
        "subject": str(message.get("Subject", "")),
        "body": {"contentType": kind, "content": html.get_content() if html else ""},
        "toRecipients": _people(message, "To"),
        "ccRecipients": _people(message, "Cc"),
        "internetMessageHeaders": [{"name": DISPATCH_HEADER, "value": token}],
        "singleValueExtendedProperties": [{"id": MARK, "value": token}],
    }
    if senders:
        fields["from"] = senders[0]
    return Rewritten(token, fields, tuple(map(_file, message.iter_attachments())))


@dataclass(frozen=True)
class Repair:
    """The ids of the files to take away from a draft, and the files to put into it."""

    extra: tuple[str, ...]
    missing: tuple[File, ...]


def repair(wanted: Sequence[File], found: Iterable[Mapping[str, Any]]) -> Repair:
    """What makes the files of a draft the wanted ones. found: as Graph lists them."""
    wants = Counter((one.name, one.content) for one in wanted)
    extra = []
    for one in found:
        key = str(one.get("name", "")), _content(one)
        if wants[key] > 0:
            wants[key] -= 1
        else:
            extra.append(str(one["id"]))
    return Repair(tuple(extra), tuple(one for one in wanted if _take(wants, one)))


def _take(wants: Counter[tuple[str, bytes]], one: File) -> bool:
    key = one.name, one.content
    wants[key] -= 1
    return wants[key] >= 0


def _content(one: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(one.get("contentBytes") or "")
    except ValueError:
        return b""


def _people(message: EmailMessage, header: str) -> list[Json]:
    found = message.get(header)
    addresses = getattr(found, "addresses", ())
    return [{"emailAddress": _named(one.display_name, one.addr_spec)} for one in addresses]


def _named(name: str, address: str) -> Json:
    return {"name": name, "address": address} if name else {"address": address}


def _file(part: Any) -> File:
    content = part.get_payload(decode=True) or b""
    return File(part.get_filename() or "file", part.get_content_type(), content)
