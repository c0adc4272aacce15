"""Recipients: who a document goes to, and why: the property's contact flags decide. Pure.

Of a property's contacts those receive a document who are marked for its kind. To is who answers for
it (Billing for an invoice, Primary for the rest), Cc is everybody else who is marked. A document
for a supplier goes to that supplier, and the marked contacts get a copy. A document without a
property goes to the contact on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Receiver:
    """A contact that may receive. marked: for this kind of document ("Email invoice")."""

    name: str
    email: str
    active: bool = True
    marked: bool = True
    primary: bool = False
    billing: bool = False
    contact_id: int = 0


@dataclass(frozen=True)
class Recipient:
    """One address a mail goes to, and why."""

    email: str
    name: str
    why: str


@dataclass(frozen=True)
class Lack:
    """What keeps a document from having the recipients it should have.

    contact_id is whose record puts it right; 0 when it is the property's contacts.
    """

    code: str
    message: str
    contact_id: int = 0
    blocking: bool = True


@dataclass(frozen=True)
class Recipients:
    """The answer: To and Cc with their reasons, and what is lacking."""

    to: tuple[Recipient, ...]
    cc: tuple[Recipient, ...] = ()
    lacks: tuple[Lack, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What the decision needs to know of the document's kind and of where it is for.

    noun: "invoice". about: the property's name, "" without one. mark: what the flag is called,
    "Email invoice". by_billing: whether Billing rather than Primary answers for it. to_party:
    whether it goes to the contact on it even if it has a property (purchase orders).
    """

    noun: str
    about: str
    mark: str
    by_billing: bool
    to_party: bool


def recipients(wanted: Wanted, party: Receiver, contacts: Sequence[Receiver]) -> Recipients:
    """Who receives one document. contacts are those of its property, in their order."""
    if not wanted.about:
        return _answer([party], [], f"the contact on this {wanted.noun}", "")
    marked = [one for one in contacts if one.marked and one.active]
    if wanted.to_party:
        return _answer([party], marked, f"the supplier of this {wanted.noun}", _why(wanted, ""))
    if not marked:
        return Recipients((), (), (_nobody(wanted, contacts),))
    role = "Billing" if wanted.by_billing else "Primary"
    first, role = _answering(marked, role)
    rest = [one for one in marked if one not in first]
    return _answer(first, rest, _why(wanted, role), _why(wanted, ""))


def _answering(marked: list[Receiver], role: str) -> tuple[list[Receiver], str]:
    """Who stands in To: those with the role, else with the other one, else everybody marked."""
    for name in (role, "Primary" if role == "Billing" else "Billing"):
        found = [one for one in marked if (one.billing if name == "Billing" else one.primary)]
        if found:
            return found, name
    return marked, ""


def _why(wanted: Wanted, role: str) -> str:
    marks = f"{role} and {wanted.mark}" if role else wanted.mark
    return f"marked {marks} at {wanted.about}"


def _nobody(wanted: Wanted, contacts: Iterable[Receiver]) -> Lack:
    gone = [one.name for one in contacts if one.marked and not one.active]
    if gone:
        message = f"{gone[0]} is marked {wanted.mark} at {wanted.about}, but is no longer active."
        return Lack("nobody_active", message)
    return Lack("nobody_marked", f"No contact of {wanted.about} is marked {wanted.mark}.")


def _answer(to: Sequence[Receiver], cc: Sequence[Receiver], why_to: str, why_cc: str) -> Recipients:
    seen: set[str] = set()
    kept_to = _each_once(to, why_to, seen)
    kept_cc = _each_once(cc, why_cc, seen)
    lacks = [_no_address(one, not kept_to) for one in (*to, *cc) if not one.email]
    return Recipients(kept_to, kept_cc, tuple(lacks))


def _each_once(some: Iterable[Receiver], why: str, seen: set[str]) -> tuple[Recipient, ...]:
    kept = []
    for one in some:
        if one.email and one.email.casefold() not in seen:
            seen.add(one.email.casefold())
            kept.append(Recipient(one.email, one.name, why))
    return tuple(kept)


def _no_address(one: Receiver, blocking: bool) -> Lack:
    return Lack("no_address", f"{one.name} has no e-mail address.", one.contact_id, blocking)
