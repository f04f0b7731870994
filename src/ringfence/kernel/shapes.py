"""What crosses the wire: shapes with their links, pages, and the few other kinds of answer."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar, cast, dataclass_transform

import msgspec

from .problems import INVALID, Fault, FieldError, wrong


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The one base of everything that crosses the wire.

    `links` maps a relation to a path template over the shape's own fields (`/contacts/{id}`, `/x/{inner.id}`);
    `example` is shown in the documentation and sent by the tests.
    """

    links: ClassVar[Mapping[str, str | dict[str, str]]] = {}
    example: ClassVar[Mapping[str, Any] | None] = None


class Nothing(Shape):
    """No members: the arguments of a job that needs none."""


def misfit(why: Exception) -> Fault:
    """What does not fit a shape, as a Fault that names the member: `$.phones[0].number` is `phones[0].number`."""
    sentence, _, path = str(why).partition(" - at `")
    path = path.rstrip("`").removeprefix("$").lstrip(".")
    if not path and (named := re.search(r"field `([^`]+)`", sentence)):
        path = named[1]
    return Fault(INVALID, f"{path or 'body'}: {sentence}", fields=(FieldError(path or "body", sentence),))


def in_utc(moment: datetime, name: str) -> datetime:
    """A moment that was sent, in UTC. Raises a Fault naming the member where it does not say its zone."""
    if moment.tzinfo is None:
        raise wrong(name, "must say its time zone, as in 2026-01-05T09:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as why:
        raise wrong(name, "is not within the years 1 to 9999 in UTC") from why


class PageQuery(Shape):
    """`page` from 1, `per_page` 1 to 200."""

    page: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1
    per_page: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class DeepQuery(PageQuery):
    """A page of a long list: links name its place by `cursor`; `page` then only counts."""

    cursor: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class Cursors(NamedTuple):
    """Where the neighbours of a page begin; None: there is no such page."""

    next: str | None
    previous: str | None
    last: str


T = TypeVar("T")
U = TypeVar("U")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `members` limits which paging members the body shows (all five where not)."""

    rel: str
    items: list[T]
    total: int
    page: int
    per_page: int
    reachable: int | None = None  # rows that paging can reach, where the API caps it
    members: tuple[str, ...] = ("total", "count", "page", "per_page", "total_pages")
    previous: str = "prev"  # what the API calls the link back
    bounds: bool = True  # whether the API's contract links `first` and `last`
    extra_links: Mapping[str, Mapping[str, Any]] = {}
    cursors: Cursors | None = None  # of a list that is walked by cursor
    also: Mapping[str, Any] = {}  # members that the API puts beside those of paging
    counts_all: bool = False  # whether the API calls the total `count` too
    headers: tuple[tuple[str, str], ...] = ()  # of the answer

    def map(self, into: Callable[[T], U]) -> "Page[U]":
        """The same page with each item shown as another."""
        items: Any = [into(item) for item in self.items]
        found: Any = msgspec.structs.replace(self, items=items)
        return cast("Page[U]", found)


class Listed(Page[T], Generic[T], frozen=True, kw_only=True):
    """A page whose `_embedded` is the array itself."""


def paged(rel: str, found: Sequence[T], page: int, per_page: int, **more: Any) -> Page[T]:
    """One page of a list that is at hand as a whole."""
    start = (page - 1) * per_page
    items = list(found[start : start + per_page])
    return Page(rel=rel, items=items, total=len(found), page=page, per_page=per_page, **more)


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A shape and its version: answered with an ETag, 304 where the caller already has it."""

    shape: T
    version: int


@dataclass(frozen=True, slots=True)
class Wrapped(Generic[T]):
    """A shape that the contract puts inside one member, `{"contact": {...}}`."""

    member: str
    shape: T


@dataclass(frozen=True, slots=True)
class See:
    """Look over there: a redirect. 303 unless the contract says otherwise; `shape` is its body, where it has one."""

    location: str
    status: int = 303
    headers: tuple[tuple[str, str], ...] = ()
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page for a person: a template's name and what it shows."""

    template: str
    values: Mapping[str, Any]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Plain:
    """A body that is not HAL: a mapping as JSON, or text as it stands."""

    body: Mapping[str, Any] | str
    status: int = 200
    media: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """Server-sent events as they go over the wire, begun after the transaction is over.

    `leave` is called when the caller has gone; the frames end then.
    """

    frames: AsyncGenerator[bytes, None]
    leave: Callable[[], None]


@dataclass(frozen=True, slots=True)
class File:
    """Bytes that a caller may take a part of; read after the transaction is over."""

    media: str
    length: int
    read: Callable[[int, int], AsyncGenerator[bytes, None]]  # from the first up to the second
    etag: str  # of content that never changes under it
    name: str  # to save it under


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is a file: read as it comes, once, and never held whole."""

    content_type: str  # without parameters
    sent_as: str  # Content-Type as it came
    encoding: str  # Content-Encoding; empty where there is none
    length: int | None  # as announced
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions named by If-Match. None: the header was not sent; `any`: it was `*`."""

    versions: frozenset[int] | None = None
    any: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, for the few operations whose contract is about more than JSON (RFC 6749 forms)."""

    method: str
    path: str
    base: str  # scheme and host that the caller used
    host: str  # its name alone
    headers: Mapping[str, str]  # lower-case names
    query: Mapping[str, list[str]]
    form: Mapping[str, list[str]] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    sent: bool = False  # whether there was a body at all
