"""A restored portal finds out what left after its backup, and sends none of it again; a copy of it
for trying out never sends at all.

The judge is always the local Google's own list of the messages it accepted.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import select, update

from portal import aftermath, batches, delivery, dispatch, instance, mailboxes, policy, restoration
from portal.dispatch import Proof, State
from portal.documents import Document
from portal.envelope import DISPATCH_HEADER
from portal.extensions import db
from portal.instance import Instance
from portal.mailboxes import Address, Health, Mailbox
from portal.providers.gmail import SEND_ONLY_SCOPES
from portal.sandbox.server import SandboxServer
from portal.senders import Mode
from tests import factories, servers

Restored = Callable[[], AbstractContextManager[None]]
BackUp = Callable[[], Restored]


@contextmanager
def portal_on(database: str, redis_url: str, google: SandboxServer) -> Iterator[None]:
    config = servers.config_of(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        SETTLE_GRACE="0",
        GMAIL_UNITS_PER_MINUTE="1000000",
        **servers.pointed_at(google.url),
    )
    with servers.inside(config):
        yield


@pytest.fixture
def office(database: str, redis_url: str, local_google: SandboxServer) -> Iterator[Mailbox]:
    """The company's mailbox, in the portal that will break down."""
    with portal_on(database, redis_url, local_google):
        box = factories.connected(local_google.url)
        assert instance.may_work()
        yield box


@pytest.fixture
def back_up(
    database: str,
    redis_url: str,
    local_google: SandboxServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[BackUp]:
    """Makes a backup now; what it gives opens the portal that is restored from it later."""
    with contextlib.ExitStack() as kept:

        def now() -> Restored:
            address = kept.enter_context(copied(database, tmp_path, request))
            return lambda: restored(address, redis_url, local_google)

        yield now


@contextmanager
def copied(database: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    db.session.remove()
    db.engine.dispose()
    if database.startswith("sqlite"):
        copy = folder / "restored.sqlite3"
        shutil.copy(database.removeprefix("sqlite:///"), copy)
        yield f"sqlite:///{copy}"
    else:
        server: servers.Postgres = request.getfixturevalue("postgres")
        with server.database("sendwright_restored", "sendwright_test") as address:
            yield address


@contextmanager
def restored(address: str, redis_url: str, google: SandboxServer) -> Iterator[None]:
    db.session.remove()
    with portal_on(address, redis_url, google):
        assert not instance.may_work()
        yield


def accepted(google: SandboxServer) -> list[str]:
    """The subjects of all that the local Google accepted, in order."""
    found = requests.get(f"{google.url}/_sandbox/accepted", timeout=5).json()
    return [one["headers"].get("Subject", "") for one in found]


def ask(subject: str, number: str = "") -> int:
    """Somebody asks for a sending; its number."""
    return factories.asked(factories.document(number=number or subject), subject=subject).id


def state(dispatch_id: int) -> tuple[str, bool]:
    """Where it stands, and whether a person must decide."""
    db.session.rollback()
    one = dispatch.load(dispatch_id)
    return one.state, one.needs_person


def strangers() -> list[tuple[str, int | None]]:
    found = [one for look in restoration.looks().values() for one in look.strangers]
    return [(one["subject"], one["document"]) for one in found]


# This is the real portal


def test_what_left_after_the_backup_is_settled_and_the_rest_leaves_once(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    ask("left before")
    delivery.drain()
    left_after, waiting = ask("left after"), ask("never left")
    quote_id = factories.document(number="asked after").id
    open_restored = back_up()
    delivery.send(left_after)
    quote = db.session.get_one(Document, quote_id)
    delivery.send(factories.asked(quote, subject="asked and left after").id)
    with open_restored():
        delivery.drain()
        assert len(accepted(local_google)) == 3, "a stopped portal has sent something"
        assert restoration.take_as_real(factories.olive())
        delivery.drain()
        assert instance.may_work() and instance.may_send()
        assert state(left_after) == (State.ACCEPTED, False)
        assert dispatch.load(left_after).proof == Proof.MATCHES
        assert strangers() == [("asked and left after", quote_id)]
        assert state(waiting) == (State.ACCEPTED, False)
        assert sorted(accepted(local_google)) == [
            "asked and left after",
            "left after",
            "left before",
            "never left",
        ]
        one = instance.this()
        assert (one.epoch, one.confirmed_by and one.confirmed_by.name) == (2, "Olive Park")
        restoration.have_seen()
        assert strangers() == []


@pytest.mark.sqlite_only
def test_what_people_did_since_the_restore_hides_nothing_of_what_left_before(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    left_after = ask("left after")
    open_restored = back_up()
    delivery.send(left_after)
    fill(local_google, 30)
    with open_restored():
        anew = ask("asked in the restored portal")
        restoration.take_as_real(None)
        restoration.settle()
        delivery.drain()
        assert state(left_after) == state(anew) == (State.ACCEPTED, False)
        assert accepted(local_google).count("left after") == 1


def fill(google: SandboxServer, count: int) -> None:
    """So many messages that somebody sent by hand."""
    box = db.session.scalars(select(Mailbox)).one()
    provider = mailboxes.provider_for(box)
    db.session.commit()
    for _ in range(count):
        provider.send(
            b"From: office@brightspark.example\r\nTo: mary@homes.example\r\n\r\nHello\r\n", "", []
        )


@pytest.mark.sqlite_only
def test_a_look_goes_on_where_it_was_interrupted(
    office: Mailbox,
    back_up: BackUp,
    local_google: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restoration, "CHUNK", 2)
    monkeypatch.setattr(restoration, "AGAIN", -1.0)
    asked = [ask(f"number {one}") for one in range(7)]
    open_restored = back_up()
    for one in asked:
        delivery.send(one)
    with open_restored():
        restoration.take_as_real(None)
        local_google.google.faults.add({"method": "messages.get", "kind": "429", "after": 6})
        restoration.settle()
        [look] = restoration.looks().values()
        assert (look.state, 0 < look.read < 7, bool(look.problem)) == ("reading", True, True)
        assert not instance.may_work()
        restoration.settle()
        assert instance.may_work()
        assert {state(one) for one in asked} == {(State.ACCEPTED, False)}
        [look] = restoration.looks().values()
        assert (look.state, look.read, look.settled) == ("done", 7, 7)


@pytest.mark.sqlite_only
def test_a_draft_made_after_the_backup_is_used_rather_than_a_second_one(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    asked = ask("drafted after")
    open_restored = back_up()
    local_google.google.faults.add({"method": "drafts.send", "kind": "cut-before"})
    delivery.send(asked)
    draft_id = dispatch.load(asked).draft_id
    with open_restored():
        restoration.take_as_real(None)
        restoration.settle()
        assert dispatch.load(asked).draft_id == draft_id is not None
        delivery.drain()
        assert accepted(local_google) == ["drafted after"]
        assert local_google.google.store.value("SELECT count(*) FROM drafts") == 0


def plant(google: SandboxServer, dispatch_id: int) -> Mailbox:
    """Tom connects his own Gmail, and puts what claims to be that sending into it."""
    toms = factories.connected(google.url, "tom@brightspark.example", owner=factories.tom())
    provider, token = mailboxes.provider_for(toms), dispatch.load(dispatch_id).token
    db.session.commit()
    marked = (
        f"From: tom@brightspark.example\r\nTo: nobody@homes.example\r\nSubject: planted\r\n"
        f"{DISPATCH_HEADER}: {token}\r\n\r\nHello\r\n"
    ).encode()
    provider.create_draft(marked)
    provider.send(marked, "", [])
    return toms


def test_a_mail_planted_in_ones_own_gmail_settles_nobodys_sending(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    asked, left = ask("never left"), ask("left after")
    toms = plant(local_google, asked)
    plant(local_google, left)
    open_restored = back_up()
    delivery.send(left)
    with open_restored():
        restoration.take_as_real(None)
        delivery.drain()
        assert instance.may_work()
        assert state(asked) == (State.UNKNOWN, True)
        one = dispatch.load(asked)
        assert (one.mailbox_id, one.draft_id) == (office.id, None)
        assert "“planted”, is in Sent of tom@brightspark.example" in one.events[-1].text
        assert state(left) == (State.ACCEPTED, False)  # the office's own Sent says so
        assert dispatch.load(left).mailbox_id == office.id != toms.id
        assert sorted(accepted(local_google)) == ["left after", "planted", "planted"]


@pytest.mark.sqlite_only
def test_what_no_mailbox_could_carry_yet_is_settled_by_the_mailbox_of_its_address(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    asked, of_nia = ask("never left"), ask("of another address")
    for dispatch_id, email in ((asked, "tom@brightspark.example"), (of_nia, "nia@x.example")):
        one = dispatch.load(dispatch_id)
        one.mailbox_id, one.from_email, one.state = None, email, State.HELD
    db.session.commit()
    open_restored = back_up()
    with open_restored():
        plant(local_google, asked)
        plant(local_google, of_nia)
        restoration.take_as_real(None)
        restoration.settle()
        assert state(asked) == (State.ACCEPTED, False)
        assert state(of_nia) == (State.UNKNOWN, True)


@pytest.mark.sqlite_only
def test_where_sent_cannot_be_read_a_person_decides(
    database: str, redis_url: str, back_up: BackUp, local_google: SandboxServer
) -> None:
    with portal_on(database, redis_url, local_google):
        factories.connected(local_google.url, scopes=SEND_ONLY_SCOPES)
        assert instance.may_work()
        asked = ask("left after")
        open_restored = back_up()
        delivery.send(asked)
        with open_restored():
            restoration.take_as_real(None)
            restoration.settle()
            delivery.drain()
            assert state(asked) == (State.UNKNOWN, True)
            assert accepted(local_google) == ["left after"]


def test_once_sent_can_be_read_it_tells_what_had_left(
    database: str, redis_url: str, back_up: BackUp, local_google: SandboxServer
) -> None:
    with portal_on(database, redis_url, local_google):
        factories.connected(local_google.url, scopes=SEND_ONLY_SCOPES)
        assert instance.may_work()
        left, never_left = ask("left after"), ask("never left")
        open_restored = back_up()
        delivery.send(left)
        with open_restored():
            restoration.take_as_real(factories.olive())
            restoration.settle()
            assert state(left) == state(never_left) == (State.UNKNOWN, True)
            aftermath.look()
            assert state(left) == (State.UNKNOWN, True)  # there is nothing new to look at
            fill(local_google, 3)
            factories.connected(local_google.url)
            delivery.drain()
            assert state(left) == (State.ACCEPTED, False)
            assert dispatch.load(left).proof == Proof.MATCHES
            assert state(never_left) == (State.UNKNOWN, True)  # that is still a person's to say
            told = "It is not in Sent of office@brightspark.example"
            assert told in dispatch.load(never_left).state_note
            assert [one.id for one in restoration.left_to_people()] == [never_left]
            assert "left after" in accepted(local_google)
            assert "never left" not in accepted(local_google)


@pytest.mark.sqlite_only
def test_a_late_look_reads_the_stretch_that_counts_and_goes_on_where_it_was_interrupted(
    database: str,
    redis_url: str,
    back_up: BackUp,
    local_google: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aftermath, "CHUNK", 1)
    monkeypatch.setattr(aftermath, "AGAIN", -1.0)
    with portal_on(database, redis_url, local_google):
        factories.connected(local_google.url, scopes=SEND_ONLY_SCOPES)
        assert instance.may_work()
        left = [ask(f"number {one}") for one in range(5)]
        open_restored = back_up()
        for one in left:
            delivery.send(one)
        with open_restored():
            restoration.take_as_real(None)
            restoration.settle()
            local_google.google.clock.advance(7200)
            fill(local_google, 6)  # sent long after the portal was confirmed
            factories.connected(local_google.url)
            local_google.google.faults.add({"method": "messages.get", "kind": "429", "after": 9})
            aftermath.look()
            settled = [one for one in left if state(one) == (State.ACCEPTED, False)]
            assert 0 < len(settled) < 5 and mailboxes.all_mailboxes()[0].is_paused
            db.session.execute(update(Mailbox).values(paused_until=None))
            db.session.commit()
            aftermath.look()
            assert {state(one) for one in left} == {(State.ACCEPTED, False)}


@pytest.mark.sqlite_only
def test_a_mailbox_that_cannot_be_opened_holds_the_rest_up_until_somebody_goes_on_without(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    asked = ask("nobody knows")
    open_restored = back_up()
    with open_restored():
        body = {"email": "office@brightspark.example"}
        requests.post(
            f"{local_google.url}/_sandbox/revoke", json=body, timeout=5
        ).raise_for_status()
        restoration.take_as_real(None)
        restoration.settle()
        [look] = restoration.looks().values()
        assert look.state == "stuck" and look.problem
        assert not instance.may_work()
        box = db.session.scalars(select(Mailbox)).one()
        assert restoration.go_without(box.id, factories.olive())
        db.session.query(Instance).update({"looking_until": None})
        db.session.commit()
        restoration.settle()
        assert instance.may_work()
        assert state(asked) == (State.UNKNOWN, True)


@pytest.mark.sqlite_only
def test_a_batch_that_was_frozen_and_sent_after_the_backup_is_not_frozen_again(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    olive = factories.olive()
    site = factories.hill_st()
    invoices = [factories.document(author=olive, site=site).id for _ in range(3)]
    batch = batches.make("November", olive)
    batches.fill(batch, select(Document.id), olive)
    batches.check(batch, olive)
    batches.complete(batch, olive, batch.version)
    open_restored = back_up()
    delivery.drain()
    sent = accepted(local_google)
    assert len(sent) == 3
    with open_restored():
        restoration.take_as_real(None)
        delivery.drain()
        assert instance.may_work()
        delivery.drain()
        assert accepted(local_google) == sent
        assert sorted(number for _, number in strangers() if number) == invoices
        items = db.session.scalars(select(batches.BatchItem)).all()
        assert {(one.state, one.problem) for one in items} == {
            (batches.ItemState.LEFT, restoration.LEFT_ALREADY)
        }


# What may have left through a mailbox that the backup does not know

NIA = "nia@brightspark.example"


def ask_as_nia(subject: str) -> int:
    """Nia asks for a sending that comes from whoever presses Send; its number."""
    policy.set_rule(policy.EVERY_KIND, Mode.USER)
    nia = factories.nia()
    return factories.asked(factories.document(author=nia), nia, subject=subject).id


def nia_connects(google: SandboxServer) -> None:
    factories.connected(google.url, NIA, owner=factories.nia())
    delivery.drain()
    delivery.drain()


def test_what_was_held_without_a_mailbox_and_left_through_one_connected_later_is_not_sent_again(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    held, waiting = ask_as_nia("held for Nia"), ask("for Tom")
    assert state(held)[0] == State.HELD
    open_restored = back_up()
    nia_connects(local_google)
    sent = accepted(local_google)
    assert len(sent) == 2 and state(held)[0] == State.ACCEPTED
    with open_restored():
        assert restoration.unseen() == 1
        assert restoration.take_as_real(factories.olive())
        delivery.drain()
        assert instance.may_work()
        assert (state(held), state(waiting)) == ((State.UNKNOWN, True), (State.ACCEPTED, False))
        assert NIA in dispatch.load(held).state_note
        assert [one.id for one in restoration.left_to_people()] == [held]
        db.session.rollback()
        nia_connects(local_google)
        assert accepted(local_google) == sent
        assert state(held) == (State.ACCEPTED, False)  # by its copy in Nia's Sent


@pytest.mark.sqlite_only
def test_what_waited_for_an_address_that_one_mailbox_was_to_have_may_have_left_through_another(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    db.session.add(Address(mailbox_id=office.id, email=NIA, name="Nia", verification="pending"))
    db.session.commit()
    held = ask_as_nia("held for Nia")
    assert dispatch.load(held).mailbox_id == office.id
    open_restored = back_up()
    nia_connects(local_google)
    sent = accepted(local_google)
    with open_restored():
        restoration.take_as_real(None)
        restoration.settle()
        assert state(held) == (State.UNKNOWN, True)
        nia_connects(local_google)
        assert accepted(local_google) == sent == ["held for Nia"]


@pytest.mark.sqlite_only
def test_a_mailbox_that_is_connected_again_beforehand_is_looked_through_too(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    left, never_left = ask_as_nia("left"), ask_as_nia("never left")
    open_restored = back_up()
    dispatch.decide([dispatch.load(never_left)], dispatch.Deed.HOLD, factories.nia())
    nia_connects(local_google)
    assert accepted(local_google) == ["left"]
    with open_restored():
        factories.connected(local_google.url, NIA, owner=factories.nia())
        assert restoration.unseen() == 0
        restoration.take_as_real(None)
        restoration.settle()
        delivery.drain()
        delivery.drain()
        assert state(left) == state(never_left) == (State.ACCEPTED, False)
        assert accepted(local_google) == ["left", "never left"]


@pytest.mark.sqlite_only
def test_a_mailbox_that_nobody_was_signed_in_to_at_the_backup_hides_what_left_through_it(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    nias = factories.connected(local_google.url, NIA, owner=factories.nia())
    mailboxes.disconnect(nias)
    policy.set_rule(policy.EVERY_KIND, Mode.SPECIFIED, "sales@brightspark.example")
    held = ask("from sales")
    open_restored = back_up()
    with open_restored():
        restoration.take_as_real(None)
        restoration.settle()
        assert [one.state for one in restoration.looks().values()] == ["done", "closed"]
        assert state(held) == (State.UNKNOWN, True)


@pytest.mark.sqlite_only
def test_documents_of_a_batch_that_wait_for_a_mailbox_are_left_to_a_person(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    nia, site = factories.nia(), factories.hill_st()
    policy.set_rule(policy.EVERY_KIND, Mode.USER)
    invoice = factories.document(author=nia, site=site).id
    batch = batches.make("November", nia)
    batches.fill(batch, select(Document.id), nia)
    batches.check(batch, nia)
    batches.complete(batch, nia, batch.version)
    open_restored = back_up()
    nia_connects(local_google)
    sent = accepted(local_google)
    assert len(sent) == 1
    with open_restored():
        assert restoration.unseen() == 1
        restoration.take_as_real(None)
        restoration.settle()
        assert list(restoration.left_of_batches()) == [invoice]
        db.session.rollback()
        nia_connects(local_google)
        assert accepted(local_google) == sent


@pytest.mark.sqlite_only
def test_no_batch_sends_what_left_after_the_backup_and_is_not_known_here(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    olive, site = factories.olive(), factories.hill_st()
    invoice_id = factories.document(author=olive, site=site).id
    open_restored = back_up()
    invoice = db.session.get_one(Document, invoice_id)
    delivery.send(factories.asked(invoice, olive, subject="asked after").id)
    with open_restored():
        restoration.take_as_real(None)
        restoration.settle()
        restoration.have_seen()
        batch = batches.make("November", factories.olive())
        batches.fill(batch, select(Document.id), factories.olive())
        batches.check(batch, factories.olive())
        item = db.session.scalars(select(batches.BatchItem)).one()
        assert (item.state, item.problem_code) == (batches.ItemState.BLOCKED, "left_before")


# This is a copy


def test_a_copy_for_trying_out_forgets_its_sign_ins_and_leaves_the_real_one_alone(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    sent, waiting, drafted = ask("sent"), ask("waiting"), ask("drafted")
    delivery.send(sent)
    local_google.google.faults.add({"method": "drafts.send", "kind": "cut-before"})
    delivery.send(drafted)
    open_restored = back_up()
    with open_restored():
        assert restoration.take_as_copy(factories.olive())
        delivery.drain()
        assert {state(one)[0] for one in (waiting, drafted)} == {State.CANCELLED}
        box = db.session.scalars(select(Mailbox)).one()
        assert (box.health, box.refresh_token) == (Health.DISCONNECTED, None)
        assert not restoration.take_as_real(None)
        db.session.rollback()
        assert db.session.get_one(Document, dispatch.load(waiting).document_id).email_status == (
            State.CANCELLED
        )
        db.session.rollback()
    assert local_google.google.store.value("SELECT count(*) FROM drafts") == 1
    assert local_google.google.store.value("SELECT count(*) FROM grants WHERE dead IS NULL") == 1


@pytest.mark.sqlite_only
def test_disconnecting_in_a_restored_portal_takes_nothing_from_the_real_one(
    office: Mailbox, back_up: BackUp, local_google: SandboxServer
) -> None:
    open_restored = back_up()
    with open_restored():
        mailboxes.disconnect(db.session.scalars(select(Mailbox)).one())
    assert local_google.google.store.value("SELECT count(*) FROM grants WHERE dead IS NULL") == 1


@pytest.mark.sqlite_only
def test_nothing_is_said_of_a_portal_that_is_not_stopped(office: Mailbox) -> None:
    asked = ask("waiting")
    assert not restoration.take_as_copy(None) and not restoration.take_as_real(None)
    db.session.rollback()
    assert state(asked) == (State.QUEUED, False)
