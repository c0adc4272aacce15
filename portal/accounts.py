"""Accounts: the people who sign in, and who of them may do what."""

import secrets
from datetime import datetime
from enum import StrEnum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_login import UserMixin
from sqlalchemy import JSON, ForeignKey, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from portal.columns import UtcDateTime, now
from portal.extensions import Base, db, login
from portal.people import Contact, ContactType
from portal.senders import Person

SHORTEST_PASSWORD = 10

_hasher = PasswordHasher()


class Role(StrEnum):
    """What a person does here."""

    MANAGER = "manager"
    STAFF = "staff"


class User(UserMixin, Base):  # type: ignore[misc]
    """A person of the company who signs in. Their e-mail is also their User send-from address.

    contact_id: the employee contact they were made from. pin_hash: their quick PIN for a shared
    tablet. signed_in_at: when they last typed a password or a PIN. displays: the columns they
    chose to see, by kind of document. consent: what they said about mail under their address
    (consent.py); consent_email: the address they said it of, consent_words: when and how.
    is_department: a shared address of the company that no one person has, as accounts@.
    told_of_returns: whether they want a mail when something they sent came back.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(default=Role.STAFF)
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    session_key: Mapped[str] = mapped_column(default=lambda: secrets.token_hex(16))
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), unique=True)
    pin_hash: Mapped[str] = mapped_column(default="")
    signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    displays: Mapped[dict[str, list[str]]] = mapped_column(JSON, default=dict)
    consent: Mapped[str] = mapped_column(default="")
    consent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    consent_email: Mapped[str] = mapped_column(default="")
    consent_words: Mapped[str] = mapped_column(default="")
    is_department: Mapped[bool] = mapped_column(default=False)
    told_of_returns: Mapped[bool] = mapped_column(default=True)

    @property
    def is_active(self) -> bool:
        return self.active

    @property
    def is_manager(self) -> bool:
        return self.role == Role.MANAGER

    @property
    def person(self) -> Person:
        return Person(self.id, self.name, self.email, self.active)

    def get_id(self) -> str:
        """What the session cookie holds: a new session_key ends every session of this person."""
        return f"{self.id}:{self.session_key}"


def add_user(email: str, name: str, role: Role, password: str) -> User:
    """Make a person who can sign in. The caller commits."""
    user = User(
        email=email.strip().lower(), name=name.strip(), role=role, password_hash=hashed(password)
    )
    db.session.add(user)
    return user


def want_told_of_returns(user: User, *, wants: bool) -> None:
    """Keep whether somebody wants a mail when something they sent came back. Commits."""
    user.told_of_returns = wants
    db.session.commit()


class CannotMake(Exception):
    """A contact that no user can be made from; the message says why, and what to do."""


TAKEN = "Somebody signs in as {} already. Use another address."


def user_of(contact: Contact) -> User | None:
    """The person who was made from a contact, active or not."""
    return db.session.scalars(select(User).where(User.contact_id == contact.id)).one_or_none()


def user_from_contact(contact: Contact, role: Role) -> User:
    """Let an employee sign in, under the contact's address. Raises CannotMake. Commits.

    Nobody knows the password: they set their own by a link.
    """
    why_not = why_no_user(contact)
    if why_not:
        raise CannotMake(why_not)
    user = add_user(contact.email, contact.person or contact.name, role, secrets.token_urlsafe(32))
    user.contact_id = contact.id
    try:
        db.session.commit()
    except IntegrityError:  # a colleague pressed at the same moment
        db.session.rollback()
        raise CannotMake(why_no_user(contact) or TAKEN.format(contact.email)) from None
    return user


def why_no_user(contact: Contact) -> str:
    """Why nobody can be let sign in as this contact, in one sentence; empty when one can."""
    if contact.type != ContactType.EMPLOYEE:
        return f"{contact.name} is not an employee. Only employees can sign in."
    if not contact.active:
        return f"{contact.name} is inactive. Make the contact active first."
    if not contact.email:
        return f"{contact.name} has no e-mail address. Write one on the contact first."
    if user_of(contact) is not None:
        return f"{contact.name} is a user already."
    other = with_email(contact.email)
    if other is not None:
        return f"{other.name} signs in as {contact.email} already. Use another address."
    return ""


def hashed(password: str) -> str:
    return _hasher.hash(password)


def sign_in(email: str, password: str) -> User | None:
    """The active person with this address and password, or None. Takes the same time either way."""
    user = with_email(email)
    right = matches(user.password_hash if user else None, password)
    return user if right and user and user.active else None


def matches(stored: str | None, secret: str) -> bool:
    """Whether a password or PIN is the stored one. Without one it takes the same time to say no."""
    try:
        _hasher.verify(stored or _nobody(), secret)
    except (VerificationError, InvalidHashError):
        return False
    return bool(stored)


def came_in(user: User) -> None:
    """Remember when somebody signed in. Commits."""
    user.signed_in_at = now()
    db.session.commit()


def with_email(email: str) -> User | None:
    """Who signs in under this address, active or not."""
    wanted = email.strip().lower()
    if "\0" in wanted:  # no stored text holds one, and PostgreSQL refuses to be asked
        return None
    return db.session.scalar(select(User).where(func.lower(User.email) == wanted))


class CannotChange(Exception):
    """A password, a role or a user that was not changed; the message says why."""


def change_password(user: User, old: str, new: str) -> None:
    """Give a person a new password, ending their other sessions. Raises CannotChange. Commits."""
    if sign_in(user.email, old) is None:
        raise CannotChange("That is not your present password.")
    give_password(user, new)


def give_password(user: User, new: str) -> None:
    """Set a person's password, ending their sessions. Raises CannotChange. Commits."""
    refuse_short(new)
    user.password_hash = hashed(new)
    end_sessions(user)


def refuse_short(new: str) -> None:
    """Raises CannotChange where a password is too short to be one."""
    if len(new) < SHORTEST_PASSWORD:
        raise CannotChange(f"Choose at least {SHORTEST_PASSWORD} characters.")


LAST_MANAGER = "{} is the last manager. Make somebody else a manager first."


def change_role(user: User, role: Role) -> None:
    """Let a person decide more, or less. Raises CannotChange for the last manager. Commits."""
    if role != Role.MANAGER:
        _refuse_last_manager(user)
    user.role = role
    db.session.commit()


def dismiss(user: User) -> None:
    """end(), but never of the last manager: raises CannotChange. Commits."""
    _refuse_last_manager(user)
    end(user)


def _refuse_last_manager(user: User) -> None:
    """Raises CannotChange. The managers stay locked, so that no two end each other together."""
    here = select(User).where(User.active, User.role == Role.MANAGER).order_by(User.id)
    left = {one.id for one in db.session.scalars(here.with_for_update())}
    if left == {user.id}:
        db.session.rollback()
        raise CannotChange(LAST_MANAGER.format(user.name))


def end(user: User) -> None:
    """Let a person sign in no more, and sign them out everywhere. What they did stays. Commits."""
    user.active = False
    end_sessions(user)


def take_over(user: User, contact: Contact) -> None:
    """Give a person the name and address their contact bears now. Raises CannotChange. Commits."""
    other = with_email(contact.email)
    if not contact.email or (other is not None and other.id != user.id):
        whose = f"{other.name} signs in as {contact.email}" if other else "The contact has none"
        raise CannotChange(f"The address cannot be taken over: {whose}.")
    user.name, user.email = contact.person or contact.name, contact.email.lower()
    db.session.commit()


def let_back(user: User) -> None:
    """Let a person sign in again who was ended. Commits."""
    user.active = True
    db.session.commit()


def end_sessions(user: User) -> None:
    """Sign a person out everywhere: no cookie made before counts any more. Commits."""
    user.session_key = secrets.token_hex(16)
    db.session.commit()


@cache
def _nobody() -> str:
    """Checked when nobody has the address, so that it takes as long as a wrong password does."""
    return _hasher.hash(secrets.token_hex(16))


@login.user_loader  # type: ignore[untyped-decorator]
def _load(session_id: str) -> User | None:
    user_id, _, key = session_id.partition(":")
    user = db.session.get(User, int(user_id)) if user_id.isdigit() else None
    if user is None or not secrets.compare_digest(user.session_key, key):
        return None
    return user if user.active else None


def everybody() -> list[User]:
    """Whoever can or could sign in, by name."""
    return list(db.session.scalars(select(User).order_by(User.name, User.id)))


def active_people() -> list[User]:
    return list(db.session.scalars(select(User).where(User.active).order_by(User.name)))


def managers() -> list[User]:
    """The people who decide for the whole company."""
    return [one for one in active_people() if one.is_manager]
