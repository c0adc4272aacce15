"""The Workers page: for who looks after the portal. What sends, how fast, what waits, what failed.

It asks for itself again, soon while something changes and ever more rarely while nothing does.
"""

from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal import columns, instance, metrics, queueing, readiness, workers
from portal.dispatch import Dispatch, Lane, State, waiting
from portal.extensions import db
from portal.metrics import BoxFigures, Figures, Trouble
from portal.web import stamp
from portal.web.context import clock
from portal.web.guard import managers_only
from portal.web.page import page, wants_fragment

pages = Blueprint("workers", __name__)

#: Seconds until the next look, after so many looks that found nothing new.
RHYTHM = (2, 2, 3, 5, 8, 15, 30)
#: What only passing time changes is told anew after so many seconds.
TOLD_ANEW = 15
#: So many of the failed attempts are shown.
SHOWN = 10
#: From so many mailboxes on, those with nothing to do stand behind a fold.
MANY_BOXES = 6
#: At most so many are shown with all their figures: what needs somebody, then the longest queues.
MOST_BOXES = 12
#: A first in line that waits longer than this is worth a second look.
LONG = timedelta(minutes=15)
ENDED = {
    "refused": "Refused",
    "try later": "To be tried again",
    "unknown": "Unclear",
    "worker ended": "The worker ended in the middle",
    "on hold": "On hold",
    "needs sign-in": "Needs a sign-in",
}


@dataclass(frozen=True)
class Box:
    """A mailbox as the page shows it: its state in a word, its figures, its last failed attempt."""

    figures: BoxFigures
    state: str
    label: str
    note: str
    worked_by: str
    trouble: Trouble | None

    @property
    def idle(self) -> bool:
        return self.state == "connected" and not (self.figures.queued or self.figures.minute)


@dataclass(frozen=True)
class Tile:
    """One count of what is open."""

    count: int
    label: str
    tone: str
    sign: str
    more: str = ""


@dataclass(frozen=True)
class Failed:
    """One attempt that failed, with the sending it belongs to."""

    trouble: Trouble
    dispatch: Dispatch
    ended: str


@pages.get("/workers")
@managers_only
def index() -> ResponseReturnValue:
    """How the sending goes."""
    seen = _stamp()
    if stamp.is_known(seen):
        return stamp.NOTHING_NEW
    now, troubles = metrics.figures(), metrics.troubles()
    last = {one.mailbox_id: one for one in reversed(troubles)}
    boxes = [_box(one, last.get(one.mailbox.id)) for one in now.boxes]
    shown, folded = _laid_out(boxes)
    said = _fingerprint(now, boxes, troubles)
    still = _still(said)
    return page(
        "workers/index.html",
        "region",
        htmx_part=wants_fragment(),
        now=now,
        health=_health(now),
        tiles=_tiles(now),
        waits_long=now.oldest is not None and now.at - now.oldest > LONG,
        boxes=shown,
        folded=folded,
        fold=_fold_words(folded),
        failed=_failed(troubles[:SHOWN]),
        more_failed=max(0, len(troubles) - SHOWN),
        held=None if now.sends else instance.this(),
        every=RHYTHM[still],
        again=url_for(".index", seen=seen, said=said, still=still),
        version=metrics.version(),
        migration=readiness.head(),
    )


def _health(now: Figures) -> str:
    """no_worker, no_redis, held, sending or waiting: what stands at the top."""
    if not now.alive:
        return "no_worker"
    if now.rings is None:
        return "no_redis"
    if not now.sends:
        return "held"
    goes_on = now.open(State.QUEUED) and any(box.minute for box in now.boxes)
    return "sending" if now.open(State.SUBMITTING) or goes_on else "waiting"


def _tiles(now: Figures) -> list[Tile]:
    batched = now.by_lane[Lane.BATCH][State.QUEUED]
    return [
        Tile(
            now.open(State.QUEUED),
            "In queue",
            "info",
            "clock",
            f"{batched:,} of them go after what people send" if batched else "",
        ),
        Tile(now.open(State.SUBMITTING), "Sending", "info", "send"),
        Tile(now.pending_items, "Being prepared", "open", "hourglass"),
        Tile(now.open(State.HELD), "On hold", "warn", "circle-pause"),
        Tile(
            now.open(State.UNKNOWN),
            "Unclear",
            "odd",
            "circle-question-mark",
            f"{now.needing_person:,} for a person to settle" if now.needing_person else "",
        ),
        Tile(sum(box.hour for box in now.boxes), "Accepted in an hour", "good", "circle-check"),
    ]


def _box(one: BoxFigures, trouble: Trouble | None) -> Box:
    box = one.mailbox
    worked_by = (box.drain_holder or "").partition(":")[0] if box.drain_until else ""
    state, label, note = "connected", "", ""
    if not box.can_send:
        gone = box.health == "disconnected"
        state, note = ("not_connected" if gone else "sign_in"), box.why_not
        label = "Disconnected" if gone else ""
    elif box.held_at is not None:
        who = f" by {box.held_by.name}" if box.held_by else ""
        state, label = "held", f"Held{who} since {clock(box.held_at)}"
    elif box.is_paused:
        state, label = "paused", f"Paused until {clock(box.paused_until)}"
        note = box.pause_note
    return Box(one, state, label, note, worked_by, trouble)


def _laid_out(boxes: list[Box]) -> tuple[list[Box], list[Box]]:
    """Those to show with all their figures, and those behind a fold."""
    if len(boxes) <= MANY_BOXES:
        return boxes, []
    busy = [one for one in boxes if not one.idle]
    first = sorted(busy, key=lambda one: (one.state == "connected", -one.figures.queued))
    shown = first[:MOST_BOXES]
    chosen = {one.figures.mailbox.id for one in shown}
    return shown, [one for one in boxes if one.figures.mailbox.id not in chosen]


def _fold_words(folded: list[Box]) -> str:
    """What stands behind the fold, in a line."""
    count, busy = len(folded), sum(not one.idle for one in folded)
    what = f"{count:,} more {'mailbox' if count == 1 else 'mailboxes'}"
    if busy:
        return f"{what}, {busy:,} with mail to send"
    return f"{what} {'has' if count == 1 else 'have'} nothing to do"


def _failed(troubles: list[Trouble]) -> list[Failed]:
    ids = {one.dispatch_id for one in troubles}
    query = select(Dispatch).where(Dispatch.id.in_(ids))
    known = {one.id: one for one in db.session.scalars(query).unique()}
    return [
        Failed(one, known[one.dispatch_id], ENDED.get(one.outcome, one.outcome.capitalize()))
        for one in troubles
    ]


# -- how soon to look again -----


def _stamp() -> str:
    """What the page last said, read cheaply: most looks find nothing new. Figures that only passing
    time changes are told anew now and then."""
    passing = int(columns.now().timestamp() // TOLD_ANEW)
    away = queueing.rings() is None
    return stamp.of(waiting.standing(), workers.standing(), away, passing)


def _fingerprint(now: Figures, boxes: list[Box], troubles: list[Trouble]) -> str:
    """What the page says, but for the time that passes, in a few letters."""
    facts = (
        [(tile.label, tile.count) for tile in _tiles(now)],
        [(one.worker.name, one.alive, one.worker.doing) for one in now.workers],
        [(one.state, one.figures.queued, one.figures.day, one.worked_by) for one in boxes],
        troubles[:1],
        now.rings is None,
        now.sends,
    )
    return stamp.of(*facts)


def _still(said: str) -> int:
    """After how many looks that found nothing new this one comes."""
    before = request.args.get("still", 0, type=int)
    if request.args.get("said") != said:
        return 0
    return min(max(before, 0) + 1, len(RHYTHM) - 1)
