"""Links: the pages a stranger may open who holds one, to set a password or connect a mailbox."""

import time

from flask import Blueprint, Response, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired

from portal import accounts, devices, dispatch, links, mailboxes, queueing
from portal.accounts import User
from portal.extensions import db, limiter
from portal.links import Ended, Link
from portal.links import Purpose as LinkPurpose
from portal.mailboxes import Mailbox
from portal.people import company
from portal.providers import PERMISSIONS
from portal.providers.signing import Account, SignInProblem
from portal.providers.submission import Server, Unusable
from portal.web import journey, tablet
from portal.web import session as sessions
from portal.web.connections import CONNECTED
from portal.web.journey import Journey, Level, Purpose
from portal.web.page import page
from portal.web.roads import ROADS, Road, level_for

pages = Blueprint("links", __name__)

SOMEBODY_ELSES = (
    "This link is for {}, and you are signed in as {}. It counts for nobody else: "
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
def discreet(response: Response) -> Response:
    """The key is in the address: it goes to no other site, and into no search engine."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


@pages.errorhandler(Ended)
def ended(problem: Ended) -> ResponseReturnValue:
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
    """Say what connecting means, and what the provider will show."""
    link = links.open(key, LinkPurpose.MAILBOX)
    refuse_others(link.user)
    return _mailbox_page(link, key)


@pages.post("/links/mailbox/<key>")
@limiter.limit("30 per hour")
def connect(key: str) -> ResponseReturnValue:
    """Set out for the provider, for the mailbox of the very person the link is for."""
    link = links.open(key, LinkPurpose.MAILBOX)
    refuse_others(link.user)
    box = _box(link)
    if box is not None and box.provider == "smtp":
        return _with_password(link, key, box)
    road = next((one for one in _roads(box) if one.kind == request.form.get("kind")), None)
    road = road or _roads(box)[0]
    if not road.is_open:
        return _mailbox_page(link, key, NOT_YET.format(road.who), 503)
    purpose, box_id = (Purpose.RECONNECT, box.id) if box else (Purpose.OWN, None)
    wish = Journey(purpose, Level.FULL, link.user_id, box_id, time.time(), link.id, road.kind)
    hint, level = box.email if box else "", level_for(box, Level.FULL)
    db.session.commit()  # the provider is asked with no transaction open
    try:
        answer, state = road.begin(level, hint)
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
    waited = dispatch.to_review()
    boxes = [box for box in mailboxes.all_mailboxes() if box.email == email]
    asked = sum(waited.get(box.id, 0) for box in boxes)
    return page("links/connected.html", email=email, asked=asked)


NOT_YET = "{} does not know this portal yet. Tell whoever sent you the link; it stays good."


def _roads(box: Mailbox | None) -> list[Road]:
    """Where they may sign in: where their mailbox is, or wherever the portal is known."""
    if box is not None and box.provider in ROADS:
        return [ROADS[box.provider]]
    return [one for one in ROADS.values() if one.is_open] or [ROADS["gmail"]]


def _box(link: Link) -> Mailbox | None:
    """The mailbox that is to be connected again; none where the first one is to come."""
    box = link.mailbox or mailboxes.mailbox_of(link.user)
    return None if box is None or box.is_elsewhere else box


def _with_password(link: Link, key: str, box: Mailbox) -> ResponseReturnValue:
    """Connect a mailbox at a mail server again: the same server, a new password, tried first."""
    if not mailboxes.may_manage(box, link.user):
        raise Ended(links.UNKNOWN)
    server, password = Server.from_json(box.server), request.form.get("password", "")
    account, link_id, email = Account(box.account_sub, box.email, box.name, ""), link.id, box.email
    if not password:
        return _mailbox_page(link, key, "Write the password of this mailbox.", 422)
    db.session.commit()  # the server is asked with no transaction open
    try:
        mailboxes.try_server(server, password, email)
    except Unusable as problem:
        said = f"{problem.sentence(server)} {problem.next_step(server)}"
        return _mailbox_page(link, key, said, 422)
    links.use(links.still_open(link_id))  # counts only together with the mailbox it connects
    mailboxes.connect_server(account, server, password, owner=box.owner, expected=box)
    dispatch.release_ready()
    queueing.ring()
    session[CONNECTED] = email
    return redirect(url_for(".connected"), 303)


def refuse_others(user: User) -> None:
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
    box = _box(link)
    return page(
        "links/mailbox.html",
        status=status,
        who=link.user,
        key=key,
        box=box,
        by_password=box is not None and box.provider == "smtp",
        roads=_roads(box),
        permissions=PERMISSIONS,
        problem=problem,
        ours=company().name,
    )
