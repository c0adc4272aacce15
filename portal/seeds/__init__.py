"""The demo company, Bright Spark Plumbing: the cast of the tests, and of a first look."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session

from portal import consent
from portal.accounts import Role, User, add_user
from portal.documents import Draft, keep
from portal.documents.facts import LineFacts
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.people import Company, Contact, ContactType
from portal.places import Branch, Property, PropertyContact, Region
from portal.senders import Said

PASSWORD = "bright-spark-demo"
TODAY = dt.date(2026, 11, 23)
OCTOBER = dt.date(2026, 10, 28)


@dataclass(frozen=True)
class SignIn:
    """How one of the demo people signs in."""

    name: str
    email: str
    password: str
    role: str


def seed_demo(session: "scoped_session[Any] | Session") -> list[SignIn]:
    """Fill an empty database; with anything in it, only say who can sign in. Commits."""
    if session.scalar(select(User.id).limit(1)) is None:
        _company(session)
        olive, tom, nia = _people()
        session.flush()
        mary, copper, harbour = _contacts(session)
        session.flush()
        marrickville, newcastle, gosford = _branches(session)
        hill = _property(session, mary, "12 Hill St", "Newtown NSW 2042", marrickville, tom)
        quay = _property(session, harbour, "9 Quay St", "Sydney NSW 2000", marrickville, olive)
        session.flush()
        _month_end(session, nia, newcastle, gosford)
        _documents(olive, tom, (mary, hill), copper, (harbour, quay))
        session.commit()
    if session.scalar(select(User.id).where(User.email == "olive@brightspark.example")) is None:
        return []
    people = session.scalars(select(User).where(User.active).order_by(User.id))
    return [SignIn(one.name, one.email, PASSWORD, one.role) for one in people]


def _company(session: "scoped_session[Any] | Session") -> None:
    session.add(
        Company(
            name="Bright Spark Plumbing",
            legal_name="Bright Spark Plumbing Pty Ltd",
            tax_number="53 004 085 616",
            address="14 Foundry Lane\nMarrickville NSW 2204",
            phone="02 5550 1234",
            email="accounts@brightspark.example",
            website="brightspark.example",
            bank="Account name: Bright Spark Plumbing Pty Ltd\nBSB: 062-000\nAccount: 1234 5678",
            footer="Licensed plumbers and gasfitters, licence 123456C",
            accent="#0b5c7a",
        )
    )


def _people() -> tuple[User, User, User]:
    return (
        employee("Olive", "Park", Role.MANAGER),
        employee("Tom", "Baker", Role.STAFF),
        employee("Nia", "Cole", Role.STAFF, agrees=False),
    )


def employee(first: str, last: str, role: Role, email: str = "", *, agrees: bool = True) -> User:
    """A contact and a user for somebody who works here.

    agrees: whether they have said yes to mail that leaves under their address, or were never asked.
    """
    email = email or f"{first.lower()}@brightspark.example"
    user = add_user(email, f"{first} {last}", role, PASSWORD)
    contact = Contact(type=ContactType.EMPLOYEE, first_name=first, last_name=last, email=email)
    db.session.add(contact)
    db.session.flush()
    user.contact_id = contact.id
    if agrees:
        consent.record(user, Said.AGREED, consent.How.SETTINGS)
    return user


def _branches(session: "scoped_session[Any] | Session") -> list[Branch]:
    sydney, north = Region(name="Sydney"), Region(name="North")
    made = [
        Branch(name="Marrickville", region=sydney),
        Branch(name="Newcastle", region=north),
        Branch(name="Gosford", region=north),
    ]
    session.add_all(made)
    session.flush()
    return made


def _property(
    session: "scoped_session[Any] | Session",
    customer: Contact,
    name: str,
    town: str,
    branch: Branch,
    manager: User | None,
    *,
    marked: bool = True,
) -> Property:
    """A property whose customer receives everything, or is not marked for anything."""
    made = Property(
        customer=customer,
        name=name,
        address=f"{name}\n{town}",
        branch=branch,
        account_manager=manager,
    )
    link = PropertyContact(contact=customer, primary=marked, billing=marked)
    for kind in KINDS:
        setattr(link, f"email_{kind}", marked)
    made.contacts.append(link)
    session.add(made)
    return made


def _contacts(session: "scoped_session[Any] | Session") -> tuple[Contact, Contact, Contact]:
    mary = Contact(
        first_name="Mary",
        last_name="Lee",
        email="mary.lee@homes.example",
        phone="0491 570 006",
        address="12 Hill St\nNewtown NSW 2042",
    )
    copper = Contact(
        type=ContactType.SUPPLIER,
        business="Copper & Co",
        first_name="Sam",
        last_name="Reid",
        email="orders@copperco.example",
        phone="02 5550 9876",
        address="80 Mill Rd\nAlexandria NSW 2015",
    )
    harbour = Contact(
        business="Harbour Strata Management",
        first_name="Priya",
        last_name="Nair",
        email="",
        phone="02 5550 4321",
        address="Level 3, 9 Quay St\nSydney NSW 2000",
    )
    session.add_all([mary, copper, harbour])
    return mary, copper, harbour


def _documents(
    olive: User,
    tom: User,
    mary: tuple[Contact, Property],
    copper: Contact,
    harbour: tuple[Contact, Property],
) -> None:
    hill = mary[1].address
    keep(
        _draft(
            "invoice",
            "INV-0041",
            "Blocked drain, unit 7",
            *harbour,
            14,
            [_line("Clear blocked drain with jetter", "1.5", "h", "165")],
        ),
        tom,
    )
    keep(
        _draft(
            "invoice",
            "INV-0042",
            "Hot-water service replacement",
            *mary,
            14,
            [
                _line("Gas hot-water unit, 20 L/min, supplied", "1", "", "745.45"),
                _line("Remove old unit and fit new one", "2.5", "h", "120.00"),
                _line("Copper pipe and fittings", "1", "set", "81.82"),
            ],
            reference="JOB-0017",
        ),
        tom,
    )
    keep(
        _draft(
            "quote",
            "QU-0009",
            "Bathroom rough-in",
            *mary,
            30,
            [
                _line("Rough-in for shower, basin and toilet", "1", "", "1850.00"),
                _line("Relocate floor waste", "1", "", "420.00"),
            ],
        ),
        tom,
    )
    keep(
        _draft(
            "purchase_order",
            "PO-0023",
            "Fittings for 12 Hill St",
            copper,
            hill,
            3,
            [
                _line("Copper tube 20 mm, 6 m", "4", "length", "61.20"),
                _line("Press elbow 20 mm", "16", "", "7.85"),
            ],
        ),
        olive,
    )
    keep(
        _draft(
            "job",
            "JOB-0017",
            "Replace hot-water service",
            *mary,
            2,
            [
                _line("Isolate gas and water, remove old unit", "1", "", "0"),
                _line("Mount new unit, connect, commission", "1", "", "0"),
                _line("Show Mary the temperature control", "1", "", "0"),
            ],
        ),
        tom,
    )
    keep(
        _draft(
            "enquiry",
            "ENQ-0005",
            "Low pressure in the upstairs shower",
            *mary,
            None,
            [
                _line("When did it start, and was any work done in the house then?", "1", "", "0"),
                _line("Is it the same with hot and with cold water?", "1", "", "0"),
            ],
            notes="The upstairs shower lost its pressure last week. The basin beside it runs well.",
        ),
        olive,
    )


@dataclass(frozen=True)
class _Work:
    """A customer of the north, and what October's invoice is for. No manager: nobody's."""

    customer: str
    person: str
    email: str
    street: str
    done: str
    price: str
    marked: bool = True
    managed: bool = True


NEWCASTLE = (
    _Work("Bay St Cafe", "Jo Marsh", "hello@baystreet.example", "3 Bay St", "Grease trap", "310"),
    _Work("Hunter Dental", "Ann Ride", "ann@hunter.example", "41 King St", "Basin taps", "485"),
    _Work("Pier Hotel", "Lou Tran", "office@pier.example", "1 Wharf Rd", "Boiler service", "920"),
    _Work(
        "Coast Gym", "Max Orr", "desk@gym.example", "77 Hunter St", "Valves", "640", managed=False
    ),
)
GOSFORD = (
    _Work("Gosford School", "Kay Bell", "", "12 School Ln", "Bubblers", "275"),
    _Work("Erina Storage", "Ian Fox", "ian@erina.example", "5 Depot Rd", "Backflow", "220", False),
    _Work(
        "Terrigal Flats", "Sue Lim", "sue@terrigal.example", "8 Beach Dr", "Stack repair", "1480"
    ),
)


def _month_end(
    session: "scoped_session[Any] | Session", nia: User, newcastle: Branch, gosford: Branch
) -> None:
    """October's invoices of the north, not sent yet; some cannot be, each for its own reason."""
    works = [(one, newcastle) for one in NEWCASTLE] + [(one, gosford) for one in GOSFORD]
    for serial, (one, branch) in enumerate(works, start=31):
        first, last = one.person.split()
        customer = Contact(business=one.customer, first_name=first, last_name=last, email=one.email)
        session.add(customer)
        manager = nia if one.managed else None
        town = f"{branch.name} NSW"
        where = _property(session, customer, one.street, town, branch, manager, marked=one.marked)
        session.flush()
        line = _line(one.done, "1", "", one.price)
        keep(
            _draft(
                "invoice",
                f"INV-{serial:04d}",
                one.done,
                customer,
                where,
                14,
                [line],
                issued=OCTOBER,
            ),
            nia,
        )


def _draft(
    kind: str,
    number: str,
    title: str,
    contact: Contact,
    at: Property | str,
    due_in: int | None,
    lines: list[LineFacts],
    reference: str = "",
    notes: str = "",
    issued: dt.date = TODAY,
) -> Draft:
    return Draft(
        kind=kind,
        number=number,
        title=title,
        contact_id=contact.id,
        site=at if isinstance(at, str) else at.address,
        reference=reference,
        issued=issued,
        due=issued + dt.timedelta(days=due_in) if due_in is not None else None,
        notes=notes,
        lines=tuple(lines),
        property_id=None if isinstance(at, str) else at.id,
    )


def _line(description: str, quantity: str, unit: str, price: str) -> LineFacts:
    return LineFacts(description, Decimal(quantity), unit, Decimal(price), Decimal(10))
