"""Forecasting: when a batch will be done, by what its mailboxes may send, and what would help."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select

from portal import ledger, pace, spreading
from portal.batches.tables import Batch, BatchItem, ItemState
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import company

#: How many of a batch's items come from one address by one mailbox.
Groups = dict[tuple[str, int], int]
Loads = dict[int, pace.Load]


@dataclass(frozen=True)
class Outlook:
    """When a batch will be done. forecasts: by each mailbox that has to send, slowest first.

    shared: the addresses whose mail goes by several mailboxes. help: what further mailboxes that
    may send as `email` would change; None where all is done today, or little would change.
    if_shared: when it would be done through several mailboxes that may use its address, where the
    company keeps each batch in one; None where that is no sooner.
    """

    forecasts: list[pace.Forecast] = field(default_factory=list)
    done_by: datetime | None = None
    shared: list[str] = field(default_factory=list)
    email: str = ""
    help: pace.Help | None = None
    if_shared: datetime | None = None


def forecast(batch: Batch) -> list[pace.Forecast]:
    """By each mailbox that has to do with the batch, when it will be done; slowest first."""
    return outlook(batch).forecasts


def outlook(batch: Batch) -> Outlook:
    """When it will be done, and what would help; held mail waits for people, and counts nowhere."""
    moment, groups = now(), _unfrozen(batch)
    carriers = spreading.carriers(email for email, _ in groups)
    if company().share_batches:
        so_far, loads = _through(batch, groups, carriers, moment)
        return _with_help(batch, so_far, groups, loads, moment)
    so_far, _ = _through(batch, groups, {}, moment)
    if all(len(boxes) < 2 for boxes in carriers.values()):
        return so_far
    otherwise, _ = _through(batch, groups, carriers, moment)
    return replace(so_far, if_shared=otherwise.done_by if otherwise.shared else None)


def _through(
    batch: Batch, groups: Groups, carriers: dict[str, list[Mailbox]], moment: datetime
) -> tuple[Outlook, Loads]:
    """When it is done where what is to be frozen yet is shared by these, and who does what."""
    loads = _loads(batch, groups, _frozen(batch), carriers)
    shared = [
        email
        for (email, box_id), count in groups.items()
        if _hand_out(loads, _ways(carriers.get(email, []), box_id), count, moment)
    ]
    found = [pace.forecast(one, moment) for one in loads.values() if one.waiting]
    slowest_first = sorted(found, key=lambda one: (one.done_by, one.waiting), reverse=True)
    return Outlook(slowest_first, pace.done_by(found), sorted(set(shared))), loads


# -- what waits ------------------------------------------------------------------------------------


def _unfrozen(batch: Batch) -> Groups:
    """What is to be frozen still, by the address and the mailbox that checking found."""
    waiting = BatchItem.state.in_((ItemState.READY, ItemState.PENDING))
    by = func.lower(BatchItem.sender_email), BatchItem.mailbox_id
    query = select(*by, func.count()).where(BatchItem.batch_id == batch.id, waiting).group_by(*by)
    rows = db.session.execute(query)
    return {(email, box_id): count for email, box_id, count in rows if box_id is not None}


def _frozen(batch: Batch) -> dict[int, int]:
    """What is in the queue, by mailbox."""
    mine = Dispatch.batch_id == batch.id, _to_leave()
    query = select(Dispatch.mailbox_id, func.count()).where(*mine).group_by(Dispatch.mailbox_id)
    return {box_id: count for box_id, count in db.session.execute(query) if box_id is not None}


def _to_leave() -> ColumnElement[bool]:
    return Dispatch.state.in_((State.QUEUED, State.SUBMITTING))


def _ahead(batch: Batch, box_ids: Iterable[int]) -> dict[int, int]:
    """How many of others' messages go before, by mailbox: in the queue, or completed earlier."""
    ids = list(box_ids)
    others = Dispatch.batch_id.is_distinct_from(batch.id)
    queued = select(Dispatch.mailbox_id, func.count()).group_by(Dispatch.mailbox_id)
    earlier = select(BatchItem.mailbox_id, func.count()).group_by(BatchItem.mailbox_id)
    pending = BatchItem.state == ItemState.PENDING, BatchItem.batch_id < batch.id
    found: dict[int, int] = {}
    for query in (
        queued.where(Dispatch.mailbox_id.in_(ids), others, _to_leave()),
        earlier.where(BatchItem.mailbox_id.in_(ids), *pending),
    ):
        for box_id, count in db.session.execute(query):
            if box_id is not None:
                found[box_id] = found.get(box_id, 0) + count
    return found


def _recipients_each(batch: Batch) -> float:
    """How many people one of its messages goes to, on average."""
    to, cc = (func.json_array_length(one) for one in (BatchItem.to, BatchItem.cc))
    query = select(func.avg(to + cc)).where(BatchItem.batch_id == batch.id, BatchItem.size > 0)
    return float(db.session.scalar(query) or 1)


# -- who sends it ----------------------------------------------------------------------------------


def _loads(
    batch: Batch, groups: Groups, frozen: dict[int, int], carriers: dict[str, list[Mailbox]]
) -> Loads:
    ids = {box_id for _, box_id in groups} | set(frozen)
    ids |= {box.id for boxes in carriers.values() for box in boxes}
    if not ids:
        return {}
    ahead, each = _ahead(batch, ids), _recipients_each(batch)
    found = {}
    for box in db.session.scalars(select(Mailbox).where(Mailbox.id.in_(ids))):
        task = ledger.task(box, frozen.get(box.id, 0), ahead.get(box.id, 0))
        found[box.id] = replace(task, limits=task.limits.at(each))
    return ledger.with_days(found, _may_come(groups, carriers))


def _may_come(groups: Groups, carriers: dict[str, list[Mailbox]]) -> dict[int, int]:
    """How many messages may be handed out to each mailbox, at most."""
    most: dict[int, int] = {}
    for (email, box_id), count in groups.items():
        for one in _ways(carriers.get(email, []), box_id):
            most[one] = most.get(one, 0) + count
    return most


def _ways(carriers: list[Mailbox], box_id: int) -> list[int]:
    """The mailboxes that share what was checked for one of them, which comes first."""
    ids = [one.id for one in carriers]
    return [box_id, *(one for one in ids if one != box_id)] if box_id in ids else [box_id]


def _hand_out(loads: Loads, ways: list[int], count: int, moment: datetime) -> bool:
    """Add so many messages to what the mailboxes have to do; whether several share them."""
    before = {one: loads[one] for one in ways}
    first = ways[0]
    given = [
        replace(load, ahead=load.ahead + load.waiting, waiting=count if one == first else 0)
        for one, load in before.items()
    ]
    shares = pace.evened(given, moment)
    for one in shares:
        known = before[one.mailbox_id]
        loads[one.mailbox_id] = replace(known, waiting=known.waiting + one.waiting)
    return sum(one.waiting > 0 for one in shares) > 1


# -- what would help -------------------------------------------------------------------------------


def _with_help(
    batch: Batch, outlook: Outlook, groups: Groups, loads: Loads, moment: datetime
) -> Outlook:
    """The same with what further mailboxes would change, where it is not done today."""
    tonight = _tonight(moment)
    if outlook.done_by is None or outlook.done_by <= tonight:
        return outlook
    slowest = outlook.forecasts[0].mailbox_id
    box = db.session.get_one(Mailbox, slowest)
    email = _address_of(batch, groups, slowest)
    if box.owner_id is not None or not email:  # nobody else's mail goes by somebody's own mailbox
        return outlook
    mine = set(_ways(spreading.carriers([email]).get(email, []), slowest))
    sharing = {one.mailbox_id: one for one in loads.values() if one.mailbox_id in mine}
    all_of_it = sum(one.waiting for one in sharing.values())
    known = ledger.with_days(sharing, dict.fromkeys(sharing, all_of_it))
    help_ = pace.help_from(list(known.values()), loads[slowest].limits, moment, tonight)
    if help_ is None:
        return outlook
    others = [one for one in loads.values() if one.mailbox_id not in mine]
    done_by = max(help_.done_by, pace.last(others, moment))
    better = replace(help_, done_by=done_by, in_time=done_by <= tonight)
    return replace(outlook, email=email, help=better if done_by < outlook.done_by else None)


def _address_of(batch: Batch, groups: Groups, box_id: int) -> str:
    """The address that most of what a mailbox has to send of a batch comes from."""
    counts = {email: count for (email, one), count in groups.items() if one == box_id}
    if counts:
        return max(counts, key=lambda email: counts[email])
    mine = Dispatch.batch_id == batch.id, Dispatch.mailbox_id == box_id, _to_leave()
    query = select(func.lower(Dispatch.from_email)).where(*mine).limit(1)
    return db.session.scalar(query) or ""


def _tonight(moment: datetime) -> datetime:
    """The end of today, where the company is."""
    zone = ZoneInfo(company().time_zone)
    tomorrow = moment.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone)
