"""Business hours, flows and numbers of an account, brought to what a file declares."""

from collections.abc import Callable
from typing import Any

from ringfence.floor import directory, flow_store, flows
from ringfence.floor.flows import FlowDocument
from ringfence.floor.hours import DAYS
from ringfence.kernel.ctx import Ctx
from ringfence.store.query import all_rows
from ringfence.store.statement import Row

from .declaration import AccountDeclared, HoursDeclared

Add = Callable[..., None]  # (sign, what, detail, apply): one more step of a plan


async def plan_hours(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """When the account is open."""
    have = {row["name"]: row for row in await all_rows(ctx, directory.ALL_HOURS)}
    for one in wanted.business_hours:
        facts, before = _hours(one, wanted.timezone), have.get(one.name)
        if before is None:
            add("+", f"business hours {one.name}", facts["timezone"], _set_hours(one.name, facts))
        elif changed := [name for name, value in facts.items() if before[name] != value]:
            add("~", f"business hours {one.name}", ", ".join(changed), _set_hours(one.name, facts))


def _hours(wanted: HoursDeclared, zone: str) -> dict[str, Any]:
    """As they are kept: days in order and without those that are closed anyway."""
    spans = {str(day): sorted([start, end] for start, end in given) for day, given in wanted.week.items()}
    return {
        "timezone": wanted.timezone or zone,
        "week": {day: spans[day] for day in DAYS if spans.get(day)},
        "closed_on": sorted({day.isoformat() for day in wanted.closed_on}),
    }


def _set_hours(name: str, facts: dict[str, Any]) -> Any:
    async def run(ctx: Ctx) -> None:
        await directory.set_business_hours(ctx, name=name, **facts)

    return run


async def plan_flows(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """What is published where it differs from what is."""
    have = {row["name"]: row for row in await all_rows(ctx, flow_store.ALL)}
    for one in wanted.flows:
        document, before = flows.read({"steps": one.steps}), have.get(one.name)
        published = await flow_store.published_of(ctx, before) if before else None
        if published is None:
            add("~" if before else "+", f"flow {one.name}", "published", _publish(one.name, document))
        elif flows.read(published["document"]) != document:
            add("~", f"flow {one.name}", f"version {published['number'] + 1}", _publish(one.name, document))


def _publish(name: str, document: FlowDocument) -> Any:
    async def run(ctx: Ctx) -> None:
        await flow_store.publish(ctx, await flow_store.save(ctx, name=name, document=document))

    return run


async def plan_numbers(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """The account's numbers, and what answers them."""
    names = {row["id"]: row["name"] for row in await all_rows(ctx, flow_store.ALL)}
    have = {row["number"]: _number(row, names) for row in await all_rows(ctx, directory.ALL_NUMBERS)}
    for one in wanted.numbers:
        facts = {"label": one.label, "flow": one.flow, "business_hours": one.business_hours}
        before = have.get(one.number)
        if before is None:
            add("+", f"number {one.number}", one.label, _set_number(one.number, facts))
        elif before != facts:
            detail = ", ".join(f"{n}: {before[n]!r} → {value!r}" for n, value in facts.items() if before[n] != value)
            add("~", f"number {one.number}", detail, _set_number(one.number, facts))


def _number(row: Row, names: dict[str, str]) -> dict[str, Any]:
    flow = names.get(row["flow_id"], row["flow_id"]) if row["flow_id"] else None
    return {"label": row["label"], "flow": flow, "business_hours": row["business_hours"]}


def _set_number(number: str, facts: dict[str, Any]) -> Any:
    async def run(ctx: Ctx) -> None:
        flow = (await flow_store.named(ctx, facts["flow"]))["id"] if facts["flow"] else None
        await directory.set_number(ctx, number=number, **(facts | {"flow": flow}))

    return run
