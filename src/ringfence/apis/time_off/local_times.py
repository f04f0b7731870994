"""Local times of a file as moments: a handful of date formats, a time zone, and its changes of the clock."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from ringfence.kernel.problems import wrong

CLOCK = r"(?:[ T]([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?)?"
ORDERS = {"YYYY": r"(?P<year>[0-9]{4})", "MM": r"(?P<month>[0-9]{1,2})", "DD": r"(?P<day>[0-9]{1,2})"}
FORMATS = ("YYYY-MM-DD", "YYYY/MM/DD", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "MM-DD-YYYY", "DD.MM.YYYY")

OURS = ("localtime", "Factory")  # what some machines have beside the zones, whatever it is there


def _pattern(format: str) -> re.Pattern[str]:
    text = re.escape(format)
    for word, group in ORDERS.items():
        text = text.replace(word, group)
    return re.compile(text + CLOCK)


PATTERNS = {format: _pattern(format) for format in FORMATS}


class BadTime(ValueError):
    """Not a time of that zone; the message says why."""


def format_of(text: str) -> str:
    """A date format that we know; a time of day behind it (`YYYY-MM-DD HH:mm`) says nothing more. Raises a Fault."""
    found = re.split(r"[ T]", text.strip(), maxsplit=1)[0].upper()
    if found not in PATTERNS:
        raise wrong("date_format", f"must be one of {', '.join(FORMATS)}")
    return found


def zone_of(name: str) -> ZoneInfo:
    """Raises a Fault."""
    if name not in available_timezones() or name in OURS:
        raise wrong("time_zone", f"{name[:64]!r} is not a time zone (such as Europe/Lisbon)")
    return ZoneInfo(name)


def moment(text: str, format: str, zone: ZoneInfo, *, end: bool) -> datetime:
    """A local time in UTC. A date alone is the beginning of that day, or with `end` the end of it.

    A time that comes twice, when clocks are set back, is the first of the two, or with `end` the second; one that is
    left out, when clocks are set forward, is a BadTime.
    """
    match = PATTERNS[format].fullmatch(text.strip())
    if match is None:
        raise BadTime(f"must be {format}, with HH:MM or HH:MM:SS behind it, not {text.strip()[:40]!r}")
    *_, hour, minute, second = match.groups()
    try:
        local = datetime(int(match["year"]), int(match["month"]), int(match["day"]))
        if hour is None:
            return _utc((local + timedelta(days=1) if end else local).replace(tzinfo=zone))
        local = local.replace(hour=int(hour), minute=int(minute), second=int(second or 0), fold=int(end))
        found = _utc(local.replace(tzinfo=zone))
    except (ValueError, OverflowError) as why:
        raise BadTime(f"{text.strip()[:40]!r} is no date") from why
    if found.astimezone(zone).replace(tzinfo=None) != local.replace(fold=0):
        raise BadTime(f"{text.strip()[:40]!r} does not exist in {zone.key}: the clocks are set forward then")
    return found


def _utc(local: datetime) -> datetime:
    return local.astimezone(UTC)
