"""Checks: what must be right before a document is sent. Each is one function with one answer.

The inquiry into what became of one that was sent (portal.inquiry) asks the same questions again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from babel.dates import format_date
from flask import current_app

from portal import spelling
from portal.columns import now
from portal.documents import LARGEST_FILES, Document
from portal.incoming import Reason, sentence
from portal.people import BadAddress, Contact, address_key, clean_address, company, contact_with
from portal.published.receiving import Receiving, Takes
from portal.senders import Choice, Trouble

if TYPE_CHECKING:
    from portal.bounces import Caution


@dataclass(frozen=True)
class Problem:
    """What is wrong, how to put it right, and where. Blocking problems take the button away.

    fix: the record that puts it right: "document", "contact", "property", "sender" or "settings";
    of an inquiry also "batch", "sending", "send", "domain", "outbox", "workers" or "mail".
    contact_id: whose record, where it is another contact than the document's; where: which of
    several, by its number or name, or the address of a page elsewhere.
    """

    code: str
    message: str
    hint: str = ""
    fix: str = ""
    blocking: bool = True
    contact_id: int = 0
    where: str = ""


@dataclass(frozen=True)
class Sending:
    """One document about to be sent: all a check may look at.

    cautions: of the addresses that mail came back from, as bounces.cautions_of() gives them; who
    only wants to know what is blocking may leave them out.
    """

    document: Document
    choice: Choice
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    cautions: "Mapping[str, Caution]" = field(default_factory=dict)


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
    found = (is_address(one) for one in (*sending.to, *sending.cc))
    return next((problem for problem in found if problem is not None), None)


def is_address(email: str) -> Problem | None:
    """Whether mail can be written to it at all."""
    try:
        clean_address(email)
    except BadAddress as problem:
        return Problem("bad_recipient", str(problem), "Correct it in To or Cc.")
    return None


def no_caution(sending: Sending) -> Problem | None:
    """Whether mail to any of its addresses came back before."""
    keys = dict.fromkeys(address_key(one) for one in (*sending.to, *sending.cc))
    found = [sending.cautions[key] for key in keys if key in sending.cautions]
    if not found:
        return None
    one = came_back(found[0], len(found) - 1)
    return replace(one, hint=f"{one.hint} If the address is right, send it all the same.")


def came_back(caution: "Caution", others: int = 0) -> Problem:
    """That mail to an address came back, when and why; others: to so many more as well."""
    happened, _, whose_move = sentence(Reason(caution.reason)).partition(". ")
    why = f"{happened[:1].lower()}{happened[1:].rstrip('.')}"
    if caution.reason == Reason.UNKNOWN:
        why, whose_move = "its server did not say clearly why", "Ask the customer by phone."
    more = f" So did mail to {others} more of its addresses." if others else ""
    holder = contact_with(caution.email)
    return Problem(
        "came_back",
        f"Mail to {caution.email} came back on {_day(caution)}: {why}.{more}",
        whose_move,
        "contact" if holder else "",
        blocking=False,
        contact_id=holder.id if holder else 0,
    )


def _day(caution: "Caution") -> str:
    """3 Nov, and its year where that is another, where the company is."""
    zone = ZoneInfo(company().time_zone)
    there = caution.at.astimezone(zone).date()
    pattern = "d MMM" if there.year == now().astimezone(zone).year else "d MMM y"
    return format_date(there, pattern, locale="en_AU")


def is_spelt(email: str, holder: Contact | None = None) -> Problem | None:
    """Whether it looks like what was meant. holder: whose record puts it right."""
    doubt = spelling.doubt(email)
    if doubt is None:
        return None
    return Problem(
        "slip",
        f"{doubt.question} Did you mean {doubt.meant}?",
        "Ask the customer, and correct the contact." if holder else "Ask the customer.",
        "contact" if holder else "",
        blocking=False,
        contact_id=holder.id if holder else 0,
    )


def are_spelt(sending: Sending) -> Problem | None:
    """Whether all of its addresses look like what was meant."""
    doubtful = (one for one in (*sending.to, *sending.cc) if is_spelt(one))
    email = next(doubtful, None)
    one = is_spelt(email, contact_with(email)) if email else None
    return one and replace(one, hint=f"{one.hint} If it is right, send it all the same.")


def is_theirs(email: str, holder: Contact | None, theirs: Iterable[Contact]) -> Problem | None:
    """Whether an address belongs to somebody the document is for. holder: whose contact has it;
    theirs: the document's customer and the contacts of its property."""
    known = {one.id: one for one in theirs}
    if holder is not None and holder.id not in known:
        return Problem(
            "other_holder",
            f"{email} is the address of {holder.name}, who is neither on this document nor at its "
            "property.",
            f"If that is wrong, give {holder.name} another address, and the customer theirs.",
            "contact",
            blocking=False,
            contact_id=holder.id,
        )
    if holder is None or holder.active:
        return None
    words = f"{email} belongs to {holder.name}, who is no longer active."
    return Problem("inactive_holder", words, "", "contact", False, holder.id)


def takes_mail(email: str, found: Receiving) -> Problem | None:
    """Whether its domain takes mail, by what the DNS answered."""
    domain = email.rpartition("@")[2]
    said = {
        Takes.NO_NAME: f"There is no domain {domain}: mail to {email} can reach nobody.",
        Takes.NOTHING: f"{domain} has no mail server: mail to {email} can reach nobody.",
        Takes.REFUSES: f"{domain} says that it takes no mail at all.",
    }.get(found.takes)
    if said is None:
        return None
    hint = "Check what stands after the @ with the customer."
    return Problem("takes_no_mail", said, hint, "contact", blocking=False)


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
    are_spelt,
    no_caution,
    not_too_many,
    files_fit,
    has_sender,
    sender_is_ready,
)


def preflight(sending: Sending) -> list[Problem]:
    """Every problem of one sending, in the order a person would mend them."""
    found = (check(sending) for check in PREFLIGHT)
    return [problem for problem in found if problem is not None]
