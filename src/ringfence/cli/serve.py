"""`ringfence serve`: the whole server in one process."""

import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.kernel.settings import BadSetting, load
from ringfence.store.db import DatabaseUnavailable

from .floor import begin_with_a_past, keep_alive, span
from .shared import desk


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 0 picks a free one.", min=0, max=65535)] = None,
    database: Annotated[str | None, typer.Option(help="sqlite:///PATH or postgresql://…")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Set up the demo centre and print its credentials.")] = False,
    speed: Annotated[float, typer.Option(help="How many times as fast people on the telephone live.", min=0.1)] = 1.0,
    backfill: Annotated[
        str | None, typer.Option(metavar="SPAN", help="With --demo, at its first start: begin with a past, as in 3d.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write base URL and demo credentials here, as JSON, once requests are answered.")
    ] = None,
) -> None:
    """Serve the authorization server, the APIs and their documentation until SIGINT or SIGTERM."""
    from ringfence.web.server import run

    shared = desk(context)
    given = {"host": host, "port": port, "database": database or shared.database}
    try:
        past = span(backfill) if backfill is not None else 0.0
        run(_serve(given, shared.config, demo, ready_file, speed, past))
    except (BadSetting, DatabaseUnavailable, OSError) as why:
        typer.echo(f"ringfence: {why}", err=True)
        raise typer.Exit(1) from why


async def _serve(
    given: dict[str, Any], config: Path | None, demo: bool, ready_file: Path | None, speed: float, past: float
) -> None:
    from dataclasses import replace

    from ringfence.apis.all import APIS
    from ringfence.floor.carriers import set_speed
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
    set_speed(speed)
    beside: list[Coroutine[Any, Any, None]] = []
    credentials: dict[str, Any] = {"account": None, "clients": [], "users": []}
    if demo:
        from ringfence.sandbox.demo import apply_demo

        credentials = await apply_demo(house)
        account = house.view.account_names[credentials["account"]]
        if past:
            await begin_with_a_past(house, account, past)
        if settings.demo_calls:
            beside.append(keep_alive(house, account, calls_per_day=settings.demo_calls, speed=speed))

    def ready() -> None:
        if ready_file is not None:
            _write_whole(ready_file, json.dumps({"base_url": house.gateway_base, **credentials}, indent=2))
        _greet(house.gateway_base, credentials, demo)

    await open_doors(house, APIS, host=settings.host, port=settings.port, ready=ready, beside=beside)


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
