"""How fast a CSV file goes into a list, what that costs in memory, and what others notice of it meanwhile.

python -m benchmarks.bulk [--kind records|do_not_call] [--rows N] [--database URL]
"""

import argparse
import asyncio
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.servers import Server, serving

PATHS = {"records": "/record-lists", "do_not_call": "/do-not-call-lists"}


def rows(kind: str, count: int) -> Iterator[str]:
    """A header and rows, every number another one, in no order."""
    chosen = random.Random(7).sample(range(910_000_000, 970_000_000), count)
    if kind == "do_not_call":
        yield "phone_number\n"
        yield from (f"+351{number}\n" for number in chosen)
        return
    yield "first_name,last_name,phone_number,timezone,priority,external_id,tier\n"
    for index, number in enumerate(chosen):
        yield f"Ana{index % 997},Sol{index % 89},+351{number},Europe/Lisbon,{index % 10 + 1},{index},gold\n"


def memory(server: Server) -> float:
    """Resident megabytes of the server now, and of the processes that it has begun."""
    own = Path(f"/proc/{server.process.pid}")
    children = [child for thread in own.glob("task/*/children") for child in thread.read_text().split()]
    total = 0
    for process in (own, *(Path(f"/proc/{child}") for child in children)):
        with suppress(FileNotFoundError, ProcessLookupError):
            resident = (process / "status").read_text().partition("VmRSS:")[2].split()
            total += int(resident[0]) if resident else 0  # none: it has just ended
    return total / 1024


def cpu(server: Server) -> float:
    """Seconds of processor that the server has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


async def measure(server: Server, kind: str, count: int) -> dict[str, Any]:
    client = server.client("full")
    form = {"grant_type": "client_credentials"}
    auth = (client["client_id"], client["client_secret"])
    async with httpx.AsyncClient(base_url=server.base, timeout=120) as http:
        token = (await http.post("/oauth/token", data=form, auth=auth)).json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        contact = (await http.post("/contacts", json={"name": "Ana"})).json()["contact"]["id"]
        file = "".join(rows(kind, count)).encode()
        csv = {
            "filename": "bulk.csv",
            "byte_size": len(file),
            "checksum": hashlib.md5(file, usedforsecurity=False).hexdigest(),
            "content_type": "text/csv",
        }
        made = (await http.post(PATHS[kind], json={"name": "bulk", "csv_metadata": csv})).json()
        before, peak, used = memory(server), 0.0, cpu(server)
        waits: dict[str, list[float]] = {"GET": [], "POST": []}
        over = asyncio.Event()

        async def ask(method: str) -> None:
            while not over.is_set():
                started = time.perf_counter()
                if method == "GET":
                    answer = await http.get(f"/contacts/{contact}")
                else:
                    answer = await http.post("/contacts", json={"name": "Eva"})
                assert answer.status_code < 300, answer.text
                waits[method].append(time.perf_counter() - started)
                await asyncio.sleep(0.02)

        async with httpx.AsyncClient(timeout=120) as bare:
            sent = await bare.put(made["signed_url"], content=file, headers={"content-type": "text/csv"})
        assert sent.status_code == 204, sent.text
        started = time.perf_counter()
        if kind == "records":
            step = {"op": "replace", "path": "/status", "value": "UPLOADED"}
            assert (await http.patch(f"{PATHS[kind]}/{made['id']}", json=step)).status_code == 200
        asking = [asyncio.create_task(ask(method)) for method in waits]
        status = "UPLOADED"
        while status in ("UPLOADED", "VALIDATION_STARTED"):
            await asyncio.sleep(0.1)
            found = (await http.get(f"{PATHS[kind]}/{made['id']}")).json()
            status = found["status"]
            peak = max(peak, memory(server))
        took = time.perf_counter() - started
        over.set()
        await asyncio.gather(*asking)
        assert status == "ACCEPTED", found
        assert found["validation"]["accepted"] == count, found
        return {
            "rows_per_second": round(count / took),
            "seconds": round(took, 2),
            "cpu_seconds": round(cpu(server) - used, 2),
            "memory_growth_mb": round(peak - before, 1),
            **{f"{m}_p99_ms": round(percentile(w, 0.99) * 1000, 1) for m, w in waits.items()},
            **{f"{m}_median_ms": round(statistics.median(w) * 1000, 1) for m, w in waits.items() if w},
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kind", choices=sorted(PATHS), default="records")
    options.add_argument("--rows", type=int, default=250_000)
    options.add_argument("--database", help="postgresql://… of an empty database; by default SQLite")
    given = options.parse_args()
    settings = {"database": given.database} if given.database else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            Path(folder), "--demo", rate_limit=0, list_records=max(250_000, given.rows), upload_limit=2**28, **settings
        ) as server,
    ):
        for name, value in asyncio.run(measure(server, given.kind, given.rows)).items():
            print(f"{name:>20}  {value}")


if __name__ == "__main__":
    main()
