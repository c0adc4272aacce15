"""Asking: what a person or the portal wants sent becomes one row, however often it is asked."""

import logging
import uuid
from typing import Any

from sqlalchemy import (
    func,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from portal import logs, policy, queueing
from portal.accounts import User
from portal.checks import Sending, preflight
from portal.columns import db_now
from portal.dispatch.deciding import give_up
from portal.dispatch.freezing import Blocked, Wish, frozen, frozen_notice, manuscript
from portal.dispatch.moving import show_on_document, tell
from portal.dispatch.tables import (
    SPARE_SECONDS,
    Dispatch,
    Purpose,
    State,
)
from portal.documents import Document
from portal.documents.wording import one_line
from portal.envelope import Mailable
from portal.extensions import db
from portal.failpoints import reached
from portal.people import company
from portal.senders import Choice, SendFrom

#: Names the portal's own words in the space of dispatch tokens.
NOTICES = uuid.UUID("5e2d0b7a-51f4-4c43-9d54-52a4d3a1f0c6")

log = logging.getLogger(__name__)


def next_number(document: Document, purpose: Purpose = Purpose.DOCUMENT) -> int:
    """The sending number a page shows: 1 first, more for a deliberate further sending."""
    query = select(func.max(Dispatch.sending_number)).where(
        Dispatch.document_id == document.id, Dispatch.purpose == purpose
    )
    return (db.session.scalar(query) or 0) + 1


def request(document: Document, user: User, wish: Wish, choice: Choice | None = None) -> Dispatch:
    """Accept a sending: choose, check, freeze, store, ring. The same wish twice is one dispatch.

    choice: what the policy said, where the caller has asked it. Raises Blocked,
    wording.WordingProblem, people.BadAddress; then no dispatch is stored. Commits.
    """
    earlier = _same(document, wish)
    if earlier is not None:
        return earlier
    choice = choice or policy.sender_of(document, user, wish.once)
    problems = preflight(Sending(document, choice, wish.to, wish.cc))
    if any(problem.blocking for problem in problems):
        raise Blocked([problem for problem in problems if problem.blocking])
    read = manuscript(document, user, wish, choice)
    db.session.commit()  # all is read: while it is drawn, nobody who writes has to wait
    dispatch = frozen(read)
    give_time(dispatch)
    dispatch.resend_of_id, dispatch.resend_reason = wish.after_id, wish.again
    stored = store(dispatch, user, asked_text(dispatch))
    if stored is None:
        return _same(document, wish) or _raise(RuntimeError("the same dispatch vanished"))
    reached("request.committed", stored.id)
    queueing.ring()
    return stored


def store(made: Dispatch, user: User, asked: str) -> Dispatch | None:
    """Write a frozen sending and how its story begins; None where its number is taken already.

    The sending that it follows is told of it too; where that one is unclear, nobody looks for it
    any longer. Commits, with whatever the caller has changed.
    """
    token = made.token
    try:
        db.session.add(made)
        db.session.flush()
        reached("request.stored", made.id)
        tell(made.id, asked, user.name)
        if made.resend_of_id is not None:
            give_up(made.resend_of_id, user)
            tell(made.resend_of_id, _again_text(made), user.name)
        if made.state == State.HELD:
            tell(made.id, f"On hold: {made.state_note}")
        show_on_document(made.id, State(made.state))
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return None
    except DBAPIError:  # the store may have done it, and only its answer got lost: look
        db.session.rollback()
        found = _with_token(token)
        if found is None:
            raise
        return found
    with logs.about(dispatch=made.id, mailbox=made.mailbox_id, batch=made.batch_id):
        log.info("asked for: %s", made.state)
    return made


def notice(
    key: str,
    to: Mailable,
    subject: str,
    body: str,
    through: SendFrom,
    *,
    user: User | None = None,
    purpose: Purpose = Purpose.NOTICE,
) -> Dispatch:
    """Send the portal's own word to somebody, once for each key, ever. Commits and rings.

    It takes the same road as a document: frozen, handed over once, its From read back.
    """
    known = noticed(key)
    if known is not None:
        return known
    token = token_of_notice(key)
    sender = Mailable(through.email, through.name or company().name)
    made = frozen_notice(token, sender, to, one_line(subject), body, through.mailbox_id)
    made.purpose, made.requested_by_id = purpose, user.id if user else None
    try:
        db.session.add(made)
        db.session.flush()
        tell(made.id, f"Asked for, to {to.email} from {sender.email}.", user.name if user else "")
        db.session.commit()
    except IntegrityError:  # somebody had the same thought a moment ago
        db.session.rollback()
        return noticed(key) or _raise(RuntimeError("the same notice vanished"))
    reached("request.committed", made.id)
    queueing.ring()
    return made


def give_time(dispatch: Dispatch) -> None:
    """Let a document sent by hand be taken back for as long as the company wants.

    It is kept for a little longer than the page shows, so that the last press still counts.
    """
    by_hand = dispatch.batch_id is None and dispatch.purpose == Purpose.DOCUMENT
    seconds = company().undo_seconds
    if by_hand and dispatch.state == State.QUEUED and seconds:
        dispatch.not_before = db_now(seconds + SPARE_SECONDS)


def noticed(key: str) -> Dispatch | None:
    """The notice asked for under a key, if it was."""
    return _with_token(token_of_notice(key))


def token_of_notice(key: str) -> str:
    """What the notice of a key is recognised by, whether it was asked for yet or not."""
    return uuid.uuid5(NOTICES, key).hex


def _with_token(token: str) -> Dispatch | None:
    return db.session.scalar(select(Dispatch).where(Dispatch.token == token))


def numbered(
    document: Document, number: int, purpose: Purpose = Purpose.DOCUMENT
) -> Dispatch | None:
    """The sending that has this number, if there is one."""
    return db.session.scalar(
        select(Dispatch).where(
            Dispatch.document_id == document.id,
            Dispatch.purpose == purpose,
            Dispatch.sending_number == number,
        )
    )


def _same(document: Document, wish: Wish) -> Dispatch | None:
    return numbered(document, wish.sending_number, wish.purpose)


def asked_text(dispatch: Dispatch) -> str:
    """How the story of a sending begins."""
    what = "Test" if dispatch.is_test else f"Sending {dispatch.sending_number}"
    why = f" Sent again because: {dispatch.resend_reason}" if dispatch.resend_reason else ""
    return f"{what} asked for, to {', '.join(dispatch.to)} from {dispatch.from_email}.{why}"


def _again_text(dispatch: Dispatch) -> str:
    why = f" Why: {dispatch.resend_reason}" if dispatch.resend_reason else ""
    return f"Asked for once more, as sending {dispatch.sending_number}.{why}"


def _raise(problem: Exception) -> Any:
    raise problem
