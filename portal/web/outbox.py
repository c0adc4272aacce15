"""The Outbox: what has not left yet, why, and until when; and what people do about it."""

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select

from portal import batches, dispatch, history, instance, mailboxes, queueing
from portal.columns import now
from portal.dispatch import Decided, Deed, Dispatch, State, waiting
from portal.dispatch.waiting import Group
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.web import overview, queues, stamp
from portal.web.context import clock, company, held_by, stuck_in_queue
from portal.web.fields import Line
from portal.web.filling import ticked
from portal.web.guard import managers_only, on_site
from portal.web.page import page, see_other

pages = Blueprint("outbox", __name__)

LONGEST_WHY = 200
#: What only passing time changes is told anew after so many seconds.
TOLD_ANEW = 15
#: How much of who held and let go before the page of it shows.
LINES_TOLD = 20
#: How a line of the history begins that tells of it.
HELD_OR_LET_GO = ("All mail ", "Mail of ")
#: For how many seconds a sending can be taken back: what may be chosen.
UNDO_CHOICES = (0, 10, 20, 60)
#: What a deed is called once it is done, for one and for several.
DONE = {
    Deed.UNDO: "taken back",
    Deed.CANCEL: "cancelled",
    Deed.HOLD: "held until somebody lets it go",
    Deed.LET_GO: "let go",
    Deed.SEND_NOW: "first in line now",
}


class HoldForm(FlaskForm):  # type: ignore[misc]
    """Why everything is held, for whoever wonders."""

    why = Line("Why", most=LONGEST_WHY)


@pages.get("/outbox")
def index() -> ResponseReturnValue:
    """Everything that waits, or one group of it further on."""
    moment, wanted = now(), queues.Wanted.read(request.args)
    seen = stamp.of(waiting.standing(), int(moment.timestamp() // TOLD_ANEW))
    if stamp.is_known(seen):
        return stamp.NOTHING_NEW
    parts = batches.still_waiting() if wanted.with_batches else []
    many = overview.read(wanted, parts, moment)
    sections = queues.sections(wanted, parts, moment, queues=many is None)
    counts_down = any(one.group is Group.UNDO for one in sections)
    moving = many is not None and many.moving
    return page(
        "outbox/index.html",
        "region",
        sections=sections,
        many=many,
        everything=held_by(),
        every=f"{queues.rhythm(sections, moment, moving=moving)}s",
        here=wanted.address(),
        look=wanted.address(seen=None if counts_down else seen),
        narrowed=wanted.group is not None,
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
    return _hold_page(HoldForm(None))


@pages.post("/outbox/hold")
@managers_only
def hold_all() -> ResponseReturnValue:
    """Let nothing more leave until somebody lets it go."""
    form = HoldForm()
    if not form.validate():
        return _hold_page(form, 422)
    instance.hold_all(current_user, form.why.data or "")
    return see_other(url_for(".index"))


def _hold_page(form: HoldForm, status: int = 200) -> ResponseReturnValue:
    boxes = db.session.scalars(select(Mailbox.id))
    told = history.of("company", company().id) + history.of("mailbox", *boxes)
    holds = [one for one in told if one.text.startswith(HELD_OR_LET_GO)]
    newest = sorted(holds, key=lambda one: one.id, reverse=True)
    return page("outbox/hold.html", None, status, form=form, changes=newest[:LINES_TOLD])


@pages.post("/outbox/release")
@managers_only
def let_go() -> ResponseReturnValue:
    """Let mail leave again."""
    if held_by() is not None:
        instance.let_go(current_user)
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
    mailboxes.let_go(box, current_user)
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
        flash(_not_yours(decided.refused[0]), "warn")


def _not_yours(one: Dispatch) -> str:
    """Why this person may not do what they wanted."""
    if one.held_by_manager and one.requested_by_id == current_user.id:
        return f"{one.about} waits: {one.state_note} {queues.only_a_manager(one)}"
    asker = f"{one.requested_by.name}, who asked for it, or" if one.requested_by_id else "Only"
    return f"Nothing was changed: {asker} a manager decides about {one.about}."


def _done_words(one: Dispatch, deed: Deed) -> str:
    if deed is Deed.UNDO:
        return f"Taken back: {one.about} did not leave. Everything is as you had written it."
    if one.state == State.HELD and deed is Deed.LET_GO:
        return f"{one.about} is let go, and waits all the same: {one.state_note}"
    if deed is Deed.SEND_NOW:
        return f"{one.about} goes first. {queues.why_not_yet(one, now()) or 'It leaves at once.'}"
    return f"{one.about}: {DONE[deed]}."


def too_late(one: Dispatch) -> str:
    """What had become of one before anybody could do anything about it."""
    if one.accepted_at is not None:
        return f"Too late: {one.about} left at {clock(one.accepted_at)}."
    return {
        State.QUEUED: f"{one.about} is in the queue already.",
        State.SUBMITTING: f"Too late: {one.about} is being handed over at this moment.",
        State.UNKNOWN: f"Too late: {one.about} was handed over, and may have left.",
        State.HELD: f"{one.about} is on hold: {one.state_note}",
        State.CANCELLED: f"{one.about} was cancelled already. It did not leave.",
    }.get(State(one.state), f"{one.about}: {one.facts.label}. Nothing was changed.")


# -- what other pages know of it -----------------------------------------------------------------


@pages.app_template_filter()
def undo_left(one: Dispatch) -> int | None:
    """Seconds in which a sending can be taken back; None where it cannot be any more."""
    return waiting.undo_left(one.not_before, now()) if one.state == State.QUEUED else None


@pages.app_template_filter()
def may_decide(one: Dispatch) -> bool:
    """Whether who looks at it may take it back, hold or hurry it."""
    return dispatch.may_decide(one, current_user)


@pages.app_template_filter()
def only_a_manager(one: Dispatch) -> str:
    """That only a manager may, where who looks at it is none."""
    return queues.only_a_manager(one)
