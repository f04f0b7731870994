"""The event log, the work queue, and answers remembered for idempotency keys."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

events = Table(
    "events",
    metadata,
    # order of writing; `place` is the order of commit, and the one that readers go by
    Column("n", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("place", BigInteger, unique=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("account_id", String(32), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("key", String(200), nullable=False),
    Column("at", Moment, nullable=False),
    Column("data", Json, nullable=False),
    Index("events_key", "account_id", "key", "place"),
)
Index("events_unplaced", events.c.n, postgresql_where=events.c.place.is_(None), sqlite_where=events.c.place.is_(None))

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("place", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(32), nullable=False),
    Column("until", Moment, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("args", Json, nullable=False),
    Column("due", Moment),  # NULL: buried after its last attempt, kept to be looked at
    Column("attempt", Integer, nullable=False),
    Column("error", Text),
    Column("created_at", Moment, nullable=False),
    Index("jobs_due", "due"),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", String(32), primary_key=True),
    Column("client_id", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("operation", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer),
    Column("headers", Json),
    Column("body", LargeBinary),
    Column("created_at", Moment, nullable=False),
    Index("idempotency_created", "created_at"),
    sqlite_with_rowid=False,
)

tallies = Table(
    "tallies",
    metadata,
    Column("account_id", String(32), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
