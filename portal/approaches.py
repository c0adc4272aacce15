"""Approach: one of the three usual ways to decide who a company's invoices come from.

1 the Accounting Department, one generic sender, is the best practice; 2 the account manager of each
property; 3 the portal's own relay, if the operator set one up.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.exc import IntegrityError

from portal import accounts, history, mailboxes, policy, relay
from portal.accounts import Role, User
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import Contact, ContactType, contact_with
from portal.senders import Choice, Mode, Rule

#: The approaches are about invoices; other kinds keep their rules.
KIND = "invoice"
DEPARTMENT = "Accounting Department"


class Approach(StrEnum):
    """Which of the three the company's rule for invoices amounts to."""

    ACCOUNTING = "accounting"
    MANAGERS = "managers"
    RELAY = "relay"


_BY_MODE = {
    Mode.SPECIFIED: Approach.ACCOUNTING,
    Mode.ACCOUNT_MANAGER: Approach.MANAGERS,
    Mode.RELAY: Approach.RELAY,
}


class CannotSetUp(ValueError):
    """The department was not set up, and nothing was stored; the message says why.

    holder: the contact that stands in the way, if one does.
    """

    def __init__(self, message: str, holder: Contact | None = None) -> None:
        super().__init__(message)
        self.holder = holder


@dataclass(frozen=True)
class Department:
    """How far the generic sender is: each part as it is stored now, None where it is missing."""

    email: str
    contact: Contact | None
    user: User | None
    rule: Rule | None
    choice: Choice | None

    @property
    def complete(self) -> bool:
        """Whether every part was made; the address may still have to be verified."""
        return None not in (self.contact, self.user, self.rule)


def company_rule() -> Rule | None:
    """The company's rule that decides about invoices; None where nobody made one."""
    return policy.rule(KIND) or policy.rule()


def present() -> Approach | None:
    """The approach in use; None for the company mailbox and for whoever presses Send."""
    rule = company_rule()
    return _BY_MODE.get(rule.mode) if rule else None


def department(viewer: User) -> Department | None:
    """The generic sender of the company's rule for invoices; None while it names no address."""
    rule = company_rule()
    if rule is None or rule.mode is not Mode.SPECIFIED or not rule.address:
        return None
    contact = contact_with(rule.address)
    return Department(
        email=rule.address,
        contact=contact,
        user=accounts.with_email(rule.address),
        rule=rule,
        choice=policy.choose_for(KIND, viewer),
    )


def set_up_department(name: str, email: str, by: User) -> Department:
    """Make the contact, the user, the wanted address and the rule, all of them or none.

    What is there already is kept, so doing it again changes nothing. Raises CannotSetUp. Commits.
    """
    try:
        _make_all(name, email, by)
    except IntegrityError:  # somebody else made a part of it at the same moment
        db.session.rollback()
        _make_all(name, email, by)
    made = department(by)
    assert made is not None
    return made


def _make_all(name: str, email: str, by: User) -> None:
    try:
        contact = _contact(name, email, by)
        _address(email)
        policy.put_rule(KIND, Mode.SPECIFIED, email, actor=by.name)
        _user(contact)
        db.session.commit()
    except CannotSetUp:
        db.session.rollback()
        raise


def let_managers_send(by: User) -> None:
    """Approach 2: invoices come from the account manager of each property. Commits."""
    policy.set_rule(KIND, Mode.ACCOUNT_MANAGER, actor=by.name)


def let_relay_send(by: User) -> None:
    """Approach 3: invoices leave through the portal's own relay. Commits."""
    relay.keep()
    policy.set_rule(KIND, Mode.RELAY, actor=by.name)


def relayed() -> int:
    """How many rules, wherever they stand, name the relay."""
    return sum(rule.mode is Mode.RELAY for rule in policy.rules())


def do_without_relay(by: User) -> int:
    """Take back every rule that names the relay; the wider rules hold again. Commits.

    Returns how many there were.
    """
    found = [rule for rule in policy.rules() if rule.mode is Mode.RELAY]
    for rule in found:
        policy.drop_rule(rule.kind or policy.EVERY_KIND, rule.place, actor=by.name)
    return len(found)


def first_mailbox() -> Mailbox | None:
    """The company mailbox that an address can be added to, the default one first."""
    able = (one for one in mailboxes.company_mailboxes() if one.can_send and one.can_list_addresses)
    return next(able, None)


def _contact(name: str, email: str, by: User) -> Contact:
    """The employee with this address, made if nobody has it."""
    holder = contact_with(email)
    if holder is not None:
        _refuse_holder(holder, email)
        return holder
    first, _, last = name.partition(" ")
    made = Contact(type=ContactType.EMPLOYEE, first_name=first, last_name=last, email=email)
    db.session.add(made)
    db.session.flush()
    history.note("contact", made.id, "Made by the set-up of the Accounting Department.", by.name)
    return made


def _refuse_holder(holder: Contact, email: str) -> None:
    """Nobody is turned into an employee, or made active, behind their back."""
    if holder.type != ContactType.EMPLOYEE:
        raise CannotSetUp(
            f"{email} belongs to {holder.name}, who is not an employee. Write another address.",
            holder,
        )
    if not holder.active:
        raise CannotSetUp(
            f"{email} belongs to {holder.name}, who is inactive. Make that contact active first.",
            holder,
        )


def _address(email: str) -> None:
    """Watch for the address in the company's mailbox, unless one can send as it already."""
    known = [one for one in mailboxes.send_from_addresses() if one.owner_id is None]
    ready = any(one.email == email and one.verification == "accepted" for one in known)
    box = first_mailbox()
    if not ready and box is not None:
        mailboxes.put_address(box, email)


def _user(contact: Contact) -> None:
    """Somebody to sign in under the address; who is there already is only tied to the contact."""
    user = accounts.with_email(contact.email)
    if user is None:
        try:
            accounts.user_from_contact(contact, Role.STAFF).is_department = True
        except accounts.CannotMake as problem:
            raise CannotSetUp(str(problem), contact) from None
    elif user.contact_id is None:
        user.contact_id = contact.id
