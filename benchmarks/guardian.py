"""Guardian: how fast its reaction reads a month, each event once, and what memory that takes.

python -m benchmarks.guardian [--days N] [--calls N] [--database URL]

The month is lived through the demo centre's floor (benchmarks/floor.py), misconduct included; then the one reaction is
let over the whole log as a server would let it, 500 events at a time, and nothing else. Its share of that is timed
beside the whole, which reads the log, decodes its events and commits.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from ringfence.apis.all import APIS
from ringfence.guardian import watch
from ringfence.kernel.settings import load
from ringfence.kernel.world import World
from ringfence.oauth.opening import open_house
from ringfence.sandbox import traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.store import outbox
from ringfence.store.migrate import migrate
from ringfence.store.statement import Statement
from ringfence.store.tables.guardian import call_quality, cases, sessions, subjects
from ringfence.store.worker import Ahead, Worker

from .floor import resident

COUNTS = {
    table.name: Statement(select(func.count().label("n")).select_from(table), everywhere=True)
    for table in (sessions, call_quality, cases, subjects)
}
CASES = Statement(select(cases.c.rule, cases.c.hits_number).order_by(cases.c.detected_at), everywhere=True)


async def measure(url: str, days: float, calls_a_day: int) -> None:
    migrate(url)
    house = await open_house(load({}, database=url, secret_key="5a" * 32), World(), APIS)
    demo = await apply_demo(house)
    account = house.view.account_names[demo["account"]]
    until = house.world.time()
    script = traffic.Script(calls_a_day, "demo", misconduct=True)
    calls = await traffic.backfill(house, account, since=until - days * 86400, until=until, script=script)
    read = again = last = 0
    spent = 0.0

    async def timed(ctx: Any, events: list[Any]) -> None:
        nonlocal spent, read, again, last
        read += len(events)
        again += events[0]["place"] <= last  # places only rise: what is read again lies before the last one
        last = events[-1]["place"]
        begun = time.perf_counter()
        await watch.watch(ctx, events)
        spent += time.perf_counter() - begun

    reaction = replace(watch.WATCH, run_all=timed)
    worker = Worker(house.db, house.world, (replace(watch.GUARDIAN, reactions=(reaction,), jobs=()),), house.ctx)
    await worker.plant()
    while await outbox.stamp(house.db):
        pass
    memory: list[int] = []
    begun, batches, events = time.perf_counter(), 0, 0
    while count := await worker.react(reaction, Ahead()):
        events += count
        batches += 1
        if batches % 200 == 0:
            memory.append(resident())
    took = time.perf_counter() - begun
    async with house.db.reading() as tx:
        rows = {name: (await tx.all(statement))[0]["n"] for name, statement in COUNTS.items()}
        found = await tx.all(CASES)
    sys.stdout.write(
        f"{house.db.name}: {calls:,} calls of {days:g} days, {events:,} events in {took:.1f} s ="
        f" {events / took:,.0f} events/s; {spent:.1f} s of it in the reaction = {events / spent:,.0f} events/s\n"
        f"read {read:,} events, {again} runs began before the end of the last one;"
        f" memory {memory[0] if memory else resident()} MB after 100,000 events, {resident()} MB at the end,"
        f" {max(memory, default=resident())} MB at most\nrows: {rows}\n"
        f"cases: {dict(Counter(row['rule'] for row in found))}\n"
    )
    await house.db.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--calls", type=int, default=4000, help="of an average day")
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        await measure(given.database or f"sqlite:///{folder}/bench.db", given.days, given.calls)


if __name__ == "__main__":
    asyncio.run(main())
