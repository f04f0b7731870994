"""How much happened: a tally of events by account, type and day, kept by a reaction to the log."""

from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import Api, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.store.query import ACCOUNT, mine
from ringfence.store.statement import Row, Statement
from ringfence.store.tables.log import tallies

COUNT = Statement(
    upsert(tallies)
    .values(account_id=ACCOUNT, type=bindparam("type_"), day=bindparam("day_"), count=1)
    .on_conflict_do_update(
        index_elements=[tallies.c.account_id, tallies.c.type, tallies.c.day], set_={"count": tallies.c.count + 1}
    )
)
OF_ACCOUNT = Statement(mine(tallies).order_by(tallies.c.day, tallies.c.type))


async def tally(ctx: Ctx, event: Row) -> None:
    day: Any = event["at"].date().isoformat()
    await ctx.db.run(COUNT, account=event["account_id"], type_=event["type"], day_=day)


ACTIVITY = Api(
    name="activity",
    title="Activity",
    about="How much happened in an account, by kind and day.",
    operations=(),
    reactions=(Reaction("activity.tally", None, tally),),
)
