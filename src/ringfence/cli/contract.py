"""`ringfence contract`: what this server promises, as files that are committed and reviewed."""

import difflib
import json
from pathlib import Path
from typing import Annotated

import typer


def promised() -> dict[str, str]:
    """File name to text, worked out from the catalogue."""
    from ringfence import __version__
    from ringfence.apis.all import APIS
    from ringfence.web.asyncapi import asyncapi
    from ringfence.web.health import health
    from ringfence.web.openapi import agreement, contract
    from ringfence.web.reference import pages

    def no_app() -> None:
        raise RuntimeError("no server is running")

    everything = (*APIS, health(no_app), pages(APIS, __version__))  # type: ignore[arg-type]

    def readable(document: object) -> str:
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    return {
        "operations.txt": "\n".join(agreement(everything)) + "\n",
        "openapi.json": readable(contract(APIS, __version__)),
        "asyncapi.json": readable(asyncapi(APIS, __version__)),
    }


def contract(
    folder: Annotated[Path, typer.Option(help="Where the files are.")] = Path("contract"),
    write: Annotated[bool, typer.Option("--write", help="Write them anew.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail where they are not up to date.")] = False,
) -> None:
    """Print the agreed fences (METHOD PATH SCOPE), write the contract files, or check that they are fresh."""
    stale = []
    for name, text in promised().items():
        path = folder / name
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            typer.echo(f"wrote {path}")
        elif check:
            have = path.read_text("utf-8") if path.exists() else ""
            if have != text:
                stale.append(name)
                changes = difflib.unified_diff(have.splitlines(), text.splitlines(), str(path), "now", lineterm="", n=1)
                typer.echo("\n".join(list(changes)[:40]), err=True)
        elif name == "operations.txt":
            typer.echo(text, nl=False)
    if stale:
        typer.echo(f"{', '.join(stale)} is not up to date; run `make contract` and read the change.", err=True)
        raise typer.Exit(1)
