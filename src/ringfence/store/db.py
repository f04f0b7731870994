"""The database port: what a transaction can do, and the one place that picks the engine.

In what the two engines differ: SQLite gives an event its place when it is written, because it has one writer at
a time; on PostgreSQL the relay does so after commit. SQLite commits in groups itself; PostgreSQL's own group
commit serves. PostgreSQL refuses NUL in text, so nobody may send it. Everything else is the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Select, Table

    from .sqlite_lines import Format, Piece
    from .statement import Row, Statement


class Transaction(Protocol):
    """One transaction. It begins with its first statement; leaving its block commits it, an exception undoes it."""

    async def all(self, statement: Statement, /, **given: Any) -> list[Row]: ...
    async def one(self, statement: Statement, /, **given: Any) -> Row | None: ...
    async def each(self, statement: Statement, asked: Sequence[Mapping[str, Any]], /) -> list[list[Row]]:
        """The rows for each of many questions, which all go to the database together."""
        ...

    async def run(self, statement: Statement, /, **given: Any) -> int:
        """Execute; the number of rows changed."""
        ...

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None: ...
    async def load(self, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]], /, **same: Any) -> int:
        """Many rows at once, those left out whose key is there already; how many were added.

        `same` is what all of them have in common, their account among it.
        """
        ...

    def scan(self, statement: Statement, /, **given: Any) -> AsyncGenerator[Row, None]:
        """Rows of a long read, streamed; on SQLite from a thread and a connection of its own."""
        ...

    def after(self, call: Any, /) -> None:
        """Something to call once the commit is durable."""
        ...


class Db(Protocol):
    """A database. Leaving `writing()` means durable: every answer that depends on it may be sent.

    `lazy` does without that: what was written will be durable soon, or nothing after it either.
    """

    name: str
    url: str
    places_at_insert: bool

    def reading(self) -> AbstractAsyncContextManager[Transaction]: ...
    def writing(self, *, lazy: bool = False) -> AbstractAsyncContextManager[Transaction]: ...
    def dump(self, core: Select[Any], format: Format, /, **given: Any) -> AsyncGenerator[Piece, None]:
        """Rows of a long read as text (store/dump.py), from one snapshot, in a thread of its own."""
        ...

    async def note_growth(self, *tables: Table) -> None:
        """Let the planner know that tables have many more rows than before."""
        ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...


class DatabaseUnavailable(Exception):
    """The database cannot be reached or is not usable; the message says what to do."""


class TryAgain(Exception):
    """The database gave up one of two transactions that waited for each other; the same again will do."""


class BadValue(Exception):
    """The database cannot store a value: too long, too large."""


class DuplicateRow(Exception):
    """A unique constraint refused the write."""


def open_database(url: str, *, connections: int = 10) -> Db:
    """The engine that the URL names: `sqlite:///PATH` or `postgresql://…`."""
    if url.startswith("sqlite:///"):
        from .sqlite import SqliteDb

        return SqliteDb(url.removeprefix("sqlite:///"))
    if url.startswith(("postgresql://", "postgres://")):
        from .postgres import PostgresDb

        return PostgresDb(url, connections)
    raise DatabaseUnavailable(f"The database must be sqlite:///PATH or postgresql://…, not {url.split('://')[0]}://…")
