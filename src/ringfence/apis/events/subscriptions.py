"""Subscriptions: who is told of which events, where, and with which secret the telling is signed.

A webhook trigger is a subscription too, with a name, and a message to be filled; the Events API does not see it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import bindparam, delete, func, update

from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, INSUFFICIENT_SCOPE, Fault, wrong
from ringfence.kernel.shapes import Page, Shape, paged
from ringfence.store.columns import Json, Moment
from ringfence.store.outbox import emit
from ringfence.store.outward import is_public
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.secrets import digest

from . import signing
from .tables import deliveries, delivery_attempts, subscriptions

SCOPE = "events:write"
TRIGGERS = "webhooks-trigger:write"
LIFE = "app.*"


class SubscriptionFacts(Shape):
    id: str
    client_id: str
    callback_url: str
    event_types: list[str]


class TriggerFacts(Shape):
    """Without the callback URL: those of low-code platforms are secrets."""

    id: str
    client_id: str
    trigger: str


class Disabled(Shape):
    id: str
    reason: str


class SubscriptionId(Shape):
    id: str


SUBSCRIBED = EventType("subscription.set", SubscriptionFacts, "A subscription to events was made or changed", SCOPE)
UNSUBSCRIBED = EventType("subscription.deleted", SubscriptionId, "A subscription to events was deleted", SCOPE)
DISABLED = EventType("subscription.disabled", Disabled, "Deliveries of a subscription stopped", SCOPE)
ROTATED = EventType("subscription.secret_rotated", SubscriptionId, "A subscription got a new secret", SCOPE)
TRIGGER_SET = EventType("trigger.set", TriggerFacts, "A webhook trigger was made or made active again", TRIGGERS)
TRIGGER_DELETED = EventType("trigger.deleted", SubscriptionId, "A webhook trigger was deleted", TRIGGERS)
TRIGGER_DISABLED = EventType("trigger.disabled", Disabled, "Deliveries of a webhook trigger stopped", TRIGGERS)

_this = (subscriptions.c.account_id == ACCOUNT, subscriptions.c.id == bindparam("subscription"))
_to_events = subscriptions.c.trigger.is_(None)
ADD = adding(subscriptions)
EVERY = Statement(mine(subscriptions).order_by(subscriptions.c.created_at, subscriptions.c.id))
ALL = Statement(mine(subscriptions).where(_to_events).order_by(subscriptions.c.created_at, subscriptions.c.id))
COUNT = Statement(mine(subscriptions, func.count().label("count")))
BY_ID = Statement(mine(subscriptions).where(subscriptions.c.id == bindparam("subscription")))
TO_EVENTS = Statement(mine(subscriptions).where(subscriptions.c.id == bindparam("subscription"), _to_events))
TRIGGER = Statement(
    mine(subscriptions).where(
        subscriptions.c.id == bindparam("subscription"),
        subscriptions.c.trigger == bindparam("trigger"),
        subscriptions.c.client_id == bindparam("client"),
    )
)
LOCKED = Statement(mine(subscriptions).where(subscriptions.c.id == bindparam("subscription")).with_for_update())
BY_IDENTITY = Statement(mine(subscriptions).where(subscriptions.c.identity == bindparam("identity")))
ENABLE = Statement(
    update(subscriptions)
    .where(*_this)
    .values(
        active=True, reason="", failing_since=None, set_by=bindparam("by"), updated_at=bindparam("at", type_=Moment)
    )
)
SET_SECRETS = Statement(
    update(subscriptions)
    .where(*_this)
    .values(secrets=bindparam("new_secrets", type_=Json), updated_at=bindparam("at", type_=Moment))
)
_his = mine(deliveries, deliveries.c.id).where(deliveries.c.subscription_id == bindparam("subscription"))
REMOVE = (
    Statement(
        delete(delivery_attempts).where(
            delivery_attempts.c.account_id == ACCOUNT, delivery_attempts.c.delivery_id.in_(_his)
        ),
        everywhere=True,  # both tables are cut to the one :account
    ),
    Statement(
        delete(deliveries).where(
            deliveries.c.account_id == ACCOUNT, deliveries.c.subscription_id == bindparam("subscription")
        )
    ),
    Statement(delete(subscriptions).where(*_this)),
)


def chosen(ctx: Ctx, wanted: list[str]) -> list[str]:
    """The types that are meant, `app.*` spelled out. Raises a Fault for one that is unknown or not for the caller."""
    known: dict[str, EventType] = {name: type for name, type in ctx.house.events.items() if type.scope}
    found: set[str] = set()
    for index, name in enumerate(wanted):
        if name.endswith(".*"):
            names = {each for each in known if each.startswith(name[:-1])}
        else:
            names = {name} & set(known)
        if not names:
            raise wrong(f"event_types[{index}]", f"{name!r} is no type of event that can be subscribed to")
        found |= names
    check_scopes(ctx, [known[name] for name in sorted(found)])
    return sorted(found)


def check_scopes(ctx: Ctx, types: Sequence[EventType]) -> None:
    """The caller may read what these events tell. Raises a Fault that names the scope that is missing."""
    for type in types:
        if type.scope not in ctx.caller.scopes:
            raise Fault(INSUFFICIENT_SCOPE, f"To hear {type.name}, a client needs {type.scope}.", scope=type.scope)


def check_url(ctx: Ctx, url: str, *, member: str = "callback_url") -> None:
    """What can be seen of a callback URL before it is called. The address it leads to is checked at each call."""
    private = ctx.settings.private_receivers
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError as why:
        raise wrong(member, "is not a URL") from why
    if parts.scheme not in (("https", "http") if private else ("https",)):
        raise wrong(member, "must begin with https://")
    if not parts.hostname or not port_is_right or parts.username is not None or parts.fragment:
        raise wrong(member, "must be a URL with a host, without a user name and a fragment")
    literal = parts.hostname.strip("[]")
    if not private and literal.replace(".", "").replace(":", "").isalnum():
        try:
            public = is_public(literal)
        except ValueError:
            public = True  # a name; looked up when it is called
        if not public:
            raise wrong(member, "must be on the public internet")


async def put(ctx: Ctx, *, url: str, types: list[str], app: str | None) -> tuple[Row, str | None]:
    """Make a subscription, or wake the one that is the same; the secret of a new one."""
    check_url(ctx, url)
    named = chosen(ctx, types or [LIFE])
    identity = digest(msgspec.json.encode((ctx.caller.client, app, url, named)))
    facts = {"app_id": app, "callback_url": url, "event_types": named, "identity": identity}
    return await _keep(ctx, facts)


async def put_trigger(
    ctx: Ctx, *, trigger: str, types: Sequence[EventType], url: str, title: str, message: str
) -> tuple[Row, str | None]:
    """Make a webhook trigger, or wake the one that is the same; the secret of a new one."""
    check_scopes(ctx, types)
    identity = digest(msgspec.json.encode(("trigger", ctx.caller.client, trigger, url, title, message)))
    facts = {
        "trigger": trigger,
        "title": title,
        "message": message,
        "callback_url": url,
        "event_types": [type.name for type in types],
        "identity": identity,
    }
    return await _keep(ctx, facts)


async def _keep(ctx: Ctx, facts: Row) -> tuple[Row, str | None]:
    before = await find(ctx, BY_IDENTITY, identity=facts["identity"])
    if before is not None:
        if not before["active"]:
            by = await _tell(ctx, before)
            await change(ctx, ENABLE, subscription=before["id"], by=by, at=ctx.now())
        return await one(ctx, BY_ID, subscription=before["id"]), None
    count = await one(ctx, COUNT)
    if count["count"] >= ctx.settings.event_subscriptions:
        raise Fault(CONFLICT, f"An account may have {ctx.settings.event_subscriptions} subscriptions; delete one.")
    id, secret = ctx.new_uuid(), signing.new_secret(ctx)
    row: Row = dict.fromkeys(("app_id", "trigger", "title", "message")) | facts
    row |= {
        "id": id,
        "account_id": ctx.account,
        "client_id": ctx.caller.client,
        "secrets": [signing.sealed(ctx, id, secret)],
        "active": True,
        "reason": "",
        "failing_since": None,
        "created_at": ctx.now(),
        "updated_at": ctx.now(),
    }
    row["set_by"] = await _tell(ctx, row)
    await ctx.db.run(ADD, **row)
    return row, secret


async def _tell(ctx: Ctx, row: Row) -> str:
    """Say that there is a subscription: its place in the log is where listening begins. The event's id."""
    facts = {name: row[name] for name in ("id", "client_id")}
    if row["trigger"] is not None:
        return await emit(ctx, TRIGGER_SET, row["id"], TriggerFacts(**facts, trigger=row["trigger"]))
    said = SubscriptionFacts(**facts, callback_url=row["callback_url"], event_types=row["event_types"])
    return await emit(ctx, SUBSCRIBED, row["id"], said)


async def get(ctx: Ctx, subscription: str) -> Row:
    """A subscription to events; to the Events API a webhook trigger is none."""
    return await one(ctx, TO_EVENTS, subscription=subscription)


async def listed(ctx: Ctx, page: int, per_page: int) -> Page[Row]:
    return paged("subscriptions", await all_rows(ctx, ALL), page, per_page)


async def remove(ctx: Ctx, subscription: str) -> None:
    """Delete a subscription with all that was still to be told to it."""
    await get(ctx, subscription)
    await _drop(ctx, subscription)
    await emit(ctx, UNSUBSCRIBED, subscription, SubscriptionId(id=subscription))


async def remove_trigger(ctx: Ctx, trigger: str, id: str) -> None:
    """Delete a trigger of the caller's, with all that was still to be told to it."""
    await one(ctx, TRIGGER, subscription=id, trigger=trigger, client=ctx.caller.client)
    await _drop(ctx, id)
    await emit(ctx, TRIGGER_DELETED, id, SubscriptionId(id=id))


async def _drop(ctx: Ctx, subscription: str) -> None:
    await one(ctx, LOCKED, subscription=subscription)
    for statement in REMOVE:
        await change(ctx, statement, subscription=subscription)


async def rotate(ctx: Ctx, subscription: str) -> tuple[str, datetime]:
    """A new secret; the one before signs beside it for a while. The secret, and until when."""
    await get(ctx, subscription)
    row = await one(ctx, LOCKED, subscription=subscription)
    secret, until = signing.new_secret(ctx), ctx.now() + timedelta(seconds=ctx.settings.secret_overlap)
    before: list[dict[str, Any]] = [dict(row["secrets"][0], until=until.isoformat())]
    secrets = [signing.sealed(ctx, subscription, secret), *before]
    await change(ctx, SET_SECRETS, subscription=subscription, new_secrets=secrets, at=ctx.now())
    await emit(ctx, ROTATED, subscription, SubscriptionId(id=subscription))
    return secret, until
