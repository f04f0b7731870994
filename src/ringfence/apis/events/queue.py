"""What is still to be told: a row for each event and subscription, in order for each key.

Only the first waiting delivery of a key is due; when it is over, the next one becomes due. Both happen while the
subscription's row is held, so that none is forgotten between them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, case, delete, exists, func, insert, select, update

from ringfence.kernel.catalog import EventType, Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Nothing, Page, Shape
from ringfence.store.columns import Json, Moment, among
from ringfence.store.outbox import BACKFILL
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, find, mine, one
from ringfence.store.tables.log import events
from ringfence.store.work import enqueue

from . import subscriptions as subscribing
from . import trigger_payloads
from .tables import deliveries, delivery_attempts, subscriptions

CHUNK = 500
WAITING, DELIVERED, FAILED, WITHHELD = "waiting", "delivered", "failed", "withheld"
_earlier = deliveries.alias("earlier")
_behind = exists(
    select(_earlier.c.n).where(
        _earlier.c.subscription_id == bindparam("subscription_id", type_=deliveries.c.subscription_id.type),
        _earlier.c.key == bindparam("key"),
        _earlier.c.state == WAITING,
    )
)
ADD = Statement(
    insert(deliveries).values(
        {name: bindparam(name, type_=deliveries.c[name].type) for name in (
            "id", "account_id", "subscription_id", "event_id", "key", "created_at",
        )}
        | {"state": WAITING, "attempts": 0, "due": case((_behind, None), else_=bindparam("created_at", type_=Moment))}
    ),
    everywhere=True,
)  # fmt: skip
_heard = [subscriptions.c[name] for name in ("id", "account_id", "app_id", "event_types", "trigger", "set_by")]
LISTENING = Statement(
    select(*_heard, events.c.place.label("since"), events.c.id.label("said"))
    .join_from(subscriptions, events, events.c.id == subscriptions.c.set_by, isouter=True)
    .where(among(subscriptions.c.account_id, bindparam("accounts", type_=Json)), subscriptions.c.active)
    .order_by(subscriptions.c.id),
    everywhere=True,
)
DUE = Statement(
    select(subscriptions).where(
        subscriptions.c.active,
        exists(
            select(deliveries.c.n).where(
                deliveries.c.subscription_id == subscriptions.c.id,
                deliveries.c.due <= bindparam("now", type_=Moment),
            )
        ),
    ),
    everywhere=True,
)
_event = [events.c[name] for name in ("type", "at", "data")]
HEADS = Statement(
    select(deliveries, *_event, events.c.account_id.label("event_account"))
    .join_from(deliveries, events, events.c.id == deliveries.c.event_id)
    .where(
        deliveries.c.subscription_id == bindparam("subscription"),
        deliveries.c.due <= bindparam("now", type_=Moment),
    )
    .order_by(deliveries.c.due, deliveries.c.n)
    .limit(bindparam("limit")),
    everywhere=True,
)
_this = select(subscriptions.c.id).where(subscriptions.c.id == bindparam("subscription")).with_for_update()
HOLD = Statement(_this, everywhere=True)
HOLD_ACTIVE = Statement(_this.where(subscriptions.c.active), everywhere=True)
OVER = Statement(
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"), deliveries.c.state == WAITING)
    .values(
        state=bindparam("becomes"),
        attempts=bindparam("tries"),
        due=None,
        finished_at=bindparam("at", type_=Moment),
    ),
    everywhere=True,
)
LATER = Statement(
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"), deliveries.c.state == WAITING)
    .values(attempts=bindparam("tries"), due=bindparam("again", type_=Moment)),
    everywhere=True,
)
_next = (
    select(func.min(_earlier.c.n))
    .where(
        _earlier.c.subscription_id == bindparam("subscription", type_=deliveries.c.subscription_id.type),
        _earlier.c.key == bindparam("of"),
        _earlier.c.state == WAITING,
    )
    .scalar_subquery()
)
PROMOTE = Statement(
    update(deliveries)
    .where(deliveries.c.n == _next, deliveries.c.due.is_(None))
    .values(due=bindparam("at", type_=Moment)),
    everywhere=True,
)
EVENT = Statement(select(events).where(events.c.account_id == ACCOUNT, events.c.id == bindparam("event")))
RANGE = Statement(
    select(events)
    .where(
        events.c.account_id == ACCOUNT,
        events.c.place > bindparam("after"),
        events.c.at >= bindparam("since", type_=Moment),
        events.c.at < bindparam("until", type_=Moment),
        among(events.c.type, bindparam("types", type_=Json)),
    )
    .order_by(events.c.place)
    .limit(CHUNK)
)
_of = deliveries.c.subscription_id == bindparam("subscription")
_state = and_(_of, deliveries.c.state == bindparam("state"))
_shown = select(deliveries, *_event, events.c.account_id.label("event_account")).join_from(
    deliveries, events, events.c.id == deliveries.c.event_id
)


def _page(condition: Any) -> tuple[Statement, Statement]:
    found = _shown.where(deliveries.c.account_id == ACCOUNT, condition).order_by(deliveries.c.n.desc())
    return (
        # the events are those of the account's own deliveries
        Statement(found.limit(bindparam("limit")).offset(bindparam("offset")), everywhere=True),
        Statement(mine(deliveries, func.count().label("count")).where(condition)),
    )


PAGE, PAGE_OF_STATE = _page(_of), _page(_state)
ONE = Statement(
    _shown.where(deliveries.c.account_id == ACCOUNT, _of, deliveries.c.id == bindparam("delivery")), everywhere=True
)
ATTEMPTS = Statement(
    mine(delivery_attempts)
    .where(delivery_attempts.c.delivery_id == bindparam("delivery"))
    .order_by(delivery_attempts.c.number)
)
_old = select(deliveries.c.id).where(
    deliveries.c.created_at < bindparam("before", type_=Moment), deliveries.c.state != WAITING
).limit(5000)  # fmt: skip
FORGET = (
    Statement(delete(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(_old)), everywhere=True),
    Statement(delete(deliveries).where(deliveries.c.id.in_(_old)), everywhere=True),
)


class Span(Shape):
    """Arguments of the job that tells a range of events again."""

    subscription: str
    since: datetime
    until: datetime
    types: list[str]
    after: int = 0


async def fan_out(ctx: Ctx, found: Sequence[Row]) -> None:
    """The reaction: a delivery for every event and every active subscription that it is for.

    The subscriptions are looked at once for all of the events, which have their places by then: one that was
    committed before an event got its place is among them.
    """
    heard = [(event, accounts) for event in found if (accounts := await _accounts(ctx, event))]
    if not heard:
        return
    listening: dict[tuple[str, str], list[Row]] = {}
    for row in await ctx.db.all(LISTENING, accounts=sorted({account for _, of in heard for account in of})):
        for name in row["event_types"]:
            listening.setdefault((row["account_id"], name), []).append(row)
    told = [
        (row, event)
        for event, accounts in heard
        for account in sorted(accounts)
        for row in listening.get((account, event["type"]), ())
        if _since(row) < event["place"] and _is_for(row, event)
    ]
    held = set()
    for subscription in sorted({row["id"] for row, _ in told}):
        if await ctx.db.one(HOLD_ACTIVE, subscription=subscription):  # it may have been deleted meanwhile
            held.add(subscription)
    await _add(ctx, [(row, event) for row, event in told if row["id"] in held])


async def _accounts(ctx: Ctx, event: Row) -> set[str]:
    """The accounts that may hear of an event; none of one that stays inside."""
    type: EventType | None = ctx.house.events.get(event["type"])
    if type is None or not type.scope or event["origin"] == BACKFILL:
        return set()
    accounts = {event["account_id"]}
    if type.audience is not None:
        accounts |= await type.audience(replace(ctx, account=event["account_id"]), event)
    return accounts


def _since(subscription: Row) -> float:
    """The place in the log from which on a subscription listens. One that has none yet comes after all that have."""
    if subscription["said"] is None:  # made before this was written down, or so long ago that it is forgotten
        return 0
    return inf if subscription["since"] is None else int(subscription["since"])


def _is_for(subscription: Row, event: Row) -> bool:
    """Whether a subscription is for an event: by its type, its app, and what fires a trigger."""
    if event["type"] not in subscription["event_types"] or event["origin"] == BACKFILL:
        return False
    if subscription["trigger"] is not None:
        return trigger_payloads.fires(subscription["trigger"], event)
    return subscription["app_id"] in (None, event["data"].get("app_id"))


async def _add(ctx: Ctx, told: Iterable[tuple[Row, Row]]) -> None:
    """Deliveries of events to subscriptions, whose rows are held."""
    rows = [
        {
            "id": ctx.new_uuid(),
            "account_id": subscription["account_id"],
            "subscription_id": subscription["id"],
            "event_id": event["id"],
            "key": event["key"],
            "created_at": ctx.now(),
        }
        for subscription, event in told
    ]
    if rows:
        await ctx.db.many(ADD, rows)


async def replay_one(ctx: Ctx, subscription: str, event: str) -> None:
    """Tell an event again. 404 where the account has no such event that the subscription is for."""
    row = await one(ctx, subscribing.LOCKED, subscription=subscription)
    found = await find(ctx, EVENT, event=event)
    if found is None or not _is_for(row, found):
        raise Fault(NOT_FOUND, f"There is no event {event!r} that this subscription is for.")
    await _add(ctx, [(row, found)])


async def replay_range(ctx: Ctx, subscription: str, since: datetime, until: datetime, types: list[str]) -> None:
    """Ask for all events of a span to be told again, of these types or of all that are subscribed to."""
    row = await one(ctx, subscribing.BY_ID, subscription=subscription)
    if strange := [name for name in types if name not in row["event_types"]]:
        raise wrong("event_types", f"the subscription is not for {strange[0]!r}")
    if since >= until:
        raise wrong("to", "must be after `from`")
    wanted = types or row["event_types"]
    await enqueue(ctx, REPLAY, Span(subscription=subscription, since=since, until=until, types=wanted))


async def replay(ctx: Ctx, args: Span) -> None:
    """The job: one chunk, and the next."""
    row = await find(ctx, subscribing.LOCKED, subscription=args.subscription)
    if row is None:
        return
    found = await all_rows(ctx, RANGE, after=args.after, since=args.since, until=args.until, types=args.types)
    await _add(ctx, [(row, event) for event in found if _is_for(row, event)])
    if len(found) == CHUNK:
        await enqueue(ctx, REPLAY, msgspec.structs.replace(args, after=found[-1]["place"]))


async def page(ctx: Ctx, subscription: str, state: str | None, number: int, per_page: int) -> Page[Row]:
    """The log of a subscription's deliveries, the latest first."""
    rows, count = PAGE_OF_STATE if state else PAGE
    given = {"subscription": subscription} | ({"state": state} if state else {})
    found = await all_rows(ctx, rows, limit=per_page, offset=(number - 1) * per_page, **given)
    total = (await one(ctx, count, **given))["count"]
    return Page(rel="deliveries", items=found, total=total, page=number, per_page=per_page)


async def get(ctx: Ctx, subscription: str, delivery: str) -> tuple[Row, list[Row]]:
    """A delivery and its attempts."""
    row = await one(ctx, ONE, subscription=subscription, delivery=delivery)
    return row, await all_rows(ctx, ATTEMPTS, delivery=delivery)


async def forget(ctx: Ctx, args: Nothing) -> None:
    """The hourly job: drop what was told so long ago that nobody asks any more."""
    before = ctx.now() - timedelta(seconds=ctx.settings.delivery_retention)
    for statement in FORGET:
        await ctx.db.run(statement, before=before)


REPLAY = Job("events.replay", Span, replay)
FORGET_OLD = Job("events.forget_deliveries", Nothing, forget, every=3600)
FAN_OUT = Reaction("events.fan_out", None, start="end", run_all=fan_out)
