"""The four Guardian APIs as the world sees them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from ringfence.guardian import people, records
from ringfence.guardian.events import READ_CASES
from ringfence.guardian.lists import Found, Wanted
from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Listed
from ringfence.store.query import Row

from .shapes import (
    Average,
    CallQuality,
    Case,
    GuardianUser,
    Hit,
    Jitter,
    ListQuery,
    QualityOfUser,
    RoleAssignment,
    Session,
    Spread,
)

READ_SESSIONS = Scope("guardian-session:read", "See when and from where people were logged in")
READ_USERS = Scope("guardian-users:read", "See people's roles, presence, risk and status")
READ_CALL_QUALITY = Scope("guardian-call-quality:read", "See how people's calls sounded")


def _wanted(query: ListQuery) -> Wanted:
    return Wanted(query.filter, query.order_by, query.page, query.per_page)


def _page(found: Found, query: ListQuery, shown: Callable[[Row], Any], show: str) -> Listed[Any]:
    return Listed(
        rel="items",
        items=[shown(row) for row in found.rows],
        total=found.total,
        page=query.page,
        per_page=query.per_page,
        extra_links={"show": {"href": show, "templated": True}},
        headers=found.headers,
    )


def _one_of(path: str, field: str) -> str:
    """Where one of a list is to be had that has no path of its own."""
    return f"{path}?filter={field}%20eq%20'{{{field}}}'"


# cases


def shown_case(row: Row, source: str) -> Case:
    documents = {"hits": msgspec.convert(row["hits"], list[Hit]), "source": source}
    return msgspec.convert(row | documents, Case)


async def list_cases(ctx: Ctx, query: ListQuery) -> Listed[Case]:
    """List what was detected

    The latest first. The same behaviour going on adds to its case.
    """
    source = records.source(ctx)
    found = await records.all_cases(ctx, _wanted(query))
    return _page(found, query, lambda row: shown_case(row, source), _one_of("/guardian/cases", "id"))


# sessions


def shown_session(row: Row) -> Session:
    return Session(**row)


async def list_sessions(ctx: Ctx, query: ListQuery) -> Listed[Session]:
    """List logins and shifts

    The latest first.
    """
    found = await records.all_sessions(ctx, _wanted(query))
    return _page(found, query, shown_session, _one_of("/guardian/logs/sessions", "id"))


# people


def shown_user(row: Row) -> GuardianUser:
    facts = {name: value for name, value in row.items() if not name.startswith("call_quality.")}
    quality = QualityOfUser(
        avg_affected_calls=bool(row["call_quality.avg_affected_calls"]),
        mos=Average(avg=row["call_quality.mos.avg"]),
    )
    return GuardianUser(**facts, call_quality=quality)


def shown_role(row: Row) -> RoleAssignment:
    return RoleAssignment(**row)


async def list_users(ctx: Ctx, query: ListQuery) -> Listed[GuardianUser]:
    """List everybody

    By time of creation.
    """
    found = await people.people(ctx, _wanted(query), agents=False)
    return _page(found, query, shown_user, "/guardian/users/{id}")


async def get_user(ctx: Ctx, user_id: str) -> GuardianUser:
    """Get one person"""
    return shown_user(await people.person(ctx, user_id, agents=False))


async def list_user_roles(ctx: Ctx, user_id: str, query: ListQuery) -> Listed[RoleAssignment]:
    """List the roles of a person"""
    found = await people.roles(ctx, user_id, _wanted(query), agents=False)
    return _page(found, query, shown_role, f"/guardian/users/{quote(user_id, safe='')}/roles")


async def list_agents(ctx: Ctx, query: ListQuery) -> Listed[GuardianUser]:
    """List those who take calls

    Everybody who is in a ring group, by time of creation.
    """
    found = await people.people(ctx, _wanted(query), agents=True)
    return _page(found, query, shown_user, "/guardian/agents/{id}")


async def get_agent(ctx: Ctx, user_id: str) -> GuardianUser:
    """Get one agent"""
    return shown_user(await people.person(ctx, user_id, agents=True))


async def list_agent_roles(ctx: Ctx, user_id: str, query: ListQuery) -> Listed[RoleAssignment]:
    """List the roles of an agent"""
    found = await people.roles(ctx, user_id, _wanted(query), agents=True)
    return _page(found, query, shown_role, f"/guardian/agents/{quote(user_id, safe='')}/roles")


# call quality


def shown_quality(row: Row) -> CallQuality:
    return CallQuality(
        call_id=row["call_id"],
        interaction_id=row["interaction_id"],
        user_id=row["user_id"],
        timestamp=row["timestamp"],
        affected_call=bool(row["affected_call"]),
        jitter=Jitter(avg=row["jitter.avg"], max=row["jitter.max"]),
        mos=Spread(avg=row["mos.avg"], max=row["mos.max"], min=row["mos.min"]),
        rtt=Spread(avg=row["rtt.avg"], max=row["rtt.max"], min=row["rtt.min"]),
        packets_loss_percentage=row["packets_loss_percentage"],
    )


async def list_call_quality(ctx: Ctx, query: ListQuery) -> Listed[CallQuality]:
    """List how calls sounded

    Contacts that an agent answered within the previous 30 days, the latest first.
    """
    found = await records.calls_heard(ctx, _wanted(query))
    return _page(found, query, shown_quality, _one_of("/guardian/calls/call-quality", "call_id"))


CASES = Api(
    name="guardian-cases",
    title="Guardian Cases API",
    about="What was detected in how people behave.",
    scopes=(READ_CASES,),
    operations=(Operation("GET", "/guardian/cases", READ_CASES, list_cases),),
)
SESSIONS = Api(
    name="guardian-sessions",
    title="Guardian Sessions API",
    about="When, from where and with what people were logged in.",
    scopes=(READ_SESSIONS,),
    operations=(Operation("GET", "/guardian/logs/sessions", READ_SESSIONS, list_sessions),),
)
USERS = Api(
    name="guardian-users",
    title="Guardian Users API",
    about="What Guardian knows of people: role, ring groups, presence, risk, status.",
    scopes=(READ_USERS,),
    operations=(
        Operation("GET", "/guardian/users", READ_USERS, list_users),
        Operation("GET", "/guardian/users/{user_id}", READ_USERS, get_user, problems=(NOT_FOUND,)),
        Operation("GET", "/guardian/users/{user_id}/roles", READ_USERS, list_user_roles, problems=(NOT_FOUND,)),
        Operation("GET", "/guardian/agents", READ_USERS, list_agents),
        Operation("GET", "/guardian/agents/{user_id}", READ_USERS, get_agent, problems=(NOT_FOUND,)),
        Operation("GET", "/guardian/agents/{user_id}/roles", READ_USERS, list_agent_roles, problems=(NOT_FOUND,)),
    ),
)
CALL_QUALITY = Api(
    name="guardian-call-quality",
    title="Guardian Call Quality API",
    about="How answered calls sounded, over the previous 30 days.",
    scopes=(READ_CALL_QUALITY,),
    operations=(Operation("GET", "/guardian/calls/call-quality", READ_CALL_QUALITY, list_call_quality),),
)
