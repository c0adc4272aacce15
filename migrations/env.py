"""Runs the migrations inside the portal's own app, on the database it is configured for."""

from alembic import context
from flask import current_app

from portal.columns import Exact, UtcDateTime


def plainly(kind: str, item: object, autogen_context: object) -> str | bool:
    """Write column types as the plain types beneath them, so that no migration needs the portal."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Exact):
        return "sa.BigInteger()"
    return False


def run() -> None:
    database = current_app.extensions["migrate"].db
    with database.engine.connect() as connection:
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
