"""Attempts: one try at handing one dispatch to its provider, and what came of it.

Every answer ends in accepted, refused, try later (queued or held) or unknown. Each write says which
attempt it belongs to, so that a process which lost its claim changes nothing.
"""

import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, and_, func, select, update

from portal import mailboxes
from portal.columns import db_now, now
from portal.dispatch import (
    Attempt,
    Dispatch,
    State,
    accept,
    hold_mailbox,
    load,
    move,
    show_on_document,
    tell,
)
from portal.envelope import (
    NeedsPermission,
    NeedsSignIn,
    ProviderAnswer,
    Receipt,
    Refused,
    TryLater,
)
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers.google import OperatorProblem
from portal.senders import Trouble, trouble_with

#: An address seen accepted this many seconds ago needs no asking before the next mail.
ADDRESS_FRESH = 30

#: A message whose attempts this many workers did not survive is not tried for ever: something in
#: it may be what ends them.
MOST_ENDINGS = 12
GAVE_UP = "The portal failed again and again while preparing it. It did not leave; send it again."

log = logging.getLogger(__name__)


class LostClaim(Exception):
    """This attempt no longer owns its dispatch: whatever it was about to do, it must not."""


class NotReady(Exception):
    """The address may not be sent from now; the dispatch is held."""

    def __init__(self, trouble: Trouble, sentence: str) -> None:
        super().__init__(sentence)
        self.trouble, self.sentence = trouble, sentence


@dataclass(frozen=True)
class Claim:
    """A dispatch taken for one attempt."""

    dispatch_id: int
    attempt: int


def send(dispatch_id: int) -> None:
    """One attempt at one dispatch. Does nothing when it is not this process's to send."""
    claim = _claim(dispatch_id)
    if claim is None:
        return
    try:
        _accepted(claim, _hand_over(claim))
    except LostClaim:
        log.warning("dispatch %s attempt %s lost its claim", dispatch_id, claim.attempt)
    except NotReady as problem:
        _hold(claim, problem.trouble, problem.sentence)
    except ProviderAnswer as problem:
        _take_answer(claim, problem)


def _take_answer(claim: Claim, answer: ProviderAnswer) -> None:
    """What happens next after an answer that is no receipt."""
    if isinstance(answer, NeedsSignIn | NeedsPermission):
        _mailbox_broken(claim, answer)
    elif isinstance(answer, TryLater | OperatorProblem):
        _try_later(claim, answer)
    elif isinstance(answer, Refused):
        _refused(claim, answer)
    else:
        _unknown(claim, answer)


def _claim(dispatch_id: int) -> Claim | None:
    lease = current_app.config["PORTAL"].LEASE_SECONDS
    taken = db.session.scalar(
        update(Dispatch)
        .where(Dispatch.id == dispatch_id, Dispatch.state == State.QUEUED)
        .values(
            state=State.SUBMITTING,
            state_since=now(),
            state_note="",
            attempt=Dispatch.attempt + 1,
            lease_until=db_now(lease),
            handed_over_at=None,
        )
        .returning(Dispatch.attempt)
        .execution_options(synchronize_session=False)
    )
    if taken is None:
        db.session.commit()
        return None
    show_on_document(dispatch_id, State.SUBMITTING)
    db.session.add(Attempt(dispatch_id=dispatch_id, number=taken, worker=worker_name()))
    db.session.commit()
    return Claim(dispatch_id, taken)


def _hand_over(claim: Claim) -> Receipt:
    dispatch = load(claim.dispatch_id)
    envelope = dispatch.envelope()
    draft_id, box = dispatch.draft_id, dispatch.mailbox
    if box is None:
        raise NotReady(Trouble.NOT_LINKED, f"No mailbox may send as {dispatch.from_email} yet.")
    _confirm_address(box, dispatch.from_email)
    provider = mailboxes.provider_for(box)
    db.session.commit()
    if not provider.can_send:
        raise NeedsPermission("The mailbox did not give the portal permission to send mail.")
    if not provider.two_phase:
        _mark_handed_over(claim)
        return provider.send(envelope.mime)
    if draft_id is None and claim.attempt > 1:
        draft_id = provider.find_draft(envelope.token)
    if draft_id is None:
        draft_id = provider.create_draft(envelope.mime)
    elif claim.attempt > 1:
        provider.restore_draft(draft_id, envelope.mime)
    _mark_handed_over(claim, draft_id=draft_id)
    return provider.send_draft(draft_id)


def _mark_handed_over(claim: Claim, **values: Any) -> None:
    """The last look before the call: still ours, and the lease has not run out. Committed first."""
    lease = current_app.config["PORTAL"].LEASE_SECONDS
    ours = _move_claimed(
        claim,
        State.SUBMITTING,
        Dispatch.lease_until > db_now(),
        handed_over_at=db_now(),
        lease_until=db_now(lease),
        **values,
    )
    db.session.commit()
    if not ours:
        raise LostClaim


def _confirm_address(box: Mailbox, email: str) -> None:
    """Ask first: Gmail puts its own address in the place of one it does not know, and says 200."""
    checked = box.addresses_checked_at
    stale = checked is None or (now() - checked).total_seconds() > ADDRESS_FRESH
    if stale and box.can_list_addresses:
        mailboxes.refresh_addresses(box)
    trouble, sentence = trouble_with(email, mailboxes.send_from(box, email))
    if trouble is not None:
        raise NotReady(trouble, sentence)


# -- results -----


def _accepted(claim: Claim, receipt: Receipt) -> None:
    # A receipt is certain, whatever was thought of this attempt in the meantime.
    moved = accept(
        claim.dispatch_id,
        tuple(one for one in State if one != State.ACCEPTED),
        Dispatch.attempt == claim.attempt,
        provider_message_id=receipt.message_id,
    )
    _end_attempt(claim, "accepted", f"message {receipt.message_id}")
    tell(claim.dispatch_id, "Accepted by Gmail.")
    if not moved:
        log.error("dispatch %s was accepted after it had moved on", claim.dispatch_id)
    _mailbox_works(claim.dispatch_id)
    db.session.commit()


def _refused(claim: Claim, answer: Refused) -> None:
    if _move_claimed(claim, State.REFUSED, state_note=answer.message, lease_until=None):
        tell(claim.dispatch_id, f"Could not send: {answer.message}")
    _end_attempt(claim, "refused", answer.words)
    db.session.commit()


def _try_later(claim: Claim, problem: ProviderAnswer) -> None:
    """Certainly not accepted. The whole mailbox keeps away for a while."""
    after = problem.after if isinstance(problem, TryLater) else 300
    mailbox_id = load(claim.dispatch_id).mailbox_id
    moved = _move_claimed(
        claim, State.QUEUED, state_note=problem.message, lease_until=None, handed_over_at=None
    )
    if moved:
        tell(claim.dispatch_id, f"Not taken yet: {problem.message}")
    _end_attempt(claim, "try later", problem.words)
    db.session.commit()
    if mailbox_id is not None:
        mailboxes.pause(mailbox_id, min(after, backoff(claim.attempt, after)), problem.message)


def backoff(attempt: int, after: float) -> float:
    """Seconds to keep away: what the provider asked for; otherwise growing from two, to 60."""
    return after if after > 30 else min(60.0, 2.0 ** min(attempt, 6))


def _hold(
    claim: Claim, trouble: Trouble, why: str, *, outcome: str = "on hold", words: str | None = None
) -> None:
    moved = _move_claimed(
        claim,
        State.HELD,
        hold_code=trouble,
        state_note=why,
        lease_until=None,
        handed_over_at=None,
    )
    if moved:
        tell(claim.dispatch_id, f"On hold: {why}")
    _end_attempt(claim, outcome, why if words is None else words)
    db.session.commit()


def _mailbox_broken(claim: Claim, problem: NeedsSignIn | NeedsPermission) -> None:
    """Every such answer is a refusal, so nothing has left: the mailbox's mail waits together."""
    box = load(claim.dispatch_id).mailbox
    assert box is not None
    box_id = box.id
    mailboxes.mark_broken(box_id, problem)
    box = db.session.get_one(Mailbox, box_id, populate_existing=True)
    why = box.why_not or problem.message
    _hold(claim, Trouble.MAILBOX, why, outcome="needs sign-in", words=problem.words)
    hold_mailbox(box_id, why)
    db.session.commit()


def _unknown(claim: Claim, problem: ProviderAnswer) -> None:
    dispatch = load(claim.dispatch_id)
    provable = dispatch.draft_id is not None
    if dispatch.handed_over_at is None and not provable:  # nothing was there that could leave
        return _try_later(claim, problem)
    grace = current_app.config["PORTAL"].SETTLE_GRACE
    moved = _move_claimed(
        claim,
        State.UNKNOWN,
        state_note=problem.message,
        lease_until=None,
        settle_after=db_now(grace) if provable else None,
        settle_tries=0,
        needs_person=not provable,
    )
    if moved:
        tell(claim.dispatch_id, f"Unclear: {problem.message}")
    _end_attempt(claim, "unknown", problem.words)
    return db.session.commit()


# -- what an ended worker left behind -----


def recover_stale() -> int:
    """Take back what an ended worker left: what was not handed over is queued, the rest unclear."""
    over = and_(Dispatch.state == State.SUBMITTING, Dispatch.lease_until < db_now())
    stale = db.session.execute(
        select(Dispatch.id, Dispatch.attempt, Dispatch.handed_over_at, Dispatch.draft_id).where(
            over
        )
    ).all()
    db.session.commit()
    for dispatch_id, attempt, handed_over_at, draft_id in stale:
        claim = Claim(dispatch_id, attempt)
        if handed_over_at is None:
            _back_in_queue(claim)
        else:
            _left_unclear(claim, provable=draft_id is not None)
        db.session.commit()
    return len(stale)


def _back_in_queue(claim: Claim) -> None:
    expired = Dispatch.lease_until < db_now()
    unsent = Dispatch.handed_over_at.is_(None)
    if _ended_before(claim) >= MOST_ENDINGS:
        values = {"state_note": GAVE_UP, "lease_until": None}
        if _move_claimed(claim, State.REFUSED, expired, unsent, **values):
            _end_attempt(claim, "worker ended", "nothing had been handed over")
            tell(claim.dispatch_id, f"Could not send: {GAVE_UP}")
    elif _move_claimed(claim, State.QUEUED, expired, unsent, lease_until=None):
        _end_attempt(claim, "worker ended", "nothing had been handed over")
        tell(claim.dispatch_id, "The worker ended before handing it over. Queued again.")


def _ended_before(claim: Claim) -> int:
    """How many earlier attempts at this dispatch a worker did not survive."""
    query = select(func.count()).where(
        Attempt.dispatch_id == claim.dispatch_id, Attempt.outcome == "worker ended"
    )
    return db.session.scalar(query) or 0


def _left_unclear(claim: Claim, *, provable: bool) -> None:
    values = {
        "lease_until": None,
        "settle_after": db_now() if provable else None,
        "settle_tries": 0,
        "needs_person": not provable,
        "state_note": "The worker ended while Gmail was taking it.",
    }
    if _move_claimed(claim, State.UNKNOWN, Dispatch.lease_until < db_now(), **values):
        _end_attempt(claim, "worker ended", "the answer was never stored")
        tell(claim.dispatch_id, "Unclear: the worker ended while Gmail was taking it.")


# -- small parts -----


def _move_claimed(
    claim: Claim, state: State, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    mine = Dispatch.attempt == claim.attempt
    return move(claim.dispatch_id, (State.SUBMITTING,), state, mine, *conditions, **values)


def _end_attempt(claim: Claim, outcome: str, words: str) -> None:
    db.session.execute(
        update(Attempt)
        .where(Attempt.dispatch_id == claim.dispatch_id, Attempt.number == claim.attempt)
        .values(ended_at=now(), outcome=outcome, words=words[:2000])
    )


def _mailbox_works(dispatch_id: int) -> None:
    mailbox_id = db.session.scalar(select(Dispatch.mailbox_id).where(Dispatch.id == dispatch_id))
    if mailbox_id is not None:
        mailboxes.mark_working(mailbox_id)


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
