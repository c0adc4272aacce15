"""Looking: what filling a draft would come to, before anything is put in."""

from typing import Any

from sqlalchemy import Select, func, select

from portal.batches.drafts import OPEN, Filled, Listed, counted
from portal.batches.tables import Batch, BatchStatus
from portal.documents import Document
from portal.extensions import db

#: So many drafts are offered to put documents into; older ones are found in the list of batches.
OFFERED = 8


def foresee(kind: str, ids: Select[Any], batch_id: int | None = None) -> Filled:
    """What fill() would come to now, by a SELECT of ids; batch_id is the draft's, if there is one.

    What stands in that draft already is in none of the counts.
    """
    in_draft, is_open = Document.batch_status == BatchStatus.DRAFT, Document.email_status.in_(OPEN)
    elsewhere = in_draft
    if batch_id is not None:
        elsewhere &= Document.batch_id != batch_id
    query = select(
        func.count().filter(~in_draft, is_open),
        func.count().filter(elsewhere),
        func.count().filter(~in_draft, ~is_open),
    ).select_from(Document)
    added, others, sent = db.session.execute(
        query.where(Document.kind == kind, Document.id.in_(ids))
    ).one()
    return Filled(added, others, sent)


def offered(kind: str) -> list[Listed]:
    """The newest drafts of a kind."""
    query = select(Batch).where(Batch.status == BatchStatus.DRAFT, Batch.kind == kind)
    return counted(list(db.session.scalars(query.order_by(Batch.id.desc()).limit(OFFERED))))
