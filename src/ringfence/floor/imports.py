"""Validating a CSV file into a list: first all of it is read and checked aside, then it is stored bit by bit.

A file that cannot be read stores nothing. A process that dies begins again: reading is repeated, and storing goes on
after the last row that was committed, with the same ids, so that no row is there twice.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, update

from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.settings import Settings
from ringfence.kernel.shapes import Shape
from ringfence.kernel.world import uuid_of
from ringfence.store import csv_rows
from ringfence.store.columns import Json, Moment, Uuid
from ringfence.store.csv_rows import BadFile
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, change, find, mine
from ringfence.store.stage import Once, Stage, Staged
from ringfence.store.tables.lists import lists, uploads
from ringfence.store.work import step

from . import uploads as sent

SLICE = 250  # rows read at a time, between which others have their turn
CHUNK = {"sqlite": 250, "postgresql": 1000}  # rows stored in one transaction
MANY = 10_000  # rows of a file that change what a table looks like
KEPT = 100  # of the errors, the first


class Good(NamedTuple):
    """A row that may be stored: `place` orders (None: as in the file), `keys` may be there once, `numbers` find it."""

    place: int | None
    keys: Sequence[Any]
    values: Any
    numbers: Sequence[int] = ()


class Bad(NamedTuple):
    code: str
    description: str


Check = Callable[[list[str]], Good | Bad]


class Refused(NamedTuple):
    """A row that was not stored, and why."""

    row: int
    code: str
    description: str


class Claim(NamedTuple):
    """A number of a row, and the id that the row will have."""

    number: int
    row: int
    id: str


class Validated(Shape):
    """How a validation ended: the upload's status, rows of the file, and how many of them were taken."""

    list_id: str
    upload_id: str
    status: sent.Status
    rows: int
    accepted: int
    rejected: int
    reason: str
    notify: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What validation must know of one kind of list."""

    tables: tuple[Table, ...]  # where it goes
    limit: Callable[[Settings], int]
    checker: Callable[[list[str], Row], Check]  # the columns and the list -> a check of one row
    duplicate: Bad
    once: Callable[[Row], Once | None]  # what of a row the list holds once
    store: Callable[[Ctx, Row, Row, list[Staged], list[str]], Awaitable[list[Refused]]]
    validated: EventType
    claim: Callable[[Ctx, Row, list[Claim]], Awaitable[list[int]]] | None = None  # rows whose number is another's
    unclaim: Callable[[Ctx, Row, list[Claim]], Awaitable[None]] | None = None
    ended: Callable[[Ctx, Row], Awaitable[None]] | None = None  # what else to do at the end


@dataclass(slots=True)
class Report:
    """What has been found so far."""

    rows: int = 0
    blank: int = 0  # empty lines among them
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, row: int, code: str, description: str) -> None:
        self.rejected += 1
        if len(self.errors) < KEPT:
            self.errors.append({"row": row, "code": code, "description": description})
            self.errors.sort(key=itemgetter("row"))


LIST = Statement(mine(lists).where(lists.c.id == bindparam("list", type_=Uuid)))
HELD_LIST = Statement(mine(lists).where(lists.c.id == bindparam("list", type_=Uuid)).with_for_update())
MOVE = Statement(
    update(uploads)
    .where(
        uploads.c.account_id == ACCOUNT,
        uploads.c.id == bindparam("upload", type_=Uuid),
        uploads.c.merged == bindparam("before"),
    )
    .values(
        merged=bindparam("after"),
        accepted=uploads.c.accepted + bindparam("more"),
        rejected=uploads.c.rejected + bindparam("worse"),
        errors=bindparam("told", type_=Json),
    )
)
GROW = Statement(
    update(lists)
    .where(lists.c.account_id == ACCOUNT, lists.c.id == bindparam("list", type_=Uuid))
    .values(count=lists.c.count + bindparam("more"), updated_at=bindparam("at", type_=Moment))
)
COUNTED = Statement(
    update(uploads)
    .where(uploads.c.account_id == ACCOUNT, uploads.c.id == bindparam("upload", type_=Uuid))
    .values(rows=bindparam("count"), rejected=bindparam("bad"), errors=bindparam("told", type_=Json))
)


async def grow(ctx: Ctx, list_id: str, more: int) -> None:
    """Count what a list holds, in the transaction that changes it."""
    await change(ctx, GROW, list=list_id, more=more, at=ctx.now())


def _nobody(read: int, stored: int) -> None:
    pass


async def validate(
    ctx: Ctx, upload: str, kind: Kind, tell: Callable[[int, int], None] = _nobody, file: Path | None = None
) -> None:
    """The whole of it, as a long job. `tell` hears how many rows were read and how many were looked at to store.

    `file` is the file itself where it is at hand, so that none has to be fetched.
    """
    async with step(ctx) as now:
        row = await find(now, sent.HELD, upload=upload)
        if row is None or row["status"] not in ("UPLOADED", "VALIDATION_STARTED"):
            return
        of = await find(now, LIST, list=row["list_id"])
        if of is None or of["deleted_at"] is not None:
            return
        await sent.set_state(now, row, "VALIDATION_STARTED")
    stage = Stage(Path(gettempdir()) / f"ringfence-{upload}.stage", once=kind.once(of))
    try:
        try:
            async with nullcontext(file) if file else ctx.house.blobs.fetched(upload) as path:
                if file is None:
                    await _check_file(ctx, path, row)
                report = await _read(ctx, path, kind, of, stage, tell)
        except (BadFile, FileNotFoundError) as why:
            reason = str(why) if isinstance(why, BadFile) else "the file is gone"
            await _end(ctx, row, kind, "CORRUPTED", reason)
            return
        async with step(ctx) as now:
            if row["merged"] == 0:
                told = {"count": report.rows - report.blank, "bad": report.rejected, "told": report.errors}
                await change(now, COUNTED, upload=upload, **told)
        await _store(ctx, row, kind, of, stage, report, tell)
        if report.rows >= MANY:
            await ctx.house.db.note_growth(*kind.tables)
    finally:
        stage.close()
    await _end(ctx, row, kind, None, "")


async def _others() -> None:
    """Let others have their turn: a request takes a few of the loop's rounds from its coming to its answer."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _check_file(ctx: Ctx, path: Path, row: Row) -> None:
    """What others received is checked here; what came through this server was checked when it came."""
    if ctx.house.blobs.direct:
        return

    def digest() -> tuple[int, str]:
        with path.open("rb") as file:
            return path.stat().st_size, hashlib.file_digest(file, "md5").hexdigest()

    size, md5 = await asyncio.get_running_loop().run_in_executor(None, digest)
    if size != row["byte_size"] or md5 != row["checksum"]:
        raise BadFile(0, "length or MD5 of the file are not those that were announced")


async def _read(ctx: Ctx, path: Path, kind: Kind, of: Row, stage: Stage, tell: Callable[[int, int], None]) -> Report:
    """Read and check every row, keeping the good ones aside."""
    found = csv_rows.rows(path)
    header = csv_rows.columns(next(found))
    check, report, most = kind.checker(header, of), Report(), kind.limit(ctx.settings)
    while _slice(found, len(header), check, stage, report):
        good = report.rows - report.blank - report.rejected
        if good + of["count"] > most:
            raise BadFile(report.rows + 1, f"with this file the list would hold more than {most}")
        tell(report.rows, 0)
        await _others()
    count, told = await asyncio.get_running_loop().run_in_executor(None, stage.order, KEPT)
    for number in told:
        report.refuse(number, kind.duplicate.code, kind.duplicate.description)
    report.rejected += count - len(told)
    return report


def _slice(found: Iterator[list[str]], width: int, check: Check, stage: Stage, report: Report) -> int:
    """Look at the next rows; how many there were."""
    count = 0
    good: list[Staged] = []
    keys: list[tuple[Any, int]] = []
    numbers: list[tuple[int, int]] = []
    for row in islice(found, SLICE):
        count += 1
        number = report.rows + count + 1  # the header is row 1
        if len(row) != width:
            if row:
                report.refuse(number, "REQUIRED_FIELDS", f"has {len(row)} fields, the header has {width}")
            else:
                report.blank += 1
            continue
        verdict = check(row)
        if isinstance(verdict, Bad):
            report.refuse(number, verdict.code, verdict.description)
        else:
            keys += [(key, number) for key in verdict.keys]
            numbers += [(one, number) for one in verdict.numbers]
            good.append(Staged(number if verdict.place is None else verdict.place, number, verdict.values))
    stage.add(good, keys, numbers)
    report.rows += count
    return count


async def _store(
    ctx: Ctx, row: Row, kind: Kind, of: Row, stage: Stage, report: Report, tell: Callable[[int, int], None]
) -> None:
    """Store what passed, a chunk to a transaction, from where it was left."""
    name, size = ids_of(row), CHUNK[ctx.house.db.name]
    merged, place, accepted = row["merged"], stage.place_of(row["merged"]), row["accepted"]
    errors: list[dict[str, Any]] = list(row["errors"]) if merged else report.errors
    outside = await _claim(ctx, row, kind, stage, place, size)
    while chunk := stage.after(place, size):
        async with step(ctx, lazy=True) as now:
            held = await find(now, HELD_LIST, list=row["list_id"])
            if held is None or held["deleted_at"] is not None:
                return
            ids = [name(merged + i if stage.sorts else one.row) for i, one in enumerate(chunk)]
            refused = [Refused(one.row, *kind.duplicate) for one in chunk if one.row in outside]
            if refused:
                ids = [id for id, one in zip(ids, chunk, strict=True) if one.row not in outside]
            fit = [one for one in chunk if one.row not in outside] if refused else chunk
            refused += await kind.store(now, held, row | {"accepted": accepted}, fit, ids)
            told = [{"row": r.row, "code": r.code, "description": r.description} for r in refused]
            errors = sorted([*errors, *told], key=lambda one: one["row"])[:KEPT]
            more = len(chunk) - len(refused)
            facts = {"more": more, "worse": len(refused), "told": errors}
            moved = await change(now, MOVE, upload=row["id"], before=merged, after=merged + len(chunk), **facts)
            if moved != 1:
                raise RuntimeError("another process is validating this file")
            await grow(now, row["list_id"], more)
        merged, place, accepted = merged + len(chunk), chunk[-1].place, accepted + more
        tell(report.rows, merged)
        await _others()


async def _claim(ctx: Ctx, row: Row, kind: Kind, stage: Stage, place: int | None, size: int) -> set[int]:
    """Claim the numbers of all rows that are still to be stored, in the order of the numbers, which is the order of
    the index: many times faster than row by row. The rows that lost a number to what was in the list before.

    Done again by a process that goes on for another: a claim that is there already is its own.
    """
    lost: set[int] = set()
    if kind.claim is None or kind.unclaim is None:
        return lost
    name, at = ids_of(row), 0
    while chunk := stage.numbers(at, 2 * size, beyond=place or 0):
        async with step(ctx, lazy=True) as now:
            held = await find(now, HELD_LIST, list=row["list_id"])
            if held is None or held["deleted_at"] is not None:
                return lost
            lost.update(await kind.claim(now, held, [Claim(number, of, name(of)) for _, number, of in chunk]))
        at = chunk[-1][0]
        await _others()
    for some in _few(sorted(lost), size):
        async with step(ctx, lazy=True) as now:
            claims = [Claim(number, of, name(of)) for of in some for number in stage.numbers_of(of)]
            await kind.unclaim(now, row, claims)
        await _others()
    return lost


def _few(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def ids_of(row: Row) -> Callable[[int], str]:
    """The ids of the rows of one upload: always the same, in order, and nobody else's."""
    stamp = int(row["created_at"].timestamp() * 1000) << 16
    own = int.from_bytes(hashlib.sha256(row["id"].encode()).digest()[:5], "big")
    start = uuid_of(stamp | (own & 0xFFF), ((own >> 10) & 0x3FFFFFFF) << 32).replace("-", "")[:-8]
    return lambda index: f"{start}{index:08x}"


async def _end(ctx: Ctx, row: Row, kind: Kind, status: str | None, reason: str) -> None:
    async with step(ctx) as now:
        after = await find(now, sent.HELD, upload=row["id"])
        if after is None:
            return
        status = status or ("ACCEPTED" if after["accepted"] else "REJECTED")
        if status == "REJECTED" and not reason:
            reason = "no row of the file is valid" if after["rows"] else "the file has no rows"
        await sent.set_state(now, after, status, why=reason)
        facts = {name: after[name] for name in ("list_id", "rows", "accepted", "rejected", "notify")}
        told = {"upload_id": row["id"], "status": status, "reason": reason}
        await emit(now, kind.validated, row["list_id"], facts | told)
        if kind.ended is not None:
            await kind.ended(now, after)
    with suppress(OSError):
        await ctx.house.blobs.delete(row["id"])
