"""What a handler returned, or what went wrong, as status, headers and body."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from ringfence.kernel.catalog import Errors, Operation
from ringfence.kernel.problems import INSUFFICIENT_SCOPE, INVALID_TOKEN, NOT_AUTHENTICATED, Fault
from ringfence.kernel.settings import Settings
from ringfence.kernel.shapes import File, Page, Plain, See, Shape, Sheet, Stream, Versioned, Wrapped

from .hal import Where, encode, render
from .pages import draw
from .ranges import part_of, reader

Headers = list[tuple[str, str]]
JSON = "application/json"
HTML = "text/html; charset=utf-8"
STREAMED = (("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no"))
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action "
)


class Answer(NamedTuple):
    """A whole response, still without the headers that every response has."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes  # of a file its first piece
    stream: Any = None
    length: int | None = None  # of a file's part
    pieces: Any = None  # of a file: how to read it, and once that has begun what is left to read


def answer(result: Any, status: int, where: Where, media: str, if_none_match: str | None) -> Answer:
    """Make a response of what a handler returned."""
    match result:
        case Versioned():
            tag = f'"{result.version}"'
            if if_none_match and status == 200 and _matches(if_none_match, tag):
                return Answer(304, (("etag", tag),), b"")
            return Answer(status, (("content-type", media), ("etag", tag)), render(result, where))
        case Page():
            return Answer(status, (("content-type", media), *result.headers), render(result, where))
        case Shape() | Wrapped():
            return Answer(status, (("content-type", media),), render(result, where))
        case None:
            return Answer(status, (), b"")
        case Plain():
            body = result.body.encode() if isinstance(result.body, str) else encode(result.body)
            return Answer(result.status, (("content-type", result.media), *result.headers), body)
        case See():
            headers = (("location", result.location), *result.headers)
            if result.shape is None:
                return Answer(result.status, headers, b"")
            return Answer(result.status, (("content-type", media), *headers), render(result.shape, where))
        case Sheet():
            return sheet(result)
        case Stream():
            return Answer(status, STREAMED, b"", result)
        case _:
            raise TypeError(f"a handler returned {type(result).__name__}")


def served(file: File, method: str, headers: Mapping[bytes, bytes]) -> Answer:
    """A file, or the part of it that is asked for, still unread."""
    part = part_of(file, method, headers)
    if part.status == 304:
        return Answer(304, part.headers, b"")
    pieces = reader(file, part) if method != "HEAD" else None
    return Answer(part.status, part.headers, b"", length=part.stop - part.start, pieces=pieces)


async def begun(made: Answer) -> Answer:
    """A file of which the first piece has been read: what is wrong with it can still be answered as such."""
    pieces = made.pieces()
    return made._replace(body=await anext(pieces, b""), pieces=pieces)


def ageing(settings: Settings, operation: Operation) -> Headers:
    """Deprecation (RFC 9745) and Sunset (RFC 8594), where the contract or the settings give the days."""
    since, until = operation.deprecated, ""
    if name := operation.ages:
        since, until = getattr(settings, f"{name}_deprecation"), getattr(settings, f"{name}_sunset")
    found: Headers = []
    if since:
        found.append(("deprecation", f"@{int(_midnight(since).timestamp())}"))
    if until:
        found.append(("sunset", format_datetime(_midnight(until), usegmt=True)))
    return found


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def sheet(page: Sheet) -> Answer:
    body = draw(page.template, page.values).encode()
    given = {name for name, _ in page.headers}
    policy = () if "content-security-policy" in given else (("content-security-policy", f"{PAGE_POLICY}'self'"),)
    headers = (("content-type", HTML), ("referrer-policy", "no-referrer"), *policy, *page.headers)
    return Answer(page.status, headers, body)


def _matches(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in [part.strip().removeprefix("W/") for part in header.split(",")]


def refusal(fault: Fault, errors: Errors, realm: str) -> Answer:
    """A Fault on the wire, in the form that the operation's contract asks for."""
    match errors:
        case Errors.OAUTH:
            return _oauth(fault)
        case Errors.PAGE:
            return _page(fault)
        case Errors.STATE:
            told = fault.detail.description or fault.problem.message
            fault.detail.extra["error"] = told
            return _envelope(fault, realm)
        case _:
            return _envelope(fault, realm)


def _envelope(fault: Fault, realm: str) -> Answer:
    problem, detail = fault.problem, fault.detail
    extra = dict(detail.extra)
    scope = extra.pop("scope", None)
    body = {
        "code": problem.code,
        "message": problem.message,
        "description": detail.description or problem.message,
        "fields": [{"name": f.name, "description": f.description} for f in detail.fields],
    }
    headers: Headers = [("content-type", JSON), *detail.headers]
    if problem is NOT_AUTHENTICATED:
        headers.append(("www-authenticate", f'Bearer realm="{realm}"'))
    elif problem is INVALID_TOKEN:
        told = detail.description or problem.message
        headers.append(
            ("www-authenticate", f'Bearer realm="{realm}", error="invalid_token", error_description="{told}"')
        )
    elif problem is INSUFFICIENT_SCOPE:
        headers.append(("www-authenticate", f'Bearer realm="{realm}", error="insufficient_scope", scope="{scope}"'))
    return Answer(problem.status, headers, encode({**body, **extra}))


def _oauth(fault: Fault) -> Answer:
    """RFC 6749 section 5.2: the description holds printable ASCII without quotes and backslashes."""
    problem, detail = fault.problem, fault.detail
    told = detail.description or problem.message
    told = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in told)
    body = {"error": problem.code, "error_description": told, **detail.extra}
    headers = [("content-type", JSON), ("cache-control", "no-store"), ("pragma", "no-cache"), *detail.headers]
    return Answer(problem.status, headers, encode(body))


def _page(fault: Fault) -> Answer:
    problem, detail = fault.problem, fault.detail
    values = {
        "title": HTTPStatus(problem.status).phrase,
        "message": problem.message,
        "description": detail.description,
        "code": problem.code,
    }
    return sheet(Sheet("problem.html", values, problem.status, detail.headers))
