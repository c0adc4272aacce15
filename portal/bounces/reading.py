"""Reading: what pages show of what came in, and what people say of it."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select, update

from portal.accounts import User
from portal.bounces.following import follow
from portal.bounces.tables import Arrival, Standing, Tie
from portal.dispatch import Dispatch
from portal.extensions import db
from portal.incoming import Sort
from portal.stores import rows_changed

#: So many are shown of one document.
MOST_SHOWN = 100


def of_dispatch(dispatch_id: int) -> list[Arrival]:
    """What came in about one sending, oldest first."""
    return _shown(Arrival.dispatch_id == dispatch_id)


def of_document(document_id: int) -> list[Arrival]:
    """What came in about any sending of a document, oldest first."""
    sendings = select(Dispatch.id).where(Dispatch.document_id == document_id)
    return _shown(Arrival.dispatch_id.in_(sendings))


def _shown(mine: object) -> list[Arrival]:
    shown = Arrival.standing.in_((Standing.FOLLOWED, Standing.EARLY, Standing.ASKED))
    query = select(Arrival).where(mine, shown).order_by(Arrival.at, Arrival.id)  # type: ignore[arg-type]
    return list(db.session.scalars(query.limit(MOST_SHOWN)))


def returns_of(dispatch_ids: Collection[int]) -> dict[int, list[Arrival]]:
    """The reports that made these sendings come back, oldest first, by sending."""
    found: dict[int, list[Arrival]] = defaultdict(list)
    mine = Arrival.dispatch_id.in_(dispatch_ids), Arrival.standing == Standing.FOLLOWED
    query = select(Arrival).where(*mine, Arrival.sort == Sort.BOUNCE)
    if dispatch_ids:
        for one in db.session.scalars(query.order_by(Arrival.at, Arrival.id)):
            found[one.dispatch_id or 0].append(one)
    return found


def asked(user: User | None = None) -> list[Arrival]:
    """What may be about a sending, until a person has said so; newest first. user: of their own."""
    query = select(Arrival).where(Arrival.standing == Standing.ASKED)
    if user is not None:
        mine = Dispatch.requested_by_id == user.id
        query = query.join(Dispatch, Dispatch.id == Arrival.dispatch_id).where(mine)
    return list(db.session.scalars(query.order_by(Arrival.at.desc()).limit(MOST_SHOWN)))


def replies(since: datetime, user: User | None = None) -> list[Arrival]:
    """Who replied to a document since a moment, newest first. user: to what they sent."""
    came = Arrival.standing == Standing.FOLLOWED, Arrival.seen_at >= since, Arrival.at >= since
    query = select(Arrival).join(Dispatch, Dispatch.id == Arrival.dispatch_id)
    query = query.where(*came, Arrival.sort == Sort.REPLY, Dispatch.document_id.is_not(None))
    if user is not None:
        query = query.where(Dispatch.requested_by_id == user.id)
    return list(db.session.scalars(query.order_by(Arrival.at.desc()).limit(MOST_SHOWN)))


def replied_in_batch(batch_id: int) -> int:
    """How many messages of a batch were replied to."""
    query = select(func.count(func.distinct(Arrival.dispatch_id)))
    query = query.join(Dispatch, Dispatch.id == Arrival.dispatch_id)
    mine = Dispatch.batch_id == batch_id, Arrival.sort == Sort.REPLY
    return db.session.scalar(query.where(*mine, Arrival.standing == Standing.FOLLOWED)) or 0


def say(arrival: Arrival, user: User, *, is_it: bool) -> bool:
    """A person says whether an arrival is about the sending it was guessed to be about.

    False where somebody has said so before. Commits.
    """
    said = Standing.FOLLOWED if is_it else Standing.DISMISSED
    asked_still = Arrival.id == arrival.id, Arrival.standing == Standing.ASKED
    told = db.session.execute(update(Arrival).where(*asked_still).values(standing=said))
    first = rows_changed(told) == 1
    if first and is_it:
        arrival.tied_by = Tie.PERSON
        follow(arrival)
    db.session.commit()
    return first
