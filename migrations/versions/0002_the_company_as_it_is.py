"""the company as it is"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: What a worker may have to do something about.
WORK = (
    "(state IN ('queued', 'unknown') OR (state = 'accepted' AND proof = 'unread')"
    " OR (state IN ('refused', 'cancelled') AND draft_id IS NOT NULL))"
)
NO_ADDRESS = sa.text("email_key IS NULL")
#: Compared byte by byte on both databases.
PLAIN = sa.String().with_variant(sa.String(collation="C"), "postgresql")
#: A rule belongs to exactly one place.
PLACES = {
    "region": "region_id",
    "branch": "branch_id",
    "customer": "customer_id",
    "property": "property_id",
}
ONE_PLACE = " OR ".join(
    f"(scope = '{scope}' AND "
    + " AND ".join(
        f"{column} IS {'NOT NULL' if column == mine else 'NULL'}" for column in PLACES.values()
    )
    + ")"
    for scope, mine in [("company", ""), *PLACES.items()]
)

#: Given to the rows there are; new ones bring their own.
FILLED = {
    "company": {"mixed_batches": sa.String(), "one_off": sa.String(), "version": sa.Integer()},
    "contacts": {
        "type": sa.String(),
        "active": sa.Boolean(),
        "first_name": sa.String(),
        "last_name": sa.String(),
        "business": sa.String(),
        "name_key": sa.String(),
        "notes": sa.Text(),
        "version": sa.Integer(),
    },
    "dispatches": {"lane": sa.Integer(), "recipients_why": sa.JSON()},
    "documents": {
        "email_status": sa.String(),
        "batch_status": sa.String(),
        "number_key": sa.String(),
        "words": sa.Text(),
    },
    "mail_wordings": {"target": sa.String(), "signature": sa.Text(), "version": sa.Integer()},
    "sender_rules": {"scope": sa.String(), "target": sa.String(), "version": sa.Integer()},
    "users": {"pin_hash": sa.String(), "displays": sa.JSON()},
}


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("noun", sa.String(), nullable=False),
        sa.Column("noun_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
    )
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.create_index("ix_changes_of", ["noun", "noun_id", "id"], unique=False)

    op.create_table(
        "regions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_regions")),
        sa.UniqueConstraint("name", name=op.f("uq_regions_name")),
    )
    op.create_table(
        "branches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("region_id", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["region_id"], ["regions.id"], name=op.f("fk_branches_region_id_regions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branches")),
        sa.UniqueConstraint("name", name=op.f("uq_branches_name")),
    )
    with op.batch_alter_table("branches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_branches_region_id"), ["region_id"], unique=False)

    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("mixed", sa.String(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_by_id", sa.Integer(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_by_id", sa.Integer(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_of_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checked_by_id"], ["users.id"], name=op.f("fk_batches_checked_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["completed_by_id"], ["users.id"], name=op.f("fk_batches_completed_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["users.id"], name=op.f("fk_batches_created_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["retry_of_id"], ["batches.id"], name=op.f("fk_batches_retry_of_id_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batches_status"), ["status"], unique=False)

    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("made_by_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["made_by_id"], ["users.id"], name=op.f("fk_devices_made_by_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_devices_key_hash")),
    )
    op.create_table(
        "device_people",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("password_mark", sa.String(), nullable=False),
        sa.Column("turn", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["devices.id"],
            name=op.f("fk_device_people_device_id_devices"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_device_people_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_people")),
        sa.UniqueConstraint("device_id", "user_id", name=op.f("uq_device_people_device_id")),
    )
    with op.batch_alter_table("device_people", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_device_people_user_id"), ["user_id"], unique=False)

    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("made_by_id", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["made_by_id"], ["users.id"], name=op.f("fk_links_made_by_id_users")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_links_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_links_key_hash")),
    )
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_links_user_id"), ["user_id"], unique=False)

    op.create_table(
        "properties",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=True),
        sa.Column("account_manager_id", sa.Integer(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_manager_id"],
            ["users.id"],
            name=op.f("fk_properties_account_manager_id_users"),
        ),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branches.id"], name=op.f("fk_properties_branch_id_branches")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["contacts.id"], name=op.f("fk_properties_customer_id_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_properties")),
    )
    with op.batch_alter_table("properties", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_properties_account_manager_id"), ["account_manager_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_properties_branch_id"), ["branch_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_properties_customer_id"), ["customer_id"], unique=False
        )
        batch_op.create_index("ix_properties_listed", ["active", "name", "id"], unique=False)
        batch_op.create_index("ix_properties_named", ["name", "id"], unique=False)

    op.create_table(
        "trial_rounds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_by_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["started_by_id"], ["users.id"], name=op.f("fk_trial_rounds_started_by_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial_rounds")),
    )
    op.create_table(
        "property_contacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("property_id", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Integer(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("is_billing", sa.Boolean(), nullable=False),
        sa.Column("email_invoice", sa.Boolean(), nullable=False),
        sa.Column("email_quote", sa.Boolean(), nullable=False),
        sa.Column("email_purchase_order", sa.Boolean(), nullable=False),
        sa.Column("email_job", sa.Boolean(), nullable=False),
        sa.Column("email_enquiry", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_property_contacts_contact_id_contacts")
        ),
        sa.ForeignKeyConstraint(
            ["property_id"],
            ["properties.id"],
            name=op.f("fk_property_contacts_property_id_properties"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_property_contacts")),
        sa.UniqueConstraint(
            "property_id", "contact_id", name=op.f("uq_property_contacts_property_id")
        ),
    )
    with op.batch_alter_table("property_contacts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_property_contacts_contact_id"), ["contact_id"], unique=False
        )

    op.create_table(
        "batch_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sender_email", sa.String(), nullable=False),
        sa.Column("sender_name", sa.String(), nullable=False),
        sa.Column("mailbox_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("to", sa.JSON(), nullable=False),
        sa.Column("cc", sa.JSON(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("problem_code", sa.String(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("fix", sa.String(), nullable=False),
        sa.Column("document_version", sa.Integer(), nullable=False),
        sa.Column("sending_number", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("dispatch_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batches.id"],
            name=op.f("fk_batch_items_batch_id_batches"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name=op.f("fk_batch_items_dispatch_id_dispatches")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_batch_items_document_id_documents")
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name=op.f("fk_batch_items_mailbox_id_mailboxes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_items")),
        sa.UniqueConstraint("batch_id", "document_id", name=op.f("uq_batch_items_batch_id")),
    )
    with op.batch_alter_table("batch_items", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_batch_items_document_id"), ["document_id"], unique=False
        )
        batch_op.create_index("ix_batch_items_state", ["batch_id", "state", "id"], unique=False)
        batch_op.create_index(
            "ix_batch_items_pending",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )

    op.create_table(
        "trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("sender_email", sa.String(), nullable=False),
        sa.Column("to_email", sa.String(), nullable=False),
        sa.Column("dispatch_id", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("settled_by_id", sa.Integer(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["dispatch_id"], ["dispatches.id"], name=op.f("fk_trials_dispatch_id_dispatches")
        ),
        sa.ForeignKeyConstraint(
            ["round_id"],
            ["trial_rounds.id"],
            name=op.f("fk_trials_round_id_trial_rounds"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["settled_by_id"], ["users.id"], name=op.f("fk_trials_settled_by_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sa.UniqueConstraint("round_id", "sender_email", name=op.f("uq_trials_round_id")),
    )
    with op.batch_alter_table("company", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("mixed_batches", sa.String(), nullable=False, server_default="each")
        )
        batch_op.add_column(
            sa.Column("one_off", sa.String(), nullable=False, server_default="managers")
        )
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))

    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("type", sa.String(), nullable=False, server_default="customer")
        )
        batch_op.add_column(
            sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true())
        )
        batch_op.add_column(sa.Column("first_name", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("last_name", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("business", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("name_key", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("email_key", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("notes", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("merged_into_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))

    op.create_table(
        "contact_words",
        sa.Column(
            "word",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("contact_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
            name=op.f("fk_contact_words_contact_id_contacts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("word", "contact_id", name=op.f("pk_contact_words")),
    )
    with op.batch_alter_table("contact_words", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_contact_words_contact_id"), ["contact_id"], unique=False
        )
    _name_contacts()
    _find_contacts()

    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.create_index("ix_contacts_named", ["name_key", "id"], unique=False)
        batch_op.create_index("ix_contacts_listed", ["active", "name_key", "id"], unique=False)
        batch_op.create_index(
            "ix_contacts_type", ["active", "type", "name_key", "id"], unique=False
        )
        batch_op.create_index(
            "ix_contacts_no_address",
            ["active", "name_key", "id"],
            unique=False,
            sqlite_where=NO_ADDRESS,
            postgresql_where=NO_ADDRESS,
        )
        batch_op.create_index(
            batch_op.f("ix_contacts_merged_into_id"), ["merged_into_id"], unique=False
        )
        batch_op.create_unique_constraint(batch_op.f("uq_contacts_email_key"), ["email_key"])
        batch_op.create_foreign_key(
            batch_op.f("fk_contacts_merged_into_id_contacts"),
            "contacts",
            ["merged_into_id"],
            ["id"],
        )
        batch_op.drop_column("attention")
        batch_op.drop_column("role")

    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("batch_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("lane", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(
            sa.Column("recipients_why", sa.JSON(), nullable=False, server_default="{}")
        )
        batch_op.alter_column("document_id", existing_type=sa.INTEGER(), nullable=True)
        batch_op.alter_column("requested_by_id", existing_type=sa.INTEGER(), nullable=True)
        batch_op.drop_index(
            batch_op.f("ix_dispatches_work"),
            sqlite_where=sa.text(WORK),
        )
        batch_op.create_index(
            "ix_dispatches_work",
            ["mailbox_id", "lane", "id"],
            unique=False,
            sqlite_where=sa.text(WORK),
            postgresql_where=sa.text(WORK),
        )
        batch_op.create_index(
            "ix_dispatches_batch",
            ["batch_id", "state", "mailbox_id", "accepted_at"],
            unique=False,
        )
        batch_op.create_index("ix_dispatches_accepted", ["mailbox_id", "accepted_at"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_dispatches_batch_id_batches"), "batches", ["batch_id"], ["id"]
        )

    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("property_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("branch_id", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("email_status", sa.String(), nullable=False, server_default="pending")
        )
        batch_op.add_column(sa.Column("batch_id", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("batch_status", sa.String(), nullable=False, server_default="")
        )
        batch_op.drop_index(batch_op.f("ix_documents_contact_id"))
        batch_op.drop_index(batch_op.f("ix_documents_kind"))
        batch_op.add_column(sa.Column("number_key", PLAIN, nullable=False, server_default=""))
        batch_op.add_column(sa.Column("words", sa.Text(), nullable=False, server_default=""))
        batch_op.create_index(
            "ix_documents_author", ["created_by_id", "changed_at", "id"], unique=False
        )
        batch_op.create_index("ix_documents_changed", ["changed_at", "id"], unique=False)
        batch_op.create_index("ix_documents_number_key", ["kind", "number_key"], unique=False)
        batch_op.create_index(
            "ix_documents_batch", ["batch_id", "kind", "issued", "id"], unique=False
        )
        batch_op.create_index(
            "ix_documents_branch_status",
            ["kind", "branch_id", "email_status", "issued", "id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_documents_batch_status", ["kind", "batch_status", "issued", "id"], unique=False
        )
        batch_op.create_index(
            "ix_documents_branch", ["kind", "branch_id", "issued", "id"], unique=False
        )
        batch_op.create_index(
            "ix_documents_contact", ["contact_id", "kind", "issued", "id"], unique=False
        )
        batch_op.create_index(
            "ix_documents_email_status", ["kind", "email_status", "issued", "id"], unique=False
        )
        batch_op.create_index("ix_documents_listed", ["kind", "issued", "id"], unique=False)
        batch_op.create_index(
            "ix_documents_property", ["property_id", "kind", "issued", "id"], unique=False
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_documents_property_id_properties"), "properties", ["property_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_documents_branch_id_branches"), "branches", ["branch_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_documents_batch_id_batches"), "batches", ["batch_id"], ["id"]
        )

    op.create_table(
        "document_words",
        sa.Column("kind", PLAIN, nullable=False),
        sa.Column("word", PLAIN, nullable=False),
        sa.Column("issued", sa.Date(), nullable=False),
        sa.Column("document_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "kind", "word", "issued", "document_id", name=op.f("pk_document_words")
        ),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("mail_wordings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("target", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("branch_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("signature", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        batch_op.drop_constraint(batch_op.f("uq_mail_wordings_kind"), type_="unique")
        batch_op.create_index(batch_op.f("ix_mail_wordings_branch_id"), ["branch_id"], unique=False)
        batch_op.create_unique_constraint(batch_op.f("uq_mail_wordings_target"), ["target", "kind"])
        batch_op.create_foreign_key(
            batch_op.f("fk_mail_wordings_branch_id_branches"), "branches", ["branch_id"], ["id"]
        )

    with op.batch_alter_table("sender_rules", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("scope", sa.String(), nullable=False, server_default="company")
        )
        batch_op.add_column(
            sa.Column("target", sa.String(), nullable=False, server_default="company")
        )
        batch_op.add_column(sa.Column("region_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("branch_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("customer_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("property_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        batch_op.drop_constraint(batch_op.f("uq_sender_rules_kind"), type_="unique")
        batch_op.create_index(batch_op.f("ix_sender_rules_branch_id"), ["branch_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_sender_rules_customer_id"), ["customer_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_sender_rules_property_id"), ["property_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sender_rules_region_id"), ["region_id"], unique=False)
        batch_op.create_unique_constraint(batch_op.f("uq_sender_rules_target"), ["target", "kind"])
        batch_op.create_check_constraint(batch_op.f("ck_sender_rules_one_place"), ONE_PLACE)
        batch_op.create_foreign_key(
            batch_op.f("fk_sender_rules_property_id_properties"),
            "properties",
            ["property_id"],
            ["id"],
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_sender_rules_customer_id_contacts"), "contacts", ["customer_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_sender_rules_region_id_regions"), "regions", ["region_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_sender_rules_branch_id_branches"), "branches", ["branch_id"], ["id"]
        )

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("contact_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("pin_hash", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("displays", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.create_unique_constraint(batch_op.f("uq_users_contact_id"), ["contact_id"])
        batch_op.create_foreign_key(
            batch_op.f("fk_users_contact_id_contacts"), "contacts", ["contact_id"], ["id"]
        )

    _tell_email_status()
    _find_documents()
    op.execute("UPDATE dispatches SET queued_at = requested_at")
    with op.batch_alter_table("dispatches") as batch_op:
        batch_op.alter_column("queued_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    for table, columns in FILLED.items():
        with op.batch_alter_table(table) as batch_op:
            for column, kind in columns.items():
                batch_op.alter_column(column, existing_type=kind, server_default=None)


def _name_contacts() -> None:
    """Split the one name into a business or a person, and let each address have one holder."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT id, role, name, attention, email FROM contacts ORDER BY id")
    ).all()
    holders: dict[str, str] = {}
    for one in rows:
        key = one.email.strip().casefold() or None
        note = ""
        if key in holders:
            note = f"Shared the address {one.email} with {holders[key]}."
        holder = None if note else key
        if holder:
            holders[holder] = one.name
        first, last, business = _names(one.name, one.attention, one.role)
        connection.execute(
            sa.text(
                "UPDATE contacts SET type = :type, first_name = :first, last_name = :last,"
                " business = :business, email = :email, email_key = :key, notes = :note"
                " WHERE id = :id"
            ),
            {
                "id": one.id,
                "type": one.role,
                "first": first,
                "last": last,
                "business": business,
                "email": one.email if holder else "",
                "key": holder,
                "note": note,
            },
        )


def _find_contacts() -> None:
    """Note the words each contact is found by."""
    connection = op.get_bind()
    contacts = connection.execute(
        sa.text("SELECT id, name, attention, email, phone FROM contacts ORDER BY id")
    ).all()
    for one in contacts:
        connection.execute(
            sa.text("UPDATE contacts SET name_key = :key WHERE id = :id"),
            {"id": one.id, "key": " ".join(_folded(one.name).split())},
        )
        for word in sorted(_words(one.name, one.attention, one.email.strip(), one.phone)):
            connection.execute(
                sa.text("INSERT INTO contact_words (word, contact_id) VALUES (:word, :id)"),
                {"word": word[:100], "id": one.id},
            )


def _find_documents() -> None:
    """Write down the words each document is found by."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT d.id, d.kind, d.number, d.issued, d.title, d.site, d.reference,"
            " c.first_name, c.last_name, c.business"
            " FROM documents d JOIN contacts c ON c.id = d.contact_id"
        )
    ).all()
    for document_id, kind, number, issued, *texts in rows:
        words = _pieces(" ".join(texts))
        digits = {piece.lstrip("0") for piece in _pieces(number) if piece.isdecimal()} - {""}
        every = sorted({*words, *_pieces(number), *digits})
        connection.execute(
            sa.text("UPDATE documents SET number_key = :key, words = :words WHERE id = :id"),
            {
                "key": re.sub(r"[\W_]+", "", _folded(number)),
                "words": "".join(f" {word}" for word in every),
                "id": document_id,
            },
        )
        for word in words:
            connection.execute(
                sa.text(
                    "INSERT INTO document_words (kind, word, issued, document_id)"
                    " VALUES (:kind, :word, :issued, :id)"
                ),
                {"kind": kind, "word": word, "issued": issued, "id": document_id},
            )


def _pieces(text: str) -> list[str]:
    found: set[str] = set()
    for piece in _folded(text).split():
        found |= {re.sub(r"[\W_]+", "", piece), *re.split(r"[\W_]+", piece)}
    return sorted(word[:40] for word in found if word)[:60]


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in plain if not unicodedata.combining(one))


def _words(name: str, attention: str, email: str, phone: str) -> set[str]:
    names, address = f"{name} {attention}", email.casefold()
    found = {re.sub(r"[\W_]+", "", word) for word in _folded(names).split()}
    found |= set(re.split(r"[\W_]+", _folded(names))) | set(re.split(r"[\W_]+", address))
    found |= {address, *address.rsplit("@", 1)}
    groups = re.findall(r"[0-9]+", phone)
    tails = {"".join(groups[start:]) for start in range(len(groups))}
    return (found | tails | {tail.lstrip("0") for tail in tails}) - {""}


def _names(name: str, attention: str, role: str) -> tuple[str, str, str]:
    """First name, last name, business. In doubt a name stays whole, as a business's."""
    words = name.split()
    person = 1 < len(words) < 4 and all(word.isalpha() for word in words)
    if role == "customer" and person and not attention:
        return " ".join(words[:-1]), words[-1], ""
    first, _, last = attention.rpartition(" ")
    return first or last, last if first else "", name


def _tell_email_status() -> None:
    """What was sent shows the state of its newest sending; the rest whether it has a recipient."""
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "UPDATE documents SET email_status = (SELECT d.state FROM dispatches d"
            " WHERE d.document_id = documents.id AND d.purpose = 'document'"
            " ORDER BY d.sending_number DESC LIMIT 1)"
            " WHERE EXISTS (SELECT 1 FROM dispatches d"
            " WHERE d.document_id = documents.id AND d.purpose = 'document')"
        )
    )
    connection.execute(
        sa.text(
            "UPDATE documents SET email_status = 'n/a' WHERE email_status = 'pending'"
            " AND NOT EXISTS (SELECT 1 FROM contacts c"
            " WHERE c.id = documents.contact_id AND c.email <> '')"
        )
    )


def downgrade() -> None:
    raise NotImplementedError("Put the backup back that was made before the upgrade.")
