"""never lost, never twice"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("home", sa.JSON(), nullable=False),
        sa.Column("stopped_at", MOMENT),
        sa.Column("stopped_why", sa.Text(), nullable=False),
        sa.Column("choice", sa.String(), nullable=False),
        sa.Column("back_to", MOMENT),
        sa.Column("looking_until", MOMENT),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("confirmed_by_id", sa.Integer()),
        sa.Column("held_at", MOMENT),
        sa.Column("held_by_id", sa.Integer()),
        sa.Column("held_why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["confirmed_by_id"], ["users.id"], name="fk_instance_confirmed_by_id_users"
        ),
        sa.ForeignKeyConstraint(["held_by_id"], ["users.id"], name="fk_instance_held_by_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
    )
    op.execute(
        sa.text(
            "INSERT INTO instance (id, key, epoch, home, stopped_why, choice, found, held_why)"
            " VALUES (1, :key, 1, '{}', '', '', '{}', '')"
        ).bindparams(key=uuid.uuid4().hex)
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("doing", sa.Text(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_at", MOMENT),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    moment = (
        "TIMESTAMP WITH TIME ZONE" if op.get_bind().dialect.name == "postgresql" else "DATETIME"
    )
    for table, column in (
        ("dispatches", f"not_before {moment}"),
        (
            "dispatches",
            "resend_of_id INTEGER CONSTRAINT fk_dispatches_resend_of_id_dispatches"
            " REFERENCES dispatches (id)",
        ),
        ("dispatches", "resend_reason TEXT DEFAULT '' NOT NULL"),
        ("mailboxes", f"paced_until {moment}"),
        ("mailboxes", "learned_units INTEGER"),
        ("mailboxes", f"learned_at {moment}"),
        ("mailboxes", f"held_at {moment}"),
        (
            "mailboxes",
            "held_by_id INTEGER CONSTRAINT fk_mailboxes_held_by_id_users REFERENCES users (id)",
        ),
        ("company", "undo_seconds INTEGER DEFAULT 0 NOT NULL"),
    ):
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    if op.get_bind().dialect.name == "sqlite":
        _put_messages_last()


def _put_messages_last() -> None:
    """SQLite reads through a message to get at the columns behind it, in every row it looks at.

    So the messages go to the end of their rows; PostgreSQL keeps them aside by itself.
    """
    columns = sa.inspect(op.get_bind()).get_columns("dispatches")
    order = [one["name"] for one in columns if one["name"] != "mime"]
    with op.batch_alter_table(
        "dispatches", recreate="always", partial_reordering=[(*order, "mime")]
    ):
        pass
