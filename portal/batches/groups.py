"""Groups: the items of a batch that stand alike: same state, same sender, same problem."""

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import selectinload

from portal.batches.tables import Batch, BatchItem, ItemState
from portal.dispatch import Dispatch, State
from portal.documents import Document
from portal.extensions import db
from portal.people import Contact

#: What stands before the rest of a group's name.
SENDER, PROBLEM, WORDS = "sender:", "problem:", "words:"


def items(batch: Batch, group: str = "", after: int = 0, limit: int = 100) -> list[BatchItem]:
    """A stretch of the batch in the order of adding, after the item of this id.

    group: "" for all; an ItemState; a dispatch State ("accepted", "held") once it is completed;
    "sender:tom@…" or "problem:no_address", as a Summary names them; "words:lee" for a part of a
    document's number or of its customer's name. Of anything else, nothing.
    """
    query = select(BatchItem).where(BatchItem.id.in_(ids(batch, group)), BatchItem.id > after)
    light = selectinload(BatchItem.document).lazyload(Document.lines)
    query = query.options(light, selectinload(BatchItem.dispatch))
    return list(db.session.scalars(query.order_by(BatchItem.id).limit(limit)))


def ids(batch: Batch, group: str = "") -> Select[int]:
    """A SELECT of the ids of a group's items."""
    query = select(BatchItem.id).where(BatchItem.batch_id == batch.id)
    if not group:
        return query
    if group in list(State):
        return query.join(Dispatch, Dispatch.id == BatchItem.dispatch_id).where(
            Dispatch.state == group
        )
    return query.where(_stored(group))


def _stored(group: str) -> ColumnElement[bool]:
    """The condition for what the item itself says."""
    if group.startswith(SENDER):
        sending = BatchItem.state.not_in((ItemState.UNCHECKED, ItemState.BLOCKED))
        return (BatchItem.sender_email == group.removeprefix(SENDER)) & sending
    if group.startswith(WORDS):
        return _called(group.removeprefix(WORDS))
    if group.startswith(PROBLEM):
        known = BatchItem.state != ItemState.UNCHECKED
        return (BatchItem.problem_code == group.removeprefix(PROBLEM)) & known
    return BatchItem.state == group


def _called(words: str) -> ColumnElement[bool]:
    """Whether the number of an item's document, or its customer's name, holds these words."""
    names = func.lower(Contact.first_name + " " + Contact.last_name + " " + Contact.business)
    part = words.lower()
    hit = func.lower(Document.number).contains(part, autoescape=True)
    query = select(Document.id).join(Contact, Contact.id == Document.contact_id)
    mine = Document.id == BatchItem.document_id  # item by item: never through every document
    return query.where(mine, hit | names.contains(part, autoescape=True)).exists()
