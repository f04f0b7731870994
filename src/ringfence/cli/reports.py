"""`ringfence report` and `ringfence facts`: what happened, as files and charts, and the tables they are made of."""

import re
import sys
from contextlib import AbstractContextManager, aclosing
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .files import Out, bar, whole
from .shared import AsJson, Desk, Stop, as_json, chosen_account, desk, opened, run, table

if TYPE_CHECKING:
    from ringfence.fence.house import House
    from ringfence.reports.charts import Picture
    from ringfence.reports.report import Report
    from ringfence.reports.spans import Span

facts_app = typer.Typer(help="The tables that reports are made of, kept from the event log.", no_args_is_help=True)
LONGEST = timedelta(days=3660)  # of a report from here; by request it is a month
AGO = re.compile(r"(?P<count>[0-9]{1,4})(?P<unit>[dhm])")
HOURS, MINUTES = "h", "m"
MOMENTS = "a date, a date and a time, today, yesterday, now, 7d, 12h or 30m"
COLOURS = ("cyan", "yellow", "blue", "magenta", "bright_black")
ROWS = 48  # of a chart on a terminal


class Form(StrEnum):
    """What a report is written as."""

    csv = "csv"
    json = "json"
    json_bulk = "json_bulk"


def report(
    context: typer.Context,
    type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Which report; without it, they are listed.")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="Its begin: a date, a date and a time, `today`, `yesterday`, "
                          "`7d` (midnight seven days ago), `12h` or `30m` (so long ago).")
    ] = "today",
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help="Its end, not included.")] = "now",
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Of the dates and of times in the report; by default the account's."),
    ] = None,
    format: Annotated[Form, typer.Option(help="What it is written as.")] = Form.csv,
    output: Out = None,
    account: Annotated[str | None, typer.Option(help="Name of the account.", show_default=False)] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw a chart instead: on the terminal, or as SVG.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the types of reports.")] = False,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Write a report of what is over, straight from the database. Rows belong to the time in which they were over."""
    from ringfence.reports.catalogue import EXPLORE

    if listed or type is None:
        shown = [(one.type, one.title, one.about) for one in EXPLORE.values()]
        if json:
            as_json([{"type": name, "title": title, "about": about} for name, title, about in shown])
        else:
            table(("type", "title", "about"), shown)
        return
    if type not in EXPLORE:
        near = get_close_matches(type.lower(), EXPLORE, 1, 0)
        raise typer.BadParameter(f"there is no report {type!r}; the nearest is {near[0]}, --list shows all")
    given = desk(context)
    chosen = Desk(given.database, given.config, account or given.account)
    run(_report(chosen, EXPLORE[type], (start, end, timezone), format, output, plot))


async def _report(
    given: Desk, report: "Report", when: tuple[str, str, str | None], format: Form, output: Path | None, plot: bool
) -> None:
    from ringfence.floor.directory import ALL_ACCOUNTS

    async with opened(given) as house:
        account = chosen_account(house, given)
        async with house.db.reading() as tx:
            zone = next(row["timezone"] for row in await tx.all(ALL_ACCOUNTS) if row["id"] == account)
        span = span_of(*when, account_zone=zone, now=house.world.now())
        await _bring_up(house)
        if plot:
            await _plot(house, report, span, account, output)
        else:
            await _write(house, report, span, account, format, output)


async def _bring_up(house: "House") -> None:
    """Let the facts come to the log's end, where no server does."""
    from ringfence.reports.rebuild import catch_up, how_far
    from ringfence.store.outbox import stamp

    await stamp(house.db)
    async with house.db.reading() as tx:
        place, last = await how_far(tx)
    if place < last:
        with bar("reading the event log", total=last - place) as at:
            await catch_up(house.db, lambda now, _: at(max(0, now - place)))


async def _write(
    house: "House", report: "Report", span: "Span", account: str, format: Form, output: Path | None
) -> None:
    from ringfence.reports.writing import count_of, written

    watched = sys.stderr.isatty()
    total = await count_of(house.db, report, span, account=account) if watched else None
    count = 0
    base = house.gateway_base
    async with aclosing(written(house.db, report, span, format.value, account=account, base=base)) as pieces:
        with whole(output) as file, bar("rows", total=total) as at:
            async for piece, rows in pieces:
                file.write(piece)
                count += rows
                at(count)
    if output is not None:
        typer.echo(f"{count:,} rows in {output}", err=True)


async def _plot(house: "House", report: "Report", span: "Span", account: str, output: Path | None) -> None:
    from ringfence.reports.charts import MOST, pictured
    from ringfence.reports.plots import svg

    on_terminal = output is None and sys.stdout.isatty()
    picture = await pictured(house.db, report, span, account=account, most=ROWS if on_terminal else MOST)
    if on_terminal:
        show(picture)
        return
    with whole(output) as file:
        file.write(svg(picture).encode())


def show(picture: "Picture") -> None:
    """A chart on the terminal."""
    from rich.console import Console
    from rich.text import Text

    from ringfence.reports.plots import short, shown

    console = Console()
    sums = [sum(values) for values in zip(*picture.series.values(), strict=True)]
    used = [number for number, value in enumerate(sums) if value]
    names = [short(label, 24) for label in picture.labels]
    wide = max(map(len, names), default=0)
    room, most = max(10, console.width - wide - 12), max(sums, default=0)
    console.print(Text(picture.title, "bold"), Text(f"{picture.unit}, {picture.about}", "dim"), sep="  ")
    for number in range(used[0], used[-1] + 1) if used else ():
        line = Text(f"{names[number]:>{wide}} ")
        for order, values in enumerate(picture.series.values()):
            before = sum(list(picture.series.values())[n][number] for n in range(order))
            blocks = round((before + values[number]) / most * room) - round(before / most * room)
            line.append("█" * blocks, COLOURS[order % len(COLOURS)])
        console.print(line.append(f" {shown(sums[number])}" if sums[number] else "", "dim"))
    if not used:
        console.print("nothing happened in this time")
    if len(picture.series) > 1:
        console.print(*[Text(f"█ {name}", COLOURS[order]) for order, name in enumerate(picture.series)], sep="  ")


# when


def span_of(start: str, end: str, timezone: str | None, *, account_zone: str, now: datetime) -> "Span":
    """From when until when. Raises Stop with the option at fault."""
    from ringfence.kernel.problems import Fault
    from ringfence.reports.spans import span, zone_of

    try:
        zone = zone_of(timezone or account_zone)
        return span(zone.key, meant(start, now.astimezone(zone)), meant(end, now.astimezone(zone)), limit=LONGEST)
    except Fault as why:
        field = why.detail.fields[0]
        told = field.description.replace("`from`", "--from")
        also = f" (taken are {MOMENTS})" if told.startswith("must be a date") else ""
        raise Stop(f"--{field.name.rpartition('.')[2]} {told}{also}") from why


def meant(text: str, now: datetime) -> str:
    """What a handy word stands for, `now` being the time where dates are meant."""
    days = {"today": 0, "yesterday": 1}.get(text)
    if text == "now":
        return now.astimezone(UTC).isoformat()
    if ago := AGO.fullmatch(text):
        count = int(ago["count"])
        if ago["unit"] in (HOURS, MINUTES):
            long = timedelta(minutes=count * (60 if ago["unit"] == HOURS else 1))
            return (now.astimezone(UTC) - long).isoformat()
        days = count
    return (now.date() - timedelta(days=days)).isoformat() if days is not None else text


# the facts


@facts_app.command()
def status(context: typer.Context, json: AsJson = False) -> None:
    """Show how far the facts are behind the event log, and how many rows each table has."""
    from ringfence.reports.rebuild import counts, how_far

    async def work() -> Any:
        async with opened(desk(context)) as house, house.db.reading() as tx:
            return await how_far(tx), await counts(tx)

    (place, last), found = run(work())
    if json:
        as_json({"place": place, "last": last, "behind": last - place, "rows": found})
        return
    table(("facts", "rows"), [(name.removeprefix("fact_"), f"{count:,}") for name, count in found.items()])
    typer.echo(f"at place {place:,} of {last:,} in the event log: {last - place:,} events behind")


@facts_app.command(epilog="A server may run meanwhile. Broken off, the same command goes on where it was.")
def rebuild(context: typer.Context) -> None:
    """Empty the tables of all accounts and make them anew from the event log."""
    from ringfence.reports import rebuild as rebuilding

    def began(anew: bool) -> None:
        typer.echo("making the facts anew" if anew else "going on where it was broken off", err=True)

    async def work() -> int:
        async with opened(desk(context)) as house:
            async with house.db.reading() as tx:
                _, last = await rebuilding.how_far(tx)
            showing: AbstractContextManager[Any] = bar("events", total=last)
            with showing as at:
                return await rebuilding.rebuild(house.db, lambda place, _: at(place), began=began)

    typer.echo(f"{run(work()):,} events read")
