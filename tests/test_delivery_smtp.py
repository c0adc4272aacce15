"""Through a mail server a dispatch leaves once too; what only a person can know is asked of one.

The judge is the local mail server's own list of the messages it accepted.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from flask import Flask
from sqlalchemy import update

from portal import attempts, delivery, dispatch, mailboxes, tryouts
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.envelope import DISPATCH_HEADER
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.providers.signing import Account
from portal.providers.submission import Security, Server
from portal.sandbox.post import Post
from portal.senders import Trouble
from tests import factories, servers
from tests.factories import MARY, OFFICE

SUE = "sue@homes.example"
OTHER = "accounts@brightspark.example"


@pytest.fixture
def app(database: str, redis_url: str, post: Post) -> Iterator[Flask]:
    nowhere = "http://127.0.0.1:9"
    allowed = {"SMTP_ALLOWED_HOSTS": f"127.0.0.1:{post.tls_port}"}
    trusted = {"SMTP_CA_FILE": str(post.authority), "SMTP_MESSAGES_PER_MINUTE": "10000"}
    with servers.sending(database, redis_url, nowhere, **allowed, **trusted) as made:
        yield made


@pytest.fixture
def office(app: Flask, post: Post) -> Mailbox:
    factories.bright_spark()
    server = Server("127.0.0.1", post.tls_port, Security.TLS, OFFICE)
    account = Account(OFFICE, OFFICE, "Bright Spark Plumbing", "")
    return mailboxes.connect_server(account, server, "the office's password", owner=None)


def work() -> None:
    delivery.drain()
    db.session.expire_all()


def words_of(asked: Dispatch) -> str:
    return " ".join(one.words for one in asked.attempts)


def test_a_document_leaves_once_with_the_servers_words_kept(office: Mailbox, post: Post) -> None:
    asked = factories.asked()
    work()
    (message,) = post.desk.accepted
    assert asked.state == State.ACCEPTED and asked.proof == Proof.NOT_GRANTED
    assert (message.sender, message.recipients) == (OFFICE, (MARY,))
    assert message.raw == asked.mime and message.header(DISPATCH_HEADER) == asked.token
    assert "queued as" in words_of(asked)
    work()
    assert len(post.desk.accepted) == 1


@pytest.mark.parametrize("accepts", [True, False])
def test_a_drop_after_the_dot_goes_to_a_person(office: Mailbox, post: Post, accepts: bool) -> None:
    post.desk.spoil(".", accepts=accepts)
    asked = factories.asked()
    work()
    work()
    assert asked.state == State.UNKNOWN and asked.needs_person
    assert len(post.desk.accepted) == int(accepts)  # and nothing was sent again by itself
    assert "the connection broke after the end of the message" in words_of(asked)


def test_what_was_turned_away_before_the_dot_leaves_later(office: Mailbox, post: Post) -> None:
    post.desk.spoil("DATA", "451 4.3.0 later")
    asked = factories.asked()
    work()
    assert asked.state == State.QUEUED and not post.desk.accepted
    office.paused_until = None
    db.session.commit()
    work()
    assert asked.state == State.ACCEPTED and len(post.desk.accepted) == 1


def test_who_did_not_get_it_is_told_in_its_story(office: Mailbox, post: Post) -> None:
    post.desk.spoil("RCPT", "550 5.1.1 no such user", about="sue@")
    asked = factories.asked(cc=(SUE,))
    work()
    assert asked.state == State.ACCEPTED and post.desk.accepted[0].recipients == (MARY,)
    assert any(f"Not accepted for {SUE}: 550 5.1.1" in one.text for one in asked.events)


def test_who_is_asked_to_wait_is_sent_to_alone_by_a_person_and_nobody_gets_it_twice(
    office: Mailbox, post: Post
) -> None:
    post.desk.spoil("RCPT", "450 4.2.1 greylisted", about="sue@")
    asked = factories.asked(cc=(SUE,))
    for _round in range(2):
        work()
    assert [one.recipients for one in post.desk.accepted] == [(MARY,)]
    kept = [{"email": SUE, "words": "450 4.2.1 greylisted", "passing": True}]
    assert (asked.state, asked.turned_away) == (State.ACCEPTED, kept)
    assert dispatch.needing_attention() == [asked]
    factories.asked(asked.document, number=2, to=SUE, after_id=asked.id, again="It was greylisted.")
    work()
    assert [one.recipients for one in post.desk.accepted] == [(MARY,), (SUE,)]
    assert dispatch.needing_attention() == []


def test_an_address_the_server_refuses_waits_for_a_person(office: Mailbox, post: Post) -> None:
    post.desk.spoil("MAIL", "553 5.7.1 Sender address rejected: not owned by user")
    asked = factories.asked()
    work()
    assert (asked.state, asked.hold_code) == (State.HELD, Trouble.NOT_ALLOWED)
    assert not post.desk.accepted


def test_a_changed_password_holds_all_of_its_mail(office: Mailbox, post: Post) -> None:
    post.desk.add(OFFICE, "another")
    first = factories.asked()
    second = factories.asked(factories.document("quote"))
    work()
    assert {first.state, second.state} == {State.HELD}
    db.session.refresh(office)
    assert office.health == Health.NEEDS_SIGN_IN and "535" in office.health_note
    assert "password" in office.why_not and not post.desk.accepted


@pytest.mark.parametrize(("senders", "found"), [((OTHER,), "accepted"), ((), "denied")])
def test_another_address_is_tried_with_one_message(
    office: Mailbox, post: Post, senders: tuple[str, ...], found: str
) -> None:
    post.desk.add(OFFICE, "the office's password", senders)
    address = mailboxes.want_address(office, OTHER)
    assert address.verification == "untried"
    tryouts.begin(address, factories.olive())
    work()
    db.session.refresh(address)
    assert address.verification == found
    assert [one.sender for one in post.desk.accepted] == list(senders)


def test_a_worker_that_dies_at_the_hand_over_leaves_it_to_a_person(
    office: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(point: str, _dispatch: int | None = None) -> None:
        if point == "handover.committed":
            raise RuntimeError("killed")

    asked = factories.asked()
    monkeypatch.setattr(attempts, "reached", dies)
    with pytest.raises(RuntimeError, match="killed"):
        attempts.send(asked.id)
    db.session.execute(update(Dispatch).values(lease_until=now() - timedelta(hours=1)))
    db.session.commit()
    attempts.recover_stale()
    db.session.expire_all()
    assert asked.state == State.UNKNOWN and asked.needs_person and not post.desk.accepted


def test_a_worker_that_stood_still_too_long_hands_over_nothing(
    office: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody was asked meanwhile, and is spared the answer: it did not leave, for certain."""
    asked = factories.asked()
    with standing_still(monkeypatch, lambda: None):
        attempts.send(asked.id)
    db.session.expire_all()
    assert not post.desk.accepted
    assert (asked.state, asked.needs_person) == (State.QUEUED, False)
    work()
    assert asked.state == State.ACCEPTED and len(post.desk.accepted) == 1


def test_what_somebody_had_sent_again_meanwhile_leaves_once(
    office: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, olive = factories.asked(), factories.olive()
    again = partial(dispatch.resend, asked, olive, 2, "The server does not have it.")
    with standing_still(monkeypatch, again):
        attempts.send(asked.id)
    work()
    second = dispatch.load(asked.id + 1)
    assert (asked.state, second.state) == (State.REFUSED, State.ACCEPTED)
    assert [one.header(DISPATCH_HEADER) for one in post.desk.accepted] == [second.token]


@contextmanager
def standing_still(
    monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]
) -> Iterator[None]:
    """At the hand-over, for more than half of its lease; what it had is taken for unclear."""
    slow = SimpleNamespace(monotonic=lambda: time.monotonic() + 6)  # of ten

    def stand(point: str, _dispatch: int | None = None) -> None:
        if point == "handover.committed":
            patch.setattr(attempts, "time", slow)
            db.session.execute(update(Dispatch).values(lease_until=now() - timedelta(hours=1)))
            db.session.commit()
            attempts.recover_stale()
            db.session.expire_all()
            meanwhile()

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "reached", stand)
        yield
