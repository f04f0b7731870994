"""Wallets and buckets: what is declared, what is drawn, and that every balance is what the log comes to."""

import asyncio
import json
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ringfence.apis.all import APIS
from ringfence.metering import declaring, keeping
from ringfence.metering.books import Books, Entries
from ringfence.metering.resources import COUNTED, RESOURCES
from ringfence.metering.terms import micros, shown, written
from ringfence.sandbox import centre as declared
from ringfence.sandbox import declaration
from ringfence.store.outbox import BACKFILL, emit_many
from ringfence.store.statement import Statement
from ringfence.store.tables.log import events
from ringfence.store.tables.metering import usage_lines, wallets
from tests.conftest import START, Centre
from tests.servers import Server, start
from tests.usage_recount import Recount

ACCOUNT = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "owner@acme.example"
"""
TERMS = """
[[accounts.wallets]]
name = "voice/main"
product_name = "Voice"
balance = 10
low = 4
[[accounts.wallets]]
name = "platform"
product_name = "Platform"
balance = "0.5"
[[accounts.buckets]]
charge_number = "FREE"
resource = "voice_talk_time"
plafond = 10
effective_start = 2026-01-01T00:00:00Z
effective_end = 2026-03-01T00:00:00Z
renews = "MONTHLY"
[[accounts.buckets]]
charge_number = "TIER"
resource = "voice_talk_time"
plafond = 2.5
plafond_multiplier = 4
effective_start = 2026-01-01T00:00:00Z
effective_end = 2027-01-01T00:00:00Z
type = "TIER"
tier = 1
price = 0.5
properties = { plan = "basic" }
[[accounts.buckets]]
charge_number = "LATER"
resource = "messages"
plafond = 1
effective_start = 2027-01-01T00:00:00+01:00
effective_end = 2028-01-01T00:00:00Z
[[accounts.meters]]
resource = "voice_talk_time"
rounding = "STARTED"
wallet = "voice/main"
price = 1
[[accounts.meters]]
resource = "api_requests"
wallet = "platform"
price = 0.000001
"""
LOG = Statement(select(events).order_by(events.c.place), everywhere=True)
LINES = Statement(select(usage_lines), everywhere=True)
WALLETS = Statement(select(wallets).order_by(wallets.c.name), everywhere=True)
TYPES = {event.name: event for api in APIS for event in api.events}


async def apply(centre: Centre, text: str, account: str = "acme") -> list[tuple[str, str, str]]:
    """Bring the account to what the file says; the steps that it took."""
    wanted = declaration.read(ACCOUNT.replace("acme", account) + text, centre.house.scopes).accounts[0]
    plan = await declared.plan(centre.house, wanted, declared.Given())
    await declared.apply(centre.house, plan, "test", "test")
    return [(change.sign, change.what, change.detail) for change in plan.changes]


async def happen(
    centre: Centre, *told: tuple[str, dict[str, Any]], account: str = "acme", origin: str = "test"
) -> None:
    """Let events be in the log as they are, and the books be kept."""
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(account), "test", origin)
        await emit_many(ctx, [(TYPES[name], "key", ctx.now(), data) for name, data in told])
    await keep(centre)


async def keep(centre: Centre) -> None:
    await centre.worker.plant()
    await keeping.catch_up(centre.house)


async def balance(centre: Centre, name: str = "voice%2Fmain") -> float:
    async with await centre.signed_in("account-wallets:read") as http:
        found: float = (await http.get(f"/account/wallets/{name}")).json()["balance"]
        return found


def call(minutes: float) -> tuple[str, dict[str, Any]]:
    return "call.ended", {"talk_time": round(minutes * 60), "total_time": round(minutes * 60)}


async def told(centre: Centre, type: str) -> list[dict[str, Any]]:
    return [event for event in await centre.rows(LOG) if event["type"] == type]


async def agrees(centre: Centre) -> None:
    """What is kept is what the log comes to."""
    log = await centre.rows(LOG)
    kept = {(r["account_id"], r["day"], r["resource"], r["bucket"], r["wallet"]): [r["quantity"], r["cost"]]
            for r in await centre.rows(LINES)}  # fmt: skip
    counted: dict[tuple[str, ...], list[int]] = {}
    for account in {event["account_id"] for event in log} - {""}:
        own = Recount(event for event in log if event["account_id"] == account)
        counted |= {(account, *line): sums for line, sums in own.lines.items() if sums != [0, 0]}
        for row in await centre.rows(WALLETS):
            if row["account_id"] == account:
                assert row["spent"] == own.spent[row["name"]]
                assert row["declared"] + row["added"] - row["spent"] == own.balance(row["name"])
    assert kept == counted


def test_what_counts_is_told_by_somebody() -> None:
    assert set(COUNTED) <= set(TYPES)


# the API


async def test_a_wallet_is_shown_as_the_contract_has_it(centre: Centre) -> None:
    await apply(centre, TERMS)
    async with await centre.signed_in("account-wallets:read") as http:
        answer = await http.get("/account/wallets/voice%2Fmain")
        missing = await http.get("/account/wallets/nobody")
        page = (await http.get("/account/wallets?per_page=1&page=2&order_by=name")).json()
    assert answer.json() == {
        "name": "voice/main",
        "product_name": "Voice",
        "balance": 10,
        "account_id": await centre.account(),
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:00:00Z",
        "_links": {"self": {"href": "http://ringfence.test/account/wallets/voice%2Fmain"}},
    }
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert [one["name"] for one in page["_embedded"]["wallets"]] == ["voice/main"]
    assert {name: page[name] for name in ("total", "count", "page", "per_page", "total_pages")} == {
        "total": 2, "count": 1, "page": 2, "per_page": 1, "total_pages": 2,
    }  # fmt: skip
    assert set(page["_links"]) == {"self", "first", "prev", "last"}


@pytest.mark.parametrize(
    "query,names",
    [
        ("", ["platform", "voice/main"]),
        ("filter=%20&order_by=", ["platform", "voice/main"]),
        ("order_by=balance desc", ["voice/main", "platform"]),
        ("order_by=balance", ["platform", "voice/main"]),
        ("filter=balance lt 10", ["platform"]),
        ("filter=balance eq 0.5", ["platform"]),
        ("filter=balance ge 10", ["voice/main"]),
        ("filter=name eq 'platform' or contains(product_name, 'oic')", ["platform", "voice/main"]),
        ("filter=updated_at lt '2026-01-01T00:00:00Z'", []),
    ],
)
async def test_wallets_are_filtered_and_ordered(centre: Centre, query: str, names: list[str]) -> None:
    await apply(centre, TERMS)
    async with await centre.signed_in("account-wallets:read") as http:
        page = (await http.get(f"/account/wallets?{query}")).json()
    assert [one["name"] for one in page["_embedded"]["wallets"]] == names
    assert page["total"] == len(names)


@pytest.mark.parametrize(
    "path,field",
    [
        ("/account/wallets?filter=balance like 3", "filter"),
        ("/account/wallets?filter=secret eq 1", "filter"),
        ("/account/wallets?order_by=balance sideways", "order_by"),
        ("/account/wallets?page=0", "page"),
        ("/account/bucket-configurations?status=TERMINATED", "status"),
        ("/account/bucket-configurations?per_page=1000", "per_page"),
    ],
)
async def test_what_cannot_be_asked_is_a_400_that_names_it(centre: Centre, path: str, field: str) -> None:
    async with await centre.signed_in("account-wallets:read", "bucket-configurations:read") as http:
        answer = await http.get(path)
    assert answer.status_code == 400
    assert answer.json()["fields"][0]["name"] == field


async def test_buckets_go_by_the_clock(centre: Centre) -> None:
    await apply(centre, TERMS)
    async with await centre.signed_in("bucket-configurations:read") as http:

        async def listed(query: str = "") -> dict[str, str]:
            page = (await http.get(f"/account/bucket-configurations{query}")).json()["_embedded"]
            return {one["charge_number"]: one["status"] for one in page["bucket_configurations"]}

        page = (await http.get("/account/bucket-configurations?status=ALL")).json()["_embedded"]
        tier = page["bucket_configurations"][2]
        assert tier.pop("id")
        assert tier == {
            "account_id": await centre.account(), "charge_number": "TIER", "plafond": 2.5, "plafond_multiplier": 4,
            "effective_start": "2026-01-01T00:00:00Z", "effective_end": "2027-01-01T00:00:00Z",
            "resource": "voice_talk_time", "unit_of_measure": "MINUTES",
            "properties": {"plan": "basic", "renews": "NEVER", "price": 0.5}, "status": "ACTIVE", "type": "TIER",
            "tier": 1, "created_at": "2026-01-05T09:00:00Z",
        }  # fmt: skip
        assert await listed() == await listed("?status=ACTIVE") == {"FREE": "ACTIVE", "TIER": "ACTIVE"}
        assert await listed("?status=ALL") == {"FREE": "ACTIVE", "LATER": "UPCOMING", "TIER": "ACTIVE"}
    centre.world.advance(54 * 86400 + 15 * 3600)  # to the first of March
    async with await centre.signed_in("bucket-configurations:read") as http:
        page = (await http.get("/account/bucket-configurations?status=ALL")).json()["_embedded"]
    assert [one["status"] for one in page["bucket_configurations"]] == ["TERMINATED", "UPCOMING", "ACTIVE"]


async def test_one_account_neither_sees_nor_draws_from_anothers(centre: Centre) -> None:
    await apply(centre, TERMS)
    await apply(centre, TERMS.replace("balance = 10", "balance = 7"), account="rival")
    await happen(centre, call(25), account="rival")
    assert await balance(centre) == 10
    async with await centre.signed_in("account-wallets:read", account="rival") as http:
        assert (await http.get("/account/wallets/voice%2Fmain")).json()["balance"] == 7 - 10 * 0.5 - 5 * 1
    await agrees(centre)


# what is drawn


async def test_free_units_go_first_then_tiers_then_the_meters_price(centre: Centre) -> None:
    await apply(centre, TERMS)
    await happen(centre, call(9.01))  # ten minutes are started
    assert await balance(centre) == 10
    await happen(centre, call(4))
    assert await balance(centre) == 10 - 4 * 0.5
    await happen(centre, call(7.5))
    assert await balance(centre) == 10 - 10 * 0.5 - 2
    centre.world.advance(27 * 86400)  # February: free units are there again, the tier is not
    await happen(centre, call(11))
    assert await balance(centre) == 10 - 10 * 0.5 - 3
    centre.world.advance(28 * 86400)  # March: no free units any more
    await happen(centre, call(3))
    assert await balance(centre) == 10 - 10 * 0.5 - 6, "a wallet may become negative"
    await agrees(centre)


async def test_what_the_fence_lets_in_is_metered_once(centre: Centre) -> None:
    await apply(centre, TERMS)
    async with await centre.signed_in("users:read") as http:
        for _ in range(3):
            assert (await http.get("/users")).status_code == 200
        assert (await http.get("/account")).status_code == 403
    await centre.house.usage.flush()
    await centre.house.usage.flush()
    await centre.settle()
    assert [sum(use["count"] for use in one["data"]["uses"]) for one in await told(centre, "usage.flushed")] == [3]
    [platform, _] = await centre.rows(WALLETS)
    assert platform["spent"] == 3
    await agrees(centre)


async def test_thresholds_are_told_once_per_crossing_and_period(centre: Centre) -> None:
    await apply(centre, TERMS)

    async def reached() -> list[Any]:
        found = await told(centre, "usage.threshold_reached")
        return [(e["data"]["charge_number"], e["data"]["period"], e["data"]["percent"]) for e in found]

    await happen(centre, call(4))
    assert await reached() == []
    await happen(centre, call(5))
    await happen(centre, call(0.5), call(0.5))
    assert await reached() == [("FREE", "2026-01", 50), ("FREE", "2026-01", 80), ("FREE", "2026-01", 100)]
    centre.world.advance(27 * 86400)
    await happen(centre, call(10))
    assert (await reached())[3:] == [("FREE", "2026-02", 50), ("FREE", "2026-02", 80), ("FREE", "2026-02", 100)]
    assert len(await reached()) == 6
    await happen(centre, call(13))
    assert (await reached())[6:] == [("TIER", "", 50), ("TIER", "", 80), ("TIER", "", 100)]
    [low] = await told(centre, "wallet.low")
    assert low["data"] == {"name": "voice/main", "balance": 10**6, "low": 4 * 10**6}
    await apply(centre, TERMS.replace("balance = 10", "balance = 14"))
    await happen(centre, call(1))
    assert len(await told(centre, "wallet.low")) == 1, "5, then 4, which is not below 4"
    await happen(centre, call(1), call(1))
    assert len(await told(centre, "wallet.low")) == 2
    async with centre.house.db.writing() as tx:
        await keeping.begin_anew(tx)
    await keep(centre)
    assert len(await reached()) == 9
    assert len(await told(centre, "wallet.low")) == 2
    await agrees(centre)


async def test_a_bucket_that_shrinks_reaches_its_thresholds_by_that(centre: Centre) -> None:
    await apply(centre, TERMS)
    await happen(centre, call(4))
    await apply(centre, TERMS.replace("plafond = 10", "plafond = 5"))
    await keep(centre)
    assert [e["data"]["percent"] for e in await told(centre, "usage.threshold_reached")] == [50, 80]
    await agrees(centre)


async def test_history_is_metered_and_nobody_is_told(centre: Centre) -> None:
    await apply(centre, TERMS)
    await happen(centre, call(25), origin=BACKFILL)
    assert await balance(centre) == 0
    threshold = await told(centre, "usage.threshold_reached")
    assert len(threshold) == 6
    assert {event["origin"] for event in [*threshold, *await told(centre, "wallet.low")]} == {BACKFILL}


# what is declared


async def test_applying_twice_changes_nothing_and_never_resets_what_was_used(centre: Centre) -> None:
    assert len(await apply(centre, TERMS)) == 8
    await happen(centre, call(25))
    before = len(await centre.rows(LOG))
    assert await apply(centre, TERMS) == []
    assert len(await centre.rows(LOG)) == before
    assert await balance(centre) == 0
    assert await apply(centre, TERMS.replace("balance = 10", "balance = 12.25")) == [
        ("~", "wallet voice/main", "declared: 10 → 12.25")
    ]
    assert await balance(centre) == 2.25
    async with centre.house.db.writing() as tx:
        await declaring.top_up(centre.house.ctx(tx, await centre.account(), "test"), "voice/main", 10**6, "")
    assert await balance(centre) == 3.25
    await keep(centre)
    await agrees(centre)


@pytest.mark.parametrize(
    "wrong,path",
    [
        ('[[accounts.wallets]]\nname = "x"', "accounts[0].wallets[0]"),
        ('[[accounts.wallets]]\nname = "x"\nproduct_name = "X"\nbalance = -1', "accounts[0].wallets[0].balance"),
        ('[[accounts.wallets]]\nname = "x"\nproduct_name = "X"\nbalance = nan', "accounts[0].wallets[0].balance"),
        ('[[accounts.wallets]]\nname = "x"\nproduct_name = "X"\nbalance = 0.1234567', "accounts[0].wallets[0].balance"),
        ('[[accounts.wallets]]\nname = "x"\nproduct_name = "X"\nbalance = "1,5"', "accounts[0].wallets[0].balance"),
        ('[[accounts.wallets]]\nname = "x"\nproduct_name = "X"\nbalanse = 1', "accounts[0].wallets[0]"),
        ('[[accounts.meters]]\nresource = "air"', "accounts[0].meters[0].resource"),
        ('[[accounts.meters]]\nresource = "messages"\nunit_of_measure = "GB"', "accounts[0].meters[0].unit_of_measure"),
        ('[[accounts.meters]]\nresource = "messages"\nwallet = "none"', "accounts[0].meters[0].wallet"),
        ('[[accounts.meters]]\nresource = "messages"\nprice = 1', "accounts[0].meters[0].wallet"),
        (TERMS + TERMS[TERMS.index("[[accounts.meters]]") :], "accounts[0].meters"),
        (TERMS.replace("2026-03-01T00:00:00Z", "2026-01-01"), "accounts[0].buckets[0].effective_end"),
        (TERMS.replace("2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z"), "accounts[0].buckets[0].effective_end"),
        (TERMS.replace("2026-03-01T00:00:00Z", "0001-01-01T00:00:00+05:00"), "accounts[0].buckets[0].effective_end"),
        (TERMS.replace("tier = 1", ""), "accounts[0].buckets[1].tier"),
        (TERMS.replace("plafond = 10", "plafond = 10\nprice = 1"), "accounts[0].buckets[0].price"),
    ],
)
def test_what_cannot_be_declared_is_said_with_its_path(wrong: str, path: str) -> None:
    with pytest.raises(declaration.BadDeclaration) as why:
        declaration.read(ACCOUNT + wrong, [])
    assert any(one.startswith(path) for one in why.value.complaints), why.value.complaints


async def test_a_bucket_stays_with_its_resource(centre: Centre) -> None:
    await apply(centre, TERMS)
    with pytest.raises(Exception, match="declare another one"):
        await apply(centre, TERMS.replace('resource = "messages"', 'resource = "reports"'))


@given(st.integers(0, 10**15))
def test_amounts_are_exact_whichever_way_they_are_written(amount: int) -> None:
    assert micros(written(amount)) == amount
    assert micros(shown(amount)) == amount, "as a float of the file"
    assert Decimal(json.dumps(shown(amount))) == Decimal(written(amount)), "as a number on the wire"


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers()))
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    try:
        found = micros(amount)
    except ValueError:
        return
    assert 0 <= found <= 10**15


# streams of events

AMOUNT = st.sampled_from([0, 1, 500_000, 10**6, 2_500_000, 7_000_001, 60 * 10**6])
RESOURCE = st.sampled_from(["voice_talk_time", "messages", "report_size", "api_requests"])


def _declared_bucket(draw: Any) -> tuple[str, dict[str, Any]]:
    number, resource = draw(st.sampled_from("ABC")), draw(RESOURCE)
    tier = draw(st.one_of(st.none(), st.integers(1, 2)))
    start = START + timedelta(days=draw(st.integers(-40, 40)))
    return "bucket.declared", {
        "id": f"{resource}-{number}", "charge_number": number, "resource": resource,
        "unit_of_measure": draw(st.sampled_from(sorted(RESOURCES[resource].units))),
        "plafond": draw(AMOUNT), "plafond_multiplier": draw(AMOUNT),
        "effective_start": start.isoformat(), "effective_end": (start + timedelta(days=45)).isoformat(),
        "renews": draw(st.sampled_from(["NEVER", "MONTHLY"])), "type": "TIER" if tier else "FREE_UNITS", "tier": tier,
        "price": draw(AMOUNT) if tier else None, "properties": {},
    }  # fmt: skip


@st.composite
def happening(draw: Any) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(["call", "message", "report", "requests", "wallet", "top-up", "bucket", "meter"]))
    few = st.integers(0, 200)
    if kind == "call":
        return "call.ended", {"talk_time": draw(few), "total_time": draw(few)}
    if kind == "message":
        return "message.exchanged", {}
    if kind == "report":
        status = draw(st.sampled_from(["done", "failed"]))
        rows = draw(few) if status == "done" else None
        return "report.finished", {"status": status, "rows": rows, "bytes": rows}
    if kind == "requests":
        return "usage.flushed", {"uses": [{"count": n} for n in draw(st.lists(st.integers(1, 50), max_size=3))]}
    if kind == "bucket":
        return _declared_bucket(draw)
    name = draw(st.sampled_from(["a", "b"]))
    if kind == "wallet":
        low = draw(st.one_of(st.none(), AMOUNT))
        return "wallet.declared", {"name": name, "product_name": "P", "declared": draw(AMOUNT), "low": low}
    if kind == "top-up":
        return "wallet.topped_up", {"name": name, "amount": draw(AMOUNT), "reason": ""}
    resource = draw(RESOURCE)
    return "meter.declared", {
        "resource": resource, "unit_of_measure": draw(st.sampled_from(sorted(RESOURCES[resource].units))),
        "rounding": draw(st.sampled_from(["EXACT", "STARTED"])) if resource != "report_size" else "EXACT",
        "wallet": draw(st.one_of(st.none(), st.just(name))), "price": draw(AMOUNT),
    }  # fmt: skip


STREAMS = st.lists(st.tuples(st.integers(0, 20 * 86400), happening()), max_size=40)


def stream(found: list[tuple[int, tuple[str, dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Events of the log: time goes on from one to the next. Wallets are topped up once they are there."""
    made, at, known = [], START, set()
    for place, (later, (name, data)) in enumerate(found, 1):
        at += timedelta(seconds=later)
        known |= {data["name"]} if name == "wallet.declared" else set()
        if name != "wallet.topped_up" or data["name"] in known:
            made.append({"id": f"{place:032x}", "place": place, "type": name, "at": at, "data": data})
    return made


@given(STREAMS)
def test_books_are_what_a_recount_of_the_log_comes_to(found: Any) -> None:
    log = stream(found)
    books, entries = Books(), Entries()
    for event in log:
        books.hear(event, entries)
    counted = Recount(log)
    assert {tuple(line): sums for line, sums in entries.lines.items()} == {
        line: sums for line, sums in counted.lines.items() if sums != [0, 0]
    }
    assert {name: one.balance for name, one in books.wallets.items()} == {
        name: counted.balance(name) for name in counted.declared
    }
    assert len({one.id for one in entries.told}) == len(entries.told)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(STREAMS, min_size=1, max_size=3))
async def test_the_reaction_keeps_them_whatever_comes_together(centre: Centre, batches: Any) -> None:
    account = centre.world.new_id(24)
    for found in batches:
        async with centre.house.db.writing() as tx:
            ctx = centre.house.ctx(tx, account, "test")
            log = [(TYPES[e["type"]], "key", e["at"], e["data"]) for e in stream(found)]
            await emit_many(ctx, log)
        await keep(centre)
    log_of = [event for event in await centre.rows(LOG) if event["account_id"] == account]
    counted = Recount(log_of)
    lines = [row for row in await centre.rows(LINES) if row["account_id"] == account]
    kept = {(r["day"], r["resource"], r["bucket"], r["wallet"]): [r["quantity"], r["cost"]] for r in lines}
    assert kept == {line: sums for line, sums in counted.lines.items() if sums != [0, 0]}


# a server that is killed

KILLS = int(os.environ.get("RINGFENCE_TEST_KILLS", "6"))
SETTINGS = {"rate_limit": 0, "token_rate_limit": 0, "flows_rate_limit": 0, "secret_key": "5a" * 32, "usage_flush": 0.1}


async def busy(server: Server, stop: asyncio.Event) -> None:
    """Ask for things until told to stop, or the server is gone."""
    full = server.client("full")
    async with httpx.AsyncClient(base_url=server.base, timeout=10) as http:
        form = {"grant_type": "client_credentials"}
        try:
            answer = await http.post("/oauth/token", data=form, auth=(full["client_id"], full["client_secret"]))
            http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            while not stop.is_set():
                await http.get("/users?per_page=1")
                await http.post("/contacts", json={"name": "Ana"})
        except (httpx.HTTPError, json.JSONDecodeError):
            return


@pytest.mark.process
@pytest.mark.slow
async def test_kills_leave_every_balance_as_the_log_has_it(tmp_path: Path, database: str) -> None:
    given = SETTINGS | {"database": database, "demo_calls": 20_000}

    async def begin() -> Server:
        return await asyncio.to_thread(start, tmp_path, "--demo", "--speed", "100", **given)

    for round in range(KILLS):
        server = await begin()
        stop = asyncio.Event()
        callers = [asyncio.create_task(busy(server, stop)) for _ in range(2)]
        await asyncio.sleep(0.2 + round % 5 * 0.1)
        server.kill()
        stop.set()
        await asyncio.gather(*callers)
    server, run = await begin(), server.ringfence
    for _ in range(60):  # until somebody has talked, however slow the machine
        if "voice_talk_time" in await asyncio.to_thread(run, "usage", "show"):
            break
    server.kill()
    await asyncio.to_thread(run, "wallets", "top-up", "voice", "12.5")
    await asyncio.to_thread(run, "wallets", "list")  # what came after the last kill is in the books
    log = await asyncio.to_thread(run, "events", "tail", "--json", "--last", "1000000")
    explained = json.loads(await asyncio.to_thread(run, "usage", "explain", "voice", "--json"))
    rows = {row["name"]: row for row in json.loads(await asyncio.to_thread(run, "wallets", "list", "--json"))}
    counted = Recount(map(json.loads, log.splitlines()))
    assert {name: micros_of(row["balance"]) for name, row in rows.items()} == {
        name: counted.balance(name) for name in ("platform", "voice")
    }
    assert explained["recounted"] == explained["balance"] == rows["voice"]["balance"]
    resources = {line[1]: sums for line, sums in counted.lines.items()}
    assert resources["voice_talk_time"][0] > 0
    assert resources["api_requests"][0] > 0
    before = await asyncio.to_thread(run, "usage", "show")
    assert "VOICE-FREE" in before
    await asyncio.to_thread(run, "usage", "rebuild")
    assert await asyncio.to_thread(run, "usage", "show") == before
    refused = await asyncio.to_thread(server.ringfence, "wallets", "top-up", "nobody", "1", code=1)
    assert refused == ""


def micros_of(text: str) -> int:
    return int(Decimal(text) * 10**6)
