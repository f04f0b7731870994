"""Who wants to be told of what, what is still to be told, and how telling it went."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Identity, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment, Uuid
from ringfence.store.tables import metadata

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("client_id", String(32), nullable=False),
    Column("app_id", String(32)),
    Column("callback_url", Text, nullable=False),
    Column("event_types", Json, nullable=False),
    Column("identity", String(64), nullable=False),  # digest of client, app or trigger, callback URL, and what is told
    Column("trigger", String(40)),  # what a webhook trigger is called; NULL: a subscription to events
    Column("title", Text),  # of a trigger
    Column("message", Text),  # of a trigger: the template of what is sent
    Column("set_by", String(32)),  # the event that tells of it: what has its place before that is not told
    Column("secrets", Json, nullable=False),  # [{"sealed", "until"}], the newest first
    Column("active", Boolean, nullable=False),
    Column("reason", Text, nullable=False),  # why it is not active
    Column("failing_since", Moment),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("subscriptions_identity", "account_id", "identity", unique=True),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("n", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("account_id", String(24), nullable=False),
    Column("subscription_id", Uuid, ForeignKey("subscriptions.id"), nullable=False),
    Column("event_id", String(32), nullable=False),
    Column("key", String(200), nullable=False),
    Column("state", String(12), nullable=False),  # waiting | delivered | failed | withheld
    Column("due", Moment),  # NULL: over, or behind an earlier one of the same key
    Column("attempts", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Index("deliveries_subscription", "subscription_id", "n"),
    Index("deliveries_due", "due", "subscription_id"),
    Index("deliveries_created", "created_at"),
)
Index(
    "deliveries_waiting",
    deliveries.c.subscription_id,
    deliveries.c.key,
    deliveries.c.n,
    postgresql_where=deliveries.c.state == "waiting",
    sqlite_where=deliveries.c.state == "waiting",
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("at", Moment, nullable=False),
    Column("status", Integer),
    Column("took", Integer, nullable=False),  # milliseconds
    Column("error", Text, nullable=False),
    Column("response", Text, nullable=False),  # the begin of what the receiver said
    sqlite_with_rowid=False,
)

signature_keys = Table(
    "signature_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("private", Text, nullable=False),  # sealed by the vault
    Column("public", Text, nullable=False),  # base64 of the DER of its SubjectPublicKeyInfo
    Column("created_at", Moment, nullable=False),
)
