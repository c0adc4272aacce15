"""Queues: everything the Outbox shows of what waits: in which group, why, and until when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import url_for
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from portal import dispatch, instance, ledger, mailboxes, pace
from portal.batches import Waiting
from portal.dispatch import Dispatch, Lane, State, waiting
from portal.dispatch.waiting import Group, Rest, Resting, Stretch
from portal.mailboxes import Mailbox
from portal.web.context import clock, stuck_in_queue
from portal.web.guard import whom_to_ask

#: What leaves sooner is not worth a time of its own.
SOON = timedelta(seconds=90)
#: How what waits is called, and what becomes of it; a queue is called by its mailbox.
TITLES = {
    Group.UNDO: ("Can still be taken back", "Each leaves by itself when its time is over."),
    Group.HELD: ("On hold", "Each leaves by itself once what it says is put right."),
    Group.PERSON: (
        "Held by hand, or waiting for your word",
        "Each waits until somebody lets it go.",
    ),
    Group.UNCLEAR: (
        "Unclear",
        "The answer got lost. The portal looks for what became of each, and sends none twice.",
    ),
}


#: What somebody may have to do something about stands before what leaves by itself.
ORDER = (Group.UNDO, Group.UNCLEAR, Group.HELD, Group.PERSON, Group.QUEUE)


@dataclass(frozen=True)
class Wanted:
    """Which part of the Outbox: all of it, or one group further on."""

    group: Group | None = None
    mailbox_id: int = 0
    after: str = ""

    @classmethod
    def read(cls, args: MultiDict[str, str]) -> "Wanted":
        """What an address names; what cannot be read is everything."""
        if args.get("show") not in set(Group):
            return cls()
        return cls(Group(args["show"]), args.get("mailbox", 0, int), args.get("after", ""))

    @property
    def every_queue(self) -> bool:
        """Whether it is the queues of all mailboxes, further on."""
        return self.group is Group.QUEUE and not self.mailbox_id

    @property
    def with_batches(self) -> bool:
        """Whether batches are counted there: further on they are not counted once more."""
        return self.group is None or self.every_queue or (self.mailbox_id > 0 and not self.after)

    def address(self, seen: str | None = None) -> str:
        """Where it stands; seen: the stamp of what is known of it."""
        box, after = self.mailbox_id or None, self.after or None
        return url_for("outbox.index", show=self.group, mailbox=box, after=after, seen=seen)


@dataclass(frozen=True)
class Row:
    """One message that waits. state is how its status looks, label what it says, more what is known
    besides; left counts down while it can be taken back. mine: this person may decide about it.

    look: its own page says what to do.
    """

    one: Dispatch
    state: str
    label: str
    more: str = ""
    left: int | None = None
    mine: bool = False
    look: bool = False


@dataclass(frozen=True)
class Line:
    """One batch's part: how many of it wait here, and until when."""

    of: Waiting
    count: int
    done_by: datetime | None = None


@dataclass(frozen=True)
class Section:
    """The rows of one group, or of one mailbox's queue; more: the address of what follows."""

    group: Group
    title: str
    about: str
    rows: list[Row]
    lines: list[Line] = field(default_factory=list)
    more: str = ""
    box: Mailbox | None = None
    resting: Resting = field(default_factory=lambda: Resting(Rest.GOES_ON))

    @property
    def tickable(self) -> bool:
        return any(row.mine for row in self.rows)


@dataclass(frozen=True)
class Strip:
    """What of the Outbox stands on the home page."""

    undo: int
    queue: int
    person: int

    @property
    def any(self) -> bool:
        return bool(self.undo or self.queue or self.person)


def strip() -> Strip:
    """How many can be taken back, wait, or are held by hand; more than 1,000 are not counted."""
    undo, queued = waiting.count(Group.UNDO), waiting.in_queue()
    queue = queued if queued > waiting.MOST_COUNTED else queued - undo
    return Strip(undo, max(0, queue), waiting.count(Group.PERSON))


def sections(
    wanted: Wanted, lines: list[Waiting], moment: datetime, *, queues: bool = True
) -> list[Section]:
    """What waits, group by group: what needs somebody first, then what leaves by itself.

    lines: what of batches has not left; queues: whether the mailboxes' queues are wanted.
    """
    found: list[Section] = []
    for group in [wanted.group] if wanted.group else ORDER:
        if group is Group.QUEUE and not queues:
            continue
        if group is Group.QUEUE:
            found += _queues(lines, wanted, moment)
        else:
            found += _group(group, lines, wanted.after, moment)
    return found


def rhythm(found: list[Section], moment: datetime, *, moving: bool = False) -> int:
    """How soon to look again, in seconds; moving: something else is leaving."""
    rows = [row.one for section in found for row in section.rows]
    ages = [moment - max(one.state_since, one.queued_at) for one in rows]
    if any(section.lines for section in found):
        ages.append(timedelta(minutes=1))
    at_work = moving or any(
        one.rows and one.group is Group.QUEUE and one.resting.why is Rest.GOES_ON for one in found
    )
    return waiting.rhythm(
        min(ages, default=None),
        counting=any(one.group is Group.UNDO for one in found),
        moving=at_work and not stuck_in_queue(),
    )


def why_not_yet(one: Dispatch, moment: datetime) -> str:
    """What keeps one in the queue from leaving at once, and until when; "" where nothing does."""
    box = one.mailbox
    if box is None or one.state != State.QUEUED:
        return ""
    rests = resting(box, moment, everything=not instance.may_send())
    if rests.why is not Rest.GOES_ON:
        return about(box, rests)
    if stuck_in_queue():
        return "The sending service cannot be reached just now. It leaves once that is back."
    lane = Lane.BATCH if one.lane == Lane.BATCH else Lane.PERSON
    at = ledger.expected(box, waiting.ahead_of(one), lane)
    return f"It waits its turn: expected at {clock(at)}." if at > moment + SOON else ""


# -- one by one ----------------------------------------------------------------------------------


def _group(group: Group, lines: list[Waiting], after: str, moment: datetime) -> Iterator[Section]:
    found = waiting.stretch(group, None, after)
    counted = ((one, _held_or_unclear(one, group)) for one in lines)
    batched = [Line(one, count) for one, count in counted if count]
    if found.rows or batched:
        rows = [_row(one, group, moment) for one in found.rows]
        yield Section(group, *TITLES[group], rows, batched, _further(Wanted(group), found))


def _held_or_unclear(line: Waiting, group: Group) -> int:
    """How many of a batch are in a group; what no mailbox may carry yet will be on hold."""
    if group is Group.HELD:
        return line[State.HELD] + (line.to_leave if line.mailbox_id is None else 0)
    return line[State.UNKNOWN] if group is Group.UNCLEAR else 0


def _row(one: Dispatch, group: Group, moment: datetime) -> Row:
    mine = dispatch.may_decide(one, current_user)
    match group:
        case Group.UNDO:
            left = waiting.undo_left(one.not_before, moment) or 0
            label = _countdown(one, f"{left} s" if left else "a moment")
            return Row(one, "queued", label, left=left, mine=mine)
        case Group.PERSON:
            more = f"{only_a_manager(one)} Since {clock(one.state_since)}.".lstrip()
            return Row(one, "held", one.state_note, more, mine=mine)
        case Group.HELD:
            return Row(one, "held", "On hold", one.state_note, mine=mine, look=True)
    if one.needs_person:
        return Row(one, "unknown", "Somebody must look", one.state_note, look=True)
    again = f"Looked at again at {clock(one.settle_after)}." if one.settle_after else ""
    return Row(one, "unknown", "Unclear, checking", again)


def only_a_manager(one: Dispatch) -> str:
    """That what a manager holds is not this person's to decide, and who does; else ""."""
    if current_user.is_manager or not one.held_by_manager:
        return ""
    return f"Only a manager can let it go or cancel it: ask {whom_to_ask()}."


def _countdown(one: Dispatch, left: str) -> str:
    """What happens when the time is over: it leaves, unless a person holds its mailbox or all."""
    held = one.mailbox is not None and one.mailbox.held_at is not None
    leaves = instance.may_send() and not held
    return f"Leaves in {left}" if leaves else f"Can be taken back for {left}"


def _further(wanted: Wanted, found: Stretch) -> str:
    further = Wanted(wanted.group, wanted.mailbox_id, found.after)
    return further.address() if found.after else ""


# -- queues --------------------------------------------------------------------------------------


def _queues(lines: list[Waiting], wanted: Wanted, moment: datetime) -> Iterator[Section]:
    """One section for each mailbox with something in its queue, or that somebody holds."""
    everything = not instance.may_send()
    at_work = {one.mailbox_id for one in lines if one.to_leave}
    at_work.update(waiting.mailboxes_at_work())
    for box in mailboxes.all_mailboxes():
        if wanted.mailbox_id in (0, box.id) and (box.id in at_work or box.held_at):
            mine = [one for one in lines if one.mailbox_id == box.id and one.to_leave]
            queue = _queue(box, mine, wanted, moment, everything)
            if queue.rows or queue.lines or box.held_at or wanted.mailbox_id:
                yield queue


def _queue(
    box: Mailbox, lines: list[Waiting], wanted: Wanted, moment: datetime, everything: bool
) -> Section:
    found = waiting.stretch(Group.QUEUE, box.id, wanted.after if wanted.mailbox_id else "")
    sending = [] if wanted.after else waiting.handed_over_now(box.id)
    ahead = waiting.ahead_of(found.rows[0]) if found.rows else 0
    leaving = _departures(box, ahead, len(found.rows), bool(lines), moment)
    later = leaving[0] if leaving and leaving[0] > moment + SOON else None
    why = resting(box, moment, everything=everything, day_until=later)
    known = leaving if will_leave(box, why) else []
    return Section(
        Group.QUEUE,
        box.email,
        about(box, why),
        [*_sending(sending), *_in_line(found, ahead, known, moment, idle=not sending)],
        list(_batched(box, lines, ahead + len(found.rows), bool(known))),
        _further(Wanted(Group.QUEUE, box.id), found),
        box,
        why,
    )


def resting(
    box: Mailbox, moment: datetime, *, everything: bool, day_until: datetime | None = None
) -> Resting:
    return waiting.resting(
        moment,
        everything_held=everything,
        held=box.held_at is not None,
        paused_until=box.paused_until,
        day_until=day_until,
    )


def _departures(
    box: Mailbox, ahead: int, queued: int, batched: bool, moment: datetime
) -> list[datetime]:
    """When each of the first in its queue leaves, at the earliest; of batches alone, the first."""
    if not queued and not batched:
        return []
    lane = Lane.PERSON if queued else Lane.BATCH
    return pace.departures(ledger.load(box, queued or 1, ahead, lane), moment)


def will_leave(box: Mailbox, why: Resting) -> bool:
    """Whether what waits leaves by itself, so that one can say when."""
    by_hand = why.why in (Rest.EVERYTHING, Rest.HELD)
    return box.can_send and not by_hand and not stuck_in_queue()


def about(box: Mailbox, why: Resting) -> str:
    """Why a mailbox rests, and until when, as one sentence."""
    until = clock(why.until)
    match why.why:
        case Rest.HELD:
            who = box.held_by.name if box.held_by else "Somebody"
            return f"{who} holds this mailbox since {clock(box.held_at)}."
        case Rest.PAUSED:
            return f"{box.pause_note} It goes on at {until}.".lstrip()
        case Rest.DAY:
            return f"It has sent what its provider allows in 24 hours. It goes on at {until}."
        case Rest.EVERYTHING:
            return "All mail waits: the line at the top of the page says why."
    return "" if box.can_send else box.why_not


def _sending(rows: list[Dispatch]) -> list[Row]:
    """What is being handed over. Of a batch it is not worth a row: it is gone in a moment."""
    by_hand = [one for one in rows if one.batch_id is None]
    return [Row(one, "submitting", "Sending", "It is being handed over.") for one in by_hand]


def _in_line(
    found: Stretch, ahead: int, leaving: list[datetime], moment: datetime, *, idle: bool
) -> Iterator[Row]:
    """What waits, each with its place and its time; idle: nothing else is being handed over."""
    for place, one in enumerate(found.rows, ahead + 1):
        at = leaving[place - 1] if place <= len(leaving) else None
        soon = idle and place == 1 and at is not None and at <= moment + SOON
        label = "About to leave" if soon else f"{_ordinal(place)} in line"
        more = f"Expected at {clock(at)}." if at and at > moment + SOON else ""
        yield Row(one, "queued", label, more, mine=dispatch.may_decide(one, current_user))


def _batched(box: Mailbox, lines: list[Waiting], ahead: int, known: bool) -> Iterator[Line]:
    """Batches go one after another, after what was sent by hand."""
    for one in lines:
        ahead += one.to_leave
        done_by = ledger.expected(box, ahead - 1) if known else None
        yield Line(one, one.to_leave, done_by)


def _ordinal(place: int) -> str:
    if place > waiting.MOST_COUNTED:
        return f"Beyond {waiting.MOST_COUNTED:,}th"
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10)
    return f"{place:,}{ending or 'th'}"
