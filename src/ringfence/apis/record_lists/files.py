"""Files of records: taken into a list, written out of one, and what is told at the end of a validation."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from ringfence.floor import imports, uploads
from ringfence.floor.imports import Claim, Kind, Refused
from ringfence.floor.uploads import Validate
from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.store.columns import NIL
from ringfence.store.outward import Unreachable, call
from ringfence.store.query import Row, Statement, all_rows, mine
from ringfence.store.stage import Once, Staged
from ringfence.store.work import enqueue

from . import rules
from .domain import BY_KEYS, BY_PHONES, DROP_PHONE, HERE, LIST_VALIDATED, VALIDATION
from .rules import Fit
from .tables import record_phones, records

PHONES = ("number", "apart", "record_id")
COLUMNS = ("id", *(name for name in Fit._fields if name != "numbers"))
EVERYTHING = Statement(mine(records).where(HERE).order_by(records.c.id))
EXTRAS = Statement(mine(records, records.c.extra_data).where(HERE))


async def claim(ctx: Ctx, held: Row, claims: list[Claim]) -> list[int]:
    """Take the numbers of rows of a file; the rows of those that the list holds already."""
    once = held["unique_identifier_type"] == "PHONE_NUMBER"
    phones = [(one.number, NIL if once else one.id, one.id) for one in claims]
    same = {"list_id": held["id"], "account_id": ctx.account}
    added = await ctx.db.load(record_phones, PHONES, phones, **same)
    if not once or added == len(claims):
        return []
    found = await all_rows(ctx, BY_PHONES, list=held["id"], numbers=[one.number for one in claims])
    holders = {row["number"]: row["record_id"].replace("-", "") for row in found}  # as `ids_of` writes them
    return [one.row for one in claims if holders.get(one.number) != one.id]


async def unclaim(ctx: Ctx, upload: Row, claims: list[Claim]) -> None:
    """Give back the numbers of rows that are not taken."""
    same = {"account": ctx.account, "list": upload["list_id"]}
    await ctx.db.many(DROP_PHONE, [same | {"number": one.number, "record": one.id} for one in claims])


async def store(ctx: Ctx, held: Row, upload: Row, chunk: list[Staged], ids: list[str]) -> list[Refused]:
    """Store a chunk of a file, whose numbers have been claimed; references that the list holds are refused."""
    taken: set[Any] = set()
    if held["count"] > upload["accepted"] and held["unique_identifier_type"] == "EXTERNAL":
        keys = [one.values[8] for one in chunk]
        taken = {row["external_key"] for row in await all_rows(ctx, BY_KEYS, list=held["id"], keys=keys)}
    raw, rows, refused, lost = msgspec.Raw, [], [], []
    for id, (_, number, v) in zip(ids, chunk, strict=True):
        if v[8] in taken:
            refused.append(Refused(number, *rules.DUPLICATE))
            lost += [Claim(phone, number, id) for phone in v[0]]
        else:
            rows.append((id, raw(v[1]), v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], raw(v[11])))
    now, same = ctx.now(), {"list_id": held["id"], "account_id": ctx.account}
    more = {"upload_id": upload["id"], "created_at": now, "updated_at": now}
    await ctx.db.load(records, COLUMNS, rows, **same, **more)
    if lost:
        await unclaim(ctx, upload, lost)
    return refused


def once(of: Row) -> Once | None:
    """What of a row a list with this rule holds once."""
    found: dict[str, Once] = {"PHONE_NUMBER": "numbers", "EXTERNAL": "keys"}
    return found.get(of["unique_identifier_type"])


async def exported(ctx: Ctx, list_id: str) -> AsyncGenerator[list[str], None]:
    """A list as rows of a file that can be imported again, the header first. What is not text comes as JSON."""
    extras: dict[str, None] = {}
    async with aclosing(ctx.db.scan(EXTRAS, account=ctx.account, list=list_id)) as found:
        async for row in found:
            extras |= dict.fromkeys(row["extra_data"])
    kinds = [kind.lower() for kind in rules.TYPES]
    yield [*kinds, *rules.PLAIN, *extras]
    async with aclosing(ctx.db.scan(EVERYTHING, account=ctx.account, list=list_id)) as found:
        async for row in found:
            plain = row | {"priority": row["priority"] if row["priority"] <= rules.HIGHEST else ""}
            said = [*_by_kind(row["phone_numbers"]), *(plain[name] for name in rules.PLAIN)]
            yield [_cell(value) for value in (*said, *(row["extra_data"].get(name) for name in extras))]


def _by_kind(phones: list[dict[str, str]]) -> list[str]:
    """Numbers under their kinds; the second of a kind where there is room."""
    found: dict[str, str] = {}
    for phone in phones:
        kind = phone["phone_type"]
        free = kind if kind not in found else next((k for k in reversed(rules.TYPES) if k not in found), kind)
        found[free] = phone["phone_number"]
    return [found.get(kind, "") for kind in rules.TYPES]


def _cell(value: Any) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    return msgspec.json.encode(value).decode()


async def ended(ctx: Ctx, upload: Row) -> None:
    if upload["callback"]:
        await enqueue(ctx, CALL_BACK, Validate(upload=upload["id"]))


async def call_back(ctx: Ctx, args: Validate) -> None:
    """Tell whoever asked for it that their file has been validated."""
    async with ctx.house.db.reading() as tx:
        row = await tx.one(uploads.BY_ID, account=ctx.account, upload=args.upload)
    if row is not None:
        action = row["callback"]
        body = action.get("body")
        content = b"" if body is None else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        headers = {"content-type": "application/json"} | {
            k.lower(): v for k, v in (action.get("headers") or {}).items()
        }
        private = ctx.settings.private_receivers
        status = await call(action["method"], action["endpoint"], headers, content, private=private)
        if not 200 <= status < 300:
            raise Unreachable(f"{action['endpoint']} answered {status}")


FILES = Kind(
    tables=(records, record_phones),
    limit=lambda settings: settings.list_records,
    checker=rules.checker,
    duplicate=rules.DUPLICATE,
    once=once,
    claim=claim,
    unclaim=unclaim,
    store=store,
    validated=LIST_VALIDATED,
    ended=ended,
)


async def validate(ctx: Ctx, args: Validate) -> None:
    await imports.validate(ctx, args.upload, FILES)


VALIDATE = Job(VALIDATION, Validate, validate, long=True)
CALL_BACK = Job("record_lists.call_back", Validate, call_back, retry=(300, 600, 3600))
