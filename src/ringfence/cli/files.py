"""What the commands that move files share: looking at one first, writing one whole, and a bar to watch."""

import asyncio
import csv
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple

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
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks = [progress.add_task(name, total=total) for name in names]

        def at(*done: int) -> None:
            for task, count in zip(tasks, done, strict=True):
                progress.update(task, completed=count)

        yield at


@contextmanager
def whole(out: Path | None) -> Iterator[BinaryIO]:
    """A file to write, or standard output. Under its name it is there only when it is whole."""
    special = out is not None and out.exists() and not out.is_file()  # a device or a pipe: not to be replaced
    draft = out.with_name(f"{out.name}.part") if out is not None and not special else None
    try:
        with os.fdopen(os.dup(1), "wb") if out is None else (draft or out).open("wb") as file:
            yield file
        if draft is not None and out is not None:
            draft.replace(out)
    except BrokenPipeError as why:  # whoever read has seen enough
        raise Stop("nobody reads any more", 0) from why
    except OSError as why:
        raise Stop(f"{out or 'standard output'} cannot be written: {why.strerror}") from why
    finally:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


async def write(rows: AsyncGenerator[list[str], None], out: Path | None, total: int | None) -> int:
    """Write rows as CSV. How many, without the header."""
    count = -1
    async with aclosing(rows):
        with whole(out) as file, TextIOWrapper(file, "utf-8", newline="") as text, bar("exported", total=total) as at:
            writer = csv.writer(text, lineterminator="\n")
            async for row in rows:
                writer.writerow(row)
                count += 1
                if count % 500 == 0:
                    at(count)
    return count


async def save(pieces: AsyncGenerator[bytes, None], out: Path | None, total: int) -> None:
    """Write a file as it comes."""
    done = 0
    async with aclosing(pieces):
        with whole(out) as file, bar("saved", total=total) as at:
            async for piece in pieces:
                file.write(piece)
                done += len(piece)
                at(done)
