"""Relay: the operator's own mail server, through which mail leaves where a rule says so.

It is off unless RELAY_URL is set, and not recommended: mail does not pass through the company's own
mailboxes, so nothing appears in their Sent, and nobody can prove what it left from. Its password
stays in the settings; a row stands for it so that its mail has a queue and a pace.
"""

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal import mailboxes
from portal.columns import now
from portal.config import Config
from portal.extensions import db
from portal.mailboxes import Address, Health, Mailbox


def is_configured() -> bool:
    """Whether the operator has set one up where this runs."""
    return bool(_config().RELAY_URL)


def box() -> Mailbox | None:
    """The row that stands for it, if there ever was one."""
    return db.session.scalar(select(Mailbox).where(Mailbox.account_sub == mailboxes.RELAY))


def keep() -> Mailbox | None:
    """Bring the row to what is configured here; None where nothing is. Commits, repeatable."""
    try:
        return _keep()
    except IntegrityError:  # another process made it at the same moment
        db.session.rollback()
        return _keep()


def _keep() -> Mailbox | None:
    found, email = box(), _config().RELAY_FROM
    if not is_configured():
        if found is not None:
            found.health = Health.DISCONNECTED
        db.session.commit()
        return None
    if found is None:
        found = Mailbox(provider="smtp", issuer="", account_sub=mailboxes.RELAY, email=email)
        db.session.add(found)
        db.session.flush()
    found.server, found.health, found.email = {"relay": True}, Health.CONNECTED, email
    _keep_address(found)
    db.session.commit()
    return found


def _keep_address(found: Mailbox) -> None:
    """One address alone: the one that is configured."""
    for one in list(found.addresses):
        if one.email != found.email:
            db.session.delete(one)
    if all(one.email != found.email for one in found.addresses):
        made = Address(mailbox_id=found.id, email=found.email, verification="accepted")
        made.is_primary, made.checked_at = True, now()
        db.session.add(made)


def _config() -> Config:
    found: Config = current_app.config["PORTAL"]
    return found
