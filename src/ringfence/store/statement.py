"""Statements: SQLAlchemy Core, built and compiled once, then handed to the driver as text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Executable, Float, Table, bindparam, insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql import visitors

Row = dict[str, Any]
SQLITE = SQLiteDialect_pysqlite(paramstyle="qmark")
FLOAT8 = 701  # PostgreSQL's number of double precision
POSTGRES = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class Prepared(NamedTuple):
    """One statement in one dialect: its text, how to bind it, how to read its rows."""

    sql: str
    bind: Callable[[Mapping[str, Any]], Any]
    read: Callable[[Iterable[Sequence[Any]]], list[Row]]


class Statement:
    """A Core statement to keep in a module constant.

    Every table with an `account_id` must be cut to the bound `account`; `everywhere` marks the few statements
    of the platform itself (relay, workers, the view) that cross accounts.
    """

    __slots__ = ("_core", "_postgres", "_sqlite")

    def __init__(self, core: Executable, *, everywhere: bool = False) -> None:
        self._core: Any = core
        self._sqlite: Prepared | None = None
        self._postgres: Prepared | None = None
        if not everywhere:
            refuse_uncut(core)

    @property
    def sqlite(self) -> Prepared:
        if self._sqlite is None:
            self._sqlite = _prepare(self._core, SQLITE)
        return self._sqlite

    @property
    def postgres(self) -> Prepared:
        if self._postgres is None:
            self._postgres = _prepare(self._core, POSTGRES)
        return self._postgres


class BadStatement(Exception):
    """A statement that may not be kept: it is not cut to the account, or changes its text from call to call."""


def refuse_uncut(core: Any) -> None:
    """Tenant isolation by construction: refuse a statement that could see another account's rows."""
    elements = list(visitors.iterate(core))
    tables = {e for e in elements if isinstance(e, Table)}
    if isinstance(target := getattr(core, "table", None), Table):
        tables.add(target)
    binds = sum(1 for e in elements if getattr(e, "key", None) == "account" and e.__visit_name__ == "bindparam")
    if core.__visit_name__ == "insert":
        names = {getattr(k, "name", k) for k in (core._values or {})}
        binds += "account_id" in names
    wanted = [t.name for t in tables if "account_id" in t.c]
    if len(wanted) > binds:
        raise BadStatement(f"cut {', '.join(sorted(wanted))} to :account, or say everywhere=True")


def adding(table: Table, **kind: Any) -> Statement:
    """An insert of one row, every column bound by its name (absent ones are NULL)."""
    columns = {c.name: bindparam(c.name, type_=c.type, required=False) for c in table.c if c.identity is None}
    return Statement(insert(table).values(columns), **kind)


def _prepare(core: Any, dialect: Any) -> Prepared:
    compiled = core.compile(dialect=dialect)
    if "POSTCOMPILE" in str(compiled):
        raise BadStatement("IN with a list is expanded per call; use among() or spell it out")
    processors = compiled._bind_processors
    names = list(compiled.positiontup if compiled.positiontup is not None else compiled.binds)
    fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required and not bind.callable}
    plain = dict.fromkeys(names) | fixed
    required = [name for name, bind in compiled.binds.items() if bind.required]
    slots = [(index, name, processors.get(name)) for index, name in enumerate(names)]
    special = [(index, processor) for index, _, processor in slots if processor is not None]
    simple = not fixed

    def bind_tuple(given: Mapping[str, Any]) -> Any:
        if simple:
            values = [given[name] for name in names]
        else:
            full = plain | dict(given)
            for name in required:
                given[name]
            values = [full[name] for name in names]
        for index, processor in special:
            values[index] = processor(values[index])
        return values

    def bind_named(given: Mapping[str, Any]) -> Any:
        for name in required:
            given[name]
        full = {name: given.get(name, plain.get(name)) for name in names}
        for name, processor in processors.items():
            if name in full:
                full[name] = processor(full[name])
        return full

    read = _reader(list(core.exported_columns) if hasattr(core, "exported_columns") else [], dialect)
    return Prepared(str(compiled), bind_tuple if dialect is SQLITE else bind_named, read)


def _reader(columns: list[Any], dialect: Any) -> Callable[[Iterable[Sequence[Any]]], list[Row]]:
    """Driver rows to dictionaries. Written out as one expression: this runs for every row that is ever read."""
    members, known = [], {}
    for index, column in enumerate(columns):
        coltype = FLOAT8 if isinstance(column.type, Float) else None  # PostgreSQL's dialect wants to know
        processor = column.type.dialect_impl(dialect).result_processor(dialect, coltype)
        if processor is None:
            members.append(f"{column.key!r}: row[{index}]")
        else:
            known[f"p{index}"] = processor
            members.append(f"{column.key!r}: None if row[{index}] is None else p{index}(row[{index}])")
    expression = f"lambda found: [{{{', '.join(members)}}} for row in found]"
    read: Callable[[Iterable[Sequence[Any]]], list[Row]] = eval(expression, known)  # noqa: S307 - names of our own columns
    return read


Loaded = Callable[[Mapping[str, Any], Sequence[Sequence[Any]]], list[tuple[Any, ...]]]


@cache
def loading(table: Table, fixed: tuple[str, ...], columns: tuple[str, ...], dialect: Any) -> Loaded:
    """How rows become what the driver takes: `fixed` columns, the same in every row, then `columns`."""
    ready = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in fixed]
    each = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in columns]
    members = ", ".join(f"row[{i}]" if one is None else f"p{i}(row[{i}])" for i, one in enumerate(each))
    known = {f"p{i}": one for i, one in enumerate(each) if one is not None}
    make = eval(f"lambda same, rows: [(*same, {members}) for row in rows]", known)  # noqa: S307 - our own names

    def bind(given: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        same = [given[n] if one is None else one(given[n]) for n, one in zip(fixed, ready, strict=True)]
        found: list[tuple[Any, ...]] = make(same, rows)
        return found

    return bind
