"""Accounts, people, clients, what they may do, and the tokens they were given."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(24), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("company_name", String(200), nullable=False),
    Column("email", String(254), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
)

roles = Table(
    "roles",
    metadata,
    Column("account_id", String(24), ForeignKey("accounts.id"), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("scopes", Json, nullable=False),
)

teams = Table(
    "teams",
    metadata,
    Column("account_id", String(24), ForeignKey("accounts.id"), primary_key=True),
    Column("id", String(24), primary_key=True),
    Column("name", String(200), nullable=False),
    Index("teams_name", "account_id", "name", unique=True),
    sqlite_with_rowid=False,
)
users = Table(
    "users",
    metadata,
    Column("account_id", String(24), ForeignKey("accounts.id"), primary_key=True),
    Column("id", String(24), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_key", String(254), nullable=False),
    Column("name", String(200), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("gender", String(20)),
    Column("extension", Integer),
    Column("external_phone_number", String(20)),
    Column("team_id", String(24)),
    Column("roles", Json, nullable=False),
    Column("password_hash", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("users_email", "account_id", "email_key", unique=True),
    Index("users_created", "account_id", "created_at", "id"),
)

ring_groups = Table(
    "ring_groups",
    metadata,
    Column("account_id", String(24), ForeignKey("accounts.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("short_abandoned_threshold", Integer, nullable=False),
    Column("wait_time_threshold", Integer, nullable=False),
)

ring_group_users = Table(
    "ring_group_users",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("ring_group", String(255), primary_key=True),
    Column("user_id", String(24), primary_key=True),
    Index("ring_group_users_user", "account_id", "user_id"),
)

numbers = Table(
    "numbers",
    metadata,
    Column("account_id", String(24), ForeignKey("accounts.id"), primary_key=True),
    Column("number", String(20), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("flow_id", String(32)),  # what answers a call to it
    Column("business_hours", String(255)),
)

clients = Table(
    "clients",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(24), ForeignKey("accounts.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(12), nullable=False),  # confidential | public
    Column("grant_types", Json, nullable=False),
    Column("redirect_uris", Json, nullable=False),
    Column("secrets", Json, nullable=False),  # [{"hash", "until"}]
    Column("keys", Json, nullable=False),  # public JWKs for private_key_jwt
    Column("jwks_uri", Text),
    Column("id_token_alg", String(8), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("deleted_at", Moment),
    Column("suspended_at", Moment),  # since then it is refused as if it were deleted, and keeps what it was given
    Index("clients_account", "account_id", "id"),
)
Index(
    "clients_name",
    clients.c.account_id,
    clients.c.name,
    unique=True,
    postgresql_where=clients.c.deleted_at.is_(None),
    sqlite_where=clients.c.deleted_at.is_(None),
)

scope_grants = Table(
    "scope_grants",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("client_id", String(32), ForeignKey("clients.id"), nullable=False),
    Column("scope", String(100), nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("added_by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("effective_at", Moment, nullable=False),
    Column("ended_at", Moment),  # removed, or cancelled while it was pending
    Column("ended_by", String(200)),
    Column("ended_reason", Text),
    Index("scope_grants_client", "client_id", "scope"),
)
Index(
    "scope_grants_live",
    scope_grants.c.client_id,
    scope_grants.c.scope,
    unique=True,
    postgresql_where=scope_grants.c.ended_at.is_(None),
    sqlite_where=scope_grants.c.ended_at.is_(None),
)

usage = Table(
    "usage",
    metadata,
    Column("client_id", String(32), primary_key=True),
    Column("scope", String(100), primary_key=True),
    Column("operation", String(200), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_used_at", Moment, nullable=False),
    Column("last_used_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

# The version of everything the fence looks at. A change takes the next version in its own transaction, which
# holds the row until commit, so versions become visible in order.
fence_version = Table(
    "fence_version", metadata, Column("id", Integer, primary_key=True), Column("version", BigInteger, nullable=False)
)
fence_changes = Table(
    "fence_changes",
    metadata,
    Column("version", BigInteger, primary_key=True),
    Column("kind", String(16), nullable=False),  # client | person | roles | revoked | keys
    Column("ref", String(64), nullable=False),
    sqlite_with_rowid=False,
)
watchers = Table(
    "watchers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("seen", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
)
revocations = Table(
    "revocations",
    metadata,
    Column("mark", String(64), primary_key=True),  # jti:…, grant:…, sid:…
    Column("until", Moment, nullable=False),
    Index("revocations_until", "until"),
    sqlite_with_rowid=False,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(32), primary_key=True),
    Column("alg", String(8), nullable=False),
    Column("private", Text, nullable=False),  # sealed by the vault
    Column("public", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("retired_at", Moment),
)

codes = Table(
    "codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("client_id", String(32), nullable=False),
    Column("user_id", String(24), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("nonce", Text),
    Column("challenge", String(64)),
    Column("sid", String(32), nullable=False),
    Column("auth_time", Moment, nullable=False),
    Column("grant_id", String(32), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Index("codes_expires", "expires_at"),
    sqlite_with_rowid=False,
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("client_id", String(32), nullable=False),
    Column("user_id", String(24), nullable=False),
    Column("scope", Text, nullable=False),
    Column("sid", String(32), nullable=False),
    Column("auth_time", Moment, nullable=False),
    Column("grant_id", String(32), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("idle_until", Moment, nullable=False),
    Column("replaced_at", Moment),
    Index("refresh_tokens_grant", "grant_id"),
    Index("refresh_tokens_sid", "sid"),
    Index("refresh_tokens_idle", "idle_until"),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),  # of the cookie
    Column("sid", String(32), nullable=False),
    Column("account_id", String(24), nullable=False),
    Column("user_id", String(24), nullable=False),
    Column("auth_time", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Index("sessions_user", "account_id", "user_id"),
    Index("sessions_expires", "expires_at"),
    sqlite_with_rowid=False,
)

consents = Table(
    "consents",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("user_id", String(24), primary_key=True),
    Column("client_id", String(32), primary_key=True),
    Column("scopes", Json, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

opaque_tokens = Table(
    "opaque_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("client_id", String(32), nullable=False),
    Column("scope", Text, nullable=False),
    Column("jti", String(32), nullable=False),
    Column("idle", Integer, nullable=False),  # seconds without use after which it dies
    Column("issued_at", Moment, nullable=False),
    Column("alive_until", Moment, nullable=False),
    Index("opaque_tokens_alive", "alive_until"),
    sqlite_with_rowid=False,
)

assertions = Table(
    "assertions",
    metadata,
    Column("hash", String(64), primary_key=True),  # of client id and jti
    Column("expires_at", Moment, nullable=False),
    Index("assertions_expires", "expires_at"),
    sqlite_with_rowid=False,
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("hash", String(64), primary_key=True),  # of account and e-mail, or of an address
    Column("count", Integer, nullable=False),
    Column("since", Moment, nullable=False),
    sqlite_with_rowid=False,
)

platform_facts = Table(
    "platform_facts", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)
