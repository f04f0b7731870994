"""Bringing a database to this version's tables. Alembic does the work; it is imported only when there is some."""

import re
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from .db import DatabaseUnavailable

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def head() -> str:
    """The newest revision: migrations are files numbered in order."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).split("_")[0]


def _alchemy_url(url: str) -> str:
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    return url


def current(url: str) -> str | None:
    """The revision that a database is at; None for an empty one."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.exists():
            return None
        connection = sqlite3.connect(path)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
        except sqlite3.DatabaseError as why:
            raise DatabaseUnavailable(f"{path} is not a SQLite database: {why}") from why
        finally:
            connection.close()
        return row[0] if row else None
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=10) as remote:
            try:
                found: Any = remote.execute("SELECT version_num FROM alembic_version").fetchone()
            except psycopg.errors.UndefinedTable:
                return None
            return found[0] if found else None
    except psycopg.OperationalError as why:
        raise DatabaseUnavailable(f"PostgreSQL cannot be reached: {str(why).strip()}") from why


def migrate(url: str) -> tuple[str | None, str]:
    """Apply what is missing. The revisions before and after."""
    before = current(url)
    if before == head():
        return before, before
    if before is not None and before > head():
        raise DatabaseUnavailable(f"The database is at revision {before}, newer than this program's {head()}.")
    from alembic import command
    from alembic.config import Config

    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as why:
            raise DatabaseUnavailable(f"{path} cannot be made: {why}") from why
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = _alchemy_url(url)
    command.upgrade(config, "head")
    return before, head()


HEADER = '''"""{message}."""

import sqlalchemy as sa
from alembic import op

from ringfence.store.columns import Json, Moment, Uuid

revision = "{revision}"
down_revision = {before!r}
branch_labels = depends_on = None


def upgrade() -> None:
    {body}
'''


def draft(message: str) -> Path | None:
    """Write the next migration: from the newest revision to the tables as they are declared. None: nothing to do."""
    from alembic.autogenerate import produce_migrations, render_python_code
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    from .tables import metadata

    before = head() if any((MIGRATIONS / "versions").glob("[0-9]*.py")) else None
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/draft.db"
        if before is not None:
            migrate(url)
        engine = create_engine(url)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            script = produce_migrations(context, metadata)
        engine.dispose()
    if script.upgrade_ops is None or script.upgrade_ops.is_empty():
        return None
    body = render_python_code(script.upgrade_ops)
    body = re.sub(r"ringfence\.store\.columns\.Moment\([^)]*\)", "Moment()", body)
    body = re.sub(r"ringfence\.store\.columns\.Json\([^)]*\)", "Json()", body)
    body = re.sub(r"ringfence\.store\.columns\.Uuid\([^)]*\)", "Uuid()", body)
    body = "\n".join(line for line in body.splitlines() if "###" not in line).strip()
    revision = f"{int(before or 0) + 1:04d}"
    path = MIGRATIONS / "versions" / f"{revision}_{re.sub(r'[^a-z0-9]+', '_', message.lower()).strip('_')}.py"
    path.write_text(HEADER.format(message=message, revision=revision, before=before, body=body), "utf-8")
    return path
