"""Results: how far a completed batch has come, and what became of each document."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from portal.accounts import User
from portal.batches import drafts
from portal.batches.drafts import NotNow
from portal.batches.forecasting import Outlook, outlook
from portal.batches.groups import items
from portal.batches.tables import Batch, BatchItem, BatchStatus, ItemState
from portal.columns import now
from portal.dispatch import STATES, Dispatch, State
from portal.documents import Document
from portal.documents.status import UNSENT
from portal.extensions import db
from portal.people import company

#: The results that another batch can put right.
FAILURES = (State.REFUSED, State.RETURNED, State.CANCELLED, ItemState.LEFT)
#: The pace that is shown is that of the last so many minutes.
RECENT = timedelta(minutes=5)
#: What was not sent is told on the home page for so long.
WEEKS = timedelta(days=14)
#: What a cell begins with that a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
HEADINGS = (
    "Number",
    "Customer",
    "Property",
    "Total",
    "Currency",
    "Result",
    "What happened",
    "Sent from",
    "Why from there",
    "To",
    "Cc",
    "Accepted at",
)
ROWS = 500


@dataclass(frozen=True)
class Progress:
    """How far a completed batch has come.

    frozen: made into mails that can no longer change; left: not sent, because something changed or
    was lacking. accepted, held, failed (could not send, came back, cancelled), moving (in queue,
    sending, unclear). per_minute: how many were taken a minute lately; outlook: when it will be
    done, empty when it is.
    """

    total: int
    frozen: int
    left: int
    accepted: int
    held: int
    failed: int
    moving: int
    per_minute: float
    outlook: Outlook

    @property
    def done_by(self) -> datetime | None:
        """None when done, or where nothing can be said."""
        return self.outlook.done_by

    @property
    def pending(self) -> int:
        """Not frozen yet."""
        return self.total - self.frozen - self.left

    @property
    def finished(self) -> bool:
        """Whether nothing will change by itself any more, except what is on hold."""
        return self.pending == 0 and self.moving == 0


@dataclass(frozen=True)
class Results:
    """What became of a batch's documents, as counts; items(batch, name) lists each.

    The names: pending (not frozen yet), queued, submitting, accepted, held, refused, unknown,
    returned, cancelled (of the dispatch) and left (nothing was sent).
    """

    total: int
    counts: dict[str, int]
    retries: list[Batch]

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    @property
    def failures(self) -> int:
        """How many retry() would take up."""
        return sum(self[name] for name in FAILURES)


def progress(batch: Batch) -> Progress:
    """How far it has come."""
    found = _counts(batch)
    failed = sum(found.get(one, 0) for one in (State.REFUSED, State.RETURNED, State.CANCELLED))
    moving = sum(found.get(one, 0) for one in (State.QUEUED, State.SUBMITTING, State.UNKNOWN))
    left, pending = found.get(ItemState.LEFT, 0), found.get(ItemState.PENDING, 0)
    total = sum(found.values())
    return Progress(
        total=total,
        frozen=total - left - pending,
        left=left,
        accepted=found.get(State.ACCEPTED, 0),
        held=found.get(State.HELD, 0),
        failed=failed,
        moving=moving,
        per_minute=_per_minute(batch),
        outlook=outlook(batch) if pending or moving else Outlook(),
    )


def _counts(batch: Batch) -> dict[str, int]:
    """How many items stand where: their dispatch's state, or their own until they have one."""
    stands = func.coalesce(Dispatch.state, BatchItem.state)
    query = select(stands, func.count()).select_from(BatchItem)
    query = query.outerjoin(Dispatch, Dispatch.id == BatchItem.dispatch_id)
    query = query.where(BatchItem.batch_id == batch.id).group_by(stands)
    return {row[0]: row[1] for row in db.session.execute(query)}


def _per_minute(batch: Batch) -> float:
    """How many the provider took a minute lately; 0 where it took none."""
    moment = now()
    lately = (Dispatch.batch_id == batch.id, Dispatch.accepted_at > moment - RECENT)
    query = select(func.count(), func.min(Dispatch.accepted_at)).where(*lately)
    count, first = db.session.execute(query).one()
    if first is None:
        return 0.0
    return count / max((moment - first) / timedelta(minutes=1), 1)


def results(batch: Batch) -> Results:
    """The result sheet's counts, and the batches that tried its failures again."""
    found = _counts(batch)
    again = select(Batch).where(Batch.retry_of_id == batch.id).order_by(Batch.id)
    return Results(sum(found.values()), found, list(db.session.scalars(again)))


def unfinished() -> list[tuple[Batch, int]]:
    """Batches of the last weeks of which something was not sent and still waits for somebody."""
    recent = (Batch.status == BatchStatus.COMPLETED, Batch.completed_at > now() - WEEKS)
    waiting = (
        BatchItem.state == ItemState.LEFT,
        Document.batch_id == Batch.id,
        Document.email_status.in_(UNSENT),
    )
    query = (
        select(Batch.id, func.count())
        .join(BatchItem, BatchItem.batch_id == Batch.id)
        .join(Document, Document.id == BatchItem.document_id)
        .where(*recent, *waiting)
        .group_by(Batch.id)
        .order_by(Batch.id.desc())
    )
    return [(db.session.get_one(Batch, row[0]), row[1]) for row in db.session.execute(query)]


def retry(batch: Batch, user: User) -> Batch:
    """A new draft of what could not be sent, came back, was cancelled or left. Commits.

    Raises NotNow where there is nothing to try again.
    """
    if batch.is_draft:
        raise NotNow("This batch was not completed yet, so there is nothing to try again.")
    wanted = (
        select(BatchItem.document_id)
        .outerjoin(Dispatch, Dispatch.id == BatchItem.dispatch_id)
        .where(
            BatchItem.batch_id == batch.id,
            func.coalesce(Dispatch.state, BatchItem.state).in_(FAILURES),
        )
    )
    again = drafts.start(f"{batch.name}, again", user, batch.kind, batch.id)
    filled = drafts.put_in(again, wanted, user)
    if not filled.added:
        db.session.rollback()
        raise NotNow(
            "There is nothing to try again: all of it was sent meanwhile, or is in another batch."
        )
    db.session.commit()
    return again


# -- as a table ------------------------------------------------------------------------------------


def table(batch: Batch) -> Iterator[list[str]]:
    """Rows for a CSV file, headings first; no cell can be taken for a formula."""
    yield list(HEADINGS)
    zone = ZoneInfo(company().time_zone)
    after = 0
    while stretch := items(batch, after=after, limit=ROWS):
        for item in stretch:
            yield [safe(cell) for cell in _cells(item, zone)]
        after = stretch[-1].id


def safe(cell: str) -> str:
    """The cell as text: a spreadsheet takes what begins with an apostrophe for nothing else."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _cells(item: BatchItem, zone: ZoneInfo) -> Iterator[str]:
    document, made = item.document, item.dispatch
    yield from (document.number, document.contact.name)
    yield document.property_.name if document.property_ else ""
    yield from (f"{document.total:.2f}", document.currency)
    yield STATES[State(made.state)].label if made else OWN_WORDS[ItemState(item.state)]
    yield " ".join((made.state_note if made else f"{item.problem} {item.hint}").split())
    yield from (made.from_email, made.reason) if made else (item.sender_email, item.reason)
    yield ", ".join(made.to if made else item.to)
    yield ", ".join(made.cc if made else item.cc)
    accepted = made.accepted_at if made else None
    yield f"{accepted.astimezone(zone):%Y-%m-%d %H:%M}" if accepted else ""


#: What a table says of an item without a dispatch.
OWN_WORDS = {
    ItemState.UNCHECKED: "Not checked yet",
    ItemState.READY: "Ready",
    ItemState.WAITS: "Ready, its sender is not",
    ItemState.BLOCKED: "Not ready",
    ItemState.PENDING: "Being prepared",
    ItemState.SENT: "Sent",
    ItemState.LEFT: "Not sent",
}
