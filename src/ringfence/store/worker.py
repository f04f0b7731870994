"""What runs beside the requests: the relay, the reactions, the jobs. One loop, woken by a bell or a due time."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from ringfence.kernel.catalog import Api, Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.world import World

from . import outbox, work
from .db import Db, Transaction
from .statement import Row

log = structlog.get_logger()
PAUSE = 0.02  # seconds between passes: what happens meanwhile is taken together
WAKE = 1.0  # seconds after which the loop looks by itself: a bell may be lost
BACKOFF = 5.0  # seconds before a reaction that failed is tried again

LONG = 2  # long jobs at a time in one process

CtxFor = Callable[[Transaction | None, str, str], Ctx]  # (transaction, account, actor) -> context


class Worker:
    """Drives every reaction and job of the given APIs against one database."""

    def __init__(self, db: Db, world: World, apis: Iterable[Api], ctx_for: CtxFor) -> None:
        self.db, self.world, self.ctx_for = db, world, ctx_for
        apis = tuple(apis)
        self.reactions: tuple[Reaction, ...] = tuple(r for api in apis for r in api.reactions)
        self.jobs: dict[str, Job] = {job.name: job for api in apis for job in api.jobs}
        self.bell = asyncio.Event()
        self._held_until: dict[str, float] = {}
        self._cursors: dict[str, int] = {}
        self._long: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; long jobs are given back then."""
        try:
            await self._run()
        finally:
            for task in self._long:
                task.cancel()
            await asyncio.gather(*self._long, return_exceptions=True)

    async def _run(self) -> None:
        planted = False
        while True:
            done = 0
            try:
                if not planted:
                    await self.plant()
                    planted = True
                done = await self.turn()
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("worker.turn_failed")
                await asyncio.sleep(1)
            await asyncio.sleep(PAUSE)
            if not done:  # else there may be more: a reaction takes so many events at a time
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.bell.wait(), WAKE)
            self.bell.clear()

    async def plant(self) -> None:
        """Give each recurring job its one row, and each reaction its cursor."""
        now = self.world.now()
        async with self.db.writing() as tx:
            last = await tx.one(outbox.LAST)
            for reaction in self.reactions:
                place = 0 if reaction.start == "first" or not last else last["place"]
                await tx.run(outbox.BEGIN_CURSOR, name=reaction.name, place=place)
            for job in self.jobs.values():
                if job.every and not await tx.one(work.SEEK, name=job.name):
                    ctx = self.ctx_for(tx, "", "job:plant")
                    await work.enqueue(ctx, job, {}, due=now + timedelta(seconds=job.every))

    async def turn(self) -> int:
        """Place what was committed, let every reaction and every due job have its go. How much was done."""
        count = await outbox.stamp(self.db)
        async with self.db.reading() as tx:
            last = await tx.one(outbox.LAST)
        if last:
            behind = [one for one in self.reactions if self._cursors.get(one.name, -1) < last["place"]]
            ahead = Ahead()
            count += sum(await asyncio.gather(*(self.react(one, ahead) for one in behind)))  # on SQLite in one commit
        while row := await work.claim(self.db, self.world.now(), without=self._unwanted()):
            job = self.jobs.get(row["name"])
            if job is not None and job.long:
                task = asyncio.create_task(self.attend(row), name=f"job {row['name']}")
                self._long.add(task)
                task.add_done_callback(self._ended)
            else:
                await self.perform(row)
            count += 1
        return count

    def _unwanted(self) -> list[str]:
        """Names of jobs not to claim now: the long ones, when as many run as may."""
        return [job.name for job in self.jobs.values() if job.long] if len(self._long) >= LONG else []

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._long.discard(task)
        self.bell.set()

    async def settle(self) -> None:
        """Turn until there is nothing left to do now."""
        while await self.turn() or self._long:
            await asyncio.gather(*self._long)

    async def react(self, reaction: Reaction, ahead: "Ahead") -> int:
        """Move one reaction over the next events; one that fails stays where it is for a while. How many they were."""
        if self._held_until.get(reaction.name, 0) > self.world.time():
            return 0
        try:
            moved = await advance(self.db, self.ctx_for, reaction, ahead)
        except Exception:
            log.exception("reaction.failed", reaction=reaction.name)
            self._held_until[reaction.name] = self.world.time() + BACKOFF
            return 0
        if moved is None:
            return 0
        self._cursors[reaction.name], count = moved
        return count

    async def perform(self, row: Row) -> None:
        """Run one claimed job; its effects commit with its end."""
        job = self.jobs.get(row["name"])
        try:
            if job is None:
                raise LookupError(f"no job is called {row['name']}")
            args: Any = msgspec.convert(row["args"], job.args)
            if job.long:
                await job.run(self.ctx_for(None, row["account_id"], f"job:{job.name}"), args)
            async with self.db.writing() as tx:
                if not job.long:
                    await job.run(self.ctx_for(tx, row["account_id"], f"job:{job.name}"), args)
                if job.every:
                    await tx.run(work.AGAIN, job=row["id"], again=self._next(job), why=None, tries=0)
                else:
                    await work.done(tx, row["id"])
        except Exception as why:
            log.exception("job.failed", job=row["name"], id=row["id"], attempt=row["attempt"])
            async with self.db.writing() as tx:
                if job and job.every:
                    await tx.run(work.AGAIN, job=row["id"], again=self._next(job), why=repr(why)[:2000], tries=0)
                else:
                    await work.failed(tx, job, row, self.world.now(), repr(why))

    async def attend(self, row: Row) -> None:
        """Run a long job and keep its lease meanwhile; stopped in the middle, it is given back at once."""
        await work.renew(self.db, row["id"], self.world.now())
        keeping = asyncio.create_task(self._keep(row["id"]))
        try:
            await self.perform(row)
        except asyncio.CancelledError:
            await work.renew(self.db, row["id"], self.world.now(), lease=timedelta(0))
            raise
        finally:
            keeping.cancel()

    async def _keep(self, id: str) -> None:
        while True:
            await asyncio.sleep(work.SHORT.total_seconds() / 3)
            await work.renew(self.db, id, self.world.now())

    def _next(self, job: Job) -> datetime:
        return self.world.now() + timedelta(seconds=job.every or 0)


class Ahead:
    """The events after a place, read once for all reactions that are as far: what is in the log stays as it is."""

    def __init__(self) -> None:
        self._found: dict[int, list[Row]] = {}
        self._one = asyncio.Lock()

    async def after(self, tx: Transaction, place: int) -> list[Row]:
        async with self._one:
            if place not in self._found:
                self._found[place] = await tx.all(outbox.AFTER, place=place)
            return self._found[place]


async def advance(db: Db, ctx_for: CtxFor, reaction: Reaction, ahead: Ahead) -> tuple[int, int] | None:
    """Move a reaction over the next events; its effects commit with its cursor.

    The place that it is at then, and how many events they were. None where another process is at it.
    """
    async with db.writing() as tx:
        cursor = await tx.one(outbox.CURSOR, name=reaction.name)
        if cursor is None:
            return None
        found = await ahead.after(tx, cursor["place"])
        if not found:
            return cursor["place"], 0
        await _hand_over(ctx_for, tx, reaction, found)
        place: int = found[-1]["place"]
        await tx.run(outbox.MOVE, name_=reaction.name, place_=place)
    return place, len(found)


async def _hand_over(ctx_for: CtxFor, tx: Transaction, reaction: Reaction, found: list[Row]) -> None:
    """Give a reaction those of the events that it is for."""
    actor = f"reaction:{reaction.name}"
    if reaction.to is not None:
        wanted = {what.name for what in reaction.to}
        found = [event for event in found if event["type"] in wanted]
    if reaction.run_all is not None:
        if found:
            await reaction.run_all(ctx_for(tx, "", actor), found)
    elif reaction.run is not None:
        for event in found:
            await reaction.run(ctx_for(tx, event["account_id"], actor), event)


async def catch_up(db: Db, ctx_for: CtxFor, reaction: Reaction) -> int:
    """Bring a reaction that takes every event, many together, to the end that the log has now: for commands.

    How many events that was. It stops where another process is at it.
    """
    if reaction.run_all is None or reaction.to is not None:
        raise TypeError(f"{reaction.name} does not take every event")
    while await outbox.stamp(db):
        pass
    async with db.writing() as tx:
        await tx.run(outbox.BEGIN_CURSOR, name=reaction.name, place=0)
        end = await tx.one(outbox.LAST)
    last, count, place = end["place"] if end else 0, 0, -1
    while place < last and (moved := await advance(db, ctx_for, reaction, Ahead())) is not None:
        place, more = moved
        count += more
    return count
