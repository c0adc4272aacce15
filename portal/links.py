"""Links: addresses that let one person do one thing once: set a password, connect a mailbox, agree
that mail leaves under their address.

Only a hash of a link's key is stored. A link ends by being used, by time, or by a newer one.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, exists, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import accounts
from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.extensions import Base, db
from portal.mailboxes import Mailbox
from portal.people import Contact
from portal.stores import rows_changed


class Purpose(StrEnum):
    """What a link is good for."""

    PASSWORD = "password"
    MAILBOX = "mailbox"
    CONSENT = "consent"


LASTS = {
    Purpose.PASSWORD: timedelta(days=7),
    Purpose.MAILBOX: timedelta(hours=48),
    Purpose.CONSENT: timedelta(days=14),
}
UNKNOWN = (
    "This is not a link of ours. Copy the whole link from the mail, to its last character, "
    "or ask for a new one."
)
USED = "This link was used before. It counts only once; ask for a new one if you need it."
REPLACED = "A newer link was made for you since, and only the newest counts. Look for a later mail."
OVER = "This link has run out. Ask for a new one."
LEFT = "This link no longer counts: {} may not sign in here any more."
WORKS_AGAIN = "{} is connected again already, so there is nothing left to do with this link."


class Link(Base):
    """One single-use link. mailbox_id: the very mailbox it connects again; None: the person's own,
    whichever that is."""

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    mailbox_id: Mapped[int | None] = mapped_column(ForeignKey("mailboxes.id"))
    key_hash: Mapped[str] = mapped_column(unique=True)
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship(foreign_keys=user_id)
    made_by: Mapped[User | None] = relationship(foreign_keys=made_by_id)
    mailbox: Mapped[Mailbox | None] = relationship()


class Ended(Exception):
    """A link that opens nothing (any more); the message says why, and what to do."""


def make(purpose: Purpose, user: User, made_by: User | None, mailbox: Mailbox | None = None) -> str:
    """A new link's key, in clear this once. Every older link for the same ends. Commits."""
    key = put(purpose, user, made_by, mailbox)
    db.session.commit()
    return key


def put(purpose: Purpose, user: User, made_by: User | None, mailbox: Mailbox | None = None) -> str:
    """make() as one part of something larger: the caller commits."""
    key = secrets.token_urlsafe(24)
    ends_at = now() + LASTS[purpose]
    db.session.add(
        Link(
            purpose=purpose,
            user_id=user.id,
            mailbox_id=mailbox.id if mailbox else None,
            key_hash=_hash(key),
            made_by_id=made_by.id if made_by else None,
            ends_at=ends_at,
        )
    )
    return key


def made_by_hand(user: User, mailbox: Mailbox) -> bool:
    """Whether somebody made a link for them since this mailbox broke, and it still counts."""
    query = select(Link.id).where(
        Link.user_id == user.id,
        Link.purpose == Purpose.MAILBOX,
        Link.mailbox_id == mailbox.id,
        Link.made_by_id.is_not(None),
        Link.made_at >= mailbox.broke_at,
        Link.used_at.is_(None),
        Link.ends_at > now(),
    )
    return db.session.scalar(query.limit(1)) is not None


def open(key: str, purpose: Purpose) -> Link:
    """The link with this key, while it counts. Raises Ended. Changes nothing."""
    query = select(Link).where(Link.key_hash == _hash(key), Link.purpose == purpose)
    link = db.session.scalars(query).one_or_none()
    if link is None:
        raise Ended(UNKNOWN)
    why_not = _why_not(link)
    if why_not:
        raise Ended(why_not)
    return link


def still_open(link_id: int) -> Link:
    """A link that was opened before, if it counts even now. Raises Ended."""
    link = db.session.get(Link, link_id, populate_existing=True)
    if link is None or (why_not := _why_not(link)):
        raise Ended(why_not if link else UNKNOWN)
    return link


def use(link: Link) -> None:
    """Count a link as used, once. Raises Ended when somebody was faster. The caller commits."""
    done = db.session.execute(
        update(Link).where(Link.id == link.id, Link.used_at.is_(None)).values(used_at=now())
    )
    if rows_changed(done) != 1:
        raise Ended(USED)


def set_password(link: Link, new: str) -> None:
    """Give the link's person a password. Raises Ended, or accounts.CannotChange. Commits.

    Whatever could let somebody in before ends: their sessions, and all their links.
    """
    accounts.refuse_short(new)
    use(link)
    end_all(link.user)
    accounts.give_password(link.user, new)


def change_password(user: User, old: str, new: str) -> None:
    """accounts.change_password(), and no link that was made before sets another one. Commits."""
    accounts.change_password(user, old, new)
    end_all(user)
    db.session.commit()


def take_over(user: User, contact: Contact) -> None:
    """accounts.take_over(), and no link that went to the former address counts any more.

    Raises accounts.CannotChange, having ended nothing. Commits.
    """
    end_all(user)
    try:
        accounts.take_over(user, contact)
    except accounts.CannotChange:
        db.session.rollback()
        raise


def dismiss(user: User) -> None:
    """accounts.dismiss(), and no link of theirs counts again when they are let back. Commits."""
    accounts.dismiss(user)
    end_all(user)
    db.session.commit()


def end_all(user: User) -> None:
    """Let no link of this person count any more. The caller commits."""
    unused = (Link.user_id == user.id, Link.used_at.is_(None), Link.ends_at > now())
    db.session.execute(update(Link).where(*unused).values(ends_at=now()))


def waiting(user: User, purpose: Purpose) -> Link | None:
    """The link of this purpose that a person could still use, if there is one."""
    query = select(Link).where(Link.user_id == user.id, Link.purpose == purpose)
    newest = db.session.scalars(query.order_by(Link.id.desc()).limit(1)).first()
    return newest if newest and not _why_not(newest) else None


def waiting_for(purpose: Purpose) -> dict[int, Link]:
    """Whoever has a link of this purpose that still counts, by the person's id."""
    query = select(Link).where(
        Link.purpose == purpose, Link.used_at.is_(None), Link.ends_at > now()
    )
    return {
        one.user_id: one for one in db.session.scalars(query.order_by(Link.id)) if not _why_not(one)
    }


def _why_not(link: Link) -> str:
    if link.used_at:
        return USED
    if not link.user.active:
        return LEFT.format(link.user.name)
    if _is_replaced(link):
        return REPLACED
    box = link.mailbox
    if box is not None and box.can_send and box.connected_at > link.made_at:
        return WORKS_AGAIN.format(box.email)
    return OVER if link.ends_at <= now() else ""


def _is_replaced(link: Link) -> bool:
    newer = exists().where(
        Link.user_id == link.user_id,
        Link.purpose == link.purpose,
        Link.mailbox_id.is_not_distinct_from(link.mailbox_id),
        Link.id > link.id,
    )
    return bool(db.session.scalar(select(newer)))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
