"""The entry point, and the commands that need no module of their own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence import __version__

from . import apply as applying
from . import (
    apps,
    clients,
    contacts,
    floor,
    flows,
    grants,
    guardian,
    keys,
    lists,
    log,
    people,
    recordings,
    reports,
    ring_groups,
)
from . import biometrics as voices
from . import live as wallboard
from . import time_off as absences
from . import usage as metered
from .contract import contract
from .record import record
from .serve import serve
from .shared import AsJson, Desk, as_json, desk, opened, run, table

app = typer.Typer(
    help="Ringfence: a contact-centre platform whose every endpoint is fenced by one OAuth scope.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
scopes_app = typer.Typer(help="The scopes of this server.", no_args_is_help=True)
accounts_app = typer.Typer(help="The accounts of this server.", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ringfence {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option(help="sqlite:///PATH or postgresql://… (RINGFENCE_DATABASE).", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.", show_default=False)] = None,
    account: Annotated[
        str | None, typer.Option(help="Name of the account to work on, when there are several.", show_default=False)
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    context.obj = Desk(database, config, account)


def migrate(context: typer.Context) -> None:
    """Bring the database to this version's tables."""
    from ringfence.store.migrate import migrate as apply_migrations

    async def work() -> tuple[str | None, str]:
        return apply_migrations(desk(context).settings().database)

    before, after = run(work())
    typer.echo(f"at revision {after} already" if before == after else f"migrated from {before or 'nothing'} to {after}")


def settings(
    context: typer.Context,
    json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of defaults in the README.")] = False,
) -> None:
    """Show every setting: its variable, its value, and what it is for."""
    from dataclasses import fields

    from ringfence.kernel.settings import Settings, as_markdown, variable

    if markdown:
        typer.echo(as_markdown())
        return

    async def work() -> Any:
        return desk(context).settings()

    held = run(work())
    rows = []
    for each in fields(Settings):
        value = getattr(held, each.name)
        shown = "(hidden)" if each.metadata["secret"] and value else value
        rows.append((variable(each.name), shown, each.metadata["about"]))
    if json:
        as_json([{"variable": v, "value": x, "about": a} for v, x, a in rows])
    else:
        table(("variable", "value", "what it is for"), rows)


@scopes_app.command("list")
def list_scopes(json: AsJson = False) -> None:
    """List every scope: its API, what it lets a client do, and the operations behind it."""
    from ringfence.apis.all import APIS

    found = [
        {
            "scope": scope.name,
            "api": api.title,
            "title": scope.title,
            "operations": [f"{op.method} {op.path}" for op in api.operations if op.fence is scope],
        }
        for api in APIS
        for scope in api.scopes
    ]
    if json:
        as_json(found)
    else:
        rows = [(f["scope"], f["api"], f["title"], "\n".join(f["operations"])) for f in found]
        table(("scope", "API", "lets a client", "operations"), rows)


@accounts_app.command("list")
def list_accounts(context: typer.Context, json: AsJson = False) -> None:
    """List the accounts."""
    from ringfence.floor.directory import ALL_ACCOUNTS

    async def work() -> Any:
        async with opened(desk(context)) as house, house.db.reading() as tx:
            return await tx.all(ALL_ACCOUNTS)

    rows = run(work())
    if json:
        as_json(rows)
    else:
        table(
            ("name", "id", "company", "time zone"),
            [(r["name"], r["id"], r["company_name"], r["timezone"]) for r in rows],
        )


SERVER, SCOPES, CENTRE, RECORDS, WATCH = (
    "The server", "Clients and their scopes", "The centre", "What is kept", "What happens",
)  # fmt: skip
EXAMPLE = "Example: ringfence report calls --from 2026-01-01 --to 2026-02-01 -o january.csv"
for command, panel, epilog in (
    (serve, SERVER, None), (applying.apply, SERVER, None), (migrate, SERVER, None), (settings, SERVER, None),
    (contract, SERVER, None), (floor.simulate, CENTRE, None), (record, RECORDS, None), (wallboard.live, WATCH, None),
    (reports.report, WATCH, EXAMPLE),
):  # fmt: skip
    app.command(rich_help_panel=panel, epilog=epilog)(command)
for name, group, panel in (
    ("accounts", accounts_app, SERVER), ("keys", keys.app, SERVER), ("jobs", log.jobs_app, SERVER),
    ("clients", clients.app, SCOPES), ("grants", grants.app, SCOPES), ("scopes", scopes_app, SCOPES),
    ("apps", apps.app, SCOPES), ("users", people.app, CENTRE), ("ring-groups", ring_groups.app, CENTRE),
    ("agents", floor.agents_app, CENTRE), ("calls", floor.calls_app, CENTRE), ("flows", flows.app, CENTRE),
    ("time-off", absences.app, CENTRE), ("contacts", contacts.app, RECORDS), ("lists", lists.app, RECORDS),
    ("recordings", recordings.app, RECORDS), ("biometrics", voices.app, RECORDS), ("guardian", guardian.app, WATCH),
    ("usage", metered.usage_app, WATCH), ("wallets", metered.wallets_app, WATCH), ("events", log.events_app, WATCH),
    ("facts", reports.facts_app, WATCH),
):  # fmt: skip
    app.add_typer(group, name=name, rich_help_panel=panel)


def main() -> None:
    app()
