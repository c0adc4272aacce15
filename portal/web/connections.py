"""Connections: going to Google with a wish, and coming back with a mailbox."""

import time

from flask import Blueprint, abort, current_app, flash, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import Forbidden

from portal import dispatch, links, mailboxes, queueing
from portal.accounts import User
from portal.config import Config
from portal.envelope import ProviderAnswer
from portal.extensions import db
from portal.links import Ended
from portal.mailboxes import CannotConnect, Mailbox
from portal.providers import google
from portal.providers.gmail import FULL_SCOPES, SEND_ONLY_SCOPES
from portal.providers.signing import SignInProblem
from portal.web import journey
from portal.web.journey import Journey, Level, Purpose
from portal.web.page import page, see_other

pages = Blueprint("connections", __name__)

#: What a browser remembers after a mailbox was connected by a link.
CONNECTED = "connected_by_link"
SCOPES = {Level.FULL: FULL_SCOPES, Level.SEND_ONLY: SEND_ONLY_SCOPES}


@pages.post("/mailboxes/connections")
def create() -> ResponseReturnValue:
    """Set out for Google."""
    wish = _wish()
    if not config().GOOGLE_CLIENT_ID:
        return see_other(url_for("mailboxes.new", purpose=wish.purpose))
    box = _expected(wish)
    hint = box.email if box else ""
    db.session.commit()  # Google is asked with no transaction open
    try:
        answer, state = google.begin(callback_address(), SCOPES[Level(wish.level)], hint)
    except SignInProblem as problem:
        return _failed(problem.message, wish, 503)
    journey.set_out(wish, state)
    return answer


@pages.get("/google/callback")
def callback() -> ResponseReturnValue:
    """Come back from Google. The one GET that stores something: its state protects it."""
    wish = None
    try:
        wish = journey.come_back(request.args.get("state", ""), _signed_in())
        box = _connect(wish)
    except SignInProblem as problem:
        return _failed(problem.message, wish)
    except (CannotConnect, Ended) as problem:
        return _failed(str(problem), wish)
    except Forbidden:
        return _failed("You may not connect this mailbox.", wish)
    _settle_in(box)
    if wish.link_id:
        session[CONNECTED] = box.email
    return see_other(_home(wish))


def callback_address() -> str:
    """Where Google sends people back to: by configuration alone, never by the Host header."""
    return config().PUBLIC_URL + url_for("connections.callback")


def config() -> Config:
    found: Config = current_app.config["PORTAL"]
    return found


def _wish() -> Journey:
    purpose = request.form.get("purpose", "")
    level = request.form.get("level", Level.FULL)
    if purpose not in list(Purpose) or level not in list(Level):
        abort(400)
    mailbox_id = request.form.get("mailbox_id", type=int)
    if (purpose == Purpose.RECONNECT) != (mailbox_id is not None):
        abort(400)
    if purpose == Purpose.COMPANY and not current_user.is_manager:
        abort(403)
    return Journey(purpose, level, current_user.id, mailbox_id, time.time())


def _signed_in() -> int | None:
    return current_user.id if current_user.is_authenticated else None


def _person(wish: Journey) -> User:
    """Whose journey it is: a link says it of somebody who did not sign in."""
    found: User = db.session.get_one(User, wish.user_id)
    return found


def _expected(wish: Journey) -> Mailbox | None:
    """The mailbox that is to be reconnected."""
    if wish.mailbox_id is None:
        return None
    box = db.session.get(Mailbox, wish.mailbox_id) or abort(404)
    if not mailboxes.may_manage(box, _person(wish)):
        abort(403)
    return box


def _connect(wish: Journey) -> Mailbox:
    person = _person(wish)
    if wish.purpose == Purpose.COMPANY and not person.is_manager:
        abort(403)
    link = links.still_open(wish.link_id) if wish.link_id else None
    expected = _expected(wish)
    own = expected.owner_id is not None if expected else wish.purpose == Purpose.OWN
    db.session.commit()
    account, grant = google.finish()
    try:
        if link:
            links.use(link)  # counts only together with the mailbox it connects
        return mailboxes.connect(account, grant, owner=person if own else None, expected=expected)
    except (CannotConnect, Ended):
        db.session.rollback()
        raise


def _settle_in(box: Mailbox) -> None:
    """What a new connection makes possible happens at once: its list is read, held mail leaves."""
    try:
        mailboxes.refresh_addresses(box)
    except ProviderAnswer as problem:
        flash(f"{problem.message} The send-from addresses are read again in a while.", "warn")
    released = dispatch.release_ready()
    queueing.ring()
    if box.can_send:
        step = "" if box.missing_scopes else " Next: open a document and send a test to yourself."
        flash(f"Connected: {box.email}.{step}", "good")
    else:
        flash(f"Google knows you as {box.email}, but it may not send yet. See below.", "warn")
    if released:
        what = "message that was" if released == 1 else "messages that were"
        flash(f"{released} {what} on hold {'is' if released == 1 else 'are'} on the way.", "good")


def _home(wish: Journey) -> str:
    """The page a journey is about."""
    if wish.link_id:
        return url_for("links.connected")
    if wish.purpose == Purpose.RECONNECT:
        box = _expected(wish)
        own = box is not None and box.owner_id is not None
    else:
        own = wish.purpose == Purpose.OWN
    return url_for("profile.show" if own else "settings.show")


def _failed(sentence: str, wish: Journey | None, status: int = 400) -> ResponseReturnValue:
    if not current_user.is_authenticated:
        return page("links/failed.html", status=status, sentence=sentence)
    return page("mailboxes/failed.html", "content", status, sentence=sentence, wish=wish)
