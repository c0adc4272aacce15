"""Cautions: addresses that mail came back from. Whoever sends there next is asked first."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update

from portal.accounts import User
from portal.bounces.tables import Caution
from portal.columns import now
from portal.extensions import db
from portal.incoming import Verdict
from portal.people import address_key

#: For how long a failure that passes is asked about. One of the sender's set-up is not the
#: address's, so nobody is asked about that.
LASTS: dict[Verdict, timedelta | None] = {
    Verdict.HARD: None,
    Verdict.SOFT: timedelta(days=7),
    Verdict.UNKNOWN: timedelta(days=30),
}


def put(failed: dict[str, Any], at: datetime, dispatch_id: int) -> None:
    """Mail to an address came back at a moment. failed: as incoming.Failed. No commit."""
    verdict = Verdict(failed["verdict"])
    if verdict not in LASTS or not failed["email"]:
        return
    key, lasts = address_key(failed["email"]), LASTS[verdict]
    one = db.session.get(Caution, key)
    if one is not None and (one.at >= at or (one.cleared_at and one.cleared_at >= at)):
        return
    if one is None:
        one = Caution(key=key)
        db.session.add(one)
    one.email, one.verdict, one.reason = failed["email"], verdict, failed["reason"]
    one.words, one.at, one.dispatch_id = failed["words"], at, dispatch_id
    one.ends_at = at + lasts if lasts else None
    one.cleared_at = one.cleared_by_id = None


def of(emails: Iterable[str]) -> dict[str, Caution]:
    """Those that still count among some addresses, by address as it is compared."""
    keys = {address_key(one) for one in emails}
    counts = or_(Caution.ends_at.is_(None), Caution.ends_at > now())
    query = select(Caution).where(Caution.key.in_(keys), Caution.cleared_at.is_(None), counts)
    return {one.key: one for one in db.session.scalars(query)} if keys else {}


def clear(email: str, user: User) -> None:
    """Somebody says that the address is right. Commits."""
    _clear(email, cleared_by_id=user.id)
    db.session.commit()


def answered(email: str, at: datetime) -> None:
    """Somebody wrote from there, so it exists. No commit."""
    earlier = Caution.at < at
    _clear(email, earlier)


def _clear(email: str, *conditions: Any, **values: Any) -> None:
    mine = Caution.key == address_key(email), Caution.cleared_at.is_(None)
    db.session.execute(update(Caution).where(*mine, *conditions).values(cleared_at=now(), **values))
