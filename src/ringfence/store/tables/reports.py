"""Jobs that write reports, and subscriptions to live data."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

report_jobs = Table(
    "report_jobs",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("api", String(8), nullable=False),  # explore | legacy
    Column("type", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("format", String(10), nullable=False),  # csv | json | json_bulk
    Column("timezone", String(64), nullable=False),
    Column("starts_at", Moment, nullable=False),  # inclusive
    Column("ends_at", Moment, nullable=False),  # exclusive
    Column("status", String(12), nullable=False),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("error", Text),
    Column("client_id", String(32), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Index("report_jobs_created", "account_id", "api", "type", "created_at", "id"),
    Index("report_jobs_kept", "status", "finished_at"),
    sqlite_with_rowid=False,
)

live_subscriptions = Table(
    "live_subscriptions",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("client_id", String(32), nullable=False),
    Column("entries", Json, nullable=False),  # live/subscriptions.py, Entry
    Column("version", Integer, nullable=False),  # counts the updates
    Column("created_at", Moment, nullable=False),
    Column("alive_until", Moment, nullable=False),  # renewed while a stream is open
    Column("ends_at", Moment, nullable=False),  # at the latest
    Index("live_subscriptions_alive", "alive_until"),
    sqlite_with_rowid=False,
)
