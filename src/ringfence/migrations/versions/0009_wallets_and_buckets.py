"""Wallets and buckets."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment, Uuid

revision = "0009"
down_revision = "0008"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "wallets",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("product_name", sa.String(length=200), nullable=False),
        sa.Column("declared", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "buckets",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", Uuid(), nullable=False),
        sa.Column("charge_number", sa.String(length=100), nullable=False),
        sa.Column("resource", sa.String(length=40), nullable=False),
        sa.Column("unit_of_measure", sa.String(length=20), nullable=False),
        sa.Column("plafond", sa.BigInteger(), nullable=False),
        sa.Column("plafond_multiplier", sa.BigInteger(), nullable=False),
        sa.Column("effective_start", Moment(), nullable=False),
        sa.Column("effective_end", Moment(), nullable=False),
        sa.Column("renews", sa.String(length=10), nullable=False),
        sa.Column("type", sa.String(length=10), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("properties", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("buckets_charge_number", "buckets", ["account_id", "charge_number"], unique=True)
    op.create_table(
        "meters",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("resource", sa.String(length=40), nullable=False),
        sa.Column("unit_of_measure", sa.String(length=20), nullable=False),
        sa.Column("rounding", sa.String(length=10), nullable=False),
        sa.Column("wallet", sa.String(length=200), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "resource"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_books",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_lines",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("resource", sa.String(length=40), nullable=False),
        sa.Column("bucket", sa.String(length=36), nullable=False),
        sa.Column("wallet", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "day", "resource", "bucket", "wallet"),
        sqlite_with_rowid=False,
    )
