"""Alarms: mail that has been in the queue for too long, and telling the office by another way.

A long queue that moves is no alarm: only a mailbox that has not got rid of anything lately is.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import func, select

from portal import dispatch, instance, journal
from portal.accounts import User, managers
from portal.columns import now
from portal.dispatch import Dispatch, Purpose, State
from portal.envelope import Mailable
from portal.extensions import db
from portal.mailboxes import Mailbox, company_mailboxes, send_from
from portal.people import company
from portal.senders import SendFrom
from portal.stores import reading

log = logging.getLogger(__name__)
TOO_LONG = timedelta(hours=1)
#: A mailbox that had something accepted within this time is at work.
AT_WORK = timedelta(minutes=15)


@dataclass(frozen=True)
class Stuck:
    """What has waited too long for one mailbox. oldest_id names this very episode."""

    mailbox: Mailbox
    count: int
    since: datetime
    oldest_id: int

    @property
    def why(self) -> str:
        """The most that is known of the reason, as one sentence."""
        if self.mailbox.why_not:
            return self.mailbox.why_not
        if self.mailbox.is_paused:
            return f"The provider keeps {self.mailbox.email} waiting: {self.mailbox.pause_note}"
        return f"The sending service has not got anything through {self.mailbox.email} lately."

    @property
    def messages(self) -> str:
        return "1 message has" if self.count == 1 else f"{self.count} messages have"


def stuck() -> list[Stuck]:
    """Every mailbox with mail in the queue for more than an hour, and nothing moving.

    What somebody holds is no alarm: it waits because they want it to.
    """
    if not instance.may_send():
        return []
    query = (
        select(
            Dispatch.mailbox_id,
            func.count(),
            func.min(Dispatch.queued_at),
            func.min(Dispatch.id),
        )
        .where(
            Dispatch.state == State.QUEUED,
            Dispatch.queued_at < now() - TOO_LONG,
            Dispatch.purpose != Purpose.NOTICE,
        )
        .group_by(Dispatch.mailbox_id)
    )
    found = [
        Stuck(db.session.get_one(Mailbox, mailbox_id), count, since, oldest_id)
        for mailbox_id, count, since, oldest_id in db.session.execute(query)
    ]
    unheld = [one for one in found if one.mailbox.held_at is None]
    return [one for one in unheld if not _at_work(one.mailbox.id)]


def tell_managers() -> int:
    """Mail each manager once for each episode, through a sender that works. Commits.

    Returns how many mails were asked for, now or before; 0 when nothing else can send. One that
    cannot be written keeps nobody else from being told.
    """
    with reading():
        found = stuck()
        through = {one.mailbox.id: other_sender(one.mailbox.id) for one in found}
        people = managers() if found else []
    asked = 0
    for one in found:
        sender = through[one.mailbox.id]
        if sender is not None:
            asked += sum(_is_told(one, manager, sender) for manager in people)
    return asked


def _is_told(one: Stuck, manager: User, through: SendFrom) -> bool:
    failing = "a manager could not be told of mail that is stuck"
    return journal.by_itself(lambda: _tell(one, manager, through), log, failing) is not None


def told(one: Stuck, user: User) -> Dispatch | None:
    """The mail that told this person of it, if there is one."""
    return dispatch.noticed(_key(one, user))


def other_sender(not_mailbox_id: int = 0) -> SendFrom | None:
    """A company mailbox that may send now, other than this one, under its own address.

    One whose provider cannot be reached just now is only taken where none is in order.
    """
    return best_of(company_mailboxes(), not_mailbox_id)


def best_of(boxes: Iterable[Mailbox], not_mailbox_id: int = 0) -> SendFrom | None:
    """The first of these that can tell somebody now, under its own address: what is in order comes
    before what keeps failing on the way, and what is not to be taken, or must rest, is none."""
    able = [one for one in boxes if one.id != not_mailbox_id and one.can_send and not one.is_paused]
    in_order = sorted(able, key=lambda one: one.failing_since is not None)  # stable
    ways = (send_from(one, one.email) for one in in_order)
    return next((one for one in ways if one is not None), None)


def _at_work(mailbox_id: int) -> bool:
    query = select(Dispatch.accepted_at).where(
        Dispatch.mailbox_id == mailbox_id, Dispatch.state == State.ACCEPTED
    )
    last = db.session.scalar(query.order_by(Dispatch.id.desc()).limit(1))
    return last is not None and now() - last < AT_WORK


def _tell(one: Stuck, manager: User, through: SendFrom) -> Dispatch:
    subject = f"{one.messages} waited more than an hour for {one.mailbox.email}"
    to = Mailable(manager.email, manager.name)
    return dispatch.notice(_key(one, manager), to, subject, _body(one, manager), through)


def _key(one: Stuck, user: User) -> str:
    return f"stuck/{one.mailbox.id}/{one.oldest_id}/{user.id}"


def _body(one: Stuck, manager: User) -> str:
    address = current_app.config["PORTAL"].PUBLIC_URL
    return (
        f"Hello {manager.name.split()[0]},\n\n"
        f"{one.messages} been in the queue of {one.mailbox.email} for more than an hour. "
        f"Nothing is lost, and nothing was sent from another address.\n\n"
        f"{one.why}\n\n"
        f"What to do: open {address}/settings and look at that mailbox.\n\n"
        f"{company().name}, by Sendwright"
    )
