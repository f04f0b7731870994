"""A place to put the rows of a file until all of it has been read: a database of one's own that may be lost."""

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from .sqlite import insert_many

DECODE = msgspec.msgpack.Decoder().decode
ENCODE = msgspec.msgpack.Encoder().encode


class Staged(NamedTuple):
    """A row that has passed: where it stands in the order of storing, its number in the file, its values."""

    place: int
    row: int
    values: Any


Once = Literal["place", "numbers", "keys"]  # what of a row may not be in another row


class Stage:
    """Rows, to be had in the order of the file or of their places, and the numbers that find them, in order."""

    def __init__(self, path: Path, *, once: Once | None) -> None:
        self._path, self._once = path, once
        self.sorts = once == "place"  # whether rows are stored in the order of their places
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-8000"):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._db.execute("CREATE TABLE rows (row INTEGER PRIMARY KEY, place INTEGER, body BLOB)")
        self._db.execute("CREATE TABLE keys (key, row INTEGER)")
        self._db.execute("CREATE TABLE sent (key INTEGER, row INTEGER)")
        self._db.execute("CREATE TABLE numbers (at INTEGER PRIMARY KEY, number INTEGER, row INTEGER)")
        self._db.execute("BEGIN")

    def add(
        self, batch: Sequence[Staged], keys: Sequence[tuple[Any, int]] = (), numbers: Sequence[tuple[int, int]] = ()
    ) -> None:
        """Keep rows, in the order of the file, with the keys and the numbers that each of them has."""
        insert_many(self._db, "rows", 3, [(row, at, ENCODE(had)) for at, row, had in batch])
        insert_many(self._db, "keys", 2, keys)
        insert_many(self._db, "sent", 2, numbers)

    def order(self, most: int) -> tuple[int, list[int]]:
        """Sort, dropping rows that have what a row before them has: how many, and the first of them.

        Takes a while, nearly all of it outside the interpreter: for a thread.
        """
        gone = self._doubles()
        run = self._db.execute
        if gone:
            run("CREATE TEMP TABLE gone (row INTEGER PRIMARY KEY)")
            self._db.executemany("INSERT INTO gone VALUES (?)", ((row,) for row in gone))
            for table in ("rows", "sent"):
                run(f"DELETE FROM {table} WHERE row IN (SELECT row FROM gone)")  # noqa: S608 - no input in it
        run("INSERT INTO numbers (number, row) SELECT key, row FROM sent ORDER BY key, row")
        if self.sorts:
            run("CREATE INDEX by_place ON rows (place, row, body)")
        return len(gone), gone[:most]

    def _doubles(self) -> list[int]:
        """Rows that have a key of a row before them which itself stays."""
        if self._once is None:
            return []
        source = {"place": "SELECT place AS key, row FROM rows", "keys": "SELECT key, row FROM keys"}
        every = source.get(self._once, "SELECT key, row FROM sent")
        self._db.execute(
            f"CREATE TEMP TABLE doubled AS SELECT key FROM ({every}) GROUP BY key HAVING count(*) > 1"  # noqa: S608 - no input in it
        )
        found = self._db.execute(
            f"SELECT row, key FROM ({every}) WHERE key IN (SELECT key FROM doubled) ORDER BY row"  # noqa: S608 - no input in it
        )
        gone: list[int] = []
        taken: set[Any] = set()
        for row, keys in groupby(found, itemgetter(0)):
            own = {key for _, key in keys}
            if taken.isdisjoint(own):
                taken |= own
            else:
                gone.append(row)
        return gone

    def numbers(self, at: int, limit: int, *, beyond: int) -> list[tuple[int, int, int]]:
        """The next numbers of rows beyond one, in order: (where it stands, the number, its row)."""
        seek = "SELECT at, number, row FROM numbers WHERE at > ? AND row > ? ORDER BY at LIMIT ?"
        return self._db.execute(seek, (at, beyond, limit)).fetchall()

    def numbers_of(self, row: int) -> list[int]:
        """The numbers of one row."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_row ON numbers (row)")
        return [number for (number,) in self._db.execute("SELECT number FROM numbers WHERE row = ?", (row,))]

    def place_of(self, index: int) -> int | None:
        """The place of the row before the one at `index`; None at the start."""
        if index == 0:
            return None
        by = "place" if self.sorts else "row"
        seek = f"SELECT {by} FROM rows ORDER BY {by} LIMIT 1 OFFSET ?"  # noqa: S608 - no input in it
        found = self._db.execute(seek, (index - 1,)).fetchone()
        return found[0] if found else None

    def after(self, place: int | None, limit: int) -> list[Staged]:
        """The next rows; the place of the last of them is where to go on."""
        by = "place" if self.sorts else "row"
        found = self._db.execute(
            f"SELECT {by}, row, body FROM rows WHERE {by} > ? ORDER BY {by} LIMIT ?",  # noqa: S608 - no input in it
            (-1 if place is None else place, limit),
        )
        return [Staged(at, row, DECODE(body)) for at, row, body in found.fetchall()]

    def close(self) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)
