"""A dispatch leaves once, from the address it was promised, whatever goes wrong on the way.

The judge is always the local Google's own list of the messages it accepted.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from sqlalchemy import event, select, update

from portal import (
    alarms,
    attempts,
    delivery,
    dispatch,
    mailboxes,
    policy,
    watching,
    workers,
)
from portal.columns import now
from portal.dispatch import Attempt, Dispatch, Lane, Proof, State, claiming
from portal.envelope import DISPATCH_HEADER, NeedsSignIn, TryLater
from portal.extensions import db
from portal.mailboxes import Address, Health, Mailbox
from portal.providers.gmail import SEND_ONLY_SCOPES
from portal.senders import Mode
from portal.turn import Turn
from tests import factories, servers
from tests.factories import OFFICE

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer


class Google:
    """The local Google, as a test speaks of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def accepted(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(
            f"{self.url}/_sandbox/accepted", timeout=5
        ).json()
        return found

    def fault(self, method: str, kind: str, **more: Any) -> None:
        self.steer("faults", method=method, kind=kind, **more)

    def address(self, email: str, status: str) -> None:
        self.steer("aliases", account=OFFICE, email=email, status=status)

    def forget_address(self, email: str) -> None:
        told = {"account": OFFICE, "email": email}
        requests.delete(f"{self.url}/_sandbox/aliases", json=told, timeout=5).raise_for_status()

    def drafts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/_sandbox/state", timeout=5).json()[
            "drafts"
        ]
        return found

    def steer(self, noun: str, **body: Any) -> None:
        answer = requests.post(f"{self.url}/_sandbox/{noun}", json=body, timeout=5)
        assert answer.ok, answer.text


@pytest.fixture
def google(local_google: "SandboxServer") -> Google:
    return Google(local_google.url)


@pytest.fixture
def app(database: str, redis_url: str, google: Google) -> Iterator[Flask]:
    """The portal on one of the stores, pointed at the local Google, inside an app context."""
    with servers.sending(database, redis_url, google.url) as made:
        yield made


@pytest.fixture
def office(app: Flask, google: Google) -> Mailbox:
    """The company's mailbox: it may send as tom@, and as quotes@ once that is confirmed."""
    return factories.connected(google.url)


def work(rounds: int = 1) -> None:
    for _ in range(rounds):
        delivery.drain()
        db.session.expire_all()


def test_a_document_leaves_once_and_its_from_is_proved(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    assert asked.state == State.QUEUED
    work()
    [message] = google.accepted()
    assert message["from"] == "Bright Spark Plumbing <office@brightspark.example>"
    assert message["headers"][DISPATCH_HEADER] == asked.token
    assert asked.state == State.ACCEPTED
    assert asked.proof == Proof.MATCHES
    assert asked.proof_message_id == message["message_id"]
    assert [one.outcome for one in asked.attempts] == ["accepted"]
    assert google.drafts() == []


def test_asking_twice_is_one_dispatch(office: Mailbox, google: Google) -> None:
    invoice = factories.document()
    first = factories.asked(invoice)
    second = factories.asked(invoice)
    assert first.id == second.id
    work(2)
    assert len(google.accepted()) == 1


def test_a_deliberate_second_sending_is_another_dispatch(office: Mailbox, google: Google) -> None:
    invoice = factories.document()
    factories.asked(invoice)
    assert dispatch.next_number(invoice) == 2
    factories.asked(invoice, number=2)
    work()
    assert len(google.accepted()) == 2


def test_mail_leaves_in_the_order_of_asking(office: Mailbox, google: Google) -> None:
    asked = [factories.asked().token for _ in range(5)]
    work()
    assert [one["headers"][DISPATCH_HEADER] for one in google.accepted()] == asked


def test_two_workers_at_once_send_once(app: Flask, office: Mailbox, google: Google) -> None:
    import threading

    for _ in range(6):
        factories.asked()
    db.session.commit()
    start = threading.Barrier(3)

    def worker() -> None:
        with app.app_context():
            start.wait()
            delivery.drain()

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    tokens = [one["headers"][DISPATCH_HEADER] for one in google.accepted()]
    assert len(tokens) == len(set(tokens)) == 6


@pytest.mark.parametrize("kind", ["swallow", "500-after", "cut-after", "half-answer", "garbage"])
def test_an_answer_that_never_came_is_settled_from_sent(
    kind: str, office: Mailbox, google: Google
) -> None:
    google.steer("clock", advance=300)  # Gmail's clock tells when it left, whenever we look
    google.fault("drafts.send", kind)
    asked = factories.asked()
    work(2)
    assert asked.state == State.ACCEPTED, asked.state_note
    assert asked.accepted_at is not None
    assert 290 < (asked.accepted_at - asked.requested_at).total_seconds() < 310
    assert any("found in Sent" in one.text for one in asked.events)
    assert asked.proof == Proof.MATCHES
    assert len(google.accepted()) == 1
    assert [one.outcome for one in asked.attempts] == ["unknown"]


def test_a_sent_copy_is_found_below_all_that_was_sent_since(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.providers import gmail

    monkeypatch.setattr(gmail, "SENT_PAGE", 3)
    google.fault("drafts.send", "swallow")
    unclear = factories.asked()
    delivery.send(unclear.id)
    for _ in range(7):
        delivery.send(factories.asked().id)
    work(2)
    assert unclear.state == State.ACCEPTED
    assert unclear.proof == Proof.MATCHES
    assert len(google.accepted()) == 8


@pytest.mark.parametrize("kind", ["swallow-before", "500-before", "503-before", "cut-before"])
def test_what_did_not_leave_is_sent_from_the_same_draft(
    kind: str, office: Mailbox, google: Google
) -> None:
    google.fault("drafts.send", kind)
    asked = factories.asked()
    work()
    assert asked.state in (State.ACCEPTED, State.UNKNOWN)
    work(2)
    assert asked.state == State.ACCEPTED
    [message] = google.accepted()
    assert message["draft_id"] == asked.draft_id
    assert [one.outcome for one in asked.attempts] == ["unknown", "accepted"]


@pytest.mark.parametrize("kind", ["swallow", "500-after", "cut-before", "500-before"])
def test_a_lost_draft_is_found_again_rather_than_made_twice(
    kind: str, office: Mailbox, google: Google
) -> None:
    google.fault("drafts.create", kind)
    asked = factories.asked()
    work()
    _unpause()
    work()
    assert asked.state == State.ACCEPTED
    assert len(google.accepted()) == 1
    assert google.drafts() == []


@pytest.mark.parametrize("kind", ["429", "rate-limit-403", "concurrent", "daily-limit"])
def test_a_limit_is_obeyed_and_the_mail_waits(kind: str, office: Mailbox, google: Google) -> None:
    google.fault("drafts.send", kind)
    asked = factories.asked()
    work()
    assert asked.state == State.QUEUED
    paused = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert paused.paused_until is not None
    db.session.commit()
    assert google.accepted() == []
    _unpause()
    work()
    assert asked.state == State.ACCEPTED
    assert len(google.accepted()) == 1


def test_a_refusal_is_final_and_says_why(office: Mailbox, google: Google) -> None:
    google.fault("drafts.send", "refuse", message="Invalid To header", reason="invalidArgument")
    asked = factories.asked()
    work(2)
    assert asked.state == State.REFUSED
    assert "Invalid To header" in asked.state_note
    assert google.accepted() == []


def test_a_revoked_sign_in_puts_the_mailbox_mail_on_hold(office: Mailbox, google: Google) -> None:
    waiting = [factories.asked() for _ in range(3)]
    google.steer("revoke", email=OFFICE)
    work()
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert box.health == Health.NEEDS_SIGN_IN
    assert {one.state for one in waiting} == {State.HELD}
    assert "sign in to Google again" in waiting[0].state_note
    db.session.commit()
    factories.connected(google.url)
    work()
    assert {one.state for one in waiting} == {State.ACCEPTED}
    assert len(google.accepted()) == 3


def test_mail_of_another_googles_mailbox_waits_until_that_one_is_back(
    app: Flask, office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, here = factories.asked(), app.config["PORTAL"]
    elsewhere = here.model_copy(update={"GOOGLE_DISCOVERY_URL": "https://other.example/x"})
    monkeypatch.setitem(app.config, "PORTAL", elsewhere)
    work(3)
    assert asked.state == State.HELD and "another Google" in asked.state_note
    assert asked.attempt == 1 and google.accepted() == []
    monkeypatch.setitem(app.config, "PORTAL", here)
    work()
    assert asked.state == State.ACCEPTED and len(google.accepted()) == 1


def test_an_access_token_that_ran_out_is_renewed_unseen(office: Mailbox, google: Google) -> None:
    google.steer("clock", advance=4000)
    asked = factories.asked()
    work()
    assert asked.state == State.ACCEPTED
    assert [one.outcome for one in asked.attempts] == ["accepted"]


def test_an_unverified_user_address_holds_and_leaves_by_itself_once_verified(
    office: Mailbox, google: Google
) -> None:
    policy.set_rule("", Mode.USER)
    asked = factories.asked(user=factories.nia())
    assert asked.state == State.HELD
    assert "nia@brightspark.example" in asked.state_note
    work(2)
    assert google.accepted() == []
    google.address("nia@brightspark.example", "accepted")
    _forget_last_check()
    work(2)
    assert asked.state == State.ACCEPTED
    [message] = google.accepted()
    assert message["from"] == "Nia Cole at Bright Spark Plumbing <nia@brightspark.example>"


def test_an_address_lost_since_the_click_holds_instead_of_being_replaced(
    office: Mailbox, google: Google
) -> None:
    policy.set_rule("", Mode.USER)
    asked = factories.asked()
    assert asked.state == State.QUEUED
    google.forget_address("tom@brightspark.example")
    _forget_last_check()
    work(2)
    assert asked.state == State.HELD
    assert google.accepted() == []


def test_a_from_that_google_replaced_raises_the_alarm_and_stops_the_address(
    office: Mailbox, google: Google
) -> None:
    policy.set_rule("", Mode.USER)
    first, second = factories.asked(), factories.asked()
    google.forget_address("tom@brightspark.example")
    work(2)
    assert first.proof == Proof.DIFFERS
    assert OFFICE in first.proof_from
    assert second.state == State.HELD
    assert len(google.accepted()) == 1


def test_after_the_alarm_gmail_s_word_alone_does_not_let_mail_leave(
    office: Mailbox, google: Google
) -> None:
    policy.set_rule("", Mode.USER)
    tom = "tom@brightspark.example"
    first = factories.asked()
    google.forget_address(tom)
    work()
    assert first.proof == Proof.DIFFERS
    google.address(tom, "accepted")  # Gmail lists it as usable, as if nothing had happened
    second = factories.asked()
    _forget_last_check()
    work(2)
    assert second.state == State.HELD
    assert "until the office manager has looked into it" in second.state_note
    [address] = db.session.scalars(select(Address).where(Address.email == tom))
    mailboxes.trust(address)
    work(2)
    assert second.state == State.ACCEPTED
    assert second.proof == Proof.MATCHES


def test_no_draft_of_refused_or_cancelled_mail_stays_in_gmail(
    office: Mailbox, google: Google
) -> None:
    google.fault("drafts.send", "refuse")
    refused = factories.asked()
    work(2)
    assert refused.state == State.REFUSED
    assert google.drafts() == []
    google.fault("drafts.send", "429")
    cancelled = factories.asked()
    work()
    assert len(google.drafts()) == 1
    assert factories.cancelled(cancelled, factories.tom())
    _unpause()
    work()
    assert google.drafts() == []
    assert google.accepted() == []


def test_the_address_never_changes_with_the_policy_after_the_click(
    office: Mailbox, google: Google
) -> None:
    asked = factories.asked()
    policy.set_rule("", Mode.USER)
    work()
    [message] = google.accepted()
    assert message["from"].endswith("<office@brightspark.example>")
    assert asked.proof == Proof.MATCHES


def test_the_bytes_are_those_of_the_click(office: Mailbox, google: Google) -> None:
    invoice = factories.document()
    asked = factories.asked(invoice)
    frozen = asked.mime
    invoice.title = "Something else entirely"
    db.session.commit()
    work()
    assert asked.mime == frozen
    assert b"Something else" not in asked.mime


def test_bytes_that_were_changed_in_the_store_never_leave(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    asked.mime = asked.mime.replace(b"Mary", b"Mark")
    db.session.commit()
    work()
    assert asked.state == State.REFUSED
    assert "not the one that was frozen" in asked.state_note
    assert google.accepted() == []


def test_with_send_only_permission_an_unclear_sending_goes_to_a_person(
    app: Flask, google: Google
) -> None:
    factories.connected(google.url, scopes=SEND_ONLY_SCOPES)
    google.fault("messages.send", "swallow")
    asked = factories.asked()
    work(2)
    assert asked.state == State.UNKNOWN
    assert asked.needs_person
    assert len(google.accepted()) == 1
    assert dispatch.settle(asked, factories.olive(), left=True)
    db.session.expire_all()
    assert asked.state == State.ACCEPTED
    assert "Olive Park" in [one.actor for one in asked.events]


def test_with_send_only_permission_nothing_is_claimed_as_proved(app: Flask, google: Google) -> None:
    factories.connected(google.url, scopes=SEND_ONLY_SCOPES)
    asked = factories.asked()
    work()
    assert asked.state == State.ACCEPTED
    assert asked.proof == Proof.NOT_GRANTED


def test_a_draft_thrown_away_by_hand_goes_to_a_person(office: Mailbox, google: Google) -> None:
    google.fault("drafts.send", "cut-before")
    asked = factories.asked()
    delivery.send(asked.id)
    db.session.expire_all()
    assert asked.state == State.UNKNOWN
    requests.delete(f"{google.url}/_sandbox/drafts/{asked.draft_id}", timeout=5).raise_for_status()
    db.session.commit()
    for _ in range(6):
        _settle_now()
        work()
    assert asked.state == State.UNKNOWN
    assert asked.needs_person
    assert google.accepted() == []


def test_a_draft_edited_by_hand_leaves_as_it_was_frozen(office: Mailbox, google: Google) -> None:
    google.fault("drafts.send", "cut-before")
    asked = factories.asked()
    delivery.send(asked.id)
    db.session.expire_all()
    box = db.session.get_one(Mailbox, office.id)
    assert asked.draft_id is not None
    db.session.commit()
    mailboxes.provider_for(box).restore_draft(
        asked.draft_id,
        b"To: mary.lee@homes.example\r\nSubject: Tampered\r\n\r\nPay me instead.\r\n",
    )
    work(2)
    [message] = google.accepted()
    assert message["headers"]["Subject"] == "Invoice INV-0042"


def test_a_worker_that_ended_before_the_call_loses_nothing(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    _abandon(asked, handed_over=False)
    work()
    assert asked.state == State.ACCEPTED
    assert len(google.accepted()) == 1
    assert [one.outcome for one in asked.attempts] == ["worker ended", "accepted"]


def test_what_ends_every_worker_is_not_tried_for_ever(office: Mailbox, google: Google) -> None:
    from portal import attempts

    asked = factories.asked()
    for _ in range(attempts.MOST_ENDINGS + 1):
        assert attempts.claim(asked.id) is not None
        _expire_lease(asked)
        attempts.recover_stale()
    db.session.expire_all()
    assert asked.state == State.REFUSED
    assert "It did not leave" in asked.state_note
    work()
    assert google.accepted() == []


def test_what_workers_did_not_survive_is_tried_alone(office: Mailbox, google: Google) -> None:
    from portal import attempts

    suspected, beside = factories.asked(), factories.asked()
    for _ in range(claiming.SUSPECT):
        assert attempts.claim(suspected.id) is not None
        _expire_lease(suspected)
        attempts.recover_stale()
    delivery.drain_mailbox(office.id)  # were it poison, it would end this one too
    db.session.expire_all()
    assert (suspected.state, beside.state) == (State.QUEUED, State.ACCEPTED)
    third = factories.asked()
    assert delivery.carry_suspect(set())
    db.session.expire_all()
    assert (suspected.state, third.state) == (State.ACCEPTED, State.QUEUED)
    work()
    assert third.state == State.ACCEPTED and len(google.accepted()) == 3


def test_many_that_workers_did_not_survive_leave_one_after_another_and_keep_nobody_waiting(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspected = [factories.asked() for _ in range(4)]
    for one in suspected:
        one.endings = claiming.SUSPECT
    beside = factories.asked()
    db.session.commit()
    work()
    assert {one.state for one in (*suspected, beside)} == {State.ACCEPTED}
    assert len(google.accepted()) == 5

    slow, beside = factories.asked(), factories.asked()
    slow.endings = claiming.SUSPECT
    db.session.commit()
    monkeypatch.setattr(delivery, "ALONE", 0.0)
    rung = []
    monkeypatch.setattr(delivery.queueing, "ring", lambda: rung.append(1))
    work()
    assert (slow.state, beside.state, rung) == (State.QUEUED, State.ACCEPTED, [1])


def test_a_late_process_whose_lease_ran_out_sends_nothing(office: Mailbox, google: Google) -> None:
    from portal import attempts

    asked = factories.asked()
    claim = attempts.claim(asked.id)
    assert claim is not None
    _expire_lease(asked)
    with pytest.raises(attempts.LostClaim):
        attempts._hand_over(claim, attempts.Hands(office.id))
    assert google.accepted() == []


def test_no_transaction_is_open_while_google_is_asked(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.providers.gmail import Gmail

    asked = factories.asked()
    seen: list[bool] = []
    real = Gmail._once

    def watched(*args: Any, **kwargs: Any) -> Any:
        answer = real(*args, **kwargs)
        seen.append(db.session().in_transaction())
        return answer

    monkeypatch.setattr(Gmail, "_once", watched)
    delivery.send(asked.id)
    assert seen and not any(seen)


def test_finding_work_never_reads_what_is_finished(office: Mailbox) -> None:
    asked: list[tuple[str, Any]] = []

    def listen(_c: Any, _k: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", listen)
    turn = Turn(office.id)
    assert not turn._is_queued(Lane.BATCH)
    assert turn._evidence() is None
    assert delivery.due_mailboxes(set()) == []
    event.remove(db.engine, "before_cursor_execute", listen)
    found = [one for one in asked if "FROM dispatches" in one[0]]
    assert len(found) == 3
    connection = db.session.connection()
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:  # a handful of rows is read whole unless told otherwise
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        # What an earlier test left of its size, and what autovacuum noted of its values meanwhile,
        # would be weighed; both are taken back with the session.
        connection.exec_driver_sql("TRUNCATE dispatches CASCADE")
        noted = "DELETE FROM pg_statistic WHERE starelid = 'dispatches'::regclass"
        connection.exec_driver_sql(noted)
    for statement, parameters in found:
        explain = f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain, parameters))
        assert "ix_dispatches_work" in plan, plan


def test_a_cancelled_dispatch_never_leaves(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    assert factories.cancelled(asked, factories.tom())
    work()
    db.session.expire_all()
    assert asked.state == State.CANCELLED
    assert google.accepted() == []


def test_it_is_too_late_to_cancel_what_has_left(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    work()
    assert not factories.cancelled(asked, factories.tom())
    db.session.expire_all()
    assert asked.state == State.ACCEPTED


def test_with_redis_away_the_dispatch_is_accepted_and_waits(
    app: Flask, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal import queueing

    factories.connected(google.url)
    gone = app.config["PORTAL"].model_copy(update={"REDIS_URL": "redis://127.0.0.1:1/0"})
    monkeypatch.setitem(app.config, "PORTAL", gone)
    asked = factories.asked()
    assert asked.state == State.QUEUED
    assert queueing.health() == "no_redis"
    work()
    assert asked.state == State.ACCEPTED


def _unpause() -> None:
    for box in mailboxes.all_mailboxes():
        box.paused_until = None
    db.session.commit()


def _forget_last_check() -> None:
    for box in mailboxes.all_mailboxes():
        box.addresses_checked_at = None
    db.session.commit()


def _settle_now() -> None:
    from portal.columns import now

    for one in db.session.scalars(select(Dispatch).where(Dispatch.settle_after.is_not(None))):
        one.settle_after = now()
    db.session.commit()
    time.sleep(0.01)


def _expire_lease(asked: Dispatch) -> None:
    from datetime import timedelta

    from portal.columns import now

    db.session.expire_all()
    asked.lease_until = now() - timedelta(seconds=5)
    db.session.commit()


def _abandon(asked: Dispatch, *, handed_over: bool) -> None:
    from portal.columns import now

    db.session.expire_all()
    asked.state, asked.attempt = State.SUBMITTING, 1
    asked.handed_over_at = now() if handed_over else None
    db.session.add(Attempt(dispatch_id=asked.id, number=1, worker="gone"))
    db.session.commit()
    _expire_lease(asked)


def test_a_refusal_of_the_old_sign_in_does_not_undo_the_new_one(
    office: Mailbox, google: Google
) -> None:
    """Somebody signs in again just when a slow process is refused with what it had before."""
    asked = factories.asked()
    hands = attempts.Hands(office.id)
    hands.provider()
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    box.connected_at = now()
    db.session.commit()
    claim = attempts.claim(asked.id)
    assert claim is not None
    refused = NeedsSignIn("Gmail no longer accepts this mailbox's sign-in.", "401")
    attempts._mailbox_broken(claim, refused, hands.signed_in)
    db.session.expire_all()
    assert (asked.state, office.health) == (State.QUEUED, Health.CONNECTED)


# What goes wrong beside the mail


def test_a_step_of_the_sweep_that_breaks_stops_no_mail(
    office: Mailbox,
    google: Google,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks() -> int:
        raise ValueError("a row that nobody can read")

    monkeypatch.setattr(workers, "_mine", {})
    workers.begin()
    monkeypatch.setattr(delivery, "recover_stale", breaks)
    monkeypatch.setattr(alarms, "tell_managers", breaks)
    asked = factories.asked()
    dispatch.move(asked.id, (State.QUEUED,), State.HELD, hold_code="pending")
    db.session.commit()
    work()
    assert asked.state == State.ACCEPTED  # the step between them released it
    assert caplog.text.count("a row that nobody can read") >= 2
    [seen] = workers.everyone()
    assert "a row that nobody can read" in seen.worker.last_error


def test_a_round_that_breaks_with_words_open_lets_the_turns_go_on(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the steering thread has open, everybody's writer would wait for, and it for them."""
    google.fault("drafts.send", "slow-answer", delay=0.5, times=None)
    mails = [factories.asked(factories.document(number=f"INV-{n}")) for n in range(3)]
    rounds: list[int] = []
    real = delivery.due_mailboxes

    def breaks_once(*of: Any) -> list[int]:
        rounds.append(1)
        if len(rounds) == 2:  # the first has begun a turn
            db.session.execute(update(Mailbox).values(pause_note="half a thought"))
            raise ValueError("something nobody thought of")
        return real(*of)

    monkeypatch.setattr(delivery, "due_mailboxes", breaks_once)
    monkeypatch.setattr(delivery, "LONGEST_WAIT", 0.1)
    work()
    assert [one.state for one in mails] == [State.ACCEPTED] * 3
    assert office.pause_note == ""


def test_an_idle_drain_that_breaks_again_and_again_ends(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def breaks() -> bool:
        tried.append(1)
        raise ValueError("something nobody thought of")

    monkeypatch.setattr(delivery.instance, "may_work", breaks)
    monkeypatch.setattr(delivery, "LONGEST_WAIT", 0.01)
    with pytest.raises(ValueError, match="nobody thought of"):
        delivery.drain()
    assert len(tried) == 1 + delivery.MOST_FAILURES  # once before its rounds


# Watching Gmail's lists


@pytest.fixture
def nias(office: Mailbox, google: Google) -> Mailbox:
    """Nia's own mailbox, where an address is awaited."""
    box = factories.connected(google.url, "nia@brightspark.example", owner=factories.nia())
    mailboxes.want_address(box, "new@brightspark.example")
    box.addresses_checked_at = None
    db.session.commit()
    return box


def test_a_list_that_hangs_keeps_no_mail_waiting(
    nias: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[bool] = []

    def hangs(box: Mailbox) -> list[Address]:
        ends = time.monotonic() + 20
        while not google.accepted() and time.monotonic() < ends:
            time.sleep(0.1)
        left.append(bool(google.accepted()))
        raise TryLater("The connection broke.")

    factories.asked()
    monkeypatch.setattr(mailboxes, "refresh_addresses", hangs)
    work()
    assert left == [True]


def test_a_list_that_cannot_be_read_is_left_alone_for_a_while_and_the_others_are_read(
    nias: Mailbox,
    office: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mailboxes.want_address(office, "quotes@brightspark.example")
    office.addresses_checked_at = None
    db.session.commit()
    asked: list[int] = []
    real = mailboxes.refresh_addresses

    def broken(box: Mailbox) -> list[Address]:
        asked.append(box.id)
        if box.id == nias.id:
            raise ValueError("a list that nobody can read")
        return real(box)

    monkeypatch.setattr(mailboxes, "refresh_addresses", broken)
    watching.watch()
    assert sorted(asked) == sorted([office.id, nias.id])
    assert "a list that nobody can read" in caplog.text
    _forget_last_check()
    watching.watch()
    assert asked.count(nias.id) == 1
    watching._put_off()[nias.id] = (1, 0.0)  # the while is over
    watching.watch()
    assert asked.count(nias.id) == 2


# Whose turn is next


def test_whom_a_person_waits_for_goes_first_then_who_has_waited_longest(
    office: Mailbox, google: Google
) -> None:
    """Where more mailboxes are busy than there are turns, none is passed over for ever."""
    tom, nia = (
        factories.connected(google.url, one.email, owner=one)
        for one in (factories.tom(), factories.nia())
    )
    waiting = [(nia, Lane.BATCH), (office, Lane.BATCH), (tom, Lane.PERSON), (nia, Lane.BATCH)]
    for number, (box, lane) in enumerate(waiting):
        one = factories.asked(factories.document(number=f"INV-{number}"))
        dispatch.move(one.id, (State.QUEUED,), State.QUEUED, mailbox_id=box.id, lane=lane)
    db.session.commit()
    assert delivery.due_mailboxes(set()) == [tom.id, nia.id, office.id]
    assert delivery.due_mailboxes({tom.id}) == [nia.id, office.id]
