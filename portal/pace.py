"""Pace: when a mailbox may send what waits, by its provider's limits. Pure.

A provider counts units in any minute (each call costs some), and messages and recipients in any 24
hours, whatever was sent yesterday afternoon included. A Meter spends the one, a Day the other, and
departures() says of mail that waits when it will have left.
"""

import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Tariff:
    """What a provider counts for each of the calls the portal makes, in units.

    by_draft, at_once: the calls that hand over one message, by way of a draft or in one step;
    read: the call that reads a sent copy; discard: the one that deletes a draft. look, fetch: the
    calls that bring a page of what came in, and one message of it.
    """

    calls: Mapping[str, int]
    at_once: tuple[str, ...]
    by_draft: tuple[str, ...] = ()
    read: str = ""
    discard: str = ""
    look: str = ""
    fetch: str = ""

    def sending(self, *, drafts: bool) -> int:
        return sum(self.calls[one] for one in (self.by_draft if drafts else self.at_once))

    @property
    def reading(self) -> int:
        return self.calls[self.read] if self.read else 0

    @property
    def discarding(self) -> int:
        return self.calls[self.discard] if self.discard else 0

    @property
    def looking(self) -> int:
        return self.calls[self.look] if self.look else 0

    @property
    def fetching(self) -> int:
        return self.calls[self.fetch] if self.fetch else 0


#: Gmail's own units (guide "quota").
UNITS = {
    "messages.send": 100,
    "drafts.send": 100,
    "drafts.create": 10,
    "drafts.update": 15,
    "drafts.delete": 10,
    "drafts.get": 20,
    "drafts.list": 5,
    "messages.get": 20,
    "messages.list": 5,
    "settings.sendAs.list": 1,
    "history.list": 2,
    "getProfile": 1,
}
#: What one message comes to where the provider counts messages rather than units.
A_MESSAGE = 100
#: Exchange Online takes 30 messages a minute and 1,000 requests: 3,000 units of our own (Graph and
#: Exchange Online limits).
EXCHANGE = {
    "messages.create": 3,
    "messages.send": 97,
    "messages.get": 3,
    "messages.list": 3,
    "messages.update": 3,
    "messages.delete": 3,
    "attachments.upload": 3,
    "me.get": 3,
    "messages.delta": 3,
    "messages.value": 3,
}
TARIFFS = {
    "gmail": Tariff(
        UNITS,
        ("messages.send",),
        ("drafts.create", "drafts.send"),
        "messages.get",
        "drafts.delete",
        look="history.list",
        fetch="messages.get",
    ),
    "microsoft": Tariff(
        EXCHANGE,
        ("messages.create", "messages.send"),
        ("messages.create", "messages.send"),
        "messages.get",
        "messages.delete",
        look="messages.delta",
        fetch="messages.get",
    ),
    # A server's own limits are nobody's to know: one message is a hundred units.
    # Reading is another server's, and nobody counts it.
    "smtp": Tariff(
        {"send": A_MESSAGE, "look": 0, "fetch": 0}, ("send",), look="look", fetch="fetch"
    ),
}
#: Seconds that are counted as the provider's minute: calls arrive a little sooner or later than
#: they were meant to, and two that were booked further apart than this share no minute there.
MINUTE = 60.75
#: This part of a minute's units is left to calls that nobody books, such as a page that reads the
#: list of send-from addresses (one unit each).
SPARE = 0.005
#: The part of a minute's units that reading what comes in may take: while the mailbox sends, for
#: which it is kept free, and while it does not.
BESIDE_SENDING, WHILE_IDLE = 0.01, 1 / 3
#: What was not used may be caught up with, for so many seconds; more would come all at once.
CREDIT = 1.0
#: A pace that was stored further ahead than this comes from a clock that was wrong.
FURTHEST = 90.0
#: A meter that goes on from a stored moment does not know single calls: it counts them as so large.
STRETCH = 100
#: No mailbox is slowed below this by what was learned, in units a minute.
LEAST_UNITS = 600
#: The provider's refusal is believed for so long; then the pace is tried as configured again.
LEARNED_FOR = timedelta(days=1)


# -- the limits ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """What a provider lets one mailbox send: messages in a minute, and in any 24 hours.

    units: what may be spent in a minute; recipients: how many may be written to in any 24 hours, 0
    where nobody counts them; kept: so many of the day's messages and recipients are not for
    batches, so that a person's quote leaves on the day of a large batch too.
    """

    per_minute: int
    per_day: int
    units: int = 6000
    recipients: int = 0
    kept: int = 0

    def at(self, recipients_each: float) -> "Limits":
        """The limits of messages that go to so many people each."""
        if not self.recipients:
            return self
        fewer = math.floor(self.recipients / max(1.0, recipients_each))
        return replace(self, per_day=max(1, min(self.per_day, fewer)))


def per_minute(
    units_per_minute: int, *, drafts: bool, reads_back: bool, tariff: Tariff = TARIFFS["gmail"]
) -> int:
    """Messages a minute that the units allow: by way of a draft or not, read back or not."""
    each = tariff.sending(drafts=drafts) + (tariff.reading if reads_back else 0)
    return max(1, units_per_minute // each)


def kept_for_people(per_day: int, percent: float) -> int:
    """How many of a day's messages no batch may take: at least ten, and never more than half."""
    return min(max(10, math.ceil(per_day * percent / 100)), per_day // 2)


def slower(units: int) -> int:
    """What to try after the provider refused a pace of so many units a minute."""
    return min(units, max(LEAST_UNITS, units * 9 // 10))


def patience(attempt: int, after: float, *, exact: bool = False) -> float:
    """Seconds to keep away from a provider that said "not now" to an attempt (1, 2, ...).

    after: what it asked for, or what is usual. Obeyed where it is exact or long; otherwise the wait
    grows from two seconds, as nobody knows how soon it would do.
    """
    return after if exact or after > 30 else min(2.0 ** min(attempt, 6), after)


# -- spending --------------------------------------------------------------------------------------


class Meter:
    """The units of one mailbox's minutes, spent evenly, by several threads.

    Moments are seconds of any clock that runs evenly; the caller names now. free_at: until when
    what is booked is spent; kept by whoever works the mailbox and given to the next one. spent: at
    most so many units went in the minute before free_at; None says that any number may have.
    """

    def __init__(self, units: int, free_at: float | None = None, spent: int | None = None) -> None:
        self.units = units
        self._most = max(1, math.floor(units * (1 - SPARE)))
        self._rate = self._most / MINUTE
        self._booked: deque[tuple[float, int]] = deque()
        self._sum, self._last, self._seen = 0, -math.inf, -math.inf
        self._free_at = -math.inf if free_at is None else free_at
        self._before = self._most if spent is None else spent
        self._unsettled = free_at is not None
        self._lock = threading.Lock()

    @property
    def free_at(self) -> float:
        """Until when what is booked is spent: long ago where nothing was."""
        return self._free_at

    def reserve(self, units: int, now: float) -> float:
        """Book so many units; the moment at which they may be spent, now or later."""
        with self._lock:
            if self._unsettled or self._seen > now + FURTHEST:
                self._go_on(now)
            self._seen = now
            units = min(units, self._most)
            at = self._room_for(units, max(now, self._free_at - CREDIT, self._last))
            self._booked.append((at, units))
            self._sum += units
            self._last = at
            self._free_at = max(self._free_at, at) + units / self._rate
            return at

    def give_back(self, units: int) -> None:
        """Undo the newest bookings, of so many units: their calls were not made."""
        with self._lock:
            newest, left = self._last, min(units, self._most)
            while left > 0 and self._booked:
                _, booked = self._booked.pop()
                if booked > left:  # somebody else's, booked after: it stays, and as late as it was
                    self._booked.append((newest, booked - left))
                undone = min(booked, left)
                self._sum -= undone
                self._free_at -= undone / self._rate
                left -= undone

    def _room_for(self, units: int, at: float) -> float:
        """The first moment, from one on, at which no minute holds too much."""
        while self._booked and self._booked[0][0] <= at - MINUTE:
            self._sum -= self._booked.popleft()[1]
        while self._booked and self._sum + units > self._most:
            moment, spent = self._booked.popleft()
            self._sum -= spent
            at = max(at, moment + MINUTE)
        return at

    def _go_on(self, now: float) -> None:
        """Count what was spent before this meter, as late as free_at says that it can have been."""
        self._unsettled = False
        if self._free_at > now + FURTHEST:
            self._free_at, self._before = now, self._most
        self._booked.clear()
        self._last, self._sum = -math.inf, 0
        at = self._free_at
        while self._sum < min(self._before, self._most):
            units = min(STRETCH, min(self._before, self._most) - self._sum)
            self._booked.appendleft((at, units))
            self._sum += units
            at -= STRETCH / self._rate


class Day:
    """The messages and recipients of one mailbox's last 24 hours.

    messages, recipients: the most in any 24 hours (recipients 0: nobody counts them). kept: so many
    of each are for people. sent: when each message left, or when and to how many.
    """

    def __init__(
        self,
        messages: int,
        kept: int,
        sent: Iterable[datetime | tuple[datetime, int]] = (),
        recipients: int = 0,
    ) -> None:
        self._messages, self._kept, self._recipients = messages, kept, recipients
        known = (one if isinstance(one, tuple) else (one, 1) for one in sent)
        self._sent = deque(sorted(known))
        self._written_to = sum(count for _, count in self._sent)

    def opens_at(self, now: datetime, *, batch: bool, recipients: int = 1) -> datetime:
        """When the next message of a lane may leave, now or later; recipients: how many it has."""
        self._forget(now - DAY)
        kept = self._kept if batch else 0
        messages = len(self._sent) + 1 - (self._messages - kept)
        people = 0
        if self._recipients:
            people = self._written_to + recipients - (self._recipients - kept)
        opens = now
        for moment, count in self._sent:
            if messages <= 0 and people <= 0:
                break
            messages, people, opens = messages - 1, people - count, moment + DAY
        return opens

    def note(self, now: datetime, recipients: int = 1) -> None:
        """Another message leaves."""
        self._sent.append((now, recipients))
        self._written_to += recipients

    def left(self, now: datetime, *, batch: bool) -> int:
        """How many messages of a lane may still leave at once."""
        self._forget(now - DAY)
        return max(0, self._messages - (self._kept if batch else 0) - len(self._sent))

    def _forget(self, before: datetime) -> None:
        while self._sent and self._sent[0][0] <= before:
            self._written_to -= self._sent.popleft()[1]


# -- foreseeing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """What one mailbox has to do. ahead: messages that go before these; sent: when it sent the
    messages of the last 24 hours.

    opens_at: before then it sends nothing, because the provider asked for that.
    """

    mailbox_id: int
    mailbox_email: str
    waiting: int
    limits: Limits
    ahead: int = 0
    sent: tuple[datetime, ...] = ()
    opens_at: datetime | None = None


@dataclass(frozen=True)
class Forecast:
    """When one mailbox will be done. days: 1 where it needs no more than 24 hours.

    held_up: whether the limit of 24 hours, and not the pace of a minute, decides the end.
    """

    mailbox_id: int
    mailbox_email: str
    waiting: int
    limits: Limits
    done_by: datetime
    days: int
    held_up: bool
    sentence: str


def forecast(load: Load, now: datetime) -> Forecast:
    """When the last of the waiting messages will have left, if nothing else comes in between."""
    done_by = end(load, now)
    days = max(1, math.ceil((done_by - now) / DAY))
    unhindered = now + _gap(load.limits) * (load.ahead + load.waiting)
    held_up = done_by > unhindered
    sentence = _sentence(load, days, held_up)
    return Forecast(
        load.mailbox_id,
        load.mailbox_email,
        load.waiting,
        load.limits,
        done_by,
        days,
        held_up,
        sentence,
    )


def departures(load: Load, now: datetime) -> list[datetime]:
    """When each message of those ahead and those waiting leaves, at the earliest."""
    return list(itertools.islice(_leaving(load, now), load.ahead + load.waiting))


def end(load: Load, now: datetime) -> datetime:
    """When the last of them leaves; now where there is none."""
    count = load.ahead + load.waiting
    if not count:
        return now
    if len(load.sent) + count <= daily(load.limits):  # only the pace of a minute counts
        return max(now, load.opens_at or now) + _gap(load.limits) * (count - 1)
    return departures(load, now)[-1]


def daily(limits: Limits) -> int:
    """How many messages that are not kept for people may leave in any 24 hours."""
    return max(1, limits.per_day - limits.kept)


def _leaving(load: Load, now: datetime) -> Iterator[datetime]:
    """When one message after another could leave, for as long as anybody asks."""
    per_day = daily(load.limits)
    used = sorted(one for one in load.sent if now - DAY < one <= now)
    last_day = deque(used[-per_day:], per_day)
    gap, free_at = _gap(load.limits), max(now, load.opens_at or now)
    while True:
        earliest = free_at
        if len(last_day) == per_day:
            earliest = max(earliest, last_day[0] + DAY)
        last_day.append(earliest)
        yield earliest
        free_at = earliest + gap


def done_by(forecasts: Sequence[Forecast]) -> datetime | None:
    """When the slowest is done; None where nothing waits."""
    return max((one.done_by for one in forecasts if one.waiting), default=None)


def _gap(limits: Limits) -> timedelta:
    return timedelta(minutes=1) / limits.per_minute


def _sentence(load: Load, days: int, held_up: bool) -> str:
    pace = f"{load.mailbox_email} sends up to {load.limits.per_minute} a minute"
    if not held_up:
        return f"{pace}."
    needs = f"this needs {days} days" if days > 1 else "the last leave later, within a day"
    a_day = f"{load.limits.per_day - load.limits.kept:,}"
    of_them = f"{a_day} from batches" if load.limits.kept else a_day
    return f"{pace} and {of_them} in 24 hours, so {needs}."


# -- sharing ---------------------------------------------------------------------------------------


def shared(loads: Sequence[Load], total: int, now: datetime) -> list[Load]:
    """So many messages shared among mailboxes so that all is done as soon as it can be.

    Each load says how many go before; what each then has to do is its `waiting`.
    """
    ways = (_turns(number, load, now) for number, load in enumerate(loads))
    shares = [0] * len(loads)
    for _, number in itertools.islice(heapq.merge(*ways), total):
        shares[number] += 1
    return [replace(load, waiting=share) for load, share in zip(loads, shares, strict=True)]


def _turns(number: int, load: Load, now: datetime) -> Iterator[tuple[datetime, int]]:
    moments = itertools.islice(_leaving(load, now), load.ahead, None)
    return ((moment, number) for moment in moments)


def last(loads: Sequence[Load], now: datetime) -> datetime:
    """When the last of all that waits will have left; now where nothing waits."""
    ends = [end(one, now) for one in loads if one.waiting]
    return max(ends, default=now)


def evened(loads: Sequence[Load], now: datetime) -> list[Load]:
    """What waits for several mailboxes that may all send it, shared anew where that is worth it."""
    as_it_is = list(loads)
    if len(as_it_is) < 2:
        return as_it_is
    better = shared(as_it_is, sum(one.waiting for one in loads), now)
    return better if last(as_it_is, now) - last(better, now) >= WORTH_MOVING else as_it_is


#: What would be done less than this much sooner stays where it is.
WORTH_MOVING = timedelta(minutes=1)


@dataclass(frozen=True)
class Help:
    """What further mailboxes would do for what waits. in_time: whether it is done by the moment
    that was asked for."""

    mailboxes: int
    done_by: datetime
    in_time: bool


def help_from(loads: Sequence[Load], fresh: Limits, now: datetime, by: datetime) -> Help | None:
    """The fewest further mailboxes that get all done by a moment, else what one of them changes.

    fresh: what each of them may send. None where no help is needed, or none would help much.
    """
    total = sum(one.waiting for one in loads)
    as_it_is = last(loads, now)
    if not total or as_it_is <= by:
        return None
    missing = total - sum(_by(one, now, by) for one in loads)
    each = _by(Load(0, "", total, fresh), now, by)
    wanted = math.ceil(missing / each) if each else MOST_HELP + 1
    in_time = wanted <= MOST_HELP
    count = max(1, wanted) if in_time else 1
    further = [Load(-number, "", 0, fresh) for number in range(count)]
    better = last(shared([*loads, *further], total, now), now)
    if as_it_is - better < WORTH_IT:
        return None
    return Help(count, better, in_time)


#: Nobody is told to connect more than this many mailboxes, or any for less than this.
MOST_HELP = 9
WORTH_IT = timedelta(minutes=30)


def _by(load: Load, now: datetime, by: datetime) -> int:
    """How many of the waiting messages can have left by a moment."""
    mine = departures(load, now)[load.ahead :]
    return sum(moment <= by for moment in mine)
