"""The ledger: what a mailbox has sent counts for every worker, and after every restart."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask
from sqlalchemy import update

from portal import delivery, ledger, pace
from portal.columns import now
from portal.dispatch import Dispatch, Lane, State
from portal.envelope import (
    OperatorProblem,
    ProviderAnswer,
    TryLater,
)
from portal.extensions import db
from portal.mailboxes import Mailbox
from tests import asking, factories, servers

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
def app(database: str) -> Iterator[Flask]:
    """The portal with the limits that Gmail has today, inside an app context."""
    config = servers.config_of(DATABASE_URL=database, GMAIL_UNITS_PER_MINUTE="6000")
    with servers.inside(config) as made:
        yield made


@pytest.fixture
def office(app: Flask) -> Mailbox:
    box = factories.office_mailbox()
    box.hosted_domain = "brightspark.example"
    db.session.commit()
    return box


def sent(at: datetime, **values: object) -> Dispatch:
    """A dispatch that Gmail took then."""
    found = factories.asked()
    values = {"state": State.ACCEPTED, "accepted_at": at} | values
    db.session.execute(update(Dispatch).where(Dispatch.id == found.id).values(**values))
    db.session.commit()
    db.session.refresh(found)
    return found


def fresh(box: Mailbox) -> Mailbox:
    return db.session.get_one(Mailbox, box.id, populate_existing=True)


# -- the limits ------------------------------------------------------------------------------------


def test_a_companys_account_may_send_more_than_a_persons(office: Mailbox) -> None:
    limits = ledger.limits_of(office)
    assert (limits.per_minute, limits.per_day) == (46, 2000)
    assert (limits.units, limits.recipients, limits.kept) == (6000, 3000, 100)
    office.hosted_domain = ""
    assert (ledger.limits_of(office).per_day, ledger.limits_of(office).kept) == (500, 25)


def test_a_pace_that_gmail_refused_is_lowered_once_and_for_a_day(office: Mailbox) -> None:
    too_fast = TryLater("Gmail's sending limit is reached for now.", after=30, too_fast=True)
    for _ in range(3):  # calls that were under way together are refused together
        ledger.obey(office.id, too_fast)
    assert ledger.units_of(fresh(office)) == 5400
    assert ledger.limits_of(office).per_minute == 41
    office.learned_at = now() - timedelta(minutes=2)
    db.session.commit()
    ledger.obey(office.id, too_fast)
    assert ledger.units_of(fresh(office)) == 4860
    office.learned_at = now() - timedelta(hours=25)
    assert ledger.units_of(office) == 6000


@pytest.mark.parametrize(
    ("answer", "attempt", "seconds"),
    [
        (TryLater("Not before nine.", after=7, exact=True), 1, 7),
        (TryLater("Not before nine.", after=5000, exact=True), 9, 5000),
        (TryLater("The day is full.", after=3600), 1, 3600),
        (TryLater("Not reached.", after=30), 1, 2),
        (TryLater("Not reached.", after=30), 4, 16),
        (TryLater("Not reached.", after=30), 40, 30),
        (OperatorProblem("Our secret is refused."), 1, 300),
    ],
)
def test_a_mailbox_is_left_alone_for_as_long_as_its_provider_asks(
    office: Mailbox, answer: ProviderAnswer, attempt: int, seconds: float
) -> None:
    ledger.obey(office.id, answer, attempt)
    box = fresh(office)
    assert box.paused_until is not None and box.pause_note == answer.message
    assert abs(box.paused_until - now() - seconds * SECOND) < 2 * SECOND
    assert box.learned_units is None


# -- the day ---------------------------------------------------------------------------------------


def test_what_was_accepted_and_what_is_unclear_count_for_24_hours(office: Mailbox) -> None:
    early = sent(now() - 23 * HOUR)
    sent(now() - 25 * HOUR)
    unclear = {"state": State.UNKNOWN, "accepted_at": None, "handed_over_at": now() - HOUR}
    sent(now(), **unclear)
    factories.asked()
    assert len(ledger.sent_lately(office.id)) == 2
    spent = ledger.spent(office)
    assert (spent.messages, spent.left, spent.share) == (2, 1898, 2 / 2000)
    moment = now()
    assert early.accepted_at is not None
    one_left = pace.Day(2, 0, ledger.sent_lately(office.id))
    assert one_left.opens_at(moment, batch=True) == early.accepted_at + 24 * HOUR


def test_everybody_who_is_written_to_counts(office: Mailbox) -> None:
    first = sent(now() - 2 * HOUR, to=["a@homes.example"] * 40, cc=["b@homes.example"] * 60)
    day = ledger.day_of(office)
    moment = now()
    assert first.accepted_at is not None
    assert day.opens_at(moment, batch=False, recipients=2900) == moment
    assert day.opens_at(moment, batch=False, recipients=2901) == first.accepted_at + 24 * HOUR


def test_a_quote_leaves_on_a_day_that_batches_have_filled(office: Mailbox) -> None:
    office.hosted_domain = ""
    moments = [now() - 3 * HOUR] * 475
    limits = ledger.limits_of(office)
    day = pace.Day(limits.per_day, limits.kept, moments, limits.recipients)
    moment = now()
    assert day.opens_at(moment, batch=True) > moment
    assert day.opens_at(moment, batch=False) == moment


# -- the minute ------------------------------------------------------------------------------------


def test_the_next_worker_goes_on_where_the_last_one_stopped(office: Mailbox) -> None:
    assert ledger.meter_of(office, 100.0).reserve(110, 100.0) == 100.0
    office.paced_until = now() + 5 * SECOND
    db.session.commit()
    assert 103.0 < ledger.meter_of(fresh(office), 100.0).reserve(110, 100.0) < 105.0
    office.paced_until = now() - 90 * SECOND
    db.session.commit()
    assert ledger.meter_of(fresh(office), 100.0).reserve(110, 100.0) == 100.0


def test_who_sends_now_and_then_never_waits_and_a_full_minute_does(office: Mailbox) -> None:
    sent(now() - SECOND)
    office.paced_until = now() - SECOND
    db.session.commit()
    assert ledger.meter_of(fresh(office), 100.0).reserve(110, 100.0) == 100.0
    sent(now(), state=State.UNKNOWN, accepted_at=None, handed_over_at=now())
    office.paced_until = now() + SECOND / 2  # else it may be over before anybody has looked
    db.session.commit()
    assert ledger.meter_of(fresh(office), 100.0).reserve(110, 100.0) > 100.5


def test_a_clock_that_was_wrong_stops_nobody(office: Mailbox) -> None:
    office.paced_until = now() + 3 * HOUR
    db.session.commit()
    assert ledger.meter_of(fresh(office), 100.0).reserve(110, 100.0) < 105.0


# -- foreseeing ------------------------------------------------------------------------------------


def test_what_a_person_sends_is_expected_before_what_a_batch_sends(office: Mailbox) -> None:
    office.hosted_domain = ""
    moments = tuple([now() - 3 * HOUR] * 475)
    waits, goes = (ledger.load(office, 1, lane=lane) for lane in (Lane.BATCH, Lane.PERSON))
    full = [replace(one, sent=moments) for one in (waits, goes)]
    ends = [pace.forecast(one, now()).done_by for one in full]
    assert ends[0] > now() + 20 * HOUR and ends[1] <= now()
    minutes = (ledger.expected(office, 92) - now()) / timedelta(minutes=1)
    assert minutes == pytest.approx(2, abs=0.1)


def test_a_mailbox_that_was_asked_to_wait_is_expected_after_it(office: Mailbox) -> None:
    office.paused_until = now() + HOUR
    db.session.commit()
    assert ledger.expected(office, 0) >= fresh(office).paused_until  # type: ignore[operator]


def test_a_full_day_is_read_with_as_few_questions_as_an_empty_one(office: Mailbox) -> None:
    def asked() -> int:
        return asking.queries(lambda: ledger.day_of(fresh(office)))

    office.paced_until = now()
    sent(now() - HOUR)
    one = asked()
    for _ in range(3):
        sent(now() - HOUR)
    assert asked() == one <= 5
    assert asking.queries(lambda: ledger.meter_of(fresh(office), 0.0)) <= 6


def test_the_days_of_many_mailboxes_are_read_only_where_they_count(office: Mailbox) -> None:
    unclear = {"state": State.UNKNOWN, "accepted_at": None, "handed_over_at": now() - HOUR}
    sent(now() - 2 * HOUR)
    sent(now(), **unclear)
    sent(now() - 25 * HOUR)

    def known(waiting: int, more: int = 0) -> int:
        task = ledger.task(office, waiting)
        return len(ledger.with_days({office.id: task}, {office.id: more})[office.id].sent)

    room = pace.daily(ledger.limits_of(office)) - 2
    assert (known(room), known(room + 1), known(room, more=1)) == (0, 2, 2)


# -- with the local Google -------------------------------------------------------------------------


def test_a_look_that_was_too_fast_slows_the_whole_mailbox(
    database: str, redis_url: str, local_google: "SandboxServer"
) -> None:
    told = {"method": "messages.get", "kind": "429", "times": 1}
    requests.post(f"{local_google.url}/_sandbox/faults", json=told, timeout=5).raise_for_status()
    pointed = servers.pointed_at(local_google.url)
    with servers.inside(servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **pointed)):
        office = factories.connected(local_google.url)
        asked = factories.asked()
        delivery.drain()
        db.session.refresh(asked)
        assert asked.state == State.ACCEPTED
        box = fresh(office)
        assert box.learned_units == 900_000 and box.is_paused
