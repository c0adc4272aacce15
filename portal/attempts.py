"""Attempts: one try at handing one dispatch to its provider, and what came of it.

Every answer ends in accepted, refused, try later (queued or held) or unknown. Each write says which
attempt it belongs to, so that a process which lost its claim changes nothing. What is stored is
stored before the next step begins (portal.journal).
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, and_, select, update

from portal import instance, journal, ledger, logs, mailboxes, workers
from portal.columns import db_now, lapsed, now
from portal.dispatch import (
    Claim,
    Dispatch,
    Purpose,
    State,
    claiming,
    hold_mailbox,
    load,
    move,
    tell,
)
from portal.envelope import (
    NeedsPermission,
    NeedsSignIn,
    NotAllowed,
    OperatorProblem,
    OutcomeUnknown,
    ProviderAnswer,
    Receipt,
    Refused,
    TryLater,
)
from portal.extensions import db
from portal.failpoints import reached
from portal.mailboxes import Mailbox
from portal.providers.provider import Provider
from portal.senders import Trouble, trouble_with
from portal.stores import reading

#: An address seen accepted this many seconds ago needs no asking before the next mail.
ADDRESS_FRESH = 30
#: So often at most a mailbox's row says that it works.
SAY_WORKING = 10.0

#: What is handed over in one step has to be begun within this part of the lease. The rest is enough
#: for a server to take all of it (providers/smtp.py), so that no message leaves after its lease.
BEGUN_WITHIN = 0.5

#: A message whose attempts this many workers did not survive is not tried for ever: something in
#: it is what ends them, for all but the first few had nothing else in hand (claiming.SUSPECT).
MOST_ENDINGS = 12
#: One more attempt that a worker did not survive.
ENDED = {"endings": Dispatch.endings + 1}
GAVE_UP = "The portal failed again and again while preparing it. It did not leave; send it again."

SIGNED_IN_AGAIN = "Somebody has just signed in to this mailbox again."
ALTERED = "The stored message is not the one that was frozen when Send was pressed. Send it afresh."

log = logging.getLogger(__name__)


class LostClaim(Exception):
    """This attempt no longer owns its dispatch: whatever it was about to do, it must not."""


class TooLate(Exception):
    """This process stood still for so long after the last look that somebody may have been asked
    already what became of the message, and may have it sent again. Nothing was handed over."""


class NotReady(Exception):
    """The address may not be sent from now; the dispatch is held, its draft (if any) with it."""

    def __init__(self, trouble: Trouble, sentence: str) -> None:
        super().__init__(sentence)
        self.trouble, self.sentence = trouble, sentence
        self.draft_id: str | None = None


class Hands:
    """What one drain knows of one mailbox for a little while, so as not to ask for each mail.

    gate: waits until the message before has been looked at, so that no second one leaves under a
    From that Gmail has just replaced; False when there is no time left to wait. signed_in: since
    when the sign-in holds that calls go by. handed_over: whether the message in hand may have left.
    accepted: that message, where it was taken. go_on: told of a receipt, gives what claims the next
    message in the commit that stores it; next: what that claimed.
    """

    def __init__(
        self,
        mailbox_id: int,
        gate: Callable[[], bool] = lambda: True,
        go_on: Callable[[Claim], Callable[[], Claim | None] | None] = lambda _: None,
    ) -> None:
        self.mailbox_id, self.gate, self.go_on = mailbox_id, gate, go_on
        self.accepted: claiming.ToProve | None = None
        self.next: Claim | None = None
        self.signed_in: datetime | None = None
        self.handed_over = False
        self._provider: Provider | None = None
        self._made = self._said = float("-inf")
        self._changes = 0
        self._confirmed: dict[str, float] = {}

    def provider(self) -> Provider:
        """The provider, ready to call; as the mailbox is, or was a few seconds ago."""
        known = self._provider
        if known is None or time.monotonic() - self._made > ADDRESS_FRESH:
            with reading():
                box = self._box()
                known, self.signed_in = mailboxes.provider_for(box), box.connected_at
            self._provider, self._made = known, time.monotonic()
        return known

    def confirm(self, email: str) -> None:
        """Ask first: Gmail puts its own address in the place of one it does not know, and says 200.

        Raises NotReady, or what the provider answers.
        """
        if time.monotonic() - self._confirmed.get(email, float("-inf")) < ADDRESS_FRESH:
            return
        began, changes = time.monotonic(), self._changes
        with reading():
            box = self._box()
            checked = box.addresses_checked_at
        age = ADDRESS_FRESH if checked is None else abs((now() - checked).total_seconds())
        if age >= ADDRESS_FRESH and box.can_list_addresses:
            mailboxes.refresh_addresses(box)
            age = 0.0
        with reading():
            trouble, sentence = trouble_with(email, mailboxes.send_from(self._box(), email))
        if trouble is not None:
            raise NotReady(trouble, sentence)
        if changes == self._changes:  # else the reader found something out meanwhile
            self._confirmed[email] = began - min(age, ADDRESS_FRESH)

    def forget(self) -> None:
        """Something about the mailbox or its addresses has changed: look again before the next."""
        self._changes += 1
        self._confirmed.clear()
        self._provider = None

    def works(self) -> None:
        """A real call has just succeeded. The caller commits."""
        if time.monotonic() - self._said > SAY_WORKING:
            mailboxes.mark_working(self.mailbox_id)
            self._said = time.monotonic()

    def _box(self) -> Mailbox:
        return db.session.get_one(Mailbox, self.mailbox_id, populate_existing=True)


def send(dispatch_id: int) -> None:
    """One attempt at one dispatch. Does nothing when it is not this process's to send."""
    taken = claim(dispatch_id)
    if taken is not None:
        carry(taken, Hands(taken.mailbox_id or 0))


def claim(dispatch_id: int) -> Claim | None:
    """Take one dispatch for an attempt; None when it is not in the queue (any more)."""
    return journal.write(lambda: claiming.claim_one(dispatch_id, worker_name(), _lease()))


def carry(claim: Claim, hands: Hands) -> bool:
    """Hand over what was claimed, and keep what came of it; whether it may have left."""
    hands.handed_over, hands.accepted = False, None
    with logs.about(dispatch=claim.dispatch_id, attempt=claim.attempt, mailbox=claim.mailbox_id):
        try:
            _carry(claim, hands)
        except Exception as problem:
            log.error("broke off: %s", type(problem).__name__)
            raise
    return hands.handed_over


def _carry(claim: Claim, hands: Hands) -> None:
    reached("claim.committed", claim.dispatch_id)
    try:
        provider, receipt = _hand_over(claim, hands)
        reached("send.answered", claim.dispatch_id)
        _accepted(claim, receipt, hands, provider)
    except LostClaim:
        log.warning("lost its claim")
    except NotReady as problem:
        log.info("on hold: %s", problem.trouble)
        _hold(claim, problem.trouble, problem.sentence, draft_id=problem.draft_id)
    except TooLate:
        log.warning("stood still for too long")
        _never_begun(claim, hands)
    except ProviderAnswer as problem:
        hands.forget()
        log.info("%s: %s", type(problem).__name__, problem.words)
        _take_answer(claim, problem, hands)


def _take_answer(claim: Claim, answer: ProviderAnswer, hands: Hands) -> None:
    """What happens next after an answer that is no receipt."""
    if isinstance(answer, NeedsSignIn | NeedsPermission):
        _mailbox_broken(claim, answer, hands.signed_in)
    elif isinstance(answer, TryLater | OperatorProblem):
        _try_later(claim, answer)
    elif isinstance(answer, NotAllowed):
        _not_allowed(claim, answer)
    elif isinstance(answer, Refused):
        _refused(claim, answer)
    else:
        _unknown(claim, answer)


def _hand_over(claim: Claim, hands: Hands) -> tuple[Provider, Receipt]:
    if claim.mailbox_id is None:
        raise NotReady(Trouble.NOT_LINKED, f"No mailbox may send as {claim.from_email} yet.")
    if not claim.is_as_frozen:
        raise Refused(ALTERED, "the stored bytes do not have the hash that was kept of them")
    _confirm(claim, hands)
    reached("address.confirmed", claim.dispatch_id)
    provider = hands.provider()
    if not provider.can_send:
        raise NeedsPermission("The mailbox did not give the portal permission to send mail.")
    if not provider.two_phase:
        _pass_gate(claim, hands, None)
        began = time.monotonic()
        _mark_handed_over(claim, hands, None)  # a draft of former days would prove nothing of this
        if time.monotonic() - began > _lease() * BEGUN_WITHIN:
            raise TooLate
        return provider, provider.send(claim.mime, claim.from_email, claim.recipients)
    draft_id = claim.draft_id
    if draft_id is None and claim.attempt > 1:
        draft_id = provider.find_draft(claim.token)
    if draft_id is None:
        draft_id = provider.create_draft(claim.mime)
    else:
        draft_id = provider.restore_draft(draft_id, claim.mime)
    reached("draft.made", claim.dispatch_id)
    _pass_gate(claim, hands, draft_id)
    _mark_handed_over(claim, hands, draft_id)
    return provider, provider.send_draft(draft_id)


def _confirm(claim: Claim, hands: Hands) -> None:
    """Ask first whether the address may be sent from; a trial is sent to find that out."""
    if claim.purpose != Purpose.TRIAL:
        hands.confirm(claim.from_email)


def _pass_gate(claim: Claim, hands: Hands, draft_id: str | None) -> None:
    if not hands.gate():
        put_back(claim, draft_id)
        raise LostClaim
    _confirm_with_draft(claim, hands, draft_id)


def _confirm_with_draft(claim: Claim, hands: Hands, draft_id: str | None) -> None:
    try:
        _confirm(claim, hands)
    except NotReady as problem:
        problem.draft_id = draft_id
        raise


def put_back(claim: Claim, draft_id: str | None) -> None:
    """Nothing was sent, and somebody else goes on with it; its draft goes with it."""
    values = {"lease_until": None} | ({"draft_id": draft_id} if draft_id else {})

    def back() -> None:
        if _move_claimed(claim, State.QUEUED, **values):
            claiming.end_attempt(claim, "put back", "nothing had been handed over")

    journal.write(back)


def _mark_handed_over(claim: Claim, hands: Hands, draft_id: str | None) -> None:
    """The last look before the call: still ours, and the lease has not run out. Committed first."""

    def last_look() -> bool:
        ours = claiming.hand_over(claim, _lease(), draft_id)
        reached("handover.written", claim.dispatch_id)
        return ours

    if not journal.write(last_look):
        _step_back(claim)
        _ask_afresh(claim, hands, draft_id)
        raise LostClaim
    instance.witness(claim.attempt_id)
    hands.handed_over = True
    reached("handover.committed", claim.dispatch_id)


def _ask_afresh(claim: Claim, hands: Hands, draft_id: str | None) -> None:
    """Its person may have withdrawn a moment ago. Raises NotReady, where that is so."""
    hands.forget()
    _confirm_with_draft(claim, hands, draft_id)


def _step_back(claim: Claim) -> None:
    """Everything was held or stopped a moment ago: back into the queue, for nothing was sent."""

    def back() -> None:
        if not instance.may_send() and _move_claimed(claim, State.QUEUED, lease_until=None):
            claiming.end_attempt(claim, "held back", "nothing had been handed over")

    journal.write(back)


def _never_begun(claim: Claim, hands: Hands) -> None:
    """Back into the queue, whatever was thought of this attempt meanwhile; not where a person has
    decided about it."""
    hands.handed_over = False
    values = {
        "state_note": "",
        "lease_until": None,
        "handed_over_at": None,
        "needs_person": False,
        "settle_after": None,
    }
    mine = Dispatch.attempt == claim.attempt

    def back() -> None:
        states = (State.SUBMITTING, State.UNKNOWN)
        if move(claim.dispatch_id, states, State.QUEUED, mine, **values):
            claiming.end_attempt(claim, "held up", "nothing had been handed over")
            tell(claim.dispatch_id, "The worker stood still before handing it over. Queued again.")

    journal.write(back)


# -- results -----


def _accepted(claim: Claim, receipt: Receipt, hands: Hands, provider: Provider) -> None:
    """provider: the one that gave the receipt, for nothing may be read before that is stored."""

    def keep() -> bool:
        moved = claiming.accepted(claim, receipt.message_id)
        claiming.end_attempt(claim, "accepted", receipt.words or f"message {receipt.message_id}")
        if moved:
            claiming.told(claim.dispatch_id, f"Accepted by {provider.label}.")
            _tell_turned_away(claim, receipt)
            _believe_trial(claim, provider)
        hands.works()
        reached("result.written", claim.dispatch_id)
        return moved

    if _kept(keep, claim, hands):
        log.info("accepted")
        hands.accepted = claiming.just_accepted(claim, receipt.message_id)
    else:
        log.error("accepted after it had moved on")
    reached("result.committed", claim.dispatch_id)
    if receipt.rests and claim.mailbox_id is not None:
        mailboxes.pause(claim.mailbox_id, receipt.rests, f"{provider.label} asks for a rest.")


def _believe_trial(claim: Claim, provider: Provider) -> None:
    """A trial that was taken is all there is to know, where no sent copy can be read."""
    if claim.purpose == Purpose.TRIAL and claim.mailbox_id and not provider.can_read_sent:
        mailboxes.believe(claim.mailbox_id, claim.from_email)


def _tell_turned_away(claim: Claim, receipt: Receipt) -> None:
    """Those are for a person to send it to: the others have it, and never get it twice."""
    for one in receipt.turned_away:
        claiming.told(claim.dispatch_id, f"Not accepted for {one.email}: {one.words}")
    if receipt.turned_away:
        kept = [asdict(one) for one in receipt.turned_away]
        mine = update(Dispatch).where(Dispatch.id == claim.dispatch_id).values(turned_away=kept)
        db.session.execute(mine.execution_options(synchronize_session=False))


def _not_allowed(claim: Claim, answer: NotAllowed) -> None:
    """The address, not the message, is what the provider refused: all of its mail waits."""
    assert claim.mailbox_id is not None
    box_id = claim.mailbox_id
    journal.write(lambda: mailboxes.deny(box_id, claim.from_email))
    if claim.purpose == Purpose.TRIAL:  # it has found out what it was for
        return _refused(claim, answer)
    _hold(claim, Trouble.NOT_ALLOWED, answer.message, outcome="not allowed", words=answer.words)
    return None


def _kept(keep: Callable[[], bool], claim: Claim, hands: Hands) -> bool:
    """Store a receipt, and claim the next message in the same commit where that may go at once."""
    claim_next = hands.go_on(claim)
    if claim_next is None:
        return journal.write(keep)
    try:
        moved, hands.next = journal.write(lambda: (keep(), claim_next()))
    except Exception as problem:  # whatever was wrong with the next one: this one has left
        log.warning("claimed nothing beside it: %s", type(problem).__name__)
        return journal.write(keep)
    return moved


def _refused(claim: Claim, answer: Refused | NotAllowed) -> None:
    def keep() -> None:
        if _move_claimed(claim, State.REFUSED, state_note=answer.message, lease_until=None):
            tell(claim.dispatch_id, f"Could not send: {answer.message}")
        claiming.end_attempt(claim, "refused", answer.words)
        reached("result.written", claim.dispatch_id)

    journal.write(keep)


def _try_later(claim: Claim, problem: ProviderAnswer) -> None:
    """Certainly not accepted. The whole mailbox keeps away for a while."""
    values = {"state_note": problem.message, "lease_until": None, "handed_over_at": None}

    def keep() -> None:
        if _move_claimed(claim, State.QUEUED, **values):
            tell(claim.dispatch_id, f"Not taken yet: {problem.message}")
        claiming.end_attempt(claim, "try later", problem.words)
        reached("result.written", claim.dispatch_id)

    journal.write(keep)
    if claim.mailbox_id is not None:
        ledger.obey(claim.mailbox_id, problem, claim.attempt)


def _hold(
    claim: Claim,
    trouble: Trouble,
    why: str,
    *,
    outcome: str = "on hold",
    words: str | None = None,
    draft_id: str | None = None,
) -> None:
    values = {"hold_code": trouble, "state_note": why, "lease_until": None, "handed_over_at": None}
    values |= {"draft_id": draft_id} if draft_id else {}

    def keep() -> None:
        if _move_claimed(claim, State.HELD, **values):
            tell(claim.dispatch_id, f"On hold: {why}")
        claiming.end_attempt(claim, outcome, why if words is None else words)
        reached("result.written", claim.dispatch_id)

    journal.write(keep)


def _mailbox_broken(
    claim: Claim, problem: NeedsSignIn | NeedsPermission, signed_in: datetime | None
) -> None:
    """Every such answer is a refusal, so nothing has left: the mailbox's mail waits together.

    signed_in: since when the refused sign-in held. Somebody may have signed in again meanwhile.
    """
    assert claim.mailbox_id is not None
    box_id = claim.mailbox_id
    if signed_in is not None:
        mailboxes.mark_broken(box_id, problem, Mailbox.connected_at == signed_in)
    with reading():
        box = db.session.get_one(Mailbox, box_id, populate_existing=True)
        works, why = box.can_send, box.why_not or problem.message
    if works:
        return _try_later(claim, TryLater(SIGNED_IN_AGAIN, problem.words, 2))
    _hold(claim, Trouble.MAILBOX, why, outcome="needs sign-in", words=problem.words)
    hold_mailbox(box_id, why)
    return None


def _unknown(claim: Claim, problem: ProviderAnswer) -> None:
    with reading():
        dispatch = load(claim.dispatch_id)
        provable, handed_over = dispatch.draft_id is not None, dispatch.handed_over_at is not None
    if not handed_over and not provable:  # nothing was there that could leave
        return _try_later(claim, problem)
    grace = current_app.config["PORTAL"].SETTLE_GRACE
    values = {
        "state_note": problem.message,
        "lease_until": None,
        "settle_after": db_now(grace) if provable else None,
        "settle_tries": 0,
        "needs_person": not provable,
    }

    def keep() -> None:
        if _move_claimed(claim, State.UNKNOWN, **values):
            tell(claim.dispatch_id, f"Unclear: {problem.message}")
        claiming.end_attempt(claim, "unknown", problem.words)
        reached("result.written", claim.dispatch_id)

    journal.write(keep)
    rests = problem.rests if isinstance(problem, OutcomeUnknown) else 0
    if rests and claim.mailbox_id is not None:
        mailboxes.pause(claim.mailbox_id, rests, problem.message)
    return None


# -- what an ended worker left behind -----


def recover_stale() -> int:
    """Take back what an ended worker left: what was not handed over is queued, the rest unclear."""
    query = select(Dispatch.id, Dispatch.attempt, Dispatch.handed_over_at, Dispatch.draft_id).where(
        Dispatch.state == State.SUBMITTING, _lapsed()
    )
    with reading():
        stale = db.session.execute(query).all()
    for dispatch_id, attempt, handed_over_at, draft_id in stale:
        claim = Claim(dispatch_id, attempt)
        if handed_over_at is None:
            journal.write(lambda claim=claim: _back_in_queue(claim))  # type: ignore[misc]
        else:
            provable = draft_id is not None
            journal.write(lambda claim=claim, provable=provable: _left_unclear(claim, provable))  # type: ignore[misc]
    return len(stale)


def _lapsed() -> ColumnElement[bool]:
    return and_(Dispatch.lease_until.is_not(None), lapsed(Dispatch.lease_until, _lease()))


def _back_in_queue(claim: Claim) -> None:
    unsent = Dispatch.handed_over_at.is_(None)
    if load(claim.dispatch_id).endings >= MOST_ENDINGS:
        values = {"state_note": GAVE_UP, "lease_until": None}
        if _move_claimed(claim, State.REFUSED, _lapsed(), unsent, **values):
            claiming.end_attempt(claim, "worker ended", "nothing had been handed over")
            tell(claim.dispatch_id, f"Could not send: {GAVE_UP}")
    elif _move_claimed(claim, State.QUEUED, _lapsed(), unsent, lease_until=None, **ENDED):
        claiming.end_attempt(claim, "worker ended", "nothing had been handed over")
        tell(claim.dispatch_id, "The worker ended before handing it over. Queued again.")


def _left_unclear(claim: Claim, provable: bool) -> None:
    values = {
        "lease_until": None,
        "settle_after": db_now() if provable else None,
        "settle_tries": 0,
        "needs_person": not provable,
        "state_note": "The worker ended while the provider was taking it.",
    }
    if _move_claimed(claim, State.UNKNOWN, _lapsed(), **values, **ENDED):
        claiming.end_attempt(claim, "worker ended", "the answer was never stored")
        tell(claim.dispatch_id, "Unclear: the worker ended while the provider was taking it.")


# -- small parts -----


def _move_claimed(
    claim: Claim, state: State, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    mine = Dispatch.attempt == claim.attempt
    return move(claim.dispatch_id, (State.SUBMITTING,), state, mine, *conditions, **values)


def _lease() -> float:
    seconds: float = current_app.config["PORTAL"].LEASE_SECONDS
    return seconds


def worker_name() -> str:
    """Who works: this process, on this host."""
    return f"{workers.host()}:{os.getpid()}"
