"""Documents: the invoices, quotes, purchase orders, jobs and enquiries that are sent."""

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts import User
from portal.columns import Exact, UtcDateTime, now
from portal.documents.facts import CompanyFacts, DocumentFacts, LineFacts, PartyFacts
from portal.documents.kinds import KINDS, Kind
from portal.extensions import Base, db
from portal.people import Company, Contact, company, lines_of

#: Together they must stay below what Gmail takes (25 MB before encoding), the PDF included.
LARGEST_FILE = 10 * 1024 * 1024
LARGEST_FILES = 20 * 1024 * 1024
MOST_LINES = 200


class Document(Base):
    """One document. What it looked like when it was sent is kept with its dispatch."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(index=True)
    number: Mapped[str]
    title: Mapped[str] = mapped_column(default="")
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
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

    contact: Mapped[Contact] = relationship(lazy="joined")
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
        self.changed_at, self.changed_by_id, self.change = now(), by.id, what

    def facts(self) -> DocumentFacts:
        """Everything the paper says, frozen."""
        return DocumentFacts(
            kind=self.kind,
            number=self.number,
            title=self.title,
            issued=self.issued,
            due=self.due,
            currency=self.currency,
            party=party_facts(self.contact),
            company=company_facts(company()),
            site_lines=lines_of(self.site),
            lines=tuple(line.facts() for line in self.lines),
            notes=self.notes,
            reference=self.reference,
            prepared_by=self.created_by.name if self.created_by else "",
        )


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


class NumberTaken(Exception):
    """Another document has this number; the message says which."""


def keep(draft: Draft, author: User, document: Document | None = None) -> Document:
    """Store a new document, or the new state of one. Raises NumberTaken. The caller commits."""
    same = db.session.scalar(select(Document).where(Document.number == draft.number))
    if same is not None and same is not document:
        raise NumberTaken(f"{draft.number} is already a document for {same.contact.name}.")
    if document is None:
        document = Document(kind=draft.kind, created_by_id=author.id, currency=company().currency)
        document.version = 0
        db.session.add(document)
    for name in ("number", "title", "contact_id", "site", "reference", "issued", "due", "notes"):
        setattr(document, name, getattr(draft, name))
    document.lines = [_line(position, one) for position, one in enumerate(draft.lines)]
    document.note_change("Changed.", author)
    db.session.flush()
    db.session.refresh(document, ["contact"])
    document.total = document.facts().total
    return document


def next_number(kind: str) -> str:
    """The number after the highest of this kind, in its own pattern."""
    numbers = db.session.scalars(select(Document.number).where(Document.kind == kind))
    pattern = re.compile(re.escape(KINDS[kind].prefix) + r"(\d{1,9})$")
    found = [int(match.group(1)) for match in map(pattern.match, numbers) if match]
    return KINDS[kind].number(max(found, default=0) + 1)


@dataclass(frozen=True)
class Page:
    """A stretch of a list, newest first, and where the next one starts (None at the end)."""

    documents: list[Document]
    older_than: int | None


def listed(kind: str, words: str = "", before: int | None = None, size: int = 50) -> Page:
    """Documents of a kind, newest first, paged by id."""
    query = select(Document).where(Document.kind == kind).join(Document.contact)
    if words.strip():
        like = f"%{words.strip().lower()}%"
        query = query.where(
            func.lower(Document.number).like(like)
            | func.lower(Document.title).like(like)
            | func.lower(Contact.name).like(like)
        )
    if before is not None:
        query = query.where(Document.id < before)
    found = list(db.session.scalars(query.order_by(Document.id.desc()).limit(size + 1)).unique())
    more = len(found) > size
    return Page(found[:size], found[size - 1].id if more else None)


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
