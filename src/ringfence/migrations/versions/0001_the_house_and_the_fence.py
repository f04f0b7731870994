"""The house and the fence."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment

revision = "0001"
down_revision = None
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("company_name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "assertions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("assertions_expires", "assertions", ["expires_at"], unique=False)
    op.create_table(
        "codes",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("challenge", sa.String(length=64), nullable=True),
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("auth_time", Moment(), nullable=False),
        sa.Column("grant_id", sa.String(length=32), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("codes_expires", "codes", ["expires_at"], unique=False)
    op.create_table(
        "consents",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id", "client_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contact_emails",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("value", sa.String(length=1024), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "value", "contact_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("contact_emails_contact", "contact_emails", ["account_id", "contact_id"], unique=False)
    op.create_table(
        "contact_fields",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "contact_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contact_integrations",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("value", sa.String(length=1024), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "value", "contact_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("contact_integrations_contact", "contact_integrations", ["account_id", "contact_id"], unique=False)
    op.create_table(
        "contact_phones",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("value", sa.String(length=1024), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "value", "contact_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("contact_phones_contact", "contact_phones", ["account_id", "contact_id"], unique=False)
    op.create_table(
        "contact_tags",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("value", sa.String(length=1024), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "value", "contact_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("contact_tags_contact", "contact_tags", ["account_id", "contact_id"], unique=False)
    op.create_table(
        "contacts",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", sa.String(length=1024), nullable=False),
        sa.Column("company", sa.String(length=255), nullable=False),
        sa.Column("company_key", sa.String(length=1024), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("emails", Json(), nullable=False),
        sa.Column("phones", Json(), nullable=False),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("integrations", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("contacts_company", "contacts", ["account_id", "company_key", "name_key", "id"], unique=False)
    op.create_index("contacts_name", "contacts", ["account_id", "name_key", "id"], unique=False)
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("data", Json(), nullable=False),
        sa.PrimaryKeyConstraint("n"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("place"),
    )
    op.create_index("events_key", "events", ["account_id", "key", "place"], unique=False)
    op.create_index(
        "events_unplaced",
        "events",
        ["n"],
        unique=False,
        postgresql_where=sa.text("place IS NULL"),
        sqlite_where=sa.text("place IS NULL"),
    )
    op.create_table(
        "fence_changes",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fence_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "idempotency",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", Json(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "client_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_created", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("args", Json(), nullable=False),
        sa.Column("due", Moment(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("jobs_due", "jobs", ["due"], unique=False)
    op.create_table(
        "login_failures",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "opaque_tokens",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("jti", sa.String(length=32), nullable=False),
        sa.Column("idle", sa.Integer(), nullable=False),
        sa.Column("issued_at", Moment(), nullable=False),
        sa.Column("alive_until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("opaque_tokens_alive", "opaque_tokens", ["alive_until"], unique=False)
    op.create_table(
        "platform_facts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("auth_time", Moment(), nullable=False),
        sa.Column("grant_id", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("idle_until", Moment(), nullable=False),
        sa.Column("replaced_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("refresh_tokens_grant", "refresh_tokens", ["grant_id"], unique=False)
    op.create_index("refresh_tokens_idle", "refresh_tokens", ["idle_until"], unique=False)
    op.create_index("refresh_tokens_sid", "refresh_tokens", ["sid"], unique=False)
    op.create_table(
        "revocations",
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("mark"),
        sqlite_with_rowid=False,
    )
    op.create_index("revocations_until", "revocations", ["until"], unique=False)
    op.create_table(
        "ring_group_users",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("ring_group", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ring_group", "user_id"),
    )
    op.create_index("ring_group_users_user", "ring_group_users", ["account_id", "user_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("auth_time", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_expires", "sessions", ["expires_at"], unique=False)
    op.create_index("sessions_user", "sessions", ["account_id", "user_id"], unique=False)
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(length=32), nullable=False),
        sa.Column("alg", sa.String(length=8), nullable=False),
        sa.Column("private", sa.Text(), nullable=False),
        sa.Column("public", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("retired_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "tallies",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "type", "day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage",
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=100), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_used_at", Moment(), nullable=False),
        sa.Column("last_used_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "scope", "operation"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "watchers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("grant_types", Json(), nullable=False),
        sa.Column("redirect_uris", Json(), nullable=False),
        sa.Column("secrets", Json(), nullable=False),
        sa.Column("keys", Json(), nullable=False),
        sa.Column("jwks_uri", sa.Text(), nullable=True),
        sa.Column("id_token_alg", sa.String(length=8), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("clients_account", "clients", ["account_id", "id"], unique=False)
    op.create_index(
        "clients_name",
        "clients",
        ["account_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
        sqlite_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "numbers",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "number"),
    )
    op.create_table(
        "ring_groups",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("short_abandoned_threshold", sa.Integer(), nullable=False),
        sa.Column("wait_time_threshold", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "name"),
    )
    op.create_table(
        "roles",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "name"),
    )
    op.create_table(
        "users",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("gender", sa.String(length=20), nullable=True),
        sa.Column("extension", sa.Integer(), nullable=True),
        sa.Column("external_phone_number", sa.String(length=20), nullable=True),
        sa.Column("roles", Json(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "id"),
    )
    op.create_index("users_created", "users", ["account_id", "created_at", "id"], unique=False)
    op.create_index("users_email", "users", ["account_id", "email_key"], unique=True)
    op.create_table(
        "scope_grants",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=100), nullable=False),
        sa.Column("added_at", Moment(), nullable=False),
        sa.Column("added_by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("effective_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("ended_by", sa.String(length=200), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("scope_grants_client", "scope_grants", ["client_id", "scope"], unique=False)
    op.create_index(
        "scope_grants_live",
        "scope_grants",
        ["client_id", "scope"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.execute("INSERT INTO fence_version (id, version) VALUES (1, 0)")
