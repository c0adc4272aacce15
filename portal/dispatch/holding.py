"""Holding: what waits because its address or mailbox is not ready, or because somebody said so, and
its release.

What waited for long because its mailbox could not send is not released by itself: the customer may
have got it another way meanwhile, so somebody is asked (reviewing.py).
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, case, func, insert, select
from sqlalchemy import update as sql_update

from portal import journal, mailboxes
from portal.accounts import User
from portal.columns import now
from portal.dispatch.moving import move, show_on_documents, tell
from portal.dispatch.tables import Dispatch, Event, Purpose, State
from portal.extensions import db
from portal.senders import BY_HAND, SendFrom, Trouble, find, trouble_with
from portal.stores import reading

#: What a person holds is let go by a person alone.
BY_ITSELF = Dispatch.hold_code.not_in(BY_HAND)
#: So many are changed in one transaction; everybody else who writes waits for it.
AT_ONCE = 200
#: Mail that a broken mailbox kept waiting for longer is sent only when somebody says so.
STILL_WANTED = timedelta(hours=1)
ASKED = (
    "It waited for more than an hour because {} could not send. Say whether it is still to leave."
)


def release_ready() -> int:
    """Queue what was on hold and whose address and mailbox are ready now. Commits as it goes."""
    waiting = select(Dispatch.from_email, Dispatch.requested_by_id).distinct()
    with reading():
        pairs = db.session.execute(waiting.where(Dispatch.state == State.HELD, BY_ITSELF)).all()
        addresses = mailboxes.send_from_addresses() if pairs else []
    released = 0
    for from_email, asker_id in pairs:
        found = find(from_email, addresses, asker_id)
        trouble, problem = trouble_with(from_email, found)
        held = (
            Dispatch.state == State.HELD,
            Dispatch.from_email == from_email,
            Dispatch.requested_by_id == asker_id,
            BY_ITSELF,
        )
        if trouble is None and found is not None:
            _ask_about(found, *held)
            ready = f"{found.email} is ready: back in the queue."
            released += move_all(State.QUEUED, ready, _into_queue(found), *held)
        else:
            still = {"hold_code": trouble or "", "state_note": problem}
            _change_all(partial(_change, still), *held, Dispatch.state_note != problem)
    return released


def _ask_about(found: SendFrom, *held: ColumnElement[bool]) -> None:
    """Keep what waited for long for a broken mailbox until a person says what becomes of it.

    What waited for its address leaves as it was promised, and so do the portal's own words.
    """
    long = (
        Dispatch.hold_code == Trouble.MAILBOX,
        Dispatch.purpose != Purpose.NOTICE,
        Dispatch.state_since < now() - STILL_WANTED,
    )
    with reading():
        if db.session.scalar(select(Dispatch.id).where(*held, *long).limit(1)) is None:
            return
    note = ASKED.format(found.mailbox_email)
    carried = {one: _into_queue(found)[one] for one in ("mailbox_id", "draft_id")}
    values = {"hold_code": Trouble.REVIEW, "state_note": note, **carried}
    move_all(State.HELD, note, values, *held, *long)


def _into_queue(found: SendFrom) -> dict[str, Any]:
    """What a release writes; a draft in another mailbox stays behind."""
    same = Dispatch.mailbox_id == found.mailbox_id
    return {
        "hold_code": "",
        "state_note": "",
        "mailbox_id": found.mailbox_id,
        "queued_at": now(),
        "not_before": None,
        "draft_id": case((same, Dispatch.draft_id), else_=None),
    }


def hold_mailbox(mailbox_id: int, why: str) -> int:
    """Put a broken mailbox's whole queue on hold. Commits as it goes."""
    waiting = (Dispatch.mailbox_id == mailbox_id, Dispatch.state == State.QUEUED)
    values = {"hold_code": Trouble.MAILBOX, "state_note": why}
    return move_all(State.HELD, f"On hold: {why}", values, *waiting)


def hold_unagreed() -> int:
    """Put on hold what is to leave under an address whose person does not agree. Commits as it
    goes."""
    held = 0
    with reading():
        addresses = mailboxes.send_from_addresses()
    for one in addresses:
        trouble, problem = trouble_with(one.email, one)
        if trouble is Trouble.CONSENT:
            values = {"hold_code": trouble, "state_note": problem}
            waiting = (
                Dispatch.mailbox_id == one.mailbox_id,
                func.lower(Dispatch.from_email) == one.email.casefold(),
                Dispatch.state == State.QUEUED,
            )
            held += move_all(State.HELD, f"On hold: {problem}", values, *waiting)
    return held


# -- many at a time ------------------------------------------------------------------------------


def move_all(state: State, told: str, values: dict[str, Any], *which: ColumnElement[bool]) -> int:
    """Bring all of these into a state, with a line in each story; how many."""
    moved_now = {"state": state, "state_since": now(), **values}

    def move_some(ids: Sequence[int], *which: ColumnElement[bool]) -> Sequence[int]:
        moved = _change(moved_now, ids, *which)
        if moved:
            lines = [{"dispatch_id": one, "text": told} for one in moved]
            db.session.execute(insert(Event), lines)
            show_on_documents(list(moved), state)
        return moved

    return _change_all(move_some, *which)


def _change_all(change: Callable[..., Sequence[int]], *which: ColumnElement[bool]) -> int:
    """Change all of these, a portion in each transaction, the oldest first; how many."""

    def change_some(after: int) -> tuple[int, int]:
        ids = db.session.scalars(
            select(Dispatch.id)
            .where(Dispatch.id > after, *which)
            .order_by(Dispatch.id)
            .limit(AT_ONCE)
            .with_for_update()
        ).all()
        return (ids[-1], len(change(ids, *which))) if ids else (0, 0)

    last, changed = journal.write(partial(change_some, 0))
    while last:
        last, more = journal.write(partial(change_some, last))
        changed += more
    return changed


def _change(
    values: dict[str, Any], ids: Sequence[int], *which: ColumnElement[bool]
) -> Sequence[int]:
    """Which of these were changed. The caller commits."""
    return db.session.scalars(
        sql_update(Dispatch)
        .where(Dispatch.id.in_(ids), *which)
        .values(**values)
        .returning(Dispatch.id)
        .execution_options(synchronize_session=False)
    ).all()


# -- by a person ---------------------------------------------------------------------------------


def hold_by_person(dispatch: Dispatch, user: User) -> bool:
    """Hold one until somebody lets it go, whatever becomes ready. The caller commits.

    A manager's hold binds: only a manager lets it go or cancels it. It may take the place of
    somebody else's.
    """
    code = Trouble.MANAGER if user.is_manager else Trouble.PERSON
    weaker = Dispatch.hold_code != Trouble.MANAGER if user.is_manager else BY_ITSELF
    values = {"hold_code": code, "state_note": f"{user.name} holds it."}
    moved = move(dispatch.id, (State.QUEUED,), State.HELD, **values) or move(
        dispatch.id, (State.HELD,), State.HELD, weaker, **values
    )
    if moved:
        tell(dispatch.id, "Held by hand.", user.name)
    return moved


def let_go(dispatch: Dispatch, user: User) -> bool:
    """Let go what a person held: into the queue, or on hold while it is not ready otherwise.

    What a manager holds is let go for a manager alone. The caller commits.
    """
    free = (Trouble.PERSON, Trouble.REVIEW)
    theirs = Dispatch.hold_code.in_(BY_HAND if user.is_manager else free)
    addresses = mailboxes.send_from_addresses()
    found = find(dispatch.from_email, addresses, dispatch.requested_by_id)
    trouble, problem = trouble_with(dispatch.from_email, found)
    if trouble is None and found is not None:
        moved = move(dispatch.id, (State.HELD,), State.QUEUED, theirs, **_into_queue(found))
    else:
        still = {"hold_code": trouble or "", "state_note": problem}
        moved = move(dispatch.id, (State.HELD,), State.HELD, theirs, **still)
    if moved:
        tell(dispatch.id, f"Let go. On hold: {problem}" if problem else "Let go.", user.name)
    return moved
