"""`make bench`: start the baseline and the server, load one after the other in turns, print the ratios."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from ringfence.web.server import free_port

from .inside import fence_seconds, signature_seconds
from .load import Result, http, load

FORM = "application/x-www-form-urlencoded"


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", *arguments])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int) -> None:
    import socket

    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing answers on port {port}")


def resident(pid: int) -> float:
    """Megabytes of memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def first_token(port: int, said: dict[str, Any]) -> tuple[str, str]:
    basic = b64encode(f"{said['client']}:{said['secret']}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/oauth/token",
        b"grant_type=client_credentials",
        {"authorization": f"Basic {basic}", "content-type": FORM},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own server
        return basic, json.loads(answer.read())["access_token"]


async def measure(seconds: float, rounds: int, database: str) -> dict[str, Any]:
    found: dict[str, list[tuple[Result, Result]]] = {"get": [], "post": [], "token": []}
    with tempfile.TemporaryDirectory() as folder:
        ready, plain_port, port = Path(folder) / "ready.json", free_port("127.0.0.1"), free_port("127.0.0.1")
        url = database or f"sqlite:///{folder}/bench.db"
        with (
            running("benchmarks.baseline", str(plain_port)) as plain,
            running("benchmarks.house", str(port), url, str(ready)) as house,
        ):
            wait_for(plain_port)
            wait_for(port)
            while not ready.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            memory = resident(house.pid)
            said = json.loads(ready.read_text())
            basic, token = first_token(port, said)
            bearer = {"authorization": f"Bearer {token}", "accept": "*/*"}
            contact = b'{"name":"Ana Sol","phones":[{"label":"mobile","number":"+351910000000"}]}'
            requests = {
                "get": (http("GET", f"/contacts/{said['contact']}", bearer), 16, 200),
                "post": (http("POST", "/contacts", bearer | {"content-type": "application/json"}, contact), 64, 201),
                "token": (
                    http(
                        "POST",
                        "/oauth/token",
                        {"authorization": f"Basic {basic}", "content-type": FORM},
                        b"grant_type=client_credentials",
                    ),
                    16,
                    200,
                ),
            }
            for _ in range(rounds):
                for name, (request, callers, status) in requests.items():
                    pair = []
                    for target, process in ((plain_port, plain), (port, house)):
                        pair.append(
                            await load(
                                target,
                                process.pid,
                                lambda r=request: r,
                                callers=callers,
                                seconds=seconds,
                                status=status,
                            )
                        )
                    found[name].append((pair[0], pair[1]))
            after = resident(house.pid)
    return {"loads": found, "memory": memory, "after": after}


def show(found: dict[str, Any], console: Console) -> None:
    table = Table(title="requests/s, median of the rounds; CPU in µs of server time per request")
    for column in (
        "operation",
        "baseline/s",
        "ringfence/s",
        "ratio",
        "baseline CPU",
        "ringfence CPU",
        "median ms",
        "p99 ms",
    ):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for name, pairs in found["loads"].items():
        plain = [p for p, _ in pairs]
        ours = [o for _, o in pairs]
        ratio = median(o.rate / p.rate for p, o in pairs)
        table.add_row(
            name,
            f"{median(p.rate for p in plain):.0f}",
            f"{median(o.rate for o in ours):.0f}",
            f"{ratio:.2f}",
            f"{median(p.cpu for p in plain):.0f}",
            f"{median(o.cpu for o in ours):.0f}",
            f"{median(o.median for o in ours):.2f}",
            f"{median(o.p99 for o in ours):.2f}",
        )
    console.print(table)
    signature, fence = signature_seconds(), fence_seconds()
    pairs = found["loads"]["token"]
    beyond = median(o.cpu - p.cpu for p, o in pairs) - signature * 1e6
    console.print(f"fence, token known: {fence * 1e6:.2f} µs")
    console.print(
        f"ES256 signature: {signature * 1e6:.0f} µs; token issuance beyond signature and HTTP: {beyond:.0f} µs"
    )
    console.print(f"memory, idle after start: {found['memory']:.0f} MB; after the load: {found['after']:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="", help="postgresql://… instead of a scratch SQLite file")
    given = parser.parse_args()
    console = Console()
    with console.status("measuring …"):
        found = uvloop.run(measure(given.seconds, given.rounds, given.database))
    show(found, console)


if __name__ == "__main__":
    main()
