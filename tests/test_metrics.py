"""The figures are right, no address is among them, and they cost the same after a million mails."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from portal import metrics, readiness
from portal.batches import Batch
from portal.columns import now
from portal.config import Config
from portal.dispatch import Attempt, Deed, Dispatch, Lane, State, decide
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.workers import Worker
from tests import factories, servers
from tests.factories import OFFICE, document, office_mailbox, olive


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    with servers.inside(config) as made:
        yield made


@pytest.fixture
def box(app: Flask) -> Mailbox:
    return office_mailbox()


def sending(state: State, **values: Any) -> Dispatch:
    one = factories.asked(document())
    one.state = state
    for name, value in values.items():
        setattr(one, name, value)
    db.session.commit()
    return one


def attempt(one: Dispatch, number: int, outcome: str, minutes_ago: float, words: str = "") -> None:
    began = now() - timedelta(minutes=minutes_ago)
    db.session.add(
        Attempt(
            dispatch_id=one.id,
            number=number,
            worker="the-van:1",
            started_at=began,
            outcome=outcome,
            words=words,
        )
    )
    db.session.flush()


def ago(**much: float) -> Any:
    return now() - timedelta(**much)


def test_what_is_open_is_counted_by_state_and_by_who_goes_first(box: Mailbox) -> None:
    batch = Batch(name="October", kind="invoice", created_by_id=olive().id)
    db.session.add(batch)
    db.session.flush()
    for _ in range(3):
        last = sending(State.QUEUED, batch_id=batch.id, lane=Lane.BATCH)
    decide([last], Deed.SEND_NOW, olive())  # of a batch, and yet before everything else
    sending(State.QUEUED, queued_at=ago(minutes=5))
    sending(State.UNKNOWN, needs_person=True)
    sending(State.UNKNOWN, lane=Lane.BATCH)
    sending(State.HELD, mailbox_id=None)
    sending(State.CANCELLED)
    found = metrics.figures()
    queued = {lane.name: states[State.QUEUED] for lane, states in found.by_lane.items()}
    assert queued == {"FIRST": 1, "PERSON": 1, "BATCH": 2}
    assert (found.open(State.UNKNOWN), found.needing_person) == (2, 1)
    assert found.by_lane[Lane.BATCH][State.UNKNOWN] == found.by_lane[Lane.PERSON][State.HELD] == 1
    assert found.boxes[0].queued == 4


def test_a_mailbox_shows_what_of_its_minute_and_its_day_is_used(box: Mailbox) -> None:
    for seconds in (5, 20, 600, 7200, 90_000):
        sending(State.ACCEPTED, accepted_at=ago(seconds=seconds))
    (one,) = metrics.boxes()
    assert (one.minute, one.hour, one.day) == (2, 3, 4)
    assert one.pace_share == 2 / one.limits.per_minute
    assert one.day_share == 4 / one.limits.per_day


def test_the_oldest_that_waits_is_told(box: Mailbox) -> None:
    assert metrics.figures().oldest is None
    for minutes in (30, 10):
        sending(State.QUEUED, queued_at=ago(minutes=minutes))
    oldest = metrics.figures().oldest
    assert oldest and timedelta(minutes=29) < now() - oldest < timedelta(minutes=31)


def test_attempts_are_found_by_when_they_began(box: Mailbox) -> None:
    one = sending(State.QUEUED)
    attempt(one, 1, "refused", 25 * 60, "too long ago")
    attempt(one, 2, "try later", 90, "429 rateLimitExceeded")
    attempt(one, 3, "unknown", 30, "503 backendError")
    attempt(one, 4, "accepted", 20)
    attempt(one, 5, "", 1)
    assert metrics.outcomes() == {"unknown": 1, "accepted": 1, "going on": 1}
    assert [trouble.words for trouble in metrics.troubles()] == [
        "503 backendError",
        "429 rateLimitExceeded",
    ]


def test_prometheus_reads_it_and_finds_no_address(box: Mailbox) -> None:
    sending(State.QUEUED)
    db.session.add(Mailbox(account_sub="2", email="x@y.example", health=Health.NEEDS_SIGN_IN))
    db.session.add(Worker(name="the-van:1", host="the-van", pid=1))
    db.session.commit()
    told = metrics.exposition().decode()
    for line in (
        'sendwright_dispatches_open{lane="person",state="queued"} 1.0',
        'sendwright_dispatches_open{lane="batch",state="queued"} 0.0',
        f'sendwright_mailbox_waiting{{mailbox="{box.id}"}} 1.0',
        'sendwright_mailboxes{health="needs_sign_in"} 1.0',
        "sendwright_workers_alive 1.0",
        "sendwright_doorbell_length 1.0",
        "sendwright_redis_up 1.0",
        "sendwright_sending_allowed 1.0",
    ):
        assert line in told.splitlines()
    assert "@" not in told and OFFICE.partition("@")[0] not in told


@pytest.mark.sqlite_only
def test_no_figure_reads_through_what_was_sent_before(box: Mailbox) -> None:
    sending(State.QUEUED)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, words: str, values: Any, *_: Any) -> None:
        asked.append((words, values))

    event.listen(db.engine, "before_cursor_execute", note)
    metrics.exposition()
    metrics.troubles()
    event.remove(db.engine, "before_cursor_execute", note)
    plans = [
        row[3]
        for words, values in asked
        if words.startswith("SELECT")
        for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", values)
    ]
    assert any("ix_dispatches_mailbox_state" in plan for plan in plans)
    assert any("ix_dispatches_work (mailbox_id=? AND lane=?)" in plan for plan in plans)
    through = ("SCAN dispatches", "SCAN attempts", "SCAN batch_items")
    assert [one for one in plans if one.startswith(through)] == []


def test_the_portal_is_ready_when_its_tables_are_this_codes(app: Flask) -> None:
    found = readiness.now()
    assert (found.database, found.keys, found.queue, found.reason) == ("ok", "ok", "no_worker", "")
    db.session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    db.session.commit()
    assert readiness.now().database == "outdated"
    db.session.execute(text("DROP TABLE alembic_version"))
    db.session.commit()
    assert "does not answer" in readiness.now().reason
