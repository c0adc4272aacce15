"""who is told of returns"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        told = sa.Column("told_of_returns", sa.Boolean(), server_default=sa.true(), nullable=False)
        users.add_column(told)
    with op.batch_alter_table("users") as users:
        users.alter_column("told_of_returns", server_default=None)
    op.add_column("arrivals", sa.Column("told_at", sa.DateTime(timezone=True)))
    # Of what came back before, nobody wants a mail today.
    op.execute("UPDATE arrivals SET told_at = seen_at")
    untold = sa.text("told_at IS NULL AND sort = 'bounce' AND standing = 'followed'")
    op.create_index(
        "ix_arrivals_untold",
        "arrivals",
        ["seen_at"],
        sqlite_where=untold,
        postgresql_where=untold,
    )


def downgrade() -> None:
    op.drop_index("ix_arrivals_untold", "arrivals")
    op.drop_column("arrivals", "told_at")
    with op.batch_alter_table("users") as users:
        users.drop_column("told_of_returns")
