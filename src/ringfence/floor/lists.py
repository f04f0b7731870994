"""What do-not-call lists and record lists have in common: making, finding and deleting them."""

from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy import bindparam, update

from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, wrong
from ringfence.kernel.shapes import Page, PageQuery, Shape, paged
from ringfence.store.columns import Moment, Uuid
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, mine, one
from ringfence.store.tables.lists import lists

from . import uploads
from .uploads import CsvMetadata, Status

ListName = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=120)]
Few = Annotated[list[Annotated[str, msgspec.Meta(max_length=100)]], msgspec.Meta(max_length=200)]
Label = Annotated[str, msgspec.Meta(max_length=100)]
ORDERS = ("created_at", "updated_at", "name")
BULK = 100  # of what one request may name


class ListQuery(PageQuery):
    """`name` matches anywhere, case aside. Times come in pairs. `order_by`: created_at, updated_at or name, `:desc`."""

    name: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    status: Status | None = None
    team_id: Label | None = None
    team_ids: Few = []
    campaign_ids: Few = []
    fields: list[Literal["TEAMS"]] = []
    include_none_team: bool = False
    created_at_from: datetime | None = None
    created_at_to: datetime | None = None
    updated_at_from: datetime | None = None
    updated_at_to: datetime | None = None
    order_by: Annotated[str, msgspec.Meta(max_length=40)] = "created_at:asc"


class OneQuery(Shape):
    """`fields=TEAMS` shows the teams of the list."""

    fields: list[Literal["TEAMS"]] = []


class Team(Shape):
    id: str
    name: str


class Campaign(Shape):
    id: str
    campaign_name: str


class Campaigns(Shape):
    campaigns: list[Campaign]


class CampaignPage(Shape):
    """The campaigns that use a list, as a page of its own."""

    total: int
    count: int
    page: int
    per_page: int
    total_pages: int
    embedded: Campaigns = msgspec.field(name="_embedded")


class RowError(Shape):
    """Why a row of a file was not taken; the header is row 1."""

    row: int
    code: str
    description: str


class Validation(Shape):
    """How the validation of a file went: rows, those taken and refused, and why, for the first of them."""

    rows: int
    accepted: int
    rejected: int
    reason: str
    errors: list[RowError]


class ListFacts(Shape):
    list_id: str
    name: str


ALL = Statement(mine(lists).where(lists.c.kind == bindparam("kind"), lists.c.deleted_at.is_(None)))
BY_ID = Statement(
    mine(lists).where(
        lists.c.id == bindparam("list", type_=Uuid),
        lists.c.kind == bindparam("kind"),
        lists.c.deleted_at.is_(None),
    )
)
ADD = adding(lists)
DELETE = Statement(
    update(lists)
    .where(lists.c.account_id == ACCOUNT, lists.c.id == bindparam("list", type_=Uuid))
    .values(deleted_at=bindparam("at", type_=Moment))
)


async def all_of(ctx: Ctx, kind: str) -> list[Row]:
    return await all_rows(ctx, ALL, kind=kind)


async def get(ctx: Ctx, kind: str, list_id: str) -> Row:
    return await one(ctx, BY_ID, list=list_id, kind=kind)


async def create(
    ctx: Ctx,
    *,
    kind: str,
    name: str,
    most: int,
    rule: str,
    job: str,
    csv: CsvMetadata | None,
    waits: bool,
    created: EventType,
    teams: list[dict[str, str]] | None = None,
    campaigns: list[dict[str, str]] | None = None,
) -> Row:
    """Make a list; with a file announced it waits for that, and has a `signed_url`. 400 over the account's limit."""
    if len(await all_of(ctx, kind)) >= most:
        raise wrong("name", f"the account has {most} of these lists, which is the limit; delete one first")
    now, id = ctx.now(), ctx.new_uuid()
    upload = await uploads.announce(ctx, list_id=id, job=job, csv=csv, waits=waits) if csv else None
    row: Row = {
        "id": id,
        "account_id": ctx.account,
        "kind": kind,
        "name": name,
        "unique_identifier_type": rule,
        "status": "INCOMPLETE" if upload else "ACCEPTED",
        "count": 0,
        "upload_id": upload["id"] if upload else None,
        "teams": teams or [],
        "campaigns": campaigns or [],
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
    }
    await ctx.db.run(ADD, **row)
    await emit(ctx, created, id, ListFacts(list_id=id, name=name))
    return row | {"signed_url": upload["signed_url"] if upload else None}


async def mark_deleted(ctx: Ctx, list_id: str) -> None:
    await change(ctx, DELETE, list=list_id, at=ctx.now())


async def search(ctx: Ctx, kind: str, query: ListQuery, rel: str) -> Page[Row]:
    """An account has a few hundred lists at most: they are all read, then narrowed here."""
    created = span(query.created_at_from, query.created_at_to, "created_at")
    updated = span(query.updated_at_from, query.updated_at_to, "updated_at")
    by, descending = order(query.order_by, ORDERS)
    teams = {*query.team_ids, *([query.team_id] if query.team_id else [])}
    found = [
        row
        for row in await all_of(ctx, kind)
        if (query.name is None or query.name.casefold() in row["name"].casefold())
        and (query.status is None or row["status"] == query.status)
        and _in_teams(row, teams, query.include_none_team)
        and (not query.campaign_ids or {c["id"] for c in row["campaigns"]} & set(query.campaign_ids))
        and (created is None or created[0] <= row["created_at"] < created[1])
        and (updated is None or updated[0] <= row["updated_at"] < updated[1])
    ]
    found.sort(key=itemgetter(by, "id"), reverse=descending)
    return paged(rel, found, query.page, query.per_page)


def _in_teams(row: Row, teams: set[str], none_too: bool) -> bool:
    if not teams:
        return True
    return bool({team["id"] for team in row["teams"]} & teams) or (none_too and not row["teams"])


def span(start: datetime | None, end: datetime | None, name: str) -> tuple[datetime, datetime] | None:
    """A pair of bounds, from the one up to the other; both or neither must be given, with their time zones."""
    if start is None and end is None:
        return None
    for bound, which in ((start, f"{name}_from"), (end, f"{name}_to")):
        if bound is None:
            raise wrong(which, "must be given too: the two come together")
        if bound.tzinfo is None:
            raise wrong(which, "must say its time zone, as in 2026-01-05T09:00:00Z")
    assert start is not None  # noqa: S101 - for the type checker
    assert end is not None  # noqa: S101
    if start >= end:
        raise wrong(f"{name}_to", f"must be after {name}_from")
    return start, end


def order(text: str, known: tuple[str, ...]) -> tuple[str, bool]:
    """`field`, `field:asc` or `field:desc` as the field and whether it descends."""
    name, _, direction = text.partition(":")
    if name not in known or direction not in ("", "asc", "desc"):
        raise wrong("order_by", f"must be one of {', '.join(known)}, with :asc or :desc")
    return name, direction == "desc"


def campaign_page(row: Row) -> CampaignPage:
    count = len(row["campaigns"])
    used = [Campaign(id=one["id"], campaign_name=one["campaign_name"]) for one in row["campaigns"]]
    embedded = Campaigns(campaigns=used)
    return CampaignPage(total=count, count=count, page=1, per_page=max(50, count), total_pages=1, embedded=embedded)


def teams_of(row: Row, fields: list[Literal["TEAMS"]]) -> list[Team] | msgspec.UnsetType:
    return [Team(id=t["id"], name=t["name"]) for t in row["teams"]] if "TEAMS" in fields else msgspec.UNSET


async def validation_of(ctx: Ctx, row: Row) -> Validation | msgspec.UnsetType:
    """How the file that a list was made with fared; unset where there was none."""
    if row["upload_id"] is None:
        return msgspec.UNSET
    return validation(await uploads.get(ctx, row["upload_id"]))


def validation(upload: Row) -> Validation:
    errors = [RowError(row=e["row"], code=e["code"], description=e["description"]) for e in upload["errors"]]
    counts: dict[str, Any] = {name: upload[name] for name in ("rows", "accepted", "rejected")}
    return Validation(**counts, reason=upload["reason"], errors=errors)


def same_query_number(text: str) -> str:
    """A `+` that was not percent-encoded in a query arrives as a space."""
    return f"+{text[1:]}" if text.startswith(" ") else text


def few(items: list[Any]) -> None:
    """A bulk request names one to a hundred."""
    if not 1 <= len(items) <= BULK:
        raise wrong("body", f"must hold 1 to {BULK} items")


def full(most: int) -> Fault:
    return wrong("body", f"the list would hold more than {most}, which is the limit")
