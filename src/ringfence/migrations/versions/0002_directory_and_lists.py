"""directory and lists."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment, Uuid

revision = "0002"
down_revision = "0001"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "apps",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_key", sa.String(length=800), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version_id", sa.String(length=32), nullable=False),
        sa.Column("version_number", sa.Integer(), nullable=False),
        sa.Column("facts", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("apps_account", "apps", ["account_id", "id"], unique=False)
    op.create_index("apps_name", "apps", ["name_key"], unique=True)
    op.create_table(
        "attribute_categories",
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=1024), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attribute_categories_name", "attribute_categories", ["account_id", "name_key"], unique=True)
    op.create_table(
        "do_not_call_entries",
        sa.Column("list_id", Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("expiration_date", sa.String(length=10), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("do_not_call_entries_id", "do_not_call_entries", ["list_id", "id"], unique=True)
    op.create_table(
        "lists",
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("unique_identifier_type", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("upload_id", Uuid(), nullable=True),
        sa.Column("teams", Json(), nullable=False),
        sa.Column("campaigns", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("lists_account", "lists", ["account_id", "kind"], unique=False)
    op.create_table(
        "phone_validations",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", "hour"),
        sqlite_with_rowid=False,
    )
    op.create_index("phone_validations_hour", "phone_validations", ["hour"], unique=False)
    op.create_table(
        "record_phones",
        sa.Column("list_id", Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("apart", Uuid(), nullable=False),
        sa.Column("record_id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "number", "apart"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "records",
        sa.Column("list_id", Uuid(), nullable=False),
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("phone_numbers", Json(), nullable=False),
        sa.Column("first_name", sa.String(length=80), nullable=False),
        sa.Column("last_name", sa.String(length=80), nullable=False),
        sa.Column("timezone", sa.String(length=35), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("external_provider", sa.String(length=255), nullable=True),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("external_key", sa.String(length=511), nullable=True),
        sa.Column("external_url", sa.Text(), nullable=True),
        sa.Column("sync_external_id", sa.Boolean(), nullable=False),
        sa.Column("extra_data", Json(), nullable=False),
        sa.Column("upload_id", Uuid(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "records_external",
        "records",
        ["list_id", "external_id"],
        unique=False,
        postgresql_where=sa.text("external_id IS NOT NULL"),
        sqlite_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_index(
        "records_external_key",
        "records",
        ["list_id", "external_key"],
        unique=True,
        postgresql_where=sa.text("external_key IS NOT NULL"),
        sqlite_where=sa.text("external_key IS NOT NULL"),
    )
    op.create_index("records_priority", "records", ["list_id", "priority", "id"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("list_id", Uuid(), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("filename", sa.String(length=35), nullable=False),
        sa.Column("byte_size", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.String(length=32), nullable=False),
        sa.Column("content_type", sa.String(length=35), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.Column("callback", Json(), nullable=True),
        sa.Column("notify", sa.Boolean(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("received_at", Moment(), nullable=True),
        sa.Column("merged", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("errors", Json(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uploads_list", "uploads", ["list_id"], unique=False)
    op.create_table(
        "app_installations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("owner_id", sa.String(length=24), nullable=False),
        sa.Column("app_id", sa.String(length=32), nullable=False),
        sa.Column("version_id", sa.String(length=32), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("step", sa.String(length=12), nullable=True),
        sa.Column("before", sa.String(length=12), nullable=True),
        sa.Column("due", Moment(), nullable=True),
        sa.Column("proposal", Json(), nullable=True),
        sa.Column("users", Json(), nullable=False),
        sa.Column("filters", Json(), nullable=False),
        sa.Column("subscription", Json(), nullable=True),
        sa.Column("licenses", sa.Integer(), nullable=False),
        sa.Column("channels", Json(), nullable=False),
        sa.Column("trial", Json(), nullable=True),
        sa.Column("created_by", sa.String(length=24), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "app_installations_live",
        "app_installations",
        ["account_id", "app_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("app_installations_owner", "app_installations", ["owner_id", "app_id"], unique=False)
    op.create_table(
        "app_versions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("app_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("facts", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("app_versions_number", "app_versions", ["app_id", "number"], unique=True)
    op.create_table(
        "attributes",
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=1024), nullable=False),
        sa.Column("category_id", Uuid(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("proficiency", sa.String(length=20), nullable=False),
        sa.Column("default_proficiency", sa.Integer(), nullable=False),
        sa.Column("team_ids", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["category_id"],
            ["attribute_categories.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attributes_category", "attributes", ["category_id"], unique=False)
    op.create_index("attributes_name", "attributes", ["account_id", "name_key"], unique=True)
    op.create_table(
        "app_credentials",
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("installation_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("ends_at", Moment(), nullable=True),
        sa.Column("acknowledged_at", Moment(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["app_installations.id"],
        ),
        sa.PrimaryKeyConstraint("client_id"),
    )
    op.create_index("app_credentials_installation", "app_credentials", ["installation_id", "number"], unique=True)
    op.create_table(
        "attribute_users",
        sa.Column("attribute_id", Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("proficiency", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attribute_id"],
            ["attributes.id"],
        ),
        sa.PrimaryKeyConstraint("attribute_id", "user_id"),
    )
    op.create_index("attribute_users_user", "attribute_users", ["account_id", "user_id"], unique=False)
    op.add_column("clients", sa.Column("suspended_at", Moment(), nullable=True))
