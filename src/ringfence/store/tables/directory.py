"""What people are good at: the attributes of an account, their categories, and each person's proficiency."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from ringfence.store.columns import Json, Moment, Uuid

from . import metadata

attribute_categories = Table(
    "attribute_categories",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("name", String(255), nullable=False),
    Column("name_key", String(1024), nullable=False),
    Index("attribute_categories_name", "account_id", "name_key", unique=True),
)

attributes = Table(
    "attributes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("name", String(255), nullable=False),
    Column("name_key", String(1024), nullable=False),
    Column("category_id", Uuid, ForeignKey("attribute_categories.id"), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("proficiency", String(20), nullable=False),  # none | five_stars_scale
    Column("default_proficiency", Integer, nullable=False),  # 0 to 100, a star is 20
    Column("team_ids", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("attributes_name", "account_id", "name_key", unique=True),
    Index("attributes_category", "category_id"),
)

attribute_users = Table(
    "attribute_users",
    metadata,
    Column("attribute_id", Uuid, ForeignKey("attributes.id"), primary_key=True),
    Column("user_id", String(24), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("proficiency", Integer, nullable=False),
    Index("attribute_users_user", "account_id", "user_id"),
)
