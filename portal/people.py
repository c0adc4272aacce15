"""People and the company: who the mail is for, and whose letterhead it bears."""

import re

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import LargeBinary, func, select
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, db

MOST_RECIPIENTS = 20
LONGEST_ADDRESS = 254
#: What stands between the separators; those inside a quoted name do not separate.
_PIECES = re.compile(r'(?:"[^"\n]*"|[^",;\n]|")+')
#: What mail takes before the @, and letters of any language after it.
_ODD_BEFORE = re.compile(r"[^a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]")
_ODD_AFTER = re.compile(r"[^\w.-]|_")
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
    typed = typed.strip()
    if "\n" in typed or "\r" in typed:
        raise BadAddress("The address has a line break in it. Write one address on one line.")
    # Some mail servers read =? as the start of an encoded word, and find another address.
    if "=?" in typed or any(ord(char) < 32 for char in typed):
        raise BadAddress(_what_is_wrong(typed))
    try:
        found = validate_email(typed, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise BadAddress(_what_is_wrong(typed)) from None
    # An international domain in its own letters would not survive a mail's header, and letters that
    # only look like Latin ones show themselves this way.
    return found.ascii_email or found.normalized


def _what_is_wrong(typed: str) -> str:
    """The first thing wrong with what is no address, in words for the person who wrote it."""
    local, _, domain = typed.rpartition("@")
    odd = _ODD_BEFORE.search(local) or _ODD_AFTER.search(domain)
    labels = domain.split(".")
    found = (
        (not typed, "nothing is written"),
        (len(typed) > LONGEST_ADDRESS, f"it has more than {LONGEST_ADDRESS} characters"),
        (" " in typed, "it has a space in it"),
        (not typed.isprintable(), "it holds a character that cannot be seen. Write it by hand"),
        ("@" not in typed, "it has no @, as in name@example.com"),
        ("=?" in typed, "it holds =? signs"),
        (typed.count("@") > 1, "it has more than one @"),
        (not local, "nothing stands before the @"),
        (not domain, "nothing stands after the @"),
        (odd, f"“{odd[0] if odd else ''}” cannot stand in it"),
        (not all(local.split(".")), "a dot stands in the wrong place before the @"),
        (not all(labels), "a dot stands in the wrong place after the @"),
        (len(labels) == 1, "what stands after the @ has no dot, as in example.com"),
        (True, f"no mail can be sent to {domain[:80]}"),
    )
    wrong = next(words for is_so, words in found if is_so)
    return f"“{typed[:80]}” is not an e-mail address: {wrong}."


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
