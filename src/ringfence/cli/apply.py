"""`ringfence apply`: bring accounts to what a file declares."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import Stop, actor, desk, opened, run, table


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A TOML file; docs/apply.md tells its format.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    secrets_file: Annotated[
        Path | None, typer.Option(help="Write the secrets of new clients here, as JSON, instead of showing them.")
    ] = None,
) -> None:
    """Declare accounts, people, ring groups, numbers, flows, clients and more; shows its plan first."""
    run(_apply(context, file, yes, dry_run, secrets_file))


async def _apply(context: typer.Context, file: Path, yes: bool, dry_run: bool, secrets_file: Path | None) -> None:
    from ringfence.fence import view
    from ringfence.sandbox import centre, declaration

    try:
        text = file.read_text("utf-8")  # noqa: ASYNC240 - nothing else runs yet
    except (OSError, UnicodeDecodeError) as why:
        raise Stop(f"{file} cannot be read: {why}") from why
    async with opened(desk(context)) as house:
        try:
            wanted = declaration.read(text, house.scopes, file.parent)
        except declaration.BadDeclaration as why:
            raise Stop("\n  ".join([f"{file} cannot be applied:", *why.complaints]), 2) from why
        plans = [await centre.plan(house, account, centre.Given()) for account in wanted.accounts]
        steps = [(plan.account, c.sign, c.what, c.detail) for plan in plans for c in plan.changes]
        if not steps:
            typer.echo("nothing to change")
            return
        table(("account", "", "what", "how"), steps)
        counts = {sign: sum(step[1] == sign for step in steps) for sign in "+~-"}
        typer.echo(f"{counts['+']} to make, {counts['~']} to change, {counts['-']} to take away")
        if dry_run:
            return
        if not yes:
            typer.confirm("Go ahead?", abort=True)
        for plan in plans:
            await centre.apply(house, plan, actor(), "cli")
        await view.settle(house.db, house.settings.staleness_limit)
        minted = [
            {"account": plan.account, "name": name, "client_id": id, "client_secret": secret}
            for plan in plans
            for name, (id, secret) in plan.secrets.items()
        ]
        _hand_over(minted, secrets_file)
        typer.echo("done")


def _hand_over(minted: list[dict[str, Any]], secrets_file: Path | None) -> None:
    if not minted:
        return
    if secrets_file is not None:
        with os.fdopen(os.open(secrets_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(minted, out, indent=2)
        typer.echo(f"the secrets of {len(minted)} new clients are in {secrets_file}")
        return
    typer.echo("The secrets of the new clients, not shown again:")
    for new in minted:  # plain lines, so that they can be copied whole
        typer.echo(f"  {new['name']}  client_id {new['client_id']}  client_secret {new['client_secret'] or '(none)'}")
