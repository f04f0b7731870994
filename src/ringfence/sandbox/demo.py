"""The demo centre: applied at each start, with secrets that are the same each time and nowhere written down."""

from pathlib import Path
from typing import Any

from ringfence.fence import grants
from ringfence.fence.house import House
from ringfence.floor import directory
from ringfence.oauth import clients
from ringfence.store.statement import Row

from . import centre, declaration

FILE = Path(__file__).with_name("demo.toml")
ACTOR = "demo"
WAITS = "contacts:write"  # what the client called `pending` waits for


async def apply_demo(house: House) -> dict[str, Any]:
    """Set up the demo centre where it is missing. Its account, clients with secrets, and people with passwords."""
    wanted = declaration.read(FILE.read_text("utf-8"), house.scopes, FILE.parent).accounts[0]

    def secret(name: str) -> str:
        return house.vault.derive(f"demo client {name}")

    def password(email: str) -> str:
        return house.vault.derive(f"demo user {email}")[:16]

    made = await centre.plan(house, wanted, centre.Given(secret, password))
    await centre.apply(house, made, ACTOR, ACTOR)
    async with house.db.writing() as tx:
        ctx = house.ctx(tx, made.id, ACTOR, ACTOR)
        known = {row["name"]: row for row in await clients.list_all(ctx)}
        if "pending" not in known:
            known["pending"] = await _make_pending(ctx, secret("pending"))
        await _keep_pending(ctx, known["pending"])
        people = [row for row in await ctx.db.all(directory.ALL_USERS, account=made.id) if row["active"]]
        shown = [await _shown(ctx, known[name], secret(name)) for name in ("full", "read-only", "pending")]
    await house.view.refresh()
    return {
        "account": wanted.name,
        "clients": shown,
        "users": [{"email": row["email"], "password": password(row["email"])} for row in people],
    }


async def _make_pending(ctx: Any, secret: str) -> Row:
    new = await clients.create(
        ctx,
        name="pending",
        grant_types=["client_credentials"],
        redirect_uris=[],
        scopes=["contacts:read"],
        secret=secret,
    )
    return new.row


async def _keep_pending(ctx: Any, client: Row) -> None:
    """There is always a scope to be seen waiting: one that has become effective starts anew."""
    held = {row["scope"]: row for row in await grants.live(ctx, client["id"])}
    if WAITS in held:
        if grants.state(held[WAITS], ctx.now()) == "pending":
            return
        await grants.remove(ctx, client=client["id"], scope=WAITS, reason="the demo shows it pending again")
    await grants.add(
        ctx, client=client["id"], scopes=[WAITS], known=ctx.house.scopes, reason="the demo shows it pending"
    )


async def _shown(ctx: Any, client: Row, secret: str) -> dict[str, Any]:
    held = await grants.live(ctx, client["id"])
    return {
        "name": client["name"],
        "client_id": client["id"],
        "client_secret": secret,
        "scopes": [row["scope"] for row in held if grants.state(row, ctx.now()) == "effective"],
        "pending": [row["scope"] for row in held if grants.state(row, ctx.now()) == "pending"],
    }
