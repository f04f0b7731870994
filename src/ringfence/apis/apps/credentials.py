"""The credentials of an installation: an OAuth client with a secret and a key, replaced by newer ones now and then.

Two sets are valid side by side for seven days, so that a partner can change over; the secret and the private key are
kept sealed, only to be delivered, and only as long as the set is valid.
"""

from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from sqlalchemy import bindparam, update

from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, Fault
from ringfence.kernel.shapes import Shape
from ringfence.oauth import clients
from ringfence.store.columns import Moment
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine
from ringfence.store.work import enqueue

from .events import ROTATED, Credentials
from .tables import credentials

GRACE = timedelta(days=7)  # for which the credentials before the newest are still taken
MOST = 5  # sets that are valid at a time
ALGORITHM = "ES256"
PURPOSE = "app credentials"


class Made(Shape):
    """A set as it was made, for the event that tells of it."""

    client_id: str
    key_id: str
    public_key: str


class Client(Shape):
    """Arguments of the job that ends a set."""

    client_id: str


ADD = adding(credentials)
LIVE = Statement(
    mine(credentials)
    .where(credentials.c.installation_id == bindparam("installation"), credentials.c.ended_at.is_(None))
    .order_by(credentials.c.number)
)
ALL = Statement(
    mine(credentials).where(credentials.c.installation_id == bindparam("installation")).order_by(credentials.c.number)
)
BY_CLIENT = Statement(mine(credentials).where(credentials.c.client_id == bindparam("client")).with_for_update())
_one = update(credentials).where(credentials.c.account_id == ACCOUNT, credentials.c.client_id == bindparam("client"))
RETIRE = Statement(_one.values(ends_at=bindparam("until", type_=Moment)))
ACKNOWLEDGE = Statement(_one.values(acknowledged_at=bindparam("at", type_=Moment)))
END = Statement(_one.values(ended_at=bindparam("at", type_=Moment), sealed=None))


async def issue(ctx: Ctx, row: Row, facts: dict[str, Any]) -> Made:
    """Make the next set of an installation: a client with the scopes that were granted."""
    number = len(await all_rows(ctx, ALL, installation=row["id"])) + 1
    redirects = [found["url"] for found in facts["urls"] if found["type"] == "redirect_uri"]
    made = await clients.create(
        ctx,
        name=f"{facts['name'][:120]} {row['id'][:12]} {number}",
        grant_types=["client_credentials", *(["authorization_code", "refresh_token"] if redirects else [])],
        redirect_uris=redirects,
        scopes=list(row["scopes"]),
        reason="granted when the app was installed",
    )
    client = made.row["id"]
    key = await clients.make_key(ctx, client=client, alg=ALGORITHM)
    public = load_pem_private_key(key.private_pem.encode(), None).public_key()
    secret = {"client_secret": made.secret, "private_key": key.private_pem}
    await ctx.db.run(
        ADD,
        client_id=client,
        account_id=ctx.account,
        installation_id=row["id"],
        number=number,
        key_id=key.kid,
        sealed=ctx.house.vault.seal(msgspec.json.encode(secret).decode(), f"{PURPOSE} {client}"),
        made_at=ctx.now(),
    )
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Made(client_id=client, key_id=key.kid, public_key=pem)


def told(said: dict[str, Any], made: Made) -> Credentials:
    return Credentials(
        **said,
        client_id=made.client_id,
        public_key=made.public_key,
        key_id=made.key_id,
        key_algorithm=ALGORITHM,
    )


async def secrets_of(ctx: Ctx, client: str) -> dict[str, str] | None:
    """The secret and the private key of a set, to be delivered; None: it is no longer valid."""
    row = await find(ctx, BY_CLIENT, client=client)
    if row is None or row["sealed"] is None:
        return None
    opened: dict[str, str] = msgspec.json.decode(ctx.house.vault.unseal(row["sealed"], f"{PURPOSE} {client}"))
    return opened


async def rotate(ctx: Ctx, row: Row, facts: dict[str, Any], said: dict[str, Any], *, compromised: bool) -> Made:
    """A new set. The others are taken for seven more days; not at all where they are compromised."""
    live = await all_rows(ctx, LIVE, installation=row["id"])
    if len(live) >= MOST and not compromised:
        raise Fault(CONFLICT, f"The installation has {MOST} valid credentials; acknowledge the newest first.")
    made = await issue(ctx, row, facts)
    until = ctx.now() + GRACE
    for old in live:
        if compromised:
            await end(ctx, old)
        elif old["ends_at"] is None:
            await change(ctx, RETIRE, client=old["client_id"], until=until)
            await enqueue(ctx, END_CLIENT, Client(client_id=old["client_id"]), due=until)
    await emit(ctx, ROTATED, row["id"], told(said, made))
    return made


async def acknowledge(ctx: Ctx, row: Row, client: str) -> None:
    """The partner uses a set: those before it end now. 409 where there is nothing to acknowledge."""
    found = await find(ctx, BY_CLIENT, client=client)
    if found is None or found["installation_id"] != row["id"]:
        raise Fault(NOT_FOUND)
    if found["ended_at"] is not None or found["ends_at"] is not None or found["acknowledged_at"] is not None:
        raise Fault(CONFLICT, "These credentials have been acknowledged, replaced or ended already.")
    await change(ctx, ACKNOWLEDGE, client=client, at=ctx.now())
    for old in await all_rows(ctx, LIVE, installation=row["id"]):
        if old["number"] < found["number"]:
            await end(ctx, old)


async def end(ctx: Ctx, row: Row) -> None:
    """Refuse a set from the next request on, and forget its secrets."""
    await clients.delete(ctx, client=row["client_id"], reason="credentials of an app ended")
    await change(ctx, END, client=row["client_id"], at=ctx.now())


async def end_client(ctx: Ctx, args: Client) -> None:
    """The seven days are over."""
    row = await find(ctx, BY_CLIENT, client=args.client_id)
    if row is not None and row["ended_at"] is None:
        await end(ctx, row)


async def end_all(ctx: Ctx, installation: str) -> None:
    for row in await all_rows(ctx, LIVE, installation=installation):
        await end(ctx, row)


async def suspend_all(ctx: Ctx, installation: str, *, suspended: bool) -> None:
    for row in await all_rows(ctx, LIVE, installation=installation):
        await clients.suspend(ctx, client=row["client_id"], suspended=suspended)


END_CLIENT = Job("apps.end_credentials", Client, end_client)
