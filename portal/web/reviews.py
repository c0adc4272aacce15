"""Reviews: what waited for long while a mailbox could not send, and a link to mend the mailbox."""

from dataclasses import dataclass
from datetime import datetime

from babel.dates import format_timedelta
from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import breakdowns, dispatch, health, ledger, mailboxes, queueing
from portal.accounts import User
from portal.columns import now
from portal.dispatch import Deed, Dispatch, reviewing
from portal.extensions import db, limiter
from portal.health import Forecast
from portal.mailboxes import Mailbox
from portal.web.context import clock
from portal.web.filling import ticked
from portal.web.mailboxes import home_of, managed
from portal.web.page import page, see_other

pages = Blueprint("reviews", __name__)

#: So many are listed; more than that are decided about together, or in the Outbox.
MOST_LISTED = 100


@dataclass(frozen=True)
class Ending:
    """A sign-in that is about to end by itself, in words."""

    title: str
    text: str

    @classmethod
    def of(cls, box: Mailbox, found: Forecast) -> "Ending":
        """Why it ends, when, and the way out."""
        ends = "ends" if found.certain else "probably ends"
        title = f"The sign-in of {box.email} {ends} {clock(found.at)}"
        if not found.of_testing:
            return cls(title, f"{box.kind.account} said so. Sign in again before then.")
        return cls(
            title,
            "Google ends every sign-in after seven days while your Google project is in Testing. "
            "The way out: publish the project (“In production”) or make it Internal, and then "
            "sign in again. Otherwise this comes back every week.",
        )


@pages.get("/mailboxes/<int:mailbox_id>/waiting")
def show(mailbox_id: int) -> ResponseReturnValue:
    """All that waited for long: send all of it, or go through it."""
    box = _box(mailbox_id)
    count = dispatch.to_review().get(box.id, 0)
    return page(
        "reviews/show.html",
        box=box,
        count=count,
        rows=reviewing.asked_about(box.id, MOST_LISTED),
        home=home_of(box) if mailboxes.may_manage(box, current_user) else url_for("outbox.index"),
    )


@pages.post("/mailboxes/<int:mailbox_id>/waiting")
def send_all(mailbox_id: int) -> ResponseReturnValue:
    """Let all of it leave after all."""
    box = _box(mailbox_id)
    sent_on = dispatch.send_on(box.id, _me())
    queueing.ring()
    if sent_on:
        what = "1 message is" if sent_on == 1 else f"{sent_on} messages are"
        flash(f"{what} on the way from {box.email}.", "good")
    else:
        flash("Nothing waits for your word any more.", "info")
    return see_other(url_for("outbox.index"))


@pages.post("/mailboxes/<int:mailbox_id>/waiting/ticked")
def decide(mailbox_id: int) -> ResponseReturnValue:
    """Cancel what is ticked, or send just that."""
    box = _box(mailbox_id)
    deed = _deed()
    found = [one for number in ticked("dispatch") if (one := _asked_about(box, number))]
    if not found:
        flash("Tick the messages first, then choose what to do with them.", "warn")
        return see_other(url_for(".show", mailbox_id=box.id))
    decided = dispatch.decide(found, deed, current_user)
    _tell(len(decided.done), deed)
    if decided.refused:
        flash("Only who asked for a message, or a manager, decides about it alone.", "warn")
    if box.id in dispatch.to_review():
        return see_other(url_for(".show", mailbox_id=box.id))
    return see_other(url_for("outbox.index"))


@pages.post("/mailboxes/<int:mailbox_id>/link")
@limiter.limit("60 per hour", key_func=lambda: f"links:{current_user.get_id()}")
def make_link(mailbox_id: int) -> ResponseReturnValue:
    """A link that connects this very mailbox again, for who manages it to open elsewhere."""
    box = managed(mailbox_id)
    made = breakdowns.make_link(box, _me(), _me())
    late = made.mail is not None and queueing.health() != "ok"
    return page("reviews/link.html", made=made, box=box, home=home_of(box), late=late)


def _tell(count: int, deed: Deed) -> None:
    what = "cancelled" if deed is Deed.CANCEL else "on the way"
    if count:
        flash(f"{'1 message is' if count == 1 else f'{count} messages are'} {what}.", "good")


def _deed() -> Deed:
    wanted = request.form.get("do", "")
    return Deed(wanted) if wanted in (Deed.CANCEL, Deed.LET_GO) else abort(400)


def _asked_about(box: Mailbox, dispatch_id: int) -> Dispatch | None:
    one = db.session.get(Dispatch, dispatch_id)
    return one if one is not None and one.mailbox_id == box.id and one.held_by_hand else None


def _box(mailbox_id: int) -> Mailbox:
    """A mailbox whose mail this person may decide about: their own, or for managers any."""
    box = db.session.get(Mailbox, mailbox_id) or abort(404)
    if not (current_user.is_manager or box.owner_id == current_user.id):
        abort(403)
    return box


def _me() -> User:
    found: User = current_user._get_current_object()
    return found


# -- what other pages know of it -----------------------------------------------------------------


@pages.app_template_filter()
def condition(box: Mailbox, *, theirs: bool = False) -> health.Said:
    """How a mailbox stands, in words. theirs: whoever looks at it is not who signs in to it."""
    full = ledger.full_until(box) if box.can_send else None
    return health.said(box.facts(full), now(), clock, _ago, theirs=theirs)


@pages.app_template_filter()
def ending(box: Mailbox) -> Ending | None:
    """What is foreseen of its sign-in, while that is still to come."""
    found = health.forecast(box.facts(), now())
    return Ending.of(box, found) if found else None


@pages.app_template_filter()
def nobody_told(box: Mailbox) -> bool:
    """Whether its breakdown could be told to nobody by mail."""
    return breakdowns.nobody_told(box)


def _ago(moment: datetime) -> str:
    """4 min ago."""
    told = format_timedelta(moment - now(), add_direction=True, format="short", locale="en")
    return told.replace(".", "")
