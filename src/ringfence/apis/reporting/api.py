"""The Reporting API, the older interface to historical reports (contract: data_and_events.md section 2)."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, TOO_MANY, Fault, wrong
from ringfence.kernel.shapes import Page, See, Shape
from ringfence.reports import jobs
from ringfence.reports.catalogue import LEGACY, UNKNOWN_REPORT, report_of
from ringfence.reports.spans import span
from ringfence.store.query import Row

READ = Scope("reports:read", "Read historical reports through the older interface")
WRITE = Scope("reports:write", "Have historical reports written, and delete them, through the older interface")
AGO = 3600  # seconds that the end of a timespan must be past
Status = Literal["created", "processing", "uploading", "done", "failed", "canceled", "deleted"]
Moment = Annotated[str, msgspec.Meta(max_length=40, examples=["2026-01-05T09:00:00Z"])]


class ReportTimespan(Shape):
    """From a moment on (inclusive), and before another (exclusive), which is at least an hour past."""

    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")


class NewJob(Shape):
    """What to write. Times without an offset are in UTC."""

    timespan: ReportTimespan
    format: Literal["csv", "json"] = "json"
    example: ClassVar = {"format": "csv", "timespan": {"from": "2026-01-04T00:00:00Z", "to": "2026-01-05T00:00:00Z"}}


class Job(Shape):
    """A job that writes a report. Times are as in `2026-01-05 09:00:00 UTC`."""

    id: str
    type: str
    status: Status
    timespan: ReportTimespan
    links: ClassVar = {"self": "/reports/{type}/jobs/{id}", "files": "/reports/{type}/files/{id}"}


class JobQuery(Shape):
    """`page` from 1, `per_page` 1 to 200; the newest first, unless it is said otherwise."""

    page: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1
    per_page: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20
    order: Literal["asc", "desc"] = "desc"
    order_by: Literal["created_at", "status", "from", "to"] = "created_at"


def shown(row: Row) -> Job:
    told = ReportTimespan(
        start=f"{row['starts_at']:%Y-%m-%d %H:%M:%S} UTC", end=f"{row['ends_at']:%Y-%m-%d %H:%M:%S} UTC"
    )
    return Job(id=row["id"], type=row["type"], status=row["status"], timespan=told)


async def execute(ctx: Ctx, type: str, body: NewJob) -> Job:
    """Have a report written

    Rows belong to the timespan in which they were over.
    """
    report = report_of(LEGACY, type)
    asked = span("UTC", body.timespan.start, body.timespan.end)
    if asked.ends > ctx.now() - timedelta(seconds=AGO):
        raise wrong("timespan.to", "must be at least one hour past")
    return shown(await jobs.create(ctx, "legacy", report, asked, format=body.format))


async def check(ctx: Ctx, type: str, id: str) -> Job | See:
    """Get the job of a report

    When the report is done the answer leads on to its file.
    """
    report_of(LEGACY, type)
    row = await jobs.get(ctx, "legacy", type, id)
    return See(f"/reports/{type}/files/{id}", shape=shown(row)) if row["status"] == "done" else shown(row)


async def download(ctx: Ctx, type: str, id: str) -> See:
    """Get the file of a report

    The answer leads on to a signed URL, which needs no token.
    """
    report_of(LEGACY, type)
    row = await jobs.get(ctx, "legacy", type, id)
    if row["status"] != "done":
        raise Fault(jobs.NO_FILE)
    return See(jobs.signed_url(ctx, row), status=302, shape=shown(row))


async def list_jobs(ctx: Ctx, type: str, query: JobQuery) -> Page[Job]:
    """List the jobs of one type of report"""
    report_of(LEGACY, type)
    down = query.order == "desc"
    total, rows = await jobs.listed(ctx, "legacy", type, query.page, query.per_page, by=query.order_by, down=down)
    every = {"href": f"/reports/{type}/jobs{{?page,per_page,order_by,order}}", "templated": True}
    return Page(
        rel="jobs",
        items=[shown(row) for row in rows],
        total=total,
        page=query.page,
        per_page=query.per_page,
        members=("total", "page", "per_page"),
        bounds=False,
        extra_links={"page": every},
    )


async def cancel(ctx: Ctx, type: str, id: str) -> None:
    """Cancel a job that is not over"""
    report_of(LEGACY, type)
    await jobs.cancel(ctx, "legacy", type, id)


async def delete(ctx: Ctx, type: str, id: str) -> None:
    """Delete the file of a report"""
    report_of(LEGACY, type)
    await jobs.delete(ctx, "legacy", type, id)


JOB, FILE = "/reports/{type}/jobs/{id}", "/reports/{type}/files/{id}"
UNKNOWN = (UNKNOWN_REPORT, NOT_FOUND)
API = Api(
    name="reporting",
    title="Reporting API",
    about="Historical reports: the older interface to them.",
    scopes=(READ, WRITE),
    operations=(
        Operation("POST", "/reports/{type}/jobs", WRITE, execute, status=202, problems=(UNKNOWN_REPORT, TOO_MANY)),
        Operation("GET", "/reports/{type}/jobs", READ, list_jobs, problems=(UNKNOWN_REPORT,)),
        Operation("GET", JOB, READ, check, or_status=303, problems=UNKNOWN, gives=Job),
        Operation("DELETE", JOB, WRITE, cancel, status=204, problems=(*UNKNOWN, jobs.JOB_FINISHED)),
        Operation("GET", FILE, READ, download, status=302, problems=(*UNKNOWN, jobs.NO_FILE), gives=Job),
        Operation("DELETE", FILE, WRITE, delete, status=204, problems=(*UNKNOWN, jobs.NO_FILE, jobs.FILE_DELETED)),
    ),
)
