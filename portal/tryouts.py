"""Tryouts: one message of a mailbox to itself, to find out whether it may send from an address.

Where a provider keeps no list of a mailbox's addresses, trying is the only way to know. The message
takes the same road as every other; whoever carries it out writes on the address what came of it
(attempts: taken or not allowed; evidence: the From that its sent copy bears).
"""

from dataclasses import replace

from sqlalchemy import ColumnElement, func, select

from portal import dispatch, mailboxes
from portal.accounts import User
from portal.columns import now
from portal.dispatch import OPEN_STATES, Dispatch, Proof, Purpose, State
from portal.envelope import Mailable
from portal.extensions import db
from portal.mailboxes import Address
from portal.people import address_key, company
from portal.senders import SendFrom, Trouble, trouble_with


class CannotTry(Exception):
    """Nothing was sent; the message says why."""


def begin(address: Address, user: User) -> Dispatch:
    """Send a message from the address to its mailbox. A double press is one message. Commits.

    It bears the address, so whoever that belongs to must agree first, unless they press it
    themselves. Raises CannotTry.
    """
    box = address.mailbox
    found = mailboxes.send_from(box, address.email)
    if found is None or not box.can_send:
        raise CannotTry(box.why_not or f"{box.email} cannot send now.")
    if address_key(user.email) != address_key(address.email):
        refuse_unagreed(found)
    last = latest(address)
    if last is not None and is_going(last):
        return last
    tried = db.session.scalar(select(func.count()).where(*_of(address)))
    address.verification, address.since = "untried", now()
    subject = f"[Test] Mail from {address.email}"
    key = f"tryout/{address.id}/{tried}"
    to = Mailable(box.email)
    return dispatch.notice(
        key, to, subject, _letter(address, user), found, user=user, purpose=Purpose.TRIAL
    )


def refuse_unagreed(found: SendFrom) -> None:
    """Raises CannotTry where an address belongs to a person who does not agree."""
    trouble, sentence = trouble_with(found.email, replace(found, verification="accepted"))
    if trouble is Trouble.CONSENT:
        raise CannotTry(sentence)


def latest(address: Address) -> Dispatch | None:
    """The last message that tried the address."""
    newest = select(Dispatch).where(*_of(address)).order_by(Dispatch.id.desc()).limit(1)
    return db.session.scalars(newest).first()


def is_going(one: Dispatch) -> bool:
    """Whether something may still come of it by itself."""
    if one.state == State.ACCEPTED:
        return one.proof == Proof.UNREAD
    return one.state in OPEN_STATES and not one.needs_person


def _of(address: Address) -> tuple[ColumnElement[bool], ...]:
    return (
        Dispatch.mailbox_id == address.mailbox_id,
        Dispatch.from_email == address.email,
        Dispatch.purpose == Purpose.TRIAL,
    )


def _letter(address: Address, user: User) -> str:
    return (
        f"Hello,\n\n"
        f"{user.name} tries whether {address.mailbox.email} may send from {address.email}. "
        f"This message should show as coming from {address.email}. The portal looks by itself: "
        f"there is nothing to do.\n\n"
        f"{company().name}"
    )
