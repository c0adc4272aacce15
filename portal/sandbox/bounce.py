"""Bounce: the report of a failed delivery, in the shape in which Gmail writes one."""

from __future__ import annotations

import base64
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.message import MIMEMessage
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


def delivery_failure(
    sender: str,
    head: Head,
    original: bytes,
    recipient: str,
    status: str,
    diagnostic: str,
    at: datetime,
) -> bytes:
    report = Message(policy=SMTP)
    delayed = status.startswith("4")
    message_id = head.raw("Message-ID") or ""
    for name, value in (
        ("Delivered-To", sender),
        ("Return-Path", "<>"),
        ("From", SENDER),
        ("To", sender),
        ("Auto-Submitted", "auto-replied"),
        ("Subject", f"Delivery Status Notification ({'Delay' if delayed else 'Failure'})"),
        ("References", message_id),
        ("In-Reply-To", message_id),
        ("X-Failed-Recipients", recipient),
        ("Message-ID", new_message_id()),
        ("Date", format_datetime(at)),
    ):
        report[name] = value
    report["MIME-Version"] = "1.0"
    report.add_header("Content-Type", "multipart/report", **{"report-type": "delivery-status"})
    report.attach(_words(recipient, diagnostic, delayed=delayed))
    report.attach(_status(message_id, recipient, status, diagnostic, at, delayed=delayed))
    report.attach(_enclosed(original))
    return report.as_bytes()


def _words(recipient: str, diagnostic: str, *, delayed: bool) -> MIMEMultipart:
    said = "has not been delivered yet" if delayed else "could not be delivered"
    sentence = f"Your message to {recipient} {said}."
    alternatives = MIMEMultipart("alternative")
    text = f"** {sentence} **\n\nThe response was:\n{diagnostic}\n"
    alternatives.attach(MIMEText(text, "plain", "utf-8"))
    page = f"<h1>{escape(sentence)}</h1><p>The response was:</p><pre>{escape(diagnostic)}</pre>"
    alternatives.attach(MIMEText(page, "html", "utf-8"))
    related = MIMEMultipart("related")
    related.attach(alternatives)
    related.attach(MIMEImage(PIXEL, "png", name="icon.png"))
    return related


def _status(
    message_id: str, recipient: str, status: str, diagnostic: str, at: datetime, *, delayed: bool
) -> MIMEBase:
    about_mail, about_recipient = Message(), Message()
    about_mail["Reporting-MTA"] = "dns; googlemail.com"
    about_mail["Arrival-Date"] = format_datetime(at)
    about_mail["X-Original-Message-ID"] = message_id
    about_recipient["Final-Recipient"] = f"rfc822; {recipient}"
    about_recipient["Action"] = "delayed" if delayed else "failed"
    about_recipient["Status"] = status
    about_recipient["Diagnostic-Code"] = f"smtp; {diagnostic}"
    about_recipient["Last-Attempt-Date"] = format_datetime(at)
    part = MIMEBase("message", "delivery-status")
    part.set_payload([about_mail, about_recipient])
    return part


def _enclosed(original: bytes) -> MIMEMessage:
    """The failed mail with its headers whole; Gmail too leaves big bodies out."""
    if len(original) <= LONGEST_ENCLOSED:
        return MIMEMessage(message_from_bytes(original))
    enclosed = Message()
    for name, value in Head.parse(split(original)[0]).pairs():
        if not name.lower().startswith(("content-", "mime-")):
            enclosed[name] = value
    enclosed.set_payload("(The message was too long to enclose.)")
    return MIMEMessage(enclosed)
