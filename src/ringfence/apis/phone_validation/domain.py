"""What is known of a phone number, by libphonenumber's data and by what the account has seen of it.

What cannot be known here is `unknown`. The score is the sum of the points of the signals that apply, at most 100.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType
from sqlalchemy import bindparam, delete, func
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.floor import do_not_call, numbers
from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.kernel.shapes import Nothing
from ringfence.store.columns import Moment
from ringfence.store.query import ACCOUNT, Statement, all_rows, change, mine, one
from ringfence.store.tables.floor import interactions

from .tables import phone_validations

UNKNOWN: Final = "unknown"
HOUR = 3600
LATELY = timedelta(days=30)
SHORT = timedelta(seconds=15)
KEPT = 48  # hours for which counts are kept
Status = Literal["HIGH_RISK", "SAFE", "SUSPICIOUS", "ERROR"]
LINE_TYPES = {
    getattr(PhoneNumberType, name): name.lower()
    for name in (
        "FIXED_LINE", "MOBILE", "FIXED_LINE_OR_MOBILE", "TOLL_FREE", "PREMIUM_RATE", "SHARED_COST", "VOIP",
        "PERSONAL_NUMBER", "PAGER", "UAN", "VOICEMAIL",
    )
}  # fmt: skip

COUNT = Statement(
    upsert(phone_validations)
    .values(account_id=ACCOUNT, number=bindparam("number"), hour=bindparam("hour"), count=1)
    .on_conflict_do_update(
        index_elements=[phone_validations.c.account_id, phone_validations.c.number, phone_validations.c.hour],
        set_={"count": phone_validations.c.count + 1},
    )
)
SINCE = Statement(
    mine(phone_validations, func.coalesce(func.sum(phone_validations.c.count), 0).label("count")).where(
        phone_validations.c.number == bindparam("number"), phone_validations.c.hour > bindparam("hour")
    )
)
CALLS = Statement(
    mine(interactions, interactions.c.started_at, interactions.c.ended_at)
    .where(
        interactions.c.contact_number == bindparam("number"),
        interactions.c.started_at >= bindparam("since", type_=Moment),
        interactions.c.ended_at.is_not(None),
    )
    .order_by(interactions.c.started_at.desc())
    .limit(100)
)
FORGET = Statement(delete(phone_validations).where(phone_validations.c.hour < bindparam("hour")), everywhere=True)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the signals look at."""

    valid: bool
    line_type: str
    do_not_call: bool
    validations: int  # in the last 24 hours, this one included
    calls: int = 0  # with it in the last 30 days …
    short_calls: int = 0  # … and those of them that were over within 15 seconds


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that makes a number suspicious: when it applies, and how much it weighs."""

    name: str
    points: int
    why: str
    applies: Callable[[Facts], bool]


SIGNALS = (
    Signal("invalid", 100, "No number of its country looks like this.", lambda f: not f.valid),
    Signal("premium_rate", 60, "Calling it costs extra.", lambda f: f.line_type == "premium_rate"),
    Signal("shared_cost", 30, "Calling it may cost extra.", lambda f: f.line_type == "shared_cost"),
    Signal("forwarded", 20, "Whoever holds it can be anywhere.", lambda f: f.line_type in ("personal_number", "pager")),
    Signal("do_not_call", 20, "A do-not-call list of the account holds it.", lambda f: f.do_not_call),
    Signal("validated_often", 30, "It was validated 20 times in 24 hours.", lambda f: 20 <= f.validations < 100),
    Signal(
        "short_calls", 30, "Most of its calls in 30 days were over within 15 seconds.",
        lambda f: f.calls >= 5 and f.short_calls > f.calls / 2,
    ),
    Signal("validated_in_bulk", 60, "It was validated 100 times in 24 hours.", lambda f: f.validations >= 100),
)  # fmt: skip
LIMITS: tuple[tuple[int, Status], ...] = ((75, "HIGH_RISK"), (40, "SUSPICIOUS"), (0, "SAFE"))


class Home(NamedTuple):
    """What libphonenumber's data says of a number."""

    valid: bool
    country: str
    region: str
    city: str
    timezone: str
    line_type: str
    carrier: str


class Verdict(NamedTuple):
    """Everything that is known of a number."""

    home: Home
    do_not_call: bool
    score: int
    status: Status
    signals: list[Signal]


def read(text: str) -> int:
    """A number in E.164 as digits, or a 400 that says what is wrong with it."""
    number = numbers.digits(text)
    if number is not None:
        return number
    if not text.startswith("+"):
        raise wrong("phone_number", "must begin with + and the country's code, as in +351210000000")
    if not numbers.E164.fullmatch(text):
        raise wrong("phone_number", "must be + and 7 to 15 digits, without spaces or other marks")
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise wrong("phone_number", "begins with the code of no country") from None
    raise wrong("phone_number", f"has a length that no number of the code +{parsed.country_code} has")


def home_of(number: int) -> Home:
    from phonenumbers import carrier, geocoder, timezone  # a second's worth of data, for this alone

    parsed = phonenumbers.parse(numbers.shown(number))
    country = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    valid = phonenumbers.is_valid_number(parsed)
    if not valid:
        return Home(False, _country(country), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
    place = geocoder.description_for_valid_number(parsed, "en")
    if place == geocoder.country_name_for_number(parsed, "en"):
        place = ""
    city, _, region = place.rpartition(", ")  # "Mountain View, CA", or one of the two alone
    zones = timezone.time_zones_for_number(parsed)
    return Home(
        valid=True,
        country=_country(country),
        region=region or UNKNOWN,
        city=city or UNKNOWN,
        timezone=zones[0] if len(zones) == 1 and zones[0] in numbers.zones() else UNKNOWN,
        line_type=LINE_TYPES.get(phonenumbers.number_type(parsed), UNKNOWN),
        carrier=carrier.name_for_number(parsed, "en") or UNKNOWN,
    )


def _country(code: str | None) -> str:
    return code if code and len(code) == 2 and code != "ZZ" else UNKNOWN


def judged(home: Home, *, listed: bool, validations: int, calls: int = 0, short_calls: int = 0) -> Verdict:
    """The signals that apply, their points together, and what they amount to."""
    facts = Facts(home.valid, home.line_type, listed, validations, calls, short_calls)
    found = [signal for signal in SIGNALS if signal.applies(facts)]
    score = min(100, sum(signal.points for signal in found))
    return Verdict(home, listed, score, next(word for least, word in LIMITS if score >= least), found)


async def validate(ctx: Ctx, text: str) -> Verdict:
    """Validate a number, and count that it was."""
    number = read(text)
    await change(ctx, COUNT, number=number, hour=_hour(ctx))
    listed = await do_not_call.listed(ctx, number)
    calls, short = await _calls_with(ctx, number)
    asked = await validations(ctx, number)
    return judged(home_of(number), listed=listed, validations=asked, calls=calls, short_calls=short)


async def _calls_with(ctx: Ctx, number: int) -> tuple[int, int]:
    """How many of the number's latest calls there were in 30 days, and how many of them were short."""
    since = ctx.now() - LATELY
    found = await all_rows(ctx, CALLS, number=numbers.shown(number), since=since)
    return len(found), sum(1 for row in found if row["ended_at"] - row["started_at"] < SHORT)


async def validations(ctx: Ctx, number: int) -> int:
    """How often the account had a number validated in the last 24 hours, this one begun included."""
    return int((await one(ctx, SINCE, number=number, hour=_hour(ctx) - 24))["count"])


def _hour(ctx: Ctx) -> int:
    return int(ctx.world.time() // HOUR)


async def forget(ctx: Ctx, args: Nothing) -> None:
    await ctx.db.run(FORGET, hour=_hour(ctx) - KEPT)


FORGET_COUNTS = Job("phone_validation.forget", Nothing, forget, every=HOUR)
