"""Forgetting people on the floor (GDPR): who called goes out of their calls, callbacks, messages and what was told.

When they called, how long it took and who answered stays: that is about the centre, and about nobody any more.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, update

from ringfence.kernel.catalog import Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json
from ringfence.store.outbox import FOR_KEY, emit
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, change, mine
from ringfence.store.tables.floor import callbacks, desks, interactions
from ringfence.store.tables.log import events
from ringfence.store.work import enqueue

from . import channel_log
from .channels import BY_TYPE
from .events import CALL_FORGOTTEN, DISPOSED, FLOW_EVENT, CallForgotten

ERASED = "contact.erased"  # told by the Contacts API
CHUNK = 20  # calls forgotten in one transaction
LATER = timedelta(minutes=10)  # until calls are looked for again that still go on
NUMBERS = ("contact_phone_number", "contact_id")

THEIRS = Statement(
    mine(interactions).where(interactions.c.contact_id == bindparam("contact")).limit(bindparam("limit"))
)
FORGET_CALL = Statement(
    update(interactions)
    .where(interactions.c.account_id == ACCOUNT, interactions.c.id == bindparam("call"))
    .values(contact_number="", contact_id=None, doc=bindparam("new_doc", type_=Json))
)
DESKS = Statement(mine(desks, desks.c.doc))
FORGET_CALLBACK = Statement(
    update(callbacks)
    .where(callbacks.c.account_id == ACCOUNT, callbacks.c.id == bindparam("call"))
    .values(contact_number="", asked=bindparam("new_asked", type_=Json))
)
CALLBACK = Statement(mine(callbacks).where(callbacks.c.id == bindparam("call")))
FORGET_EVENT = Statement(
    update(events)
    .where(events.c.account_id == ACCOUNT, events.c.id == bindparam("event"))
    .values(data=bindparam("new_data", type_=Json))
)


class Forgotten(Shape):
    """Arguments of the job."""

    contact: str


async def notice(ctx: Ctx, event: Row) -> None:
    """The reaction: somebody was erased among the contacts."""
    if event["type"] == ERASED:
        await enqueue(ctx, FORGET, Forgotten(contact=event["key"]))


async def forget(ctx: Ctx, args: Forgotten) -> None:
    """The job: some messages, answers and calls, then the next.

    Calls that go on, or that an agent still files, are left until that is over.
    """
    more = await channel_log.forget_some(ctx, args.contact)
    found = await all_rows(ctx, THEIRS, contact=args.contact, limit=CHUNK)
    filed = {row["doc"]["filing"]["call_id"] for row in await all_rows(ctx, DESKS) if row["doc"].get("filing")}
    over = [row for row in found if row["state"] == "ended" and row["id"] not in filed]
    for row in over:
        await _forget_call(ctx, row)
    if found or more:
        await enqueue(ctx, FORGET, args, due=ctx.now() + (timedelta(0) if over or more else LATER))


async def _forget_call(ctx: Ctx, row: Row) -> None:
    document: dict[str, Any] = row["doc"]
    document["call"]["contact_number"] = ""
    for name in ("contact_id", "execution", "order"):
        document.pop(name, None)
    if "callback" in document:
        document["callback"].pop("context", None)
        [asked] = await all_rows(ctx, CALLBACK, call=row["id"])
        await change(ctx, FORGET_CALLBACK, call=row["id"], new_asked=asked["asked"] | {"context": None})
    await change(ctx, FORGET_CALL, call=row["id"], new_doc=document)
    told = await all_rows(ctx, FOR_KEY, key=row["id"])
    await channel_log.forget_in(ctx, [event for event in told if event["type"] in BY_TYPE])
    for event in told:
        if event["type"] in BY_TYPE:
            continue
        data = event["data"] | {name: "" if name != "contact_id" else None for name in NUMBERS if name in event["data"]}
        if event["type"] == FLOW_EVENT.name:
            data["data"] = {}
        if event["type"] == DISPOSED.name:
            data |= {"notes": None, "custom_fields": _impersonal(data.get("custom_fields"))}
        if data != event["data"]:
            await change(ctx, FORGET_EVENT, event=event["id"], new_data=data)
    await emit(ctx, CALL_FORGOTTEN, row["id"], CallForgotten(call_id=row["id"]))


def _impersonal(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    """Custom fields without those that hold whatever somebody typed."""
    return {name: value for name, value in fields.items() if not name.startswith("text_")} if fields else fields


FORGET = Job("floor.forget", Forgotten, forget)
NOTICE = Reaction("floor.notice_erasures", None, notice)
