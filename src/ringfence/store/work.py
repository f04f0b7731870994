"""Jobs: rows with a due time. Claiming one moves its due time; a worker that dies gives it back by doing nothing."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, select, update

from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx

from .columns import Moment
from .db import Db, Transaction
from .statement import Row, Statement, adding
from .tables.log import jobs

LEASE = timedelta(minutes=2)

ADD = adding(jobs, everywhere=True)
_due = (
    select(jobs.c.id)
    .where(jobs.c.due <= bindparam("now", type_=Moment))
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
NEXT = Statement(select(func.min(jobs.c.due).label("due")), everywhere=True)
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


async def claim(db: Db, now: datetime) -> Row | None:
    """Take the next due job for the length of the lease."""
    async with db.reading() as tx:  # most looks find nothing: do not stand in the writers' line for that
        soonest = await tx.one(NEXT)
    if soonest is None or soonest["due"] is None or soonest["due"] > now:
        return None
    async with db.writing() as tx:
        return await tx.one(CLAIM, now=now, lease=now + LEASE)


async def done(tx: Transaction, id: str) -> None:
    await tx.run(DONE, job=id)


async def failed(tx: Transaction, job: Job | None, row: Row, now: datetime, why: str) -> datetime | None:
    """Set the next attempt, or bury the job after its last. When it is due again."""
    tries = row["attempt"]
    delays = job.retry if job else ()
    again = now + timedelta(seconds=delays[tries - 1]) if tries <= len(delays) else None
    await tx.run(AGAIN, job=row["id"], again=again, why=why[:2000], tries=tries)
    return again
