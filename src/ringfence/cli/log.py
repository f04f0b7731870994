"""`ringfence events` and `ringfence jobs`: what happened, and what is still to be done."""

import asyncio
from typing import Annotated, Any

import typer

from .shared import AsJson, as_json, chosen_account, desk, moment, opened, run, table

events_app = typer.Typer(help="The event log.", no_args_is_help=True)
jobs_app = typer.Typer(help="The work queue.", no_args_is_help=True)
CHUNK = 500


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
