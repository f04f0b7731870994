"""Lists of numbers not to call: their entries, and until when they hold."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ringfence.floor import imports, lists, numbers
from ringfence.floor.imports import Bad, Validated
from ringfence.floor.lists import ListFacts
from ringfence.floor.uploads import CsvMetadata
from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, FieldError, Problem, wrong
from ringfence.kernel.shapes import Page, Shape, paged
from ringfence.store.columns import Json, Moment, Uuid, among
from ringfence.store.outbox import emit
from ringfence.store.paging import Order, Way, page_of, ways
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.identity import accounts
from ringfence.store.tables.lists import do_not_call_entries as entries
from ringfence.store.work import enqueue, step

KIND = "do_not_call"
VALIDATION = "do_not_call_lists.validate"  # the job that takes a file in
UNPROCESSABLE = Problem("unprocessable_patch", 422, "The change cannot be applied to this resource.")
DUPLICATE = Bad("PHONE_NUMBER_NOT_UNIQUE", "the list holds this number already")
DROPPED = 1000  # entries of a deleted list that go in one transaction


class EntryFacts(Shape):
    """Which entries of a list were concerned."""

    list_id: str
    ids: list[str]


LIST_CREATED = EventType(
    "do_not_call_list.created", ListFacts, "A do-not-call list was made", "do-not-call-lists:manage"
)
LIST_DELETED = EventType(
    "do_not_call_list.deleted", ListFacts, "A do-not-call list was deleted", "do-not-call-lists:manage"
)
LIST_VALIDATED = EventType(
    "do_not_call_list.validated", Validated, "The file of a do-not-call list was validated", "do-not-call-lists:manage"
)
ENTRIES_ADDED = EventType(
    "do_not_call_list.entries_added", EntryFacts, "Numbers were added to a do-not-call list", "do-not-call-lists:manage"
)
ENTRIES_CHANGED = EventType(
    "do_not_call_list.entries_changed", EntryFacts, "Entries were changed", "do-not-call-lists:manage"
)
ENTRIES_REMOVED = EventType(
    "do_not_call_list.entries_removed", EntryFacts, "Numbers were removed from a list", "do-not-call-lists:manage"
)

HERE = entries.c.list_id == bindparam("list", type_=Uuid)
THIS = entries.c.id == bindparam("entry", type_=Uuid)
ADD = adding(entries)
BY_ID = Statement(mine(entries).where(HERE, THIS))
HELD = Statement(mine(entries).where(HERE, THIS).with_for_update())
BY_NUMBER = Statement(mine(entries).where(HERE, entries.c.number == bindparam("number")))
BY_NUMBERS = Statement(mine(entries).where(HERE, among(entries.c.number, bindparam("numbers", type_=Json))))
SET = Statement(
    update(entries)
    .where(entries.c.account_id == ACCOUNT, HERE, THIS)
    .values(expiration_date=bindparam("until"), reason=bindparam("why"), updated_at=bindparam("at", type_=Moment))
)
DROP = Statement(delete(entries).where(entries.c.account_id == ACCOUNT, HERE, THIS))
SOME = Statement(mine(entries, entries.c.id).where(HERE).limit(DROPPED))
ZONE = Statement(select(accounts.c.timezone).where(accounts.c.id == ACCOUNT))
ORDERS = {"created_at": (entries.c.id,), "updated_at": (entries.c.updated_at, entries.c.id)}  # ids are in time


@cache
def _ways(by: str, *, descending: bool) -> tuple[Way, Order]:
    order = Order(ORDERS[by], descending)
    return ways(mine(entries).where(HERE), order), order


async def create(ctx: Ctx, *, name: str, csv: CsvMetadata | None, **facts: Any) -> Row:
    return await lists.create(
        ctx,
        kind=KIND,
        name=name,
        most=ctx.settings.do_not_call_lists,
        rule="PHONE_NUMBER",
        job=VALIDATION,
        csv=csv,
        waits=False,
        created=LIST_CREATED,
        **facts,
    )


async def get(ctx: Ctx, list_id: str) -> Row:
    return await lists.get(ctx, KIND, list_id)


async def _day(ctx: Ctx, number: int) -> date:
    """Today, where the number is at home; where that is not known, where the account is."""
    zone = numbers.zone_of(number)
    if zone is None:
        zone = (await one(ctx, ZONE))["timezone"]
    return numbers.today(ctx.now(), zone)


def listed_until(text: object) -> str | None:
    """A date as it is kept, or a ValueError that says what is wrong with it."""
    if text is None:
        return None
    if not isinstance(text, str) or len(text) != 10:
        raise ValueError("must be a date, as in 2026-12-31")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("must be a date, as in 2026-12-31") from None


async def _checked_date(ctx: Ctx, number: int, text: object) -> str | None:
    until = listed_until(text)
    if until is not None and until < (await _day(ctx, number)).isoformat():
        raise ValueError("is in the past where the number is at home")
    return until


async def holds(ctx: Ctx, list_id: str, number: int) -> bool:
    """Whether a list has an entry for a number, in force or not."""
    return await find(ctx, BY_NUMBER, list=list_id, number=number) is not None


async def add_entry(
    ctx: Ctx, list_id: str, *, phone_number: str, expiration_date: str | None, reason: str | None
) -> Row:
    """Add a number to a list; 400 where it is there already."""
    held = await one(ctx, imports.HELD_LIST, list=(await get(ctx, list_id))["id"])
    number = numbers.digits(phone_number)
    if number is None:
        raise wrong("phone_number", numbers.MALFORMED)
    if held["count"] >= ctx.settings.list_entries:
        raise lists.full(ctx.settings.list_entries)
    if await find(ctx, BY_NUMBER, list=list_id, number=number):
        raise wrong("phone_number", DUPLICATE.description)
    try:
        until = await _checked_date(ctx, number, expiration_date)
    except ValueError as why:
        raise wrong("expiration_date", str(why)) from why
    now = ctx.now()
    row: Row = {
        "list_id": held["id"],
        "id": ctx.new_uuid(),
        "account_id": ctx.account,
        "number": number,
        "expiration_date": until,
        "reason": reason,
        "created_at": now,
        "updated_at": now,
    }
    await ctx.db.run(ADD, **row)
    await imports.grow(ctx, held["id"], 1)
    await emit(ctx, ENTRIES_ADDED, held["id"], EntryFacts(list_id=held["id"], ids=[row["id"]]))
    return row


async def get_entry(ctx: Ctx, list_id: str, entry: str) -> Row:
    await get(ctx, list_id)
    return await one(ctx, BY_ID, list=list_id, entry=entry)


async def search(
    ctx: Ctx, list_id: str, *, phone_number: str | None, order_by: str, page: int, per_page: int, cursor: str | None
) -> Page[Row]:
    """Entries in order of time; one number is one look-up, however long the list."""
    held = await get(ctx, list_id)
    by, descending = lists.order(order_by, tuple(ORDERS))
    if phone_number is not None:
        number = numbers.digits(lists.same_query_number(phone_number))
        if number is None:
            raise wrong("phone_number", numbers.MALFORMED)
        found = await all_rows(ctx, BY_NUMBER, list=list_id, number=number)
        shown = found if page == 1 else []
        return Page(rel="entries", items=shown, total=len(found), page=page, per_page=per_page)
    way, order = _ways(by, descending=descending)
    place: dict[str, Any] = {"page": page, "per_page": per_page, "cursor": cursor}
    rows, cursors = await page_of(ctx, way, order, **place, total=held["count"], given={"list": list_id})
    return Page(rel="entries", items=list(rows), total=held["count"], page=page, per_page=per_page, cursors=cursors)


async def in_force(ctx: Ctx, list_id: str, asked: list[tuple[str, str]], *, page: int, per_page: int) -> Page[Row]:
    """Which of some numbers, each with its time zone, the list holds today."""
    await get(ctx, list_id)
    zones: dict[int, str] = {}
    for index, (phone_number, zone) in enumerate(asked):
        number = numbers.digits(phone_number)
        if number is None:
            raise wrong(f"phone_numbers[{index}].phone_number", numbers.MALFORMED)
        if zone not in numbers.zones():
            raise wrong(f"phone_numbers[{index}].timezone", "must be a time zone, as in Europe/Lisbon")
        zones[number] = zone
    rows = await all_rows(ctx, BY_NUMBERS, list=list_id, numbers=list(zones))
    found = [
        row
        for row in sorted(rows, key=lambda row: str(row["id"]))
        if row["expiration_date"] is None
        or row["expiration_date"] >= numbers.today(ctx.now(), zones[row["number"]]).isoformat()
    ]
    return paged("entries", found, page, per_page)


async def change_entry(ctx: Ctx, list_id: str, entry: str, steps: Sequence[tuple[str, str, object]]) -> Row:
    """Apply JSON Patch steps to one entry: `/expiration_date` and `/reason`, anything else is a 422."""
    await get(ctx, list_id)
    row = await one(ctx, HELD, list=list_id, entry=entry)
    after = dict(row)
    for index, (op, path, value) in enumerate(steps):
        after |= await _changed(ctx, row, op, path, value, f"[{index}]")
    await _save(ctx, list_id, [after])
    return after


def _unprocessable(where: str, why: str) -> Fault:
    return Fault(UNPROCESSABLE, f"{where}: {why}.", fields=(FieldError(where, why),))


async def _changed(ctx: Ctx, row: Row, op: str, path: str, value: object, where: str) -> dict[str, Any]:
    if path not in ("/expiration_date", "/reason") or op not in ("add", "replace", "remove"):
        raise _unprocessable(where, "only add, replace and remove of /expiration_date and /reason are possible")
    value = None if op == "remove" else value
    if path == "/reason":
        if value is not None and (not isinstance(value, str) or len(value) > 255):
            raise _unprocessable(f"{where}.value", "reason must be a text of at most 255 characters")
        return {"reason": value}
    try:
        return {"expiration_date": await _checked_date(ctx, row["number"], value)}
    except ValueError as why:
        raise _unprocessable(f"{where}.value", f"expiration_date {why}") from why


async def _save(ctx: Ctx, list_id: str, changed: list[Row]) -> None:
    now = ctx.now()
    for row in changed:
        row["updated_at"] = now
        facts = {"until": row["expiration_date"], "why": row["reason"], "at": now}
        await change(ctx, SET, list=list_id, entry=row["id"], **facts)
    if changed:
        ids = [row["id"] for row in changed]
        await emit(ctx, ENTRIES_CHANGED, list_id, EntryFacts(list_id=list_id, ids=ids))


async def change_entries(
    ctx: Ctx, list_id: str, steps: Sequence[tuple[str, str, object]]
) -> list[tuple[Row | None, str, list[str], dict[str, Any] | None]]:
    """Apply `/{entry_id}/expiration_date` steps, each by itself: (entry, its id, errors, the step if not allowed)."""
    await get(ctx, list_id)
    found: list[tuple[Row | None, str, list[str], dict[str, Any] | None]] = []
    changed: dict[str, Row] = {}
    for op, path, value in steps:
        id, _, rest = path.removeprefix("/").partition("/")
        row = changed.get(id) or await find(ctx, HELD, list=list_id, entry=id)
        if row is None:
            found.append((None, id, ["ENTRY_NOT_FOUND"], None))
            continue
        if rest != "expiration_date" or op not in ("add", "replace", "remove"):
            found.append((row, id, [], {"op": op, "path": path, "value": value}))
            continue
        try:
            until = await _checked_date(ctx, row["number"], None if op == "remove" else value)
        except ValueError:
            found.append((row, id, ["EXPIRATION_DATE_INVALID"], None))
            continue
        changed[id] = row | {"expiration_date": until}
        found.append((changed[id], id, [], None))
    await _save(ctx, list_id, list(changed.values()))
    return [(changed.get(id, row), id, errors, refused) for row, id, errors, refused in found]


async def remove_entries(ctx: Ctx, list_id: str, ids: list[str]) -> list[str]:
    """Remove entries; the ids that are not there come back."""
    held = await one(ctx, imports.HELD_LIST, list=(await get(ctx, list_id))["id"])
    gone = [id for id in dict.fromkeys(ids) if await change(ctx, DROP, list=list_id, entry=id)]
    if gone:
        await imports.grow(ctx, held["id"], -len(gone))
        await emit(ctx, ENTRIES_REMOVED, held["id"], EntryFacts(list_id=held["id"], ids=gone))
    return [id for id in dict.fromkeys(ids) if id not in set(gone)]


async def delete_list(ctx: Ctx, list_id: str) -> Row:
    """Delete a list: it is gone at once, its entries soon after."""
    row = await get(ctx, list_id)
    await lists.mark_deleted(ctx, list_id)
    await emit(ctx, LIST_DELETED, row["id"], ListFacts(list_id=row["id"], name=row["name"]))
    await enqueue(ctx, CLEAR, ListFacts(list_id=row["id"], name=row["name"]))
    return row


async def clear(ctx: Ctx, args: ListFacts) -> None:
    more = True
    while more:
        async with step(ctx) as now:
            found = await all_rows(now, SOME, list=args.list_id)
            rows = [{"account": ctx.account, "list": args.list_id, "entry": row["id"]} for row in found]
            await now.db.many(DROP, rows)
        more = len(found) == DROPPED


CLEAR = Job("do_not_call_lists.clear", ListFacts, clear, long=True)
EVENTS = (LIST_CREATED, LIST_DELETED, LIST_VALIDATED, ENTRIES_ADDED, ENTRIES_CHANGED, ENTRIES_REMOVED)
