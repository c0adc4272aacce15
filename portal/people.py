"""People and the company: who the mail is for, and whose letterhead it bears."""

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import LargeBinary, func, select
from sqlalchemy.orm import Mapped, mapped_column

from portal.documents.facts import CompanyFacts, PartyFacts
from portal.extensions import Base, db


class Company(Base):
    """The business this installation belongs to: exactly one row."""

    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    legal_name: Mapped[str] = mapped_column(default="")
    tax_label: Mapped[str] = mapped_column(default="ABN")
    tax_number: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    email: Mapped[str] = mapped_column(default="")
    website: Mapped[str] = mapped_column(default="")
    bank: Mapped[str] = mapped_column(default="")
    footer: Mapped[str] = mapped_column(default="")
    accent: Mapped[str] = mapped_column(default="#1f5f8b")
    currency: Mapped[str] = mapped_column(default="AUD")
    time_zone: Mapped[str] = mapped_column(default="Australia/Sydney")
    logo: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    logo_type: Mapped[str] = mapped_column(default="")

    @property
    def has_logo(self) -> bool:
        return bool(self.logo_type)

    def facts(self) -> CompanyFacts:
        return CompanyFacts(
            name=self.name,
            legal_name=self.legal_name,
            tax_label=self.tax_label,
            tax_number=self.tax_number,
            address_lines=lines_of(self.address),
            phone=self.phone,
            email=self.email,
            website=self.website,
            bank_lines=lines_of(self.bank),
            accent=self.accent,
            logo=self.logo if self.has_logo else None,
            logo_mime=self.logo_type,
            footer=self.footer,
        )


class Contact(Base):
    """Somebody documents are sent to: a customer or a supplier."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(default="customer")
    name: Mapped[str]
    attention: Mapped[str] = mapped_column(default="")
    email: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")

    def facts(self) -> PartyFacts:
        return PartyFacts(
            name=self.name,
            attention=self.attention,
            address_lines=lines_of(self.address),
            email=self.email,
            phone=self.phone,
        )


class BadAddress(ValueError):
    """An e-mail address that cannot be used; the message says what is wrong with it."""


def clean_address(typed: str) -> str:
    """The address in its usual form. Raises BadAddress with one sentence for the person."""
    if any(ord(char) < 32 for char in typed.strip()):
        raise BadAddress("The address has a line break in it. Write one address on one line.")
    try:
        found = validate_email(typed.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as problem:
        raise BadAddress(f"“{typed.strip()[:80]}” is not an e-mail address: {problem}") from None
    return found.normalized


def company() -> Company:
    """The company of this installation."""
    return db.session.scalars(select(Company).order_by(Company.id)).one()


def search_contacts(words: str = "", role: str = "", limit: int = 50) -> list[Contact]:
    """Contacts whose name or address holds the words, by name."""
    query = select(Contact).order_by(func.lower(Contact.name), Contact.id).limit(limit)
    if role:
        query = query.where(Contact.role == role)
    if words.strip():
        like = f"%{words.strip().lower()}%"
        query = query.where(
            func.lower(Contact.name).like(like) | func.lower(Contact.email).like(like)
        )
    return list(db.session.scalars(query))


def lines_of(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
