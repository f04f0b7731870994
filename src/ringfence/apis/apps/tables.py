"""Apps with their versions, where they are installed, and the credentials that each installation has had."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment
from ringfence.store.tables import metadata

apps = Table(
    "apps",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(24), nullable=False),  # the partner's
    Column("name", String(200), nullable=False),
    Column("name_key", String(800), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version_id", String(32), nullable=False),
    Column("version_number", Integer, nullable=False),
    Column("facts", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("apps_account", "account_id", "id"),
    Index("apps_name", "name_key", unique=True),
)

app_versions = Table(
    "app_versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("app_id", String(32), ForeignKey("apps.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("facts", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("app_versions_number", "app_id", "number", unique=True),
)

installations = Table(
    "app_installations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(24), nullable=False),  # where it is installed
    Column("owner_id", String(24), nullable=False),  # the partner's account
    Column("app_id", String(32), ForeignKey("apps.id"), nullable=False),
    Column("version_id", String(32), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("step", String(12)),  # what waits to be confirmed: install | update | uninstall
    Column("before", String(12)),  # the state to go back to, should it not be
    Column("due", Moment),  # until when it waits
    Column("proposal", Json),  # of an update
    Column("users", Json, nullable=False),  # ids of people who were added one by one
    Column("filters", Json, nullable=False),  # [{"filter", "match"}]
    Column("subscription", Json),
    Column("licenses", Integer, nullable=False),
    Column("channels", Json, nullable=False),  # [{"type", "resource_type", "resource", "updated_at"}]
    Column("trial", Json),
    Column("created_by", String(24)),  # a person of the account, where it was one
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Index("app_installations_owner", "owner_id", "app_id"),
)
Index(
    "app_installations_live",
    installations.c.account_id,
    installations.c.app_id,
    unique=True,
    postgresql_where=installations.c.ended_at.is_(None),
    sqlite_where=installations.c.ended_at.is_(None),
)

credentials = Table(
    "app_credentials",
    metadata,
    Column("client_id", String(32), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("installation_id", String(32), ForeignKey("app_installations.id"), nullable=False),
    Column("number", Integer, nullable=False),  # 1 for the first of the installation
    Column("key_id", String(32), nullable=False),
    Column("sealed", Text),  # secret and private key, as long as they are valid and may have to be delivered
    Column("made_at", Moment, nullable=False),
    Column("ends_at", Moment),  # newer ones are there: valid until then
    Column("acknowledged_at", Moment),
    Column("ended_at", Moment),
    Index("app_credentials_installation", "installation_id", "number", unique=True),
)
