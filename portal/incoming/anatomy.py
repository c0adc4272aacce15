"""Anatomy: the headers and parts of a message, taken from its first megabyte.

Not the library's parser: reports hide between broken boundaries, and whoever sends thirty megabytes
or ten thousand parts nested in one another must not keep the watch from the next mail. A report
stands before what it returns, so its beginning is enough.
"""

import binascii
import html
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from portal.incoming import headers
from portal.incoming.headers import Fields

#: What is looked at of a message, of its headers, and of one text, in bytes.
LARGEST_READ, LARGEST_HEAD, LARGEST_TEXT = 1 << 20, 1 << 17, 1 << 16
MOST_FIELDS, MOST_PARTS, DEEPEST = 1_000, 60, 10
_FIELD = re.compile(rb"([!-9;-~]{1,76})[ \t]{0,9}:(.*)", re.S)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_GUESSED = re.compile(rb"(?:^|\n)--([^\n]{1,70})\nContent-[a-z-]{1,30}:", re.I)
_HIDDEN = re.compile(r"<(/?)(?:style|script|head|title)\b[^<>]*>", re.I)
_BREAKS = re.compile(r"</?(?:br|p|div|tr|li|h\d|table|ul|pre|hr|blockquote)\b[^<>]*>", re.I)
_TAGS = re.compile(r"<[^<>]*>")
_LONG_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{9,}")


@dataclass(frozen=True)
class Part:
    """A leaf of a message: what has no parts itself, or is a message of its own."""

    fields: Fields
    body: bytes

    @cached_property
    def _content(self) -> tuple[str, dict[str, str]]:
        return headers.content_type(headers.first(self.fields, "content-type") or "text/plain")

    @property
    def kind(self) -> str:
        return self._content[0]

    @cached_property
    def data(self) -> bytes:
        """The body without its transfer encoding, cut."""
        how = headers.first(self.fields, "content-transfer-encoding").strip().lower()
        if how == "base64":
            return _from_base64(self.body[: 2 * LARGEST_TEXT])
        if how == "quoted-printable":
            return quopri.decodestring(self.body[: 2 * LARGEST_TEXT])[:LARGEST_TEXT]
        return self.body[:LARGEST_TEXT]

    @cached_property
    def text(self) -> str:
        """What a person reads, lines kept."""
        text = headers.as_text(self.data, self._content[1].get("charset", ""))
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return from_html(text) if self.kind == "text/html" else text


@dataclass(frozen=True)
class Mail:
    """A message's headers and its leaves in their order."""

    fields: Fields
    parts: tuple[Part, ...]

    def first(self, name: str) -> str:
        return headers.first(self.fields, name)

    def every(self, name: str) -> list[str]:
        return headers.every(self.fields, name)

    @cached_property
    def content(self) -> tuple[str, dict[str, str]]:
        return headers.content_type(self.first("content-type"))

    @cached_property
    def text(self) -> str:
        """The first text a person would read; a page where there is no plain text."""
        # A multipart that could not be taken apart is read as what it looks like.
        texts = [one for one in self.parts if one.kind.startswith(("text/plain", "multipart/"))]
        plain = next((one.text for one in texts if one.text.strip()), "")
        pages = (one.text for one in self.parts if one.kind == "text/html")
        return plain or next(pages, "")


def dissect(raw: bytes) -> Mail:
    """A message's anatomy. What is broken is read as far as it goes."""
    data = raw[:LARGEST_READ].lstrip(b"\r\n")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    fields, body = split(data)
    return Mail(fields, tuple(_leaves(fields, body)))


def split(data: bytes) -> tuple[Fields, bytes]:
    """Headers and body of what has line feeds alone."""
    if data.startswith(b"\n"):
        return [], data[1:]
    head, _, body = data.partition(b"\n\n")
    return _fields(head[:LARGEST_HEAD]), body


def _fields(head: bytes) -> Fields:
    rows: list[list[bytes]] = []
    for line in head.split(b"\n", MOST_FIELDS * 10):
        if line[:1] in (b" ", b"\t") and rows:
            rows[-1].append(line)
        elif len(rows) >= MOST_FIELDS:
            break
        else:
            rows.append([line])
    found = (_FIELD.fullmatch(row[0]) for row in rows)
    return [
        (one[1].decode("ascii"), headers.as_text(b"".join([one[2], *row[1:]])).strip())
        for one, row in zip(found, rows, strict=True)
        if one is not None
    ]


def _leaves(fields: Fields, body: bytes) -> Iterator[Part]:
    """Depth first, without calling itself: a thousand levels are no reason to fail."""
    waiting, seen = [(fields, body, 0)], 0
    while waiting and seen < MOST_PARTS:
        fields, body, depth = waiting.pop()
        seen += 1
        inside = _inside(fields, body) if depth < DEEPEST else []
        if not inside:
            yield Part(fields, body)
        waiting += [(*split(one), depth + 1) for one in reversed(inside)]


def _inside(fields: Fields, body: bytes) -> list[bytes]:
    kind, parameters = headers.content_type(headers.first(fields, "content-type"))
    boundary = parameters.get("boundary", "").encode("utf-8", "ignore")
    if boundary and (parts := _pieces(body, boundary)):
        return parts
    if not kind.startswith("multipart/"):
        return []
    guessed = _GUESSED.search(body[:LARGEST_TEXT])
    return _pieces(body, guessed[1].rstrip()) if guessed else []


def _pieces(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the boundaries; the last may lack its end."""
    mark = b"\n--" + boundary
    chunks = (b"\n" + body).split(mark, MOST_PARTS)[1:]
    found: list[bytes] = []
    for chunk in chunks:
        if chunk.startswith(b"--"):
            break
        line, _, rest = chunk.partition(b"\n")
        if line.strip():  # a longer boundary that begins alike
            if found:
                found[-1] += mark + chunk
            continue
        found.append(rest)
    return found


def _from_base64(body: bytes) -> bytes:
    kept = _NOT_BASE64.sub(b"", body)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    try:
        return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))[:LARGEST_TEXT]
    except binascii.Error:
        return b""


def from_html(page: str) -> str:
    """The text of a page, its blocks on lines of their own."""
    shown, hidden = [], False
    for number, piece in enumerate(_HIDDEN.split(page)):
        if number % 2:
            hidden = not piece
        elif not hidden:
            shown.append(piece)
    text = _TAGS.sub("", _BREAKS.sub("\n", " ".join(shown)))
    return html.unescape(_LONG_NUMBER.sub("", text)).replace("\xa0", " ")
