"""What Guardian keeps of the event log: sessions, call quality, roles, cases, and what its rules remember of people."""

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

networks = Table(
    "guardian_networks",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("cidr", String(43), primary_key=True),
    Column("country", String(2), nullable=False),
    Column("latitude", Double, nullable=False),
    Column("longitude", Double, nullable=False),
    sqlite_with_rowid=False,
)

sessions = Table(
    "guardian_sessions",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),  # of a login its sid, of a shift the event that began it
    Column("user_id", String(24), nullable=False),
    Column("login_at", Moment, nullable=False),
    Column("logout_at", Moment),  # NULL: it was not ended
    Column("expires_at", Moment),  # when it ends by itself; NULL: never
    Column("country", String(7), nullable=False),  # two letters, or `unknown`
    Column("address", String(64)),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("browser", String(100)),
    Column("os", String(100)),
    Column("sso", Boolean, nullable=False),
    Column("support_access", Boolean, nullable=False),
    Index("guardian_sessions_login", "account_id", "login_at", "id"),
    Index("guardian_sessions_user", "account_id", "user_id", "login_at"),
    Index("guardian_sessions_old", "login_at"),
    sqlite_with_rowid=False,
)

call_quality = Table(
    "guardian_call_quality",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),  # of the contact within the call
    Column("call_id", String(32), nullable=False),
    Column("interaction_id", String(32), nullable=False),
    Column("user_id", String(24)),
    Column("at", Moment, nullable=False),  # when the contact was over
    Column("jitter_avg", Double, nullable=False),  # milliseconds, as round trips are
    Column("jitter_max", Double, nullable=False),
    Column("mos_avg", Double, nullable=False),
    Column("mos_max", Double, nullable=False),
    Column("mos_min", Double, nullable=False),
    Column("rtt_avg", Double, nullable=False),
    Column("rtt_max", Double, nullable=False),
    Column("rtt_min", Double, nullable=False),
    Column("loss", Double, nullable=False),  # percent
    Index("guardian_call_quality_at", "account_id", "at", "id"),
    Index("guardian_call_quality_user", "account_id", "user_id", "at", "mos_avg"),
    Index("guardian_call_quality_old", "at"),
    sqlite_with_rowid=False,
)

role_assignments = Table(
    "guardian_roles",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("user_id", String(24), primary_key=True),
    Column("role", String(63), primary_key=True),
    Column("id", String(32), nullable=False),
    Column("assigned_at", Moment, nullable=False),
    Column("assigned_by", String(200), nullable=False),
    sqlite_with_rowid=False,
)

cases = Table(
    "guardian_cases",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("rule", String(40), nullable=False),
    Column("event_id", String(32), nullable=False),  # that made it a case
    Column("user_id", String(200), nullable=False),  # a user, a client, or who was at the command line
    Column("specification", Text, nullable=False),
    Column("hits", Json, nullable=False),  # [{"event_id", "timestamp"}], the first ones
    Column("hits_number", Integer, nullable=False),
    Column("baseline", Double, nullable=False),
    Column("user_baseline", Json, nullable=False),  # hits of each of the 30 days before
    Column("pop_baseline", Json, nullable=False),
    Column("user_conf", Double, nullable=False),
    Column("user_prob", Double, nullable=False),
    Column("pop_conf", Double, nullable=False),
    Column("pop_prob", Double, nullable=False),
    Column("weight", Integer, nullable=False),  # what it adds to the risk of its user
    Column("detected_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),  # of its last hit
    Index("guardian_cases_detected", "account_id", "detected_at", "id"),
    Index("guardian_cases_user", "account_id", "user_id", "last_at", "weight"),
    Index("guardian_cases_old", "last_at"),
    sqlite_with_rowid=False,
)

subjects = Table(
    "guardian_subjects",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("subject", String(255), primary_key=True),  # who it is about: a user, a client, peers, the account
    Column("kind", String(10), nullable=False),  # actor | peers | account
    Column("doc", Json, nullable=False),  # guardian/memory.py, Subject
    Column("first_session_at", Moment),  # when the person first came in
    Column("last_at", Moment, nullable=False),  # of the last event about it
    Index("guardian_subjects_old", "kind", "last_at"),
    sqlite_with_rowid=False,
)

KEPT = (sessions, call_quality, role_assignments, cases, subjects)  # what can be made anew from the log
