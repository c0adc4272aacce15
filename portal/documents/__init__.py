"""Documents: the invoices, quotes, purchase orders, jobs and enquiries that are sent."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    event,
    func,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import history
from portal.accounts import User
from portal.columns import PLAIN, Exact, UtcDateTime, now
from portal.documents.facts import CompanyFacts, DocumentFacts, LineFacts, PartyFacts
from portal.documents.kinds import KINDS, Kind
from portal.documents.status import UNSENT, EmailStatus
from portal.documents.words import Entry, kept_text, renew, words_of
from portal.documents.words import number_key as key_of_number
from portal.extensions import Base, db
from portal.people import Company, Contact, company, lines_of
from portal.places import MARKS, Branch, Property, PropertyContact, branches
from portal.recipients import Receiver, Recipients, Wanted, recipients

#: Together they must stay below what Gmail takes (25 MB before encoding), the PDF included.
LARGEST_FILE = 10 * 1024 * 1024
LARGEST_FILES = 20 * 1024 * 1024
MOST_LINES = 200
#: Among so many of the newest, the highest number is to be found.
LOOKED_AT_FOR_NUMBERS = 500
#: The e-mail status of what was never sent: nobody to send it to, or somebody.
NOT_APPLICABLE, PENDING = EmailStatus.NOT_APPLICABLE, EmailStatus.PENDING
#: The kind that asks for money, and so goes to whoever is marked Billing.
BY_BILLING = "invoice"


class Document(Base):
    """One document. What it looked like when it was sent is kept with its dispatch.

    email_status: N/A or PENDING until it is sent, then the state of its newest sending.
    batch_id, batch_status: the batch it was last put into, and whether that is draft or completed.
    number_key, words: what a search finds it by, kept by renew_words().
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("number"),
        # Each list of documents is a stretch of one of these, newest first.
        Index("ix_documents_listed", "kind", "issued", "id"),
        Index("ix_documents_email_status", "kind", "email_status", "issued", "id"),
        Index("ix_documents_branch", "kind", "branch_id", "issued", "id"),
        Index("ix_documents_branch_status", "kind", "branch_id", "email_status", "issued", "id"),
        Index("ix_documents_batch_status", "kind", "batch_status", "issued", "id"),
        Index("ix_documents_contact", "contact_id", "kind", "issued", "id"),
        Index("ix_documents_property", "property_id", "kind", "issued", "id"),
        Index("ix_documents_batch", "batch_id", "kind", "issued", "id"),
        Index("ix_documents_number_key", "kind", "number_key"),
        Index("ix_documents_changed", "changed_at", "id"),
        Index("ix_documents_author", "created_by_id", "changed_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    number: Mapped[str]
    title: Mapped[str] = mapped_column(default="")
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    property_id: Mapped[int | None] = mapped_column(ForeignKey("properties.id"))
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branches.id"))
    site: Mapped[str] = mapped_column(default="")
    reference: Mapped[str] = mapped_column(default="")
    issued: Mapped[dt.date]
    due: Mapped[dt.date | None]
    currency: Mapped[str] = mapped_column(default="AUD")
    notes: Mapped[str] = mapped_column(default="")
    total: Mapped[Decimal] = mapped_column(Exact(4), default=Decimal(0))
    version: Mapped[int] = mapped_column(default=1)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=now)
    changed_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=now)
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    change: Mapped[str] = mapped_column(default="")
    email_status: Mapped[str] = mapped_column(default=PENDING)
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    batch_status: Mapped[str] = mapped_column(default="")
    number_key: Mapped[str] = mapped_column(PLAIN, default="")
    words: Mapped[str] = mapped_column(Text, default="", deferred=True)

    contact: Mapped[Contact] = relationship(lazy="joined")
    property_: Mapped[Property | None] = relationship(lazy="joined")
    branch: Mapped[Branch | None] = relationship(lazy="joined")
    created_by: Mapped[User | None] = relationship(lazy="joined", foreign_keys=created_by_id)
    changed_by: Mapped[User | None] = relationship(foreign_keys=changed_by_id)
    lines: Mapped[list["Line"]] = relationship(
        cascade="all, delete-orphan", order_by="Line.position", lazy="selectin"
    )
    files: Mapped[list["DocumentFile"]] = relationship(
        cascade="all, delete-orphan", order_by="DocumentFile.id"
    )

    @property
    def kind_facts(self) -> Kind:
        return KINDS[self.kind]

    def note_change(self, what: str, by: User) -> None:
        """Count a change, so that nobody sends what they have not seen, and say whose it was."""
        self.version += 1
        if self.id is not None:
            history.note("document", self.id, what, by.name)
        self.changed_at, self.changed_by_id, self.change = now(), by.id, what

    def recipients(self) -> Recipients:
        """Who receives it, and why."""
        where = self.property_
        contacts = receivers(where, self.kind) if where else []
        about = where.name if where else ""
        return recipients(wanted(self.kind, about), receiver(self.contact), contacts)

    def facts(self, letterhead: CompanyFacts | None = None) -> DocumentFacts:
        """Everything the paper says, frozen; letterhead: the company's, where it is known."""
        return DocumentFacts(
            kind=self.kind,
            number=self.number,
            title=self.title,
            issued=self.issued,
            due=self.due,
            currency=self.currency,
            party=party_facts(self.contact),
            company=letterhead or company_facts(company()),
            site_lines=lines_of(self.site),
            lines=tuple(line.facts() for line in self.lines),
            notes=self.notes,
            reference=self.reference,
            prepared_by=self.created_by.name if self.created_by else "",
            property_name=self.property_.name if self.property_ else "",
            account_manager=_manager_of(self.property_),
            branch=self.branch.name if self.branch else "",
            branch_id=self.branch_id,
        )


def _manager_of(where: Property | None) -> str:
    manager = where.account_manager if where else None
    return manager.name if manager else ""


def wanted(kind: str, about: str) -> Wanted:
    """What the choice of recipients needs to know of a kind; about: the property, "" without."""
    facts = KINDS[kind]
    return Wanted(
        noun=facts.noun,
        about=about,
        mark=MARKS[kind],
        by_billing=kind == BY_BILLING,
        to_party=facts.recipient == "supplier",
    )


def receivers(where: Property, kind: str) -> list[Receiver]:
    """A property's contacts as the choice of recipients sees them."""
    return [
        receiver(one.contact, one.receives(kind), one.primary, one.billing)
        for one in where.contacts
    ]


def receiver(
    one: Contact, marked: bool = True, primary: bool = False, billing: bool = False
) -> Receiver:
    """One contact as the choice of recipients sees it."""
    name = one.attention or one.name
    return Receiver(name, one.email, one.active, marked, primary, billing, one.id, one.name)


class Line(Base):
    """One line of a document. quantity to 3 decimals, prices to 4, tax in percent to 2."""

    __tablename__ = "lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int]
    description: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(Exact(3), default=Decimal(1))
    unit: Mapped[str] = mapped_column(default="")
    unit_price: Mapped[Decimal] = mapped_column(Exact(4), default=Decimal(0))
    tax_rate: Mapped[Decimal] = mapped_column(Exact(2), default=Decimal(10))

    def facts(self) -> LineFacts:
        return LineFacts(self.description, self.quantity, self.unit, self.unit_price, self.tax_rate)


class DocumentFile(Base):
    """A photo or paper that travels with the document."""

    __tablename__ = "document_files"

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), index=True
    )
    filename: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


@dataclass(frozen=True)
class Draft:
    """What a person wrote on the form, checked and typed, ready to be kept."""

    kind: str
    number: str
    title: str
    contact_id: int
    site: str
    reference: str
    issued: dt.date
    due: dt.date | None
    notes: str
    lines: tuple[LineFacts, ...]
    property_id: int | None = None
    branch_id: int | None = None


class NumberTaken(Exception):
    """Another document has this number; the message says which."""


def keep(draft: Draft, author: User, document: Document | None = None) -> Document:
    """Store a new document, or the new state of one. Raises NumberTaken. The caller commits."""
    same = db.session.scalar(select(Document).where(Document.number == draft.number))
    if same is not None and same is not document:
        raise NumberTaken(f"{draft.number} is already a document for {same.contact.name}.")
    listed_on = document.issued if document else None
    before = _told(document) if document else {}
    if document is None:
        document = Document(kind=draft.kind, created_by_id=author.id, currency=company().currency)
        document.version = 0
        db.session.add(document)
    for name in ("number", "title", "contact_id", "site", "reference", "issued", "due", "notes"):
        setattr(document, name, getattr(draft, name))
    document.property_id = draft.property_id
    document.branch_id = _branch_of(draft)
    document.lines = [_line(position, one) for position, one in enumerate(draft.lines)]
    document.note_change(_changes(before, _told(document)), author)
    db.session.flush()
    db.session.refresh(document, ["contact", "property_", "branch"])
    document.total = document.facts().total
    db.session.flush()
    renew_email_status(Document.id == document.id)
    renew_words(db.session.connection(), Document.id == document.id, listed_on=listed_on)
    db.session.refresh(document, ["email_status"])
    return document


#: What a change of a document is told by: the attribute, and what it is called.
_TOLD = {
    "number": "its number",
    "title": "its title",
    "contact_id": "whom it is for",
    "property_id": "its property",
    "site": "the site",
    "reference": "the reference",
    "issued": "its date",
    "due": "when it is due",
    "notes": "the notes",
}


def _told(one: Document) -> dict[str, Any]:
    """What a change of it is told by."""
    lines = [(row.facts(), row.position) for row in one.lines]
    return {words: getattr(one, name) for name, words in _TOLD.items()} | {"its lines": lines}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What was changed, as one sentence: "Changed: its lines and when it is due."."""
    *others, last = [name for name, value in after.items() if before.get(name) != value] or [""]
    if not before or not last:
        return "Changed."
    return f"Changed: {', '.join(others)} and {last}." if others else f"Changed: {last}."


def _branch_of(draft: Draft) -> int | None:
    """The property's branch, else the one that was chosen, else the company's first, if any."""
    where = db.session.get(Property, draft.property_id) if draft.property_id else None
    if where is not None and where.branch_id:
        return where.branch_id
    if draft.branch_id:
        return draft.branch_id
    known = branches()
    return known[0].id if known else None


def renew_email_status(*conditions: ColumnElement[bool]) -> None:
    """Say anew of documents that were never sent whether there is somebody to send them to.

    To be called whenever a contact's address, or who receives what at a property, has changed; the
    conditions say which documents that may concern. The caller commits.
    """
    receiving = [
        and_(Document.kind == kind, getattr(PropertyContact, f"email_{kind}")) for kind in KINDS
    ]
    answering = or_(Document.kind != BY_BILLING, PropertyContact.billing)
    receiver = (
        select(PropertyContact.id)
        .join(Contact, Contact.id == PropertyContact.contact_id)
        .where(
            PropertyContact.property_id == Document.property_id,
            Contact.active,
            Contact.email != "",
            or_(*receiving),
            answering,
        )
    )
    party = select(Contact.id).where(
        Contact.id == Document.contact_id, Contact.active, Contact.email != ""
    )
    to_suppliers = [kind for kind, facts in KINDS.items() if facts.recipient == "supplier"]
    by_party = or_(Document.property_id.is_(None), Document.kind.in_(to_suppliers))
    somebody = or_(and_(by_party, party.exists()), and_(~by_party, receiver.exists()))
    db.session.execute(
        update(Document)
        .where(Document.email_status.in_(UNSENT), *conditions)
        .values(email_status=case((somebody, PENDING), else_=NOT_APPLICABLE))
        .execution_options(synchronize_session=False)
    )


#: What a search finds a document by, of itself and of those it belongs to.
SEARCHED: dict[type[Base], tuple[str, ...]] = {
    Document: ("title", "site", "reference"),
    Contact: ("first_name", "last_name", "business"),
    Property: ("name", "address"),
}
CHUNK = 1000


def renew_words(
    connection: Connection, *conditions: ColumnElement[bool], listed_on: dt.date | None = None
) -> None:
    """Write down anew what documents are found by.

    To be called where something a search looks at has changed without its object knowing, such as
    the customer of many documents at once; the conditions say which documents that may concern.
    listed_on: the date these had before, where that has changed. The caller commits.
    """
    kept = (Document.id, Document.kind, Document.issued, Document.number, Document.words)
    texts = [
        func.coalesce(getattr(one, name), "") for one, names in SEARCHED.items() for name in names
    ]
    query = (
        select(*kept, *texts)
        .join(Contact, Contact.id == Document.contact_id)
        .outerjoin(Property, Property.id == Document.property_id)
        .where(*conditions)
        .order_by(Document.id)
        .limit(CHUNK)
    )
    last = 0
    while rows := connection.execute(query.where(Document.id > last)).all():
        _renew_words(connection, rows, listed_on)
        last = rows[-1][0]


def _renew_words(connection: Connection, rows: Sequence[Any], listed_on: dt.date | None) -> None:
    before, after, changes = [], [], []
    for document_id, kind, issued, number, text, *texts in rows:
        entry = Entry(document_id, kind, issued, words_of(*texts))
        text_now = kept_text(entry, number)
        if text == text_now and listed_on in (None, issued):
            continue
        before.append(Entry(document_id, kind, listed_on or issued, tuple(text.split())))
        after.append(entry)
        changes.append({"one": document_id, "key": key_of_number(number), "text": text_now})
    if changes:
        renew(connection, before, after)
        connection.execute(
            update(Document)
            .where(Document.id == bindparam("one"))
            .values(number_key=bindparam("key"), words=bindparam("text")),
            changes,
        )


@event.listens_for(Contact, "after_update")
def _contact_renamed(_mapper: object, connection: Connection, one: Contact) -> None:
    if any(inspect(one).attrs[name].history.has_changes() for name in SEARCHED[Contact]):
        renew_words(connection, Document.contact_id == one.id)


@event.listens_for(Property, "after_update")
def _property_renamed(_mapper: object, connection: Connection, one: Property) -> None:
    if any(inspect(one).attrs[name].history.has_changes() for name in SEARCHED[Property]):
        renew_words(connection, Document.property_id == one.id)


def next_number(kind: str) -> str:
    """A free number after the highest of the newest of this kind, in its own pattern.

    Only the newest are looked at: a million would take a second, and numbers rise with the days.
    """
    newest_first = (Document.issued.desc(), Document.id.desc())
    numbers = db.session.scalars(
        select(Document.number)
        .where(Document.kind == kind)
        .order_by(*newest_first)
        .limit(LOOKED_AT_FOR_NUMBERS)
    )
    pattern = re.compile(re.escape(KINDS[kind].prefix) + r"(\d{1,9})$")
    found = [int(match.group(1)) for match in map(pattern.match, numbers) if match]
    serial = max(found, default=0) + 1
    while number_taken(KINDS[kind].number(serial)):
        serial += 1
    return KINDS[kind].number(serial)


def number_taken(number: str) -> bool:
    """Whether a document has this number."""
    return db.session.scalar(select(Document.id).where(Document.number == number)) is not None


def with_number(number: str) -> Document | None:
    """The document with this number, however its letters and hyphens are written."""
    mine = Document.kind.in_(KINDS), Document.number_key == key_of_number(number)
    found = list(db.session.scalars(select(Document).where(*mine).limit(10)).unique())
    same = (one for one in found if one.number == number.strip())
    return next(same, found[0] if len(found) == 1 else None)


def newest(kind: str, branch_id: int | None = None) -> Document | None:
    """The newest document of a kind, or of a kind at a branch."""
    query = select(Document).where(Document.kind == kind)
    if branch_id is not None:
        query = query.where(Document.branch_id == branch_id)
    query = query.order_by(Document.issued.desc(), Document.id.desc()).limit(1)
    return db.session.scalars(query).unique().first()


def recent(author: User | None = None, limit: int = 8) -> list[Document]:
    """What was written or changed last, by anybody or by one person."""
    query = select(Document).order_by(Document.changed_at.desc(), Document.id.desc()).limit(limit)
    if author is not None:
        query = query.where(Document.created_by_id == author.id)
    return list(db.session.scalars(query).unique())


def company_facts(one: Company) -> CompanyFacts:
    """The letterhead."""
    return CompanyFacts(
        name=one.name,
        legal_name=one.legal_name,
        tax_label=one.tax_label,
        tax_number=one.tax_number,
        address_lines=lines_of(one.address),
        phone=one.phone,
        email=one.email,
        website=one.website,
        bank_lines=lines_of(one.bank),
        accent=one.accent,
        logo=one.logo if one.has_logo else None,
        logo_mime=one.logo_type,
        footer=one.footer,
    )


def party_facts(one: Contact) -> PartyFacts:
    """Whom a document is for."""
    return PartyFacts(
        name=one.name,
        attention=one.attention,
        address_lines=lines_of(one.address),
        email=one.email,
        phone=one.phone,
    )


def _line(position: int, one: LineFacts) -> Line:
    return Line(
        position=position,
        description=one.description,
        quantity=one.quantity,
        unit=one.unit,
        unit_price=one.unit_price,
        tax_rate=one.tax_rate,
    )
