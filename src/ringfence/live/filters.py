"""What a subscription asks of a query: filters and parameters as they were sent, and what they come to."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ringfence.kernel.problems import Fault, FieldError, Problem
from ringfence.kernel.shapes import Shape

from .metrics import MONTH, QUERIES, Query

REFUSED = Problem("invalid_subscription", 422, "The subscription asks for what cannot be served.")
NAMES = 200  # values of one filter at most
DIRECTIONS = {"inbound": "IN", "outbound": "OUT"}


class Entry(Shape):
    """One query of a subscription as it is stored; `error` says why it is computed no more."""

    id: str
    query_id: str
    metadata: dict[str, Any]
    params: dict[str, Any]
    filters: dict[str, Any]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The range of a figure, until now: `today`, the last `seconds`, or from an instant (seconds since 1970) on."""

    kind: Literal["today", "interval", "from"] = "today"
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Selection:
    """What the filters leave. None: everything; `none`: nothing at all."""

    span: Span = Span()
    ring_groups: frozenset[str] | None = None
    teams: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    directions: frozenset[str] | None = None  # IN, OUT
    none: bool = False
    limit: int = 0


def refused(name: str, why: str) -> Fault:
    """A 422 that names the field at fault."""
    return Fault(REFUSED, f"{name}: {why}", fields=(FieldError(name, why),))


def midnight(zone: ZoneInfo, now: float) -> float:
    """When today began, in seconds since 1970: the first instant that bears the date."""
    local = datetime.fromtimestamp(now, zone)
    return datetime(local.year, local.month, local.day, tzinfo=zone).timestamp()


def next_midnight(zone: ZoneInfo, now: float) -> float:
    """When today will be over."""
    tomorrow = datetime.fromtimestamp(now, zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).timestamp()


def start_of(span: Span, zone: ZoneInfo, now: float) -> float:
    match span.kind:
        case "today":
            return midnight(zone, now)
        case "interval":
            return now - span.value
        case _:
            return span.value


def checked(where: str, wanted: dict[str, Any], *, zone: ZoneInfo, now: float, ring_groups: set[str]) -> Entry:
    """An entry of what was asked for: `id` of the query, `metadata`, `params`, `filters`. Raises a 422 by field.

    `where` is the path of it in the request; `ring_groups` are those that the account has.
    """
    query = QUERIES.get(wanted["id"])
    if query is None:
        raise refused(f"{where}.id", "there is no such query; GET /live-queries lists them")
    filters, params = wanted["filters"], wanted["params"]
    selection = read(query, filters, params, zone=zone, where=where)
    start = start_of(selection.span, zone, now)
    if now - start > MONTH + 1:
        raise refused(f"{where}.filters.range.from", f"may be at most {MONTH} seconds ago")
    for name in sorted((selection.ring_groups or frozenset()) - ring_groups):
        raise refused(f"{where}.filters.ring_groups", f"there is no ring group {name!r}")
    params = {one.name: params.get(one.name, one.default) for one in query.params}
    return Entry(id="", query_id=query.id, metadata=wanted["metadata"], params=params, filters=filters)


def read(
    query: Query, filters: dict[str, Any], params: dict[str, Any], *, zone: ZoneInfo, where: str = ""
) -> Selection:
    """What filters and parameters come to. Raises a 422 naming what is wrong with them."""
    there, also = f"{where}.filters".lstrip("."), f"{where}.params".lstrip(".")
    taken = {one.name for one in query.filters}
    flat = _flat(filters, there)
    for name in flat:
        if name not in taken and name != "range__type":
            raise refused(f"{there}.{name.replace('__', '.')}", f"{query.name} has no such filter")
    for name in params:
        if name not in {one.name for one in query.params}:
            raise refused(f"{also}.{name}", f"{query.name} has no such parameter")
    limit = 0
    for one in query.params:
        limit = params.get(one.name, one.default)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= (one.limit or 0):
            raise refused(f"{also}.{one.name}", f"must be a number from 1 to {one.limit}")
    names = {name: _names(flat, name, there) for name in taken if not name.startswith("range__")}
    channels, directions = names.get("channels"), names.get("directions")
    if directions is not None and (strange := sorted(directions - set(DIRECTIONS))):
        raise refused(f"{there}.directions", f"must be of {', '.join(DIRECTIONS)}, not {strange[0]!r}")
    return Selection(
        span=_span(flat, there, zone) if "range__from" in taken else Span(),
        ring_groups=names.get("ring_groups"),
        teams=names.get("teams"),
        statuses=names.get("statuses"),
        directions=None if directions is None else frozenset(DIRECTIONS[one] for one in directions),
        none=channels is not None and "voice" not in channels,
        limit=limit,
    )


def _flat(filters: dict[str, Any], there: str) -> dict[str, Any]:
    """`range: {from: …}` as `range__from`, which is how descriptors spell it, and may be sent."""
    found: dict[str, Any] = {}
    for name, value in filters.items():
        if name == "range":
            if not isinstance(value, dict):
                raise refused(f"{there}.range", "must be an object with `from` or `interval`")
            found |= {f"range__{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found


def _names(flat: dict[str, Any], name: str, there: str) -> frozenset[str] | None:
    value = flat.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) and len(one) <= 255 for one in value):
        raise refused(f"{there}.{name}", "must be an array of names")
    if not 1 <= len(value) <= NAMES:
        raise refused(f"{there}.{name}", f"must hold 1 to {NAMES} names")
    return frozenset(value)


def _span(flat: dict[str, Any], there: str, zone: ZoneInfo) -> Span:
    given = {name.removeprefix("range__"): value for name, value in flat.items() if name.startswith("range__")}
    kind = given.pop("type", None)
    if kind is None:
        kind = next((name for name in ("interval", "from") if given.get(name) is not None), "today")
    if kind == "interval":
        seconds = given.get("interval")
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= MONTH:
            raise refused(f"{there}.range.interval", f"must be a number of seconds from 1 to {MONTH}")
        return Span("interval", float(seconds))
    if kind == "from":
        text = given.get("from")
        try:
            at = datetime.fromisoformat(text) if isinstance(text, str) else None
            if at is not None:
                return Span("from", at.replace(tzinfo=at.tzinfo or zone).timestamp())
        except (ValueError, OverflowError):
            pass
        raise refused(f"{there}.range.from", "must be an instant, as in 2026-01-05 09:00:00.000")
    if kind != "today" or flat.get("range__type") is not None:
        raise refused(f"{there}.range.type", "must be interval or from")
    return Span()
