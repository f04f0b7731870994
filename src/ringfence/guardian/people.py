"""What Guardian knows of people: role, ring groups, presence, call quality, and the risk that their cases make up.

risk      the weights of the person's cases whose last hit is not older than 30 days, added up; 100 at most
status    INACTIVE: may not log in; PENDING: has never come in, to a page or to the floor; ACTIVE: all others
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Double,
    Integer,
    Numeric,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault
from ringfence.store.columns import Json, Moment, among
from ringfence.store.expressions import joined, ring_groups_of
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, find, mine
from ringfence.store.tables.floor import desks
from ringfence.store.tables.guardian import call_quality, cases, role_assignments, subjects
from ringfence.store.tables.identity import ring_group_users, users

from .lists import Found, Wanted, listed

MOST_RISK = 100
SINCE = bindparam("since", type_=Moment)
AFFECTED = bindparam("affected", type_=Double)

_groups = (
    select(ring_group_users.c.ring_group.label("name"))
    .where(ring_group_users.c.account_id == ACCOUNT, ring_group_users.c.user_id == users.c.id)
    .order_by(ring_group_users.c.ring_group)
    .correlate(users)
    .subquery()
)
RING_GROUPS = func.coalesce(
    select(ring_groups_of(_groups.c.name).label("names")).select_from(_groups).scalar_subquery(),
    literal("", Text()),
    type_=Text(),
)
_of_user = (call_quality.c.account_id == ACCOUNT, call_quality.c.user_id == users.c.id, call_quality.c.at >= SINCE)
_mean = select(func.avg(call_quality.c.mos_avg, type_=Double())).where(*_of_user).correlate(users).scalar_subquery()
MOS = cast(func.round(cast(_mean, Numeric), 2), Double)  # what is filtered by is what is shown
_points: Any = (
    select(func.coalesce(func.sum(cases.c.weight), 0))
    .where(cases.c.account_id == ACCOUNT, cases.c.user_id == users.c.id, cases.c.last_at >= SINCE)
    .correlate(users)
    .scalar_subquery()
)
_first = (
    select(subjects.c.first_session_at)
    .where(subjects.c.account_id == ACCOUNT, subjects.c.subject == users.c.id)
    .correlate(users)
    .scalar_subquery()
)
_at_desk = and_(desks.c.account_id == ACCOUNT, desks.c.user_id == users.c.id)
PRESENCE = func.coalesce(desks.c.status, literal("offline", Text()), type_=Text())
FIELDS: dict[str, Any] = {
    "id": users.c.id,
    "name": users.c.name,
    "email": users.c.email,
    "role": joined(users.c.roles),
    "ring_groups": RING_GROUPS,
    "creation_time": users.c.created_at,
    "presence": PRESENCE,
    "presence_type": case(
        (or_(PRESENCE == "available", PRESENCE == "offline"), PRESENCE),
        (or_(PRESENCE == "busy", PRESENCE == "after_call_work"), literal("busy", Text())),
        else_=literal("away", Text()),
    ),
    "risk": type_coerce(case((_points > MOST_RISK, MOST_RISK), else_=_points), Integer()),
    "status": case(
        (users.c.active.is_(False), literal("INACTIVE", Text())),
        (_first.is_(None), literal("PENDING", Text())),
        else_=literal("ACTIVE", Text()),
    ),
    "call_quality.mos.avg": MOS,
    "call_quality.avg_affected_calls": func.coalesce(MOS < AFFECTED, false(), type_=Boolean()),
}
PEOPLE = (
    select(*(column.label(name) for name, column in FIELDS.items()))
    .select_from(users.outerjoin(desks, _at_desk))
    .where(users.c.account_id == ACCOUNT)
)
IN_RING_GROUPS = exists().where(ring_group_users.c.account_id == ACCOUNT, ring_group_users.c.user_id == users.c.id)
AGENTS = PEOPLE.where(IN_RING_GROUPS)
ONE = {
    False: Statement(PEOPLE.where(users.c.id == bindparam("user"))),
    True: Statement(AGENTS.where(users.c.id == bindparam("user"))),
}
ROLE_FIELDS = {
    "id": role_assignments.c.id,
    "role": role_assignments.c.role,
    "assigned_at": role_assignments.c.assigned_at,
    "assigned_by": role_assignments.c.assigned_by,
}
ROLES = select(*(column.label(name) for name, column in ROLE_FIELDS.items())).where(
    role_assignments.c.account_id == ACCOUNT, role_assignments.c.user_id == bindparam("user")
)


MEMBERS = Statement(
    mine(ring_group_users)
    .where(among(ring_group_users.c.user_id, bindparam("ids", type_=Json)))
    .order_by(ring_group_users.c.ring_group)
)


async def _with_groups(ctx: Ctx, rows: list[Row]) -> list[Row]:
    """People with their ring groups one by one: a name may hold any character."""
    groups: dict[str, list[str]] = {row["id"]: [] for row in rows}
    for member in await all_rows(ctx, MEMBERS, ids=list(groups)):
        groups[member["user_id"]].append(member["ring_group"])
    return [row | {"ring_groups": groups[row["id"]]} for row in rows]


def month(ctx: Ctx) -> Any:
    """Since when cases make a risk, and call quality counts."""
    return ctx.now() - timedelta(days=30)


def _given(ctx: Ctx) -> dict[str, Any]:
    return {"since": month(ctx), "affected": ctx.settings.guardian_affected_mos}


async def people(ctx: Ctx, wanted: Wanted, *, agents: bool) -> Found:
    """Everybody of the account, or those who are in a ring group."""
    core = AGENTS if agents else PEOPLE
    usual = (users.c.created_at.asc(), users.c.id.asc())
    found = await listed(ctx, core, FIELDS, wanted, usual=usual, filtered=True, **_given(ctx))
    return replace(found, rows=await _with_groups(ctx, found.rows))


async def person(ctx: Ctx, user: str, *, agents: bool) -> Row:
    """One of them. 404 for somebody who is not there."""
    row = await find(ctx, ONE[agents], user=user, **_given(ctx))
    if row is None:
        raise Fault(NOT_FOUND)
    return (await _with_groups(ctx, [row]))[0]


async def roles(ctx: Ctx, user: str, wanted: Wanted, *, agents: bool) -> Found:
    """The roles that a person has: since when, and by whom."""
    await person(ctx, user, agents=agents)
    usual = (role_assignments.c.assigned_at.asc(), role_assignments.c.role.asc())
    return await listed(ctx, ROLES, ROLE_FIELDS, wanted, usual=usual, filtered=True, user=user)
