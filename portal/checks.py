"""Checks: what must be right before a document is sent. Each is one function with one answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flask import current_app

from portal.documents import LARGEST_FILES, Document
from portal.people import BadAddress, clean_address
from portal.senders import Choice, Trouble


@dataclass(frozen=True)
class Problem:
    """What is wrong, how to put it right, and where. Blocking problems take the button away.

    fix: the record that puts it right: "document", "contact", "property", "sender" or "settings".
    contact_id: whose record, where it is another contact than the document's.
    """

    code: str
    message: str
    hint: str = ""
    fix: str = ""
    blocking: bool = True
    contact_id: int = 0


@dataclass(frozen=True)
class Sending:
    """One document about to be sent: all a check may look at."""

    document: Document
    choice: Choice
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()


def has_lines(sending: Sending) -> Problem | None:
    document = sending.document
    if document.lines or not document.kind_facts.priced:
        return None
    return Problem(
        "no_lines",
        f"{document.number} has no lines, so there is nothing to charge for.",
        "Add at least one line.",
        "document",
    )


#: What mends a contact who lacks something.
MEND = {"no_address": "add one to the contact", "inactive": "make the contact active again"}


def has_recipient(sending: Sending) -> Problem | None:
    if sending.to:
        return None
    found = sending.document.recipients()
    lack = next((one for one in found.lacks if one.blocking), None)
    if lack is None:
        message = f"Nobody stands in To of {sending.document.number}."
        return Problem("no_recipient", message, "Write an address in To.")
    if lack.contact_id:
        hint = f"Write an address in To, or {MEND.get(lack.code, 'mend the contact')}."
        return Problem("no_recipient", lack.message, hint, "contact", contact_id=lack.contact_id)
    hint = "Mark somebody at the property, or write an address in To."
    return Problem("no_recipient", lack.message, hint, "property")


def copies_have_addresses(sending: Sending) -> Problem | None:
    """Who is marked for a copy and cannot get one. It keeps nobody else from getting theirs."""
    lacks = sending.document.recipients().lacks if sending.to else ()
    lack = next((one for one in lacks if not one.blocking), None)
    if lack is None:
        return None
    hint = "It goes to the others without them."
    return Problem("no_copy", lack.message, hint, "contact", False, lack.contact_id)


def recipients_are_addresses(sending: Sending) -> Problem | None:
    for one in (*sending.to, *sending.cc):
        try:
            clean_address(one)
        except BadAddress as problem:
            return Problem("bad_recipient", str(problem), "Correct it in To or Cc.")
    return None


def not_too_many(sending: Sending) -> Problem | None:
    fix = "property" if sending.document.property_ else ""
    return too_many((*sending.to, *sending.cc), "Take some out of To or Cc.", fix)


def too_many(addresses: Iterable[str], hint: str, fix: str = "") -> Problem | None:
    """Whether one message may go to so many: its provider would refuse the whole of it."""
    count = len({one.casefold() for one in addresses})
    most = current_app.config["PORTAL"].GMAIL_RECIPIENTS_MESSAGE
    if count <= most:
        return None
    said = f"It would go to {count} addresses at once; one e-mail may go to {most}."
    return Problem("too_many_recipients", said, hint, fix)


def files_fit(sending: Sending) -> Problem | None:
    size = sum(one.size for one in sending.document.files)
    if size <= LARGEST_FILES:
        return None
    return Problem(
        "files_too_large",
        f"The attached files come to {size // 2**20} MB; "
        f"one e-mail takes {LARGEST_FILES // 2**20} MB.",
        "Remove some files.",
        "document",
    )


def has_sender(sending: Sending) -> Problem | None:
    choice = sending.choice
    if choice.sender is not None:
        return None
    if choice.trouble in ABOUT_MANAGER:
        where = sending.document.property_
        hint = "Give the property an account manager." if where else "Choose its property."
        return Problem("no_sender", choice.problem, hint, "property" if where else "document")
    hint = "The office manager connects it under Administration."
    return Problem("no_sender", choice.problem, hint, "settings")


def sender_is_ready(sending: Sending) -> Problem | None:
    choice = sending.choice
    if choice.ready or choice.sender is None:
        return None
    return Problem(
        f"sender_{choice.trouble}",
        choice.problem,
        "If you send now, it waits here and goes out by itself once that is put right. "
        "It never leaves from another address.",
        "sender",
        blocking=False,
    )


#: What is wrong with the property rather than with a mailbox.
ABOUT_MANAGER = (Trouble.NO_MANAGER, Trouble.MANAGER_LEFT)
Check = Callable[[Sending], Problem | None]
PREFLIGHT: tuple[Check, ...] = (
    has_lines,
    has_recipient,
    copies_have_addresses,
    recipients_are_addresses,
    not_too_many,
    files_fit,
    has_sender,
    sender_is_ready,
)


def preflight(sending: Sending) -> list[Problem]:
    """Every problem of one sending, in the order a person would mend them."""
    found = (check(sending) for check in PREFLIGHT)
    return [problem for problem in found if problem is not None]
