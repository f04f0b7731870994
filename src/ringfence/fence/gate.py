"""The gate: the only place where a request is let in. One scope per operation; no any, no all, no wildcard."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ringfence.kernel.catalog import Open, Operation
from ringfence.kernel.problems import INSUFFICIENT_SCOPE, INVALID_TOKEN, NOT_AUTHENTICATED, UNAVAILABLE, Fault

from .view import View

KNOWN = 50_000  # tokens remembered as verified


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `expires` in seconds since 1970; `marks` are what it may be revoked by."""

    jti: str
    account: str
    client: str
    user: str | None
    scopes: frozenset[str]
    issued: float
    expires: float
    sid: str | None = None
    grant: str | None = None
    opaque: bool = False
    alive_until: float = 0.0  # of an opaque token, which is read again at `expires`

    @property
    def marks(self) -> tuple[str, ...]:
        return (
            f"jti:{self.jti}",
            *((f"sid:{self.sid}",) if self.sid else ()),
            *((f"grant:{self.grant}",) if self.grant else ()),
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what it may do now: token's scopes ∩ client's effective grants ∩ what the person's roles allow."""

    account: str
    client: str
    user: str | None
    scopes: frozenset[str]
    actor: str
    claims: Claims


@dataclass(slots=True)
class Known:
    """A verified token and its authority under one version of the view."""

    claims: Claims
    principal: Principal
    version: int
    until: float  # when the authority must be worked out again


NOBODY = Principal("", "", None, frozenset(), "nobody", Claims("", "", "", None, frozenset(), 0, 0))

ReadToken = Callable[[str], Awaitable[Claims]]


class Gate:
    """Lets a request in or refuses it, from memory when the token is known."""

    def __init__(self, view: View, read_token: ReadToken, clock: Callable[[], float], staleness: float) -> None:
        self.view, self.read_token, self.clock, self.staleness = view, read_token, clock, staleness
        self._known: dict[str, Known] = {}

    def recall(self, operation: Operation, token: str) -> Principal | None:
        """The hot path: a token seen before, under an unchanged view. None: ask `admit`, which may have to wait."""
        known = self._known.get(token)
        view = self.view
        if (
            known is None
            or view.behind
            or known.version != view.version
            or known.until <= self.clock()
            or time.monotonic() - view.confirmed > self.staleness
        ):
            return None
        principal = known.principal
        return principal if operation.fence.name in principal.scopes else None

    async def admit(self, operation: Operation, token: str | None) -> Principal:
        """Who calls, if the operation's one scope is theirs now; a Fault otherwise."""
        if operation.fence is Open.PUBLIC:
            return NOBODY
        if token is None:
            raise Fault(NOT_AUTHENTICATED)
        principal = await self.identify(token)
        scope = operation.fence.name
        if scope not in principal.scopes:
            raise Fault(INSUFFICIENT_SCOPE, f"This operation needs {scope}.", scope=scope)
        return principal

    async def identify(self, token: str) -> Principal:
        """Who a token stands for, whatever it may do. Raises INVALID_TOKEN with the reason, or UNAVAILABLE."""
        await self.confirm()
        now = self.clock()
        known = self._known.get(token)
        if known is not None and known.version == self.view.version and now < known.until:
            return known.principal
        claims = known.claims if known is not None else None
        if claims is None or (claims.opaque and claims.expires <= now):
            claims = await self.read_token(token)
        try:
            known = await self._authority(claims, now)
        except Fault:
            self._known.pop(token, None)
            raise
        while len(self._known) >= KNOWN:
            del self._known[next(iter(self._known))]
        self._known[token] = known
        return known.principal

    async def confirm(self) -> None:
        """Make sure that the view is recent enough to decide on."""
        view = self.view
        stale = time.monotonic() - view.confirmed > self.staleness
        if view.behind or stale:
            try:
                await view.refresh()
            except Exception as why:
                if stale:
                    retry = (("Retry-After", "1"),)
                    raise Fault(
                        UNAVAILABLE, "The grants cannot be confirmed, so nobody is let in.", headers=retry
                    ) from why
                view.behind = True

    async def _authority(self, claims: Claims, now: float) -> Known:
        view = self.view
        if claims.expires <= now:
            raise Fault(INVALID_TOKEN, "The access token has expired.")
        if claims.client not in view.clients:
            await view.refresh()  # another process may have made it a moment ago
        version = view.version
        if any(mark in view.revoked for mark in claims.marks):
            raise Fault(INVALID_TOKEN, "The access token has been revoked.")
        client = view.clients.get(claims.client)
        if client is None or client.account != claims.account:
            raise Fault(INVALID_TOKEN, "The client of this access token no longer exists.")
        scopes = claims.scopes & client.effective(now)
        actor = f"client:{client.id}"
        if claims.user is not None:
            person = await view.person(claims.account, claims.user)
            if person is None or not person.active:
                raise Fault(INVALID_TOKEN, "The user of this access token is no longer active.")
            scopes &= view.allowed(person)
            actor = f"user:{person.id}"
        principal = Principal(claims.account, client.id, claims.user, scopes, actor, claims)
        return Known(claims, principal, version, min(claims.expires, client.next_change(now)))


def bearer(header: str | None) -> str | None:
    """The token in an Authorization header: `Bearer x` in any case (RFC 6750), or an opaque token on its own."""
    if not header:
        return None
    if header.startswith("Bearer "):  # nearly always, and to the letter
        return header[7:].strip()
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or ""
    if not rest and scheme.startswith("sts_"):
        return scheme
    return None
