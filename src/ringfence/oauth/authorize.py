"""The authorization endpoint: from a client's request through login and consent to a code (RFC 6749 section 4.1)."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ringfence.fence.house import House
from ringfence.fence.view import ClientView
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, Problem
from ringfence.kernel.shapes import Asked, Plain, See, Sheet
from ringfence.store.statement import adding
from ringfence.store.tables.identity import codes

from . import people
from .authentication import tenant
from .problems import (
    ACCESS_DENIED,
    CONSENT_REQUIRED,
    INVALID_CLIENT,
    INVALID_REQUEST,
    LOGIN_REQUIRED,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_RESPONSE_TYPE,
)
from .scopes import for_person, granted

COOKIE = "ringfence_session"
PRELOGIN = "ringfence_login"
KEPT = (
    "client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age", "login_hint",
)  # fmt: skip
ADD_CODE = adding(codes)


@dataclass(frozen=True, slots=True)
class Wish:
    """A valid authorization request. Its faults from here on go back to the client by redirect."""

    client: ClientView
    redirect_uri: str
    given: dict[str, str]

    @property
    def query(self) -> str:
        return urlencode({name: self.given[name] for name in KEPT if name in self.given})


def once(values: dict[str, list[str]] | Any) -> dict[str, str]:
    """Each parameter given once (RFC 6749 section 3.1); empty ones count as absent."""
    if twice := [name for name, found in values.items() if len(found) > 1]:
        raise Fault(INVALID_REQUEST, f"{twice[0]} was given more than once.")
    return {name: found[0] for name, found in values.items() if found[0] != ""}


async def wish(ctx: Ctx, asked: Asked, given: dict[str, str]) -> Wish:
    """Check client and redirect URI. Faults here are shown to the person: nobody is redirected yet."""
    house: House = ctx.house
    await house.view_confirmed()
    client = house.view.clients.get(given.get("client_id", ""))
    if client is None:
        raise Fault(INVALID_CLIENT, "There is no such client.")
    named = tenant(house, asked)
    if named is not None and named != client.account:
        raise Fault(INVALID_CLIENT, "The client belongs to another account than this host.")
    uri = given.get("redirect_uri")
    if uri is None:
        raise Fault(INVALID_REQUEST, "redirect_uri is missing.")
    if not any(same_redirect(uri, registered) for registered in client.redirect_uris):
        raise Fault(INVALID_REQUEST, "redirect_uri is not one that is registered for this client.")
    ctx.account = client.account
    return Wish(client, uri, given)


def same_redirect(uri: str, registered: str) -> bool:
    """Exact string comparison, but for the port of an http URI on a loopback address (RFC 8252 section 7.3)."""
    if uri == registered:
        return True
    loopback = re.compile(r"^(http://(?:127\.0\.0\.1|\[::1\]))(?::\d{1,5})?(/.*)?$")
    one, other = loopback.match(uri), loopback.match(registered)
    return bool(one and other and one.groups() == other.groups() and "#" not in uri)


def back(house: House, wish: Wish, **answer: str) -> See:
    """To the client, with `state` and `iss` (RFC 9207)."""
    if "state" in wish.given:
        answer["state"] = wish.given["state"]
    answer["iss"] = house.issuer(wish.client.account)
    mark = "&" if urlsplit(wish.redirect_uri).query else "?"
    return See(f"{wish.redirect_uri}{mark}{urlencode(answer, quote_via=quote)}", 302, (("cache-control", "no-store"),))


def refused(house: House, wish: Wish, problem: Problem, why: str) -> See:
    return back(house, wish, error=problem.code, error_description=why)


def check(house: House, wish: Wish) -> None:
    """What must hold before a person is bothered. Raises a Fault that goes back by redirect."""
    given, client = wish.given, wish.client
    if given.get("response_type") is None:
        raise Fault(INVALID_REQUEST, "response_type is missing.")
    if given["response_type"] != "code":
        raise Fault(UNSUPPORTED_RESPONSE_TYPE, "response_type can only be code.")
    if given.get("response_mode", "query") != "query":
        raise Fault(INVALID_REQUEST, "response_mode can only be query.")
    if "request" in given or "request_uri" in given:
        raise Fault(INVALID_REQUEST, "Request objects are not taken.")
    if "authorization_code" not in client.grant_types:
        raise Fault(UNAUTHORIZED_CLIENT, "The client is not allowed to use authorization_code.")
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method")
    if challenge is None:
        if client.kind == "public" or house.settings.require_pkce:
            raise Fault(INVALID_REQUEST, "code_challenge is missing: this client must use PKCE.")
        if method is not None:
            raise Fault(INVALID_REQUEST, "code_challenge_method was given without code_challenge.")
    elif method != "S256":
        raise Fault(INVALID_REQUEST, "code_challenge_method must be S256.")
    elif not re.fullmatch(r"[A-Za-z0-9_-]{43}", challenge):
        raise Fault(INVALID_REQUEST, "code_challenge must be 43 characters of base64url.")
    prompts = given.get("prompt", "").split()
    if set(prompts) - {"none", "login", "consent", "select_account"} or ("none" in prompts and len(prompts) > 1):
        raise Fault(INVALID_REQUEST, "prompt is not one that is offered.")
    if "max_age" in given and not re.fullmatch(r"\d{1,9}", given["max_age"]):
        raise Fault(INVALID_REQUEST, "max_age must be a number of seconds.")
    if len(given.get("nonce", "")) > 500 or len(given.get("state", "")) > 4000:
        raise Fault(INVALID_REQUEST, "nonce or state is too long.")


async def authorize(ctx: Ctx, asked: Asked) -> See | Sheet | Plain:
    """Ask a person to let a client act for them; sends them back to the client with a code.

    Takes PKCE (S256; required of public clients), `state`, `nonce`, `prompt`, `max_age` and `login_hint`.
    """
    house: House = ctx.house
    try:
        wanted = await wish(ctx, asked, once(asked.form if asked.method == "POST" else asked.query))
    except Fault as fault:
        return _told(asked, fault)
    try:
        check(house, wanted)
        scopes = granted(house, wanted.client, wanted.given.get("scope"), "authorization_code")
        return await _proceed(ctx, asked, wanted, scopes)
    except Fault as fault:
        return refused(house, wanted, fault.problem, fault.detail.description or fault.problem.message)


def _told(asked: Asked, fault: Fault) -> Sheet | Plain:
    """To the person in front of a browser a page, to a program JSON."""
    told = fault.detail.description
    status = fault.problem.status
    if "text/html" in asked.headers.get("accept", ""):
        values = {"title": "This login cannot go on", "message": told, "description": "", "code": fault.problem.code}
        return Sheet("problem.html", values, status)
    return Plain({"error": fault.problem.code, "error_description": told}, status)


async def _proceed(ctx: Ctx, asked: Asked, wanted: Wish, scopes: frozenset[str]) -> See | Sheet:
    house: House = ctx.house
    prompts = wanted.given.get("prompt", "").split()
    session = await people.session(ctx, asked.cookies.get(COOKIE))
    fresh = session is not None and _fresh(ctx, wanted, session)
    if session is None or not fresh or "login" in prompts:
        if "none" in prompts:
            raise Fault(LOGIN_REQUIRED, "Nobody is logged in.")
        return login_sheet(house, wanted, email=wanted.given.get("login_hint", ""))
    person = await house.view.person(ctx.account, session.user)
    allowed = for_person(house, scopes, person) if person else frozenset()
    if not allowed:
        raise Fault(ACCESS_DENIED, "The person's roles allow none of the scopes.")
    known = await people.consented(ctx, session.user, wanted.client.id)
    if allowed <= known and "consent" not in prompts:
        return await grant_code(ctx, wanted, session, allowed)
    if "none" in prompts:
        raise Fault(CONSENT_REQUIRED, "The person has not consented yet.")
    who = await people.person(ctx, session.user)
    return consent_sheet(house, wanted, allowed, known, asked.cookies.get(COOKIE, ""), who["name"] if who else "")


def _fresh(ctx: Ctx, wanted: Wish, session: people.Session) -> bool:
    """OpenID Connect Core section 3.1.2.1, `max_age`; and a login that `prompt=login` asked for counts once."""
    age = (ctx.now() - session.auth_time).total_seconds()
    return "max_age" not in wanted.given or age <= int(wanted.given["max_age"])


def _proof(house: House, purpose: str, cookie: str, query: str) -> str:
    """What ties a form to the browser it was shown in, against forged requests."""
    return house.vault.hash(f"{purpose} {cookie} {query}")


def proof_holds(house: House, purpose: str, cookie: str, query: str, proof: str) -> bool:
    return bool(cookie) and house.vault.matches(f"{purpose} {cookie} {query}", proof)


def cookie_header(
    house: House, name: str, value: str, *, path: str = "/oauth", lifetime: int | None = None
) -> tuple[str, str]:
    secure = "; Secure" if house.identity_base.startswith("https://") else ""
    age = f"; Max-Age={lifetime}" if lifetime is not None else ""
    return ("set-cookie", f"{name}={value}; Path={path}; HttpOnly; SameSite=Lax{age}{secure}")


def login_sheet(
    house: House, wanted: Wish, *, email: str = "", problem: str = "", status: int = 200, wait: int = 0
) -> Sheet:
    """The login page, tied to this browser by a cookie of its own."""
    cookie = house.world.token(16)
    values = {
        "client": wanted.client.name,
        "account": house.view.accounts.get(wanted.client.account, ""),
        "email": email[:254],
        "problem": problem,
        "query": wanted.query,
        "proof": _proof(house, "login", cookie, wanted.query),
    }
    headers = [cookie_header(house, PRELOGIN, cookie, lifetime=1800), ("cache-control", "no-store")]
    if wait:
        headers.append(("retry-after", str(wait)))
    return Sheet("login.html", values, status, tuple(headers))


def consent_sheet(
    house: House, wanted: Wish, scopes: frozenset[str], known: frozenset[str], cookie: str, name: str
) -> Sheet:
    """The consent page: each scope in plain words."""
    target = urlsplit(wanted.redirect_uri)
    origin = f"{target.scheme}://{target.netloc}" if target.netloc else f"{target.scheme}:"
    sources = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    policy = f"{sources}; form-action 'self' {origin}"
    values = {
        "client": wanted.client.name,
        "account": house.view.accounts.get(wanted.client.account, ""),
        "person": name,
        "target": target.netloc or f"{target.scheme}:",
        "scopes": [
            {"name": scope, "title": house.scopes[scope].title, "new": scope not in known} for scope in sorted(scopes)
        ],
        "query": wanted.query,
        "proof": _proof(house, "consent", cookie, wanted.query),
    }
    headers = (("cache-control", "no-store"), ("content-security-policy", policy))
    return Sheet("consent.html", values, 200, headers)


async def grant_code(ctx: Ctx, wanted: Wish, session: people.Session, scopes: frozenset[str]) -> See:
    """A code for these scopes, once and for a minute, to the client's redirect URI."""
    code = ctx.world.token(46)
    now = ctx.now()
    await ctx.db.run(
        ADD_CODE,
        hash=ctx.house.vault.hash(code),
        account_id=ctx.account,
        client_id=wanted.client.id,
        user_id=session.user,
        redirect_uri=wanted.redirect_uri,
        scope=" ".join(sorted(scopes)),
        nonce=wanted.given.get("nonce"),
        challenge=wanted.given.get("code_challenge"),
        sid=session.sid,
        auth_time=session.auth_time,
        grant_id=ctx.new_key(),
        expires_at=now + timedelta(seconds=ctx.settings.code_lifetime),
        used_at=None,
    )
    return back(ctx.house, wanted, code=code)
