"""`ringfence record`: write down what other systems tell, from a file."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .files import bar
from .shared import Stop, desk, run, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

CHUNK = 500  # that are checked and written together
INDEXED = re.compile(r"\[(\d+)\]\.?")


class What(StrEnum):
    """What a file holds."""

    MESSAGES = "messages"
    CONVERSATIONS = "conversations"
    EVALUATIONS = "evaluations"
    SURVEYS = "surveys"
    DIALER_CALLS = "dialer-calls"


def record(
    context: typer.Context,
    what: What,
    file: Annotated[
        Path | None,
        typer.Argument(help="A JSON array, or an object a line (NDJSON), in UTF-8; - is standard input."),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print one that can be recorded, and stop.")] = False,
) -> None:
    """Record messages, conversations, evaluations, answered surveys or calls of a dialer: a whole file or nothing.

    What was recorded before changes nothing; an evaluation with a higher version is an edit.
    """
    from ringfence.floor import channels

    kind = getattr(channels, what.name)
    if example:
        _print_example(context, kind)
    elif file is None:
        raise typer.BadParameter("give a FILE, or --example")
    else:
        given = _read(file)
        new = run(within(desk(context), lambda ctx: _record(ctx, kind, given)))
        known = f", {len(given) - new:,} were known already" if new < len(given) else ""
        typer.echo(f"{new:,} recorded{known}")


async def _record(ctx: "Ctx", kind: Any, given: list[tuple[str, Any]]) -> int:
    from ringfence.floor.channel_log import record
    from ringfence.kernel.problems import Fault

    new = 0
    with bar("recorded", total=len(given)) as at:
        for start in range(0, len(given), CHUNK):
            try:
                new += await record(ctx, kind, [one for _, one in given[start : start + CHUNK]])
            except Fault as why:
                [field] = why.detail.fields
                index = INDEXED.match(field.name)
                place = given[start + int(index[1])][0] if index else ""
                member = field.name[index.end() :] if index else field.name
                raise Stop(
                    f"{place}: {f'{member}: ' if member else ''}{field.description}. Nothing was recorded."
                ) from why
            at(start + CHUNK)
    return new


def _read(file: Path) -> list[tuple[str, Any]]:
    async def work() -> list[tuple[str, Any]]:
        try:
            text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()  # noqa: ASYNC240 - alone
        except OSError as why:
            raise Stop(f"{file} cannot be read: {why.strerror}") from why
        return parsed(text)

    found: list[tuple[str, Any]] = run(work())
    return found


def parsed(text: bytes) -> list[tuple[str, Any]]:
    """What a JSON array or lines of JSON hold, each with where it stands. Raises Stop."""
    import msgspec

    text = text.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip().startswith(b"["):
        try:
            whole: list[Any] = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
            raise Stop(f"This is no JSON array: {why}") from why
        return [(f"item {number}", one) for number, one in enumerate(whole, 1)]
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append((f"line {number}", msgspec.json.decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
                raise Stop(f"line {number}: this is no JSON: {why}") from why
    return found


def _print_example(context: typer.Context, kind: Any) -> None:
    import msgspec

    from ringfence.floor.directory import ALL_USERS

    async def someone(ctx: "Ctx") -> Any:
        for row in await ctx.db.all(ALL_USERS, account=ctx.account):
            if row["active"]:
                return row["id"]
        raise Stop("There is nobody in this account whom an example could name.")

    one: dict[str, Any] = dict(kind.what.data.example)
    people = [name for name in ("user_id", "evaluator_id") if name in one]
    if people:
        one |= dict.fromkeys(people, run(within(desk(context), someone)))
    typer.echo(msgspec.json.encode(one).decode())
