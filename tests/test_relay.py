"""The portal's own relay: off unless the operator names one, and used only where a rule says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, jsonify, request

from portal import approaches, delivery, mailboxes, policy, relay, spreading
from portal.dispatch import Dispatch, State
from portal.envelope import OperatorProblem, TryLater
from portal.extensions import db
from portal.providers import application, smtp
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
        words = manager.words(f"/documents/{document(author=tom()).id}/dispatches/new")
        assert "Leaves through the portal’s relay" in words and "Verified" not in words
        box = relay.box()
        for page in ("disconnection", "addresses/new", "password"):
            assert box and manager.get(f"/mailboxes/{box.id}/{page}").status_code == 404
        manager.post("/settings/approaches/relay/removal")
        assert policy.rule("invoice") is None
        assert "Use it all the same" in manager.words("/settings/approaches")
    with portal(database) as app:
        manager = visitor(app, olive)
        assert "cannot be chosen" in manager.words("/settings/approaches")
        assert "No relay is set up" in said(
            manager.post("/settings/approaches/relay", follow_redirects=True)
        )


# A relay that takes no password: XOAUTH2, from configuration alone


@dataclass
class SignInService:
    """A token endpoint; each token is good until the next is given out. asked: how it was asked."""

    post: Post
    url: str = ""
    answer: tuple[dict[str, Any], int] | None = None
    asked: list[tuple[str | None, str | None, dict[str, str]]] = field(default_factory=list)

    def give(self) -> Any:
        who = request.authorization
        assert who is not None
        self.asked.append((who.username, who.password, request.form.to_dict()))
        if self.answer is not None:
            return jsonify(self.answer[0]), self.answer[1]
        token = f"token {len(self.asked)}"
        self.post.desk.add("relay", "", senders=(FROM,), token=token)
        return jsonify(access_token=token, token_type="Bearer", expires_in=3600)


@pytest.fixture
def service(post: Post) -> Iterator[SignInService]:
    made = SignInService(post)
    app = Flask("sign-in")
    app.add_url_rule("/token", view_func=made.give, methods=["POST"])
    with servers.listening_socket() as (listener, port), servers.serving(app, listener):
        made.url = f"http://127.0.0.1:{port}/token"
        yield made
    application._kept.clear()


@pytest.fixture
def by_token(post: Post, service: SignInService) -> dict[str, str]:
    return {
        "url": f"smtps://relay@127.0.0.1:{post.tls_port}",
        "SMTP_CA_FILE": str(post.authority),
        "RELAY_TOKEN_URL": service.url,
        "RELAY_CLIENT_ID": "the portal",
        "RELAY_CLIENT_SECRET": "its secret",
        "RELAY_TOKEN_SCOPE": "https://mail.example/.default",
    }


def test_a_document_leaves_through_a_relay_that_takes_tokens(
    database: str, by_token: dict[str, str], service: SignInService, post: Post
) -> None:
    with portal(database, **by_token):
        relay.keep()
        approaches.let_relay_send(olive())
        one = asked(document(), tom())
        delivery.drain()
        db.session.expire_all()
        assert db.session.get_one(Dispatch, one.id).state == State.ACCEPTED
    (message,) = post.desk.accepted
    assert (message.user, message.sender, message.recipients) == ("relay", FROM, (MARY,))
    scope = {"grant_type": "client_credentials", "scope": "https://mail.example/.default"}
    assert service.asked == [("the portal", "its secret", scope)]


def test_a_token_serves_until_it_is_refused_and_then_once_more_is_asked(
    database: str, by_token: dict[str, str], service: SignInService, post: Post
) -> None:
    with portal(database, **by_token):
        provider = mailboxes.provider_for(kept())
        provider.send(MAIL, FROM, (MARY,))
        provider.send(MAIL, FROM, (MARY,))
        assert (len(service.asked), post.desk.log_ins) == (1, 1)
        smtp.forget_connections()
        post.desk.add("relay", "", senders=(FROM,), token="another")  # theirs was taken back
        provider.send(MAIL, FROM, (MARY,))
        assert (len(service.asked), len(post.desk.accepted)) == (2, 3)


WRONG = ({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
AWAY = ({"error": "temporarily_unavailable"}, 503)


@pytest.mark.parametrize(("answer", "kind"), [(WRONG, OperatorProblem), (AWAY, TryLater)])
def test_what_the_sign_in_service_refuses_says_nothing_of_a_message(
    database: str,
    by_token: dict[str, str],
    service: SignInService,
    answer: tuple[dict[str, Any], int],
    kind: type[Exception],
) -> None:
    service.answer = answer
    with portal(database, **by_token), pytest.raises(kind, match="sign-in service"):
        mailboxes.provider_for(kept()).send(MAIL, FROM, (MARY,))


def test_a_wrong_log_in_is_for_the_operator_and_nobody_is_asked_to_sign_in(
    database: str, url: str, post: Post
) -> None:
    post.desk.add("relay", "another", senders=(FROM,))
    refused = pytest.raises(OperatorProblem, match="look at RELAY_URL")
    with portal(database, url, SMTP_CA_FILE=str(post.authority)), refused:
        mailboxes.provider_for(kept()).send(MAIL, FROM, (MARY,))


def kept() -> mailboxes.Mailbox:
    found = relay.keep()
    assert found is not None
    return found
