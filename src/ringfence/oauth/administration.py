"""Administrators in their browsers: the few operations that no scope opens, but a person's own session."""

from dataclasses import replace
from urllib.parse import urlsplit

from sqlalchemy import bindparam, select

from ringfence.fence.house import House
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, Problem
from ringfence.kernel.shapes import Asked
from ringfence.store.statement import Statement
from ringfence.store.tables.identity import sessions

from . import people
from .authentication import tenant
from .authorize import COOKIE

NO_SESSION = Problem("session_required", 401, "Log in as an administrator; a token does not open this operation.")
NOT_ADMINISTRATOR = Problem("not_an_administrator", 403, "Only administrators of the account may do this.")
FOREIGN_ORIGIN = Problem("foreign_origin", 403, "Send this from a page of this server: its Origin must be ours.")
PROBLEMS = (NO_SESSION, NOT_ADMINISTRATOR, FOREIGN_ORIGIN)

# the cookie is of full entropy and kept as a keyed hash: whoever has it may learn which account it is of
OWNER = Statement(select(sessions.c.account_id).where(sessions.c.hash == bindparam("hash")), everywhere=True)


async def administrator(ctx: Ctx, asked: Asked) -> Ctx:
    """The context of the administrator whose browser sends this; a Fault where there is none.

    Other sites cannot use the cookie: the browser says where a request comes from, and it must be from here.
    """
    house: House = ctx.house
    cookie = asked.cookies.get(COOKIE)
    found = await ctx.db.one(OWNER, hash=house.vault.hash(cookie)) if cookie else None
    if found is None:
        raise Fault(NO_SESSION)
    within = replace(ctx, account=found["account_id"])
    session = await people.session(within, cookie)
    named = tenant(house, asked)
    if session is None or named not in (None, within.account):
        raise Fault(NO_SESSION)
    if not _from_here(house, asked):
        raise Fault(FOREIGN_ORIGIN)
    person = await people.person(within, session.user)
    if person is None or ctx.settings.administrator_role not in person["roles"]:
        raise Fault(NOT_ADMINISTRATOR)
    return replace(within, actor=f"user:{session.user}")


def _from_here(house: House, asked: Asked) -> bool:
    origin = asked.headers.get("origin")
    if origin is None:
        return asked.headers.get("sec-fetch-site") == "same-origin"
    return origin in {_origin(base) for base in (house.identity_base, house.gateway_base, asked.base)}


def _origin(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
