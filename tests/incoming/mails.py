"""Mails as they come in, written for the tests, each with the label that a person would give it.

Every shape follows what its server is documented to write; the words of people are our own.
"""

import base64
import quopri
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from portal.envelope import DISPATCH_HEADER
from portal.incoming import Sort, Verdict

OFFICE = "office@brightspark.example"
OWN = (OFFICE, "tom@brightspark.example", "accounts@brightspark.example")
PEOPLE = [
    ("Mary Lee", "mary.lee@homes.example"),
    ("Grant Wu", "grant@wu-builders.example"),
    ("Aroha Ngata", "aroha.ngata@strata.example"),
    ("Søren Dahl", "soeren.dahl@nordic.example"),
    ("Front desk", "front_desk+jobs@hillhotel.example"),
    ("José Peña", "jose.pena@cafe-pena.example"),
    ("岩田 美咲", "misaki@iwata.example"),
    ("Deb O'Hara", "deb.o'hara@farm.example"),
]
Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class Story:
    """A document's mail that left, about which something comes in."""

    chance: random.Random
    name: str
    to: str
    other: str
    number: int
    at: datetime

    @property
    def message_id(self) -> str:
        return f"<{self.number:08x}.sent@mail.brightspark.example>"

    @property
    def token(self) -> str:
        return f"{self.number:032x}"

    @property
    def subject(self) -> str:
        return f"Invoice INV-{self.number:04d} from Bright Spark Plumbing"

    @property
    def later(self) -> datetime:
        return self.at + timedelta(minutes=self.number % 50 + 1)

    @property
    def domain(self) -> str:
        return self.to.partition("@")[2]

    def head(self) -> Fields:
        """The headers of what left."""
        return [
            ("Received", f"from mx.brightspark.example by out.provider.example id {self.number}"),
            ("From", f"Bright Spark Plumbing <{OFFICE}>"),
            ("To", f"<{self.to}>"),
            ("Subject", self.subject),
            ("Date", format_datetime(self.at)),
            ("Message-ID", self.message_id),
            (DISPATCH_HEADER, self.token),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
        ]

    def original(self) -> str:
        """What left, whole, as text."""
        said = "Please find your invoice attached. Call us if the address does not exist any more."
        return f"{lines(self.head())}\r\n{said}\r\n"


@dataclass(frozen=True)
class Labelled:
    """A mail and what it is. failed: whose copy did not arrive, and why by kind. ties: whether it
    tells which mail it is about. how: who wrote it."""

    raw: bytes
    sort: Sort
    how: str
    failed: dict[str, Verdict] = field(default_factory=dict)
    ties: str = ""


Builder = Callable[[Story], Labelled]


def story(chance: random.Random) -> Story:
    (name, to), (_, other) = chance.sample(PEOPLE, 2)
    at = datetime(2026, 11, 2, 9, tzinfo=UTC) + timedelta(minutes=chance.randrange(20_000))
    return Story(chance, name, to, other, chance.randrange(1, 10**7), at)


def lines(fields: Fields) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in fields)


def block(fields: Fields, body: str, charset: str = "utf-8") -> bytes:
    """Headers and a body, in one charset, line ends as in mail."""
    text = "\r\n".join(body.splitlines())
    return f"{lines(fields)}\r\n{text}\r\n".encode(charset, "replace")


def text_part(body: str, how: str = "8bit", kind: str = "plain", charset: str = "utf-8") -> bytes:
    """A text part. how: 8bit, quoted-printable or base64."""
    data = "\r\n".join(body.splitlines()).encode(charset, "replace")
    if how == "base64":
        data = base64.encodebytes(data)
    elif how == "quoted-printable":
        data = quopri.encodestring(data)
    head = [("Content-Type", f"text/{kind}; charset={charset}"), ("Content-Transfer-Encoding", how)]
    return lines(head).encode() + b"\r\n" + data


def part(kind: str, body: str) -> bytes:
    return block([("Content-Type", kind)], body)


def multipart(
    fields: Fields, kind: str, parts: list[bytes], boundary: str = "=_b0undary/7"
) -> bytes:
    """kind: with its parameters, without the boundary."""
    head = [*fields, ("MIME-Version", "1.0"), ("Content-Type", f'{kind}; boundary="{boundary}"')]
    mark = f"--{boundary}".encode()
    inside = b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts)
    return lines(head).encode() + b"\r\nThis is a MIME message.\r\n\r\n" + inside + mark + b"--\r\n"


def from_machine(one: Story, sender: str, subject: str, *more: tuple[str, str]) -> Fields:
    """The headers of a mail that a server wrote to the office."""
    return [
        ("Return-Path", "<>"),
        ("Delivered-To", OFFICE),
        ("From", sender),
        ("To", OFFICE),
        ("Subject", subject),
        ("Date", format_datetime(one.later)),
        ("Message-ID", f"<{one.number:x}.report@mx.{one.domain}>"),
        *more,
    ]


def recipient_block(
    email: str, action: str, status: str, diagnostic: str, mta: str = "mx.provider.example"
) -> str:
    """What RFC 3464 says of one recipient."""
    rows = [
        f"Final-Recipient: rfc822; {email}",
        f"Action: {action}",
        f"Status: {status}",
        f"Remote-MTA: dns; {mta}",
        *([f"Diagnostic-Code: smtp; {diagnostic}"] if diagnostic else []),
    ]
    return "\r\n".join(rows) + "\r\n"


def report(
    one: Story,
    fields: Fields,
    words: str,
    blocks: list[str],
    *,
    returned: str = "message/rfc822",
    kind: str = "multipart/report; report-type=delivery-status",
    how: str = "8bit",
) -> bytes:
    """A delivery report. returned: how what left is given back, nothing for not at all."""
    about = (
        f"Reporting-MTA: dns; mx.provider.example\r\nArrival-Date: {format_datetime(one.at)}\r\n"
    )
    parts = [
        text_part(words, how),
        part("message/delivery-status", "\r\n".join([about, *blocks])),
    ]
    if returned == "message/rfc822":
        parts.append(part(returned, one.original()))
    elif returned:
        parts.append(part(returned, lines(one.head())))
    return multipart(fields, kind, parts)
