"""Pace: how soon a mailbox can have sent what waits, by its provider's limits. Pure.

A mailbox sends so many messages a minute and so many in any 24 hours; both count whatever it sends,
what it sent yesterday afternoon included.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Limits:
    """What a provider lets one mailbox send: messages in a minute, and in any 24 hours."""

    per_minute: int
    per_day: int


@dataclass(frozen=True)
class Load:
    """What one mailbox has to do. ahead: messages that go before these; sent: when it sent the
    messages of the last 24 hours."""

    mailbox_id: int
    mailbox_email: str
    waiting: int
    limits: Limits
    ahead: int = 0
    sent: tuple[datetime, ...] = ()


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
    moments = departures(load, now)
    done_by = moments[-1] if moments else now
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
    used = sorted(one for one in load.sent if now - DAY < one <= now)
    moments = used[:]
    gap, free_at = _gap(load.limits), now
    for _ in range(load.ahead + load.waiting):
        earliest = free_at
        if len(moments) >= load.limits.per_day:
            earliest = max(earliest, moments[-load.limits.per_day] + DAY)
        moments.append(earliest)
        free_at = earliest + gap
    return moments[len(used) :]


def done_by(forecasts: Sequence[Forecast]) -> datetime | None:
    """When the slowest is done; None where nothing waits."""
    return max((one.done_by for one in forecasts if one.waiting), default=None)


def per_minute(units_per_minute: int, *, drafts: bool, reads_back: bool) -> int:
    """Messages a minute that Gmail's units allow: by way of a draft or not, read back or not."""
    units = SEND_UNITS + (DRAFT_UNITS if drafts else 0) + (READ_UNITS if reads_back else 0)
    return max(1, units_per_minute // units)


#: What Gmail counts for sending, for making a draft, and for reading the sent copy.
SEND_UNITS, DRAFT_UNITS, READ_UNITS = 100, 10, 20


def _gap(limits: Limits) -> timedelta:
    return timedelta(minutes=1) / limits.per_minute


def _sentence(load: Load, days: int, held_up: bool) -> str:
    pace = f"{load.mailbox_email} sends up to {load.limits.per_minute} a minute"
    if not held_up:
        return f"{pace}."
    needs = f"this needs {days} days" if days > 1 else "the last leave later, within a day"
    return f"{pace} and {load.limits.per_day:,} in 24 hours, so {needs}."
