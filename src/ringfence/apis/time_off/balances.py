"""Who may have time off, for what, and how many hours of it: agents, types that the centre declares, balances."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.floor.time_off import SCOPE, status_of
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID, NOT_FOUND, Fault, FieldError, Problem
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment, Uuid, among
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, change, find, mine
from ringfence.store.tables.identity import users
from ringfence.store.tables.time_off import time_off_balances as balances
from ringfence.store.tables.time_off import time_off_types as types

TOO_LOW = Problem("balance_too_low", 409, "The agent's balance has fewer hours than this time off takes.")
NO_AGENT = "there is no active agent {!r} in this account"
NO_TYPE = "there is no event type {!r} in this account"


class TypeFacts(Shape):
    name: str
    draws_balance: bool


class BalanceFacts(Shape):
    """Hours that an agent may still take."""

    id: str
    user_id: str
    event_type_name: str
    balance: float


TYPE_DECLARED = EventType("time_off.type_declared", TypeFacts, "A type of time off was declared", SCOPE)
BALANCE_SET = EventType("time_off.balance_set", BalanceFacts, "The balance of an agent was set", SCOPE)
BALANCE_DELETED = EventType("time_off.balance_deleted", BalanceFacts, "The balance of an agent was deleted", SCOPE)


AGENTS = Statement(
    mine(users, users.c.id, users.c.email, users.c.email_key)
    .where(users.c.active, among(users.c.email_key, bindparam("emails", type_=Json)))
    .order_by(users.c.id)  # in one order, so that nobody waits for each other
    .with_for_update()
)
TYPES = Statement(mine(types).order_by(types.c.name))
SET_TYPE = Statement(
    upsert(types)
    .values(account_id=ACCOUNT, key=bindparam("new_key"), name=bindparam("new_name"), status=bindparam("new_status"),
            draws=bindparam("new_draws"))
    .on_conflict_do_update(
        index_elements=[types.c.account_id, types.c.key],
        set_={"name": bindparam("new_name"), "status": bindparam("new_status"), "draws": bindparam("new_draws")},
    )
)  # fmt: skip
_balance = (
    balances.c.account_id == ACCOUNT,
    balances.c.user_id == bindparam("user"),
    balances.c.type_key == bindparam("kind"),
)
BALANCE = Statement(select(balances).where(*_balance))
BALANCES_OF = Statement(  # held until the end of the transaction
    mine(balances)
    .where(among(balances.c.user_id, bindparam("users", type_=Json)))
    .order_by(balances.c.user_id, balances.c.type_key)
    .with_for_update()
)
DRAW = Statement(
    update(balances)
    .where(*_balance, balances.c.seconds >= bindparam("at_least"))
    .values(seconds=balances.c.seconds - bindparam("more"), updated_at=bindparam("at", type_=Moment))
)
SET_BALANCE = Statement(
    upsert(balances)
    .values(account_id=ACCOUNT, id=bindparam("new_id", type_=Uuid), user_id=bindparam("user"),
            type_key=bindparam("kind"), seconds=bindparam("left"), updated_at=bindparam("at", type_=Moment))
    .on_conflict_do_update(
        index_elements=[balances.c.account_id, balances.c.user_id, balances.c.type_key],
        set_={"seconds": bindparam("left"), "updated_at": bindparam("at", type_=Moment)},
    )
)  # fmt: skip
BALANCES = Statement(
    select(balances, users.c.email.label("agent_email"), types.c.name.label("event_type_name"))
    .join(users, (users.c.account_id == balances.c.account_id) & (users.c.id == balances.c.user_id))
    .join(types, (types.c.account_id == balances.c.account_id) & (types.c.key == balances.c.type_key))
    .where(balances.c.account_id == ACCOUNT)
    .order_by(users.c.email, types.c.name),
    everywhere=True,
)
DROP_BALANCE = Statement(
    delete(balances)
    .where(balances.c.account_id == ACCOUNT, balances.c.id == bindparam("which", type_=Uuid))
    .returning(balances)
)


@dataclass(frozen=True, slots=True)
class Known:
    """Agents, held until the end of the transaction, and types, by names without case."""

    agents: Mapping[str, Row]
    types: Mapping[str, Row]

    def agent(self, email: str) -> Row | None:
        return self.agents.get(email.casefold())

    def type(self, name: str) -> Row | None:
        return self.types.get(name.casefold())


async def known(ctx: Ctx, emails: Iterable[str]) -> Known:
    """What there is of the agents that are named, and all types."""
    keys = sorted({email.casefold() for email in emails})
    agents = {row["email_key"]: row for row in await all_rows(ctx, AGENTS, emails=keys)}
    return Known(agents, {row["key"]: row for row in await all_rows(ctx, TYPES)})


# types


async def all_types(ctx: Ctx) -> list[Row]:
    return await all_rows(ctx, TYPES)


async def declare_type(ctx: Ctx, *, name: str, draws_balance: bool) -> None:
    """Make a type, or change whether it is taken from a balance: from the next time off on."""
    await change(
        ctx, SET_TYPE, new_key=name.casefold(), new_name=name, new_status=status_of(name), new_draws=draws_balance
    )
    await emit(ctx, TYPE_DECLARED, name, TypeFacts(name=name, draws_balance=draws_balance))


# balances


def hours(seconds: int) -> float:
    return round(seconds / 3600, 4)


async def all_balances(ctx: Ctx) -> list[Row]:
    return await all_rows(ctx, BALANCES)


@dataclass(frozen=True, slots=True)
class Given:
    """Hours that an agent may take of one type."""

    email: str
    type_name: str
    hours: float


async def set_balances(ctx: Ctx, given: list[Given]) -> list[Row]:
    """Set balances, all of them or, with a Fault that names each one that is wrong, none."""
    found = await known(ctx, [one.email for one in given])
    seen: set[tuple[str, str]] = set()
    twice, strange = [], []
    for index, one in enumerate(given):
        at, key = f"time_off_balances[{index}]", (one.email.casefold(), one.type_name.casefold())
        if key in seen:
            twice.append(FieldError(f"{at}.event_type_name", "this agent's balance of this type is there twice"))
        seen.add(key)
        if found.agent(one.email) is None:
            strange.append(FieldError(f"{at}.agent_email", NO_AGENT.format(one.email)))
        if found.type(one.type_name) is None:
            strange.append(FieldError(f"{at}.event_type_name", NO_TYPE.format(one.type_name)))
    if wrongs := [*strange, *twice]:
        told = "; ".join(f"{one.name}: {one.description}" for one in wrongs[:3])
        raise Fault(NOT_FOUND if strange else INVALID, told, fields=tuple(wrongs))
    return [await _set_balance(ctx, found.agents[e], found.types[t], one) for (e, t), one in _keyed(given)]


def _keyed(given: list[Given]) -> list[tuple[tuple[str, str], Given]]:
    return [((one.email.casefold(), one.type_name.casefold()), one) for one in given]


async def _set_balance(ctx: Ctx, agent: Row, kind: Row, given: Given) -> Row:
    names: dict[str, Any] = {"user": agent["id"], "kind": kind["key"]}
    left = round(given.hours * 3600)
    await change(ctx, SET_BALANCE, new_id=ctx.new_uuid(), left=left, at=ctx.now(), **names)
    row = await find(ctx, BALANCE, **names) or {}
    await _tell_balance(ctx, BALANCE_SET, row, kind["name"])
    return row | {"agent_email": agent["email"], "event_type_name": kind["name"]}


async def _tell_balance(ctx: Ctx, what: EventType, row: Row, name: str) -> None:
    told = BalanceFacts(id=row["id"], user_id=row["user_id"], event_type_name=name, balance=hours(row["seconds"]))
    await emit(ctx, what, row["user_id"], told)


async def delete_balance(ctx: Ctx, which: str) -> None:
    """Drop a balance: of a type that draws, nothing may be taken until there is one again."""
    gone = await find(ctx, DROP_BALANCE, which=which)
    if gone is None:
        raise Fault(NOT_FOUND)
    names = {row["key"]: row["name"] for row in await all_rows(ctx, TYPES)}
    await _tell_balance(ctx, BALANCE_DELETED, gone, names[gone["type_key"]])


# what is drawn


async def draw(ctx: Ctx, user: str, kind: Row, wanted: int, before: int) -> int:
    """Take seconds from a balance, or give back some of those taken `before`. What is taken now."""
    if not kind["draws"] and not before:
        return 0
    more = wanted - before
    at_least = max(more, 0)  # giving back is always possible
    if more and not await change(
        ctx, DRAW, user=user, kind=kind["key"], at_least=at_least, more=more, at=ctx.now()
    ) and more > 0:  # fmt: skip
        row = await find(ctx, BALANCE, user=user, kind=kind["key"])
        raise _too_low(kind, row["seconds"] if row else 0, more)
    return wanted


def draw_from(left: dict[tuple[str, str], int], user: str, kind: Row, wanted: int) -> int:
    """Take seconds from balances that are held, by agent and type. What is taken now."""
    if not kind["draws"]:
        return 0
    key = user, kind["key"]
    if left.get(key, 0) < wanted:
        raise _too_low(kind, left.get(key, 0), wanted)
    left[key] -= wanted
    return wanted


def _too_low(kind: Row, left: int, more: int) -> Fault:
    told = f"{kind['name']} has {hours(left):g} hours left, and {hours(more):g} more are needed"
    return Fault(TOO_LOW, f"{told}.", fields=(FieldError("event_type_name", told),))


EVENTS = (TYPE_DECLARED, BALANCE_SET, BALANCE_DELETED)
