"""Column types and database time that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Float,
    SQLColumnExpression,
    String,
    literal,
    or_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

#: Compared byte by byte on both databases, so that a beginning is a stretch of the index.
PLAIN = String().with_variant(String(collation="C"), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC. Stored without zone on SQLite, as timestamptz on PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Exact(TypeDecorator[Decimal]):
    """A Decimal kept as a whole number of its smallest unit: exact, sortable, summable."""

    impl = BigInteger
    cache_ok = True

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> int | None:
        if value is None:
            return None
        scaled = Decimal(value).scaleb(self.places)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{value} has more than {self.places} decimal places")
        return int(scaled)

    def process_result_value(self, value: int | None, dialect: Any) -> Decimal | None:
        if value is None:
            return None
        return (Decimal(value)).scaleb(-self.places)


class db_now(FunctionElement[datetime]):
    """The database's clock, plus some seconds: the one clock that leases are measured by."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, plus_seconds: float | ColumnElement[float] = 0) -> None:
        given = isinstance(plus_seconds, ColumnElement)
        super().__init__(plus_seconds if given else literal(float(plus_seconds), Float()))


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: Any, **kw: Any) -> str:
    # The text has the shape in which SQLAlchemy stores moments, so that the two compare.
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {seconds}))"


@compiles(db_now, "postgresql")
def _postgresql_now(element: db_now, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


def lapsed(lease: SQLColumnExpression[datetime | None], seconds: float) -> ColumnElement[bool]:
    """Whether a lease is over: never taken, run out, or longer than any lease is ever taken for.

    seconds: how long leases of this sort are. One that ends later than that was taken before the
    database's clock was set back, and would keep everybody waiting for as long.
    """
    return or_(lease.is_(None), lease < db_now(), lease > db_now(seconds + 5))


def now() -> datetime:
    """This machine's clock: for showing and recording, never for leases."""
    return datetime.now(UTC)
