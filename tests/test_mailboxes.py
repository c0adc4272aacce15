"""A mailbox is connected, renewed and let go without losing, mixing up or telling a token."""

import base64
import logging
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from sqlalchemy import inspect, text

from portal import mailboxes, vault
from portal.columns import now
from portal.config import Config
from portal.envelope import (
    NeedsSignIn,
    OperatorProblem,
    TryLater,
)
from portal.extensions import db
from portal.mailboxes import CannotConnect, Health, Mailbox
from portal.providers import google
from portal.providers.gmail import FULL_SCOPES, SCOPE, SEND_ONLY_SCOPES, Gmail
from portal.providers.signing import Account, Grant
from portal.senders import trouble_with
from portal.vault import CannotOpen
from tests import factories, servers
from tests.asking import queries
from tests.factories import OFFICE

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

TOM = "tom@brightspark.example"


@pytest.fixture
def app(database: str, redis_url: str, local_google: "SandboxServer") -> Iterator[Flask]:
    config = servers.config_of(
        DATABASE_URL=database, REDIS_URL=redis_url, **servers.pointed_at(local_google.url)
    )
    made = servers.make_app(config)
    with made.app_context():
        factories.bright_spark()
        yield made
        db.session.remove()
        db.engine.dispose()


def account(sub: str = "1001", email: str = OFFICE) -> Account:
    return Account(sub, email, "Bright Spark Plumbing", "brightspark.example")


def grant(name: str = "one", refresh: str | None = None, scopes: Any = FULL_SCOPES) -> Grant:
    return Grant(f"access-{name}", f"refresh-{name}" if refresh is None else refresh, 3599,
                 frozenset(scopes))  # fmt: skip


def connect(given: Grant | None = None, **chosen: Any) -> Mailbox:
    return mailboxes.connect(account(), given or grant(), owner=None, **chosen)


def row(box_id: int) -> dict[str, Any]:
    box = fresh(box_id)
    found = {one.key: getattr(box, one.key) for one in inspect(Mailbox).column_attrs}
    db.session.commit()
    return found


def fresh(box_id: int) -> Mailbox:
    return db.session.get_one(Mailbox, box_id, populate_existing=True)


def expire(box_id: int) -> None:
    fresh(box_id).access_expires_at = now() - timedelta(seconds=1)
    db.session.commit()


def keys(app: Flask, monkeypatch: pytest.MonkeyPatch, **named: int) -> None:
    """Give the portal other TOKEN_KEYS, by name and byte."""
    config: Config = app.config["PORTAL"]
    made = {name: bytes([byte] * 32) for name, byte in named.items()}
    monkeypatch.setitem(app.config, "PORTAL", config.model_copy(update={"TOKEN_KEYS": made}))


# -- connecting -----


def test_the_first_company_mailbox_is_the_default_one(app: Flask) -> None:
    first = connect()
    other = mailboxes.connect(account("1002", TOM), grant("two"), owner=None)
    assert (first.is_company_default, other.is_company_default) == (True, False)
    mailboxes.make_default(other)
    assert [one.id for one in mailboxes.company_mailboxes()] == [other.id, first.id]


def test_coming_back_as_another_account_is_refused_and_changes_nothing(app: Flask) -> None:
    box = connect()
    before = row(box.id)
    with pytest.raises(CannotConnect, match=rf"{TOM}.*{OFFICE}.*Nothing was changed"):
        mailboxes.connect(account("1002", TOM), grant("two"), owner=None, expected=box)
    assert row(box.id) == before
    assert len(mailboxes.all_mailboxes()) == 1


def test_an_account_has_one_owner_and_a_person_one_mailbox(app: Flask) -> None:
    connect()
    tom = factories.tom()
    with pytest.raises(CannotConnect, match="the company"):
        mailboxes.connect(account(), grant("two"), owner=tom)
    own = mailboxes.connect(account("1002", TOM), grant("two"), owner=tom)
    with pytest.raises(CannotConnect, match="Tom Baker"):
        mailboxes.connect(account("1002", TOM), grant("three"), owner=factories.nia())
    with pytest.raises(CannotConnect, match="Disconnect it first"):
        mailboxes.connect(account("1003", "x@y.example"), grant("three"), owner=tom)
    assert mailboxes.mailbox_of(tom) is own
    assert not mailboxes.may_manage(own, factories.olive())
    assert mailboxes.may_manage(own, tom)


def test_without_lasting_permission_nothing_is_stored(app: Flask) -> None:
    with pytest.raises(CannotConnect, match="no lasting permission"):
        connect(grant(refresh=""))
    assert mailboxes.all_mailboxes() == []
    box = connect()
    connect(grant("two", refresh=""))
    assert mailboxes._opened(fresh(box.id), "refresh_token") == "refresh-one"
    assert mailboxes.access_token(box.id) == "access-two"


def test_boxes_left_unticked_are_known(app: Flask) -> None:
    unticked = set(FULL_SCOPES) - {SCOPE + "settings.basic"}
    box = connect(grant(scopes=unticked))
    assert box.missing_scopes == [SCOPE + "settings.basic"]
    assert box.can_send and not box.can_list_addresses
    box = connect(grant(scopes=("openid", "email")))
    assert box.health == Health.PERMISSION_MISSING
    assert not box.can_send
    assert "permission to send" in box.why_not
    assert connect().health == Health.CONNECTED


def test_an_account_that_got_another_address_sends_as_the_new_one_only(app: Flask) -> None:
    mailboxes.connect(account(), grant(scopes=SEND_ONLY_SCOPES), owner=None)
    renamed = account(email="hello@brightspark.example")
    box = mailboxes.connect(renamed, grant(scopes=SEND_ONLY_SCOPES), owner=None)
    primary = [one.email for one in mailboxes.send_from_addresses() if one.is_primary]
    assert primary == ["hello@brightspark.example"]
    trouble, sentence = trouble_with(OFFICE, mailboxes.send_from(fresh(box.id), OFFICE))
    assert trouble and OFFICE in sentence


# -- addresses -----


def test_the_list_of_gmail_becomes_the_addresses(app: Flask, local_google: "SandboxServer") -> None:
    box = factories.connected(local_google.url)
    states = {one.email: one.verification for one in box.addresses}
    assert states[OFFICE] == states[TOM] == "accepted"
    wanted = mailboxes.want_address(box, "Accounts@BrightSpark.example")
    put(local_google, "accounts@brightspark.example", "pending")
    assert mailboxes.refresh_addresses(fresh(box.id)) == []
    assert wanted.verification == "pending"
    put(local_google, "accounts@brightspark.example", "blank")
    [accepted] = mailboxes.refresh_addresses(fresh(box.id))
    assert accepted.id == wanted.id
    drop(local_google, TOM)
    mailboxes.refresh_addresses(fresh(box.id))
    found = mailboxes.send_from(fresh(box.id), TOM.upper())
    assert found is not None and found.verification == "lost"


def test_an_empty_list_takes_no_address_away(
    app: Flask, local_google: "SandboxServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    box = factories.connected(local_google.url)
    before = mailboxes.send_from_addresses()
    monkeypatch.setattr(Gmail, "_call", lambda *_, **__: {})
    with pytest.raises(TryLater):
        mailboxes.refresh_addresses(box)
    assert mailboxes.send_from_addresses() == before


def test_what_can_no_longer_be_seen_is_not_called_ready(
    app: Flask, local_google: "SandboxServer"
) -> None:
    factories.connected(local_google.url)
    box = factories.connected(local_google.url, scopes=SEND_ONLY_SCOPES)
    trouble, sentence = trouble_with(TOM, mailboxes.send_from(box, TOM))
    assert trouble == "unseen" and TOM in sentence
    assert trouble_with(OFFICE, mailboxes.send_from(box, OFFICE)) == (None, "")
    factories.connected(local_google.url)
    assert trouble_with(TOM, mailboxes.send_from(fresh(box.id), TOM)) == (None, "")


def test_two_who_read_the_list_at_once_both_succeed(
    app: Flask, local_google: "SandboxServer"
) -> None:
    box_id = factories.connected(local_google.url).id
    for n in range(3):
        put(local_google, f"new{n}@brightspark.example", "accepted")
    db.session.commit()
    found = together(app, 4, lambda: len(mailboxes.refresh_addresses(fresh(box_id))))
    assert sorted(found) == [0, 0, 0, 3]
    names = [one.email for one in fresh(box_id).addresses]
    assert len(names) == len(set(names))


# -- tokens -----


def test_however_many_need_a_token_google_is_asked_once(
    app: Flask, local_google: "SandboxServer"
) -> None:
    box_id = factories.connected(local_google.url).id
    old = mailboxes.access_token(box_id)
    expire(box_id)
    asked = calls(local_google)
    tokens = together(app, 6, lambda: mailboxes.access_token(box_id))
    assert len(set(tokens)) == 1 and tokens[0] != old
    assert calls(local_google) == asked + 1
    refused = tokens[0]
    tokens = together(app, 6, lambda: mailboxes.access_token(box_id, refused=refused))
    assert len(set(tokens)) == 1 and tokens[0] != refused
    assert mailboxes.access_token(box_id, refused=refused) == tokens[0]
    assert calls(local_google) == asked + 2


def test_a_rotated_refresh_token_replaces_the_old_one(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = connect()
    expire(box.id)
    monkeypatch.setattr(google, "refresh", lambda secret: grant("two"))
    assert mailboxes.access_token(box.id) == "access-two"
    assert mailboxes._opened(fresh(box.id), "refresh_token") == "refresh-two"


def test_a_refusal_of_the_old_token_does_not_undo_a_new_sign_in(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = connect()
    expire(box.id)

    def refused_while_she_signs_in(secret: str) -> Grant:
        connect(grant("two"))
        raise NeedsSignIn("no longer accepted")

    monkeypatch.setattr(google, "refresh", refused_while_she_signs_in)
    assert mailboxes.access_token(box.id) == "access-two"
    assert fresh(box.id).health == Health.CONNECTED


def test_no_other_google_is_ever_offered_a_token(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, tom = connect(), factories.tom()
    own = mailboxes.connect(account("1002", TOM), grant("own"), owner=tom)
    expire(box.id)
    here: Config = app.config["PORTAL"]
    offered: list[str] = []

    def offer(secret: str) -> Grant:
        offered.append(secret)
        return grant("two")

    monkeypatch.setattr(google, "refresh", offer)
    monkeypatch.setattr(google, "revoke", offer)
    elsewhere = here.model_copy(update={"GOOGLE_DISCOVERY_URL": "https://other.example/x"})
    monkeypatch.setitem(app.config, "PORTAL", elsewhere)
    for one in (box, own):  # one has to be renewed, the other's access is still good
        with pytest.raises(NeedsSignIn, match=r"was connected at another Google than the one"):
            mailboxes.access_token(one.id)
        with pytest.raises(NeedsSignIn):
            mailboxes.refresh_addresses(fresh(one.id))
        assert not fresh(one.id).can_send and "another Google" in fresh(one.id).why_not
    with pytest.raises(CannotConnect, match=r"another Google.*Nothing was changed"):
        connect(grant("three"), expected=fresh(box.id))
    same_number = mailboxes.connect(account("1002", TOM), grant("new"), owner=tom)
    assert same_number.id != own.id and mailboxes.mailbox_of(tom) is same_number
    assert not mailboxes.disconnect(fresh(own.id))
    assert offered == []
    monkeypatch.setitem(app.config, "PORTAL", here)
    assert fresh(box.id).can_send and fresh(box.id).why_not == ""
    assert mailboxes.access_token(box.id) == "access-two"
    assert offered == ["refresh-one"]


def test_a_late_answer_does_not_overwrite_a_new_sign_in_or_outlive_a_disconnection(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = connect()
    expire(box.id)

    def renewed_while(act: Any) -> Any:
        def refresh(secret: str) -> Grant:
            act()
            return Grant("late-access", "late-refresh", 3599, frozenset())

        return refresh

    monkeypatch.setattr(google, "refresh", renewed_while(lambda: connect(grant("two"))))
    assert mailboxes.access_token(box.id) == "access-two"
    assert mailboxes._opened(fresh(box.id), "refresh_token") == "refresh-two"
    expire(box.id)
    monkeypatch.setattr(google, "revoke", lambda token: True)
    gone = renewed_while(lambda: mailboxes.disconnect(fresh(box.id)))
    monkeypatch.setattr(google, "refresh", gone)
    with pytest.raises(NeedsSignIn):
        mailboxes.access_token(box.id)
    assert fresh(box.id).access_token is None


def test_a_dead_sign_in_is_remembered_and_a_passing_trouble_is_not(
    app: Flask, local_google: "SandboxServer"
) -> None:
    box_id = factories.connected(local_google.url).id
    for kind, expected in (("500-before", TryLater), ("429", TryLater), ("garbage", TryLater)):
        expire(box_id)
        fault(local_google, "token", kind)
        with pytest.raises(expected):
            mailboxes.access_token(box_id)
        assert row(box_id)["health"] == Health.CONNECTED
        assert row(box_id)["refresh_until"] is None
    requests.post(f"{local_google.url}/_sandbox/revoke", json={"email": OFFICE}, timeout=5)
    with pytest.raises(NeedsSignIn):
        mailboxes.access_token(box_id)
    assert row(box_id)["health"] == Health.NEEDS_SIGN_IN
    assert row(box_id)["refresh_until"] is None


def test_only_its_holder_ends_a_refresh_lease_and_a_dead_holder_is_succeeded(app: Flask) -> None:
    box = connect()
    assert mailboxes._take_refresh_lease(box.id, "first")
    assert not mailboxes._take_refresh_lease(box.id, "second")
    fresh(box.id).refresh_until = now() - timedelta(seconds=5)
    db.session.commit()
    assert mailboxes._take_refresh_lease(box.id, "second")
    mailboxes._end_refresh_lease(box.id, "first")
    assert row(box.id)["refresh_holder"] == "second"
    mailboxes._end_refresh_lease(box.id, "second")
    assert row(box.id)["refresh_until"] is None


def test_disconnecting_forgets_the_tokens_and_tells_google(
    app: Flask, local_google: "SandboxServer"
) -> None:
    box = factories.connected(local_google.url)
    assert mailboxes.disconnect(box)
    found = row(box.id)
    assert found["access_token"] is found["refresh_token"] is None
    assert found["health"] == Health.DISCONNECTED
    state = requests.get(f"{local_google.url}/_sandbox/state", timeout=5).json()
    assert [one["tokens"] for one in state["accounts"] if one["email"] == OFFICE] == [0]
    with pytest.raises(NeedsSignIn, match="was disconnected"):
        mailboxes.access_token(box.id)


# -- secrets at rest -----


def test_tokens_stand_nowhere_in_clear(
    app: Flask, local_google: "SandboxServer", database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        box_id = factories.connected(local_google.url).id
        tokens = ("access_token", "refresh_token")
        secrets = {mailboxes._opened(fresh(box_id), one) for one in tokens}
        expire(box_id)
        secrets.add(mailboxes.access_token(box_id))
        fault(local_google, "token", "revoked")
        with pytest.raises(NeedsSignIn):
            mailboxes.access_token(box_id, refused=mailboxes.access_token(box_id))
    assert len(secrets) == 3
    stored = everything_stored(database)
    for secret in secrets:
        assert secret.encode() not in stored
        assert base64.b64encode(secret.encode())[:40] not in stored
        assert secret.encode().hex().encode() not in stored
        assert secret not in caplog.text
    assert b"office@brightspark.example" in stored  # or it looked in the wrong place


def test_a_token_moved_to_another_mailbox_does_not_open(app: Flask) -> None:
    box = connect()
    other = mailboxes.connect(account("1002", TOM), grant("two"), owner=None)
    other.access_token = box.access_token
    db.session.commit()
    with pytest.raises(OperatorProblem):
        mailboxes.access_token(other.id)


def test_keys_are_rotated_and_an_interruption_is_made_good(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(app, monkeypatch, old=1)
    boxes = [mailboxes.connect(account(str(n), f"b{n}@brightspark.example"), grant(str(n)),
                               owner=None).id for n in range(3)]  # fmt: skip
    keys(app, monkeypatch, new=2, old=1)
    real, left = vault.seal, iter(range(3))

    def ends_midway(*args: Any) -> bytes:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(vault, "seal", ends_midway)
    with pytest.raises(KeyboardInterrupt):
        mailboxes.rotate_keys()
    db.session.rollback()
    monkeypatch.setattr(vault, "seal", real)
    assert [mailboxes.access_token(one) for one in boxes] == [f"access-{n}" for n in range(3)]
    assert mailboxes.rotate_keys() == 4
    assert mailboxes.rotate_keys() == 0
    keys(app, monkeypatch, new=2)
    mailboxes.refuse_unreadable()
    assert [mailboxes.access_token(one) for one in boxes] == [f"access-{n}" for n in range(3)]


def test_one_token_that_does_not_open_stops_the_start(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(app, monkeypatch, old=1, new=2)
    connect()
    keys(app, monkeypatch, new=2)
    mailboxes.connect(account("1002", TOM), grant("two"), owner=None)
    with pytest.raises(CannotOpen, match="old"):
        mailboxes.refuse_unreadable()


def test_a_wrong_key_is_no_dead_sign_in_and_can_be_disconnected(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = connect()
    keys(app, monkeypatch, test=9)
    with pytest.raises(OperatorProblem, match="TOKEN_KEYS"):
        mailboxes.access_token(box.id)
    assert row(box.id)["health"] == Health.CONNECTED
    assert row(box.id)["refresh_until"] is None
    assert not mailboxes.disconnect(fresh(box.id))
    assert row(box.id)["refresh_token"] is None


@pytest.mark.sqlite_only
def test_a_worker_with_the_wrong_key_refuses_to_start(
    app: Flask, database: str, redis_url: str
) -> None:
    connect()
    wrong = "test:" + base64.b64encode(bytes(32)).decode()
    environ = servers.settings(DATABASE_URL=database, REDIS_URL=redis_url, TOKEN_KEYS=wrong)
    ended = servers.run_python("worker.py", environ={"PATH": os.environ["PATH"], **environ})
    assert ended.returncode == 2
    assert "TOKEN_KEYS does not fit" in ended.stderr
    assert "Traceback" not in ended.stderr


# -- helpers -----


def together(app: Flask, number: int, act: Any) -> list[Any]:
    """The act, in so many threads at once; what each returned or raised."""
    start, found = threading.Barrier(number), []

    def run() -> None:
        with app.app_context():
            start.wait(10)
            try:
                found.append(act())
            except Exception as problem:
                found.append(problem)
            db.session.remove()

    db.session.commit()
    threads = [threading.Thread(target=run) for _ in range(number)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert len(found) == number
    return found


def everything_stored(database: str) -> bytes:
    if database.startswith("sqlite"):
        path = Path(database.removeprefix("sqlite:///"))
        return b"".join(one.read_bytes() for one in path.parent.glob(path.name + "*"))
    tables = ("mailboxes", "addresses", "events", "attempts", "users")
    found = [db.session.execute(text(f"SELECT t::text FROM {one} t")).all() for one in tables]
    db.session.commit()
    return repr(found).encode()


def calls(google_: "SandboxServer") -> int:
    state = requests.get(f"{google_.url}/_sandbox/state", timeout=5).json()
    return int(state["calls"].get("token", 0))


def fault(google_: "SandboxServer", method: str, kind: str) -> None:
    body = {"method": method, "kind": kind}
    assert requests.post(f"{google_.url}/_sandbox/faults", json=body, timeout=5).ok


def put(google_: "SandboxServer", email: str, status: str) -> None:
    body = {"account": OFFICE, "email": email, "status": status}
    assert requests.post(f"{google_.url}/_sandbox/aliases", json=body, timeout=5).ok


def drop(google_: "SandboxServer", email: str) -> None:
    body = {"account": OFFICE, "email": email}
    assert requests.delete(f"{google_.url}/_sandbox/aliases", json=body, timeout=5).ok


def test_reading_the_addresses_asks_as_much_for_many_people_as_for_one(app: Flask) -> None:
    def connected(first: str) -> int:
        owner = factories.person(first, first.capitalize())
        box = Mailbox(account_sub=first, email=owner.email, owner_id=owner.id)
        box.addresses = [mailboxes.Address(email=owner.email, verification="accepted")]
        db.session.add(box)
        db.session.commit()
        return queries(mailboxes.send_from_addresses)

    assert connected("tom") == connected("nia") == connected("max")
    assert all(one.owner_email == one.email for one in mailboxes.send_from_addresses())
