"""The facts brought to the log's end in large steps, or made anew: for commands, beside a server or without one.

Whoever holds the cursor's row works, a step to a transaction with its cursor. What is killed goes on from there.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.store import outbox
from ringfence.store.db import Db, Transaction
from ringfence.store.statement import Statement
from ringfence.store.tables.facts import FACTS
from ringfence.store.tables.identity import platform_facts
from ringfence.store.tables.log import cursors, events

from .batch import Batch
from .facts import AUDITED, KEEP, PROJECTORS, begin_anew, come_to

STEP = 5000  # events of one transaction
BUSY = 0.05  # seconds until another look at a cursor that somebody else holds
UNDERWAY = "facts.rebuild"  # among the platform's facts: how far it is to go
Progress = Callable[[int, int], None]  # (place of the cursor, last place)

event = events.c
OF_USE = or_(
    *[event.type == name for name in sorted(PROJECTORS)],
    *[event.type.like(f"{area}.%") for area in sorted(AUDITED)],
)  # the others need not be read
BETWEEN = Statement(
    select(*[column for column in event if column.name not in ("n", "place")])
    .where(event.place > bindparam("after"), event.place <= bindparam("upto"), OF_USE)
    .order_by(event.place),
    everywhere=True,
)
SEEN = Statement(select(cursors).where(cursors.c.name == KEEP.name), everywhere=True)
GOAL = Statement(select(platform_facts.c.value).where(platform_facts.c.name == UNDERWAY), everywhere=True)
SET_GOAL = Statement(
    upsert(platform_facts)
    .values(name=UNDERWAY, value=bindparam("goal"))
    .on_conflict_do_update(index_elements=[platform_facts.c.name], set_={"value": bindparam("goal")}),
    everywhere=True,
)
DROP_GOAL = Statement(delete(platform_facts).where(platform_facts.c.name == UNDERWAY), everywhere=True)
COUNTS = [(table.name, Statement(select(func.count().label("count")).select_from(table), everywhere=True))
          for table in FACTS]  # fmt: skip


async def how_far(tx: Transaction) -> tuple[int, int]:
    """The place of the cursor, and the last place of the log."""
    row, last = await tx.one(SEEN), await tx.one(outbox.LAST)
    return row["place"] if row else 0, last["place"] if last else 0


async def counts(tx: Transaction) -> dict[str, int]:
    """Rows of each table of facts."""
    found: dict[str, Any] = {name: await tx.one(statement) for name, statement in COUNTS}
    return {name: row["count"] for name, row in found.items()}


async def rebuild(db: Db, progress: Progress, *, began: Callable[[bool], None]) -> int:
    """Make the facts anew, or go on where that was broken off; `began` is told which (True: anew). Events read."""
    async with db.writing() as tx:
        goal = await tx.one(GOAL)
        place, last = await how_far(tx)
        anew = goal is None or place >= int(goal["value"])
        if anew:
            await begin_anew(tx)
            await tx.run(SET_GOAL, goal=str(last))
            place = 0
    began(anew)
    count = await catch_up(db, progress)
    async with db.writing() as tx:
        await tx.run(DROP_GOAL)
    return count


async def catch_up(db: Db, progress: Progress) -> int:
    """Bring the facts to the end that the log has now. How many events that was, whoever read them."""
    while await outbox.stamp(db):
        pass
    async with db.writing() as tx:
        await tx.run(outbox.BEGIN_CURSOR, name=KEEP.name, place=0)
    async with db.reading() as tx:
        first, last = await how_far(tx)
    place = first
    ahead = asyncio.create_task(_read(db, place, last))
    try:
        while place < last:
            progress(place, last)
            batch = await ahead
            async with db.writing() as tx:
                held = await tx.one(outbox.CURSOR, name=KEEP.name)
                if held is not None and held["place"] < last:
                    if held["place"] != place:  # another was quicker; now it waits for us
                        place = held["place"]
                        batch = come_to(await tx.all(BETWEEN, after=place, upto=min(place + STEP, last)))
                    place = min(place + STEP, last)
                    ahead = asyncio.create_task(_read(db, place, last))  # while these are written
                    await batch.write(tx)
                    await tx.run(outbox.MOVE, name_=KEEP.name, place_=place)
                elif held is not None:
                    place = last
            if held is None:
                await asyncio.sleep(BUSY)
                async with db.reading() as tx:
                    place, _ = await how_far(tx)
                ahead = asyncio.create_task(_read(db, place, last))
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
    progress(last, last)
    return last - first


async def _read(db: Db, place: int, last: int) -> Batch:
    """What the next step comes to."""
    async with db.reading() as tx:
        return come_to(await tx.all(BETWEEN, after=place, upto=min(place + STEP, last)))
