"""Subscriptions: who is told of which events, where, and with which secret the telling is signed."""

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
LIFE = "app.*"


class SubscriptionFacts(Shape):
    id: str
    client_id: str
    callback_url: str
    event_types: list[str]


class Disabled(Shape):
    id: str
    reason: str


class SubscriptionId(Shape):
    id: str


SUBSCRIBED = EventType("subscription.set", SubscriptionFacts, "A subscription to events was made or changed", SCOPE)
UNSUBSCRIBED = EventType("subscription.deleted", SubscriptionId, "A subscription to events was deleted", SCOPE)
DISABLED = EventType("subscription.disabled", Disabled, "Deliveries of a subscription stopped", SCOPE)
ROTATED = EventType("subscription.secret_rotated", SubscriptionId, "A subscription got a new secret", SCOPE)

_this = (subscriptions.c.account_id == ACCOUNT, subscriptions.c.id == bindparam("subscription"))
ADD = adding(subscriptions)
ALL = Statement(mine(subscriptions).order_by(subscriptions.c.created_at, subscriptions.c.id))
COUNT = Statement(mine(subscriptions, func.count().label("count")))
BY_ID = Statement(mine(subscriptions).where(subscriptions.c.id == bindparam("subscription")))
LOCKED = Statement(mine(subscriptions).where(subscriptions.c.id == bindparam("subscription")).with_for_update())
BY_IDENTITY = Statement(mine(subscriptions).where(subscriptions.c.identity == bindparam("identity")))
ENABLE = Statement(
    update(subscriptions)
    .where(*_this)
    .values(active=True, reason="", failing_since=None, updated_at=bindparam("at", type_=Moment))
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
    known = {name: type for name, type in ctx.house.events.items() if type.scope}
    found: set[str] = set()
    for index, name in enumerate(wanted):
        if name.endswith(".*"):
            names = {each for each in known if each.startswith(name[:-1])}
        else:
            names = {name} & set(known)
        if not names:
            raise wrong(f"event_types[{index}]", f"{name!r} is no type of event that can be subscribed to")
        found |= names
    for name in sorted(found):
        if known[name].scope not in ctx.caller.scopes:
            raise Fault(
                INSUFFICIENT_SCOPE, f"To hear {name}, a client needs {known[name].scope}.", scope=known[name].scope
            )
    return sorted(found)


def check_url(ctx: Ctx, url: str) -> None:
    """What can be seen of a callback URL before it is called. The address it leads to is checked at each call."""
    private = ctx.settings.private_receivers
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError as why:
        raise wrong("callback_url", "is not a URL") from why
    if parts.scheme not in (("https", "http") if private else ("https",)):
        raise wrong("callback_url", "must begin with https://")
    if not parts.hostname or not port_is_right or parts.username is not None or parts.fragment:
        raise wrong("callback_url", "must be a URL with a host, without a user name and a fragment")
    literal = parts.hostname.strip("[]")
    if not private and literal.replace(".", "").replace(":", "").isalnum():
        try:
            public = is_public(literal)
        except ValueError:
            public = True  # a name; looked up when it is called
        if not public:
            raise wrong("callback_url", "must be on the public internet")


async def put(ctx: Ctx, *, url: str, types: list[str], app: str | None) -> tuple[Row, str | None]:
    """Make a subscription, or wake the one that is the same; the secret of a new one."""
    check_url(ctx, url)
    named = chosen(ctx, types or [LIFE])
    client = ctx.caller.client
    identity = digest(msgspec.json.encode((client, app, url, named)))
    before = await find(ctx, BY_IDENTITY, identity=identity)
    if before is not None:
        if not before["active"]:
            await change(ctx, ENABLE, subscription=before["id"], at=ctx.now())
            await emit(ctx, SUBSCRIBED, before["id"], _facts(before))
        return await get(ctx, before["id"]), None
    count = await one(ctx, COUNT)
    if count["count"] >= ctx.settings.event_subscriptions:
        raise Fault(CONFLICT, f"An account may have {ctx.settings.event_subscriptions} subscriptions; delete one.")
    id, secret = ctx.new_uuid(), signing.new_secret(ctx)
    row: Row = {
        "id": id,
        "account_id": ctx.account,
        "client_id": client,
        "app_id": app,
        "callback_url": url,
        "event_types": named,
        "identity": identity,
        "secrets": [signing.sealed(ctx, id, secret)],
        "active": True,
        "reason": "",
        "failing_since": None,
        "created_at": ctx.now(),
        "updated_at": ctx.now(),
    }
    await ctx.db.run(ADD, **row)
    await emit(ctx, SUBSCRIBED, id, _facts(row))
    return row, secret


def _facts(row: Row) -> SubscriptionFacts:
    return SubscriptionFacts(
        id=row["id"], client_id=row["client_id"], callback_url=row["callback_url"], event_types=row["event_types"]
    )


async def get(ctx: Ctx, subscription: str) -> Row:
    return await one(ctx, BY_ID, subscription=subscription)


async def listed(ctx: Ctx, page: int, per_page: int) -> Page[Row]:
    return paged("subscriptions", await all_rows(ctx, ALL), page, per_page)


async def remove(ctx: Ctx, subscription: str) -> None:
    """Delete a subscription with all that was still to be told to it."""
    await one(ctx, LOCKED, subscription=subscription)
    for statement in REMOVE:
        await change(ctx, statement, subscription=subscription)
    await emit(ctx, UNSUBSCRIBED, subscription, SubscriptionId(id=subscription))


async def rotate(ctx: Ctx, subscription: str) -> tuple[str, datetime]:
    """A new secret; the one before signs beside it for a while. The secret, and until when."""
    row = await one(ctx, LOCKED, subscription=subscription)
    secret, until = signing.new_secret(ctx), ctx.now() + timedelta(seconds=ctx.settings.secret_overlap)
    before: list[dict[str, Any]] = [dict(row["secrets"][0], until=until.isoformat())]
    secrets = [signing.sealed(ctx, subscription, secret), *before]
    await change(ctx, SET_SECRETS, subscription=subscription, new_secrets=secrets, at=ctx.now())
    await emit(ctx, ROTATED, subscription, SubscriptionId(id=subscription))
    return secret, until
