"""Storing: the frozen sendings of a batch become rows together."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import insert, inspect, select

from portal.dispatch.asking import asked_text
from portal.dispatch.moving import show_on_documents
from portal.dispatch.tables import Dispatch, Event, Message, Purpose, State
from portal.extensions import db
from portal.failpoints import reached

#: A frozen sending with the name of who asked for it.
Asked = tuple[Dispatch, str]


def store_all(made: Sequence[Asked]) -> dict[str, int]:
    """Write frozen sendings, how their stories begin and what their documents show.

    They are copied from, not added, so that this can run again. Gives the new ids by token; one
    whose number is taken already has none. The caller commits. Raises IntegrityError where somebody
    takes a number at this very moment.
    """
    fresh = _whose_number_is_free(made)
    if not fresh:
        return {}
    ids = db.session.scalars(
        insert(Dispatch).returning(Dispatch.id, sort_by_parameter_order=True),
        [_row(one) for one, _ in fresh],
    ).all()
    for dispatch_id in ids:
        reached("request.stored", dispatch_id)
    stored = list(zip(ids, fresh, strict=True))
    frozen = [{"dispatch_id": id_, "mime": one.mime} for id_, (one, _) in stored]
    db.session.execute(insert(Message), frozen)
    lines = [line for dispatch_id, pair in stored for line in _story(dispatch_id, *pair)]
    db.session.execute(insert(Event), lines)
    for state in {one.state for one, _ in fresh}:
        show_on_documents([id_ for id_, (one, _) in stored if one.state == state], State(state))
    return {one.token: id_ for id_, (one, _) in stored}


def _whose_number_is_free(made: Sequence[Asked]) -> list[Asked]:
    query = select(Dispatch.document_id, Dispatch.sending_number).where(
        Dispatch.document_id.in_([one.document_id for one, _ in made]),
        Dispatch.purpose == Purpose.DOCUMENT,
    )
    taken = {(row[0], row[1]) for row in db.session.execute(query)}
    free = []
    for one, actor in made:
        if (number := (one.document_id, one.sending_number)) not in taken:
            taken.add(number)
            free.append((one, actor))
    return free


def _row(one: Dispatch) -> dict[str, Any]:
    """What was set on it, by column."""
    columns = inspect(Dispatch).column_attrs.keys()
    return {name: value for name, value in vars(one).items() if name in columns}


def _story(dispatch_id: int, one: Dispatch, actor: str) -> Iterator[dict[str, Any]]:
    yield {"dispatch_id": dispatch_id, "text": asked_text(one), "actor": actor}
    if one.state == State.HELD:
        yield {"dispatch_id": dispatch_id, "text": f"On hold: {one.state_note}", "actor": ""}
