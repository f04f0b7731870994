"""The Explore API as the world sees it (contract: data_and_events.md section 1)."""

from functools import partial
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec

from ringfence.kernel.catalog import PUBLIC, Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, TOO_MANY
from ringfence.kernel.shapes import File, Page, See, Shape
from ringfence.reports import jobs
from ringfence.reports.catalogue import EXPLORE, UNKNOWN_REPORT, report_of
from ringfence.reports.spans import span
from ringfence.store.blobs import BAD_SIGNATURE, SignedQuery
from ringfence.store.query import Row

READ = Scope("data-reports:read", "Read historical reports")
WRITE = Scope("data-reports:write", "Have historical reports written, and delete them")
Status = Literal["created", "processing", "uploading", "done", "failed", "canceled", "deleted"]
Moment = Annotated[str, msgspec.Meta(max_length=40, examples=["2026-01-05T09:00:00Z"])]


class Timespan(Shape):
    """From a moment on (inclusive), and before another (exclusive): at most 31 days.

    With `Z` or an offset, or without either in the time zone of the report.
    """

    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")


class NewReport(Shape):
    """What to write. `timezone` is that of the timespan and of times in the report."""

    timespan: Timespan
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    timezone: Annotated[str, msgspec.Meta(max_length=64, examples=["Europe/Lisbon"])] = "UTC"
    format: Literal["csv", "json", "json_bulk"] = "json"
    example: ClassVar = {
        "name": "Calls of a day",
        "timezone": "UTC",
        "format": "csv",
        "timespan": {"from": "2026-01-05T00:00:00Z", "to": "2026-01-06T00:00:00Z"},
    }


class ReportJob(Shape):
    """A job that writes a report. `created_at` and `timespan` are in UTC, to the second."""

    id: str
    name: str
    created_at: str
    status: Status
    type: str
    format: Literal["csv", "json", "json_bulk"]
    timezone: str
    timespan: Timespan


class OneJob(Shape):
    job: ReportJob
    links: ClassVar = {
        "self": "/data/reports/{job.type}/jobs/{job.id}",
        "files": "/data/reports/{job.type}/files/{job.id}",
    }


class ListedJob(ReportJob):
    links: ClassVar = {"self": "/data/reports/{type}/jobs/{id}", "files": "/data/reports/{type}/files/{id}"}


class JobQuery(Shape):
    """`page` from 1, `per_page` 1 to 200."""

    page: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1
    per_page: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20


Shown = TypeVar("Shown", bound=ReportJob)


def shown(row: Row, kind: type[Shown]) -> Shown:
    return kind(
        id=row["id"],
        name=row["name"],
        created_at=f"{row['created_at']:%Y-%m-%dT%H:%M:%S}",
        status=row["status"],
        type=row["type"],
        format=row["format"],
        timezone=row["timezone"],
        timespan=Timespan(start=f"{row['starts_at']:%Y-%m-%dT%H:%M:%SZ}", end=f"{row['ends_at']:%Y-%m-%dT%H:%M:%SZ}"),
    )


async def execute(ctx: Ctx, type: str, body: NewReport) -> OneJob:
    """Have a report written

    The job's status tells when its file is there. Rows belong to the timespan in which they were over.
    """
    report = report_of(EXPLORE, type)
    asked = span(body.timezone, body.timespan.start, body.timespan.end)
    row = await jobs.create(ctx, "explore", report, asked, format=body.format, name=body.name)
    return OneJob(job=shown(row, ReportJob))


async def check(ctx: Ctx, type: str, id: str) -> OneJob | See:
    """Get the job of a report

    When the report is done the answer leads on to its file.
    """
    report_of(EXPLORE, type)
    row = await jobs.get(ctx, "explore", type, id)
    one = OneJob(job=shown(row, ReportJob))
    return See(f"/data/reports/{type}/files/{id}", shape=one) if row["status"] == "done" else one


async def download(ctx: Ctx, type: str, id: str) -> OneJob | See:
    """Get the file of a report

    The answer leads on to a signed URL, which needs no token. Where the report is not done it is the job.
    """
    report_of(EXPLORE, type)
    row = await jobs.get(ctx, "explore", type, id)
    jobs.require_file(row)
    one = OneJob(job=shown(row, ReportJob))
    return See(jobs.signed_url(ctx, row), shape=one) if row["status"] == "done" else one


async def list_jobs(ctx: Ctx, type: str, query: JobQuery) -> Page[ListedJob]:
    """List the jobs of one type of report, the newest first"""
    report_of(EXPLORE, type)
    total, rows = await jobs.listed(ctx, "explore", type, query.page, query.per_page)
    return Page(
        rel="jobs",
        items=[shown(row, ListedJob) for row in rows],
        total=total,
        page=query.page,
        per_page=query.per_page,
    )


async def delete(ctx: Ctx, type: str, id: str) -> None:
    """Delete the file of a report

    That there was one can still be seen.
    """
    report_of(EXPLORE, type)
    await jobs.delete(ctx, "explore", type, id)


async def get_file(ctx: Ctx, id: str, query: SignedQuery) -> File:
    """Get a report

    At the signed URL as it was given.
    """
    row = await jobs.lent(ctx, id, account=query.account, expires=query.expires, signature=query.signature)
    kind = "ndjson" if row["format"] == "json_bulk" else row["format"]
    return File(
        media=jobs.MEDIA[row["format"]],
        length=row["bytes"],
        read=partial(ctx.house.blobs.read, row["id"]),
        etag=row["id"],
        name=f"{row['type']}-{row['starts_at']:%Y-%m-%d}.{kind}",
    )


JOBS, FILES = "/data/reports/{type}/jobs", "/data/reports/{type}/files/{id}"
UNKNOWN = (UNKNOWN_REPORT, NOT_FOUND)
API = Api(
    name="explore",
    title="Explore API",
    about="Historical reports, written by jobs into files.",
    scopes=(READ, WRITE),
    events=(jobs.REQUESTED, jobs.FINISHED, jobs.DELETED),
    jobs=(jobs.WRITE, jobs.DELETE_FILES, jobs.RETENTION),
    operations=(
        Operation("POST", JOBS, WRITE, execute, status=202, problems=(UNKNOWN_REPORT, TOO_MANY)),
        Operation("GET", JOBS, READ, list_jobs, problems=(UNKNOWN_REPORT,)),
        Operation("GET", JOBS + "/{id}", READ, check, or_status=303, problems=UNKNOWN, gives=OneJob),
        Operation("GET", FILES, READ, download, or_status=303, problems=(*UNKNOWN, jobs.NO_FILE), gives=OneJob),
        Operation("DELETE", FILES, WRITE, delete, status=204, problems=(*UNKNOWN, jobs.NO_FILE, jobs.FILE_DELETED)),
        Operation(
            "GET",
            "/data/report-files/{id}",
            PUBLIC,
            get_file,
            problems=(NOT_FOUND, BAD_SIGNATURE, jobs.NO_FILE),
            serves=",".join(jobs.MEDIA.values()),
        ),
    ),
)
