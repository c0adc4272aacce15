"""Through Microsoft 365 a dispatch leaves once and provably, whatever happens at each arrow."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from sqlalchemy import update

from portal import delivery, dispatch, evidence, mailboxes
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from tests import factories, servers
from tests.factories import OFFICE
from tests.office365 import Microsoft, connected

if TYPE_CHECKING:
    from portal.sandbox.microsoft import MicrosoftServer


@pytest.fixture
def microsoft(local_microsoft: "MicrosoftServer") -> Microsoft:
    found = Microsoft(local_microsoft.url)
    found.steer(send_delay=0.0)
    return found


@pytest.fixture
def app(database: str, redis_url: str, microsoft: Microsoft) -> Iterator[Flask]:
    with servers.sending(database, redis_url, "http://127.0.0.1:9", **microsoft.settings) as app:
        factories.bright_spark()
        yield app


@pytest.fixture
def office(app: Flask, microsoft: Microsoft) -> Mailbox:
    return connected(microsoft)


def drained(asked: Dispatch, most: int = 12) -> Dispatch:
    """Carried out as far as it goes by itself, by workers who wait for nothing."""
    for _ in range(most):
        delivery.drain()
        found = dispatch.load(asked.id)
        if found.state == State.ACCEPTED and found.proof != Proof.UNREAD:
            break
        db.session.execute(update(Dispatch).values(settle_after=now() - timedelta(seconds=1)).where(
            Dispatch.settle_after.is_not(None)))  # fmt: skip
        db.session.execute(update(Mailbox).values(paused_until=None, pause_note=""))
        db.session.commit()
    return dispatch.load(asked.id)


def test_a_document_leaves_once_and_its_from_is_proven(
    office: Mailbox, microsoft: Microsoft
) -> None:
    one = drained(factories.asked())
    assert (one.state, one.proof) == (State.ACCEPTED, Proof.MATCHES)
    assert one.provider_message_id == one.draft_id
    [sent] = microsoft.accepted()
    assert sent["headers"]["X-Sendwright-Dispatch"] == one.token
    assert sent["from"] == f"Bright Spark Plumbing <{OFFICE}>"


ARROWS = [
    *(("messages.create", kind) for kind in ("swallow", "504-after", "429", "cut-before")),
    *(("messages.send", kind) for kind in (
        "swallow", "504-before", "504-after", "cut-before", "429", "concurrent", "garbage", "401")),
    *(("messages.get", kind) for kind in ("swallow", "504-before", "429")),
]  # fmt: skip


@pytest.mark.sqlite_only
@pytest.mark.parametrize(("method", "kind"), ARROWS)
def test_whatever_happens_at_an_arrow_it_leaves_once(
    office: Mailbox, microsoft: Microsoft, method: str, kind: str
) -> None:
    microsoft.fault(method, kind)
    one = drained(factories.asked())
    assert (one.state, one.proof) == (State.ACCEPTED, Proof.MATCHES), one.state_note
    assert len(microsoft.accepted()) == 1


def test_what_leaves_a_moment_later_is_proven_a_moment_later(
    office: Mailbox, microsoft: Microsoft
) -> None:
    microsoft.steer(send_delay=30.0)
    asked = factories.asked()
    delivery.drain()
    one = dispatch.load(asked.id)
    assert (one.state, one.proof) == (State.ACCEPTED, Proof.UNREAD)
    microsoft.tell("clock", advance=31)
    assert drained(asked).proof == Proof.MATCHES


def test_an_unclear_one_is_looked_for_only_once_exchange_has_settled(
    office: Mailbox, microsoft: Microsoft, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its draft may still look unsent while it is already leaving."""
    config = app.config["PORTAL"]
    settling = config.model_copy(update={"MICROSOFT_SETTLES": 60.0})
    monkeypatch.setitem(app.config, "PORTAL", settling)
    microsoft.steer(send_delay=30.0)
    microsoft.fault("messages.send", "swallow")
    asked = factories.asked()
    delivery.drain()
    evidence.reconcile(asked.id)
    one = dispatch.load(asked.id)
    assert one.state == State.UNKNOWN and one.settle_tries == 0
    assert one.settle_after is not None and one.settle_after > now() + timedelta(seconds=30)
    monkeypatch.setitem(app.config, "PORTAL", config)
    microsoft.tell("clock", advance=31)
    assert drained(asked).state == State.ACCEPTED
    assert len(microsoft.accepted()) == 1


def test_what_was_taken_and_never_leaves_goes_to_a_person(
    office: Mailbox, microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "WAY_TRIES", 3)
    microsoft.fault("messages.send", "stuck")
    one = drained(factories.asked())
    assert (one.state, one.needs_person) == (State.UNKNOWN, True)
    assert "still lies in Drafts" in one.state_note
    assert microsoft.accepted() == []


def test_a_wait_named_with_an_acceptance_rests_the_mailbox_and_sends_nothing_twice(
    office: Mailbox, microsoft: Microsoft
) -> None:
    microsoft.fault("messages.send", "202-retry-after", delay=40)
    asked, other = factories.asked(), factories.asked(factories.document())
    delivery.drain()
    assert dispatch.load(asked.id).state == State.ACCEPTED
    assert dispatch.load(other.id).state == State.QUEUED
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert box.paused_until is not None and box.paused_until > now() + timedelta(seconds=30)
    assert drained(other).state == State.ACCEPTED
    assert len(microsoft.accepted()) == 2


def test_a_revoked_sign_in_holds_its_mail_until_somebody_signs_in_again(
    office: Mailbox, microsoft: Microsoft
) -> None:
    microsoft.tell("revoke", email=OFFICE, code=50173)
    asked = factories.asked()
    delivery.drain()
    assert dispatch.load(asked.id).state == State.HELD
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert box.health == Health.NEEDS_SIGN_IN
    assert box.why_not == f"{OFFICE} needs someone to sign in to Microsoft again."
    connected(microsoft)
    dispatch.release_ready()
    assert drained(asked).state == State.ACCEPTED
    assert len(microsoft.accepted()) == 1


def test_each_renewal_brings_a_new_sign_in_that_is_kept(
    office: Mailbox, microsoft: Microsoft
) -> None:
    before = mailboxes._opened(office, "refresh_token")
    token = mailboxes.access_token(office.id)
    assert mailboxes.access_token(office.id, refused=token) != token
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert mailboxes._opened(box, "refresh_token") != before


def test_an_address_that_is_not_allowed_holds_its_mail_alone(
    office: Mailbox, microsoft: Microsoft
) -> None:
    microsoft.fault("messages.send", "send-as-denied")
    asked = factories.asked()
    delivery.drain()
    one = dispatch.load(asked.id)
    assert (one.state, one.hold_code) == (State.HELD, "not_allowed")
    assert microsoft.accepted() == []
