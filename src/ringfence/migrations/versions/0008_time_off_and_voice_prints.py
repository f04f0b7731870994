"""time off and voice prints."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment, Uuid

revision = "0008"
down_revision = "0007"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "time_off_types",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("draws", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "time_offs",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("type_key", sa.String(length=400), nullable=False),
        sa.Column("start_at", Moment(), nullable=False),
        sa.Column("end_at", Moment(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("drawn", sa.BigInteger(), nullable=False),
        sa.Column("began", sa.Boolean(), nullable=False),
        sa.Column("next_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("time_offs_of", "time_offs", ["account_id", "user_id", "start_at"], unique=True)
    op.create_index("time_offs_next", "time_offs", ["next_at"], unique=False)
    op.create_table(
        "time_off_balances",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("type_key", sa.String(length=400), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("time_off_balances_of", "time_off_balances", ["account_id", "user_id", "type_key"], unique=True)
    op.create_table(
        "time_off_imports",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("date_format", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("imported", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("time_off_imports_kept", "time_off_imports", ["finished_at"], unique=False)
    op.create_table(
        "time_off_import_errors",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("line", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "import_id", "row"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "biometric_consents",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("consented_at", Moment(), nullable=True),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "contact_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "biometric_history",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("previous", sa.String(length=12), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("how", sa.String(length=12), nullable=False),
        sa.Column("interaction_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_index("biometric_history_contact", "biometric_history", ["account_id", "contact_id", "n"], unique=False)
    op.create_table(
        "voice_prints",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.Column("phrase_id", sa.BigInteger(), nullable=False),
        sa.Column("engine", sa.String(length=40), nullable=False),
        sa.Column("print", sa.Text(), nullable=True),
        sa.Column("recordings", Json(), nullable=False),
        sa.Column("enrolled_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "contact_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "biometric_removals",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("removed", Json(), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "biometric_removals_contact", "biometric_removals", ["account_id", "contact_id", "id"], unique=False
    )
