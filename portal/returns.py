"""Returns: whoever pressed Send is told by mail that it came back, a few minutes after it was read.

The office sees it on the home page; who is out on a job sees their mail. What comes back together
is told together, each report once, and only to those who want to hear of it.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from flask import current_app
from sqlalchemy import select, update

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


def tell() -> int:
    """Mail whom it concerns what came back. Commits.

    Returns how many mails were asked for. One that cannot be written keeps nobody else from being
    told; where nothing can send, it is told later.
    """
    with reading():
        found = _untold() if instance.may_send() else []
        useless = [one.id for one in found if _is_for_nobody(one)]
        due = {user.id: mine for user, mine in _by_person(found).items() if _is_gathered(mine)}
        ways = {user: breakdowns.way_to(db.session.get_one(User, user), 0) for user in due}
        ids = {user: [one.id for one in mine] for user, mine in due.items()}
    if useless:
        journal.write(lambda: _mark(useless))
    return sum(_is_told(user, ids[user], way) for user, way in ways.items() if way)


def _untold() -> list[Arrival]:
    query = select(Arrival).where(UNTOLD).order_by(Arrival.seen_at, Arrival.id)
    return list(db.session.scalars(query.limit(A_FEW)))


def _is_for_nobody(arrival: Arrival) -> bool:
    """Whether nobody needs a mail of it: they said so, know it, or it is no document of theirs."""
    one = arrival.dispatch
    if one is None or one.purpose != Purpose.DOCUMENT or arrival.tied_by == Tie.PERSON:
        return True
    who = one.requested_by if one.requested_by_id is not None else None
    wants = who is not None and who.active and who.told_of_returns
    return not wants or arrival.seen_at < now() - OLD_NEWS


def _by_person(arrivals: Iterable[Arrival]) -> dict[User, list[Arrival]]:
    found: dict[User, list[Arrival]] = defaultdict(list)
    for one in arrivals:
        if not _is_for_nobody(one):
            found[_of(one).requested_by].append(one)
    return found


def _is_gathered(arrivals: list[Arrival]) -> bool:
    return arrivals[0].seen_at < now() - GATHERED


def _is_told(user_id: int, ids: list[int], way: SendFrom) -> bool:
    try:
        return _tell(db.session.get_one(User, user_id), ids, way)
    except Exception:
        log.exception("somebody could not be told of what came back")
        return False
    finally:
        journal.undo()


def _tell(user: User, ids: list[int], way: SendFrom) -> bool:
    """The reports are marked in the commit of the mail: neither is there without the other."""
    if _mark(ids) != len(ids):  # somebody else tells of them just now
        return False
    query = select(Arrival).where(Arrival.id.in_(ids)).order_by(Arrival.seen_at, Arrival.id)
    arrivals = list(db.session.scalars(query))
    to = Mailable(user.email, user.name)
    dispatch.notice(_key(user, ids), to, _subject(arrivals), _body(user, arrivals), way)
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


def _subject(arrivals: list[Arrival]) -> str:
    about = list(dict.fromkeys(_of(one).about for one in arrivals))
    return f"{about[0]} came back" if len(about) == 1 else f"{len(about)} messages came back"


def _body(user: User, arrivals: list[Arrival]) -> str:
    address = current_app.config["PORTAL"].PUBLIC_URL
    told = [_told(one, address) for one in arrivals[:MOST_NAMED]]
    more = len(arrivals) - len(told)
    count = "1 message that you sent" if len(arrivals) == 1 else "Messages that you sent"
    parts = (
        f"Hello {user.name.split()[0]},",
        f"{count} came back:",
        *told,
        *([f"And {more} more: {address}"] if more else []),
        "What to do: open the page, put the address right there, and send it again.",
        f"{company().name}, by Sendwright\n"
        f"You can switch these mails off under My e-mail: {address}/profile",
    )
    return "\n\n".join(parts)


def _told(arrival: Arrival, address: str) -> str:
    one = _of(arrival)
    words = came_back_words(one, arrival)
    return f"{one.about}\n{words}\n{address}/dispatches/{one.id}"


def _of(arrival: Arrival) -> Dispatch:
    assert arrival.dispatch is not None
    return arrival.dispatch
