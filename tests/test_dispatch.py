"""Awkward moments between the click and the sent copy: each ends once, and nothing is stranded."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from sqlalchemy import func, insert, inspect, select

from portal import attempts, delivery, dispatch, evidence, journal, mailboxes, policy, queueing
from portal.columns import now
from portal.config import Config
from portal.dispatch import Dispatch, Event, Message, Proof, State, holding
from portal.envelope import Gone, Receipt, TryLater
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.providers.gmail import SEND_ONLY_SCOPES, Gmail
from portal.senders import Mode
from tests import factories, servers
from tests.factories import OFFICE

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer


@pytest.fixture
def app(database: str, redis_url: str, local_google: "SandboxServer") -> Iterator[Flask]:
    with servers.sending(database, redis_url, local_google.url) as made:
        yield made


@pytest.fixture
def office(app: Flask, local_google: "SandboxServer") -> Mailbox:
    return factories.connected(local_google.url)


def work() -> None:
    delivery.drain()
    db.session.expire_all()


def accepted(google: "SandboxServer") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{google.url}/_sandbox/accepted", timeout=5).json()
    return found


def fault(google: "SandboxServer", method: str, kind: str, **more: Any) -> None:
    body = {"method": method, "kind": kind, **more}
    assert requests.post(f"{google.url}/_sandbox/faults", json=body, timeout=5).ok


def copies(of: Dispatch, number: int, **changed: Any) -> None:
    """So many more rows like this one, without drawing a PDF for each."""
    columns = [one.key for one in inspect(Dispatch).column_attrs if one.key != "id"]
    like = {name: getattr(of, name) for name in columns}
    rows = [
        like | {"sending_number": 1000 + n, "token": f"copy-{n}"} | changed for n in range(number)
    ]
    ids = db.session.scalars(insert(Dispatch).returning(Dispatch.id), rows)
    db.session.execute(insert(Message), [{"dispatch_id": one, "mime": of.mime} for one in ids])
    db.session.commit()


def test_many_on_hold_keep_nobody_elses_mail_waiting(office: Mailbox) -> None:
    policy.set_rule("", Mode.USER)
    held = factories.asked(user=factories.nia())
    copies(held, 600)
    ready = factories.asked(user=factories.tom(), number=2)
    dispatch.move(ready.id, (State.QUEUED,), State.HELD, state_note="for a while")
    db.session.commit()
    assert dispatch.release_ready() == 1
    assert dispatch.load(ready.id).state == State.QUEUED
    states = db.session.scalars(select(Dispatch.state).where(Dispatch.id != ready.id))
    assert set(states) == {State.HELD}


def test_a_whole_queue_is_held_and_let_go_in_portions_each_with_its_story(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who else writes waits for a portion, not for thousands of mails."""
    asked = factories.asked()
    copies(asked, 11)
    stands: list[int] = []
    real = journal.write

    def watched(work: Any) -> Any:
        result = real(work)
        stands.append(in_state(State.HELD))
        db.session.commit()
        return result

    monkeypatch.setattr(holding, "AT_ONCE", 5)
    monkeypatch.setattr(journal, "write", watched)
    assert dispatch.hold_mailbox(office.id, "Somebody has to sign in again.") == 12
    assert dispatch.release_ready() == 12
    assert stands == [5, 10, 12, 12, 7, 2, 0, 0]
    told = set(db.session.scalars(select(Event.text)).all())
    assert {
        "On hold: Somebody has to sign in again.",
        f"{OFFICE} is ready: back in the queue.",
    } < told
    assert db.session.scalar(select(func.count(Event.id))) == 1 + 2 * 12
    db.session.expire_all()
    assert (asked.state, asked.hold_code, asked.state_note) == (State.QUEUED, "", "")


def in_state(state: State) -> int:
    return db.session.scalar(select(func.count(Dispatch.id)).where(Dispatch.state == state)) or 0


def test_the_document_shows_that_its_mail_waits_with_the_rest(office: Mailbox) -> None:
    invoice = factories.document()
    factories.asked(invoice)
    dispatch.hold_mailbox(office.id, "Somebody has to sign in again.")
    db.session.expire_all()
    assert invoice.email_status == State.HELD
    dispatch.release_ready()
    db.session.expire_all()
    assert invoice.email_status == State.QUEUED


def test_mail_released_to_another_mailbox_leaves_the_old_ones_draft_behind(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    policy.set_rule("", Mode.USER)
    tom = factories.tom()
    fault(local_google, "drafts.send", "429")
    asked = factories.asked(user=tom)
    work()
    assert dispatch.load(asked.id).draft_id
    own = factories.connected(local_google.url, "tom@brightspark.example", owner=tom)
    office_ = db.session.get_one(Mailbox, office.id, populate_existing=True)
    mailboxes.disconnect(office_)
    office_.paused_until = None
    db.session.commit()
    work()
    assert asked.state == State.HELD
    work()
    assert asked.mailbox_id == own.id
    assert asked.state == State.ACCEPTED, asked.state_note
    [message] = accepted(local_google)
    assert message["mailbox"] == "tom@brightspark.example"
    assert message["from"].endswith("<tom@brightspark.example>")


@pytest.mark.parametrize("call", ["create_draft", "addresses"])
def test_a_missing_page_before_the_hand_over_is_nothing_unclear(
    call: str, office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise Gone("Gmail no longer has it.", "404")

    office.addresses_checked_at = None
    db.session.commit()
    monkeypatch.setattr(Gmail, call, gone)
    asked = factories.asked()
    work()
    assert (asked.state, asked.needs_person) == (State.QUEUED, False)


@pytest.mark.parametrize("state", [State.QUEUED, State.CANCELLED, State.REFUSED, State.UNKNOWN])
def test_a_receipt_is_certain_however_late_it_comes(state: State, office: Mailbox) -> None:
    asked = factories.asked()
    claim = attempts.claim(asked.id)
    assert claim is not None
    dispatch.move(asked.id, (State.SUBMITTING,), state)
    db.session.commit()
    hands = attempts.Hands(office.id)
    attempts._accepted(claim, Receipt("m-1"), hands, hands.provider())
    found = dispatch.load(asked.id)
    assert (found.state, found.provider_message_id) == (State.ACCEPTED, "m-1")
    later = attempts.Claim(asked.id, claim.attempt + 1)
    attempts._accepted(later, Receipt("m-2"), hands, hands.provider())
    assert dispatch.load(asked.id).provider_message_id == "m-1"


def test_with_a_wrong_key_mail_waits_and_says_whose_turn_it_is(
    app: Flask, office: Mailbox, monkeypatch: pytest.MonkeyPatch, local_google: "SandboxServer"
) -> None:
    asked = factories.asked()
    config: Config = app.config["PORTAL"]
    wrong = config.model_copy(update={"TOKEN_KEYS": {"test": bytes(32)}})
    monkeypatch.setitem(app.config, "PORTAL", wrong)
    work()
    assert asked.state == State.QUEUED
    assert "TOKEN_KEYS" in asked.state_note
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert box.health == Health.CONNECTED
    assert box.paused_until is not None
    assert accepted(local_google) == []


def test_a_drain_whose_time_is_over_takes_no_more(
    office: Mailbox, local_google: "SandboxServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(local_google, "drafts.send", "slow-answer", delay=0.5, times=None)
    copies(factories.asked(), 30)
    monkeypatch.setattr(queueing, "DRAIN_SECONDS", 3.0)
    rung: list[bool] = []
    monkeypatch.setattr(queueing, "ring", lambda: rung.append(True))
    delivery.drain()
    states = set(db.session.scalars(select(Dispatch.state)))
    assert states == {State.ACCEPTED, State.QUEUED}
    assert rung == [True]


def test_a_mailbox_that_breaks_the_drain_is_not_tried_again_at_once(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def breaks(mailbox_id: int, *_: Any) -> None:
        tried.append(mailbox_id)
        raise RuntimeError("something nobody thought of")

    factories.asked()
    monkeypatch.setattr(delivery, "drain_mailbox", breaks)
    monkeypatch.setattr(queueing, "DRAIN_SECONDS", 2)
    delivery.drain()
    assert tried == [office.id]
    assert "something nobody thought of" in caplog.text


def test_a_mailbox_that_broke_off_has_its_turn_again_while_others_go_on(
    office: Mailbox, local_google: "SandboxServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    real = delivery.drain_mailbox

    def breaks_once(mailbox_id: int, *more: Any) -> float:
        tried.append(mailbox_id)
        if len(tried) == 1:
            raise RuntimeError("something nobody thought of")
        return real(mailbox_id, *more)

    asked, later = factories.asked(), factories.asked(factories.document(number="later"))
    soon = now() + timedelta(seconds=2)  # the drain stays awake for it
    dispatch.move(later.id, (State.QUEUED,), State.QUEUED, not_before=soon)
    db.session.commit()
    monkeypatch.setattr(delivery, "drain_mailbox", breaks_once)
    monkeypatch.setattr(delivery, "SHUT_OUT", 0.1)
    work()
    assert asked.state == State.ACCEPTED
    assert set(tried) == {office.id}


def test_a_mailbox_that_sends_only_holds_what_it_cannot_see_the_right_to(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    """Gmail would put its own address in the place of one taken away, and nobody could tell."""
    policy.set_rule("", Mode.USER)
    asked = factories.asked()
    assert asked.state == State.QUEUED
    factories.connected(local_google.url, scopes=SEND_ONLY_SCOPES)
    requests.delete(
        f"{local_google.url}/_sandbox/aliases",
        json={"account": OFFICE, "email": "tom@brightspark.example"},
        timeout=5,
    ).raise_for_status()
    work()
    assert (asked.state, asked.hold_code) == (State.HELD, "unseen")
    assert "tom@brightspark.example" in asked.state_note
    assert accepted(local_google) == []


def test_an_unclear_sending_of_a_mailbox_that_may_look_no_more_goes_to_a_person(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    fault(local_google, "drafts.send", "swallow")
    asked = factories.asked()
    attempts.send(asked.id)
    factories.connected(local_google.url, scopes=SEND_ONLY_SCOPES)
    dispatch.move(asked.id, (State.UNKNOWN,), State.UNKNOWN, settle_after=now())
    db.session.commit()
    evidence.reconcile(asked.id)
    found = dispatch.load(asked.id)
    assert (found.state, found.needs_person) == (State.UNKNOWN, True)
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert box.health == Health.CONNECTED


def test_a_look_up_is_never_put_off_for_long(app: Flask, office: Mailbox) -> None:
    asked = factories.asked()
    dispatch.move(asked.id, (State.QUEUED,), State.UNKNOWN, settle_tries=500)
    db.session.commit()
    assert evidence._put_off(asked.id, 500)
    db.session.commit()
    after = dispatch.load(asked.id).settle_after
    assert after is not None and after - now() < timedelta(seconds=10)


def test_a_limit_while_reading_the_sent_copy_does_not_cost_the_proof(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = factories.asked()
    attempts.send(asked.id)
    real = Gmail.sent_copy

    def limited(*_: Any) -> Any:
        raise TryLater("limit", after=40)

    monkeypatch.setattr(Gmail, "sent_copy", limited)
    for _ in range(evidence.PROOF_TRIES + 1):
        evidence.read_proof(asked.id)
    found = dispatch.load(asked.id)
    assert found.proof == Proof.UNREAD
    assert found.settle_after is not None and found.settle_after - now() > timedelta(seconds=30)
    monkeypatch.setattr(Gmail, "sent_copy", real)
    evidence.read_proof(asked.id)
    assert dispatch.load(asked.id).proof == Proof.MATCHES


def test_the_same_address_twice_is_one_recipient(office: Mailbox) -> None:
    asked = factories.asked(
        to="Mary@Homes.example", cc=("mary@homes.example", "sam@homes.example", "SAM@homes.example")
    )
    assert asked.to == ["Mary@homes.example"]
    assert [one.lower() for one in asked.cc] == ["sam@homes.example"]


def test_names_with_line_breaks_reach_the_mail_on_one_line(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    contact = factories.mary()
    contact.first_name = "Mary\r\nBcc: thief@evil.example"
    factories.bright_spark().name = 'Bright, "Spark"\nPlumbing'
    db.session.commit()
    factories.asked(factories.document(contact=contact), subject="Hello\r\nBcc: thief@evil.example")
    work()
    [message] = accepted(local_google)
    assert message["bcc"] in (None, "")
    assert "Bcc" not in message["headers"]
    assert message["from"].endswith("<office@brightspark.example>")
