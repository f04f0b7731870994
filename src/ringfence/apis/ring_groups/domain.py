"""Finding ring groups and who belongs to them."""

from functools import cache

from sqlalchemy import bindparam, func, select

from ringfence.floor import lists
from ringfence.floor.directory import ALL_RING_GROUPS
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Page, paged
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, mine, one
from ringfence.store.tables.identity import ring_group_users, ring_groups, users

MEMBERS = ("total", "count", "page", "per_page")
BY_NAME = Statement(mine(ring_groups).where(ring_groups.c.name == bindparam("name")))


async def search(ctx: Ctx, *, name: str | None, order_by: str, page: int, per_page: int) -> Page[Row]:
    """By name; `name` matches anywhere in it, case aside."""
    _, descending = lists.order(order_by, ("name",))
    wanted = (name or "").casefold()
    found = [row for row in await all_rows(ctx, ALL_RING_GROUPS) if wanted in row["name"].casefold()]
    found.sort(key=lambda row: (row["name"].casefold(), row["name"]), reverse=descending)
    return paged("ring_groups", found, page, per_page, members=MEMBERS, previous="previous", bounds=False)


@cache
def _members(*, by_activity: bool) -> tuple[Statement, Statement]:
    found = mine(users, users.c.id).join(
        ring_group_users,
        (ring_group_users.c.account_id == ACCOUNT)
        & (ring_group_users.c.ring_group == bindparam("ring_group"))
        & (ring_group_users.c.user_id == users.c.id),
    )
    if by_activity:
        found = found.where(users.c.active == bindparam("active"))
    page = found.order_by(users.c.id).limit(bindparam("limit")).offset(bindparam("offset"))
    return Statement(page), Statement(select(func.count().label("total")).select_from(found.subquery()))


async def members(ctx: Ctx, ring_group: str, *, active: bool | None, page: int, per_page: int) -> Page[Row]:
    """The people of a ring group, by id; inactive ones too unless `active` says otherwise."""
    held = await one(ctx, BY_NAME, name=ring_group)
    rows, count = _members(by_activity=active is not None)
    given = {"ring_group": held["name"]} | ({} if active is None else {"active": active})
    total = (await one(ctx, count, **given))["total"]
    found = await all_rows(ctx, rows, limit=per_page, offset=(page - 1) * per_page, **given)
    return Page(
        rel="users",
        items=found,
        total=total,
        page=page,
        per_page=per_page,
        members=MEMBERS,
        also={"ring_group": held["name"]},
        previous="previous",
        bounds=False,
    )
