"""The mail that carries a document: the office's wording, and the PDF and files beside it."""

from dataclasses import dataclass

from sqlalchemy import ForeignKey, Text, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from portal.documents import Document, wording
from portal.documents.facts import DocumentFacts
from portal.documents.pdf import draw
from portal.envelope import Attachment
from portal.extensions import Base, db


class MailWording(Base):
    """The office's own words for a kind; without a row the shipped ones are used.

    branch_id: the branch whose own words they are, None for the company's. target names that in
    one word ("", "branch:3"), because a unique column cannot hold two NULLs.
    """

    __tablename__ = "mail_wordings"
    __table_args__ = (UniqueConstraint("target", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(default="")
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branches.id"), index=True)
    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


@dataclass(frozen=True)
class Words:
    """Subject and body, as templates or filled in."""

    subject: str
    body: str


def templates(kind: str) -> Words:
    """The wording in force for a kind."""
    stored = db.session.scalar(select(MailWording).where(MailWording.kind == kind))
    if stored is not None:
        return Words(stored.subject, stored.body)
    return shipped(kind)


def shipped(kind: str) -> Words:
    """The wording a kind starts with."""
    return Words(wording.default_subject(kind), wording.default_body(kind))


def keep_templates(kind: str, words: Words) -> None:
    """Store the office's wording. Raises wording.WordingProblem, storing nothing. Commits.

    The shipped words are not stored, so that a kind which follows them goes on following them.
    """
    for template in (words.subject, words.body):
        wording.check(template)
    if words == shipped(kind):
        db.session.execute(delete(MailWording).where(MailWording.kind == kind))
        db.session.commit()
        return
    stored = db.session.scalar(select(MailWording).where(MailWording.kind == kind))
    if stored is None:
        stored = MailWording(kind=kind)
        db.session.add(stored)
    stored.subject, stored.body = words.subject.strip(), words.body
    db.session.commit()


def filled(facts: DocumentFacts, sender_name: str) -> Words:
    """The wording in force, filled in for one document."""
    chosen = templates(facts.kind)
    return Words(
        wording.render_subject(chosen.subject, facts, sender_name),
        wording.render(chosen.body, facts, sender_name),
    )


def paper(document: Document, facts: DocumentFacts) -> Attachment:
    """The document's PDF as it goes along with the mail."""
    return Attachment(f"{document.number}.pdf", "application/pdf", draw(facts))


def enclosures(document: Document) -> list[Attachment]:
    """The files somebody added to the document."""
    return [Attachment(one.filename, one.content_type, one.content) for one in document.files]
