"""Rows of SQLite as lines of CSV or JSON; run as a program, in a process of its own (docs/decisions/0012).

The program reads a `Dump` as JSON from its input and writes pieces: two numbers of four bytes, how many bytes and rows
there are, and then the bytes. It needs the standard library only, so that it starts at once.
"""

import json
import re
import sqlite3
import struct
import sys
from collections.abc import Generator
from contextlib import closing
from typing import Any, Literal, NamedTuple

Format = Literal["csv", "json"]
Piece = tuple[bytes, int]  # lines, and how many rows they are
FIELD, RECORD = "\x1f", b"\x1e"  # what SQLite's lines are first separated with
TO_CSV = bytes.maketrans(b"\x1f\x1e", b",\n")
SPECIALS = (b'"', b",", b"\n", b"\r")
SPECIAL = re.compile(rb'[",\r\n]')
TOGETHER = 2000  # rows in a piece
CACHE = 12_000  # KiB of the database that are kept at hand
HEAD = struct.Struct("!II")


class Dump(NamedTuple):
    """What is to be read. `careful` is the statement whose texts can hold no separator but ours."""

    path: str
    sql: str
    bound: list[Any]
    careful: tuple[str, list[Any]]
    format: Format
    width: int


class Doubtful(Exception):
    """A text holds what separates SQLite's fields."""


def joined(rows: list[tuple[bytes]], dump: Dump) -> bytes:
    """The rows one after another. Raises Doubtful."""
    if dump.format == "json":
        return b"\n".join([line for (line,) in rows]) + b"\n"
    found = RECORD.join([line for (line,) in rows]) + RECORD
    if found.count(RECORD) != len(rows) or found.count(b"\x1f") != len(rows) * (dump.width - 1):
        raise Doubtful
    return found


def csv_of(found: bytes) -> bytes:
    """What `joined` made, as CSV; only a field that needs quotes gets them."""
    if not any(special in found for special in SPECIALS):
        return found.translate(TO_CSV)
    pieces, done = [], 0
    for special in SPECIAL.finditer(found):
        at = special.start()
        if at < done:
            continue  # in a field that has its quotes
        start = max(found.rfind(b"\x1f", done, at) + 1, found.rfind(RECORD, done, at) + 1, done)
        end = min(where for where in (found.find(b"\x1f", at), found.find(RECORD, at)) if where >= 0)
        pieces += [found[done:start].translate(TO_CSV), b'"', found[start:end].replace(b'"', b'""'), b'"']
        done = end
    return b"".join([*pieces, found[done:].translate(TO_CSV)])


def read(dump: Dump) -> Generator[Piece, None, None]:
    """What it comes to, from one snapshot; of CSV what is left for `csv_of` to do."""
    with closing(sqlite3.connect(dump.path, timeout=30, isolation_level=None, check_same_thread=False)) as connection:
        connection.text_factory = bytes
        connection.execute(f"PRAGMA cache_size=-{CACHE}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("BEGIN")
        cursor, done, careful = connection.execute(dump.sql, dump.bound), 0, False
        while rows := cursor.fetchmany(TOGETHER):
            try:
                piece = joined(rows, dump)
            except Doubtful:
                if careful:
                    raise
                careful = True
                cursor = connection.execute(*dump.careful)
                for _ in range(done):
                    cursor.fetchone()
                continue
            done += len(rows)
            yield piece, len(rows)


def main() -> None:
    dump = Dump(*json.load(sys.stdin))
    for piece, rows in read(dump):
        sys.stdout.buffer.write(HEAD.pack(len(piece), rows) + piece)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
