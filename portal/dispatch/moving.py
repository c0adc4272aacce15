"""Moving: every change of state is one conditional UPDATE, and the document follows."""

from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    Executable,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy import update as sql_update

from portal import journal
from portal.columns import now
from portal.dispatch.tables import Dispatch, Event, Purpose, State
from portal.documents import Document
from portal.extensions import db
from portal.statements import Statement
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
    """Let the document's e-mail status say what its newest sending says.

    One that was taken back says nothing where there is another: the first may have left long ago,
    and a document that counts as not sent is sent by the next batch.
    """
    shown = _taken_back() if state == State.CANCELLED else _shown(many=False)
    journal.connection().execute(shown, {"ids": dispatch_id, "state": state})


def show_on_documents(dispatch_ids: list[int], state: State) -> None:
    """The same for several that came into one state."""
    journal.connection().execute(_shown(many=True), {"ids": dispatch_ids, "state": state})


def show_going_on(dispatch_id: int, state: State) -> None:
    """show_on_document() of what is on its way, as it happens with every mail."""
    _on_its_way().changed(journal.connection(), ids=dispatch_id, state=state)


@cache
def _on_its_way() -> Statement:
    return Statement(_shown(many=False))


@cache  # it is asked for at every move, and costs more to write down than to carry out
def _shown(*, many: bool) -> Executable:
    mine, documents = cast("Table", Dispatch.__table__), cast("Table", Document.__table__)
    newer = mine.alias()
    wanted: BindParameter[Any] = bindparam("ids", expanding=many)
    newest = select(mine.c.document_id).where(
        mine.c.id.in_(wanted) if many else mine.c.id == wanted,
        mine.c.purpose == Purpose.DOCUMENT,
        ~select(newer.c.id)
        .where(
            newer.c.document_id == mine.c.document_id,
            newer.c.purpose == Purpose.DOCUMENT,
            newer.c.sending_number > mine.c.sending_number,
            newer.c.state != State.CANCELLED,
        )
        .exists(),
    )
    shown = sql_update(documents).where(documents.c.id.in_(newest))
    return shown.values(email_status=bindparam("state"))


@cache
def _taken_back() -> Executable:
    mine, documents = cast("Table", Dispatch.__table__), cast("Table", Document.__table__)
    other = mine.alias()
    of_document = select(mine.c.document_id).where(
        mine.c.id == bindparam("ids"), mine.c.purpose == Purpose.DOCUMENT
    )
    newest = (
        select(other.c.state)
        .where(
            other.c.document_id == documents.c.id,
            other.c.purpose == Purpose.DOCUMENT,
            other.c.state != State.CANCELLED,
        )
        .order_by(other.c.sending_number.desc())
        .limit(1)
        .scalar_subquery()
    )
    shown = sql_update(documents).where(documents.c.id.in_(of_document))
    return shown.values(email_status=func.coalesce(newest, bindparam("state")))


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
