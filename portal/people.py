"""People and the company: who the mail is for, and whose letterhead it bears."""

import re

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import LargeBinary, func, select
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, db

MOST_RECIPIENTS = 20
#: What stands between the separators; those inside a quoted name do not separate.
_PIECES = re.compile(r'(?:"[^"\n]*"|[^",;\n]|")+')
_NAMED = re.compile(r'^(?:"[^"]*"|[^<>]*)<([^<>]*)>$')


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


class BadAddress(ValueError):
    """An e-mail address that cannot be used; the message says what is wrong with it."""


def clean_address(typed: str) -> str:
    """The address in its usual form. Raises BadAddress with one sentence for the person."""
    if any(ord(char) < 32 for char in typed.strip()):
        raise BadAddress("The address has a line break in it. Write one address on one line.")
    if "=?" in typed:  # some mail servers read it as an encoded word, and find another address
        raise BadAddress(f"“{typed.strip()[:80]}” is not an e-mail address: it holds =? signs.")
    try:
        found = validate_email(typed.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as problem:
        raise BadAddress(f"“{typed.strip()[:80]}” is not an e-mail address: {problem}") from None
    # An international domain in its own letters would not survive a mail's header, and letters that
    # only look like Latin ones show themselves this way.
    return found.ascii_email or found.normalized


def addresses_in(typed: str) -> tuple[str, ...]:
    """The addresses in what somebody typed or pasted, by commas, semicolons or lines.

    "Mary Lee <mary.lee@homes.example>" counts as its address. Raises BadAddress for the first
    that cannot be used.
    """
    pieces = (piece.strip() for piece in _PIECES.findall(typed.replace("\r", "\n")))
    found = [_NAMED.sub(r"\1", piece) for piece in pieces if piece]
    if len(found) > MOST_RECIPIENTS:
        raise BadAddress(f"These are {len(found)} addresses; the most is {MOST_RECIPIENTS}.")
    return tuple(clean_address(one) for one in found)


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


def contact_with(email: str, other_than: Contact | None = None) -> Contact | None:
    """Who else holds an address."""
    query = select(Contact).where(func.lower(Contact.email) == email.lower())
    if other_than is not None:
        query = query.where(Contact.id != other_than.id)
    return db.session.scalars(query.order_by(Contact.id)).first() if email else None


def lines_of(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
