"""the floor."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment

revision = "0004"
down_revision = "0003"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "business_hours",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("week", Json(), nullable=False),
        sa.Column("closed_on", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "callbacks",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("company_number", sa.String(length=20), nullable=False),
        sa.Column("contact_number", sa.String(length=20), nullable=False),
        sa.Column("asked", Json(), nullable=False),
        sa.Column("attempts", Json(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", Moment(), nullable=True),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("cancel_asked_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("callbacks_created", "callbacks", ["account_id", "created_at"], unique=False)
    op.create_index(
        "callbacks_open",
        "callbacks",
        ["account_id", "contact_number", "company_number"],
        unique=False,
        postgresql_where=sa.text("open"),
        sqlite_where=sa.text("open"),
    )
    op.create_table(
        "desks",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "floor_inbox",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("command", sa.String(length=32), nullable=False),
        sa.Column("args", Json(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_table(
        "flow_versions",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("flow_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.Column("published_at", Moment(), nullable=False),
        sa.Column("published_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("flow_versions_flow", "flow_versions", ["account_id", "flow_id", "number"], unique=True)
    op.create_table(
        "flows",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("draft", Json(), nullable=False),
        sa.Column("draft_number", sa.Integer(), nullable=False),
        sa.Column("published_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("flows_name", "flows", ["account_id", "name"], unique=True)
    op.create_table(
        "interactions",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("company_number", sa.String(length=20), nullable=False),
        sa.Column("contact_number", sa.String(length=20), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=True),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "interactions_contact", "interactions", ["account_id", "contact_number", "started_at"], unique=False
    )
    op.create_index(
        "interactions_live",
        "interactions",
        ["account_id", "id"],
        unique=False,
        postgresql_where=sa.text("state != 'ended'"),
        sqlite_where=sa.text("state != 'ended'"),
    )
    op.create_index("interactions_started", "interactions", ["account_id", "started_at"], unique=False)
    op.create_table(
        "recordings",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=12), nullable=False),
        sa.Column("duration", sa.Integer(), nullable=False),
        sa.Column("channels", Json(), nullable=False),
        sa.Column("carrier", sa.String(length=20), nullable=False),
        sa.Column("media", sa.String(length=12), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("gone_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("recordings_call", "recordings", ["account_id", "call_id", "number"], unique=False)
    op.create_index("recordings_kept", "recordings", ["gone_at", "created_at"], unique=False)
    op.add_column("numbers", sa.Column("flow_id", sa.String(length=32), nullable=True))
    op.add_column("numbers", sa.Column("business_hours", sa.String(length=255), nullable=True))
