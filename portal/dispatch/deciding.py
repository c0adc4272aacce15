"""Deciding: what a person does to a dispatch: take it back, hold it, hurry it, settle it, say that
it came back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from portal import queueing
from portal.accounts import User
from portal.columns import now
from portal.dispatch.holding import hold_by_person, let_go
from portal.dispatch.moving import accept, load, move, tell
from portal.dispatch.tables import NEVER_KNOWN, NOT_FOUND, Dispatch, Lane, Proof, Purpose, State
from portal.extensions import db
from portal.senders import Trouble


class Deed(StrEnum):
    """What can be done to something that has not left yet."""

    UNDO = "undo"
    CANCEL = "cancel"
    HOLD = "hold"
    LET_GO = "let_go"
    SEND_NOW = "send_now"


@dataclass(frozen=True)
class Decided:
    """What came of a deed. late: they had moved on, and stand as they are shown; refused: they are
    somebody else's to decide about."""

    done: list[Dispatch] = field(default_factory=list)
    late: list[Dispatch] = field(default_factory=list)
    refused: list[Dispatch] = field(default_factory=list)


def may_decide(dispatch: Dispatch, user: User) -> bool:
    """Whoever asked for it may take it back, hold and hurry it, and so may every manager.

    What a manager holds is for managers alone, until one of them lets it go.
    """
    mine = dispatch.requested_by_id == user.id and dispatch.purpose != Purpose.NOTICE
    return user.is_manager or (mine and not dispatch.held_by_manager)


def decide(dispatches: Sequence[Dispatch], deed: Deed, user: User) -> Decided:
    """Do the deed to each that has not left, in one commit; wakes a worker where some may leave."""
    decided = Decided()
    for one in dispatches:
        if not may_decide(one, user):
            decided.refused.append(one)
        elif DEEDS[deed](one, user):
            decided.done.append(one)
        else:
            decided.late.append(one)
    db.session.commit()
    for one in (*decided.done, *decided.late):
        load(one.id)
    if decided.done and deed in (Deed.LET_GO, Deed.SEND_NOW):
        queueing.ring()
    return decided


def came_back(dispatch: Dispatch, user: User, why: str) -> bool:
    """Somebody found in the mailbox that an accepted mail came back. Commits."""
    moved = move(dispatch.id, (State.ACCEPTED,), State.RETURNED, state_note=why)
    if moved:
        tell(dispatch.id, f"Came back: {why}" if why else "Came back.", user.name)
    db.session.commit()
    return moved


def settle(dispatch: Dispatch, user: User, *, left: bool) -> bool:
    """A person decides what the provider's evidence could not tell. Commits."""
    if not dispatch.needs_person:
        return False
    if left:
        when = dispatch.handed_over_at or now()  # it left then, not when somebody looked
        values = {"proof": Proof.NOT_GRANTED, "accepted_at": when}
        moved = accept(dispatch.id, (State.UNKNOWN,), **values)
    else:
        values = {"state_note": NOT_FOUND, "needs_person": False, "settle_after": None}
        moved = move(dispatch.id, (State.UNKNOWN,), State.REFUSED, **values)
    if moved:
        found = "did leave" if left else "did not leave"
        tell(dispatch.id, f"Settled by hand: it {found}.", user.name)
    db.session.commit()
    return moved


def give_up(dispatch_id: int, user: User) -> bool:
    """Look no longer for what became of an unclear one, because it is sent again.

    False where it is not for a person to settle (any more). The caller commits.
    """
    waits = Dispatch.needs_person.is_(True)
    values = {"state_note": NEVER_KNOWN, "needs_person": False, "settle_after": None}
    moved = move(dispatch_id, (State.UNKNOWN,), State.REFUSED, waits, **values)
    if moved:
        tell(dispatch_id, NEVER_KNOWN, user.name)
    return moved


# -- the deeds: each says whether it came in time, and leaves the commit to decide() ---------------


def _undo(dispatch: Dispatch, user: User) -> bool:
    return _take_back(dispatch, user, "Taken back before it left.")


def _cancel(dispatch: Dispatch, user: User) -> bool:
    return _take_back(dispatch, user, "Cancelled before it was sent.")


def _take_back(dispatch: Dispatch, user: User, words: str) -> bool:
    # His page may be a moment old: the hold that binds him may have come just now.
    free = () if user.is_manager else (Dispatch.hold_code != Trouble.MANAGER,)
    moved = move(dispatch.id, (State.QUEUED, State.HELD), State.CANCELLED, *free)
    if moved:
        tell(dispatch.id, words, user.name)
    return moved


def _send_now(dispatch: Dispatch, user: User) -> bool:
    """Before everything else of its mailbox, and without the time in which it can be undone."""
    if dispatch.held_by_hand and not let_go(dispatch, user):
        return False
    first = {"not_before": None, "lane": Lane.FIRST, "queued_at": now()}
    moved = move(dispatch.id, (State.QUEUED,), State.QUEUED, **first)
    if moved:
        tell(dispatch.id, "To leave at once, before the others.", user.name)
    return moved


DEEDS: dict[Deed, Callable[[Dispatch, User], bool]] = {
    Deed.UNDO: _undo,
    Deed.CANCEL: _cancel,
    Deed.HOLD: hold_by_person,
    Deed.LET_GO: let_go,
    Deed.SEND_NOW: _send_now,
}
