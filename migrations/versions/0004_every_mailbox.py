"""every mailbox"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("mailboxes") as mailboxes:
        mailboxes.add_column(sa.Column("password", sa.LargeBinary()))
        mailboxes.add_column(sa.Column("server", sa.JSON(), server_default="{}", nullable=False))
    shared = sa.Column("share_batches", sa.Boolean(), server_default=sa.true(), nullable=False)
    op.add_column("company", shared)

    op.create_table(
        "domains",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("selectors", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT),
        sa.Column("checked_at", MOMENT),
        sa.Column("records", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("tone", sa.String(), nullable=False),
        sa.Column("passed_at", MOMENT),
        sa.Column("failing_since", MOMENT),
        sa.Column("proofs", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_domains"),
        sa.UniqueConstraint("name", name="uq_domains_name"),
    )


def downgrade() -> None:
    op.drop_table("domains")
    op.drop_column("company", "share_batches")
    with op.batch_alter_table("mailboxes") as mailboxes:
        mailboxes.drop_column("server")
        mailboxes.drop_column("password")
