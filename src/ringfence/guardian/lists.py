"""Lists that a caller filters and orders by the grammar of store/filters.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.store.filters import condition, order
from ringfence.store.query import Row, Statement

DEFAULT = ("Ringfence-Filter", "default")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks of a list."""

    filter: str | None = None
    order_by: str = ""
    page: int = 1
    per_page: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    rows: list[Row]
    total: int
    headers: tuple[tuple[str, str], ...] = ()


async def listed(
    ctx: Ctx,
    core: Select[Any],
    fields: Mapping[str, Any],
    wanted: Wanted,
    *,
    usual: Sequence[Any],
    filtered: bool = False,
    **given: Any,
) -> Found:
    """A page of a list. `usual` orders what the caller leaves open; `filtered`: the contract requires a filter.

    Without one it is the whole list, and a header says so; in the strict mode that is a 400. `given` are the values of
    what is bound in `core`. It is read beside the event loop: no index serves whatever is asked.
    """
    headers: tuple[tuple[str, str], ...] = ()
    if wanted.filter is None or not wanted.filter.strip():
        if filtered and ctx.settings.strict_contract:
            raise wrong("filter", "is required")
        headers = (DEFAULT,) if filtered else ()
    else:
        core = core.where(condition(wanted.filter, fields))
    by = [*order(wanted.order_by, fields), *usual]
    page = core.order_by(*by).limit(bindparam("limit")).offset(bindparam("offset"))
    count = select(func.count().label("total")).select_from(core.order_by(None).subquery())
    given |= {"account": ctx.account}
    total = 0
    async for row in ctx.db.scan(Statement(count), **given):
        total = row["total"]
    offset = (wanted.page - 1) * wanted.per_page
    rows = [row async for row in ctx.db.scan(Statement(page), **given, limit=wanted.per_page, offset=offset)]
    return Found(rows, total, headers)
