"""Pre-flight: what a batch's page shows of it before it goes, and what became of it after.

Nothing is decided here: counts and sentences of portal.batches are given their words, their places
and their links.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import url_for
from flask_login import current_user
from sqlalchemy import select

from portal import batches, health, instance
from portal.batches import Batch, BatchItem, Progress, Results, Summary
from portal.columns import now
from portal.dispatch import STATES, State
from portal.documents.kinds import KINDS, Kind
from portal.extensions import db
from portal.health import Condition
from portal.mailboxes import Mailbox
from portal.web import arrivals
from portal.web.context import ago, clock
from portal.web.guard import whom_to_ask

#: So many items stand on one page.
STRETCH = 50


def _mail(state: State, sign: str) -> tuple[str, str, str]:
    """Words, tone and icon of what became of a mail, as everywhere else."""
    return STATES[state].label, STATES[state].tone, sign


#: What stands on a draft's tiles, by the state of its items: words, tone, icon.
DRAFT = {
    "ready": ("Ready", "good", "circle-check"),
    "waits": ("Will wait on hold", "warn", "circle-pause"),
    "blocked": ("Not ready", "bad", "octagon-x"),
    "unchecked": ("Not checked yet", "open", "circle-dashed"),
}
#: The same once it was sent, by what became of each.
SENT = {
    "accepted": _mail(State.ACCEPTED, "circle-check"),
    "submitting": _mail(State.SUBMITTING, "send"),
    "queued": _mail(State.QUEUED, "clock"),
    "pending": ("To be prepared", "open", "circle-dashed"),
    "held": _mail(State.HELD, "circle-pause"),
    "unknown": _mail(State.UNKNOWN, "circle-question-mark"),
    "refused": _mail(State.REFUSED, "octagon-x"),
    "returned": _mail(State.RETURNED, "undo-2"),
    "cancelled": _mail(State.CANCELLED, "ban"),
    "left": ("Not sent", "calm", "circle-x"),
}
#: These stand there even when there are none: that is good news.
ALWAYS = {"ready", "waits", "blocked", "accepted", "held", "refused", "returned", "left"}


@dataclass(frozen=True)
class Tile:
    """One count that leads to its list."""

    group: str
    label: str
    tone: str
    sign: str
    count: int
    href: str
    here: bool


@dataclass(frozen=True)
class Way:
    """The one place that puts something right; without an href, whom to ask."""

    label: str
    href: str = ""


@dataclass(frozen=True)
class Row:
    """One item as its line shows it. state is one of the STATES of macros.html."""

    item: BatchItem
    state: str
    said: str
    problem: str
    hint: str
    way: Way | None


@dataclass(frozen=True)
class Stretch:
    """A page of a batch's list: what it lists, and the item after which the next page starts."""

    title: str
    group: str
    rows: list[Row]
    after: int
    more: int | None


@dataclass(frozen=True)
class Lack:
    """One problem that several items share. state: of the items; ready where it is but a remark."""

    count: int
    state: str
    problem: str
    hint: str
    href: str
    way: Way | None


@dataclass(frozen=True)
class Rest:
    """A mailbox through which nothing leaves just now, and what follows for the batch."""

    title: str
    text: str
    way: Way | None


@dataclass(frozen=True)
class Outcome:
    """The one sentence over a batch that was sent, as ui.verdict() shows it."""

    state: str
    title: str
    text: str


# -- counts --------------------------------------------------------------------------------------


def draft_tiles(batch: Batch, summary: Summary, group: str) -> list[Tile]:
    counts = {
        "ready": summary.ready,
        "waits": summary.waits,
        "blocked": summary.blocked,
        "unchecked": summary.unchecked,
    }
    return _tiles(batch, DRAFT, counts, group)


def sent_tiles(batch: Batch, results: Results, group: str) -> list[Tile]:
    return _tiles(batch, SENT, {name: results[name] for name in SENT}, group)


def _tiles(
    batch: Batch, words: dict[str, tuple[str, str, str]], counts: dict[str, int], group: str
) -> list[Tile]:
    return [
        Tile(name, *words[name], count, _list_href(batch, name), name == group)
        for name, count in counts.items()
        if count or name in ALWAYS
    ]


def in_words(words: dict[str, tuple[str, str, str]], counts: dict[str, int]) -> str:
    """A batch in one line: "403 sent, 3 on hold"."""
    return ", ".join(
        f"{counts[name]:,} {label[:1].lower()}{label[1:]}"
        for name, (label, _, _) in words.items()
        if counts.get(name)
    )


def _list_href(batch: Batch, group: str = "", after: int | None = None) -> str:
    where = url_for("batches.show", batch_id=batch.id, group=group or None, after=after)
    return f"{where}#items"


# -- the list ------------------------------------------------------------------------------------


def stretch(batch: Batch, group: str, after: int, words: str = "") -> Stretch:
    """A page of the items of one group, in the order in which they were put in."""
    wanted = f"words:{words}" if words else group
    found = batches.items(batch, wanted, after, STRETCH + 1)
    more = found[STRETCH - 1].id if len(found) > STRETCH else None
    title = f"Found for “{words}”" if words else _title(batch, group)
    steps = arrivals.next_steps(one.dispatch for one in found[:STRETCH] if one.dispatch)
    return Stretch(title, group, [row(one, steps) for one in found[:STRETCH]], after, more)


def _title(batch: Batch, group: str) -> str:
    kind = KINDS[batch.kind]
    if group.startswith("sender:"):
        return f"From {group.partition(':')[2] or 'nobody'}"
    if group.startswith("problem:"):
        return "With this problem"
    words = (DRAFT if batch.is_draft else SENT).get(group)
    return words[0] if words else f"All {kind.plural.lower()}"


def row(item: BatchItem, steps: Mapping[int, arrivals.Step]) -> Row:
    """One line of the list: what became of the item, else what checking found. steps: what is next
    where it came back.
    """
    sent = item.dispatch
    if sent is None:
        words = {**DRAFT, **SENT}.get(item.state, ("", "", ""))[0]
        return Row(
            item, item.state, words, item.problem, item.hint, way(item.fix, item.batch_id, item)
        )
    if sent.state == State.ACCEPTED:
        return Row(item, sent.state, f"{sent.facts.label} {clock(sent.accepted_at)}", "", "", None)
    if sent.state in (State.QUEUED, State.SUBMITTING):
        return Row(item, sent.state, sent.facts.label, "", "", None)
    look = Way("Open this sending", url_for("dispatches.show", dispatch_id=sent.id))
    step = steps.get(sent.id)
    look = Way(step.label, step.href) if step else look
    return Row(item, sent.state, sent.facts.label, sent.state_note, sent.facts.what_to_do, look)


#: What keeps an item back, what lets it wait, and what should only be looked at, in this order.
OF_WEIGHT = {"blocked": 0, "left": 0, "waits": 1, "ready": 2}


def lacks(batch: Batch, summary: Summary) -> list[Lack]:
    """What is lacking or should be looked at, the gravest first, and of these the most frequent; a
    single one with the way to put it right."""
    return [
        Lack(
            one.count,
            one.state,
            one.problem,
            one.hint,
            _list_href(batch, one.group),
            way(one.fix, batch.id) if one.count == 1 or one.fix == "sender" else None,
        )
        for one in sorted(
            (one for one in summary.problems if one.state in OF_WEIGHT),
            key=lambda one: (OF_WEIGHT[one.state], -one.count),
        )
    ]


def way(fix: str, batch_id: int, item: BatchItem | None = None) -> Way | None:
    """Where a problem is put right, by whoever is signed in."""
    back = url_for("batches.show", batch_id=batch_id)
    noun, _, number = fix.partition(":")
    match noun:
        case "document":
            label = item.document.kind_facts.noun if item else "document"
            return Way(f"Open the {label}", url_for("documents.edit", document_id=int(number)))
        case "contact":
            return Way(
                "Open the contact", url_for("contacts.edit", contact_id=int(number), next=back)
            )
        case "property":
            return Way("Open the property", url_for("properties.show", property_id=int(number)))
    return _sender_way() if fix else None


def _sender_way() -> Way:
    if current_user.is_manager:
        return Way("Open System settings", url_for("settings.show"))
    return Way(f"Ask {whom_to_ask()}.")


#: What keeps a working mailbox from sending, and passes by itself or by a word in the Outbox. A
#: day's limit is in the forecast already.
RESTING = (Condition.UNREACHABLE, Condition.PAUSED, Condition.HELD)


def rests_before(summary: Summary) -> list[Rest]:
    """The mailboxes of a draft's senders through which nothing would leave just now."""
    counts: dict[int, int] = {}
    for one in summary.senders:
        if one.mailbox_id is not None:
            counts[one.mailbox_id] = counts.get(one.mailbox_id, 0) + one.count
    found = db.session.scalars(select(Mailbox).where(Mailbox.id.in_(counts)).order_by(Mailbox.id))
    return [
        _rest(box, counts[box.id])
        for box in found
        if health.judge(box.facts(), now()).condition in RESTING
    ]


def _rest(box: Mailbox, count: int) -> Rest:
    said = health.said(box.facts(), now(), clock, ago)
    what = f"What leaves through it, {count:,} of this batch, waits until then: nothing is lost."
    way = Way("Look at the mailbox", f"{url_for('settings.show')}#mailboxes")
    if said.state == "held":
        way = Way("Open the Outbox", url_for("outbox.index"))
    text = " ".join(filter(None, (said.can_send, said.to_do, what)))
    mine = way if current_user.is_manager or said.state == "held" else None
    return Rest(f"{box.email}: {said.label}", text, mine)


# -- after ---------------------------------------------------------------------------------------


def rests(progress: Progress) -> str:
    """Why nothing more of a batch leaves for now, or not all; "" where all goes on."""
    if progress.finished:
        return ""
    if not instance.may_send():
        return "All mail waits: the line at the top of the page says why."
    mine = Mailbox.id.in_(one.mailbox_id for one in progress.outlook.forecasts)
    held = db.session.scalars(select(Mailbox).where(mine, Mailbox.held_at.is_not(None)))
    who = [f"{one.held_by.name if one.held_by else 'Somebody'} holds {one.email}" for one in held]
    if not who:
        return ""
    more = f", and {len(who) - 2} more mailboxes are held" if len(who) > 2 else ""
    return f"{' and '.join(who[:2])}{more}: what is to leave there waits."


def outcome(kind: Kind, results: Results, progress: Progress, rests: str = "") -> Outcome:
    """What to say first of a batch that was sent; rests: why nothing more leaves for now."""
    meant = results.total - results["left"]
    so_far = f"{progress.accepted:,} of {_of(meant, kind)} sent"
    if not progress.finished:
        state = "held" if rests else "submitting"
        return Outcome(state, so_far, _still(progress, rests))
    parts = [
        _part(results["held"], "on hold, and will leave once the reason is put right"),
        _part(results["refused"], "could not be sent"),
        _part(results["returned"], "came back"),
        _part(results["unknown"], "unclear"),
        _part(results["cancelled"], "cancelled"),
        _part(results["left"], "not sent"),
    ]
    said = ", ".join(part for part in parts if part)
    if not said:
        return Outcome("accepted", f"All {_of(meant, kind)} sent", "Nothing is left.")
    worst = "refused" if progress.failed else "held" if results["held"] else "accepted"
    return Outcome(worst, so_far, f"{said[:1].upper()}{said[1:]}.")


def _of(count: int, kind: Kind) -> str:
    return f"{count:,} {kind.noun if count == 1 else kind.plural.lower()}"


def _part(count: int, words: str) -> str:
    return f"{count:,} {words}" if count else ""


def _still(progress: Progress, rests: str) -> str:
    doing = []
    if progress.pending:
        doing.append(f"{progress.pending:,} still to be prepared")
    if progress.moving:
        doing.append(f"{progress.moving:,} {'in queue' if rests else 'on the way'}")
    if rests:
        return f"{', '.join(doing)}. {rests}"
    return f"{', '.join(doing)}. You can leave this page: it goes on by itself."
