"""A file as an answer: conditions (RFC 9110 section 13) and a part of it, where one is asked for (section 14)."""

import re
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import NamedTuple

from ringfence.kernel.problems import STALE, UNSATISFIABLE, Fault
from ringfence.kernel.shapes import File

RANGE = re.compile(rb"([0-9]*)-([0-9]*)")
DIGITS = 18  # more than any file's length has; longer numbers all mean beyond its end


class Part(NamedTuple):
    """What is answered of a file. `stop` is the first byte that is not."""

    status: int
    headers: tuple[tuple[str, str], ...]
    start: int
    stop: int


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= DIGITS else 10**DIGITS


def wanted(header: bytes, length: int) -> tuple[int, int] | None:
    """The part that a Range header asks for. None: the whole file, as with what we do not know and with several parts.

    Raises a Fault where the file has no such part.
    """
    unit, mark, given = header.partition(b"=")
    parts = [part for each in given.split(b",") if (part := each.strip(b" \t"))]
    if not mark or unit.strip(b" \t").lower() != b"bytes" or len(parts) != 1:
        return None
    found = RANGE.fullmatch(parts[0])
    if found is None or parts[0] == b"-":
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, length - _number(last)), length
    else:
        start, stop = _number(first), min(length, _number(last) + 1) if last else length
        if last and _number(last) < start:
            return None  # section 14.1.1: not a range, and so ignored
    if start >= stop:
        raise Fault(UNSATISFIABLE, f"The file has {length} bytes.", headers=(("Content-Range", f"bytes */{length}"),))
    return start, stop


def _tags(header: bytes) -> list[str]:
    return [tag.strip() for tag in header.decode("latin-1").split(",")]


def part_of(file: File, method: str, headers: Mapping[bytes, bytes]) -> Part:
    """What to answer: all of the file, a part of it, or that the caller has it already."""
    tag = f'"{file.etag}"'
    known = (("etag", tag), ("cache-control", "private"))
    match, none_match = headers.get(b"if-match"), headers.get(b"if-none-match")
    if match is not None and match.strip() != b"*" and tag not in _tags(match):
        raise Fault(STALE)
    if none_match is not None and (none_match.strip() == b"*" or tag in _tags(none_match.replace(b"W/", b""))):
        return Part(304, known, 0, 0)
    told = (
        ("content-type", file.media),
        ("accept-ranges", "bytes"),
        ("content-disposition", f'inline; filename="{file.name}"'),
        *known,
    )
    asked = headers.get(b"range") if method == "GET" else None  # section 14.2: it means nothing to other methods
    # a date in If-Range matches nothing either: we give no Last-Modified
    if asked is None or headers.get(b"if-range", tag.encode()).strip() != tag.encode():
        return Part(200, told, 0, file.length)
    span = wanted(asked, file.length)
    if span is None:
        return Part(200, told, 0, file.length)
    start, stop = span
    return Part(206, (*told, ("content-range", f"bytes {start}-{stop - 1}/{file.length}")), start, stop)


def reader(file: File, part: Part) -> "partial[AsyncGenerator[bytes, None]]":
    """How to read a part, when it is time to."""
    return partial(file.read, part.start, part.stop)
