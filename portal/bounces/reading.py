"""Reading: what pages show of what came in, and what people say of it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from portal.accounts import User
from portal.bounces.following import follow
from portal.bounces.tables import Arrival, Standing, Tie
from portal.dispatch import Dispatch, State
from portal.extensions import db

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


def asked() -> list[Arrival]:
    """What may be about a sending, until a person has said so; newest first."""
    query = select(Arrival).where(Arrival.standing == Standing.ASKED)
    return list(db.session.scalars(query.order_by(Arrival.at.desc()).limit(MOST_SHOWN)))


def say(arrival: Arrival, user: User, *, is_it: bool) -> bool:
    """A person says whether an arrival is about the sending it was guessed to be about.

    False where somebody has said so before. Commits.
    """
    if arrival.standing != Standing.ASKED:
        return False
    if is_it:
        arrival.tied_by = Tie.PERSON
        follow(arrival)
    else:
        arrival.standing = Standing.DISMISSED
    db.session.commit()
    return True


def returned_lately(since: datetime) -> Sequence[Dispatch]:
    """The sendings that came back since a moment, newest first."""
    back = Dispatch.state == State.RETURNED, Dispatch.state_since >= since
    query = select(Dispatch).where(*back).order_by(Dispatch.state_since.desc())
    return list(db.session.scalars(query.limit(MOST_SHOWN)))
