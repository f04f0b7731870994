"""Time off on the floor: at its beginning an agent is taken out of routing, at its end they are given back.

One process at a time looks after it; what is due is noted in the row, so that nothing is missed while nobody looks.
"""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy import bindparam, select, update

from ringfence.fence.house import House
from ringfence.kernel.catalog import Api, Duty, EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Moment, Uuid
from ringfence.store.db import Transaction
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, change
from ringfence.store.tables.identity import users
from ringfence.store.tables.time_off import time_off_types, time_offs

from . import inbox

log = structlog.get_logger()
LOOK = 0.5  # seconds between looks at what is due
CHUNK = 200  # time offs that begin or end in one transaction
SCOPE = "wfm-aion-public:write"  # the one scope that the contract has for time off
AWAY = "away_time_off"  # of a type whose name holds no letter or digit


class TimeOffFacts(Shape):
    """A time off. What it is for is told by its type; its description stays here."""

    id: str
    user_id: str
    agent_email: str
    event_type_name: str
    start_at: datetime
    end_at: datetime


CREATED = EventType("time_off.created", TimeOffFacts, "An agent was given time off", SCOPE)
CHANGED = EventType("time_off.changed", TimeOffFacts, "A time off was moved or described anew", SCOPE)
DELETED = EventType("time_off.deleted", TimeOffFacts, "A time off was taken back", SCOPE)
BEGAN = EventType("time_off.began", TimeOffFacts, "An agent's time off began", SCOPE)
ENDED = EventType("time_off.ended", TimeOffFacts, "An agent's time off was over", SCOPE)

FACTS = (
    time_offs,
    users.c.email.label("agent_email"),
    time_off_types.c.name.label("event_type_name"),
    time_off_types.c.status.label("status"),
)
WITH_NAMES = time_offs.join(
    users, (users.c.account_id == time_offs.c.account_id) & (users.c.id == time_offs.c.user_id)
).join(
    time_off_types,
    (time_off_types.c.account_id == time_offs.c.account_id) & (time_off_types.c.key == time_offs.c.type_key),
)
SOONEST = Statement(
    select(time_offs.c.next_at).where(time_offs.c.next_at.is_not(None)).order_by(time_offs.c.next_at).limit(1),
    everywhere=True,
)
DUE = Statement(
    select(*FACTS)
    .select_from(WITH_NAMES)
    .where(time_offs.c.next_at <= bindparam("now", type_=Moment))
    .order_by(time_offs.c.next_at, time_offs.c.id)
    .limit(CHUNK)
    .with_for_update(of=time_offs),
    everywhere=True,
)
SET_NEXT = Statement(
    update(time_offs)
    .where(time_offs.c.account_id == ACCOUNT, time_offs.c.id == bindparam("which", type_=Uuid))
    .values(began=bindparam("now_on"), next_at=bindparam("then", type_=Moment))
)


def facts(row: Row) -> TimeOffFacts:
    names = ("id", "user_id", "agent_email", "event_type_name", "start_at", "end_at")
    return TimeOffFacts(**{name: row[name] for name in names})


def status_of(name: str) -> str:
    """The status of an agent who is away for a type of time off: `Sick leave` is `away_sick_leave`."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.casefold()).split()
    return f"away_{'_'.join(words)[:59]}" if words else AWAY


async def pass_time(house: House) -> int:
    """Let begin and end what is due by now; how many did."""
    async with house.db.reading() as tx:
        soonest = await tx.one(SOONEST)
    if soonest is None or soonest["next_at"] > house.world.now():
        return 0
    async with house.db.writing() as tx:
        count, told = await begin_and_end(house, tx, "floor")
        for account, command in told:
            await inbox.tell(house.ctx(tx, account, "floor"), command)
    return count


async def begin_and_end(house: House, tx: Transaction, origin: str) -> tuple[int, list[tuple[str, inbox.TimeOff]]]:
    """Write down what is due by now: how many that were, and what the floor of each account is to be told."""
    rows = await tx.all(DUE, now=house.world.now())
    told: dict[tuple[str, str], str | None] = {}
    for row in sorted(rows, key=lambda row: not row["began"]):  # first the ends: another may begin at once
        ctx = house.ctx(tx, row["account_id"], "floor", origin)
        if row["began"]:
            told[row["account_id"], row["user_id"]] = None
        elif (status := await _begin(ctx, row)) is not None:
            told[row["account_id"], row["user_id"]] = status
            continue
        await change(ctx, SET_NEXT, which=row["id"], now_on=False, then=None)
        await emit(ctx, ENDED, row["id"], facts(row))
    return len(rows), [(account, inbox.TimeOff(user=user, status=now)) for (account, user), now in told.items()]


async def _begin(ctx: Ctx, row: Row) -> str | None:
    """The status that the agent has now; None where it is over already, because nobody looked in time."""
    await emit(ctx, BEGAN, row["id"], facts(row))
    if row["end_at"] <= ctx.now():
        return None
    await change(ctx, SET_NEXT, which=row["id"], now_on=True, then=row["end_at"])
    status: str = row["status"]
    return status


async def keep(house: House) -> None:
    """Until cancelled."""
    while True:
        try:
            busy = await pass_time(house)
        except Exception:
            log.exception("time_off.failed")
            busy = 0
        if not busy:
            await asyncio.sleep(LOOK)


KEEPING = Duty("floor.time_off", keep)
TIME_OFF = Api(
    name="time-off-floor",
    title="Time off on the floor",
    about="Takes agents out of routing while they have time off.",
    operations=(),
    events=(CREATED, CHANGED, DELETED, BEGAN, ENDED),
    duties=(KEEPING,),
)
