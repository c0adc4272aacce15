"""Originals: what a report gives back of the mail that left, to know it again by."""

import re
from dataclasses import dataclass
from datetime import datetime

from portal.envelope import DISPATCH_HEADER
from portal.incoming import anatomy, headers
from portal.incoming.anatomy import Mail, Part
from portal.incoming.headers import Fields

KINDS = (
    *("message/rfc822", "message/global", "message/partial", "message/external-body"),
    *("text/rfc822-headers", "text/rfc822", "message/global-headers", "message/rfc822-headers"),
)
_OURS = DISPATCH_HEADER.lower()
#: In a text that quotes the headers, marked or not.
_ID_LINE = re.compile(
    r"(?im)^[>|\s]{0,20}(?:original[- ])?message-?id\s{0,9}[:=]\s{0,9}(<[^<>\s]{1,300}>)"
)
_TOKEN_LINE = re.compile(
    rf"(?im)^[>|\s]{{0,20}}{DISPATCH_HEADER}\s{{0,9}}:\s{{0,9}}([!-~]{{1,200}})\s*$"
)
_TOKEN = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class Original:
    """ids and tokens: its own; to: whom it was for; about: its date."""

    ids: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    about: datetime | None = None
    is_whole: bool = False  # a part of its own, not a quotation


def returned(mail: Mail) -> Original:
    """What a mail gives back of another: as a part, else within its text."""
    part = next((one for one in mail.parts if one.kind in KINDS), None)
    if part is not None and (fields := _fields(part)):
        return Original(
            tuple(headers.ids(headers.every(fields, "message-id"))),
            tuple(one for one in headers.every(fields, _OURS) if _TOKEN.fullmatch(one)),
            tuple(one.lower() for one in _recipients(fields)),
            headers.moment(headers.first(fields, "date")),
            True,
        )
    return _quoted(mail.text)


def _fields(part: Part) -> Fields:
    encoded = headers.first(part.fields, "content-transfer-encoding").strip().lower()
    data = part.data if encoded in ("base64", "quoted-printable") else part.body
    data = data[: anatomy.LARGEST_HEAD].replace(b"\r\n", b"\n").lstrip(b"\n")
    return anatomy.split(data)[0]


def _recipients(fields: Fields) -> list[str]:
    named = [*headers.every(fields, "to"), *headers.every(fields, "cc")]
    return headers.addresses(" ".join(named)[: headers.LONGEST_VALUE])


def _quoted(text: str) -> Original:
    ids = tuple(dict.fromkeys(_ID_LINE.findall(text)))
    return Original(ids, tuple(dict.fromkeys(_TOKEN_LINE.findall(text))))
