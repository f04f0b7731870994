"""Jobs: rows with a due time. Claiming one moves its due time; a worker that dies gives it back by doing nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select, update

from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx

from .columns import Json, Moment, among
from .db import Db, Transaction
from .statement import Row, Statement, adding
from .tables.log import jobs

LEASE = timedelta(minutes=2)
SHORT = timedelta(seconds=15)  # lease of a long job, which renews it: so soon another worker takes over

ADD = adding(jobs, everywhere=True)
_due = (
    select(jobs.c.id)
    .where(
        jobs.c.due <= bindparam("now", type_=Moment),
        ~among(jobs.c.name, bindparam("without", type_=Json)),
    )
    .order_by(jobs.c.due, jobs.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
CLAIM = Statement(
    update(jobs)
    .where(jobs.c.id == _due.scalar_subquery())
    .values(due=bindparam("lease", type_=Moment), attempt=jobs.c.attempt + 1)
    .returning(jobs),
    everywhere=True,
)
NEXT = Statement(
    select(jobs.c.due)
    .where(jobs.c.due.is_not(None), ~among(jobs.c.name, bindparam("without", type_=Json)))
    .order_by(jobs.c.due)
    .limit(1),
    everywhere=True,
)
RENEW = Statement(
    update(jobs).where(jobs.c.id == bindparam("job")).values(due=bindparam("lease", type_=Moment)), everywhere=True
)
SEEK = Statement(select(jobs.c.id).where(jobs.c.name == bindparam("name")).limit(1), everywhere=True)
DONE = Statement(delete(jobs).where(jobs.c.id == bindparam("job")), everywhere=True)
AGAIN = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(due=bindparam("again", type_=Moment), error=bindparam("why"), attempt=bindparam("tries")),
    everywhere=True,
)
ALL = Statement(select(jobs).order_by(jobs.c.due, jobs.c.id).limit(1000), everywhere=True)


async def enqueue(ctx: Ctx, job: Job, args: Any, *, due: datetime | None = None) -> str:
    """Ask for work, now or at `due`, in the caller's transaction: no commit, no job. Its id."""
    id = ctx.new_key()
    await ctx.db.run(
        ADD,
        id=id,
        account_id=ctx.account,
        name=job.name,
        args=msgspec.to_builtins(args),
        due=due or ctx.now(),
        attempt=0,
        error=None,
        created_at=ctx.now(),
    )
    return id


async def claim(db: Db, now: datetime, *, without: Sequence[str] = ()) -> Row | None:
    """Take the next due job for the length of the lease; `without` names those that are not wanted now."""
    async with db.reading() as tx:  # most looks find nothing: do not stand in the writers' line for that
        soonest = await tx.one(NEXT, without=without)
    if soonest is None or soonest["due"] > now:
        return None
    async with db.writing() as tx:
        return await tx.one(CLAIM, now=now, lease=now + LEASE, without=without)


async def renew(db: Db, id: str, now: datetime, *, lease: timedelta = SHORT) -> None:
    """Keep a claimed job for some more time; none at all gives it back."""
    async with db.writing() as tx:
        await tx.run(RENEW, job=id, lease=now + lease)


@asynccontextmanager
async def step(ctx: Ctx, *, lazy: bool = False) -> AsyncIterator[Ctx]:
    """One transaction of a long job. Between its first statement and its end await nothing but the database.

    A `lazy` one does not wait until it is durable: a crash may undo the last of them, in order.
    """
    async with ctx.house.db.writing(lazy=lazy) as tx:
        yield replace(ctx, db=tx)


async def done(tx: Transaction, id: str) -> None:
    await tx.run(DONE, job=id)


async def failed(tx: Transaction, job: Job | None, row: Row, now: datetime, why: str) -> datetime | None:
    """Set the next attempt, or bury the job after its last. When it is due again."""
    tries = row["attempt"]
    delays = job.retry if job else ()
    again = now + timedelta(seconds=delays[tries - 1]) if tries <= len(delays) else None
    await tx.run(AGAIN, job=row["id"], again=again, why=why[:2000], tries=tries)
    return again
