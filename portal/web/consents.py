"""Consents: somebody is asked whether mail may leave under their address, and answers: by a link
mailed to them, which needs no password, or under "My e-mail"."""

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import accounts, agreement, consent, history, links
from portal.accounts import User
from portal.agreement import CannotAsk
from portal.extensions import db, limiter
from portal.links import Ended, Purpose
from portal.people import company
from portal.web.guard import managers_only, not_by_pin
from portal.web.links import discreet, ended, refuse_others
from portal.web.page import page, see_other
from portal.web.roads import config

pages = Blueprint("consents", __name__)
pages.after_request(discreet)
pages.register_error_handler(Ended, ended)

ANSWERS = {"yes": True, "no": False}


@pages.get("/links/consent/<key>")
@limiter.limit("120 per hour")
def question(key: str) -> ResponseReturnValue:
    """Ask whoever's address it is. A mail program that looks ahead answers nothing."""
    link = links.open(key, Purpose.CONSENT)
    refuse_others(link.user)
    return _page(link.user, key)


@pages.post("/links/consent/<key>")
@limiter.limit("30 per hour")
def answer(key: str) -> ResponseReturnValue:
    """Keep what they said. What waits follows at once."""
    link = links.open(key, Purpose.CONSENT)
    refuse_others(link.user)
    agreed = ANSWERS.get(request.form.get("answer", ""))
    if agreed is None:
        return _page(link.user, key, 422, "Press one of the two buttons.")
    agreement.answer(link, agreed=agreed)
    return _page(link.user, "")


@pages.post("/profile/consent")
@not_by_pin
def decide() -> ResponseReturnValue:
    """Agree that mail leaves under one's own address, or take it back."""
    me: User = current_user._get_current_object()
    agreed = ANSWERS.get(request.form.get("answer", ""))
    if agreed is None or me.is_department:
        abort(400)
    if agreed:
        agreement.agree(me)
        flash(f"You agreed that mail leaves under {me.email}.", "good")
    else:
        agreement.withdraw(me)
        flash(f"Nothing more leaves under {me.email}. What still waited is on hold.", "info")
    return see_other(url_for("profile.show") + "#mine-title")


@pages.post("/people/<int:user_id>/consent")
@managers_only
@limiter.limit("60 per hour", key_func=lambda: f"links:{current_user.get_id()}")
def ask(user_id: int) -> ResponseReturnValue:
    """Have somebody asked by mail. Only they can say yes."""
    user = db.session.get(User, user_id) or abort(404)
    address = config().PUBLIC_URL + url_for(".question", key="KEY").replace("KEY", "{key}")
    try:
        agreement.ask(user, current_user._get_current_object(), address)
    except CannotAsk as problem:
        flash(str(problem), "warn")
    else:
        noted = f"Asked by mail whether mail may leave under {user.email}."
        history.note("user", user.id, noted, current_user.name)
        db.session.commit()
        flash(f"{user.name} is asked by a mail to {user.email}. The answer shows here.", "good")
    return see_other(url_for("users.show", user_id=user.id))


def next_step(email: str) -> tuple[str, str]:
    """Where whoever is signed in goes about an address whose person does not agree, and its words.

    ("", "") for staff: a manager has to ask.
    """
    whose = accounts.with_email(email)
    if whose is not None and whose.id == current_user.id:
        return url_for("profile.show") + "#mine-title", "Say whether I agree"
    if whose is not None and current_user.is_manager:
        return url_for("users.show", user_id=whose.id), f"Ask {whose.name}"
    return "", ""


def _page(who: User, key: str, status: int = 200, problem: str = "") -> ResponseReturnValue:
    """The question; with no key, what was answered."""
    return page(
        "links/consent.html",
        status=status,
        who=who,
        key=key,
        said=consent.of(who),
        problem=problem,
        ours=company().name,
    )
