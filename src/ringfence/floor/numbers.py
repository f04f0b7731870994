"""Phone numbers in E.164 by libphonenumber's data: is it one, and what day is it there."""

import re
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
MALFORMED = "must be a phone number in E.164, as in +351210000000"


@cache
def _lengths(start: str) -> frozenset[int]:
    """How many digits a number that begins with these three may have; none where no country has them."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
    from phonenumbers.phonemetadata import PhoneMetadata

    for size in (1, 2, 3):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(start[:size]))
        if regions:
            found: set[int] = set()
            for region in regions:
                if region == "001":
                    known = PhoneMetadata.metadata_for_nongeo_region(int(start[:size]))
                else:
                    known = PhoneMetadata.metadata_for_region(region)
                if known is not None and known.general_desc is not None:
                    found.update(size + length for length in known.general_desc.possible_length)
            return frozenset(found)
    return frozenset()


def digits(text: str) -> int | None:
    """The number as digits without the plus; None where it is no possible number of any country."""
    if E164.fullmatch(text) is None or len(text) - 1 not in _lengths(text[1:4]):
        return None
    return int(text[1:])


def shown(number: int) -> str:
    return f"+{number}"


@lru_cache(4096)
def zone_of(number: int) -> str | None:
    """The time zone where a number is at home; None where that is not one."""
    import phonenumbers
    from phonenumbers.timezone import time_zones_for_number

    try:
        found = time_zones_for_number(phonenumbers.parse(shown(number)))
    except phonenumbers.NumberParseException:
        return None
    return found[0] if len(found) >= 1 and found[0] in zones() else None


@cache
def zones() -> frozenset[str]:
    """Every time zone that there is."""
    return frozenset(available_timezones())


def today(now: datetime, zone: str | None) -> date:
    """What day it is in a time zone (UTC where none is known)."""
    try:
        return now.astimezone(ZoneInfo(zone) if zone else UTC).date()
    except (ZoneInfoNotFoundError, ValueError):
        return now.astimezone(UTC).date()
