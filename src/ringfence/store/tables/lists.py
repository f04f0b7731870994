"""Lists for the outbound dialer: what they are called, what was uploaded to them, and whom not to call."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment, Uuid

from . import metadata

lists = Table(
    "lists",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("kind", String(16), nullable=False),  # records | do_not_call
    Column("name", String(120), nullable=False),
    Column("unique_identifier_type", String(16), nullable=False),
    Column("status", String(20), nullable=False),
    Column("count", Integer, nullable=False),  # of what it holds
    Column("upload_id", Uuid),  # the file that it was made with
    Column("teams", Json, nullable=False),  # [{"id", "name"}]
    Column("campaigns", Json, nullable=False),  # [{"id", "campaign_name"}]
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Index("lists_account", "account_id", "kind"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("list_id", Uuid, nullable=False),
    Column("job", String(64), nullable=False),  # the one that validates it
    Column("filename", String(35), nullable=False),
    Column("byte_size", BigInteger, nullable=False),
    Column("checksum", String(32), nullable=False),
    Column("content_type", String(35), nullable=False),
    Column("status", String(20), nullable=False),
    Column("waits", Boolean, nullable=False),  # until somebody says that it may be validated
    Column("callback", Json),
    Column("notify", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("received_at", Moment),
    Column("merged", Integer, nullable=False),  # rows that have been looked at in order to store them
    Column("rows", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("errors", Json, nullable=False),  # the first of them: [{"row", "code", "description"}]
    Index("uploads_list", "list_id"),
)

do_not_call_entries = Table(
    "do_not_call_entries",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # the digits of E.164
    Column("id", Uuid, nullable=False),
    Column("account_id", String(24), nullable=False),
    Column("expiration_date", String(10)),
    Column("reason", String(255)),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("do_not_call_entries_id", "list_id", "id", unique=True),
    sqlite_with_rowid=False,
)
