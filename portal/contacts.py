"""Contacts looked after: kept, archived, merged and deleted, and what follows for documents."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.exc import IntegrityError

from portal import history
from portal.accounts import User, user_of
from portal.documents import Document, renew_email_status, renew_words
from portal.documents.kinds import KINDS
from portal.documents.status import UNSENT
from portal.extensions import db
from portal.people import CONTACT_TYPES, Contact, ContactType, contact_with
from portal.places import FLAGS, Property, PropertyContact, Refused, refuse_used
from portal.policy import SenderRule
from portal.senders import Scope

#: What is known of a contact, and what it is called.
KNOWN = {
    "type": "Type",
    "first_name": "First name",
    "last_name": "Last name",
    "business": "Business",
    "email": "E-mail",
    "phone": "Phone",
    "address": "Address",
    "notes": "Notes",
}
#: Two records may both have these, and then both are kept, one under the other.
JOINED = ("notes",)
#: Told in the history without their words, which may be many.
_LONG = ("address", "notes")


class AddressTaken(Exception):
    """Somebody else has this e-mail address already. holder: who, active or not."""

    def __init__(self, holder: Contact) -> None:
        state = "" if holder.active else " (inactive)"
        super().__init__(f"{holder.name}{state} has this address.")
        self.holder = holder


# -- one contact ---------------------------------------------------------------------------------


def keep(known: Mapping[str, Any], by: User, contact: Contact | None = None) -> Contact:
    """Store a new contact, or what is known of one now. Commits.

    known: values for KNOWN and `active`. Raises AddressTaken, and StaleDataError when somebody else
    saved the contact this very moment; then nothing is stored.
    """
    _refuse_taken(known.get("email", ""), contact)
    told = _changes(contact, known) if contact else "Added."
    kept = contact or Contact()
    for name, value in known.items():
        setattr(kept, name, value)
    try:
        db.session.add(kept)
        db.session.flush()
    except IntegrityError:  # somebody else took the address since we looked
        db.session.rollback()
        _refuse_taken(known.get("email", ""), contact)
        raise
    if told:
        history.note("contact", kept.id, told, by.name)
    _renew_documents(kept)
    db.session.commit()
    return kept


def set_active(contact: Contact, active: bool, by: User) -> None:
    """Archive a contact or bring it back. Commits. Raises Refused for one that was merged."""
    if contact.merged_into_id and active:
        raise Refused(f"{contact.name} was merged into another contact, and stays archived.")
    if contact.active is active:
        return
    contact.active = active
    told = "Brought back." if active else "Archived."
    history.note("contact", contact.id, told, by.name)
    db.session.flush()
    _renew_documents(contact)
    db.session.commit()


def delete(contact: Contact) -> None:
    """Remove a contact that nothing needs. Raises Refused with what needs it. Commits."""
    refuse_used(contact)
    history.forget("contact", contact.id)
    db.session.delete(contact)
    db.session.commit()


def _refuse_taken(email: str, contact: Contact | None) -> None:
    holder = contact_with(email, contact)
    if holder is not None:
        raise AddressTaken(holder)


def _changes(contact: Contact, known: Mapping[str, Any]) -> str:
    """What will be different, for the history."""
    told = [
        _change(name, getattr(contact, name), value)
        for name, value in known.items()
        if getattr(contact, name) != value
    ]
    return " ".join(told)


def _change(name: str, before: Any, after: Any) -> str:
    if name == "active":
        return "Brought back." if after else "Archived."
    if name in _LONG:
        return f"{KNOWN[name]} changed."
    return f"{KNOWN[name]}: {_said(name, before)} → {_said(name, after)}."


def _said(name: str, value: str) -> str:
    if name == "type":
        return CONTACT_TYPES[ContactType(value)]
    return value or "nothing"


def _renew_documents(contact: Contact) -> None:
    """Whether there is somebody to send to, for what hangs on this contact and was never sent."""
    places = select(PropertyContact.property_id).where(PropertyContact.contact_id == contact.id)
    renew_email_status(or_(Document.contact_id == contact.id, Document.property_id.in_(places)))


# -- two that are one ----------------------------------------------------------------------------


def differing(kept: Contact, gone: Contact) -> list[str]:
    """Of KNOWN, what both have and is not the same: somebody must choose."""
    return [
        name
        for name in KNOWN
        if name not in JOINED
        and getattr(kept, name)
        and getattr(gone, name)
        and getattr(kept, name) != getattr(gone, name)
    ]


def why_not_merged(kept: Contact, gone: Contact) -> str:
    """What stands against making these two one; "" when nothing does."""
    for one in (kept, gone):
        if one.merged_into_id:
            return f"{one.name} was merged into another contact already."
    if kept.id == gone.id:
        return "Choose another contact: this is the same one."
    if user_of(kept) and user_of(gone):
        return (
            f"{kept.name} and {gone.name} both sign in. "
            "Two people who sign in cannot become one: their sendings would lose who sent them."
        )
    clashing = _clashing_rules(kept, gone)
    if clashing:
        return (
            f"Both have their own rule for who {clashing} from. "
            "Remove one of the two rules first, so that nobody guesses which you meant."
        )
    return ""


def merge(kept: Contact, gone: Contact, taken: list[str], by: User) -> None:
    """Make two contacts one. Raises Refused with the sentence. Commits.

    taken: of KNOWN, what is taken from `gone`; what `kept` does not have comes from there anyway.
    `gone` stays, archived, without its address, and says where it went.
    """
    problem = why_not_merged(kept, gone)
    if problem:
        raise Refused(problem)
    values = _united(kept, gone, taken)
    former = gone.email
    gone.email, gone.active, gone.merged_into_id = "", False, kept.id
    db.session.flush()  # so that its address is free
    for name, value in values.items():
        setattr(kept, name, value)
    db.session.flush()
    _count_change(gone, f"{gone.name} and {kept.name} are one contact now.", by)
    _move_everything(kept, gone)
    _tell_merged(kept, gone, former, by)
    _renew_documents(kept)
    db.session.commit()


def merged_into(contact: Contact) -> list[Contact]:
    """The contacts that became this one."""
    query = select(Contact).where(Contact.merged_into_id == contact.id).order_by(Contact.id)
    return list(db.session.scalars(query))


def _united(kept: Contact, gone: Contact, taken: list[str]) -> dict[str, str]:
    values = {name: getattr(kept, name) or getattr(gone, name) for name in KNOWN}
    values |= {name: getattr(gone, name) for name in taken if name in KNOWN}
    for name in JOINED:
        both = dict.fromkeys((getattr(kept, name), getattr(gone, name)))
        values[name] = "\n".join(one for one in both if one)
    return values


def _move_everything(kept: Contact, gone: Contact) -> None:
    """Whatever points at the one points at the other."""
    for pointer in (Document.contact_id, Property.customer_id, User.contact_id):
        _move(pointer, kept, gone)
    _move(Contact.merged_into_id, kept, gone)
    _unite_places(kept, gone)
    _unite_rules(kept, gone)
    renew_words(db.session.connection(), Document.contact_id == kept.id)


def _count_change(gone: Contact, told: str, by: User) -> None:
    """Let whoever has a form of these open see that they changed, before they save it."""
    links = select(PropertyContact.property_id).where(PropertyContact.contact_id == gone.id)
    places = or_(Property.customer_id == gone.id, Property.id.in_(links))
    for number in db.session.scalars(select(Property.id).where(places)).all():
        history.note("property", number, told, by.name)
    papers = and_(Document.contact_id == gone.id, Document.email_status.in_(UNSENT))
    for record, mine in ((Property, places), (Document, papers)):
        counted = update(record).where(mine).values(version=record.version + 1)
        db.session.execute(counted.execution_options(synchronize_session="fetch"))


def _move(pointer: Any, kept: Contact, gone: Contact) -> None:
    moved = update(pointer.class_).where(pointer == gone.id).values({pointer.key: kept.id})
    db.session.execute(moved.execution_options(synchronize_session="fetch"))


def _unite_places(kept: Contact, gone: Contact) -> None:
    """At a property that knows both, the one that stays receives whatever either received."""
    query = select(PropertyContact).where(PropertyContact.contact_id == kept.id)
    mine = {one.property_id: one for one in db.session.scalars(query)}
    others = select(PropertyContact).where(PropertyContact.contact_id == gone.id)
    for other in db.session.scalars(others).all():
        same = mine.get(other.property_id)
        if same is None:
            other.contact_id = kept.id
            continue
        for flag in FLAGS:
            setattr(same, flag, getattr(same, flag) or getattr(other, flag))
        db.session.delete(other)
    db.session.flush()


def _unite_rules(kept: Contact, gone: Contact) -> None:
    """The rules of who mail comes from; where both have the same one, one goes."""
    kinds = {one.kind for one in _rules_of(kept)}
    for rule in _rules_of(gone):
        if rule.kind in kinds:
            db.session.delete(rule)
        else:
            rule.customer_id, rule.target = kept.id, f"{Scope.CUSTOMER}:{kept.id}"
    db.session.flush()


def _clashing_rules(kept: Contact, gone: Contact) -> str:
    """What two different rules decide: "invoices come"; "" where none differ."""
    mine = {one.kind: _decision(one) for one in _rules_of(kept)}
    for rule in _rules_of(gone):
        if mine.get(rule.kind, _decision(rule)) != _decision(rule):
            return f"{KINDS[rule.kind].plural.lower()} come" if rule.kind else "mail comes"
    return ""


def _decision(rule: SenderRule) -> tuple[str, str, str]:
    return rule.mode, rule.address, rule.name


def _rules_of(contact: Contact) -> list[SenderRule]:
    query = select(SenderRule).where(SenderRule.customer_id == contact.id)
    return list(db.session.scalars(query).unique())


def _tell_merged(kept: Contact, gone: Contact, former: str, by: User) -> None:
    address = f" ({former})" if former else ""
    history.note("contact", kept.id, f"{gone.name}{address} was merged into this one.", by.name)
    freed = f" Its address was {former}." if former else ""
    history.note("contact", gone.id, f"Merged into {kept.name}.{freed}", by.name)
