"""Consent: what a person said about mail that leaves under their own address.

Only they say it: by a link mailed to them, in their settings, or by connecting their own mailbox.
It is about one address; whoever gets another is asked anew. The history of the person keeps every
answer. An address that no person signs in under, as office@, is the company's own and needs none.
"""

from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select

from portal import history
from portal.accounts import User
from portal.columns import now
from portal.extensions import db
from portal.people import Company, address_key
from portal.senders import Consent, Said


class How(StrEnum):
    """The ways in which somebody answers, as words that end a sentence."""

    MAIL = "by the link mailed to them"
    SETTINGS = "on the page “My e-mail”"
    MAILBOX = "by connecting their own mailbox"


_DONE = {
    Said.AGREED: "agreed that mail leaves under {}",
    Said.REFUSED: "did not agree that mail leaves under {}",
    Said.WITHDRAWN: "took back that mail may leave under {}",
}


def of(user: User) -> Consent | None:
    """What somebody said about the address they have now; None for a department's."""
    if user.is_department:
        return None
    if address_key(user.consent_email) != address_key(user.email):
        return Consent(user.name)
    return Consent(user.name, Said(user.consent), user.consent_words)


def by_address() -> dict[str, Consent]:
    """Every address that belongs to a person, as people.address_key() compares them."""
    people = db.session.scalars(select(User).where(User.is_department.is_(False)))
    found = ((address_key(one.email), of(one)) for one in people)
    return {email: said for email, said in found if said is not None}


def record(user: User, said: Said, how: How) -> None:
    """Keep what somebody has just said of their own address. The caller commits."""
    done = f"{_DONE[said].format(user.email)} {how}"
    user.consent, user.consent_at, user.consent_email = said, now(), user.email
    user.consent_words = f"{user.name} {done}, on {_today()}."
    history.note("user", user.id, f"{done[:1].upper()}{done[1:]}.", user.name)


def _today() -> str:
    """The date where the company is."""
    zone = db.session.scalar(select(Company.time_zone).order_by(Company.id).limit(1))
    day = now().astimezone(ZoneInfo(zone or "UTC"))
    return f"{day.day} {day:%B %Y}"
