"""Whether an account may call a number: what its do-not-call lists say today, where the number is at home."""

from sqlalchemy import bindparam, select

from ringfence.kernel.ctx import Ctx
from ringfence.store.query import ACCOUNT, Statement, all_rows, mine
from ringfence.store.tables.lists import do_not_call_entries, lists

from . import numbers

_lists = select(lists.c.id).where(
    lists.c.account_id == ACCOUNT, lists.c.kind == "do_not_call", lists.c.deleted_at.is_(None)
)
# one step into the index for each of the account's lists, however many entries they hold
HOLDING = Statement(
    mine(do_not_call_entries, do_not_call_entries.c.list_id, do_not_call_entries.c.expiration_date).where(
        do_not_call_entries.c.list_id.in_(_lists), do_not_call_entries.c.number == bindparam("number")
    )
)


async def listed(ctx: Ctx, number: int) -> bool:
    """Whether any list of the account holds a number, through the last day of the entry in the number's own zone."""
    found = await all_rows(ctx, HOLDING, number=number)
    if not found:
        return False
    today = numbers.today(ctx.now(), numbers.zone_of(number)).isoformat()
    return any(row["expiration_date"] is None or row["expiration_date"] >= today for row in found)
