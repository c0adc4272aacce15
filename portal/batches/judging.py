"""Judging: what one document of a batch comes to now. Reads all it needs, changes nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from portal import policy
from portal.accounts import User
from portal.batches.drafts import OPEN
from portal.batches.tables import ItemState
from portal.bounces import Caution, cautions_of
from portal.checks import Problem, Sending, preflight
from portal.documents import Document
from portal.extensions import db
from portal.instance import lost_sendings
from portal.people import company
from portal.places import Property, PropertyContact
from portal.senders import Choice

#: What a PDF comes to without being drawn: letters and frame, and what each line adds.
PDF_BYTES, LINE_BYTES = 40_000, 250
ALREADY = "already_sent"
#: On the send page one can write an address, or send all the same; in a batch one cannot.
HINTS = {
    "no_lines": "Add its lines.",
    "nobody_marked": "Mark somebody at the property, for an invoice as Billing too.",
    "no_billing": "Mark one of them as Billing too.",
    "nobody_active": "Mark somebody else at the property.",
    "no_address": "Add the address to the contact.",
    "inactive": "Make the contact active again.",
    "too_many_recipients": "Mark fewer contacts at the property, or send it from its own page.",
    "bad_recipient": "Correct the contact's address.",
    "slip": "Ask the customer, and correct the contact. If it is right, send all the same.",
    "came_back": "Correct the contact's address. If it is right, send all the same.",
    "files_too_large": "Remove some of its files.",
    ALREADY: "It needs no sending.",
}
LEFT_BEFORE = Problem(
    "left_before",
    "It left before, and the portal has lost what it knew of it when its database was restored.",
    "If it should really be sent again, send it from its own page.",
    "document",
)
WAITS = "It stays on hold until that is put right, then goes out by itself."


@dataclass(frozen=True)
class Finding:
    """What one document comes to: its sender, its recipients, and what is lacking."""

    choice: Choice
    to: tuple[str, ...]
    cc: tuple[str, ...]
    why: str
    state: ItemState
    problem: Problem | None

    @property
    def sender_email(self) -> str:
        return self.choice.sender.email if self.choice.sender else ""


def loaded(document_ids: Iterable[int]) -> dict[int, Document]:
    """Documents with everything that judging and drawing look at, as the database has it now."""
    place = joinedload(Document.property_)
    query = (
        select(Document)
        .where(Document.id.in_(list(document_ids)))
        .options(
            place.selectinload(Property.contacts).joinedload(PropertyContact.contact),
            selectinload(Document.files),
        )
        .execution_options(populate_existing=True)
    )
    return {one.id: one for one in db.session.scalars(query).unique()}


def cautions_about(documents: Iterable[Document]) -> dict[str, Caution]:
    """The cautions of everybody whom these may go to, asked for in one go."""
    people = [one.contact for one in documents]
    places = (one.property_ for one in documents)
    people += [one.contact for where in places if where is not None for one in where.contacts]
    return cautions_of({one.email for one in people if one.email})


class Judge:
    """Everything that the documents of one batch are judged by, read once.

    cautions: of the addresses that mail came back from (cautions_about()), where remarks are wanted
    and not only what is blocking.
    """

    def __init__(
        self, person: User, *, company_only: bool, cautions: Mapping[str, Caution] | None = None
    ) -> None:
        self._person, self._company_only = person, company_only
        self._cautions = cautions or {}
        self._scene, self._lost = policy.Scene(), lost_sendings()
        self._paper = PDF_BYTES + len(company().logo or b"")

    def finding(self, document: Document) -> Finding:
        """What this document comes to."""
        case = policy.case_of(document, self._person, company_only=self._company_only)
        choice = self._scene.choose(case)
        found = document.recipients()
        to = tuple(one.email for one in found.to)
        cc = tuple(one.email for one in found.cc)
        problems = preflight(Sending(document, choice, to, cc, self._cautions))
        if document.id in self._lost:
            problems = [LEFT_BEFORE, *problems]
        blocking = next((one for one in problems if one.blocking), None)
        problem = blocking or next(iter(problems[::-1]), None)
        state = ItemState.READY if choice.ready else ItemState.WAITS
        why = "; ".join(dict.fromkeys(one.why for one in (*found.to, *found.cc)))
        return Finding(choice, to, cc, why, ItemState.BLOCKED if blocking else state, problem)

    def row(self, document: Document) -> dict[str, object]:
        """The finding as the item's columns."""
        found = self.finding(document)
        choice = found.choice
        return {
            "state": found.state,
            "sender_email": found.sender_email,
            "sender_name": choice.sender.name if choice.sender else "",
            "mailbox_id": choice.mailbox_id,
            "reason": choice.reason,
            "to": list(found.to),
            "cc": list(found.cc),
            "why": found.why,
            "size": self._size(document),
            "document_version": document.version,
        } | _said(document, found)

    def _size(self, document: Document) -> int:
        files = sum(one.size for one in document.files)
        return self._paper + LINE_BYTES * len(document.lines) + files


def _said(document: Document, found: Finding) -> dict[str, object]:
    """The item's columns for what is wrong."""
    if document.email_status not in OPEN:
        words = f"{document.number} was sent, or is on its way, without this batch."
        problem = Problem(ALREADY, words, "", "document")
        return {"state": ItemState.BLOCKED} | in_columns(document, found.choice, problem)
    if found.problem is None:
        return {"problem_code": "", "problem": "", "hint": "", "fix": ""}
    said = in_columns(document, found.choice, found.problem)
    waiting = found.state == ItemState.WAITS and not found.problem.blocking
    return said | ({"hint": WAITS} if waiting else {})


def in_columns(document: Document, choice: Choice, problem: Problem) -> dict[str, object]:
    """A problem as the item's columns."""
    code = _code(document, choice, problem)
    return {
        "problem_code": code,
        "problem": problem.message,
        "hint": HINTS.get(code, problem.hint),
        "fix": _fix(document, problem),
    }


def _code(document: Document, choice: Choice, problem: Problem) -> str:
    """A name for what is wrong that tells apart what is mended apart."""
    if problem.code == "no_recipient":
        return next((one.code for one in document.recipients().lacks if one.blocking), "no_address")
    if problem.code == "no_sender":
        return f"sender_{choice.trouble}"
    return problem.code


def _fix(document: Document, problem: Problem) -> str:
    match problem.fix:
        case "contact":
            return f"contact:{problem.contact_id or document.contact_id}"
        case "property" if document.property_id:
            return f"property:{document.property_id}"
        case "sender" | "settings":
            return "sender"
        case _:
            return f"document:{document.id}"
