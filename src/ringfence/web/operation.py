"""A declared operation becomes an endpoint: everything worked out once, so that a request only runs it."""

import inspect
import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import urlsplit

from ringfence.fence.gate import NOBODY, Principal, bearer
from ringfence.kernel.catalog import ENVELOPES, Open, Operation, operation_name, takes_key
from ringfence.kernel.problems import NOT_ACCEPTABLE, TOO_MANY, Fault
from ringfence.kernel.shapes import Asked, File
from ringfence.store.db import TryAgain

from . import idempotency
from .answers import JSON, Answer, answer, begun, served
from .hal import Where
from .reading import (
    FORM,
    Pairs,
    Receive,
    as_upload,
    body_reader,
    check_headers,
    cookies,
    media_type,
    pairs,
    query_reader,
    read_body,
    read_if_match,
)

if TYPE_CHECKING:
    from .app import App

HAL = "application/hal+json"
TRIES = 3  # of a transaction that the database asked to be repeated
BESIDE = frozenset({"query", "body", "asked", "upload", "if_match"})  # what a handler may take beside path members
_accepted: dict[bytes, str | None] = {b"": JSON, b"*/*": JSON, b"application/json": JSON, HAL.encode(): HAL}


def negotiated(accept: bytes) -> str:
    """What the caller takes of what we have: JSON unless it takes only HAL."""
    try:
        media = _accepted[accept]
    except KeyError:
        ranges = [part.split(b";", 1)[0].strip().lower() for part in accept.split(b",")]
        refused = {
            part.split(b";", 1)[0].strip().lower()
            for part in accept.split(b",")
            if part.replace(b" ", b"").endswith((b";q=0", b";q=0.0"))
        }
        taken = [r for r in ranges if r not in refused]
        if any(r in (b"*/*", b"application/*", b"application/json") for r in taken):
            media = JSON
        else:
            media = HAL if HAL.encode() in taken else None
        if len(_accepted) < 1000:
            _accepted[accept] = media
    if media is None:
        raise Fault(NOT_ACCEPTABLE)
    return media


class Endpoint:
    """One operation, ready to run, and the counts of how it went."""

    __slots__ = (
        "body", "counts", "forgiving", "keyed", "name", "operation", "plain", "query", "reads_body", "scope",
        "seconds", "total_seconds", "wants", "writes",
    )  # fmt: skip

    def __init__(self, operation: Operation) -> None:
        hints = get_type_hints(operation.run)
        names = [name for name in inspect.signature(operation.run).parameters if name != "ctx"]
        if (named := set(re.findall(r"{(\w+)}", operation.path))) != set(names) - BESIDE:
            raise TypeError(f"{operation_name(operation)}: the path names {sorted(named)}, the handler takes {names}")
        if (hints.get("return") is File) != bool(operation.serves):
            raise TypeError(f"{operation_name(operation)}: a File is answered where `serves` says of which type")
        self.operation = operation
        self.name = operation_name(operation)
        self.scope = "" if operation.fence is Open.PUBLIC else operation.fence.name
        self.wants = frozenset(names)
        self.plain = not self.wants & BESIDE
        self.query: Callable[[Pairs], Any] | None = query_reader(hints["query"]) if "query" in names else None
        self.body: Callable[[bytes, bytes | None], Any] | None = (
            body_reader(hints["body"], operation.media) if "body" in names else None
        )
        self.writes = operation.method != "GET" if operation.writes is None else operation.writes
        self.reads_body = operation.method != "GET" and not self.wants.isdisjoint(("body", "asked"))
        self.keyed = takes_key(operation)
        self.forgiving = operation.errors not in ENVELOPES or operation.fence is Open.PUBLIC or bool(operation.serves)
        self.counts: dict[int, int] = {}
        self.seconds = [0] * 12  # answers within 1, 2, 4 … 1024 ms, and later ones
        self.total_seconds = 0.0

    def note(self, status: int, started: float) -> None:
        self.counts[status] = self.counts.get(status, 0) + 1
        took = perf_counter() - started
        self.total_seconds += took
        self.seconds[min(11, int(took * 1000).bit_length())] += 1

    async def run(self, app: "App", scope: Any, receive: Receive, members: dict[str, str]) -> tuple[Answer, Any]:
        """Answer one request. Raises Fault for a refusal; the Allowance of the caller comes back with the answer."""
        operation, house = self.operation, app.house
        headers = check_headers(scope["headers"], house.settings.header_limit)
        allowance = None
        who: Principal = NOBODY
        if self.scope:
            token = bearer(found.decode("latin-1")) if (found := headers.get(b"authorization")) else None
            who = (app.gate.recall(operation, token) if token else None) or await app.gate.admit(operation, token)
            allowance = app.limiter.take(who.client)
            if allowance is not None and allowance.wait > 0:
                wait = (("Retry-After", str(int(allowance.wait) + 1)),)
                raise Fault(TOO_MANY, f"This client may make {allowance.limit} requests per second.", headers=wait)
            house.usage.note(who.account, who.client, self.scope, self.name)
        media = JSON if self.forgiving else negotiated(headers.get(b"accept", b""))
        query = pairs(raw, "query") if (raw := scope["query_string"]) else []
        given: dict[str, Any] = members  # what the path names, the handler takes
        body = b""
        if not self.plain:
            body = await self._gather(given, scope, receive, headers, query, house.settings.body_limit)
        where = Where(house.gateway_base, scope["path"], query)
        keyed = headers.get(b"idempotency-key") if self.keyed else None
        for attempt in range(TRIES):
            try:
                async with house.db.writing() if self.writes else house.db.reading() as tx:
                    ctx = house.request_ctx(tx, who, app.origin(scope))
                    if keyed is not None:
                        made = await self._once(ctx, keyed, body, given, where, media)
                        break
                    result = await operation.run(ctx, **given)
                made = self._made(result, where, media, scope["method"], headers)
                break
            except TryAgain:
                if attempt == TRIES - 1 or "upload" in given:
                    raise
        if self.writes:
            app.bell()
        return made if made.pieces is None else await begun(made), allowance

    def _made(self, result: Any, where: Where, media: str, method: str, headers: Mapping[bytes, bytes]) -> Answer:
        """The answer to what a handler returned; a Fault that it returned has let its transaction commit."""
        if isinstance(result, Fault):
            raise result
        if isinstance(result, File):
            return served(result, method, headers)
        none_match = headers.get(b"if-none-match")
        tags = none_match.decode("latin-1") if none_match is not None else None
        return answer(result, self.operation.status, where, media, tags)

    async def _gather(
        self,
        given: dict[str, Any],
        scope: Any,
        receive: Receive,
        headers: dict[bytes, bytes],
        query: Pairs,
        limit: int,
    ) -> bytes:
        """What a handler takes beside members of the path. The body as it came."""
        if self.query is not None:
            given["query"] = self.query(query)
        raw = b""
        if self.reads_body:
            raw = await read_body(receive, headers.get(b"content-length"), limit)
        if self.body is not None:
            given["body"] = self.body(raw, headers.get(b"content-type"))
        if "asked" in self.wants:
            given["asked"] = asked(scope, headers, query, raw)
        if "upload" in self.wants:
            given["upload"] = as_upload(receive, headers)
        if "if_match" in self.wants:
            header = headers.get(b"if-match")
            given["if_match"] = read_if_match(header.decode("latin-1") if header is not None else None)
        return raw

    async def _once(
        self, ctx: Any, keyed: bytes, raw: bytes, given: dict[str, Any], where: Where, media: str
    ) -> Answer:
        """Answer a request that carries an Idempotency-Key, or repeat the answer that it got before."""
        key, client = idempotency.read_key(keyed), ctx.caller.client
        before = await idempotency.claim(ctx, client, key, self.name, where.path, raw)
        if before is not None:
            return Answer(before.status, [*before.headers, ("idempotency-replayed", "true")], before.body)
        made = self._made(await self.operation.run(ctx, **given), where, media, "POST", {})
        await idempotency.keep(ctx, client, key, made.status, list(made.headers), made.body)
        return made


def asked(scope: Any, headers: dict[bytes, bytes], query: Pairs, raw: bytes) -> Asked:
    """The request as it came, for operations whose contract is about forms and headers."""
    form = pairs(raw.strip(), "form") if media_type(headers.get(b"content-type")) == FORM else []
    host = headers.get(b"host", b"").decode("latin-1")
    return Asked(
        method=scope["method"],
        path=scope["path"],
        base=f"{scope.get('scheme', 'http')}://{host}",
        host=(urlsplit(f"//{host}").hostname or "") if host else "",
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()},
        query=gathered(query),
        form=gathered(form),
        cookies=cookies(headers.get(b"cookie", b"").decode("latin-1")),
        sent=bool(raw),
    )


def gathered(given: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in given:
        found.setdefault(name, []).append(value)
    return found
