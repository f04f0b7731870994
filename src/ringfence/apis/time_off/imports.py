"""Files of time off: kept, checked row by row, stored a few rows to a transaction together with how far that is.

A process that dies goes on after the last row that was committed. A row that is there already is not stored again.
"""

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, nullcontext
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, delete, null, select, update

from ringfence.floor.time_off import SCOPE
from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, TOO_LARGE, Fault
from ringfence.kernel.shapes import Nothing, Shape
from ringfence.store import blobs, csv_rows
from ringfence.store.columns import Moment, Uuid
from ringfence.store.csv_rows import BadFile
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, change, find, mine, one
from ringfence.store.tables.identity import accounts
from ringfence.store.tables.time_off import time_off_import_errors as errors
from ringfence.store.tables.time_off import time_off_imports as imports
from ringfence.store.tables.time_off import time_offs
from ringfence.store.work import enqueue, step

from . import balances, domain, local_times
from .balances import TOO_LOW
from .domain import OVERLAP
from .local_times import BadTime

SLICE = 100  # rows stored in one transaction
GROWN = (1_000, 10_000)  # rows after which the planner is told, as a file may fill a table that was empty
LOOKED = 500  # rows counted at a time
OLD_ONES = 200  # reports that go in one transaction
COLUMNS = ("agent_email", "event_type_name", "start_at", "end_at")
LONGEST = 2000  # characters of a description
Status = Literal["PROCESSING", "IMPORTED", "IMPORTED_WITH_ERRORS", "ERROR"]
CODES = {OVERLAP: "OVERLAP", TOO_LOW: "BALANCE_TOO_LOW"}


class Imported(Shape):
    """Rows of a file: how many there were, how many were taken, how many refused."""

    id: str
    status: Status
    rows: int
    imported: int
    refused: int


class Which(Shape):
    """Arguments of the job."""

    id: str


class Refused(NamedTuple):
    code: str
    description: str


class Columns(NamedTuple):
    """Where in a row to find what, and how its times are to be read."""

    at: dict[str, int]
    width: int
    format: str
    zone: ZoneInfo


IMPORTED = EventType("time_off.imported", Imported, "A file of time off was imported", SCOPE)

ADD = adding(imports)
ADD_ERROR = adding(errors)
THIS = imports.c.id == bindparam("which", type_=Uuid)
BY_ID = Statement(mine(imports).where(THIS))
GOES_ON = Statement(
    mine(imports)
    .where(imports.c.status == "PROCESSING", imports.c.digest == bindparam("digest"))
    .where(imports.c.kept == bindparam("kept"), imports.c.time_zone == bindparam("zone"))
    .where(imports.c.date_format == bindparam("format"))
    .order_by(imports.c.created_at)
    .limit(1)
)
ZONE = Statement(select(accounts.c.timezone).where(accounts.c.id == ACCOUNT))
COUNTED = Statement(
    update(imports).where(imports.c.account_id == ACCOUNT, THIS).values(rows=bindparam("count"))
)  # fmt: skip
MOVE = Statement(
    update(imports)
    .where(imports.c.account_id == ACCOUNT, THIS, imports.c.done == bindparam("before"))
    .values(
        done=bindparam("after"),
        imported=imports.c.imported + bindparam("more"),
        refused=imports.c.refused + bindparam("worse"),
    )
)
FINISH = Statement(
    update(imports)
    .where(imports.c.account_id == ACCOUNT, THIS, imports.c.status == "PROCESSING")
    .values(status=bindparam("state"), bytes=bindparam("size"), finished_at=bindparam("at", type_=Moment))
)
ERRORS = Statement(mine(errors).where(errors.c.import_id == bindparam("which", type_=Uuid)).order_by(errors.c.row))
DROP_ERRORS = Statement(
    delete(errors).where(errors.c.account_id == ACCOUNT, errors.c.import_id == bindparam("which", type_=Uuid))
)
OLD = Statement(
    select(imports.c.id)
    .where(imports.c.bytes.is_not(None), imports.c.finished_at < bindparam("before", type_=Moment))
    .limit(OLD_ONES),
    everywhere=True,
)
FORGET = Statement(update(imports).where(THIS).values(bytes=null()), everywhere=True)

# asking for one


class Wanted(NamedTuple):
    """A file as it was sent. Empty zone: the account's; empty format: the first that we know."""

    file_name: str
    time_zone: str
    date_format: str


async def receive(ctx: Ctx, id: str, pieces: AsyncIterator[bytes]) -> str:
    """Keep a file under the id of its import; its SHA-256. Not within a transaction."""
    digest, size = hashlib.sha256(), 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for piece in pieces:
            size += len(piece)
            if size > ctx.settings.upload_limit:
                raise Fault(TOO_LARGE, f"A file may have {ctx.settings.upload_limit} bytes.")
            digest.update(piece)
            yield piece

    await ctx.house.blobs.write(id, counted())
    return digest.hexdigest()


async def begin(ctx: Ctx, id: str, digest: str, wanted: Wanted, *, kept: bool) -> Row:
    """Import a file, by a job where it is kept here. The same file that is just being imported is that import."""
    zone = wanted.time_zone or ((await find(ctx, ZONE)) or {"timezone": "UTC"})["timezone"]
    format = local_times.format_of(wanted.date_format or local_times.FORMATS[0])
    local_times.zone_of(zone)
    going_on = await find(ctx, GOES_ON, digest=digest, kept=kept, zone=zone, format=format)
    if going_on is not None:
        return going_on
    row: Row = {
        "account_id": ctx.account,
        "id": id,
        "file_name": wanted.file_name,
        "digest": digest,
        "kept": kept,
        "time_zone": zone,
        "date_format": format,
        "status": "PROCESSING",
        "rows": None,
        **dict.fromkeys(("done", "imported", "refused"), 0),
        "bytes": None,
        "created_at": ctx.now(),
        "finished_at": None,
    }
    await ctx.db.run(ADD, **row)
    if kept:
        await enqueue(ctx, IMPORT, Which(id=id))
    return row


async def get(ctx: Ctx, which: str) -> Row:
    return await one(ctx, BY_ID, which=which)


# doing it


def _nobody(done: int, total: int) -> None:
    pass


async def work(ctx: Ctx, which: str, tell: Callable[[int, int], None] = _nobody, file: Path | None = None) -> None:
    """The whole of it, as a long job. `tell` hears how many rows were looked at, of how many."""
    async with step(ctx) as now:
        row = await find(now, BY_ID, which=which)
    if row is None or row["status"] != "PROCESSING":
        return
    header: list[str] = []
    try:
        async with nullcontext(file) if file else ctx.house.blobs.fetched(which) as path:
            header, total = await _count(path)
            columns = _columns(header, row)
            async with step(ctx) as now:
                await change(now, COUNTED, which=which, count=total)
            await _store(ctx, row, columns, path, total, tell)
    except (BadFile, FileNotFoundError) as why:
        number, said = (why.row, why.why) if isinstance(why, BadFile) else (0, "the file is gone")
        async with step(ctx) as now:
            if not await find(now, ERRORS, which=which):
                await _refuse(now, which, {max(number, 1): (Refused("FILE_UNREADABLE", said), [])})
        header = []
    await _end(ctx, which, header)


async def _count(path: Path) -> tuple[list[str], int]:
    """The header of a file and how many rows follow. Raises BadFile where any of it cannot be read."""
    found, count = csv_rows.rows(path), 0
    header = next(found)
    while more := sum(1 for _ in islice(found, LOOKED)):
        count += more
        await _others()
    if not count:
        raise BadFile(2, "the file has no rows")
    return header, count


def _columns(header: list[str], row: Row) -> Columns:
    names = csv_rows.columns(header)
    for name in COLUMNS:
        if name not in names:
            raise BadFile(1, f"the column {name} is missing")
    at = {name: names.index(name) for name in (*COLUMNS, "description") if name in names}
    return Columns(at, len(header), row["date_format"], local_times.zone_of(row["time_zone"]))


async def _store(
    ctx: Ctx, row: Row, columns: Columns, path: Path, total: int, tell: Callable[[int, int], None]
) -> None:
    """Store the rows that have not been looked at yet."""
    found, done = csv_rows.rows(path), row["done"]
    next(found)
    for _ in islice(found, done):
        pass
    tell(done, total)
    while chunk := list(islice(found, SLICE)):
        async with step(ctx, lazy=True) as now:
            good, bad = await _slice(now, row["id"], columns, chunk, done + 2)  # the header is row 1
            moved = await change(now, MOVE, which=row["id"], before=done, after=done + len(chunk), more=good, worse=bad)
            if moved != 1:
                raise RuntimeError("another process is importing this file")
        done += len(chunk)
        tell(done, total)
        if done in GROWN:
            await ctx.house.db.note_growth(time_offs)
        await _others()


async def _slice(ctx: Ctx, which: str, columns: Columns, chunk: list[list[str]], number: int) -> tuple[int, int]:
    """Store some rows; how many were taken and how many refused."""
    at = columns.at["agent_email"]
    known = await balances.known(ctx, [line[at].strip() for line in chunk if len(line) == columns.width])
    read = {number + n: _read(columns, known, line) for n, line in enumerate(chunk) if line}  # not the blank ones
    asked = {n: one for n, one in read.items() if isinstance(one, domain.Wish)}
    refused = {n: one for n, one in read.items() if isinstance(one, Refused)}
    for n, fault in zip(asked, await domain.add_many(ctx, list(asked.values())), strict=True):
        if fault is not None:
            refused[n] = _refused(fault)
    await _refuse(ctx, which, {n: (why, chunk[n - number]) for n, why in refused.items()})
    return len(read) - len(refused), len(refused)


def _read(columns: Columns, known: balances.Known, line: list[str]) -> domain.Wish | Refused:
    """What a row asks for, or why it cannot be had."""
    if len(line) != columns.width:
        return Refused("FIELDS", f"has {len(line)} fields, the header has {columns.width}")
    given = {name: line[index].strip() for name, index in columns.at.items()}
    if known.agent(given["agent_email"]) is None:
        return Refused("AGENT_UNKNOWN", f"agent_email: {balances.NO_AGENT.format(given['agent_email'][:254])}")
    if known.type(given["event_type_name"]) is None:
        return Refused(
            "EVENT_TYPE_UNKNOWN", f"event_type_name: {balances.NO_TYPE.format(given['event_type_name'][:100])}"
        )
    if len(given.get("description", "")) > LONGEST:
        return Refused("DESCRIPTION_TOO_LONG", f"description: may have {LONGEST} characters")
    try:
        start = local_times.moment(given["start_at"], columns.format, columns.zone, end=False)
    except BadTime as why:
        return Refused("START_INVALID", f"start_at: {why}")
    try:
        end = local_times.moment(given["end_at"], columns.format, columns.zone, end=True)
    except BadTime as why:
        return Refused("END_INVALID", f"end_at: {why}")
    try:
        return domain.wish(
            known, email=given["agent_email"], type_name=given["event_type_name"], start=start, end=end,
            description=given.get("description") or None,
        )  # fmt: skip
    except Fault as why:
        return _refused(why)


def _refused(why: Fault) -> Refused:
    return Refused(CODES.get(why.problem, "SPAN_INVALID"), why.detail.description)


async def _refuse(ctx: Ctx, which: str, refused: dict[int, tuple[Refused, list[str]]]) -> None:
    """Note rows for the report, by their numbers."""
    ready = {"account_id": ctx.account, "import_id": which}
    rows = [
        ready | {"row": n, "code": why.code, "description": why.description, "line": line}
        for n, (why, line) in refused.items()
    ]
    await ctx.db.many(ADD_ERROR, rows)


async def _others() -> None:
    """Let others have their turn."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _end(ctx: Ctx, which: str, header: list[str]) -> None:
    """Write the report about what was refused, and say how it went."""
    async with step(ctx) as now:
        row = await get(now, which)
        first = await find(now, ERRORS, which=which)
    size = None
    if first is not None:
        count = [0]
        await ctx.house.blobs.write(report_of(which), _report(ctx, which, header, count))
        size = count[0]
    state: Status = "IMPORTED" if first is None else "IMPORTED_WITH_ERRORS" if row["imported"] else "ERROR"
    async with step(ctx) as now:
        await change(now, DROP_ERRORS, which=which)
        if await change(now, FINISH, which=which, state=state, size=size, at=ctx.now()):
            counts = {name: row[name] for name in ("imported", "refused")}
            await emit(now, IMPORTED, which, Imported(id=which, status=state, rows=row["rows"] or 0, **counts))
    if row["kept"]:
        await ctx.house.blobs.delete(which)


def report_of(which: str) -> str:
    """The key of the report among the files."""
    return f"{which}-e"


async def _report(ctx: Ctx, which: str, header: list[str], count: list[int]) -> AsyncGenerator[bytes, None]:
    """Rows that were refused, as they were sent, each with its number and why. `count` comes to hold the bytes."""

    def written(*lines: list[str]) -> Iterator[bytes]:
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n").writerows(lines)
        piece = out.getvalue().encode()
        count[0] += len(piece)
        yield piece

    for piece in written(["row", "code", "description", *header]):
        yield piece
    async with ctx.house.db.reading() as tx, aclosing(tx.scan(ERRORS, account=ctx.account, which=which)) as found:
        async for row in found:
            for piece in written([str(row["row"]), row["code"], row["description"], *row["line"]]):
                yield piece


# lending the report out


def path_of(account: str, which: str) -> str:
    return f"/wfm/aion/v1/schedules/event-imports/{which}/errors?account={account}"


def until(ctx: Ctx) -> int:
    """When a signed URL that is made now expires, in seconds since 1970."""
    return int(ctx.world.time()) + ctx.settings.report_link_lifetime


def signed_url(ctx: Ctx, row: Row, until: int) -> str:
    base: str = ctx.house.gateway_base
    return base + blobs.signed(ctx.house.vault, path_of(row["account_id"], row["id"]), until, "GET")


async def lent(ctx: Ctx, which: str, *, account: str, expires: str, signature: str) -> Row:
    """The import whose report a signed URL is of."""
    blobs.check_signature(ctx.house.vault, path_of(account, which), expires, signature, ctx.world.time(), "GET")
    row: Row | None = await ctx.db.one(BY_ID, account=account, which=which)
    if row is None or row["bytes"] is None:
        raise Fault(NOT_FOUND, "There is no such report, or it is not kept any more.")
    return row


async def run(ctx: Ctx, args: Which) -> None:
    await work(ctx, args.id)


async def retain(ctx: Ctx, args: Nothing) -> None:
    """Drop the reports that are older than the setting allows."""
    if not (kept := ctx.settings.reports_retention):
        return
    before, more = ctx.now() - timedelta(seconds=kept), True
    while more:
        async with step(ctx) as now:
            rows = await now.db.all(OLD, before=before)
        for row in rows:
            await ctx.house.blobs.delete(report_of(row["id"]))
        async with step(ctx) as now:
            for row in rows:
                await now.db.run(FORGET, which=row["id"])
        more = len(rows) == OLD_ONES


IMPORT = Job("time_off.import", Which, run, retry=(5, 30, 120, 600, 3600), long=True)
RETENTION = Job("time_off.retention", Nothing, retain, every=3600, long=True)
