"""Wallets, buckets and meters as a file declares them, strictly, and amounts as exact decimals.

Inside, an amount is a whole number of millionths. It comes in as a whole number, as a text, or as the shortest decimal
that a float is written as; it goes out as that decimal again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, dataclass_transform

import msgspec

from .resources import RESOURCES

MILLION = 10**6
LONGEST = 24  # characters of an amount
LARGEST = 10**9  # units that an amount may be: a balance stays exact as JSON's numbers are commonly read
DEAREST = 10_000  # what a unit may cost
Name = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=200)]
Amount = int | float | str
Unit = Literal[
    "UNITS", "MINUTES", "SECONDS", "GB", "MB", "TRANSCRIPTIONS", "SEGMENTS", "REQUESTS", "NUMBERS", "PAGES",
    "SESSIONS", "CHARS",
]  # fmt: skip
Kind = Literal["FREE_UNITS", "TIER"]
Renews = Literal["NEVER", "MONTHLY"]
Rounding = Literal["EXACT", "STARTED"]
Whole = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; a key that it does not have is an error."""


class WalletTerms(Terms):
    """`balance` is what the file has put in in all: one that is raised is a top-up. Below `low` it is told."""

    name: Name
    product_name: Name
    balance: Amount = 0
    low: Amount | None = None


class BucketTerms(Terms, kw_only=True):
    """Units of a resource: `plafond` times `plafond_multiplier`, while it is effective, and again each month (UTC)
    where it renews.
    """

    charge_number: Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=100)]
    resource: str
    plafond: Amount
    plafond_multiplier: Amount = 1
    unit_of_measure: Unit | None = None  # the resource's first one where it is not said
    effective_start: Moment
    effective_end: Moment
    renews: Renews = "NEVER"
    type: Kind = "FREE_UNITS"
    tier: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    price: Amount | None = None  # of a unit
    properties: dict[str, str | bool | Whole] = {}


class MeterTerms(Terms):
    """How a resource is measured, and who pays for what no bucket holds. `STARTED`: a unit that is begun is used."""

    resource: str
    unit_of_measure: Unit | None = None
    rounding: Rounding = "EXACT"
    wallet: Name | None = None
    price: Amount = 0  # of a unit


def micros(amount: Amount, most: int = LARGEST) -> int:
    """An amount in millionths. Raises ValueError, with what is wrong with it."""
    # a float is what it is written as: the file said 0.1, and not the binary fraction next to it
    text = repr(amount) if isinstance(amount, float) else amount
    if isinstance(text, str) and len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    try:
        exact = Decimal(text)
    except InvalidOperation as why:
        raise ValueError(f"{amount!r} is no decimal number") from why
    if not exact.is_finite() or not 0 <= exact <= most:
        raise ValueError(f"must be from 0 to {most}")
    if exact * MILLION != int(exact * MILLION):
        raise ValueError("has more than six digits after the point")
    return int(exact * MILLION)


def shown(amount: int) -> float:
    """Millionths as the number that is written as exactly that decimal, where it has no more than 15 digits."""
    return amount / MILLION


def written(amount: int) -> str:
    """Millionths as text, exactly."""
    whole, rest = divmod(abs(amount), MILLION)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:06}".rstrip("0").rstrip(".")


def unit_of(terms: BucketTerms | MeterTerms) -> str:
    return terms.unit_of_measure or RESOURCES[terms.resource].unit


def complaints(
    wallets: Sequence[WalletTerms], buckets: Sequence[BucketTerms], meters: Sequence[MeterTerms], at: str
) -> list[str]:
    """What is wrong with them, each with the path of the key at fault."""
    found = [
        *_twice((one.name for one in wallets), f"{at}.wallets"),
        *_twice((one.charge_number for one in buckets), f"{at}.buckets"),
        *_twice((one.resource for one in meters), f"{at}.meters"),
    ]
    for index, wallet in enumerate(wallets):
        found += _amounts(wallet, f"{at}.wallets[{index}]", "balance", "low")
    for index, bucket in enumerate(buckets):
        found += _bucket(bucket, f"{at}.buckets[{index}]")
    known = {one.name for one in wallets}
    for index, meter in enumerate(meters):
        where = f"{at}.meters[{index}]"
        found += [*_measured(meter, where), *_amounts(meter, where, "price")]
        if meter.wallet is not None and meter.wallet not in known:
            found.append(f"{where}.wallet: {meter.wallet!r} is not a wallet of the account")
        if meter.wallet is None and meter.price:
            found.append(f"{where}.wallet: say which wallet pays the price")
    return found


def _bucket(bucket: BucketTerms, where: str) -> Iterator[str]:
    yield from _measured(bucket, where)
    yield from _amounts(bucket, where, "plafond", "plafond_multiplier", "price")
    for name in ("effective_start", "effective_end"):
        try:
            getattr(bucket, name).astimezone(UTC)
        except OverflowError:
            yield f"{where}.{name}: is not within the years 1 to 9999 in UTC"
    if bucket.effective_end <= bucket.effective_start:
        yield f"{where}.effective_end: must be after effective_start"
    if (bucket.type == "TIER") != (bucket.tier is not None):
        yield f"{where}.tier: a bucket of type TIER has one, and only such a bucket"
    if bucket.type == "FREE_UNITS" and bucket.price is not None:
        yield f"{where}.price: free units have none"


def _measured(terms: BucketTerms | MeterTerms, where: str) -> Iterator[str]:
    resource = RESOURCES.get(terms.resource)
    if resource is None:
        yield f"{where}.resource: {terms.resource!r} is none of {', '.join(RESOURCES)}"
    elif terms.unit_of_measure is not None and terms.unit_of_measure not in resource.units:
        yield f"{where}.unit_of_measure: {terms.resource} is measured in {' or '.join(resource.units)}"


def _amounts(terms: Terms, where: str, *names: str) -> Iterator[str]:
    for name in names:
        value: Any = getattr(terms, name)
        try:
            if value is not None:
                micros(value, DEAREST if name == "price" else LARGEST)
        except ValueError as why:
            yield f"{where}.{name}: {why}"


def _twice(values: Iterable[str], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield f"{path}: {value} is declared twice"
        seen.add(value)
