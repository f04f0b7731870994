"""notes and triggers."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Moment

revision = "0005"
down_revision = "0004"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_notes",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("contact_id", sa.String(length=24), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("contact_notes_contact", "contact_notes", ["account_id", "contact_id", "id"], unique=False)
    op.add_column("subscriptions", sa.Column("trigger", sa.String(length=40), nullable=True))
    op.add_column("subscriptions", sa.Column("title", sa.Text(), nullable=True))
    op.add_column("subscriptions", sa.Column("message", sa.Text(), nullable=True))
    op.add_column("subscriptions", sa.Column("set_by", sa.String(length=32), nullable=True))
