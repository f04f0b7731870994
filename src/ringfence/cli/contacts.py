"""`ringfence contacts`: contacts from CSV files and into them."""

from pathlib import Path
from typing import Any

import typer

from .files import File, Out, bar, look, write
from .shared import Desk, Stop, actor, chosen_account, desk, opened, run, table

app = typer.Typer(help="Contacts: import from CSV, export to CSV.", no_args_is_help=True)
SHOWN = 20  # rows that were refused, of which the reason is shown


@app.command("import", epilog="Example: ringfence contacts import people.csv")
def import_file(context: typer.Context, file: File) -> None:
    """Add contacts from a CSV file; those whose e-mail address or number is known already are passed over.

    Columns: name, company, title, address, website, and emails, phones, tags, integrations with several values
    separated by semicolons; other columns are custom fields. Stopped in the middle, the same command goes on.
    """
    try:
        run(_import(desk(context), file))
    except typer.Exit as stopped:
        if stopped.exit_code == 130:
            typer.echo("stopped; the same command goes on where it was", err=True)
        raise


async def _import(given: Desk, file: Path) -> None:
    from ringfence.apis.contacts import transfer
    from ringfence.store import csv_rows

    looked = await look(file)
    added = known = count = 0
    refused: list[Any] = []
    try:
        for _ in csv_rows.rows(file):  # all of it must be readable before any of it is stored
            pass
        async with opened(given) as house:
            account = chosen_account(house, given)
            async with house.db.reading() as tx:
                done = await transfer.place(house.ctx(tx, account, actor(), "cli"), looked.md5)
            with bar("stored", total=max(1, looked.lines - 1)) as at:
                async for chunk in transfer.read(file, skip=done):
                    done += len(chunk)
                    async with house.db.writing() as tx:
                        ctx = house.ctx(tx, account, actor(), "cli")
                        found = await transfer.store(ctx, chunk)
                        await transfer.remember(ctx, looked.md5, done)
                    added, known, count = added + found.added, known + found.known, count + len(found.refused)
                    refused = [*refused, *found.refused][:SHOWN]
                    at(done)
            async with house.db.writing() as tx:
                await transfer.remember(house.ctx(tx, account, actor(), "cli"), looked.md5, None)
    except csv_rows.BadFile as why:
        raise Stop(str(why)) from why
    typer.echo(f"{added} added, {known} known already, {count} refused")
    if refused:
        table(("row", "why"), [(one.row, one.why) for one in refused])


@app.command()
def export(context: typer.Context, output: Out = None) -> None:
    """Write every contact as CSV, in columns that `import` takes."""
    count = run(_export(desk(context), output))
    typer.echo(f"{count} rows" + (f" in {output}" if output else ""), err=True)


async def _export(given: Desk, output: Path | None) -> int:
    from ringfence.apis.contacts import transfer

    async with opened(given) as house, house.db.reading() as tx:
        return await write(transfer.exported(house.ctx(tx, chosen_account(house, given), actor(), "cli")), output, None)
