"""A report as text, piece by piece (contract: data_and_events.md section 1.7)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from sqlalchemy import func, select

from ringfence.store.db import Db
from ringfence.store.sqlite_lines import Piece
from ringfence.store.statement import Statement

from .report import Report, selecting
from .spans import Span

Format = Literal["csv", "json", "json_bulk"]


async def written(
    db: Db, report: Report, span: Span, format: Format, *, account: str, base: str
) -> AsyncGenerator[Piece, None]:
    """A report of an account in its format: bytes, and how many rows they hold. `base` is of links to this server."""
    core = selecting(report, span.zone, span.starts, span.ends)
    given = {"account": account, "starts": span.starts, "ends": span.ends, "base": base}
    total = 0
    async with aclosing(db.dump(core, "csv" if format == "csv" else "json", **given)) as pieces:
        if format == "csv":
            yield (",".join(report.columns) + "\n").encode(), 0
        elif format == "json":
            kind = f'"type":"{report.type}","version":"v1",' if report.versioned else ""
            yield f'{{{kind}"entries":['.encode(), 0
        async for piece, rows in pieces:
            if format == "json":
                piece = (b",\n" if total else b"\n") + piece[:-1].replace(b"\n", b",\n")
            total += rows
            yield piece, rows
    if format == "json":
        yield f'\n],"total":{total}}}\n'.encode(), 0


async def count_of(db: Db, report: Report, span: Span, *, account: str) -> int:
    """How many rows the report has now."""
    core = selecting(report, span.zone, span.starts, span.ends).order_by(None)
    counting = Statement(select(func.count().label("count")).select_from(core.subquery("rows")))
    async with db.reading() as tx:
        row: Any = await tx.one(counting, account=account, starts=span.starts, ends=span.ends, base="")
    count: int = row["count"]
    return count
