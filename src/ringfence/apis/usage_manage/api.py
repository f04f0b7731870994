"""The Usage-Manage API as the world sees it (contract: voice_and_guardian.md section 7)."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Page, PageQuery, Shape
from ringfence.metering.terms import Unit, shown
from ringfence.store.query import Row

from . import domain

WALLETS = Scope("account-wallets:read", "See wallets and what is left in them")
BUCKETS = Scope("bucket-configurations:read", "See how much may be used, and at what price")
Asked = Annotated[str, msgspec.Meta(max_length=2000)]


class Wallet(Shape):
    """`balance` is what was put in less what has been used; it may be negative."""

    name: str
    product_name: str
    balance: float
    account_id: str
    created_at: datetime
    updated_at: datetime
    links: ClassVar = {"self": "/account/wallets/{name}"}
    example: ClassVar = {
        "name": "voice",
        "product_name": "Voice",
        "balance": 412.35,
        "account_id": "5f0000000000000000000a00",
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:05:31Z",
    }


class BucketConfiguration(Shape):
    """A bucket holds `plafond` times `plafond_multiplier` units of a resource."""

    id: str
    account_id: str
    charge_number: str
    plafond: float
    plafond_multiplier: float
    effective_start: datetime
    effective_end: datetime
    resource: str
    unit_of_measure: Unit
    properties: dict[str, Any]
    status: Literal["ACTIVE", "TERMINATED", "UPCOMING"]
    type: Literal["FREE_UNITS", "TIER"]
    tier: int | None
    created_at: datetime
    example: ClassVar = {
        "id": "0190d3b1-c2a4-7001-80c1-d2e3f4a5b6c7",
        "account_id": "5f0000000000000000000a00",
        "charge_number": "VOICE-FREE",
        "plafond": 1000.0,
        "plafond_multiplier": 1.0,
        "effective_start": "2026-01-01T00:00:00Z",
        "effective_end": "2027-01-01T00:00:00Z",
        "resource": "voice_talk_time",
        "unit_of_measure": "MINUTES",
        "properties": {"renews": "MONTHLY"},
        "status": "ACTIVE",
        "type": "FREE_UNITS",
        "tier": None,
        "created_at": "2026-01-05T09:00:00Z",
    }


class WalletQuery(PageQuery):
    """`filter` and `order_by` name members of a wallet, as in `balance lt 10` and `balance desc, name`."""

    filter: Asked | None = None
    order_by: Asked | None = None


class BucketQuery(PageQuery):
    """`ACTIVE` lists those that are effective now."""

    status: Literal["ACTIVE", "ALL"] = "ACTIVE"


def _wallet(row: Row) -> Wallet:
    return Wallet(
        name=row["name"],
        product_name=row["product_name"],
        balance=shown(row["declared"] + row["added"] - row["spent"]),
        account_id=row["account_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _bucket(row: Row, now: datetime) -> BucketConfiguration:
    priced = {"price": shown(row["price"])} if row["price"] is not None else {}
    return BucketConfiguration(
        plafond=shown(row["plafond"]),
        plafond_multiplier=shown(row["plafond_multiplier"]),
        properties=row["properties"] | {"renews": row["renews"]} | priced,
        status=domain.status_of(row, now),
        **{
            name: row[name]
            for name in (
                "id", "account_id", "charge_number", "effective_start", "effective_end", "resource",
                "unit_of_measure", "type", "tier", "created_at",
            )
        },
    )  # fmt: skip


async def list_wallets(ctx: Ctx, query: WalletQuery) -> Page[Wallet]:
    """List the wallets of the account"""
    total, rows = await domain.wallets_of(
        ctx, filter=query.filter, order_by=query.order_by, page=query.page, per_page=query.per_page
    )
    items = [_wallet(row) for row in rows]
    return Page(rel="wallets", items=items, total=total, page=query.page, per_page=query.per_page)


async def get_wallet(ctx: Ctx, name: str) -> Wallet:
    """Get a wallet"""
    return _wallet(await domain.wallet(ctx, name))


async def list_buckets(ctx: Ctx, query: BucketQuery) -> Page[BucketConfiguration]:
    """List the bucket configurations of the account"""
    total, rows = await domain.buckets_of(ctx, query.status, query.page, query.per_page)
    items = [_bucket(row, ctx.now()) for row in rows]
    return Page(rel="bucket_configurations", items=items, total=total, page=query.page, per_page=query.per_page)


API = Api(
    name="usage_manage",
    title="Usage-Manage API",
    about="Wallets and bucket configurations: what may be used, and what is left to pay for it.",
    scopes=(WALLETS, BUCKETS),
    operations=(
        Operation("GET", "/account/wallets", WALLETS, list_wallets),
        Operation("GET", "/account/wallets/{name}", WALLETS, get_wallet, problems=(NOT_FOUND,)),
        Operation("GET", "/account/bucket-configurations", BUCKETS, list_buckets),
    ),
)
