"""Waiting: what of the completed batches has not left yet, as counts by mailbox."""

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import func, or_, select

from portal.batches.tables import Batch, BatchItem, BatchStatus, ItemState
from portal.dispatch import OPEN_STATES, Dispatch, State
from portal.extensions import db

#: So many batches the Outbox shows; nobody completes more at once.
MOST = 50


@dataclass(frozen=True)
class Waiting:
    """One batch's mail of one mailbox: how many stand where. pending are not frozen yet.

    mailbox_id is None where no mailbox may carry it yet.
    """

    batch: Batch
    mailbox_id: int | None
    counts: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    @property
    def to_leave(self) -> int:
        """How many will leave by themselves."""
        return self[ItemState.PENDING] + self[State.QUEUED] + self[State.SUBMITTING]

    @property
    def total(self) -> int:
        """How many of the batch this mailbox has, or had, to send."""
        return sum(self.counts.values())


def still_waiting() -> list[Waiting]:
    """Each completed batch of which something has not left, mailbox by mailbox; oldest first."""
    open_still = select(Dispatch.id).where(
        Dispatch.batch_id == Batch.id, Dispatch.state.in_(OPEN_STATES)
    )
    pending = select(BatchItem.id).where(
        BatchItem.batch_id == Batch.id, BatchItem.state == ItemState.PENDING
    )
    query = select(Batch).where(Batch.status == BatchStatus.COMPLETED)
    query = query.where(or_(open_still.exists(), pending.exists())).order_by(Batch.id).limit(MOST)
    return [one for batch in db.session.scalars(query).unique() for one in _by_mailbox(batch)]


def _by_mailbox(batch: Batch) -> list[Waiting]:
    found: defaultdict[int | None, dict[str, int]] = defaultdict(dict)
    sent = select(Dispatch.mailbox_id, Dispatch.state, func.count())
    sent = sent.where(Dispatch.batch_id == batch.id)
    for mailbox_id, state, count in db.session.execute(
        sent.group_by(Dispatch.mailbox_id, Dispatch.state)
    ):
        found[mailbox_id][state] = count
    pending = select(BatchItem.mailbox_id, func.count()).where(
        BatchItem.batch_id == batch.id, BatchItem.state == ItemState.PENDING
    )
    for mailbox_id, count in db.session.execute(pending.group_by(BatchItem.mailbox_id)):
        found[mailbox_id][ItemState.PENDING] = count
    made = [Waiting(batch, mailbox_id, counts) for mailbox_id, counts in found.items()]
    return [one for one in made if one.to_leave or one[State.HELD] or one[State.UNKNOWN]]
