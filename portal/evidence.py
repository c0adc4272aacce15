"""Evidence: what the provider itself shows of a dispatch, in its drafts and its sent copies.

reconcile() settles an unclear outcome; read_proof() reads the From that the sent copy really bears.
Neither sends anything, and neither asks the provider with a transaction open.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import func, select

from portal import journal, ledger, mailboxes
from portal.columns import db_now, now
from portal.dispatch import (
    Attempt,
    Dispatch,
    Proof,
    Purpose,
    State,
    accept,
    claiming,
    load,
    move,
    tell,
)
from portal.dispatch.claiming import ToProve
from portal.envelope import (
    NeedsPermission,
    NeedsSignIn,
    OnItsWay,
    OperatorProblem,
    ProviderAnswer,
    SentCopy,
    TryLater,
)
from portal.extensions import db
from portal.failpoints import reached
from portal.mailboxes import Mailbox
from portal.providers.gmail import ARRIVES_WITHIN, CLOCKS_APART, address_of
from portal.providers.provider import Provider
from portal.stores import reading

#: After this many look-ups without evidence a person is asked.
SETTLE_TRIES = 5
PROOF_TRIES = 5
#: What was taken and does not leave is looked for less and less often (seconds at most), and after
#: so many looks, about an hour, a person is asked.
WAY_TRIES, WAY_AGAIN = 12, 600.0
NEVER_LEFT = (
    "The provider took it an hour ago, and it still lies in Drafts or in the Outbox. Look there: "
    "press Send in the mail program, or say below that it did not leave."
)
#: The states in which a draft left in Gmail could only do harm, and when to try again (seconds).
DISCARDING = (State.REFUSED, State.CANCELLED)
DISCARD_AGAIN = 600
#: No look is put off for longer (seconds): one that is due later was put off by a clock that has
#: been set back since.
LATEST_LOOK = 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """What a look needs to know of a dispatch, read before the provider is asked.

    Its moments are told by this machine's clock. is_settling: it is too soon after the hand-over
    for the provider to show anything certain.
    """

    dispatch_id: int
    mailbox_id: int
    provider: Provider
    signed_in: datetime
    draft_id: str | None
    token: str
    first_tried_at: datetime
    handed_over_at: datetime | None
    tries: int
    is_settling: bool

    @property
    def is_last(self) -> bool:
        """Whether a person is asked, if this look finds nothing either."""
        return self.tries + 1 >= SETTLE_TRIES

    def is_all_about(self, handed_over_at: datetime) -> bool:
        """Whether it can have left only about then: no earlier attempt, and no time since."""
        first = self.first_tried_at >= handed_over_at - CLOCKS_APART
        return first and now() <= handed_over_at + ARRIVES_WITHIN


def reconcile(dispatch_id: int, spend: Callable[[str], None] | None = None) -> None:
    """Settle an unknown from the draft and the sent copy. Sends nothing.

    spend: told each call before it is made, as in Gmail; a ProviderAnswer of its breaks the look
    off.
    """
    case = _case(dispatch_id, State.UNKNOWN)
    if case is None or case.draft_id is None:
        return
    if case.is_settling:
        wait = case.provider.settles_after
        _settled(dispatch_id, (State.UNKNOWN,), settle_after=db_now(wait))
        return
    case.provider.spend = spend or case.provider.spend
    if not journal.write(lambda: _put_off(dispatch_id, case.tries)):
        return
    try:
        verdict = _look(case, case.draft_id)
    except (NeedsSignIn, NeedsPermission) as problem:
        same = Mailbox.connected_at == case.signed_in
        mailboxes.mark_broken(case.mailbox_id, problem, same)
        return
    except ProviderAnswer as problem:
        log.info("could not be looked up: %s", problem.words)
        _heed(case.mailbox_id, problem)
        return
    reached("settle.looked", dispatch_id)
    journal.write(lambda: _settle(case, verdict))
    log.info("looked up: %s", "sent" if isinstance(verdict, SentCopy) else verdict)


def _case(dispatch_id: int, state: State) -> Case | None:
    """The dispatch, if it is in this state and has a mailbox to look in."""
    with reading():
        one = load(dispatch_id)
        box = one.mailbox
        if one.state != state or box is None:
            return None
        provider = mailboxes.provider_for(box)
        ahead = _store_ahead()
        return Case(
            one.id,
            box.id,
            provider,
            box.connected_at,
            one.draft_id,
            one.token,
            _first_tried(one) - ahead,
            one.handed_over_at and one.handed_over_at - ahead,
            one.settle_tries,
            _is_settling(one, provider.settles_after),
        )


def _is_settling(one: Dispatch, wait: float) -> bool:
    """Whether what the provider shows may still change by itself, so soon after the hand-over.

    By the store's clock, which may have been set back since: what lies ahead of it is long ago.
    """
    if wait <= 0:
        return False
    lately = Dispatch.handed_over_at.between(db_now(-wait), db_now())
    return db.session.scalar(select(Dispatch.id).where(Dispatch.id == one.id, lately)) is not None


def _store_ahead() -> timedelta:
    """How far the store's clock is ahead of this machine's."""
    moment = db.session.scalar(select(db_now()))
    return moment - now() if moment else timedelta(0)


def _first_tried(one: Dispatch) -> datetime:
    """When it was first tried: nothing of it can have left before."""
    query = select(func.min(Attempt.started_at)).where(Attempt.dispatch_id == one.id)
    return db.session.scalar(query) or one.requested_at


def _look(case: Case, draft_id: str) -> SentCopy | str:
    if case.provider.two_phase and case.provider.has_draft(draft_id):
        return "draft"
    if not case.provider.can_read_sent:
        return "blind"
    return _find(case) or "nowhere"


def _find(case: Case) -> SentCopy | None:
    """Its sent copy: about when it was handed over, else whenever it can have left.

    An earlier attempt may have been carried out late, and a draft that lay in Gmail while its
    mailbox rested, or while it was held, can have been sent by hand at any time. Before a person
    is asked, the newest of all since are looked at anyway: a clock may have been set meanwhile.
    """
    at = case.handed_over_at
    found = case.provider.find_sent(case.token, at) if at else None
    if found or (at and case.is_all_about(at) and not case.is_last):
        return found
    return case.provider.find_sent_since(case.token, case.first_tried_at, case.tries)


def _heed(mailbox_id: int | None, answer: ProviderAnswer) -> None:
    """What is not of this look alone, a limit or the project's trouble, holds up the mailbox."""
    limit = isinstance(answer, TryLater) and (answer.too_fast or answer.exact)
    if mailbox_id is not None and (limit or isinstance(answer, OperatorProblem)):
        ledger.obey(mailbox_id, answer)


def _put_off(dispatch_id: int, tries: int) -> bool:
    """Count this look-up and set the next one; False when somebody else has just done so."""
    grace = max(1.0, current_app.config["PORTAL"].SETTLE_GRACE)
    return move(
        dispatch_id,
        (State.UNKNOWN,),
        State.UNKNOWN,
        Dispatch.settle_tries == tries,
        settle_tries=tries + 1,
        settle_after=db_now(min(grace * min(tries + 1, SETTLE_TRIES), LATEST_LOOK)),
    )


def _settle(case: Case, verdict: SentCopy | str) -> None:
    if isinstance(verdict, SentCopy):
        found_sent(case.dispatch_id, verdict, (State.UNKNOWN,))
    elif verdict == "draft":
        _found_unsent(case.dispatch_id)
    elif case.is_last or verdict == "blind":
        _ask_person(case.dispatch_id)


def found_sent(dispatch_id: int, copy: SentCopy, states: tuple[State, ...], **values: Any) -> bool:
    """A sent copy bears its header, so it left; False where it is in none of these states.

    values: what else is to be stored of it. The caller commits.
    """
    values["provider_message_id"] = copy.message_id
    if copy.at is not None:  # it left then, not when we looked
        values["accepted_at"] = copy.at
    if not accept(dispatch_id, states, **values):
        return False
    tell(dispatch_id, "Settled: found in Sent, so it had left.")
    _store_proof(claiming.to_prove(dispatch_id), copy)
    return True


def _found_unsent(dispatch_id: int) -> None:
    values = {"settle_after": None, "state_note": "", "handed_over_at": None}
    if move(dispatch_id, (State.UNKNOWN,), State.QUEUED, **values):
        tell(dispatch_id, "Settled: its draft is still there, so it had not left. Queued again.")


def _ask_person(dispatch_id: int) -> None:
    values = {"needs_person": True, "settle_after": None}
    if move(dispatch_id, (State.UNKNOWN,), State.UNKNOWN, **values):
        tell(dispatch_id, "Neither a draft nor a sent copy was found. A person must decide.")


# -- drafts that nobody needs any more -----


def discard_draft(dispatch_id: int) -> None:
    """Delete the draft of a dispatch that will not be sent, so that no hand sends it either."""
    found = [_case(dispatch_id, state) for state in DISCARDING]
    case = next((one for one in found if one is not None), None)
    if case is None or case.draft_id is None:
        return
    try:
        case.provider.delete_draft(case.draft_id)
    except ProviderAnswer as problem:
        log.info("its draft could not be deleted: %s", problem.words)
        _heed(case.mailbox_id, problem)
        _settled(dispatch_id, DISCARDING, settle_after=db_now(DISCARD_AGAIN))
        return
    _settled(dispatch_id, DISCARDING, draft_id=None, settle_after=None)
    log.info("its draft was deleted")


# -- the proof of From -----


def read_proof(dispatch_id: int, provider: Provider | None = None) -> Proof:
    """Read the From that the sent copy really bears. A stranger's From stops the address.

    provider: its mailbox's, where the caller has it at hand.
    """
    with reading():
        one = claiming.to_prove(dispatch_id)
        if one.state != State.ACCEPTED or one.proof != Proof.UNREAD:
            return Proof(one.proof)
        if one.mailbox_id is not None and provider is None:
            provider = mailboxes.provider_for(db.session.get_one(Mailbox, one.mailbox_id))
    return prove(one, provider)


def prove(
    one: ToProve, provider: Provider | None, fits: Callable[[ToProve], None] = lambda _: None
) -> Proof:
    """read_proof() of what is known already to be accepted and unread.

    fits: told as soon as it is seen to bear its From, before that is stored.
    """
    dispatch_id = one.dispatch_id
    if provider is None or one.message_id is None or not provider.can_read_sent:
        return _unproved(dispatch_id, Proof.NOT_GRANTED)
    try:
        copy = provider.sent_copy(one.message_id)
    except OnItsWay as problem:
        return _on_its_way(one, problem)
    except (TryLater, OperatorProblem) as problem:  # it says nothing of the copy
        _heed(one.mailbox_id, problem)
        asked = problem.after if isinstance(problem, TryLater) else ledger.OPERATORS_TURN
        after = min(max(15.0, asked), LATEST_LOOK)
        return _unproved(dispatch_id, Proof.UNREAD, settle_after=db_now(after))
    except ProviderAnswer as problem:
        log.info("its sent copy could not be read: %s", problem.words)
        last = one.tries + 1 >= PROOF_TRIES
        values = {"proof_tries": one.tries + 1, "settle_after": db_now(15)}
        return _unproved(dispatch_id, Proof.NOT_GRANTED if last else Proof.UNREAD, **values)
    reached("proof.read", dispatch_id)
    if _is_from(one, copy):
        fits(one)
    found = journal.write(lambda: _store_proof(one, copy))
    reached("proof.committed", dispatch_id)
    return found


def _on_its_way(one: ToProve, problem: OnItsWay) -> Proof:
    """Taken, and not gone: an acceptance is no proof of leaving, and a person hears of it."""
    if one.tries + 1 < WAY_TRIES:
        again = min(problem.after * 2**one.tries, WAY_AGAIN)
        values = {"proof_tries": one.tries + 1, "settle_after": db_now(again)}
        return _unproved(one.dispatch_id, Proof.UNREAD, **values)
    journal.write(lambda: _doubt(one.dispatch_id))
    return Proof.UNREAD


def _doubt(dispatch_id: int) -> None:
    values = {"state_note": NEVER_LEFT, "needs_person": True, "settle_after": None}
    if move(dispatch_id, (State.ACCEPTED,), State.UNKNOWN, **values, accepted_at=None):
        tell(dispatch_id, f"Unclear: {NEVER_LEFT}")


def _is_from(one: ToProve, copy: SentCopy) -> bool:
    return address_of(copy.sender) == one.from_email.lower()


def _store_proof(one: ToProve, copy: SentCopy) -> Proof:
    same = _is_from(one, copy)
    proof = Proof.MATCHES if same else Proof.DIFFERS
    claiming.proved(one.dispatch_id, proof, copy)
    if same and one.purpose == Purpose.TRIAL and one.mailbox_id is not None:
        mailboxes.believe(one.mailbox_id, one.from_email)
    if not same and one.mailbox_id is not None:
        tell(one.dispatch_id, f"Alarm: it left from {copy.sender}, not from {one.from_email}.")
        mailboxes.mistrust(one.mailbox_id, one.from_email)
    return proof


def _unproved(dispatch_id: int, proof: Proof, **values: Any) -> Proof:
    _settled(dispatch_id, (State.ACCEPTED,), proof=proof, **values)
    return proof


def _settled(dispatch_id: int, states: tuple[State, ...], **values: Any) -> None:
    """Note something beside a state that does not change."""

    def note() -> None:
        for state in states:
            move(dispatch_id, (state,), state, **values)

    journal.write(note)
