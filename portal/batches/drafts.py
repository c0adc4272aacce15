"""Drafts: making a batch, filling it, taking documents out, and throwing it away."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, case, delete, func, insert, select, update
from sqlalchemy.exc import InvalidRequestError

from portal import history
from portal.accounts import User
from portal.batches.tables import Batch, BatchItem, BatchStatus, ItemState
from portal.columns import now
from portal.dispatch import Dispatch, Purpose, State
from portal.documents import PENDING, Document, renew_email_status
from portal.documents.kinds import KINDS
from portal.documents.status import UNSENT
from portal.extensions import db
from portal.people import company
from portal.stores import rows_changed

#: The e-mail statuses of a document that a batch may take up: nothing of it is out or on its way.
OPEN = (*UNSENT, State.REFUSED, State.CANCELLED, State.RETURNED)
LONGEST_NAME = 120


class NotNow(Exception):
    """It cannot be done as things stand; the message says why, and what to do. Nothing changed."""


@dataclass(frozen=True)
class Filled:
    """What filling a batch came to.

    elsewhere: documents that stand in another draft. sent_already: sent, or on their way.
    """

    added: int
    elsewhere: int
    sent_already: int


@dataclass(frozen=True)
class Listed:
    """One batch in the list, with how many documents it holds, and how many of them by state."""

    batch: Batch
    total: int
    states: dict[str, int]


# -- making ----------------------------------------------------------------------------------------


def make(name: str, user: User, kind: str = "invoice") -> Batch:
    """Start a draft; without a name it is called after its kind and the day. Commits."""
    batch = start(name, user, kind)
    db.session.commit()
    return batch


def start(name: str, user: User, kind: str, retry_of_id: int | None = None) -> Batch:
    """make(), for a batch that tries another's failures again too. The caller commits."""
    ours = company()
    today = now().astimezone(ZoneInfo(ours.time_zone))
    name = _tidy(name) or f"{KINDS[kind].plural}, {today.day} {today:%B %Y}"
    batch = Batch(
        name=name, kind=kind, mixed=ours.mixed_batches, created_by=user, retry_of_id=retry_of_id
    )
    db.session.add(batch)
    db.session.flush()
    history.note("batch", batch.id, "Started.", user.name)
    return batch


def rename(batch: Batch, name: str, user: User) -> None:
    """Call it something else. Raises NotNow for an empty name. Commits."""
    if not _tidy(name):
        raise NotNow("A batch needs a name. Write one.")
    if batch.name != _tidy(name):
        batch.name = _tidy(name)
        history.note("batch", batch.id, f"Called “{batch.name}”.", user.name)
    db.session.commit()


def listed(before: int | None = None, size: int = 50) -> list[Listed]:
    """Batches, newest first; `before` is the id of the last one of the page before."""
    query = select(Batch).order_by(Batch.id.desc()).limit(size)
    if before is not None:
        query = query.where(Batch.id < before)
    return counted(list(db.session.scalars(query)))


def counted(found: list[Batch]) -> list[Listed]:
    """Batches with what is in them."""
    counts = select(BatchItem.batch_id, BatchItem.state, func.count())
    counts = counts.where(BatchItem.batch_id.in_([one.id for one in found]))
    states: dict[int, dict[str, int]] = {one.id: {} for one in found}
    for batch_id, state, count in db.session.execute(
        counts.group_by(BatchItem.batch_id, BatchItem.state)
    ):
        states[batch_id][state] = count
    return [Listed(one, sum(states[one.id].values()), states[one.id]) for one in found]


# -- filling and emptying --------------------------------------------------------------------------


def fill(batch: Batch, ids: Select[Any], user: User) -> Filled:
    """Put documents in, by a SELECT of their ids; whatever is in already stays. Commits.

    A document stands in one draft at a time. Raises NotNow where the batch is no draft.
    """
    filled = put_in(batch, ids, user)
    db.session.commit()
    return filled


def put_in(batch: Batch, ids: Select[Any], user: User) -> Filled:
    """fill() without the commit."""
    touch_draft(batch)
    several = covers_several(batch)
    wanted = (Document.kind == batch.kind, Document.id.in_(ids))
    in_draft, is_open = Document.batch_status == BatchStatus.DRAFT, Document.email_status.in_(OPEN)
    elsewhere = in_draft & (Document.batch_id != batch.id)
    refused = select(func.count().filter(elsewhere), func.count().filter(~in_draft, ~is_open))
    others, sent = db.session.execute(refused.select_from(Document).where(*wanted)).one()
    free = (*wanted, ~in_draft, is_open)
    # Taken in one order by everybody, so that two who fill at once do not wait for each other.
    in_order = select(Document.id).where(*free).order_by(Document.id).with_for_update()
    taken = db.session.execute(
        update(Document)
        .where(Document.id.in_(in_order), ~in_draft)
        .values(batch_id=batch.id, batch_status=BatchStatus.DRAFT)
        .execution_options(synchronize_session=False)
    )
    added = rows_changed(taken)
    if added:
        _add_items(batch)
        history.note("batch", batch.id, f"{_documents(added)} put in.", user.name)
    _mind_branches(batch, several)
    return Filled(added, others, sent)


def _add_items(batch: Batch) -> None:
    """An item for each document that is the batch's and has none yet, the oldest first."""
    has = select(BatchItem.id).where(
        BatchItem.batch_id == batch.id, BatchItem.document_id == Document.id
    )
    mine = Document.batch_id == batch.id, Document.batch_status == BatchStatus.DRAFT
    source = select(Document.batch_id, Document.id).where(*mine, ~has.exists())
    db.session.execute(
        insert(BatchItem).from_select(
            ["batch_id", "document_id"], source.order_by(Document.issued, Document.id)
        )
    )


def remove(batch: Batch, item_ids: Iterable[int] | Select[Any], user: User) -> int:
    """Take items out of a draft, by their ids or a SELECT of them; how many. Commits.

    Raises NotNow where it is no draft.
    """
    touch_draft(batch)
    several = covers_several(batch)
    chosen = item_ids if isinstance(item_ids, Select) else sorted(set(item_ids))
    removed = _take_out(BatchItem.batch_id == batch.id, BatchItem.id.in_(chosen))
    if removed:
        history.note("batch", batch.id, f"{_documents(removed)} taken out.", user.name)
    _mind_branches(batch, several)
    db.session.commit()
    return removed


def discard(batch: Batch, user: User) -> None:
    """Throw a draft away; its documents can go into another. Raises NotNow. Commits."""
    touch_draft(batch)
    _take_out(BatchItem.batch_id == batch.id)
    history.forget("batch", batch.id)
    db.session.execute(delete(Batch).where(Batch.id == batch.id))
    db.session.expunge(batch)
    db.session.commit()


def _take_out(*chosen: ColumnElement[bool]) -> int:
    """Delete items; their documents are as they were before this draft took them."""
    documents = select(BatchItem.document_id).where(*chosen)
    earlier = (
        select(func.max(BatchItem.batch_id))
        .join(Batch, Batch.id == BatchItem.batch_id)
        .where(BatchItem.document_id == Document.id, Batch.status == BatchStatus.COMPLETED)
        .correlate(Document)
        .scalar_subquery()
    )
    status = case((earlier.is_not(None), BatchStatus.COMPLETED), else_="")
    db.session.execute(
        update(Document)
        .where(Document.id.in_(documents))
        .values(batch_id=earlier, batch_status=status)
        .execution_options(synchronize_session=False)
    )
    gone = delete(BatchItem).where(*chosen).execution_options(synchronize_session=False)
    return rows_changed(db.session.execute(gone))


# -- for all that changes a draft ------------------------------------------------------------------


def touch_draft(batch: Batch) -> None:
    """Hold the draft for this transaction and count the change, so that no old page completes it.

    Raises NotNow where somebody has completed it or thrown it away.
    """
    db.session.flush()
    touched = db.session.execute(
        update(Batch)
        .where(Batch.id == batch.id, Batch.status == BatchStatus.DRAFT)
        .values(version=Batch.version + 1)
        .execution_options(synchronize_session=False)
    )
    if rows_changed(touched) != 1:
        db.session.rollback()
        raise NotNow("This batch is no draft any more: it was completed or thrown away.")
    db.session.refresh(batch)


def reread(batch: Batch) -> None:
    """The batch as the store has it now. Raises NotNow where somebody has thrown it away."""
    try:
        db.session.refresh(batch)
    except InvalidRequestError:
        db.session.rollback()
        raise NotNow("This batch was thrown away.") from None


def covers_several(batch: Batch) -> bool:
    """Whether its documents belong to more than one branch."""
    return branches_of(batch) > 1


def branches_of(batch: Batch) -> int:
    """How many branches its documents belong to; those without one count as one more."""
    query = select(Document.branch_id).join(BatchItem, BatchItem.document_id == Document.id)
    found = query.where(BatchItem.batch_id == batch.id).distinct().subquery()
    return db.session.scalar(select(func.count()).select_from(found)) or 0


def _mind_branches(batch: Batch, several: bool) -> None:
    """Where the company's rule takes over for several branches, one more or less changes all."""
    if batch.mixed == "company" and covers_several(batch) != several:
        uncheck(BatchItem.batch_id == batch.id)


def uncheck(*chosen: ColumnElement[bool]) -> int:
    """Let items be checked anew; how many. The caller commits."""
    changed = db.session.execute(
        update(BatchItem)
        .where(BatchItem.state != ItemState.UNCHECKED, *chosen)
        .values(state=ItemState.UNCHECKED)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(changed)


def show_unsent(*documents: ColumnElement[bool]) -> None:
    """Documents that were in the queue by their batch are so no more. The caller commits."""
    newest = (
        select(Dispatch.state)
        .where(Dispatch.document_id == Document.id, Dispatch.purpose == Purpose.DOCUMENT)
        .order_by(Dispatch.sending_number.desc())
        .limit(1)
        .correlate(Document)
        .scalar_subquery()
    )
    db.session.execute(
        update(Document)
        .where(*documents)
        .values(email_status=func.coalesce(newest, PENDING))
        .execution_options(synchronize_session=False)
    )
    renew_email_status(*documents)


def _tidy(name: str) -> str:
    return " ".join(name.split())[:LONGEST_NAME]


def _documents(count: int) -> str:
    return "1 document" if count == 1 else f"{count:,} documents"
