"""One application: the catalogue's operations, the fence in front of them, and what every response has in common."""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from time import perf_counter
from typing import Any

import structlog

from ringfence.fence.gate import Gate
from ringfence.fence.house import House
from ringfence.fence.limits import Allowance, Limiter
from ringfence.kernel.catalog import Api, Errors
from ringfence.kernel.problems import (
    CONFLICT,
    INVALID,
    METHOD_NOT_ALLOWED,
    NO_SUCH_PATH,
    UNAVAILABLE,
    UNEXPECTED,
    Fault,
)
from ringfence.store.db import BadValue, DatabaseUnavailable, DuplicateRow, TryAgain

from .answers import JSON, Answer, ageing, refusal
from .operation import HAL, Endpoint
from .reading import Arriving
from .routes import Routes

log = structlog.get_logger()
NOSNIFF = (b"x-content-type-options", b"nosniff")
COMMON = {("content-type", media): (b"content-type", media.encode()) for media in (JSON, HAL)}
RETRY = (("Retry-After", "1"),)


class App:
    """An ASGI application over a house and a catalogue. `bell` wakes the worker after a write."""

    def __init__(
        self, house: House, apis: Iterable[Api], gate: Gate, *, bell: Callable[[], None] = lambda: None
    ) -> None:
        self.house, self.gate, self.bell = house, gate, bell
        self.apis = tuple(apis)
        self.limiter = Limiter(house.settings.rate_limit, house.world.time)
        self.routes = Routes()
        self.endpoints = [Endpoint(operation) for api in self.apis for operation in api.operations]
        for endpoint in self.endpoints:
            self.routes.add(endpoint.operation.method, endpoint.operation.path, endpoint)
        self.in_flight = 0
        self._ids = itertools.count(1)
        self._prefix = os.urandom(8).hex()
        self._log_all = house.settings.access_log

    @staticmethod
    def origin(scope: Any) -> str:
        """Address of the peer."""
        client = scope.get("client")
        return client[0] if client else ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await _lifespan(receive, send)
            return
        self.in_flight += 1
        started = perf_counter()
        tid = f"{self._prefix}{next(self._ids):016x}"
        endpoint: Endpoint | None = None
        errors, allowance = Errors.ENVELOPE, None
        arriving = None if scope["method"] == "GET" else Arriving(receive)
        receive = arriving or receive
        try:
            endpoint, members = self._find(scope)
            errors = endpoint.operation.errors
            made, allowance = await endpoint.run(self, scope, receive, members)
        except Exception as why:
            made = self._refused(why, errors, tid, scope)
            arriving = arriving or Arriving(receive)
        finally:
            self.in_flight -= 1
        if arriving is not None and not arriving.over and (b"expect", b"100-continue") not in scope["headers"]:
            await arriving.drop()
        if endpoint is not None:
            endpoint.note(made.status, started)
            if endpoint.operation.ages or endpoint.operation.deprecated:
                made = made._replace(headers=[*made.headers, *ageing(self.house.settings, endpoint.operation)])
        if self._log_all:
            log.info("request", method=scope["method"], path=scope["path"], status=made.status, tid=tid)
        await _send(send, receive, made, tid, allowance, scope["method"] == "HEAD")

    def _find(self, scope: Any) -> tuple[Endpoint, dict[str, str]]:
        raw = scope.get("raw_path")
        path = raw.decode("latin-1") if raw else scope["path"]
        found = self.routes.find(path)
        if found is None:
            raise Fault(NO_SUCH_PATH)
        endpoints, members = found
        method = scope["method"]
        endpoint = endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = sorted({*endpoints, "HEAD"} if "GET" in endpoints else endpoints)
            raise Fault(METHOD_NOT_ALLOWED, headers=(("Allow", ", ".join(allowed)),))
        return endpoint, members

    def _refused(self, why: Exception, errors: Errors, tid: str, scope: Any) -> Answer:
        if isinstance(why, DuplicateRow):
            why = Fault(CONFLICT)
        elif isinstance(why, BadValue):
            why = Fault(INVALID, "A value is larger than can be stored.")
        elif isinstance(why, DatabaseUnavailable | TryAgain):
            log.error("database.unavailable", why=str(why), tid=tid)
            why = Fault(UNAVAILABLE, headers=RETRY)
        elif not isinstance(why, Fault):
            log.error("request.failed", method=scope["method"], path=scope["path"], tid=tid, exc_info=why)
            why = Fault(UNEXPECTED)
        return refusal(why, errors, self.house.gateway_base)


async def _send(send: Any, receive: Any, made: Answer, tid: str, allowance: Allowance | None, headless: bool) -> None:
    body = made.body
    headers = [COMMON.get(pair) or _bytes_of(pair) for pair in made.headers]
    headers.append((b"platform-tid", tid.encode()))
    headers.append(NOSNIFF)
    if allowance is not None:
        headers.append((b"ratelimit-limit", b"%d" % allowance.limit))
        headers.append((b"ratelimit-remaining", b"%d" % allowance.left))
        headers.append((b"ratelimit-reset", b"1"))
    if made.stream is not None and not headless:
        await _send_stream(send, receive, made, headers, tid)
        return
    if made.status not in (204, 304):
        headers.append((b"content-length", b"%d" % (len(body) if made.length is None else made.length)))
    if made.pieces is not None:
        await _send_file(send, receive, made, headers, tid)
        return
    await send({"type": "http.response.start", "status": made.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if headless else body})


async def _send_file(send: Any, receive: Any, made: Answer, headers: list[tuple[bytes, bytes]], tid: str) -> None:
    """Send a file piece by piece, for as long as somebody is there to take it."""
    gone = asyncio.create_task(_left(receive))
    try:
        async with aclosing(made.pieces) as pieces:
            await send({"type": "http.response.start", "status": made.status, "headers": headers})
            await send({"type": "http.response.body", "body": made.body, "more_body": True})
            async for piece in pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except Exception as why:
        # to end without the last message is all that is left: the server cuts the connection, and the caller knows
        await asyncio.sleep(0)
        if not gone.done():
            log.error("file.broken", tid=tid, why=repr(why))
    finally:
        gone.cancel()


async def _send_stream(send: Any, receive: Any, made: Answer, headers: list[tuple[bytes, bytes]], tid: str) -> None:
    """Send events as they come, until they end or nobody is there any more."""
    gone = asyncio.create_task(_left(receive))
    gone.add_done_callback(lambda _: made.stream.leave())
    try:
        async with aclosing(made.stream.frames) as frames:
            await send({"type": "http.response.start", "status": made.status, "headers": headers})
            async for piece in frames:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except Exception as why:
        await asyncio.sleep(0)
        if not gone.done():
            log.error("stream.broken", tid=tid, exc_info=why)
    finally:
        gone.cancel()


async def _left(receive: Any) -> None:
    """Until the caller has gone."""
    with suppress(Exception):
        while (await receive())["type"] != "http.disconnect":
            pass


def _bytes_of(pair: tuple[str, str]) -> tuple[bytes, bytes]:
    return pair[0].lower().encode("latin-1"), pair[1].encode("latin-1", "replace")


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
