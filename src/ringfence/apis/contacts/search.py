"""Finding contacts: each combination of filters is one statement, built the first time it is asked for."""

from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, func, literal, select

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.kernel.shapes import Page
from ringfence.store.columns import Json, among
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, mine, one

from .domain import key
from .tables import contact_emails, contact_fields, contact_integrations, contact_phones, contacts

REACHABLE = 10_000  # contacts that a search or the whole list can reach


def _has(table: Table, name: str) -> Any:
    """The contact has one of the bound values in a side table."""
    wanted = among(table.c.value, bindparam(name, type_=Json))
    return contacts.c.id.in_(select(table.c.contact_id).where(table.c.account_id == ACCOUNT, wanted))


FILTERS: dict[str, Any] = {
    "ids": among(contacts.c.id, bindparam("ids", type_=Json)),
    "name": (contacts.c.name_key == bindparam("name_key")) & (contacts.c.name == bindparam("name")),
    "name_loose": contacts.c.name_key.like(bindparam("name_loose"), escape="\\"),
    "company": (contacts.c.company_key == bindparam("company_key")) & (contacts.c.company == bindparam("company")),
    "company_loose": contacts.c.company_key.like(bindparam("company_loose"), escape="\\"),
    "integration": _has(contact_integrations, "integration"),
    "emails": _has(contact_emails, "emails"),
    "phones": _has(contact_phones, "phones"),
    "live": contacts.c.deleted_at.is_(None),
}
LOOSE = frozenset({"name_loose", "company_loose"})


@cache
def _listing(filters: frozenset[str]) -> tuple[Statement, Statement]:
    """A page, and how many in all, up to what can be reached."""
    found = mine(contacts).where(*(FILTERS[name] for name in sorted(filters)))
    page = found.order_by(contacts.c.name_key, contacts.c.id).limit(bindparam("limit")).offset(bindparam("offset"))
    some = found.with_only_columns(literal(1).label("one")).limit(REACHABLE).subquery()
    return Statement(page), Statement(select(func.count().label("total")).select_from(some))


def _pattern(text: str) -> str:
    return "%" + key(text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


async def search(
    ctx: Ctx,
    *,
    page: int,
    per_page: int,
    include_deleted: bool,
    ids: list[str],
    name: str | None,
    name_loose: str | None,
    company: str | None,
    company_loose: str | None,
    integration: str | None,
    emails: list[str],
    phones: list[str],
) -> Page[Row]:
    """By name, case and accents aside, then id. `loose` filters match anywhere in the text, the others exactly."""
    if page * per_page > REACHABLE:
        raise wrong("page", f"only the first {REACHABLE} contacts can be reached; narrow the search")
    given: dict[str, Any] = {}
    used = set() if include_deleted else {"live"}
    if integration is not None and ":" not in integration:
        raise wrong("integration", "must look like integration_name:external_id")
    plain: dict[str, Any] = {
        "ids": ids,
        "emails": [email.casefold() for email in emails],
        "phones": phones,
        "integration": [integration] if integration is not None else [],
    }
    for filter_name, values in plain.items():
        if values:
            given[filter_name] = values
            used.add(filter_name)
    for filter_name, text in (("name", name), ("company", company)):
        if text is not None:
            given |= {filter_name: text, f"{filter_name}_key": key(text)}
            used.add(filter_name)
    for filter_name, text in (("name_loose", name_loose), ("company_loose", company_loose)):
        if text is not None:
            given[filter_name] = _pattern(text)
            used.add(filter_name)
    rows, count = _listing(frozenset(used))
    limits = {"limit": per_page, "offset": (page - 1) * per_page}
    if used & LOOSE:  # may look at every contact of the account: not on the loop
        found = [row async for row in ctx.db.scan(rows, account=ctx.account, **given, **limits)]
        (counted,) = [row async for row in ctx.db.scan(count, account=ctx.account, **given)]
        total = counted["total"]
    else:
        found = await all_rows(ctx, rows, **given, **limits)
        total = (await one(ctx, count, **given))["total"]
    return Page(
        rel="contacts",
        items=found,
        total=total,
        page=page,
        per_page=per_page,
        reachable=REACHABLE,
        members=("total", "count"),
        bounds=False,
    )


@cache
def _fields(searching: bool) -> tuple[Statement, Statement]:
    found = mine(contact_fields).where(contact_fields.c.contact_id == bindparam("contact"))
    if searching:
        found = found.where(func.lower(contact_fields.c.key).like(bindparam("search"), escape="\\"))
    page = found.order_by(contact_fields.c.key).limit(bindparam("limit")).offset(bindparam("offset"))
    return Statement(page), Statement(select(func.count().label("total")).select_from(found.subquery()))


async def fields(ctx: Ctx, contact: str, *, page: int, per_page: int, search: str | None) -> Page[Row]:
    """The custom fields of a contact, by key; `search` matches anywhere in the key."""
    rows, count = _fields(search is not None)
    given: dict[str, Any] = {"contact": contact}
    if search is not None:
        escaped = search.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        given["search"] = f"%{escaped}%"
    found = await all_rows(ctx, rows, limit=per_page, offset=(page - 1) * per_page, **given)
    total = (await one(ctx, count, **given))["total"]
    return Page(
        rel="custom_fields",
        items=found,
        total=total,
        page=page,
        per_page=per_page,
        members=("total", "count"),
        bounds=False,
    )
