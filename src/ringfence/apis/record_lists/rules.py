"""When a record is one: the same rules for a request, a bulk and a row of a file."""

from typing import Any, NamedTuple

import msgspec

from ringfence.floor import numbers
from ringfence.floor.imports import Bad, Check, Good
from ringfence.store.csv_rows import BadFile
from ringfence.store.query import Row

TYPES = ("HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3")
PLAIN = (
    "first_name", "last_name", "timezone", "priority", "external_provider", "external_id", "external_url",
    "sync_external_id",
)  # fmt: skip
HIGHEST = 10
FROM_FILE, FROM_API = 5, 11  # the priority of those for whom nobody gives one
EXTRA = 16 * 1024  # bytes of extra data
DUPLICATE = Bad("PHONE_NUMBER_NOT_UNIQUE", "the list holds this number, or this external reference, already")
TRUE, FALSE = frozenset({"true", "1", "yes"}), frozenset({"", "false", "0", "no"})


class Wrong(NamedTuple):
    """What is wrong with a record: the contract's code, the member, and why."""

    code: str
    member: str
    why: str


class Fit(NamedTuple):
    """A record that may be stored, as it is kept."""

    numbers: list[int]
    phone_numbers: Any
    first_name: str
    last_name: str
    timezone: str | None
    priority: int
    external_provider: str | None
    external_id: str | None
    external_key: str | None
    external_url: str | None
    sync_external_id: bool
    extra_data: Any


def keys_of(fit: Fit, rule: str) -> list[Any]:
    """What may occur once in a list with this rule."""
    if rule == "PHONE_NUMBER":
        return list(fit.numbers)
    return [fit.external_key] if rule == "EXTERNAL" else []


def external_key(provider: str | None, id: str | None) -> str | None:
    return f"{provider}\n{id}" if provider and id else None


def checked(given: dict[str, Any], rule: str) -> Fit | list[Wrong]:
    """A record out of what a request says, or all that is wrong with it."""
    bad: list[Wrong] = []
    phones = given.get("phone_numbers")
    if phones is None and given.get("phone_number") is not None:
        phones = [{"phone_number": given["phone_number"], "phone_type": "HOME"}]
    found, shown = _phones(phones, bad)
    names = [_name(given, name, bad) for name in ("first_name", "last_name")]
    zone = given.get("timezone")
    if zone is not None and zone not in numbers.zones():
        bad.append(Wrong("TIMEZONE_INVALID", "timezone", "must be a time zone, as in Europe/Lisbon"))
    priority = given.get("priority")
    if priority is not None and (type(priority) is not int or not 1 <= priority <= 10):
        bad.append(Wrong("PRIORITY_INVALID", "priority", "must be a whole number from 1 to 10"))
    texts = {name: _text(given, name, most, bad) for name, most in
             (("external_provider", 255), ("external_id", 255), ("external_url", 2000))}  # fmt: skip
    key = external_key(texts["external_provider"], texts["external_id"])
    if rule == "EXTERNAL" and key is None:
        why = "external_provider and external_id must be given in this list"
        bad.append(Wrong("EXTERNAL_REF_MISSING", "external_id", why))
    sync = given.get("sync_external_id")
    if sync is not None and not isinstance(sync, bool):
        bad.append(Wrong("OTHER", "sync_external_id", "must be true or false"))
    extra = given.get("extra_data")
    if extra is not None and (not isinstance(extra, dict) or len(msgspec.json.encode(extra)) > EXTRA):
        bad.append(Wrong("OTHER", "extra_data", f"must be an object of at most {EXTRA} bytes"))
    if bad:
        return bad
    return Fit(
        found, shown, names[0], names[1], zone, FROM_API if priority is None else priority,
        texts["external_provider"], texts["external_id"], key if rule == "EXTERNAL" else None,
        texts["external_url"], bool(sync), extra or {},
    )  # fmt: skip


def _phones(given: Any, bad: list[Wrong]) -> tuple[list[int], list[dict[str, str]]]:
    if not isinstance(given, list) or not given:
        bad.append(Wrong("PHONE_NUMBER_MISSING", "phone_numbers", "must hold at least one number"))
        return [], []
    found: list[int] = []
    shown: list[dict[str, str]] = []
    for index, one in enumerate(given[:20]):
        text = one.get("phone_number") if isinstance(one, dict) else None
        kind = one.get("phone_type") if isinstance(one, dict) else None
        number = numbers.digits(text) if isinstance(text, str) else None
        where = f"phone_numbers[{index}]"
        if number is None:
            bad.append(Wrong("PHONE_NUMBER_INVALID", f"{where}.phone_number", numbers.MALFORMED))
        elif kind not in TYPES:
            bad.append(Wrong("OTHER", f"{where}.phone_type", f"must be one of {', '.join(TYPES)}"))
        elif number not in found:
            found.append(number)
            shown.append({"phone_number": f"+{number}", "phone_type": kind})
    return found, shown


def _name(given: dict[str, Any], name: str, bad: list[Wrong]) -> str:
    value = given.get(name)
    if value is None or value == "":
        bad.append(Wrong(f"{name.upper()}_MISSING", name, "must be given"))
    elif not isinstance(value, str) or not value.strip() or len(value) > 80:
        bad.append(Wrong(f"{name.upper()}_INVALID", name, "must have 1 to 80 characters"))
    return value if isinstance(value, str) else ""


def _text(given: dict[str, Any], name: str, most: int, bad: list[Wrong]) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most or "\n" in value:
        bad.append(Wrong("OTHER", name, f"must be a text of at most {most} characters in one line"))
        return None
    return value


def checker(columns: list[str], of: Row) -> Check:
    """How a row of a file is checked: every column that is not one of ours is extra data.

    Numbers are in `phone_number`, or in columns called by their kinds: home, office, mobile, extra_1 to extra_3.
    """
    phones = [(i, "HOME" if c == "phone_number" else c.upper()) for i, c in enumerate(columns)
              if c == "phone_number" or c.upper() in TYPES]  # fmt: skip
    for name in ("first_name", "last_name"):
        if name not in columns:
            raise BadFile(1, f"the column {name} is missing")
    if not phones:
        raise BadFile(1, f"a column with numbers is missing: phone_number, {', '.join(TYPES).lower()}")
    first, last, zone_at, priority_at, provider_at, id_at, url_at, sync_at = (
        columns.index(name) if name in columns else None for name in PLAIN
    )
    taken = {i for i, _ in phones}
    extras = [(i, c) for i, c in enumerate(columns) if c not in PLAIN and i not in taken]
    rule, digits, zones, encode = of["unique_identifier_type"], numbers.digits, numbers.zones(), msgspec.json.encode
    by_reference = rule == "EXTERNAL"
    assert first is not None  # noqa: S101 - both were looked for above
    assert last is not None  # noqa: S101

    def check(row: list[str]) -> Good | Bad:
        found: list[int] = []
        shown: list[str] = []
        for at, kind in phones:
            if text := row[at].strip():
                number = digits(text)
                if number is None:
                    return Bad("PHONE_NUMBER_INVALID", f"{columns[at]} {numbers.MALFORMED}")
                if number not in found:
                    found.append(number)
                    shown.append(f'{{"phone_number":"{text}","phone_type":"{kind}"}}')
        if not found:
            return Bad("PHONE_NUMBER_MISSING", "there is no phone number")
        given, family = row[first].strip(), row[last].strip()
        if not 0 < len(given) <= 80:
            return _bad_name("first_name", given)
        if not 0 < len(family) <= 80:
            return _bad_name("last_name", family)
        zone = row[zone_at].strip() if zone_at is not None else ""
        if zone and zone not in zones:
            return Bad("TIMEZONE_INVALID", "timezone must be a time zone, as in Europe/Lisbon")
        priority = row[priority_at].strip() if priority_at is not None else ""
        if priority and priority not in PRIORITIES:
            return Bad("PRIORITY_INVALID", "priority must be a whole number from 1 to 10")
        provider = row[provider_at].strip() if provider_at is not None else ""
        id = row[id_at].strip() if id_at is not None else ""
        url = row[url_at].strip() if url_at is not None else ""
        if len(provider) > 255 or len(id) > 255 or len(url) > 2000:
            return Bad("OTHER", "external_provider and external_id may have 255 characters, external_url 2000")
        key = external_key(provider, id) if by_reference else None
        if by_reference and key is None:
            return Bad("EXTERNAL_REF_MISSING", "external_provider and external_id must be given in this list")
        sync = row[sync_at].strip().casefold() if sync_at is not None else ""
        if sync not in FALSE and sync not in TRUE:
            return Bad("OTHER", "sync_external_id must be true or false")
        extra = encode({name: row[at] for at, name in extras}) if extras else b"{}"
        if len(extra) > EXTRA:
            return Bad("OTHER", f"extra data may have {EXTRA} bytes")
        fit = (
            found, f"[{','.join(shown)}]".encode(), given, family, zone or None, PRIORITIES[priority],
            provider or None, id or None, key, url or None, sync in TRUE, extra,
        )  # fmt: skip
        return Good(None, [key] if by_reference else (), fit, found)

    return check


PRIORITIES = {"": FROM_FILE} | {str(n): n for n in range(1, 11)}


def _bad_name(name: str, value: str) -> Bad:
    if value:
        return Bad(f"{name.upper()}_INVALID", f"{name} must have 1 to 80 characters")
    return Bad(f"{name.upper()}_MISSING", f"{name} is empty")
