"""The large demo company: three branches, forty staff, two thousand properties, one month's work.

Every name is drawn from short lists by a fixed seed, so that two machines get the same company.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from decimal import Decimal

from sqlalchemy import select

from portal.accounts import Role, User
from portal.documents import Draft, keep
from portal.documents.facts import LineFacts
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.people import Contact, ContactType
from portal.places import Branch, Property, PropertyContact
from portal.seeds import employee

STAFF, PROPERTIES, CUSTOMERS = 40, 2000, 1200
FIRST_NUMBER = 10_001
#: Of the properties, so many in a hundred cannot be invoiced yet, each for one of these reasons.
NOBODY_MARKED, NO_ADDRESS, NO_MANAGER = 1, 1, 2
COMMIT_EVERY = 200

FIRST = ("Ada", "Ben", "Cara", "Dan", "Ella", "Finn", "Gwen", "Hugo", "Iris", "Jack", "Kim", "Leo")
LAST = ("Abbott", "Barnes", "Chen", "Dawson", "Ellis", "Ford", "Grant", "Hayes", "Khan", "Moran")
STREETS = ("Bay", "King", "Hill", "Park", "High", "Mill", "Station", "Beach", "Church", "River")
ENDINGS = ("St", "Rd", "Ave", "Ln", "Pde", "Dr")
TRADES = ("Strata", "Bakery", "Dental", "Motors", "Storage", "Realty", "Cafe", "Gym", "Nursery")
WORK = (
    ("Quarterly backflow test", "220"),
    ("Hot-water service", "385"),
    ("Blocked drain cleared", "247.5"),
    ("Tap ware replaced", "312.4"),
    ("Gas safety check", "190"),
    ("Roof gutter repair", "640"),
    ("Leak located and mended", "455"),
)


def seed_large(say: Callable[[str], None], properties: int = PROPERTIES) -> None:
    """Add the large company's people, places and October's invoices to the demo company. Commits.

    Does nothing when it is there already.
    """
    if db.session.scalar(select(Property.id).where(Property.notes == "large").limit(1)):
        say("The large company is there already.")
        return
    dice = random.Random(7)
    managers = list(_staff(dice))
    db.session.commit()
    say(f"{len(managers)} people")
    branches = list(db.session.scalars(select(Branch).order_by(Branch.id)))
    customers = list(_customers(dice, max(1, properties * CUSTOMERS // PROPERTIES)))
    db.session.commit()
    say(f"{len(customers)} customers")
    for serial in range(properties):
        where = _property(dice, serial, customers[serial % len(customers)], branches, managers)
        db.session.flush()
        _invoice(dice, serial, where, managers[serial % len(managers)])
        if serial % COMMIT_EVERY == COMMIT_EVERY - 1:
            db.session.commit()
            say(f"{serial + 1} of {properties} properties, each with its invoice")
    db.session.commit()


def _staff(dice: random.Random) -> Iterator[User]:
    for serial in range(STAFF - 3):
        first, last = FIRST[serial % len(FIRST)], LAST[(serial * 7) % len(LAST)]
        email = f"{first}.{last}{serial}@brightspark.example".lower()
        yield employee(first, last, Role.MANAGER if serial == 0 else Role.STAFF, email)


def _customers(dice: random.Random, count: int) -> Iterator[Contact]:
    for serial in range(count):
        first, last = dice.choice(FIRST), dice.choice(LAST)
        business = f"{dice.choice(LAST)} {dice.choice(TRADES)} {serial}" if serial % 3 else ""
        one = Contact(
            type=ContactType.CUSTOMER,
            first_name=first,
            last_name=last if business else f"{last} {serial}",
            business=business,
            email="" if dice.random() * 100 < NO_ADDRESS else f"customer{serial}@homes.example",
            phone=f"02 5550 {serial % 10000:04d}",
        )
        db.session.add(one)
        yield one


def _property(
    dice: random.Random,
    serial: int,
    customer: Contact,
    branches: list[Branch],
    managers: list[User],
) -> Property:
    branch = branches[serial % len(branches)]
    name = f"{serial + 1} {dice.choice(STREETS)} {dice.choice(ENDINGS)}"
    managed = dice.random() * 100 >= NO_MANAGER
    made = Property(
        customer=customer,
        name=name,
        address=f"{name}\n{branch.name} NSW",
        branch=branch,
        account_manager=managers[serial % 12] if managed else None,
        notes="large",
    )
    marked = dice.random() * 100 >= NOBODY_MARKED
    link = PropertyContact(contact=customer, primary=True, billing=True)
    for kind in KINDS:
        setattr(link, f"email_{kind}", marked)
    made.contacts.append(link)
    db.session.add(made)
    return made


def _invoice(dice: random.Random, serial: int, where: Property, author: User) -> None:
    work, price = dice.choice(WORK)
    issued = dt.date(2026, 10, 1 + serial % 31)
    line = LineFacts(work, Decimal(1), "", Decimal(price), Decimal(10))
    draft = Draft(
        kind="invoice",
        number=f"INV-{FIRST_NUMBER + serial}",
        title=work,
        contact_id=where.customer_id,
        site=where.address,
        reference="",
        issued=issued,
        due=issued + dt.timedelta(days=14),
        notes="",
        lines=(line,),
        property_id=where.id,
    )
    keep(draft, author)
