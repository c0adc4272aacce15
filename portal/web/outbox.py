"""The Outbox: what has not left yet, why, and until when; and what people do about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm

from portal import batches, dispatch, history, instance, mailboxes, queueing
from portal.batches import Waiting
from portal.columns import now
from portal.dispatch import Decided, Deed, Dispatch, State, waiting
from portal.dispatch.waiting import Group, Rest, Resting, Stretch
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.web.context import clock, company, held_by, stuck_in_queue
from portal.web.fields import Line
from portal.web.filling import ticked
from portal.web.guard import managers_only, on_site
from portal.web.page import page, see_other

pages = Blueprint("outbox", __name__)

LONGEST_WHY = 200
#: For how many seconds a sending can be taken back: what may be chosen.
UNDO_CHOICES = (0, 10, 20, 60)
#: What a deed is called once it is done, for one and for several.
DONE = {
    Deed.UNDO: "taken back",
    Deed.CANCEL: "cancelled",
    Deed.HOLD: "held until somebody lets it go",
    Deed.LET_GO: "let go",
    Deed.SEND_NOW: "to leave at once",
}


class HoldForm(FlaskForm):  # type: ignore[misc]
    """Why everything is held, for whoever wonders."""

    why = Line("Why", most=LONGEST_WHY)


@dataclass(frozen=True)
class Row:
    """One message that waits. state is how its status looks, label what it says, more what is known
    besides; left counts down while it can be taken back. mine: this person may decide about it."""

    one: Dispatch
    state: str
    label: str
    more: str = ""
    left: int | None = None
    mine: bool = False
    look: bool = False


@dataclass(frozen=True)
class Section:
    """The rows of one group. lines: batches, counted; more: the address of what follows."""

    group: Group
    title: str
    about: str
    rows: list[Row]
    lines: list[Waiting] = field(default_factory=list)
    more: str = ""
    box: Mailbox | None = None
    resting: Resting = field(default_factory=lambda: Resting(Rest.GOES_ON))

    @property
    def tickable(self) -> bool:
        return any(row.mine for row in self.rows)


TITLES = {
    Group.UNDO: ("Can still be taken back", "It leaves by itself when the time is over."),
    Group.HELD: ("On hold", "Each leaves by itself once what it says is put right."),
    Group.PERSON: ("Held by hand", "These wait until somebody lets them go."),
    Group.UNCLEAR: (
        "Unclear",
        "Gmail's answer got lost. The portal looks for what became of them, and sends none twice.",
    ),
}


@pages.get("/outbox")
def index() -> ResponseReturnValue:
    """Everything that waits, or one group of it further on."""
    moment = now()
    everything = not instance.may_send()
    lines = [] if "show" in request.args else batches.still_waiting()
    sections = list(_sections(lines, moment, everything))
    every = _rhythm(sections, moment)
    return page(
        "outbox/index.html",
        "region",
        sections=sections,
        everything=held_by(),
        every=f"{every}s",
        here=request.full_path.rstrip("?"),
        narrowed="show" in request.args,
        stuck=stuck_in_queue(),
    )


@pages.post("/outbox/<int:dispatch_id>")
def decide(dispatch_id: int) -> ResponseReturnValue:
    """Do something about one message: undo, cancel, hold, let go, send now."""
    one = db.session.get(Dispatch, dispatch_id) or abort(404)
    deed = _deed()
    decided = dispatch.decide([one], deed, current_user)
    _tell(decided, deed)
    if decided.done and deed is Deed.UNDO and one.document_id is not None:
        return see_other(url_for("sendings.new", document_id=one.document_id, undone=one.id))
    return see_other(on_site(request.form.get("next") or url_for(".index")))


@pages.post("/outbox/ticked")
def decide_ticked() -> ResponseReturnValue:
    """Do the same about each that is ticked."""
    deed, ids = _deed(), ticked("dispatch")
    found = [one for number in ids if (one := db.session.get(Dispatch, number))]
    if found:
        _tell(dispatch.decide(found, deed, current_user), deed)
    else:
        flash("Tick the messages first, then choose what to do with them.", "warn")
    return see_other(on_site(request.form.get("next") or url_for(".index")))


def _deed() -> Deed:
    wanted = request.form.get("do", "")
    return Deed(wanted) if wanted in set(Deed) else abort(400)


# -- holding all of it, or a mailbox -------------------------------------------------------------


@pages.get("/outbox/hold")
@managers_only
def holding() -> ResponseReturnValue:
    """What holding everything means, before it is done."""
    return page("outbox/hold.html", form=HoldForm(None))


@pages.post("/outbox/hold")
@managers_only
def hold_all() -> ResponseReturnValue:
    """Let nothing more leave until somebody lets it go."""
    form = HoldForm()
    if not form.validate():
        return page("outbox/hold.html", None, 422, form=form)
    instance.hold_all(current_user, form.why.data or "")
    return see_other(url_for(".index"))


@pages.post("/outbox/release")
@managers_only
def let_go() -> ResponseReturnValue:
    """Let mail leave again."""
    if held_by() is not None:
        instance.let_go()
        queueing.ring()
        flash("Mail leaves again.", "good")
    return see_other(on_site(request.form.get("next") or url_for(".index")))


@pages.post("/outbox/mailboxes/<int:mailbox_id>/hold")
@managers_only
def hold_mailbox(mailbox_id: int) -> ResponseReturnValue:
    """Let nothing more leave through one mailbox."""
    box = db.session.get(Mailbox, mailbox_id) or abort(404)
    mailboxes.hold(box, current_user)
    flash(f"Nothing leaves through {box.email} until somebody lets it go.", "good")
    return see_other(url_for(".index"))


@pages.post("/outbox/mailboxes/<int:mailbox_id>/release")
@managers_only
def let_mailbox_go(mailbox_id: int) -> ResponseReturnValue:
    """Let mail leave through it again."""
    box = db.session.get(Mailbox, mailbox_id) or abort(404)
    mailboxes.let_go(box)
    queueing.ring()
    flash(f"Mail leaves through {box.email} again.", "good")
    return see_other(url_for(".index"))


@pages.post("/settings/undo")
@managers_only
def set_undo() -> ResponseReturnValue:
    """For how long a sending can be taken back."""
    wanted = request.form.get("undo_seconds", "")
    if wanted not in {str(one) for one in UNDO_CHOICES}:
        flash("Choose one of the times below.", "bad")
        return see_other(url_for("settings.show") + "#undo")
    seconds = int(wanted)
    if company().undo_seconds != seconds:
        company().undo_seconds = seconds
        history.note("company", company().id, _undo_words(seconds), current_user.name)
    db.session.commit()
    flash(_undo_words(seconds), "good")
    return see_other(url_for("settings.show") + "#undo")


def _undo_words(seconds: int) -> str:
    if not seconds:
        return "What is sent by hand leaves at once."
    return f"What is sent by hand can be taken back for {seconds} seconds."


# -- saying what came of it ----------------------------------------------------------------------


def _tell(decided: Decided, deed: Deed) -> None:
    """One sentence for each thing that happened, and truthfully what came too late."""
    done = decided.done
    if len(done) == 1:
        flash(_done_words(done[0], deed), "good")
    elif done:
        flash(f"{len(done)} messages: {DONE[deed].replace(' it ', ' them ')}.", "good")
    for one in decided.late[:3]:
        flash(too_late(one), "warn")
    if len(decided.late) > 3:
        flash(f"{len(decided.late) - 3} others had moved on as well. Nothing was changed.", "warn")
    if decided.refused:
        one = decided.refused[0]
        asker = f"{one.requested_by.name}, who asked for it, or" if one.requested_by_id else "Only"
        flash(f"Nothing was changed: {asker} a manager decides about {one.about}.", "warn")


def _done_words(one: Dispatch, deed: Deed) -> str:
    if deed is Deed.UNDO:
        return f"Taken back: {one.about} did not leave. Everything is as you had written it."
    if one.state == State.HELD and deed is Deed.LET_GO:
        return f"{one.about} is let go, and waits all the same: {one.state_note}"
    return f"{one.about}: {DONE[deed]}."


def too_late(one: Dispatch) -> str:
    """What had become of one before anybody could do anything about it."""
    if one.accepted_at is not None:
        return f"Too late: {one.about} left at {clock(one.accepted_at)}."
    return {
        State.QUEUED: f"{one.about} is in the queue already.",
        State.SUBMITTING: f"Too late: {one.about} is being handed to Gmail at this moment.",
        State.UNKNOWN: f"Too late: {one.about} was handed to Gmail, and may have left.",
        State.HELD: f"{one.about} is on hold: {one.state_note}",
        State.CANCELLED: f"{one.about} was cancelled already. It did not leave.",
    }.get(State(one.state), f"{one.about}: {one.facts.label}. Nothing was changed.")


# -- what is shown -------------------------------------------------------------------------------


def _sections(lines: list[Waiting], moment: datetime, everything: bool) -> Iterator[Section]:
    wanted, after = request.args.get("show", ""), request.args.get("after", "")
    mailbox_id = request.args.get("mailbox", 0, int)
    for group in Group:
        if wanted not in ("", group):
            continue
        if group is Group.QUEUE:
            yield from _queues(lines, moment, everything, mailbox_id, after)
            continue
        found = waiting.stretch(group, None, after if wanted else "")
        batched = [one for one in lines if _is_in(one, group)]
        if found.rows or batched:
            rows = [_row(one, group, moment) for one in found.rows]
            yield Section(group, *TITLES[group], rows, batched, _further(group, found))


def _is_in(line: Waiting, group: Group) -> bool:
    if group is Group.HELD:
        return bool(line[State.HELD] or (line.mailbox_id is None and line.to_leave))
    return group is Group.UNCLEAR and bool(line[State.UNKNOWN])


def _queues(
    lines: list[Waiting], moment: datetime, everything: bool, only: int, after: str
) -> Iterator[Section]:
    """One section for each mailbox with something to send, or that somebody holds."""
    to_leave = {one.mailbox_id for one in lines if one.to_leave}
    at_work = to_leave.union(waiting.mailboxes_at_work())
    for box in mailboxes.all_mailboxes():
        if only not in (0, box.id) or not (box.id in at_work or box.held_at):
            continue
        why = _resting(box, moment, everything)
        found = waiting.stretch(Group.QUEUE, box.id, after if only else "")
        mine = [one for one in lines if one.mailbox_id == box.id and one.to_leave]
        yield Section(
            Group.QUEUE,
            box.email,
            _about(box, why),
            list(_in_line(found, why, moment)),
            mine,
            _further(Group.QUEUE, found, box.id),
            box,
            why,
        )


def _resting(box: Mailbox, moment: datetime, everything: bool) -> Resting:
    return waiting.resting(
        moment,
        everything_held=everything,
        held=box.held_at is not None,
        paused_until=box.paused_until,
    )


def _about(box: Mailbox, why: Resting) -> str:
    """Why a mailbox rests, and until when, as one sentence."""
    until = clock(why.until)
    match why.why:
        case Rest.HELD:
            who = box.held_by.name if box.held_by else "Somebody"
            return f"{who} holds this mailbox since {clock(box.held_at)}."
        case Rest.PAUSED:
            return f"{box.pause_note} It goes on at {until}.".lstrip()
        case Rest.DAY:
            return f"It has sent what Gmail allows in 24 hours. It goes on at {until}."
        case Rest.EVERYTHING:
            return "All mail waits: the line at the top of the page says why."
    return "" if box.can_send else box.why_not


def _in_line(found: Stretch, why: Resting, moment: datetime) -> Iterator[Row]:
    """The rows of a queue, each with its place."""
    queued = [one for one in found.rows if one.state == State.QUEUED]
    place = waiting.ahead_of(queued[0]) if queued else 0
    busy = len(queued) < len(found.rows)
    for one in found.rows:
        if one.state == State.SUBMITTING:
            yield Row(one, "submitting", "Sending", "It is being handed to Gmail.")
    for one in queued:
        place += 1
        soon = place == 1 and not busy and why.why is Rest.GOES_ON and not stuck_in_queue()
        label = "About to leave" if soon else f"{_ordinal(place)} in line"
        yield Row(one, "queued", label, mine=dispatch.may_decide(one, current_user))


def _ordinal(place: int) -> str:
    if place > waiting.MOST_COUNTED:
        return f"Beyond {waiting.MOST_COUNTED:,}th"
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10)
    return f"{place:,}{ending or 'th'}"


def _row(one: Dispatch, group: Group, moment: datetime) -> Row:
    mine = dispatch.may_decide(one, current_user)
    match group:
        case Group.UNDO:
            left = waiting.undo_left(one.not_before, moment) or 0
            return Row(one, "queued", _leaves_in(left), left=left, mine=mine)
        case Group.PERSON:
            return Row(one, "held", one.state_note, f"Since {clock(one.state_since)}.", mine=mine)
        case Group.HELD:
            return Row(one, "held", "On hold", one.state_note, mine=mine, look=True)
    if one.needs_person:
        return Row(one, "unknown", "Somebody must look", one.state_note, look=True)
    again = f"Looked at again at {clock(one.settle_after)}." if one.settle_after else ""
    return Row(one, "unknown", "Unclear, checking", again)


def _leaves_in(left: int) -> str:
    return f"Leaves in {left} s" if left else "Leaves in a moment"


def _further(group: Group, found: Stretch, mailbox_id: int | None = None) -> str:
    if not found.after:
        return ""
    return url_for(".index", show=group.value, mailbox=mailbox_id, after=found.after)


def _rhythm(sections: list[Section], moment: datetime) -> int:
    """How soon to look again, in seconds."""
    rows = [row.one for section in sections for row in section.rows]
    changes = [max(one.state_since, one.queued_at) for one in rows]
    ages = [moment - one for one in changes]
    ages += [timedelta(minutes=5) for section in sections if section.lines]
    queues = [section for section in sections if section.group is Group.QUEUE]
    at_work = any(one.resting.why is Rest.GOES_ON and (one.rows or one.lines) for one in queues)
    return waiting.rhythm(
        min(ages, default=None),
        counting=any(one.group is Group.UNDO for one in sections),
        moving=at_work and not stuck_in_queue(),
    )


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
    return Strip(*(waiting.count(one) for one in (Group.UNDO, Group.QUEUE, Group.PERSON)))


@pages.app_template_filter()
def undo_left(one: Dispatch) -> int | None:
    """Seconds in which a sending can be taken back; None where it cannot be any more."""
    return waiting.undo_left(one.not_before, now()) if one.state == State.QUEUED else None


@pages.app_template_filter()
def may_decide(one: Dispatch) -> bool:
    """Whether who looks at it may take it back, hold or hurry it."""
    return dispatch.may_decide(one, current_user)
