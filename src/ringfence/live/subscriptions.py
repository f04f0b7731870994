"""Subscriptions to live figures: made, changed, kept alive while a stream of theirs is open, and ended."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import bindparam, delete, func, select, update

from ringfence.fence.house import House
from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID_TOKEN, NOT_FOUND, Fault, Problem
from ringfence.kernel.shapes import Nothing, Shape
from ringfence.store.columns import Json, Moment, among
from ringfence.store.db import TryAgain
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.identity import accounts, ring_groups, users
from ringfence.store.tables.reports import live_subscriptions as table

from .filters import Entry, checked, refused

MOST = 16  # queries of one subscription
CAP = 500  # subscriptions that an account may have, or as many as it has active people
IDLE = 120  # seconds without a stream after which a subscription is over
LIFE = 86_400  # seconds after which it is over in any case
METADATA = 4096  # bytes of one entry's metadata, encoded
TOO_MANY_SUBSCRIPTIONS = Problem(
    "too_many_subscriptions", 429, "The account has as many live subscriptions as it may have; end one first."
)


class SubscriptionFacts(Shape):
    """A subscription whose entries have changed, or that is over."""

    id: str


CHANGED = EventType("live_subscription.changed", SubscriptionFacts, "Entries of a live subscription were changed")
ENDED = EventType("live_subscription.ended", SubscriptionFacts, "A live subscription was ended")

ADD = adding(table)
_alive = (table.c.alive_until > bindparam("now", type_=Moment), table.c.ends_at > bindparam("now", type_=Moment))
THIS = (table.c.account_id == ACCOUNT, table.c.id == bindparam("subscription"))
BY_ID = Statement(mine(table).where(table.c.id == bindparam("subscription"), *_alive))
COUNT = Statement(mine(table, func.count().label("count")).where(*_alive))
PEOPLE = Statement(mine(users, func.count().label("count")).where(users.c.active))
ACCOUNT_ROW = Statement(select(accounts.c.timezone).where(accounts.c.id == ACCOUNT).with_for_update(), everywhere=True)
RING_GROUPS = Statement(mine(ring_groups, ring_groups.c.name))
SET_ENTRIES = Statement(
    update(table)
    .where(*THIS, table.c.version == bindparam("was"))
    .values(entries=bindparam("now_", type_=Json), version=table.c.version + 1)
)
END = Statement(delete(table).where(*THIS))
KEEP_ALIVE = Statement(
    update(table)
    .where(among(table.c.id, bindparam("ids", type_=Json)))
    .values(alive_until=bindparam("until", type_=Moment)),
    everywhere=True,
)
SWEEP = Statement(
    delete(table).where(
        (table.c.alive_until <= bindparam("now", type_=Moment)) | (table.c.ends_at <= bindparam("now", type_=Moment))
    ),
    everywhere=True,
)


def entries_of(row: Row) -> list[Entry]:
    return msgspec.convert(row["entries"], list[Entry])


async def get(ctx: Ctx, subscription: str) -> Row:
    """A subscription that is not over; 404."""
    return await one(ctx, BY_ID, subscription=subscription, now=ctx.now())


async def create(ctx: Ctx, client: str, wanted: list[dict[str, Any]]) -> Row:
    """Subscribe to 1 to 16 queries: `id`, `metadata`, `params`, `filters` of each, as they were sent."""
    made = await _checked(ctx, wanted)
    have, people = await one(ctx, COUNT, now=ctx.now()), await one(ctx, PEOPLE)
    if have["count"] >= max(CAP, people["count"]):
        told = f"This account may have {max(CAP, people['count'])}; each is over {IDLE} seconds after its last stream."
        raise Fault(TOO_MANY_SUBSCRIPTIONS, told, headers=(("Retry-After", str(IDLE)),))
    row = {
        "account_id": ctx.account,
        "id": ctx.new_uuid(),
        "client_id": client,
        "entries": [msgspec.to_builtins(msgspec.structs.replace(entry, id=ctx.new_uuid())) for entry in made],
        "version": 1,
        "created_at": ctx.now(),
        "alive_until": ctx.now() + timedelta(seconds=IDLE),
        "ends_at": ctx.now() + timedelta(seconds=LIFE),
    }
    await ctx.db.run(ADD, account=ctx.account, **row)
    return row


async def _checked(ctx: Ctx, wanted: list[dict[str, Any]]) -> list[Entry]:
    if not 1 <= len(wanted) <= MOST:
        raise refused("queries", f"must hold 1 to {MOST} queries")
    account = await one(ctx, ACCOUNT_ROW)
    known = {row["name"] for row in await all_rows(ctx, RING_GROUPS)}
    zone, now = ZoneInfo(account["timezone"]), ctx.world.time()
    found = []
    for index, each in enumerate(wanted):
        where = f"queries[{index}]"
        each = dict(each)
        for name in ("metadata", "filters", "params"):
            value = {} if each[name] is None or (name == "params" and each[name] == []) else each[name]
            if not isinstance(value, dict):
                raise refused(f"{where}.{name}", "must be an object")
            each[name] = value
        if len(msgspec.json.encode(each["metadata"])) > METADATA:
            raise refused(f"{where}.metadata", f"may have {METADATA} bytes as JSON")
        found.append(checked(where, each, zone=zone, now=now, ring_groups=known))
    return found


async def change_entry(ctx: Ctx, subscription: str, entry: str, wanted: list[dict[str, Any]]) -> tuple[Row, Entry]:
    """Let an entry be another query; an error of the old one is over. `wanted` holds the one."""
    row = await get(ctx, subscription)
    entries = entries_of(row)
    index = next((n for n, one in enumerate(entries) if one.id == entry), None)
    if index is None:
        raise Fault(NOT_FOUND)
    if len(wanted) != 1:
        raise refused("queries", "must hold the one query that the entry is to be")
    [made] = await _checked(ctx, wanted)
    entries[index] = msgspec.structs.replace(made, id=entry)
    return await _store(ctx, row, entries), entries[index]


async def _store(ctx: Ctx, row: Row, entries: list[Entry]) -> Row:
    told = msgspec.to_builtins(entries)
    if not await change(ctx, SET_ENTRIES, subscription=row["id"], was=row["version"], now_=told):
        raise TryAgain("somebody else has changed the subscription")
    await emit(ctx, CHANGED, row["id"], SubscriptionFacts(id=row["id"]))
    return row | {"entries": told, "version": row["version"] + 1}


async def end(ctx: Ctx, subscription: str) -> None:
    await get(ctx, subscription)
    await change(ctx, END, subscription=subscription)
    await emit(ctx, ENDED, subscription, SubscriptionFacts(id=subscription))


async def fail_entry(house: House, account: str, subscription: str, entry: Entry, why: str) -> None:
    """Write down that an entry cannot be computed any more, unless it has been changed meanwhile."""
    async with house.db.writing() as tx:
        ctx = house.ctx(tx, account, "live")
        row = await find(ctx, BY_ID, subscription=subscription, now=ctx.now())
        if row is None:
            return
        entries = entries_of(row)
        for index, one in enumerate(entries):
            if one == entry:
                entries[index] = msgspec.structs.replace(one, error=why)
                await _store(ctx, row, entries)


async def keep_alive(house: House, ids: Iterable[str], seconds: float) -> None:
    """Subscriptions with an open stream, or with one that has just been closed, are not over yet."""
    async with house.db.writing() as tx:
        until = house.world.now() + timedelta(seconds=seconds)
        await tx.run(KEEP_ALIVE, ids=list(ids), until=until)


async def read(house: House, account: str, subscription: str) -> Row | None:
    """A subscription that is not over, outside of any request."""
    async with house.db.reading() as tx:
        return await tx.one(BY_ID, account=account, subscription=subscription, now=house.world.now())


# the link of a stream


def token_of(house: House, account: str, subscription: str) -> str:
    """What lets anybody open the stream: the account, and what only this server can derive."""
    return f"{account}.{house.vault.derive(f'live stream of {account} {subscription}')}"


def stream_path(house: House, account: str, subscription: str) -> str:
    return f"/live-subscriptions/{subscription}/stream?token={token_of(house, account, subscription)}"


async def of_token(ctx: Ctx, subscription: str, token: str) -> Row:
    """The subscription that the token of a link is of. 401 where it is of another, or of none."""
    account = token.partition(".")[0]
    if not account or not ctx.house.vault.same(token_of(ctx.house, account, subscription), token):
        raise Fault(INVALID_TOKEN, "The token in the URL is not that of this stream; read the subscription again.")
    return await get(replace(ctx, account=account), subscription)


async def sweep(ctx: Ctx, args: Nothing) -> None:
    """Forget the subscriptions that are over."""
    await ctx.db.run(SWEEP, now=ctx.now())


SWEEPING = Job("live.sweep", Nothing, sweep, every=60)
