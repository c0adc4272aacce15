"""Mailboxes: what connecting one means, taking it back, and which of several is the default."""

from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import dispatch, mailboxes
from portal.accounts import User
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers import PERMISSIONS
from portal.web.guard import managers_only, on_site
from portal.web.journey import Purpose
from portal.web.page import page, see_other
from portal.web.roads import ROADS, config, usual

pages = Blueprint("mailboxes", __name__)


@pages.get("/mailboxes/new")
def new() -> ResponseReturnValue:
    """Who runs the mailbox, what they will show, and what each level of permission is good for."""
    default = Purpose.COMPANY if current_user.is_manager else Purpose.OWN
    purpose = request.args.get("purpose", default)
    if purpose not in (Purpose.COMPANY, Purpose.OWN):
        abort(404)
    if purpose == Purpose.COMPANY and not current_user.is_manager:
        abort(403)
    road = ROADS.get(request.args.get("kind", ""), None) or usual()
    return page(
        "mailboxes/new.html",
        purpose=purpose,
        home=url_for("settings.show" if purpose == Purpose.COMPANY else "profile.show"),
        permissions=PERMISSIONS,
        road=road,
        servers="servers.new" in current_app.view_functions,
        elsewhere=_elsewhere(),
    )


def _elsewhere() -> str:
    """The portal's own address, when this page was opened under another: the provider would bring
    the person back to where they are not signed in."""
    public = config().PUBLIC_URL
    return public if urlsplit(public).netloc != request.host else ""


@pages.get("/mailboxes/<int:mailbox_id>/disconnection")
def disconnection(mailbox_id: int) -> ResponseReturnValue:
    """What disconnecting means, before it is done."""
    box = managed(mailbox_id)
    return page(
        "mailboxes/disconnection.html",
        box=box,
        waiting=dispatch.waiting_for(box.id),
        home=home_of(box),
        others=_others(box) if box.is_company_default and current_user.is_manager else [],
    )


def _others(box: Mailbox) -> list[Mailbox]:
    """The company's mailboxes that could be the default in this one's place."""
    return [one for one in mailboxes.company_mailboxes() if one.id != box.id and one.can_send]


@pages.post("/mailboxes/<int:mailbox_id>/disconnection")
def disconnect(mailbox_id: int) -> ResponseReturnValue:
    """Forget the mailbox's permission, and hand it back where the provider takes it."""
    box = managed(mailbox_id)
    confirmed = mailboxes.disconnect(box)
    dispatch.hold_mailbox(box.id, box.why_not)
    db.session.commit()
    flash(f"Disconnected: {box.email}.", "info")
    if not confirmed:
        flash(*NOT_CONFIRMED.get(box.provider, NOT_CONFIRMED["gmail"]))
    return see_other(home_of(box))


@pages.post("/mailboxes/<int:mailbox_id>/default")
@managers_only
def make_default(mailbox_id: int) -> ResponseReturnValue:
    """Let this company mailbox be the one that Default means."""
    box = managed(mailbox_id)
    if box.owner_id is not None:
        abort(404)
    mailboxes.make_default(box)
    flash(f"The default mailbox is now {box.email}.", "good")
    return see_other(on_site(request.form.get("next") or url_for("settings.show")))


#: What is said where the provider confirmed nothing: the words, and how loud they are.
NOT_CONFIRMED = {
    "gmail": (
        "Google did not confirm it. The portal has forgotten the permission all the same; "
        "to be sure, remove it at myaccount.google.com under Security, third-party access.",
        "warn",
    ),
    "microsoft": (
        "The portal has forgotten the permission. Microsoft keeps it on its list until you remove "
        "it there: at myapps.microsoft.com, or account.live.com for a personal account.",
        "info",
    ),
    "smtp": ("The portal has forgotten the password.", "info"),
}


def managed(mailbox_id: int) -> Mailbox:
    """A mailbox this person may change, or the page that says no. The relay is the operator's."""
    box = db.session.get(Mailbox, mailbox_id)
    if box is None or box.is_relay:
        abort(404)
    user: User = current_user
    if not mailboxes.may_manage(box, user):
        abort(403)
    return box


def home_of(box: Mailbox) -> str:
    """The page that shows a mailbox to who manages it."""
    return url_for("settings.show" if box.owner_id is None else "profile.show")
