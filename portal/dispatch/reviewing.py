"""Reviewing: what waited for long for a broken mailbox, until somebody says what becomes of it."""

from sqlalchemy import func, select

from portal.accounts import User
from portal.dispatch.holding import move_all, release_ready
from portal.dispatch.tables import Dispatch, State
from portal.extensions import db
from portal.senders import Trouble

ASKED_ABOUT = (Dispatch.state == State.HELD, Dispatch.hold_code == Trouble.REVIEW)


def to_review() -> dict[int, int]:
    """By mailbox, how many messages somebody is asked about."""
    query = select(Dispatch.mailbox_id, func.count()).where(*ASKED_ABOUT)
    found = db.session.execute(query.group_by(Dispatch.mailbox_id))
    return {box_id: count for box_id, count in found if box_id is not None}


def asked_about(mailbox_id: int, limit: int) -> list[Dispatch]:
    """The messages of one mailbox that somebody is asked about, the oldest first."""
    query = select(Dispatch).where(Dispatch.mailbox_id == mailbox_id, *ASKED_ABOUT)
    return list(db.session.scalars(query.order_by(Dispatch.id).limit(limit)).unique())


def send_on(mailbox_id: int, user: User) -> int:
    """Let all of them leave after all; how many that were. Commits as it goes.

    What is not ready for another reason by now goes on waiting for that.
    """
    which = (Dispatch.mailbox_id == mailbox_id, *ASKED_ABOUT)
    said = f"{user.name} wants it to leave all the same."
    sent_on = move_all(State.HELD, said, {"hold_code": "", "state_note": ""}, *which)
    release_ready()
    return sent_on
