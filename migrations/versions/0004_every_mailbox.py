"""every mailbox"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    shared = sa.Column("share_batches", sa.Boolean(), server_default=sa.true(), nullable=False)
    op.add_column("company", shared)


def downgrade() -> None:
    op.drop_column("company", "share_batches")
