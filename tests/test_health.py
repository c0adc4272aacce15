"""How a mailbox stands: judged by what the last calls left behind, in the words of its kind."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portal import health
from portal.health import Condition, Facts, Pause

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOON, EARLIER = NOON + timedelta(hours=2), NOON - timedelta(minutes=4)
GOOGLE = Facts("office@brightspark.example", "Google", checked_at=EARLIER)


def facts(account: str = "Google", **known: object) -> Facts:
    return Facts(**{"email": GOOGLE.email, "account": account, "checked_at": EARLIER, **known})  # type: ignore[arg-type]


def words(one: Facts, *, theirs: bool = False) -> tuple[str, str]:
    found = health.said(
        one,
        NOON,
        lambda at: f"{at:%H:%M}",
        lambda at: f"{(NOON - at).seconds // 60} min ago",
        theirs=theirs,
    )
    return found.label, found.can_send


@pytest.mark.parametrize(
    ("one", "label", "can_send"),
    [
        (facts(), "Connected, checked 4 min ago", "Yes"),
        (facts(stored="needs_sign_in"), "Needs you to sign in again", "No"),
        (facts("", stored="needs_sign_in"), "Needs its password again", "No"),
        (facts(stored="permission_missing"), "Permission missing", "No"),
        (facts(stored="disconnected"), "Disconnected", "No"),
        (facts("Microsoft", elsewhere=True), "Connected at another Microsoft", "No"),
        (
            facts("Microsoft", failing_since=EARLIER),
            "Microsoft unreachable, we keep trying",
            "Not now: it has not been reached since 11:56. Mail is safe, and we keep trying.",
        ),
        (
            facts("", failing_since=EARLIER, paused_until=SOON, pause_kind="away"),
            "Mail server unreachable, we keep trying",
            "Not now: it has not been reached since 11:56. Mail is safe, and we keep trying.",
        ),
        (
            facts(paused_until=SOON, pause_kind="limit"),
            "Limit reached until 14:00",
            "Not now. It goes on by itself at 14:00.",
        ),
        (
            facts(full_until=SOON),
            "Limit reached until 14:00",
            "Not now. It goes on by itself at 14:00.",
        ),
        (
            facts(paused_until=SOON, pause_kind="operator", failing_since=EARLIER),
            "Paused until 14:00",
            "Not now. The portal tries again by itself.",
        ),
        (
            facts(held_since=EARLIER, held_by="Olive Park"),
            "Held by hand",
            "Not now: Olive Park holds it since 11:56.",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_state_has_its_own_words(one: Facts, label: str, can_send: str) -> None:
    assert words(one) == (label, can_send)


def test_somebody_elses_sign_in_is_theirs_to_do() -> None:
    assert words(facts(stored="needs_sign_in"), theirs=True)[0] == "Needs them to sign in again"


MOMENTS = some.one_of(
    some.none(), some.integers(-300, 300).map(lambda m: NOON + timedelta(minutes=m))
)
ANYTHING = some.builds(
    Facts,
    email=some.just("x@y.example"),
    account=some.sampled_from(["Google", "Microsoft", ""]),
    stored=some.sampled_from(["connected", "needs_sign_in", "permission_missing", "disconnected"]),
    elsewhere=some.booleans(),
    held_since=MOMENTS,
    paused_until=MOMENTS,
    pause_kind=some.sampled_from(["", *Pause]),
    failing_since=MOMENTS,
    full_until=MOMENTS,
    checked_at=MOMENTS,
    connected_at=MOMENTS,
    ends_at=MOMENTS,
    lasted_a_week=some.booleans(),
)


@given(ANYTHING)
def test_whatever_is_stored_one_answer_stands_and_names_no_foreign_provider(one: Facts) -> None:
    found, (label, can_send) = health.judge(one, NOON), words(one)
    assert label and can_send
    assert found.sends == (can_send == "Yes")
    assert bool(health.why_not(one)) == (one.stored != "connected" or one.elsewhere)
    if health.why_not(one):  # what cannot be promised is never shown as connected or passing
        assert can_send == "No"
    said = f"{label} {can_send} {health.why_not(one)}"
    assert "Gmail" not in said
    assert one.account == "Google" or "Google" not in said
    assert one.account == "Microsoft" or "Microsoft" not in said
    assert found.until is None or found.until > NOON


def test_a_limit_is_told_from_trouble_on_the_way() -> None:
    assert health.pause_of(30, exact=False, too_fast=False) is Pause.AWAY
    assert health.pause_of(30, exact=True, too_fast=False) is Pause.LIMIT
    assert health.pause_of(30, exact=False, too_fast=True) is Pause.LIMIT
    assert health.pause_of(3600, exact=False, too_fast=False) is Pause.LIMIT


def test_the_end_after_seven_days_is_foreseen_while_there_is_time() -> None:
    began = NOON - timedelta(days=5)
    told = facts(connected_at=began, ends_at=began + timedelta(days=7))
    found = health.forecast(told, NOON)
    assert found is not None and found.of_testing and found.certain
    assert found.at == began + timedelta(days=7)
    assert health.forecast(told, NOON - timedelta(days=3)) is None  # it was only just made


def test_what_happened_once_is_foreseen_until_a_sign_in_outlives_it() -> None:
    again = facts(connected_at=NOON - timedelta(days=6), lasted_a_week=True)
    found = health.forecast(again, NOON)
    assert found is not None and found.of_testing and not found.certain
    assert health.forecast(again, NOON + timedelta(days=2)) is None
    assert health.forecast(facts(connected_at=NOON - timedelta(days=6)), NOON) is None


def test_another_sort_of_end_is_not_laid_to_testing() -> None:
    one = facts(connected_at=NOON - timedelta(days=29), ends_at=NOON + timedelta(days=1))
    found = health.forecast(one, NOON)
    assert found is not None and not found.of_testing


@pytest.mark.parametrize(
    ("left", "stage"), [(31, None), (30, 30), (8, 30), (7, 7), (1, 1), (0, 1), (-5, 1)]
)
def test_a_secrets_end_is_told_in_stages(left: int, stage: int | None) -> None:
    today = date(2026, 11, 23)
    assert health.secret_stage(today + timedelta(days=left), today) == stage
    assert health.secret_stage(None, today) is None


def test_the_conditions_that_need_somebody_are_not_those_that_pass() -> None:
    assert Condition.LIMIT not in health.NEEDS_SOMEBODY
    assert health.judge(facts(stored="needs_sign_in"), NOON).needs_somebody
