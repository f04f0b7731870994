"""`ringfence contract`: what this server promises, as files that are committed and reviewed.

`scopes.tsv` among them is not written but agreed: the APIs that there must be, each with its scopes.
"""

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ringfence.kernel.catalog import Api

BEGIN, END = "<!-- apis -->\n", "<!-- /apis -->"  # what is between them in the README is written


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


def agreed(folder: Path) -> dict[str, frozenset[str]]:
    """The scopes of each API that was agreed on, by its title."""
    _, *lines = (folder / "scopes.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return {title: frozenset(scopes.split()) for title, scopes, _ in rows}


def served() -> "dict[str, Api]":
    """The APIs of the catalogue that have scopes, by their titles."""
    from ringfence.apis.all import APIS

    return {api.title: api for api in APIS if api.scopes}


def api_table(folder: Path) -> str:
    """The README's table: the APIs that were agreed on, and then what there is beside them."""
    apis, wanted = served(), agreed(folder)
    lines = ["| API | Scopes | For |", "|---|---|---|"]
    for title, api in sorted(apis.items(), key=lambda one: (one[0] not in wanted, one[0])):
        scopes = " ".join(f"`{name}`" for name in sorted(scope.name for scope in api.scopes))
        lines.append(f"| {title} | {scopes} | {api.about} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str, folder: Path) -> str:
    """A README whose table is up to date."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + begin + api_table(folder) + end + after if end else readme


def contract(
    folder: Annotated[Path, typer.Option(help="Where the files are.")] = Path("contract"),
    readme: Annotated[Path, typer.Option(help="The file with the table of APIs.")] = Path("README.md"),
    write: Annotated[bool, typer.Option("--write", help="Write them anew.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail where they are not up to date.")] = False,
) -> None:
    """Print the agreed fences (METHOD PATH SCOPE), write the contract files and the README, or check them."""
    stale = []
    files = {folder / name: text for name, text in promised().items()}
    if (folder / "scopes.tsv").exists() and readme.exists():
        files[readme] = with_table(readme.read_text("utf-8"), folder)
    for path, text in files.items():
        name = path.name
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
