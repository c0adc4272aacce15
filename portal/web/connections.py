"""Connections: going to a provider with a wish, and coming back with a mailbox."""

import time

from flask import Blueprint, abort, flash, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import Forbidden

from portal import dispatch, links, mailboxes, queueing, stores
from portal.accounts import User
from portal.envelope import ProviderAnswer
from portal.extensions import db
from portal.links import Ended
from portal.mailboxes import CannotConnect, Mailbox
from portal.providers import microsoft
from portal.providers.signing import SignInProblem
from portal.web import journey
from portal.web.journey import Journey, Level, Purpose
from portal.web.page import page, see_other
from portal.web.roads import ROADS, Road, config, level_for

pages = Blueprint("connections", __name__)

#: What a browser remembers after a mailbox was connected by a link.
CONNECTED = "connected_by_link"


@pages.post("/mailboxes/connections")
def create() -> ResponseReturnValue:
    """Set out for the provider."""
    wish = _wish()
    road = ROADS[wish.kind]
    if not road.is_open:
        return see_other(url_for("mailboxes.new", purpose=wish.purpose, kind=wish.kind))
    box = _expected(wish)
    hint, level = box.email if box else "", level_for(box, wish.level)
    db.session.commit()  # the provider is asked with no transaction open
    try:
        answer, state = road.begin(level, hint)
    except SignInProblem as problem:
        return _failed(problem.message, wish, 503)
    journey.set_out(wish, state)
    return answer


@pages.get("/google/callback")
@stores.writes
def callback() -> ResponseReturnValue:
    """Come back from Google. A GET that stores something: its state protects it."""
    return _returned(ROADS["gmail"])


@pages.get("/microsoft/callback")
@stores.writes
def microsoft_callback() -> ResponseReturnValue:
    """Come back from Microsoft, as from Google."""
    return _returned(ROADS["microsoft"])


@pages.get("/microsoft/approval")
def approval() -> ResponseReturnValue:
    """What an administrator of Microsoft 365 is asked to allow, with the link to give them."""
    if not ROADS["microsoft"].is_open:
        return see_other(url_for("mailboxes.new", kind="microsoft"))
    return _approval_page(200)


@pages.get("/microsoft/approved")
def approved() -> ResponseReturnValue:
    """Where Microsoft brings an administrator back to, who may be nobody of the portal's."""
    done = request.args.get("admin_consent", "").lower() == "true" and "error" not in request.args
    return page("mailboxes/approved.html", status=200 if done else 400, done=done)


def _returned(road: Road) -> ResponseReturnValue:
    wish = None
    try:
        state = request.args.get("state", "")
        wish = journey.come_back(state, _signed_in(), road.kind, road.who)
        box = _connect(wish)
    except SignInProblem as problem:
        if problem.code == "approval" and current_user.is_authenticated:
            return _approval_page(403, problem.message)
        return _failed(problem.message, wish)
    except (CannotConnect, Ended) as problem:
        return _failed(str(problem), wish)
    except Forbidden:
        return _failed("You may not connect this mailbox.", wish)
    _settle_in(box)
    if wish.link_id:
        session[CONNECTED] = box.email
    return see_other(_home(wish))


def _approval_page(status: int, problem: str = "") -> ResponseReturnValue:
    back = config().PUBLIC_URL + url_for(".approved")
    link = microsoft.approval_address(config(), back)
    return page("mailboxes/approval.html", status=status, approve_at=link, problem=problem)


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
    kind = _kind(mailbox_id)
    return Journey(purpose, level, current_user.id, mailbox_id, time.time(), kind=kind)


def _kind(mailbox_id: int | None) -> str:
    """The kind of mailbox that is meant: the one's that is reconnected, or the one chosen."""
    box = db.session.get(Mailbox, mailbox_id) if mailbox_id is not None else None
    kind = box.provider if box else request.form.get("kind", "gmail")
    return kind if kind in ROADS else abort(400)


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
    account, grant = ROADS[wish.kind].finish()
    owner = person if own else None
    try:
        if link:
            links.use(link)  # counts only together with the mailbox it connects
        return mailboxes.connect(account, grant, owner=owner, expected=expected, kind=wish.kind)
    except (CannotConnect, Ended):
        db.session.rollback()
        raise


def _settle_in(box: Mailbox) -> None:
    """What a new connection makes possible happens at once: its list is read, held mail leaves."""
    try:
        mailboxes.refresh_addresses(box)
        mailboxes.note_candidates(box)
    except ProviderAnswer as problem:
        flash(f"{problem.message} The send-from addresses are read again in a while.", "warn")
    released = dispatch.release_ready()
    queueing.ring()
    if box.can_send:
        step = "" if box.missing_scopes else " Next: open a document and send a test to yourself."
        flash(f"Connected: {box.email}.{step}", "good")
    else:
        flash(
            f"{box.kind.account} knows you as {box.email}, but it may not send yet. See below.",
            "warn",
        )
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
