"""What happens on the floor: interactions, agents' desks, callbacks, recordings, flows, and what the floor is told."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

interactions = Table(
    "interactions",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),  # also what a call is called by
    Column("state", String(12), nullable=False),  # as in floor/calls.py; `ended` is the last
    Column("direction", String(3), nullable=False),  # IN | OUT
    Column("company_number", String(20), nullable=False),
    Column("contact_number", String(20), nullable=False),
    Column("contact_id", String(24)),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("doc", Json, nullable=False),  # floor/interactions.py, Interaction
    Index("interactions_started", "account_id", "started_at"),
    Index("interactions_contact", "account_id", "contact_number", "started_at"),
    sqlite_with_rowid=False,
)
Index(
    "interactions_live",
    interactions.c.account_id,
    interactions.c.id,
    postgresql_where=interactions.c.state != "ended",
    sqlite_where=interactions.c.state != "ended",
)

desks = Table(
    "desks",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("user_id", String(24), primary_key=True),
    Column("status", String(64), nullable=False),
    Column("since", Moment, nullable=False),
    Column("doc", Json, nullable=False),  # floor/live.py, Desk
    sqlite_with_rowid=False,
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),  # that of its interaction
    Column("state", String(20), nullable=False),
    Column("reason", String(40)),  # why it failed, expired or was cancelled
    Column("company_number", String(20), nullable=False),
    Column("contact_number", String(20), nullable=False),
    Column("asked", Json, nullable=False),  # ring groups, attributes, priority, context, as they were asked for
    Column("attempts", Json, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("not_before", Moment),
    Column("expires_at", Moment, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("cancel_asked_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("callbacks_created", "account_id", "created_at"),
    sqlite_with_rowid=False,
)
Index(
    "callbacks_open",
    callbacks.c.account_id,
    callbacks.c.contact_number,
    callbacks.c.company_number,
    postgresql_where=callbacks.c.open,
    sqlite_where=callbacks.c.open,
)

recordings = Table(
    "recordings",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("call_id", String(32), nullable=False),
    Column("number", Integer, nullable=False),  # from 0 within the call
    Column("type", String(12), nullable=False),  # conversation | voicemail | agent | consultation
    Column("duration", Integer, nullable=False),  # seconds
    Column("channels", Json, nullable=False),  # {"channel_1": [{"participant_type", "participant_id"}], "channel_2"}
    Column("carrier", String(20), nullable=False),  # who has the media until it has been fetched
    Column("media", String(12)),  # content type once it is kept here; NULL: still with the carrier
    Column("sealed", Text),  # the key of its encryption, sealed by the vault; NULL: kept as it is
    Column("bytes", BigInteger),
    Column("created_at", Moment, nullable=False),
    Column("gone_at", Moment),  # its media has been dropped, by retention or by an administrator
    Index("recordings_call", "account_id", "call_id", "number"),
    Index("recordings_kept", "gone_at", "created_at"),
    sqlite_with_rowid=False,
)

flows = Table(
    "flows",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("draft", Json, nullable=False),  # floor/flows.py, FlowDocument
    Column("draft_number", Integer, nullable=False),  # counts the drafts
    Column("published_id", String(32)),  # the version that executions begin with
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("flows_name", "account_id", "name", unique=True),
    sqlite_with_rowid=False,
)

flow_versions = Table(
    "flow_versions",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("flow_id", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("document", Json, nullable=False),  # never changed once it is here
    Column("published_at", Moment, nullable=False),
    Column("published_by", String(200), nullable=False),
    Index("flow_versions_flow", "account_id", "flow_id", "number", unique=True),
    sqlite_with_rowid=False,
)

business_hours = Table(
    "business_hours",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("timezone", String(64), nullable=False),
    Column("week", Json, nullable=False),  # {"monday": [["09:00", "18:00"]], …}
    Column("closed_on", Json, nullable=False),  # days, as in 2026-12-25
    sqlite_with_rowid=False,
)

floor_inbox = Table(
    "floor_inbox",
    metadata,
    Column("n", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("command", String(32), nullable=False),
    Column("args", Json, nullable=False),
    Column("at", Moment, nullable=False),
)
