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
        mailboxes.add_column(
            sa.Column("pause_kind", sa.String(), server_default="", nullable=False)
        )
        for moment in ("failing_since", "broke_at", "grant_ends_at", "looked_at"):
            mailboxes.add_column(sa.Column(moment, MOMENT))
        week = sa.Column("lasted_a_week", sa.Boolean(), server_default=sa.false(), nullable=False)
        mailboxes.add_column(week)
    with op.batch_alter_table("mailboxes") as mailboxes:  # only what was there needed it
        for column in ("server", "pause_kind", "lasted_a_week"):
            mailboxes.alter_column(column, server_default=None)
    with op.batch_alter_table("links") as links:
        links.add_column(sa.Column("mailbox_id", sa.Integer()))
        links.create_foreign_key(
            "fk_links_mailbox_id_mailboxes", "mailboxes", ["mailbox_id"], ["id"]
        )
    _ask_for_consent()
    _put_messages_apart()
    shared = sa.Column("share_batches", sa.Boolean(), server_default=sa.true(), nullable=False)
    op.add_column("company", shared)
    endings = sa.Column("endings", sa.Integer(), server_default=sa.text("0"), nullable=False)
    op.add_column("dispatches", endings)
    # A further sending that was taken back had made its document count as not sent.
    others = (
        "FROM dispatches WHERE dispatches.document_id = documents.id"
        " AND purpose = 'document' AND state != 'cancelled'"
    )
    op.execute(
        f"UPDATE documents SET email_status ="
        f" (SELECT state {others} ORDER BY sending_number DESC LIMIT 1)"
        f" WHERE email_status = 'cancelled' AND EXISTS (SELECT 1 {others})"
    )

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


def _ask_for_consent() -> None:
    """Whose address mail left from already counts as having agreed, so that nothing stops."""
    texts = ("consent", "consent_email", "consent_words")
    with op.batch_alter_table("users") as users:
        for column in texts:
            users.add_column(sa.Column(column, sa.String(), server_default="", nullable=False))
        users.add_column(sa.Column("consent_at", MOMENT))
        shared = sa.Column("is_department", sa.Boolean(), server_default=sa.false(), nullable=False)
        users.add_column(shared)
    with op.batch_alter_table("users") as users:
        for column in (*texts, "is_department"):
            users.alter_column(column, server_default=None)
    op.execute(
        "UPDATE users SET consent = 'agreed', consent_email = email,"
        " consent_at = CURRENT_TIMESTAMP,"
        " consent_words = 'Mail left under ' || email || ' before people were asked.'"
        " WHERE lower(email) IN"
        " (SELECT lower(email) FROM addresses WHERE verification = 'accepted')"
        " OR id IN (SELECT owner_id FROM mailboxes WHERE owner_id IS NOT NULL)"
    )
    # Nobody is asked for the address of everybody in Accounts.
    department = sa.text("UPDATE users SET is_department = :yes WHERE name = :name")
    op.execute(department.bindparams(yes=True, name="Accounting Department"))


def _put_messages_apart() -> None:
    """A row is written anew at each of its steps: not with the bytes that never change in it."""
    op.create_table(
        "messages",
        sa.Column("dispatch_id", sa.Integer(), nullable=False),
        sa.Column("mime", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name="fk_messages_dispatch_id_dispatches"
        ),
        sa.PrimaryKeyConstraint("dispatch_id", name="pk_messages"),
    )
    if op.get_bind().dialect.name == "postgresql":  # base64 of a PDF gets no smaller by trying
        op.execute("ALTER TABLE messages ALTER COLUMN mime SET STORAGE EXTERNAL")
    op.execute("INSERT INTO messages (dispatch_id, mime) SELECT id, mime FROM dispatches")
    op.execute("ALTER TABLE dispatches DROP COLUMN mime")


def _put_messages_back() -> None:
    op.add_column("dispatches", sa.Column("mime", sa.LargeBinary()))
    op.execute(
        "UPDATE dispatches SET mime ="
        " (SELECT mime FROM messages WHERE messages.dispatch_id = dispatches.id)"
    )
    with op.batch_alter_table("dispatches") as dispatches:
        dispatches.alter_column("mime", existing_type=sa.LargeBinary(), nullable=False)
    op.drop_table("messages")


def downgrade() -> None:
    _put_messages_back()
    with op.batch_alter_table("users") as users:
        for column in ("consent", "consent_email", "consent_words", "consent_at", "is_department"):
            users.drop_column(column)
    op.drop_table("domains")
    op.drop_column("dispatches", "endings")
    op.drop_column("company", "share_batches")
    with op.batch_alter_table("links") as links:
        links.drop_constraint("fk_links_mailbox_id_mailboxes", type_="foreignkey")
        links.drop_column("mailbox_id")
    with op.batch_alter_table("mailboxes") as mailboxes:
        for column in ("failing_since", "broke_at", "grant_ends_at", "looked_at"):
            mailboxes.drop_column(column)
        mailboxes.drop_column("pause_kind")
        mailboxes.drop_column("lasted_a_week")
        mailboxes.drop_column("server")
        mailboxes.drop_column("password")
