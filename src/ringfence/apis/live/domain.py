"""Who may open a stream, and what it begins with."""

from dataclasses import replace
from typing import Any

from ringfence.fence.gate import bearer
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INSUFFICIENT_SCOPE, NOT_AUTHENTICATED, Fault, Problem
from ringfence.kernel.shapes import Asked
from ringfence.live import subscriptions, ticker
from ringfence.live.streams import Stream
from ringfence.store.query import Row

TOO_MANY_STREAMS = Problem(
    "too_many_streams", 429, "The subscription has as many open streams as it may have; close one first."
)
OPERATION = "GET /live-subscriptions/{subscription_id}/stream"


async def begin(ctx: Ctx, subscription: str, *, token: str, last_id: str, asked: Asked) -> tuple[Stream, Row]:
    """A stream, not yet open, and its subscription. The token of the link will do, or one of the token endpoint."""
    if token:
        row = await subscriptions.of_token(ctx, subscription, token)
        await ctx.house.view_confirmed()
        clients = [row["client_id"]]
        _may_read(ctx, row)
    else:
        row, clients = await _by_bearer(ctx, subscription, asked)
    ctx.house.usage.note(row["account_id"], clients[-1], ticker.SCOPE, OPERATION)
    if len(ticker.of(ctx.house).streams.get(subscription, ())) >= ticker.ABREAST:
        told = f"A subscription may have {ticker.ABREAST} streams."
        raise Fault(TOO_MANY_STREAMS, told, headers=(("Retry-After", "5"),))
    stream = Stream(
        row["account_id"],
        row["id"],
        clients=clients,
        ends_at=row["ends_at"].timestamp(),
        last_id=asked.headers.get("last-event-id") or last_id,
    )
    return stream, row


def _may_read(ctx: Ctx, row: Row) -> None:
    """The client that subscribed still holds the scope."""
    client: Any = ctx.house.view.clients.get(row["client_id"])
    if client is None or client.account != row["account_id"] or ticker.SCOPE not in client.effective(ctx.world.time()):
        told = f"The client that subscribed does not hold {ticker.SCOPE} any more."
        raise Fault(INSUFFICIENT_SCOPE, told, scope=ticker.SCOPE)


async def _by_bearer(ctx: Ctx, subscription: str, asked: Asked) -> tuple[Row, list[str]]:
    token = bearer(asked.headers.get("authorization"))
    if token is None:
        raise Fault(NOT_AUTHENTICATED)
    who = await ctx.house.identify(token)
    if ticker.SCOPE not in who.scopes:
        raise Fault(INSUFFICIENT_SCOPE, f"This operation needs {ticker.SCOPE}.", scope=ticker.SCOPE)
    row = await subscriptions.get(replace(ctx, account=who.account), subscription)
    _may_read(ctx, row)
    return row, list(dict.fromkeys((row["client_id"], who.client)))
