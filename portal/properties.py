"""Properties looked after: found, written, moved and archived, with who receives what there.

Whatever changes here is followed by the documents that hang on a property and were never sent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import shorten

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_, update
from sqlalchemy.orm import aliased
from sqlalchemy.orm.attributes import flag_modified

from portal import history
from portal.accounts import User
from portal.documents import (
    BY_BILLING,
    NOT_APPLICABLE,
    Document,
    receiver,
    renew_email_status,
    wanted,
)
from portal.documents.kinds import KINDS
from portal.documents.status import UNSENT
from portal.extensions import db
from portal.people import MOST_WORDS, Contact, found_by
from portal.places import FLAGS, Branch, Property, PropertyContact, Refused, refuse_used
from portal.recipients import Receiver, Recipients, recipients
from portal.stores import rows_changed

#: Stands for the supplier of an order that is not written yet.
SOME_SUPPLIER = Receiver("its supplier", "?")
#: Account managers to look for besides a person's own number.
NO_MANAGER, LEFT = "none", "left"
#: So many characters of a value stand in the history.
LONGEST_TOLD = 200
IN_USE, ARCHIVED, ALL = "", "archived", "all"


# -- finding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filters:
    """What a list of properties is narrowed to. manager: a user's number, NO_MANAGER or LEFT."""

    words: str = ""
    branch_id: int = 0
    region_id: int = 0
    customer_id: int = 0
    manager: str = ""
    no_billing: bool = False
    state: str = IN_USE


@dataclass(frozen=True)
class Page:
    """A stretch of the list, and the number of the property it ends with (None at the end)."""

    properties: list[Property]
    after: int | None


def found(filters: Filters, after: int = 0, size: int = 50) -> Page:
    """Properties by name, going on after the one with this number."""
    query = select(Property).where(*_conditions(filters)).order_by(Property.name, Property.id)
    last = db.session.get(Property, after) if after else None
    if last is not None:
        query = query.where(tuple_(Property.name, Property.id) > tuple_(last.name, last.id))
    some = list(db.session.scalars(query.limit(size + 1)).unique())
    return Page(some[:size], some[size - 1].id if len(some) > size else None)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    wishes = (
        (filters.state != ALL, Property.active.is_(filters.state == IN_USE)),
        (filters.branch_id, Property.branch_id == filters.branch_id),
        (filters.region_id, Property.branch_id.in_(_in_region(filters.region_id))),
        (filters.customer_id, Property.customer_id == filters.customer_id),
        (filters.manager, _managed(filters.manager)),
        (filters.no_billing, ~_has_billing()),
    )
    return [condition for wish, condition in wishes if wish] + _wording(filters.words)


def _in_region(region_id: int) -> Select[int]:
    return select(Branch.id).where(Branch.region_id == region_id)


def _managed(manager: str) -> ColumnElement[bool]:
    if manager == LEFT:
        return Property.account_manager_id.in_(select(User.id).where(User.active.is_(False)))
    if not manager.isdecimal():
        return Property.account_manager_id.is_(None)
    return Property.account_manager_id == int(manager)


def _has_billing() -> ColumnElement[bool]:
    """Whether somebody there can be sent an invoice."""
    link, contact = aliased(PropertyContact), aliased(Contact)
    return (
        select(link.id)
        .join(contact, contact.id == link.contact_id)
        .where(link.property_id == Property.id, link.billing, link.email_invoice)
        .where(contact.active, contact.email != "")
        .exists()
    )


def _wording(words: str) -> list[ColumnElement[bool]]:
    """Each word stands in the name or the address, or finds the customer."""
    written = func.lower(Property.name + " " + Property.address)
    return [
        or_(
            written.contains(word, autoescape=True),
            *(Property.customer_id.in_(found) for found in found_by(word)),
        )
        for word in words.replace("\0", "").lower().split()[:MOST_WORDS]
    ]


# -- writing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draft:
    """What a person wrote on the form, checked and typed."""

    name: str
    address: str
    customer_id: int
    branch_id: int | None
    account_manager_id: int | None
    notes: str = ""


def add(draft: Draft, user: User) -> Property:
    """A new property, whose customer is its first contact and receives everything. Commits."""
    made = Property(**vars(draft))
    made.contacts.append(
        PropertyContact(contact_id=draft.customer_id, **dict.fromkeys(FLAGS, True))
    )
    db.session.add(made)
    db.session.flush()
    history.note("property", made.id, "Added.", user.name)
    db.session.commit()
    return made


def change(where: Property, draft: Draft, user: User) -> int:
    """The new state of a property. How many unsent documents went to its new branch. Commits.

    Raises StaleDataError when somebody else changed it this very moment.
    """
    before = _told(where)
    moves = draft.branch_id != where.branch_id
    for name, value in vars(draft).items():
        setattr(where, name, value)
    db.session.flush()
    db.session.refresh(where, ["customer", "branch", "account_manager"])
    moved = _move_unsent(where) if moves else 0
    text = _changes(before, _told(where))
    if moved:
        text += f" {_documents(moved)} not sent yet moved with it."
    if text:
        history.note("property", where.id, text, user.name)
    db.session.commit()
    return moved


def _told(where: Property) -> dict[str, str]:
    """What a property is, in words."""
    return {
        "Name": where.name,
        "Address": ", ".join(where.address.splitlines()),
        "Customer": where.customer.name,
        "Branch": where.branch.name if where.branch else "",
        "Account manager": where.account_manager.name if where.account_manager else "",
        "Notes": where.notes,
    }


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return " ".join(
        f"{label}: {_brief(before[label])} → {_brief(now)}."
        for label, now in after.items()
        if before[label] != now
    )


def _brief(text: str) -> str:
    return shorten(text, LONGEST_TOLD, placeholder=" …") or "nothing"


def _documents(number: int) -> str:
    return "1 document" if number == 1 else f"{number:,} documents"


def _move_unsent(where: Property) -> int:
    """What was never sent goes with its property; what was sent stays where it was."""
    statement = (
        update(Document)
        .where(_unsent_of(where))
        .where(or_(Document.branch_id != where.branch_id, Document.branch_id.is_(None)))
        .values(branch_id=where.branch_id)
    )
    options = {"synchronize_session": False}
    return rows_changed(db.session.execute(statement, execution_options=options))


def _unsent_of(where: Property) -> ColumnElement[bool]:
    unsent = Document.email_status.in_(UNSENT)
    return (Document.property_id == where.id) & unsent


def archive(where: Property, user: User) -> None:
    """Take a property out of use: no new document can be for it. Commits."""
    _set_active(where, False, user)


def bring_back(where: Property, user: User) -> None:
    """Use a property again. Raises Refused while its branch is archived. Commits."""
    if where.branch is not None and not where.branch.active:
        raise Refused(f"Its branch {where.branch.name} is archived. Choose another branch first.")
    _set_active(where, True, user)


def _set_active(where: Property, active: bool, user: User) -> None:
    where.active = active
    history.note("property", where.id, "Brought back." if active else "Archived.", user.name)
    db.session.commit()


def delete(where: Property, user: User) -> None:
    """Remove a property that nothing needs. Raises Refused with what needs it. Commits."""
    refuse_used(where)
    history.forget("property", where.id)
    history.note("contact", where.customer_id, f"Property {where.name} deleted.", user.name)
    db.session.delete(where)
    db.session.commit()


# -- who receives what ---------------------------------------------------------------------------


def tick(where: Property, ticks: Mapping[int, Iterable[str]], user: User) -> None:
    """Store what each contact (by its number) is ticked for, of FLAGS. Commits.

    A contact that is not named keeps its ticks: somebody may have added it meanwhile. Raises
    StaleDataError when somebody else changed the property this very moment.
    """
    told = []
    for one in where.contacts:
        if one.contact_id in ticks:
            told += _tick(one, set(ticks[one.contact_id]))
    if told:
        _followed(where, " ".join(told), user)


def _tick(one: PropertyContact, chosen: set[str]) -> list[str]:
    """Set one contact's flags; what that changed, in words."""
    given = [name for name in FLAGS if name in chosen and not getattr(one, name)]
    taken = [name for name in FLAGS if name not in chosen and getattr(one, name)]
    for name in FLAGS:
        setattr(one, name, name in chosen)
    sentences = (("now", given), ("no longer", taken))
    return [
        f"{one.contact.name}: {how} {', '.join(FLAGS[name] for name in names)}."
        for how, names in sentences
        if names
    ]


def add_contact(where: Property, contact: Contact, user: User) -> None:
    """One more contact: the first one receives everything, others what is ticked then. Commits."""
    if contact.id in {one.contact_id for one in where.contacts}:
        return
    if not contact.active:
        raise Refused(f"{contact.name} is no longer active. Bring the contact back first.")
    where.contacts.append(
        PropertyContact(contact=contact, **dict.fromkeys(FLAGS, not where.contacts))
    )
    _followed(where, f"{contact.name} added as a contact.", user)


def remove_contact(where: Property, contact: Contact, user: User) -> None:
    """One contact fewer. Commits."""
    where.contacts = [one for one in where.contacts if one.contact_id != contact.id]
    _followed(where, f"{contact.name} is no longer a contact here.", user)


def _followed(where: Property, text: str, user: User) -> None:
    """Store it, have forms that are open elsewhere notice, and the documents follow."""
    flag_modified(where, "name")
    db.session.flush()
    history.note("property", where.id, text, user.name)
    renew_email_status(Document.property_id == where.id)
    db.session.commit()


def ticked(where: Property) -> dict[int, set[str]]:
    """What each contact is ticked for, as stored."""
    return {
        one.contact_id: {name for name in FLAGS if getattr(one, name)} for one in where.contacts
    }


def receiving(
    where: Property, ticks: Mapping[int, Iterable[str]] | None = None
) -> dict[str, Recipients]:
    """Who would receive each kind of document, with these ticks or those that are stored."""
    marks = {key: set(names) for key, names in (ticked(where) if ticks is None else ticks).items()}
    return {kind: _receiving(where, kind, marks) for kind in KINDS}


def _receiving(where: Property, kind: str, marks: dict[int, set[str]]) -> Recipients:
    contacts = []
    for one in where.contacts:
        mine = marks.get(one.contact_id, set())
        contacts.append(
            receiver(one.contact, f"email_{kind}" in mine, "primary" in mine, "billing" in mine)
        )
    return recipients(wanted(kind, where.name), SOME_SUPPLIER, contacts)


def newest_documents(where: Property, limit: int = 8) -> list[Document]:
    """What was written for a property, the newest first."""
    query = select(Document).where(Document.property_id == where.id)
    newest = query.order_by(Document.issued.desc(), Document.id.desc()).limit(limit)
    return list(db.session.scalars(newest).unique())


def invoices_waiting(where: Property | None = None) -> int:
    """How many invoices, of one property or of them all, have nobody to go to there."""
    query = select(func.count()).select_from(Document)
    query = query.where(Document.kind == BY_BILLING, Document.email_status == NOT_APPLICABLE)
    here = Document.property_id == where.id if where else Document.property_id.is_not(None)
    return db.session.scalar(query.where(here)) or 0
