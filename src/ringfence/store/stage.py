"""A place to put the rows of a file until all of it has been read: a database of one's own that may be lost."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .sqlite import insert_many

DECODE = msgspec.msgpack.Decoder().decode
ENCODE = msgspec.msgpack.Encoder().encode


class Staged(NamedTuple):
    """A row that has passed: where it stands in the order of storing, its number in the file, its values."""

    place: int
    row: int
    values: Any


class Stage:
    """Rows, to be had in the order of the file or of their places, and the keys that may occur only once."""

    def __init__(self, path: Path, *, by_place: bool) -> None:
        self._path, self._by_place = path, by_place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-8000"):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._db.execute("CREATE TABLE rows (row INTEGER PRIMARY KEY, place INTEGER, body BLOB)")
        self._db.execute("CREATE TABLE keys (key PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, batch: Sequence[Staged]) -> None:
        """Keep rows, in the order of the file."""
        insert_many(self._db, "rows", 3, [(row, at, ENCODE(had)) for at, row, had in batch])

    def claim(self, keys: Sequence[Any]) -> bool:
        """Take keys for a row, all of them or none; False: one is taken."""
        run = self._db.execute
        if len(keys) > 1 and any(run("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone() for key in keys):
            return False
        return all(run("INSERT OR IGNORE INTO keys VALUES (?)", (key,)).rowcount for key in dict.fromkeys(keys))

    def order(self, most: int) -> tuple[int, list[int]]:
        """Sort by place, dropping rows whose place a row before them has: how many, and the first of them.

        Takes a while, all of it outside the interpreter: for a thread.
        """
        if not self._by_place:
            return 0, []
        run = self._db.execute
        run("CREATE INDEX by_place ON rows (place, row, body)")
        again = "SELECT row FROM (SELECT row, place, lag(place) OVER (ORDER BY place, row) AS last FROM rows)"
        again += " WHERE place = last"
        told = [row for (row,) in run(f"{again} ORDER BY row LIMIT ?", (most,))]
        count = run(f"DELETE FROM rows WHERE row IN ({again})").rowcount if told else 0  # noqa: S608 - no input in it
        return count, told

    def place_of(self, index: int) -> int | None:
        """The place of the row before the one at `index`; None at the start."""
        if index == 0:
            return None
        by = "place" if self._by_place else "row"
        seek = f"SELECT {by} FROM rows ORDER BY {by} LIMIT 1 OFFSET ?"  # noqa: S608 - no input in it
        found = self._db.execute(seek, (index - 1,)).fetchone()
        return found[0] if found else None

    def after(self, place: int | None, limit: int) -> list[Staged]:
        """The next rows; the place of the last of them is where to go on."""
        by = "place" if self._by_place else "row"
        found = self._db.execute(
            f"SELECT {by}, row, body FROM rows WHERE {by} > ? ORDER BY {by} LIMIT ?",  # noqa: S608 - no input in it
            (-1 if place is None else place, limit),
        )
        return [Staged(at, row, DECODE(body)) for at, row, body in found.fetchall()]

    def close(self) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)
