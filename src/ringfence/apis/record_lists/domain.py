"""Lists of whom to call, and their records."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select, tuple_, update

from ringfence.floor import imports, lists, uploads
from ringfence.floor.imports import Validated
from ringfence.floor.lists import ListFacts
from ringfence.floor.uploads import CsvMetadata
from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID as INVALID_REQUEST
from ringfence.kernel.problems import NOT_FOUND, Fault, FieldError, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import NIL, Json, Moment, Uuid, among
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.work import enqueue, step

from . import rules
from .rules import Fit, Wrong
from .tables import record_phones, records

KIND = "records"
VALIDATION = "record_lists.validate"  # the job that takes a file in
DROPPED = 500  # records of a deleted list that go in one transaction


class RecordFacts(Shape):
    """Which records of a list were concerned."""

    list_id: str
    ids: list[str]


LIST_CREATED = EventType("record_list.created", ListFacts, "A record list was made", "record-lists:manage")
LIST_DELETED = EventType("record_list.deleted", ListFacts, "A record list was deleted", "record-lists:manage")
LIST_VALIDATED = EventType(
    "record_list.validated", Validated, "A file of a record list was validated", "record-lists:manage"
)
RECORDS_ADDED = EventType(
    "record_list.records_added", RecordFacts, "Records were added to a list", "record-lists:manage"
)
RECORDS_CHANGED = EventType("record_list.records_changed", RecordFacts, "Records were changed", "record-lists:manage")
RECORDS_REMOVED = EventType(
    "record_list.records_removed", RecordFacts, "Records were removed from a list", "record-lists:manage"
)

HERE = records.c.list_id == bindparam("list", type_=Uuid)
THIS = records.c.id == bindparam("record", type_=Uuid)
ADD, ADD_PHONE = adding(records), adding(record_phones)
BY_ID = Statement(mine(records).where(HERE, THIS))
HELD = Statement(mine(records).where(HERE, THIS).with_for_update())
PHONE_HERE = record_phones.c.list_id == bindparam("list", type_=Uuid)
BY_PHONES = Statement(
    mine(record_phones).where(PHONE_HERE, among(record_phones.c.number, bindparam("numbers", type_=Json)))
)
BY_KEYS = Statement(
    mine(records, records.c.id, records.c.external_key).where(
        HERE, among(records.c.external_key, bindparam("keys", type_=Json))
    )
)
BY_REFERENCE = Statement(
    mine(records).where(
        HERE,
        records.c.external_id == bindparam("reference"),
        records.c.external_provider == bindparam("provider"),
    )
)
SET = Statement(
    update(records)
    .where(records.c.account_id == ACCOUNT, HERE, THIS)
    .values(
        priority=bindparam("rank"),
        extra_data=bindparam("extra", type_=Json),
        updated_at=bindparam("at", type_=Moment),
    )
)
DROP = Statement(delete(records).where(records.c.account_id == ACCOUNT, HERE, THIS))
DROP_PHONE = Statement(
    delete(record_phones).where(
        record_phones.c.account_id == ACCOUNT,
        PHONE_HERE,
        record_phones.c.number == bindparam("number"),
        record_phones.c.record_id == bindparam("record", type_=Uuid),
    )
)
DROP_PHONES = Statement(
    delete(record_phones).where(
        record_phones.c.account_id == ACCOUNT,
        PHONE_HERE,
        tuple_(record_phones.c.number, record_phones.c.apart).in_(
            select(record_phones.c.number, record_phones.c.apart)
            .where(record_phones.c.account_id == ACCOUNT, PHONE_HERE)
            .limit(DROPPED)
        ),
    )
)
DROP_RECORDS = Statement(
    delete(records).where(
        records.c.account_id == ACCOUNT,
        HERE,
        records.c.id.in_(select(records.c.id).where(records.c.account_id == ACCOUNT, HERE).limit(DROPPED)),
    )
)


async def create(ctx: Ctx, *, name: str, rule: str, csv: CsvMetadata | None, **facts: Any) -> Row:
    return await lists.create(
        ctx,
        kind=KIND,
        name=name,
        most=ctx.settings.record_lists,
        rule=rule,
        job=VALIDATION,
        csv=csv,
        waits=True,
        created=LIST_CREATED,
        **facts,
    )


async def get(ctx: Ctx, list_id: str) -> Row:
    return await lists.get(ctx, KIND, list_id)


async def hold(ctx: Ctx, list_id: str) -> Row:
    """The list, for a change of what it holds: one at a time."""
    await get(ctx, list_id)
    return await one(ctx, imports.HELD_LIST, list=list_id)


async def expect_file(ctx: Ctx, list_id: str, csv: CsvMetadata, callback: Any, *, notify: bool) -> Row:
    row = await get(ctx, list_id)
    facts: dict[str, Any] = {"callback": callback, "notify": notify, "waits": True}
    return await uploads.announce(ctx, list_id=row["id"], job=VALIDATION, csv=csv, **facts)


async def upload_of(ctx: Ctx, list_id: str, upload: str) -> Row:
    await get(ctx, list_id)
    row = await uploads.get(ctx, upload)
    if row["list_id"] != list_id.lower():
        raise Fault(NOT_FOUND)
    return row


async def add(ctx: Ctx, list_id: str, given: dict[str, Any]) -> Row:
    """Add one record; a 400 names every member that is wrong."""
    held = await hold(ctx, list_id)
    fit = rules.checked(given, held["unique_identifier_type"])
    if isinstance(fit, Fit) and await _taken(ctx, held, fit):
        fit = [Wrong(rules.DUPLICATE.code, _unique_member(held), rules.DUPLICATE.description)]
    if not isinstance(fit, Fit):
        told = "; ".join(f"{bad.member}: {bad.why}" for bad in fit)
        raise Fault(INVALID_REQUEST, told, fields=tuple(FieldError(bad.member, bad.why) for bad in fit))
    if held["count"] >= ctx.settings.list_records:
        raise lists.full(ctx.settings.list_records)
    row = await _insert(ctx, held, fit, None)
    await imports.grow(ctx, held["id"], 1)
    await emit(ctx, RECORDS_ADDED, held["id"], RecordFacts(list_id=held["id"], ids=[row["id"]]))
    return row


def _unique_member(held: Row) -> str:
    return "external_id" if held["unique_identifier_type"] == "EXTERNAL" else "phone_numbers"


async def _taken(ctx: Ctx, held: Row, fit: Fit) -> bool:
    """Whether the list's rule keeps a record out."""
    rule = held["unique_identifier_type"]
    if rule == "PHONE_NUMBER":
        return bool(await all_rows(ctx, BY_PHONES, list=held["id"], numbers=fit.numbers))
    return rule == "EXTERNAL" and bool(await all_rows(ctx, BY_KEYS, list=held["id"], keys=[fit.external_key]))


async def _insert(ctx: Ctx, held: Row, fit: Fit, upload: str | None) -> Row:
    now, id = ctx.now(), ctx.new_uuid()
    facts = fit._asdict()
    found = facts.pop("numbers")
    row: Row = facts | {
        "list_id": held["id"],
        "id": id,
        "account_id": ctx.account,
        "upload_id": upload,
        "created_at": now,
        "updated_at": now,
    }
    await ctx.db.run(ADD, **row)
    apart = NIL if held["unique_identifier_type"] == "PHONE_NUMBER" else id
    phones = [{"number": n, "apart": apart, "record_id": id, "list_id": held["id"], "account_id": ctx.account}
              for n in found]  # fmt: skip
    await ctx.db.many(ADD_PHONE, phones)
    return row


async def add_many(
    ctx: Ctx, list_id: str, given: list[Any], upload: str | None
) -> list[tuple[Row | None, dict[str, Any], list[str]]]:
    """Add records, each by itself: (what was made, what was given, the codes of what is wrong)."""
    held = await hold(ctx, list_id)
    if upload is not None:
        await upload_of(ctx, list_id, upload)
    found: list[tuple[Row | None, dict[str, Any], list[str]]] = []
    room = ctx.settings.list_records - held["count"]
    for item in given:
        document = item if isinstance(item, dict) else {}
        fit = rules.checked(document, held["unique_identifier_type"])
        if not isinstance(fit, Fit):
            found.append((None, document, list(dict.fromkeys(bad.code for bad in fit))))
        elif await _taken(ctx, held, fit):
            found.append((None, document, [rules.DUPLICATE.code]))
        elif room <= 0:
            found.append((None, document, ["OTHER"]))
        else:
            room -= 1
            found.append((await _insert(ctx, held, fit, upload), document, []))
    ids = [row["id"] for row, _, _ in found if row is not None]
    if ids:
        await imports.grow(ctx, held["id"], len(ids))
        await emit(ctx, RECORDS_ADDED, held["id"], RecordFacts(list_id=held["id"], ids=ids))
    return found


async def read(ctx: Ctx, list_id: str, record: str) -> Row:
    await get(ctx, list_id)
    return await one(ctx, BY_ID, list=list_id, record=record)


async def change_record(ctx: Ctx, list_id: str, record: str, steps: Sequence[tuple[str, str, Any]]) -> Row:
    """Apply JSON Patch steps on `/priority`, `/extra_data` and `/extra_data/<key>`."""
    await get(ctx, list_id)
    row = await one(ctx, HELD, list=list_id, record=record)
    rank, extra = row["priority"], dict(row["extra_data"])
    for index, (op, path, value) in enumerate(steps):
        rank, extra = _changed(op, path, value, rank, extra, f"[{index}]")
    return (await _save(ctx, list_id, [row | {"priority": rank, "extra_data": extra}]))[0]


def _changed(op: str, path: str, value: Any, rank: int, extra: dict[str, Any], at: str) -> tuple[int, dict[str, Any]]:
    if op not in ("add", "replace"):
        raise wrong(f"{at}.op", "must be add or replace")
    if path == "/priority":
        if type(value) is not int or not 1 <= value <= 10:
            raise wrong(f"{at}.value", "priority must be a whole number from 1 to 10")
        return value, extra
    if path == "/extra_data" and isinstance(value, dict):
        extra = value
    elif path.startswith("/extra_data/") and "/" not in path[12:] and path[12:]:
        extra = extra | {path[12:].replace("~1", "/").replace("~0", "~"): value}
    else:
        raise wrong(f"{at}.path", "only /priority, /extra_data and /extra_data/<key> can be changed")
    if len(msgspec.json.encode(extra)) > rules.EXTRA:
        raise wrong(f"{at}.value", f"extra_data may have {rules.EXTRA} bytes")
    return rank, extra


async def _save(ctx: Ctx, list_id: str, changed: list[Row]) -> list[Row]:
    now = ctx.now()
    for row in changed:
        row["updated_at"] = now
        facts = {"rank": row["priority"], "extra": row["extra_data"], "at": now}
        await change(ctx, SET, list=list_id, record=row["id"], **facts)
    ids = [row["id"] for row in changed]
    if ids:
        await emit(ctx, RECORDS_CHANGED, list_id, RecordFacts(list_id=list_id, ids=ids))
    return changed


async def change_many(
    ctx: Ctx, list_id: str, steps: Sequence[tuple[str, str, Any]]
) -> list[tuple[Row | None, str, list[str]]]:
    """Apply `/records/{id}` steps with {extra_data, priority}, each by itself: (record, its id, what is wrong)."""
    await get(ctx, list_id)
    found: list[tuple[Row | None, str, list[str]]] = []
    changed: dict[str, Row] = {}
    for op, path, value in steps:
        id = path.removeprefix("/records/")
        row = changed.get(id) or await find(ctx, HELD, list=list_id, record=id)
        if row is None or op not in ("add", "replace") or not isinstance(value, dict):
            found.append((row, id, ["OTHER"]))
            continue
        rank, extra = value.get("priority", row["priority"]), value.get("extra_data", {})
        if "priority" in value and (type(rank) is not int or not 1 <= rank <= 10):
            found.append((row, id, ["PRIORITY_INVALID"]))
        elif not isinstance(extra, dict) or len(msgspec.json.encode(row["extra_data"] | extra)) > rules.EXTRA:
            found.append((row, id, ["OTHER"]))
        else:
            changed[id] = row | {"priority": rank, "extra_data": row["extra_data"] | extra}
            found.append((changed[id], id, []))
    await _save(ctx, list_id, list(changed.values()))
    return [(changed.get(id, row), id, errors) for row, id, errors in found]


async def remove(ctx: Ctx, list_id: str, found: list[Row]) -> int:
    """Remove records of a list that is held; how many were there."""
    gone: list[str] = []
    for row in found:
        if await change(ctx, DROP, list=list_id, record=row["id"]):
            gone.append(row["id"])
            for phone in row["phone_numbers"]:
                facts = {"number": int(phone["phone_number"][1:]), "record": row["id"]}
                await change(ctx, DROP_PHONE, list=list_id, **facts)
    if gone:
        await imports.grow(ctx, list_id, -len(gone))
        await emit(ctx, RECORDS_REMOVED, list_id, RecordFacts(list_id=list_id, ids=gone))
    return len(gone)


async def by_number(ctx: Ctx, list_id: str, number: int) -> list[Row]:
    phones = await all_rows(ctx, BY_PHONES, list=list_id, numbers=[number])
    found = [await find(ctx, BY_ID, list=list_id, record=phone["record_id"]) for phone in phones]
    return [row for row in found if row is not None]


async def by_reference(ctx: Ctx, list_id: str, provider: str, reference: str) -> list[Row]:
    return await all_rows(ctx, BY_REFERENCE, list=list_id, provider=provider, reference=reference)


async def delete_list(ctx: Ctx, list_id: str) -> Row:
    """Delete a list: it is gone at once, its records soon after."""
    row = await get(ctx, list_id)
    await lists.mark_deleted(ctx, list_id)
    await emit(ctx, LIST_DELETED, row["id"], ListFacts(list_id=row["id"], name=row["name"]))
    await enqueue(ctx, CLEAR, ListFacts(list_id=row["id"], name=row["name"]))
    return row


async def clear(ctx: Ctx, args: ListFacts) -> None:
    for drop in (DROP_PHONES, DROP_RECORDS):
        more = DROPPED
        while more == DROPPED:
            async with step(ctx, lazy=True) as now:
                more = await change(now, drop, list=args.list_id)
            await asyncio.sleep(0)


CLEAR = Job("record_lists.clear", ListFacts, clear, long=True)
EVENTS = (LIST_CREATED, LIST_DELETED, LIST_VALIDATED, RECORDS_ADDED, RECORDS_CHANGED, RECORDS_REMOVED)
