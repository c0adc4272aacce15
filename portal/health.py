"""Health: how the connection of one mailbox stands, whether it can send now, and what to do; pure.

judge() looks at facts that the last real calls left behind, and said() puts what it found into
words. Both know the kind of mailbox by its name alone, and no clock but the one they are given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

#: A provider that names a longer wait than this means a limit; shorter ones are trouble on the way.
A_LIMIT = 900.0
#: Seven days is how long Google lets a sign-in live while the project is in Testing.
A_WEEK = timedelta(days=7)
HALF_A_DAY = timedelta(hours=12)
#: So long before a sign-in ends by itself somebody is told of it.
FORESEEN = timedelta(days=3)
#: Days before a client secret ends on which the office is told of it, and from when pages say it.
SECRET_STAGES = (30, 7, 1)


class Condition(StrEnum):
    """How a mailbox stands. The order of judge() says which counts where several are true."""

    CONNECTED = "connected"
    SIGN_IN = "sign_in"
    PERMISSION = "permission"
    ELSEWHERE = "elsewhere"
    DISCONNECTED = "disconnected"
    HELD = "held"
    LIMIT = "limit"
    PAUSED = "paused"
    UNREACHABLE = "unreachable"


class Pause(StrEnum):
    """Why a mailbox is left alone for a while: a limit of its provider's, trouble on the way to it,
    or what only the operator can put right."""

    LIMIT = "limit"
    AWAY = "away"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Facts:
    """What is stored of one mailbox.

    account: with whom one signs in to it; nothing where it has a password. stored: what the last
    call said of the sign-in (mailboxes.Health). failing_since: the first call that failed since
    one succeeded. full_until: when the day's limit lets the next message leave, if it is reached.
    ends_at: when the sign-in ends by itself, where the provider said so. connected_at,
    lasted_a_week: since when it holds, and whether the one before lasted just seven days.
    """

    email: str
    account: str
    stored: str = "connected"
    elsewhere: bool = False
    held_since: datetime | None = None
    held_by: str = ""
    paused_until: datetime | None = None
    pause_kind: str = ""
    pause_note: str = ""
    failing_since: datetime | None = None
    full_until: datetime | None = None
    checked_at: datetime | None = None
    connected_at: datetime | None = None
    ends_at: datetime | None = None
    lasted_a_week: bool = False

    @property
    def who(self) -> str:
        """Who takes its mail, as a sentence begins."""
        return self.account or "The mail server"


@dataclass(frozen=True)
class Judgement:
    """How a mailbox stands, since when or until when, where that is known."""

    condition: Condition
    since: datetime | None = None
    until: datetime | None = None

    @property
    def sends(self) -> bool:
        """Whether mail leaves through it at this moment."""
        return self.condition is Condition.CONNECTED

    @property
    def needs_somebody(self) -> bool:
        """Whether it stays as it is until somebody signs in, connects it or lets it go."""
        return self.condition in NEEDS_SOMEBODY


#: What does not pass by itself.
NEEDS_SOMEBODY = (
    Condition.SIGN_IN,
    Condition.PERMISSION,
    Condition.ELSEWHERE,
    Condition.DISCONNECTED,
    Condition.HELD,
)
STORED = {
    "disconnected": Condition.DISCONNECTED,
    "needs_sign_in": Condition.SIGN_IN,
    "permission_missing": Condition.PERMISSION,
}


def judge(facts: Facts, at: datetime) -> Judgement:
    """How a mailbox stands at a moment: what needs somebody before what passes by itself."""
    if facts.elsewhere and facts.stored != "disconnected":
        return Judgement(Condition.ELSEWHERE)
    if facts.stored in STORED:
        return Judgement(STORED[facts.stored])
    if facts.held_since is not None:
        return Judgement(Condition.HELD, since=facts.held_since)
    return _passing(facts, at)


def _passing(facts: Facts, at: datetime) -> Judgement:
    """What keeps it from sending for a while, the longest first."""
    paused = facts.paused_until if facts.paused_until and facts.paused_until > at else None
    full = facts.full_until if facts.full_until and facts.full_until > at else None
    if paused and facts.pause_kind == Pause.OPERATOR:
        return Judgement(Condition.PAUSED, until=paused)
    if full or (paused and facts.pause_kind != Pause.AWAY):
        return Judgement(Condition.LIMIT, until=max(one for one in (full, paused) if one))
    if facts.failing_since is not None:
        return Judgement(Condition.UNREACHABLE, since=facts.failing_since)
    return Judgement(Condition.CONNECTED, since=facts.checked_at)


def pause_of(after: float, *, exact: bool, too_fast: bool) -> Pause:
    """What sort of wait a provider's "not now" is. after: seconds; exact: it named the moment."""
    return Pause.LIMIT if exact or too_fast or after >= A_LIMIT else Pause.AWAY


# -- words ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """A judgement in words. state: how it looks (the pages' STATES); label: what it is called;
    can_send: yes, no or not now, as a short sentence; to_do: the next step, "" where there is none.
    """

    state: str
    label: str
    can_send: str
    to_do: str = ""


def said(
    facts: Facts,
    at: datetime,
    clock: Callable[[datetime], str],
    ago: Callable[[datetime], str],
    *,
    theirs: bool = False,
) -> Said:
    """How a mailbox stands, in words. theirs: it is not for whoever reads this to sign in."""
    found = judge(facts, at)
    match found.condition:
        case Condition.HELD | Condition.LIMIT | Condition.PAUSED | Condition.UNREACHABLE:
            return _said_of_waiting(facts, found, clock)
        case Condition.CONNECTED:
            when = f"checked {ago(found.since)}" if found.since else "not checked yet"
            return Said("connected", f"Connected, {when}", "Yes")
        case _:
            return _said_of_broken(facts, found, theirs=theirs)


def _said_of_waiting(facts: Facts, found: Judgement, clock: Callable[[datetime], str]) -> Said:
    until = f" until {clock(found.until)}" if found.until else ""
    since = f" since {clock(found.since)}" if found.since else ""
    if found.condition is Condition.HELD:
        told = f"Not now: {facts.held_by or 'somebody'} holds it{since}."
        return Said("held", "Held by hand", told, "Let it go in the Outbox.")
    if found.condition is Condition.LIMIT:
        told = f"Not now. It goes on by itself{until.replace('until', 'at', 1)}."
        return Said("paused", f"Limit reached{until}", told)
    if found.condition is Condition.PAUSED:
        told = "Not now. The portal tries again by itself."
        return Said("paused", f"Paused{until}", told, f"{facts.pause_note} Tell the operator.")
    who = facts.account or "Mail server"
    told = f"Not now: it has not been reached{since}. Mail is safe, and we keep trying."
    return Said("unreachable", f"{who} unreachable, we keep trying", told)


def _said_of_broken(facts: Facts, found: Judgement, *, theirs: bool) -> Said:
    whom = "them" if theirs else "you"
    if found.condition is Condition.SIGN_IN and facts.account:
        to_do = f"Sign in to {facts.account} again."
        return Said("sign_in", f"Needs {whom} to sign in again", "No", to_do)
    if found.condition is Condition.SIGN_IN:
        return Said("sign_in", "Needs its password again", "No", "Give its password again.")
    if found.condition is Condition.PERMISSION:
        return Said("sign_in", "Permission missing", "No", "Choose its permissions again.")
    if found.condition is Condition.ELSEWHERE:
        label = f"Connected at another {facts.account}"
        return Said("sign_in", label, "No", "Connect it here as a new mailbox.")
    return Said("not_connected", "Disconnected", "No", "Connect it again.")


def why_not(facts: Facts) -> str:
    """Why mail cannot be promised to leave through it, as one sentence; "" where it can.

    What passes by itself, and what a person holds, is no reason not to ask for it.
    """
    if facts.elsewhere and facts.stored != "disconnected":
        return (
            f"{facts.email} was connected at another {facts.account} than the one configured now."
        )
    again = (
        f"someone to sign in to {facts.account} again" if facts.account else "its password again"
    )
    return {
        "needs_sign_in": f"{facts.email} needs {again}.",
        "permission_missing": f"{facts.email} did not give the portal permission to send mail.",
        "disconnected": f"{facts.email} was disconnected.",
    }.get(facts.stored, "")


# -- what is foreseen ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """When a sign-in ends by itself. of_testing: because Google's project is in Testing; certain:
    the provider said so, and it is not only that the last one ended like this."""

    at: datetime
    of_testing: bool
    certain: bool


def forecast(facts: Facts, at: datetime) -> Forecast | None:
    """The end of a sign-in that is to be said before it comes; None while it is far, or unknown."""
    if facts.stored != "connected" or facts.elsewhere:
        return None
    ends, certain = facts.ends_at, True
    if ends is None and facts.lasted_a_week and facts.connected_at is not None:
        ends, certain = facts.connected_at + A_WEEK, False
        if at > ends + HALF_A_DAY:  # this one outlived it: the project is published by now
            return None
    if ends is None or at < ends - FORESEEN:
        return None
    began = facts.connected_at
    week = began is not None and abs(ends - began - A_WEEK) < HALF_A_DAY
    return Forecast(ends, facts.account == "Google" and week, certain)


def lasted_a_week(connected_at: datetime, last_worked: datetime) -> bool:
    """Whether a sign-in that has ended lived as long as Google's Testing lets it."""
    return A_WEEK - HALF_A_DAY < last_worked - connected_at < A_WEEK + HALF_A_DAY


def secret_stage(ends: date | None, today: date) -> int | None:
    """Which of SECRET_STAGES a client secret has come to, in days; None while it is far off."""
    if ends is None:
        return None
    left = (ends - today).days
    return min((one for one in SECRET_STAGES if left <= one), default=None)


def secret_words(ends: date, today: date) -> str:
    """That a client secret ends, and what stops then."""
    left = (ends - today).days
    if left < 0:
        when = "ended, by what is configured,"
    else:
        when = "ends today," if left == 0 else f"ends in {left} day{'s' if left > 1 else ''},"
    return f"The portal’s secret for Microsoft {when} on {ends.day} {ends:%B %Y}."
