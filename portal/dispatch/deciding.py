"""Deciding: what a person does to a dispatch: take it back, settle it, say that it came back."""

from portal.accounts import User
from portal.dispatch.moving import accept, move, tell
from portal.dispatch.tables import Dispatch, Proof, State
from portal.extensions import db


def came_back(dispatch: Dispatch, user: User, why: str) -> bool:
    """Somebody found in the mailbox that an accepted mail came back. Commits."""
    moved = move(dispatch.id, (State.ACCEPTED,), State.RETURNED, state_note=why)
    if moved:
        tell(dispatch.id, f"Came back: {why}" if why else "Came back.", user.name)
    db.session.commit()
    return moved


def cancel(dispatch: Dispatch, user: User) -> bool:
    """Take back what has not started. False when it is too late. Commits."""
    moved = move(dispatch.id, (State.QUEUED, State.HELD), State.CANCELLED)
    if moved:
        tell(dispatch.id, "Cancelled before it was sent.", user.name)
    db.session.commit()
    return moved


def settle(dispatch: Dispatch, user: User, *, left: bool) -> bool:
    """A person decides what the provider's evidence could not tell. Commits."""
    if not dispatch.needs_person:
        return False
    if left:
        moved = accept(dispatch.id, (State.UNKNOWN,), proof=Proof.NOT_GRANTED)
    else:
        note = "A person found that it did not leave."
        values = {"state_note": note, "needs_person": False, "settle_after": None}
        moved = move(dispatch.id, (State.UNKNOWN,), State.REFUSED, **values)
    if moved:
        found = "did leave" if left else "did not leave"
        tell(dispatch.id, f"Settled by hand: it {found}.", user.name)
    db.session.commit()
    return moved
