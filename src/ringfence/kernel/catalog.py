"""The nouns that an API is declared with. These records say things; they do nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from .problems import Problem

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
GrantType = Literal["client_credentials", "authorization_code", "refresh_token"]
Via = Literal["client_credentials", "authorization_code"]


@dataclass(frozen=True, slots=True)
class Scope:
    """A permission that a client may hold.

    `name` is what tokens carry (`contacts:read`); `title` completes "This app will be able to …" on the
    consent page; `via` names the grants that may carry it.
    """

    name: str
    title: str
    via: tuple[Via, ...] = ("client_credentials", "authorization_code")


class Open(Enum):
    """The one word that leaves an operation unfenced. It must be typed out, and each use is reviewed."""

    PUBLIC = "public"


PUBLIC = Open.PUBLIC


class Errors(Enum):
    """How an operation's refusals look on the wire."""

    ENVELOPE = "envelope"  # {code, message, description, fields}
    OAUTH = "oauth"  # RFC 6749 section 5.2: {error, error_description}
    PAGE = "page"  # a page for a person
    STATE = "state"  # the envelope, and its sentence as `error` beside


ENVELOPES = (Errors.ENVELOPE, Errors.STATE)


@dataclass(frozen=True, slots=True)
class EventType:
    """Something that can have happened: its name, the shape of its payload, and one sentence.

    `scope` names what a client must hold to subscribe to it; without one it stays inside. `shown` makes of an
    event's row what a subscriber gets, where that is not the usual envelope; `audience` names accounts that hear
    of it beside its own.
    """

    name: str
    data: type
    title: str
    scope: str = ""
    shown: Callable[..., Awaitable[dict[str, Any]]] | None = None  # (ctx, row, *, trusted)
    audience: Callable[..., Awaitable[set[str]]] | None = None  # (ctx, row)


@dataclass(frozen=True, slots=True)
class Reaction:
    """A listener with a durable cursor in the event log. Cursor and effects commit together.

    `to` is None for every event. `run` takes one event with a context of its account; `run_all` takes all that
    commit together, in order, with a context of no account. `start` says where a new cursor begins: a projection at
    the log's first event, a notifier at its end.
    """

    name: str
    to: tuple[EventType, ...] | None
    run: Callable[..., Awaitable[None]] | None = None  # (ctx, event)
    start: Literal["first", "end"] = "first"
    run_all: Callable[..., Awaitable[None]] | None = None  # (ctx, events), instead of `run`

    def __post_init__(self) -> None:
        if (self.run is None) == (self.run_all is None):
            raise TypeError(f"{self.name}: a reaction takes its events one by one, or all together")


@dataclass(frozen=True, slots=True)
class Job:
    """Work with a due time. `retry` holds the seconds before each further attempt; after the last it is buried.

    A job runs in one transaction. A `long` one has none when it begins: it takes as many as it needs, one `step`
    after another, and runs beside the others; what it has done must survive being begun again.
    """

    name: str
    args: type
    run: Callable[..., Awaitable[None]]
    retry: tuple[int, ...] = (5, 60, 600)
    every: int | None = None  # seconds: a recurring job, kept to one row
    long: bool = False


@dataclass(frozen=True, slots=True)
class Duty:
    """Something that one process at a time does for as long as it runs. `run` takes the house, and is cancelled."""

    name: str
    run: Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path behind one fence. The fence has no default, on purpose.

    `run` takes `ctx` first, then by name: `query`, `body`, `asked`, `upload`, `if_match`, or members of the path.
    """

    method: Method
    path: str
    fence: Scope | Open
    run: Callable[..., Awaitable[Any]]
    status: int = 200
    problems: tuple[Problem, ...] = ()
    errors: Errors = Errors.ENVELOPE
    media: tuple[str, ...] = ("application/json",)  # what a body may be sent as
    writes: bool | None = None  # None: all but GET do
    takes: type | None = None  # what the form or query holds, where the handler reads the request itself
    gives: type | None = None  # what a Plain answer holds
    serves: str = ""  # content type of the File that it answers with; several are separated by commas
    or_status: int | None = None  # of its other good answer, with the same body: on to somewhere else, or as before
    ages: str = ""  # begin of the names of two settings: `…_deprecation` and `…_sunset`, days for headers
    deprecated: str = ""  # the day since which the contract calls it deprecated


@dataclass(frozen=True, slots=True)
class Api:
    """All that the world sees of one API. What exists is what `apis/all.py` lists."""

    name: str
    title: str
    about: str
    operations: tuple[Operation, ...]
    scopes: tuple[Scope, ...] = ()
    events: tuple[EventType, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    jobs: tuple[Job, ...] = ()
    duties: tuple[Duty, ...] = ()


def operation_name(operation: Operation) -> str:
    """`GET /contacts/{id}`: how an operation is called in logs, metrics and usage."""
    return f"{operation.method} {operation.path}"


def takes_key(operation: Operation) -> bool:
    """Whether an Idempotency-Key means anything to an operation: a POST that only looks something up takes none."""
    return operation.method == "POST" and operation.fence is not PUBLIC and operation.writes is not False
