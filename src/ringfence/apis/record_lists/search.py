"""Finding records: each combination of filters and order is one statement, built the first time it is asked for."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import String

from ringfence.floor import lists, numbers
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.kernel.shapes import Page, paged
from ringfence.store.columns import Json, Moment, Uuid, among
from ringfence.store.paging import Order, Way, page_of, ways
from ringfence.store.query import Row, Statement, mine

from . import domain
from .domain import HERE
from .tables import record_phones, records

MEMBERS = 5  # of extra data that one search may ask for
ORDERS = {
    "created_at": (records.c.id,),  # ids are in time
    "updated_at": (records.c.updated_at, records.c.id),
    "priority": (records.c.priority, records.c.id),
}
SEARCHED = {
    "first_name": records.c.first_name,
    "last_name": records.c.last_name,
    "external_id": records.c.external_id,
    "external_provider": records.c.external_provider,
    "phone_number": records.c.phone_numbers,
}


class member(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """A member of a document, as text."""

    inherit_cache = True
    type = String()

    def __init__(self, column: ColumnElement[Any], key: ColumnElement[Any]) -> None:
        self.column, self.key_ = column, key

    def get_children(self, **_: Any) -> Any:
        return (self.column, self.key_)


@compiles(member, "sqlite")
def _member_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    column, key = compiler.process(element.column, **kw), compiler.process(element.key_, **kw)
    return f"(SELECT CAST(value AS TEXT) FROM json_each({column}) WHERE json_each.key = {key})"  # noqa: S608


@compiles(member, "postgresql")
def _member_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(element.column, **kw)} ->> CAST({compiler.process(element.key_, **kw)} AS TEXT))"


class as_text(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """A document as the text that it is kept as."""

    inherit_cache = True
    type = String()

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column

    def get_children(self, **_: Any) -> Any:
        return (self.column,)


@compiles(as_text)
def _as_text(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.column, **kw)} AS TEXT)"


PHONE = (
    mine(record_phones, record_phones.c.record_id)
    .where(domain.PHONE_HERE, record_phones.c.number == bindparam("number"))
    .correlate(None)
)
FILTERS: dict[str, Any] = {
    "number": records.c.id.in_(PHONE),
    "upload": records.c.upload_id == bindparam("upload", type_=Uuid),
    "priorities": among(records.c.priority, bindparam("priorities", type_=Json)),
    "timezones": among(records.c.timezone, bindparam("timezones", type_=Json)),
    "since": records.c.updated_at >= bindparam("since", type_=Moment),
    "until": records.c.updated_at < bindparam("until", type_=Moment),
}


def _searching(fields: tuple[str, ...]) -> Any:
    found = [SEARCHED[name] for name in fields]
    text = [as_text(column) if isinstance(column.type, Json) else column for column in found]
    wanted: Any = None
    for column in text:
        one = func.lower(column).like(bindparam("search"), escape="\\")
        wanted = one if wanted is None else wanted | one
    return wanted


@cache
def _listing(
    filters: frozenset[str], fields: tuple[str, ...], extras: int, by: str, *, descending: bool
) -> tuple[Way, Order, Statement]:
    found = mine(records).where(HERE, *(FILTERS[name] for name in sorted(filters)))
    if fields:
        found = found.where(_searching(fields))
    for index in range(extras):
        found = found.where(member(records.c.extra_data, bindparam(f"name{index}")) == bindparam(f"value{index}"))
    order = Order(ORDERS[by], descending)
    count = select(func.count().label("total")).select_from(found.with_only_columns(records.c.id).subquery())
    return ways(found, order), order, Statement(count)


async def search(
    ctx: Ctx,
    list_id: str,
    *,
    page: int,
    per_page: int,
    cursor: str | None,
    order_by: str,
    phone_number: str | None,
    upload_request_id: str | None,
    text: str | None,
    search_fields: list[str],
    priorities: list[int],
    timezones: list[str],
    updated_at_from: datetime | None,
    updated_at_to: datetime | None,
    extra_data_filter: list[str],
) -> Page[Row]:
    """Records in the order asked for. Unfiltered, the total is kept with the list and nothing is counted."""
    held = await domain.get(ctx, list_id)
    by, descending = lists.order(order_by, tuple(ORDERS))
    updated = lists.span(updated_at_from, updated_at_to, "updated_at")
    number = None
    if phone_number is not None and (number := numbers.digits(lists.same_query_number(phone_number))) is None:
        raise wrong("phone_number", numbers.MALFORMED)
    given: dict[str, Any] = {
        "number": number,
        "upload": upload_request_id,
        "priorities": priorities or None,
        "timezones": timezones or None,
        "since": updated[0] if updated else None,
        "until": updated[1] if updated else None,
    }
    used = frozenset(name for name, value in given.items() if value is not None)
    given = {name: given[name] for name in used} | _members(extra_data_filter)
    fields = _fields(search_fields) if text else ()
    if text:
        escaped = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        given["search"] = f"%{escaped}%"
    way, order, count = _listing(used, fields, len(extra_data_filter), by, descending=descending)
    given["list"] = list_id
    total = held["count"]
    if used or fields or extra_data_filter:
        async for row in ctx.db.scan(count, account=ctx.account, **given):
            total = row["total"]
    place: dict[str, Any] = {"page": page, "per_page": per_page, "cursor": cursor}
    indexed = by != "updated_at" and used <= {"number"} and not fields and not extra_data_filter
    rows, cursors = await page_of(ctx, way, order, **place, total=total, given=given, aside=not indexed)
    return Page(
        rel="records",
        items=list(rows),
        total=total,
        page=page,
        per_page=per_page,
        cursors=cursors,
        members=("count", "page", "per_page", "total_pages"),
        counts_all=True,
    )


def _fields(asked: list[str]) -> tuple[str, ...]:
    for name in asked:
        if name not in SEARCHED:
            raise wrong("search_fields", f"must be among {', '.join(SEARCHED)}")
    return tuple(sorted(set(asked or SEARCHED)))


def _members(asked: list[str]) -> dict[str, Any]:
    if len(asked) > MEMBERS:
        raise wrong("extra_data_filter", f"may be given {MEMBERS} times")
    found: dict[str, Any] = {}
    for index, one in enumerate(asked):
        name, mark, value = one.partition(":")
        if not mark or not name:
            raise wrong("extra_data_filter", "must look like key:value")
        found |= {f"name{index}": name, f"value{index}": value}
    return found


ZONES = Statement(
    mine(records, records.c.timezone).where(HERE, records.c.timezone.is_not(None)).distinct().order_by("timezone")
)


async def timezones_of(ctx: Ctx, list_id: str, *, text: str | None, page: int, per_page: int) -> Page[str]:
    """The time zones of a list's records, by name; `text` matches anywhere in them."""
    await domain.get(ctx, list_id)
    rows = [row["timezone"] async for row in ctx.db.scan(ZONES, account=ctx.account, list=list_id)]
    found = sorted(zone for zone in rows if (text or "").casefold() in zone.casefold())
    return paged("timezones", found, page, per_page)
