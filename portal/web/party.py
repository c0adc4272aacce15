"""Party: who a document is for and at which property, as they are chosen on its form.

Nobody scrolls through a thousand customers: a few words find them, one press takes them, and what
was taken stands there as a card until somebody presses Change.
"""

from dataclasses import dataclass, replace
from typing import Any

from portal.documents.kinds import Kind
from portal.extensions import db
from portal.people import CONTACT_TYPES, USUAL_FOR, Contact, find_contacts
from portal.places import Branch, Property, branches
from portal.properties import Filters, found

#: So many are offered at once; more words find the rest.
OFFERED = 6


@dataclass(frozen=True)
class Pressed:
    """What was pressed: the part ("contact" or "property") to look for, or to choose anew.

    taken: the part and the number of what was chosen ("contact", 7).
    """

    find: str = ""
    change: str = ""
    taken: tuple[str, int] = ("", 0)

    @property
    def part(self) -> str:
        return self.find or self.change or self.taken[0]


@dataclass(frozen=True)
class Wanted:
    """What the form says: whom and where, by number (0 for nobody), the words looked for, the site.

    contact_was and site_of: the contact and the property that the site was last filled for.
    """

    contact_id: int = 0
    property_id: int = 0
    contact_words: str = ""
    property_words: str = ""
    site: str = ""
    contact_was: int = 0
    site_of: int = 0


@dataclass(frozen=True)
class Party:
    """What the form shows of it. contacts and properties are what is offered."""

    contact: Contact | None
    property_: Property | None
    choosing: bool
    choosing_property: bool
    contacts: list[Contact]
    properties: list[Property]
    more: bool
    branches: list[Branch]


def settled(wanted: Wanted, kind: Kind, pressed: Pressed) -> Wanted:
    """What the form says once what belongs together is together again.

    A search that finds just one takes it. A customer's only property is theirs. A property goes
    with its customer, and the site follows the property, unless somebody wrote a site of their own.
    """
    part, number = pressed.taken
    if part == "contact":
        wanted = replace(wanted, contact_id=number)
    if part == "property":
        wanted = replace(wanted, property_id=number, contact_was=wanted.contact_id)
    if pressed.find == "contact":
        wanted = replace(wanted, contact_id=_only(_contacts(wanted, kind)) or wanted.contact_id)
    if pressed.find == "property":
        wanted = replace(wanted, property_id=_only(_properties(wanted, kind)) or wanted.property_id)
    where = _fitting(wanted, kind)
    site = site_for(wanted.site, _address(_property(wanted.site_of)), _address(where))
    return replace(wanted, property_id=where.id if where else 0, site=site)


def site_for(written: str, former: str, chosen: str) -> str:
    """The site once another property is chosen: what somebody wrote themselves stays."""
    own = written.split() and written.split() != former.split()
    return written if own else chosen


def shown(wanted: Wanted, kind: Kind, pressed: Pressed, branch_id: int = 0) -> Party:
    """What to show; branch_id is the document's, which may be archived by now."""
    contact, where = _contact(wanted.contact_id), _property(wanted.property_id)
    contacts, offered = _contacts(wanted, kind), _properties(wanted, kind, OFFERED + 1)
    choosing = contact is None or _looks(pressed, "contact", contacts)
    near = contact is not None or kind.recipient == "supplier"
    choosing_property = near and (where is None or _looks(pressed, "property", offered))
    return Party(
        contact=contact,
        property_=where,
        choosing=choosing,
        choosing_property=choosing_property,
        contacts=contacts if choosing else [],
        properties=offered[:OFFERED] if choosing_property else [],
        more=near and (len(offered) > OFFERED or bool(wanted.property_words)),
        branches=[] if where and where.branch_id else _branches(branch_id),
    )


def what_is_wrong_with_contact(contact_id: int, kept_id: int) -> str:
    """Why a document cannot be for this contact, as one sentence; "" if it can.

    kept_id: the contact that is on the document already, who may have been archived since.
    """
    contact = _contact(contact_id)
    if contact is None:
        return "Choose who this is for."
    if not contact.active and contact.id != kept_id:
        return f"{contact.name} is no longer active. Choose somebody else."
    return ""


def what_is_wrong_with_property(property_id: int, contact_id: int, kind: Kind, kept: int) -> str:
    """Why a document cannot be for this property, as one sentence; "" if it can."""
    where, contact = _property(property_id), _contact(contact_id)
    if where is None:
        return "That property is not there any more. Choose another, or none."
    if not where.active and where.id != kept:
        return f"{where.name} is archived. Choose another property, or none."
    if contact is not None and not _belongs(where, contact_id, kind):
        return f"{where.name} is not a property of {contact.name}. Choose another, or none."
    return ""


def type_of(contact: Contact, kind: Kind) -> str:
    """What a contact is, where that is not what this kind is usually for."""
    if contact.type in USUAL_FOR[kind.recipient]:
        return ""
    return CONTACT_TYPES.get(contact.type, "")  # type: ignore[call-overload,no-any-return]


def _looks(pressed: Pressed, part: str, offered: list[Any]) -> bool:
    """Whether somebody is still looking: a search that found just one is over."""
    return pressed.change == part or (pressed.find == part and len(offered) != 1)


def _fitting(wanted: Wanted, kind: Kind) -> Property | None:
    """The property that was chosen, or the only one of a customer who was just chosen."""
    where = _property(wanted.property_id)
    if where is not None and _belongs(where, wanted.contact_id, kind):
        return where
    if wanted.contact_id in (0, wanted.contact_was) or kind.recipient == "supplier":
        return None
    theirs = _properties(replace(wanted, property_words=""), kind, 2)
    return theirs[0] if len(theirs) == 1 else None


def _belongs(where: Property, contact_id: int, kind: Kind) -> bool:
    """A supplier delivers anywhere; everybody else has their own properties."""
    return kind.recipient == "supplier" or where.customer_id == contact_id


def _contacts(wanted: Wanted, kind: Kind) -> list[Contact]:
    """Those this kind is usually for first, then, if somebody looks for them, the others."""
    usual = USUAL_FOR[kind.recipient]
    offered = find_contacts(wanted.contact_words, usual, limit=OFFERED)
    if wanted.contact_words.strip() and len(offered) < OFFERED:
        others = [one for one in CONTACT_TYPES if one not in usual]
        offered += find_contacts(wanted.contact_words, others, limit=OFFERED - len(offered))
    return offered


def _properties(wanted: Wanted, kind: Kind, most: int = OFFERED) -> list[Property]:
    customer = 0 if kind.recipient == "supplier" else wanted.contact_id
    filters = Filters(words=wanted.property_words, customer_id=customer)
    return found(filters, size=most).properties


def _branches(branch_id: int) -> list[Branch]:
    """Those in use, and the one that stands on the document."""
    own, used = db.session.get(Branch, branch_id) if branch_id else None, branches()
    return used if own is None or own in used else [own, *used]


def _only(some: list[Any]) -> int:
    return int(some[0].id) if len(some) == 1 else 0


def _contact(contact_id: int) -> Contact | None:
    return db.session.get(Contact, contact_id) if contact_id else None


def _property(property_id: int) -> Property | None:
    return db.session.get(Property, property_id) if property_id else None


def _address(where: Property | None) -> str:
    return (where.address or where.name) if where else ""
