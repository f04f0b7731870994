"""How fast a report of many calls is written, what that costs in memory, and what others notice of it meanwhile.

python -m benchmarks.reports [--calls N] [--database URL] [--type calls] [--format csv]

The calls of a day of the demo centre, told again with other ids and times until there are N of them within a month.
The baseline is the database's own CSV dump of the same columns as they are stored, joins included: the shell of
SQLite (`.mode csv`), or COPY through psql.
"""

import argparse
import asyncio
import re
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx2 as httpx
from sqlalchemy import select

from ringfence.reports.catalogue import EXPLORE
from ringfence.reports.report import BASE, Report, account_of
from ringfence.store.statement import POSTGRES, SQLITE
from ringfence.store.tables import facts
from tests.servers import Server, serving

from .bulk import cpu, memory, percentile

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=31)
AGAIN = {
    "calls": (facts.calls, ("ended_at", "started_at"), ("id",)),
    "contacts": (facts.contacts, ("finished_at", "started_at", "answered_at"), ("id", "call_id")),
}


def raw(report: Report, account: str, *, postgres: bool) -> str:
    """The report's columns as they are stored."""
    columns = [column.label(f"c{number}") for number, column in enumerate(report.columns.values())]
    core = select(*columns).select_from(report.source).where(account_of(report.source), report.ended >= FIRST)
    text = str(core.order_by(*report.order).compile(dialect=POSTGRES if postgres else SQLITE))
    wanted = {"account": f"'{account}'", "base": "'https://api.example.com'", "ended_at_1": f"'{FIRST:%Y-%m-%d}'"}
    if postgres:
        text = re.sub(r"%\((\w+)\)s(?:::\w+(?: \w+)*)?", lambda m: wanted.get(m[1], f"'{bound(core, m[1])}'"), text)
        return text
    compiled = core.order_by(*report.order).compile(dialect=SQLITE)
    values = [str(int(FIRST.timestamp()) * 10**6) if name.endswith("_at_1") else wanted.get(name, f"'{compiled.params[name]}'")
              for name in compiled.positiontup or ()]  # fmt: skip
    pieces = text.split("?")
    return "".join(piece + value for piece, value in zip(pieces, [*values, ""], strict=True))


def bound(core: Any, name: str) -> Any:
    return core.compile(dialect=POSTGRES).params[name]


def multiply(url: str, account: str, table: Any, moments: tuple[str, ...], ids: tuple[str, ...], count: int) -> int:
    """Tell the rows of a table again, spread over the month, until there are as many as wanted."""
    postgres = not url.startswith("sqlite:")
    have = int(run_sql(url, f"SELECT count(*) FROM {table.name} WHERE account_id = '{account}'"))  # noqa: S608
    rounds = -(-count // have)
    step = int(MONTH.total_seconds() * 10**6 / (rounds + 1))
    first = moments[0]
    low = f"(SELECT min({first}) FROM {table.name} WHERE account_id = '{account}')"  # noqa: S608
    shown = []
    for column in table.c:
        if column.name in ids:
            shown.append(f"substr({column.name}, 1, 24) || {_hex(postgres)}")
        elif column.name in moments and postgres:
            shown.append(f"TIMESTAMPTZ '{FIRST:%Y-%m-%d}Z' + ({column.name} - {low}) / 40 + g.value * INTERVAL '{step} microseconds'")
        elif column.name in moments:
            shown.append(f"{int(FIRST.timestamp()) * 10**6} + ({column.name} - {low}) / 40 + g.value * {step}")
        else:
            shown.append(column.name)
    series = f"generate_series(0, {rounds - 1}) AS g(value)" if postgres else (
        f"(WITH RECURSIVE s(value) AS (VALUES(0) UNION ALL SELECT value + 1 FROM s WHERE value < {rounds - 1}) SELECT value FROM s) AS g"
    )
    names = ", ".join(column.name for column in table.c)
    run_sql(url, f"INSERT INTO {table.name} ({names}) SELECT {', '.join(shown)} FROM {table.name}, {series} WHERE account_id = '{account}'")  # noqa: S608
    return have * rounds


def _hex(postgres: bool) -> str:
    return "lpad(to_hex(g.value), 8, '0')" if postgres else "format('%08x', g.value)"


def run_sql(url: str, sql: str) -> str:
    command = ["sqlite3", "-cmd", ".timeout 60000", url.removeprefix("sqlite:///"), sql] if url.startswith("sqlite:") else ["psql", url, "-Atc", sql]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode().strip()


def settled(url: str) -> None:
    """Wait until every fact of the day is there."""
    seen = -1
    while (now := int(run_sql(url, "SELECT count(*) FROM fact_statuses"))) != seen:
        seen = now
        time.sleep(3)


def dump(url: str, sql: str, target: Path) -> float:
    """Seconds that the database's own dump takes."""
    started = time.perf_counter()
    with target.open("wb") as file:
        if url.startswith("sqlite:"):
            path = url.removeprefix("sqlite:///")
            script = f".mode csv\n.headers on\n{sql};\n"
            subprocess.run(["sqlite3", path], input=script.encode(), stdout=file, check=True)
        else:
            subprocess.run(["psql", url, "-c", f"COPY ({sql}) TO STDOUT WITH CSV HEADER"], stdout=file, check=True)
    return time.perf_counter() - started


async def report(http: httpx.AsyncClient, type: str, format: str, server: Server) -> tuple[float, float, list[float]]:
    """Seconds from asking to done, the most megabytes meanwhile, and how long others waited (seconds)."""
    body = {"format": format, "timespan": {"from": FIRST.isoformat(), "to": (FIRST + MONTH).isoformat()}}
    waits: list[float] = []
    peak = memory(server)
    started = time.perf_counter()
    made = (await http.post(f"/data/reports/{type}/jobs", json=body)).json()["job"]
    while True:
        begun = time.perf_counter()
        answer = await http.get("/users?per_page=10")
        waits.append(time.perf_counter() - begun)
        assert answer.status_code == 200, answer.text
        if len(waits) % 20 == 0:
            peak = max(peak, memory(server))
            if (await http.get(f"/data/reports/{type}/jobs/{made['id']}")).status_code == 303:
                return time.perf_counter() - started, peak, waits
        await asyncio.sleep(0.002)


async def measure(server: Server, url: str, type: str, format: str, calls: int) -> None:
    client = server.client("full")
    form, auth = {"grant_type": "client_credentials"}, (client["client_id"], client["client_secret"])
    async with httpx.AsyncClient(base_url=server.base, timeout=600) as http:
        token = (await http.post("/oauth/token", data=form, auth=auth)).json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        account = (await http.get("/account")).json()
        account = account.get("id") or account["account"]["id"]
        count = multiply(url, account, *AGAIN[type], calls)
        if not url.startswith("sqlite:"):
            run_sql(url, f"VACUUM ANALYZE {AGAIN[type][0].name}")
        sql = raw(EXPLORE[type], account, postgres=not url.startswith("sqlite:"))
        target = Path(server.folder / "dump.csv")
        dump(url, sql, target)  # the first one warms the disk's cache
        ratios = []
        for _ in range(3):
            own = dump(url, sql, target)
            before, used = memory(server), cpu(server)
            took, peak, waits = await report(http, type, format, server)
            ratios.append(own / took)
            print(
                f"{type}.{format}: {count} rows in {took:.1f} s = {count / took:,.0f}/s; the database's own dump"
                f" {own:.1f} s = {count / own:,.0f}/s ({target.stat().st_size / 1e6:.0f} MB); ratio {own / took:.2f};"
                f" memory {before:.0f} -> {peak:.0f} MB; CPU {cpu(server) - used:.1f} s;"
                f" others' p50 {median(waits) * 1e3:.1f} ms, p99 {percentile(waits, 0.99) * 1e3:.1f} ms"
            )
        print(f"median ratio {median(ratios):.2f}")


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.reports")
    asked.add_argument("--calls", type=int, default=1_000_000)
    asked.add_argument("--type", choices=sorted(AGAIN), default="calls")
    asked.add_argument("--format", choices=["csv", "json", "json_bulk"], default="csv")
    asked.add_argument("--database", default="")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database or f"sqlite:///{folder}/ringfence.db"
        settings = {"database": url, "rate_limit": 0, "token_rate_limit": 0, "demo_calls": 4000}
        with serving(Path(folder), "--demo", "--backfill", "1d", **settings) as server:
            settled(url)
            asyncio.run(measure(server, url, given.type, given.format, given.calls))


if __name__ == "__main__":
    main()
