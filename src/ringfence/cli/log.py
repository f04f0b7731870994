"""`ringfence events` and `ringfence jobs`: what happened, and what is still to be done."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from .shared import AsJson, as_json, chosen_account, desk, moment, opened, run, table, within

events_app = typer.Typer(help="The event log.", no_args_is_help=True)
jobs_app = typer.Typer(help="The work queue.", no_args_is_help=True)
CHUNK = 500
DELIVERED = ("id", "event_id", "type", "key", "state", "attempts", "due", "created_at", "finished_at")
MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]


class State(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    WITHHELD = "withheld"


@events_app.command()
def tail(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events happen.")] = False,
    key: Annotated[str | None, typer.Option(help="Only of this key: a client, a contact, a user.")] = None,
    type: Annotated[str | None, typer.Option(help="Only of this type, such as client.scope_added.")] = None,
    last: Annotated[int, typer.Option(help="How many to begin with.", min=0)] = 20,
    json: AsJson = False,
) -> None:
    """Show the account's latest events, oldest first."""
    import msgspec

    from ringfence.store import outbox

    def show(event: dict[str, Any]) -> None:
        if json:
            typer.echo(msgspec.json.encode(event).decode())
        else:
            facts = msgspec.json.encode(event["data"]).decode()
            typer.echo(f"{event['place']:>8}  {moment(event['at'])}  {event['type']:<26} {event['actor']:<24} {facts}")

    async def work() -> None:
        async with opened(desk(context)) as house:
            account = chosen_account(house, desk(context))
            place, first = 0, True
            kept: list[dict[str, Any]] = []
            while True:
                await outbox.stamp(house.db)
                async with house.db.reading() as tx:
                    found = await tx.all(outbox.AFTER, place=place)
                fitting = [
                    e
                    for e in found
                    if e["account_id"] == account and key in (None, e["key"]) and type in (None, e["type"])
                ]
                place = found[-1]["place"] if found else place
                kept = [*kept, *fitting]
                if first:
                    kept = kept[-last:] if last else []
                if len(found) == CHUNK:
                    continue
                first = False
                for event in kept:
                    show(event)
                kept = []
                if not follow:
                    return
                await asyncio.sleep(0.3)

    run(work())


@jobs_app.command("list")
def list_jobs(context: typer.Context, json: AsJson = False) -> None:
    """List what is waiting, and what was given up on."""
    from ringfence.store import work as queue

    async def work() -> Any:
        async with opened(desk(context)) as house, house.db.reading() as tx:
            return await tx.all(queue.ALL)

    found = run(work())
    if json:
        as_json(found)
        return
    rows = [(j["name"], j["id"], moment(j["due"]) or "given up", j["attempt"], j["error"] or "") for j in found]
    table(("job", "id", "due", "attempts", "last error"), rows)


@events_app.command("subscriptions")
def list_subscriptions(context: typer.Context, json: AsJson = False) -> None:
    """List who is told of what, webhook triggers among them, and whether it gets there."""
    from ringfence.apis.events import subscriptions
    from ringfence.store.query import all_rows

    async def work(ctx: Any) -> Any:
        return await all_rows(ctx, subscriptions.EVERY)

    found = run(within(desk(context), work))
    shown = [{name: value for name, value in row.items() if name not in ("secrets", "identity")} for row in found]
    if json:
        as_json(shown)
        return
    rows = [
        (
            row["id"],
            row["callback_url"],
            row["trigger"] or "\n".join(row["event_types"]),
            row["reason"] or (f"failing since {moment(row['failing_since'])}" if row["failing_since"] else "active"),
        )
        for row in found
    ]
    table(("id", "callback URL", "events", "state"), rows)


@events_app.command("deliveries")
def list_deliveries(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Id of the subscription, or of the webhook trigger.")],
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    last: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 50,
    json: AsJson = False,
) -> None:
    """List what is told, or was told, to a subscription, the latest first."""
    from ringfence.apis.events import queue, subscriptions
    from ringfence.store.query import one

    async def work(ctx: Any) -> Any:
        await one(ctx, subscriptions.BY_ID, subscription=subscription)
        page = await queue.page(ctx, subscription, state and state.value, 1, last)
        return [{name: row[name] for name in DELIVERED} for row in page.items]

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [
        (
            row["id"],
            moment(row["created_at"]),
            row["type"],
            row["key"],
            row["state"],
            row["attempts"],
            moment(row["due"]),
        )
        for row in found
    ]
    table(("id", "since", "event", "key", "state", "attempts", "due"), rows)


@events_app.command()
def replay(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Id of the subscription that is told again.")],
    event: Annotated[str | None, typer.Option(help="Id of the one event to tell.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=MOMENTS, help="Begin of a span, in UTC.", show_default=False)
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=MOMENTS, help="Its end, not included.", show_default=False)
    ] = None,
    type: Annotated[list[str] | None, typer.Option(help="Only of this type; may be given several times.")] = None,
) -> None:
    """Tell one event, or those of a span, to a subscription again; a running server delivers them."""
    from ringfence.apis.events import queue

    if (event is None) == (since is None) or (since is None) != (until is None):
        raise typer.BadParameter("give either --event, or --from and --to")

    async def work(ctx: Any) -> None:
        if event is not None:
            await queue.replay_one(ctx, subscription, event)
        elif since is not None and until is not None:
            span = (since.replace(tzinfo=UTC), until.replace(tzinfo=UTC))
            await queue.replay_range(ctx, subscription, *span, types=type or [])

    run(within(desk(context), work))
    typer.echo("asked for; see the deliveries of the subscription")
