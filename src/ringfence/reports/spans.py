"""The time that a report is about: from, to, and the zone of both (contract: data_and_events.md section 1.1)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from ringfence.kernel.problems import wrong
from ringfence.store.dump import offsets

LIMIT = timedelta(days=31)  # by the clock on the wall, so that every month fits
FORM = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?) ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
FIRST, LAST = 1970, 9998  # years


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment on, and before another; both in UTC."""

    zone: ZoneInfo
    starts: datetime
    ends: datetime


def span(timezone: str, start: str, end: str, *, where: str = "timespan", limit: timedelta = LIMIT) -> Span:
    """What was asked for. Raises a Fault that names the member."""
    zone = zone_of(timezone)
    found = Span(zone, moment(start, zone, f"{where}.from"), moment(end, zone, f"{where}.to"))
    if found.starts >= found.ends:
        raise wrong(f"{where}.to", "must be after `from`")
    if wall(found.ends, zone) - wall(found.starts, zone) > limit:
        part = "a month" if limit is LIMIT else "less"
        raise wrong(f"{where}.to", f"must be at most {limit.days} days after `from`: ask for {part} at a time")
    return found


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_of(name: str) -> ZoneInfo:
    """An IANA time zone by its name. Raises a Fault naming `timezone`."""
    if name not in _zones():
        raise wrong("timezone", "is not the name of an IANA time zone, as in Europe/Lisbon or UTC")
    return ZoneInfo(name)


def moment(text: str, zone: ZoneInfo, name: str) -> datetime:
    """A date, or a date and a time; without a zone of its own it is meant in `zone`. In UTC."""
    form = FORM.fullmatch(text.strip())
    if form is None:
        raise wrong(name, "must be a date and a time, as in 2026-01-05T09:00:00Z, or without Z in the asked time zone")
    own = (form["zone"] or "").replace("UTC", "Z")
    try:
        found = datetime.fromisoformat(f"{form['day']}T{form['time'] or '00:00'}{own}")
    except ValueError as why:
        raise wrong(name, "is no date that there is, or no time") from why
    if not FIRST <= found.year <= LAST:
        raise wrong(name, f"must be within the years {FIRST} to {LAST}")
    return found.astimezone(UTC) if found.tzinfo is not None else instant(found, zone)


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When clocks on the wall show a time: the first time where they do so twice, the leap where they never do."""
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if wall(found, zone) == local:
        return found
    leaps = [end for end, _ in offsets(zone, found - timedelta(days=1), found + timedelta(days=1))[:-1] if end <= found]
    return leaps[-1] if leaps else found


def wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)
