"""The floor: a month of history through the keeper, and a living centre's cost.

python -m benchmarks.floor [--days N] [--calls N] [--database URL]

History is written with the demo centre's people and flows into a new database. Memory is measured after the first
day and at the end.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from ringfence.apis.all import APIS
from ringfence.kernel.settings import load
from ringfence.kernel.world import World
from ringfence.oauth.opening import open_house
from ringfence.sandbox import traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.store.migrate import migrate


def resident() -> int:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 // 2**20


async def history(url: str, days: float, calls_a_day: int) -> None:
    migrate(url)
    house = await open_house(load({}, database=url, secret_key="5a" * 32), World(), APIS)
    demo = await apply_demo(house)
    account = house.view.account_names[demo["account"]]
    until = house.world.time()
    memory: list[int] = []

    def note(at: float, calls: int) -> None:
        if not memory or calls > calls_a_day * len(memory):
            memory.append(resident())

    begun = time.perf_counter()
    script = traffic.Script(calls_a_day)
    calls = await traffic.backfill(
        house, account, since=until - days * 86400, until=until, script=script, progress=note
    )
    took = time.perf_counter() - begun
    sys.stdout.write(
        f"{house.db.name}: {calls:,} calls of {days:g} days in {took:.1f} s, {calls / took:,.0f} calls/s; "
        f"memory {memory[min(1, len(memory) - 1)]} MB after a day, {resident()} MB at the end\n"
    )
    await house.db.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--calls", type=int, default=4000, help="of an average day")
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        await history(given.database or f"sqlite:///{folder}/bench.db", given.days, given.calls)


if __name__ == "__main__":
    asyncio.run(main())
