"""Access tokens: made, read and revoked. JWTs as of RFC 9068, or opaque ones whose life slides with use."""

from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from sqlalchemy import bindparam, delete, select, update

from ringfence.fence.gate import Claims
from ringfence.fence.house import House
from ringfence.fence.view import ClientView
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID_TOKEN, Fault
from ringfence.store.columns import Moment
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.identity import opaque_tokens

OPAQUE = "sts_"
SKEW = 60  # seconds that clocks may differ
SLIDE = 30  # seconds between writes of an opaque token's use
LONGEST = 8192  # characters of a token that are looked at
REGISTRY = JWSRegistry(algorithms=["ES256", "RS256"])

ADD_OPAQUE = adding(opaque_tokens, everywhere=True)
OPAQUE_BY_HASH = Statement(select(opaque_tokens).where(opaque_tokens.c.hash == bindparam("hash")), everywhere=True)
SLIDE_OPAQUE = Statement(
    update(opaque_tokens)
    .where(opaque_tokens.c.hash == bindparam("token"), opaque_tokens.c.alive_until > bindparam("now", type_=Moment))
    .values(alive_until=bindparam("until", type_=Moment)),
    everywhere=True,
)
DROP_OPAQUE = Statement(delete(opaque_tokens).where(opaque_tokens.c.hash == bindparam("token")), everywhere=True)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new access token and the seconds that it lives."""

    token: str
    lifetime: int
    claims: Claims


async def issue(
    house: House,
    client: ClientView,
    scopes: Iterable[str],
    *,
    user: str | None = None,
    sid: str | None = None,
    grant: str | None = None,
) -> Issued:
    """A signed access token (RFC 9068 section 2), with the short claims of the contract beside the standard ones."""
    now = int(house.world.time())
    lifetime = house.settings.token_lifetime
    jti = house.world.new_id(32)
    scope = " ".join(sorted(scopes))
    claims: dict[str, Any] = {
        "iss": house.issuer(client.account),
        "sub": user or client.id,
        "aud": house.gateway_base,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "jti": jti,
        "client_id": client.id,
        "scope": scope,
        "cid": client.id,
        "aid": client.account,
        "scp": scope,
    }
    if sid:
        claims["sid"] = sid
    if grant:
        claims["grant_id"] = grant
    token = await house.keys.sign(house.settings.token_algorithm, "at+jwt", claims)
    said = Claims(jti, client.account, client.id, user, frozenset(scope.split()), now, now + lifetime, sid, grant)
    return Issued(token, lifetime, said)


async def issue_opaque(ctx: Ctx, client: ClientView, scopes: Iterable[str], idle: int) -> Issued:
    """An opaque (STS) token: it dies after `idle` seconds without use."""
    house: House = ctx.house
    token = OPAQUE + house.world.token(32)
    now, jti = ctx.now(), house.world.new_id(32)
    alive = now + timedelta(seconds=idle)
    scope = " ".join(sorted(scopes))
    await ctx.db.run(
        ADD_OPAQUE,
        hash=house.vault.hash(token),
        account_id=client.account,
        client_id=client.id,
        scope=scope,
        jti=jti,
        idle=idle,
        issued_at=now,
        alive_until=alive,
    )
    said = Claims(
        jti, client.account, client.id, None, frozenset(scope.split()), now.timestamp(), alive.timestamp(), opaque=True
    )
    return Issued(token, idle, said)


async def read(house: House, token: str) -> Claims:
    """What a presented access token says, once it is proved genuine and alive. Raises INVALID_TOKEN."""
    if len(token) > LONGEST:
        raise Fault(INVALID_TOKEN, "The access token is longer than any that this server issues.")
    if token.startswith(OPAQUE):
        return await _read_opaque(house, token)
    return await _read_jwt(house, token)


async def _read_opaque(house: House, token: str) -> Claims:
    hashed, now = house.vault.hash(token), house.world.now()
    async with house.db.reading() as tx:
        row = await tx.one(OPAQUE_BY_HASH, hash=hashed)
    if row is None:
        raise Fault(INVALID_TOKEN, "The access token is unknown, or has been revoked.")
    if row["alive_until"] <= now:
        raise Fault(INVALID_TOKEN, "The access token has expired for want of use.")
    until = now + timedelta(seconds=row["idle"])
    if (until - row["alive_until"]).total_seconds() >= min(SLIDE, row["idle"] / 4):
        async with house.db.writing() as tx:
            await tx.run(SLIDE_OPAQUE, token=hashed, now=now, until=until)
    # remembered only for a short while, so that its use is noticed and its life slides on
    seen = min(now.timestamp() + min(SLIDE, row["idle"] / 4), until.timestamp())
    return Claims(
        row["jti"],
        row["account_id"],
        row["client_id"],
        None,
        frozenset(row["scope"].split()),
        row["issued_at"].timestamp(),
        seen,
        opaque=True,
        alive_until=until.timestamp(),
    )


async def _read_jwt(house: House, token: str) -> Claims:
    try:
        header, _, signature = token.split(".")
        head = msgspec.json.decode(unpadded(header))
        kid, alg, typ = head["kid"], head["alg"], head.get("typ")
        if not signature or not isinstance(kid, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, msgspec.DecodeError) as why:
        raise Fault(INVALID_TOKEN, "The access token is not one that this server issues.") from why
    known = await house.keys.verifier(kid)
    if known is None:
        raise Fault(INVALID_TOKEN, "The access token is signed with an unknown key.")
    key, expected = known
    if alg != expected or typ not in ("at+jwt", "application/at+jwt"):
        raise Fault(INVALID_TOKEN, "The access token's header is not one that this server writes.")
    try:
        said = jwt.decode(token, key, algorithms=[expected], registry=REGISTRY).claims
    except (JoseError, ValueError) as why:
        raise Fault(INVALID_TOKEN, "The access token's signature does not hold.") from why
    account = said["aid"]
    if said["aud"] != house.gateway_base or said["iss"] != house.issuer(account):
        raise Fault(INVALID_TOKEN, "The access token was issued by or for another server.")
    now = house.world.time()
    if said["exp"] <= now:
        raise Fault(INVALID_TOKEN, "The access token has expired.")
    if said["nbf"] > now + SKEW:
        raise Fault(INVALID_TOKEN, "The access token is not valid yet.")
    client, subject = said["client_id"], said["sub"]
    return Claims(
        said["jti"],
        account,
        client,
        None if subject == client else subject,
        frozenset(said["scope"].split()),
        said["iat"],
        said["exp"],
        said.get("sid"),
        said.get("grant_id"),
    )


def is_access_token(token: str) -> bool:
    """Told by its look: a JWT has two dots, an opaque token its prefix, a refresh token neither."""
    return token.startswith(OPAQUE) or token.count(".") == 2


def unpadded(part: str) -> bytes:
    """base64url without its padding, as JOSE writes it."""
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def id_token(
    house: House,
    client: ClientView,
    *,
    user: str,
    auth_time: datetime,
    nonce: str | None,
    sid: str,
) -> str:
    """OpenID Connect Core section 2."""
    now = int(house.world.time())
    claims: dict[str, Any] = {
        "iss": house.issuer(client.account),
        "sub": user,
        "aud": client.id,
        "iat": now,
        "exp": now + house.settings.token_lifetime,
        "auth_time": int(auth_time.astimezone(UTC).timestamp()),
        "sid": sid,
    }
    if nonce is not None:
        claims["nonce"] = nonce
    signed: str = await house.keys.sign(client.id_token_alg, "JWT", claims)
    return signed
