"""The cast of the tests, their papers and their mailboxes. Each needs an app context."""

import datetime as dt
from decimal import Decimal
from typing import Any

import requests
from sqlalchemy import select

from portal import consent, dispatch, mailboxes
from portal.accounts import Role, User, add_user
from portal.dispatch import Deed, Dispatch, Purpose, Wish
from portal.documents import Document, Draft, keep, next_number
from portal.documents.facts import LineFacts
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.people import Company, Contact, contact_with
from portal.places import FLAGS, Branch, Property, PropertyContact, Region
from portal.providers.gmail import FULL_SCOPES
from portal.providers.signing import Account, Grant
from portal.senders import Said

PASSWORD = "a password of the cast"
OFFICE = "office@brightspark.example"
ACCOUNTS = "accounts@brightspark.example"
MARY = "mary.lee@homes.example"
HILL_ST = "12 Hill St\nNewtown NSW 2042"


def bright_spark() -> Company:
    """The company, made once."""
    found = db.session.query(Company).first()
    if found is None:
        found = Company(name="Bright Spark Plumbing", accent="#0b5c7a")
        db.session.add(found)
        db.session.commit()
    return found


def person(first: str, name: str, role: Role = Role.STAFF, *, agrees: bool = True) -> User:
    """Somebody of the company, made once, who agrees that mail leaves under their address."""
    bright_spark()
    email = f"{first}@brightspark.example"
    found = db.session.query(User).filter_by(email=email).first()
    if found is None:
        found = add_user(email, name, role, PASSWORD)
        db.session.flush()
        if agrees:
            consent.record(found, Said.AGREED, consent.How.SETTINGS)
        db.session.commit()
    return found


def olive() -> User:
    """The office manager."""
    return person("olive", "Olive Park", Role.MANAGER)


def tom() -> User:
    """A tradesperson whose address is verified in the company's mailbox."""
    return person("tom", "Tom Baker")


def nia() -> User:
    """A tradesperson whose address nobody verified."""
    return person("nia", "Nia Cole")


def mary(email: str = MARY) -> Contact:
    """A customer."""
    return contact(first_name="Mary", last_name="Lee", email=email, address=HILL_ST)


def contact(**known: Any) -> Contact:
    """A contact, made once for each address."""
    bright_spark()
    found = contact_with(known.get("email", ""))
    if found is None:
        found = Contact(**known)
        db.session.add(found)
        db.session.commit()
    return found


def copper() -> Contact:
    """A supplier."""
    return contact(business="Copper & Co", email="orders@copperco.example", type="supplier")


def document(
    kind: str = "invoice",
    *,
    contact: Contact | None = None,
    author: User | None = None,
    lines: tuple[LineFacts, ...] | None = None,
    number: str | None = None,
    site: Property | None = None,
) -> Document:
    """A document of $1,240.00 for Mary, unless told otherwise; site: the property it is for."""
    contact = contact or (site.customer if site else mary())
    author = author or tom()
    default = (
        LineFacts("Gas hot-water unit", Decimal(1), "", Decimal("827.27"), Decimal(10)),
        LineFacts("Fit new unit", Decimal("2.5"), "h", Decimal(120), Decimal(10)),
    )
    draft = Draft(
        kind=kind,
        number=number or next_number(kind),
        title="Hot-water service replacement",
        contact_id=contact.id,
        site="12 Hill St\nNewtown NSW 2042",
        reference="",
        issued=dt.date(2026, 11, 23),
        due=dt.date(2026, 12, 7),
        notes="",
        lines=default if lines is None else lines,
        property_id=site.id if site else None,
    )
    made = keep(draft, author)
    db.session.commit()
    return made


def branch(name: str = "Newcastle", region: str = "North") -> Branch:
    """A branch of a region, each made once."""
    found = db.session.query(Branch).filter_by(name=name).first()
    if found is None:
        above = db.session.query(Region).filter_by(name=region).first() or Region(name=region)
        found = Branch(name=name, region=above)
        db.session.add(found)
        db.session.commit()
    return found


def site(
    name: str = "12 Hill St",
    at: Branch | None = None,
    *,
    manager: User | None = None,
    billing: Contact | None = None,
) -> Property:
    """A property of Mary's whose invoices go to `billing`, if anybody is marked at all."""
    made = Property(name=name, customer=mary(), branch=at, account_manager=manager)
    if billing is not None:
        made.contacts = [PropertyContact(contact=billing, billing=True, email_invoice=True)]
    db.session.add(made)
    db.session.commit()
    return made


def hill_st(name: str = "12 Hill St", customer: Contact | None = None, **known: Any) -> Property:
    """A property in Newcastle whose customer receives everything; made once for each name."""
    found = db.session.query(Property).filter_by(name=name).first()
    if found is None:
        customer = customer or mary()
        known = known if "branch" in known else {**known, "branch": branch()}
        found = Property(customer=customer, name=name, **known)
        found.contacts.append(PropertyContact(contact=customer, **dict.fromkeys(FLAGS, True)))
        db.session.add(found)
        db.session.commit()
    return found


def wish(number: int = 1, to: str = MARY, **chosen: Any) -> Wish:
    """What somebody fills in on the send page."""
    body = "Hello Mary,\n\nyour invoice is attached."
    words: dict[str, Any] = {"cc": (), "subject": "Invoice INV-0042", "body": body}
    return Wish(sending_number=number, to=(to,), **(words | chosen))


def asked(document_: Document | None = None, user: User | None = None, **chosen: Any) -> Dispatch:
    """A dispatch somebody has just asked for."""
    return dispatch.request(document_ or document(), user or tom(), wish(**chosen))


def notices() -> list[Dispatch]:
    """What the portal itself wrote to people, oldest first."""
    query = select(Dispatch).where(Dispatch.purpose == Purpose.NOTICE).order_by(Dispatch.id)
    return list(db.session.scalars(query))


def connected(
    google: str,
    email: str = OFFICE,
    *,
    owner: User | None = None,
    scopes: tuple[str, ...] = FULL_SCOPES,
) -> Mailbox:
    """A mailbox connected to the local Google at this address, its send-from addresses read."""
    answer = requests.post(
        f"{google}/_sandbox/tokens", json={"email": email, "scopes": " ".join(scopes)}, timeout=5
    )
    answer.raise_for_status()
    minted = answer.json()
    grant = Grant(
        minted["access_token"], minted["refresh_token"], minted["expires_in"], frozenset(scopes)
    )
    account = Account(minted["sub"], email, "Bright Spark Plumbing", "brightspark.example")
    box = mailboxes.connect(account, grant, owner=owner)
    if box.can_list_addresses:
        mailboxes.refresh_addresses(box)
    return box


def office_mailbox(**addresses: str) -> Mailbox:
    """The company's mailbox as stored, with no Google behind it: office@ and tom@ are verified."""
    bright_spark()
    box = Mailbox(
        account_sub="office", email=OFFICE, scopes=" ".join(FULL_SCOPES), is_company_default=True
    )
    known = {"office": "accepted", "tom": "accepted", **addresses}
    box.addresses = [
        Address(
            email=f"{first}@brightspark.example",
            verification=verification,
            is_primary=first == "office",
        )
        for first, verification in known.items()
    ]
    db.session.add(box)
    db.session.commit()
    return box


def cancelled(asked: Dispatch, user: User) -> bool:
    """Somebody cancels a dispatch, as the pages do; whether it was in time."""
    return dispatch.decide([asked], Deed.CANCEL, user).done == [asked]
