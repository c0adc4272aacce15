"""Pace: what a mailbox can send by when, held to the provider's two limits message by message."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import pace
from portal.pace import DAY, MINUTE, Day, Limits, Load, Meter

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
WORKSPACE = Limits(46, 2000)


def load(waiting: int, limits: Limits = WORKSPACE, **more: object) -> Load:
    return Load(1, "office@brightspark.example", waiting, limits, **more)  # type: ignore[arg-type]


def test_412_invoices_take_nine_minutes() -> None:
    found = pace.forecast(load(412), NOW)
    assert found.done_by - NOW == pytest.approx(timedelta(minutes=411 / 46), abs=SECOND)
    assert (found.days, found.held_up) == (1, False)
    assert found.sentence == "office@brightspark.example sends up to 46 a minute."


def test_ten_thousand_need_five_days_and_it_says_so() -> None:
    found = pace.forecast(load(10_000), NOW)
    assert (found.days, found.held_up) == (5, True)
    assert found.done_by < NOW + timedelta(days=4, hours=1)
    assert found.sentence == (
        "office@brightspark.example sends up to 46 a minute and 2,000 in 24 hours, "
        "so this needs 5 days."
    )


def test_what_left_yesterday_evening_comes_free_this_evening() -> None:
    evening = NOW - timedelta(hours=14)
    found = pace.forecast(load(10, Limits(46, 500), sent=(evening,) * 495), NOW)
    assert found.done_by >= evening + DAY
    assert (found.days, found.held_up) == (1, True)
    assert found.sentence.endswith("500 in 24 hours, so the last leave later, within a day.")


def test_what_goes_before_takes_its_time_too() -> None:
    alone, behind = pace.forecast(load(10), NOW), pace.forecast(load(10, ahead=92), NOW)
    assert behind.done_by - alone.done_by == pytest.approx(timedelta(minutes=2), abs=SECOND)


def test_the_slowest_mailbox_decides_and_nothing_waiting_says_nothing() -> None:
    slow, quick = pace.forecast(load(100), NOW), pace.forecast(load(3), NOW)
    assert pace.done_by([quick, slow]) == slow.done_by
    assert pace.done_by([pace.forecast(load(0), NOW)]) is None
    assert pace.done_by([]) is None


@pytest.mark.parametrize(
    ("drafts", "reads_back", "expected"),
    [(True, True, 46), (True, False, 54), (False, False, 60)],
)
def test_gmails_units_say_how_many_a_minute(drafts: bool, reads_back: bool, expected: int) -> None:
    assert pace.per_minute(6000, drafts=drafts, reads_back=reads_back) == expected
    assert pace.per_minute(15_000, drafts=True, reads_back=True) == 115
    assert pace.per_minute(100, drafts=True, reads_back=True) == 1


SECOND = timedelta(seconds=1)
LOADS = st.builds(
    Load,
    st.just(1),
    st.just("office@brightspark.example"),
    st.integers(0, 60),
    st.builds(Limits, st.integers(1, 200), st.integers(1, 40)),
    st.integers(0, 20),
    st.lists(
        st.integers(0, 30 * 3600).map(lambda seconds: NOW - timedelta(seconds=seconds)), max_size=50
    ).map(tuple),
)


@given(LOADS)
def test_no_limit_is_ever_broken(one: Load) -> None:
    moments = pace.departures(one, NOW)
    assert len(moments) == one.ahead + one.waiting
    assert moments == sorted(moments)
    gap = timedelta(minutes=1) / one.limits.per_minute
    assert all(later - sooner >= gap for sooner, later in itertools.pairwise(moments))
    everything = sorted([*one.sent, *moments])
    for moment in moments:
        in_a_day = [other for other in everything if moment - DAY < other <= moment]
        assert len(in_a_day) <= max(one.limits.per_day, spent_before(one, moment))


def spent_before(one: Load, moment: datetime) -> int:
    """What was sent beyond the limit before anybody asked cannot be taken back."""
    return len([sent for sent in one.sent if moment - DAY < sent])


@given(LOADS)
def test_nothing_waits_longer_than_the_limits_ask(one: Load) -> None:
    """Each leaves at once, a gap after the one before, or when an old message turns a day old."""
    gap = timedelta(minutes=1) / one.limits.per_minute
    used = sorted(sent for sent in one.sent if NOW - DAY < sent <= NOW)
    moments = pace.departures(one, NOW)
    everything = [*used, *moments]
    for number, moment in enumerate(moments, len(used)):
        before = moments[number - len(used) - 1] + gap if number > len(used) else NOW
        free = {NOW, before}
        if number >= one.limits.per_day:
            free.add(everything[number - one.limits.per_day] + DAY)
        assert moment == max(free)


@given(LOADS, st.integers(0, 30))
def test_more_to_do_is_never_done_sooner(one: Load, more: int) -> None:
    busier = Load(1, one.mailbox_email, one.waiting + more, one.limits, one.ahead, one.sent)
    assert pace.forecast(busier, NOW).done_by >= pace.forecast(one, NOW).done_by


@given(LOADS)
def test_the_end_is_foreseen_without_foreseeing_each(one: Load) -> None:
    assert pace.end(one, NOW) == max(pace.departures(one, NOW), default=NOW)


@given(LOADS)
def test_what_was_sent_counts_only_once_the_day_is_full(one: Load) -> None:
    """So a ledger need not read it before."""
    room = pace.daily(one.limits) - one.ahead - one.waiting
    if len(one.sent) <= room:
        assert pace.departures(replace(one, sent=()), NOW) == pace.departures(one, NOW)


# The meter


CALLS = st.lists(
    st.tuples(
        st.sampled_from([1, 10, 20, 100, 110]),
        st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 90)),
        st.floats(-0.25, 0.25),
        st.booleans(),
    ),
    max_size=300,
)
UNITS = st.sampled_from([600, 1000, 6000, 15_000])


Spendings = list[tuple[float, int]]


def most_in_a_minute(arrivals: list[tuple[float, int]]) -> int:
    """The oracle: what the fullest sliding minute of the provider holds."""
    arrivals, most, begins, held = sorted(arrivals), 0, 0, 0
    for moment, units in arrivals:
        held += units
        while arrivals[begins][0] <= moment - 60:
            held -= arrivals[begins][1]
            begins += 1
        most = max(most, held)
    return most


def arriving(meter: Meter, calls: list[tuple[int, float, float, bool]], now: float) -> Spendings:
    """Each call booked after a while of thinking, made at its moment, arriving a bit off it."""
    arrivals = []
    for units, thinking, jitter, made in calls:
        now += thinking
        at = meter.reserve(units, now)
        assert at >= now
        if made:
            now = at
            arrivals.append((at + jitter, units))
        else:
            meter.give_back(units)
    return arrivals


@given(UNITS, CALLS)
def test_no_minute_of_the_provider_holds_more_than_it_allows(
    units: int, calls: list[tuple[int, float, float, bool]]
) -> None:
    assert most_in_a_minute(arriving(Meter(units), calls, 1000.0)) <= units


@given(UNITS, CALLS, CALLS, st.floats(0, 70))
def test_who_has_the_next_turn_goes_on_at_the_same_pace(
    units: int, before: list[Any], after: list[Any], between: float
) -> None:
    first = Meter(units)
    arrivals = arriving(first, before, 1000.0)
    now = max((at for at, _ in arrivals), default=1000.0) + between
    known = sum(one for _, one in arrivals)
    for second in (Meter(units, first.free_at), Meter(units, first.free_at, known)):
        assert most_in_a_minute(arrivals + arriving(second, after, now + 0.5)) <= units


def busy(meter: Meter, now: float, seconds: float, seed: int) -> Spendings:
    """Everything the meter allows for so long, each call arriving a little early or late."""
    luck, ends, arrivals = random.Random(seed), now + seconds, []
    while now < ends:
        units = luck.choice([10, 20, 100, 110, 110, 110])
        at = meter.reserve(units, now)
        assert at >= now
        if luck.random() < 0.2:
            meter.give_back(units)
        else:
            now = at
            arrivals.append((at + luck.choice([-0.25, 0.25]), units))
    return arrivals


SEEDS = range(6)


@pytest.mark.parametrize("units", [600, 6000, 15_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_busy_day_breaks_no_minute_and_wastes_none(units: int, seed: int) -> None:
    arrivals = busy(Meter(units), 0.0, 900, seed)
    assert most_in_a_minute(arrivals) <= units
    wasted = 0.03 if units >= 6000 else 0.2
    assert sum(one for _, one in arrivals) >= units * 15 * (1 - wasted)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rest", [0.0, 5.0, 30.0])
def test_a_busy_mailbox_changes_hands_and_breaks_no_minute(seed: int, rest: float) -> None:
    first = Meter(6000)
    arrivals = busy(first, 0.0, 130, seed)
    now = max(at for at, _ in arrivals) + rest
    second = Meter(6000, first.free_at)
    assert most_in_a_minute(arrivals + busy(second, now, 90, seed)) <= 6000


def test_a_rush_just_before_it_changes_hands_counts_as_one() -> None:
    first = Meter(6000)
    arrivals = [(first.reserve(10, 0.0) + 0.25, 10) for _ in range(20)]
    now = arrivals[-1][0]
    second = Meter(6000, first.free_at)
    while now < 62:
        now = second.reserve(10, now)
        arrivals.append((now - 0.25, 10))
    assert most_in_a_minute(arrivals) <= 6000


def test_what_waits_for_a_minute_to_end_is_overtaken_by_nothing() -> None:
    meter = Meter(600)
    moments = [meter.reserve(units, 0.0) for units in (500, 110, 10, 1, 500, 1)]
    assert moments == sorted(moments)


@pytest.mark.parametrize("units", [6000, 15_000])
@pytest.mark.parametrize("calls", [(110, 20), (100,), (10, 100, 20)])
def test_in_the_long_run_almost_all_of_it_is_used(units: int, calls: tuple[int, ...]) -> None:
    meter, now, used = Meter(units), 0.0, 0
    while now < 1200:
        for one in calls:
            now = meter.reserve(one, now)
            used += one
    assert used / (now / 60) >= 0.97 * units


def test_a_mailbox_that_rested_sends_at_once_and_never_in_a_rush() -> None:
    meter = Meter(6000)
    moments = [meter.reserve(130, 500.0) for _ in range(5)]
    assert moments[0] == 500.0
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert gaps[0] < gaps[1]  # one second is caught up with
    assert all(gap == pytest.approx(130 * MINUTE / 5970) for gap in gaps[1:])


def test_what_was_not_spent_is_given_back() -> None:
    meter, other = Meter(6000), Meter(6000)
    for _ in range(3):
        meter.reserve(110, 0.0)
        meter.reserve(110, 0.0)
        meter.give_back(110)
        other.reserve(110, 0.0)
    assert meter.free_at == pytest.approx(other.free_at)


@pytest.mark.parametrize("ahead", [91.0, 3600.0, 1e9])
def test_a_clock_that_was_wrong_stops_no_mailbox_for_long(ahead: float) -> None:
    meter = Meter(6000, 1000.0 + ahead)
    assert meter.reserve(110, 1000.0) < 1005.0
    running = Meter(6000)
    running.reserve(110, 1000.0 + ahead)
    assert running.reserve(110, 1000.0) < 1005.0


def test_a_refused_pace_is_lowered_by_a_tenth_and_not_for_ever() -> None:
    assert [pace.slower(one) for one in (6000, 650, 600, 300)] == [5400, 600, 600, 300]


# The day


def test_batches_leave_something_of_the_day_for_people() -> None:
    kept = pace.kept_for_people(2000, 5)
    assert (kept, pace.kept_for_people(100, 5), pace.kept_for_people(10, 5)) == (100, 10, 5)
    day = Day(2000, kept, [NOW - timedelta(hours=3)] * 1900)
    assert day.opens_at(NOW, batch=True) == NOW - timedelta(hours=3) + DAY
    assert day.opens_at(NOW, batch=False) == NOW
    assert (day.left(NOW, batch=True), day.left(NOW, batch=False)) == (0, 100)


def test_who_is_written_to_counts_as_well() -> None:
    day = Day(2000, 0, [(NOW - timedelta(hours=2), 60), (NOW - timedelta(hours=1), 39)], 100)
    assert day.opens_at(NOW, batch=False, recipients=1) == NOW
    assert day.opens_at(NOW, batch=False, recipients=2) == NOW + timedelta(hours=22)
    day.note(NOW, 1)
    assert day.opens_at(NOW, batch=False, recipients=62) == NOW + timedelta(hours=23)


MOMENTS = st.lists(
    st.integers(0, 30 * 3600).map(lambda ago: NOW - timedelta(seconds=ago)), max_size=40
)


@given(st.integers(1, 20), st.integers(0, 5), MOMENTS, st.integers(1, 30))
def test_no_24_hours_hold_too_many(limit: int, kept: int, sent: list[datetime], more: int) -> None:
    day, now, left = Day(limit, kept, sent), NOW, []
    for number in range(more):
        batch = bool(number % 2) and kept < limit
        now = max(now, day.opens_at(now, batch=batch))
        day.note(now)
        left.append(now)
        held = [one for one in [*sent, *left] if now - DAY < one <= now]
        known = [one for one in sent if now - DAY < one]
        assert len(held) <= max(limit - (kept if batch else 0), len(known))
        assert day.opens_at(now, batch=False) <= day.opens_at(now, batch=True)


# Sharing, and what would help


def boxes(*loads: tuple[int, Limits]) -> list[Load]:
    return [
        Load(number, f"box{number}@brightspark.example", waiting, limits)
        for number, (waiting, limits) in enumerate(loads, 1)
    ]


@given(st.lists(LOADS, min_size=1, max_size=4), st.integers(0, 60))
def test_sharing_loses_nothing_and_ends_as_early_as_can_be(loads: list[Load], total: int) -> None:
    found = pace.shared(loads, total, NOW)
    assert sum(one.waiting for one in found) == total
    end = pace.last(found, NOW)
    # The oracle: before the end there is no room anywhere for the last one.
    room = sum(
        len(
            [
                at
                for at in pace.departures(replace(one, waiting=total), NOW)[one.ahead :]
                if at < end
            ]
        )
        for one in loads
    )
    assert total == 0 or room < total


def test_what_is_done_soon_anyway_stays_where_it_is() -> None:
    short, long = boxes((20, WORKSPACE), (0, WORKSPACE)), boxes((400, WORKSPACE), (0, WORKSPACE))
    assert pace.evened(short, NOW) == short
    assert [one.waiting for one in pace.evened(long, NOW)] == [200, 200]
    assert pace.evened(long[:1], NOW) == long[:1]


TONIGHT = NOW + timedelta(hours=13)


def test_two_more_mailboxes_would_make_it_tonight() -> None:
    [load_] = boxes((5000, WORKSPACE))
    found = pace.help_from([load_], WORKSPACE, NOW, TONIGHT)
    assert found is not None and (found.mailboxes, found.in_time) == (2, True)
    assert found.done_by <= TONIGHT
    one_fewer = pace.shared([load_, *boxes((0, WORKSPACE))], 5000, NOW)
    assert pace.last(one_fewer, NOW) > TONIGHT


def test_where_tonight_is_out_of_reach_it_says_what_one_more_would_change() -> None:
    [load_] = boxes((50_000, WORKSPACE))
    found = pace.help_from([load_], WORKSPACE, NOW, TONIGHT)
    assert found is not None and (found.mailboxes, found.in_time) == (1, False)
    assert NOW + timedelta(days=12) < found.done_by < NOW + timedelta(days=13)


def test_no_help_is_offered_where_none_is_needed() -> None:
    assert pace.help_from(boxes((400, WORKSPACE)), WORKSPACE, NOW, TONIGHT) is None
    assert pace.help_from(boxes((0, WORKSPACE)), WORKSPACE, NOW, TONIGHT) is None
    late = TONIGHT - timedelta(minutes=1)  # done a little after midnight: nobody's mailbox worth
    assert pace.help_from(boxes((60, WORKSPACE)), WORKSPACE, late, TONIGHT) is None


def test_messages_to_many_make_a_day_shorter() -> None:
    limits = Limits(46, 2000, recipients=3000, kept=100)
    assert [limits.at(each).per_day for each in (0.5, 1, 1.5, 2, 5000)] == [
        2000,
        2000,
        2000,
        1500,
        1,
    ]
    assert Limits(46, 2000).at(9).per_day == 2000
