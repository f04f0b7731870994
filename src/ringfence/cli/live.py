"""`ringfence live`: a wallboard on the terminal, of the same figures that the Live API streams."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, Stop, as_json, chosen_account, desk, opened, run

if TYPE_CHECKING:
    from ringfence.live.feed import Feed

ALL = "all"
COLUMNS = {
    "live_contacts_in_queue": "waiting",
    "live_longest_wait_time": "longest",
    "service_level": "service level",
    "answered_contacts": "answered",
    "abandoned_contacts": "abandoned",
    "missed_contacts": "missed",
    "avg_wait_time": "avg wait",
    "avg_handle_time": "avg handle",
    "live_users_logged_in": "agents",
}
COLOURS = {"available": "green", "busy": "red", "after_call_work": "yellow"}


def live(
    context: typer.Context,
    group: Annotated[list[str] | None, typer.Option(help="Only this ring group; may be given several times.")] = None,
    interval: Annotated[
        int | None, typer.Option(help="Of the last so many seconds; by default today.", min=1, show_default=False)
    ] = None,
    account: Annotated[str | None, typer.Option(help="Name of the account.", show_default=False)] = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once.")] = False,
    json: AsJson = False,
) -> None:
    """Show who waits, who is at work, and how the day goes, as it changes; Ctrl-C ends it."""
    given = desk(context)
    given.account = account or given.account

    async def work() -> Any:
        from rich.console import Console
        from rich.live import Live

        from ringfence.live.feed import opened as opened_feed

        async with opened(given) as house:
            feed = await opened_feed(house, chosen_account(house, given))
            if strange := sorted(set(group or ()) - set(feed.tally.people.ring_groups)):
                raise Stop(f"There is no ring group {strange[0]!r} in this account.")
            found = await _figures(feed, group, interval)
            if json:
                return found
            if once:
                Console().print(_board(found))
                return None
            with Live(_board(found), auto_refresh=False, screen=False) as shown:
                while True:
                    await asyncio.sleep(1)
                    await _follow(feed)
                    shown.update(_board(await _figures(feed, group, interval)), refresh=True)

    found = run(work())
    if json:
        as_json(found)


async def _follow(feed: "Feed") -> None:
    from ringfence.live.feed import last_place

    async with feed.house.db.reading() as tx:
        last = await last_place(tx)
    await feed.catch_up(last)


async def _figures(feed: "Feed", group: list[str] | None, interval: int | None) -> dict[str, Any]:
    """`groups`: figures by ring group, those of all under `all`; `agents`; `at`."""
    from ringfence.live.filters import Selection, Span
    from ringfence.live.metrics import BY_NAME, ROWS
    from ringfence.live.records import instant

    wanted = Selection(
        span=Span("interval", float(interval)) if interval else Span(),
        ring_groups=frozenset(group) if group else None,
        limit=ROWS,
    )
    groups: dict[str, dict[str, Any]] = {}
    for name in COLUMNS:
        for key, value in await feed.figure(BY_NAME[f"{name}_by_ring_group"], wanted):
            groups.setdefault(ALL if key == "_total" else key, {})[name] = value
    now = feed.house.world.time()
    agents = [
        {"id": key} | value | {"seconds": max(0, int(now - feed.tally.statuses[key][1]))}
        for key, value in await feed.figure(BY_NAME["live_users_list"], wanted)
        if key != "_total"
    ]
    return {"at": instant(now), "interval": interval, "groups": groups, "agents": agents}


def _board(found: dict[str, Any]) -> Any:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    span = f"the last {found['interval']} seconds" if found["interval"] else "today"
    queues = Table(title=f"Queues, {span}", title_justify="left", header_style="bold", box=box.SIMPLE)
    queues.add_column("ring group")
    for title in COLUMNS.values():
        queues.add_column(title, justify="right")
    rows = {name: row for name, row in found["groups"].items() if name != ALL} | {ALL: found["groups"][ALL]}
    for name, row in rows.items():
        cells = [Text(_shown(figure, row[figure])) for figure in COLUMNS]
        if row["live_contacts_in_queue"]:
            cells[0].stylize("bold yellow")
        queues.add_row(Text(name, style="bold" if name == ALL else ""), *cells)
    agents = Table(title="Agents at work", title_justify="left", header_style="bold", box=box.SIMPLE)
    for title in ("status", "since", "name", "team", "ring groups"):
        agents.add_column(title)
    for one in sorted(found["agents"], key=lambda agent: (agent["status"], -agent["seconds"])):
        status = Text(one["status"], style=COLOURS.get(one["status"], "dim"))
        told = (clock(one["seconds"]), one["name"], one["team"] or "", ", ".join(one["ring_groups"]))
        agents.add_row(status, *(Text(cell) for cell in told))
    return Group(queues, agents, Text(found["at"], style="dim"))


def _shown(figure: str, value: Any) -> str:
    if figure == "service_level":
        return f"{value:.0f} %"
    return clock(int(value)) if "time" in figure else str(value)


def clock(seconds: int) -> str:
    """`4:09`, `1:04:09`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
