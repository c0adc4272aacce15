"""Returns: whoever pressed Send is told by mail that it came back, a few minutes after it was read.

The office sees it on the home page; who is out on a job sees their mail. What comes back together
is told together, each report once, and only to those who want to hear of it.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import Row, Select, and_, select, update
from sqlalchemy.orm import joinedload

from portal import breakdowns, dispatch, instance, journal
from portal.accounts import User
from portal.bounces import Arrival, Tie
from portal.bounces.following import came_back_words
from portal.bounces.tables import UNTOLD
from portal.columns import now
from portal.dispatch import Dispatch, Purpose
from portal.envelope import Mailable
from portal.extensions import db
from portal.people import company
from portal.senders import SendFrom
from portal.stores import reading, rows_changed

log = logging.getLogger(__name__)
#: The first report waits so long for others; what nobody could be told of for so long is old news.
GATHERED, OLD_NEWS = timedelta(minutes=5), timedelta(days=2)
#: So many are looked at in one go, and so many are named in one mail.
A_FEW, MOST_NAMED = 500, 20
#: What came back, oldest first, each with the reports that say so.
Sendings = dict[Dispatch, list[Arrival]]


def tell() -> int:
    """Mail whom it concerns what came back. Commits.

    Returns how many mails were asked for. One that cannot be written keeps nobody else from being
    told; where nothing can send, it is told later.
    """
    with reading():
        found = db.session.execute(_untold()).all() if instance.may_send() else []
        due = _gathered(found)
        ways = {user: breakdowns.way_to(db.session.get_one(User, user), 0) for user in due}
    useless = [id_ for id_, _, _, wanted in found if not wanted]
    if useless:
        journal.write(lambda: _mark(useless))
    return sum(_is_told(user, due[user], way) for user, way in ways.items() if way)


def _untold() -> Select[int, datetime, int, bool]:
    """Reports that nobody was told of, oldest first: each with whoever pressed Send, and whether
    they need a mail of it. They need none who said so, know it, or to whom it is no news."""
    theirs = and_(Dispatch.purpose == Purpose.DOCUMENT, User.active, User.told_of_returns)
    news = and_(Arrival.tied_by != Tie.PERSON, Arrival.seen_at > now() - OLD_NEWS)
    query = select(Arrival.id, Arrival.seen_at, User.id, and_(theirs, news))
    query = query.outerjoin(Dispatch, Dispatch.id == Arrival.dispatch_id)
    query = query.outerjoin(User, User.id == Dispatch.requested_by_id)
    return query.where(UNTOLD).order_by(Arrival.seen_at, Arrival.id).limit(A_FEW)


def _gathered(found: Iterable[Row[int, datetime, int, bool]]) -> dict[int, list[int]]:
    """By person the reports to tell of now: all of theirs, once the oldest has waited."""
    due: dict[int, list[int]] = {}
    for id_, seen_at, user, wanted in found:
        if wanted and (user in due or seen_at < now() - GATHERED):
            due.setdefault(user, []).append(id_)
    return due


def _is_told(user_id: int, ids: list[int], way: SendFrom) -> bool:
    failing = "somebody could not be told of what came back"
    return journal.by_itself(lambda: _tell(user_id, ids, way), log, failing) or False


def _tell(user_id: int, ids: list[int], way: SendFrom) -> bool:
    """The reports are marked in the commit of the mail: neither is there without the other."""
    if _mark(ids) != len(ids):  # somebody else tells of them just now
        journal.undo()
        return False
    user = db.session.get_one(User, user_id)
    query = select(Arrival).where(Arrival.id.in_(ids)).order_by(Arrival.seen_at, Arrival.id)
    whole = joinedload(Arrival.dispatch).joinedload(Dispatch.document)
    sendings: Sendings = {}
    for arrival in db.session.scalars(query.options(whole)):
        assert arrival.dispatch is not None
        sendings.setdefault(arrival.dispatch, []).append(arrival)
    to = Mailable(user.email, user.name)
    dispatch.notice(_key(user, ids), to, _subject(sendings), _body(user, sendings), way)
    db.session.commit()
    return True


def _mark(ids: list[int]) -> int:
    mine = update(Arrival).where(Arrival.id.in_(ids), Arrival.told_at.is_(None))
    told = db.session.execute(
        mine.values(told_at=now()), execution_options={"synchronize_session": False}
    )
    return rows_changed(told)


def _key(user: User, ids: list[int]) -> str:
    return f"returned/{user.id}/{max(ids)}"


def _subject(sendings: Sendings) -> str:
    first = next(iter(sendings))
    return (
        f"{first.about} came back" if len(sendings) == 1 else f"{len(sendings)} messages came back"
    )


def _body(user: User, sendings: Sendings) -> str:
    address = current_app.config["PORTAL"].PUBLIC_URL
    told = [_told(*one, address) for one in list(sendings.items())[:MOST_NAMED]]
    more = len(sendings) - len(told)
    count = "A message" if len(sendings) == 1 else f"{len(sendings)} messages"
    parts = (
        f"Hello {user.name.split()[0]},",
        f"{count} that you sent came back:",
        *told,
        *([f"And {more} more: {address}"] if more else []),
        "What to do: open the page. It says whose move it is, and there you can send it again.",
        f"{company().name}, by Sendwright\n"
        f"You can switch these mails off under My e-mail: {address}/profile",
    )
    return "\n\n".join(parts)


def _told(one: Dispatch, arrivals: list[Arrival], address: str) -> str:
    words = dict.fromkeys(came_back_words(one, each) for each in arrivals)
    return "\n".join((one.about, *words, f"{address}/dispatches/{one.id}"))
