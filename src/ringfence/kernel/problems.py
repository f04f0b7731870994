"""Every way a request can go wrong is a row; raising one is a Fault."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of refusal: a stable code, an HTTP status, and a sentence that says what to do next."""

    code: str
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class FieldError:
    """Which member of the request is wrong (`phones[0].number`), and why."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Detail:
    """What one refusal adds to its Problem: a description, the fields, response headers, extra body members."""

    description: str = ""
    fields: tuple[FieldError, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Fault(Exception):
    """A Problem that happened. Raised, it rolls the transaction back; returned from a handler, it lets it commit."""

    def __init__(
        self,
        problem: Problem,
        description: str = "",
        *,
        fields: tuple[FieldError, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        **extra: Any,
    ) -> None:
        super().__init__(f"{problem.code}: {description or problem.message}")
        self.problem = problem
        self.detail = Detail(description, fields, headers, extra)


def wrong(name: str, description: str) -> Fault:
    """A 400 that names the one field at fault."""
    return Fault(INVALID, f"{name}: {description}", fields=(FieldError(name, description),))


INVALID = Problem("invalid_request", 400, "The request does not fit what this operation takes.")
MALFORMED = Problem("malformed_body", 400, "The body cannot be read as JSON in UTF-8.")
INCOMPLETE = Problem("incomplete_body", 400, "The body ended before its announced length.")
NOT_AUTHENTICATED = Problem("not_authenticated", 401, "Send a bearer token; get one from the token endpoint.")
INVALID_TOKEN = Problem("invalid_token", 401, "The access token is not valid; ask the token endpoint for a new one.")
INSUFFICIENT_SCOPE = Problem("insufficient_scope", 403, "The token lacks the scope that this operation needs.")
NOT_FOUND = Problem("not_found", 404, "There is no such resource in this account.")
NO_SUCH_PATH = Problem("no_such_path", 404, "Nothing is served at this path; see /docs for what is.")
METHOD_NOT_ALLOWED = Problem("method_not_allowed", 405, "This path does not take this method; see the Allow header.")
NOT_ACCEPTABLE = Problem("not_acceptable", 406, "This operation answers application/json or application/hal+json.")
CONFLICT = Problem("conflict", 409, "The request collides with the present state of the resource.")
BUSY_KEY = Problem("idempotency_key_in_use", 409, "A request with this Idempotency-Key is still being answered.")
STALE = Problem(
    "precondition_failed", 412, "The resource has changed since the version named in If-Match; read it again."
)
TOO_LARGE = Problem("body_too_large", 413, "The body is larger than this server takes.")
UNSUPPORTED_MEDIA = Problem(
    "unsupported_media_type", 415, "Send the body in the content type that the operation takes."
)
UNSATISFIABLE = Problem("range_not_satisfiable", 416, "The file has no such part; Content-Range tells its length.")
REUSED_KEY = Problem("idempotency_key_reused", 422, "This Idempotency-Key was already used with another request.")
PRECONDITION_REQUIRED = Problem("precondition_required", 428, "Send If-Match with the ETag of the version you read.")
TOO_MANY = Problem("rate_limited", 429, "Too many requests; wait for the seconds in Retry-After.")
HEADERS_TOO_LARGE = Problem("headers_too_large", 431, "The request's headers are larger than this server takes.")
UNEXPECTED = Problem(
    "unexpected", 500, "Something broke on our side; quote the platform-tid header when you report it."
)
UNAVAILABLE = Problem("temporarily_unavailable", 503, "The server cannot answer safely just now; try again shortly.")
