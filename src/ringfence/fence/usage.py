"""When each (client, scope, operation) was last used: counted in memory, written in batches.

Each batch is told as an event too, in the same transaction: what is metered from there is what was written.
"""

import asyncio
from typing import Any

import structlog
from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import Api, EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.settings import Settings
from ringfence.kernel.shapes import Shape
from ringfence.kernel.world import World
from ringfence.store.columns import Moment
from ringfence.store.db import Db
from ringfence.store.outbox import emit
from ringfence.store.query import mine
from ringfence.store.statement import Statement
from ringfence.store.tables.identity import usage

log = structlog.get_logger()

FLUSH = Statement(
    upsert(usage)
    .values(
        client_id=bindparam("client"),
        scope=bindparam("scope_"),
        operation=bindparam("operation_"),
        account_id=bindparam("account"),
        count=bindparam("uses"),
        first_used_at=bindparam("at", type_=Moment),
        last_used_at=bindparam("at", type_=Moment),
    )
    .on_conflict_do_update(
        index_elements=[usage.c.client_id, usage.c.scope, usage.c.operation],
        set_={"count": usage.c.count + bindparam("uses"), "last_used_at": bindparam("at", type_=Moment)},
    )
)
OF_CLIENT = Statement(
    mine(usage).where(usage.c.client_id == bindparam("client")).order_by(usage.c.scope, usage.c.operation)
)


class Uses(Shape):
    """How often a client was let in to an operation by a scope."""

    client_id: str
    scope: str
    operation: str
    count: int


class Flushed(Shape):
    """What was used since the last time, by this process."""

    uses: list[Uses]


FLUSHED = EventType("usage.flushed", Flushed, "Uses of scopes were written down")


class Usage:
    """Counts since the last flush. A crash loses at most one interval of counts, never an acknowledged write."""

    def __init__(self, db: Db, world: World, settings: Settings) -> None:
        self._db, self._world, self._settings = db, world, settings
        self._uses: dict[tuple[str, str, str, str], int] = {}

    def note(self, account: str, client: str, scope: str, operation: str) -> None:
        key = (account, client, scope, operation)
        self._uses[key] = self._uses.get(key, 0) + 1

    async def flush(self) -> None:
        taken, self._uses = self._uses, {}
        if not taken:
            return
        now: Any = self._world.now()
        rows = [
            {"account": a, "client": c, "scope_": s, "operation_": o, "uses": n, "at": now}
            for (a, c, s, o), n in sorted(taken.items())
        ]
        try:
            async with self._db.writing() as tx:
                await tx.many(FLUSH, rows)
                for account in sorted({key[0] for key in taken}):
                    uses = [Uses(client_id=c, scope=s, operation=o, count=n)
                            for (a, c, s, o), n in sorted(taken.items()) if a == account]  # fmt: skip
                    ctx = Ctx(account, "fence", tx, self._world, self._settings)
                    await emit(ctx, FLUSHED, account, Flushed(uses=uses))
        except Exception:
            for key, n in taken.items():
                self._uses[key] = self._uses.get(key, 0) + n
            raise

    async def run(self, interval: float) -> None:
        """Flush now and then. Until cancelled."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.flush()
            except Exception:
                log.exception("usage.flush_failed")


USAGE = Api("usage", "Usage", "What scopes are used for.", operations=(), events=(FLUSHED,))
