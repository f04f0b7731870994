"""Alembic migrations, one numbered file per step."""
