"""Moving: every change of state is one conditional UPDATE, and the document follows."""

from functools import cache
from typing import Any

from sqlalchemy import (
    Executable,
    bindparam,
    select,
)
from sqlalchemy import update as sql_update
from sqlalchemy.orm import aliased

from portal.columns import now
from portal.dispatch.tables import Dispatch, Event, Purpose, State
from portal.documents import Document
from portal.extensions import db
from portal.stores import rows_changed


def move(
    dispatch_id: int,
    allowed: tuple[State, ...],
    state: State,
    *conditions: Any,
    **values: Any,
) -> bool:
    """Change a state if it still is one of `allowed`; True when this call changed it."""
    if state not in allowed:
        values.setdefault("state_since", now())
    done = db.session.execute(
        sql_update(Dispatch)
        .where(Dispatch.id == dispatch_id, Dispatch.state.in_(allowed), *conditions)
        .values(state=state, **values)
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done) != 1:
        return False
    if state not in allowed:
        show_on_document(dispatch_id, state)
    return True


def show_on_document(dispatch_id: int, state: State) -> None:
    """Let the document's e-mail status say what its newest sending says."""
    db.session.execute(_shown(), {"dispatch_id": dispatch_id, "state": state})


@cache  # it is asked for at every move, and costs more to write down than to carry out
def _shown() -> Executable:
    newer = aliased(Dispatch)
    newest = select(Dispatch.document_id).where(
        Dispatch.id == bindparam("dispatch_id"),
        Dispatch.purpose == Purpose.DOCUMENT,
        ~select(newer.id)
        .where(
            newer.document_id == Dispatch.document_id,
            newer.purpose == Purpose.DOCUMENT,
            newer.sending_number > Dispatch.sending_number,
        )
        .exists(),
    )
    return (
        sql_update(Document)
        .where(Document.id == newest.scalar_subquery())
        .values(email_status=bindparam("state"))
        .execution_options(synchronize_session=False)
    )


def accept(dispatch_id: int, allowed: tuple[State, ...], *conditions: Any, **values: Any) -> bool:
    """Settle a dispatch as accepted, on a receipt, on evidence, or by hand."""
    settled = {
        "accepted_at": now(),
        "lease_until": None,
        "settle_after": None,
        "needs_person": False,
        "state_note": "",
    }
    return move(dispatch_id, allowed, State.ACCEPTED, *conditions, **settled | values)


def load(dispatch_id: int) -> Dispatch:
    """The dispatch as the database has it now, whatever this process remembers."""
    return db.session.get_one(Dispatch, dispatch_id, populate_existing=True)


def tell(dispatch_id: int, text: str, actor: str = "") -> None:
    """Add a line to the dispatch's story. The caller commits."""
    db.session.add(Event(dispatch_id=dispatch_id, text=text, actor=actor))
