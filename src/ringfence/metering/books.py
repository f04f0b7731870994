"""An account's books: what events come to, one after another. They follow from the event log alone.

What is used is taken from free units first, those that end soonest before the others; then from the tiers in their
order, at the price of each; what is left costs what the meter says. A wallet may become negative: nobody is cut off.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from ringfence.kernel.catalog import EventType
from ringfence.store.query import Row

from .events import (
    BUCKET_DECLARED,
    METER_DECLARED,
    THRESHOLD_REACHED,
    WALLET_DECLARED,
    WALLET_LOW,
    WALLET_TOPPED_UP,
    BucketDeclared,
    MeterDeclared,
    ThresholdReached,
    WalletLow,
)
from .resources import COUNTED, RESOURCES
from .terms import MILLION

PERCENTS = (50, 80, 100)
ENDLESS = 2**62  # seconds, bytes or things: as much as can be counted


class Meter(msgspec.Struct, frozen=True):
    """`step` is how much a unit is, in seconds, bytes or things; `started` says that it is used once it is begun."""

    step: int
    started: bool = False
    wallet: str | None = None
    price: int = 0


class Bucket(msgspec.Struct):
    """`drawn` holds what has been drawn from it, by period."""

    charge_number: str
    resource: str
    step: int
    capacity: int
    start: datetime
    end: datetime
    monthly: bool
    tier: int | None
    price: int
    drawn: dict[str, int] = {}

    def period(self, day: str) -> str:
        return day[:7] if self.monthly else ""


class Wallet(msgspec.Struct):
    """In millionths. `changed_at` is when something was last put in or taken out."""

    declared: int = 0
    added: int = 0
    spent: int = 0
    low: int | None = None
    changed_at: datetime | None = None

    @property
    def balance(self) -> int:
        return self.declared + self.added - self.spent

    @property
    def is_low(self) -> bool:
        return self.low is not None and self.balance < self.low


class LineOf(NamedTuple):
    """What a line of the ledger is about. `bucket` is empty beyond every bucket, `wallet` where nobody pays."""

    day: str
    resource: str
    bucket: str
    wallet: str


class Told(NamedTuple):
    """Something to be told because of an event: with an id that follows from it, so that it is told once."""

    id: str
    what: EventType
    key: str
    data: Any
    because: Row


@dataclass(slots=True)
class Entries:
    """What events come to beside the books: quantity and cost by line, wallets that changed, what is to be told."""

    lines: dict[LineOf, list[int]] = field(default_factory=dict)
    wallets: set[str] = field(default_factory=set)
    told: list[Told] = field(default_factory=list)

    def add(self, line: LineOf, quantity: int, cost: int) -> None:
        sums = self.lines.setdefault(line, [0, 0])
        sums[0] += quantity
        sums[1] += cost


class Books(msgspec.Struct):
    """`place` is that of the last event that is in them."""

    place: int = 0
    meters: dict[str, Meter] = {}
    buckets: dict[str, Bucket] = {}  # by id
    wallets: dict[str, Wallet] = {}  # by name

    def hear(self, event: Row, entries: Entries) -> None:
        """One event of the account, in the order of the log."""
        self.place = event["place"]
        name, told = event["type"], event["data"]
        if name in COUNTED:
            for resource, count in COUNTED[name]:
                if quantity := count(told):
                    self._use(resource, quantity, event, entries)
        elif name == METER_DECLARED.name:
            self._meter(msgspec.convert(told, MeterDeclared))
        elif name == BUCKET_DECLARED.name:
            self._bucket(msgspec.convert(told, BucketDeclared), event, entries)
        elif name == WALLET_DECLARED.name:
            self._put_in(told["name"], event, entries, declared=told["declared"], low=told["low"])
        elif name == WALLET_TOPPED_UP.name:
            wallet = self.wallets.get(told["name"], Wallet())
            self._put_in(told["name"], event, entries, added=wallet.added + told["amount"])

    # what is declared

    def _meter(self, told: MeterDeclared) -> None:
        step = RESOURCES[told.resource].units[told.unit_of_measure]
        self.meters[told.resource] = Meter(step, told.rounding == "STARTED", told.wallet, told.price)

    def _bucket(self, told: BucketDeclared, event: Row, entries: Entries) -> None:
        step = RESOURCES[told.resource].units[told.unit_of_measure]
        before = self.buckets.get(told.id)
        now = Bucket(
            charge_number=told.charge_number,
            resource=told.resource,
            step=step,
            capacity=min(told.plafond * told.plafond_multiplier * step // MILLION**2, ENDLESS),
            start=told.effective_start,
            end=told.effective_end,
            monthly=told.renews == "MONTHLY",
            tier=told.tier,
            price=told.price or 0,
            drawn=before.drawn if before is not None else {},
        )
        self.buckets[told.id] = now
        period = now.period(event["at"].date().isoformat())
        if before is not None and before.monthly == now.monthly and (drawn := now.drawn.get(period, 0)):
            _tell(told.id, now, period, (drawn, before.capacity), drawn, event, entries)

    def _put_in(self, name: str, event: Row, entries: Entries, **facts: Any) -> None:
        before = self.wallets.get(name, Wallet())
        after = self.wallets[name] = msgspec.structs.replace(before, **facts)
        if after.balance != before.balance:
            _touch(after, event)
        entries.wallets.add(name)
        if after.is_low and not before.is_low:
            _tell_low(name, after, event, entries)

    # what is used

    def _use(self, resource: str, quantity: int, event: Row, entries: Entries) -> None:
        meter = self.meters.get(resource) or Meter(next(iter(RESOURCES[resource].units.values())))
        left = -(-quantity // meter.step) * meter.step if meter.started else quantity
        day, at = event["at"].date().isoformat(), event["at"]
        for id, bucket in self._open(resource, at):
            period = bucket.period(day)
            drawn = bucket.drawn.get(period, 0)
            part = min(left, bucket.capacity - drawn)
            if part > 0:
                bucket.drawn[period] = drawn + part
                left -= part
                wallet, cost = self._pay(meter.wallet, bucket.price, part, bucket.step, event, entries)
                entries.add(LineOf(day, resource, id, wallet), part, cost)
                _tell(id, bucket, period, (drawn, bucket.capacity), drawn + part, event, entries)
        if left:
            wallet, cost = self._pay(meter.wallet, meter.price, left, meter.step, event, entries)
            entries.add(LineOf(day, resource, "", wallet), left, cost)

    def _open(self, resource: str, at: datetime) -> Iterable[tuple[str, Bucket]]:
        """The buckets that hold units of a resource at a moment, in the order in which they are drawn from."""
        found = [
            (one.tier or 0, one.end, one.charge_number, id, one)
            for id, one in self.buckets.items()
            if one.resource == resource and one.start <= at < one.end
        ]
        found.sort()
        return [(id, one) for _, _, _, id, one in found]

    def _pay(
        self, name: str | None, price: int, quantity: int, step: int, event: Row, entries: Entries
    ) -> tuple[str, int]:
        """Take the cost, rounded half up to a millionth, out of a wallet. Whose it was, and how much."""
        cost = (2 * price * quantity + step) // (2 * step)
        wallet = self.wallets.get(name) if name is not None else None
        if name is None or wallet is None or not cost:
            return "", 0
        was_low = wallet.is_low
        wallet.spent += cost
        _touch(wallet, event)
        entries.wallets.add(name)
        if wallet.is_low and not was_low:
            _tell_low(name, wallet, event, entries)
        return name, cost


def _touch(wallet: Wallet, event: Row) -> None:
    at = event["at"]
    wallet.changed_at = at if wallet.changed_at is None else max(at, wallet.changed_at)


def _tell(
    id: str, bucket: Bucket, period: str, before: tuple[int, int], drawn: int, event: Row, entries: Entries
) -> None:
    """Tell of each share of a bucket that is reached now and was not before; `before`: drawn, of which capacity."""
    if not bucket.capacity:
        return
    for percent in PERCENTS:
        reached = drawn * 100 >= bucket.capacity * percent
        if reached and not (before[1] and before[0] * 100 >= before[1] * percent):
            data = ThresholdReached(
                bucket_id=id,
                charge_number=bucket.charge_number,
                resource=bucket.resource,
                percent=percent,  # type: ignore[arg-type]
                period=period,
                used=drawn,
                capacity=bucket.capacity,
            )
            entries.told.append(_because(event, THRESHOLD_REACHED, id, f"{period} {percent}", data))


def _tell_low(name: str, wallet: Wallet, event: Row, entries: Entries) -> None:
    data = WalletLow(name=name, balance=wallet.balance, low=wallet.low or 0)
    entries.told.append(_because(event, WALLET_LOW, name, "", data))


def _because(event: Row, what: EventType, key: str, which: str, data: Any) -> Told:
    told = f"{event['id']} {what.name} {key} {which}"
    id = blake2b(told.encode(), digest_size=16).hexdigest()
    return Told(id, what, key, msgspec.to_builtins(data), event)
