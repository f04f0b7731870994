"""Wallets, buckets and meters as they are declared, and the books of what has been used.

Money and units are whole millionths; quantities are whole seconds, bytes or things. `usage_books` and `usage_lines`
are kept by a reaction from the event log alone, so that they can be made anew from it; so is a wallet's `spent`.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from ringfence.store.columns import Json, Moment, Uuid

from . import metadata

wallets = Table(
    "wallets",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("product_name", String(200), nullable=False),
    Column("declared", BigInteger, nullable=False),  # what was put in by the file
    Column("added", BigInteger, nullable=False),  # what was put in beside it
    Column("spent", BigInteger, nullable=False),
    Column("low", BigInteger),  # a balance below this is told
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

buckets = Table(
    "buckets",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("charge_number", String(100), nullable=False),
    Column("resource", String(40), nullable=False),
    Column("unit_of_measure", String(20), nullable=False),
    Column("plafond", BigInteger, nullable=False),
    Column("plafond_multiplier", BigInteger, nullable=False),
    Column("effective_start", Moment, nullable=False),
    Column("effective_end", Moment, nullable=False),
    Column("renews", String(10), nullable=False),  # NEVER | MONTHLY
    Column("type", String(10), nullable=False),  # FREE_UNITS | TIER
    Column("tier", Integer),
    Column("price", BigInteger),  # of a unit, where it is a TIER
    Column("properties", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("buckets_charge_number", "account_id", "charge_number", unique=True),
    sqlite_with_rowid=False,
)

meters = Table(
    "meters",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("resource", String(40), primary_key=True),
    Column("unit_of_measure", String(20), nullable=False),
    Column("rounding", String(10), nullable=False),  # EXACT | STARTED
    Column("wallet", String(200)),  # that pays for what no free units cover
    Column("price", BigInteger, nullable=False),  # of a unit beyond every bucket
    sqlite_with_rowid=False,
)

usage_books = Table(
    "usage_books",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("doc", Json, nullable=False),  # metering/books.py, Books
    sqlite_with_rowid=False,
)

usage_lines = Table(
    "usage_lines",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("day", String(10), primary_key=True),  # in UTC
    Column("resource", String(40), primary_key=True),
    Column("bucket", String(36), primary_key=True),  # empty: beyond every bucket
    Column("wallet", String(200), primary_key=True),  # empty: nobody pays
    Column("quantity", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
