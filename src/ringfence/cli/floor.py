"""`ringfence agents`, `ringfence calls` and `ringfence simulate`: the living floor from the command line."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, Stop, as_json, chosen_account, desk, moment, opened, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

agents_app = typer.Typer(help="Agents: who is at work, and with which status.", no_args_is_help=True)
calls_app = typer.Typer(help="Calls: those that go on, and those that are over.", no_args_is_help=True)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Who = Annotated[str, typer.Argument(metavar="AGENT", help="Id or e-mail address.")]
Which = Annotated[str, typer.Argument(metavar="CALL", help="Its id.")]


def span(text: str) -> float:
    """`30d`, `12h`, `90s`: seconds. Raises BadParameter."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isascii() or not number.isdigit() or not int(number):
        raise typer.BadParameter(f"{text!r} is no span of time, as in 30d, 12h, 45m or 90s")
    return float(int(number) * UNITS[unit])


@agents_app.command("list")
def list_agents(context: typer.Context, json: AsJson = False) -> None:
    """List the people of the account who are in a ring group, with their status."""
    from ringfence.floor import roster
    from ringfence.store.query import Statement, mine
    from ringfence.store.tables.floor import desks

    async def work(ctx: "Ctx") -> Any:
        known = await roster.load(ctx.db, ctx.account, [])
        held = {row["user_id"]: row for row in await ctx.db.all(Statement(mine(desks)), account=ctx.account)}
        found = []
        for user, person in sorted(known.people.items(), key=lambda one: one[1].name):
            row = held.get(user)
            if person.ring_groups:
                found.append(
                    {
                        "id": user,
                        "name": person.name,
                        "status": row["status"] if row else "offline",
                        "since": row["since"] if row else None,
                        "call": row["doc"].get("call") if row else None,
                        "ring_groups": sorted(person.ring_groups),
                    }
                )
        return found

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [(f["name"], f["id"], f["status"], moment(f["since"]), ", ".join(f["ring_groups"])) for f in found]
    table(("name", "id", "status", "since", "ring groups"), rows)


@agents_app.command("status", epilog="Example: ringfence agents status ana@acme.example available")
def set_status(
    context: typer.Context,
    agent: Who,
    status: Annotated[str, typer.Argument(help="available, away, offline, or a status of your own: away_lunch.")],
) -> None:
    """Choose a status for an agent; a running server acts on it at once, or after the call."""
    from ringfence.floor import inbox
    from ringfence.floor.live import is_chosen

    if not is_chosen(status) or len(status) > 64:
        raise typer.BadParameter("is available, away, offline, or away_… with at most 64 characters")

    async def work(ctx: "Ctx") -> None:
        await inbox.tell(ctx, inbox.SetStatus(user=await _person(ctx, agent), status=status))

    run(within(desk(context), work))
    typer.echo(f"{agent} will be {status}")


async def _person(ctx: "Ctx", agent: str) -> str:
    from ringfence.oauth import people

    found: Any = await people.find_person(ctx, agent) or await people.person(ctx, agent)
    if found is None:
        raise Stop(f"There is nobody {agent!r} in this account; `ringfence agents list` shows who there is.")
    id: str = found["id"]
    return id


def is_text(argument: str) -> bool:
    """Whether what the terminal handed over is UTF-8: bytes that are not come as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in argument)


def custom_fields(given: list[str]) -> Any:
    """`int_1=3`, `timestamp_1=2026-01-05T09:00:00Z`: a CustomFields, or None. Raises BadParameter."""
    import msgspec

    from ringfence.floor.events import CustomFields
    from ringfence.kernel.problems import Fault
    from ringfence.kernel.shapes import in_utc, misfit

    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in found or not is_text(text):
            raise typer.BadParameter(f"--field {text}: must be NAME=VALUE, each name once")
        try:
            read = msgspec.convert({name: value}, CustomFields, strict=not name.startswith(("int_", "float_")))
            found[name] = getattr(read, name)
            if name == "timestamp_1":
                found[name] = in_utc(found[name], name)
        except msgspec.ValidationError as why:
            raise typer.BadParameter(f"--field {text}: {misfit(why).detail.fields[0].description}") from why
        except Fault as why:
            raise typer.BadParameter(f"--field {text}: {why.detail.fields[0].description}") from why
    return CustomFields(**found) if found else None


@agents_app.command("wrap-up", epilog="Example: ringfence agents wrap-up ana@acme.example --disposition Resolved")
def wrap_up(
    context: typer.Context,
    agent: Who,
    disposition: Annotated[str | None, typer.Option(help="How the conversation is filed.")] = None,
    notes: Annotated[str | None, typer.Option(help="What else there is to say.")] = None,
    rating: Annotated[int | None, typer.Option(help="How good the line was, from 1 to 5.", min=1, max=5)] = None,
    rating_reason: Annotated[str | None, typer.Option(help="Why it was that good or bad.")] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="A custom field, as in int_1=3; text_1 to text_4, int_1, int_2, float_1, float_2, "
                          "timestamp_1. May be given several times."),
    ] = None,
) -> None:  # fmt: skip
    """End an agent's after-call work; nothing happens where there is none."""
    from ringfence.floor import inbox

    texts = {"a disposition": disposition, "notes": notes, "a rating's reason": rating_reason}
    for what, text in texts.items():
        if text is not None and not 1 <= len(text) <= 1000:
            raise typer.BadParameter(f"{what} must have 1 to 1000 characters")
        if text is not None and not is_text(text):
            raise typer.BadParameter(f"{what} must be text in UTF-8")
    fields = custom_fields(field or [])

    async def work(ctx: "Ctx") -> None:
        filed = inbox.WrappedUp(
            user=await _person(ctx, agent), disposition=disposition, notes=notes, rating=rating,
            rating_reason=rating_reason, custom_fields=fields,
        )  # fmt: skip
        await inbox.tell(ctx, filed)

    run(within(desk(context), work))
    typer.echo(f"{agent} has done the work after the call")


@calls_app.command("list")
def list_calls(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Only those that go on.")] = False,
    last: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 20,
    json: AsJson = False,
) -> None:
    """List calls, the latest first."""
    from sqlalchemy import bindparam

    from ringfence.store.query import Statement, mine
    from ringfence.store.tables.floor import interactions

    found_by = mine(interactions, *(c for c in interactions.c if c.name not in ("account_id", "doc")))
    if live:
        found_by = found_by.where(interactions.c.state != "ended")
    latest = Statement(found_by.order_by(interactions.c.started_at.desc()).limit(bindparam("limit")))

    async def work(ctx: "Ctx") -> Any:
        return await ctx.db.all(latest, account=ctx.account, limit=last)

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [
        (r["id"], r["direction"], r["state"], r["contact_number"] or "withheld", r["company_number"],
         moment(r["started_at"]), moment(r["ended_at"]))
        for r in found
    ]  # fmt: skip
    table(("id", "", "state", "contact", "number", "started", "ended"), rows)


@calls_app.command("show")
def show_call(context: typer.Context, call: Which, json: AsJson = False) -> None:
    """Show what happened to a call, event by event."""
    from ringfence.store.outbox import FOR_KEY

    async def work(ctx: "Ctx") -> Any:
        return await ctx.db.all(FOR_KEY, account=ctx.account, key=call)

    found = run(within(desk(context), work))
    if not found:
        raise typer.BadParameter(f"there is no call {call!r} in this account")
    if json:
        as_json([{name: event[name] for name in ("id", "at", "type", "data")} for event in found])
        return
    start = found[0]["at"]
    rows = [
        (moment(e["at"]), f"+{(e['at'] - start).total_seconds():.1f} s", e["type"], _told(e["data"])) for e in found
    ]
    table(("at", "after", "event", "what"), rows)


TELLING = (
    "step_name", "exit", "state", "reason", "ring_groups", "user_id", "type", "waiting_time", "talk_time", "hold_time",
    "total_time", "disposition", "ended_by", "result", "duration",
)  # fmt: skip


def _told(data: dict[str, Any]) -> str:
    facts = data | data.get("attempt", {})
    return ", ".join(f"{name} {facts[name]}" for name in TELLING if facts.get(name) not in (None, "", [], 0))


@calls_app.command("incoming", epilog="Example: ringfence calls incoming +351210000100 --from +351910000001")
def incoming(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The number of the account that is called.")],
    contact: Annotated[str, typer.Option("--from", help="Who calls, in E.164; nothing: withheld.")] = "",
) -> None:
    """Let the simulated carrier have a call; its id is printed."""
    from ringfence.floor import inbox, numbers
    from ringfence.floor.directory import ALL_NUMBERS

    if contact and numbers.digits(contact) is None:
        raise typer.BadParameter(numbers.MALFORMED)

    async def work(ctx: "Ctx") -> str:
        known = {row["number"] for row in await ctx.db.all(ALL_NUMBERS, account=ctx.account)}
        if number not in known:
            raise Stop(f"{number} is no number of this account; there is {', '.join(sorted(known)) or 'none'}.")
        id = ctx.new_key()
        await inbox.tell(ctx, inbox.Incoming(call=id, company_number=number, contact_number=contact))
        return id

    typer.echo(run(within(desk(context), work)))


@calls_app.command("end")
def end_call(context: typer.Context, call: Which) -> None:
    """Hang up for the contact."""
    from ringfence.floor import inbox
    from ringfence.floor.telephony import Signal

    async def work(ctx: "Ctx") -> None:
        await inbox.signal(ctx, call, Signal("hung_up"))

    run(within(desk(context), work))


def simulate(
    context: typer.Context,
    calls_per_day: Annotated[int, typer.Option(help="Calls of an average day.", min=1, max=200_000)] = 400,
    speed: Annotated[float, typer.Option(help="How many times as fast people live.", min=0.1, max=1000)] = 1.0,
    backfill: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Write the past instead: 30d, 12h. No server may run.")
    ] = None,
    seed: Annotated[str, typer.Option(help="The same seed gives the same days.")] = "ringfence",
    duration: Annotated[str | None, typer.Option("--for", metavar="SPAN", help="Stop after so long: 10m.")] = None,
) -> None:
    """Keep the centre alive: people call by a daily curve, agents come and go on shifts.

    Without --backfill, beside a running server, until Ctrl-C; a server that was started with --speed lives as fast.
    """
    from ringfence.sandbox import traffic

    past = span(backfill) if backfill is not None else 0.0
    lasting = span(duration) if duration is not None else None
    script = traffic.Script(calls_per_day, seed)

    async def work() -> None:
        async with opened(desk(context)) as house:
            account = chosen_account(house, desk(context))
            try:
                if past:
                    await _backfill(house, account, past, script)
                else:
                    until = house.world.time() + lasting if lasting is not None else None
                    typer.echo(f"calls come in, about {calls_per_day} a day, {speed:g} times as fast; Ctrl-C stops it")
                    await traffic.live(house, account, script=script, speed=speed, until=until)
            except traffic.Refused as why:
                raise Stop(str(why)) from why

    run(work())


async def _backfill(house: Any, account: str, past: float, script: Any) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ringfence.sandbox import traffic

    until = house.world.time()
    since = until - past
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task("letting it happen", total=past)

        def show(at: float, calls: int) -> None:
            day = datetime.fromtimestamp(at, UTC).date()
            bar.update(task, completed=at - since, description=f"{day}  {calls:,} calls")

        calls = await traffic.backfill(house, account, since=since, until=until, script=script, progress=show)
    typer.echo(f"{calls:,} calls in {timedelta(seconds=int(past))} of history")


async def begin_with_a_past(house: Any, account: str, past: float) -> None:
    """What `serve --demo --backfill` does before serving; a centre that has had calls keeps the past that it has."""
    from ringfence.sandbox import traffic

    try:
        await _backfill(house, account, past, traffic.Script(house.settings.demo_calls or 400, "demo", misconduct=True))
    except traffic.Refused as why:
        typer.echo(f"no past was written: {why}")


async def keep_alive(house: Any, account: str, *, calls_per_day: int, speed: float) -> None:
    """What `serve --demo` does beside serving: traffic, as if it had been started at ten in the morning."""
    from zoneinfo import ZoneInfo

    import structlog

    from ringfence.floor.directory import ALL_ACCOUNTS
    from ringfence.sandbox import absences, traffic, voices

    async with house.db.reading() as tx:
        zone = next(row["timezone"] for row in await tx.all(ALL_ACCOUNTS) if row["id"] == account)
    local = house.world.now().astimezone(ZoneInfo(zone))
    shift = 10 * 3600.0 - (local.hour * 3600 + local.minute * 60 + local.second)
    shift -= 86400.0 * local.weekday() if local.weekday() > 4 else 0.0
    try:
        await absences.give(house, account, "demo")
        async with asyncio.TaskGroup() as living:
            script = traffic.Script(calls_per_day, "demo", shift)
            living.create_task(traffic.live(house, account, script=script, speed=speed))
            living.create_task(voices.live(house, account))
    except asyncio.CancelledError:
        raise
    except Exception:
        structlog.get_logger().exception("traffic.stopped")
