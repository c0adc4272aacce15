"""What Gmail shows of a dispatch is found among thousands, and for little of the quota."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from portal import attempts, delivery, dispatch, evidence, mailboxes
from portal.dispatch import Proof, State
from portal.envelope import DISPATCH_HEADER, SentCopy
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers.sent import SentList
from portal.sandbox import mailbox as gmail_mailbox
from portal.sandbox.google import LocalGoogle
from portal.sandbox.mime import Head
from portal.sandbox.quota import UNITS
from portal.sandbox.server import SandboxServer
from tests import factories, servers

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


# The list of Sent, as pure data


def copies(*minutes: int) -> dict[str, SentCopy]:
    """Sent copies by id, newest first; each was taken so many minutes after noon."""
    return {
        f"copy-{place}": SentCopy(f"copy-{place}", "", "", at=NOON + timedelta(minutes=one))
        for place, one in enumerate(sorted(minutes, reverse=True))
    }


def listed(sent: dict[str, SentCopy], gone: set[str], page: int = 3) -> SentList:
    ids = list(sent)
    pages = (ids[start : start + page] for start in range(0, len(ids), page))
    return SentList(pages, lambda one: None if one in gone else sent[one], 1000)


MINUTES = st.lists(st.integers(-300, 300), max_size=60)


@given(MINUTES, st.integers(-300, 300), st.sets(st.integers(0, 59)))
def test_all_that_was_sent_since_a_moment_is_listed(
    minutes: list[int], since: int, thrown_away: set[int]
) -> None:
    sent, moment = copies(*minutes), NOON + timedelta(minutes=since)
    gone = {f"copy-{one}" for one in thrown_away}
    wanted = [one.message_id for one in sent.values() if one.at and one.at >= moment]
    found = listed(sent, gone).since(moment)
    assert set(found) - gone == set(wanted) - gone


@given(MINUTES, st.integers(-300, 300), st.sets(st.integers(0, 59)))
def test_the_copies_around_a_moment_are_all_read_the_nearest_first(
    minutes: list[int], since: int, thrown_away: set[int]
) -> None:
    sent, moment = copies(*minutes), NOON + timedelta(minutes=since)
    gone = {f"copy-{one}" for one in thrown_away}
    back, ahead = timedelta(minutes=5), timedelta(minutes=15)
    wanted = {
        one.message_id
        for one in sent.values()
        if one.at and moment - back <= one.at < moment + ahead and one.message_id not in gone
    }
    assert wanted <= {one.message_id for one in listed(sent, gone).around(moment, back, ahead)}


# A busy mailbox


@pytest.fixture
def app(database: str, redis_url: str, local_google: SandboxServer) -> Iterator[Flask]:
    config = servers.config_of(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        PROVIDER_TIMEOUT="2",
        LEASE_SECONDS="10",
        SETTLE_GRACE="0",
        **servers.pointed_at(local_google.url),
    )
    with servers.inside(config) as made:
        yield made


@pytest.fixture
def office(app: Flask, local_google: SandboxServer) -> Mailbox:
    return factories.connected(local_google.url)


def fill_sent(google: LocalGoogle, count: int, first: float, every: float) -> None:
    """So many messages in the office's Sent, one each so many seconds, by Gmail's clock."""
    account_id = google.store.value(
        "SELECT id FROM accounts WHERE email = 'office@brightspark.example'"
    )
    head = Head.parse(b"From: office@brightspark.example\r\nX-Sendwright-Dispatch: another's\r\n")
    with google.store.transaction():
        body = gmail_mailbox.store_body(google.store, b"Hello")
        for number in range(count):
            gmail_mailbox.put(
                google.store, account_id, head, (body, 5), ("SENT",), first + number * every
            )


@pytest.mark.sqlite_only
def test_a_copy_is_found_among_thousands_for_a_small_part_of_the_quota(
    office: Mailbox, local_google: SandboxServer
) -> None:
    google = local_google.google
    fill_sent(google, 3000, time.time() - 3600, 1)
    local_google.google.faults.add({"method": "drafts.send", "kind": "swallow"})
    unclear = factories.asked()
    attempts.send(unclear.id)
    fill_sent(google, 2000, google.clock.now() + 1, 1)  # what a fast mailbox sent meanwhile
    google.calls.clear()
    evidence.reconcile(unclear.id)
    found = dispatch.load(unclear.id)
    assert (found.state, found.proof) == (State.ACCEPTED, Proof.MATCHES)
    units = sum(UNITS.get(name, 1) * count for name, count in google.calls.items())
    assert units < 1000, dict(google.calls)


@pytest.mark.sqlite_only
def test_what_is_not_there_is_looked_for_among_a_bounded_number(
    office: Mailbox, local_google: SandboxServer
) -> None:
    fill_sent(local_google.google, 2000, time.time() - 1000, 1)
    provider = mailboxes.provider_for(office)
    local_google.google.calls.clear()
    assert provider.find_sent("nobody's", datetime.now(UTC)) is None
    assert local_google.google.calls["messages.get"] < 300


@pytest.mark.sqlite_only
def test_a_draft_that_its_owner_sent_by_hand_is_told_from_one_that_is_lost(
    office: Mailbox, local_google: SandboxServer
) -> None:
    local_google.google.faults.add({"method": "drafts.send", "kind": "cut-before"})
    asked = factories.asked()
    attempts.send(asked.id)
    found = dispatch.load(asked.id)
    assert found.state == State.UNKNOWN and found.draft_id
    mailboxes.provider_for(office).send_draft(found.draft_id)
    delivery.drain()
    found = dispatch.load(asked.id)
    assert (found.state, found.attempt) == (State.ACCEPTED, 1)
    [message] = accepted(local_google.google)
    assert message == found.token


def test_a_clock_set_back_puts_no_look_off_for_longer_than_any_look_is(
    office: Mailbox, local_google: SandboxServer
) -> None:
    local_google.google.faults.add({"method": "drafts.send", "kind": "swallow"})
    asked = factories.asked()
    attempts.send(asked.id)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    dispatch.move(asked.id, (State.UNKNOWN,), State.UNKNOWN, settle_after=tomorrow)
    db.session.commit()
    delivery.drain()
    assert dispatch.load(asked.id).state == State.ACCEPTED


def accepted(google: LocalGoogle) -> list[str]:
    """The dispatch headers of all that the local Google accepted."""
    rows = google.store.rows(
        "SELECT m.head FROM accepted a JOIN messages m ON m.seq = a.message_seq ORDER BY a.seq"
    )
    return [Head.parse(row["head"]).raw(DISPATCH_HEADER) or "" for row in rows]
