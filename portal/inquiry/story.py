"""Story: everything that happened to a document and its mails, told newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from portal import bounces, history
from portal.bounces import Standing
from portal.dispatch import Dispatch, Event
from portal.documents import Document
from portal.extensions import db

#: So much of a story is told on one page.
LONGEST = 200
#: What a change and the line of its history may lie apart.
A_MOMENT = timedelta(seconds=5)


@dataclass(frozen=True)
class Told:
    """One line of the story. sending: the dispatch it is about, if any; frozen: at this line the
    message was frozen, so it and its PDF can be looked at; link: a mail in the mailbox."""

    at: datetime
    text: str
    actor: str = ""
    sending: Dispatch | None = None
    frozen: bool = False
    link: str = ""


def story(document: Document, sendings: Sequence[Dispatch], most: int = LONGEST) -> list[Told]:
    """Who did what and when, newest first. sendings: all of the document's, tests included."""
    told = [*_of_paper(document), *_of_sendings(sendings), *_of_doubts(document, sendings)]
    return sorted(told, key=lambda one: one.at, reverse=True)[:most]


def _of_paper(document: Document) -> list[Told]:
    author = document.created_by.name if document.created_by else ""
    written = Told(document.created_at, "Written.", author)
    changes = [Told(one.at, one.text, one.actor) for one in history.of("document", document.id)]
    last = changes[0].at if changes else document.created_at
    if document.version > 1 and document.changed_at - last > A_MOMENT:
        # By a change of its contact or property, or before its history was kept.
        by = document.changed_by.name if document.changed_by else ""
        changes.append(Told(document.changed_at, document.change, by))
    return [written, *changes]


def _of_sendings(sendings: Sequence[Dispatch]) -> list[Told]:
    by_id, begun = {one.id: one for one in sendings}, set[int]()
    query = select(Event).where(Event.dispatch_id.in_(by_id)).order_by(Event.id)
    found = []
    for event in db.session.scalars(query) if by_id else ():
        first = event.dispatch_id not in begun
        begun.add(event.dispatch_id)
        one = by_id[event.dispatch_id]
        found.append(Told(event.at, event.text, event.actor, one, first))
    return found


def _of_doubts(document: Document, sendings: Sequence[Dispatch]) -> list[Told]:
    """What came in and is told of by no sending yet, since nobody has said that it is about one."""
    by_id = {one.id: one for one in sendings}
    return [
        Told(one.at, f"A report came in from {one.who} that may be about it.",
             sending=by_id.get(one.dispatch_id or 0), link=one.link)
        for one in (bounces.of_document(document.id) if by_id else ())
        if one.standing == Standing.ASKED
    ]  # fmt: skip
