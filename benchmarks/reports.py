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
from ringfence.reports.report import Report, account_of
from ringfence.store.migrate import migrate
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


def raw(report: Report, account: str, url: str) -> str:
    """The report's columns as they are stored, as a statement to be given to the database's own shell."""
    columns = [column.label(f"c{number}") for number, column in enumerate(report.columns.values())]
    core = select(*columns).select_from(report.source).where(account_of(report.source), report.ended >= FIRST)
    dialect = SQLITE if is_file(url) else POSTGRES
    compiled = core.order_by(*report.order).compile(dialect=dialect)
    first = int(FIRST.timestamp()) * 10**6 if is_file(url) else f"'{FIRST.isoformat()}'"

    def value(name: str) -> str:
        known = {"account": f"'{account}'", "base": "'https://api.example.com'"}
        return known.get(name) or (str(first) if name.endswith("_at_1") else f"'{compiled.params[name]}'")

    if is_file(url):
        pieces = str(compiled).split("?")
        values = [value(name) for name in compiled.positiontup or ()]
        return "".join(piece + given for piece, given in zip(pieces, [*values, ""], strict=True))
    return re.sub(r"%\((\w+)\)s(?:::\w+(?: WITH TIME ZONE)?)?", lambda found: value(found[1]), str(compiled))


def is_file(url: str) -> bool:
    return url.startswith("sqlite:")


def multiply(url: str, account: str, table: Any, moments: tuple[str, ...], ids: tuple[str, ...], count: int) -> int:
    """Tell the rows of a table again, spread over the month, until there are as many as wanted. How many there are."""
    mine = f"account_id = '{account}'"
    have = int(run_sql(url, f"SELECT count(*) FROM {table.name} WHERE {mine}"))  # noqa: S608
    rounds = -(-count // have)
    step = int(MONTH.total_seconds() * 10**6 / (rounds + 1))
    since = f"(SELECT min({moments[0]}) FROM {table.name} WHERE {mine})"  # noqa: S608
    if is_file(url):
        first, suffix, later = str(int(FIRST.timestamp()) * 10**6), "format('%08x', value)", f"value * {step}"
        more = f"SELECT value + 1 FROM s WHERE value < {rounds - 1}"  # noqa: S608
        series = f"WITH RECURSIVE s(value) AS (VALUES(0) UNION ALL {more})"
    else:
        first, suffix = f"TIMESTAMPTZ '{FIRST.isoformat()}'", "lpad(to_hex(value), 8, '0')"
        later = f"value * INTERVAL '{step} us'"
        series = f"WITH s AS (SELECT generate_series(0, {rounds - 1}) AS value)"

    def again(name: str) -> str:
        if name in ids:
            return f"substr({name}, 1, 24) || {suffix}"
        return f"{first} + ({name} - {since}) / 40 + {later}" if name in moments else name

    names = [column.name for column in table.c]
    told = ", ".join(again(name) for name in names)
    place = names.index(moments[0]) + 1  # facts are written in the order in which calls end
    chosen = f"SELECT {told} FROM {table.name}, s WHERE {mine} ORDER BY {place}"  # noqa: S608
    run_sql(url, f"{series} INSERT INTO {table.name} ({', '.join(names)}) {chosen}")
    return have * rounds


def run_sql(url: str, sql: str) -> str:
    shell = (
        ["sqlite3", "-cmd", ".timeout 60000", url.removeprefix("sqlite:///")] if is_file(url) else ["psql", url, "-Atc"]
    )
    return subprocess.run([*shell, sql], check=True, capture_output=True).stdout.decode().strip()


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
        if is_file(url):
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
        if not is_file(url):
            run_sql(url, f"VACUUM ANALYZE {AGAIN[type][0].name}")
        sql = raw(EXPLORE[type], account, url)
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
                f" {own:.1f} s = {count / own:,.0f}/s; ratio {own / took:.2f};"
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
        migrate(url)
        settings = {
            "database": url,
            "rate_limit": 0,
            "token_rate_limit": 0,
            "demo_calls": 4000,
            "secret_key": "5a" * 32,
        }
        with serving(Path(folder), "--demo", "--backfill", "1d", **settings) as server:
            settled(url)
            asyncio.run(measure(server, url, given.type, given.format, given.calls))


if __name__ == "__main__":
    main()
