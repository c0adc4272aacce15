"""Head: the header fields of one message, read and rewritten without touching its body."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as MimeMessage
from email.utils import formataddr, getaddresses
from typing import Any

_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:[ \t]*(.*(?:\r?\n[ \t].*)*)", re.MULTILINE)
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_BLANK = re.compile(rb"\r?\n\r?\n")
_TAGS = re.compile(r"<(style|script|head)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_PLAUSIBLE = re.compile(r"^[^\s@<>,;:\"()\[\]]+@[^\s@<>,;:\"()\[\]]+$|^\"[^\"]+\"@[^\s@<>,]+$")
_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
SNIPPET_LENGTH = 200
# The text of a mail stands before its attachments: no need to decode a PDF for a snippet.
SNIPPET_SOURCE = 32_768


class Head:
    def __init__(self, fields: list[tuple[str, bytes]]) -> None:
        self.fields = fields

    @classmethod
    def parse(cls, head: bytes) -> Head:
        return cls([(m[1].decode("ascii"), m[2].rstrip(b"\r")) for m in _FIELD.finditer(head)])

    def raw(self, name: str) -> str | None:
        """The first such field, unfolded but still encoded."""
        wanted = name.lower()
        for field, value in self.fields:
            if field.lower() == wanted:
                return _unfold(value)
        return None

    def text(self, name: str) -> str:
        return decoded(self.raw(name) or "")

    def set(self, name: str, value: str) -> None:
        """Replaces the field where it stands; further fields of that name are dropped."""
        wanted, placed, kept = name.lower(), False, []
        for field, old in self.fields:
            if field.lower() != wanted:
                kept.append((field, old))
            elif not placed:
                kept.append((name, value.encode()))
                placed = True
        self.fields = kept if placed else [*kept, (name, value.encode())]

    def drop(self, name: str) -> None:
        self.fields = [pair for pair in self.fields if pair[0].lower() != name.lower()]

    def prepend(self, name: str, value: str) -> None:
        self.fields.insert(0, (name, value.encode()))

    def bytes(self) -> bytes:
        return b"".join(n.encode() + b": " + value + b"\r\n" for n, value in self.fields)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Each field as Google's API words it: unfolded and decoded."""
        for name, value in self.fields:
            yield name, decoded(_unfold(value))

    def addresses(self, name: str) -> list[str]:
        values = [_unfold(value) for field, value in self.fields if field.lower() == name.lower()]
        return [email for _, email in getaddresses(values) if email]


def split(raw: bytes) -> tuple[bytes, bytes]:
    if raw[:2] == b"\r\n" or raw[:1] == b"\n":
        return b"", raw
    parts = _BLANK.split(raw, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else b""


def decoded(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, ValueError):
        return value


def plausible(address: str) -> bool:
    return bool(_PLAUSIBLE.match(address))


def named(name: str, email: str) -> str:
    return formataddr((name, email)) if name else email


def from_base64url(text: str) -> bytes:
    """Google takes both alphabets, with and without padding."""
    compact = text.encode("ascii").translate(_STANDARD_ALPHABET, b"\r\n\t ").rstrip(b"=")
    return binascii.a2b_base64(compact + b"=" * (-len(compact) % 4), strict_mode=True)


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def part_tree(raw: bytes) -> dict[str, Any]:
    """MessagePart, the whole tree, as `format=full` answers it."""
    return _part(message_from_bytes(raw), "")


def attachment(raw: bytes, attachment_id: str) -> bytes | None:
    for part_id, part in walk(message_from_bytes(raw)):
        if attachment_name(part_id) == attachment_id:
            return content(part)
    return None


def walk(part: MimeMessage, part_id: str = "") -> Iterator[tuple[str, MimeMessage]]:
    """The leaves: an enclosed mail or delivery report counts as one."""
    children = _children(part)
    if not children:
        yield part_id, part
    for number, child in enumerate(children):
        yield from walk(child, f"{part_id}.{number}" if part_id else str(number))


def attachment_name(part_id: str) -> str:
    return "ANGjdJ" + to_base64url(f"part:{part_id or 'root'}".encode()).rstrip("=")


def content(part: MimeMessage) -> bytes:
    if part.is_multipart():
        enclosed = [piece for piece in part.get_payload() if isinstance(piece, MimeMessage)]
        return b"\r\n".join(_written(piece) for piece in enclosed)
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _written(piece: MimeMessage) -> bytes:
    try:
        return piece.as_bytes()
    except (UnicodeError, LookupError, TypeError):
        # The library reads odder mail than it can write again.
        return b"(This enclosed message cannot be shown.)\r\n"


def text_of(part: MimeMessage) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return content(part).decode(charset, "replace")
    except (LookupError, ValueError):
        return content(part).decode("utf-8", "replace")


def first_text(message: MimeMessage, kind: str) -> str | None:
    for _, part in walk(message):
        if part.get_content_type() == f"text/{kind}" and not part.get_filename():
            return text_of(part)
    return None


def snippet(head: bytes, body: bytes) -> str:
    message = message_from_bytes(head + b"\r\n" + body[:SNIPPET_SOURCE])
    text = first_text(message, "plain")
    if text is None:
        text = html.unescape(_TAGS.sub(" ", first_text(message, "html") or ""))
    return html.escape(" ".join(text.split())[:SNIPPET_LENGTH], quote=True)


def _children(part: MimeMessage) -> list[MimeMessage]:
    if part.get_content_maintype() != "multipart" or not part.is_multipart():
        return []
    return [piece for piece in part.get_payload() if isinstance(piece, MimeMessage)]


def _part(part: MimeMessage, part_id: str) -> dict[str, Any]:
    children = _children(part)
    drawn: dict[str, Any] = {
        "partId": part_id,
        "mimeType": part.get_content_type(),
        "filename": decoded(part.get_filename() or ""),
        "headers": [{"name": n, "value": decoded(_FOLD.sub("", str(v)))} for n, v in part.items()],
        "body": {"size": 0} if children else _body(part, part_id),
    }
    if children:
        drawn["parts"] = [
            _part(child, f"{part_id}.{number}" if part_id else str(number))
            for number, child in enumerate(children)
        ]
    return drawn


def _body(part: MimeMessage, part_id: str) -> dict[str, Any]:
    data = content(part)
    if part.get_filename() or part.get_content_maintype() not in ("text", "message"):
        return {"attachmentId": attachment_name(part_id), "size": len(data)}
    return {"size": len(data), "data": to_base64url(data)}


def _unfold(value: bytes) -> str:
    return _FOLD.sub("", value.decode("utf-8", "replace")).strip()
