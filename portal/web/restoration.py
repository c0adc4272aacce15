"""Pages of a restoration: why nothing is sent, what somebody says of it, and what was found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import instance, restoration
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.restoration import Look
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("restoration", __name__)

SAID_ALREADY = "That was decided already: this is how it stands."


@dataclass(frozen=True)
class Shown:
    """One mailbox whose Sent is looked through, with the page where its sign-in is put right."""

    mailbox_id: int
    look: Look
    way: str


@pages.get("/restoration")
@managers_only
def show() -> ResponseReturnValue:
    """Why nothing is sent and what to do, or how far it is; it asks for itself while it goes on."""
    one = instance.this()
    shown, asks = _shown(), one.stopped_at is not None and not one.choice
    return page(
        "restoration/show.html",
        "region",
        one=one,
        waiting=restoration.waiting(),
        unseen=restoration.unseen() if asks else 0,
        shown=shown,
        left=restoration.left_to_people() if one.stopped_at is None else [],
        left_of_batches=restoration.left_of_batches() if shown and one.stopped_at is None else {},
        strangers=_strangers(shown),
        moving=one.stopped_at is not None and one.choice == "real",
    )


@pages.post("/restoration/real")
@managers_only
def real() -> ResponseReturnValue:
    """This is the real portal: look through Sent, then let mail leave."""
    if not restoration.take_as_real(current_user):
        flash(SAID_ALREADY, "info")
    return _back()


@pages.get("/restoration/copy")
@managers_only
def copying() -> ResponseReturnValue:
    """What it means that this is a copy, before it is said."""
    one = instance.this()
    if one.stopped_at is None or one.choice:
        return _back()
    boxes = db.session.query(Mailbox).filter(Mailbox.refresh_token.is_not(None))
    emails = [box.email for box in boxes.order_by(Mailbox.id)]
    return page("restoration/copy.html", None, waiting=restoration.waiting(), emails=emails)


@pages.post("/restoration/copy")
@managers_only
def copy() -> ResponseReturnValue:
    """This is a copy: forget every sign-in and cancel what waits."""
    if restoration.take_as_copy(current_user):
        flash("This is a copy now. Nothing of the real portal can leave from here.", "good")
    else:
        flash(SAID_ALREADY, "info")
    return _back()


@pages.post("/restoration/without/<int:mailbox_id>")
@managers_only
def go_without(mailbox_id: int) -> ResponseReturnValue:
    """Look no longer in a mailbox that cannot be opened."""
    if db.session.get(Mailbox, mailbox_id) is None:
        abort(404)
    if not restoration.go_without(mailbox_id, current_user):
        flash(SAID_ALREADY, "info")
    return _back()


@pages.post("/restoration/seen")
@managers_only
def seen() -> ResponseReturnValue:
    """Somebody has read what is not known here."""
    if instance.this().stopped_at is None:
        restoration.have_seen()
    return _back()


def _back() -> ResponseReturnValue:
    return see_other(url_for("restoration.show"))


def _shown() -> list[Shown]:
    boxes = {box.id: box for box in db.session.query(Mailbox)}
    return [
        Shown(box_id, look, _way(boxes.get(box_id))) for box_id, look in restoration.looks().items()
    ]


def _way(box: Mailbox | None) -> str:
    """Where this person can sign in to it again; nothing where only its owner can."""
    if box is None or box.owner_id not in (None, current_user.id):
        return ""
    return url_for("settings.show" if box.owner_id is None else "profile.show")


def _strangers(shown: list[Shown]) -> list[dict[str, Any]]:
    """What left and is not known here, newest first."""
    found = [
        {**one, "at": datetime.fromisoformat(one["at"]) if one["at"] else None, "from": it.look}
        for it in shown
        for one in it.look.strangers
    ]
    return sorted(found, key=lambda one: str(one["at"]), reverse=True)
