"""`ringfence time-off`: who is away when, hours that may still be taken, and files of time off."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from .files import File, bar, look
from .shared import AsJson, Desk, Stop, actor, as_json, chosen_account, desk, moment, opened, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

SHOWN = 20  # rows that were refused, of which the reason is shown
app = typer.Typer(help="Time off: list, add, remove, import, balances.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(metavar="AGENT", help="An agent's e-mail address.")]
Kind = Annotated[str, typer.Argument(metavar="TYPE", help="A type of time off that the centre declares.")]
Zone = Annotated[str, typer.Option("--zone", help="Time zone; by default the account's.", show_default=False)]


def at(text: str, zone: ZoneInfo, *, end: bool) -> datetime:
    """`2026-01-05`, `2026-01-05 09:00` in a zone, or RFC 3339."""
    from ringfence.apis.time_off import local_times

    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = None
    if given is not None and given.tzinfo is not None:
        return given.astimezone(UTC)
    try:
        return local_times.moment(text, local_times.FORMATS[0], zone, end=end)
    except local_times.BadTime as why:
        raise Stop(str(why)) from why


async def zone_of(ctx: "Ctx", named: str) -> ZoneInfo:
    from ringfence.apis.time_off import imports, local_times

    row = await ctx.db.one(imports.ZONE, account=ctx.account)
    return local_times.zone_of(named or row["timezone"])


@app.command("list", epilog="Example: ringfence time-off list --from 2026-07-01 --to 2026-07-31")
def list_time_off(
    context: typer.Context,
    since: Annotated[str, typer.Option("--from", help="A day; by default today.", show_default=False)] = "",
    until: Annotated[str, typer.Option("--to", help="A day; by default 30 days on.", show_default=False)] = "",
    zone: Zone = "",
    json: AsJson = False,
) -> None:
    """List who is away, and for what."""
    from ringfence.apis.time_off import domain

    async def work(ctx: "Ctx") -> Any:
        local = await zone_of(ctx, zone)
        today = ctx.now().astimezone(local).date()
        begin = at(since or str(today), local, end=False)
        return await domain.between(ctx, begin, at(until or str(today + timedelta(days=30)), local, end=True))

    rows = run(within(desk(context), work))
    names = ("id", "agent_email", "event_type_name", "start_at", "end_at", "description", "began")
    if json:
        as_json([{name: row[name] for name in names} for row in rows])
        return
    shown = []
    for row in rows:
        span, on = (moment(row["start_at"]), moment(row["end_at"])), "now" if row["began"] else ""
        shown.append((row["agent_email"], row["event_type_name"], *span, on, row["description"] or "", row["id"]))
    table(("agent", "type", "from", "to", "", "description", "id"), shown)


@app.command(epilog="Example: ringfence time-off add ana@acme.example Vacation 2026-08-03 2026-08-14")
def add(
    context: typer.Context,
    email: Email,
    kind: Kind,
    start: Annotated[str, typer.Argument(help="A day, or a time as in '2026-08-03 09:00'.")],
    end: Annotated[str, typer.Argument(help="A day, which is part of it, or a time.")],
    description: Annotated[str | None, typer.Option(help="What it is about.", show_default=False)] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Make one of those that overlap.")] = False,
    zone: Zone = "",
) -> None:
    """Give an agent time off; its id is printed."""
    from ringfence.apis.time_off import balances, domain

    async def work(ctx: "Ctx") -> str:
        local = await zone_of(ctx, zone)
        known = await balances.known(ctx, [email])
        id, _ = await domain.add(
            ctx,
            known,
            email=email,
            type_name=kind,
            start=at(start, local, end=False),
            end=at(end, local, end=True),
            description=description,
            merge=merge,
        )
        return id

    typer.echo(run(within(desk(context), work)))


@app.command()
def remove(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="TIME_OFF", help="Its id.")],
) -> None:
    """Take a time off back; what it drew is given back."""
    from ringfence.apis.time_off import domain

    async def work(ctx: "Ctx") -> None:
        await domain.remove(ctx, which)

    run(within(desk(context), work))
    typer.echo(f"removed {which}")


@app.command(epilog="Example: ringfence time-off balances --set ana@acme.example Vacation 176")
def balances(
    context: typer.Context,
    given: Annotated[
        tuple[str, str, float] | None,
        typer.Option("--set", metavar="AGENT TYPE HOURS", help="Set one first.", show_default=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show the hours that agents may still take."""
    from ringfence.apis.time_off import balances

    if given is not None and not 0 <= given[2] <= 100_000:
        raise typer.BadParameter("hours are 0 to 100000")

    async def work(ctx: "Ctx") -> Any:
        if given is not None:
            await balances.set_balances(ctx, [balances.Given(*given)])
        return await balances.all_balances(ctx)

    rows = run(within(desk(context), work))
    found = [
        {name: row[name] for name in ("agent_email", "event_type_name", "id")}
        | {"balance": balances.hours(row["seconds"])}
        for row in rows
    ]
    if json:
        as_json(found)
    else:
        table(
            ("agent", "type", "hours", "id"),
            [(f["agent_email"], f["event_type_name"], f"{f['balance']:g}", f["id"]) for f in found],
        )


@app.command("import", epilog="Example: ringfence time-off import january.csv --format DD/MM/YYYY")
def import_file(
    context: typer.Context,
    file: File,
    format: Annotated[str, typer.Option("--format", help="How the file writes dates.")] = "YYYY-MM-DD",
    zone: Zone = "",
) -> None:
    """Import a CSV file: agent_email, event_type_name, start_at, end_at, description.

    Rows that are wrong are left out and named. Stopped in the middle, the same command goes on where it was.
    """
    try:
        status = run(_import(desk(context), file, format, zone))
    except typer.Exit as stopped:
        if stopped.exit_code == 130:
            typer.echo("stopped; the same command goes on where it was", err=True)
        raise
    raise typer.Exit(0 if status == "IMPORTED" else 1)


async def _import(given: Desk, file: Path, format: str, zone: str) -> str:
    from ringfence.apis.time_off import imports

    found, digest = await look(file), await asyncio.to_thread(_digest, file)
    async with opened(given) as house:
        account = chosen_account(house, given)
        async with house.db.writing() as tx:
            ctx = house.ctx(tx, account, actor(), "cli")
            wanted = imports.Wanted(file.name[-255:], zone, format)
            row = await imports.begin(ctx, ctx.new_uuid(), digest, wanted, kept=False)
        with bar("imported", total=max(1, found.lines - 1)) as done:
            ctx = house.ctx(None, account, actor(), "cli")
            await imports.work(ctx, row["id"], lambda count, total: done(count), file)
        async with house.db.reading() as tx:
            row = await imports.get(house.ctx(tx, account, actor(), "cli"), row["id"])
        status: str = row["status"]
        typer.echo(f"{status}: {row['imported']} of {row['rows'] or 0} rows taken, {row['refused']} refused")
        if row["bytes"] is not None:
            await _show_report(house, row)
    return status


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _show_report(house: Any, row: Any) -> None:
    import csv

    from ringfence.apis.time_off.imports import report_of

    pieces = [piece async for piece in house.blobs.read(report_of(row["id"]), 0, min(row["bytes"], 256 * 1024))]
    lines = list(csv.reader(b"".join(pieces).decode("utf-8", "replace").splitlines()))[1 : SHOWN + 1]
    table(("row", "code", "why"), [line[:3] for line in lines])
    if row["refused"] > len(lines):
        typer.echo(f"and {row['refused'] - len(lines)} more")
