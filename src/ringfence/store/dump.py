"""Long reads as text: the database itself writes each row as a line of CSV or a JSON object, Python passes it on.

What a column becomes follows from its type: booleans `true` and `false`, fractions with twelve digits after the
point, moments as `local_time` has it, documents as JSON.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, Float, Numeric, Select, String, Text, case, func, literal, literal_column
from sqlalchemy import cast as sql_cast
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement, False_, True_

from .columns import Fraction, Json
from .sqlite_lines import FIELD, RECORD, Format, Piece


class local_time(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """A moment as text, `2026-01-05 09:00:00` in a time zone.

    With a `zone` of None it is RFC 3339 in UTC. `about` are the days in which changes of the zone's offset count.
    """

    inherit_cache = False
    type = Text()

    def __init__(
        self,
        moment: ColumnElement[Any],
        zone: ZoneInfo | None,
        about: tuple[datetime, datetime],
        *,
        milliseconds: bool = False,
    ) -> None:
        self.moment, self.iso, self.milliseconds = moment, zone is None, milliseconds
        self.shift = literal(0) if zone is None else offset(moment, zone, *about)

    def get_children(self, **_: Any) -> Any:
        return (self.moment, self.shift)


@compiles(local_time, "sqlite")
def _local_sqlite(element: local_time, compiler: Any, **kw: Any) -> str:
    moment, shift = compiler.process(element.moment, **kw), compiler.process(element.shift, **kw)
    function = "strftime('%Y-%m-%dT%H:%M:%SZ', " if element.iso else "datetime("
    text = f"{function}{moment} / 1000000 + {shift}, 'unixepoch')"
    return f"{text} || format('.%03d', {moment} / 1000 % 1000)" if element.milliseconds else text


@compiles(local_time, "postgresql")
def _local_postgresql(element: local_time, compiler: Any, **kw: Any) -> str:
    moment, shift = compiler.process(element.moment, **kw), compiler.process(element.shift, **kw)
    pattern = 'YYYY-MM-DD"T"HH24:MI:SS"Z"' if element.iso else "YYYY-MM-DD HH24:MI:SS"
    pattern += ".MS" if element.milliseconds else ""
    return f"to_char(({moment} AT TIME ZONE 'UTC') + make_interval(secs => {shift}), '{pattern}')"


def offset(moment: ColumnElement[Any], zone: ZoneInfo, since: datetime, until: datetime) -> ColumnElement[int]:
    """Seconds that a zone is ahead of UTC at a moment; right from `since` to `until`."""
    return _chosen(moment, offsets(zone, since, until))


def _chosen(moment: ColumnElement[Any], steps: list[tuple[datetime, int]]) -> ColumnElement[int]:
    """By halves, so that many steps cost little."""
    if len(steps) == 1:
        return literal_column(str(steps[0][1]))
    middle = len(steps) // 2
    before, after = _chosen(moment, steps[:middle]), _chosen(moment, steps[middle:])
    end = literal(steps[middle - 1][0], moment.type)
    return cast("ColumnElement[int]", case((moment < end, before), else_=after))


@lru_cache(64)
def offsets(zone: ZoneInfo, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """(end, seconds ahead of UTC), one after another; the last one ends where nobody asks further."""
    found: list[tuple[datetime, int]] = []
    at = since.astimezone(UTC).replace(microsecond=0)  # clocks change at whole seconds
    ahead = _ahead(zone, at)
    while at < until:
        later = min(at + timedelta(days=1), until)
        if (then := _ahead(zone, later)) != ahead:
            found.append((_change(zone, at, later), ahead))
            ahead = then
        at = later
    return [*found, (until, ahead)]


def _ahead(zone: ZoneInfo, at: datetime) -> int:
    ahead = at.astimezone(zone).utcoffset() or timedelta(0)
    return ahead // timedelta(seconds=1)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """When within this span the offset changes, to the second."""
    old = _ahead(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // timedelta(seconds=2) * timedelta(seconds=1)
        before, after = (middle, after) if _ahead(zone, middle) == old else (before, middle)
    return after


TRUE_FALSE: dict[type, ColumnElement[Any]] = {True_: literal_column("'true'"), False_: literal_column("'false'")}


class lines(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """All columns of a row as one text, on SQLite."""

    inherit_cache = False
    type = Text()

    def __init__(self, columns: list[tuple[str, ColumnElement[Any]]], format: Format) -> None:
        self.columns, self.format = columns, format

    def get_children(self, **_: Any) -> Any:
        return tuple(column for _, column in self.columns)


@compiles(lines, "sqlite")
def _lines_sqlite(element: lines, compiler: Any, **kw: Any) -> str:
    shown = [compiler.process(column, **kw) for _, column in element.columns]
    if element.format == "json":
        members = ", ".join(f"{_quoted(name)}, {sql}" for (name, _), sql in zip(element.columns, shown, strict=True))
        return f"json_object({members})"
    return f"format('{FIELD.join(['%s'] * len(shown))}', {', '.join(shown)})"


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def sqlite_select(core: Select[Any], format: Format, *, careful: bool = False) -> Select[Any]:
    """One text for each row of a select with named columns; a `careful` one can hold no separator but ours."""
    columns = [(column.name, _sqlite_shown(_bare(column), format)) for column in core.selected_columns]
    if careful:
        columns = [(name, _without_separators(column)) for name, column in columns]
    return core.with_only_columns(lines(columns, format).label("line"), maintain_column_froms=True)


def _without_separators(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if not isinstance(column.type, String):
        return column
    return func.replace(func.replace(column, FIELD, " "), RECORD.decode(), " ")


def _bare(column: Any) -> ColumnElement[Any]:
    return cast("ColumnElement[Any]", getattr(column, "element", column))


def _sqlite_shown(column: ColumnElement[Any], format: Format) -> ColumnElement[Any]:
    match column.type:
        case Boolean():
            word = TRUE_FALSE.get(type(column))
            if word is None:
                word = case({1: literal_column("'true'"), 0: literal_column("'false'")}, value=column)
            return func.json(word) if format == "json" else word
        case Fraction():
            text = case((column.is_not(None), func.format("%.12f", column)))
            return func.json(text) if format == "json" else text
        case Float():  # by itself SQLite writes fifteen digits, and some numbers need seventeen
            short = func.format("%!.15g", column)
            exact = sql_cast(short, Float) == column
            text = case((exact, short), (column.is_not(None), func.format("%!.17g", column)))
            return func.json(text) if format == "json" else text
        case Json():
            return func.json(column) if format == "json" else column
    return column


def postgres_select(core: Select[Any], format: Format) -> Select[Any]:
    """The same for COPY: columns as they are to be written."""
    columns = [_postgres_shown(_bare(column), format).label(column.name) for column in core.selected_columns]
    return core.with_only_columns(*columns, maintain_column_froms=True)


def _postgres_shown(column: ColumnElement[Any], format: Format) -> ColumnElement[Any]:
    match column.type:
        case Boolean() if format == "csv":
            return case((column.is_(True), "true"), (column.is_(False), "false"))
        case Fraction():
            return func.round(sql_cast(column, Numeric), 12, type_=Fraction())
    return column


def postgres_copy(inner: str, format: Format) -> str:
    """COPY of a compiled select; of JSON a line for each row, which holds none of the characters it quotes with."""
    if format == "csv":
        return f"COPY ({inner}) TO STDOUT WITH (FORMAT csv)"
    as_it_is = r"FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02', ESCAPE E'\x01'"
    return f"COPY (SELECT row_to_json(t) FROM ({inner}) AS t) TO STDOUT WITH ({as_it_is})"  # noqa: S608 - compiled


async def handed_over(pool: Executor, pieces: Generator[Piece, None, None]) -> AsyncGenerator[Piece, None]:
    """What a generator gives in threads, one thread at a time: also where nobody waits any more for the next piece."""
    one, loop = Lock(), asyncio.get_running_loop()

    def take() -> Piece | None:
        with one:
            return next(pieces, None)

    def close() -> None:
        with one:
            pieces.close()

    try:
        while piece := await loop.run_in_executor(pool, take):
            yield piece
    finally:
        await loop.run_in_executor(pool, close)
