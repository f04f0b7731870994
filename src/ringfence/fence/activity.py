"""How much happened: a tally of events by account, type and day, kept by a reaction to the log."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import Api, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.store.query import ACCOUNT, mine
from ringfence.store.statement import Row, Statement
from ringfence.store.tables.log import tallies

_more: Any = bindparam("more", type_=tallies.c.count.type)
COUNT = Statement(
    upsert(tallies)
    .values(account_id=ACCOUNT, type=bindparam("type_"), day=bindparam("day_"), count=_more)
    .on_conflict_do_update(
        index_elements=[tallies.c.account_id, tallies.c.type, tallies.c.day], set_={"count": tallies.c.count + _more}
    )
)
OF_ACCOUNT = Statement(mine(tallies).order_by(tallies.c.day, tallies.c.type))


async def tally(ctx: Ctx, found: Sequence[Row]) -> None:
    """The reaction: one write for all events of an account, a type and a day that come together."""
    counted = Counter((event["account_id"], event["type"], event["at"].date().isoformat()) for event in found)
    rows = [
        {"account": account, "type_": type, "day_": day, "more": more}
        for (account, type, day), more in sorted(counted.items())
    ]
    await ctx.db.many(COUNT, rows)


ACTIVITY = Api(
    name="activity",
    title="Activity",
    about="How much happened in an account, by kind and day.",
    operations=(),
    reactions=(Reaction("activity.tally", None, run_all=tally),),
)
