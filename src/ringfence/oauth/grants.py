"""The token endpoint as a table: for each grant, which members it takes and who answers it."""

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from ringfence.fence.house import House
from ringfence.fence.limits import Limiter
from ringfence.fence.view import ClientView, Person, revoke
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.kernel.shapes import Asked, Plain, Shape
from ringfence.store.columns import Moment
from ringfence.store.outbox import emit
from ringfence.store.query import Row
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.identity import codes, refresh_tokens

from . import tokens
from .authentication import authenticate, members
from .problems import (
    INVALID_GRANT,
    INVALID_REQUEST,
    INVALID_SCOPE,
    SLOW_DOWN,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_GRANT_TYPE,
)
from .scopes import for_person, granted, refuse_pending, words

NO_STORE = (("cache-control", "no-store"), ("pragma", "no-cache"))
OPAQUE_LIFETIME = (60, 2_592_000, 3600)  # shortest, longest, default; seconds


class GrantFacts(Shape):
    client_id: str
    user_id: str
    grant_id: str
    reason: str


GRANT_REVOKED = EventType("token.grant_revoked", GrantFacts, "All tokens that one login gave a client were revoked")

CODE = Statement(select(codes).where(codes.c.hash == bindparam("hash")), everywhere=True)
USE_CODE = Statement(
    update(codes)
    .where(codes.c.hash == bindparam("code"), codes.c.used_at.is_(None))
    .values(used_at=bindparam("now", type_=Moment)),
    everywhere=True,
)
ADD_REFRESH = adding(refresh_tokens)
REFRESH = Statement(select(refresh_tokens).where(refresh_tokens.c.hash == bindparam("hash")), everywhere=True)
NEWEST = Statement(
    select(func.max(refresh_tokens.c.generation).label("generation")).where(
        refresh_tokens.c.grant_id == bindparam("grant")
    ),
    everywhere=True,
)
REPLACE = Statement(
    update(refresh_tokens)
    .where(refresh_tokens.c.hash == bindparam("token"), refresh_tokens.c.replaced_at.is_(None))
    .values(replaced_at=bindparam("now", type_=Moment)),
    everywhere=True,
)
DROP_GRANT = Statement(delete(refresh_tokens).where(refresh_tokens.c.grant_id == bindparam("grant")), everywhere=True)


@dataclass(frozen=True, slots=True)
class Grant:
    """A row of the table. `takes` beside client authentication; what else is sent is ignored (RFC 6749 3.2)."""

    takes: tuple[str, ...]
    answer: Callable[[Ctx, ClientView, dict[str, str]], Awaitable[Plain | Fault]]


async def token(ctx: Ctx, asked: Asked) -> Plain | Fault:
    """Issue tokens: client_credentials, authorization_code or refresh_token.

    A scope that is granted but not effective yet is answered with 401, its name, when it takes effect, and
    Retry-After; a scope that the client does not hold with 400 invalid_scope.
    """
    form = members(asked, query=("grant_type", "scope"))
    client = await authenticate(ctx, asked, form)
    limit(ctx.house.token_limiter, client.id)
    kind = form.get("grant_type")
    if kind is None:
        raise Fault(INVALID_REQUEST, "grant_type is missing.")
    grant = GRANTS.get(kind)
    if grant is None:
        raise Fault(UNSUPPORTED_GRANT_TYPE, f"grant_type must be one of {', '.join(GRANTS)}.")
    if kind not in client.grant_types:
        raise Fault(UNAUTHORIZED_CLIENT, f"The client is not allowed to use {kind}.")
    ctx.account, ctx.actor = client.account, f"client:{client.id}"
    return await grant.answer(ctx, client, {name: form[name] for name in grant.takes if name in form})


def limit(limiter: Limiter, caller: str) -> None:
    allowance = limiter.take(caller)
    if allowance is not None and allowance.wait > 0:
        wait = (("Retry-After", str(int(allowance.wait) + 1)),)
        raise Fault(SLOW_DOWN, f"This client may make {allowance.limit} token requests per second.", headers=wait)


def _answer(issued: tokens.Issued, **more: str) -> Plain:
    """RFC 6749 section 5.1."""
    body: dict[str, Any] = {
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.lifetime,
        "scope": " ".join(sorted(issued.claims.scopes)),
    }
    return Plain(body | more, headers=NO_STORE)


async def client_credentials(ctx: Ctx, client: ClientView, form: dict[str, str]) -> Plain:
    scopes = granted(ctx.house, client, form.get("scope"), "client_credentials")
    match form.get("token_type"):
        case None:
            return _answer(await tokens.issue(ctx.house, client, scopes))
        case "opaque":
            return _answer(await tokens.issue_opaque(ctx, client, scopes, _lifetime(form.get("expires_in"))))
        case _:
            raise Fault(INVALID_REQUEST, "token_type can only be opaque.")


def _lifetime(text: str | None) -> int:
    shortest, longest, default = OPAQUE_LIFETIME
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and shortest <= int(text) <= longest):
        raise Fault(INVALID_REQUEST, f"expires_in must be a whole number from {shortest} to {longest}.")
    return int(text)


async def authorization_code(ctx: Ctx, client: ClientView, form: dict[str, str]) -> Plain | Fault:
    """RFC 6749 section 4.1.3, RFC 7636 section 4.6. A code is good once; replayed, it revokes what it gave."""
    house: House = ctx.house
    if "code" not in form:
        raise Fault(INVALID_REQUEST, "code is missing.")
    row = await ctx.db.one(CODE, hash=house.vault.hash(form["code"]))
    if row is None or row["client_id"] != client.id:
        raise Fault(INVALID_GRANT, "The code is not one that this client was given.")
    if row["used_at"] is not None:
        return await revoke_grant(ctx, row, "authorization code replayed", "The code was used before.")
    if row["expires_at"] <= ctx.now():
        raise Fault(INVALID_GRANT, "The code has expired.")
    if form.get("redirect_uri") != row["redirect_uri"]:
        raise Fault(INVALID_GRANT, "redirect_uri is not the one that the code was sent to.")
    _check_verifier(row["challenge"], form.get("code_verifier"))
    person = await _person(house, row)
    if not await ctx.db.run(USE_CODE, code=row["hash"], now=ctx.now()):
        return await revoke_grant(ctx, row, "authorization code replayed", "The code was used before.")
    scopes = _still(house, client, person, frozenset(row["scope"].split()))
    more: dict[str, str] = {"sid": row["sid"]}
    if "refresh_token" in client.grant_types:
        more["refresh_token"] = await _new_refresh(ctx, row, row["grant_id"], generation=0)
    if "openid" in scopes:
        more["id_token"] = await tokens.id_token(
            house, client, user=row["user_id"], auth_time=row["auth_time"], nonce=row["nonce"], sid=row["sid"]
        )
    issued = await tokens.issue(house, client, scopes, user=row["user_id"], sid=row["sid"], grant=row["grant_id"])
    return _answer(issued, **more)


def _check_verifier(challenge: str | None, verifier: str | None) -> None:
    if challenge is None:
        if verifier is not None:
            raise Fault(INVALID_GRANT, "The code was asked for without PKCE, so it takes no code_verifier.")
        return
    if verifier is None:
        raise Fault(INVALID_GRANT, "code_verifier is missing.")
    if not 43 <= len(verifier) <= 128:
        raise Fault(INVALID_GRANT, "code_verifier must have 43 to 128 characters.")
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
    if not compare_digest(made, challenge):
        raise Fault(INVALID_GRANT, "code_verifier does not belong to this code.")


async def _person(house: House, row: Row) -> Person:
    """The person whom a code or refresh token stands for, unless their login has been taken back."""
    if f"sid:{row['sid']}" in house.view.revoked or f"grant:{row['grant_id']}" in house.view.revoked:
        raise Fault(INVALID_GRANT, "The login behind it was ended.")
    person = await house.view.person(row["account_id"], row["user_id"])
    if person is None or not person.active:
        raise Fault(INVALID_GRANT, "The user behind it is no longer active.")
    return person


def _still(house: House, client: ClientView, person: Person, scopes: frozenset[str]) -> frozenset[str]:
    """What is left of once-granted scopes now."""
    left = for_person(house, scopes & client.effective(house.world.time()), person)
    if not left and scopes:
        raise Fault(INVALID_SCOPE, "None of the scopes that were granted is allowed any more.")
    return left


async def _new_refresh(ctx: Ctx, row: Row, grant: str, *, generation: int) -> str:
    new = ctx.world.token(32)
    idle: datetime = ctx.now() + timedelta(seconds=ctx.settings.refresh_idle)
    await ctx.db.run(
        ADD_REFRESH,
        hash=ctx.house.vault.hash(new),
        account_id=row["account_id"],
        client_id=row["client_id"],
        user_id=row["user_id"],
        scope=row["scope"],
        sid=row["sid"],
        auth_time=row["auth_time"],
        grant_id=grant,
        generation=generation,
        idle_until=idle,
        replaced_at=None,
    )
    return new


async def refresh_token(ctx: Ctx, client: ClientView, form: dict[str, str]) -> Plain | Fault:
    """RFC 6749 section 6, RFC 9700 section 4.14: each use gives a new token; an old one used again revokes all."""
    house: House = ctx.house
    if "refresh_token" not in form:
        raise Fault(INVALID_REQUEST, "refresh_token is missing.")
    row = await ctx.db.one(REFRESH, hash=house.vault.hash(form["refresh_token"]))
    now = ctx.now()
    if row is None or row["client_id"] != client.id:
        raise Fault(INVALID_GRANT, "The refresh token is not one that this client holds.")
    if row["idle_until"] <= now:
        raise Fault(INVALID_GRANT, "The refresh token has expired for want of use.")
    person = await _person(house, row)
    if row["replaced_at"] is not None:
        newest = await ctx.db.one(NEWEST, grant=row["grant_id"])
        grace = timedelta(seconds=ctx.settings.refresh_grace)
        if now - row["replaced_at"] > grace or newest["generation"] > row["generation"] + 1:
            return await revoke_grant(ctx, row, "refresh token reused", "The refresh token was used before.")
    whole = frozenset(row["scope"].split())
    scopes = _still(house, client, person, _narrowed(house, client, whole, form.get("scope")))
    await ctx.db.run(REPLACE, token=row["hash"], now=now)
    new = await _new_refresh(ctx, row, row["grant_id"], generation=row["generation"] + 1)
    issued = await tokens.issue(house, client, scopes, user=row["user_id"], sid=row["sid"], grant=row["grant_id"])
    return _answer(issued, refresh_token=new, sid=row["sid"])


def _narrowed(house: House, client: ClientView, whole: frozenset[str], asked: str | None) -> frozenset[str]:
    wanted = frozenset(words(asked))
    if not wanted:
        return whole
    if strange := wanted - whole:
        raise Fault(INVALID_SCOPE, f"{', '.join(sorted(strange))} was not granted with this refresh token.")
    now = house.world.time()
    if waiting := {scope: at for scope, at in client.pending(now).items() if scope in wanted}:
        raise refuse_pending(waiting, now)
    if gone := wanted - client.effective(now):
        raise Fault(INVALID_SCOPE, f"The client does not hold {', '.join(sorted(gone))} any more.")
    return wanted


async def revoke_grant(ctx: Ctx, row: Row, reason: str, told: str) -> Fault:
    """Revoke all that one login gave a client. The Fault is returned, not raised, so that this is committed."""
    until = ctx.now() + timedelta(seconds=ctx.settings.token_lifetime + tokens.SKEW)
    ctx.account = row["account_id"]
    await ctx.db.run(DROP_GRANT, grant=row["grant_id"])
    await revoke(ctx, f"grant:{row['grant_id']}", until)
    facts = GrantFacts(client_id=row["client_id"], user_id=row["user_id"], grant_id=row["grant_id"], reason=reason)
    await emit(ctx, GRANT_REVOKED, row["client_id"], facts)
    return Fault(INVALID_GRANT, told)


GRANTS = {
    "client_credentials": Grant(("scope", "token_type", "expires_in"), client_credentials),
    "authorization_code": Grant(("code", "redirect_uri", "code_verifier"), authorization_code),
    "refresh_token": Grant(("refresh_token", "scope"), refresh_token),
}
