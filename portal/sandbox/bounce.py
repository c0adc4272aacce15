"""Bounce: the report of a failed delivery, in the shape in which Gmail writes one."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from portal.sandbox.mailbox import new_message_id
from portal.sandbox.mime import Head, split

LONGEST_ENCLOSED = 20_000
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
SENDER = "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of one recipient's copy: a 5.x.x status came back, a 4.x.x is late."""

    recipient: str
    status: str
    diagnostic: str
    at: datetime

    @property
    def delayed(self) -> bool:
        return self.status.startswith("4")


def delivery_failure(sender: str, original: bytes, failure: Failure) -> bytes:
    """Put together from bytes: the failed mail may be too odd for any library to write again."""
    message_id = Head.parse(split(original)[0]).raw("Message-ID") or ""
    boundary = secrets.token_hex(14)
    parts = (_words(failure), _status(message_id, failure), enclosed(original))
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    head = [
        *_head(sender, message_id, failure),
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; boundary="{boundary}"; report-type=delivery-status'),
    ]
    return block(head) + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _head(sender: str, message_id: str, failure: Failure) -> Fields:
    kind = "Delay" if failure.delayed else "Failure"
    return [
        ("Delivered-To", sender),
        ("Return-Path", "<>"),
        ("From", SENDER),
        ("To", sender),
        ("Auto-Submitted", "auto-replied"),
        ("Subject", f"Delivery Status Notification ({kind})"),
        ("References", message_id),
        ("In-Reply-To", message_id),
        ("X-Failed-Recipients", failure.recipient),
        ("Message-ID", new_message_id()),
        ("Date", format_datetime(failure.at)),
    ]


def _words(failure: Failure) -> bytes:
    said = "has not been delivered yet" if failure.delayed else "could not be delivered"
    sentence = f"Your message to {failure.recipient} {said}."
    why = failure.diagnostic
    page = f"<h1>{escape(sentence)}</h1><p>The response was:</p><pre>{escape(why)}</pre>"
    alternatives = MIMEMultipart("alternative")
    alternatives.attach(
        MIMEText(f"** {sentence} **\n\nThe response was:\n{why}\n", "plain", "utf-8")
    )
    alternatives.attach(MIMEText(page, "html", "utf-8"))
    related = MIMEMultipart("related")
    related.attach(alternatives)
    related.attach(MIMEImage(PIXEL, "png", name="icon.png"))
    return related.as_bytes(policy=SMTP)


def _status(message_id: str, failure: Failure) -> bytes:
    moment = format_datetime(failure.at)
    about_mail: Fields = [
        ("Reporting-MTA", "dns; googlemail.com"),
        ("Arrival-Date", moment),
        ("X-Original-Message-ID", message_id),
    ]
    about_recipient: Fields = [
        ("Final-Recipient", f"rfc822; {failure.recipient}"),
        ("Action", "delayed" if failure.delayed else "failed"),
        ("Status", failure.status),
        ("Diagnostic-Code", f"smtp; {failure.diagnostic}"),
        ("Last-Attempt-Date", moment),
    ]
    kind = block([("Content-Type", "message/delivery-status")])
    return kind + b"\r\n" + block(about_mail) + b"\r\n" + block(about_recipient)


def enclosed(original: bytes) -> bytes:
    """The failed mail with its headers whole; Gmail too leaves big bodies out."""
    kind = block([("Content-Type", "message/rfc822")]) + b"\r\n"
    if len(original) <= LONGEST_ENCLOSED:
        return kind + original
    head = Head.parse(split(original)[0])
    for name in ("Content-Type", "Content-Transfer-Encoding", "MIME-Version"):
        head.drop(name)
    return kind + head.bytes() + b"\r\n(The message was too long to enclose.)\r\n"


def block(fields: Fields) -> bytes:
    return "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in fields).encode()
