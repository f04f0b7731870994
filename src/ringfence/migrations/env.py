"""How Alembic reaches the database: by the URL that `store/migrate.py` hands over."""

from alembic import context
from sqlalchemy import create_engine, text

from ringfence.store.tables import metadata

engine = create_engine(context.config.attributes["url"])
with engine.begin() as connection:
    if connection.dialect.name == "postgresql":  # processes that start together take turns
        connection.execute(text("SELECT pg_advisory_xact_lock(1380994631)"))
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
