"""Time off: agents by e-mail, types that the centre declares, hours drawn from balances (voice_and_guardian.md 6).

Two time offs of one agent never overlap. Whoever writes holds the agent's row: of two at once one sees the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.floor import inbox
from ringfence.floor.time_off import (
    CHANGED,
    CREATED,
    DELETED,
    ENDED,
    FACTS,
    SCOPE,
    WITH_NAMES,
    facts,
    status_of,
)
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID, NOT_FOUND, Fault, FieldError, Problem, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment, Uuid, among
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine
from ringfence.store.tables.identity import users
from ringfence.store.tables.time_off import time_off_balances as balances
from ringfence.store.tables.time_off import time_off_types as types
from ringfence.store.tables.time_off import time_offs

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LONGEST = timedelta(days=400)
OVERLAP = Problem("time_off_overlap", 409, "The agent has another time off within this one.")
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

ADD = adding(time_offs)
HERE = time_offs.c.user_id == bindparam("user")
THIS = time_offs.c.id == bindparam("which", type_=Uuid)
AGENTS = Statement(
    mine(users, users.c.id, users.c.email, users.c.email_key)
    .where(users.c.active, among(users.c.email_key, bindparam("emails", type_=Json)))
    .order_by(users.c.id)  # in one order, so that nobody waits for each other
    .with_for_update()
)
AGENT = Statement(mine(users, users.c.id).where(users.c.id == bindparam("user")).with_for_update())
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
_whole = select(*FACTS).select_from(WITH_NAMES).where(time_offs.c.account_id == ACCOUNT)  # joined by the account too
BY_ID = Statement(_whole.where(THIS), everywhere=True)
BETWEEN = Statement(
    _whole.where(time_offs.c.end_at > bindparam("since", type_=Moment))
    .where(time_offs.c.start_at < bindparam("until", type_=Moment))
    .order_by(time_offs.c.start_at, time_offs.c.id)
    .limit(bindparam("limit")),
    everywhere=True,
)
BEFORE = Statement(  # as no two overlap, of those that began before only the last can go on
    mine(time_offs)
    .where(HERE, time_offs.c.start_at < bindparam("since", type_=Moment))
    .order_by(time_offs.c.start_at.desc())
    .limit(1)
)
WITHIN = Statement(
    mine(time_offs)
    .where(
        HERE,
        time_offs.c.start_at >= bindparam("since", type_=Moment),
        time_offs.c.start_at < bindparam("until", type_=Moment),
    )
    .order_by(time_offs.c.start_at)
)
SET = Statement(
    update(time_offs)
    .where(time_offs.c.account_id == ACCOUNT, THIS)
    .values(
        {name: bindparam(f"new_{name}", type_=time_offs.c[name].type)
         for name in ("start_at", "end_at", "description", "drawn", "began", "next_at", "updated_at")}
    )
)  # fmt: skip
DROP = Statement(delete(time_offs).where(time_offs.c.account_id == ACCOUNT, THIS))
_balance = (
    balances.c.account_id == ACCOUNT,
    balances.c.user_id == bindparam("user"),
    balances.c.type_key == bindparam("kind"),
)
BALANCE = Statement(select(balances).where(*_balance))
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


# time offs


async def get(ctx: Ctx, which: str) -> Row:
    """One time off with the names of its agent and type, or a 404."""
    row = await find(ctx, BY_ID, which=which)
    if row is None:
        raise Fault(NOT_FOUND)
    return row


async def between(ctx: Ctx, since: datetime, until: datetime, limit: int = 10_000) -> list[Row]:
    return await all_rows(ctx, BETWEEN, since=since, until=until, limit=limit)


def check_span(start: datetime, end: datetime) -> None:
    if end <= start:
        raise wrong("end_at", "must be later than start_at")
    if start < EARLIEST:
        raise wrong("start_at", f"must be from {EARLIEST.year} on")
    if end > LATEST:
        raise wrong("end_at", f"must be before {LATEST.year}")
    if end - start > LONGEST:
        raise wrong("end_at", f"must be within {LONGEST.days} days of start_at")


def unknown(name: str, description: str) -> Fault:
    return Fault(NOT_FOUND, f"{name}: {description}", fields=(FieldError(name, description),))


async def add(
    ctx: Ctx,
    known: Known,
    *,
    email: str,
    type_name: str,
    start: datetime,
    end: datetime,
    description: str | None = None,
    merge: bool = False,
) -> tuple[str, bool]:
    """Give an agent time off: its id, and whether it is a new one. The same again is the one that is there.

    Raises a Fault, having written nothing: 404 for an unknown agent or type, 400 for a span that is none, 409 for an
    overlap and for a balance that is too low. With `merge`, overlapping ones of the same type become one.
    """
    agent, kind = known.agent(email), known.type(type_name)
    if agent is None:
        raise unknown("agent_email", NO_AGENT.format(email))
    if kind is None:
        raise unknown("event_type_name", NO_TYPE.format(type_name))
    check_span(start, end)
    others = await _within(ctx, agent["id"], start, end)
    same = next((o for o in others if (o["type_key"], o["start_at"]) == (kind["key"], start)), None)
    if same is not None and same["end_at"] == end:
        return same["id"], False
    if others:
        strange = [other for other in others if other["type_key"] != kind["key"]]
        if not merge or strange:
            raise _overlap((strange or others)[0], kind)
        return await _merge(ctx, kind, others, start, end, description), False
    drawn = await _draw(ctx, agent["id"], kind, _seconds(start, end), 0)
    now = ctx.now()
    row: Row = {
        "account_id": ctx.account,
        "id": ctx.new_uuid(),
        "user_id": agent["id"],
        "type_key": kind["key"],
        "start_at": start,
        "end_at": end,
        "description": description,
        "drawn": drawn,
        "began": False,
        "next_at": start if end > now else None,
        "created_at": now,
        "updated_at": now,
    }
    await ctx.db.run(ADD, **row)
    told = row | {"agent_email": agent["email"], "event_type_name": kind["name"]}
    await emit(ctx, CREATED, row["id"], facts(told))
    return row["id"], True


async def _within(ctx: Ctx, user: str, start: datetime, end: datetime) -> list[Row]:
    before = await all_rows(ctx, BEFORE, user=user, since=start)
    after = await all_rows(ctx, WITHIN, user=user, since=start, until=end)
    return [*(row for row in before if row["end_at"] > start), *after]


def _overlap(other: Row, kind: Row) -> Fault:
    told = f"From {other['start_at']:%Y-%m-%dT%H:%M:%SZ} to {other['end_at']:%Y-%m-%dT%H:%M:%SZ} the agent has "
    told += f"time off {other['id']}"
    if other["type_key"] != kind["key"]:
        told += ", which is of another type"
    return Fault(OVERLAP, f"{told}.", fields=(FieldError("start_at", "overlaps with another time off"),))


def _seconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds())


async def _draw(ctx: Ctx, user: str, kind: Row, wanted: int, before: int) -> int:
    """Take seconds from a balance, or give back some of those taken `before`. What is taken now."""
    if not kind["draws"] and not before:
        return 0
    more = wanted - before
    at_least = max(more, 0)  # giving back is always possible
    if more and not await change(
        ctx, DRAW, user=user, kind=kind["key"], at_least=at_least, more=more, at=ctx.now()
    ) and more > 0:  # fmt: skip
        row = await find(ctx, BALANCE, user=user, kind=kind["key"])
        left = hours(row["seconds"]) if row else 0
        told = f"{kind['name']} has {left:g} hours left, and {hours(more):g} more are needed"
        raise Fault(TOO_LOW, f"{told}.", fields=(FieldError("event_type_name", told),))
    return wanted


async def _merge(ctx: Ctx, kind: Row, others: list[Row], start: datetime, end: datetime, said: str | None) -> str:
    """Make one of several and a new one; the first of them stays. Its id."""
    first = others[0]
    start, end = min(start, first["start_at"]), max(end, *(other["end_at"] for other in others))
    check_span(start, end)
    before = sum(other["drawn"] for other in others)
    drawn = await _draw(ctx, first["user_id"], kind, _seconds(start, end), before)
    began = any(other["began"] for other in others)
    for other in others[1:]:
        await emit(ctx, DELETED, other["id"], facts(await get(ctx, other["id"])))
        await change(ctx, DROP, which=other["id"])
    await _set(
        ctx, first | {"began": began}, start=start, end=end, description=said or first["description"], drawn=drawn
    )
    id: str = first["id"]
    return id


async def move(ctx: Ctx, which: str, *, start: datetime, end: datetime, description: str | None) -> Row:
    """Change a time off: balances are drawn and given back by the difference. As it is then."""
    row = await _held(ctx, which)
    check_span(start, end)
    kind = {"key": row["type_key"], "name": row["event_type_name"], "draws": row["drawn"] > 0}
    others = [other for other in await _within(ctx, row["user_id"], start, end) if other["id"] != row["id"]]
    if others:
        raise _overlap(others[0], kind)
    drawn = await _draw(ctx, row["user_id"], kind, _seconds(start, end), row["drawn"]) if row["drawn"] else 0
    await _set(ctx, row, start=start, end=end, description=description, drawn=drawn)
    return await get(ctx, which)


async def _held(ctx: Ctx, which: str) -> Row:
    """A time off whose agent is held."""
    row = await get(ctx, which)
    await find(ctx, AGENT, user=row["user_id"])
    return await get(ctx, which)


async def _set(ctx: Ctx, row: Row, *, start: datetime, end: datetime, description: str | None, drawn: int) -> None:
    now = ctx.now()
    began = row["began"] and start <= now
    then = end if began else start if end > now else None
    await change(
        ctx, SET, which=row["id"], new_start_at=start, new_end_at=end, new_description=description, new_drawn=drawn,
        new_began=began, new_next_at=then, new_updated_at=now,
    )  # fmt: skip
    told = facts(await get(ctx, row["id"]))
    await emit(ctx, CHANGED, row["id"], told)
    if row["began"] and not began:
        await emit(ctx, ENDED, row["id"], told)
        await inbox.tell(ctx, inbox.TimeOff(user=row["user_id"]))


async def remove(ctx: Ctx, which: str) -> None:
    """Take a time off back, and give back what it drew."""
    row = await _held(ctx, which)
    if row["drawn"]:
        await _draw(ctx, row["user_id"], {"key": row["type_key"], "draws": True}, 0, row["drawn"])
    await change(ctx, DROP, which=row["id"])
    await emit(ctx, DELETED, row["id"], facts(row))
    if row["began"]:
        await inbox.tell(ctx, inbox.TimeOff(user=row["user_id"]))


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


EVENTS = (TYPE_DECLARED, BALANCE_SET, BALANCE_DELETED)
