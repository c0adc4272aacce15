"""Freezing: the worker makes a dispatch of each item that was completed, exactly as checked.

A worker takes a handful of items under a lease and numbers their sendings, in one commit, before
anything is frozen: so an item that is taken twice, because a worker died, is still one dispatch.
All that they say is read at once, each is judged again, and whatever differs from what was checked
is left. They are drawn with no transaction open, then stored together in one more commit.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

from flask import current_app
from sqlalchemy import Select, Table, bindparam, case, func, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import joinedload

from portal import dispatch, journal, queueing
from portal.batches.checking import company_only
from portal.batches.drafts import show_unsent
from portal.batches.judging import ALREADY, Finding, Judge, in_columns, loaded
from portal.batches.tables import PENDING_ROWS, Batch, BatchItem, ItemState, is_free
from portal.checks import Problem
from portal.columns import db_now
from portal.dispatch import Blocked, Dispatch, Lane, Manuscript, Purpose, State, Wish
from portal.documents import Document, company_facts, mail
from portal.documents.pdf import DrawingProblem
from portal.documents.wording import WordingProblem
from portal.extensions import db
from portal.failpoints import reached
from portal.people import BadAddress, company
from portal.statements import Statement
from portal.stores import reading, rows_changed

T = TypeVar("T")

#: How many items a worker takes at a time; at first just a few, so that the first mail soon leaves.
FIRST, HANDFUL = 2, 16
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
    dealt_with, at_once = 0, FIRST
    while not _over(ends) and (taken := _take(at_once)):
        dealt_with += _freeze_all(taken, ends)
        at_once = HANDFUL
    return dealt_with


def is_due() -> bool:
    """Whether there is an item that nobody is freezing."""
    with reading():
        return _pending().first(db.session.connection()) is not None


@cache
def _pending() -> Statement:
    return Statement(select(BatchItem.id).where(PENDING_ROWS, is_free()).limit(1))


def _over(ends: float) -> bool:
    return queueing.stopping.is_set() or time.monotonic() >= ends


# -- taking ----------------------------------------------------------------------------------------


def _take(how_many: int) -> list[int]:
    """The next few items, as this worker's own for a while, each with the number of its sending.

    One that a worker did not survive is taken alone, so that it cannot spoil its neighbours.
    """
    due = select(BatchItem.id).where(PENDING_ROWS, is_free()).with_for_update(skip_locked=True)
    fresh = due.where(BatchItem.tries == 0).order_by(BatchItem.id).limit(how_many)
    tried = due.order_by(BatchItem.tries, BatchItem.id).limit(1)
    taken = journal.write(lambda: _taken(fresh) or _taken(tried))
    if taken:
        reached("freeze.taken")
    return taken


def _taken(chosen: Select[int]) -> list[int]:
    lease = current_app.config["PORTAL"].LEASE_SECONDS
    # Named beforehand: PostgreSQL may ask an unnamed part again for each row, and take too many.
    named = chosen.cte("chosen")
    taken = db.session.scalars(
        update(BatchItem)
        .where(BatchItem.id.in_(select(named.c.id)), PENDING_ROWS, is_free())
        .values(
            lease_until=db_now(lease), tries=BatchItem.tries + 1, sending_number=_once_numbered()
        )
        .returning(BatchItem.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(taken)


def _once_numbered() -> Any:
    """The number that the item's sending has, or from now on has."""
    newest = select(func.max(Dispatch.sending_number)).where(
        Dispatch.document_id == BatchItem.document_id, Dispatch.purpose == Purpose.DOCUMENT
    )
    fresh = func.coalesce(newest.correlate(BatchItem).scalar_subquery(), 0) + 1
    return case((BatchItem.sending_number == 0, fresh), else_=BatchItem.sending_number)


def _give_back(ids: Sequence[int]) -> None:
    """Let others take what this worker has no time left for."""
    back = (
        update(BatchItem)
        .where(BatchItem.id.in_(ids), PENDING_ROWS)
        .values(lease_until=None, tries=BatchItem.tries - 1)
        .execution_options(synchronize_session=False)
    )
    journal.write(lambda: db.session.execute(back))


# -- reading ---------------------------------------------------------------------------------------


@dataclass
class _Case:
    """One item in hand, and what it has come to by now: what is to be drawn, the frozen sending,
    the sending that was there already, or why nothing is sent."""

    item: BatchItem
    document: Document
    found: Finding
    outcome: Manuscript | Dispatch | Problem


class _Reader:
    """What is read once for a handful."""

    def __init__(self, items: list[BatchItem]) -> None:
        self._documents = loaded(one.document_id for one in items)
        self._judges = {one.id: _judge(one) for one in {item.batch for item in items}}
        self._earlier = _earlier(one.id for one in items)
        self._letterhead = company_facts(company())
        self._wordings: dict[tuple[str, int | None], mail.Words] = {}

    def case(self, item: BatchItem) -> _Case:
        document = self._documents[item.document_id]
        found = self._judges[item.batch_id].finding(document)
        settled = self._earlier.get(item.document_id) or _obstacle(item, document, found)
        if settled is not None:
            return _Case(item, document, found, settled)
        read = _guarded(item, lambda: self._manuscript(item, document, found))
        return _Case(item, document, found, read)

    def _manuscript(self, item: BatchItem, document: Document, found: Finding) -> Manuscript:
        user = item.batch.completed_by
        assert user is not None  # only a completed batch has pending items
        facts = document.facts(self._letterhead)
        words = mail.filled(facts, user.name, self._wording(facts.kind, facts.branch_id))
        wish = Wish(item.sending_number, found.to, found.cc, words.subject, words.body)
        return dispatch.manuscript(document, user, wish, found.choice, facts)

    def _wording(self, kind: str, branch_id: int | None) -> mail.Words:
        if (kind, branch_id) not in self._wordings:
            self._wordings[kind, branch_id] = mail.templates(kind, branch_id)
        return self._wordings[kind, branch_id]


def _judge(batch: Batch) -> Judge:
    assert batch.completed_by is not None  # only a completed batch has pending items
    return Judge(batch.completed_by, company_only=company_only(batch))


def _items(ids: Iterable[int]) -> list[BatchItem]:
    whole = joinedload(BatchItem.batch).joinedload(Batch.completed_by)
    query = select(BatchItem).where(BatchItem.id.in_(list(ids))).options(whole)
    query = query.order_by(BatchItem.id).execution_options(populate_existing=True)
    return list(db.session.scalars(query).unique())


def _earlier(ids: Iterable[int]) -> dict[int, Dispatch]:
    """By document, the dispatch that a worker made of it before it died, or somebody else made."""
    going = Dispatch.state.in_((*dispatch.OPEN_STATES, State.ACCEPTED))
    mine = Dispatch.sending_number == BatchItem.sending_number
    query = (
        select(Dispatch)
        .join(BatchItem, BatchItem.document_id == Dispatch.document_id)
        .where(BatchItem.id.in_(list(ids)), Dispatch.purpose == Purpose.DOCUMENT)
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


# -- freezing --------------------------------------------------------------------------------------


def _freeze_all(ids: list[int], ends: float) -> int:
    """Deal with what was taken; how many were dealt with."""
    with reading():
        items = _items(ids)
        reader = _Reader(items)
        cases = [reader.case(item) for item in items]
    drawn: list[_Case] = []
    for one in cases:
        if _over(ends):
            break
        _draw(one)
        drawn.append(one)
    _keep(drawn)
    if len(drawn) < len(cases):
        _give_back([one.item.id for one in cases[len(drawn) :]])
    return len(drawn)


def _draw(one: _Case) -> None:
    """Make the frozen sending of what was read, or say why there can be none."""
    if isinstance(one.outcome, Manuscript):
        of = one.outcome
        one.outcome = _guarded(one.item, lambda: dispatch.frozen(of))
        if isinstance(one.outcome, Dispatch):
            one.outcome.batch_id, one.outcome.lane = one.item.batch_id, Lane.BATCH


def _guarded(item: BatchItem, made: Callable[[], T]) -> T | Problem:
    """What comes of it, or the problem that the result sheet shows."""
    try:
        return made()
    except Blocked as blocked:
        return blocked.problems[0]
    except WordingProblem as problem:
        return Problem("wording", f"The wording of its e-mail: {problem}", AGAIN, "document")
    except (DrawingProblem, BadAddress) as problem:
        return Problem("drawing", str(problem), AGAIN, "document")
    except (SQLAlchemyError, OSError):  # the store is away: the lease runs out, and it is retaken
        raise
    except Exception:
        log.exception("item %s of batch %s could not be prepared", item.id, item.batch_id)
        return FAILED


# -- keeping what became of it ---------------------------------------------------------------------


def _keep(cases: list[_Case]) -> None:
    """Each item has its dispatch, or is left for a reason that the result sheet shows."""
    fresh, known, left = _sorted(cases)
    with reading():
        said = [(one.item, _why_left(one)) for one in left]

    def stored() -> set[str]:
        ids = dispatch.store_all([(made, _asked_by(one.item)) for one, made in fresh])
        for dispatch_id in ids.values():
            reached("freeze.asked", dispatch_id)
        _mark_sent([(one.item, ids[made.token]) for one, made in fresh if made.token in ids])
        _mark_sent([(one.item, made.id) for one, made in known])
        for item, values in said:
            if _settle(item, ItemState.LEFT, **values):
                show_unsent(Document.id == item.document_id)
        return set(ids)

    try:
        tokens = journal.write(stored)
    except IntegrityError:  # somebody took a number at that very moment; now it is to be seen
        tokens = journal.write(stored)
    _keep_late([one for one, made in fresh if made.token not in tokens])


def _keep_late(cases: list[_Case]) -> None:
    """Those whose number somebody took while they were drawn."""
    if not cases:
        return
    with reading():
        earlier = _earlier(one.item.id for one in cases)
    for one in cases:
        one.outcome = earlier.get(one.item.document_id, FAILED)
    _keep(cases)


Made = list[tuple[_Case, Dispatch]]


def _sorted(cases: list[_Case]) -> tuple[Made, Made, list[_Case]]:
    """Those with a new dispatch, those with one of this batch that is stored, and the rest."""
    fresh: Made = []
    known: Made = []
    left: list[_Case] = []
    for one in cases:
        made = one.outcome
        if not isinstance(made, Dispatch) or made.batch_id != one.item.batch_id:
            left.append(one)
        else:
            (known if made.id else fresh).append((one, made))
    return fresh, known, left


def _why_left(one: _Case) -> dict[str, object]:
    problem = one.outcome if isinstance(one.outcome, Problem) else ALONE
    return in_columns(one.document, one.found.choice, problem)


def _asked_by(item: BatchItem) -> str:
    return item.batch.completed_by.name if item.batch.completed_by else ""


def _mark_sent(items: list[tuple[BatchItem, int]]) -> None:
    if items:
        rows = [{"item": item.id, "made": made} for item, made in items]
        db.session.connection().execute(_SENT, rows)


def _settle(item: BatchItem, state: ItemState, **values: object) -> bool:
    """Settle an item once; False where another worker has."""
    settled = db.session.execute(
        update(BatchItem)
        .where(BatchItem.id == item.id, BatchItem.state == ItemState.PENDING)
        .values(state=state, lease_until=None, **values)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(settled) == 1


_ITEMS = cast("Table", BatchItem.__table__)
#: Only an item that nobody has settled: another worker may have been quicker.
_SENT = (
    update(_ITEMS)
    .where(_ITEMS.c.id == bindparam("item"), _ITEMS.c.state == ItemState.PENDING)
    .values(state=ItemState.SENT, lease_until=None, dispatch_id=bindparam("made"))
)
