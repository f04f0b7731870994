"""Wallets, buckets and meters brought to what is declared, and topped up. What has been used stays used."""

from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, Fault, wrong
from ringfence.store.columns import Moment
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine
from ringfence.store.tables.metering import buckets, meters, wallets

from .events import (
    BUCKET_DECLARED,
    METER_DECLARED,
    WALLET_DECLARED,
    WALLET_TOPPED_UP,
    BucketDeclared,
    MeterDeclared,
    WalletDeclared,
    WalletToppedUp,
)
from .terms import LARGEST, MILLION, BucketTerms, MeterTerms, WalletTerms, micros, unit_of

WALLETS = Statement(mine(wallets).order_by(wallets.c.name))
BUCKETS = Statement(mine(buckets).order_by(buckets.c.charge_number))
METERS = Statement(mine(meters).order_by(meters.c.resource))
ADD_WALLET, ADD_BUCKET = adding(wallets), adding(buckets)
_wallet = (wallets.c.account_id == ACCOUNT, wallets.c.name == bindparam("wallet"))
HELD = Statement(mine(wallets).where(wallets.c.name == bindparam("wallet")).with_for_update())
SET_WALLET = Statement(
    update(wallets)
    .where(*_wallet)
    .values(
        product_name=bindparam("product_name_"),
        declared=bindparam("declared_"),
        low=bindparam("low_"),
        updated_at=bindparam("at", type_=Moment),
    )
)
TOP_UP = Statement(
    update(wallets)
    .where(*_wallet)
    .values(added=wallets.c.added + bindparam("amount"), updated_at=bindparam("at", type_=Moment))
)
FACTS_OF_BUCKETS = tuple(c.name for c in buckets.c if c.name not in ("account_id", "id", "created_at"))
SET_BUCKET = Statement(
    update(buckets)
    .where(buckets.c.account_id == ACCOUNT, buckets.c.id == bindparam("bucket"))
    .values({name: bindparam(f"{name}_", type_=buckets.c[name].type) for name in FACTS_OF_BUCKETS})
)
FACTS_OF_METERS = ("unit_of_measure", "rounding", "wallet", "price")
_meter = upsert(meters).values(
    account_id=ACCOUNT, resource=bindparam("resource"), **{name: bindparam(name) for name in FACTS_OF_METERS}
)
SET_METER = Statement(
    _meter.on_conflict_do_update(
        index_elements=[meters.c.account_id, meters.c.resource],
        set_={name: _meter.excluded[name] for name in FACTS_OF_METERS},
    )
)


def wallet_facts(terms: WalletTerms) -> dict[str, Any]:
    low = micros(terms.low) if terms.low is not None else None
    return {"product_name": terms.product_name, "declared": micros(terms.balance), "low": low}


def bucket_facts(terms: BucketTerms) -> dict[str, Any]:
    return {
        "charge_number": terms.charge_number,
        "resource": terms.resource,
        "unit_of_measure": unit_of(terms),
        "plafond": micros(terms.plafond),
        "plafond_multiplier": micros(terms.plafond_multiplier),
        "effective_start": terms.effective_start,
        "effective_end": terms.effective_end,
        "renews": terms.renews,
        "type": terms.type,
        "tier": terms.tier,
        "price": micros(terms.price) if terms.price is not None else None,
        "properties": terms.properties,
    }


def meter_facts(terms: MeterTerms) -> dict[str, Any]:
    return {
        "unit_of_measure": unit_of(terms),
        "rounding": terms.rounding,
        "wallet": terms.wallet,
        "price": micros(terms.price),
    }


async def set_wallet(ctx: Ctx, name: str, facts: dict[str, Any]) -> None:
    """Make a wallet, or change what is declared of it: by how much `declared` grows, it is topped up."""
    if await find(ctx, HELD, wallet=name) is None:
        row = {"account_id": ctx.account, "name": name, "added": 0, "spent": 0, **facts}
        await change(ctx, ADD_WALLET, **row, created_at=ctx.now(), updated_at=ctx.now())
    else:
        await change(ctx, SET_WALLET, wallet=name, at=ctx.now(), **{f"{key}_": value for key, value in facts.items()})
    await emit(ctx, WALLET_DECLARED, name, WalletDeclared(name=name, **facts))


async def top_up(ctx: Ctx, name: str, amount: int, reason: str) -> Row:
    """Put something into a wallet, beside what the file declares. The wallet as it is then; 404 where there is none."""
    row = await find(ctx, HELD, wallet=name)
    if row is None:
        raise Fault(NOT_FOUND, f"There is no wallet {name!r} in this account.")
    if not 0 < amount <= LARGEST * MILLION:
        raise wrong("amount", f"must be more than 0, and at most {LARGEST}")
    if row["added"] + amount > LARGEST * MILLION:
        raise wrong("amount", f"more than {LARGEST} would have been put in")
    await change(ctx, TOP_UP, wallet=name, amount=amount, at=ctx.now())
    await emit(ctx, WALLET_TOPPED_UP, name, WalletToppedUp(name=name, amount=amount, reason=reason))
    return row | {"added": row["added"] + amount, "updated_at": ctx.now()}


async def set_bucket(ctx: Ctx, facts: dict[str, Any]) -> None:
    """Make a bucket, or change it; its resource stays, for what has been drawn from it is of that."""
    known = {row["charge_number"]: row for row in await all_rows(ctx, BUCKETS)}
    before = known.get(facts["charge_number"])
    if before is None:
        id = ctx.new_uuid()
        await change(ctx, ADD_BUCKET, account_id=ctx.account, id=id, created_at=ctx.now(), **facts)
    else:
        id = before["id"]
        same_resource(before, facts)
        await change(ctx, SET_BUCKET, bucket=id, **{f"{name}_": value for name, value in facts.items()})
    await emit(ctx, BUCKET_DECLARED, id, BucketDeclared(id=id, **facts))


def same_resource(before: Row, facts: dict[str, Any]) -> None:
    if before["resource"] != facts["resource"]:
        number = facts["charge_number"]
        raise Fault(
            CONFLICT, f"Bucket {number} is of {before['resource']}; declare another one for {facts['resource']}."
        )


async def set_meter(ctx: Ctx, resource: str, facts: dict[str, Any]) -> None:
    """Say how a resource is measured and who pays, from now on."""
    await change(ctx, SET_METER, resource=resource, **facts)
    await emit(ctx, METER_DECLARED, resource, MeterDeclared(resource=resource, **facts))
