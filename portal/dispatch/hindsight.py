"""Hindsight: what turns out later of an unclear sending, once a person had decided about it.

Nobody could tell, or somebody had looked in vain, so it may have been sent again. Whoever finds it
in Sent after all says so: then it counts as sent, what still waits to repeat it is held until a
person has decided, and both stories tell who got it twice and why.
"""

from collections.abc import Iterator

from portal.accounts import User
from portal.columns import now
from portal.dispatch.holding import hold_by_person
from portal.dispatch.moving import accept, load, move, show_on_document, tell
from portal.dispatch.reading import of_document
from portal.dispatch.tables import (
    LEFT_AFTER_ALL,
    NEVER_KNOWN,
    NOT_FOUND,
    Dispatch,
    Proof,
    State,
)
from portal.extensions import db


def turned_out(one: Dispatch, user: User, *, left: bool) -> bool:
    """Keep what somebody found out later; False where nothing was open any more. Commits."""
    moved = _had_left(one, user) if left else _had_not_left(one, user)
    db.session.commit()
    return moved


def doubles(one: Dispatch) -> list[Dispatch]:
    """The sendings that brought its people the same once more, because one of the two turned out
    to have left; oldest first."""
    if one.document_id is None or one.state != State.ACCEPTED:
        return []
    found = [other for other in _repeated(one) if other.left_after_all]
    if one.left_after_all:
        found += _repeating(one)
    return sorted((other for other in found if _twice(one, other)), key=lambda other: other.id)


def people_of_both(one: Dispatch, other: Dispatch) -> list[str]:
    """The addresses that two sendings have in common, as the first has them written."""
    theirs = {email.casefold() for email in (*other.to, *other.cc)}
    return [email for email in (*one.to, *one.cc) if email.casefold() in theirs]


def _had_left(one: Dispatch, user: User) -> bool:
    doubted = Dispatch.state_note.in_((NEVER_KNOWN, NOT_FOUND))
    values = {
        "proof": Proof.NOT_GRANTED,
        "accepted_at": one.handed_over_at or now(),
        "state_note": LEFT_AFTER_ALL,
    }
    if not accept(one.id, (State.REFUSED,), doubted, **values):
        return False
    tell(one.id, LEFT_AFTER_ALL, user.name)
    later = [load(other.id) for other in _repeating(one)]
    if all(other.state == State.REFUSED for other in later):
        show_on_document(later[-1].id if later else one.id, State.ACCEPTED)
    for other in later:
        if people_of_both(one, other):
            _tell_both(one, other, user)
    return True


def _had_not_left(one: Dispatch, user: User) -> bool:
    unknown = Dispatch.state_note == NEVER_KNOWN
    moved = move(one.id, (State.REFUSED,), State.REFUSED, unknown, state_note=NOT_FOUND)
    if moved:
        tell(one.id, "Found out later: it did not leave.", user.name)
    return moved


def _tell_both(one: Dispatch, later: Dispatch, user: User) -> None:
    """What it means for a later sending that the one before it had left."""
    who = ", ".join(people_of_both(one, later))
    first, second = f"Sending {one.sending_number}", f"sending {later.sending_number}"
    why = f" Why it was sent again: {later.resend_reason}" if later.resend_reason else ""
    if later.state == State.ACCEPTED:
        tell(one.id, f"So {who} got it twice: {second} left too.{why}", user.name)
        tell(later.id, f"{first} had left after all, so {who} got it twice.{why}", user.name)
    elif later.state in (State.QUEUED, State.HELD):
        tell(later.id, f"{first} had left after all: this would be a second one.", user.name)
        hold_by_person(later, user)
    elif later.state in (State.SUBMITTING, State.UNKNOWN):
        tell(
            later.id, f"{first} had left after all: if this leaves, {who} got it twice.", user.name
        )


def _twice(one: Dispatch, other: Dispatch) -> bool:
    return other.state == State.ACCEPTED and bool(people_of_both(one, other))


def _repeating(one: Dispatch) -> Iterator[Dispatch]:
    """Every sending that was asked for because of this one, at one or more removes."""
    because = {one.id}
    for other in reversed(of_document(one.document)):
        if other.resend_of_id in because:
            because.add(other.id)
            yield other


def _repeated(one: Dispatch) -> Iterator[Dispatch]:
    """Every sending because of which this one was asked for."""
    while one.resend_of_id is not None:
        one = db.session.get_one(Dispatch, one.resend_of_id)
        yield one
