"""Time off: its types, who is away from when to when, hours that may still be taken, and files of it."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment, Uuid

from . import metadata

time_off_types = Table(
    "time_off_types",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("key", String(400), primary_key=True),  # the name without case
    Column("name", String(100), nullable=False),
    Column("status", String(64), nullable=False),  # of an agent who is away for it
    Column("draws", Boolean, nullable=False),  # whether it is taken from a balance
    sqlite_with_rowid=False,
)

time_offs = Table(
    "time_offs",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("user_id", String(24), nullable=False),
    Column("type_key", String(400), nullable=False),
    Column("start_at", Moment, nullable=False),
    Column("end_at", Moment, nullable=False),
    Column("description", Text),
    Column("drawn", BigInteger, nullable=False),  # seconds that were taken from a balance
    Column("began", Boolean, nullable=False),  # the agent is away for it now
    Column("next_at", Moment),  # when it begins, or ends; NULL: it is over
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("time_offs_of", "account_id", "user_id", "start_at", unique=True),
    Index("time_offs_next", "next_at"),
    sqlite_with_rowid=False,
)

time_off_balances = Table(
    "time_off_balances",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("user_id", String(24), nullable=False),
    Column("type_key", String(400), nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("time_off_balances_of", "account_id", "user_id", "type_key", unique=True),
    sqlite_with_rowid=False,
)

time_off_imports = Table(
    "time_off_imports",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("file_name", String(255), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the file
    Column("kept", Boolean, nullable=False),  # whether the file is here; else a command reads it
    Column("time_zone", String(64), nullable=False),
    Column("date_format", String(20), nullable=False),
    Column("status", String(24), nullable=False),
    Column("rows", Integer),  # of the file, once they have been counted
    Column("done", Integer, nullable=False),  # rows that have been looked at
    Column("imported", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("bytes", BigInteger),  # of the report about what was refused, where it is kept
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Index("time_off_imports_kept", "finished_at"),
    sqlite_with_rowid=False,
)

time_off_import_errors = Table(
    "time_off_import_errors",  # until the report is written
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("import_id", Uuid, primary_key=True),
    Column("row", Integer, primary_key=True),
    Column("code", String(40), nullable=False),
    Column("description", Text, nullable=False),
    Column("line", Json, nullable=False),  # the row as it was sent
    sqlite_with_rowid=False,
)
