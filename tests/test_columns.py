"""Moments and amounts mean the same on both stores, and compare with the database's own clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.columns import Exact, UtcDateTime, db_now, now
from portal.extensions import db

table = sa.Table(
    "column_tries",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", UtcDateTime),
    sa.Column("amount", Exact(2)),
)
ZONES = [UTC, timezone(timedelta(hours=11)), timezone(timedelta(hours=-9, minutes=-30))]
FIRST, LAST = datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("2200-01-01")
moments = st.datetimes(FIRST, LAST, timezones=st.sampled_from(ZONES))
amounts = st.decimals(-(10**12), 10**12, places=2, allow_nan=False)
shared = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def tries(app: Flask) -> Iterator[sa.Table]:
    with app.app_context():
        db.session.execute(sa.schema.CreateTable(table))
        db.session.commit()
        yield table
        db.session.rollback()


def keep(tries: sa.Table, **values: object) -> None:
    db.session.execute(tries.delete())
    db.session.execute(tries.insert().values(**values))
    db.session.commit()


@shared
@given(at=moments, amount=amounts)
def test_what_is_stored_comes_back(tries: sa.Table, at: datetime, amount: Decimal) -> None:
    keep(tries, at=at, amount=amount)
    [(read_at, read_amount)] = db.session.execute(sa.select(tries.c.at, tries.c.amount)).all()
    assert read_at == at and read_at.utcoffset() == timedelta(0)
    assert read_amount == amount and isinstance(read_amount, Decimal)
    found = db.session.scalar(sa.select(tries.c.id).where(tries.c.at == at))
    assert found is not None
    db.session.commit()


@shared
@given(values=st.lists(amounts, min_size=1, max_size=8))
def test_amounts_add_up_and_sort_exactly(tries: sa.Table, values: list[Decimal]) -> None:
    db.session.execute(tries.delete())
    db.session.execute(tries.insert(), [{"amount": one} for one in values])
    in_order = list(db.session.scalars(sa.select(tries.c.amount).order_by(tries.c.amount)))
    assert in_order == sorted(values)
    assert sum(in_order) == sum(values)
    db.session.commit()


def test_nothing_is_nothing(tries: sa.Table) -> None:
    keep(tries, at=None, amount=None)
    assert db.session.execute(sa.select(tries.c.at, tries.c.amount)).one() == (None, None)


def test_a_moment_without_zone_and_an_amount_too_fine_are_refused(tries: sa.Table) -> None:
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        keep(tries, at=FIRST)
    db.session.rollback()
    with pytest.raises(sa.exc.StatementError, match="more than 2 decimal places"):
        keep(tries, amount=Decimal("1.005"))


@pytest.mark.parametrize("seconds", [-86400.5, -1, -0.2, 0, 0.2, 45, 3600.25, 86400])
def test_the_databases_clock_compares_with_what_is_stored(tries: sa.Table, seconds: float) -> None:
    keep(tries, at=db_now(seconds))
    at = db.session.scalar(sa.select(tries.c.at))
    assert abs((at - now()).total_seconds() - seconds) < 0.15
    later, earlier = sa.select(tries.c.at < db_now(seconds + 5)), tries.c.at < db_now(seconds - 5)
    assert db.session.scalar(later)
    assert not db.session.scalar(sa.select(earlier))


def test_a_stored_moment_compares_with_the_databases_clock(tries: sa.Table) -> None:
    for seconds, passed in ((-2, True), (2, False)):
        keep(tries, at=now() + timedelta(seconds=seconds))
        assert bool(db.session.scalar(sa.select(tries.c.at <= db_now()))) is passed


def test_the_same_statement_counts_its_own_seconds(tries: sa.Table) -> None:
    """A statement kept in a cache must not keep the first caller's seconds."""
    keep(tries, at=db_now())
    found = [db.session.scalar(sa.select(tries.c.at < db_now(one))) for one in (5, -5, 5)]
    assert [bool(one) for one in found] == [True, False, True]
