"""Resending: one frozen message once more, as a sending of its own with its reason.

The same message is the same bytes: only its own two lines, the Message-ID and the dispatch header,
are new, because Gmail must be able to show which of the two a sent copy is.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import select

from portal import instance, policy
from portal.accounts import User
from portal.checks import Problem, too_many
from portal.dispatch.asking import give_time, numbered, store
from portal.dispatch.deciding import give_up
from portal.dispatch.freezing import Blocked, message_id_of, token_of
from portal.dispatch.proving import seal_of
from portal.dispatch.tables import Dispatch, Purpose, State
from portal.envelope import DISPATCH_HEADER
from portal.extensions import db
from portal.mailboxes import send_from_addresses
from portal.queueing import ring
from portal.senders import Choice, find, trouble_with

#: Where nothing more becomes of a sending by itself.
ENDED = (State.ACCEPTED, State.RETURNED, State.REFUSED, State.CANCELLED)

#: Where a sending has not left yet.
WAITING = (State.QUEUED, State.SUBMITTING, State.HELD)

_OWN_LINES = re.compile(
    rb"^(Message-ID|" + DISPATCH_HEADER.encode() + rb"):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*",
    re.IGNORECASE | re.MULTILINE,
)


def can_resend(one: Dispatch) -> bool:
    """Whether its message may be sent once more: a document's, and nobody is busy with it."""
    ended = one.state in ENDED or (one.state == State.UNKNOWN and one.needs_person)
    return ended and one.purpose == Purpose.DOCUMENT


def resend(earlier: Dispatch, user: User, number: int, why: str) -> Dispatch:
    """Send the same message once more, as sending `number` of its document. Commits and rings.

    Asked twice for one number, it is one sending. An unclear one is settled by it: nobody looks
    for it any longer. Raises Blocked, storing nothing, where there is an obstacle_to() it, or where
    it has moved on.
    """
    taken = numbered(earlier.document, number)
    if taken is not None:
        return taken
    obstacle, choice = obstacle_to(earlier, user), sender_now(earlier, user)
    if obstacle is not None:
        raise Blocked([obstacle])
    assert choice is not None  # else that were the obstacle
    if not _is_free(earlier, user):
        db.session.rollback()
        raise Blocked([MOVED_ON])
    document, asked = earlier.document, f"{_asked(earlier, number)} Why: {why}"
    made = _copied(earlier, user, number, why, choice)
    give_time(made)
    stored = store(made, user, asked) or numbered(document, number)
    assert stored is not None  # its number was taken, and nothing takes a number back
    ring()
    return stored


def obstacle_to(earlier: Dispatch, user: User) -> Problem | None:
    """Why this very message may not leave again when this person sends it; None where it may."""
    waiting = _still_waiting(earlier)
    if waiting is not None:
        return _one_at_a_time(waiting)
    if not seal_of(earlier).whole:
        return BROKEN
    crowd = too_many((*earlier.to, *earlier.cc), "Send a fresh one, to fewer of them.")
    if crowd is not None:
        return crowd
    return _other_sender(earlier, user) if sender_now(earlier, user) is None else None


def sender_now(earlier: Dispatch, user: User) -> Choice | None:
    """The policy's choice that bears the frozen From, as it may be used now; None where none does.

    It may where the rules give it to this person, or where this person may choose another From for
    one sending: then also where they still give it to whoever sent it first.
    """
    wanted = earlier.from_email.casefold()
    for choice in _choices(earlier, user):
        if choice.sender is not None and choice.sender.email.casefold() == wanted:
            return _as_it_stands(choice, earlier.from_email, user)
    return None


def repeats(one: Dispatch) -> bool:
    """Whether it is, byte for byte but for its own two lines, the message of the one it follows."""
    earlier = db.session.get(Dispatch, one.resend_of_id) if one.resend_of_id else None
    return earlier is not None and _bare(one.mime) == _bare(earlier.mime)


def renamed(mime: bytes, token: str, message_id: str) -> bytes:
    """A sealed message under another token and Message-ID, all else as it was.

    Raises ValueError for bytes that no seal() made.
    """
    head, _, body = mime.partition(b"\r\n\r\n")
    own = {b"message-id": message_id, DISPATCH_HEADER.lower().encode(): token}

    def line(found: re.Match[bytes]) -> bytes:
        return found[1] + b": " + own[found[1].lower()].encode() + b"\r\n"

    made, changed = _OWN_LINES.subn(line, head + b"\r\n")
    if changed != len(own):
        raise ValueError("this is no frozen message")
    return made + b"\r\n" + body


BROKEN = Problem(
    "broken_seal",
    "The stored message is not the one that was frozen: it was changed in the database.",
    "Send a fresh one.",
)
MOVED_ON = Problem(
    "moved_on",
    "Something became of it while this page was open.",
    "Look at what happened, then decide again.",
)


def _bare(mime: bytes) -> bytes:
    head, _, body = mime.partition(b"\r\n\r\n")
    return _OWN_LINES.sub(b"", head + b"\r\n") + b"\r\n" + body


def _choices(earlier: Dispatch, user: User) -> Iterator[Choice]:
    document, asker = earlier.document, earlier.requested_by
    people = [user]
    if asker.active and policy.may_choose_once(user):
        people.append(asker)
    for person in people:
        yield policy.sender_of(document, person)
    yield from policy.once_choices(document, user)
    if earlier.batch_id is not None:  # a batch over several branches goes by the company's rule
        scene = policy.Scene()
        for person in people:
            yield scene.choose(policy.case_of(document, person, company_only=True))


def _still_waiting(earlier: Dispatch) -> Dispatch | None:
    """A further sending of the same document that has not left yet."""
    query = select(Dispatch).where(
        Dispatch.document_id == earlier.document_id,
        Dispatch.purpose == Purpose.DOCUMENT,
        Dispatch.resend_of_id.is_not(None),
        Dispatch.id != earlier.id,
        Dispatch.state.in_(WAITING),
    )
    return db.session.scalars(query.order_by(Dispatch.id).limit(1)).unique().first()


def _one_at_a_time(waiting: Dispatch) -> Problem:
    return Problem(
        "still_waiting",
        f"It is being sent again already: sending {waiting.sending_number} has not left yet.",
        "Wait until it has left, or cancel it in the Outbox first.",
    )


def _as_it_stands(choice: Choice, email: str, user: User) -> Choice:
    """Carried by a mailbox that this person's mail may leave from, as after a hold."""
    found = find(email, send_from_addresses(), user.id)
    trouble, problem = trouble_with(email, found)
    carrier = found.mailbox_id if found else None
    return replace(choice, trouble=trouble, problem=problem, mailbox_id=carrier)


def _other_sender(earlier: Dispatch, user: User) -> Problem:
    now_from = policy.sender_of(earlier.document, user).sender
    instead = f"it comes from {now_from.email}" if now_from else "nobody can send it"
    return Problem(
        "other_sender",
        f"This message says it is from {earlier.from_email}, and by the rules of today {instead}.",
        "Send a fresh one: it bears the right address.",
    )


def _is_free(earlier: Dispatch, user: User) -> bool:
    """Whether it may be sent again; an unclear one only where nobody settled it meanwhile."""
    return can_resend(earlier) and (earlier.state != State.UNKNOWN or give_up(earlier.id, user))


def _copied(earlier: Dispatch, user: User, number: int, why: str, choice: Choice) -> Dispatch:
    document = earlier.document
    written, purpose = document.created_at, earlier.purpose
    token = token_of(instance.key(), document.id, written, purpose, number)
    mime = renamed(earlier.mime, token, message_id_of(token))
    return Dispatch(
        token=token,
        document_id=earlier.document_id,
        document_version=earlier.document_version,
        purpose=earlier.purpose,
        sending_number=number,
        state=State.HELD if choice.trouble else State.QUEUED,
        state_note=choice.problem,
        hold_code=choice.trouble or "",
        mailbox_id=choice.mailbox_id,
        reason=choice.reason,
        from_email=earlier.from_email,
        from_name=earlier.from_name,
        to=list(earlier.to),
        cc=list(earlier.cc),
        recipients_why=dict(earlier.recipients_why),
        subject=earlier.subject,
        body=earlier.body,
        mime=mime,
        mime_sha256=hashlib.sha256(mime).hexdigest(),
        mime_size=len(mime),
        pdf_sha256=earlier.pdf_sha256,
        requested_by_id=user.id,
        resend_of_id=earlier.id,
        resend_reason=why,
    )


def _asked(earlier: Dispatch, number: int) -> str:
    return (
        f"Sending {number} asked for: the same message as sending {earlier.sending_number}, "
        f"to {', '.join(earlier.to)} from {earlier.from_email}."
    )
