"""The test round: a real mail from each sender, ticked by who saw it; and a note for customers."""

from flask import Blueprint, Response, abort, flash, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import RadioField, SelectChoice

from portal import trials
from portal.extensions import db, limiter
from portal.people import company
from portal.trials import OUTCOMES, CannotTest, Outcome, Trial, TrialRound
from portal.web.fields import AddressField, Line
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("trials", __name__)


CHOICES = [SelectChoice(str(one), said) for one, said in OUTCOMES.items()]


class MailForm(FlaskForm):  # type: ignore[misc]
    """Where one test goes."""

    to = AddressField("Send it to", required="Write where the test should go.")


class SeenForm(FlaskForm):  # type: ignore[misc]
    """What somebody saw of a test."""

    outcome = RadioField("What did you see?", choices=CHOICES)
    note = Line("Note", most=200)


@pages.get("/test-round")
def index() -> ResponseReturnValue:
    """The newest round, or what a round is for. Anybody may tick what they saw."""
    return _page(trials.latest())


@pages.get("/test-rounds/<int:round_id>")
def show(round_id: int) -> ResponseReturnValue:
    """A former round."""
    return _page(db.session.get(TrialRound, round_id) or abort(404))


@pages.post("/test-rounds")
@managers_only
def create() -> ResponseReturnValue:
    """Begin a new round with the senders in use now."""
    trials.start(current_user)
    return see_other(url_for(".index"))


@pages.post("/test-rounds/<int:round_id>/senders")
@managers_only
def add(round_id: int) -> ResponseReturnValue:
    """Take in what came into use since."""
    trials.add_missing(db.session.get(TrialRound, round_id) or abort(404), current_user)
    return see_other(url_for(".index"))


@pages.post("/trials/<int:trial_id>/mail")
@managers_only
@limiter.limit("120 per hour", key_func=lambda: f"trials:{current_user.id}")
def send(trial_id: int) -> ResponseReturnValue:
    """Send one test from its own address."""
    trial, form = _trial(trial_id), MailForm()
    if not form.validate():
        return _page(trial.round, 422, trial, form.to.errors[0], form.to.raw_data[0])
    try:
        trials.send(trial, form.to.data, current_user)
    except CannotTest as problem:
        return _page(trial.round, 422, trial, str(problem), form.to.data)
    flash(f"A test from {trial.sender_email} is on its way to {trial.to_email}.", "good")
    return see_other(_back(trial))


@pages.post("/trials/<int:trial_id>/outcome")
def settle(trial_id: int) -> ResponseReturnValue:
    """Say what one saw of a test."""
    trial, form = _trial(trial_id), SeenForm()
    if not form.validate():
        return _page(trial.round, 422, trial, "Choose what you saw.")
    try:
        trials.settle(trial, Outcome(form.outcome.data), current_user, form.note.data or "")
    except CannotTest as problem:
        return _page(trial.round, 422, trial, str(problem))
    return see_other(_back(trial))


@pages.get("/allow-list")
def note() -> ResponseReturnValue:
    """A note to give to customers, so that their mail programs let ours through."""
    return page("settings/allow_list.html", None, note=_note())


@pages.get("/allow-list.txt")
def note_text() -> ResponseReturnValue:
    """The same as a text file."""
    answer = Response(_note(), mimetype="text/plain")
    answer.headers.set("Content-Disposition", "attachment", filename="our-e-mail-addresses.txt")
    return answer


def _note() -> str:
    addresses = [one.email for one in trials.senders_in_use(current_user)]
    domains = sorted({one.rpartition("@")[2] for one in addresses})
    return render_template(
        "settings/allow_list.txt", company=company(), addresses=addresses, domains=domains
    )


def _page(
    shown: TrialRound | None,
    status: int = 200,
    wrong: Trial | None = None,
    problem: str = "",
    typed: str | None = "",
) -> ResponseReturnValue:
    newest = trials.latest()
    in_use = trials.senders_in_use(current_user)
    current = shown is not None and newest is not None and shown.id == newest.id
    return page(
        "settings/test_round.html",
        "round",
        status,
        round=shown,
        current=current,
        in_use=in_use,
        known={one.email.casefold(): one for one in in_use},
        missing=trials.not_in(shown, in_use) if shown and current else [],
        earlier=trials.earlier(),
        outcomes=OUTCOMES,
        wrong=wrong,
        problem=problem,
        typed=typed,
        moving=current and any(_moving(one) for one in (shown.trials if shown else [])),
    )


def _moving(one: Trial) -> bool:
    return one.dispatch is not None and one.dispatch.moving


def _back(trial: Trial) -> str:
    return url_for(".index", _anchor=f"trial-{trial.id}")


def _trial(trial_id: int) -> Trial:
    return db.session.get(Trial, trial_id) or abort(404)
