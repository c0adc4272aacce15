"""What Gmail shows of a dispatch is found among thousands, and for little of the quota."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from portal import attempts, delivery, dispatch, evidence, mailboxes
from portal.columns import db_now
from portal.dispatch import Attempt, Dispatch, Proof, State
from portal.envelope import DISPATCH_HEADER, SentCopy
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers import Gmail
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


@given(MINUTES, st.integers(-300, 300), st.integers(0, 20))
def test_look_by_look_all_since_a_moment_is_read_from_the_newest_back(
    minutes: list[int], since: int, first: int
) -> None:
    sent, moment = copies(*minutes), NOON + timedelta(minutes=since)
    wanted = [one for one in sent.values() if one.at and one.at >= moment]
    parts = [list(listed(sent, set()).part_since(moment, 7, turn)) for turn in range(40)]
    looks = max(1, -(-len(wanted) // 7))
    assert [one for part in parts[:looks] for one in part] == wanted
    assert parts[first] == parts[first + looks], "after the oldest, the newest again"


# A busy mailbox


@pytest.fixture
def app(database: str, redis_url: str, local_google: SandboxServer) -> Iterator[Flask]:
    with servers.sending(database, redis_url, local_google.url) as made:
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
    booked: list[str] = []
    evidence.reconcile(unclear.id, booked.append)
    found = dispatch.load(unclear.id)
    assert (found.state, found.proof) == (State.ACCEPTED, Proof.MATCHES)
    assert Counter(booked) == google.calls
    units = sum(UNITS.get(name, 1) * count for name, count in google.calls.items())
    assert units < 1000, dict(google.calls)


@pytest.mark.sqlite_only
def test_what_is_not_there_is_looked_for_among_a_bounded_number(
    office: Mailbox, local_google: SandboxServer
) -> None:
    fill_sent(local_google.google, 2000, time.time() - 1000, 1)
    provider, moment = mailboxes.provider_for(office), datetime.now(UTC)
    looks: list[Callable[[], SentCopy | None]] = [
        lambda: provider.find_sent("nobody's", moment),
        lambda: provider.find_sent_since("nobody's", moment - timedelta(hours=9), 3),
    ]
    for look in looks:
        local_google.google.calls.clear()
        local_google.google.clock.advance(60)  # a look costs most of a minute's units
        assert look() is None
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


@pytest.mark.parametrize(("handed_over", "looks"), [(-5, 0), (-300, 1), (3600, 1)])
def test_where_the_provider_takes_its_time_a_look_waits_for_it(
    handed_over: int,
    looks: int,
    office: Mailbox,
    local_google: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour ahead: the store's clock has been set back since."""
    local_google.google.faults.add({"method": "drafts.send", "kind": "swallow"})
    asked = factories.asked()
    attempts.send(asked.id)
    at = db_now(handed_over)
    db.session.execute(update(Dispatch).values(handed_over_at=at, settle_after=db_now()))
    db.session.commit()
    monkeypatch.setattr(Gmail, "settles_after", 60.0)
    evidence.reconcile(asked.id)
    found = dispatch.load(asked.id)
    assert (found.settle_tries, found.state == State.ACCEPTED) == (looks, looks == 1)
    assert looks or (found.settle_after and found.settle_after > datetime.now(UTC))


def look(asked: Dispatch) -> Dispatch:
    db.session.execute(update(Dispatch).values(settle_after=db_now()))
    db.session.commit()
    evidence.reconcile(asked.id)
    return dispatch.load(asked.id)


@pytest.mark.parametrize("ahead", [7200, -7200])
def test_a_clock_that_is_wrong_hides_no_sent_copy(
    ahead: int, office: Mailbox, local_google: SandboxServer
) -> None:
    local_google.google.clock.advance(ahead)
    local_google.google.faults.add({"method": "drafts.send", "kind": "swallow"})
    asked = factories.asked()
    attempts.send(asked.id)
    found = look(asked)
    assert (found.state, found.settle_tries) == (State.ACCEPTED, 1)


def test_a_stores_clock_that_is_wrong_hides_no_sent_copy(
    office: Mailbox, local_google: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_google.google.faults.add({"method": "drafts.send", "kind": "swallow"})
    asked = factories.asked()
    attempts.send(asked.id)
    db.session.execute(update(Dispatch).values(handed_over_at=db_now(7200)))
    db.session.execute(update(Attempt).values(started_at=datetime.now(UTC) + timedelta(hours=2)))
    monkeypatch.setattr(evidence, "_store_ahead", lambda: timedelta(hours=2))
    found = look(asked)
    assert (found.state, found.settle_tries) == (State.ACCEPTED, 1)


@pytest.mark.sqlite_only
def test_a_clock_that_was_put_right_meanwhile_asks_nobody_what_a_look_at_all_would_show(
    office: Mailbox, local_google: SandboxServer
) -> None:
    local_google.google.clock.advance(7200)
    local_google.google.faults.add({"method": "drafts.send", "kind": "swallow"})
    asked = factories.asked()
    attempts.send(asked.id)
    local_google.google.clock.advance(-7200)
    seen = [look(asked).state for _ in range(evidence.SETTLE_TRIES)]
    assert (seen[-2], seen[-1]) == (State.UNKNOWN, State.ACCEPTED)


@pytest.mark.parametrize("kind", ["429", "cut-before"])
def test_a_draft_sent_by_hand_hours_later_is_found_where_it_left(
    kind: str, office: Mailbox, local_google: SandboxServer
) -> None:
    """It waited for its mailbox, with a note of when it was handed over (unclear) or without."""
    local_google.google.faults.add({"method": "drafts.send", "kind": kind})
    asked = factories.asked()
    attempts.send(asked.id)
    three_hours_pass(asked.id)
    found = dispatch.load(asked.id)
    assert found.draft_id
    mailboxes.provider_for(office).send_draft(found.draft_id)
    attempts.send(asked.id)  # if it is in the queue: its draft is gone
    assert dispatch.load(asked.id).state == State.UNKNOWN
    evidence.reconcile(asked.id)
    assert dispatch.load(asked.id).state == State.ACCEPTED
    assert len(accepted(local_google.google)) == 1


def three_hours_pass(dispatch_id: int) -> None:
    one = dispatch.load(dispatch_id)
    for row in (one, *one.attempts):
        for column in ("requested_at", "handed_over_at", "started_at"):
            if getattr(row, column, None):
                setattr(row, column, getattr(row, column) - timedelta(hours=3))
    assert one.mailbox
    one.mailbox.paused_until = one.mailbox.addresses_checked_at = None
    db.session.commit()


NOT_ENABLED = {"kind": "refuse", "code": 403, "reason": "accessNotConfigured", "times": None}


def test_a_project_that_google_does_not_let_in_refuses_nobodys_message(
    office: Mailbox, local_google: SandboxServer
) -> None:
    local_google.google.faults.add({"method": "settings.sendAs.list", **NOT_ENABLED})
    asked = [factories.asked().id for _ in range(3)]
    office.addresses_checked_at = None
    db.session.commit()
    for one in asked:
        attempts.send(one)
    assert {dispatch.load(one).state for one in asked} == {State.QUEUED}
    db.session.refresh(office)
    assert office.is_paused and "does not let this portal in" in office.pause_note


@pytest.mark.sqlite_only
def test_nor_does_it_make_a_proof_impossible(office: Mailbox, local_google: SandboxServer) -> None:
    asked = factories.asked().id
    attempts.send(asked)
    local_google.google.faults.add({"method": "messages.get", **NOT_ENABLED})
    for _ in range(evidence.PROOF_TRIES + 1):
        assert evidence.read_proof(asked) == Proof.UNREAD
    local_google.google.faults.clear()
    assert evidence.read_proof(asked) == Proof.MATCHES


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
