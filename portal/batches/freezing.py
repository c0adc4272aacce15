"""Freezing: the worker makes a dispatch of each item that was completed, exactly as checked.

A worker takes a few items at a time under a lease. Each is judged again first: whatever differs
from what was checked is left, and nothing is sent. The number of the sending is stored before
anything is frozen, so that an item which is taken twice, because a worker died, is one dispatch.
"""

import logging
import math
import time
from collections.abc import Iterable

from flask import current_app
from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from portal import dispatch, queueing
from portal.batches.checking import company_only
from portal.batches.drafts import show_unsent
from portal.batches.judging import ALREADY, Finding, Judge, in_columns, loaded
from portal.batches.tables import PENDING_ROWS, Batch, BatchItem, ItemState, is_free
from portal.checks import Problem
from portal.columns import db_now
from portal.dispatch import Blocked, Dispatch, Purpose, State, Wish
from portal.documents import Document, mail
from portal.documents.pdf import DrawingProblem
from portal.documents.wording import WordingProblem
from portal.extensions import db
from portal.people import BadAddress
from portal.stores import rows_changed

#: How many items a worker takes at a time.
HANDFUL = 16
#: An item that this many workers did not survive is left: something in it may be what ends them.
MOST_TRIES = 6
CHANGED = "changed"
AGAIN = "Look at it, then try it again in another batch."
FAILED = Problem(
    "failed", "The portal failed while preparing it, so nothing was sent.", AGAIN, "document"
)
ALONE = Problem(
    ALREADY, "It was sent without this batch after the check, so not again.", "", "document"
)

log = logging.getLogger(__name__)


def prepare(ends: float = math.inf) -> int:
    """Freeze pending items until none is left; how many this call has dealt with.

    ends: when (monotonic) to take no more. Any number of workers may do this side by side, and any
    may die at any point.
    """
    dealt_with = 0
    while not _over(ends) and (taken := _take()):
        dealt_with += _freeze_all(taken, ends)
    return dealt_with


def is_due() -> bool:
    """Whether there is an item that nobody is freezing."""
    query = select(BatchItem.id).where(PENDING_ROWS, is_free()).limit(1)
    found = db.session.scalar(query) is not None
    db.session.commit()
    return found


def _over(ends: float) -> bool:
    return queueing.stopping.is_set() or time.monotonic() >= ends


# -- taking ----------------------------------------------------------------------------------------


def _take() -> list[BatchItem]:
    """The next few items, as this worker's own for a while. Commits.

    One that a worker did not survive is taken alone, so that it cannot spoil its neighbours.
    """
    db.session.expire_all()
    due = select(BatchItem.id).where(PENDING_ROWS, is_free()).with_for_update(skip_locked=True)
    fresh = due.where(BatchItem.tries == 0).order_by(BatchItem.id).limit(HANDFUL)
    tried = due.order_by(BatchItem.tries, BatchItem.id).limit(1)
    return _taken(fresh) or _taken(tried)


def _taken(chosen: Select[int]) -> list[BatchItem]:
    lease = current_app.config["PORTAL"].LEASE_SECONDS
    # Named beforehand: PostgreSQL may ask an unnamed part again for each row, and take too many.
    named = chosen.cte("chosen")
    taken = db.session.scalars(
        update(BatchItem)
        .where(BatchItem.id.in_(select(named.c.id)), PENDING_ROWS, is_free())
        .values(lease_until=db_now(lease), tries=BatchItem.tries + 1)
        .returning(BatchItem.id)
        .execution_options(synchronize_session=False)
    ).all()
    db.session.commit()
    return _loaded_items(taken) if taken else []


def _loaded_items(ids: Iterable[int]) -> list[BatchItem]:
    whole = joinedload(BatchItem.batch).joinedload(Batch.completed_by)
    query = select(BatchItem).where(BatchItem.id.in_(list(ids))).options(whole)
    return list(db.session.scalars(query.order_by(BatchItem.id)).unique())


def _give_back(items: list[BatchItem]) -> None:
    """Let others take what this worker has no time left for."""
    db.session.execute(
        update(BatchItem)
        .where(BatchItem.id.in_([one.id for one in items]), PENDING_ROWS)
        .values(lease_until=None, tries=BatchItem.tries - 1)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


# -- freezing --------------------------------------------------------------------------------------


def _freeze_all(items: list[BatchItem], ends: float) -> int:
    """Deal with what was taken; how many were dealt with."""
    documents = loaded(one.document_id for one in items)
    judges = {one.id: _judge(one) for one in {item.batch for item in items}}
    _number(items)
    earlier = _earlier(items)
    for done, item in enumerate(items):
        if _over(ends):
            _give_back(items[done:])
            return done
        known = earlier.get(item.document_id)
        _deal_with(item, documents[item.document_id], judges[item.batch_id], known)
    return len(items)


def _judge(batch: Batch) -> Judge:
    assert batch.completed_by is not None  # only a completed batch has pending items
    return Judge(batch.completed_by, company_only=company_only(batch))


def _number(items: list[BatchItem]) -> None:
    """Give each item the number of its sending, once and for all. Commits."""
    fresh = {one.document_id: one for one in items if not one.sending_number}
    query = select(Dispatch.document_id, func.max(Dispatch.sending_number))
    query = query.where(Dispatch.document_id.in_(fresh), Dispatch.purpose == Purpose.DOCUMENT)
    newest = {row[0]: row[1] for row in db.session.execute(query.group_by(Dispatch.document_id))}
    for document_id, item in fresh.items():
        item.sending_number = newest.get(document_id, 0) + 1
    db.session.commit()


def _deal_with(item: BatchItem, document: Document, judge: Judge, earlier: Dispatch | None) -> None:
    found = judge.finding(document)
    try:
        outcome = earlier or _obstacle(item, document, found) or _asked(item, document, found)
    except (SQLAlchemyError, OSError):  # the store is away: the lease runs out, and it is retaken
        raise
    except Exception:
        log.exception("item %s of batch %s could not be prepared", item.id, item.batch_id)
        db.session.rollback()
        outcome = _earlier([item]).get(item.document_id) or FAILED
    _keep(item, document, found, outcome)


def _asked(item: BatchItem, document: Document, found: Finding) -> Dispatch | Problem:
    """The dispatch, or why there can be none."""
    user = item.batch.completed_by
    assert user is not None  # only a completed batch has pending items
    try:
        words = mail.filled(document.facts(), user.name)
        wish = Wish(item.sending_number, found.to, found.cc, words.subject, words.body)
        return dispatch.request(document, user, wish, found.choice, batch_id=item.batch_id)
    except Blocked as blocked:
        return blocked.problems[0]
    except WordingProblem as problem:
        return Problem("wording", f"The wording of its e-mail: {problem}", AGAIN, "document")
    except (DrawingProblem, BadAddress) as problem:
        return Problem("drawing", str(problem), AGAIN, "document")


def _earlier(items: list[BatchItem]) -> dict[int, Dispatch]:
    """By document, the dispatch that a worker made of it before it died, or somebody else made."""
    going = Dispatch.state.in_((*dispatch.OPEN_STATES, State.ACCEPTED))
    mine = Dispatch.sending_number == BatchItem.sending_number
    query = (
        select(Dispatch)
        .join(BatchItem, BatchItem.document_id == Dispatch.document_id)
        .where(BatchItem.id.in_([one.id for one in items]), Dispatch.purpose == Purpose.DOCUMENT)
        .where(or_(mine, going))
        .order_by(Dispatch.id.desc())
    )
    found = db.session.scalars(query).unique()
    return {one.document_id: one for one in found if one.document_id is not None}


def _obstacle(item: BatchItem, document: Document, found: Finding) -> Problem | None:
    """What is otherwise than it was checked, or ends workers; None if nothing."""
    if item.tries > MOST_TRIES:
        return FAILED
    if found.state == ItemState.BLOCKED:
        return found.problem
    if document.version != item.document_version:
        words = f"{document.number} was changed after the check."
        return Problem(CHANGED, words, AGAIN, "document")
    if found.sender_email != item.sender_email:
        words = f"It would now come from {found.sender_email} instead of {item.sender_email}."
        return Problem("other_sender", words, AGAIN, "sender")
    if (list(found.to), list(found.cc)) != (item.to, item.cc):
        words = f"It would now go to {', '.join((*found.to, *found.cc))}."
        return Problem("other_recipients", words, AGAIN, "document")
    return None


# -- keeping what became of it ---------------------------------------------------------------------


def _keep(item: BatchItem, document: Document, found: Finding, outcome: Dispatch | Problem) -> None:
    """The item has its dispatch, or is left for a reason that the result sheet shows. Commits."""
    if isinstance(outcome, Dispatch) and outcome.batch_id == item.batch_id:
        _settle(item, ItemState.SENT, dispatch_id=outcome.id)
    else:
        problem = ALONE if isinstance(outcome, Dispatch) else outcome
        said = in_columns(document, found.choice, problem)
        if _settle(item, ItemState.LEFT, **said):
            show_unsent(Document.id == item.document_id)
    db.session.commit()


def _settle(item: BatchItem, state: ItemState, **values: object) -> bool:
    """Settle an item once; False where another worker has."""
    settled = db.session.execute(
        update(BatchItem)
        .where(BatchItem.id == item.id, BatchItem.state == ItemState.PENDING)
        .values(state=state, lease_until=None, **values)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(settled) == 1
