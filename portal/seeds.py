"""The demo company, Bright Spark Plumbing: the cast of the tests, and of a first look."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session

from portal.accounts import Role, User, add_user
from portal.documents import Draft, keep
from portal.documents.facts import LineFacts
from portal.people import Company, Contact, ContactType

PASSWORD = "bright-spark-demo"
TODAY = dt.date(2026, 11, 23)


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
        olive, tom, _nia = _people()
        session.flush()
        mary, copper, harbour = _contacts(session)
        session.flush()
        _documents(olive, tom, mary, copper, harbour)
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
        add_user("olive@brightspark.example", "Olive Park", Role.MANAGER, PASSWORD),
        add_user("tom@brightspark.example", "Tom Baker", Role.STAFF, PASSWORD),
        add_user("nia@brightspark.example", "Nia Cole", Role.STAFF, PASSWORD),
    )


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


def _documents(olive: User, tom: User, mary: Contact, copper: Contact, harbour: Contact) -> None:
    hill = "12 Hill St\nNewtown NSW 2042"
    keep(
        _draft(
            "invoice",
            "INV-0041",
            "Blocked drain, unit 7",
            harbour,
            "9 Quay St, unit 7\nSydney NSW 2000",
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
            mary,
            hill,
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
            mary,
            hill,
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
            mary,
            hill,
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
            mary,
            hill,
            None,
            [
                _line("When did it start, and was any work done in the house then?", "1", "", "0"),
                _line("Is it the same with hot and with cold water?", "1", "", "0"),
            ],
            notes="The upstairs shower lost its pressure last week. The basin beside it runs well.",
        ),
        olive,
    )


def _draft(
    kind: str,
    number: str,
    title: str,
    contact: Contact,
    site: str,
    due_in: int | None,
    lines: list[LineFacts],
    reference: str = "",
    notes: str = "",
) -> Draft:
    return Draft(
        kind=kind,
        number=number,
        title=title,
        contact_id=contact.id,
        site=site,
        reference=reference,
        issued=TODAY,
        due=TODAY + dt.timedelta(days=due_in) if due_in is not None else None,
        notes=notes,
        lines=tuple(lines),
    )


def _line(description: str, quantity: str, unit: str, price: str) -> LineFacts:
    return LineFacts(description, Decimal(quantity), unit, Decimal(price), Decimal(10))
