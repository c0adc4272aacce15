"""Devices: shared tablets on which people who signed in fully may come back with a quick PIN.

A PIN opens nothing anywhere else, and never more than everyday work: the pages see to the rest.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import accounts
from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.extensions import Base, db
from portal.stores import rows_changed

SHORTEST_PIN, LONGEST_PIN = 4, 8
#: So many wrong PINs, and this person needs the password on this device.
MOST_WRONG = 5
#: So many wrong PINs of anybody, and the device is no longer trusted.
MOST_WRONG_TOGETHER = 10
#: Somebody else may have picked the tablet up: after so many idle seconds it asks again.
IDLE_SECONDS = 5 * 60
_YEAR = re.compile(r"(19|20)\d\d")
_RISING = "01234567890123456789"


class Device(Base):
    """A shared tablet on which somebody signed in fully and said that it may take quick PINs.

    Only a hash of its cookie's key is stored. failures counts wrong PINs since the last right one.
    """

    __tablename__ = "devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(default="")
    made_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)

    made_by: Mapped[User] = relationship()


class DevicePerson(Base):
    """Somebody who signed in fully on a device.

    password_mark: the password they did it with; after another one they sign in fully again.
    turn: their session on the device; a new one ends every copy of the former one's cookie.
    """

    __tablename__ = "device_people"
    __table_args__ = (UniqueConstraint("device_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    password_mark: Mapped[str]
    turn: Mapped[str] = mapped_column(default="")
    failures: Mapped[int] = mapped_column(default=0)

    device: Mapped[Device] = relationship()
    user: Mapped[User] = relationship()


@dataclass(frozen=True)
class Face:
    """Somebody a device's sign-in page may show. locked: only their password opens now."""

    user_id: int
    name: str
    locked: bool


@dataclass(frozen=True)
class Turn:
    """One person's session on a device."""

    device_id: int
    key: str


class BadPin(ValueError):
    """A PIN that cannot be set, or does not open; the message says why, and what to do."""


NOT_THIS = "That is not your PIN."
LOCKED = "The PIN was wrong too often. Sign in with your password; after that the PIN works again."
DISTRUSTED = "Too many wrong PINs were typed here. Everybody signs in with their password now."


# -- PINs ----------------------------------------------------------------------------------------


def weakness(pin: str) -> str:
    """Why nobody should choose this PIN, as one sentence; empty when it will do."""
    half = len(pin) // 2
    found = (
        (not (pin.isascii() and pin.isdigit()), "A PIN has digits alone."),
        (
            not SHORTEST_PIN <= len(pin) <= LONGEST_PIN,
            f"A PIN has {SHORTEST_PIN} to {LONGEST_PIN} digits.",
        ),
        (len(set(pin)) < 3, "That is too easy to guess: use at least three different digits."),
        (pin in _RISING or pin[::-1] in _RISING, "That is too easy to guess: no counting."),
        (pin[:half] * 2 == pin, "That is too easy to guess: its two halves are the same."),
        (_YEAR.fullmatch(pin), "That looks like a year, and is too easy to guess."),
    )
    return next((words for is_so, words in found if is_so), "")


def set_pin(user: User, password: str, pin: str) -> None:
    """Give oneself a PIN. Raises accounts.CannotChange (password) or BadPin. Commits."""
    _refuse_wrong(user, password)
    problem = weakness(pin)
    if problem:
        raise BadPin(problem)
    user.pin_hash = accounts.hashed(pin)
    db.session.commit()


def drop_pin(user: User, password: str) -> None:
    """Do without a PIN. Raises accounts.CannotChange. Commits."""
    _refuse_wrong(user, password)
    user.pin_hash = ""
    db.session.commit()


def _refuse_wrong(user: User, password: str) -> None:
    if accounts.sign_in(user.email, password) is None:
        raise accounts.CannotChange("That is not your password.")


# -- devices -------------------------------------------------------------------------------------


def share(user: User, name: str) -> tuple[Device, str]:
    """Trust a device from now on. Returns it and its key, in clear this once. Commits."""
    key = secrets.token_urlsafe(32)
    device = Device(key_hash=_hash(key), name=name or "Shared tablet", made_by_id=user.id)
    db.session.add(device)
    db.session.commit()
    return device, key


def with_key(key: str) -> Device | None:
    """The trusted device that holds this key."""
    if not key:
        return None
    query = select(Device).where(Device.key_hash == _hash(key), Device.active)
    return db.session.scalars(query).one_or_none()


def trusted() -> list[Device]:
    """Every trusted device, the newest first."""
    query = select(Device).where(Device.active).order_by(Device.id.desc())
    return list(db.session.scalars(query))


def end(device: Device) -> None:
    """Trust a device no longer: whoever is signed in on it is signed out. Commits."""
    device.active = False
    db.session.commit()


def faces(device: Device) -> list[Face]:
    """Who may come back on this device with a PIN, by name."""
    query = select(DevicePerson).join(DevicePerson.user).where(DevicePerson.device_id == device.id)
    people = [
        one
        for one in db.session.scalars(query.order_by(User.name, User.id))
        if one.user.active and one.user.pin_hash and _same_password(one)
    ]
    return [Face(one.user_id, one.user.name, one.failures >= MOST_WRONG) for one in people]


# -- signing in ----------------------------------------------------------------------------------


def signed_in_fully(device: Device, user: User) -> Turn:
    """Somebody typed their password on a trusted device: their PIN counts there. Commits."""
    one = _person(device.id, user.id)
    if one is None:
        one = DevicePerson(device_id=device.id, user_id=user.id)
        db.session.add(one)
    one.password_mark = _mark(user)
    device.failures = 0
    return _begin(device, one)


def sign_in(device: Device, user_id: int, pin: str) -> tuple[User, Turn]:
    """Somebody comes back with their PIN. Raises BadPin. Commits.

    The try is counted before it is looked at, so that tries at the same moment all count.
    """
    one = _person(device.id, user_id)
    known = one is not None and one.user.active and bool(one.user.pin_hash) and _same_password(one)
    if one is None or not known:
        accounts.matches(None, pin)
        raise BadPin(LOCKED)
    if not _count(device, one):
        raise BadPin(LOCKED)
    if not accounts.matches(one.user.pin_hash, pin):
        raise BadPin(_after_wrong(device, one))
    device.failures = 0
    return one.user, _begin(device, one)


def goes_on(turn: Turn, user_id: int) -> bool:
    """Whether a session on a device still counts."""
    one = _person(turn.device_id, user_id)
    return one is not None and one.device.active and secrets.compare_digest(one.turn, turn.key)


def leave(turn: Turn, user_id: int) -> None:
    """End one person's session on a device, and every copy of its cookie. Commits."""
    if goes_on(turn, user_id) and (one := _person(turn.device_id, user_id)):
        one.turn = secrets.token_hex(16)
        db.session.commit()


def _begin(device: Device, one: DevicePerson) -> Turn:
    one.failures, one.turn, device.seen_at = 0, secrets.token_hex(16), now()
    db.session.commit()
    return Turn(device.id, one.turn)


def _count(device: Device, one: DevicePerson) -> bool:
    """Count a try; False when this person has none left on this device. Commits."""
    counted = db.session.execute(
        update(DevicePerson)
        .where(DevicePerson.id == one.id, DevicePerson.failures < MOST_WRONG)
        .values(failures=DevicePerson.failures + 1)
    )
    allowed = rows_changed(counted) == 1
    if allowed:
        db.session.execute(
            update(Device).where(Device.id == device.id).values(failures=Device.failures + 1)
        )
    db.session.commit()
    return allowed


def _after_wrong(device: Device, one: DevicePerson) -> str:
    """What a wrong PIN leads to."""
    db.session.refresh(device)
    db.session.refresh(one)
    if device.failures >= MOST_WRONG_TOGETHER:
        end(device)
        return DISTRUSTED
    left = MOST_WRONG - one.failures
    if left <= 0:
        return LOCKED
    return f"{NOT_THIS} {left} {'try' if left == 1 else 'tries'} left."


def _person(device_id: int, user_id: int) -> DevicePerson | None:
    query = select(DevicePerson).where(
        DevicePerson.device_id == device_id, DevicePerson.user_id == user_id
    )
    return db.session.scalars(query).one_or_none()


def _same_password(one: DevicePerson) -> bool:
    return secrets.compare_digest(one.password_mark, _mark(one.user))


def _mark(user: User) -> str:
    """Tells one password from the next, and nothing about either."""
    return _hash(user.password_hash)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
