"""Migrations lead to the tables that are declared."""

from pathlib import Path

import pytest

from ringfence.store import migrate
from ringfence.store.db import DatabaseUnavailable
from tests.conftest import POSTGRES


def test_no_table_has_drifted_from_the_migrations() -> None:
    before = set((migrate.MIGRATIONS / "versions").iterdir())
    try:
        assert migrate.draft("drift") is None
    finally:
        for path in set((migrate.MIGRATIONS / "versions").iterdir()) - before:
            if path.suffix == ".py":
                path.unlink()


def test_migrating_twice_changes_nothing(template: str) -> None:
    assert migrate.migrate(template) == (migrate.head(), migrate.head())


@pytest.mark.skipif(bool(POSTGRES), reason="about files")
def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is no database, but a text of some length" * 30)
    with pytest.raises(DatabaseUnavailable, match="not a SQLite database"):
        migrate.migrate(f"sqlite:///{tmp_path}/x.db")
