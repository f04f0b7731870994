"""The reaction: each event is read once, for sessions, call quality, roles and cases together.

What it comes to follows from the log and its order alone (and from the settings, and the networks that are declared),
however it is cut into runs: made anew it is the same, cases with their ids among it.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import Api, Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Nothing
from ringfence.store import outbox
from ringfence.store.columns import Json, Moment, among
from ringfence.store.outbox import emit_once
from ringfence.store.query import ACCOUNT, Row, Statement, mine
from ringfence.store.tables.guardian import KEPT, call_quality, cases, role_assignments, sessions, subjects
from ringfence.store.tables.identity import accounts

from . import networks
from .events import CASE_DETECTED, CaseFacts
from .memory import DAYS, keep, moment, recall
from .networks import Map
from .scene import EVIDENCE, Case, Scene
from .signs import HEARD, concerned

# what cannot be judged without the account's networks and time zone
PLACED = {"user.logged_in", "softphone.connected", "flow.published"}


def _adding(table: Any) -> Statement:
    columns = {c.name: bindparam(c.name, type_=c.type) for c in table.c if c.name != "account_id"}
    return Statement(upsert(table).values({"account_id": ACCOUNT} | columns).on_conflict_do_nothing())


ADD_SESSION, ADD_QUALITY, ADD_CASE = _adding(sessions), _adding(call_quality), _adding(cases)
ADD_ROLE = _adding(role_assignments)
LEAVE = Statement(
    update(sessions)
    .where(sessions.c.account_id == ACCOUNT, sessions.c.id == bindparam("session"), sessions.c.logout_at.is_(None))
    .values(logout_at=bindparam("at", type_=Moment))
)
SET_DEVICE = Statement(
    update(sessions)
    .where(sessions.c.account_id == ACCOUNT, sessions.c.id == bindparam("session"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=sessions.c[name].type)
            for name in ("country", "address", "latitude", "longitude", "browser", "os")
        }
    )
)
DROP_ROLE = Statement(
    delete(role_assignments).where(
        role_assignments.c.account_id == ACCOUNT,
        role_assignments.c.user_id == bindparam("user"),
        role_assignments.c.role == bindparam("role"),
    )
)
WRITES = {
    "session": ADD_SESSION, "device": SET_DEVICE, "left": LEAVE, "heard": ADD_QUALITY, "unassigned": DROP_ROLE,
    "assigned": ADD_ROLE,
}  # fmt: skip
ZONE = Statement(select(accounts.c.timezone).where(accounts.c.id == ACCOUNT))
FACTS = (
    "specification", "hits_number", "baseline", "user_baseline", "pop_baseline", "user_conf", "user_prob", "pop_conf",
    "pop_prob", "last_at", "hits",
)  # fmt: skip
KNOWN = Statement(
    mine(cases, cases.c.id, *(cases.c[name] for name in FACTS)).where(among(cases.c.id, bindparam("ids", type_=Json)))
)
GO_ON = Statement(
    update(cases)
    .where(cases.c.account_id == ACCOUNT, cases.c.id == bindparam("case_id"))
    .values({name: bindparam(f"new_{name}", type_=cases.c[name].type) for name in FACTS})
)


async def watch(ctx: Ctx, events: list[Row]) -> None:
    """The reaction."""
    by_account: dict[str, list[Row]] = {}
    for event in events:
        if event["type"] in HEARD and event["account_id"]:
            by_account.setdefault(event["account_id"], []).append(event)
    for account, heard in by_account.items():
        scene = await _scene(ctx, account, heard)
        for event in heard:
            HEARD[event["type"]](scene, event, event["data"], event["at"].timestamp())
        for what, rows in _in_order(scene):
            await ctx.db.many(WRITES[what], [{"account": account, **row} for row in rows])
        if scene.cases:
            await _write_cases(ctx, account, list(scene.cases.values()))
        await keep(ctx.db, account, scene.touched)


async def _scene(ctx: Ctx, account: str, heard: list[Row]) -> Scene:
    people = await recall(ctx.db, account, {id for event in heard for id in concerned(event)})
    placed = any(event["type"] in PLACED for event in heard)
    declared = await networks.declared(replace(ctx, account=account)) if placed else []
    zone = await ctx.db.one(ZONE, account=account) if placed else None
    return Scene(account, ctx.settings, people, Map(declared), ZoneInfo(zone["timezone"] if zone else "UTC"))


def _in_order(scene: Scene) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Sessions begin before they end. A role that comes and goes within one run is what it was last."""
    last: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    gone, come = scene.rows.pop("unassigned", []), scene.rows.pop("assigned", [])
    for row in gone:
        last[row["user"], row["role"]] = ("unassigned", row)
    for what in ("session", "device", "left", "heard"):
        if rows := scene.rows.get(what):
            yield what, rows
    if last:
        yield "unassigned", [row for _, row in last.values()]
    have = [row for row in come if row["role"] in scene.people[row["user_id"]].roles]
    if have:
        yield "assigned", list({(row["user_id"], row["role"]): row for row in have}.values())


async def _write_cases(ctx: Ctx, account: str, changed: list[Case]) -> None:
    before: dict[str, Row] = {}
    if old := [case.id for case in changed if not case.new]:
        before = {row["id"]: row for row in await ctx.db.all(KNOWN, account=account, ids=old)}
    for case in changed:
        if not case.new and case.id not in before:
            continue  # it was dropped for its age
        known = before.get(case.id, {"hits": []})
        found = [{"event_id": hit.event, "timestamp": moment(hit.at).isoformat()} for hit in case.hits]
        facts = {**known, **case.facts, "hits": [*known["hits"], *found][:EVIDENCE]}
        if not case.new:
            await ctx.db.run(GO_ON, account=account, case_id=case.id, **{f"new_{n}": facts[n] for n in FACTS})
            continue
        await ctx.db.run(
            ADD_CASE, account=account, id=case.id, rule=case.rule.name, event_id=case.event, user_id=case.user,
            weight=case.rule.weight, detected_at=moment(case.detected), **facts,
        )  # fmt: skip
        told = CaseFacts(
            id=case.id,
            case=case.rule.name,
            event_id=case.event,
            user_id=case.user,
            specification=case.first["specification"],
            hits_number=case.first["hits_number"],
            pop_prob=case.first["pop_prob"],
            detected_at=moment(case.detected),
        )
        await _tell(replace(ctx, account=account, origin=case.origin), case, told)


async def _tell(ctx: Ctx, case: Case, told: CaseFacts) -> None:
    """Once: an event that is in the log already is not told again."""
    data = msgspec.to_builtins(told)
    await emit_once(ctx, [(case.id, CASE_DETECTED, case.user, told.detected_at, data)])


# making it anew, and dropping what is old

EMPTY = [Statement(delete(table), everywhere=True) for table in KEPT]


async def begin_anew(tx: Any) -> None:
    """Drop all that was made of the log, and let the reaction begin at its first event, in one transaction."""
    await outbox.begin_anew(tx, WATCH.name, EMPTY)


def _older(table: Any, column: Any, *also: Any) -> Statement:
    return Statement(delete(table).where(column < bindparam("before", type_=Moment), *also), everywhere=True)


DROP_QUALITY = _older(call_quality, call_quality.c.at)
DROP_OLD = (_older(sessions, sessions.c.login_at), _older(cases, cases.c.last_at))
DROP_SUBJECTS = _older(subjects, subjects.c.last_at, subjects.c.kind == "actor")


def month_before(now: datetime) -> datetime:
    """Since when call quality is shown, and baselines are made of."""
    return moment(now.timestamp() - DAYS * 86400.0)


async def retain(ctx: Ctx, args: Nothing) -> None:
    """Drop call quality after 30 days, sessions and cases after the setting, and clients that did nothing since."""
    await ctx.db.run(DROP_QUALITY, before=month_before(ctx.now()))
    await ctx.db.run(DROP_SUBJECTS, before=month_before(ctx.now()))
    if kept := ctx.settings.guardian_retention:
        for statement in DROP_OLD:
            await ctx.db.run(statement, before=moment(ctx.world.time() - kept))


WATCH = Reaction("guardian.watch", None, run_all=watch)
RETENTION = Job("guardian.retention", Nothing, retain, every=3600)
GUARDIAN = Api(
    "guardian",
    "Guardian",
    "What people did on the platform, and what is out of the ordinary.",
    operations=(),
    events=(CASE_DETECTED,),
    reactions=(WATCH,),
    jobs=(RETENTION,),
)
