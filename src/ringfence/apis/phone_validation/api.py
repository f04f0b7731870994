"""The Phone Validation API as the world sees it. A validation is counted, so the GET writes."""

from typing import ClassVar, Literal

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape

from . import domain
from .domain import UNKNOWN, Status

READ = Scope("identity-phone-validation:read", "See what is known of a phone number, and how risky it looks")
Word = Literal["yes", "no", "unknown"]


class RiskSignal(Shape):
    """A signal that applies to a number, and its part of the score."""

    name: str
    points: int
    description: str


class Validation(Shape):
    """What is known of a number; `country` is ISO 3166, the score goes from 0 to 100."""

    id: str
    phone_number: str
    valid: bool
    active: Word
    carrier: str
    country: str
    region: str
    city: str
    zip_code: str
    timezone: str
    name: str
    line_type: str
    prepaid: Word
    voip: Word
    do_not_call: Word
    leaked: Word
    recent_abuse: Word
    risky: Word
    spammer: Word
    tcpa_blacklist: Word
    fraud_score: int
    status: Status
    signals: list[RiskSignal]


class Validated(Shape):
    embedded: Validation = msgspec.field(name="_embedded")
    links: ClassVar = {"self": "/identity/phonevalidations/{embedded.phone_number}"}


class Stats(Shape):
    """How often the account had a number validated."""

    phone_number: str
    number_validations_last_24h: int


class Counted(Shape):
    embedded: Stats = msgspec.field(name="_embedded")
    links: ClassVar = {"self": "/identity/phonevalidations/{embedded.phone_number}/stats"}


def word(known: bool) -> Word:
    return "yes" if known else "no"


async def validate_number(ctx: Ctx, phone_number: str) -> Validated:
    """Validate a phone number

    By libphonenumber's data, the account's do-not-call lists, and how often the number was asked about. What cannot
    be known of it is `unknown`; `signals` explain the score.
    """
    found = await domain.validate(ctx, phone_number)
    home = found.home
    return Validated(
        embedded=Validation(
            id=ctx.new_key(),
            phone_number=phone_number,
            valid=home.valid,
            active=UNKNOWN if home.valid else "no",
            carrier=home.carrier,
            country=home.country,
            region=home.region,
            city=home.city,
            zip_code=UNKNOWN,
            timezone=home.timezone,
            name=UNKNOWN,
            line_type=home.line_type,
            prepaid=UNKNOWN,
            voip="yes" if home.line_type == "voip" else UNKNOWN,
            do_not_call=word(found.do_not_call),
            leaked=UNKNOWN,
            recent_abuse=UNKNOWN,
            risky=word(found.status != "SAFE"),
            spammer=UNKNOWN,
            tcpa_blacklist=UNKNOWN,
            fraud_score=found.score,
            status=found.status,
            signals=[RiskSignal(name=s.name, points=s.points, description=s.why) for s in found.signals],
        )
    )


async def count_validations(ctx: Ctx, phone_number: str) -> Counted:
    """See how often a number was validated in the last 24 hours"""
    count = await domain.validations(ctx, domain.read(phone_number))
    return Counted(embedded=Stats(phone_number=phone_number, number_validations_last_24h=count))


PATH = "/identity/phonevalidations/{phone_number}"
API = Api(
    name="phone_validation",
    title="Phone Validation API",
    about="Whether a phone number can be right, and how risky it looks.",
    scopes=(READ,),
    jobs=(domain.FORGET_COUNTS,),
    operations=(
        Operation("GET", PATH, READ, validate_number, writes=True),
        Operation("GET", f"{PATH}/stats", READ, count_validations),
    ),
)
