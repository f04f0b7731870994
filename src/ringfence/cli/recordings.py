"""`ringfence recordings`: what was recorded of a call, and the audio as a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .files import Out, save
from .shared import AsJson, Desk, Stop, actor, as_json, chosen_account, desk, moment, opened, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="Recordings of calls: list them, save their audio.", no_args_is_help=True)
Call = Annotated[str, typer.Argument(metavar="CALL", help="A call's id.")]
Recording = Annotated[str, typer.Argument(metavar="RECORDING", help="A recording's id.")]


@app.command("list", epilog="Example: ringfence recordings list 0190d3b1a0f4000080c1d2e3f4a5b6c7")
def list_recordings(context: typer.Context, call: Call, json: AsJson = False) -> None:
    """List the recordings of a call."""
    from ringfence.apis.recordings import domain

    async def work(ctx: "Ctx") -> Any:
        return await domain.of_call(ctx, call)

    rows = run(within(desk(context), work))
    names = ("id", "call_id", "number", "type", "duration", "channels", "created_at", "gone_at")
    if json:
        as_json([{name: row[name] for name in names} for row in rows])
        return
    shown = [
        (r["number"], r["id"], r["type"], f"{r['duration']} s", moment(r["created_at"]), moment(r["gone_at"]))
        for r in rows
    ]
    table(("index", "id", "type", "duration", "made", "audio dropped"), shown)


@app.command("save", epilog="Example: ringfence recordings save 0190d3b1c2a4000180c1d2e3f4a5b6c7 -o call.wav")
def save_recording(context: typer.Context, recording: Recording, output: Out = None) -> None:
    """Save the audio of a recording as WAV: the contact on the left channel, the agent on the right."""
    size = run(_save(desk(context), recording, output))
    typer.echo(f"{size} bytes" + (f" in {output}" if output else ""), err=True)


async def _save(given: Desk, recording: str, output: Path | None) -> int:
    from ringfence.apis.recordings import domain
    from ringfence.floor import media

    if output is None and sys.stdout.isatty():
        raise Stop("Audio is nothing for a terminal; say where to write it with --output.")
    async with opened(given) as house:
        async with house.db.reading() as tx:
            row = await domain.get(house.ctx(tx, chosen_account(house, given), actor(), "cli"), recording)
        row = await media.at_hand(house, row)
        size: int = row["bytes"]
        await save(media.read(house, row, 0, size), output, size)
    return size
