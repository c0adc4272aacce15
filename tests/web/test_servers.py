"""Connecting a mailbox at any mail server with its password, and what each failure says."""

import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal import mailboxes, presets
from portal.config import Config
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.providers import imap
from portal.providers.provider import Access
from portal.providers.signing import Account
from portal.providers.submission import Security, Server
from portal.sandbox.letterbox import Letterbox
from portal.sandbox.post import Post
from tests import servers
from tests.factories import OFFICE, asked, document, nia, olive, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

PASSWORD = "the office's password"
NEW, CREATE = "/mailboxes/servers/new", "/mailboxes/servers"


@pytest.fixture
def config(database: str, redis_url: str, post: Post) -> Config:
    """A portal that may connect to a local mail server."""
    return servers.config_of(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        PROVIDER_TIMEOUT="1",
        LEASE_SECONDS="10",
        SMTP_ALLOWED_HOSTS=f"127.0.0.1:{post.tls_port}, 127.0.0.1:{post.port}, 127.0.0.1:9",
        SMTP_CA_FILE=str(post.authority),
    )


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


def form(post: Post, **changed: Any) -> dict[str, Any]:
    return {
        "purpose": "company",
        "email": OFFICE,
        "user": OFFICE,
        "password": PASSWORD,
        "host": "127.0.0.1",
        "port": str(post.tls_port),
        "security": "tls",
        **changed,
    }


def box_of(app: Flask) -> Mailbox | None:
    with app.app_context():
        return db.session.scalar(select(Mailbox))


def field(answer: TestResponse, name: str) -> str:
    found = BeautifulSoup(answer.text, "html.parser").find("input", {"name": name})
    assert found is not None
    return str(found.get("value", ""))


# The address first


def test_an_address_alone_fills_in_what_is_known(manager: Visitor) -> None:
    assert "Which mailbox?" in manager.words(NEW)
    fastmail = manager.get(f"{NEW}?email=Office@Fastmail.com")
    assert field(fastmail, "host") == "smtp.fastmail.com"
    assert (field(fastmail, "port"), field(fastmail, "user")) == ("465", "office@fastmail.com")
    assert "App password" in said(fastmail)
    unknown = manager.get(f"{NEW}?email=office@trades.example")
    assert field(unknown, "host") == "mail.trades.example"


def test_a_company_at_zoho_has_another_server_than_its_free_addresses() -> None:
    assert presets.suggest("jo@zohomail.com").host == "smtp.zoho.com"
    theirs = presets.suggest("office@trades.example", ("mx2.zoho.com.au.",))
    assert (theirs.host, theirs.user) == ("smtppro.zoho.com.au", "office@trades.example")
    assert len(presets.BY_SLUG) == len(presets.PRESETS)


def test_a_google_or_microsoft_mailbox_is_shown_the_better_way(manager: Visitor) -> None:
    assert "Sign in with Google" in manager.words(f"{NEW}?email=jo@gmail.com")
    assert "Sign in with Microsoft" in manager.words(f"{NEW}?email=jo@hotmail.com")


def test_what_is_no_address_says_so_and_stays(manager: Visitor) -> None:
    answer = manager.get(f"{NEW}?email=office.example")
    assert answer.status_code == 422 and field(answer, "email") == "office.example"


def test_the_chooser_leads_here(manager: Visitor) -> None:
    assert NEW in manager.get("/mailboxes/new").text


# Connected


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_what_works_is_connected_and_nothing_was_sent(
    app: Flask, manager: Visitor, post: Post, security: str
) -> None:
    port = post.tls_port if security == "tls" else post.port
    answer = manager.post(CREATE, form(post, port=str(port), security=security))
    assert answer.status_code == 303, said(answer)
    box = box_of(app)
    assert box and box.health == Health.CONNECTED and box.is_company_default
    assert box.password and PASSWORD.encode() not in box.password
    assert PASSWORD not in str(box.server)
    assert not post.desk.accepted
    words = manager.words("/settings")
    assert f"Connected: {OFFICE}" in words and "Change the password" in words


def test_a_staff_member_connects_their_own_and_no_others(app: Flask, post: Post) -> None:
    post.desk.add("nia@brightspark.example", "hers")
    person = visitor(app, nia)
    own = form(post, email="nia@brightspark.example", user="nia@brightspark.example")
    assert person.post(CREATE, {**own, "purpose": "company"}).status_code == 403
    answer = person.post(CREATE, {**own, "purpose": "own", "password": "hers"})
    assert answer.status_code == 303 and answer.location.endswith("/profile")
    box = box_of(app)
    assert box and box.owner_id is not None and not box.is_company_default
    assert visitor(app, olive).get(f"/mailboxes/{box.id}/password").status_code == 403


# What goes wrong: each its own sentence and its own next step; nothing is stored


def mishap(*told: Any, **more: Any) -> Callable[[Post], object]:
    return lambda post: post.desk.spoil(*told, **more)


FAILURES: list[tuple[str, Callable[[Post], object], dict[str, str], str, str]] = [
    ("wrong password", lambda _: None, {"password": "wrong"}, "does not accept", "password again"),
    ("wrong host", lambda _: None, {"host": "127.0.0.1.invalid"}, "no server called", "spelling"),
    ("closed port", lambda _: None, {"port": "9"}, "not take connections at port 9", "Try port"),
    ("inner host", lambda _: None, {"host": "127.0.0.2"}, "may not connect", "SMTP_ALLOWED_HOSTS"),
    ("other port", lambda _: None, {"port": "6379"}, "may not connect", "465, 587 or 2525"),
    ("silent", mishap("CONNECT", delay=60), {}, "did not answer", "few minutes"),
    ("expired", lambda post: post.show("expired"), {}, "has expired", "renew it"),
    ("self-signed", lambda post: post.show("self-signed"), {}, "signed by itself", "Use the name"),
    ("another's", lambda post: post.show("other-name"), {}, "another name", "Use the name"),
    ("no TLS", mishap("CONNECT", "220 plain"), {"starttls": "1"}, "STARTTLS", "never sends"),
    ("no mail", mishap("CONNECT", "SSH-2.0-x"), {}, "not a mail server", "Check the port"),
    ("app password", mishap("AUTH", "534 5.7.9 app password"), {}, "wants an app", "Make one"),
    ("passwords off", mishap("AUTH", "535 5.7.139 off"), {}, "any more", "Microsoft 365"),
    ("sender", mishap("MAIL", "553 not owned"), {}, "not send from this address", "belongs to"),
    ("busy", mishap("CONNECT", "421 busy"), {}, "no log-in just now", "few minutes"),
]


@pytest.mark.parametrize(
    ("spoil", "changed", "sentence", "step"),
    [one[1:] for one in FAILURES if one[0] != "no TLS"],
    ids=[one[0] for one in FAILURES if one[0] != "no TLS"],
)
def test_each_failure_says_what_it_is_and_what_to_do(
    app: Flask,
    manager: Visitor,
    post: Post,
    spoil: Callable[[Post], object],
    changed: dict[str, str],
    sentence: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere(monkeypatch)
    spoil(post)
    answer = manager.post(CREATE, form(post, **changed))
    words = said(answer)
    assert answer.status_code == 422 and sentence in words and step in words, words
    assert "mail.inner.lan" not in words and "Not connected yet" in words
    assert field(answer, "host") == changed.get("host", "127.0.0.1")
    assert field(answer, "password") == "" and PASSWORD not in answer.text
    assert box_of(app) is None and not post.desk.accepted


def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads nowhere."""
    known = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_without_encryption_the_password_is_not_told(
    app: Flask, manager: Visitor, post: Post
) -> None:
    post.desk.spoil("STARTTLS", "454 TLS not available")
    answer = manager.post(CREATE, form(post, port=str(post.port), security="starttls"))
    assert answer.status_code == 422 and post.desk.log_ins == 0
    answer = manager.post(CREATE, form(post, port=str(post.port), security="clear"))
    assert "never sends a password unencrypted" in said(answer) and post.desk.log_ins == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"port": "https"}, "Write the port as a number"),
        ({"host": "smtp://x"}, "server’s name alone"),
        ({"password": ""}, "Write the password."),
        ({"email": "nobody"}, "@"),
    ],
)
def test_what_cannot_be_is_said_before_anybody_is_asked(
    manager: Visitor, post: Post, changed: dict[str, str], sentence: str
) -> None:
    answer = manager.post(CREATE, form(post, **changed))
    assert answer.status_code == 422 and sentence in said(answer)
    assert post.desk.connections == 0


# A new password


def test_a_new_password_sends_what_waited(app: Flask, manager: Visitor, post: Post) -> None:
    manager.post(CREATE, form(post))
    box = box_of(app)
    assert box
    with app.app_context():
        dispatch_id = asked(document(), tom()).id
        row = db.session.get_one(Dispatch, dispatch_id)
        row.state, row.hold_code = State.HELD, "mailbox"
        db.session.get_one(Mailbox, box.id).health = Health.NEEDS_SIGN_IN
        db.session.commit()
    post.desk.add(OFFICE, "the new one")
    assert "The password is needed again" in manager.words("/settings")
    page = f"/mailboxes/{box.id}/password"
    assert "1 message waits" in manager.words(page)
    assert manager.post(page, form(post, password="wrong")).status_code == 422
    assert manager.post(page, form(post, password="the new one")).status_code == 303
    with app.app_context():
        assert mailboxes.all_mailboxes()[0].can_send
        assert db.session.get_one(Dispatch, dispatch_id).state == State.QUEUED


def test_a_disconnected_mailbox_forgets_its_password(
    app: Flask, manager: Visitor, post: Post
) -> None:
    manager.post(CREATE, form(post))
    box = box_of(app)
    assert box
    manager.post(f"/mailboxes/{box.id}/disconnection")
    found = box_of(app)
    assert found and found.password is None and not found.can_send
    assert re.search(rf"/mailboxes/{box.id}/password", manager.get("/settings").text)


# What comes in


@pytest.fixture
def inbox(post: Post) -> Iterator[Letterbox]:
    """Where the office's mail comes in, at the provider it leaves from."""
    with Letterbox(folder=post.authority.parent) as running:
        running.boxes.add(OFFICE, PASSWORD)
        yield running
    imap.forget_connections()


@pytest.fixture
def reading(config: Config, inbox: Letterbox) -> Config:
    """A portal that may read there too."""
    allowed = f"{config.SMTP_ALLOWED_HOSTS}, 127.0.0.1:{inbox.tls_port}"
    return config.model_copy(update={"SMTP_ALLOWED_HOSTS": allowed})


def test_a_mailbox_that_lets_itself_be_read_is_read_until_somebody_says_no(
    app: Flask, reading: Config, post: Post, inbox: Letterbox
) -> None:
    app.config["PORTAL"] = reading
    manager = visitor(app, olive)
    there = {"inbox": "127.0.0.1", "inbox_port": str(inbox.tls_port)}
    assert manager.post(CREATE, form(post, **there)).status_code == 303
    with app.app_context():
        box = db.session.scalars(select(Mailbox)).one()
        assert box.abilities.incoming is Access.WHOLE and box.read_at is not None
        inbox.boxes.deliver(OFFICE, b"Subject: Re: Invoice\r\n\r\nThank you\r\n")
        provider = mailboxes.provider_for(box)
        (one,) = provider.arrivals("", since=datetime.now(UTC) - timedelta(days=1)).ids
        assert dict(provider.incoming(one).headers) == {"Subject": "Re: Invoice"}
        path = f"/mailboxes/{box.id}/password"
    answer = manager.get(path)
    assert field(answer, "inbox_port") == str(inbox.tls_port)
    assert manager.post(path, form(post, inbox="")).status_code == 303
    with app.app_context():
        box = db.session.scalars(select(Mailbox)).one()
        assert box.read_at is None and box.abilities.incoming is Access.NONE
        assert box.health == Health.CONNECTED


def test_a_new_password_leaves_the_reading_as_it_was(app: Flask) -> None:
    """As by a reconnecting link, where nothing but the password is asked for."""
    server = Server("smtp.example.com", 465, Security.TLS, OFFICE)
    account = Account(OFFICE, OFFICE, "Bright Spark", "")
    with app.app_context():
        box = mailboxes.connect_server(account, server, "one", owner=None)
        mailboxes.let_read(box, Server("imap.example.com", 993, Security.TLS, OFFICE))
        box = mailboxes.connect_server(account, server, "two", owner=None)
        assert box.read_at == Server("imap.example.com", 993, Security.TLS, OFFICE)


@pytest.mark.parametrize(
    ("changed", "said_so"),
    [
        ({"inbox": "127.0.0.1", "inbox_port": "9"}, "does not take connections at port 9."),
        ({"inbox": "10.0.0.1"}, "The portal may not connect to 10.0.0.1"),
        ({"inbox": "no such place!"}, "Write the server’s name alone"),
        ({"inbox": "imap.example.com", "inbox_port": "many"}, "Write the port as a number"),
    ],
)
def test_a_wrong_server_for_incoming_mail_stores_nothing_and_says_what_to_do(
    app: Flask, manager: Visitor, post: Post, changed: dict[str, str], said_so: str
) -> None:
    answer = manager.post(CREATE, form(post, **changed))
    assert answer.status_code == 422 and said_so in said(answer)
    assert field(answer, "inbox") == changed["inbox"]
    assert box_of(app) is None
    if "!" not in changed["inbox"] and "many" not in changed.values():
        assert "Or leave it empty: mail leaves all the same." in said(answer)


def test_where_to_read_is_filled_in_where_it_is_known(manager: Visitor) -> None:
    answer = manager.get(f"{NEW}?purpose=company&email=bright.spark@fastmail.com")
    assert field(answer, "inbox") == "imap.fastmail.com"
    assert field(answer, "inbox_port") == "993"
    for one in presets.PRESETS:
        assert not (one.service and one.inbox)
