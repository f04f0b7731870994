"""Introspection (RFC 7662) and revocation (RFC 7009) of tokens, for the clients that hold them."""

from datetime import timedelta
from typing import Any

import msgspec

from ringfence.fence.gate import Claims
from ringfence.fence.house import House
from ringfence.fence.view import ClientView, revoke
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.kernel.shapes import Asked, Plain
from ringfence.store.query import Row

from . import tokens
from .authentication import authenticate, members
from .grants import NO_STORE, REFRESH, limit, revoke_grant
from .problems import INVALID_REQUEST

WRAPPED = "application/vnd.ringfence.introspection+json"


async def _asked(ctx: Ctx, asked: Asked, *, public: bool) -> tuple[ClientView, str]:
    form = members(asked)
    client = await authenticate(ctx, asked, form, public=public)
    limit(ctx.house.token_limiter, client.id)
    if "token" not in form:
        raise Fault(INVALID_REQUEST, "token is missing.")
    ctx.account, ctx.actor = client.account, f"client:{client.id}"
    return client, form["token"]


async def _refresh(ctx: Ctx, token: str) -> Row | None:
    row: Row | None = await ctx.db.one(REFRESH, hash=ctx.house.vault.hash(token))
    return row


async def _access(house: House, token: str) -> Claims | None:
    try:
        return await tokens.read(house, token)
    except Fault:
        return None


async def introspect(ctx: Ctx, asked: Asked) -> Plain:
    """Say whether a token is active, whose it is and what it may do right now. For confidential clients."""
    house: House = ctx.house
    client, token = await _asked(ctx, asked, public=False)
    answer = await _facts(ctx, client, token)
    if WRAPPED not in asked.headers.get("accept", ""):
        return Plain(answer, headers=NO_STORE)
    inner = msgspec.json.encode(answer)
    signed = await house.keys.sign(house.settings.token_algorithm, "token-introspection+jwt", answer)
    header, _, signature = signed.split(".")
    kid = msgspec.json.decode(tokens.unpadded(header))["kid"]
    return Plain(
        {"kid": kid, "sig": signature, "token_introspection": msgspec.Raw(inner)}, media=WRAPPED, headers=NO_STORE
    )


async def _facts(ctx: Ctx, client: ClientView, token: str) -> dict[str, Any]:
    house: House = ctx.house
    if not tokens.is_access_token(token):
        return await _refresh_facts(ctx, client, token)
    try:
        principal = await house.identify(token)
    except Fault:
        return {"active": False}
    if principal.account != client.account:
        return {"active": False}
    claims = principal.claims
    subject = principal.user or principal.client
    scope = " ".join(sorted(principal.scopes))
    facts: dict[str, Any] = {
        "active": True,
        "iss": house.issuer(client.account),
        "aud": house.gateway_base,
        "sub": subject,
        "exp": int(claims.alive_until or claims.expires),
        "nbf": int(claims.issued),
        "iat": int(claims.issued),
        "jti": claims.jti,
        "token_type": "Bearer",
        "client_id": principal.client,
        "scope": scope,
        "cid": principal.client,
        "aid": principal.account,
        "scp": scope,
        "psn": "CUSTOMER",
    }
    return facts | ({"sid": claims.sid} if claims.sid else {})


async def _refresh_facts(ctx: Ctx, client: ClientView, token: str) -> dict[str, Any]:
    row = await _refresh(ctx, token)
    revoked = ctx.house.view.revoked
    if (
        row is None
        or row["account_id"] != client.account
        or row["client_id"] != client.id
        or row["replaced_at"] is not None
        or row["idle_until"] <= ctx.now()
        or f"grant:{row['grant_id']}" in revoked
        or f"sid:{row['sid']}" in revoked
    ):
        return {"active": False}
    return {
        "active": True,
        "token_type": "refresh_token",
        "client_id": row["client_id"],
        "cid": row["client_id"],
        "aid": row["account_id"],
        "sub": row["user_id"],
        "sid": row["sid"],
        "scope": row["scope"],
        "scp": row["scope"],
        "exp": int(row["idle_until"].timestamp()),
    }


async def revoke_token(ctx: Ctx, asked: Asked) -> Plain:
    """Revoke an access or refresh token of the calling client; a refresh token takes its whole grant along.

    Answered 200 also for a token that is unknown, or another client's, which stays as it is (RFC 7009 section 2.2).
    """
    client, token = await _asked(ctx, asked, public=True)
    if tokens.is_access_token(token):
        claims = await _access(ctx.house, token)
        if claims is not None and claims.client == client.id:
            await _revoke_access(ctx, token, claims)
    else:
        row = await _refresh(ctx, token)
        if row is not None and row["client_id"] == client.id:
            await revoke_grant(ctx, row, "refresh token revoked by its client", "")
    return Plain("", headers=NO_STORE)


async def _revoke_access(ctx: Ctx, token: str, claims: Claims) -> None:
    left = timedelta(seconds=claims.expires - ctx.now().timestamp() + tokens.SKEW)
    if claims.opaque:
        await ctx.db.run(tokens.DROP_OPAQUE, token=ctx.house.vault.hash(token))
    await revoke(ctx, f"jti:{claims.jti}", ctx.now() + left)
