"""Freezing: the whole message built once and for all, in the row that will carry it."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import current_app

from portal import failpoints, instance
from portal.accounts import User
from portal.checks import Problem
from portal.dispatch.tables import (
    Dispatch,
    Purpose,
    State,
)
from portal.documents import Document, mail, wording
from portal.documents.facts import DocumentFacts
from portal.envelope import LARGEST_MESSAGE, Attachment, Mailable, seal
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


@dataclass(frozen=True)
class Manuscript:
    """All that a sending will say, read from the store: it is drawn and sealed without it."""

    token: str
    document_id: int
    document_version: int
    user_id: int
    user_name: str
    wish: Wish
    choice: Choice
    to: tuple[str, ...]
    cc: tuple[str, ...]
    reached: Reached
    facts: DocumentFacts
    files: tuple[Attachment, ...]


def manuscript(
    document: Document, user: User, wish: Wish, choice: Choice, facts: DocumentFacts | None = None
) -> Manuscript:
    """Read what a sending needs; facts: the document's, where the caller has them already.

    Raises people.BadAddress.
    """
    to, cc = _everyone_once(wish)
    written, number = document.created_at, wish.sending_number
    return Manuscript(
        token_of(instance.key(), document.id, written, wish.purpose, number),
        document.id,
        document.version,
        user.id,
        user.name,
        wish,
        choice,
        tuple(to),
        tuple(cc),
        reached(document.recipients(), to, cc),
        facts or document.facts(),
        tuple(mail.enclosures(document)),
    )


def frozen(of: Manuscript) -> Dispatch:
    """Draw, fill in and seal: the row that is yet to be stored. Asks the store nothing.

    Raises Blocked and documents.pdf.DrawingProblem.
    """
    wish, choice = of.wish, of.choice
    assert choice.sender is not None  # preflight refuses a sending without a sender
    paper = mail.paper(of.facts)
    made = _sealed(
        of.token,
        choice.sender,
        [Mailable(one.email, one.name) for one in of.reached.to],
        [Mailable(one.email, one.name) for one in of.reached.cc],
        wording.one_line(wish.subject),
        wish.body,
        wording.html_body(wish.body, of.facts, of.user_name),
        [paper, *of.files],
    )
    if made.mime_size > LARGEST_MESSAGE:
        raise Blocked([_too_large(made.mime_size)])
    made.to, made.cc = list(of.to), list(of.cc)  # as they were written, capitals and all
    made.document_id, made.document_version = of.document_id, of.document_version
    made.purpose, made.sending_number = wish.purpose, wish.sending_number
    made.requested_by_id = of.user_id
    made.state = State.HELD if choice.trouble else State.QUEUED
    made.state_note, made.hold_code = choice.problem, choice.trouble or ""
    made.mailbox_id, made.reason = choice.mailbox_id, choice.evidence
    made.recipients_why = _whys(of.reached, wish.purpose)
    made.pdf_sha256 = hashlib.sha256(paper.content).hexdigest()
    failpoints.reached("request.frozen")
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
        f"With its attachments the mail comes to {size // 2**20} MB; one e-mail takes 35 MB.",
        "Remove some files.",
        "document",
    )


def token_of(key: str, document_id: int, written: datetime, purpose: str, number: int) -> str:
    """What one sending of one document is recognised by. key: the installation's.

    A database that was restored, and has lost the row, can still tell what a sent copy was of. The
    moment of writing is in it, since a document written after that may have the number of another.
    """
    moment = written.astimezone(UTC).isoformat()
    return uuid.uuid5(uuid.UUID(key), f"{document_id}/{moment}/{purpose}/{number}").hex


def message_id_of(token: str) -> str:
    """The Message-ID that the message of a token bears."""
    host = urlsplit(current_app.config["PORTAL"].PUBLIC_URL).hostname or "localhost"
    return f"<{token}@{host}>"
