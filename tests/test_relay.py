"""The portal's own relay: off unless the operator names one, and used only where a rule says so."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask

from portal import approaches, mailboxes, policy, relay, spreading
from portal.extensions import db
from portal.sandbox.post import Post
from portal.senders import Mode, Trouble
from tests import servers
from tests.factories import MARY, OFFICE, asked, document, office_mailbox, olive, tom
from tests.visitor import said, visitor

FROM = "post@brightspark.example"
MAIL = b"From: post@brightspark.example\r\n\r\nHello\r\n"


@contextmanager
def portal(database: str, url: str = "", **chosen: str) -> Iterator[Flask]:
    named = {"RELAY_URL": url, "RELAY_FROM": FROM} if url else {}
    with servers.inside(servers.config_of(DATABASE_URL=database, **(named | chosen))) as app:
        yield app


@pytest.fixture
def url(post: Post) -> str:
    post.desk.add("relay", "its/password", senders=(FROM,))
    return f"smtps://relay:its%2Fpassword@127.0.0.1:{post.tls_port}"


def test_without_one_nothing_is_chosen_and_nothing_is_there(database: str) -> None:
    with portal(database):
        assert relay.keep() is None and not mailboxes.all_mailboxes()
        policy.set_rule("invoice", Mode.RELAY)
        choice = policy.choose_for("invoice", olive())
        assert choice.trouble is Trouble.NO_RELAY and choice.sender is None


def test_a_rule_lets_it_send_and_nothing_else_does(database: str, url: str, post: Post) -> None:
    with portal(database, url, SMTP_CA_FILE=str(post.authority)):
        office_mailbox()
        box = relay.keep()
        assert box and box.is_relay and box.password is None and "its" not in str(box.server)
        assert relay.keep() == box  # again, and nothing more
        assert box not in mailboxes.company_mailboxes()
        assert policy.choose_for("invoice", olive()).mailbox_email == OFFICE

        approaches.let_relay_send(olive())
        choice = policy.choose_for("invoice", olive())
        assert choice.ready and choice.mailbox_id == box.id
        assert choice.sender and choice.sender.email == FROM
        assert policy.choose_for("quote", olive()).mailbox_email == OFFICE

        provider = mailboxes.provider_for(box)
        provider.send(MAIL, FROM, (MARY,))
        assert [(one.sender, one.user) for one in post.desk.accepted] == [(FROM, "relay")]


def test_an_address_of_both_is_never_the_relays_unasked(database: str, url: str) -> None:
    with portal(database, url, RELAY_FROM=OFFICE):
        box = office_mailbox()
        relay.keep()
        assert list(spreading.carriers([OFFICE])) == [OFFICE]
        assert spreading.carriers([OFFICE])[OFFICE] == [box]
        policy.set_rule("invoice", Mode.SPECIFIED, OFFICE)
        assert policy.choose_for("invoice", olive()).mailbox_id == box.id


def test_when_it_is_taken_away_its_mail_waits_and_says_why(database: str, url: str) -> None:
    with portal(database, url):
        box = relay.keep()
        assert box
        approaches.let_relay_send(olive())
        held = asked(document(), tom())
        assert held.mailbox_id == box.id
    with portal(database):
        relay.keep()
        assert policy.choose_for("invoice", olive()).trouble is Trouble.MAILBOX


def test_another_from_takes_the_place_of_the_former(database: str, url: str) -> None:
    with portal(database, url):
        relay.keep()
    with portal(database, url, RELAY_FROM="new@brightspark.example"):
        box = relay.keep()
        assert box
        db.session.refresh(box)
        assert [one.email for one in box.addresses] == ["new@brightspark.example"]


@pytest.mark.sqlite_only
def test_the_page_says_why_not_and_offers_to_do_without(database: str, url: str) -> None:
    with portal(database, url) as app:
        office_mailbox()
        manager = visitor(app, olive)
        words = manager.words("/settings/approaches")
        assert "Not recommended" in words and "cannot prove" in words and FROM in words
        manager.post("/settings/approaches/relay")
        assert "Do without the relay" in manager.words("/settings/approaches")
        words = manager.words("/settings")
        assert FROM in words and "The relay is in use" in words
        assert FROM in manager.words("/settings/send-from/invoice")
        manager.post("/settings/approaches/relay/removal")
        assert policy.rule("invoice") is None
        assert "Use it all the same" in manager.words("/settings/approaches")
    with portal(database) as app:
        manager = visitor(app, olive)
        assert "cannot be chosen" in manager.words("/settings/approaches")
        assert "No relay is set up" in said(
            manager.post("/settings/approaches/relay", follow_redirects=True)
        )
