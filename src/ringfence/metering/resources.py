"""What can be used: each resource, what of the event log counts, and the units that it may be measured in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Told = Mapping[str, Any]  # the data of an event
Count = Callable[[Told], int]  # seconds, bytes or things; 0 where an event does not count

TIME = {"MINUTES": 60, "SECONDS": 1}
SIZE = {"MB": 10**6, "GB": 10**9}
THINGS = {"UNITS": 1}


@dataclass(frozen=True, slots=True)
class Resource:
    """`units` are the units of measure that it may have, with how many seconds, bytes or things are in one.

    `counts` is what an event comes to, by the event's type.
    """

    name: str
    title: str
    units: Mapping[str, int]
    counts: Mapping[str, Count]

    @property
    def base(self) -> str:
        """What it is counted in: `s`, `bytes` or nothing."""
        return "s" if self.units is TIME else "bytes" if self.units is SIZE else ""

    @property
    def unit(self) -> str:
        """The unit that it has where none is declared."""
        return next(iter(self.units))


def _once(told: Told) -> int:
    return 1


def _member(name: str) -> Count:
    return lambda told: int(told[name])


def _if(name: str, value: str, count: Count) -> Count:
    return lambda told: count(told) if told[name] == value else 0


def _requests(told: Told) -> int:
    return sum(one["count"] for one in told["uses"])


CALL_ENDED, REPORT_FINISHED = "call.ended", "report.finished"  # as reports, the floor and others name them
RESOURCES = {
    one.name: one
    for one in (
        Resource("voice_calls", "calls that are over", THINGS | {"SESSIONS": 1}, {CALL_ENDED: _once}),
        Resource("voice_talk_time", "time that agents and contacts talked", TIME, {CALL_ENDED: _member("talk_time")}),
        Resource("voice_total_time", "time from the start of calls to their end", TIME,
                 {CALL_ENDED: _member("total_time")}),
        Resource("callbacks", "callbacks that came about", THINGS,
                 {"callback.changed": _if("state", "completed", _once)}),
        Resource("recordings", "recordings that were made", THINGS, {"recording.created": _once}),
        Resource("recorded_time", "length of the recordings that were made", TIME,
                 {"recording.created": _member("duration")}),
        Resource("api_requests", "requests that the fence let in", {"REQUESTS": 1} | THINGS,
                 {"usage.flushed": _requests}),
        Resource("webhook_deliveries", "deliveries that arrived", THINGS | {"REQUESTS": 1},
                 {"webhook.tallied": _member("delivered")}),
        Resource("webhook_attempts", "attempts to deliver", {"REQUESTS": 1} | THINGS,
                 {"webhook.tallied": _member("attempts")}),
        Resource("reports", "reports that were written", THINGS, {REPORT_FINISHED: _if("status", "done", _once)}),
        Resource("report_rows", "rows of reports that were written", THINGS,
                 {REPORT_FINISHED: _if("status", "done", _member("rows"))}),
        Resource("report_size", "size of reports that were written", SIZE,
                 {REPORT_FINISHED: _if("status", "done", _member("bytes"))}),
        Resource("messages", "messages that were sent or came in", THINGS | {"SEGMENTS": 1},
                 {"message.exchanged": _once}),
        Resource("survey_answers", "surveys that were answered", THINGS, {"survey.answered": _once}),
    )
}  # fmt: skip

# event type -> the resources that it uses, with what it comes to
COUNTED: dict[str, list[tuple[str, Count]]] = {}
for _resource in RESOURCES.values():
    for _type, _count in _resource.counts.items():
        COUNTED.setdefault(_type, []).append((_resource.name, _count))
