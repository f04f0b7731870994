"""facts and live data."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment

revision = "0006"
down_revision = "0005"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "fact_answers",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("interaction_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_answers_at", "fact_answers", ["account_id", "at", "id"], unique=False)
    op.create_table(
        "fact_audit",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("actor_id", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("generator", sa.String(length=40), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_audit_at", "fact_audit", ["account_id", "at", "id"], unique=False)
    op.create_table(
        "fact_calls",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("started_at", Moment(), nullable=True),
        sa.Column("type", sa.String(length=20), nullable=True),
        sa.Column("direction", sa.String(length=3), nullable=True),
        sa.Column("company_number", sa.String(length=20), nullable=True),
        sa.Column("contact_number", sa.String(length=20), nullable=True),
        sa.Column("contact_id", sa.String(length=24), nullable=True),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("handling_user_id", sa.String(length=24), nullable=True),
        sa.Column("total_time", sa.Integer(), nullable=True),
        sa.Column("talk_time", sa.Integer(), nullable=True),
        sa.Column("waiting_time", sa.Integer(), nullable=True),
        sa.Column("hold_time", sa.Integer(), nullable=True),
        sa.Column("abandon_time", sa.Integer(), nullable=True),
        sa.Column("ringing_time", sa.Integer(), nullable=True),
        sa.Column("speed_to_answer", sa.Integer(), nullable=True),
        sa.Column("ring_groups", sa.Text(), nullable=True),
        sa.Column("in_business_hours", sa.Boolean(), nullable=True),
        sa.Column("callback", sa.Boolean(), nullable=True),
        sa.Column("transfer", sa.Boolean(), nullable=True),
        sa.Column("legs", sa.Integer(), nullable=True),
        sa.Column("ended_by", sa.String(length=10), nullable=True),
        sa.Column("recorded", sa.Boolean(), nullable=True),
        sa.Column("ivr_options", sa.Text(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("rating_reason", sa.Text(), nullable=True),
        sa.Column("csat_score", sa.Integer(), nullable=True),
        sa.Column("csat_at", Moment(), nullable=True),
        sa.Column("int_1", sa.Integer(), nullable=True),
        sa.Column("int_2", sa.Integer(), nullable=True),
        sa.Column("float_1", sa.Double(), nullable=True),
        sa.Column("float_2", sa.Double(), nullable=True),
        sa.Column("text_1", sa.Text(), nullable=True),
        sa.Column("text_2", sa.Text(), nullable=True),
        sa.Column("text_3", sa.Text(), nullable=True),
        sa.Column("text_4", sa.Text(), nullable=True),
        sa.Column("timestamp_1", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_calls_ended", "fact_calls", ["account_id", "ended_at", "id"], unique=False)
    op.create_table(
        "fact_contacts",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("answered_at", Moment(), nullable=True),
        sa.Column("finished_at", Moment(), nullable=False),
        sa.Column("company_number", sa.String(length=20), nullable=False),
        sa.Column("contact_number", sa.String(length=20), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("ring_groups", sa.Text(), nullable=False),
        sa.Column("waiting_time", sa.Integer(), nullable=False),
        sa.Column("ringing_time", sa.Integer(), nullable=False),
        sa.Column("talk_time", sa.Integer(), nullable=False),
        sa.Column("hard_hold_time", sa.Integer(), nullable=False),
        sa.Column("soft_hold_time", sa.Integer(), nullable=False),
        sa.Column("after_call_work_time", sa.Integer(), nullable=True),
        sa.Column("in_business_hours", sa.Boolean(), nullable=False),
        sa.Column("within_service_level", sa.Boolean(), nullable=False),
        sa.Column("transfer_in", sa.String(length=5), nullable=True),
        sa.Column("transfer_out", sa.String(length=5), nullable=True),
        sa.Column("callback", sa.Boolean(), nullable=False),
        sa.Column("ended_by", sa.String(length=10), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_contacts_call", "fact_contacts", ["account_id", "call_id"], unique=False)
    op.create_index("fact_contacts_finished", "fact_contacts", ["account_id", "finished_at", "id"], unique=False)
    op.create_table(
        "fact_conversations",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("interaction_id", sa.String(length=64), nullable=False),
        sa.Column("finished_at", Moment(), nullable=False),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "fact_conversations_finished", "fact_conversations", ["account_id", "finished_at", "id"], unique=False
    )
    op.create_table(
        "fact_dialer_calls",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("finished_at", Moment(), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "fact_dialer_calls_finished", "fact_dialer_calls", ["account_id", "finished_at", "id"], unique=False
    )
    op.create_table(
        "fact_evaluations",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("interaction_id", sa.String(length=64), nullable=False),
        sa.Column("max_score", sa.Integer(), nullable=False),
        sa.Column("obtained_score", sa.Integer(), nullable=False),
        sa.Column("doc", Json(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id", "version", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "fact_evaluations_at", "fact_evaluations", ["account_id", "at", "id", "version", "number"], unique=False
    )
    op.create_table(
        "fact_executions",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("finished_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_executions_finished", "fact_executions", ["account_id", "finished_at", "id"], unique=False)
    op.create_table(
        "fact_messages",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("conversation_id", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("person_name", sa.Text(), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_messages_at", "fact_messages", ["account_id", "at", "id"], unique=False)
    op.create_table(
        "fact_ring_attempts",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("leg_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("result", sa.String(length=20), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("finished_at", Moment(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "fact_ring_attempts_finished", "fact_ring_attempts", ["account_id", "finished_at", "id"], unique=False
    )
    op.create_table(
        "fact_statuses",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("ended_at", Moment(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "user_id", "started_at"),
        sqlite_with_rowid=False,
    )
    op.create_index("fact_statuses_ended", "fact_statuses", ["account_id", "ended_at", "user_id"], unique=False)
    op.create_table(
        "fact_steps",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("execution_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("flow_id", sa.String(length=32), nullable=False),
        sa.Column("flow_name", sa.Text(), nullable=False),
        sa.Column("step_name", sa.String(length=64), nullable=False),
        sa.Column("component_title", sa.Text(), nullable=False),
        sa.Column("exit", sa.String(length=64), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "execution_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "live_subscriptions",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("entries", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("alive_until", Moment(), nullable=False),
        sa.Column("ends_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("live_subscriptions_alive", "live_subscriptions", ["alive_until"], unique=False)
    op.create_table(
        "report_jobs",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("api", sa.String(length=8), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("format", sa.String(length=10), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("starts_at", Moment(), nullable=False),
        sa.Column("ends_at", Moment(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "report_jobs_created", "report_jobs", ["account_id", "api", "type", "created_at", "id"], unique=False
    )
    op.create_index("report_jobs_kept", "report_jobs", ["status", "finished_at"], unique=False)
    op.create_table(
        "teams",
        sa.Column("account_id", sa.String(length=24), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("teams_name", "teams", ["account_id", "name"], unique=True)
    op.add_column("users", sa.Column("team_id", sa.String(length=24), nullable=True))
