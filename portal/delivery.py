"""Delivery: carrying dispatches out. drain() is the only job; everything else is called by it.

One mailbox is drained by one thread at a time (its lease is a row in the database), in the order of
asking; mailboxes run side by side. What a provider answers ends in accepted, refused, try later or
unknown, and an unknown is settled from the provider's own evidence, never by sending again.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask, current_app
from sqlalchemy import and_, or_, select, update

from portal import mailboxes, queueing
from portal.columns import db_now, now
from portal.config import Config
from portal.dispatch import (
    Attempt,
    Dispatch,
    Proof,
    State,
    hold_mailbox,
    move,
    release_ready,
    tell,
)
from portal.envelope import (
    Gone,
    NeedsPermission,
    NeedsSignIn,
    OutcomeUnknown,
    ProviderAnswer,
    Receipt,
    Refused,
    SentCopy,
    TryLater,
)
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.providers.gmail import Gmail, address_of
from portal.providers.google import OperatorProblem
from portal.senders import SendFrom, Trouble, trouble_with

MOST_THREADS = 32
#: An address seen accepted this many seconds ago needs no asking before the next mail.
ADDRESS_FRESH = 30
#: How often the list is read again while somebody is adding an address, and otherwise (seconds).
WATCH_NEW, WATCH_OLD, NEW_FOR = 10, 300, 3600
#: After this many look-ups without evidence a person is asked.
SETTLE_TRIES = 5
PROOF_TRIES = 5

log = logging.getLogger(__name__)


class LostClaim(Exception):
    """This attempt no longer owns its dispatch: whatever it was about to do, it must not."""


@dataclass(frozen=True)
class Claim:
    """A dispatch taken for one attempt."""

    dispatch_id: int
    attempt: int


# -- the job -------------------------------------------------------------------------------------


def drain() -> None:
    """The RQ job: sweep, then drain every mailbox that has something due, side by side."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    config: Config = app.config["PORTAL"]
    ends = time.monotonic() + queueing.DRAIN_SECONDS
    sweep()
    swept = time.monotonic()
    running: dict[Future[None], int] = {}
    with ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="mailbox") as threads:
        while not queueing.stopping.is_set() and time.monotonic() < ends:
            for mailbox_id in due_mailboxes(without=set(running.values())):
                running[threads.submit(_drain_in_thread, app, mailbox_id)] = mailbox_id
            if not running:
                break
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                running.pop(future)
                _report(future)
            if time.monotonic() - swept > config.SWEEP_SECONDS:
                sweep()
                swept = time.monotonic()
        queueing.stopping.wait(0)
    if time.monotonic() >= ends:
        queueing.ring()


def sweep() -> None:
    """Put right what a crash, a lost doorbell or the passing of time left behind."""
    recover_stale()
    watch_addresses()
    release_ready()


def due_mailboxes(without: set[int]) -> list[int]:
    """Mailboxes with something to do now that nobody is draining."""
    query = (
        select(Dispatch.mailbox_id)
        .join(Mailbox, Mailbox.id == Dispatch.mailbox_id)
        .where(_due(), *_free(Mailbox))
        .group_by(Dispatch.mailbox_id)
        .order_by(Dispatch.mailbox_id)
    )
    found = [one for one in db.session.scalars(query) if one is not None and one not in without]
    db.session.commit()
    return found


def drain_mailbox(mailbox_id: int) -> None:
    """Take the mailbox's lease and carry out what is due, oldest first, until nothing is."""
    with _lease(mailbox_id) as holder:
        while holder and not queueing.stopping.is_set():
            next_due = _next_due(mailbox_id)
            if next_due is None or not _renew(mailbox_id, holder):
                break
            dispatch_id, state = next_due
            if state == State.QUEUED:
                send(dispatch_id)
            elif state == State.UNKNOWN:
                reconcile(dispatch_id)
            else:
                read_proof(dispatch_id)


# -- sending -------------------------------------------------------------------------------------


def send(dispatch_id: int) -> None:
    """One attempt at one dispatch. Does nothing when it is not this process's to send."""
    claim = _claim(dispatch_id)
    if claim is None:
        return
    try:
        receipt = _hand_over(claim)
    except LostClaim:
        log.warning("dispatch %s attempt %s lost its claim", dispatch_id, claim.attempt)
    except _NotReady as problem:
        _hold(claim, problem.trouble, problem.sentence)
    except (NeedsSignIn, NeedsPermission) as problem:
        _mailbox_broken(claim, problem)
    except (TryLater, OperatorProblem) as problem:
        _try_later(claim, problem)
    except Refused as problem:
        _finish(claim, State.REFUSED, "refused", problem, f"Could not send: {problem.message}")
    except (OutcomeUnknown, Gone) as problem:
        _unknown(claim, problem)
    else:
        _accepted(claim, receipt)
        read_proof(dispatch_id)


def _claim(dispatch_id: int) -> Claim | None:
    lease = current_app.config["PORTAL"].LEASE_SECONDS
    taken = db.session.scalar(
        update(Dispatch)
        .where(Dispatch.id == dispatch_id, Dispatch.state == State.QUEUED)
        .where(or_(Dispatch.not_before.is_(None), Dispatch.not_before <= db_now()))
        .values(
            state=State.SUBMITTING,
            state_since=now(),
            state_note="",
            attempt=Dispatch.attempt + 1,
            lease_until=db_now(lease),
            handed_over_at=None,
            not_before=None,
        )
        .returning(Dispatch.attempt)
        .execution_options(synchronize_session=False)
    )
    if taken is None:
        db.session.commit()
        return None
    db.session.add(Attempt(dispatch_id=dispatch_id, number=taken, worker=_worker_name()))
    db.session.commit()
    return Claim(dispatch_id, taken)


def _hand_over(claim: Claim) -> Receipt:
    dispatch = _fresh(claim.dispatch_id)
    envelope = dispatch.envelope()
    draft_id, box = dispatch.draft_id, dispatch.mailbox
    if box is None:
        raise _NotReady(Trouble.NOT_LINKED, f"No mailbox may send as {dispatch.from_email} yet.")
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


def _mark_handed_over(claim: Claim, **values: object) -> None:
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


class _NotReady(Exception):
    """The address may not be sent from now; the dispatch is held."""

    def __init__(self, trouble: Trouble, sentence: str) -> None:
        super().__init__(sentence)
        self.trouble, self.sentence = trouble, sentence


def _confirm_address(box: Mailbox, email: str) -> None:
    """Gmail puts its own address in the place of one it does not know, and says 200. So ask first."""
    checked = box.addresses_checked_at
    stale = checked is None or (now() - checked).total_seconds() > ADDRESS_FRESH
    if stale and box.can_list_addresses:
        mailboxes.refresh_addresses(box)
    state = mailboxes.address_state(box.id, email)
    found = SendFrom(email, "", box.id, box.email, box.owner_id, state, True, box.can_send)
    trouble, sentence = trouble_with(email, found if state else None)
    if trouble is Trouble.MAILBOX:
        raise _NotReady(trouble, box.why_not)
    if trouble is not None:
        raise _NotReady(trouble, sentence)


# -- results -------------------------------------------------------------------------------------


def _accepted(claim: Claim, receipt: Receipt) -> None:
    # A receipt is certain even when the sweeper has called this attempt unknown in the meantime.
    moved = move(
        claim.dispatch_id,
        (State.SUBMITTING, State.UNKNOWN),
        State.ACCEPTED,
        Dispatch.attempt == claim.attempt,
        provider_message_id=receipt.message_id,
        **_accepted_values(),
    )
    _end_attempt(claim, "accepted", f"message {receipt.message_id}")
    tell(claim.dispatch_id, "Accepted by Gmail.")
    if not moved:
        log.error("dispatch %s was accepted after it had moved on", claim.dispatch_id)
    _mailbox_works(claim.dispatch_id)
    db.session.commit()


def _accepted_values() -> dict[str, object]:
    return {
        "accepted_at": now(),
        "lease_until": None,
        "settle_after": None,
        "needs_person": False,
        "state_note": "",
    }


def _finish(claim: Claim, state: State, outcome: str, problem: ProviderAnswer, story: str) -> None:
    if _move_claimed(claim, state, state_note=problem.message, lease_until=None):
        tell(claim.dispatch_id, story)
    _end_attempt(claim, outcome, problem.words)
    db.session.commit()


def _try_later(claim: Claim, problem: ProviderAnswer) -> None:
    """Certainly not accepted. The whole mailbox keeps away for a while."""
    after = problem.after if isinstance(problem, TryLater) else 300
    mailbox_id = _fresh(claim.dispatch_id).mailbox_id
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


def _hold(claim: Claim, trouble: Trouble, why: str) -> None:
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
    _end_attempt(claim, "on hold", why)
    db.session.commit()


def _mailbox_broken(claim: Claim, problem: NeedsSignIn | NeedsPermission) -> None:
    """Every such answer is a refusal, so nothing has left: the mailbox's mail waits together."""
    box = _fresh(claim.dispatch_id).mailbox
    assert box is not None
    box_id = box.id
    mailboxes.mark_broken(box_id, problem)
    box = db.session.get_one(Mailbox, box_id, populate_existing=True)
    why = box.why_not or problem.message
    _hold(claim, Trouble.MAILBOX, why)
    _end_attempt(claim, "needs sign-in", problem.words)
    hold_mailbox(box_id, why)
    db.session.commit()


def _unknown(claim: Claim, problem: ProviderAnswer) -> None:
    dispatch = _fresh(claim.dispatch_id)
    provable = dispatch.draft_id is not None
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
    db.session.commit()


# -- settling what is unclear --------------------------------------------------------------------


def reconcile(dispatch_id: int) -> None:
    """Settle an unknown from the draft and the sent copy. Sends nothing."""
    dispatch = _fresh(dispatch_id)
    if dispatch.state != State.UNKNOWN or dispatch.mailbox is None or dispatch.draft_id is None:
        return
    draft_id, token, tries = dispatch.draft_id, dispatch.token, dispatch.settle_tries
    provider = mailboxes.provider_for(dispatch.mailbox)
    mailbox_id = dispatch.mailbox.id
    if not _put_off(dispatch_id, tries):
        return
    try:
        verdict = _look(provider, draft_id, token)
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


def _look(provider: Gmail, draft_id: str, token: str) -> SentCopy | str:
    if provider.has_draft(draft_id):
        return "draft"
    if not provider.can_read_sent:
        return "blind"
    return provider.find_sent(token) or "nowhere"


def _put_off(dispatch_id: int, tries: int) -> bool:
    """Count this look-up and set the next one; False when somebody else has just done so."""
    grace = max(1.0, current_app.config["PORTAL"].SETTLE_GRACE)
    mine = move(
        dispatch_id,
        (State.UNKNOWN,),
        State.UNKNOWN,
        Dispatch.settle_tries == tries,
        settle_tries=tries + 1,
        settle_after=db_now(grace * (tries + 1)),
    )
    db.session.commit()
    return mine


def _found_sent(dispatch_id: int, copy: SentCopy) -> None:
    values = _accepted_values() | {"provider_message_id": copy.message_id}
    if move(dispatch_id, (State.UNKNOWN,), State.ACCEPTED, **values):
        tell(dispatch_id, "Settled: the copy in Gmail's Sent shows that it left.")
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


# -- the proof of From ---------------------------------------------------------------------------


def read_proof(dispatch_id: int) -> None:
    """Read the From that the sent copy really bears. A stranger's From stops the address."""
    dispatch = _fresh(dispatch_id)
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
    dispatch = _fresh(dispatch_id)
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
        mailboxes.mark_lost(dispatch.mailbox_id, dispatch.from_email)


def _proof_values(dispatch_id: int, **values: object) -> None:
    move(dispatch_id, (State.ACCEPTED,), State.ACCEPTED, **values)
    db.session.commit()


# -- sweeping ------------------------------------------------------------------------------------


def recover_stale() -> int:
    """Take back what an ended worker left in submitting: nothing handed over goes back in the queue,
    the rest is unclear."""
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
    if _move_claimed(claim, State.QUEUED, expired, unsent, lease_until=None):
        _end_attempt(claim, "worker ended", "nothing had been handed over")
        tell(claim.dispatch_id, "The worker ended before handing it over. Queued again.")


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


def watch_addresses() -> None:
    """Read Gmail's lists again where an address is awaited, so that held mail leaves by itself."""
    for mailbox_id in _watched():
        box = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
        try:
            mailboxes.refresh_addresses(box)
        except ProviderAnswer as problem:
            log.info("mailbox %s could not be read: %s", mailbox_id, problem.words)
    db.session.commit()


def _watched() -> list[int]:
    held = select(Dispatch.from_email).where(Dispatch.state == State.HELD)
    awaited = or_(Address.verification.in_(("wanted", "pending")), Address.email.in_(held))
    recent = Address.since > db_now(-NEW_FOR)
    due = or_(
        Mailbox.addresses_checked_at.is_(None),
        Mailbox.addresses_checked_at < db_now(-WATCH_OLD),
        and_(recent, Mailbox.addresses_checked_at < db_now(-WATCH_NEW)),
        and_(Address.email.in_(held), Mailbox.addresses_checked_at < db_now(-WATCH_NEW)),
    )
    query = select(Mailbox.id).join(Address, Address.mailbox_id == Mailbox.id)
    query = query.where(Mailbox.health == mailboxes.Health.CONNECTED, awaited, due)
    return list(db.session.scalars(query.distinct()))


# -- small parts ---------------------------------------------------------------------------------


def _due() -> object:
    unread = and_(Dispatch.state == State.ACCEPTED, Dispatch.proof == Proof.UNREAD)
    return or_(
        and_(
            Dispatch.state == State.QUEUED,
            or_(Dispatch.not_before.is_(None), Dispatch.not_before <= db_now()),
        ),
        and_(Dispatch.state == State.UNKNOWN, Dispatch.settle_after <= db_now()),
        and_(unread, or_(Dispatch.settle_after.is_(None), Dispatch.settle_after <= db_now())),
    )


def _free(box: type[Mailbox]) -> tuple[object, ...]:
    return (
        or_(box.drain_until.is_(None), box.drain_until < db_now()),
        or_(box.paused_until.is_(None), box.paused_until <= db_now()),
    )


def _next_due(mailbox_id: int) -> tuple[int, str] | None:
    query = select(Dispatch.id, Dispatch.state).join(Mailbox)
    query = query.where(Dispatch.mailbox_id == mailbox_id, _due())
    query = query.where(or_(Mailbox.paused_until.is_(None), Mailbox.paused_until <= db_now()))
    found = db.session.execute(query.order_by(Dispatch.id).limit(1)).first()
    db.session.commit()
    return (found[0], found[1]) if found else None


@contextmanager
def _lease(mailbox_id: int) -> Iterator[str]:
    """Hold the mailbox for draining; yields "" when somebody else does."""
    holder = f"{_worker_name()}/{threading.get_ident()}/{time.monotonic_ns()}"
    seconds = current_app.config["PORTAL"].LEASE_SECONDS
    taken = db.session.execute(
        update(Mailbox)
        .where(Mailbox.id == mailbox_id, *_free(Mailbox))
        .values(drain_holder=holder, drain_until=db_now(seconds))
    )
    db.session.commit()
    try:
        yield holder if taken.rowcount else ""
    finally:
        db.session.rollback()
        db.session.execute(
            update(Mailbox)
            .where(Mailbox.id == mailbox_id, Mailbox.drain_holder == holder)
            .values(drain_holder=None, drain_until=None)
        )
        db.session.commit()


def _renew(mailbox_id: int, holder: str) -> bool:
    seconds = current_app.config["PORTAL"].LEASE_SECONDS
    kept = db.session.execute(
        update(Mailbox)
        .where(Mailbox.id == mailbox_id, Mailbox.drain_holder == holder)
        .values(drain_until=db_now(seconds))
    )
    db.session.commit()
    return kept.rowcount == 1


def _move_claimed(claim: Claim, state: State, *conditions: object, **values: object) -> bool:
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


def _fresh(dispatch_id: int) -> Dispatch:
    return db.session.get_one(Dispatch, dispatch_id, populate_existing=True)


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _drain_in_thread(app: Flask, mailbox_id: int) -> None:
    with app.app_context():
        drain_mailbox(mailbox_id)


def _report(future: Future[None]) -> None:
    problem = future.exception()
    if problem is not None:
        log.error("draining a mailbox failed", exc_info=problem)
