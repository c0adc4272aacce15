"""Checking: what each document of a draft comes to, stored, so that everybody sees the same."""

from dataclasses import dataclass

from sqlalchemy import func, select, update

from portal import policy
from portal.accounts import User
from portal.batches.drafts import branches_of, covers_several, reread, touch_draft, uncheck
from portal.batches.groups import PROBLEM, SENDER
from portal.batches.judging import Judge, cautions_about, loaded
from portal.batches.tables import Batch, BatchItem, BatchStatus, ItemState
from portal.columns import now
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import company
from portal.senders import Mode
from portal.stores import rows_changed


@dataclass(frozen=True)
class Checked:
    """How far checking has come."""

    done: int
    total: int

    @property
    def finished(self) -> bool:
        return self.done >= self.total


@dataclass(frozen=True)
class SenderCount:
    """What one address is to send. reason and problem are those of one of its items.

    waits: how many of them would be on hold. group: what items() takes.
    """

    email: str
    name: str
    mailbox_id: int | None
    mailbox_email: str
    count: int
    waits: int
    reason: str
    problem: str

    @property
    def group(self) -> str:
        return SENDER + self.email


@dataclass(frozen=True)
class ProblemCount:
    """How many items have one problem, in the words of the first of them.

    state: blocked or waits, or ready where it is but a remark. group: what items() takes.
    """

    code: str
    state: str
    count: int
    problem: str
    hint: str
    fix: str

    @property
    def group(self) -> str:
        return PROBLEM + self.code


@dataclass(frozen=True)
class Summary:
    """What a draft comes to. size: bytes that will leave; branches: how many it covers.

    company_only: whether the company's rule takes over, because of the branches.
    """

    total: int
    unchecked: int
    ready: int
    waits: int
    blocked: int
    size: int
    branches: int
    company_only: bool
    senders: list[SenderCount]
    problems: list[ProblemCount]

    @property
    def sendable(self) -> int:
        """How many the button sends; the waiting ones will be on hold."""
        return self.ready + self.waits


# -- checking --------------------------------------------------------------------------------------


def check(batch: Batch, user: User, size: int = 500) -> Checked:
    """Check the next so many unchecked items as this person's sending, and store it. Commits.

    To be called until it is finished. Does nothing to a completed batch.
    """
    if batch.is_draft:
        _check_as(batch, user)
        unchecked = _unchecked(batch, size)
        if unchecked:
            _store(batch, _rows(batch, user, unchecked))
        db.session.commit()
    return _come_so_far(batch)


def check_again(batch: Batch) -> None:
    """Let everything be checked anew, by the settings of now. Raises NotNow. Commits."""
    touch_draft(batch)
    batch.mixed = company().mixed_batches
    uncheck(BatchItem.batch_id == batch.id)
    db.session.commit()


def _check_as(batch: Batch, user: User) -> None:
    """Where a rule asks who presses Send, what was checked for somebody else says nothing."""
    if batch.checked_by_id == user.id:
        return
    if batch.checked_by_id is not None and depends_on_person():
        uncheck(BatchItem.batch_id == batch.id)
    db.session.execute(
        update(Batch)
        .where(Batch.id == batch.id)
        .values(checked_by_id=user.id)
        .execution_options(synchronize_session=False)
    )
    reread(batch)


def depends_on_person() -> bool:
    """Whether any rule looks at who presses Send."""
    return any(one.mode is Mode.USER for one in policy.rules())


def _unchecked(batch: Batch, size: int) -> dict[int, int]:
    """The next unchecked items, with the document of each."""
    query = select(BatchItem.id, BatchItem.document_id)
    query = query.where(BatchItem.batch_id == batch.id, BatchItem.state == ItemState.UNCHECKED)
    return {row[0]: row[1] for row in db.session.execute(query.order_by(BatchItem.id).limit(size))}


def _rows(batch: Batch, user: User, unchecked: dict[int, int]) -> list[dict[str, object]]:
    documents = loaded(unchecked.values())
    cautions = cautions_about(documents.values())
    judge = Judge(user, company_only=company_only(batch), cautions=cautions)
    found = [(item_id, documents[one]) for item_id, one in unchecked.items()]
    return [{"id": item_id, **judge.row(document)} for item_id, document in found]


def company_only(batch: Batch) -> bool:
    """Whether the company's rule takes over, because the batch covers several branches.

    Completing settles it: of a completed batch, mixed says "company" only if it did.
    """
    return batch.mixed == "company" and (not batch.is_draft or covers_several(batch))


def _store(batch: Batch, rows: list[dict[str, object]]) -> None:
    """Keep what was found, unless somebody has completed or emptied the batch meanwhile."""
    touched = db.session.execute(
        update(Batch)
        .where(Batch.id == batch.id, Batch.status == BatchStatus.DRAFT)
        .values(version=Batch.version + 1, checked_at=now())
        .execution_options(synchronize_session=False)
    )
    if rows_changed(touched):
        db.session.execute(update(BatchItem), rows)
    db.session.flush()
    reread(batch)


def _come_so_far(batch: Batch) -> Checked:
    open_ = func.count().filter(BatchItem.state == ItemState.UNCHECKED)
    query = select(func.count(), open_).where(BatchItem.batch_id == batch.id)
    total, left = db.session.execute(query).one()
    return Checked(total - left, total)


# -- what it comes to ------------------------------------------------------------------------------


def summary(batch: Batch) -> Summary:
    """The counts that pre-flight shows."""
    query = select(BatchItem.state, func.count(), func.sum(BatchItem.size))
    query = query.where(BatchItem.batch_id == batch.id).group_by(BatchItem.state)
    found = {state: (count, int(size)) for state, count, size in db.session.execute(query)}
    counts = {state: found.get(state, (0, 0))[0] for state in ItemState}
    leaving = (ItemState.READY, ItemState.WAITS)
    branches = branches_of(batch)
    return Summary(
        total=sum(counts.values()),
        unchecked=counts[ItemState.UNCHECKED],
        ready=counts[ItemState.READY],
        waits=counts[ItemState.WAITS],
        blocked=counts[ItemState.BLOCKED],
        size=sum(found.get(state, (0, 0))[1] for state in leaving),
        branches=branches,
        company_only=batch.mixed == "company" and branches > 1,
        senders=_senders(batch),
        problems=_problems(batch),
    )


def _senders(batch: Batch) -> list[SenderCount]:
    """The addresses that what can be sent will come from, the busiest first."""
    waits = func.count().filter(BatchItem.state == ItemState.WAITS)
    sendable = BatchItem.state.in_((ItemState.READY, ItemState.WAITS))
    query = (
        select(
            BatchItem.sender_email,
            func.min(BatchItem.sender_name),
            BatchItem.mailbox_id,
            func.min(func.coalesce(Mailbox.email, "")),
            func.count(),
            waits,
            func.min(BatchItem.reason),
            func.max(BatchItem.problem).filter(BatchItem.state == ItemState.WAITS),
        )
        .outerjoin(Mailbox, Mailbox.id == BatchItem.mailbox_id)
        .where(BatchItem.batch_id == batch.id, sendable)
        .group_by(BatchItem.sender_email, BatchItem.mailbox_id)
        .order_by(func.count().desc(), BatchItem.sender_email)
    )
    return [SenderCount(*row[:7], row[7] or "") for row in db.session.execute(query)]


def _problems(batch: Batch) -> list[ProblemCount]:
    """What is wrong, the most frequent first; what keeps items back before mere remarks."""
    known = (BatchItem.state != ItemState.UNCHECKED, BatchItem.problem_code != "")
    query = (
        select(func.min(BatchItem.id), func.count())
        .where(BatchItem.batch_id == batch.id, *known)
        .group_by(BatchItem.problem_code, BatchItem.state)
    )
    counts = {row[0]: row[1] for row in db.session.execute(query)}
    firsts = db.session.scalars(select(BatchItem).where(BatchItem.id.in_(counts)))
    order = [ItemState.BLOCKED, ItemState.LEFT, ItemState.WAITS]
    found = [
        ProblemCount(one.problem_code, one.state, counts[one.id], one.problem, one.hint, one.fix)
        for one in firsts
    ]
    return sorted(
        found, key=lambda one: (one.state not in order[:2], one.state not in order, -one.count)
    )
