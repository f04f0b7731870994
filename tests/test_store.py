"""Transactions, the event log, reactions and jobs: the same on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, select, update

from ringfence.apis.contacts.domain import CONTACT_CREATED, ContactFacts
from ringfence.fence.activity import OF_ACCOUNT
from ringfence.kernel.catalog import Api, Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Nothing, Shape
from ringfence.kernel.world import FrozenWorld
from ringfence.store import outbox, work
from ringfence.store.columns import EPOCH, MICROSECOND, Moment
from ringfence.store.db import DuplicateRow
from ringfence.store.statement import SQLITE, BadStatement, Statement
from ringfence.store.tables.identity import clients
from ringfence.store.tables.log import events, jobs
from ringfence.store.worker import Worker
from tests.conftest import POSTGRES, Centre


async def write(centre: Centre, key: str, *, fail: bool = False) -> None:
    async with centre.house.db.writing() as tx:
        await outbox.emit(centre.house.ctx(tx, "a1", "test"), CONTACT_CREATED, key, ContactFacts(id=key))
        if fail:
            raise ZeroDivisionError


async def log(centre: Centre) -> list[dict[str, Any]]:
    await outbox.stamp(centre.house.db)
    return await centre.rows(outbox.AFTER, place=0)


async def test_concurrent_writers_all_land_and_the_log_has_no_gap(centre: Centre) -> None:
    await asyncio.gather(*(write(centre, f"k{n}") for n in range(100)))
    found = await log(centre)
    assert [e["place"] for e in found] == list(range(1, 101))
    assert {e["key"] for e in found} == {f"k{n}" for n in range(100)}


async def test_a_writer_that_fails_leaves_no_trace_and_harms_nobody_in_its_batch(centre: Centre) -> None:
    results = await asyncio.gather(
        *(write(centre, f"k{n}", fail=n % 3 == 0) for n in range(30)), return_exceptions=True
    )
    assert sum(isinstance(r, ZeroDivisionError) for r in results) == 10
    found = await log(centre)
    assert {e["key"] for e in found} == {f"k{n}" for n in range(30) if n % 3}
    assert [e["place"] for e in found] == list(range(1, 21))


async def test_a_cancelled_writer_gives_its_turn_away(centre: Centre) -> None:
    async def slow() -> None:
        async with centre.house.db.writing() as tx:
            await outbox.emit(centre.house.ctx(tx, "a1", "test"), CONTACT_CREATED, "slow", ContactFacts(id="slow"))
            await asyncio.sleep(10)

    first, second = asyncio.create_task(slow()), asyncio.create_task(slow())
    await asyncio.sleep(0.05)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.wait_for(write(centre, "after"), 5)
    assert [e["key"] for e in await log(centre)] == ["after"]


@pytest.mark.skipif(bool(POSTGRES), reason="SQLite has one writer; PostgreSQL has many")
async def test_a_writer_inside_a_writer_is_told_so(centre: Centre) -> None:
    async with centre.house.db.writing() as tx:
        await outbox.emit(centre.house.ctx(tx, "a1", "test"), CONTACT_CREATED, "k", ContactFacts(id="k"))
        with pytest.raises(RuntimeError, match="inside another"):
            await write(centre, "inner")


async def test_readers_see_what_is_committed_and_never_wait(centre: Centre) -> None:
    async with centre.house.db.writing() as tx:
        await outbox.emit(centre.house.ctx(tx, "a1", "test"), CONTACT_CREATED, "k", ContactFacts(id="k"))
        rows = await asyncio.wait_for(centre.rows(outbox.AFTER, place=0), 1)
        assert rows == []
    assert len(await log(centre)) == 1


async def test_a_scan_streams_every_row(centre: Centre) -> None:
    await asyncio.gather(*(write(centre, f"k{n}") for n in range(1201)))
    every = Statement(select(events.c.key).order_by(events.c.n), everywhere=True)
    async with centre.house.db.reading() as tx:
        seen = [row["key"] async for row in tx.scan(every)]
    assert len(seen) == len(set(seen)) == 1201


async def test_a_duplicate_is_said_in_one_way(centre: Centre) -> None:
    async def add() -> None:
        async with centre.house.db.writing() as tx:
            now = centre.world.now()
            await tx.run(work.ADD, id="j", account_id="a", name="x", args={}, due=now, attempt=0, created_at=now)

    await add()
    with pytest.raises(DuplicateRow):
        await add()


def test_a_statement_that_is_not_cut_to_the_account_cannot_be_made() -> None:
    for core in (select(clients), update(clients).values(name="x"), select(clients).where(clients.c.id == "x")):
        with pytest.raises(BadStatement):
            Statement(core)
    with pytest.raises(BadStatement):
        _ = Statement(select(jobs).where(jobs.c.name.in_(["a", "b"])), everywhere=True).sqlite
    Statement(select(clients).where(clients.c.account_id == bindparam("account")))


@given(st.datetimes(timezones=st.just(EPOCH.tzinfo), min_value=EPOCH.replace(tzinfo=None, year=1990)))  # type: ignore[arg-type]
def test_a_moment_keeps_its_microseconds(at: Any) -> None:
    moment = Moment()
    stored = moment.process_bind_param(at, SQLITE)
    assert stored == (at - EPOCH) // MICROSECOND
    assert moment.result_processor(SQLITE, None)(stored) == at


# -- reactions and jobs


def worker_with(centre: Centre, *, reactions: tuple[Reaction, ...] = (), jobs: tuple[Job, ...] = ()) -> Worker:
    api = Api("t", "T", "t", operations=(), reactions=reactions, jobs=jobs)
    return Worker(centre.house.db, centre.world, (api,), centre.house.ctx)


async def test_a_reaction_sees_each_event_once_in_order(centre: Centre) -> None:
    seen: list[str] = []

    async def note(ctx: Ctx, event: Any) -> None:
        seen.append(event["key"])

    worker = worker_with(centre, reactions=(Reaction("t.note", (CONTACT_CREATED,), note),))
    await worker.plant()
    for n in range(5):
        await write(centre, f"k{n}")
    await worker.settle()
    await write(centre, "k5")
    await worker.settle()
    await worker.settle()
    assert seen == [f"k{n}" for n in range(6)]


async def test_a_reaction_that_fails_stays_where_it_is_and_goes_on_later(centre: Centre, world: FrozenWorld) -> None:
    broken = True
    seen: list[str] = []

    async def note(ctx: Ctx, event: Any) -> None:
        if broken:
            raise ZeroDivisionError
        seen.append(event["key"])

    worker = worker_with(centre, reactions=(Reaction("t.note", None, note),))
    await worker.plant()
    await write(centre, "k")
    await worker.settle()
    assert [c["place"] for c in await centre.rows(outbox.CURSORS)] == [0]
    broken = False
    world.advance(6)
    await worker.settle()
    assert seen == ["k"]


async def test_a_notifier_begins_at_the_end_of_the_log(centre: Centre) -> None:
    seen: list[str] = []

    async def note(ctx: Ctx, event: Any) -> None:
        seen.append(event["key"])

    await write(centre, "before")
    await outbox.stamp(centre.house.db)
    worker = worker_with(centre, reactions=(Reaction("t.note", None, note, start="end"),))
    await worker.plant()
    await write(centre, "after")
    await worker.settle()
    assert seen == ["after"]


async def test_a_job_is_tried_again_and_then_buried(centre: Centre, world: FrozenWorld) -> None:
    tries = 0

    async def fail(ctx: Ctx, args: Nothing) -> None:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError

    job = Job("t.fail", Nothing, fail, retry=(5, 60))
    worker = worker_with(centre, jobs=(job,))
    async with centre.house.db.writing() as tx:
        await work.enqueue(centre.house.ctx(tx, "a1", "test"), job, Nothing())
    for seconds, expected in ((0, 1), (4, 1), (1, 2), (59, 2), (1, 3), (10_000, 3)):
        world.advance(seconds)
        await worker.settle()
        assert tries == expected
    (row,) = await centre.rows(work.ALL)
    assert row["due"] is None
    assert "ZeroDivisionError" in row["error"]


async def test_four_workers_share_the_jobs_without_repeating_one(centre: Centre) -> None:
    done: list[str] = []

    async def note(ctx: Ctx, args: Any) -> None:
        done.append(args.n)

    class Numbered(Shape):
        n: str

    job = Job("t.note", Numbered, note)
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, "a1", "test")
        for n in range(40):
            await work.enqueue(ctx, job, Numbered(n=f"{n:02}"))
    await asyncio.gather(*(worker_with(centre, jobs=(job,)).settle() for _ in range(4)))
    assert sorted(done) == [f"{n:02}" for n in range(40)]


async def test_a_dead_workers_job_comes_back(centre: Centre, world: FrozenWorld) -> None:
    async def nothing(ctx: Ctx, args: Nothing) -> None: ...

    job = Job("t.x", Nothing, nothing)
    async with centre.house.db.writing() as tx:
        await work.enqueue(centre.house.ctx(tx, "a1", "test"), job, Nothing())
    assert await work.claim(centre.house.db, world.now()) is not None
    assert await work.claim(centre.house.db, world.now()) is None
    world.advance(work.LEASE.total_seconds() + 1)
    again = await work.claim(centre.house.db, world.now())
    assert again is not None
    assert again["attempt"] == 2


async def test_a_recurring_job_keeps_one_row(centre: Centre, world: FrozenWorld) -> None:
    runs = 0

    async def count(ctx: Ctx, args: Nothing) -> None:
        nonlocal runs
        runs += 1

    job = Job("t.count", Nothing, count, every=60)
    worker = worker_with(centre, jobs=(job,))
    await worker.plant()
    await replace_and_plant(centre, job)
    for _ in range(3):
        world.advance(60)
        await worker.settle()
    assert runs == 3
    assert len(await centre.rows(work.ALL)) == 1


async def replace_and_plant(centre: Centre, job: Job) -> None:
    await worker_with(centre, jobs=(replace(job),)).plant()


async def test_the_tally_counts_every_event(centre: Centre) -> None:
    account = await centre.account()
    async with await centre.signed_in("contacts:write") as http:
        for n in range(7):
            await http.post("/contacts", json={"name": f"c{n}"})
    await centre.settle()
    counted = await centre.rows(OF_ACCOUNT, account=account)
    assert {(c["type"], c["day"]): c["count"] for c in counted}["contact.created", "2026-01-05"] == 7
    assert sum(c["count"] for c in counted) == sum(e["account_id"] == account for e in await log(centre))
