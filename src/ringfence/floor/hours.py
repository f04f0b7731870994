"""Business hours: whether an account is open at a moment, by the wall clock of the hours' own time zone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ringfence.store.statement import Row

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def is_open(row: Row, at: datetime) -> bool:
    """Whether hours (a row of `business_hours`) are on. Spans are from a minute up to, not including, another."""
    local = at.astimezone(ZoneInfo(row["timezone"]))
    if local.date().isoformat() in row["closed_on"]:
        return False
    minute = f"{local.hour:02}:{local.minute:02}"
    return any(start <= minute < end for start, end in row["week"].get(DAYS[local.weekday()], ()))


def complaints(week: Mapping[Any, Sequence[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """What is wrong with the spans of a week, as (day, sentence). Times are `HH:MM`, `24:00` the end of a day."""
    for day, spans in week.items():
        before = ""
        for start, end in sorted(spans):
            if start >= end:
                yield day, f"{start} is not before {end}; a night is two spans, up to 24:00 and from 00:00 on"
            elif start < before:
                yield day, f"{start} to {end} overlaps the span before it"
            before = max(before, end)
