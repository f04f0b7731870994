"""What the commands that move files share: looking at one first, writing one whole, and a bar to watch."""

import asyncio
import csv
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from .shared import Stop

File = Annotated[Path, typer.Argument(help="A CSV file in UTF-8; its first row names the columns.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write; without it, standard output.")]
BLOCK = 1 << 20


class Looked(NamedTuple):
    """A file as it is now."""

    size: int
    md5: str
    lines: int


async def look(path: Path) -> Looked:
    """Length, MD5 and lines of a file."""

    def run() -> Looked:
        digest, size, lines = hashlib.md5(usedforsecurity=False), 0, 0
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
                lines += block.count(b"\n")
        return Looked(size, digest.hexdigest(), lines)

    try:
        found = await asyncio.to_thread(run)
    except OSError as why:
        raise Stop(f"{path} cannot be read: {why.strerror}") from why
    if not found.size:
        raise Stop(f"{path} is empty.")
    return found


@contextmanager
def bar(*names: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A bar for each name on the terminal; call what comes with how far each is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = [progress.add_task(name, total=total) for name in names]

        def at(*done: int) -> None:
            for task, count in zip(tasks, done, strict=True):
                progress.update(task, completed=count)

        yield at


async def write(rows: AsyncGenerator[list[str], None], out: Path | None, total: int | None) -> int:
    """Write rows as CSV, to a file that is there only when it is whole. How many, without the header."""
    draft = out.with_name(f"{out.name}.part") if out is not None else None
    count = -1
    try:
        async with aclosing(rows):
            with (
                os.fdopen(os.dup(1), "w", encoding="utf-8", newline="")
                if draft is None
                else draft.open("w", encoding="utf-8", newline="") as file,
                bar("exported", total=total) as at,
            ):
                writer = csv.writer(file, lineterminator="\n")
                async for row in rows:
                    writer.writerow(row)
                    count += 1
                    if count % 500 == 0:
                        at(count)
    except BrokenPipeError as why:  # whoever read has seen enough
        raise Stop("nobody reads any more", 0) from why
    except OSError as why:
        raise Stop(f"{out or 'standard output'} cannot be written: {why.strerror}") from why
    if draft is not None and out is not None:
        draft.replace(out)
    return count


async def save(pieces: AsyncGenerator[bytes, None], out: Path | None, total: int) -> None:
    """Write a file as it comes; under its name it is there only when it is whole."""
    draft = out.with_name(f"{out.name}.part") if out is not None else None
    done = 0
    try:
        async with aclosing(pieces):
            with (
                os.fdopen(os.dup(1), "wb") if draft is None else draft.open("wb") as file,
                bar("saved", total=total) as at,
            ):
                async for piece in pieces:
                    file.write(piece)
                    done += len(piece)
                    at(done)
    except BrokenPipeError as why:  # whoever listened has heard enough
        raise Stop("nobody reads any more", 0) from why
    except OSError as why:
        raise Stop(f"{out or 'standard output'} cannot be written: {why.strerror}") from why
    if draft is not None and out is not None:
        draft.replace(out)
