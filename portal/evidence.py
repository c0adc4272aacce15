"""Evidence: what the provider itself shows of a dispatch, in its drafts and its sent copies.

reconcile() settles an unclear outcome; read_proof() reads the From that the sent copy really bears.
Neither sends anything.
"""

import logging
from datetime import datetime
from typing import Any

from flask import current_app

from portal import mailboxes
from portal.columns import db_now
from portal.dispatch import Dispatch, Proof, State, accept, load, move, tell
from portal.envelope import NeedsPermission, NeedsSignIn, ProviderAnswer, SentCopy, TryLater
from portal.extensions import db
from portal.providers.gmail import Gmail, address_of

#: After this many look-ups without evidence a person is asked.
SETTLE_TRIES = 5
PROOF_TRIES = 5
#: The states in which a draft left in Gmail could only do harm, and when to try again (seconds).
DISCARDING = (State.REFUSED, State.CANCELLED)
DISCARD_AGAIN = 600

log = logging.getLogger(__name__)


def reconcile(dispatch_id: int) -> None:
    """Settle an unknown from the draft and the sent copy. Sends nothing."""
    dispatch = load(dispatch_id)
    if dispatch.state != State.UNKNOWN or dispatch.mailbox is None or dispatch.draft_id is None:
        return
    draft_id, token, tries = dispatch.draft_id, dispatch.token, dispatch.settle_tries
    since = dispatch.handed_over_at or dispatch.requested_at
    provider = mailboxes.provider_for(dispatch.mailbox)
    mailbox_id = dispatch.mailbox.id
    if not _put_off(dispatch_id, tries):
        return
    try:
        verdict = _look(provider, draft_id, token, since)
    except (NeedsSignIn, NeedsPermission) as problem:
        mailboxes.mark_broken(mailbox_id, problem)
        return
    except ProviderAnswer as problem:
        log.info("dispatch %s could not be looked up: %s", dispatch_id, problem.words)
        return
    if isinstance(verdict, SentCopy):
        _found_sent(dispatch_id, verdict)
    elif verdict == "draft":
        _found_unsent(dispatch_id)
    elif tries + 1 >= SETTLE_TRIES or verdict == "blind":
        _ask_person(dispatch_id)


def _look(provider: Gmail, draft_id: str, token: str, since: datetime) -> SentCopy | str:
    if provider.two_phase and provider.has_draft(draft_id):
        return "draft"
    if not provider.can_read_sent:
        return "blind"
    return provider.find_sent(token, since) or "nowhere"


def _put_off(dispatch_id: int, tries: int) -> bool:
    """Count this look-up and set the next one; False when somebody else has just done so."""
    grace = max(1.0, current_app.config["PORTAL"].SETTLE_GRACE)
    mine = move(
        dispatch_id,
        (State.UNKNOWN,),
        State.UNKNOWN,
        Dispatch.settle_tries == tries,
        settle_tries=tries + 1,
        settle_after=db_now(grace * min(tries + 1, SETTLE_TRIES)),
    )
    db.session.commit()
    return mine


def _found_sent(dispatch_id: int, copy: SentCopy) -> None:
    values: dict[str, Any] = {"provider_message_id": copy.message_id}
    if copy.at is not None:  # it left then, not when we looked
        values["accepted_at"] = copy.at
    if accept(dispatch_id, (State.UNKNOWN,), **values):
        tell(dispatch_id, "Settled: found in Sent, so it had left.")
        _store_proof(dispatch_id, copy)
    db.session.commit()


def _found_unsent(dispatch_id: int) -> None:
    values = {"settle_after": None, "state_note": "", "handed_over_at": None}
    if move(dispatch_id, (State.UNKNOWN,), State.QUEUED, **values):
        tell(dispatch_id, "Settled: the draft is still in Gmail, so it had not left. Queued again.")
    db.session.commit()


def _ask_person(dispatch_id: int) -> None:
    values = {"needs_person": True, "settle_after": None}
    if move(dispatch_id, (State.UNKNOWN,), State.UNKNOWN, **values):
        tell(dispatch_id, "Gmail shows neither the draft nor a sent copy. A person must decide.")
    db.session.commit()


# -- drafts that nobody needs any more -----


def discard_draft(dispatch_id: int) -> None:
    """Delete the draft of a dispatch that will not be sent, so that no hand sends it either."""
    dispatch = load(dispatch_id)
    box, draft_id = dispatch.mailbox, dispatch.draft_id
    if dispatch.state not in DISCARDING or box is None or draft_id is None:
        return
    provider = mailboxes.provider_for(box)
    db.session.commit()
    try:
        provider.delete_draft(draft_id)
    except ProviderAnswer as problem:
        log.info("the draft of dispatch %s could not be deleted: %s", dispatch_id, problem.words)
        _settled(dispatch_id, DISCARDING, settle_after=db_now(DISCARD_AGAIN))
        return
    _settled(dispatch_id, DISCARDING, draft_id=None, settle_after=None)
    log.info("the draft of dispatch %s was deleted", dispatch_id)


# -- the proof of From -----


def read_proof(dispatch_id: int) -> None:
    """Read the From that the sent copy really bears. A stranger's From stops the address."""
    dispatch = load(dispatch_id)
    box, message_id = dispatch.mailbox, dispatch.provider_message_id
    if dispatch.state != State.ACCEPTED or dispatch.proof != Proof.UNREAD:
        return
    if box is None or message_id is None or not box.can_read_sent:
        _proof_values(dispatch_id, proof=Proof.NOT_GRANTED)
        return
    provider, tries = mailboxes.provider_for(box), dispatch.proof_tries
    db.session.commit()
    try:
        copy = provider.sent_copy(message_id)
    except TryLater as problem:  # it says nothing of the copy, and may ask for patience
        _proof_values(dispatch_id, settle_after=db_now(max(15, problem.after)))
        return
    except ProviderAnswer as problem:
        last = tries + 1 >= PROOF_TRIES
        later = Proof.NOT_GRANTED if last else Proof.UNREAD
        log.info("the sent copy of dispatch %s could not be read: %s", dispatch_id, problem.words)
        values = {"proof": later, "proof_tries": tries + 1, "settle_after": db_now(15)}
        _proof_values(dispatch_id, **values)
        return
    _store_proof(dispatch_id, copy)
    db.session.commit()


def _store_proof(dispatch_id: int, copy: SentCopy) -> None:
    dispatch = load(dispatch_id)
    same = address_of(copy.sender) == dispatch.from_email.lower()
    values = {
        "proof": Proof.MATCHES if same else Proof.DIFFERS,
        "proof_from": copy.sender,
        "proof_message_id": copy.internet_message_id,
        "settle_after": None,
    }
    move(dispatch_id, (State.ACCEPTED,), State.ACCEPTED, **values)
    if not same and dispatch.mailbox_id is not None:
        tell(dispatch_id, f"Alarm: it left from {copy.sender}, not from {dispatch.from_email}.")
        mailboxes.mistrust(dispatch.mailbox_id, dispatch.from_email)


def _proof_values(dispatch_id: int, **values: Any) -> None:
    _settled(dispatch_id, (State.ACCEPTED,), **values)


def _settled(dispatch_id: int, states: tuple[State, ...], **values: Any) -> None:
    """Note something beside a state that does not change."""
    for state in states:
        move(dispatch_id, (state,), state, **values)
    db.session.commit()
