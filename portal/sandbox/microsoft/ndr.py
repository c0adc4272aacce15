"""Non-delivery report: the mail by which Exchange says that a message did not arrive."""

from __future__ import annotations

import secrets
from email.utils import format_datetime
from html import escape

from portal.sandbox.bounce import Failure, block, enclosed
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.mime import Head, split

POSTMASTER = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"


def report(sender: Account, original: bytes, failure: Failure) -> bytes:
    """Put together from bytes: the failed mail may be too odd for any library to write again."""
    head = Head.parse(split(original)[0])
    boundary = secrets.token_hex(14)
    parts = (_words(failure, head), _status(failure), enclosed(original))
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    message_id = head.raw("Message-ID") or ""
    kind = f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
    fields = [
        ("From", f"Microsoft Outlook <{POSTMASTER}@{sender.domain}>"),
        ("To", sender.email),
        ("Subject", f"Undeliverable: {head.raw('Subject') or ''}"),
        ("Date", format_datetime(failure.at)),
        ("In-Reply-To", message_id),
        ("References", message_id),
        ("Auto-Submitted", "auto-replied"),
        ("X-MS-Exchange-Message-Is-Ndr", "1"),
        ("MIME-Version", "1.0"),
        ("Content-Type", kind),
    ]
    return block(fields) + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _words(failure: Failure, head: Head) -> bytes:
    page = (
        f"<h1>Your message to {escape(failure.recipient)} couldn't be delivered.</h1>"
        f"<p>Subject: {escape(head.text('Subject'))}</p><pre>{escape(failure.diagnostic)}</pre>"
    )
    fields = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit"),
    ]
    return block(fields) + b"\r\n" + page.encode()


def _status(failure: Failure) -> bytes:
    kind = block([("Content-Type", "message/delivery-status")])
    about_mail = block([("Reporting-MTA", "dns;ME3P282MB1234.AUSP282.PROD.OUTLOOK.COM")])
    about_recipient = block(
        [
            ("Final-Recipient", f"rfc822;{failure.recipient}"),
            ("Action", "delayed" if failure.delayed else "failed"),
            ("Status", failure.status),
            ("Diagnostic-Code", f"smtp;{failure.diagnostic}"),
        ]
    )
    return kind + b"\r\n" + about_mail + b"\r\n" + about_recipient
