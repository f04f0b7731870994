"""Finding the people of an account."""

from functools import cache

from sqlalchemy import bindparam, func, select

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Page
from ringfence.store.query import Row, Statement, all_rows, mine, one
from ringfence.store.tables.identity import users

BY_ID = Statement(mine(users).where(users.c.id == bindparam("user")))
FILTERS = {
    "active": users.c.active == bindparam("active"),
    "email": users.c.email_key == bindparam("email"),
}


@cache
def _listing(filters: frozenset[str]) -> tuple[Statement, Statement]:
    """The statements for one combination of filters: a page, and how many in all."""
    found = mine(users).where(*(FILTERS[name] for name in sorted(filters)))
    page = found.order_by(users.c.created_at, users.c.id).limit(bindparam("limit")).offset(bindparam("offset"))
    return Statement(page), Statement(select(func.count().label("total")).select_from(found.subquery()))


async def get(ctx: Ctx, user: str) -> Row:
    return await one(ctx, BY_ID, user=user)


async def search(ctx: Ctx, *, active: bool | None, email: str | None, page: int, per_page: int) -> Page[Row]:
    """By time of creation; inactive ones too unless `active` says otherwise; e-mail exact, case aside."""
    given: dict[str, object] = {}
    if active is not None:
        given["active"] = active
    if email is not None:
        given["email"] = email.strip().casefold()
    rows, count = _listing(frozenset(given))
    total = (await one(ctx, count, **given))["total"]
    found = await all_rows(ctx, rows, limit=per_page, offset=(page - 1) * per_page, **given)
    return Page(rel="users", items=found, total=total, page=page, per_page=per_page)
