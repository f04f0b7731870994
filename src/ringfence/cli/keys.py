"""`ringfence keys`: the keys that tokens are signed with, and the master key."""

from typing import TYPE_CHECKING, Any

import typer

from .shared import AsJson, as_json, desk, moment, opened, run, table

if TYPE_CHECKING:
    from ringfence.fence.house import House

app = typer.Typer(help="Signing keys: list and rotate; a fresh master key.", no_args_is_help=True)


@app.command("list")
def list_keys(context: typer.Context, json: AsJson = False) -> None:
    """List the signing keys; retired ones stay published until no token can carry them."""
    from ringfence.oauth import keys

    async def work() -> Any:
        async with opened(desk(context)) as house, house.db.reading() as tx:
            return [
                {name: row[name] for name in ("kid", "alg", "created_at", "retired_at")}
                for row in await tx.all(keys.ALL)
            ]

    found = run(work())
    if json:
        as_json(found)
        return
    rows = [(k["kid"], k["alg"], moment(k["created_at"]), moment(k["retired_at"]) or "signs now") for k in found]
    table(("key id", "algorithm", "made", "retired"), rows)


@app.command()
def rotate(context: typer.Context) -> None:
    """Make new signing keys; tokens signed with the old ones stay valid until they expire."""
    from ringfence.fence import view
    from ringfence.oauth import keys

    from .shared import actor

    async def work() -> Any:
        async with opened(desk(context)) as house:
            made = await _rotate(house, actor(), keys)
            await view.settle(house.db, house.settings.staleness_limit)
            return made

    for kid in run(work()):
        typer.echo(f"signing with {kid}")


async def _rotate(house: "House", actor: str, keys: Any) -> Any:
    async with house.db.writing() as tx:
        return await keys.rotate(house.ctx(tx, "", actor, "cli"), house.vault)


@app.command()
def master() -> None:
    """Print a fresh master key, for RINGFENCE_SECRET_KEY of a new database."""
    import secrets

    typer.echo(secrets.token_hex(32))
