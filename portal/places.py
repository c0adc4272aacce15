"""Places: regions, their branches, and the properties where customers have work done."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.extensions import Base, db
from portal.people import Contact


class Region(Base):
    """Several branches that belong together."""

    __tablename__ = "regions"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    branches: Mapped[list["Branch"]] = relationship(back_populates="region", order_by="Branch.name")

    __mapper_args__ = {"version_id_col": version}


class Branch(Base):
    """One place of business. It always belongs to a region, so no rule can fall into a gap."""

    __tablename__ = "branches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    region_id: Mapped[int] = mapped_column(ForeignKey("regions.id"), index=True)
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    region: Mapped[Region] = relationship(back_populates="branches", lazy="joined")

    __mapper_args__ = {"version_id_col": version}


class Property(Base):
    """A site of a customer. branch_id is None only while the company has no branches."""

    __tablename__ = "properties"
    __table_args__ = (
        Index("ix_properties_listed", "active", "name", "id"),
        Index("ix_properties_named", "name", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
    name: Mapped[str]
    address: Mapped[str] = mapped_column(default="")
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branches.id"), index=True)
    account_manager_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    notes: Mapped[str] = mapped_column(Text, default="")
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    customer: Mapped[Contact] = relationship(lazy="joined")
    branch: Mapped[Branch | None] = relationship(lazy="joined")
    account_manager: Mapped[User | None] = relationship(lazy="joined")
    contacts: Mapped[list["PropertyContact"]] = relationship(
        back_populates="property_", cascade="all, delete-orphan", order_by="PropertyContact.id"
    )

    __mapper_args__ = {"version_id_col": version}


#: What the tick that makes a property's contact receive a kind of document is called.
MARKS = {
    "invoice": "Email Invoice",
    "quote": "Email Quote",
    "purchase_order": "Email Order",
    "job": "Email Job",
    "enquiry": "Email Enquiry",
}
#: All that can be ticked for a property's contact: the attribute, and what it is called.
FLAGS = {
    "primary": "Primary",
    "billing": "Billing",
    **{f"email_{kind}": mark for kind, mark in MARKS.items()},
}


class PropertyContact(Base):
    """A contact of a property, and what of it they receive."""

    __tablename__ = "property_contacts"
    __table_args__ = (UniqueConstraint("property_id", "contact_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    property_id: Mapped[int] = mapped_column(ForeignKey("properties.id", ondelete="CASCADE"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
    primary: Mapped[bool] = mapped_column("is_primary", default=False)
    billing: Mapped[bool] = mapped_column("is_billing", default=False)
    email_invoice: Mapped[bool] = mapped_column(default=False)
    email_quote: Mapped[bool] = mapped_column(default=False)
    email_purchase_order: Mapped[bool] = mapped_column(default=False)
    email_job: Mapped[bool] = mapped_column(default=False)
    email_enquiry: Mapped[bool] = mapped_column(default=False)

    property_: Mapped[Property] = relationship(back_populates="contacts")
    contact: Mapped[Contact] = relationship(lazy="joined")

    def receives(self, kind: str) -> bool:
        """Whether this contact is sent the property's documents of a kind."""
        return bool(getattr(self, f"email_{kind}"))


def branches() -> list[Branch]:
    """The branches in use, by name."""
    return list(db.session.scalars(select(Branch).where(Branch.active).order_by(Branch.name)))


def regions() -> list[Region]:
    """The regions in use, by name."""
    return list(db.session.scalars(select(Region).where(Region.active).order_by(Region.name)))


# -- what hangs on a record ----------------------------------------------------------------------


@dataclass(frozen=True)
class Use:
    """One record that needs another. id is 0 for the line that only counts further ones."""

    what: str
    name: str
    noun: str
    id: int


class Refused(Exception):
    """A change that is not made; the message says why in one sentence.

    uses: what is in the way. The way out is to archive, or to move what is named.
    """

    def __init__(self, message: str, uses: list[Use] | None = None) -> None:
        super().__init__(message)
        self.uses = uses or []


#: Who may point at a place or a contact, in the order in which they are told: the table, what its
#: rows are called, the noun they go by, and the column that names one.
USERS = (
    ("branches", "Branch", "branch", "name"),
    ("properties", "Property", "property", "name"),
    ("users", "Person who signs in", "user", "name"),
    ("sender_rules", "Rule for who mail comes from", "rule", "kind"),
    ("mail_wordings", "Wording of e-mails", "wording", "kind"),
    ("documents", "", "document", "number"),
    ("contacts", "Merged contact", "contact", "name"),
)


def uses_of(record: Region | Branch | Property | Contact, most: int = 5) -> list[Use]:
    """What keeps a record from being deleted: at most so many of each sort, and how many more."""
    return [use for user in USERS for use in _uses(record, user, most)]


def refuse_used(record: Region | Branch | Property | Contact) -> None:
    """Raise Refused, with what uses it, unless a record may be deleted."""
    uses = uses_of(record)
    if uses:
        raise Refused(f"{record.name} cannot be deleted: it is in use.", uses)


def _uses(
    record: Region | Branch | Property | Contact, user: tuple[str, str, str, str], most: int
) -> Iterator[Use]:
    table_name, what, noun, named = user
    table = Base.metadata.tables[table_name]
    conditions = list(_pointing(table, record))
    if not conditions:
        return
    query = select(table).where(or_(*conditions))
    for row in db.session.execute(query.order_by(table.c.id).limit(most)).mappings():
        kind = str(row.get("kind", "")).replace("_", " ")
        name = row[named] if named != "kind" else kind or "every document"
        yield Use(what or kind.capitalize(), name, noun, row["id"])
    total = db.session.scalar(select(func.count()).select_from(table).where(or_(*conditions))) or 0
    if total > most:
        yield Use(what or "Documents", f"and {total - most:,} more", noun, 0)


def _pointing(
    table: Table, record: Region | Branch | Property | Contact
) -> Iterator[ColumnElement[bool]]:
    """Which rows of a table point at the record, themselves or as a property's contact."""
    for key in table.foreign_keys:
        if key.column.table is type(record).__table__:
            yield key.parent == record.id
    if table is Property.__table__ and isinstance(record, Contact):
        mine = PropertyContact.contact_id == record.id
        yield table.c.id.in_(select(PropertyContact.property_id).where(mine))


def managed_by(user: User) -> int:
    """Of how many properties in use a person is the account manager."""
    mine = (Property.account_manager_id == user.id, Property.active)
    return db.session.scalar(select(func.count()).select_from(Property).where(*mine)) or 0
