"""The Attributes API as the world sees it."""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Page, PageQuery, Shape, paged
from ringfence.store.query import Row

from . import domain

READ = Scope("attributes:read", "See attributes, and how good each of your people is at them")
WRITE = Scope("attributes:write", "Change attributes, and how good each of your people is at them")

Name = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=255)]
Id = Annotated[str, msgspec.Meta(max_length=36)]
Level = Annotated[float, msgspec.Meta(ge=0, le=100)]
Teams = Annotated[list[Annotated[str, msgspec.Meta(max_length=100)]], msgspec.Meta(max_length=100)]
Kind = Literal["none", "five_stars_scale"]
Sort = Literal["name", "-name", "ascending", "descending"]
MEMBERS = ("total", "count", "page", "per_page")
T = TypeVar("T")


class NewAttribute(Shape):
    """Proficiency is 0 to 100, twenty for each star; of the kind `none` everybody has 100."""

    name: Name
    category_id: Id
    active: bool
    proficiency: Kind
    default_proficiency: Level
    team_ids: Teams = []
    example: ClassVar = {
        "name": "Portuguese",
        "category_id": "00000000-0000-7000-8000-000000000001",
        "active": True,
        "proficiency": "five_stars_scale",
        "default_proficiency": 60,
    }


class AttributeChange(Shape):
    """What is to change; a new default is for people assigned later."""

    name: Name | None = None
    category_id: Id | None = None
    active: bool | None = None
    default_proficiency: Level | None = None
    team_ids: Teams | None = None
    example: ClassVar = {"active": True, "default_proficiency": 80}


class Attribute(Shape):
    id: str
    name: str
    active: bool
    category_id: str
    category_name: str
    proficiency: Kind
    default_proficiency: int
    users_count: int
    flows_count: int
    team_ids: list[str]
    links: ClassVar = {"self": "/attributes/{id}", "attributes": "/attributes"}


class AttributeQuery(PageQuery):
    """`name` matches anywhere, case aside; `categories` holds ids or names of categories."""

    active: bool | None = None
    name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    categories: Annotated[list[Annotated[str, msgspec.Meta(max_length=255)]], msgspec.Meta(max_length=200)] = []
    proficiency: Kind | None = None
    sort: Sort = "name"


class HolderQuery(PageQuery):
    name: Annotated[str, msgspec.Meta(max_length=255)] | None = None


class CategoryQuery(PageQuery):
    sort: Sort = "name"


class Holder(Shape):
    """A person who has an attribute."""

    id: str
    name: str
    team: str
    proficiency: int
    attribute_id: str
    links: ClassVar = {"attribute": "/attributes/{attribute_id}"}


class Held(Shape):
    """An attribute of a person, and how good they are at it."""

    id: str
    name: str
    active: bool
    proficiency: Kind
    user_proficiency: int
    links: ClassVar = {"self": "/attributes/{id}", "attributes": "/attributes"}


class Assigned(Shape):
    """A person by id; without `proficiency` they get the default."""

    id: Annotated[str, msgspec.Meta(max_length=24)]
    proficiency: Level | None = None


class Assignment(Shape):
    attributes_users: Annotated[list[Assigned], msgspec.Meta(min_length=1, max_length=1000)]
    example: ClassVar = {"attributes_users": [{"id": "5f0000000000000000000001", "proficiency": 80}]}


class Given(Shape):
    id: str
    proficiency: int
    attribute_id: str
    links: ClassVar = {"attribute": "/attributes/{attribute_id}"}


class AssignmentDone(Shape):
    attributes_users: list[Given]


class Unassignment(Shape):
    attributes_users: Annotated[list[Annotated[str, msgspec.Meta(max_length=24)]], msgspec.Meta(max_length=1000)]
    example: ClassVar = {"attributes_users": ["5f0000000000000000000001"]}


class CategoryName(Shape):
    name: Name
    example: ClassVar = {"name": "Languages"}


class Category(Shape):
    id: str
    name: str
    attribute_count: int
    links: ClassVar = {"self": "/attributes-categories/{id}", "categories": "/attributes-categories"}


def shown(row: Row) -> Attribute:
    return Attribute(**{name: row[name] for name in Attribute.__struct_fields__})


def category(row: Row) -> Category:
    return Category(id=row["id"], name=row["name"], attribute_count=row["attribute_count"])


def page_of(rel: str, found: list[T], query: PageQuery, path: str, names: str) -> Page[T]:
    links = {"page": {"href": f"{path}{{?{names}}}", "templated": True}}
    return paged(rel, found, query.page, query.per_page, members=MEMBERS, bounds=False, extra_links=links)


def _sorted(found: list[Row], sort: Sort) -> list[Row]:
    return sorted(found, key=lambda row: row["name_key"], reverse=sort in ("-name", "descending"))


async def list_attributes(ctx: Ctx, query: AttributeQuery) -> Page[Attribute]:
    """List the attributes"""
    wanted = {name.casefold() for name in query.categories}
    found = [
        row
        for row in await domain.everything(ctx)
        if (query.active is None or row["active"] == query.active)
        and (query.name is None or query.name.casefold() in row["name_key"])
        and (not wanted or wanted & {row["category_id"], row["category_name"].casefold()})
        and (query.proficiency is None or row["proficiency"] == query.proficiency)
    ]
    names = "active,name,categories,proficiency,sort,page,per_page"
    return page_of("attributes", _sorted(found, query.sort), query, "/attributes", names).map(shown)


async def create_attribute(ctx: Ctx, body: NewAttribute) -> Attribute:
    """Make an attribute"""
    return shown(
        await domain.create(
            ctx,
            name=body.name,
            category_id=body.category_id,
            active=body.active,
            proficiency=body.proficiency,
            default=body.default_proficiency,
            team_ids=body.team_ids,
        )
    )


async def get_attribute(ctx: Ctx, attribute_id: str) -> Attribute:
    """Get one attribute"""
    return shown(await domain.get(ctx, attribute_id))


async def change_attribute(ctx: Ctx, attribute_id: str, body: AttributeChange) -> Attribute:
    """Change an attribute

    Its kind of proficiency cannot change. An attribute is not deleted: set `active` to false.
    """
    names = body.__struct_fields__
    given: dict[str, Any] = {name: getattr(body, name) for name in names if getattr(body, name) is not None}
    return shown(await domain.replace(ctx, attribute_id, given))


async def list_holders(ctx: Ctx, attribute_id: str, query: HolderQuery) -> Page[Holder]:
    """List who has an attribute"""
    wanted = (query.name or "").casefold()
    found = [row for row in await domain.holders(ctx, attribute_id) if wanted in row["name"].casefold()]
    page = page_of("attribute_users", found, query, f"/attributes/{attribute_id}/users", "name,page,per_page")
    return page.map(
        lambda row: Holder(
            id=row["user_id"], name=row["name"], team="", proficiency=row["proficiency"], attribute_id=attribute_id
        )
    )


async def assign(ctx: Ctx, attribute_id: str, body: Assignment) -> AssignmentDone:
    """Give people an attribute, or another proficiency in it"""
    people = [(one.id, one.proficiency) for one in body.attributes_users]
    done = await domain.assign(ctx, attribute_id, people)
    return AssignmentDone(
        attributes_users=[Given(id=user, proficiency=level, attribute_id=attribute_id) for user, level in done]
    )


async def unassign(ctx: Ctx, attribute_id: str, body: Unassignment) -> None:
    """Take an attribute from people"""
    await domain.unassign(ctx, attribute_id, body.attributes_users)


async def list_held(ctx: Ctx, user_id: str, query: PageQuery) -> Page[Held]:
    """List a person's attributes"""
    found = await domain.of_user(ctx, user_id)
    page = page_of("attributes", found, query, f"/users/{user_id}/attributes", "page,per_page")
    return page.map(lambda row: Held(**{name: row[name] for name in Held.__struct_fields__}))


async def list_categories(ctx: Ctx, query: CategoryQuery) -> Page[Category]:
    """List the categories of attributes"""
    found = _sorted(await domain.categories(ctx), query.sort)
    return page_of("categories", found, query, "/attributes-categories", "sort,page,per_page").map(category)


async def create_category(ctx: Ctx, body: CategoryName) -> Category:
    """Make a category"""
    return category(await domain.create_category(ctx, body.name))


async def rename_category(ctx: Ctx, category_id: str, body: CategoryName) -> Category:
    """Rename a category"""
    return category(await domain.rename_category(ctx, category_id, body.name))


async def delete_category(ctx: Ctx, category_id: str) -> None:
    """Delete a category that holds no attribute"""
    await domain.delete_category(ctx, category_id)


ONE = (NOT_FOUND,)
USERS = "/attributes/{attribute_id}/users"
CATEGORY = "/attributes-categories/{category_id}"
TAKEN = (NOT_FOUND, domain.NAME_TAKEN)
API = Api(
    name="attributes",
    title="Attributes API",
    about="Attributes and each agent's proficiency in them.",
    scopes=(READ, WRITE),
    events=domain.EVENTS,
    operations=(
        Operation("GET", "/attributes", READ, list_attributes),
        Operation("POST", "/attributes", WRITE, create_attribute, status=201, problems=(domain.NAME_TAKEN,)),
        Operation("GET", "/attributes/{attribute_id}", READ, get_attribute, problems=ONE),
        Operation("PUT", "/attributes/{attribute_id}", WRITE, change_attribute, problems=TAKEN),
        Operation("GET", USERS, READ, list_holders, problems=ONE),
        Operation("POST", USERS, WRITE, assign, problems=(NOT_FOUND, domain.INACTIVE)),
        Operation("DELETE", USERS, WRITE, unassign, status=204, problems=ONE),
        Operation("GET", "/users/{user_id}/attributes", READ, list_held, problems=ONE),
        Operation("GET", "/attributes-categories", READ, list_categories),
        Operation("POST", "/attributes-categories", WRITE, create_category, status=201, problems=(domain.NAME_TAKEN,)),
        Operation("PATCH", CATEGORY, WRITE, rename_category, problems=TAKEN),
        Operation("DELETE", CATEGORY, WRITE, delete_category, status=204, problems=(NOT_FOUND, domain.CATEGORY_IN_USE)),
    ),
)
