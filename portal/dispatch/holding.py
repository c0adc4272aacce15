"""Holding: what waits because its address or mailbox is not ready, and its release."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    case,
    select,
)
from sqlalchemy import update as sql_update

from portal import mailboxes
from portal.columns import now
from portal.dispatch.moving import move, tell
from portal.dispatch.tables import Dispatch, State
from portal.extensions import db
from portal.senders import SendFrom, Trouble, find, trouble_with


def release_ready() -> int:
    """Queue what was on hold and whose address and mailbox are ready now. Commits."""
    waiting = select(Dispatch.from_email, Dispatch.requested_by_id).distinct()
    pairs = db.session.execute(waiting.where(Dispatch.state == State.HELD)).all()
    addresses = mailboxes.send_from_addresses() if pairs else []
    released = 0
    for from_email, asker_id in pairs:
        found = find(from_email, addresses, asker_id)
        trouble, problem = trouble_with(from_email, found)
        held = (Dispatch.from_email == from_email, Dispatch.requested_by_id == asker_id)
        if trouble is None and found is not None:
            released += _release(found, *held)
        else:
            _keep_holding(trouble or "", problem, *held)
    db.session.commit()
    return released


def _release(found: SendFrom, *held: ColumnElement[bool]) -> int:
    """Into the queue of the mailbox that may carry them now; another's draft stays behind."""
    ids = db.session.scalars(select(Dispatch.id).where(Dispatch.state == State.HELD, *held))
    same = Dispatch.mailbox_id == found.mailbox_id
    values = {
        "hold_code": "",
        "state_note": "",
        "mailbox_id": found.mailbox_id,
        "queued_at": now(),
        "draft_id": case((same, Dispatch.draft_id), else_=None),
    }
    moved = [one for one in ids.all() if move(one, (State.HELD,), State.QUEUED, **values)]
    for one in moved:
        tell(one, f"{found.email} is ready: back in the queue.")
    return len(moved)


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
