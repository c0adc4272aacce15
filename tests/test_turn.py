"""The turn of a mailbox: what it may take, what it waits for, what it does not do for ever."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal import (
    attempts,
    delivery,
    dispatch,
    evidence,
    instance,
    mailboxes,
    pace,
    queueing,
    turn,
)
from portal.attempts import Hands, NotReady
from portal.columns import now
from portal.dispatch import Dispatch, Lane, Proof, State, claiming
from portal.envelope import OutcomeUnknown
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.providers.gmail import SEND_ONLY_SCOPES
from portal.turn import Turn
from tests import factories, servers
from tests.test_delivery import Google

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

LIMIT = 4


@pytest.fixture
def google(local_google: "SandboxServer") -> Google:
    return Google(local_google.url)


@pytest.fixture
def app(database: str, redis_url: str, google: Google) -> Iterator[Flask]:
    """A portal whose mailboxes may send few messages a day."""
    daily = {"GMAIL_DAILY_WORKSPACE": str(LIMIT), "GMAIL_DAILY_CONSUMER": str(LIMIT)}
    with servers.sending(database, redis_url, google.url, **daily) as made:
        yield made


@pytest.fixture
def office(app: Flask, google: Google) -> Mailbox:
    return factories.connected(google.url)


def reread(one: Mailbox) -> Mailbox:
    return db.session.get_one(Mailbox, one.id, populate_existing=True)


def test_while_everything_is_held_nobody_takes_turns(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    instance.hold_all(factories.olive(), "the wrong bank account")
    assert delivery.due_mailboxes(set()) == []
    delivery.drain()
    assert google.accepted() == []
    instance.let_go(factories.olive())
    delivery.drain()
    assert dispatch.load(asked.id).state == State.ACCEPTED


def test_what_never_left_costs_nothing_of_the_day(office: Mailbox, google: Google) -> None:
    """An address that Gmail lists no more holds a whole afternoon's mail, and nobody else's."""
    db.session.execute(update(Address).values(verification="lost"))
    db.session.commit()
    for _ in range(LIMIT + 2):
        dispatch.move(factories.asked().id, (State.HELD,), State.QUEUED)
    db.session.commit()
    mine = Turn(office.id)
    mine.hands.confirm = _not_ready  # type: ignore[method-assign]
    mine.run()
    assert not reread(office).is_paused
    assert google.accepted() == []


def _not_ready(email: str) -> None:
    raise NotReady(attempts.Trouble.LOST, f"Gmail lists {email} no more.")


def test_a_full_day_still_finds_out_what_left(office: Mailbox, google: Google) -> None:
    google.fault("drafts.send", "swallow")
    asked = factories.asked()
    delivery.send(asked.id)
    mailboxes.pause(office.id, 3600, turn.DAY_FULL)
    later = factories.asked()
    delivery.drain()
    assert dispatch.load(asked.id).state == State.ACCEPTED
    assert dispatch.load(later.id).state == State.QUEUED


def test_nothing_leaves_after_a_copy_that_nobody_looked_at(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is asked to stop while the gate is shut: the message goes back, its draft too."""
    asked = factories.asked()
    hands = Hands(office.id, gate=lambda: False)
    claim = attempts.claim(asked.id)
    assert claim is not None
    assert attempts.carry(claim, hands) is False
    found = dispatch.load(asked.id)
    assert (found.state, found.handed_over_at) == (State.QUEUED, None)
    assert found.draft_id is not None
    db.session.commit()
    delivery.drain()
    assert len(google.accepted()) == 1 and google.drafts() == []


def test_the_gate_is_shut_until_earlier_copies_were_looked_at(
    office: Mailbox, google: Google
) -> None:
    delivery.send(factories.asked().id)
    mine = Turn(office.id)
    monitored = threading.Event()
    mine._look_at = lambda due: monitored.set()  # type: ignore[method-assign]
    assert not mine._looked_at.is_set()
    mine._read_next()
    assert monitored.is_set() and not mine._looked_at.is_set()


def test_a_gate_does_not_open_for_good_where_the_turn_ends(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = threading.Event()
    stopping.set()
    monkeypatch.setattr(queueing, "stopping", stopping)
    assert Turn(office.id)._gate() is False


def test_a_draft_of_former_days_proves_nothing_of_mail_sent_in_one_step(
    office: Mailbox, google: Google
) -> None:
    """Signed in again with less, then with all: the old draft is no sign that nothing left."""
    asked, all_of_it = factories.asked(), office.scopes
    google.fault("drafts.send", "429")
    delivery.send(asked.id)
    db.session.execute(update(Mailbox).values(scopes=" ".join(SEND_ONLY_SCOPES), paused_until=None))
    db.session.commit()
    google.fault("messages.send", "swallow")
    delivery.send(asked.id)
    found = dispatch.load(asked.id)
    assert (found.state, found.needs_person) == (State.UNKNOWN, True)
    db.session.execute(update(Mailbox).values(scopes=all_of_it, paused_until=None))
    db.session.commit()
    delivery.drain()
    assert dispatch.load(asked.id).state == State.UNKNOWN
    assert len(google.accepted()) == 1


def test_what_the_reader_found_out_is_not_forgotten_by_a_look_under_way(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands, real = Hands(office.id), attempts.trouble_with
    monkeypatch.setattr(attempts, "trouble_with", lambda *given: _mistrusted(hands, real, *given))
    hands.confirm(office.email)
    monkeypatch.undo()
    with pytest.raises(NotReady):
        hands.confirm(office.email)


def _mistrusted(hands: Hands, real: Any, *given: Any) -> Any:
    found = real(*given)
    mailboxes.mistrust(hands.mailbox_id, given[0])
    db.session.commit()
    hands.forget()
    return found


def test_a_provider_is_there_even_where_it_was_forgotten_meanwhile(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands, real = Hands(office.id), attempts.reading

    @contextlib.contextmanager
    def reading() -> Iterator[None]:
        with real():
            yield
        hands.forget()

    monkeypatch.setattr(attempts, "reading", reading)
    assert hands.provider() is not None


def test_what_stands_in_between_leaves_one_message_unclear_and_not_all(office: Mailbox) -> None:
    """A proxy answers in Gmail's place: the next message would only become unclear as well."""
    asked = factories.asked()
    claim = attempts.claim(asked.id)
    assert claim is not None
    assert attempts.claiming.hand_over(claim, 10, "draft-1")
    attempts._unknown(
        claim, OutcomeUnknown("It answered in Gmail's place.", "403 <html>", rests=300)
    )
    assert dispatch.load(asked.id).state == State.UNKNOWN
    assert reread(office).is_paused


def test_a_short_rest_does_not_end_a_long_one(office: Mailbox) -> None:
    mailboxes.pause(office.id, 3 * 3600, "Retry after three hours.")
    mailboxes.pause(office.id, 2, "Too many at once.")
    until = reread(office).paused_until
    assert until is not None and until > now() + timedelta(hours=2)


def test_a_clock_set_back_keeps_nothing_waiting_for_longer_than_it_can(
    office: Mailbox, google: Google
) -> None:
    asked = factories.asked()
    values = {"not_before": now() + timedelta(hours=6)}
    db.session.execute(update(Dispatch).where(Dispatch.id == asked.id).values(**values))
    db.session.execute(update(Mailbox).values(paused_until=now() + timedelta(days=30)))
    db.session.commit()
    delivery.drain()
    assert len(google.accepted()) == 1


def at_receipt_of(
    first: Dispatch, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> None:
    """Do something as soon as it is stored that this one was taken."""

    def reached(name: str, dispatch_id: int | None = None) -> None:
        if (name, dispatch_id) == ("result.committed", first.id):
            then()

    monkeypatch.setattr(attempts, "reached", reached)


def test_the_next_message_is_claimed_in_the_commit_of_a_receipt(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = factories.asked(), factories.asked()
    seen: list[str] = []
    at_receipt_of(first, monkeypatch, lambda: seen.append(dispatch.load(second.id).state))
    delivery.drain_mailbox(office.id)
    assert seen == [State.SUBMITTING]
    assert len(google.accepted()) == 2


def test_a_receipt_is_stored_whatever_is_wrong_with_the_next_message(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = factories.asked(), factories.asked()
    real, claimed = claiming.claim_next, 0

    def claim_next(*given: Any) -> Any:
        nonlocal claimed
        claimed += 1
        if claimed > 1:
            raise RuntimeError("something is wrong with it")
        return real(*given)

    monkeypatch.setattr(claiming, "claim_next", claim_next)
    with pytest.raises(RuntimeError):
        delivery.drain_mailbox(office.id)
    assert dispatch.load(first.id).state == State.ACCEPTED


def test_what_was_claimed_with_a_receipt_goes_back_where_the_worker_is_to_end(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = factories.asked(), factories.asked()
    stopping = threading.Event()
    monkeypatch.setattr(queueing, "stopping", stopping)
    at_receipt_of(first, monkeypatch, stopping.set)
    delivery.drain_mailbox(office.id)
    found = dispatch.load(second.id)
    assert (found.state, found.attempt, found.lease_until) == (State.QUEUED, 1, None)
    assert len(google.accepted()) == 1


def test_the_gate_opens_on_the_right_from_alone_and_before_that_is_stored(
    office: Mailbox, google: Google
) -> None:
    right, replaced = factories.asked(), factories.asked()
    for one in (right, replaced):
        delivery.send(one.id)
    seen: list[tuple[int, str]] = []
    provider = Hands(office.id).provider()
    for one in (right, replaced):
        known = claiming.to_prove(one.id)
        db.session.commit()
        if one is replaced:
            known = replace(known, from_email="somebody@else.example")
        evidence.prove(
            known, provider, lambda it: seen.append((it.dispatch_id, _proof_of(it.dispatch_id)))
        )
    assert seen == [(right.id, Proof.UNREAD)]


def _proof_of(dispatch_id: int) -> str:
    found = dispatch.load(dispatch_id).proof
    db.session.commit()
    return found


def test_at_a_providers_pace_each_claim_stores_how_far_the_minute_is_spent(
    office: Mailbox, google: Google
) -> None:
    """However it ends, the next turn goes on at the same pace."""
    mine = Turn(office.id)
    assert mine._take() and mine._renewed()
    db.session.commit()
    assert mine._was_just_renewed()
    mine._meter = pace.Meter(6000)
    mine._meter.reserve(130, time.monotonic())
    assert not mine._was_just_renewed()


def test_who_lost_the_mailbox_claims_nothing(office: Mailbox, google: Google) -> None:
    factories.asked()
    mine = Turn(office.id)
    assert mine._take()
    db.session.execute(update(Mailbox).values(drain_holder="somebody else"))
    db.session.commit()
    assert mine._claim(Lane.BATCH) is None
    assert mine._lost.is_set()
