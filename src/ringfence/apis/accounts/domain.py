"""What an account is."""

from ringfence.kernel.ctx import Ctx
from ringfence.store.query import ACCOUNT, Row, Statement, one
from ringfence.store.tables.identity import accounts

MINE = Statement(accounts.select().where(accounts.c.id == ACCOUNT))


async def get(ctx: Ctx) -> Row:
    """The caller's own account."""
    return await one(ctx, MINE)
