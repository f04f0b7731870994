"""`ringfence users`: the people of an account."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, Stop, as_json, desk, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="People: list, set a password, end sessions.", no_args_is_help=True)


async def found(ctx: "Ctx", email: str) -> Any:
    from ringfence.oauth import people

    row = await people.find_person(ctx, email)
    if row is None:
        raise Stop(f"There is nobody with the e-mail address {email}.")
    return row


@app.command("list")
def list_users(context: typer.Context, json: AsJson = False) -> None:
    """List the people of the account."""
    from ringfence.floor.directory import ALL_USERS

    async def work(ctx: "Ctx") -> Any:
        rows = await ctx.db.all(ALL_USERS, account=ctx.account)
        return [{name: row[name] for name in ("email", "id", "name", "active", "roles")} for row in rows]

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [(u["email"], u["id"], u["name"], "yes" if u["active"] else "no", ", ".join(u["roles"])) for u in found]
    table(("e-mail", "id", "name", "active", "roles"), rows)


@app.command("set-password")
def set_password(
    context: typer.Context,
    email: str,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read it from standard input, one line.")] = False,
) -> None:
    """Set a person's password."""
    from ringfence.floor import directory
    from ringfence.oauth import people

    password = (
        sys.stdin.readline().rstrip("\n")
        if stdin
        else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    if len(password) < 8:
        typer.echo("ringfence: a password has at least 8 characters", err=True)
        raise typer.Exit(1)
    hashed = run(people.hash_password(password))

    async def work(ctx: "Ctx") -> None:
        await directory.set_password(ctx, user=await found(ctx, email), password_hash=hashed)

    run(within(desk(context), work))
    typer.echo(f"the password of {email} is set")


@app.command("end-sessions")
def end_sessions(context: typer.Context, email: str) -> None:
    """End all sessions of a person: their tokens are refused from the next request on."""
    from ringfence.oauth import people

    async def work(ctx: "Ctx") -> int:
        row = await found(ctx, email)
        return await people.end_sessions(ctx, row["id"], "ended from the command line")

    typer.echo(f"{run(within(desk(context), work, settle=True))} sessions ended")
