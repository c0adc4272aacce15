"""what became of it"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "testimonies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("way_key", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("receiver_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("look_after", MOMENT),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["receiver_id"], ["mailboxes.id"], name="fk_testimonies_receiver_id_mailboxes"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_testimonies"),
        sa.UniqueConstraint("token", name="uq_testimonies_token"),
    )
    op.create_index("ix_testimonies_domain", "testimonies", ["domain"])
    op.add_column("dispatches", sa.Column("turned_away", sa.JSON()))
    _read_what_comes_in()


def _read_what_comes_in() -> None:
    """How far each inbox was read, what came in, and which addresses mail came back from."""
    op.add_column("dispatches", sa.Column("thread_id", sa.String()))
    there = sa.text("thread_id IS NOT NULL")
    op.create_index(
        "ix_dispatches_thread",
        "dispatches",
        ["thread_id"],
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_index("ix_dispatches_proved", "dispatches", ["proof_message_id"])
    op.create_table(
        "inboxes",
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("pending", sa.JSON(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("looked_at", MOMENT),
        sa.Column("holder", sa.String()),
        sa.Column("held_until", MOMENT),
        sa.Column("due_at", MOMENT),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("failing_since", MOMENT),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name="fk_inboxes_mailbox_id_mailboxes"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", name="pk_inboxes"),
    )
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("sender_name", sa.String(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        sa.Column("clues", sa.JSON(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("dispatch_id", sa.Integer()),
        sa.Column("tied_by", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name="fk_arrivals_dispatch_id_dispatches"
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name="fk_arrivals_mailbox_id_mailboxes"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_arrivals"),
        sa.UniqueConstraint("mailbox_id", "provider_id", name="uq_arrivals_mailbox_id"),
    )
    op.create_index("ix_arrivals_dispatch", "arrivals", ["dispatch_id", "at"])
    op.create_index("ix_arrivals_standing", "arrivals", ["standing", "seen_at"])
    op.create_table(
        "cautions",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT),
        sa.Column("dispatch_id", sa.Integer()),
        sa.Column("cleared_at", MOMENT),
        sa.Column("cleared_by_id", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["cleared_by_id"], ["users.id"], name="fk_cautions_cleared_by_id_users"
        ),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name="fk_cautions_dispatch_id_dispatches"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_cautions"),
    )


def downgrade() -> None:
    for table in ("cautions", "arrivals", "inboxes"):
        op.drop_table(table)
    op.drop_index("ix_dispatches_proved", "dispatches")
    op.drop_index("ix_dispatches_thread", "dispatches")
    op.drop_column("dispatches", "thread_id")
    op.drop_column("dispatches", "turned_away")
    op.drop_table("testimonies")
