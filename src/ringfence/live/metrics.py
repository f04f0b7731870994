"""Every figure that can be subscribed to: one row each, with what it counts, how, and by what it can be narrowed."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Dimension = Literal["", "ring_group", "team", "direction", "status", "user", "contact"]
Source = Literal["finished", "arrived", "queue", "contacts", "agents"]
Sums = Sequence[int]

MONTH = 31 * 86_400  # seconds that a range reaches back at most
ROWS = 1_000  # rows of a list at most
# what the sums of finished contacts hold, in this order; seconds where it is no count
SUMS = (
    "answered", "missed", "abandoned", "short_abandoned", "voicemail", "connected", "not_connected", "within", "wait",
    "talk", "hold", "wrap_up", "given_up",
)  # fmt: skip
(ANSWERED, MISSED, ABANDONED, SHORT, VOICEMAIL, CONNECTED, NOT_CONNECTED, WITHIN, WAIT, TALK, HOLD, WRAP_UP,
 GIVEN_UP) = range(len(SUMS))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """A filter or a parameter that a query takes: its default, the most that it may be, what it narrows."""

    name: str
    about: str
    default: Any = None
    limit: int | None = None
    json_map: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One figure. `figure` makes its value: of the sums and the longest wait of a range, or of who is there and now."""

    id: str
    name: str
    about: str
    unit: str
    source: Source
    by: Dimension
    figure: Callable[..., Any]
    filters: tuple[Given, ...]
    params: tuple[Given, ...] = ()
    ticks: bool = False  # whether it changes by itself from second to second


RING_GROUPS = Given("ring_groups", "Names of ring groups; of all where it is absent.", json_map=True)
TEAMS = Given("teams", "Names of the teams of agents.", json_map=True)
STATUSES = Given("statuses", "Agents' statuses, such as available or away_lunch.", json_map=True)
DIRECTIONS = Given("directions", "inbound, outbound.", json_map=True)
CHANNELS = Given("channels", "Channels of contacts; voice is the one that the floor has.", json_map=True)
SINCE = Given(
    "range__from",
    "From this instant until now, in the account's time zone unless it says its own; from midnight by default, and at"
    " most so many seconds ago.",
    default="today",
    limit=MONTH,
)
LAST = Given("range__interval", "The last so many seconds, instead of `from`.", limit=MONTH)
LIMIT = Given("limit", "Rows at most.", default=200, limit=ROWS)

QUEUED = (RING_GROUPS, CHANNELS, SINCE, LAST)
HANDLED = (RING_GROUPS, TEAMS, DIRECTIONS, CHANNELS, SINCE, LAST)
WAITING = (RING_GROUPS, CHANNELS)
GOING_ON = (RING_GROUPS, TEAMS, DIRECTIONS, CHANNELS)
AT_WORK = (RING_GROUPS, TEAMS, STATUSES)

KNOWN = {  # the same in every account
    "arrived_contacts": "7b8deafb74bf490288220fd3543b76af",
    "live_contacts_in_queue": "2fbf3f809fca4352a5b458da347a6f9f",
    "avg_handle_time": "35267ca0b4c6410895ddd45ad4043a0e",
    "service_level": "ab8e693f64d741e081d117197929c2d9",
    "live_users_logged_in_by_status": "2d3f540ccecb4776902bd317fe2e411d",
    "avg_wait_time_by_ring_group": "7c9178ff86eb4b51ad86f75f3fc5cfe4",
    "longest_wait_time_by_ring_group": "645cb1fe79a244a9a151592453d66c78",
    "answered_contacts": "4e9788986d6845cd8f0d25d31f849bdf",
    "missed_contacts": "91d2e348dbd64c4a8dde729356575c5d",
    "inbound_contacts": "b7c50e0ae810452181a1d7c7f14cf8ba",
}


def id_of(name: str) -> str:
    """32 hex digits: the one that is known, else one that follows from the name."""
    return KNOWN.get(name) or hashlib.md5(f"ringfence live {name}".encode(), usedforsecurity=False).hexdigest()


def inbound(sums: Sums) -> int:
    return sums[ANSWERED] + sums[ABANDONED] + sums[SHORT] + sums[MISSED] + sums[VOICEMAIL]


def handled(sums: Sums) -> int:
    return sums[ANSWERED] + sums[CONNECTED]


def mean(total: int, count: int) -> float:
    """Nothing to divide by: 0."""
    return round(total / count, 2) if count else 0.0


def rate(part: int, whole: int) -> float:
    """Percent."""
    return mean(100 * part, whole)


def one(index: int) -> Callable[[Sums, int], int]:
    return lambda sums, longest: sums[index]


def count(members: Sequence[Any], now: float) -> int:
    return len(members)


def longest_wait(members: Sequence[Any], now: float) -> int:
    """Whole seconds."""
    return max((int(now - one.since) for one in members), default=0)


# name, what it is, unit, source, dimensions beside none, filters, figure
Line = tuple[str, str, str, Source, tuple[Dimension, ...], tuple[Given, ...], Callable[..., Any]]
GROUPED: tuple[Dimension, ...] = ("", "ring_group")
LINES: tuple[Line, ...] = (
    ("inbound_contacts", "Inbound contacts that are over: answered, abandoned, missed, or sent to voicemail",
     "contacts", "finished", GROUPED, QUEUED, lambda sums, longest: inbound(sums)),
    ("arrived_contacts", "Inbound contacts that began to wait for an agent", "contacts",
     "arrived", GROUPED, QUEUED, one(0)),
    ("answered_contacts", "Inbound contacts that an agent answered", "contacts",
     "finished", GROUPED, HANDLED, one(ANSWERED)),
    ("missed_contacts", "Inbound contacts that nobody took, though they had not hung up", "contacts",
     "finished", GROUPED, QUEUED, one(MISSED)),
    ("abandoned_contacts", "Inbound contacts that hung up before an agent answered, short abandons not among them",
     "contacts", "finished", GROUPED, QUEUED, one(ABANDONED)),
    ("short_abandoned_contacts", "Inbound contacts that hung up within the threshold of short abandons", "contacts",
     "finished", GROUPED, QUEUED, one(SHORT)),
    ("voicemail_contacts", "Inbound contacts that nobody took and that left a message", "contacts",
     "finished", GROUPED, QUEUED, one(VOICEMAIL)),
    ("outbound_contacts", "Outbound contacts that are over, connected or not", "contacts",
     "finished", GROUPED, HANDLED, lambda sums, longest: sums[CONNECTED] + sums[NOT_CONNECTED]),
    ("connected_contacts", "Outbound contacts that an agent talked to", "contacts",
     "finished", GROUPED, HANDLED, one(CONNECTED)),
    ("not_connected_contacts", "Outbound contacts that were not reached", "contacts",
     "finished", GROUPED, HANDLED, one(NOT_CONNECTED)),
    ("abandon_rate", "Abandoned contacts of the inbound ones, short abandons not counted", "percent",
     "finished", GROUPED, QUEUED, lambda sums, longest: rate(sums[ABANDONED], inbound(sums) - sums[SHORT])),
    ("service_level", "Contacts answered within the threshold, of the inbound ones without short abandons", "percent",
     "finished", GROUPED, QUEUED, lambda sums, longest: rate(sums[WITHIN], inbound(sums) - sums[SHORT])),
    ("avg_wait_time", "Mean time that inbound contacts waited", "seconds",
     "finished", GROUPED, QUEUED, lambda sums, longest: mean(sums[WAIT], inbound(sums))),
    ("longest_wait_time", "Longest time that an inbound contact waited", "seconds",
     "finished", GROUPED, QUEUED, lambda sums, longest: longest),
    ("avg_abandon_time", "Mean time until a contact hung up, of the abandoned ones", "seconds",
     "finished", GROUPED, QUEUED, lambda sums, longest: mean(sums[GIVEN_UP], sums[ABANDONED])),
    ("avg_handle_time", "Mean time of talk, hold and after-call work, of handled contacts", "seconds",
     "finished", ("", "ring_group", "team", "direction"), HANDLED,
     lambda sums, longest: mean(sums[TALK] + sums[HOLD] + sums[WRAP_UP], handled(sums))),
    ("avg_talk_time", "Mean time of talk, of handled contacts", "seconds",
     "finished", GROUPED, HANDLED, lambda sums, longest: mean(sums[TALK], handled(sums))),
    ("avg_hold_time", "Mean time on hold, of handled contacts", "seconds",
     "finished", GROUPED, HANDLED, lambda sums, longest: mean(sums[HOLD], handled(sums))),
    ("live_contacts_in_queue", "Inbound contacts that wait now, those among them whose agent's phone rings",
     "contacts", "queue", GROUPED, WAITING, count),
    ("live_longest_wait_time", "How long the contact that waits the longest has been waiting", "seconds",
     "queue", GROUPED, WAITING, longest_wait),
    ("live_contacts", "Contacts that go on now: they wait, an agent's phone rings, or they talk", "contacts",
     "contacts", GROUPED, GOING_ON, count),
    ("live_users_logged_in", "Agents who are at work now, with whatever status", "agents",
     "agents", ("", "ring_group", "team", "status"), AT_WORK, count),
)  # fmt: skip


def _made() -> list[Query]:
    found = []
    for name, about, unit, source, dimensions, filters, figure in LINES:
        for by in dimensions:
            full = f"{name}_by_{by}" if by else name
            told = f"{about}, by {by.replace('_', ' ')}." if by else f"{about}."
            ticks = figure is longest_wait
            found.append(Query(id_of(full), full, told, unit, source, by, figure, filters, ticks=ticks))
    told = "Agents who are at work now: name, team, ring groups, status and since when, calls and how many they take."
    name = "live_users_list"
    found.append(Query(id_of(name), name, told, "list", "agents", "user", count, AT_WORK, (LIMIT,)))
    told = "Contacts that go on now: state and since when, direction, ring groups, agent."
    name = "live_contacts_list"
    found.append(Query(id_of(name), name, told, "list", "contacts", "contact", count, GOING_ON, (LIMIT,)))
    return found


QUERIES: dict[str, Query] = {query.id: query for query in _made()}
BY_NAME: dict[str, Query] = {query.name: query for query in QUERIES.values()}
