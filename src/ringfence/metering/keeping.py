"""The books kept by a reaction, with its cursor: each event is in them once. They can be made anew, and recounted."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import bindparam, case, delete, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import Api, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.store import outbox, worker
from ringfence.store.columns import Json, Moment, among
from ringfence.store.outbox import BACKFILL, emit_once
from ringfence.store.query import ACCOUNT, Row, Statement, change, find, mine
from ringfence.store.tables.log import events
from ringfence.store.tables.metering import usage_books, usage_lines, wallets

from .books import Books, Entries, LineOf
from .events import BUCKET_DECLARED, EVENTS, METER_DECLARED, WALLET_DECLARED, WALLET_TOPPED_UP
from .resources import COUNTED

HEARD = sorted({*COUNTED, *(one.name for one in (WALLET_DECLARED, WALLET_TOPPED_UP, BUCKET_DECLARED, METER_DECLARED))})
LOAD = Statement(mine(usage_books, usage_books.c.doc))
_kept = upsert(usage_books).values(account_id=ACCOUNT, doc=bindparam("doc", type_=Json))
SAVE = Statement(
    _kept.on_conflict_do_update(index_elements=[usage_books.c.account_id], set_={"doc": _kept.excluded.doc})
)
_line = upsert(usage_lines).values(
    account_id=ACCOUNT,
    **{name: bindparam(f"{name}_", type_=usage_lines.c[name].type) for name in (
        "day", "resource", "bucket", "wallet", "quantity", "cost",
    )},
)  # fmt: skip
ADD_LINE = Statement(
    _line.on_conflict_do_update(
        index_elements=[usage_lines.c[name] for name in ("account_id", "day", "resource", "bucket", "wallet")],
        set_={name: usage_lines.c[name] + _line.excluded[name] for name in ("quantity", "cost")},
    )
)
_changed: Any = bindparam("changed", type_=Moment)
SPEND = Statement(
    update(wallets)
    .where(wallets.c.account_id == ACCOUNT, wallets.c.name == bindparam("wallet"))
    .values(
        spent=bindparam("in_all"),
        updated_at=case((wallets.c.updated_at < _changed, _changed), else_=wallets.c.updated_at),
    )
)
LINES = Statement(mine(usage_lines).order_by(*usage_lines.primary_key.columns))
LOG = Statement(
    mine(events)
    .where(events.c.place <= bindparam("upto"), among(events.c.type, bindparam("heard", type_=Json)))
    .order_by(events.c.place)
)


async def keep(ctx: Ctx, found: list[Row]) -> None:
    """The reaction: what these events come to in the books of each account."""
    by_account: dict[str, list[Row]] = {}
    for event in found:
        if event["type"] in HEARD and event["account_id"]:
            by_account.setdefault(event["account_id"], []).append(event)
    for account, heard in sorted(by_account.items()):
        own = replace(ctx, account=account)
        books, entries = await load(own), Entries()
        for event in heard:
            books.hear(event, entries)
        await _save(own, books, entries)


async def load(ctx: Ctx) -> Books:
    row = await find(ctx, LOAD)
    return msgspec.convert(row["doc"], Books) if row is not None else Books()


async def _save(ctx: Ctx, books: Books, entries: Entries) -> None:
    await change(ctx, SAVE, doc=msgspec.to_builtins(books))
    lines = [
        {"account": ctx.account, "day_": line.day, "resource_": line.resource, "bucket_": line.bucket,
         "wallet_": line.wallet, "quantity_": quantity, "cost_": cost}
        for line, (quantity, cost) in sorted(entries.lines.items())
    ]  # fmt: skip
    await ctx.db.many(ADD_LINE, lines)
    for name in sorted(entries.wallets):
        kept = books.wallets[name]
        if kept.changed_at is not None:
            await change(ctx, SPEND, wallet=name, in_all=kept.spent, changed=kept.changed_at)
    for origin in (BACKFILL, ctx.origin):  # of what happened long ago nobody is told
        told = [one for one in entries.told if (one.because["origin"] == BACKFILL) == (origin == BACKFILL)]
        if told:
            own = replace(ctx, origin=origin)
            await emit_once(own, [(one.id, one.what, one.key, one.because["at"], one.data) for one in told])


METER = Reaction("usage.meter", None, run_all=keep)
EMPTY = (
    Statement(delete(usage_lines), everywhere=True),
    Statement(delete(usage_books), everywhere=True),
    Statement(update(wallets).values(spent=0), everywhere=True),
)


async def begin_anew(tx: Any) -> None:
    """Drop the books of every account, and let the reaction begin at the log's first event, in one transaction."""
    await outbox.begin_anew(tx, METER.name, EMPTY)


async def recounted(ctx: Ctx, upto: int) -> tuple[Books, Entries]:
    """What the log comes to up to a place, counted from its first event on."""
    books, entries = Books(), Entries()
    async for event in ctx.db.scan(LOG, account=ctx.account, upto=upto, heard=HEARD):
        books.hear(event, entries)
    return books, entries


def differences(kept: Books, counted: Books) -> Iterable[str]:
    """Where books differ from others, in words."""
    left, right = msgspec.to_builtins(kept), msgspec.to_builtins(counted)
    for part in ("meters", "buckets", "wallets"):
        for name in sorted(left[part].keys() | right[part].keys()):
            if left[part].get(name) != right[part].get(name):
                yield f"{part[:-1]} {name}: kept {left[part].get(name)}, counted {right[part].get(name)}"


def misplaced(rows: Iterable[Row], counted: Entries) -> Iterable[str]:
    """Lines of the ledger that differ from those that were counted, in words."""
    kept = {
        LineOf(row["day"], row["resource"], row["bucket"], row["wallet"]): (row["quantity"], row["cost"])
        for row in rows
    }
    found = {line: (quantity, cost) for line, (quantity, cost) in counted.lines.items()}
    for line in sorted(kept.keys() | found.keys()):
        if kept.get(line) != found.get(line):
            yield f"line {', '.join(line)}: kept {kept.get(line)}, counted {found.get(line)}"


async def catch_up(house: Any) -> int:
    """Bring the books to the end that the log has now; how many events that were. A server may do it meanwhile."""
    return await worker.catch_up(house.db, house.ctx, METER)


METERED = Api("metering", "Metering", "What is used, and what it costs.", (), events=EVENTS, reactions=(METER,))
