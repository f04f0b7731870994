"""How often a number was validated: one count for each hour."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from ringfence.store.tables import metadata

phone_validations = Table(
    "phone_validations",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),  # hours since 1970
    Column("count", Integer, nullable=False),
    Index("phone_validations_hour", "hour"),
    sqlite_with_rowid=False,
)
