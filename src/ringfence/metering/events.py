"""What is told of wallets, buckets and meters. Amounts are whole millionths, quantities seconds, bytes or things."""

from datetime import datetime
from typing import Any, Literal

from ringfence.kernel.catalog import EventType
from ringfence.kernel.shapes import Shape

from .terms import Kind, Renews, Rounding, Unit

READS_WALLETS, READS_BUCKETS = "account-wallets:read", "bucket-configurations:read"


class WalletDeclared(Shape):
    """`declared` is all that the file has put in; a balance below `low` is told."""

    name: str
    product_name: str
    declared: int
    low: int | None


class WalletToppedUp(Shape):
    name: str
    amount: int
    reason: str


class BucketDeclared(Shape):
    id: str
    charge_number: str
    resource: str
    unit_of_measure: Unit
    plafond: int
    plafond_multiplier: int
    effective_start: datetime
    effective_end: datetime
    renews: Renews
    type: Kind
    tier: int | None
    price: int | None
    properties: dict[str, Any]


class MeterDeclared(Shape):
    resource: str
    unit_of_measure: Unit
    rounding: Rounding
    wallet: str | None
    price: int


class ThresholdReached(Shape):
    """So many percent of a bucket are used. `period` is a month, or empty where the bucket does not renew."""

    bucket_id: str
    charge_number: str
    resource: str
    percent: Literal[50, 80, 100]
    period: str
    used: int
    capacity: int


class WalletLow(Shape):
    """The balance of a wallet is below what was declared for it."""

    name: str
    balance: int
    low: int


WALLET_DECLARED = EventType("wallet.declared", WalletDeclared, "A wallet was declared", READS_WALLETS)
WALLET_TOPPED_UP = EventType("wallet.topped_up", WalletToppedUp, "A wallet was topped up", READS_WALLETS)
BUCKET_DECLARED = EventType("bucket.declared", BucketDeclared, "A bucket was declared", READS_BUCKETS)
METER_DECLARED = EventType("meter.declared", MeterDeclared, "It was declared how a resource is metered")
THRESHOLD_REACHED = EventType("usage.threshold_reached", ThresholdReached, "Much of a bucket was used", READS_BUCKETS)
WALLET_LOW = EventType("wallet.low", WalletLow, "The balance of a wallet became low", READS_WALLETS)
EVENTS = (WALLET_DECLARED, WALLET_TOPPED_UP, BUCKET_DECLARED, METER_DECLARED, THRESHOLD_REACHED, WALLET_LOW)
