"""Jobs that write a report into a file, and what becomes of the file.

created → processing → uploading → done → deleted; created, processing or uploading → failed or canceled.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import bindparam, func, select, update

from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import TOO_MANY, Fault, Problem
from ringfence.kernel.shapes import Nothing, Shape
from ringfence.store import blobs
from ringfence.store.columns import Json, Moment, among
from ringfence.store.db import DatabaseUnavailable, TryAgain
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.reports import report_jobs
from ringfence.store.work import enqueue, step

from .catalogue import EXPLORE, LEGACY
from .report import Report
from .spans import Span
from .writing import written

log = structlog.get_logger()
Kind = Literal["explore", "legacy"]
OPEN = ("created", "processing", "uploading")
MEDIA = {"csv": "text/csv", "json": "application/json", "json_bulk": "application/x-ndjson"}
LOOK = 200  # pieces between looks at whether the job is still wanted
GIVEN_UP = timedelta(days=1)  # after which a job that is not over never will be
CHUNK = 200  # files that retention deletes in one transaction

NO_FILE = Problem("no_file", 404, "This report has no file.")
FILE_DELETED = Problem("file_deleted", 403, "The file of this report has been deleted already.")
JOB_FINISHED = Problem("job_finished", 403, "The job is over, so it cannot be canceled.")

job = report_jobs.c
THIS = (job.account_id == ACCOUNT, job.id == bindparam("job"))
ADD = adding(report_jobs)
ONE = Statement(
    mine(report_jobs).where(job.id == bindparam("job"), job.api == bindparam("of"), job.type == bindparam("kind"))
)
BY_ID = Statement(mine(report_jobs).where(job.id == bindparam("job")))
COUNT_OPEN = Statement(
    mine(report_jobs, func.count().label("count")).where(among(job.status, bindparam("open", type_=Json)))
)
COUNT = Statement(
    mine(report_jobs, func.count().label("count")).where(job.api == bindparam("of"), job.type == bindparam("kind"))
)
ORDERS = {"created_at": job.created_at, "status": job.status, "from": job.starts_at, "to": job.ends_at}


def _pages(key: str, *, down: bool) -> Statement:
    by = [column.desc() if down else column for column in (ORDERS[key], job.created_at, job.id)]
    asked = mine(report_jobs).where(job.api == bindparam("of"), job.type == bindparam("kind"))
    return Statement(asked.order_by(*by).limit(bindparam("limit")).offset(bindparam("skip")))


PAGES = {(key, down): _pages(key, down=down) for key in ORDERS for down in (True, False)}
MOVE = Statement(
    update(report_jobs)
    .where(*THIS, among(job.status, bindparam("before", type_=Json)))
    .values(status=bindparam("after"))
)
FINISH = Statement(
    update(report_jobs)
    .where(*THIS, among(job.status, bindparam("before", type_=Json)))
    .values(
        status=bindparam("after"),
        rows=bindparam("count"),
        bytes=bindparam("size"),
        error=bindparam("why"),
        finished_at=bindparam("at", type_=Moment),
    )
)
OLD = Statement(
    select(report_jobs)
    .where(job.status == "done", job.finished_at < bindparam("before", type_=Moment))
    .order_by(job.finished_at)
    .limit(CHUNK),
    everywhere=True,
)
STALE = Statement(
    select(report_jobs)
    .where(among(job.status, bindparam("open", type_=Json)), job.created_at < bindparam("before", type_=Moment))
    .limit(CHUNK),
    everywhere=True,
)


class ReportFacts(Shape):
    """A report: its job, and how it stands. `rows` and `bytes` once it is done."""

    id: str
    type: str
    format: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    status: str
    rows: int | None = None
    bytes: int | None = None


READS = "data-reports:read"
REQUESTED = EventType("report.requested", ReportFacts, "A report was asked for", READS)
FINISHED = EventType("report.finished", ReportFacts, "A report was done, failed or was canceled", READS)
DELETED = EventType("report.deleted", ReportFacts, "The file of a report was deleted", READS)


async def _tell(ctx: Ctx, what: EventType, row: Row, status: str, **more: Any) -> None:
    kept = {name: row[name] for name in ("id", "type", "format", "timezone", "starts_at", "ends_at")}
    await emit(ctx, what, row["id"], ReportFacts(status=status, **kept, **more))


class Wanted(Shape):
    """Arguments of the job."""

    id: str


async def create(ctx: Ctx, of: Kind, report: Report, span: Span, *, format: str, name: str = "") -> Row:
    """Ask for a report. Its job as it is written down."""
    row: Any = await find(ctx, COUNT_OPEN, open=OPEN)
    if row["count"] >= ctx.settings.report_jobs:
        limit = f"{row['count']} jobs of this account are not over yet, which is as many as there may be."
        raise Fault(TOO_MANY, limit, headers=(("Retry-After", "5"),))
    made: Row = {
        "id": ctx.new_uuid() if of == "explore" else ctx.new_id(),
        "account_id": ctx.account,
        "api": of,
        "type": report.type,
        "name": name or report.title,
        "format": format,
        "timezone": span.zone.key,
        "starts_at": span.starts,
        "ends_at": span.ends,
        "status": "created",
        "client_id": ctx.caller.client if ctx.caller is not None else "",
        "created_at": ctx.now(),
    }
    await change(ctx, ADD, **made)
    await _tell(ctx, REQUESTED, made, "created")
    await enqueue(ctx, WRITE, Wanted(id=made["id"]))
    return made


async def get(ctx: Ctx, of: Kind, type: str, id: str) -> Row:
    """A job. 404 for what is not there, or is of another type."""
    return await one(ctx, ONE, job=id, of=of, kind=type)


async def listed(
    ctx: Ctx, of: Kind, type: str, page: int, per_page: int, *, by: str = "created_at", down: bool = True
) -> tuple[int, list[Row]]:
    """How many jobs of a type there are, and a page of them."""
    total: Any = await find(ctx, COUNT, of=of, kind=type)
    rows = await all_rows(ctx, PAGES[by, down], of=of, kind=type, limit=per_page, skip=(page - 1) * per_page)
    return total["count"], rows


async def cancel(ctx: Ctx, of: Kind, type: str, id: str) -> None:
    """Stop a job that is not over."""
    row = await get(ctx, of, type, id)
    if not await change(ctx, FINISH, job=row["id"], before=OPEN, **_over(ctx, "canceled")):
        raise Fault(JOB_FINISHED)
    await _tell(ctx, FINISHED, row, "canceled")


async def delete(ctx: Ctx, of: Kind, type: str, id: str) -> None:
    """Drop the file of a job that is done. That there was one stays."""
    row = await get(ctx, of, type, id)
    if row["status"] == "deleted":
        raise Fault(FILE_DELETED)
    if not await change(ctx, MOVE, job=row["id"], before=["done"], after="deleted"):
        raise Fault(NO_FILE)
    await _tell(ctx, DELETED, row, "deleted")
    await enqueue(ctx, DELETE_FILES, Dropped(ids=[row["id"]]))


def _over(ctx: Ctx, how: str, *, rows: int | None = None, size: int | None = None, why: str = "") -> dict[str, Any]:
    return {"after": how, "count": rows, "size": size, "why": why or None, "at": ctx.now()}


# the file


def require_file(row: Row) -> None:
    """Refuse where there is no file any more, or never will be."""
    if row["status"] in ("failed", "canceled", "deleted"):
        raise Fault(NO_FILE, f"The report is {row['status']}.")


def path_of(account: str, id: str) -> str:
    return f"/data/report-files/{id}?account={account}"


def signed_url(ctx: Ctx, row: Row) -> str:
    """Where anybody gets the file for a while."""
    until = int(ctx.world.time()) + ctx.settings.report_link_lifetime
    base: str = ctx.house.gateway_base
    return base + blobs.signed(ctx.house.vault, path_of(row["account_id"], row["id"]), until, "GET")


async def lent(ctx: Ctx, id: str, *, account: str, expires: str, signature: str) -> Row:
    """The job whose file a signed URL is of."""
    blobs.check_signature(ctx.house.vault, path_of(account, id), expires, signature, ctx.world.time(), "GET")
    row = await one(replace(ctx, account=account), BY_ID, job=id)
    if row["status"] != "done":
        raise Fault(NO_FILE)
    return row


# writing it


class Unwanted(Exception):
    """The job was canceled meanwhile."""


async def write(ctx: Ctx, args: Wanted) -> None:
    """The job: begun again after a crash, it writes the whole file anew."""
    async with step(ctx) as now:
        row = await find(now, BY_ID, job=args.id)
        if row is None or not await change(now, MOVE, job=args.id, before=OPEN, after="processing"):
            return
    report = (EXPLORE if row["api"] == "explore" else LEGACY)[row["type"]]
    count = [0, 0]
    try:
        await ctx.house.blobs.write(args.id, _contents(ctx, row, report, count))
    except (DatabaseUnavailable, TryAgain):
        raise  # another attempt will do
    except Unwanted:
        return
    except Exception as why:
        log.exception("report.failed", report=row["type"], id=args.id)
        async with step(ctx) as now:
            if await change(now, FINISH, job=args.id, before=OPEN, **_over(ctx, "failed", why=repr(why)[:2000])):
                await _tell(now, FINISHED, row, "failed")
        return
    async with step(ctx) as now:
        done = _over(ctx, "done", rows=count[0], size=count[1])
        if await change(now, FINISH, job=args.id, before=OPEN, **done):
            await _tell(now, FINISHED, row, "done", rows=count[0], bytes=count[1])
            return
        meanwhile = await find(now, BY_ID, job=args.id)
        if meanwhile is None or meanwhile["status"] != "done":  # canceled; or else another worker's file is the same
            await enqueue(now, DELETE_FILES, Dropped(ids=[args.id]))


async def _contents(ctx: Ctx, row: Row, report: Report, count: list[int]) -> AsyncIterator[bytes]:
    """The file, piece by piece; `count` comes to hold rows and bytes."""
    span = Span(ZoneInfo(row["timezone"]), row["starts_at"], row["ends_at"])
    whose = {"account": row["account_id"], "base": ctx.house.gateway_base}
    async with aclosing(written(ctx.house.db, report, span, row["format"], **whose)) as pieces:
        number = 0
        async for piece, rows in pieces:
            count[0] += rows
            count[1] += len(piece)
            yield piece
            number += 1
            if number % LOOK == 0:
                await _still_wanted(ctx, row)
    async with step(ctx) as now:
        if not await change(now, MOVE, job=row["id"], before=["processing"], after="uploading"):
            raise Unwanted


async def _still_wanted(ctx: Ctx, row: Row) -> None:
    async with ctx.house.db.reading() as tx:
        found = await find(replace(ctx, db=tx), BY_ID, job=row["id"])
    if found is None or found["status"] != "processing":
        raise Unwanted


# keeping files no longer than is wanted


class Dropped(Shape):
    """Files that are to be deleted, by their jobs."""

    ids: list[str]


async def delete_files(ctx: Ctx, args: Dropped) -> None:
    """Twice is no harm."""
    for id in args.ids:
        await ctx.house.blobs.delete(id)


async def retain(ctx: Ctx, args: Nothing) -> None:
    """Drop the files that are older than the setting allows, and give up the jobs that nobody goes on with."""
    if kept := ctx.settings.reports_retention:
        await _end_all(ctx, OLD, DELETED, "deleted", ctx.now() - timedelta(seconds=kept))
    await _end_all(ctx, STALE, FINISHED, "failed", ctx.now() - GIVEN_UP)


async def _end_all(ctx: Ctx, old: Statement, what: EventType, how: str, before: datetime) -> None:
    more = True
    while more:
        async with step(ctx) as now:
            rows = await now.db.all(old, before=before, open=OPEN)
            for row in rows:
                within = replace(now, account=row["account_id"])
                await change(within, MOVE, job=row["id"], before=[row["status"]], after=how)
                await _tell(within, what, row, how)
            if rows:
                await enqueue(now, DELETE_FILES, Dropped(ids=[row["id"] for row in rows]))
        more = len(rows) == CHUNK


WRITE = Job("reports.write", Wanted, write, retry=(5, 30, 120, 600, 3600), long=True)
DELETE_FILES = Job("reports.delete_files", Dropped, delete_files, retry=(5, 60, 600, 3600, 21600, 86400))
RETENTION = Job("reports.retention", Nothing, retain, every=3600, long=True)
