"""Clearing away what has died by itself: codes, tokens, sessions, assertions, revocations."""

from datetime import timedelta

from sqlalchemy import bindparam, delete

from ringfence.fence.view import TRIM
from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Nothing
from ringfence.store.columns import Moment
from ringfence.store.statement import Statement
from ringfence.store.tables.identity import (
    assertions,
    codes,
    login_failures,
    opaque_tokens,
    refresh_tokens,
    revocations,
    sessions,
)

BEFORE = bindparam("before", type_=Moment)
ENDS = (
    codes.c.expires_at,
    refresh_tokens.c.idle_until,
    sessions.c.expires_at,
    opaque_tokens.c.alive_until,
    assertions.c.expires_at,
    revocations.c.until,
    login_failures.c.since,
)
DROPS = tuple(Statement(delete(end.table).where(end < BEFORE), everywhere=True) for end in ENDS)
KEEP = timedelta(days=1)  # a replayed code is still recognised for this long


async def sweep(ctx: Ctx, args: Nothing) -> None:
    before = ctx.now() - KEEP
    for drop in DROPS:
        await ctx.db.run(drop, before=before)
    await ctx.db.run(TRIM)
    ctx.house.view.forget_expired(before.timestamp())


SWEEP = Job("oauth.sweep", Nothing, sweep, every=600)
