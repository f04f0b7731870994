"""Column types and expressions that mean the same on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
from sqlalchemy import BigInteger, DateTime, Float, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import Boolean, TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DECODE = msgspec.json.Decoder().decode


class Moment(TypeDecorator[datetime]):
    """A point in time: always aware, always UTC. Microseconds since 1970 on SQLite, which knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone is not a moment")
        return (value - EPOCH) // MICROSECOND if dialect.name == "sqlite" else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _from_microseconds if dialect.name == "sqlite" else _from_zone


def _from_microseconds(value: int) -> datetime:
    return EPOCH + timedelta(0, 0, value)


def _from_zone(value: datetime) -> datetime:
    return value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A document: JSONB on PostgreSQL, its text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else JSONB())

    def bind_processor(self, dialect: Dialect) -> Any:
        return lambda value: None if value is None else msgspec.json.encode(value).decode()

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name != "sqlite":
            return None  # the driver has decoded it
        return DECODE  # never called with None


class Uuid(TypeDecorator[str]):
    """A UUID, text outside, 16 bytes inside. A text that is none is the nil UUID, which nothing has."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(LargeBinary(16) if dialect.name == "sqlite" else UUID(as_uuid=False))

    def bind_processor(self, dialect: Dialect) -> Any:
        return _uuid_bytes if dialect.name == "sqlite" else _uuid_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _from_uuid_bytes if dialect.name == "sqlite" else str


NIL = "00000000-0000-0000-0000-000000000000"


def _uuid_bytes(value: str | None) -> bytes | None:
    if value is None:
        return None
    try:
        found = bytes.fromhex(value.replace("-", ""))
    except ValueError:
        return bytes(16)
    return found if len(found) == 16 else bytes(16)


def _uuid_text(value: str | None) -> str | None:
    return None if value is None else _from_uuid_bytes(_uuid_bytes(value) or b"")


def _from_uuid_bytes(value: bytes) -> str:
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class among(ColumnElement[bool]):  # noqa: N801 - reads as SQL
    """`column IN values` for a bound list of any length, with one and the same SQL text."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], values: ColumnElement[Any]) -> None:
        self.column, self.values = column, values

    def get_children(self, **_: Any) -> Any:
        return (self.column, self.values)

    def self_group(self, against: Any = None) -> Self:
        """As it is: `IN (…) = 1`, as SQLite would be given for a truth value, keeps it from using an index."""
        return self


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: Any, **kw: Any) -> str:
    column, values = compiler.process(element.column, **kw), compiler.process(element.values, **kw)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - compiled expressions


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: Any, **kw: Any) -> str:
    column, values = compiler.process(element.column, **kw), compiler.process(element.values, **kw)
    each = f"jsonb_array_elements_text({values})"
    if isinstance(element.column.type, Integer):
        each = f"CAST({each} AS BIGINT)"
    # as an array, which an index serves whatever the planner knows of the table
    return f"{column} = ANY (ARRAY(SELECT {each}))"


class Fraction(TypeDecorator[float]):
    """A share of something, shown with twelve digits after the point."""

    impl = Float
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return None
