"""Checks: what must be right before a document is sent. Each is one function with one answer."""

from collections.abc import Callable
from dataclasses import dataclass

from portal.documents import LARGEST_FILES, Document
from portal.people import BadAddress, clean_address
from portal.senders import Choice


@dataclass(frozen=True)
class Problem:
    """What is wrong, how to put it right, and where. Blocking problems take the button away."""

    code: str
    message: str
    hint: str = ""
    fix: str = ""
    blocking: bool = True


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


def has_recipient(sending: Sending) -> Problem | None:
    if sending.to:
        return None
    return Problem(
        "no_recipient",
        f"{sending.document.contact.name} has no e-mail address.",
        "Write an address in To, or add one to the contact.",
        "contact",
    )


def recipients_are_addresses(sending: Sending) -> Problem | None:
    for one in (*sending.to, *sending.cc):
        try:
            clean_address(one)
        except BadAddress as problem:
            return Problem("bad_recipient", str(problem), "Correct it in To or Cc.")
    return None


def files_fit(sending: Sending) -> Problem | None:
    size = sum(one.size for one in sending.document.files)
    if size <= LARGEST_FILES:
        return None
    return Problem(
        "files_too_large",
        f"The attached files come to {size // 2**20} MB; Gmail takes {LARGEST_FILES // 2**20} MB.",
        "Remove some files.",
        "document",
    )


def has_sender(sending: Sending) -> Problem | None:
    if sending.choice.sender is not None:
        return None
    return Problem(
        "no_sender",
        sending.choice.problem,
        "The office manager connects it under Administration.",
        "settings",
    )


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


Check = Callable[[Sending], Problem | None]
PREFLIGHT: tuple[Check, ...] = (
    has_lines,
    has_recipient,
    recipients_are_addresses,
    files_fit,
    has_sender,
    sender_is_ready,
)


def preflight(sending: Sending) -> list[Problem]:
    """Every problem of one sending, in the order a person would mend them."""
    found = (check(sending) for check in PREFLIGHT)
    return [problem for problem in found if problem is not None]
