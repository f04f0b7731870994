"""Guardian: networks, sessions, call quality, roles, cases, and what its rules remember."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment

revision = "0007"
down_revision = "0006"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "guardian_call_quality",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("interaction_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("jitter_avg", sa.Double(), nullable=False),
        sa.Column("jitter_max", sa.Double(), nullable=False),
        sa.Column("mos_avg", sa.Double(), nullable=False),
        sa.Column("mos_max", sa.Double(), nullable=False),
        sa.Column("mos_min", sa.Double(), nullable=False),
        sa.Column("rtt_avg", sa.Double(), nullable=False),
        sa.Column("rtt_max", sa.Double(), nullable=False),
        sa.Column("rtt_min", sa.Double(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("guardian_call_quality_at", "guardian_call_quality", ["account_id", "at", "id"], unique=False)
    op.create_index("guardian_call_quality_old", "guardian_call_quality", ["at"], unique=False)
    op.create_index(
        "guardian_call_quality_user", "guardian_call_quality", ["account_id", "user_id", "at", "mos_avg"], unique=False
    )
    op.create_table(
        "guardian_cases",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("specification", sa.Text(), nullable=False),
        sa.Column("hits", Json(), nullable=False),
        sa.Column("hits_number", sa.Integer(), nullable=False),
        sa.Column("baseline", sa.Double(), nullable=False),
        sa.Column("user_baseline", Json(), nullable=False),
        sa.Column("pop_baseline", Json(), nullable=False),
        sa.Column("user_conf", sa.Double(), nullable=False),
        sa.Column("user_prob", sa.Double(), nullable=False),
        sa.Column("pop_conf", sa.Double(), nullable=False),
        sa.Column("pop_prob", sa.Double(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("detected_at", Moment(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("guardian_cases_detected", "guardian_cases", ["account_id", "detected_at", "id"], unique=False)
    op.create_index("guardian_cases_old", "guardian_cases", ["last_at"], unique=False)
    op.create_index(
        "guardian_cases_user", "guardian_cases", ["account_id", "user_id", "last_at", "weight"], unique=False
    )
    op.create_table(
        "guardian_networks",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("cidr", sa.String(length=43), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "cidr"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "guardian_roles",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("role", sa.String(length=63), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("assigned_at", Moment(), nullable=False),
        sa.Column("assigned_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id", "role"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "guardian_sessions",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("login_at", Moment(), nullable=False),
        sa.Column("logout_at", Moment(), nullable=True),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("country", sa.String(length=7), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("browser", sa.String(length=100), nullable=True),
        sa.Column("os", sa.String(length=100), nullable=True),
        sa.Column("sso", sa.Boolean(), nullable=False),
        sa.Column("support_access", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("guardian_sessions_login", "guardian_sessions", ["account_id", "login_at", "id"], unique=False)
    op.create_index("guardian_sessions_old", "guardian_sessions", ["login_at"], unique=False)
    op.create_index("guardian_sessions_user", "guardian_sessions", ["account_id", "user_id", "login_at"], unique=False)
    op.create_table(
        "guardian_subjects",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("doc", Json(), nullable=False),
        sa.Column("first_session_at", Moment(), nullable=True),
        sa.Column("last_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "subject"),
        sqlite_with_rowid=False,
    )
    op.create_index("guardian_subjects_old", "guardian_subjects", ["kind", "last_at"], unique=False)
