"""Callbacks: asked for here, kept in the queue and dialled by who keeps the floor (floor/keeper.py)."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, update

from ringfence.floor import do_not_call, flows, inbox, numbers, people
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, Problem, wrong
from ringfence.store.columns import Moment
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.directory import attributes
from ringfence.store.tables.floor import callbacks, flow_versions
from ringfence.store.tables.floor import flows as flow_table
from ringfence.store.tables.identity import numbers as number_table
from ringfence.store.tables.identity import ring_groups

LIFE = timedelta(days=1)
LONGEST = timedelta(days=30)  # that a callback may stay open
DO_NOT_CALL = Problem("do_not_call", 403, "A do-not-call list of the account holds this number.")
OPEN_ALREADY = Problem("callback_open", 409, "There is an open callback between these two numbers; cancel it first.")
UNDER_WAY = Problem("callback_not_cancellable", 409, "The callback is connected or over, and cannot be cancelled.")

ADD = adding(callbacks)
BY_ID = Statement(mine(callbacks).where(callbacks.c.id == bindparam("callback")))
HELD = Statement(mine(callbacks).where(callbacks.c.id == bindparam("callback")).with_for_update())
BETWEEN = Statement(
    mine(callbacks, callbacks.c.id).where(
        callbacks.c.open,
        callbacks.c.contact_number == bindparam("contact"),
        callbacks.c.company_number == bindparam("company"),
    )
)
CANCEL = Statement(
    update(callbacks)
    .where(callbacks.c.account_id == ACCOUNT, callbacks.c.id == bindparam("callback"))
    .values(cancel_asked_at=bindparam("at", type_=Moment))
)
NUMBER = Statement(mine(number_table).where(number_table.c.number == bindparam("number")).with_for_update())
RING_GROUPS = Statement(mine(ring_groups, ring_groups.c.name).order_by(ring_groups.c.name))
ATTRIBUTES = Statement(mine(attributes, attributes.c.name).where(attributes.c.active))
DOCUMENT = Statement(
    mine(flow_versions, flow_versions.c.document)
    .join(
        flow_table,
        (flow_table.c.account_id == flow_versions.c.account_id) & (flow_table.c.published_id == flow_versions.c.id),
    )
    .where(flow_table.c.id == bindparam("flow")),
    everywhere=True,  # both tables are cut to the one :account
)


async def ask(
    ctx: Ctx,
    *,
    company: str,
    contact: str,
    context: Any,
    ring_group: str | None,
    wanted: dict[str, int],
    priority: int,
    not_before: datetime | None,
    expires_at: datetime | None,
    max_attempts: int,
) -> Row:
    """Queue a callback. Raises a Fault for numbers that may not be used, and for a second one between the same two."""
    number = numbers.digits(contact)
    if number is None:
        raise wrong("contact_phone_number", numbers.MALFORMED)
    known = await find(ctx, NUMBER, number=company)  # held, so that of two at once one sees the other
    if known is None:
        raise wrong("talkdesk_phone_number", "is no number of this account")
    groups = await _ring_groups(ctx, known, ring_group)
    await _check_attributes(ctx, wanted)
    now = ctx.now()
    expires = expires_at or max(now, not_before or now) + LIFE
    if expires <= max(now, not_before or now):
        raise wrong("expires_at", "must be later than now and than not_before")
    if expires - now > LONGEST:
        raise wrong("expires_at", f"must be within {LONGEST.days} days")
    if await do_not_call.listed(ctx, number):
        raise Fault(DO_NOT_CALL)
    if not ctx.settings.callback_duplicates and await find(ctx, BETWEEN, contact=contact, company=company):
        raise Fault(OPEN_ALREADY)
    row: Row = {
        "account_id": ctx.account,
        "id": ctx.new_key(),
        "state": "queued",
        "reason": None,
        "company_number": company,
        "contact_number": contact,
        "asked": {"ring_groups": groups, "attributes": wanted, "priority": priority, "context": context},
        "attempts": [],
        "max_attempts": max_attempts,
        "not_before": not_before,
        "expires_at": expires,
        "open": True,
        "cancel_asked_at": None,
        "created_at": now,
        "updated_at": now,
    }
    await ctx.db.run(ADD, **row)
    contact_id = await people.contact_of(ctx.db, ctx.account, contact)
    await inbox.tell(ctx, inbox.AskCallback(id=row["id"], contact_id=contact_id))
    return row


async def _ring_groups(ctx: Ctx, number: Row, named: str | None) -> list[str]:
    """Who calls back: the ring group that was named, else those that the number's flow asks first, else all."""
    known = [row["name"] for row in await all_rows(ctx, RING_GROUPS)]
    if named is not None:
        if named not in known:
            raise wrong("ring_group", f"there is no ring group {named!r}")
        return [named]
    row = await find(ctx, DOCUMENT, flow=number["flow_id"]) if number["flow_id"] else None
    steps = flows.read(row["document"]).steps.values() if row is not None else ()
    first = next((step for step in steps if isinstance(step, flows.Assign)), None)
    return list(first.ring_groups) if first is not None else known


async def _check_attributes(ctx: Ctx, wanted: dict[str, int]) -> None:
    known = {row["name"] for row in await all_rows(ctx, ATTRIBUTES)} if wanted else set()
    if strange := sorted(set(wanted) - known):
        raise wrong(f"attributes.{strange[0]}", "is no active attribute of this account")


async def get(ctx: Ctx, callback: str) -> Row:
    return await one(ctx, BY_ID, callback=callback)


async def cancel(ctx: Ctx, callback: str) -> Row:
    """Ask for a callback to be cancelled; 409 once an agent talks to the contact, or it is over."""
    row = await one(ctx, HELD, callback=callback)
    if not row["open"] or row["state"] == "connected":
        raise Fault(UNDER_WAY, f"The callback is {row['state']}.")
    if row["cancel_asked_at"] is None:
        await change(ctx, CANCEL, callback=callback, at=ctx.now())
        await inbox.tell(ctx, inbox.CancelCallback(id=callback))
    return row | {"cancel_asked_at": row["cancel_asked_at"] or ctx.now()}
