"""Freezing: the whole message built once and for all, in the row that will carry it."""

import hashlib
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import current_app

from portal.accounts import User
from portal.checks import Problem
from portal.dispatch.tables import (
    Dispatch,
    Purpose,
    State,
)
from portal.documents import Document, mail, wording
from portal.envelope import LARGEST_MESSAGE, Attachment, Mailable, seal
from portal.extensions import db
from portal.people import clean_address
from portal.recipients import Reached, reached
from portal.senders import Choice, Rule


class Blocked(Exception):
    """The document cannot be sent as it is. Nothing was stored."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


@dataclass(frozen=True)
class Wish:
    """What the person asks for on the send page. sending_number is the one the page showed.

    once: a sender chosen for this one sending. after_id: the sending that it follows, where it was
    sent before, and again: why somebody wants it sent once more.
    """

    sending_number: int
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    purpose: Purpose = Purpose.DOCUMENT
    once: Rule | None = None
    after_id: int | None = None
    again: str = ""


def frozen(document: Document, user: User, wish: Wish, choice: Choice) -> Dispatch:
    assert choice.sender is not None  # preflight refuses a sending without a sender
    facts, files = document.facts(), mail.enclosures(document)
    to, cc = _everyone_once(wish)
    found = reached(document.recipients(), to, cc)
    db.session.commit()  # all is read: while it is drawn, nobody who writes has to wait
    paper = mail.paper(document, facts)
    made = _sealed(
        uuid.uuid4().hex,
        choice.sender,
        [Mailable(one.email, one.name) for one in found.to],
        [Mailable(one.email, one.name) for one in found.cc],
        wording.one_line(wish.subject),
        wish.body,
        wording.html_body(wish.body, facts, user.name),
        [paper, *files],
    )
    if made.mime_size > LARGEST_MESSAGE:
        raise Blocked([_too_large(made.mime_size)])
    made.to, made.cc = to, cc  # as they were written, capitals and all
    made.document, made.document_version = document, document.version
    made.purpose, made.sending_number, made.requested_by = wish.purpose, wish.sending_number, user
    made.state = State.HELD if choice.trouble else State.QUEUED
    made.state_note, made.hold_code = choice.problem, choice.trouble or ""
    made.mailbox_id, made.reason = choice.mailbox_id, choice.reason
    made.recipients_why = _whys(found, wish.purpose)
    made.pdf_sha256 = hashlib.sha256(paper.content).hexdigest()
    return made


def frozen_notice(
    token: str, sender: Mailable, to: Mailable, subject: str, body: str, mailbox_id: int
) -> Dispatch:
    html = wording.plain_html(body, sender.name)
    made = _sealed(token, sender, [to], [], subject, body, html, [])
    made.sending_number, made.document_version, made.pdf_sha256 = 1, 0, ""
    made.state, made.mailbox_id = State.QUEUED, mailbox_id
    made.reason = "The portal's own word."
    return made


def _sealed(
    token: str,
    sender: Mailable,
    to: list[Mailable],
    cc: list[Mailable],
    subject: str,
    body: str,
    html: str,
    attachments: list[Attachment],
) -> Dispatch:
    """The message built once and for all, in the row that will carry it."""
    envelope = seal(
        token=token,
        message_id=message_id_of(token),
        sender=sender,
        to=to,
        cc=cc,
        subject=subject,
        text=body,
        html=html,
        attachments=attachments,
    )
    return Dispatch(
        token=token,
        from_email=sender.email,
        from_name=sender.name,
        to=[one.email for one in to],
        cc=[one.email for one in cc],
        subject=subject,
        body=body,
        mime=envelope.mime,
        mime_sha256=envelope.sha256,
        mime_size=len(envelope.mime),
    )


def _everyone_once(wish: Wish) -> tuple[list[str], list[str]]:
    """Clean addresses, each once over To and Cc together, To first."""
    seen: dict[str, str] = {}
    for one in wish.to:
        seen.setdefault(clean_address(one).casefold(), "to")
    cleaned_to = _unique([clean_address(one) for one in wish.to])
    cleaned_cc = _unique([clean_address(one) for one in wish.cc])
    return cleaned_to, [one for one in cleaned_cc if one.casefold() not in seen]


def _unique(addresses: list[str]) -> list[str]:
    return list({one.casefold(): one for one in reversed(addresses)}.values())[::-1]


def _whys(found: Reached, purpose: Purpose) -> dict[str, str]:
    if purpose == Purpose.TEST:
        return {one.email: "a test, to whoever asked for it" for one in found.to}
    everybody = (*found.to, *found.cc)
    return {one.email: f"{one.name}, {one.why}" if one.name else one.why for one in everybody}


def _too_large(size: int) -> Problem:
    return Problem(
        "too_large",
        f"With its attachments the mail comes to {size // 2**20} MB; Gmail takes 35 MB.",
        "Remove some files.",
        "document",
    )


def message_id_of(token: str) -> str:
    """The Message-ID that the message of a token bears."""
    host = urlsplit(current_app.config["PORTAL"].PUBLIC_URL).hostname or "localhost"
    return f"<{token}@{host}>"
