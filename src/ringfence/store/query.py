"""Reading and writing an account's rows from a domain function: the account is always bound from the context."""

from collections.abc import Coroutine
from typing import Any

from sqlalchemy import Select, Table, bindparam, select

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault

from .statement import Row, Statement, adding

__all__ = ["ACCOUNT", "Row", "Statement", "adding", "all_rows", "change", "find", "mine", "one"]

ACCOUNT: Any = bindparam("account")


def mine(table: Table, *columns: Any) -> Select[Any]:
    """The one way to begin a select on an account's table."""
    return select(*(columns or (table,))).where(table.c.account_id == ACCOUNT)


def find(ctx: Ctx, statement: Statement, **given: Any) -> Coroutine[Any, Any, Row | None]:
    """The first row, or None."""
    found: Coroutine[Any, Any, Row | None] = ctx.db.one(statement, account=ctx.account, **given)
    return found


async def one(ctx: Ctx, statement: Statement, **given: Any) -> Row:
    """The row, or a 404."""
    row: Row | None = await ctx.db.one(statement, account=ctx.account, **given)
    if row is None:
        raise Fault(NOT_FOUND)
    return row


def all_rows(ctx: Ctx, statement: Statement, **given: Any) -> Coroutine[Any, Any, list[Row]]:
    """Every row."""
    found: Coroutine[Any, Any, list[Row]] = ctx.db.all(statement, account=ctx.account, **given)
    return found


def change(ctx: Ctx, statement: Statement, **given: Any) -> Coroutine[Any, Any, int]:
    """Execute an insert, update or delete; the number of rows changed."""
    count: Coroutine[Any, Any, int] = ctx.db.run(statement, account=ctx.account, **given)
    return count
