"""What stays the same as lists grow: the look-up of one number, and a page at the end of a long list.

python -m benchmarks.lists [--entries N] [--records N] [--database URL]

The look-up asks an account whose lists hold 1,000 entries together, and one whose as many lists hold N: in the
domain (which is what the phone validation asks), and by request. The pages are those of a record list of N records,
first and last in turns, and a walk by `next` while records are added and removed beside it.
"""

import argparse
import asyncio
import csv
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx

from ringfence.apis.all import APIS
from ringfence.apis.do_not_call_lists import domain as do_not_call
from ringfence.apis.do_not_call_lists import files as numbers_file
from ringfence.apis.record_lists import domain as records
from ringfence.apis.record_lists import files as records_file
from ringfence.fence.house import House
from ringfence.floor import directory, imports, uploads
from ringfence.floor import do_not_call as lookup
from ringfence.kernel.settings import load
from ringfence.kernel.world import World
from ringfence.oauth import clients
from ringfence.oauth.opening import open_house
from ringfence.store.migrate import migrate
from ringfence.web.server import assemble

EACH = 1_000_000  # entries of one list
TIMES = 2000  # look-ups of one round
ROUNDS = 5
BASE = "http://ringfence.test"


async def account(house: House, name: str) -> str:
    id = house.world.new_id(24)
    async with house.db.writing() as tx:
        facts = {"company_name": name, "email": f"owner@{name}.example", "timezone": "UTC"}
        await directory.create_account(house.ctx(tx, id, "benchmark"), id=id, name=name, **facts)
    return id


async def fill(house: House, account: str, of: Any, folder: Path, first: int, count: int, **facts: Any) -> str:
    """A list of numbers that follow one another; its id."""
    path = folder / "fill.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("first_name", "last_name", "phone_number"))
        writer.writerows(("Ana", "Sol", f"+3519{number:08d}") for number in range(first, first + count))
    async with house.db.writing() as tx:
        ctx = house.ctx(tx, account, "benchmark")
        made = await of.create(ctx, name=f"from {first}", csv=None, **facts)
        sent = uploads.CsvMetadata(
            filename="fill.csv", byte_size=path.stat().st_size, checksum=f"{first:032x}", content_type="text/csv"
        )
        upload = await uploads.at_hand(ctx, made["id"], of.VALIDATION, sent)
    kind = (records_file if of is records else numbers_file).FILES
    await imports.validate(house.ctx(None, account, "benchmark"), upload["id"], kind, file=path)
    id: str = made["id"]
    return id


async def seconds(call: Callable[[int], Awaitable[Any]], times: int) -> float:
    """What one call takes, on the average of a round."""
    started = time.perf_counter()
    for index in range(times):
        await call(index)
    return (time.perf_counter() - started) / times


async def in_turns(calls: dict[str, Callable[[int], Awaitable[Any]]], times: int) -> dict[str, float]:
    """The median of the rounds of each, one after the other in turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(await seconds(call, times))
    return {name: statistics.median(values) for name, values in found.items()}


def show(title: str, found: dict[str, float]) -> None:
    (few, base), (many, value) = found.items()
    print(f"{title:<36} {few} {base * 1e6:.0f} µs, {many} {value * 1e6:.0f} µs, ratio {value / base:.2f}")


async def run(house: House, folder: Path, entries: int, count: int) -> None:
    app, _ = assemble(house, APIS)
    small, large = await account(house, "small"), await account(house, "large")
    lists: dict[str, str] = {}
    wide = -(-entries // EACH)  # as many lists in both accounts: each is one step into the index
    for index in range(wide):
        lists[small] = await fill(house, small, do_not_call, folder, index * 1000, 1000 // wide)
    for first in range(0, entries, EACH):
        lists[large] = await fill(house, large, do_not_call, folder, first, min(EACH, entries - first))
    rule = {"rule": "PHONE_NUMBER"}
    calls = await fill(house, large, records, folder, 0, count, **rule)
    await house.view.refresh()

    async def signed_in(account: str) -> httpx.AsyncClient:
        async with house.db.writing() as tx:
            scopes = ["do-not-call-lists:manage", "record-lists:manage"]
            grants = {"grant_types": ["client_credentials"], "redirect_uris": [], "scopes": scopes}
            made = await clients.create(house.ctx(tx, account, "benchmark"), name="benchmark", **grants)  # type: ignore[arg-type]
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, timeout=60)
        form = {"grant_type": "client_credentials"}
        auth = (made.row["id"], made.secret)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as bare:
            answer = await bare.post("/oauth/token", data=form, auth=auth)
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        return http

    async with house.db.reading() as tx:

        def asked(account: str, most: int) -> Callable[[int], Awaitable[Any]]:
            ctx = house.ctx(tx, account, "benchmark")
            return lambda index: lookup.listed(ctx, 351_900_000_000 + index * 7919 % most)

        names = {"1,000 entries": asked(small, 1000), f"{entries:,}": asked(large, entries)}
        show("is a number listed, in the domain", await in_turns(names, TIMES))
    async with await signed_in(small) as few, await signed_in(large) as many:

        def by_request(http: httpx.AsyncClient, list_id: str, start: int, most: int) -> Callable[[int], Awaitable[Any]]:
            path = f"/do-not-call-lists/{list_id}/entries?phone_number=%2B3519"
            return lambda index: http.get(f"{path}{start + index * 7919 % most:08d}")

        held = entries - (wide - 1) * EACH
        names = {
            "1,000 entries": by_request(few, lists[small], (wide - 1) * 1000, 1000 // wide),
            f"{entries:,}": by_request(many, lists[large], (wide - 1) * EACH, held),
        }
        show("one entry by number, by request", await in_turns(names, TIMES // 4))
        await pages(many, f"/record-lists/{calls}/records", count)


async def pages(http: httpx.AsyncClient, path: str, count: int) -> None:
    first = (await http.get(f"{path}?per_page=200")).json()
    last = first["_links"]["last"]["href"].removeprefix(BASE)
    calls = {"first": lambda _: http.get(f"{path}?per_page=200"), "last": lambda _: http.get(last)}
    show(f"a page of {count:,} records", await in_turns(calls, 50))
    seen: list[str] = []
    url: str | None = f"{path}?per_page=200"
    changed, started = 0, time.perf_counter()
    while url:
        page = (await http.get(url)).json()
        seen += [record["phone_numbers"][0]["phone_number"] for record in page["_embedded"]["records"]]
        if len(seen) % 5000 == 0:
            gone = page["_embedded"]["records"][0]["id"]
            assert (await http.delete(f"{path}/{gone}")).status_code == 204
            new = {"first_name": "Eva", "last_name": "Sol", "phone_number": f"+3518{changed:08d}"}
            await http.post(path, json=new)
            changed += 1
        url = page["_links"].get("next", {}).get("href")
    took = time.perf_counter() - started
    old = [number for number in seen if number.startswith("+3519")]
    exact = len(old) == len(set(old)) == count
    print(f"a walk by `next` through {count:,} while {changed} were added and removed: each once {exact}, {took:.1f} s")


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=5_000_000)
    options.add_argument("--records", type=int, default=250_000)
    options.add_argument("--database", help="postgresql://… of an empty database; by default SQLite")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database or f"sqlite:///{folder}/ringfence.db"
        settings = load({}, database=url, secret_key="5a" * 32, rate_limit=0, token_rate_limit=0, gateway_base=BASE)
        settings = replace(settings, list_entries=EACH, list_records=2 * given.records)
        migrate(url)
        house = await open_house(settings, World(), APIS)
        try:
            await run(house, Path(folder), given.entries, given.records)
        finally:
            await house.db.close()


if __name__ == "__main__":
    asyncio.run(main())
