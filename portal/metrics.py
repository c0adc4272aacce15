"""Metrics: what an operator wants to know of the queue, the mailboxes and the workers, as figures.

All of it is read from the database and Redis when somebody asks, so every process says the same.
Each question stays within an index, whatever has been sent in the years before.
"""

import platform
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from sqlalchemy import ColumnElement, ScalarSelect, and_, func, select

from portal import instance, ledger, queueing, workers
from portal.batches import Batch, BatchItem, ItemState
from portal.columns import now
from portal.config import ROOT
from portal.dispatch import OPEN_STATES, WORK, Attempt, Dispatch, Lane, State
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.pace import Limits
from portal.workers import Seen

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Of the attempts that failed lately, at most so many are looked at.
MOST_TROUBLES = 200
STARTED = time.time()


@dataclass(frozen=True)
class BoxFigures:
    """One mailbox: what waits for it by state, what it had accepted in a minute, an hour and 24
    hours, and since when the first in its line waits."""

    mailbox: Mailbox
    limits: Limits
    waiting: dict[State, int]
    minute: int
    hour: int
    day: int
    oldest: datetime | None

    @property
    def queued(self) -> int:
        return self.waiting[State.QUEUED] + self.waiting[State.SUBMITTING]

    @property
    def pace_share(self) -> float:
        """The part of a minute's allowance that was used in the last one, 0 to 1."""
        return min(1.0, self.minute / self.limits.per_minute)

    @property
    def day_share(self) -> float:
        """The part of what the provider allows in 24 hours that is used, 0 to 1."""
        return min(1.0, self.day / self.limits.per_day)


@dataclass(frozen=True)
class Figures:
    """Everything at one moment. by_lane: what is open, by who goes first and by state."""

    at: datetime
    by_lane: dict[Lane, dict[State, int]]
    needing_person: int
    pending_items: int
    boxes: list[BoxFigures]
    workers: list[Seen]
    rings: int | None
    sends: bool

    @property
    def oldest(self) -> datetime | None:
        """Since when the message waits that has waited longest."""
        return min((one.oldest for one in self.boxes if one.oldest), default=None)

    @property
    def alive(self) -> int:
        return sum(one.alive for one in self.workers)

    def open(self, state: State) -> int:
        return sum(lane[state] for lane in self.by_lane.values())


@dataclass(frozen=True)
class Trouble:
    """One attempt that did not end well, in the provider's own words."""

    dispatch_id: int
    mailbox_id: int | None
    state: State
    at: datetime
    outcome: str
    words: str


# -- reading ---------------------------------------------------------------------------------------


def figures() -> Figures:
    """How it stands now."""
    return Figures(
        at=now(),
        by_lane=_open(),
        needing_person=_needing_person(),
        pending_items=_pending_items(),
        boxes=boxes(),
        workers=workers.everyone(),
        rings=queueing.rings(),
        sends=instance.may_send(),
    )


def boxes() -> list[BoxFigures]:
    """Every mailbox with what it has to do and what it did lately; the company's first."""
    moment = now()
    columns = [
        *(_count(Dispatch.state == state) for state in OPEN_STATES),
        *(_count(Dispatch.accepted_at > moment - lately) for lately in (MINUTE, HOUR, DAY)),
        _first_in_line(),
    ]
    query = select(Mailbox, *columns).order_by(Mailbox.owner_id.is_not(None), Mailbox.id)
    return [_box(*row) for row in db.session.execute(query)]


def outcomes() -> dict[str, int]:
    """How the attempts of the last hour ended."""
    query = select(Attempt.outcome, func.count()).group_by(Attempt.outcome)
    found = db.session.execute(query.where(Attempt.id >= _first_attempt_since(now() - HOUR)))
    return {outcome or "going on": count for outcome, count in found}


def troubles() -> list[Trouble]:
    """The attempts of the last 24 hours that did not end well, newest first."""
    bad = Attempt.outcome.not_in(("", "accepted"))
    columns = (Attempt.dispatch_id, Dispatch.mailbox_id, Dispatch.state, Attempt.started_at)
    query = select(*columns, Attempt.outcome, Attempt.words).join_from(Attempt, Dispatch)
    query = query.where(bad, Attempt.id >= _first_attempt_since(now() - DAY))
    query = query.order_by(Attempt.id.desc()).limit(MOST_TROUBLES)
    return [
        Trouble(dispatch_id, mailbox_id, State(state), at, outcome, words)
        for dispatch_id, mailbox_id, state, at, outcome, words in db.session.execute(query)
    ]


def _open() -> dict[Lane, dict[State, int]]:
    """What is open. Of batches there may be very much, so that is what is left of the total."""
    query = select(Dispatch.state, func.count()).group_by(Dispatch.state)
    total = db.session.execute(query.where(Dispatch.state.in_(OPEN_STATES)))
    found = {lane: dict.fromkeys(OPEN_STATES, 0) for lane in Lane}
    found[Lane.BATCH].update((State(state), count) for state, count in total)
    for state, lane, count in _open_before_batches():
        found[Lane(lane)][State(state)] += count
        found[Lane.BATCH][State(state)] -= count
    return found


def _open_before_batches() -> Iterator[tuple[Any, ...]]:
    # What is queued by the index of work, mailbox by mailbox: it knows the lane, so that a batch of
    # a hundred thousand is not read through. Of the rest there is little.
    for lane in Lane:
        if lane < Lane.BATCH:
            yield State.QUEUED, lane, _queued_in(lane)
    query = select(Dispatch.state, Dispatch.lane, func.count()).where(Dispatch.lane < Lane.BATCH)
    others = [state for state in OPEN_STATES if state != State.QUEUED]
    query = query.where(Dispatch.state.in_(others)).group_by(Dispatch.state, Dispatch.lane)
    yield from (tuple(row) for row in db.session.execute(query))


def _queued_in(lane: Lane) -> int:
    # An expression in the state's place, so that SQLite does not take an index by the state.
    queued = Dispatch.state.concat("") == State.QUEUED
    of_boxes = select(func.sum(_count(and_(Dispatch.lane == lane, WORK, queued))))
    return int(db.session.scalar(of_boxes.select_from(Mailbox)) or 0)


def _needing_person() -> int:
    query = select(func.count()).where(Dispatch.state == State.UNKNOWN, Dispatch.needs_person)
    return db.session.scalar(query) or 0


def _pending_items() -> int:
    # Batch by batch, for the index by batch and state: there are few batches.
    mine = BatchItem.batch_id.in_(select(Batch.id)), BatchItem.state == ItemState.PENDING
    return db.session.scalar(select(func.count()).where(*mine)) or 0


def _count(condition: ColumnElement[bool]) -> ScalarSelect[int]:
    mine = Dispatch.mailbox_id == Mailbox.id
    return select(func.count()).where(mine, condition).correlate(Mailbox).scalar_subquery()


def _first_in_line() -> ScalarSelect[datetime]:
    mine = Dispatch.mailbox_id == Mailbox.id, Dispatch.state == State.QUEUED
    query = select(Dispatch.queued_at).where(*mine).order_by(Dispatch.id).limit(1)
    return query.correlate(Mailbox).scalar_subquery()


def _box(mailbox: Mailbox, *figures: Any) -> BoxFigures:
    waiting = dict(zip(OPEN_STATES, figures[: len(OPEN_STATES)], strict=True))
    minute, hour, day, oldest = figures[len(OPEN_STATES) :]
    return BoxFigures(mailbox, ledger.limits_of(mailbox), waiting, minute, hour, day, oldest)


def _first_attempt_since(moment: datetime) -> int:
    """The number of the first attempt that began since then: they are numbered as they begin, so
    that it is found by halving, without an index that each attempt would have to keep up."""
    low, high = 0, (db.session.scalar(select(func.max(Attempt.id))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        query = select(Attempt.started_at).where(Attempt.id >= middle).order_by(Attempt.id)
        began = db.session.scalar(query.limit(1))
        if began is None or began >= moment:
            high = middle
        else:
            low = middle + 1
    return low


# -- for a monitoring system -----------------------------------------------------------------------


@dataclass(eq=False)
class Collected:
    """The figures as Prometheus wants them. Mailboxes go by number: no address leaves."""

    figures: Figures
    outcomes: dict[str, int] = field(default_factory=dict)

    def collect(self) -> Iterator[Any]:
        yield from self._queue()
        yield from self._mailboxes()
        yield from self._service()

    def _queue(self) -> Iterator[Any]:
        now_ = self.figures
        waits = (now_.at - now_.oldest).total_seconds() if now_.oldest else 0
        yield _gauge(
            "dispatches_open",
            "Messages that something can still become of, by state, and by lane: who goes first.",
            ("state", "lane"),
            [
                ((state, lane.name.lower()), count)
                for lane, by_state in now_.by_lane.items()
                for state, count in by_state.items()
            ],
        )
        about = "How long the first in a mailbox's queue has waited, the longest of them."
        yield _gauge("oldest_waiting_seconds", about, (), waits)
        lately = "Messages that were accepted in the last "
        hour, day = (sum(getattr(box, name) for box in now_.boxes) for name in ("hour", "day"))
        yield _gauge("accepted_last_hour", lately + "hour.", (), hour)
        yield _gauge("accepted_last_day", lately + "24 hours.", (), day)
        yield _gauge(
            "attempts_last_hour",
            "Attempts that began in the last hour, by how they ended.",
            ("outcome",),
            [((outcome,), count) for outcome, count in self.outcomes.items()],
        )
        unclear = "Messages of which only a person can say whether they left."
        yield _gauge("unclear_needing_person", unclear, (), now_.needing_person)
        unfinished = "Batch items that are not frozen yet."
        yield _gauge("batch_items_unfinished", unfinished, (), now_.pending_items)

    def _mailboxes(self) -> Iterator[Any]:
        boxes = self.figures.boxes
        health: dict[str, int] = {}
        for box in boxes:
            health[box.mailbox.health] = health.get(box.mailbox.health, 0) + 1
        by_health = [((name,), count) for name, count in sorted(health.items())]
        yield _gauge("mailboxes", "Mailboxes by health.", ("health",), by_health)
        paused = sum(box.mailbox.is_paused for box in boxes)
        yield _gauge("mailboxes_paused", "Mailboxes that their provider asked to wait.", (), paused)
        held = sum(box.mailbox.held_at is not None for box in boxes)
        yield _gauge("mailboxes_held", "Mailboxes that a person holds.", (), held)
        for name, about, value in (
            ("mailbox_waiting", "Messages in a mailbox's queue.", "queued"),
            ("mailbox_pace_ratio", "Part of the minute's limit used, 0 to 1.", "pace_share"),
            ("mailbox_day_ratio", "Part of the limit of 24 hours used, 0 to 1.", "day_share"),
        ):
            rows = [((str(box.mailbox.id),), getattr(box, value)) for box in boxes]
            yield _gauge(name, about, ("mailbox",), rows)

    def _service(self) -> Iterator[Any]:
        now_ = self.figures
        yield _gauge("workers_alive", "Workers that gave a sign of life lately.", (), now_.alive)
        started = [
            ((one.worker.name,), one.worker.started_at.timestamp())
            for one in now_.workers
            if one.alive
        ]
        yield _gauge("worker_start_time_seconds", "When it started.", ("worker",), started)
        yield _gauge("redis_up", "Whether Redis answers.", (), now_.rings is not None)
        if now_.rings is not None:
            yield _gauge("doorbell_length", "Rings that no worker heard yet.", (), now_.rings)
        yield _gauge("sending_allowed", "0 while everything is held or stopped.", (), now_.sends)
        start = "When the process that answers started."
        yield _gauge("portal_start_time_seconds", start, (), STARTED)
        build = {"version": version(), "python": platform.python_version()}
        yield InfoMetricFamily("sendwright_build", "What runs here.", value=build)


def exposition() -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(figures(), outcomes()))
    return generate_latest(registry)


@cache
def version() -> str:
    """The version of this code."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(told["project"]["version"])


def _gauge(
    name: str,
    about: str,
    labels: tuple[str, ...],
    values: float | Iterable[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    rows = [((), values)] if isinstance(values, int | float) else values
    family = GaugeMetricFamily(f"sendwright_{name}", about, labels=labels)
    for told, value in rows:
        family.add_metric([str(one) for one in told], float(value))
    return family
