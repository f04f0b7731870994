"""Wallets, buckets and meters of an account, brought to what a file declares. What is there beside them stays."""

from collections.abc import Callable, Mapping
from typing import Any

from ringfence.kernel.ctx import Ctx
from ringfence.metering import declaring
from ringfence.metering.terms import written

from .declaration import AccountDeclared

Add = Callable[..., None]  # (sign, what, detail, apply): one more step of a plan
AMOUNTS = ("declared", "low", "plafond", "plafond_multiplier", "price")


async def plan_charges(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """Wallets before the meters that name them, and in the order in which metering writes to them."""
    have = {row["name"]: row for row in await ctx.db.all(declaring.WALLETS, account=ctx.account)}
    for wallet in sorted(wanted.wallets, key=lambda one: one.name):
        facts, before = declaring.wallet_facts(wallet), have.get(wallet.name)
        _compare(add, f"wallet {wallet.name}", before, facts, _set_wallet(wallet.name, facts))
    have = {row["charge_number"]: row for row in await ctx.db.all(declaring.BUCKETS, account=ctx.account)}
    for bucket in wanted.buckets:
        facts, before = declaring.bucket_facts(bucket), have.get(bucket.charge_number)
        if before is not None:
            declaring.same_resource(before, facts)
        _compare(add, f"bucket {bucket.charge_number}", before, facts, _set_bucket(facts))
    have = {row["resource"]: row for row in await ctx.db.all(declaring.METERS, account=ctx.account)}
    for meter in wanted.meters:
        facts, before = declaring.meter_facts(meter), have.get(meter.resource)
        _compare(add, f"meter of {meter.resource}", before, facts, _set_meter(meter.resource, facts))


def _compare(
    add: Add, what: str, before: Mapping[str, Any] | None, facts: Mapping[str, Any], apply: Callable[..., Any]
) -> None:
    if before is None:
        first = ("declared", "plafond", "price")
        add("+", what, ", ".join(f"{name} {_said(name, facts[name])}" for name in first if facts.get(name)), apply)
    elif changed := [
        f"{name}: {_said(name, before[name])} → {_said(name, value)}"
        for name, value in facts.items()
        if before[name] != value
    ]:
        add("~", what, ", ".join(changed), apply)


def _said(name: str, value: Any) -> str:
    return written(value) if name in AMOUNTS and value is not None else str(value)


def _set_wallet(name: str, facts: dict[str, Any]) -> Any:
    async def run(ctx: Ctx) -> None:
        await declaring.set_wallet(ctx, name, facts)

    return run


def _set_bucket(facts: dict[str, Any]) -> Any:
    async def run(ctx: Ctx) -> None:
        await declaring.set_bucket(ctx, facts)

    return run


def _set_meter(resource: str, facts: dict[str, Any]) -> Any:
    async def run(ctx: Ctx) -> None:
        await declaring.set_meter(ctx, resource, facts)

    return run
