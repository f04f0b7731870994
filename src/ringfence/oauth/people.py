"""People who log in: passwords (argon2id), failed attempts, sessions, and what they consented to."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.fence.view import revoke
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, all_rows, change, find, mine
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.identity import consents, login_failures, refresh_tokens, sessions, users

HASHER = PasswordHasher()
HASHING = asyncio.Semaphore(2)  # each takes 64 MiB


@dataclass(frozen=True, slots=True)
class Device:
    """What a person came with: the address of the peer, and the User-Agent header as far as it can be printed."""

    address: str = ""
    user_agent: str = ""


class LoginFacts(Shape):
    """A person is logged in until `expires_at`. `sso`: by another identity provider; `support_access`: one of ours."""

    user_id: str
    sid: str
    address: str = ""
    user_agent: str = ""
    expires_at: datetime | None = None
    sso: bool = False
    support_access: bool = False


class LoginFailure(Shape):
    user_id: str
    address: str = ""
    user_agent: str = ""


class SessionFacts(Shape):
    user_id: str
    sid: str
    reason: str = ""


class LogoutFacts(Shape):
    """As the platform that we implement tells it; `installation_id` is null where no app is meant."""

    account_id: str
    user_id: str
    user_email: str
    installation_id: str | None = None


class ConsentFacts(Shape):
    user_id: str
    client_id: str
    scopes: list[str]


LOGGED_IN = EventType("user.logged_in", LoginFacts, "A person logged in")
LOGIN_FAILED = EventType("user.login_failed", LoginFailure, "Somebody gave a wrong password for a person")
SESSION_ENDED = EventType("user.session_ended", SessionFacts, "A person's session was ended")
LOGGED_OUT = EventType("user.logout", LogoutFacts, "All sessions of a person were ended", "users:read")
CONSENTED = EventType("user.consented", ConsentFacts, "A person let a client act for them")
EVENTS = (LOGGED_IN, LOGIN_FAILED, SESSION_ENDED, LOGGED_OUT, CONSENTED)

BY_EMAIL = Statement(mine(users).where(users.c.email_key == bindparam("email")))
BY_ID = Statement(mine(users).where(users.c.id == bindparam("user")))
FAILURES = Statement(select(login_failures).where(login_failures.c.hash == bindparam("hash")))
COUNT_FAILURE = Statement(
    upsert(login_failures)
    .values(hash=bindparam("hash"), count=1, since=bindparam("now", type_=Moment))
    .on_conflict_do_update(index_elements=[login_failures.c.hash], set_={"count": login_failures.c.count + 1})
)
CLEAR_FAILURES = Statement(delete(login_failures).where(login_failures.c.hash == bindparam("key")))
ADD_SESSION = adding(sessions)
SESSION = Statement(
    mine(sessions).where(
        sessions.c.hash == bindparam("hash"),
        sessions.c.ended_at.is_(None),
        sessions.c.expires_at > bindparam("now", type_=Moment),
    )
)
OPEN_SESSIONS = Statement(
    mine(sessions).where(
        sessions.c.user_id == bindparam("user"),
        sessions.c.ended_at.is_(None),
        sessions.c.expires_at > bindparam("now", type_=Moment),
    )
)
END_SESSIONS = Statement(
    update(sessions)
    .where(sessions.c.account_id == ACCOUNT, sessions.c.user_id == bindparam("user"), sessions.c.ended_at.is_(None))
    .values(ended_at=bindparam("now", type_=Moment))
)
REFRESH_SIDS = Statement(
    mine(refresh_tokens, refresh_tokens.c.sid).where(refresh_tokens.c.user_id == bindparam("user")).distinct()
)
DROP_REFRESH = Statement(
    delete(refresh_tokens).where(refresh_tokens.c.account_id == ACCOUNT, refresh_tokens.c.user_id == bindparam("user"))
)
CONSENT = Statement(
    mine(consents).where(consents.c.user_id == bindparam("user"), consents.c.client_id == bindparam("client"))
)
SET_CONSENT = Statement(
    upsert(consents)
    .values(
        account_id=ACCOUNT,
        user_id=bindparam("user"),
        client_id=bindparam("client"),
        scopes=bindparam("scopes", type_=Json),
        at=bindparam("now", type_=Moment),
    )
    .on_conflict_do_update(
        index_elements=[consents.c.account_id, consents.c.user_id, consents.c.client_id],
        set_={"scopes": bindparam("scopes2", type_=Json), "at": bindparam("now", type_=Moment)},
    )
)


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is logged in. `cookie` only where it was just made."""

    user: str
    sid: str
    auth_time: datetime
    cookie: str = ""


class Throttled(Exception):
    """Too many failed logins; `wait` seconds until the next may be tried."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"wait {wait} s")
        self.wait = wait


async def hash_password(password: str) -> str:
    """argon2id, in a thread: it takes tens of milliseconds."""
    async with HASHING:
        return await asyncio.to_thread(HASHER.hash, password)


@cache
def _nobodys_hash() -> str:
    return HASHER.hash("a password that nobody has")


def _verified(hashed: str, password: str) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


async def verify_password(hashed: str | None, password: str) -> bool:
    """As slow for a person who does not exist, so that nobody learns who does."""
    async with HASHING:
        return await asyncio.to_thread(_verified, hashed or _nobodys_hash(), password) and hashed is not None


def email_key(email: str) -> str:
    return email.strip().casefold()


def _throttle_keys(ctx: Ctx, email: str) -> tuple[tuple[str, int], ...]:
    """What failures are counted by: the person, and the address at ten times the rate (offices share one)."""
    vault, limit = ctx.house.vault, ctx.settings.login_attempts
    return (
        (vault.hash(f"login {ctx.account} {email_key(email)}"), limit),
        (vault.hash(f"login from {ctx.origin}"), limit * 10),
    )


async def check_throttle(ctx: Ctx, email: str) -> None:
    for key, limit in _throttle_keys(ctx, email):
        row = await ctx.db.one(FAILURES, hash=key)
        if row is None:
            continue
        age = (ctx.now() - row["since"]).total_seconds()
        if age >= ctx.settings.login_window:
            continue
        if row["count"] >= limit:
            raise Throttled(int(ctx.settings.login_window - age) + 1)


def device(ctx: Ctx, user_agent: str) -> Device:
    """What a request came with; of a header only so much as a log should hold."""
    return Device(ctx.origin, "".join(c for c in user_agent[:400] if " " <= c <= "~")[:255])


async def note_failure(ctx: Ctx, email: str, user: str | None, using: Device | None = None) -> None:
    now, using = ctx.now(), using or device(ctx, "")
    for key, _ in _throttle_keys(ctx, email):
        row = await ctx.db.one(FAILURES, hash=key)
        if row is not None and (now - row["since"]).total_seconds() >= ctx.settings.login_window:
            await ctx.db.run(CLEAR_FAILURES, key=key)
        await ctx.db.run(COUNT_FAILURE, hash=key, now=now)
    if user is not None:
        facts = LoginFailure(user_id=user, address=using.address, user_agent=using.user_agent)
        await emit(ctx, LOGIN_FAILED, user, facts)


async def find_person(ctx: Ctx, email: str) -> Row | None:
    return await find(ctx, BY_EMAIL, email=email_key(email))


async def person(ctx: Ctx, user: str) -> Row | None:
    return await find(ctx, BY_ID, user=user)


async def start_session(ctx: Ctx, user: str, email: str, using: Device | None = None) -> Session:
    now, cookie, sid, using = ctx.now(), ctx.world.token(32), ctx.new_key(), using or device(ctx, "")
    until = now + timedelta(seconds=ctx.settings.session_lifetime)
    await ctx.db.run(CLEAR_FAILURES, key=_throttle_keys(ctx, email)[0][0])
    await ctx.db.run(
        ADD_SESSION,
        hash=ctx.house.vault.hash(cookie),
        sid=sid,
        account_id=ctx.account,
        user_id=user,
        auth_time=now,
        expires_at=until,
        ended_at=None,
    )
    facts = LoginFacts(user_id=user, sid=sid, address=using.address, user_agent=using.user_agent, expires_at=until)
    await emit(ctx, LOGGED_IN, user, facts)
    return Session(user, sid, now, cookie)


async def session(ctx: Ctx, cookie: str | None) -> Session | None:
    """The open session behind a cookie, if its person is still active."""
    if not cookie:
        return None
    row = await find(ctx, SESSION, hash=ctx.house.vault.hash(cookie), now=ctx.now())
    if row is None:
        return None
    who = await person(ctx, row["user_id"])
    return Session(row["user_id"], row["sid"], row["auth_time"]) if who and who["active"] else None


async def end_sessions(ctx: Ctx, user: str, reason: str) -> int:
    """End all sessions of a person: their access tokens are refused from the next request on. How many ended."""
    who = await person(ctx, user)
    if who is None:
        raise Fault(NOT_FOUND, f"There is no user {user} in this account.")
    now = ctx.now()
    ended = {row["sid"] for row in await all_rows(ctx, OPEN_SESSIONS, user=user, now=now)}
    ended |= {row["sid"] for row in await all_rows(ctx, REFRESH_SIDS, user=user)}
    until = now + timedelta(seconds=ctx.settings.token_lifetime + 60)
    for sid in sorted(ended):
        await revoke(ctx, f"sid:{sid}", until)
        await emit(ctx, SESSION_ENDED, user, SessionFacts(user_id=user, sid=sid, reason=reason))
    await change(ctx, END_SESSIONS, user=user, now=now)
    await change(ctx, DROP_REFRESH, user=user)
    if ended:
        facts = LogoutFacts(account_id=ctx.account, user_id=user, user_email=who["email"])
        await emit(ctx, LOGGED_OUT, user, facts)
    return len(ended)


async def consented(ctx: Ctx, user: str, client: str) -> frozenset[str]:
    row = await find(ctx, CONSENT, user=user, client=client)
    return frozenset(row["scopes"]) if row else frozenset()


async def consent(ctx: Ctx, user: str, client: str, scopes: frozenset[str]) -> None:
    """Remember that a person let a client have these scopes, beside those before."""
    together: Any = sorted(scopes | await consented(ctx, user, client))
    await change(ctx, SET_CONSENT, user=user, client=client, scopes=together, scopes2=together, now=ctx.now())
    await emit(ctx, CONSENTED, user, ConsentFacts(user_id=user, client_id=client, scopes=sorted(scopes)))
