"""Finding contacts: each combination of filters is one statement, built the first time it is asked for."""

from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, bindparam, func, literal, select

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.kernel.shapes import Page, paged
from ringfence.store.columns import Json, among
from ringfence.store.query import Row, Statement, all_rows, mine
from ringfence.store.tables.contacts import (
    contact_emails,
    contact_fields,
    contact_integrations,
    contact_phones,
    contacts,
)

from .domain import key

REACHABLE = 10_000  # contacts that a search or the whole list can reach


def having(table: Table, name: str) -> Any:
    """The ids of contacts that a side table finds by one of the bound values."""
    return mine(table, table.c.contact_id).where(among(table.c.value, bindparam(name, type_=Json)))


def those(*where: Any) -> Any:
    """The ids of contacts, for use inside another select of contacts."""
    return mine(contacts, contacts.c.id).where(*where).correlate(None)


FILTERS: dict[str, Any] = {
    "ids": among(contacts.c.id, bindparam("ids", type_=Json)),
    "phones": contacts.c.id.in_(having(contact_phones, "phones")),
    "emails": contacts.c.id.in_(having(contact_emails, "emails")),
    "integration": contacts.c.id.in_(having(contact_integrations, "integration")),
    "name": contacts.c.id.in_(those(contacts.c.name_key == bindparam("name_key")))
    & (contacts.c.name == bindparam("name")),
    "name_loose": contacts.c.name_key.like(bindparam("name_loose"), escape="\\"),
    "company": (contacts.c.company_key == bindparam("company_key")) & (contacts.c.company == bindparam("company")),
    "company_loose": contacts.c.company_key.like(bindparam("company_loose"), escape="\\"),
    "live": contacts.c.deleted_at.is_(None),
}
NARROW = frozenset({"ids", "phones", "emails", "integration"})  # a handful of contacts for each value


@cache
def _listing(filters: frozenset[str]) -> tuple[Statement, Statement]:
    """A page, and how many in all, counted to one more than can be reached."""
    found = mine(contacts).where(*(FILTERS[name] for name in sorted(filters)))
    few = filters & (NARROW | {"name"})
    # the expression keeps SQLite from walking all contacts in order to save itself sorting the few that were found
    by_name = contacts.c.name_key.concat("") if few else contacts.c.name_key
    page = found.order_by(by_name, contacts.c.id).limit(bindparam("limit")).offset(bindparam("offset"))
    some = found.with_only_columns(literal(1).label("one")).limit(REACHABLE + 1).subquery()
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
    if integration is not None and not all(integration.partition(":")):
        raise wrong("integration", "must look like integration_name:external_id")
    asked: dict[str, Any] = {
        "ids": ids or None,
        "phones": phones or None,
        "emails": [email.casefold() for email in emails] or None,
        "integration": integration if integration is None else [integration],
        "name": name,
        "name_loose": name_loose if name_loose is None else _pattern(name_loose),
        "company": company,
        "company_loose": company_loose if company_loose is None else _pattern(company_loose),
    }
    used = frozenset(filter_name for filter_name, value in asked.items() if value is not None)
    listed, counted = _listing(used if include_deleted else used | {"live"})
    given = asked | {"name_key": key(name or ""), "company_key": key(company or "")}
    aside = not used & NARROW
    before = (page - 1) * per_page
    found = await read(ctx, listed, given | {"limit": per_page, "offset": before}, aside=aside)
    if len(found) < per_page and (found or page == 1):
        total = before + len(found)
    else:
        total = (await read(ctx, counted, given, aside=aside))[0]["total"]
    return Page(
        rel="contacts",
        items=found,
        total=total,
        page=page,
        per_page=per_page,
        reachable=REACHABLE // per_page * per_page,  # a page that is partly out of reach is not served
        members=("total", "count"),
        bounds=False,
    )


async def read(ctx: Ctx, statement: Statement, given: dict[str, Any], *, aside: bool) -> list[Row]:
    """`aside`: what may look at every contact of the account keeps off the event loop."""
    if aside:
        return [row async for row in ctx.db.scan(statement, account=ctx.account, **given)]
    return await all_rows(ctx, statement, **given)


FIELDS_OF = Statement(mine(contact_fields).where(contact_fields.c.contact_id == bindparam("contact")))


async def fields(ctx: Ctx, contact: str, *, page: int, per_page: int, search: str | None) -> Page[Row]:
    """The custom fields of a contact, by key; `search` matches anywhere in the key, case and accents aside."""
    wanted = key(search or "")
    found = [row for row in await all_rows(ctx, FIELDS_OF, contact=contact) if wanted in key(row["key"])]
    found.sort(key=itemgetter("key"))  # here and not there, where the order would depend on the database
    return paged("custom_fields", found, page, per_page, members=("total", "count"), bounds=False)
