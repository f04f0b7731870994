"""The Ring Groups API as the world sees it. A ring group's id is its name, percent-encoded."""

from typing import Annotated, ClassVar
from urllib.parse import quote

import msgspec

from ringfence.floor.directory import change_membership
from ringfence.floor.lists import few
from ringfence.kernel.catalog import PUBLIC, Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Asked, Page, PageQuery, Shape
from ringfence.oauth.administration import PROBLEMS, administrator
from ringfence.store.query import Row

from . import domain

READ = Scope("ring-groups:read", "See your ring groups and their thresholds")
MEMBERS = Scope("user-ring-groups:read", "See who belongs to your ring groups")


class RingGroup(Shape):
    """A ring group; thresholds in seconds."""

    name: str
    short_abandoned_threshold: int
    wait_time_threshold: int
    example: ClassVar = {"name": "Support", "short_abandoned_threshold": 10, "wait_time_threshold": 20}


class Member(Shape):
    id: str
    links: ClassVar = {"self": "/users/{id}"}
    example: ClassVar = {"id": "5f0000000000000000000001"}


Names = Annotated[list[Annotated[str, msgspec.Meta(max_length=255)]], msgspec.Meta(max_length=200)]


class Membership(Shape):
    """A person and ring groups, by name."""

    user_id: Annotated[str, msgspec.Meta(max_length=24)]
    ring_groups: Annotated[Names, msgspec.Meta(min_length=1)]
    example: ClassVar = {"user_id": "5f0000000000000000000001", "ring_groups": ["Support"]}


class Replacement(Shape):
    """All the ring groups that a person is to be in."""

    ring_groups: Names
    example: ClassVar = {"ring_groups": ["Support"]}


class RingGroupQuery(PageQuery):
    """`name` matches anywhere in the name, case aside; `order_by` is name:asc or name:desc."""

    name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    order_by: Annotated[str, msgspec.Meta(max_length=40)] = "name:asc"


class MemberQuery(PageQuery):
    active: bool | None = None


def shown(row: Row) -> RingGroup:
    return RingGroup(
        name=row["name"],
        short_abandoned_threshold=row["short_abandoned_threshold"],
        wait_time_threshold=row["wait_time_threshold"],
    )


def templated(path: str, names: str) -> dict[str, dict[str, object]]:
    return {"page": {"href": f"{path}{{?{names}}}", "templated": True}}


async def list_ring_groups(ctx: Ctx, query: RingGroupQuery) -> Page[RingGroup]:
    """List the ring groups"""
    place = {"page": query.page, "per_page": query.per_page}
    found = await domain.search(ctx, name=query.name, order_by=query.order_by, **place)
    links = templated("/ring-groups", "page,per_page,name,order_by")
    return msgspec.structs.replace(found.map(shown), extra_links=links)


async def list_members(ctx: Ctx, ring_group: str, query: MemberQuery) -> Page[Member]:
    """List who belongs to a ring group"""
    place = {"page": query.page, "per_page": query.per_page}
    found = await domain.members(ctx, ring_group, active=query.active, **place)
    links = templated(f"/ring-groups/{quote(ring_group, safe='')}/users", "page,per_page,active")
    return msgspec.structs.replace(found.map(lambda row: Member(id=row["id"])), extra_links=links)


async def assign(ctx: Ctx, asked: Asked, body: list[Membership]) -> None:
    """Put people into ring groups

    For administrators in their browsers: it takes their session, not a token.
    """
    few(body)
    within = await administrator(ctx, asked)
    await change_membership(within, "assign", [(one.user_id, one.ring_groups) for one in body])


async def unassign(ctx: Ctx, asked: Asked, body: list[Membership]) -> None:
    """Take people out of ring groups

    For administrators in their browsers: it takes their session, not a token.
    """
    few(body)
    within = await administrator(ctx, asked)
    await change_membership(within, "unassign", [(one.user_id, one.ring_groups) for one in body])


async def replace(ctx: Ctx, user_id: str, asked: Asked, body: Replacement) -> None:
    """Say which ring groups a person is in

    For administrators in their browsers: it takes their session, not a token.
    """
    within = await administrator(ctx, asked)
    await change_membership(within, "replace", [(user_id, body.ring_groups)])


OURS = (*PROBLEMS, NOT_FOUND)
ACTIONS = "/actions/users"
API = Api(
    name="ring_groups",
    title="Ring Groups API",
    about="Ring groups and their members.",
    scopes=(READ, MEMBERS),
    operations=(
        Operation("GET", "/ring-groups", READ, list_ring_groups, ages="ring_groups"),
        Operation(
            "GET",
            "/ring-groups/{ring_group}/users",
            MEMBERS,
            list_members,
            problems=(NOT_FOUND,),
            ages="ring_groups",
        ),
        Operation(
            "POST",
            f"{ACTIONS}/assign-ring-groups",
            PUBLIC,
            assign,
            status=204,
            problems=OURS,
            ages="ring_groups",
        ),
        Operation(
            "POST",
            f"{ACTIONS}/unassign-ring-groups",
            PUBLIC,
            unassign,
            status=204,
            problems=OURS,
            ages="ring_groups",
        ),
        Operation(
            "PUT",
            "/users/{user_id}/ring-groups",
            PUBLIC,
            replace,
            status=204,
            problems=OURS,
            ages="ring_groups",
        ),
    ),
)
