"""`ringfence wallets` and `ringfence usage`: what is left, what was used, and why."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, Stop, as_json, caught_up, desk, moment, opened, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

wallets_app = typer.Typer(help="Wallets: what is left in them, and putting something in.", no_args_is_help=True)
usage_app = typer.Typer(help="What was used, what it was drawn from, and what it cost.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(metavar="WALLET", help="Its name.")]
TRIES = 20


@wallets_app.command("list")
def list_wallets(context: typer.Context, json: AsJson = False) -> None:
    """List the wallets of the account."""
    from ringfence.metering import declaring
    from ringfence.metering.keeping import METER
    from ringfence.metering.terms import written

    async def work(ctx: "Ctx") -> Any:
        return await ctx.db.all(declaring.WALLETS, account=ctx.account)

    found = [
        {
            "name": row["name"],
            "product_name": row["product_name"],
            "balance": written(row["declared"] + row["added"] - row["spent"]),
            "put_in": written(row["declared"] + row["added"]),
            "spent": written(row["spent"]),
            "updated_at": row["updated_at"],
        }
        for row in run(caught_up(desk(context), METER, work))
    ]
    if json:
        as_json(found)
        return
    columns = ("name", "product_name", "balance", "put_in", "spent")
    rows = [(*(one[name] for name in columns), moment(one["updated_at"])) for one in found]
    table(("name", "product", "balance", "put in", "spent", "changed"), rows)


@wallets_app.command("top-up", epilog='Example: ringfence wallets top-up voice 50 --reason "invoice 7"')
def top_up(
    context: typer.Context,
    wallet: Which,
    amount: Annotated[str, typer.Argument(help="A decimal number.")],
    reason: Annotated[str, typer.Option(help="Kept with it.")] = "",
) -> None:
    """Put something into a wallet, beside what the file declares."""
    from ringfence.metering import declaring
    from ringfence.metering.terms import micros, written

    try:
        exact = micros(amount)
    except ValueError as why:
        raise typer.BadParameter(f"the amount {why}") from why

    async def work(ctx: "Ctx") -> Any:
        return await declaring.top_up(ctx, wallet, exact, reason)

    row = run(within(desk(context), work))
    typer.echo(f"{written(row['declared'] + row['added'] - row['spent'])} in {wallet}")


@usage_app.command("show")
def show(
    context: typer.Context,
    month: Annotated[str | None, typer.Option(help="Only of this one, as in 2026-01.")] = None,
    json: AsJson = False,
) -> None:
    """Show what was used of each resource: what buckets it came out of, and what it cost."""
    from ringfence.metering import declaring, keeping

    async def work(ctx: "Ctx") -> Any:
        lines = await ctx.db.all(keeping.LINES, account=ctx.account)
        buckets = await ctx.db.all(declaring.BUCKETS, account=ctx.account)
        return lines, {row["id"]: row["charge_number"] for row in buckets}, await keeping.load(ctx)

    lines, numbers, books = run(caught_up(desk(context), keeping.METER, work))
    chosen = [line for line in lines if month is None or line["day"].startswith(month)]
    used = _summed(chosen, numbers, by=lambda line: (line["resource"], line["bucket"], line["wallet"]))
    left = [
        {
            "bucket": bucket.charge_number,
            "resource": bucket.resource,
            "period": period,
            "used": drawn,
            "capacity": bucket.capacity,
            "percent": 100 * drawn // bucket.capacity if bucket.capacity else 100,
        }
        for bucket in sorted(books.buckets.values(), key=lambda one: one.charge_number)
        for period, drawn in sorted(bucket.drawn.items())
        if month is None or period in ("", month)
    ]
    if json:
        as_json({"used": used, "buckets": left})
        return
    table(("resource", "out of", "paid by", "used", "cost"), _rows(used, "resource", "bucket", "wallet"))
    rows = [(b["bucket"], b["period"], _quantity(b["resource"], b["used"]),
             _quantity(b["resource"], b["capacity"]), f"{b['percent']} %") for b in left]  # fmt: skip
    table(("bucket", "period", "used", "of", ""), rows)


def _summed(lines: Iterable[Any], numbers: dict[str, str], by: Any) -> list[dict[str, Any]]:
    from ringfence.metering.terms import written

    sums: dict[Any, list[Any]] = {}
    for line in lines:
        held = sums.setdefault(by(line), [line, 0, 0])
        held[1] += line["quantity"]
        held[2] += line["cost"]
    return [
        {
            "month": line["day"][:7],
            "resource": line["resource"],
            "bucket": numbers.get(line["bucket"], line["bucket"]),
            "wallet": line["wallet"],
            "quantity": quantity,
            "cost": written(cost),
        }
        for _, (line, quantity, cost) in sorted(sums.items())
    ]


def _rows(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [
        (*(one[n] or "-" for n in names), _quantity(one["resource"], one["quantity"]), one["cost"]) for one in found
    ]


def _quantity(resource: str, quantity: int) -> str:
    from ringfence.metering.resources import RESOURCES

    return f"{quantity:,} {RESOURCES[resource].base}".strip()


@usage_app.command("explain")
def explain(context: typer.Context, wallet: Which, json: AsJson = False) -> None:
    """Explain a balance line by line, and recount it from the event log; exit code 1 where that comes to another."""
    from ringfence.metering.keeping import METER

    found = run(caught_up(desk(context), METER, lambda ctx: _explain(ctx, wallet)))
    if json:
        as_json(found)
    else:
        table(("month", "resource", "out of", "used", "cost"), _rows(found["lines"], "month", "resource", "bucket"))
        typer.echo(f"put in {found['put_in']}, spent {found['spent']}, left {found['balance']}")
        typer.echo(f"recounted from the log: {found['recounted']}")
    for difference in found["differences"]:
        typer.echo(difference, err=True)
    if found["differences"]:
        raise typer.Exit(1)


async def _explain(ctx: "Ctx", wallet: str) -> dict[str, Any]:
    from ringfence.metering import declaring, keeping
    from ringfence.metering.terms import written

    for _ in range(TRIES):  # until nothing comes in between: each read sees what is there by then
        books = await keeping.load(ctx)
        rows = await ctx.db.all(keeping.LINES, account=ctx.account)
        if (await keeping.load(ctx)).place == books.place:
            break
    else:
        raise Stop("The books change faster than they can be read; try again when less goes on.")
    counted, entries = await keeping.recounted(ctx, books.place)
    buckets = await ctx.db.all(declaring.BUCKETS, account=ctx.account)
    if wallet not in books.wallets:
        raise Stop(
            f"There is no wallet {wallet!r} in the books; there is {', '.join(sorted(books.wallets)) or 'none'}."
        )
    numbers = {row["id"]: row["charge_number"] for row in buckets}
    mine = [row for row in rows if row["wallet"] == wallet]
    held = books.wallets[wallet]
    wrongs = [*keeping.differences(books, counted), *keeping.misplaced(rows, entries)]
    if sum(row["cost"] for row in mine) != held.spent:
        wrongs.append(f"wallet {wallet}: its lines do not add up to what was spent")
    again = counted.wallets.get(wallet)
    return {
        "wallet": wallet,
        "lines": _summed(mine, numbers, by=lambda line: (line["day"][:7], line["resource"], line["bucket"])),
        "put_in": written(held.declared + held.added),
        "spent": written(held.spent),
        "balance": written(held.balance),
        "recounted": written(again.balance) if again is not None else None,
        "differences": wrongs,
    }


@usage_app.command("rebuild")
def rebuild(context: typer.Context) -> None:
    """Make the books anew from the event log, beside a server or without one. Nobody is told anything twice."""
    from ringfence.metering import keeping

    async def work() -> int:
        async with opened(desk(context)) as house:
            async with house.db.writing() as tx:
                await keeping.begin_anew(tx)
            return await keeping.catch_up(house)

    typer.echo(f"{run(work())} events read")
