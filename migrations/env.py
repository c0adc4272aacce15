"""Runs the migrations inside the portal's own app, on the database it is configured for."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from flask import current_app
from sqlalchemy.engine import Connection

from portal.columns import Exact, UtcDateTime


def plainly(kind: str, item: object, autogen_context: object) -> str | bool:
    """Write column types as the plain types beneath them, so that no migration needs the portal."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Exact):
        return "sa.BigInteger()"
    return False


@contextmanager
def unwatched(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by making it anew, and must not mind that others point at it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # heeded only outside a transaction
    yield
    dangling = driver.execute("PRAGMA foreign_key_check").fetchall()
    driver.execute("PRAGMA foreign_keys=ON")
    if dangling:
        raise RuntimeError(f"rows point at nothing: {dangling[:5]}")


def run() -> None:
    database = current_app.extensions["migrate"].db
    with database.engine.connect() as connection, unwatched(connection):
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
            render_item=plainly,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
