"""SQL expressions of reports that the two databases spell differently."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine

from .columns import Json, Moment


class member(ColumnElement[Any]):  # noqa: N801 - reads as SQL
    """A scalar within a document, by its name: a text, a whole number, or a moment (RFC 3339)."""

    inherit_cache = False

    def __init__(self, document: ColumnElement[Any], name: str, kind: TypeEngine[Any] | None = None) -> None:
        self.document, self.name, self.type = document, name, kind or Text()

    def get_children(self, **_: Any) -> Any:
        return (self.document,)


@compiles(member, "sqlite")
def _member_sqlite(element: member, compiler: Any, **kw: Any) -> str:
    text = f"json_extract({compiler.process(element.document, **kw)}, '$.\"{element.name}\"')"
    if isinstance(element.type, Moment):
        return f"(CAST(strftime('%s', {text}) AS INTEGER) * 1000000)"
    return text


@compiles(member, "postgresql")
def _member_postgresql(element: member, compiler: Any, **kw: Any) -> str:
    text = f"({compiler.process(element.document, **kw)} ->> '{element.name}')"
    if isinstance(element.type, Text):
        return text
    kind = "TIMESTAMPTZ" if isinstance(element.type, Moment) else "BIGINT"
    return f"CAST({text} AS {kind})"


class listing(ColumnElement[Any]):  # noqa: N801 - reads as SQL
    """A JSON array of one text; empty where there is none."""

    inherit_cache = False
    type = Json()

    def __init__(self, value: ColumnElement[Any]) -> None:
        self.value = value

    def get_children(self, **_: Any) -> Any:
        return (self.value,)


@compiles(listing, "sqlite")
def _listing_sqlite(element: listing, compiler: Any, **kw: Any) -> str:
    value = compiler.process(element.value, **kw)
    return f"CASE WHEN {value} = '' THEN '[]' ELSE json_array({value}) END"


@compiles(listing, "postgresql")
def _listing_postgresql(element: listing, compiler: Any, **kw: Any) -> str:
    value = compiler.process(element.value, **kw)
    return f"CASE WHEN {value} = '' THEN jsonb_build_array() ELSE jsonb_build_array({value}) END"


class quarter_hour(ColumnElement[datetime]):  # noqa: N801 - reads as SQL
    """When the quarter of an hour began that a moment is in."""

    inherit_cache = False
    type = Moment()

    def __init__(self, moment: ColumnElement[Any]) -> None:
        self.moment = moment

    def get_children(self, **_: Any) -> Any:
        return (self.moment,)


@compiles(quarter_hour, "sqlite")
def _quarter_sqlite(element: quarter_hour, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.moment, **kw)
    return f"({moment} - {moment} % 900000000)"


@compiles(quarter_hour, "postgresql")
def _quarter_postgresql(element: quarter_hour, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.moment, **kw)
    return f"date_bin('15 minutes', {moment}, TIMESTAMPTZ '1970-01-01 00:00:00Z')"


class ring_groups_of(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """Ring groups of users, joined with `+` in the order of their names: an aggregate."""

    inherit_cache = False
    type = Text()

    def __init__(self, name: ColumnElement[Any]) -> None:
        self.name = name

    def get_children(self, **_: Any) -> Any:
        return (self.name,)


@compiles(ring_groups_of, "sqlite")
def _ring_groups_sqlite(element: ring_groups_of, compiler: Any, **kw: Any) -> str:
    return f"group_concat({compiler.process(element.name, **kw)}, '+')"


@compiles(ring_groups_of, "postgresql")
def _ring_groups_postgresql(element: ring_groups_of, compiler: Any, **kw: Any) -> str:
    name = compiler.process(element.name, **kw)
    return f"string_agg({name}, '+' ORDER BY {name} COLLATE \"C\")"


class joined(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """A JSON array of texts, joined with `+` in its own order; empty where there are none."""

    inherit_cache = False
    type = Text()

    def __init__(self, document: ColumnElement[Any]) -> None:
        self.document = document

    def get_children(self, **_: Any) -> Any:
        return (self.document,)


@compiles(joined, "sqlite")
def _joined_sqlite(element: joined, compiler: Any, **kw: Any) -> str:
    document = compiler.process(element.document, **kw)
    return f"coalesce((SELECT group_concat(value, '+') FROM json_each({document})), '')"  # noqa: S608 - compiled


@compiles(joined, "postgresql")
def _joined_postgresql(element: joined, compiler: Any, **kw: Any) -> str:
    document = compiler.process(element.document, **kw)
    return f"coalesce((SELECT string_agg(value, '+') FROM jsonb_array_elements_text({document})), '')"  # noqa: S608
