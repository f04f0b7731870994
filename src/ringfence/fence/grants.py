"""The life of a scope grant: pending until its activation, effective, and gone the moment it is removed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, update

from ringfence.kernel.catalog import Api, EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Moment
from ringfence.store.outbox import FOR_KEY, emit
from ringfence.store.query import ACCOUNT, Row, all_rows, change, find, mine
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.identity import clients, scope_grants
from ringfence.store.work import enqueue

from .view import changed


class GrantFacts(Shape):
    """Which client, which scope, when it takes or took effect, and why."""

    client_id: str
    scope: str
    effective_at: datetime
    reason: str = ""


SCOPE_ADDED = EventType("client.scope_added", GrantFacts, "A scope was added to a client", "account:read")
SCOPE_EFFECTIVE = EventType("client.scope_effective", GrantFacts, "A scope of a client took effect", "account:read")
SCOPE_REMOVED = EventType("client.scope_removed", GrantFacts, "A scope was removed from a client", "account:read")
SCOPE_CANCELLED = EventType(
    "client.scope_cancelled", GrantFacts, "A pending scope of a client was cancelled", "account:read"
)

ADD = adding(scope_grants)
CLIENT = Statement(mine(clients).where(clients.c.id == bindparam("client"), clients.c.deleted_at.is_(None)))
LIVE = Statement(
    mine(scope_grants)
    .where(scope_grants.c.client_id == bindparam("client"), scope_grants.c.ended_at.is_(None))
    .order_by(scope_grants.c.scope)
)
ALL = Statement(
    mine(scope_grants).where(scope_grants.c.client_id == bindparam("client")).order_by(scope_grants.c.added_at)
)
ONE = Statement(mine(scope_grants).where(scope_grants.c.id == bindparam("grant")))
END = Statement(
    update(scope_grants)
    .where(
        scope_grants.c.account_id == ACCOUNT,
        scope_grants.c.id == bindparam("grant"),
        scope_grants.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("at", type_=Moment), ended_by=bindparam("by"), ended_reason=bindparam("why"))
)


class Activation(Shape):
    grant: str


async def activate(ctx: Ctx, args: Activation) -> None:
    """Say in the log that a grant has taken effect; the fence itself goes by the clock and needs no telling."""
    grant = await find(ctx, ONE, grant=args.grant)
    if grant is not None and grant["ended_at"] is None:
        await emit(ctx, SCOPE_EFFECTIVE, grant["client_id"], _facts(grant))


ACTIVATE = Job("fence.activate", Activation, activate)


def _facts(grant: Row, reason: str | None = None) -> GrantFacts:
    return GrantFacts(
        client_id=grant["client_id"],
        scope=grant["scope"],
        effective_at=grant["effective_at"],
        reason=grant["reason"] if reason is None else reason,
    )


async def _known_client(ctx: Ctx, client: str) -> Row:
    row = await find(ctx, CLIENT, client=client)
    if row is None:
        raise Fault(NOT_FOUND, f"There is no client {client} in this account.")
    return row


async def add(
    ctx: Ctx, *, client: str, scopes: Iterable[str], known: Iterable[str], reason: str, delay: float | None = None
) -> list[Row]:
    """Give scopes to a client, effective after `delay` seconds (the setting where None). The new grants."""
    await _known_client(ctx, client)
    wanted, known = list(dict.fromkeys(scopes)), set(known)
    if strange := [scope for scope in wanted if scope not in known]:
        raise wrong("scope", f"{', '.join(strange)} is not a scope of this server; it has {', '.join(sorted(known))}")
    now = ctx.now()
    delay = ctx.settings.activation_delay if delay is None else delay
    held = {row["scope"] for row in await all_rows(ctx, LIVE, client=client)}
    if twice := [scope for scope in wanted if scope in held]:
        raise Fault(CONFLICT, f"The client already holds {', '.join(twice)}.")
    made: list[Row] = []
    for scope in wanted:
        grant: Row = {
            "id": ctx.new_key(),
            "account_id": ctx.account,
            "client_id": client,
            "scope": scope,
            "added_at": now,
            "added_by": ctx.actor,
            "reason": reason,
            "effective_at": now + timedelta(seconds=delay),
            "ended_at": None,
            "ended_by": None,
            "ended_reason": None,
        }
        await ctx.db.run(ADD, **grant)
        await emit(ctx, SCOPE_ADDED, client, _facts(grant))
        if delay > 0:
            await enqueue(ctx, ACTIVATE, Activation(grant=grant["id"]), due=grant["effective_at"])
        else:
            await emit(ctx, SCOPE_EFFECTIVE, client, _facts(grant))
        made.append(grant)
    await changed(ctx, "client", client)
    return made


async def _end(ctx: Ctx, client: str, scope: str, reason: str, *, what: EventType) -> Row:
    await _known_client(ctx, client)
    grant = next((g for g in await all_rows(ctx, LIVE, client=client) if g["scope"] == scope), None)
    if grant is None:
        raise Fault(NOT_FOUND, f"The client does not hold {scope}.")
    pending = grant["effective_at"] > ctx.now()
    if what is SCOPE_CANCELLED and not pending:
        raise Fault(CONFLICT, f"{scope} is already effective; remove it instead.")
    if not await change(ctx, END, grant=grant["id"], at=ctx.now(), by=ctx.actor, why=reason):
        raise Fault(NOT_FOUND, f"The client does not hold {scope}.")
    await emit(ctx, what, client, _facts(grant, reason))
    await changed(ctx, "client", client)
    return grant


async def remove(ctx: Ctx, *, client: str, scope: str, reason: str) -> Row:
    """Take a scope away, pending or effective: refused from the next request on, tokens already issued included."""
    return await _end(ctx, client, scope, reason, what=SCOPE_REMOVED)


async def cancel(ctx: Ctx, *, client: str, scope: str, reason: str) -> Row:
    """Take back a scope that has not taken effect yet."""
    return await _end(ctx, client, scope, reason, what=SCOPE_CANCELLED)


async def live(ctx: Ctx, client: str) -> list[Row]:
    """The grants of a client that are pending or effective, by scope."""
    await _known_client(ctx, client)
    return await all_rows(ctx, LIVE, client=client)


async def history(ctx: Ctx, client: str) -> list[Row]:
    """Every event about a client, oldest first: who, what, why, when, from where."""
    return await all_rows(ctx, FOR_KEY, key=client)


def state(grant: Row, now: datetime) -> str:
    """`pending`, `effective`, `removed` or `cancelled`."""
    if grant["ended_at"] is not None:
        return "cancelled" if grant["ended_at"] < grant["effective_at"] else "removed"
    return "pending" if grant["effective_at"] > now else "effective"


FENCE: Any = Api(
    name="fence",
    title="Scope grants",
    about="The life of each scope that a client holds.",
    operations=(),
    events=(SCOPE_ADDED, SCOPE_EFFECTIVE, SCOPE_REMOVED, SCOPE_CANCELLED),
    jobs=(ACTIVATE,),
)
