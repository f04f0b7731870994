"""Reading a CSV file of any size, row by row. What makes it unreadable is said with the number of the row."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LINE = 64 * 1024  # bytes that a line may have
MARKS = {b"\x1f\x8b": "gzip", b"PK": "a ZIP archive or a workbook", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
BOM = b"\xef\xbb\xbf"


class BadFile(Exception):
    """A file that is not CSV as we take it; `row` counts from 1, the header."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"row {row}: {why}")
        self.row, self.why = row, why


def rows(path: Path) -> Iterator[list[str]]:
    """The header, then every row; RFC 4180, UTF-8, a byte order mark is passed over. Raises BadFile."""
    with path.open("rb") as file:
        start = file.read(3)
        for mark, name in MARKS.items():
            if start.startswith(mark):
                raise BadFile(1, f"the file is {name}; send plain CSV in UTF-8")
        if start != BOM:
            file.seek(0)
        count = 0
        try:
            for row in csv.reader(_lines(file), strict=True):
                count += 1
                if count == 1:
                    _check_header(row)
                yield row
        except csv.Error as why:
            raise BadFile(count + 1, str(why)) from why
        except _BadLine as why:
            raise BadFile(count + 1, str(why)) from why
        if not count:
            raise BadFile(1, "the file is empty")


class _BadLine(Exception):
    pass


def _lines(file: BinaryIO) -> Iterator[str]:
    read = file.readline
    while line := read(LINE + 1):
        if len(line) > LINE:
            raise _BadLine(f"the line has more than {LINE} bytes")
        if 0 in line:
            raise _BadLine("the row holds a NUL character")
        try:
            yield line.decode()
        except UnicodeDecodeError as why:
            raise _BadLine(f"the row is not UTF-8: byte {why.start + 1} of the line") from why


def _check_header(header: list[str]) -> None:
    if len(header) == 1:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in header[0]:
                raise BadFile(1, f"the columns are separated by {name}; separate them by commas")


def columns(header: list[str]) -> list[str]:
    """The names of the columns as we compare them: lower case, spaces as underscores. Raises BadFile on doubles."""
    found = [name.strip().casefold().replace(" ", "_") for name in header]
    for index, name in enumerate(found):
        if name in found[:index]:
            raise BadFile(1, f"the column {header[index].strip() or 'without a name'} is there twice")
    return found
