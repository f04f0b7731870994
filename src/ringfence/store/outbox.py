"""The event log: written in the caller's transaction, placed in order of commit, read past durable cursors."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement

from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx

from .columns import Json, among
from .db import Db, Transaction
from .statement import Row, Statement
from .tables.log import cursors, events

RELAY_LOCK = 0x52494E47  # one relay at a time on PostgreSQL
CHUNK = 500
BACKFILL = "backfill"  # origin of events about what happened long ago: projections count them, nobody is told


class next_place(ColumnElement[int]):  # noqa: N801 - reads as SQL
    """Where an event goes: after the last one on SQLite (one writer at a time), nowhere yet on PostgreSQL."""

    inherit_cache = True
    type = BigInteger()


@compiles(next_place, "sqlite")
def _next_place_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return "(SELECT coalesce(max(place), 0) + 1 FROM events)"


@compiles(next_place, "postgresql")
def _next_place_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST(NULL AS BIGINT)"


WRITTEN = ("id", "account_id", "actor", "origin", "type", "key", "at", "data")
ADD = Statement(
    events.insert().values(
        {name: bindparam(name, type_=events.c[name].type) for name in WRITTEN} | {"place": next_place()}
    )
)
ADD_ONCE = Statement(
    upsert(events)
    .values({name: bindparam(name, type_=events.c[name].type) for name in WRITTEN} | {"place": next_place()})
    .on_conflict_do_nothing(index_elements=[events.c.id])  # another was quicker
)
WHICH = Statement(select(events.c.id).where(among(events.c.id, bindparam("ids", type_=Json))), everywhere=True)
LAST = Statement(select(func.coalesce(func.max(events.c.place), 0).label("place")), everywhere=True)
AFTER = Statement(
    select(events).where(events.c.place > bindparam("place")).order_by(events.c.place).limit(CHUNK), everywhere=True
)
FOR_KEY = Statement(
    select(events)
    .where(events.c.account_id == bindparam("account"), events.c.key == bindparam("key"))
    .order_by(events.c.place)
)
LOCK = Statement(select(func.pg_try_advisory_xact_lock(RELAY_LOCK).label("mine")), everywhere=True)
STAMP = Statement(
    text(
        "UPDATE events SET place = fresh.base + fresh.r FROM (SELECT n, row_number() OVER (ORDER BY n) AS r,"
        " (SELECT coalesce(max(place), 0) FROM events) AS base FROM events WHERE place IS NULL ORDER BY n LIMIT 5000)"
        " AS fresh WHERE events.n = fresh.n"
    ),
    everywhere=True,
)
CURSORS = Statement(select(cursors), everywhere=True)
CURSOR = Statement(
    select(cursors).where(cursors.c.name == bindparam("name")).with_for_update(skip_locked=True), everywhere=True
)
BEGIN_CURSOR = Statement(
    upsert(cursors).values(name=bindparam("name"), place=bindparam("place")).on_conflict_do_nothing(),
    everywhere=True,
)
MOVE = Statement(
    update(cursors).where(cursors.c.name == bindparam("name_")).values(place=bindparam("place_")), everywhere=True
)


async def emit(ctx: Ctx, what: EventType, key: str, data: Any) -> str:
    """Write an event in the caller's transaction; its payload is checked against the declared shape. Its id."""
    payload = msgspec.to_builtins(data if isinstance(data, what.data) else msgspec.convert(data, what.data))
    id = ctx.new_key()
    await ctx.db.run(
        ADD,
        account=ctx.account,
        id=id,
        account_id=ctx.account,
        actor=ctx.actor,
        origin=ctx.origin,
        type=what.name,
        key=key,
        at=ctx.now(),
        data=payload,
    )
    return id


async def emit_many(ctx: Ctx, told: Iterable[tuple[EventType, str, datetime, Any]]) -> None:
    """Write events in bulk: (type, key, when, payload as it is written). Whoever calls has the declared shape."""
    rows = [
        {
            "account": ctx.account,
            "id": ctx.new_key(),
            "account_id": ctx.account,
            "actor": ctx.actor,
            "origin": ctx.origin,
            "type": what.name,
            "key": key,
            "at": at,
            "data": data,
        }
        for what, key, at, data in told
    ]
    await ctx.db.many(ADD, rows)


async def emit_once(ctx: Ctx, told: Iterable[tuple[str, EventType, str, datetime, Any]]) -> int:
    """Write those of (id, type, key, when, payload as it is written) whose ids are new, once each; how many were."""
    rows = {
        id: {
            "account": ctx.account,
            "id": id,
            "account_id": ctx.account,
            "actor": ctx.actor,
            "origin": ctx.origin,
            "type": what.name,
            "key": key,
            "at": at,
            "data": data,
        }
        for id, what, key, at, data in reversed(list(told))  # of those told twice, the first is kept
    }
    for row in await ctx.db.all(WHICH, ids=list(rows)):
        del rows[row["id"]]
    await ctx.db.many(ADD_ONCE, list(reversed(rows.values())))
    return len(rows)


async def begin_anew(tx: Transaction, reaction: str, emptying: Iterable[Statement]) -> None:
    """Drop what a reaction has made of the log, and let it begin at the first event, in the caller's transaction."""
    await tx.run(MOVE, name_=reaction, place_=0)
    for statement in emptying:
        await tx.run(statement)


async def stamp(db: Db) -> int:
    """The relay: give committed events their place, in one order. How many it placed."""
    if db.places_at_insert:
        return 0
    async with db.writing() as tx:
        lock: Row | None = await tx.one(LOCK)
        if not lock or not lock["mine"]:
            return 0
        return await tx.run(STAMP)
