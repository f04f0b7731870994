"""Files that nobody has checked: whatever is in them, they are read, or refused with the row at fault."""

import asyncio
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence.apis.contacts import transfer
from ringfence.apis.do_not_call_lists import files as numbers_file
from ringfence.apis.record_lists import rules
from ringfence.floor.imports import Bad, Good
from ringfence.store import csv_rows
from ringfence.store.csv_rows import BadFile
from ringfence.store.stage import Once, Stage, Staged

CELLS = st.sampled_from(
    ["", "a", "+351210000001", "+351910000002", "+35191", "2030-01-31", "2030-02-30", "11", "5", "Europe/Lisbon",
     "Mars", "x" * 300, '"', '"quoted"', "é", "\x00", "true", "maybe", " +351210000001 ", "a;b", "work=a@b.c", "crm:7"]
)  # fmt: skip
NAMES = st.sampled_from([*rules.PLAIN, "phone_number", "home", "EXTRA_1", "tier", "name", "emails", "phones", "reason",
                         "Expiration Date", ""])  # fmt: skip
TABLES = st.tuples(st.lists(NAMES, max_size=12), st.lists(st.lists(CELLS, max_size=12), max_size=8)).map(
    lambda table: "\n".join(",".join(row) for row in (table[0], *table[1])).encode()
)
RULES = st.sampled_from(["PHONE_NUMBER", "EXTERNAL", "NOTHING"])


@given(st.one_of(st.binary(max_size=400), TABLES), RULES)
def test_every_row_is_good_or_bad_or_the_file_is_refused(content: bytes, rule: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.csv"
        path.write_bytes(content)
        of: dict[str, Any] = {"unique_identifier_type": rule}
        for checker in (rules.checker, numbers_file.checker):
            with suppress(BadFile):
                found = csv_rows.rows(path)
                header = csv_rows.columns(next(found))
                check = checker(header, of)
                for row in found:
                    if len(row) == len(header):
                        assert isinstance(check(row), Good | Bad)
        with suppress(BadFile):
            for parsed in asyncio.run(contacts(path)):
                assert parsed.why or parsed.facts["name"]


async def contacts(path: Path) -> list[transfer.Parsed]:
    return [one async for chunk in transfer.read(path) for one in chunk]


def naive(rows: list[list[int]]) -> list[int]:
    """Row by row: one that has what a row before it has, and keeps, is gone."""
    taken: set[int] = set()
    gone = []
    for number, keys in enumerate(rows, start=2):
        if taken & set(keys):
            gone.append(number)
        else:
            taken |= set(keys)
    return gone


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3, unique=True), max_size=40))
def test_doubles_are_found_as_if_row_by_row(rows: list[list[int]]) -> None:
    ways: tuple[Once, ...] = ("numbers", "keys", "place")
    with TemporaryDirectory() as folder:
        for once in ways:
            given = [keys[:1] for keys in rows] if once == "place" else rows
            stage = Stage(Path(folder) / "stage", once=once)
            pairs = [(key, number) for number, keys in enumerate(given, start=2) for key in keys]
            staged = [Staged(keys[0] if once == "place" else number, number, (number,))
                      for number, keys in enumerate(given, start=2)]  # fmt: skip
            stage.add(staged, pairs if once == "keys" else (), pairs if once == "numbers" else ())
            count, told = stage.order(100)
            gone = naive(given)
            assert (count, told) == (len(gone), gone)
            kept = [one.row for one in stage.after(None, 1000)]
            assert sorted(kept) == [number for number in range(2, len(rows) + 2) if number not in gone]
            if once == "numbers":
                left = stage.numbers(0, 1000, beyond=0)
                assert [number for _, number, _ in left] == sorted(key for key, row in pairs if row not in gone)
            stage.close()
