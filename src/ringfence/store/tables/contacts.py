"""Where contacts are kept. One row answers a read; the side tables are only for finding."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

contacts = Table(
    "contacts",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(24), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("name_key", String(1024), nullable=False),  # without case and accents: for order and loose search
    Column("company", String(255), nullable=False),
    Column("company_key", String(1024), nullable=False),
    Column("title", String(255), nullable=False),
    Column("address", Text, nullable=False),
    Column("website", Text, nullable=False),
    Column("emails", Json, nullable=False),
    Column("phones", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("integrations", Json, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Index("contacts_name", "account_id", "name_key", "id"),
    Index("contacts_company", "account_id", "company_key", "name_key", "id"),
    sqlite_with_rowid=False,
)


def _finder(name: str) -> Table:
    """value → contact: one row for each phone, e-mail address, integration or tag of a contact."""
    return Table(
        name,
        metadata,
        Column("account_id", String(24), primary_key=True),
        Column("value", String(1024), primary_key=True),
        Column("contact_id", String(24), primary_key=True),
        Index(f"{name}_contact", "account_id", "contact_id"),
        sqlite_with_rowid=False,
    )


contact_phones = _finder("contact_phones")
contact_emails = _finder("contact_emails")
contact_integrations = _finder("contact_integrations")
contact_tags = _finder("contact_tags")

contact_notes = Table(
    "contact_notes",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(24), primary_key=True),
    Column("contact_id", String(24), nullable=False),
    Column("title", String(255), nullable=False),
    Column("content", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("contact_notes_contact", "account_id", "contact_id", "id"),
    sqlite_with_rowid=False,
)

contact_fields = Table(
    "contact_fields",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("contact_id", String(24), primary_key=True),
    Column("key", String(100), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
