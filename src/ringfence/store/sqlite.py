"""SQLite through the standard driver: short statements on the calling thread, commits in groups on another.

Writers take turns inside one open transaction, each in a savepoint of its own. When nobody is left in line the
batch is committed in a thread, with one fsync for all of them; whoever arrives meanwhile forms the next batch.
Readers have connections of their own and, in WAL mode, never wait for a writer.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from sqlalchemy import Select, Table

from . import sqlite_lines
from .db import BadValue, DatabaseUnavailable, DuplicateRow
from .dump import handed_over, sqlite_select
from .sqlite_lines import Dump, Format, Piece
from .statement import SQLITE, Prepared, Row, Statement, loading

PATIENCE = 30.0  # seconds to wait for another process that is writing
CHUNK = 500  # rows that a scan hands over at a time
TOGETHER = 250  # rows that one statement inserts
LAZY = 0.05  # seconds that a batch stays open for those who do not wait for its commit
BATCH = 512  # writers that one commit may hold
AHEAD = 2**20  # bytes that a process which reads a dump may be ahead


def connect(path: str, *, timeout: float = PATIENCE) -> sqlite3.Connection:
    """A connection with the settings that every one of ours has; it says BEGIN itself."""
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    for pragma in (
        "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-16000"
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def insert_many(connection: sqlite3.Connection, into: str, width: int, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows, but for those whose key is there: many to a statement, which is a third faster than one by one."""
    for start in range(0, len(rows), TOGETHER):
        block = rows[start : start + TOGETHER]
        row = f"({', '.join('?' * width)})"
        sql = f"INSERT INTO {into} VALUES {', '.join([row] * len(block))} ON CONFLICT DO NOTHING"  # noqa: S608
        connection.execute(sql, tuple(chain.from_iterable(block)))


class _Rows:
    """What reading and writing transactions share: running one prepared statement on one connection."""

    __slots__ = ()
    _db: "SqliteDb"

    async def _connection(self) -> sqlite3.Connection:
        raise NotImplementedError

    async def all(self, statement: Statement, /, **given: Any) -> list[Row]:
        return _query(await self._connection(), statement.sqlite, given)

    async def one(self, statement: Statement, /, **given: Any) -> Row | None:
        found = await self.all(statement, **given)
        return found[0] if found else None

    async def each(self, statement: Statement, asked: Sequence[Mapping[str, Any]], /) -> list[list[Row]]:
        connection = await self._connection()
        return [_query(connection, statement.sqlite, one) for one in asked]

    async def scan(self, statement: Statement, /, **given: Any) -> AsyncGenerator[Row, None]:
        prepared = statement.sqlite
        loop = asyncio.get_running_loop()
        # one thread call at a time touches this connection, so it is safe to move between threads
        connection = await loop.run_in_executor(self._db.scanners, connect, self._db.path)
        try:
            bound = prepared.bind(given)
            cursor = await loop.run_in_executor(self._db.scanners, lambda: connection.execute(prepared.sql, bound))
            while chunk := await loop.run_in_executor(
                self._db.scanners, lambda: prepared.read(cursor.fetchmany(CHUNK))
            ):
                for row in chunk:
                    yield row
        finally:
            await loop.run_in_executor(self._db.scanners, connection.close)


def _query(connection: sqlite3.Connection, prepared: Prepared, given: Mapping[str, Any]) -> list[Row]:
    try:
        return prepared.read(connection.execute(prepared.sql, prepared.bind(given)).fetchall())
    except sqlite3.IntegrityError as why:
        raise DuplicateRow(str(why)) from why
    except OverflowError as why:
        raise BadValue(str(why)) from why


class SqliteReading(_Rows):
    """Reads, each statement a snapshot of its own, on a connection that nobody else has.

    No BEGIN and COMMIT around them: each call of the driver lets go of the interpreter, which costs more than it does.
    """

    __slots__ = ("_db", "_taken")

    def __init__(self, db: "SqliteDb") -> None:
        self._db = db
        self._taken: sqlite3.Connection | None = None

    async def __aenter__(self) -> "SqliteReading":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken is not None:
            self._db.readers.append(self._taken)
            self._taken = None

    async def _connection(self) -> sqlite3.Connection:
        return self._reader()

    def _reader(self) -> sqlite3.Connection:
        if self._taken is None:
            self._taken = self._db.readers.pop() if self._db.readers else connect(self._db.path)
        return self._taken

    async def all(self, statement: Statement, /, **given: Any) -> list[Row]:
        return _query(self._reader(), statement.sqlite, given)

    async def one(self, statement: Statement, /, **given: Any) -> Row | None:
        connection = self._taken or self._reader()
        prepared = statement.sqlite
        try:
            row = connection.execute(prepared.sql, prepared.bind(given)).fetchone()
        except OverflowError as why:
            raise BadValue(str(why)) from why
        return prepared.read((row,))[0] if row is not None else None

    async def run(self, statement: Statement, /, **given: Any) -> int:
        raise RuntimeError("a reading transaction cannot write")

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        raise RuntimeError("a reading transaction cannot write")

    async def load(self, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]], /, **same: Any) -> int:
        raise RuntimeError("a reading transaction cannot write")

    def after(self, call: Callable[[], None], /) -> None:
        call()


class SqliteWriting(_Rows):
    """A savepoint in the batch that is being written; leaving it waits until the batch is durable."""

    __slots__ = ("_after", "_db", "_inside", "_lazy")

    def __init__(self, db: "SqliteDb", *, lazy: bool) -> None:
        self._db = db
        self._inside = False
        self._lazy = lazy
        self._after: list[Callable[[], None]] = []

    async def __aenter__(self) -> "SqliteWriting":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inside:
            self._inside = False
            durable = self._db.writer.leave(keep=kind is None, lazy=self._lazy)
            if kind is None and not self._lazy:
                await asyncio.shield(durable)
        if kind is None:
            for call in self._after:
                call()

    async def _connection(self) -> sqlite3.Connection:
        if not self._inside:
            await self._db.writer.enter()
            self._inside = True
        return self._db.writer.connection

    async def run(self, statement: Statement, /, **given: Any) -> int:
        prepared = statement.sqlite
        connection = await self._connection()
        try:
            return connection.execute(prepared.sql, prepared.bind(given)).rowcount
        except sqlite3.IntegrityError as why:
            raise DuplicateRow(str(why)) from why
        except OverflowError as why:
            raise BadValue(str(why)) from why

    async def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        prepared = statement.sqlite
        connection = await self._connection()
        try:
            connection.executemany(prepared.sql, [prepared.bind(row) for row in rows])
        except sqlite3.IntegrityError as why:
            raise DuplicateRow(str(why)) from why
        except OverflowError as why:
            raise BadValue(str(why)) from why

    async def load(self, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]], /, **same: Any) -> int:
        bound = loading(table, tuple(same), tuple(columns), SQLITE)(same, rows)
        names = [*same, *columns]
        connection = await self._connection()
        before = connection.total_changes
        insert_many(connection, f"{table.name} ({', '.join(names)})", len(names), bound)
        return connection.total_changes - before

    def after(self, call: Callable[[], None], /) -> None:
        self._after.append(call)


class Writer:
    """The one writing connection of this process, and the line in front of it."""

    def __init__(self, path: str) -> None:
        self.connection = connect(path, timeout=0)
        self._thread = ThreadPoolExecutor(1, "commit")
        self._line: deque[asyncio.Future[None]] = deque()
        self._held = False  # by a writer inside its savepoint, or by the commit
        self._open = False  # BEGIN has been said
        self._members = 0
        self._durable: asyncio.Future[None] | None = None
        self._holder: asyncio.Task[Any] | None = None

    async def enter(self) -> None:
        task = asyncio.current_task()
        if self._held and self._holder is task:
            raise RuntimeError("a writing transaction was begun inside another of the same task")
        if self._held or self._line:
            turn = asyncio.get_running_loop().create_future()
            self._line.append(turn)
            try:
                await turn  # whoever wakes us hands the hold over
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        else:
            self._held = True
        try:
            if not self._open:
                await self._begin()
            self.connection.execute("SAVEPOINT one")
            self._holder = task
        except BaseException:
            self._pass_on()
            raise

    async def _begin(self) -> None:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as busy:
            if busy.sqlite_errorname != "SQLITE_BUSY":
                raise
            await asyncio.get_running_loop().run_in_executor(self._thread, self._begin_patiently)
        self._open = True
        self._members = 0
        self._durable = asyncio.get_running_loop().create_future()
        self._durable.add_done_callback(lambda f: f.cancelled() or f.exception())

    def _begin_patiently(self) -> None:
        """Another process writes: wait for it off the loop."""
        self.connection.execute(f"PRAGMA busy_timeout={int(PATIENCE * 1000)}")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        finally:
            self.connection.execute("PRAGMA busy_timeout=0")

    def leave(self, *, keep: bool, lazy: bool = False) -> asyncio.Future[None]:
        """End one writer's savepoint; the future is done when its batch is durable."""
        durable = cast(asyncio.Future[None], self._durable)
        self._holder = None
        try:
            if not keep:
                self.connection.execute("ROLLBACK TO one")
            self.connection.execute("RELEASE one")
        except sqlite3.Error as broken:  # disk full and the like undo the whole batch: nobody in it is answered
            self._fail(broken)
            return durable
        self._members += keep
        if self._members >= BATCH:
            self._commit()
        else:
            self._pass_on(soon=not lazy)
        return durable

    def _pass_on(self, *, soon: bool = True) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._held = False
        if self._open:
            # once the loop has run whatever is ready: requests that have already arrived join this batch
            loop = asyncio.get_running_loop()
            loop.call_soon(self._commit_if_idle) if soon else loop.call_later(LAZY, self._commit_if_idle)

    def _commit_if_idle(self) -> None:
        if self._open and not self._held and not self._line:
            self._held = True
            self._commit()

    def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        durable = self._durable
        end = "COMMIT" if self._members else "ROLLBACK"
        done = loop.run_in_executor(self._thread, self.connection.execute, end)

        def settle(finished: asyncio.Future[Any]) -> None:
            if failed := finished.exception():
                self._fail(failed)
                return
            self._open = False
            if durable is not None and not durable.done():
                durable.set_result(None)
            self._pass_on()

        done.add_done_callback(settle)

    def _fail(self, why: BaseException) -> None:
        with suppress(sqlite3.Error):
            self.connection.execute("ROLLBACK")
        self._open = False
        if self._durable is not None and not self._durable.done():
            self._durable.set_exception(why)
        self._pass_on()

    async def close(self) -> None:
        while self._held or self._open or self._line:  # noqa: ASYNC110 - rare and short
            await asyncio.sleep(0.002)
        self._thread.shutdown()
        self.connection.close()


def _dumped(path: str, core: Select[Any], format: Format, given: Mapping[str, Any]) -> Generator[Piece, None, None]:
    """A select as text, from one snapshot; to be run in a thread."""
    usual, careful = (Statement(sqlite_select(core, format, careful=careful)).sqlite for careful in (False, True))
    bound, again = list(usual.bind(given)), (careful.sql, list(careful.bind(given)))
    dump = Dump(path, usual.sql, bound, again, format, len(core.selected_columns))
    with closing(sqlite_lines.read(dump)) as here:
        first = list(islice(here, 1))
    many = bool(first) and first[0][1] == sqlite_lines.TOGETHER
    for found, rows in _read_beside(dump) if many else first:
        yield sqlite_lines.csv_of(found) if format == "csv" else found, rows


def _read_beside(dump: Dump) -> Generator[Piece, None, None]:
    """What is more than a piece is read by a process of its own, which ends with this generator.

    In this one the driver would let go of the interpreter at every row, and wait to have it back whenever the server
    is at something else.
    """
    command = [sys.executable, "-I", "-S", sqlite_lines.__file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, stdin=pipe, stdout=pipe, stderr=pipe, process_group=0, pipesize=AHEAD
    ) as process:
        told, found, said = (cast("IO[bytes]", one) for one in (process.stdin, process.stdout, process.stderr))
        try:
            with suppress(BrokenPipeError), told:
                told.write(json.dumps(dump).encode())
            while head := found.read(sqlite_lines.HEAD.size):
                length, rows = sqlite_lines.HEAD.unpack(head)
                yield found.read(length), rows
            if (code := process.wait()) < 0:
                raise DatabaseUnavailable(f"the process that read the rows was ended by signal {-code}")
            if code:
                raise sqlite3.OperationalError(said.read().decode(errors="replace").strip()[-1000:])
        finally:
            process.kill()


class SqliteDb:
    """An embedded database in one file."""

    name = "sqlite"
    places_at_insert = True
    writer: Writer

    def __init__(self, path: str) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.readers: list[sqlite3.Connection] = []
        self.scanners = ThreadPoolExecutor(2, "scan")

    def reading(self) -> SqliteReading:
        return SqliteReading(self)

    def writing(self, *, lazy: bool = False) -> SqliteWriting:
        return SqliteWriting(self, lazy=lazy)

    async def dump(self, core: Select[Any], format: Format, /, **given: Any) -> AsyncGenerator[Piece, None]:
        async with aclosing(handed_over(self.scanners, _dumped(self.path, core, format, given))) as pieces:
            async for piece in pieces:
                yield piece

    async def note_growth(self, *tables: Table) -> None:
        """Nothing to do: every long list has an index that serves it, whatever the counts are."""

    async def open(self) -> None:
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self.writer = Writer(self.path)
        except (sqlite3.Error, OSError) as why:
            raise DatabaseUnavailable(f"{self.path} cannot be opened as a SQLite database: {why}") from why

    async def close(self) -> None:
        if hasattr(self, "writer"):
            await self.writer.close()
        for connection in self.readers:
            connection.close()
        self.readers.clear()
        self.scanners.shutdown(wait=False)
