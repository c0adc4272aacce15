"""System settings: the company's mailboxes, who mail comes from, and who of the staff is ready."""

from dataclasses import dataclass

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import dispatch, mailboxes, policy
from portal.accounts import User
from portal.documents.kinds import KINDS, Kind
from portal.mailboxes import Mailbox
from portal.providers.gmail import PERMISSIONS
from portal.senders import Choice, Mode, Rule
from portal.web.guard import managers_only
from portal.web.outbox import UNDO_CHOICES
from portal.web.page import page

pages = Blueprint("settings", __name__)


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
        waiting={box.id: dispatch.waiting_for(box.id) for box in boxes},
        rule=policy.rule() or Rule(Mode.DEFAULT),
        choice=policy.choose_for(policy.EVERY_KIND, current_user),
        own_rules=_own_rules(),
        staff=_staff(),
        undo_choices=UNDO_CHOICES,
    )


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
