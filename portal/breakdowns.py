"""Breakdowns: a mailbox that sends no more until somebody signs in again, and who is told of it.

Whoever can put it right is told once for each breakdown, by mail through another way that works,
with a link that connects this very mailbox again: from a phone, without the portal's password.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy import select

from portal import alarms, dispatch, instance, journal, links
from portal.accounts import User, managers
from portal.dispatch import Dispatch
from portal.envelope import Mailable
from portal.extensions import db
from portal.links import Link, Purpose
from portal.mailboxes import Mailbox, all_mailboxes, company_mailboxes, mailbox_of, may_manage
from portal.people import company
from portal.senders import SendFrom
from portal.stores import reading

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconnection:
    """A link that connects one mailbox again, just made. mail: what brings it; None where nothing
    can."""

    user: User
    mailbox: Mailbox
    url: str
    ends_at: datetime
    mail: Dispatch | None


def broken() -> list[Mailbox]:
    """The mailboxes that stopped working by themselves and still do not send."""
    query = select(Mailbox).where(Mailbox.broke_at.is_not(None)).order_by(Mailbox.id)
    return [one for one in db.session.scalars(query) if not one.can_send and not one.is_elsewhere]


def who_can_mend(box: Mailbox) -> list[User]:
    """Whoever may sign in to it again: its owner, or of the company's every manager."""
    if box.owner is not None:
        return [box.owner] if box.owner.active else []
    return managers()


def concerned(box: Mailbox) -> list[User]:
    """Who is told: whoever can mend it, and the office."""
    mending = who_can_mend(box)
    known = {one.id for one in mending}
    return [*mending, *(one for one in managers() if one.id not in known)]


def way_to(user: User, not_mailbox_id: int) -> SendFrom | None:
    """An address that can tell somebody now: one of the company's, else the portal's relay, else
    their own mailbox, which nobody else's word ever goes through. One that is in order comes
    before all whose provider cannot be reached just now."""
    own = mailbox_of(user)
    relays = (one for one in all_mailboxes() if one.is_relay)
    ways = [*company_mailboxes(), *relays, *([own] if own else [])]
    return alarms.best_of(ways, not_mailbox_id)


# -- telling -------------------------------------------------------------------------------------


def tell() -> int:
    """Mail whom each breakdown concerns, once. Commits. Who has made a link for it meanwhile knows,
    and a new one would end that.

    Returns how many mails were asked for just now. One that cannot be written keeps nobody else
    from being told.
    """
    with reading():
        found = broken() if instance.may_send() else []
        pairs = [(box, user, way_to(user, box.id)) for box in found for user in concerned(box)]
        due = [(box, user, way) for box, user, way in pairs if way and not _knows(box, user)]
    return sum(_is_told(box, user, way) for box, user, way in due)


def _knows(box: Mailbox, user: User) -> bool:
    return told(box, user) is not None or links.made_by_hand(user, box)


def told(box: Mailbox, user: User) -> Dispatch | None:
    """The mail that told this person of the breakdown, if there is one."""
    return dispatch.noticed(_key(box, user))


def nobody_told(box: Mailbox) -> bool:
    """Whether a breakdown could be told to nobody by mail."""
    if box.broke_at is None or box.can_send:
        return False
    return not any(told(box, one) or way_to(one, box.id) for one in concerned(box))


def _is_told(box: Mailbox, user: User, way: SendFrom) -> bool:
    failing = "somebody could not be told of a mailbox that broke"
    return journal.by_itself(lambda: _tell(box, user, way), log, failing) is not None


def _tell(box: Mailbox, user: User, way: SendFrom) -> Dispatch:
    """The link is stored in the commit of its mail: neither is there without the other."""
    url = ""
    if user in who_can_mend(box):
        url = _address(links.put(Purpose.MAILBOX, user, None, box))
    subject = f"{box.email} cannot send: it needs {_needed(box)}"
    body = _body(box, user, url)
    to = Mailable(user.email, user.name)
    return dispatch.notice(_key(box, user), to, subject, body, way)


def _key(box: Mailbox, user: User) -> str:
    when = box.broke_at.isoformat() if box.broke_at else ""
    return f"broken/{box.id}/{when}/{user.id}"


def _needed(box: Mailbox) -> str:
    if box.health == "permission_missing":
        return "a permission again"
    return "a sign-in" if box.kind.account else "its password again"


def _body(box: Mailbox, user: User, url: str) -> str:
    count = dispatch.waiting_for(box.id)
    waits = "1 message is" if count == 1 else f"{count} messages are"
    nothing_lost = f"{waits} safe and waiting. Nothing is lost, and nothing leaves from elsewhere."
    parts = (
        f"Hello {user.name.split()[0]},",
        f"{box.why_not} Until then nothing leaves through it.",
        nothing_lost if count else "Nothing waits for it yet.",
        _what_to_do(box, url),
        f"{company().name}, by Sendwright",
    )
    return "\n\n".join(parts)


def _what_to_do(box: Mailbox, url: str) -> str:
    portal = current_app.config["PORTAL"].PUBLIC_URL
    if not url:
        whose = box.owner.name if box.owner else "a manager"
        return f"{whose} has been sent a link and can put it right. The portal: {portal}"
    with_what = f"{box.kind.account} asks for the account: choose {box.email}."
    if not box.kind.account:
        with_what = f"It asks for the password of {box.email}."
    return (
        f"What to do: open this link, on a phone if you like.\n{url}\n"
        f"{with_what} You need no password of the portal.\n\n"
        f"The link is for you alone, works once, and only for two days."
    )


# -- a link to hand over -------------------------------------------------------------------------


def make_link(box: Mailbox, user: User, made_by: User) -> Reconnection:
    """Make a link for somebody who may sign in to this mailbox again, and mail it where a way
    works. Commits. Raises ValueError for whom it is not to mend."""
    if not may_manage(box, user):
        raise ValueError("not theirs to connect")
    key = links.make(Purpose.MAILBOX, user, made_by, box)
    link: Link = links.open(key, Purpose.MAILBOX)
    url, way, mail = _address(key), way_to(user, box.id), None
    if way is not None:
        subject = f"{company().name}: connect {box.email} again"
        body = _body(box, user, url)
        to = Mailable(user.email, user.name)
        mail = dispatch.notice(f"link/{link.id}", to, subject, body, way, user=made_by)
    return Reconnection(user, box, url, link.ends_at, mail)


def _address(key: str) -> str:
    return f"{current_app.config['PORTAL'].PUBLIC_URL}/links/mailbox/{key}"
