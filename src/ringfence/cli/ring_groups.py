"""`ringfence ring-groups`: ring groups and who is in them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .people import found
from .shared import AsJson, as_json, desk, run, table, within

if TYPE_CHECKING:
    from ringfence.floor.directory import Change
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="Ring groups: list, assign people, unassign them.", no_args_is_help=True)
Groups = Annotated[list[str], typer.Argument(metavar="GROUP...", help="Ring groups, by name.")]
Email = Annotated[str, typer.Argument(help="A person's e-mail address.")]


@app.command("list")
def list_groups(context: typer.Context, json: AsJson = False) -> None:
    """List the ring groups, their thresholds in seconds, and how many people are in them."""
    from ringfence.floor import directory

    async def work(ctx: "Ctx") -> Any:
        members = [row["ring_group"] for row in await ctx.db.all(directory.ALL_MEMBERS, account=ctx.account)]
        return [
            {
                "name": row["name"],
                "short_abandoned_threshold": row["short_abandoned_threshold"],
                "wait_time_threshold": row["wait_time_threshold"],
                "people": members.count(row["name"]),
            }
            for row in sorted(
                await ctx.db.all(directory.ALL_RING_GROUPS, account=ctx.account), key=lambda row: row["name"]
            )
        ]

    rows = run(within(desk(context), work))
    if json:
        as_json(rows)
    else:
        table(("name", "short abandon", "wait", "people"), [tuple(row.values()) for row in rows])


def _change(context: typer.Context, what: "Change", email: str, groups: list[str]) -> None:
    from ringfence.floor import directory

    async def work(ctx: "Ctx") -> list[str]:
        user = (await found(ctx, email))["id"]
        await directory.change_membership(ctx, what, [(user, groups)])
        rows = await ctx.db.all(directory.GROUPS_OF, account=ctx.account, user=user)
        return [row["ring_group"] for row in rows]

    typer.echo(f"{email}: {', '.join(run(within(desk(context), work))) or 'in no ring group'}")


@app.command()
def assign(context: typer.Context, email: Email, groups: Groups) -> None:
    """Put a person into ring groups."""
    _change(context, "assign", email, groups)


@app.command()
def unassign(context: typer.Context, email: Email, groups: Groups) -> None:
    """Take a person out of ring groups."""
    _change(context, "unassign", email, groups)


@app.command("set")
def set_groups(
    context: typer.Context,
    email: Email,
    groups: Annotated[list[str] | None, typer.Argument(metavar="[GROUP]...", help="All of them, or none.")] = None,
) -> None:
    """Say which ring groups a person is in, and no others."""
    _change(context, "replace", email, groups or [])
