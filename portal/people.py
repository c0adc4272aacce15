"""People and the company: who the mail is for, and whose letterhead it bears."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    Text,
    delete,
    event,
    insert,
    inspect,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.columns import PLAIN
from portal.extensions import Base, db

#: So many addresses are read at once, as many as Gmail can take at all; checks.py asks for fewer.
MOST_RECIPIENTS = 500
LONGEST_ADDRESS = 254
#: What stands between the separators; those inside a quoted name do not separate.
_PIECES = re.compile(r'(?:"[^"\n]*"|[^",;\n]|")+')
#: What mail takes before the @, and letters of any language after it.
_ODD_BEFORE = re.compile(r"[^a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]")
_ODD_AFTER = re.compile(r"[^\w.-]|_")
_NAMED = re.compile(r'^(?:"[^"]*"|[^<>]*)<([^<>]*)>$')


class Company(Base):
    """The business this installation belongs to: exactly one row.

    mixed_batches: in a batch over several branches every document goes by its own rules ("each"),
    or all of them by the company's ("company"). one_off: who may choose another sender for one
    sending, "managers" or "everyone". undo_seconds: how long a sending can be taken back before it
    leaves; 0 lets it leave at once. share_batches: whether a batch leaves through every mailbox of
    the company that may use its address, or through one.
    """

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
    mixed_batches: Mapped[str] = mapped_column(default="each")
    one_off: Mapped[str] = mapped_column(default="managers")
    undo_seconds: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    share_batches: Mapped[bool] = mapped_column(default=True, server_default=true())
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    @property
    def has_logo(self) -> bool:
        return bool(self.logo_type)


class ContactType(StrEnum):
    """What somebody is to the company."""

    EMPLOYEE = "employee"
    CUSTOMER = "customer"
    SUPPLIER = "supplier"
    PROSPECT = "prospect"
    SUBCONTRACTOR = "subcontractor"


#: What each type is called on pages.
CONTACT_TYPES = {
    ContactType.EMPLOYEE: "Employee",
    ContactType.CUSTOMER: "Customer",
    ContactType.SUPPLIER: "Supplier",
    ContactType.PROSPECT: "Prospect",
    ContactType.SUBCONTRACTOR: "Sub-contractor",
}
#: The types a document for a customer or for a supplier is usually for.
USUAL_FOR = {
    "customer": (ContactType.CUSTOMER, ContactType.PROSPECT),
    "supplier": (ContactType.SUPPLIER, ContactType.SUBCONTRACTOR),
}


_NO_ADDRESS = text("email_key IS NULL")


class Contact(Base):
    """A person or a business the company deals with. Each address belongs to one contact.

    name is what lists show, kept from the other names: the business if there is one, else first and
    last name. name_key is what they sort by. email_key is the address as it is compared; None where
    there is none. merged_into_id: the contact this one became, which then has its address.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        Index("ix_contacts_named", "name_key", "id"),
        Index("ix_contacts_listed", "active", "name_key", "id"),
        Index("ix_contacts_type", "active", "type", "name_key", "id"),
        Index(
            "ix_contacts_no_address",
            "active",
            "name_key",
            "id",
            sqlite_where=_NO_ADDRESS,
            postgresql_where=_NO_ADDRESS,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(default=ContactType.CUSTOMER)
    active: Mapped[bool] = mapped_column(default=True)
    first_name: Mapped[str] = mapped_column(default="")
    last_name: Mapped[str] = mapped_column(default="")
    business: Mapped[str] = mapped_column(default="")
    name: Mapped[str]
    name_key: Mapped[str]
    email: Mapped[str] = mapped_column(default="")
    email_key: Mapped[str | None] = mapped_column(unique=True)
    phone: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")
    notes: Mapped[str] = mapped_column(Text, default="")
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    version: Mapped[int] = mapped_column(default=1)

    merged_into: Mapped["Contact | None"] = relationship(remote_side=id)

    __mapper_args__ = {"version_id_col": version}

    @property
    def type_label(self) -> str:
        return CONTACT_TYPES[ContactType(self.type)]

    @property
    def person(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def attention(self) -> str:
        """The person at a business."""
        return self.person if self.business else ""


class ContactWord(Base):
    """A word a contact is found by: of its names, its address, or the digits of its phone."""

    __tablename__ = "contact_words"

    word: Mapped[str] = mapped_column(PLAIN, primary_key=True)
    contact_id: Mapped[int] = mapped_column(
        ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True, index=True
    )


@event.listens_for(Contact, "before_insert")
@event.listens_for(Contact, "before_update")
def _keep_derived(_mapper: object, _connection: object, one: Contact) -> None:
    one.name = one.business or one.person or one.email
    one.name_key = folded(one.name)
    one.email_key = address_key(one.email) if one.email else None


@event.listens_for(Contact, "after_insert")
def _keep_words(_mapper: object, connection: Connection, one: Contact) -> None:
    rows = [{"word": word, "contact_id": one.id} for word in words_of(one)]
    if rows:
        connection.execute(insert(ContactWord), rows)


@event.listens_for(Contact, "after_update")
def _renew_words(_mapper: object, connection: Connection, one: Contact) -> None:
    state = inspect(one)
    if any(state.attrs[name].history.has_changes() for name in SEARCHED):
        connection.execute(delete(ContactWord).where(ContactWord.contact_id == one.id))
        _keep_words(_mapper, connection, one)


def address_key(email: str) -> str:
    """An address as it is compared: two that differ in capitals alone are one."""
    return email.strip().casefold()


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


def find_contacts(
    words: str = "",
    types: Iterable[str] = (),
    active: bool | None = True,
    email: str = "",
    after: str | None = None,
    limit: int = 50,
    *,
    without_address: bool = False,
) -> list[Contact]:
    """A stretch of the contacts, by name.

    words: each is the beginning of a word of the name, of the address, or of the phone's digits.
    active: None for both. email: the whole address. after: place_of() the last contact that was
    shown; one that cannot be read counts as the beginning.
    """
    query = select(Contact).order_by(Contact.name_key, Contact.id).limit(limit)
    for found in found_by(words):
        query = query.where(Contact.id.in_(found))
    if wanted := list(types):
        query = query.where(Contact.type.in_(wanted))
    if active is not None:
        query = query.where(Contact.active.is_(active))
    if email.strip():
        query = query.where(Contact.email_key == address_key(email))
    if without_address:
        query = query.where(Contact.email_key.is_(None))
    if (place := _read_place(after or "")) is not None:
        query = query.where(place)
    return list(db.session.scalars(query))


def place_of(contact: Contact) -> str:
    """Where a contact stands in a list, to go on after it."""
    return f"{contact.id}:{contact.name_key}"


def _read_place(written: str) -> ColumnElement[bool] | None:
    number, _, name = written.partition(":")
    if not number.isdecimal() or len(number) > 9 or "\0" in name:
        return None
    return tuple_(Contact.name_key, Contact.id) > tuple_(name, int(number))


def found_by(words: str) -> list[Select[int]]:
    """For each word typed, the numbers of the contacts it finds."""
    return [_beginning_with(forms) for forms in search_forms(words)]


def _beginning_with(forms: Sequence[str]) -> Select[int]:
    word = ContactWord.word
    stretches = [(word >= form) & (word < form + "\U0010ffff") for form in forms]
    return select(ContactWord.contact_id).where(or_(*stretches))


#: What a contact is found by.
SEARCHED = ("first_name", "last_name", "business", "email", "phone")
_PHONE = re.compile(r"\+?[\d ().-]+", re.ASCII)
#: So many words of a search count; nobody writes more.
MOST_WORDS = 8
LONGEST_WORD = 100


def folded(text: str) -> str:
    """A name as it is sorted and searched: no capitals, no accents, single spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(one for one in plain if not unicodedata.combining(one)).split())


def words_of(one: Contact) -> set[str]:
    """Every word a contact is found by."""
    found: set[str] = set()
    for name in (one.first_name, one.last_name, one.business):
        for word in folded(name or "").split():
            found |= {bare(word), *re.split(r"[\W_]+", word)}
    if one.email:
        whole = address_key(one.email)
        local, _, domain = whole.rpartition("@")
        found |= {whole, domain, local, *re.split(r"[\W_]+", whole)}
    groups = re.findall(r"\d+", one.phone or "", re.ASCII)
    tails = {"".join(groups[start:]) for start in range(len(groups))}
    found |= tails | {tail.lstrip("0") for tail in tails}
    return {word[:LONGEST_WORD] for word in found if word}


def search_forms(typed: str) -> list[tuple[str, ...]]:
    """What to look for, one entry for each word typed; any form of a word will do."""
    digits = "".join(re.findall(r"\d", typed, re.ASCII))
    if len(digits) > 4 and _PHONE.fullmatch(typed.strip()):
        abroad = digits[2:] if typed.strip().startswith("+") else digits
        return [_each_once((digits, digits.lstrip("0"), abroad))]
    found = [
        _each_once((bare(word), word if "@" in word or "." in word else ""))
        for word in folded(typed.replace("\0", "")).split()
    ]
    return [forms for forms in found if forms][:MOST_WORDS]


def bare(word: str) -> str:
    """Letters and digits alone: O'Hara and Smith-Jones as one word."""
    return re.sub(r"[\W_]+", "", word)


def _each_once(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form[:LONGEST_WORD] for form in forms if form))


def contact_with(email: str, other_than: Contact | None = None) -> Contact | None:
    """Who else holds an address, active or not."""
    query = select(Contact).where(Contact.email_key == address_key(email))
    if other_than is not None and other_than.id is not None:
        query = query.where(Contact.id != other_than.id)
    return db.session.scalars(query).first() if email else None


def lines_of(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
