"""Time off of an account, brought to what a file declares; and some for the agents of the demo."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ringfence.apis.time_off import domain
from ringfence.fence.house import House
from ringfence.floor import directory
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault

from .declaration import AccountDeclared, TimeOffBalanceDeclared, TimeOffTypeDeclared

Add = Callable[..., None]  # (sign, what, detail, apply): one more step of a plan
DAYS = 7  # that the demo looks ahead


async def plan_time_off(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """Types as they are declared, and balances of agents who have none: what has been drawn is not filled up again."""
    have = {row["key"]: row for row in await domain.all_types(ctx)}
    for one in wanted.time_off_types:
        before = have.get(one.name.casefold())
        if before is None or (before["name"], before["draws"]) != (one.name, one.draws_balance):
            detail = "draws a balance" if one.draws_balance else "draws no balance"
            add("~" if before else "+", f"time off type {one.name}", detail, _declare(one))
    left = {(row["agent_email"].casefold(), row["type_key"]) for row in await domain.all_balances(ctx)}
    for given in wanted.time_off_balances:
        if (given.agent_email.casefold(), given.event_type_name.casefold()) not in left:
            detail = f"{given.event_type_name}: {given.balance:g} hours"
            add("+", f"time off of {given.agent_email}", detail, _fill(given))


def _declare(wanted: TimeOffTypeDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        await domain.declare_type(ctx, name=wanted.name, draws_balance=wanted.draws_balance)

    return run


def _fill(wanted: TimeOffBalanceDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        given = domain.Given(wanted.agent_email, wanted.event_type_name, wanted.balance)
        await domain.set_balances(ctx, [given])

    return run


async def give(house: House, account: str, seed: str) -> int:
    """Give agents time off in the coming days, the same for the same day; how many were new."""
    today = house.world.now().replace(minute=0, second=0, microsecond=0)
    made = 0
    async with house.db.reading() as tx:
        ctx = house.ctx(tx, account, "demo")
        people = [row["email"] for row in await ctx.db.all(directory.ALL_USERS, account=account) if row["active"]]
        kinds = [row["name"] for row in await domain.all_types(ctx)]
    for ahead in range(DAYS if kinds else 0):
        day = today.date() + timedelta(days=ahead)
        draw = random.Random(f"{seed} time off {day}")  # noqa: S311 - a play, not a secret
        for email in draw.sample(people, min(2, len(people))):
            start = today.replace(hour=8 + draw.randrange(8)) + timedelta(days=ahead)
            span = {"start": start, "end": start + timedelta(hours=draw.choice((2, 4, 8)))}
            kind = draw.choice(kinds)
            if span["end"] > house.world.now():
                made += await _one(house, account, email, kind, span)
    return made


async def _one(house: House, account: str, email: str, kind: str, span: dict[str, Any]) -> bool:
    try:
        async with house.db.writing() as tx:
            ctx = house.ctx(tx, account, "demo", "demo")
            known = await domain.known(ctx, [email])
            _, new = await domain.add(ctx, known, email=email, type_name=kind, **span)
            return new
    except Fault:  # they have other plans, or no hours left
        return False
