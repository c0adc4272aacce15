"""Pages of dispatches: what became of one sending, told as it happens, with its frozen evidence."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, abort, current_app, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import TextAreaField

from portal import bounces, corrections, dispatch, queueing
from portal.batches import Batch
from portal.bounces import Standing, Watch
from portal.columns import now
from portal.dispatch import Attempt, Dispatch, Purpose, State
from portal.extensions import db
from portal.senders import Trouble
from portal.web import arrivals, consents, queues, stamp
from portal.web.context import company
from portal.web.documents import pdf_answer
from portal.web.fields import Most, printable, stripped
from portal.web.known import known
from portal.web.page import page, see_other, wants_fragment

pages = Blueprint("dispatches", __name__)

LONGEST_WHY = 2000
#: For so many seconds after the last change the page looks again every second or two.
LOOKS_EAGERLY = 120
#: For so long after it was accepted the page looks whether something came in about it, so often
#: (seconds): most of what comes back does so within minutes.
LISTENS, LISTENING = 1200, "20s"
#: Nothing can have come in about what stands so.
NOT_GONE = (State.QUEUED, State.SUBMITTING)

_UNQUOTED = re.compile(r"[^\w\s.-]")
_UNFIT_IN_A_NAME = re.compile(r"[^\w.-]+")


@pages.app_template_filter()
def took(attempt: Attempt) -> str:
    """How long an attempt that has ended lasted: "3 s", "under a second"."""
    seconds = ((attempt.ended_at or attempt.started_at) - attempt.started_at).total_seconds()
    return f"{seconds:.0f} s" if seconds >= 1 else "under a second"


class BackForm(FlaskForm):  # type: ignore[misc]
    """What the mail that came back said."""

    why = TextAreaField("What it said", [printable, Most(LONGEST_WHY)], filters=[stripped])


@dataclass(frozen=True)
class Way:
    """Where a person puts a hold right."""

    href: str
    label: str


@pages.get("/dispatches/<int:dispatch_id>")
def show(dispatch_id: int) -> ResponseReturnValue:
    """One sending. Its card asks for itself again while something may still happen."""
    seen = _seen(dispatch_id)
    if stamp.is_known(seen):
        return stamp.NOTHING_NEW
    one = _dispatch(dispatch_id)
    every, came_in = _every(one), _came_in(one)
    listening = _listening(one, came_in["watch"])
    return page(
        "dispatches/show.html",
        "card",
        htmx_part=wants_fragment(),
        one=one,
        seen=seen,
        batch=_batch_name(one),
        shows_words=_is_for_everybody(one),
        decides=_may_decide(one),
        every=every or listening,
        known=known(one, hurried=bool(every)),
        resendable=dispatch.can_resend(one),
        queue=queueing.health() if one.state == State.QUEUED else "",
        pause=queues.why_not_yet(one, now()),
        behind=dispatch.waits_behind(one),
        way=_way(one),
        where_sent=_where_sent(one),
        **came_in,
    )


def _came_in(one: Dispatch) -> dict[str, Any]:
    """What its page shows of what came in about it, and whether anything would have been seen."""
    found = bounces.of_dispatch(one.id) if one.state not in NOT_GONE else []
    box = one.mailbox
    back = arrivals.back(one, found)
    return {
        "came_in": arrivals.lines([each for each in found if not (back and each.is_bounce)], one),
        "guesses": [each for each in found if each.standing == Standing.ASKED],
        "back": back,
        "watch": _watch(one),
        "lets_read": arrivals.may_let_read(box) if box is not None else "",
        "correctable": corrections.can_correct(one),
    }


def _watch(one: Dispatch) -> Watch | None:
    """How the inbox stands into which it would come back; None where it has not left, or has no
    such inbox."""
    box = one.mailbox if one.state in (State.ACCEPTED, State.RETURNED) else None
    return bounces.watch_of(box) if box is not None and not box.is_relay else None


@pages.get("/dispatches/<int:dispatch_id>/message.eml")
def message(dispatch_id: int) -> ResponseReturnValue:
    """The very bytes that were frozen when somebody pressed Send."""
    one = _open(dispatch_id)
    answer = Response(one.mime, mimetype="message/rfc822")
    answer.headers.set("Content-Disposition", "attachment", filename=f"{_file_name(one)}.eml")
    return answer


@pages.get("/dispatches/<int:dispatch_id>/paper.pdf")
def paper(dispatch_id: int) -> ResponseReturnValue:
    """The PDF that went along, taken out of the frozen message."""
    drawn = dispatch.paper_of(_open(dispatch_id)) or abort(404)
    return pdf_answer(drawn.content, drawn.filename)


@pages.get("/dispatches/<int:dispatch_id>/evidence.txt")
def evidence(dispatch_id: int) -> ResponseReturnValue:
    """All that is known of it as one plain text, to keep or to hand on."""
    one = _open(dispatch_id)
    told = render_template(
        "dispatches/evidence.txt",
        one=one,
        known=known(one, thorough=True),
        batch=_batch_name(one),
        company=company(),
        drawn_at=now(),
        numbered=_file_name(one),
    )
    answer = Response(told, mimetype="text/plain")
    name = f"{_file_name(one)}-evidence.txt"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


@pages.post("/dispatches/<int:dispatch_id>/settlement")
def settle(dispatch_id: int) -> ResponseReturnValue:
    """A person says what the provider's evidence could not."""
    one = _decidable(dispatch_id)
    answer = request.form.get("left", "")
    if answer not in ("yes", "no"):
        flash("Choose whether it left or did not leave.", "bad")
    elif not dispatch.settle(one, current_user, left=answer == "yes"):
        flash("It is settled already.", "info")
    return see_other(url_for("dispatches.show", dispatch_id=dispatch_id))


@pages.post("/dispatches/<int:dispatch_id>/hindsight")
def turned_out(dispatch_id: int) -> ResponseReturnValue:
    """Somebody found out later what nobody could tell when they decided."""
    one, answer = _decidable(dispatch_id), request.form.get("left", "")
    if answer not in ("yes", "no"):
        flash("Choose whether it left or did not leave.", "bad")
    elif not dispatch.turned_out(one, current_user, left=answer == "yes"):
        flash("Nothing was changed: that is known already.", "info")
    return _show(dispatch_id)


@pages.get("/dispatches/<int:dispatch_id>/return")
def found_back(dispatch_id: int) -> ResponseReturnValue:
    """Saying that an accepted mail came back."""
    one = _accepted(dispatch_id)
    return _back_page(one, BackForm(None)) if one else _show(dispatch_id)


@pages.post("/dispatches/<int:dispatch_id>/return")
def came_back(dispatch_id: int) -> ResponseReturnValue:
    """Keep that it came back, and what was said of why."""
    one, form = _accepted(dispatch_id), BackForm()
    if one is not None and not form.validate():
        return _back_page(one, form, 422)
    if one is None or not dispatch.came_back(one, current_user, form.why.data or ""):
        flash("Only what was sent can come back.", "info")
    return _show(dispatch_id)


def _back_page(one: Dispatch, form: BackForm, status: int = 200) -> ResponseReturnValue:
    where = _in_gmail(one, f"from:mailer-daemon {{{' '.join(one.to)}}}")
    return page(
        "dispatches/came_back.html",
        None,
        status,
        one=one,
        form=form,
        where_back=where,
        watch=_watch(one),
    )


def _show(dispatch_id: int) -> ResponseReturnValue:
    return see_other(url_for("dispatches.show", dispatch_id=dispatch_id))


def _accepted(dispatch_id: int) -> Dispatch | None:
    """A document's mail that its provider has accepted; None where it stands elsewhere by now."""
    one = _dispatch(dispatch_id)
    return one if one.state == State.ACCEPTED and one.document_id else None


def _open(dispatch_id: int) -> Dispatch:
    """One whose words are for everybody here."""
    one = _dispatch(dispatch_id)
    return one if _is_for_everybody(one) else abort(404)


def _decidable(dispatch_id: int) -> Dispatch:
    """One that this person may settle: the portal's own mail is the managers' to look after."""
    one = _dispatch(dispatch_id)
    return one if _may_decide(one) else abort(403)


def _may_decide(one: Dispatch) -> bool:
    return _is_for_everybody(one) or bool(current_user.is_manager)


def _is_for_everybody(one: Dispatch) -> bool:
    """The portal's own mail to somebody may hold a link that is theirs alone."""
    return one.purpose != Purpose.NOTICE


def _file_name(one: Dispatch) -> str:
    """What its files are called: one word, which a command line takes as it is."""
    return f"{_UNFIT_IN_A_NAME.sub('-', one.about).strip('-.')}-{one.sending_number}"


def _batch_name(one: Dispatch) -> str:
    found = db.session.get(Batch, one.batch_id) if one.batch_id else None
    return found.name if found else ""


def _dispatch(dispatch_id: int) -> Dispatch:
    return db.session.get(Dispatch, dispatch_id) or abort(404)


def _seen(dispatch_id: int) -> str:
    """The stamp of what its page says. When it is expected to leave is told anew now and then."""
    standing = dispatch.standing(dispatch_id) or abort(404)
    state, since, not_before, *_ = standing
    moment = now()
    if state == State.QUEUED and not_before and not_before > moment:
        return stamp.of(standing, moment)  # it counts down
    age = (moment - since).total_seconds()
    told_anew = 15 if age < LOOKS_EAGERLY else 60
    forecast = int(moment.timestamp() // told_anew) if state == State.QUEUED else 0
    if state == State.ACCEPTED and age < LISTENS:  # how lately its inbox was read
        forecast = int(moment.timestamp() // 60)
    return stamp.of(standing, _rhythm(state, age), forecast)


def _every(one: Dispatch) -> str:
    """How often the card looks again: eagerly at first; not at all once nothing can change."""
    if not (one.moving or one.state == State.HELD):
        return ""
    if one.state == State.QUEUED and one.not_before and one.not_before > now():
        return "1s"  # the time in which it can be undone counts down
    return _rhythm(one.state, (now() - one.state_since).total_seconds())


def _listening(one: Dispatch, watch: Watch | None) -> str:
    """How often the card looks for what comes in, where that would be seen; "" for not at all."""
    young = (now() - one.state_since).total_seconds() < LISTENS
    heard = watch is not None and watch.sees and one.state == State.ACCEPTED
    return LISTENING if young and heard else ""


def _rhythm(state: str, age: float) -> str:
    if state == State.HELD or age > LOOKS_EAGERLY:
        return "5s"
    return "1s" if age < 15 else "2s"


def _way(one: Dispatch) -> Way | None:
    """What this person can do about a hold; None where it is for somebody else to do."""
    if one.state != State.HELD:
        return None
    if one.hold_code == Trouble.CONSENT:
        href, label = consents.next_step(one.from_email)
        return Way(href, label) if href else None
    own = one.mailbox is not None and one.mailbox.owner_id == current_user.id
    mine = one.from_email.casefold() == current_user.email.casefold()
    if own or (mine and one.hold_code != Trouble.MAILBOX):
        return Way(url_for("profile.show"), "Set up my address")
    if current_user.is_manager:
        return Way(url_for("settings.show"), "Open System settings")
    return None


def _where_sent(one: Dispatch) -> str:
    """The place where a person can look for it: in Gmail by its subject, in Outlook among what was
    sent; "" where the portal knows none."""
    box = one.mailbox
    if box is not None and box.provider == "microsoft":
        web = current_app.config["PORTAL"].OUTLOOK_WEB_URL
        return f"{web}/mail/{quote(box.email, safe='@')}/sentitems"
    subject = _UNQUOTED.sub(" ", one.subject)
    return _in_gmail(one, f'in:sent subject:"{subject}"')


def _in_gmail(one: Dispatch, search: str) -> str:
    """A search in the mailbox that sent it."""
    if one.mailbox is None or one.mailbox.provider != "gmail":
        return ""
    web = current_app.config["PORTAL"].GMAIL_WEB_URL
    return f"{web}/mail/u/{quote(one.mailbox.email)}/#search/{quote(search)}"
