"""Overview: the Outbox where many mailboxes have something to send: a line for each of them and for
each batch, and of the messages themselves only one's own. A mailbox's queue is behind its line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from flask import url_for
from flask_login import current_user

from portal import instance, ledger, mailboxes, pace
from portal.batches import Waiting
from portal.dispatch import Lane, waiting
from portal.dispatch.waiting import Group, Rest, Resting
from portal.mailboxes import Mailbox
from portal.web import queues
from portal.web.queues import Line, Row, Wanted

#: Up to so many mailboxes' queues are shown one by one.
MANY = 6
#: So many lines stand on one page.
SHOWN = 25


@dataclass(frozen=True)
class Queue:
    """What waits for one mailbox: how many in all, how many of them from batches, and until when
    where that is known. load: what the mailbox has to do; about: why it rests, if it does."""

    box: Mailbox
    load: pace.Load
    count: int
    batched: int
    resting: Resting
    about: str = ""
    done_by: datetime | None = None

    @property
    def rests(self) -> bool:
        return self.resting.why is not Rest.GOES_ON or not self.box.can_send

    @property
    def troubled(self) -> bool:
        """Whether it waits for a reason of its own, not only because everything is held."""
        alone = self.resting.why not in (Rest.GOES_ON, Rest.EVERYTHING)
        return alone or bool(self.box.held_at) or self.box.is_paused or not self.box.can_send


@dataclass(frozen=True)
class Overview:
    """queues: a page of them; boxes: how many there are; count: what waits for all of them.

    own: what this person asked for. more: the address of the lines that follow.
    """

    queues: list[Queue]
    boxes: int
    count: int
    lines: list[Line] = field(default_factory=list)
    own: list[Row] = field(default_factory=list)
    more: str = ""

    @property
    def moving(self) -> bool:
        """Whether something is leaving."""
        return any(one.count and not one.rests for one in self.queues)


def read(wanted: Wanted, parts: list[Waiting], moment: datetime) -> Overview | None:
    """All queues at a glance; None where they are few, or something else is asked for.

    parts: what of batches has not left.
    """
    if wanted.group is not None and not wanted.every_queue:
        return None
    found = _queues(parts, moment)
    if len(found) <= MANY:
        return None
    first = int(wanted.after) if wanted.after.isdecimal() and len(wanted.after) < 6 else 0
    shown = found[first : first + SHOWN]
    rest = len(found) > first + SHOWN
    return Overview(
        shown,
        len(found),
        sum(one.count for one in found),
        [] if first else _lines(parts, found, moment),
        [] if first else _own(found),
        url_for("outbox.index", show=Group.QUEUE, after=first + SHOWN) if rest else "",
    )


def _own(found: Iterable[Queue]) -> list[Row]:
    rows = waiting.own(current_user.id, [one.box.id for one in found])
    return [Row(one, "queued", "In queue", mine=True) for one in rows]


def _queues(parts: list[Waiting], moment: datetime) -> list[Queue]:
    """By their address; first those that wait for a reason of their own, for somebody to act on."""
    boxes = {one.id: one for one in mailboxes.all_mailboxes()}
    everything = not instance.may_send()
    counts, batched = ledger.waiting_in(boxes), dict.fromkeys(boxes, 0)
    for part in parts:
        if part.mailbox_id in batched:
            batched[part.mailbox_id] += part.to_leave
            counts[part.mailbox_id] = counts.get(part.mailbox_id, 0) + part["pending"]
    busy = [one for one in boxes.values() if counts.get(one.id) or one.held_at]
    loads = _loads(busy, counts, batched)
    made = [
        _queue(one, counts.get(one.id, 0), batched[one.id], loads[one.id], moment, everything)
        for one in busy
    ]
    return sorted(made, key=lambda one: (not one.troubled, one.box.email, one.box.id))


def _loads(
    busy: list[Mailbox], counts: dict[int, int], batched: dict[int, int]
) -> dict[int, pace.Load]:
    tasks = {}
    for box in busy:
        lane = Lane.BATCH if batched[box.id] else Lane.PERSON
        tasks[box.id] = ledger.task(box, counts.get(box.id, 0), lane=lane)
    return ledger.with_days(tasks, {})


def _queue(
    box: Mailbox,
    count: int,
    batched: int,
    load: pace.Load,
    moment: datetime,
    everything: bool,
) -> Queue:
    by_hand = count > batched
    first = _first(load, moment, by_hand=by_hand)
    later = first if first > moment + queues.SOON else None
    why = queues.resting(box, moment, everything=everything, day_until=later)
    known = count and queues.will_leave(box, why)
    done_by = pace.end(load, moment) if known else None
    said = box.why_not if why.why is Rest.EVERYTHING else queues.about(box, why)
    return Queue(box, load, count, batched, why, said, done_by)


def _first(load: pace.Load, moment: datetime, *, by_hand: bool) -> datetime:
    """When the first of a queue leaves: what is sent by hand has all of the day."""
    limits = replace(load.limits, kept=0) if by_hand else load.limits
    return pace.end(replace(load, waiting=min(load.waiting, 1), limits=limits), moment)


def _lines(parts: list[Waiting], found: list[Queue], moment: datetime) -> list[Line]:
    """One for each batch, over all its mailboxes; done when the last of them is."""
    queue_of = {one.box.id: one for one in found}
    ahead = {one.box.id: one.count - one.batched for one in found}
    ends: dict[int, list[datetime | None]] = {}
    sums: dict[int, Waiting] = {}
    for part in parts:
        queue = queue_of.get(part.mailbox_id or 0)
        if queue is None or not part.to_leave:
            continue
        ahead[queue.box.id] += part.to_leave
        end = pace.end(replace(queue.load, waiting=ahead[queue.box.id]), moment)
        ends.setdefault(part.batch.id, []).append(end if queue.done_by else None)
        sums[part.batch.id] = _added(sums.get(part.batch.id), part)
    return [Line(one, one.to_leave, _last(ends[number])) for number, one in sums.items()]


def _added(before: Waiting | None, part: Waiting) -> Waiting:
    """A batch's counts over several mailboxes."""
    counts = dict(before.counts) if before else {}
    for state, count in part.counts.items():
        counts[state] = counts.get(state, 0) + count
    return Waiting(part.batch, None, counts)


def _last(ends: list[datetime | None]) -> datetime | None:
    known = [one for one in ends if one is not None]
    return max(known) if len(known) == len(ends) else None
