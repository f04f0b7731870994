"""`ringfence grants`: the scopes that a client holds, and their life."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .clients import Which
from .shared import AsJson, Stop, as_json, chosen_account, desk, moment, opened, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="The scopes of a client: add, remove, cancel, list, history, wait.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]


@app.command(epilog="Example: ringfence grants add crm contacts:write --reason 'two-way sync'")
def add(
    context: typer.Context,
    client: Which,
    scopes: Annotated[list[str], typer.Argument(metavar="SCOPE...", help="One or more scopes.")],
    reason: Reason = "",
) -> None:
    """Give scopes to a client; they take effect after the activation delay."""
    from ringfence.fence import grants
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> Any:
        row = await clients.get(ctx, client)
        return await grants.add(ctx, client=row["id"], scopes=scopes, known=ctx.house.scopes, reason=reason)

    for grant in run(within(desk(context), work, settle=True)):
        delay = int((grant["effective_at"] - grant["added_at"]).total_seconds())
        typer.echo(f"{grant['scope']} takes effect at {moment(grant['effective_at'])}, in {delay} s")
    typer.echo(f"`ringfence grants wait {client}` waits for it, `ringfence grants cancel` takes it back.")


def _end(context: typer.Context, client: str, scope: str, reason: str, *, how: str) -> None:
    from ringfence.fence import grants
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> None:
        row = await clients.get(ctx, client)
        await getattr(grants, how)(ctx, client=row["id"], scope=scope, reason=reason)

    run(within(desk(context), work, settle=True))


@app.command()
def remove(context: typer.Context, client: Which, scope: str, reason: Reason = "") -> None:
    """Take a scope away: refused from the next request on, with tokens already issued too."""
    _end(context, client, scope, reason, how="remove")
    typer.echo(f"{scope} is removed; every server refuses it now")


@app.command()
def cancel(context: typer.Context, client: Which, scope: str, reason: Reason = "") -> None:
    """Take back a scope that has not taken effect yet."""
    _end(context, client, scope, reason, how="cancel")
    typer.echo(f"{scope} is cancelled")


@app.command("list")
def list_grants(context: typer.Context, client: Which, json: AsJson = False) -> None:
    """List what a client holds, and since or from when."""
    from ringfence.fence import grants
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> Any:
        row = await clients.get(ctx, client)
        return [dict(g) | {"state": grants.state(g, ctx.now())} for g in await grants.live(ctx, row["id"])]

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [(g["scope"], g["state"], moment(g["effective_at"]), g["added_by"], g["reason"]) for g in found]
    table(("scope", "state", "effective", "added by", "reason"), rows)


@app.command()
def history(context: typer.Context, client: Which, json: AsJson = False) -> None:
    """Show everything that happened to a client: when, what, by whom, why, from where."""
    from ringfence.fence import grants
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> Any:
        row = await clients.get(ctx, client)
        return await grants.history(ctx, row["id"])

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [
        (
            moment(e["at"]),
            e["type"],
            e["data"].get("scope", ""),
            e["actor"],
            e["origin"],
            e["data"].get("reason", ""),
        )
        for e in found
    ]
    table(("when", "what", "scope", "by", "from", "why"), rows)


@app.command()
def wait(
    context: typer.Context,
    client: Which,
    scope: Annotated[str | None, typer.Argument(help="One scope; all that are pending without it.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 600,
) -> None:
    """Wait until pending scopes are effective. Exit code 1 when they are cancelled or time is up."""
    effective = run(_wait(context, client, scope, patience=timeout))
    typer.echo(f"effective: {', '.join(effective)}" if effective else "nothing is pending")


async def _wait(context: typer.Context, client: str, scope: str | None, *, patience: float) -> list[str]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ringfence.fence import grants
    from ringfence.oauth import clients

    async with opened(desk(context)) as house:
        account = chosen_account(house, desk(context))

        async def look() -> dict[str, tuple[str, float]]:
            async with house.db.reading() as tx:
                ctx = house.ctx(tx, account, "cli", "cli")
                row = await clients.get(ctx, client)
                held = await grants.live(ctx, row["id"])
            return {
                g["scope"]: (grants.state(g, ctx.now()), g["effective_at"].timestamp())
                for g in held
                if scope in (None, g["scope"])
            }

        first = await look()
        if scope is not None and scope not in first:
            raise Stop(f"The client does not hold {scope}.")
        waiting = [name for name, (state, _) in first.items() if state == "pending"]
        if not waiting:
            return [scope] if scope else []
        until, started = max(first[name][1] for name in waiting), time.time()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(", ".join(waiting), total=max(0.1, until - started))
            while True:
                now = time.time()
                progress.update(task, completed=now - started)
                held = await look()
                if gone := [name for name in waiting if name not in held]:
                    raise Stop(f"{', '.join(gone)} was cancelled.")
                if all(held[name][0] == "effective" for name in waiting):
                    return waiting
                if now - started > patience:
                    raise Stop(f"{', '.join(waiting)} is still pending after {patience:g} s.")
                await asyncio.sleep(min(1.0, max(0.05, until - now)))
