"""`ringfence clients`: OAuth clients, their secrets and their keys."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, Stop, as_json, desk, moment, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="OAuth clients: make, list, show, renew their secrets and keys, delete.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(metavar="CLIENT", help="A client's id or name.")]


@app.command(epilog="Example: ringfence clients create crm --scope contacts:read --scope users:read")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of your choice, unique in the account.")],
    grant: Annotated[
        list[str] | None, typer.Option(help="client_credentials, authorization_code, refresh_token; repeatable.")
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope, effective at once; repeatable.")] = None,
    redirect_uri: Annotated[list[str] | None, typer.Option(help="Where codes are sent; repeatable.")] = None,
    public: Annotated[bool, typer.Option("--public", help="A client that cannot keep a secret; needs PKCE.")] = False,
    jwks_uri: Annotated[str | None, typer.Option(help="Where the client publishes its keys.")] = None,
    json: AsJson = False,
) -> None:
    """Make a client; its secret is shown this once."""
    from ringfence.oauth import clients

    grants = grant or (["authorization_code", "refresh_token"] if public else ["client_credentials"])

    async def work(ctx: "Ctx") -> Any:
        return await clients.create(
            ctx,
            name=name,
            kind="public" if public else "confidential",
            grant_types=grants,
            redirect_uris=redirect_uri or [],
            scopes=scope or [],
            jwks_uri=jwks_uri,
        )

    made = run(within(desk(context), work, settle=True))
    if json:
        as_json({"client_id": made.row["id"], "client_secret": made.secret, "name": name, "scopes": scope or []})
        return
    typer.echo(f"client_id      {made.row['id']}")
    if made.secret:
        typer.echo(f"client_secret  {made.secret}")
        typer.echo("The secret is not shown again; `ringfence clients rotate-secret` gives a new one.")


@app.command("list")
def list_clients(context: typer.Context, json: AsJson = False) -> None:
    """List the clients of the account."""
    from ringfence.fence import grants
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> Any:
        found = []
        for row in await clients.list_all(ctx):
            held = await grants.live(ctx, row["id"])
            found.append({
                "name": row["name"], "client_id": row["id"], "kind": row["kind"],
                "grant_types": row["grant_types"], "created_at": row["created_at"],
                "scopes": [g["scope"] for g in held if grants.state(g, ctx.now()) == "effective"],
                "pending": [g["scope"] for g in held if grants.state(g, ctx.now()) == "pending"],
            })  # fmt: skip
        return found

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    rows = [
        (f["name"], f["client_id"], f["kind"], len(f["scopes"]), len(f["pending"]), moment(f["created_at"]))
        for f in found
    ]
    table(("name", "client id", "kind", "scopes", "pending", "made"), rows)


@app.command()
def show(context: typer.Context, client: Which, json: AsJson = False) -> None:
    """Show a client: its grants, when they take effect, and when each scope was last used."""
    from ringfence.fence import grants, usage
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> Any:
        row = await clients.get(ctx, client)
        held = await grants.live(ctx, row["id"])
        used: dict[str, Any] = {}
        for use in await ctx.db.all(usage.OF_CLIENT, account=ctx.account, client=row["id"]):
            used[use["scope"]] = max(used.get(use["scope"], use["last_used_at"]), use["last_used_at"])
        return {
            "name": row["name"],
            "client_id": row["id"],
            "kind": row["kind"],
            "grant_types": row["grant_types"],
            "redirect_uris": row["redirect_uris"],
            "jwks_uri": row["jwks_uri"],
            "keys": [{"kid": k["kid"], "alg": k["alg"]} for k in row["keys"]],
            "created_at": row["created_at"],
            "created_by": row["created_by"],
            "scopes": [
                {
                    "scope": g["scope"],
                    "state": grants.state(g, ctx.now()),
                    "effective_at": g["effective_at"],
                    "added_by": g["added_by"],
                    "reason": g["reason"],
                    "last_used_at": used.get(g["scope"]),
                }
                for g in held
            ],
        }

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    for name in ("name", "client_id", "kind", "grant_types", "redirect_uris", "jwks_uri", "keys", "created_by"):
        value = found[name]
        typer.echo(f"{name:<14} {', '.join(map(str, value)) if isinstance(value, list) else value or ''}")
    rows = [
        (g["scope"], g["state"], moment(g["effective_at"]), moment(g["last_used_at"]) or "never", g["reason"])
        for g in found["scopes"]
    ]
    table(("scope", "state", "effective", "last used", "reason"), rows)


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    client: Which,
    grace: Annotated[int, typer.Option(help="Seconds for which the old secret is still taken.", min=0)] = 0,
) -> None:
    """Give a client a new secret, shown this once; the old one is refused at once, or after --grace."""
    from ringfence.oauth import clients

    async def work(ctx: "Ctx") -> str:
        return await clients.rotate_secret(ctx, client=client, grace=grace)

    typer.echo(f"client_secret  {run(within(desk(context), work, settle=True))}")


@app.command("add-key")
def add_key(
    context: typer.Context,
    client: Which,
    alg: Annotated[str, typer.Option(help="ES256/384/512, PS256/384/512 or RS256/384/512.")] = "ES256",
    jwk: Annotated[Path | None, typer.Option(help="Register this public JWK instead of making a key pair.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the private key (PKCS#8, PEM) to a file of yours.")] = None,
) -> None:
    """Let a client sign its assertions (private_key_jwt): make a key pair, or register its public key."""
    import os

    from ringfence.oauth import clients

    if jwk is not None:
        try:
            given = json.loads(jwk.read_text("utf-8"))
        except (OSError, ValueError) as why:
            typer.echo(f"ringfence: {jwk} cannot be read as JSON: {why}", err=True)
            raise typer.Exit(1) from why

        async def register(ctx: "Ctx") -> str:
            if not isinstance(given, dict):
                raise Stop(f"{jwk} does not hold one JWK.")
            return await clients.register_key(ctx, client=client, jwk=given)

        typer.echo(f"kid  {run(within(desk(context), register, settle=True))}")
        return

    async def make(ctx: "Ctx") -> Any:
        return await clients.make_key(ctx, client=client, alg=alg)

    made = run(within(desk(context), make, settle=True))
    typer.echo(f"kid  {made.kid}\nalg  {made.alg}")
    if out is None:
        typer.echo(made.private_pem, nl=False)
    else:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made.private_pem)
        typer.echo(f"private key written to {out}")
    typer.echo("The private key is not kept here and not shown again.")


@app.command()
def delete(
    context: typer.Context,
    client: Which,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the history.")] = "client deleted",
) -> None:
    """Delete a client: its tokens are refused from the next request on."""
    from ringfence.oauth import clients

    if not yes:
        typer.confirm(f"Delete the client {client}, with all its tokens?", abort=True)

    async def work(ctx: "Ctx") -> Any:
        return await clients.delete(ctx, client=client, reason=reason)

    row = run(within(desk(context), work, settle=True))
    typer.echo(f"deleted {row['name']} ({row['id']})")
