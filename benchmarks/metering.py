"""How many events a second metering takes into the books, from the log.

python -m benchmarks.metering [--events N] [--database URL]

Calls, messages and reports of one account with eight buckets and six meters, read in steps of 500 as the worker does,
each step one transaction with its cursor. The baseline is the same walk through the log with nothing done.
"""

import argparse
import asyncio
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from ringfence.apis.all import APIS
from ringfence.kernel.settings import load
from ringfence.kernel.world import World
from ringfence.metering import declaring, keeping
from ringfence.oauth.opening import open_house
from ringfence.store import outbox

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
TYPES = {event.name: event for api in APIS for event in api.events}


def _bucket(number: int) -> dict[str, Any]:
    tier = number % 4 or None
    return {
        "charge_number": f"B{number}", "resource": ("voice_talk_time", "messages")[number % 2],
        "unit_of_measure": ("MINUTES", "UNITS")[number % 2], "plafond": 10**12, "plafond_multiplier": 10**6,
        "effective_start": FIRST, "effective_end": FIRST + timedelta(days=400), "renews": "MONTHLY",
        "type": "TIER" if tier else "FREE_UNITS", "tier": tier, "price": 12_000 if tier else None, "properties": {},
    }  # fmt: skip


async def declare(ctx: Any) -> None:
    await declaring.set_wallet(ctx, "main", {"product_name": "Main", "declared": 10**12, "low": 10**9})
    for number in range(8):
        await declaring.set_bucket(ctx, _bucket(number))
    for resource in ("voice_talk_time", "voice_total_time", "messages", "reports", "report_rows", "voice_calls"):
        unit = "MINUTES" if resource.endswith("time") else "UNITS"
        facts = {"unit_of_measure": unit, "rounding": "STARTED", "wallet": "main", "price": 2000}
        await declaring.set_meter(ctx, resource, facts)


def told(number: int) -> tuple[Any, str, datetime, Any]:
    at = FIRST + timedelta(seconds=7 * number)
    if number % 2:
        return TYPES["call.ended"], f"{number}", at, {"talk_time": number % 600, "total_time": number % 700}
    if number % 10:
        return TYPES["message.exchanged"], f"{number}", at, {}
    return TYPES["report.finished"], f"{number}", at, {"status": "done", "rows": number, "bytes": 40 * number}


async def empty_walk(house: Any) -> float:
    started, place = time.perf_counter(), 0
    while True:
        async with house.db.writing() as tx:
            found = await tx.all(outbox.AFTER, place=place)
            if not found:
                return time.perf_counter() - started
            place = found[-1]["place"]
            await tx.run(outbox.MOVE, name_="nobody", place_=place)


async def measure(url: str, count: int) -> None:
    house = await open_house(load({}, database=url, secret_key="5a" * 32), World(), APIS)
    account = house.world.new_id(24)
    async with house.db.writing() as tx:
        await declare(house.ctx(tx, account, "bench"))
    for start in range(0, count, 5000):
        async with house.db.writing() as tx:
            log = [told(number) for number in range(start, min(start + 5000, count))]
            await outbox.emit_many(house.ctx(tx, account, "bench"), log)
    while await outbox.stamp(house.db):
        pass
    for _ in range(3):
        async with house.db.writing() as tx:
            await tx.run(outbox.BEGIN_CURSOR, name=keeping.METER.name, place=0)
            await keeping.begin_anew(tx)
        plain = await empty_walk(house)
        started = time.perf_counter()
        read = await keeping.catch_up(house)
        took = time.perf_counter() - started
        print(
            f"{read} events in {took:.2f} s = {read / took:,.0f}/s, {took / read * 1e6:.1f} µs each;"
            f" the walk alone {plain:.2f} s = {read / plain:,.0f}/s"
        )
    await house.db.close()


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.metering")
    asked.add_argument("--events", type=int, default=50_000)
    asked.add_argument("--database", default="")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(given.database or f"sqlite:///{folder}/ringfence.db", given.events))


if __name__ == "__main__":
    main()
