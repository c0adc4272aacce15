"""System settings: the company's mailboxes, who mail comes from, and who of the staff is ready."""

from dataclasses import dataclass

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import approaches, dispatch, history, mailboxes, policy, upkeep
from portal.accounts import User
from portal.documents.kinds import KINDS, Kind
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers import PERMISSIONS
from portal.senders import Choice, Mode, Rule
from portal.web.context import company
from portal.web.guard import managers_only
from portal.web.outbox import UNDO_CHOICES
from portal.web.page import page, see_other

pages = Blueprint("settings", __name__)

#: What each answer means for a batch.
SHARING = {
    "yes": "A batch leaves through every mailbox of the company that may use its address.",
    "no": "A batch leaves through one mailbox. What waits in another already leaves from there.",
}


@dataclass(frozen=True)
class StaffRow:
    """One person: whether mail can leave from their address, and their own mailbox if any."""

    user: User
    choice: Choice
    own: Mailbox | None


@pages.get("/settings")
@managers_only
def show() -> ResponseReturnValue:
    """Everything the office manager looks after, on one page."""
    boxes = mailboxes.company_mailboxes()
    return page(
        "settings/show.html",
        "mailboxes",
        boxes=boxes,
        permissions=PERMISSIONS,
        secret=upkeep.secret_warning(),
        waiting={box.id: dispatch.waiting_for(box.id) for box in boxes},
        rule=policy.rule() or Rule(Mode.DEFAULT),
        choice=policy.choose_for(policy.EVERY_KIND, current_user),
        own_rules=_own_rules(),
        relayed=approaches.relayed(),
        staff=_staff(),
        undo_choices=UNDO_CHOICES,
    )


@pages.post("/settings/sharing")
@managers_only
def share_batches() -> ResponseReturnValue:
    """Whether a batch leaves through all mailboxes that may use its address, or through one."""
    wanted = request.form.get("share", "")
    if wanted not in SHARING:
        flash("Choose one of the two below.", "bad")
        return see_other(url_for(".show") + "#sharing")
    ours, share = company(), wanted == "yes"
    if ours.share_batches != share:
        ours.share_batches = share
        history.note("company", ours.id, SHARING[wanted], current_user.name)
    db.session.commit()
    flash(SHARING[wanted], "good")
    return see_other(url_for(".show") + "#sharing")


def _own_rules() -> list[tuple[Kind, Choice]]:
    """The kinds of document that do not follow the company's rule."""
    kinds = [one.kind for one in policy.rules(places=()) if one.kind]
    return [
        (kind, policy.choose_for(slug, current_user))
        for slug, kind in KINDS.items()
        if slug in kinds
    ]


def _staff() -> list[StaffRow]:
    own = {box.owner_id: box for box in mailboxes.all_mailboxes() if box.owner_id}
    ready = policy.readiness(policy.EVERY_KIND, Mode.USER)
    return [StaffRow(one.user, one.choice, own.get(one.user.id)) for one in ready]
