"""A closed-loop load over keep-alive connections: each sends its next request when the last one is answered."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Result:
    """`rate` in answers per second, `cpu` in microseconds of server CPU per answer, latencies in milliseconds."""

    rate: float
    cpu: float
    median: float
    p99: float


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Callable[[], bytes], expected: bytes, times: list[float]) -> None:
        self.requests, self.expected, self.times = requests, expected, times
        self.seen = b""
        self.running = True
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop has one of its own
        self.send()

    def send(self) -> None:
        self.started = time.perf_counter()
        self.transport.write(self.requests())

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head = self.seen.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.seen.lower().find(b"content-length: ", 0, head)
        length = int(self.seen[at + 16 : self.seen.find(b"\r", at)]) if at >= 0 else 0
        if len(self.seen) < head + 4 + length:
            return
        if not self.seen.startswith(self.expected):
            self.fail(RuntimeError(self.seen[:500].decode("latin-1")))
            return
        self.seen = b""
        self.times.append(time.perf_counter() - self.started)
        if self.running:
            self.send()
        else:
            self.transport.close()

    def fail(self, why: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(why)
        self.transport.close()

    def connection_lost(self, why: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def load(
    port: int, pid: int, requests: Callable[[], bytes], *, callers: int, seconds: float, status: int = 200
) -> Result:
    """Load one server for a while, after a short warm-up."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    connections: list[Caller] = []
    for _ in range(callers):
        _, caller = await loop.create_connection(
            lambda: Caller(requests, b"HTTP/1.1 %d" % status, times), "127.0.0.1", port
        )
        connections.append(caller)
    await asyncio.sleep(0.5)
    times.clear()
    before, started = cpu_of(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    took, used, count = time.perf_counter() - started, cpu_of(pid) - before, len(times)
    for caller in connections:
        caller.running = False
    await asyncio.gather(*(caller.done for caller in connections))
    ordered = sorted(times)
    return Result(
        count / took,
        used / max(1, count) * 1e6,
        ordered[len(ordered) // 2] * 1000,
        ordered[int(len(ordered) * 0.99)] * 1000,
    )


def http(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
