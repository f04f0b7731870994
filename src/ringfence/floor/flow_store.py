"""Flows as an account keeps them: a draft by name, and versions that were published and never change."""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID, NOT_FOUND, Fault, wrong
from ringfence.store.columns import Json, Moment
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.directory import attributes
from ringfence.store.tables.floor import business_hours, flow_versions, flows
from ringfence.store.tables.identity import ring_groups

from .events import FLOW_PUBLISHED, FlowPublished
from .flow_checks import Known, complaints
from .flows import FlowDocument, keepable, read
from .inbox import Reload, tell

MOST_BYTES = 1024 * 1024  # of a document as JSON
NAME = 255  # characters

ALL = Statement(mine(flows).order_by(flows.c.name))
BY_ID = Statement(mine(flows).where(flows.c.id == bindparam("flow")))
BY_NAME = Statement(mine(flows).where(flows.c.name == bindparam("name")))
HOLD = Statement(mine(flows).where(flows.c.id == bindparam("flow")).with_for_update())
DRAFT: dict[str, Any] = {"draft": bindparam("document", type_=Json), "updated_at": bindparam("at", type_=Moment)}
SAVE = Statement(
    upsert(flows)
    .values(
        account_id=ACCOUNT,
        id=bindparam("flow"),
        name=bindparam("called"),
        draft_number=1,
        created_at=bindparam("at", type_=Moment),
        **DRAFT,
    )
    .on_conflict_do_update(
        index_elements=[flows.c.account_id, flows.c.name],
        set_=DRAFT | {"draft_number": flows.c.draft_number + 1},
    )
)
POINT = Statement(
    update(flows)
    .where(flows.c.account_id == ACCOUNT, flows.c.id == bindparam("flow"))
    .values(published_id=bindparam("version"), updated_at=bindparam("at", type_=Moment))
)
VERSIONS = Statement(
    mine(flow_versions).where(flow_versions.c.flow_id == bindparam("flow")).order_by(flow_versions.c.number)
)
VERSION = Statement(mine(flow_versions).where(flow_versions.c.id == bindparam("version")))
NUMBERED = Statement(
    mine(flow_versions).where(
        flow_versions.c.flow_id == bindparam("flow"), flow_versions.c.number == bindparam("number")
    )
)
LAST = Statement(
    mine(flow_versions, func.coalesce(func.max(flow_versions.c.number), 0).label("number")).where(
        flow_versions.c.flow_id == bindparam("flow")
    )
)
ADD_VERSION = adding(flow_versions)
RING_GROUPS = Statement(mine(ring_groups, ring_groups.c.name))
ATTRIBUTES = Statement(mine(attributes, attributes.c.name).where(attributes.c.active))
HOURS = Statement(mine(business_hours, business_hours.c.name))


PUBLISHED = Statement(
    mine(flow_versions, flow_versions.c.document).join(
        flows, (flows.c.account_id == flow_versions.c.account_id) & (flows.c.published_id == flow_versions.c.id)
    ),
    everywhere=True,  # both tables are cut to the one :account
)


async def asked_for(ctx: Ctx) -> Counter[str]:
    """How many published flows ask for each attribute, by its name."""
    found: Counter[str] = Counter()
    for row in await all_rows(ctx, PUBLISHED):
        steps: list[dict[str, Any]] = list(row["document"]["steps"].values())
        steps += [relaxed for step in steps for relaxed in step.get("relax", ())]
        found.update({name for step in steps for name in step.get("attributes", ())})
    return found


async def named(ctx: Ctx, which: str) -> Row:
    """A flow by its name or id. Raises a Fault where there is none."""
    found = await find(ctx, BY_NAME, name=which) or await find(ctx, BY_ID, flow=which)
    if found is None:
        raise Fault(NOT_FOUND, f"There is no flow {which!r}.")
    return found


async def save(ctx: Ctx, *, name: str, document: FlowDocument) -> Row:
    """Make a flow, or give it another draft; the same draft again is not counted. The flow."""
    if not 1 <= len(name) <= NAME or not name.strip() or not keepable(name):
        raise wrong("name", f"must have 1 to {NAME} characters")
    kept = msgspec.to_builtins(document)
    if len(msgspec.json.encode(kept)) > MOST_BYTES:
        raise wrong("steps", f"have more than {MOST_BYTES} bytes together")
    before = await find(ctx, BY_NAME, name=name)
    if before is not None and before["draft"] == kept:
        return before
    await change(ctx, SAVE, flow=ctx.new_key(), called=name, document=kept, at=ctx.now())
    return await one(ctx, BY_NAME, name=name)


async def publish(ctx: Ctx, flow: Row) -> Row:
    """Let executions begin with the flow's draft from now on. Raises a Fault with all that is wrong with it.

    The version that this made, or the published one where the draft is no other.
    """
    flow = await one(ctx, HOLD, flow=flow["id"])  # until commit, so that numbers of versions follow each other
    document = read(flow["draft"])
    published = await published_of(ctx, flow)
    if published is not None and read(published["document"]) == document:
        return published
    if wrongs := complaints(document, await known(ctx)):
        raise Fault(INVALID, f"{wrongs[0].name}: {wrongs[0].description}", fields=tuple(wrongs))
    row: Row = {
        "account_id": ctx.account,
        "id": ctx.new_key(),
        "flow_id": flow["id"],
        "number": (await one(ctx, LAST, flow=flow["id"]))["number"] + 1,
        "document": flow["draft"],
        "published_at": ctx.now(),
        "published_by": ctx.actor[:200],
    }
    await ctx.db.run(ADD_VERSION, **row)
    await change(ctx, POINT, flow=flow["id"], version=row["id"], at=ctx.now())
    facts = FlowPublished(flow_id=flow["id"], flow_version_id=row["id"], name=flow["name"], number=row["number"])
    await emit(ctx, FLOW_PUBLISHED, flow["id"], facts)
    await tell(ctx, Reload())
    return row


async def known(ctx: Ctx) -> Known:
    """What the account has that a flow may name."""
    groups, skills, hours = [await all_rows(ctx, each) for each in (RING_GROUPS, ATTRIBUTES, HOURS)]
    return Known(
        ring_groups=frozenset(row["name"] for row in groups),
        attributes=frozenset(row["name"] for row in skills),
        business_hours=frozenset(row["name"] for row in hours),
    )


async def published_of(ctx: Ctx, flow: Row) -> Row | None:
    """The version that executions of a flow begin with."""
    return await find(ctx, VERSION, version=flow["published_id"]) if flow["published_id"] else None


async def version_of(ctx: Ctx, flow: Row, number: int) -> Row:
    """A version of a flow by its number. Raises a Fault where there is none."""
    found = await find(ctx, NUMBERED, flow=flow["id"], number=number) if 0 < number < 2**31 else None
    if found is None:
        raise Fault(NOT_FOUND, f"The flow {flow['name']!r} has no version {number}.")
    return found
