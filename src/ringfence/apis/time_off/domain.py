"""Time off: given, moved and taken back, with hours drawn from balances (voice_and_guardian.md 6).

Two time offs of one agent never overlap. Whoever writes holds the agent's row: of two at once one sees the other.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, select, update

from ringfence.floor import inbox
from ringfence.floor.time_off import (
    CHANGED,
    CREATED,
    DELETED,
    ENDED,
    FACTS,
    WITH_NAMES,
    facts,
)
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault, FieldError, Problem, wrong
from ringfence.store.columns import Moment, Uuid
from ringfence.store.outbox import emit, emit_many
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine
from ringfence.store.tables.identity import users
from ringfence.store.tables.time_off import time_offs

from . import balances

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LONGEST = timedelta(days=400)
OVERLAP = Problem("time_off_overlap", 409, "The agent has another time off within this one.")


ADD = adding(time_offs)
HERE = time_offs.c.user_id == bindparam("user")
THIS = time_offs.c.id == bindparam("which", type_=Uuid)
AGENT = Statement(mine(users, users.c.id).where(users.c.id == bindparam("user")).with_for_update())
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


class Wish(NamedTuple):
    """Time off for an agent, who is held."""

    agent: Row
    kind: Row
    start: datetime
    end: datetime
    description: str | None

    @property
    def seconds(self) -> int:
        return _seconds(self.start, self.end)


def wish(
    known: balances.Known, *, email: str, type_name: str, start: datetime, end: datetime, description: str | None = None
) -> Wish:
    """What is asked for. Raises a Fault: 404 for an unknown agent or type, 400 for a span that is none."""
    agent, kind = known.agent(email), known.type(type_name)
    if agent is None:
        raise unknown("agent_email", balances.NO_AGENT.format(email))
    if kind is None:
        raise unknown("event_type_name", balances.NO_TYPE.format(type_name))
    check_span(start, end)
    return Wish(agent, kind, start, end, description)


async def add(
    ctx: Ctx,
    known: balances.Known,
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
    asked = wish(known, email=email, type_name=type_name, start=start, end=end, description=description)
    others = await _within(ctx, asked.agent["id"], start, end)
    if (same := _same(asked, others)) is not None:
        return same["id"], False
    if others and merge and all(other["type_key"] == asked.kind["key"] for other in others):
        return await _merge(ctx, asked, others), False
    _refuse_overlap(asked.kind, others)
    row = _given(ctx, asked, await balances.draw(ctx, asked.agent["id"], asked.kind, asked.seconds, 0))
    await ctx.db.run(ADD, **row)
    await emit(ctx, CREATED, row["id"], facts(row))
    return row["id"], True


async def add_many(ctx: Ctx, wishes: list[Wish]) -> list[Fault | None]:
    """Give time off as `add` does, each wish seeing those before it, in a handful of statements for all of them.

    For each wish why it was refused, or None.
    """
    near = await _near(ctx, [(one.agent["id"], one.start, one.end) for one in wishes])
    drawing = sorted({one.agent["id"] for one in wishes if one.kind["draws"]})
    rows = await all_rows(ctx, balances.BALANCES_OF, users=drawing) if drawing else []
    left = {(row["user_id"], row["type_key"]): row["seconds"] for row in rows}
    before, made, found = dict(left), list[Row](), list[Fault | None]()
    for one, others in zip(wishes, near, strict=True):
        others += [row for row in made if row["user_id"] == one.agent["id"] and _meet(row, one.start, one.end)]
        try:
            if _same(one, others) is None:
                _refuse_overlap(one.kind, others)
                made.append(_given(ctx, one, balances.draw_from(left, one.agent["id"], one.kind, one.seconds)))
            found.append(None)
        except Fault as why:
            found.append(why)
    await ctx.db.many(ADD, made)
    await emit_many(ctx, [(CREATED, row["id"], ctx.now(), msgspec.to_builtins(facts(row))) for row in made])
    for (user, kind), seconds in before.items():
        if more := seconds - left[user, kind]:
            await change(ctx, balances.DRAW, user=user, kind=kind, at_least=more, more=more, at=ctx.now())
    return found


async def _near(ctx: Ctx, spans: list[tuple[str, datetime, datetime]]) -> list[list[Row]]:
    """What each span of an agent would overlap with."""
    asked = [{"account": ctx.account, "user": user, "since": start, "until": end} for user, start, end in spans]
    before, after = await ctx.db.each(BEFORE, asked), await ctx.db.each(WITHIN, asked)
    return [
        [*(row for row in earlier if _meet(row, start, end)), *later]
        for (_, start, end), earlier, later in zip(spans, before, after, strict=True)
    ]


def _meet(row: Row, start: datetime, end: datetime) -> bool:
    return bool(row["start_at"] < end and row["end_at"] > start)


def _same(asked: Wish, others: list[Row]) -> Row | None:
    same = (asked.kind["key"], asked.start, asked.end)
    return next((other for other in others if (other["type_key"], other["start_at"], other["end_at"]) == same), None)


def _given(ctx: Ctx, asked: Wish, drawn: int) -> Row:
    """A new time off with the names of its agent and type."""
    now = ctx.now()
    return {
        "account_id": ctx.account,
        "id": ctx.new_uuid(),
        "user_id": asked.agent["id"],
        "agent_email": asked.agent["email"],
        "type_key": asked.kind["key"],
        "event_type_name": asked.kind["name"],
        "start_at": asked.start,
        "end_at": asked.end,
        "description": asked.description,
        "drawn": drawn,
        "began": False,
        "next_at": asked.start if asked.end > now else None,
        "created_at": now,
        "updated_at": now,
    }


async def _within(ctx: Ctx, user: str, start: datetime, end: datetime) -> list[Row]:
    [found] = await _near(ctx, [(user, start, end)])
    return found


def _refuse_overlap(kind: Row, others: list[Row]) -> None:
    """Raises a Fault that names one of those that overlap: of another type, which no merging helps, if there is one."""
    if not others:
        return
    other = next((other for other in others if other["type_key"] != kind["key"]), others[0])
    told = f"From {other['start_at']:%Y-%m-%dT%H:%M:%SZ} to {other['end_at']:%Y-%m-%dT%H:%M:%SZ} the agent has "
    told += f"time off {other['id']}"
    if other["type_key"] != kind["key"]:
        told += ", which is of another type"
    raise Fault(OVERLAP, f"{told}.", fields=(FieldError("start_at", "overlaps with another time off"),))


def _seconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds())


async def _merge(ctx: Ctx, asked: Wish, others: list[Row]) -> str:
    """Make one of several and a new one; the first of them stays. Its id."""
    first, said = others[0], asked.description
    start, end = min(asked.start, first["start_at"]), max(asked.end, *(other["end_at"] for other in others))
    check_span(start, end)
    before = sum(other["drawn"] for other in others)
    drawn = await balances.draw(ctx, first["user_id"], asked.kind, _seconds(start, end), before)
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
    _refuse_overlap(kind, others)
    drawn = await balances.draw(ctx, row["user_id"], kind, _seconds(start, end), row["drawn"]) if row["drawn"] else 0
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
        await balances.draw(ctx, row["user_id"], {"key": row["type_key"], "draws": True}, 0, row["drawn"])
    await change(ctx, DROP, which=row["id"])
    await emit(ctx, DELETED, row["id"], facts(row))
    if row["began"]:
        await inbox.tell(ctx, inbox.TimeOff(user=row["user_id"]))
