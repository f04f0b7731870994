"""Long lists by where a page begins, not by how many rows to skip: every row once, however many there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Integer, Select, bindparam, tuple_

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.kernel.shapes import Cursors

from .columns import Moment
from .query import Row, Statement, all_rows


class Order(NamedTuple):
    """Columns that tell rows apart, all in one direction; the last is unique."""

    keys: tuple[Any, ...]
    descending: bool = False


class Way(NamedTuple):
    """One order's statements: from the start, skipping; past a row; the same from the other end."""

    skip: Statement
    past: Statement
    back_skip: Statement
    back_past: Statement


def ways(found: Select[Any], order: Order) -> Way:
    """To be kept: build it once for each combination of filters and order."""
    here = tuple_(*order.keys)
    there = tuple_(*(bindparam(f"key{i}", type_=key.type) for i, key in enumerate(order.keys)))

    def statements(descending: bool) -> tuple[Statement, Statement]:
        by = [key.desc() if descending else key.asc() for key in order.keys]
        page = found.order_by(*by).limit(bindparam("limit"))
        past = page.where(here < there if descending else here > there)
        return Statement(page.offset(bindparam("offset"))), Statement(past)

    forth, back = statements(order.descending), statements(not order.descending)
    return Way(forth[0], forth[1], back[0], back[1])


def _cursor(back: bool, row: Row, order: Order) -> str:
    values = msgspec.json.encode((back, *(row[key.key] for key in order.keys)))
    return values.hex()


def _read(cursor: str, order: Order) -> tuple[bool, dict[str, Any]]:
    try:
        back, *values = msgspec.json.decode(bytes.fromhex(cursor), type=tuple[Any, ...])
        if not isinstance(back, bool) or len(values) != len(order.keys):
            raise ValueError
        given = {}
        for index, (key, value) in enumerate(zip(order.keys, values, strict=True)):
            kind = datetime if isinstance(key.type, Moment) else int if isinstance(key.type, Integer) else str
            given[f"key{index}"] = checked = msgspec.convert(value, kind)
            if (isinstance(checked, int) and abs(checked) >= 2**63) or (isinstance(checked, str) and "\0" in checked):
                raise ValueError
            if isinstance(checked, datetime) and checked.tzinfo is None:
                raise ValueError
    except (ValueError, msgspec.MsgspecError, RecursionError) as why:
        raise wrong("cursor", "is not one of ours; follow the links of a page") from why
    return back, given


LAST = "last"


async def page_of(
    ctx: Ctx,
    way: Way,
    order: Order,
    *,
    page: int,
    per_page: int,
    cursor: str | None,
    total: int,
    given: dict[str, Any],
    aside: bool = False,
) -> tuple[Sequence[Row], Cursors]:
    """One page and where the ones beside it begin. Without a cursor, rows are skipped from the nearer end.

    `aside`: no index serves this, so it keeps off the event loop.
    """

    async def read(statement: Statement, **more: Any) -> list[Row]:
        if aside:
            return [row async for row in ctx.db.scan(statement, account=ctx.account, **more)]
        return await all_rows(ctx, statement, **more)

    before = (page - 1) * per_page
    more_after = more_before = False
    if cursor == LAST:
        size = total - (max(1, -(-total // per_page)) - 1) * per_page
        rows = (await read(way.back_skip, **given, limit=max(1, size), offset=0))[::-1]
        more_before = total > size
    elif cursor:
        back, keys = _read(cursor, order)
        rows = await read(way.back_past if back else way.past, **given, **keys, limit=per_page + 1)
        over = len(rows) > per_page
        rows = rows[:per_page]
        if back:
            rows.reverse()
        more_after, more_before = (back or over), (over if back else True)
    elif before > total // 2 and before < total:
        size = min(per_page, total - before)
        rows = (await read(way.back_skip, **given, limit=size, offset=total - before - size))[::-1]
        more_after, more_before = before + size < total, True
    else:
        rows = await read(way.skip, **given, limit=per_page + 1, offset=before)
        more_after, more_before = len(rows) > per_page, page > 1
        rows = rows[:per_page]
    return rows, Cursors(
        next=_cursor(False, rows[-1], order) if rows and more_after else None,
        previous=_cursor(True, rows[0], order) if rows and more_before else None,
        last=LAST,
    )
