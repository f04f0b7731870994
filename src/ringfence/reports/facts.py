"""Facts from events: one reaction keeps the tables of `store/tables/facts.py`, and can make them anew.

What a fact says comes of events alone; what a user, a number or a team is called is looked up when it is read.
"""

from typing import Any

from sqlalchemy import delete

from ringfence.kernel.catalog import Api, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.store import outbox
from ringfence.store.query import Row, Statement
from ringfence.store.tables import facts
from ringfence.store.tables.facts import FACTS

from . import channel_facts, floor_facts
from .batch import Batch, Projector

PROJECTORS: dict[str, Projector] = floor_facts.PROJECTORS | channel_facts.PROJECTORS
# what events are about -> the system that reports name
AUDITED = {
    "account": "account-api",
    "app": "apps-api",
    "attribute": "attributes-api",
    "attribute_category": "attributes-api",
    "business_hours": "business-hours-api",
    "client": "identity-api",
    "do_not_call_list": "do-not-call-lists-api",
    "flow": "studio",
    "keys": "identity-api",
    "number": "numbers-api",
    "record_list": "record-lists-api",
    "recording": "recordings-api",
    "report": "explore-api",
    "ring_group": "ring-groups-api",
    "role": "roles-api",
    "subscription": "events-api",
    "token": "identity-api",
    "trigger": "events-api",
    "user": "users-api",
}
PLURALS = {"attribute_category": "attributes-categories", "business_hours": "business-hours", "keys": "keys"}


def audited(batch: Batch, account: str, event: Row) -> None:
    """Whatever somebody did to what is under audit."""
    area = event["type"].partition(".")[0]
    kind, _, actor = event["actor"].partition(":")
    if area in AUDITED and kind in ("client", "user", "cli"):
        batch.add(
            facts.audit,
            account,
            id=event["id"],
            at=event["at"],
            actor_id=actor,
            user_id=actor if kind == "user" else None,
            origin=event["origin"],
            operation=event["type"],
            generator=AUDITED[area],
            resource=f"/{PLURALS.get(area) or area.replace('_', '-') + 's'}/{event['key']}",
            status="failure" if event["type"].endswith("_failed") else "success",
        )


def come_to(events: list[Row]) -> Batch:
    """What these events come to."""
    batch = Batch()
    for event in events:
        project = PROJECTORS.get(event["type"])
        if project is not None:
            project(batch, event["account_id"], event, event["data"])
        audited(batch, event["account_id"], event)
    return batch


async def keep(ctx: Ctx, events: list[Row]) -> None:
    """The reaction: what these events come to, written with its cursor."""
    await come_to(events).write(ctx.db)


KEEP = Reaction("facts", None, run_all=keep)
EMPTY = [Statement(delete(table), everywhere=True) for table in FACTS]


async def begin_anew(tx: Any) -> None:
    """Drop every fact, and let the reaction begin at the log's first event, in one transaction."""
    await outbox.begin_anew(tx, KEEP.name, EMPTY)


FACTS_KEPT = Api("facts", "Facts", "What reports are made of.", operations=(), reactions=(KEEP,))
