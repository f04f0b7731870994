"""`ringfence serve`: the whole server in one process."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.kernel.settings import BadSetting, load
from ringfence.store.db import DatabaseUnavailable

from .shared import desk


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 0 picks a free one.", min=0, max=65535)] = None,
    database: Annotated[str | None, typer.Option(help="sqlite:///PATH or postgresql://…")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Set up the demo centre and print its credentials.")] = False,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write base URL and demo credentials here, as JSON, once requests are answered.")
    ] = None,
) -> None:
    """Serve the authorization server, the APIs and their documentation until SIGINT or SIGTERM."""
    from ringfence.web.server import run

    shared = desk(context)
    given = {"host": host, "port": port, "database": database or shared.database}
    try:
        run(_serve(given, shared.config, demo, ready_file))
    except (BadSetting, DatabaseUnavailable, OSError) as why:
        typer.echo(f"ringfence: {why}", err=True)
        raise typer.Exit(1) from why


async def _serve(given: dict[str, Any], config: Path | None, demo: bool, ready_file: Path | None) -> None:
    from dataclasses import replace

    from ringfence.apis.all import APIS
    from ringfence.kernel.world import World
    from ringfence.oauth.opening import open_house
    from ringfence.web.logs import set_up_logs
    from ringfence.web.server import free_port, require_free
    from ringfence.web.server import serve as open_doors

    settings = load(file=config, **given)
    set_up_logs(settings.log_format)
    if settings.port == 0:
        settings = replace(settings, port=free_port(settings.host))
    else:
        require_free(settings.host, settings.port)
    house = await open_house(settings, World(), APIS)
    credentials: dict[str, Any] = {"account": None, "clients": [], "users": []}
    if demo:
        from ringfence.sandbox.demo import apply_demo

        credentials = await apply_demo(house)

    def ready() -> None:
        if ready_file is not None:
            _write_whole(ready_file, json.dumps({"base_url": house.gateway_base, **credentials}, indent=2))
        _greet(house.gateway_base, credentials, demo)

    await open_doors(house, APIS, host=settings.host, port=settings.port, ready=ready)


def _write_whole(path: Path, text: str) -> None:
    """Nobody sees half of it, and nobody else may read it: it holds secrets."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _greet(base: str, credentials: dict[str, Any], demo: bool) -> None:
    lines = ["", f"  Ringfence answers at {base}", f"  Documentation        {base}/docs", ""]
    if demo and credentials["clients"]:
        lines.append(f"  Account {credentials['account']}")
        for client in credentials["clients"]:
            lines.append(f"  {client['name']:<12} id {client['client_id']}  secret {client['client_secret']}")
        for user in credentials["users"][:2]:
            lines.append(f"  {user['email']:<28} password {user['password']}")
        one = next((c for c in credentials["clients"] if c["name"] == "read-only"), credentials["clients"][0])
        token = (
            f"TOKEN=$(curl -s -u {one['client_id']}:{one['client_secret']} "
            f'-d grant_type=client_credentials {base}/oauth/token | sed \'s/.*"access_token":"\\([^"]*\\)".*/\\1/\')'
        )
        lines += [
            "",
            "  Three lines to paste:",
            "",
            token,
            f'curl -s -H "Authorization: Bearer $TOKEN" {base}/account; echo',
            f'curl -s -H "Authorization: Bearer $TOKEN" "{base}/contacts?per_page=2"; echo',
            "",
        ]
    sys.stdout.write("\n".join([*lines, "  Ctrl-C stops it.", "", ""]))
    sys.stdout.flush()
