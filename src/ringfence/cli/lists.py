"""`ringfence lists`: do-not-call lists and record lists, and the files that go in and out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .files import File, Out, bar, look, write
from .shared import AsJson, Desk, Stop, actor, as_json, chosen_account, desk, moment, opened, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx
    from ringfence.store.statement import Row

SHOWN = 20  # rows that were refused, of which the reason is shown
app = typer.Typer(help="Record lists and do-not-call lists: create, import, export.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(metavar="LIST", help="A list's id or name.")]


class Kind(StrEnum):
    """Which kind of list."""

    record = "record"
    do_not_call = "do-not-call"


class Rule(StrEnum):
    """What may be in a record list only once."""

    PHONE_NUMBER = "PHONE_NUMBER"
    EXTERNAL = "EXTERNAL"
    NOTHING = "NOTHING"


Chosen = Annotated[Kind, typer.Option("--kind", help="Which kind of list.")]
Unique = Annotated[Rule, typer.Option(help="What may be in a record list only once.")]


def domain(kind: Kind) -> Any:
    from ringfence.apis.do_not_call_lists import domain as do_not_call
    from ringfence.apis.record_lists import domain as record

    return record if kind is Kind.record else do_not_call


def files(kind: Kind) -> Any:
    from ringfence.apis.do_not_call_lists import files as do_not_call
    from ringfence.apis.record_lists import files as record

    return record if kind is Kind.record else do_not_call


async def find(ctx: "Ctx", kind: Kind, which: str) -> "Row | None":
    from ringfence.floor import lists

    known = await lists.all_of(ctx, domain(kind).KIND)
    found = [row for row in known if row["id"] == which.lower()] or [row for row in known if row["name"] == which]
    if len(found) > 1:
        raise Stop(f"More than one list is called {which!r}: say which by its id, {', '.join(r['id'] for r in found)}.")
    return found[0] if found else None


async def named(ctx: "Ctx", kind: Kind, which: str) -> "Row":
    row = await find(ctx, kind, which)
    if row is None:
        raise Stop(f"There is no {kind.value} list {which!r}; `ringfence lists list` shows those that there are.")
    return row


async def make(ctx: "Ctx", kind: Kind, name: str, unique: Rule) -> "Row":
    if not 1 <= len(name) <= 120 or not name.strip():
        raise Stop("A list's name has 1 to 120 characters.")
    facts = {"rule": unique.value} if kind is Kind.record else {}
    row: Row = await domain(kind).create(ctx, name=name, csv=None, **facts)
    return row


@app.command(epilog="Example: ringfence lists create 'Spring campaign' --unique EXTERNAL")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of your choice.")],
    kind: Chosen = Kind.record,
    unique: Unique = Rule.PHONE_NUMBER,
) -> None:
    """Make an empty list; its id is printed."""

    async def work(ctx: "Ctx") -> Any:
        return await make(ctx, kind, name, unique)

    typer.echo(run(within(desk(context), work))["id"])


@app.command("list")
def list_lists(context: typer.Context, json: AsJson = False) -> None:
    """List the lists of the account, of both kinds."""
    from ringfence.floor import lists

    async def work(ctx: "Ctx") -> Any:
        found = []
        for kind in Kind:
            for row in await lists.all_of(ctx, domain(kind).KIND):
                facts = {name: row[name] for name in ("id", "name", "status", "count", "created_at")}
                found.append({"kind": kind.value} | facts)
        return found

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [(f["kind"], f["name"], f["id"], f["status"], f["count"], moment(f["created_at"])) for f in found]
    table(("kind", "name", "id", "status", "holds", "made"), rows)


@app.command()
def delete(
    context: typer.Context,
    which: Which,
    kind: Chosen = Kind.record,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a list: it is gone at once, what it held soon after, by a running server."""
    if not yes:
        typer.confirm(f"Delete the {kind.value} list {which} with all that it holds?", abort=True)

    async def work(ctx: "Ctx") -> Any:
        row = await named(ctx, kind, which)
        return await domain(kind).delete_list(ctx, row["id"])

    typer.echo(f"deleted {run(within(desk(context), work))['name']}")


@app.command("import", epilog="Example: ringfence lists import 'Spring campaign' people.csv --create")
def import_file(
    context: typer.Context,
    which: Which,
    file: File,
    kind: Chosen = Kind.record,
    create: Annotated[bool, typer.Option("--create", help="Make the list where there is none of this name.")] = False,
    unique: Unique = Rule.PHONE_NUMBER,
) -> None:
    """Validate a CSV file into a list. Stopped in the middle, the same command goes on where it was.

    A file that cannot be read stores nothing; rows that are wrong are left out and named.
    """
    try:
        status = run(_import(desk(context), which, file, kind, create, unique))
    except typer.Exit as stopped:
        if stopped.exit_code == 130:
            typer.echo("stopped; the same command goes on where it was", err=True)
        raise
    raise typer.Exit(0 if status == "ACCEPTED" else 1)


async def _import(given: Desk, which: str, file: Path, kind: Kind, create: bool, unique: Rule) -> str:
    from ringfence.floor import imports, uploads

    of, found = files(kind), await look(file)
    async with opened(given) as house:
        account = chosen_account(house, given)
        async with house.db.writing() as tx:
            ctx = house.ctx(tx, account, actor(), "cli")
            held = await find(ctx, kind, which) if create else await named(ctx, kind, which)
            held = held or await make(ctx, kind, which, unique)
            csv = uploads.CsvMetadata(
                filename=file.name[-35:], byte_size=found.size, checksum=found.md5, content_type="text/csv"
            )
            upload = await uploads.at_hand(ctx, held["id"], of.VALIDATE.name, csv)
        with bar("checked", "stored", total=max(1, found.lines - 1)) as at:
            await imports.validate(house.ctx(None, account, actor(), "cli"), upload["id"], of.FILES, at, file)
        async with house.db.reading() as tx:
            after = await uploads.get(house.ctx(tx, account, actor(), "cli"), upload["id"])
    status: str = after["status"]
    typer.echo(f"{status}: {after['accepted']} of {after['rows']} rows taken, {after['rejected']} refused")
    if after["reason"]:
        typer.echo(after["reason"], err=True)
    if after["errors"]:
        shown = after["errors"][:SHOWN]
        table(("row", "code", "why"), [(e["row"], e["code"], e["description"]) for e in shown])
        if after["rejected"] > len(shown):
            typer.echo(f"and {after['rejected'] - len(shown)} more")
    return status


@app.command()
def export(context: typer.Context, which: Which, kind: Chosen = Kind.record, output: Out = None) -> None:
    """Write a list as CSV, in columns that `import` takes."""
    count = run(_export(desk(context), which, kind, output))
    typer.echo(f"{count} rows" + (f" in {output}" if output else ""), err=True)


async def _export(given: Desk, which: str, kind: Kind, output: Path | None) -> int:
    async with opened(given) as house, house.db.reading() as tx:
        ctx = house.ctx(tx, chosen_account(house, given), actor(), "cli")
        held = await named(ctx, kind, which)
        return await write(files(kind).exported(ctx, held["id"]), output, held["count"])
