"""Webhooks: deliveries a second to a receiver of this machine, and what one that hangs does to another.

python -m benchmarks.webhooks [--events N] [--database URL]

A server process with the demo centre; the receivers run in this one. Events are contacts that are added by request.
The baseline is the same number of POSTs of the same body by httpx alone, 20 at a time, without a log or signatures.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import msgspec

RINGFENCE = Path(sys.executable).with_name("ringfence")

ABREAST = 20


class Receiver:
    """Notes when each event came; a hanging one never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.came: dict[str, float] = {}
        self.count, self.hangs, self.url = 0, hangs, ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.count += 1
                found = msgspec.json.decode(body)
                self.came.setdefault(found.get("data", {}).get("id", ""), time.time())
                if self.hangs:
                    await asyncio.sleep(3600)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        writer.close()

    async def open(self) -> None:
        server = await asyncio.start_server(self.take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def baseline(count: int) -> float:
    receiver = Receiver()
    await receiver.open()
    async with httpx.AsyncClient() as http:
        left = iter(range(count))

        async def one() -> None:
            for number in left:
                await http.post(
                    receiver.url, content=msgspec.json.encode({"data": {"id": str(number)}, "x": "y" * 400})
                )

        begun = time.time()
        await asyncio.gather(*(one() for _ in range(ABREAST)))
        return count / (time.time() - begun)


async def make(http: httpx.AsyncClient, count: int, pace: float) -> dict[str, float]:
    """Add contacts, at most `pace` a second (0: as fast as they go); when each was acknowledged, by id."""
    made: dict[str, float] = {}
    left, begun = iter(range(count)), time.time()

    async def one() -> None:
        for number in left:
            if pace and (early := begun + number / pace - time.time()) > 0:
                await asyncio.sleep(early)
            answer = await http.post("/contacts", json={"name": f"Contact {number}"})
            answer.raise_for_status()
            made[answer.json()["contact"]["id"]] = time.time()

    await asyncio.gather(*(one() for _ in range(ABREAST)))
    return made


async def measure(base: str, token: str, count: int) -> dict[str, Any]:
    quick, slow = Receiver(), Receiver(hangs=True)
    await quick.open()
    await slow.open()
    async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:

        async def subscribe(url: str) -> str:
            answer = await http.put("/events/subscriptions", json={"callback_url": url, "event_types": ["contact.*"]})
            id: str = answer.raise_for_status().json()["id"]
            return id

        await subscribe(quick.url)
        begun = time.time()
        made = await make(http, count, 0)
        while len(quick.came) < count:  # noqa: ASYNC110 - filled by connections
            await asyncio.sleep(0.05)
        rate = count / (time.time() - begun)
        hanging = await subscribe(slow.url)
        made = await make(http, count // 4, 200)
        await asyncio.sleep(3)
        late = sorted(quick.came[id] - at for id, at in made.items())
        await http.delete(f"/events/subscriptions/{hanging}")
        return {
            "deliveries/s": round(rate),
            "more than once": quick.count - len(quick.came),
            "delay beside a hanging receiver, median ms": round(statistics.median(late) * 1000),
            "p99 ms": round(late[int(len(late) * 0.99)] * 1000),
            "asked of the hanging one": slow.count,
        }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        url = given.database or f"sqlite:///{folder}/bench.db"
        environment = {
            "RINGFENCE_PRIVATE_RECEIVERS": "on",
            "RINGFENCE_RATE_LIMIT": "0",
            "RINGFENCE_DEMO_CALLS": "0",
            "PATH": "/usr/bin:/bin",
        }
        server = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is measured
            [RINGFENCE, "--database", url, "serve", "--demo", "--port", "0", "--ready-file", ready],
            env=environment, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not ready.exists():  # noqa: ASYNC110 - by another process
                await asyncio.sleep(0.05)
            said = msgspec.json.decode(ready.read_bytes())
            client = next(one for one in said["clients"] if one["name"] == "full")
            async with httpx.AsyncClient() as http:
                answer = await http.post(
                    f"{said['base_url']}/oauth/token",
                    data={"grant_type": "client_credentials", "scope": "events:write contacts:read contacts:write"},
                    auth=(client["client_id"], client["client_secret"]),
                )
            token = answer.raise_for_status().json()["access_token"]
            alone = await baseline(given.events)
            found = await measure(said["base_url"], token, given.events)
            for name, value in {"POSTs/s by httpx alone": round(alone), **found}.items():
                sys.stdout.write(f"{name:<45} {value}\n")
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    asyncio.run(main())
