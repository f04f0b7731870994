"""PostgreSQL through psycopg 3: a pool of connections, statements prepared on first use."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, cast

import msgspec
import psycopg
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Select, Table

from .db import BadValue, DatabaseUnavailable, DuplicateRow, TryAgain
from .dump import handed_over, postgres_copy, postgres_select
from .sqlite_lines import Format, Piece
from .statement import POSTGRES, Row, Statement, loading

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]
CHUNK = 500
TOGETHER = 128 * 1024  # bytes that a dump hands over at a time


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's complaints in the words of the port."""
    try:
        yield
    except psycopg.errors.UniqueViolation as why:
        raise DuplicateRow(str(why)) from why
    except psycopg.errors.DataError as why:
        raise BadValue(str(why)) from why
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as why:
        raise TryAgain(str(why)) from why
    except psycopg.errors.OperationalError as why:
        raise DatabaseUnavailable("The database connection was lost.") from why


class _Rows:
    """What reading and writing transactions share."""

    __slots__ = ("_after", "_db", "_taken")

    def __init__(self, db: "PostgresDb") -> None:
        self._db = db
        self._taken: Connection | None = None
        self._after: list[Callable[[], None]] = []

    async def _connection(self) -> Connection:
        raise NotImplementedError

    async def _execute(self, statement: Statement, given: Mapping[str, Any]) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        prepared = statement.postgres
        connection = await self._connection()
        with _translated():
            return await connection.execute(cast(Any, prepared.sql), prepared.bind(given), prepare=True)

    async def all(self, statement: Statement, /, **given: Any) -> list[Row]:
        cursor = await self._execute(statement, given)
        return statement.postgres.read(await cursor.fetchall())

    async def one(self, statement: Statement, /, **given: Any) -> Row | None:
        found = await self.all(statement, **given)
        return found[0] if found else None

    async def each(self, statement: Statement, asked: Sequence[Mapping[str, Any]], /) -> list[list[Row]]:
        if not asked:
            return []
        prepared = statement.postgres
        connection = await self._connection()
        with _translated():
            cursor = connection.cursor()
            given = [prepared.bind(one) for one in asked]
            await cursor.executemany(cast(Any, prepared.sql), given, returning=True)  # in a pipeline
            found = [prepared.read(await cursor.fetchall())]
            while cursor.nextset():
                found.append(prepared.read(await cursor.fetchall()))
        return found

    async def run(self, statement: Statement, /, **given: Any) -> int:
        return (await self._execute(statement, given)).rowcount

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        prepared = statement.postgres
        connection = await self._connection()
        with _translated():
            await connection.cursor().executemany(cast(Any, prepared.sql), [prepared.bind(row) for row in rows])

    async def load(self, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]], /, **same: Any) -> int:
        """By COPY into a table of this session's own, and from there past the rows that exist already."""
        bound = loading(table, tuple(same), tuple(columns), POSTGRES)(same, rows)
        names, aside = ", ".join([*same, *columns]), f"load_{table.name}"
        connection = await self._connection()
        with _translated():
            await connection.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {aside} (LIKE {table.name}) ON COMMIT DELETE ROWS"
            )
            async with connection.cursor().copy(f"COPY {aside} ({names}) FROM STDIN") as copy:
                for row in bound:
                    await copy.write_row(row)
            done = await connection.execute(
                f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {aside} ON CONFLICT DO NOTHING"  # noqa: S608
            )
            await connection.execute(f"TRUNCATE {aside}")
        return done.rowcount

    async def scan(self, statement: Statement, /, **given: Any) -> AsyncGenerator[Row, None]:
        prepared = statement.postgres
        async with (
            self._db.readers.connection() as connection,
            connection.transaction(),
            connection.cursor("scan") as cursor,
        ):
            await cursor.execute(cast(Any, prepared.sql), prepared.bind(given))
            while chunk := await cursor.fetchmany(CHUNK):
                for row in prepared.read(chunk):
                    yield row

    def after(self, call: Callable[[], None], /) -> None:
        self._after.append(call)


class PostgresReading(_Rows):
    """Reads, each statement of its own: one round trip. Its connection is in autocommit mode."""

    __slots__ = ()

    async def __aenter__(self) -> "PostgresReading":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken is not None:
            await self._db.readers.putconn(self._taken)
            self._taken = None

    async def _connection(self) -> Connection:
        if self._taken is None:
            self._taken = await _take(self._db.readers)
        return self._taken


class PostgresWriting(_Rows):
    """A transaction, begun by its first statement."""

    __slots__ = ("_lazy",)

    def __init__(self, db: "PostgresDb", *, lazy: bool) -> None:
        super().__init__(db)
        self._lazy = lazy

    async def __aenter__(self) -> "PostgresWriting":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken is not None:
            taken, self._taken = self._taken, None
            try:
                await taken.execute("COMMIT" if kind is None else "ROLLBACK")
            finally:
                await self._db.writers.putconn(taken)
        if kind is None:
            for call in self._after:
                call()

    async def _connection(self) -> Connection:
        if self._taken is None:
            self._taken = await _take(self._db.writers)
            await self._taken.execute("BEGIN")
            if self._lazy:
                await self._taken.execute("SET LOCAL synchronous_commit TO off")
        return self._taken


class PostgresDb:
    """A PostgreSQL database, shared by any number of processes."""

    name = "postgresql"
    places_at_insert = False

    def __init__(self, url: str, connections: int) -> None:
        self.url = url
        self._size = max(2, connections)
        self._dumping = ThreadPoolExecutor(2, "dump")
        # two pools, so that a writer that looks something up can never wait for itself
        self.readers: Pool
        self.writers: Pool

    async def open(self) -> None:
        set_json_loads(msgspec.json.decode)
        self.readers = _pool(self.url, self._size - self._size // 2)
        self.writers = _pool(self.url, self._size // 2)
        try:
            await self.readers.open(wait=True, timeout=10)
            await self.writers.open(wait=True, timeout=10)
        except PoolTimeout as why:
            await self.close()
            raise DatabaseUnavailable(
                "PostgreSQL does not answer at the given URL; check that it runs and that the URL is right."
            ) from why

    async def close(self) -> None:
        for pool in (getattr(self, "readers", None), getattr(self, "writers", None)):
            if pool is not None:
                await pool.close()
        self._dumping.shutdown(wait=False)

    def reading(self) -> PostgresReading:
        return PostgresReading(self)

    def writing(self, *, lazy: bool = False) -> PostgresWriting:
        return PostgresWriting(self, lazy=lazy)

    async def dump(self, core: Select[Any], format: Format, /, **given: Any) -> AsyncGenerator[Piece, None]:
        async with aclosing(handed_over(self._dumping, _dumped(self.url, core, format, given))) as pieces:
            async for piece in pieces:
                yield piece

    async def note_growth(self, *tables: Table) -> None:
        names = ", ".join(table.name for table in tables)
        with _translated():
            async with self.writers.connection() as connection:
                await connection.execute(f"ANALYZE {names}")


def _dumped(url: str, core: Select[Any], format: Format, given: Mapping[str, Any]) -> Generator[Piece, None, None]:
    """A select as text, by COPY over a connection of its own; to be run in a thread."""
    prepared = Statement(postgres_select(core, format)).postgres
    with _translated(), psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        inner = psycopg.ClientCursor(connection).mogrify(cast(Any, prepared.sql), prepared.bind(given))
        rows: list[bytes] = []
        size = 0
        with connection.cursor().copy(cast(Any, postgres_copy(inner, format))) as copy:
            while data := copy.read():
                rows.append(bytes(data))  # the server sends each row by itself
                size += len(data)
                if size > TOGETHER:
                    yield b"".join(rows), len(rows)
                    rows, size = [], 0
        if rows:
            yield b"".join(rows), len(rows)


def _pool(url: str, size: int) -> Pool:
    async def prepare(connection: Connection) -> None:
        connection.prepared_max = 500

    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        kwargs={"autocommit": True, "options": "-c timezone=UTC", "connect_timeout": 10},
        configure=prepare,
        open=False,
        timeout=10,
    )


async def _take(pool: Pool) -> Connection:
    try:
        return await pool.getconn()
    except PoolTimeout as why:
        raise DatabaseUnavailable("No database connection became free in time.") from why
