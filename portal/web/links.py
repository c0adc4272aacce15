"""Links: the pages a stranger may open who holds one, to set a password or connect a mailbox."""

import time

from flask import Blueprint, Response, flash, redirect, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired

from portal import accounts, devices, links, mailboxes
from portal.accounts import User
from portal.extensions import db, limiter
from portal.links import Ended, Link
from portal.links import Purpose as LinkPurpose
from portal.mailboxes import Mailbox
from portal.people import company
from portal.providers import google
from portal.providers.gmail import PERMISSIONS
from portal.providers.signing import SignInProblem
from portal.web import journey, tablet
from portal.web import session as sessions
from portal.web.connections import CONNECTED, SCOPES, callback_address, config
from portal.web.journey import Journey, Level, Purpose
from portal.web.page import page

pages = Blueprint("links", __name__)

SOMEBODY_ELSES = (
    "This link is for {}, and you are signed in as {}. Everybody connects their own mailbox: "
    "give the link to {}, or sign out first if you share this device."
)


class NewPasswordForm(FlaskForm):  # type: ignore[misc]
    """A password, twice."""

    new = PasswordField(
        "New password",
        [InputRequired("Write a password.")],
        description=f"At least {accounts.SHORTEST_PASSWORD} characters. A few words are best.",
    )
    again = PasswordField("The same again", [EqualTo("new", "The two passwords are not the same.")])


@pages.after_request
def _discreet(response: Response) -> Response:
    """The key is in the address: it goes to no other site, and into no search engine."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


@pages.errorhandler(Ended)
def _ended(problem: Ended) -> ResponseReturnValue:
    return page("links/ended.html", status=410, sentence=str(problem))


@pages.get("/links/password/<key>")
@limiter.limit("120 per hour")
def password(key: str) -> ResponseReturnValue:
    """Show whose password is to be set. A mail program that looks ahead uses nothing up."""
    link = links.open(key, LinkPurpose.PASSWORD)
    return _password_page(link, key, NewPasswordForm(formdata=None))


@pages.post("/links/password/<key>")
@limiter.limit("30 per hour")
def set_password(key: str) -> ResponseReturnValue:
    """Set it, sign its owner in, and let nothing older count."""
    link, form = links.open(key, LinkPurpose.PASSWORD), NewPasswordForm()
    if not form.validate():
        return _password_page(link, key, form, 422)
    try:
        links.set_password(link, form.new.data or "")
    except accounts.CannotChange as problem:
        form.new.errors = [str(problem)]
        return _password_page(link, key, form, 422)
    sessions.begin(link.user)
    if (device := tablet.this_one()) is not None:  # a shared one asks again, here as anywhere
        tablet.begin(devices.signed_in_fully(device, link.user), by_pin=False)
    flash(f"Welcome, {link.user.name}. Your password is set.", "good")
    return redirect(url_for("home.index"), 303)


@pages.get("/links/mailbox/<key>")
@limiter.limit("120 per hour")
def mailbox(key: str) -> ResponseReturnValue:
    """Say what connecting means, and what Google will show."""
    link = links.open(key, LinkPurpose.MAILBOX)
    _refuse_others(link.user)
    return _mailbox_page(link, key)


@pages.post("/links/mailbox/<key>")
@limiter.limit("30 per hour")
def connect(key: str) -> ResponseReturnValue:
    """Set out for Google, for the mailbox of the very person the link is for."""
    link = links.open(key, LinkPurpose.MAILBOX)
    _refuse_others(link.user)
    if not config().GOOGLE_CLIENT_ID:
        return _mailbox_page(link, key, NOT_YET, 503)
    box = _own(link.user)
    purpose = Purpose.RECONNECT if box else Purpose.OWN
    wish = Journey(purpose, Level.FULL, link.user_id, box.id if box else None, time.time(), link.id)
    hint = box.email if box else ""
    db.session.commit()  # Google is asked with no transaction open
    try:
        answer, state = google.begin(callback_address(), SCOPES[Level.FULL], hint)
    except SignInProblem as problem:
        return _mailbox_page(link, key, problem.message, 503)
    journey.set_out(wish, state)
    return answer


@pages.get("/links/connected")
def connected() -> ResponseReturnValue:
    """What was connected by a link, and that this is all."""
    email = session.get(CONNECTED)
    if not email:
        return redirect(url_for("session.new"), 303)
    return page("links/connected.html", email=email)


NOT_YET = "Google does not know this portal yet. Tell whoever sent you the link; it stays good."


def _own(user: User) -> Mailbox | None:
    """The mailbox that is to be connected again; none where the first one is to come."""
    box = mailboxes.mailbox_of(user)
    return None if box is None or box.is_elsewhere else box


def _refuse_others(user: User) -> None:
    if current_user.is_authenticated and current_user.id != user.id:
        raise Ended(SOMEBODY_ELSES.format(user.name, current_user.name, user.name))


def _password_page(
    link: Link, key: str, form: NewPasswordForm, status: int = 200
) -> ResponseReturnValue:
    return page(
        "links/password.html",
        status=status,
        who=link.user,
        key=key,
        form=form,
        ours=company().name,
    )


def _mailbox_page(
    link: Link, key: str, problem: str = "", status: int = 200
) -> ResponseReturnValue:
    return page(
        "links/mailbox.html",
        status=status,
        who=link.user,
        key=key,
        box=_own(link.user),
        permissions=PERMISSIONS,
        problem=problem,
        ours=company().name,
    )
