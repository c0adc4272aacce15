"""Facts: everything an inquiry looks at, frozen before anything is judged. Pure.

Moments are in UTC; `clock` and `when` write them as they are read where the company is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from portal.checks import Problem
from portal.health import Said
from portal.incoming import Sort, Verdict
from portal.recipients import Receiver, Recipients
from portal.senders import Choice

LOCALE = "en_AU"


@dataclass(frozen=True)
class Item:
    """The document in its last batch: where it stands there, and what was found wrong with it."""

    state: str
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Paper:
    """The document. noun: "invoice"; customer: whom it is for, called: as one speaks of them.

    changed_at: when it was last changed, None where it never was. lost: it left before the database
    was restored, and more is not known.
    """

    id: int
    number: str
    noun: str
    customer: str
    called: str
    email_status: str
    version: int = 1
    batch_status: str = ""
    batch_id: int = 0
    batch_name: str = ""
    item: Item | None = None
    changed_at: datetime | None = None
    changed_by: str = ""
    property_id: int = 0
    property_name: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Sending:
    """One real sending of the document, as its dispatch stands. words: its provider's own, last
    first; whys: for each address, who it is and why it was written to."""

    id: int
    number: int
    state: str
    since: datetime
    asked_at: datetime
    queued_at: datetime
    asked_by: str
    from_email: str
    reason: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    whys: tuple[tuple[str, str], ...] = ()
    from_name: str = ""
    subject: str = ""
    note: str = ""
    held_by_hand: bool = False
    needs_person: bool = False
    mailbox_id: int = 0
    provider: str = "the mail provider"
    handed_over_at: datetime | None = None
    accepted_at: datetime | None = None
    not_before: datetime | None = None
    proof: str = "unread"
    proof_from: str = ""
    version: int = 1
    attempts: int = 0
    words: tuple[str, ...] = ()

    @property
    def everybody(self) -> tuple[str, ...]:
        return *self.to, *self.cc

    @property
    def left_at(self) -> datetime | None:
        """When it left, or may have; None while it has not."""
        if self.state not in ("accepted", "returned", "unknown"):
            return None
        return self.accepted_at or self.handed_over_at or self.since


@dataclass(frozen=True)
class Undelivered:
    """For whom a mail failed, as incoming.Failed says it."""

    email: str
    verdict: str
    reason: str
    words: str = ""


@dataclass(frozen=True)
class Came:
    """One message that came in about a sending. doubtful: nobody has said yet that it is."""

    sending_id: int
    sort: Sort
    at: datetime
    who: str
    failed: tuple[Undelivered, ...] = ()
    link: str = ""
    mailbox: str = ""
    whole: bool = True
    doubtful: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether the sender's own set-up, rather than the address, is what was refused."""
        return any(one.verdict == Verdict.POLICY for one in self.failed)


class Sight(StrEnum):
    """Whether mail that comes back to a mailbox can be seen."""

    SEES = "sees"
    FORBIDDEN = "forbidden"
    FAILING = "failing"
    NEVER = "never"  # it was not looked at since the mail left
    NOBODY = "nobody"  # there is no mailbox to look into


@dataclass(frozen=True)
class Box:
    """The mailbox through which it left, or would. id 0: none is connected.

    said: how it stands, in words. looked_at: up to when its inbox was read; heads: whether of what
    comes in only the headers may be read.
    """

    id: int
    email: str
    provider: str
    said: Said
    sends: bool = True
    why_not: str = ""
    readable: bool = True
    heads: bool = False
    looked_at: datetime | None = None
    inbox_problem: str = ""

    def sight(self, since: datetime) -> Sight:
        """Whether something that came back after a moment would have been seen."""
        if not self.readable:
            return Sight.FORBIDDEN
        if self.looked_at and self.looked_at > since:
            return Sight.SEES
        return Sight.FAILING if self.inbox_problem else Sight.NEVER


@dataclass(frozen=True)
class Domain:
    """What is known of the sender's domain. tone: good, warn, bad or open."""

    name: str
    tone: str
    words: str
    not_asked: str = ""
    checked_at: datetime | None = None


@dataclass(frozen=True)
class Queue:
    """What keeps a queued mail from leaving, beside its mailbox.

    halted: why nothing at all leaves, as one sentence. service: queueing.health(). expected: when
    it is expected to leave. stuck_since, stuck_why: the alarm, where there is one.
    """

    halted: str = ""
    service: str = "ok"
    expected: datetime | None = None
    stuck_since: datetime | None = None
    stuck_why: str = ""


@dataclass(frozen=True)
class Addressee:
    """One address that the document went to, or would go to. way: "To" or "Cc"; who: the contact
    that holds it, "" where none does; problems: what speaks against it."""

    email: str
    way: str
    why: str
    who: str = ""
    contact_id: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything known at one moment. sendings and came: newest first."""

    at: datetime
    zone: ZoneInfo
    paper: Paper
    should: Recipients
    mark: str
    choice: Choice
    addressees: tuple[Addressee, ...] = ()
    contacts: tuple[Receiver, ...] = ()
    problems: tuple[Problem, ...] = ()
    sendings: tuple[Sending, ...] = ()
    came: tuple[Came, ...] = ()
    box: Box | None = None
    domain: Domain | None = None
    queue: Queue = Queue()

    @property
    def newest(self) -> Sending | None:
        return self.sendings[0] if self.sendings else None

    @property
    def telling(self) -> Sending | None:
        """The sending by which one can say whether it arrived."""
        return telling(self.sendings)

    def about(self, sending: Sending) -> tuple[Came, ...]:
        """What came in about one sending, newest first."""
        return tuple(one for one in self.came if one.sending_id == sending.id)

    def clock(self, moment: datetime) -> str:
        """10:42, or with its day where that is not today."""
        there, today = moment.astimezone(self.zone), self.at.astimezone(self.zone)
        pattern = "HH:mm" if there.date() == today.date() else "d MMM, HH:mm"
        pattern = pattern if there.year == today.year else "d MMM y, HH:mm"
        return format_datetime(there, pattern, locale=LOCALE)

    def when(self, moment: datetime) -> str:
        """The same in a sentence: "at 10:42", "on 3 Nov at 10:42"."""
        day, comma, time = self.clock(moment).rpartition(", ")
        return f"on {day} at {time}" if comma else f"at {time}"


def telling(sendings: tuple[Sending, ...]) -> Sending | None:
    """Of sendings, newest first, the one by which one can say whether it arrived: the newest,
    unless that has not left while an earlier one was accepted."""
    newest = sendings[0] if sendings else None
    if newest is None or newest.state in ("accepted", "returned", "unknown"):
        return newest
    return next((one for one in sendings if one.state == "accepted"), newest)


def span(length: timedelta) -> str:
    """How long something lasted, as one says it: 12 minutes, 3 hours, 2 days."""
    seconds = max(0, int(length.total_seconds()))
    for size, name, from_ in ((86_400, "day", 2), (3_600, "hour", 1), (60, "minute", 1)):
        count = seconds // size
        if count >= from_:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "less than a minute"


def listed(words: tuple[str, ...]) -> str:
    """a, b and c."""
    *others, last = words or ("",)
    return f"{', '.join(others)} and {last}" if others else last
