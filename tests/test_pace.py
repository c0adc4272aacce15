"""Pace: what a mailbox can send by when, held to the provider's two limits message by message."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import pace
from portal.pace import DAY, Limits, Load

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
