"""Places: regions, their branches, and the properties where customers have work done."""

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, select
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
    __table_args__ = (Index("ix_properties_listed", "active", "name", "id"),)

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
