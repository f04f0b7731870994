"""Live figures: what it costs one process to keep many streams open over a centre that is alive.

python -m benchmarks.live [--streams N] [--seconds N] [--calls N] [--speed X] [--database URL]

A server process with the demo centre and calls coming in; the streams are read by this one, over plain sockets. Every
stream has 8 queries. Half of the subscriptions ask the same, the other half each another range and ring group. Before
the streams are opened the same centre is measured without any. Then, in this process alone: what a tick costs while
something happens at each, by how many streams ask the same 8 queries.
"""

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import msgspec

RINGFENCE = Path(sys.executable).with_name("ringfence")
SUBSCRIPTIONS = 500
SAME = (
    "inbound_contacts", "service_level", "avg_wait_time_by_ring_group", "abandoned_contacts", "avg_handle_time_by_team",
    "live_contacts_in_queue_by_ring_group", "live_users_logged_in_by_status", "live_longest_wait_time",
)  # fmt: skip
RANGED = SAME[:5]
GROUPS = ("sales", "support", "billing", "vip")


class Reader:
    """Counts what comes over many connections."""

    def __init__(self) -> None:
        self.events: Counter[bytes] = Counter()
        self.bytes = 0
        self.open = 0

    async def read(self, url: str) -> None:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=4096)
        writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head[:20], head
        self.open += 1
        try:
            while data := await reader.read(65536):
                self.bytes += len(data)
                self.events[b"result"] += data.count(b"event: result")
                self.events[b"other"] += data.count(b"event: error") + data.count(b"event: closed")
        finally:
            self.open -= 1
            writer.close()


def used(pid: int) -> tuple[float, float]:
    """CPU seconds and resident MB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * resource.getpagesize() / 2**20


async def share(pid: int, seconds: float) -> float:
    """How much of a core it takes."""
    before, begun = used(pid)[0], time.monotonic()
    await asyncio.sleep(seconds)
    return (used(pid)[0] - before) / (time.monotonic() - begun)


async def subscribe(http: httpx.AsyncClient, ids: dict[str, str], number: int) -> str:
    queries: list[dict[str, Any]] = [{"id": ids[name], "metadata": {"figure": name}} for name in SAME]
    if number % 2:
        for name, query in zip(SAME, queries, strict=True):
            query["filters"] = {"ring_groups": [GROUPS[number % 4], GROUPS[(number + 1) % 4]]}
            if name in RANGED:
                query["filters"]["range"] = {"interval": 600 + number}
            if name == "live_users_logged_in_by_status":
                query["filters"]["statuses"] = ["available", "busy", f"away_{number}"]
    answer = await http.post("/live-subscriptions", json={"queries": queries})
    url: str = answer.raise_for_status().json()["_links"]["stream"]["href"]
    return url


async def over_the_wire(said: dict[str, Any], pid: int, streams: int, seconds: float) -> dict[str, Any]:
    client = next(one for one in said["clients"] if one["name"] == "full")
    async with httpx.AsyncClient(base_url=said["base_url"], timeout=60) as http:
        form = {"grant_type": "client_credentials"}
        answer = await http.post("/oauth/token", data=form, auth=(client["client_id"], client["client_secret"]))
        http.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        ids = {one["name"]: one["id"] for one in (await http.get("/live-queries")).json()["queries"]}
        await asyncio.sleep(5)
        alone, memory = await share(pid, 15), used(pid)[1]
        urls = [await subscribe(http, ids, number) for number in range(min(SUBSCRIPTIONS, streams))]
    reader, tasks = Reader(), []
    begun = time.monotonic()
    for number in range(streams):
        tasks.append(asyncio.create_task(reader.read(urls[number % len(urls)])))
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    while reader.open < streams:
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)
    opened = time.monotonic() - begun
    await asyncio.sleep(10)
    events, size = reader.events[b"result"], reader.bytes
    taken = await share(pid, seconds)
    found = {
        "streams": streams,
        "entries": streams * len(SAME),
        "seconds to open them": round(opened, 1),
        "events/s": round((reader.events[b"result"] - events) / seconds),
        "KB/s": round((reader.bytes - size) / seconds / 1024),
        "cores": round(taken, 2),
        "cores before": round(alone, 2),
        "resident MB": round(used(pid)[1]),
        "resident MB before": round(memory),
        "streams still open": reader.open,
        "events that are no result": reader.events[b"other"],
    }
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(5)
    found["cores afterwards"] = round(await share(pid, 10), 2)
    return found


async def ticks(folder: Path) -> dict[int, float]:
    """Milliseconds that a tick takes after an event, by number of streams that ask the same; the median of many."""
    from ringfence.apis.all import APIS
    from ringfence.floor import events
    from ringfence.kernel.settings import load
    from ringfence.kernel.world import World
    from ringfence.live import subscriptions, ticker
    from ringfence.live.metrics import BY_NAME
    from ringfence.live.streams import Stream
    from ringfence.oauth.opening import open_house
    from ringfence.sandbox.demo import apply_demo
    from ringfence.store.migrate import migrate
    from ringfence.store.outbox import emit

    url = f"sqlite:///{folder}/ticks.db"
    migrate(url)
    house = await open_house(load({}, database=url), World(), APIS)
    demo = await apply_demo(house)
    account = house.view.account_names[demo["account"]]
    client = demo["clients"][0]["client_id"]
    ticker.TICK = 3600
    wanted = [{"id": BY_NAME[name].id, "metadata": {}, "filters": {}, "params": {}} for name in SAME]
    async with house.db.writing() as tx:
        ctx = house.ctx(tx, account, "bench")
        row = await subscriptions.create(ctx, client, wanted)
    live, found, readers = ticker.of(house), {}, []
    for count in (1, 10, 100, 1000, 2000):
        while len(readers) < count:
            stream = Stream(account, row["id"], clients=[client], ends_at=time.time() + 9999)
            frames = live.frames(stream, subscriptions.entries_of(row))
            await anext(frames)
            await anext(frames)  # what it begins with; from here on nobody reads on
            readers.append(frames)
        took = []
        for number in range(30):
            status = events.StatusChanged(
                user_id=f"{number:024x}", status="available", previous_status="offline",
                previous_since=house.world.now(), duration=1,
            )  # fmt: skip
            async with house.db.writing() as tx:
                await emit(house.ctx(tx, account, "bench"), events.STATUS_CHANGED, status.user_id, status)
            begun = time.perf_counter()
            await live.tick()
            took.append(1000 * (time.perf_counter() - begun))
        found[count] = round(statistics.median(took), 2)
    for frames in readers:
        await frames.aclose()
    await live.close()
    await house.db.close()
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--calls", type=int, default=20_000, help="a day")
    parser.add_argument("--speed", type=float, default=20.0, help="how much faster than life calls come in")
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        url = given.database or f"sqlite:///{folder}/bench.db"
        environment = {"RINGFENCE_RATE_LIMIT": "0", "RINGFENCE_DEMO_CALLS": str(given.calls), "PATH": "/usr/bin:/bin"}
        server = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is measured
            [RINGFENCE, "--database", url, "serve", "--demo", "--speed", str(given.speed), "--port", "0",
             "--ready-file", ready],
            env=environment, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not ready.exists():  # noqa: ASYNC110 - by another process
                await asyncio.sleep(0.05)
            said = msgspec.json.decode(ready.read_bytes())
            found = await over_the_wire(said, server.pid, given.streams, given.seconds)
            for name, value in found.items():
                sys.stdout.write(f"{name:<35} {value}\n")
        finally:
            server.terminate()
            server.wait(20)
        for count, took in (await ticks(Path(folder))).items():
            sys.stdout.write(f"ms a tick, {count:>4} streams that ask the same {took:>6}\n")


if __name__ == "__main__":
    asyncio.run(main())
