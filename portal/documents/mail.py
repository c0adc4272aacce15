"""The mail that carries a document: the office's wording, and the PDF and files beside it."""

from dataclasses import dataclass

from sqlalchemy import ForeignKey, Text, UniqueConstraint, select
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
    signature: str = ""

    @property
    def letter(self) -> str:
        """The message with its signature beneath."""
        return wording.letter(self.body, self.signature)


def templates(kind: str, branch_id: int | None = None) -> Words:
    """The wording in force for a kind: the branch's own, else the company's, else the shipped."""
    found = own(kind, branch_id)
    if found is None and branch_id is not None:
        found = own(kind)
    return _words(found) if found else shipped(kind)


def own(kind: str, branch_id: int | None = None) -> MailWording | None:
    """What a branch, or the company itself, has written for a kind."""
    query = select(MailWording).where(MailWording.kind == kind)
    return db.session.scalar(query.where(MailWording.target == _target(branch_id)))


def branches_with_own(kind: str) -> set[int]:
    """The branches that have written their own words for a kind."""
    query = select(MailWording.branch_id).where(MailWording.kind == kind)
    return {one for one in db.session.scalars(query) if one is not None}


def shipped(kind: str) -> Words:
    """The wording a kind starts with."""
    return Words(
        wording.default_subject(kind), wording.default_body(kind), wording.default_signature()
    )


def keep_templates(kind: str, words: Words, branch_id: int | None = None) -> None:
    """Store the office's wording. Raises wording.WordingProblem, storing nothing. Commits.

    Words that would hold anyway are not stored, so that who follows wider ones goes on following.
    """
    for template in (words.subject, words.body, words.signature):
        wording.check(template)
    stored = own(kind, branch_id)
    wider = templates(kind) if branch_id is not None else shipped(kind)
    if words == wider:
        if stored is not None:
            db.session.delete(stored)
        db.session.commit()
        return
    if stored is None:
        stored = MailWording(kind=kind, branch_id=branch_id, target=_target(branch_id))
        db.session.add(stored)
    stored.subject, stored.body = words.subject.strip(), words.body
    stored.signature = words.signature
    db.session.commit()


def filled(facts: DocumentFacts, sender_name: str, chosen: Words | None = None) -> Words:
    """The wording in force for a document's branch, filled in; the body bears its signature.

    chosen: other words than those in force. Raises wording.WordingProblem.
    """
    words = chosen or templates(facts.kind, facts.branch_id)
    return Words(
        wording.render_subject(words.subject, facts, sender_name),
        wording.render(words.letter, facts, sender_name),
    )


def _target(branch_id: int | None) -> str:
    return f"branch:{branch_id}" if branch_id is not None else ""


def _words(stored: MailWording) -> Words:
    return Words(stored.subject, stored.body, stored.signature)


def paper(facts: DocumentFacts) -> Attachment:
    """A document's PDF as it goes along with the mail."""
    return Attachment(f"{facts.number}.pdf", "application/pdf", draw(facts))


def enclosures(document: Document) -> list[Attachment]:
    """The files somebody added to the document."""
    return [Attachment(one.filename, one.content_type, one.content) for one in document.files]
