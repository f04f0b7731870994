"""`ringfence guardian`: what was detected, who was logged in, what is known of people, how calls sounded, the rules."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, as_json, caught_up, desk, moment, opened, run, table

if TYPE_CHECKING:
    from ringfence.guardian.lists import Found, Wanted
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="Guardian: what is out of the ordinary, sessions, people, call quality.", no_args_is_help=True)
Filter = Annotated[str | None, typer.Option(help="As in the API: \"case eq 'failed_logins' and hits_number gt 9\".")]
OrderBy = Annotated[str, typer.Option(help="As in the API: hits_number desc, id.")]
Page = Annotated[int, typer.Option(min=1, help="Which page.")]
PerPage = Annotated[int, typer.Option(min=1, max=1000, help="How many at once.")]
Listing = Callable[["Ctx", "Wanted"], Any]


def _show(
    context: typer.Context,
    listing: Listing,
    asked: tuple[str | None, str, int, int],
    json: bool,
    columns: Sequence[str],
    line: Callable[[dict[str, Any]], Sequence[Any]],
) -> None:
    from ringfence.guardian.lists import Wanted
    from ringfence.guardian.watch import WATCH

    async def work(ctx: "Ctx") -> "Found":
        found: Found = await listing(ctx, Wanted(*asked))
        return found

    found = run(caught_up(desk(context), WATCH, work))
    if json:
        as_json(found.rows)
        return
    table(columns, [line(row) for row in found.rows])
    if found.total > len(found.rows):
        typer.echo(f"{len(found.rows)} of {found.total}", err=True)


@app.command("cases", epilog="Example: ringfence guardian cases --filter \"case eq 'hold_and_hang_up'\"")
def list_cases(
    context: typer.Context,
    filter: Filter = None,
    order_by: OrderBy = "",
    page: Page = 1,
    per_page: PerPage = 50,
    json: AsJson = False,
) -> None:
    """List what was detected, the latest first."""
    from ringfence.guardian import records

    def line(row: dict[str, Any]) -> Sequence[Any]:
        prob = f"{row['pop_prob']:.2g}"
        facts = (row["case"], row["user_id"], row["hits_number"], prob, row["specification"])
        return moment(row["ingest_timestamp"]), *facts

    columns = ("detected", "case", "user", "hits", "probability", "what")
    _show(context, records.all_cases, (filter, order_by, page, per_page), json, columns, line)


@app.command("sessions", epilog="Example: ringfence guardian sessions --filter 'logout_timestamp eq null'")
def list_sessions(
    context: typer.Context,
    filter: Filter = None,
    order_by: OrderBy = "",
    page: Page = 1,
    per_page: PerPage = 50,
    json: AsJson = False,
) -> None:
    """List logins and shifts, the latest first."""
    from ringfence.guardian import records

    def line(row: dict[str, Any]) -> Sequence[Any]:
        left, device = moment(row["logout_timestamp"]) or "goes on", (row["browser_full"], row["os_full"])
        where = (row["ip_address"] or "", row["country"], " on ".join(part for part in device if part))
        return moment(row["login_timestamp"]), left, row["user_id"], *where

    columns = ("begin", "end", "user", "address", "country", "with")
    _show(context, records.all_sessions, (filter, order_by, page, per_page), json, columns, line)


@app.command("users", epilog="Example: ringfence guardian users --filter 'risk gt 0' --order-by 'risk desc'")
def list_users(
    context: typer.Context,
    filter: Filter = None,
    order_by: OrderBy = "",
    page: Page = 1,
    per_page: PerPage = 50,
    json: AsJson = False,
) -> None:
    """List people with their presence, risk and status."""
    from ringfence.guardian import people

    async def listing(ctx: "Ctx", wanted: "Wanted") -> "Found":
        return await people.people(ctx, wanted, agents=False)

    def line(row: dict[str, Any]) -> Sequence[Any]:
        mos = row["call_quality.mos.avg"]
        facts = (row["id"], row["email"], row["role"], ", ".join(row["ring_groups"]), row["presence"], row["status"])
        return *facts, row["risk"], f"{mos:.2f}" if mos is not None else ""

    columns = ("id", "email", "role", "ring groups", "presence", "status", "risk", "MOS")
    _show(context, listing, (filter, order_by, page, per_page), json, columns, line)


@app.command("call-quality", epilog="Example: ringfence guardian call-quality --filter 'affected_call eq true'")
def list_call_quality(
    context: typer.Context,
    filter: Filter = None,
    order_by: OrderBy = "",
    page: Page = 1,
    per_page: PerPage = 50,
    json: AsJson = False,
) -> None:
    """List how calls of the previous 30 days sounded, the latest first."""
    from ringfence.guardian import records

    def line(row: dict[str, Any]) -> Sequence[Any]:
        heard = (row["mos.avg"], row["mos.min"], row["rtt.avg"], row["jitter.avg"], row["packets_loss_percentage"])
        affected = "affected" if row["affected_call"] else ""
        return moment(row["timestamp"]), row["call_id"], row["user_id"] or "", *heard, affected

    columns = ("over", "call", "user", "MOS", "at worst", "rtt ms", "jitter ms", "loss %", "")
    _show(context, records.calls_heard, (filter, order_by, page, per_page), json, columns, line)


@app.command("rules")
def list_rules(context: typer.Context, json: AsJson = False) -> None:
    """List what is looked for, and the thresholds in force."""
    from ringfence.guardian.rules import RULES

    async def work() -> Any:
        return desk(context).settings()

    settings = run(work())
    found = [
        {
            "name": rule.name,
            "title": rule.title,
            "watches": rule.watches,
            "setting": rule.threshold,
            "threshold": getattr(settings, rule.threshold),
            "window": None if rule.single else int(rule.window),
            "against": rule.against or None,
            "weight": rule.weight,
        }
        for rule in RULES
    ]
    if json:
        as_json(found)
        return
    rows = [
        (one["name"], one["threshold"], f"{one['window'] // 3600} h" if one["window"] else "", one["against"] or "",
         one["weight"], one["watches"])
        for one in found
    ]  # fmt: skip
    table(("rule", "threshold", "window", "rare against", "weight", "what it looks for"), rows)


@app.command("rebuild")
def rebuild(context: typer.Context) -> None:
    """Drop what was made of the event log, of all accounts, and make it anew. Nobody is told again."""

    async def work() -> int:
        from ringfence.guardian.watch import WATCH, begin_anew
        from ringfence.store.worker import catch_up

        async with opened(desk(context)) as house:
            async with house.db.writing() as tx:
                await begin_anew(tx)
            return await catch_up(house.db, house.ctx, WATCH)

    typer.echo(f"{run(work()):,} events read")
