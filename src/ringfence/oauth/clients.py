"""OAuth clients as their owner sees them: made, listed, their secrets and keys renewed, deleted."""

import re
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, RSAKey
from sqlalchemy import bindparam, update

from ringfence.fence import grants
from ringfence.fence.view import changed
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment
from ringfence.store.db import DuplicateRow
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, all_rows, change, find, mine
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.identity import clients

from .keys import generate

GRANT_TYPES = ("client_credentials", "authorization_code", "refresh_token")
ASSERTION_ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
FORBIDDEN_SCHEMES = ("javascript", "data", "vbscript", "file", "blob", "about")


class ClientFacts(Shape):
    client_id: str
    name: str
    kind: str
    grant_types: list[str]
    redirect_uris: list[str]


class SecretFacts(Shape):
    client_id: str
    grace: int


class ClientName(Shape):
    client_id: str
    name: str


CLIENT_CREATED = EventType("client.created", ClientFacts, "An OAuth client was made")
CLIENT_CHANGED = EventType("client.changed", ClientFacts, "An OAuth client's redirect URIs or grant types changed")
SECRET_ROTATED = EventType("client.secret_rotated", SecretFacts, "An OAuth client got a new secret")
KEY_ADDED = EventType("client.key_added", ClientName, "An OAuth client got a key for signed assertions")
CLIENT_DELETED = EventType("client.deleted", ClientName, "An OAuth client was deleted, with all it was given")
CLIENT_SUSPENDED = EventType("client.suspended", ClientName, "An OAuth client is refused until it is resumed")
CLIENT_RESUMED = EventType("client.resumed", ClientName, "An OAuth client is taken again")
EVENTS = (
    CLIENT_CREATED, CLIENT_CHANGED, SECRET_ROTATED, KEY_ADDED, CLIENT_SUSPENDED, CLIENT_RESUMED, CLIENT_DELETED
)  # fmt: skip

ADD = adding(clients)
LIVE = Statement(mine(clients).where(clients.c.deleted_at.is_(None)).order_by(clients.c.created_at, clients.c.id))
BY_ID = Statement(mine(clients).where(clients.c.id == bindparam("client"), clients.c.deleted_at.is_(None)))
BY_NAME = Statement(mine(clients).where(clients.c.name == bindparam("name"), clients.c.deleted_at.is_(None)))
_one = update(clients).where(
    clients.c.account_id == ACCOUNT, clients.c.id == bindparam("client"), clients.c.deleted_at.is_(None)
)
SET_SECRETS = Statement(_one.values(secrets=bindparam("hashes", type_=Json)))
SET_KEYS = Statement(_one.values(keys=bindparam("jwks", type_=Json)))
SET_FACTS = Statement(
    _one.values(redirect_uris=bindparam("uris", type_=Json), grant_types=bindparam("types", type_=Json))
)
SUSPEND = Statement(_one.values(suspended_at=bindparam("since", type_=Moment)))
DELETE = Statement(_one.values(deleted_at=bindparam("at", type_=Moment)))


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client and the secret that is shown this once (empty for a public client)."""

    row: Row
    secret: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair for private_key_jwt; the private half (PKCS#8, PEM) is handed over once and not kept."""

    kid: str
    alg: str
    private_pem: str


def check_redirect_uri(uri: str) -> None:
    """RFC 9700 section 2.1: exact URIs, https except on loopback, no fragment, no user info, no wildcard."""
    parts = urlsplit(uri)
    if not parts.scheme or re.search(r"[\s\x00-\x1f\\*]", uri) or "#" in uri:
        raise wrong("redirect_uris", f"{uri!r} must be an absolute URI without a fragment, wildcard or white space")
    if parts.scheme.lower() in FORBIDDEN_SCHEMES or parts.username is not None:
        raise wrong("redirect_uris", f"{uri!r} cannot be redirected to safely")
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise wrong("redirect_uris", f"{uri!r} has no host")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise wrong("redirect_uris", f"{uri!r} must use https, or http on a loopback address")


def _facts(row: Row) -> ClientFacts:
    return ClientFacts(
        client_id=row["id"],
        name=row["name"],
        kind=row["kind"],
        grant_types=list(row["grant_types"]),
        redirect_uris=list(row["redirect_uris"]),
    )


def _checked(kind: str, grant_types: list[str], redirect_uris: list[str]) -> None:
    if kind not in ("confidential", "public"):
        raise wrong("kind", "must be confidential or public")
    if not grant_types:
        raise wrong("grant_types", "name at least one of " + ", ".join(GRANT_TYPES))
    if strange := set(grant_types) - set(GRANT_TYPES):
        raise wrong("grant_types", f"{', '.join(sorted(strange))} is not one of {', '.join(GRANT_TYPES)}")
    if kind == "public" and "client_credentials" in grant_types:
        raise wrong("grant_types", "a public client cannot keep a secret, so it cannot use client_credentials")
    if "authorization_code" in grant_types and not redirect_uris:
        raise wrong("redirect_uris", "authorization_code needs at least one redirect URI")
    if "refresh_token" in grant_types and "authorization_code" not in grant_types:
        raise wrong("grant_types", "refresh_token comes with authorization_code")
    for uri in redirect_uris:
        check_redirect_uri(uri)


async def create(
    ctx: Ctx,
    *,
    name: str,
    kind: str = "confidential",
    grant_types: list[str],
    redirect_uris: list[str],
    scopes: list[str],
    reason: str = "made with the client",
    secret: str | None = None,
    id_token_alg: str = "ES256",  # noqa: S107 - an algorithm
    jwks_uri: str | None = None,
) -> NewClient:
    """Make a client. Its first scopes are effective at once: nobody holds its secret yet, so nothing is widened."""
    if not 1 <= len(name) <= 200 or "\0" in name:
        raise wrong("name", "must have 1 to 200 characters")
    if id_token_alg not in ("ES256", "RS256"):
        raise wrong("id_token_alg", "must be ES256 or RS256")
    if jwks_uri is not None and not jwks_uri.startswith("https://"):
        raise wrong("jwks_uri", "must be an https URL")
    _checked(kind, grant_types, redirect_uris)
    if await find(ctx, BY_NAME, name=name):
        raise Fault(CONFLICT, f"The account already has a client called {name!r}.")
    given = "" if kind == "public" else secret or ctx.world.token(32)
    row: Row = {
        "id": ctx.new_key(),
        "account_id": ctx.account,
        "name": name,
        "kind": kind,
        "grant_types": grant_types,
        "redirect_uris": redirect_uris,
        "secrets": [{"hash": ctx.house.vault.hash(given), "until": None}] if given else [],
        "keys": [],
        "jwks_uri": jwks_uri,
        "id_token_alg": id_token_alg,
        "created_at": ctx.now(),
        "created_by": ctx.actor,
        "deleted_at": None,
        "suspended_at": None,
    }
    try:
        await ctx.db.run(ADD, **row)
    except DuplicateRow as why:
        raise Fault(CONFLICT, f"The account already has a client called {name!r}.") from why
    await emit(ctx, CLIENT_CREATED, row["id"], _facts(row))
    if scopes:
        await grants.add(ctx, client=row["id"], scopes=scopes, known=ctx.house.scopes, reason=reason, delay=0)
    else:
        await changed(ctx, "client", row["id"])
    return NewClient(row, given)


async def list_all(ctx: Ctx) -> list[Row]:
    return await all_rows(ctx, LIVE)


async def get(ctx: Ctx, client: str) -> Row:
    """By id, or else by name."""
    row = await find(ctx, BY_ID, client=client) or await find(ctx, BY_NAME, name=client)
    if row is None:
        raise Fault(NOT_FOUND, f"There is no client {client!r} in this account.")
    return row


async def rotate_secret(ctx: Ctx, *, client: str, grace: int = 0, secret: str | None = None) -> str:
    """A new secret, shown this once; the old one is refused at once, or after `grace` seconds."""
    row = await get(ctx, client)
    if row["kind"] == "public":
        raise Fault(CONFLICT, "A public client has no secret.")
    new = secret or ctx.world.token(32)
    until = ctx.now().timestamp() + grace
    kept = [{"hash": s["hash"], "until": min(until, s["until"] or until)} for s in row["secrets"]] if grace else []
    hashes = [*kept, {"hash": ctx.house.vault.hash(new), "until": None}][-3:]
    await change(ctx, SET_SECRETS, client=row["id"], hashes=hashes)
    await emit(ctx, SECRET_ROTATED, row["id"], SecretFacts(client_id=row["id"], grace=grace))
    await changed(ctx, "client", row["id"])
    return new


async def set_facts(ctx: Ctx, *, client: str, redirect_uris: list[str], grant_types: list[str]) -> Row:
    """Change a client's redirect URIs and grant types."""
    row = await get(ctx, client)
    _checked(row["kind"], grant_types, redirect_uris)
    await change(ctx, SET_FACTS, client=row["id"], uris=redirect_uris, types=grant_types)
    after = row | {"redirect_uris": redirect_uris, "grant_types": grant_types}
    await emit(ctx, CLIENT_CHANGED, row["id"], _facts(after))
    await changed(ctx, "client", row["id"])
    return after


async def _add_key(ctx: Ctx, row: Row, jwk: dict[str, Any]) -> None:
    if len(row["keys"]) >= 10:
        raise Fault(CONFLICT, "A client holds at most 10 keys.")
    await change(ctx, SET_KEYS, client=row["id"], jwks=[*row["keys"], jwk])
    await emit(ctx, KEY_ADDED, row["id"], ClientName(client_id=row["id"], name=row["name"]))
    await changed(ctx, "client", row["id"])


async def make_key(ctx: Ctx, *, client: str, alg: str = "ES256") -> NewKey:
    """Make a key pair for private_key_jwt and register its public half."""
    if alg not in ASSERTION_ALGORITHMS:
        raise wrong("alg", f"must be one of {', '.join(ASSERTION_ALGORITHMS)}")
    row = await get(ctx, client)
    key, kid = generate(alg), ctx.new_key()
    await _add_key(ctx, row, dict(key.as_dict(private=False)) | {"kid": kid, "alg": alg, "use": "sig"})
    return NewKey(kid, alg, cast(ECKey | RSAKey, key).as_pem(private=True).decode())


async def register_key(ctx: Ctx, *, client: str, jwk: dict[str, Any]) -> str:
    """Register an owner's public JWK; its `kid` (made up where it has none)."""
    row = await get(ctx, client)
    try:
        key = JWKRegistry.import_key(jwk)
    except (JoseError, ValueError, KeyError, TypeError) as why:
        raise wrong("jwk", f"is not a key: {why}") from why
    if key.key_type not in ("EC", "RSA"):
        raise wrong("jwk", "must be an EC or RSA key")
    if key.is_private:
        raise wrong("jwk", "must be the public half only")
    if jwk.get("alg") not in ASSERTION_ALGORITHMS:
        raise wrong("jwk.alg", f"must be one of {', '.join(ASSERTION_ALGORITHMS)}")
    kid = str(jwk.get("kid") or ctx.new_key())
    await _add_key(ctx, row, dict(key.as_dict(private=False)) | {"kid": kid, "alg": jwk["alg"], "use": "sig"})
    return kid


async def suspend(ctx: Ctx, *, client: str, suspended: bool) -> None:
    """Refuse a client and its tokens from the next request on, or no longer; its grants stay."""
    row = await get(ctx, client)
    await change(ctx, SUSPEND, client=row["id"], since=ctx.now() if suspended else None)
    what = CLIENT_SUSPENDED if suspended else CLIENT_RESUMED
    await emit(ctx, what, row["id"], ClientName(client_id=row["id"], name=row["name"]))
    await changed(ctx, "client", row["id"])


async def delete(ctx: Ctx, *, client: str, reason: str = "client deleted") -> Row:
    """Delete a client: its grants end, and its tokens are refused from the next request on."""
    row = await get(ctx, client)
    for grant in await grants.live(ctx, row["id"]):
        await grants.remove(ctx, client=row["id"], scope=grant["scope"], reason=reason)
    await change(ctx, DELETE, client=row["id"], at=ctx.now())
    await emit(ctx, CLIENT_DELETED, row["id"], ClientName(client_id=row["id"], name=row["name"]))
    await changed(ctx, "client", row["id"])
    return row
