"""Holding: what waits because its address or mailbox is not ready, or because somebody said so, and
its release."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    case,
    select,
)
from sqlalchemy import update as sql_update

from portal import mailboxes
from portal.accounts import User
from portal.columns import now
from portal.dispatch.moving import move, tell
from portal.dispatch.tables import Dispatch, State
from portal.extensions import db
from portal.senders import BY_HAND, SendFrom, Trouble, find, trouble_with

#: What a person holds is let go by a person alone.
BY_ITSELF = Dispatch.hold_code.not_in(BY_HAND)


def release_ready() -> int:
    """Queue what was on hold and whose address and mailbox are ready now. Commits."""
    waiting = select(Dispatch.from_email, Dispatch.requested_by_id).distinct()
    pairs = db.session.execute(waiting.where(Dispatch.state == State.HELD, BY_ITSELF)).all()
    addresses = mailboxes.send_from_addresses() if pairs else []
    released = 0
    for from_email, asker_id in pairs:
        found = find(from_email, addresses, asker_id)
        trouble, problem = trouble_with(from_email, found)
        held = (
            Dispatch.from_email == from_email,
            Dispatch.requested_by_id == asker_id,
            BY_ITSELF,
        )
        if trouble is None and found is not None:
            released += _release(found, *held)
        else:
            _keep_holding(trouble or "", problem, *held)
    db.session.commit()
    return released


def _release(found: SendFrom, *held: ColumnElement[bool]) -> int:
    """Into the queue of the mailbox that may carry them now."""
    ids = db.session.scalars(select(Dispatch.id).where(Dispatch.state == State.HELD, *held))
    values = _into_queue(found)
    moved = [one for one in ids.all() if move(one, (State.HELD,), State.QUEUED, *held, **values)]
    for one in moved:
        tell(one, f"{found.email} is ready: back in the queue.")
    return len(moved)


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


def _keep_holding(trouble: str, problem: str, *held: ColumnElement[bool]) -> None:
    """The reason may have become another one."""
    db.session.execute(
        sql_update(Dispatch)
        .where(Dispatch.state == State.HELD, Dispatch.state_note != problem, *held)
        .values(hold_code=trouble, state_note=problem)
        .execution_options(synchronize_session=False)
    )


def hold_mailbox(mailbox_id: int, why: str) -> int:
    """Put a broken mailbox's whole queue on hold. The caller commits."""
    waiting = (Dispatch.mailbox_id == mailbox_id, Dispatch.state == State.QUEUED)
    ids = list(db.session.scalars(select(Dispatch.id).where(*waiting)))
    values = {"hold_code": Trouble.MAILBOX, "state_note": why}
    return sum(_hold(one, why, values) for one in ids)


def _hold(dispatch_id: int, why: str, values: dict[str, Any]) -> bool:
    moved = move(dispatch_id, (State.QUEUED,), State.HELD, **values)
    if moved:
        tell(dispatch_id, f"On hold: {why}")
    return moved


# -- by a person ---------------------------------------------------------------------------------


def hold_by_person(dispatch: Dispatch, user: User) -> bool:
    """Hold one until somebody lets it go, whatever becomes ready. The caller commits.

    A manager's hold binds: only a manager lets it go. It may take the place of somebody else's.
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
    theirs = Dispatch.hold_code.in_(BY_HAND if user.is_manager else (Trouble.PERSON,))
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
