"""Finding wallets and buckets. They are declared (`ringfence apply`) and drawn from by metering."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Double, Float, bindparam, cast, func, type_coerce

from ringfence.kernel.ctx import Ctx
from ringfence.store.columns import Moment
from ringfence.store.filters import condition, order
from ringfence.store.query import Row, Statement, all_rows, mine, one
from ringfence.store.tables.metering import buckets, wallets

BALANCE = wallets.c.declared + wallets.c.added - wallets.c.spent
FIELDS: dict[str, Any] = {
    "name": wallets.c.name,
    "product_name": wallets.c.product_name,
    "balance": type_coerce(cast(BALANCE, Double) / 1_000_000.0, Float),  # the nearest number, as a literal is
    "created_at": wallets.c.created_at,
    "updated_at": wallets.c.updated_at,
}
WALLET = Statement(mine(wallets).where(wallets.c.name == bindparam("wallet")))
ALL = mine(buckets)
ACTIVE = ALL.where(
    buckets.c.effective_start <= bindparam("now", type_=Moment),
    buckets.c.effective_end > bindparam("now", type_=Moment),
)


def _paged(found: Any, *by: Any) -> tuple[Statement, Statement]:
    """A page of rows, and how many there are in all."""
    return (
        Statement(found.order_by(*by).limit(bindparam("limit")).offset(bindparam("skip"))),
        Statement(found.with_only_columns(func.count().label("count")).order_by(None)),
    )


BUCKETS = {
    "ALL": _paged(ALL, buckets.c.charge_number),
    "ACTIVE": _paged(ACTIVE, buckets.c.charge_number),
}


async def wallets_of(
    ctx: Ctx, *, filter: str | None, order_by: str | None, page: int, per_page: int
) -> tuple[int, list[Row]]:
    """How many wallets fit, and a page of them: by name, where nothing else is asked for."""
    found = mine(wallets)
    if filter is not None and filter.strip():
        found = found.where(condition(filter, FIELDS))
    rows, count = _paged(found, *order(order_by or "", FIELDS), wallets.c.name)
    return await _page(ctx, rows, count, page, per_page)


async def wallet(ctx: Ctx, name: str) -> Row:
    return await one(ctx, WALLET, wallet=name)


async def buckets_of(ctx: Ctx, status: Literal["ACTIVE", "ALL"], page: int, per_page: int) -> tuple[int, list[Row]]:
    rows, count = BUCKETS[status]
    return await _page(ctx, rows, count, page, per_page, now=ctx.now())


async def _page(
    ctx: Ctx, rows: Statement, count: Statement, page: int, per_page: int, **given: Any
) -> tuple[int, list[Row]]:
    total = await one(ctx, count, **given)
    return total["count"], await all_rows(ctx, rows, limit=per_page, skip=(page - 1) * per_page, **given)


def status_of(row: Row, now: datetime) -> Literal["ACTIVE", "TERMINATED", "UPCOMING"]:
    """By the clock alone: a bucket is effective from its start up to its end, which is not in it."""
    if now < row["effective_start"]:
        return "UPCOMING"
    return "ACTIVE" if now < row["effective_end"] else "TERMINATED"
