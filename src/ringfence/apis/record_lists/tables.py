"""Where records are kept: one row answers a read, the numbers beside it are for finding and for uniqueness."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment, Uuid
from ringfence.store.tables import metadata

records = Table(
    "records",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("phone_numbers", Json, nullable=False),  # [{"phone_number", "phone_type"}]
    Column("first_name", String(80), nullable=False),
    Column("last_name", String(80), nullable=False),
    Column("timezone", String(35)),
    Column("priority", Integer, nullable=False),  # 10 first; above it, nobody has said
    Column("external_provider", String(255)),
    Column("external_id", String(255)),
    Column("external_key", String(511)),  # both, where the list holds each of them once
    Column("external_url", Text),
    Column("sync_external_id", Boolean, nullable=False),
    Column("extra_data", Json, nullable=False),
    Column("upload_id", Uuid),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("records_priority", "list_id", "priority", "id"),
    sqlite_with_rowid=False,
)
Index(
    "records_external_key",
    records.c.list_id,
    records.c.external_key,
    unique=True,
    postgresql_where=records.c.external_key.is_not(None),
    sqlite_where=records.c.external_key.is_not(None),
)
Index(
    "records_external",
    records.c.list_id,
    records.c.external_id,
    postgresql_where=records.c.external_id.is_not(None),
    sqlite_where=records.c.external_id.is_not(None),
)

record_phones = Table(
    "record_phones",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("apart", Uuid, primary_key=True),  # the nil UUID where a list holds a number once, else the record
    Column("record_id", Uuid, nullable=False),
    Column("account_id", String(24), nullable=False),
    sqlite_with_rowid=False,
)
