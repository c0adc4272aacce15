"""Completing: the one press of the button that gives a draft to the worker."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, case, func, select, update

from portal import dispatch, history, queueing
from portal.accounts import User
from portal.batches.checking import company_only, depends_on_person
from portal.batches.drafts import OPEN, NotNow, reread, show_unsent, uncheck
from portal.batches.tables import Batch, BatchItem, BatchStatus, ItemState, is_free
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.documents import Document
from portal.extensions import db
from portal.stores import rows_changed

SENDABLE = (ItemState.READY, ItemState.WAITS)
#: So many values one statement may name.
MOST_AT_ONCE = 500


def complete(batch: Batch, user: User, version: int) -> None:
    """Let the ready and the waiting items go; the blocked ones are left. Commits and rings.

    version: the one the page showed. Raises NotNow (nothing sent) where the batch changed since,
    is being checked, holds documents that changed since, or has nothing that could be sent.
    """
    mixed = "company" if company_only(batch) else "each"
    _take(batch, user, version, mixed)
    _refuse_unready(batch, user)
    mine = BatchItem.batch_id == batch.id
    going = BatchItem.state.in_(SENDABLE)
    count = db.session.scalar(select(func.count()).where(mine, going))
    _move_documents(batch, select(BatchItem.document_id).where(mine, going))
    db.session.execute(
        update(BatchItem)
        .where(mine)
        .values(state=case((going, ItemState.PENDING), else_=ItemState.LEFT), sending_number=0)
        .execution_options(synchronize_session=False)
    )
    history.note("batch", batch.id, f"Completed: {count:,} to be sent.", user.name)
    db.session.commit()
    queueing.ring_all()


def _take(batch: Batch, user: User, version: int, mixed: str) -> None:
    """The one moment in which a draft becomes a completed batch, for one caller alone."""
    taken = db.session.execute(
        update(Batch)
        .where(Batch.id == batch.id, Batch.status == BatchStatus.DRAFT, Batch.version == version)
        .values(
            status=BatchStatus.COMPLETED,
            mixed=mixed,
            version=version + 1,
            completed_by_id=user.id,
            completed_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
    if rows_changed(taken) != 1:
        db.session.rollback()
        reread(batch)
        raise NotNow(_why_not_taken(batch))
    reread(batch)


def _why_not_taken(batch: Batch) -> str:
    if batch.is_draft:
        return (
            "The batch changed while this page was open, so nothing was sent. "
            "Look at it as it is now, then press the button again."
        )
    by = batch.completed_by.name if batch.completed_by else "somebody"
    return f"This batch was completed already, by {by}. Nothing was sent a second time."


def _refuse_unready(batch: Batch, user: User) -> None:
    """Raise NotNow, with the batch a draft as before, unless all was checked and is still so."""
    mine = BatchItem.batch_id == batch.id
    problem = ""
    stale = _changed_since(batch)
    if batch.checked_by_id != user.id and depends_on_person():
        problem = "Who it comes from depends on who sends it, and you are somebody else than who "
        problem += "checked it. It is checked anew for you: look at it, then press the button."
        stale = mine
    elif changed := db.session.scalar(select(func.count()).where(stale)):
        problem = f"{_were(changed)} changed since the check, so nothing was sent. "
        problem += "They are checked anew: look at them, then press the button again."
    elif db.session.scalar(select(BatchItem.id).where(mine, _unchecked()).limit(1)):
        problem = "It is still being checked. Wait until that is done, then press the button again."
    elif not db.session.scalar(select(BatchItem.id).where(mine, _sendable()).limit(1)):
        problem = "Nothing in this batch can be sent yet. Put right what is listed, or add others."
    if problem:
        db.session.rollback()
        uncheck(stale)
        db.session.commit()
        reread(batch)
        raise NotNow(problem)


def _unchecked() -> ColumnElement[bool]:
    return BatchItem.state == ItemState.UNCHECKED


def _sendable() -> ColumnElement[bool]:
    return BatchItem.state.in_(SENDABLE)


def _changed_since(batch: Batch) -> ColumnElement[bool]:
    """Items that would go, whose document was written on, or sent alone, since it was checked."""
    other = Document.version != BatchItem.document_version
    changed = select(Document.id).where(
        Document.id == BatchItem.document_id, other | Document.email_status.not_in(OPEN)
    )
    return (BatchItem.batch_id == batch.id) & _sendable() & changed.exists()


def _were(count: int) -> str:
    return "1 document was" if count == 1 else f"{count:,} documents were"


def _move_documents(batch: Batch, going: Select[int]) -> None:
    """Their batch is completed; those that go are in the queue from this moment."""
    db.session.execute(
        update(Document)
        .where(Document.batch_id == batch.id, Document.batch_status == BatchStatus.DRAFT)
        .values(
            batch_status=BatchStatus.COMPLETED,
            email_status=case((Document.id.in_(going), State.QUEUED), else_=Document.email_status),
        )
        .execution_options(synchronize_session=False)
    )


# -- stopping --------------------------------------------------------------------------------------


def stop(batch: Batch, user: User) -> int:
    """Take back what has not left yet; how many. What is being handed over cannot be. Commits.

    What no worker has taken up is left, what is in the queue or on hold is cancelled.
    """
    stopped = _stop_items(batch, user) + _cancel_dispatches(batch, user)
    if stopped:
        history.note("batch", batch.id, f"Stopped: {stopped:,} were not sent.", user.name)
    db.session.commit()
    return stopped


def _stop_items(batch: Batch, user: User) -> int:
    """Those in a worker's hands are left to it: what it makes of them can be cancelled after."""
    waiting = (BatchItem.batch_id == batch.id, BatchItem.state == ItemState.PENDING, is_free())
    said = {"problem": f"{user.name} stopped the batch before it was sent.", "hint": "", "fix": ""}
    documents = db.session.scalars(
        update(BatchItem)
        .where(*waiting)
        .values(state=ItemState.LEFT, problem_code="stopped", **said)
        .returning(BatchItem.document_id)
        .execution_options(synchronize_session=False)
    ).all()
    _show_unsent(documents)
    return len(documents)


def _cancel_dispatches(batch: Batch, user: User) -> int:
    waiting = Dispatch.state.in_((State.QUEUED, State.HELD))
    cancelled = db.session.execute(
        update(Dispatch)
        .where(Dispatch.batch_id == batch.id, waiting)
        .values(state=State.CANCELLED, state_since=now())
        .returning(Dispatch.id, Dispatch.document_id)
        .execution_options(synchronize_session=False)
    ).all()
    for dispatch_id, _ in cancelled:
        dispatch.tell(dispatch_id, "Cancelled with its batch before it was sent.", user.name)
    _show_unsent([one for _, one in cancelled if one is not None])
    return len(cancelled)


def _show_unsent(document_ids: Sequence[int]) -> None:
    for start in range(0, len(document_ids), MOST_AT_ONCE):
        show_unsent(Document.id.in_(document_ids[start : start + MOST_AT_ONCE]))
