"""Recipients: who a document goes to, and why: the property's contact flags decide. Pure.

Of a property's contacts those receive a document who are marked for its kind. To is who answers for
it (Billing for an invoice, and nobody else; Primary for the rest, or who there is), Cc is everybody
else who is marked. A document for a supplier goes to that supplier, and the marked contacts get a
copy. A document without a property goes to the contact on it. Who is no longer active gets nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Receiver:
    """A contact that may receive, by the name a mail greets.

    marked: for this kind of document ("Email Invoice"). known_as: the contact's own name, where
    that is a business and name is the person there.
    """

    name: str
    email: str
    active: bool = True
    marked: bool = True
    primary: bool = False
    billing: bool = False
    contact_id: int = 0
    known_as: str = ""

    @property
    def record(self) -> str:
        """The name under which the contact is found."""
        return self.known_as or self.name


@dataclass(frozen=True)
class Recipient:
    """One address a mail goes to, and why. chosen: by the rules, rather than written in by hand."""

    email: str
    name: str
    why: str
    chosen: bool = True


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
class Reached:
    """To and Cc as a sending really has them, each with its reason, and who was left out."""

    to: tuple[Recipient, ...]
    cc: tuple[Recipient, ...]
    left_out: tuple[Recipient, ...]

    @property
    def departs(self) -> bool:
        """Whether it goes to others than it would by itself."""
        return bool(self.left_out) or any(not one.chosen for one in (*self.to, *self.cc))


@dataclass(frozen=True)
class Wanted:
    """What the decision needs to know of the document's kind and of where it is for.

    noun: "invoice". about: the property's name, "" without one. mark: what the flag is called,
    "Email Invoice". by_billing: whether Billing rather than Primary answers for it. to_party:
    whether it goes to the contact on it even if it has a property (purchase orders).
    """

    noun: str
    about: str
    mark: str
    by_billing: bool
    to_party: bool


def recipients(wanted: Wanted, party: Receiver, contacts: Sequence[Receiver]) -> Recipients:
    """Who receives one document. contacts are those of its property, in their order."""
    marked = [one for one in contacts if one.marked and one.active]
    if not wanted.about:
        return _to_party(party, [], f"the contact on this {wanted.noun}", "")
    if wanted.to_party:
        return _to_party(party, marked, f"the supplier of this {wanted.noun}", _why(wanted, ""))
    if not marked:
        return Recipients((), (), (_nobody(wanted, contacts),))
    first, role = _answering(wanted, marked)
    if not first:
        return Recipients((), (), (_no_billing(wanted),))
    rest = [one for one in marked if one not in first]
    return _answer(first, rest, _why(wanted, role), _why(wanted, ""))


def _to_party(party: Receiver, copies: list[Receiver], why: str, why_copy: str) -> Recipients:
    if party.active:
        return _answer([party], copies, why, why_copy)
    gone = Lack("inactive", f"{party.record} is no longer active.", party.contact_id)
    return Recipients((), (), (gone,))


def reached(found: Recipients, to: Sequence[str], cc: Sequence[str]) -> Reached:
    """What To and Cc come to beside what they would be by themselves."""
    known = {one.email.casefold(): one for one in (*found.to, *found.cc)}
    written = {one.casefold() for one in (*to, *cc)}
    return Reached(
        tuple(_known(one, known) for one in to),
        tuple(_known(one, known) for one in cc),
        tuple(one for key, one in known.items() if key not in written),
    )


def _known(email: str, known: dict[str, Recipient]) -> Recipient:
    by_hand = Recipient(email, "", "written in by hand", chosen=False)
    return known.get(email.casefold(), by_hand)


def _answering(wanted: Wanted, marked: list[Receiver]) -> tuple[list[Receiver], str]:
    """Who stands in To, and as what.

    An invoice asks for money, so it goes to nobody but Billing. For the rest somebody who is marked
    will do where no Primary is.
    """
    billing = [one for one in marked if one.billing]
    if wanted.by_billing:
        return billing, "Billing"
    primary = [one for one in marked if one.primary]
    if primary:
        return primary, "Primary"
    return (billing, "Billing") if billing else (marked, "")


def _why(wanted: Wanted, role: str) -> str:
    marks = f"{role} and {wanted.mark}" if role else wanted.mark
    return f"marked {marks} at {wanted.about}"


def _nobody(wanted: Wanted, contacts: Iterable[Receiver]) -> Lack:
    gone = [one.record for one in contacts if one.marked and not one.active]
    if gone:
        message = f"{gone[0]} is marked {wanted.mark} at {wanted.about}, but is no longer active."
        return Lack("nobody_active", message)
    return Lack("nobody_marked", f"No contact of {wanted.about} is marked {wanted.mark}.")


def _no_billing(wanted: Wanted) -> Lack:
    message = f"{wanted.about} has no billing contact: nobody who is marked {wanted.mark} is also "
    return Lack("no_billing", message + "marked Billing.")


def _answer(to: Sequence[Receiver], cc: Sequence[Receiver], why_to: str, why_cc: str) -> Recipients:
    seen: set[str] = set()
    kept_to = _each_once(to, why_to, seen)
    kept_cc = _each_once(cc, why_cc, seen)
    lacks = [_no_address(one, not kept_to) for one in to if not one.email]
    lacks += [_no_address(one, False) for one in cc if not one.email]
    return Recipients(kept_to, kept_cc, tuple(lacks))


def _each_once(some: Iterable[Receiver], why: str, seen: set[str]) -> tuple[Recipient, ...]:
    kept = []
    for one in some:
        if one.email and one.email.casefold() not in seen:
            seen.add(one.email.casefold())
            kept.append(Recipient(one.email, one.name, why))
    return tuple(kept)


def _no_address(one: Receiver, blocking: bool) -> Lack:
    return Lack("no_address", f"{one.record} has no e-mail address.", one.contact_id, blocking)
