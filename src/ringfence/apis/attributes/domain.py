"""Attributes, their categories, and how good each person is at them, as routing will ask."""

from typing import Any

from sqlalchemy import bindparam, delete, func, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.floor import flow_store
from ringfence.floor.directory import USER
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault, Problem, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment, Uuid, among
from ringfence.store.db import DuplicateRow
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.directory import attribute_categories, attribute_users, attributes
from ringfence.store.tables.identity import users

STAR = 20  # of a hundred
NAME_TAKEN = Problem("name_taken", 409, "The account already has one of this name.")
CATEGORY_IN_USE = Problem("category_in_use", 409, "The category still holds attributes; move them first.")
INACTIVE = Problem("attribute_inactive", 409, "People are given an attribute only while it is active.")


class AttributeFacts(Shape):
    attribute_id: str
    name: str
    active: bool


class CategoryFacts(Shape):
    category_id: str
    name: str


class PeopleFacts(Shape):
    """Who was concerned."""

    attribute_id: str
    user_ids: list[str]


ATTRIBUTE_CREATED = EventType("attribute.created", AttributeFacts, "An attribute was made", "attributes:read")
ATTRIBUTE_CHANGED = EventType("attribute.changed", AttributeFacts, "An attribute was changed", "attributes:read")
ASSIGNED = EventType(
    "attribute.assigned", PeopleFacts, "People were given an attribute, or another proficiency", "attributes:read"
)
UNASSIGNED = EventType("attribute.unassigned", PeopleFacts, "An attribute was taken from people", "attributes:read")
CATEGORY_CREATED = EventType(
    "attribute_category.created", CategoryFacts, "A category of attributes was made", "attributes:read"
)
CATEGORY_CHANGED = EventType("attribute_category.changed", CategoryFacts, "A category was renamed", "attributes:read")
CATEGORY_DELETED = EventType("attribute_category.deleted", CategoryFacts, "A category was deleted", "attributes:read")
EVENTS = (
    ATTRIBUTE_CREATED, ATTRIBUTE_CHANGED, ASSIGNED, UNASSIGNED, CATEGORY_CREATED, CATEGORY_CHANGED, CATEGORY_DELETED
)  # fmt: skip

ID = bindparam("id_", type_=Uuid)
ALL = Statement(mine(attributes))
BY_ID = Statement(mine(attributes).where(attributes.c.id == ID))
ADD, ADD_CATEGORY = adding(attributes), adding(attribute_categories)
SET = Statement(
    update(attributes)
    .where(attributes.c.account_id == ACCOUNT, attributes.c.id == ID)
    .values(
        name=bindparam("called"),
        name_key=bindparam("called_key"),
        category_id=bindparam("category", type_=Uuid),
        active=bindparam("is_active"),
        default_proficiency=bindparam("level"),
        team_ids=bindparam("teams", type_=Json),
        updated_at=bindparam("at", type_=Moment),
    )
)
COUNTS = Statement(
    mine(attribute_users, attribute_users.c.attribute_id, func.count().label("count")).group_by(
        attribute_users.c.attribute_id
    )
)
CATEGORIES = Statement(mine(attribute_categories))
CATEGORY = Statement(mine(attribute_categories).where(attribute_categories.c.id == ID))
RENAME = Statement(
    update(attribute_categories)
    .where(attribute_categories.c.account_id == ACCOUNT, attribute_categories.c.id == ID)
    .values(name=bindparam("called"), name_key=bindparam("called_key"))
)
DROP_CATEGORY = Statement(
    delete(attribute_categories).where(attribute_categories.c.account_id == ACCOUNT, attribute_categories.c.id == ID)
)
HOLDERS = Statement(
    mine(attribute_users, attribute_users.c.user_id, attribute_users.c.proficiency, users.c.name)
    .join(users, (users.c.account_id == ACCOUNT) & (users.c.id == attribute_users.c.user_id))
    .where(attribute_users.c.attribute_id == ID)
)
OF_USER = Statement(mine(attribute_users).where(attribute_users.c.user_id == bindparam("user")))
KNOWN = Statement(mine(users, users.c.id).where(among(users.c.id, bindparam("ids", type_=Json))))
ASSIGN = Statement(
    upsert(attribute_users)
    .values(
        attribute_id=ID,
        user_id=bindparam("user"),
        account_id=ACCOUNT,
        proficiency=bindparam("level"),
    )
    .on_conflict_do_update(
        index_elements=[attribute_users.c.attribute_id, attribute_users.c.user_id],
        set_={"proficiency": bindparam("level")},
    )
)
UNASSIGN = Statement(
    delete(attribute_users).where(
        attribute_users.c.account_id == ACCOUNT,
        attribute_users.c.attribute_id == ID,
        among(attribute_users.c.user_id, bindparam("ids", type_=Json)),
    )
)


def level_of(ctx: Ctx, kind: str, value: float, where: str) -> int:
    """A proficiency as it is kept, 0 to 100. Stars are 20 each; 1 to 5 of them only where the setting allows it."""
    if kind == "none":
        return 100
    if ctx.settings.attribute_stars and value in (1, 2, 3, 4, 5):
        return int(value) * STAR
    if value not in (20, 40, 60, 80, 100):
        raise wrong(where, "must be 20, 40, 60, 80 or 100: twenty for each star")
    return int(value)


async def _shown(ctx: Ctx, rows: list[Row]) -> list[Row]:
    """Attributes with the names of their categories, and how many people have and how many flows ask for them."""
    names = {row["id"]: row["name"] for row in await all_rows(ctx, CATEGORIES)}
    counts = {row["attribute_id"]: row["count"] for row in await all_rows(ctx, COUNTS)}
    asked = await flow_store.asked_for(ctx)
    return [
        row
        | {
            "category_name": names[row["category_id"]],
            "users_count": counts.get(row["id"], 0),
            "flows_count": asked[row["name"]],
        }
        for row in rows
    ]


async def everything(ctx: Ctx) -> list[Row]:
    return await _shown(ctx, await all_rows(ctx, ALL))


async def get(ctx: Ctx, attribute: str) -> Row:
    return (await _shown(ctx, [await one(ctx, BY_ID, id_=attribute)]))[0]


async def _category(ctx: Ctx, category: str) -> Row:
    found = await find(ctx, CATEGORY, id_=category)
    if found is None:
        raise wrong("category_id", "there is no such category")
    return found


async def create(
    ctx: Ctx, *, name: str, category_id: str, active: bool, proficiency: str, default: float, team_ids: list[str]
) -> Row:
    category = await _category(ctx, category_id)
    now = ctx.now()
    row: Row = {
        "id": ctx.new_uuid(),
        "account_id": ctx.account,
        "name": name,
        "name_key": name.casefold(),
        "category_id": category["id"],
        "active": active,
        "proficiency": proficiency,
        "default_proficiency": level_of(ctx, proficiency, default, "default_proficiency"),
        "team_ids": team_ids,
        "created_at": now,
        "updated_at": now,
    }
    try:
        await ctx.db.run(ADD, **row)
    except DuplicateRow as why:
        raise Fault(NAME_TAKEN, f"There is an attribute called {name!r}.") from why
    facts = AttributeFacts(attribute_id=row["id"], name=name, active=active)
    await emit(ctx, ATTRIBUTE_CREATED, row["id"], facts)
    return await get(ctx, row["id"])


async def replace(ctx: Ctx, attribute: str, given: dict[str, Any]) -> Row:
    """Change what is given; its kind of proficiency stays. A new default is for people assigned later."""
    row = await one(ctx, BY_ID, id_=attribute)
    after = row | given
    category = await _category(ctx, after["category_id"])
    level = level_of(ctx, row["proficiency"], after["default_proficiency"], "default_proficiency")
    try:
        await change(
            ctx,
            SET,
            id_=row["id"],
            called=after["name"],
            called_key=after["name"].casefold(),
            category=category["id"],
            is_active=after["active"],
            level=level,
            teams=after["team_ids"],
            at=ctx.now(),
        )
    except DuplicateRow as why:
        raise Fault(NAME_TAKEN, f"There is an attribute called {after['name']!r}.") from why
    facts = AttributeFacts(attribute_id=row["id"], name=after["name"], active=after["active"])
    await emit(ctx, ATTRIBUTE_CHANGED, row["id"], facts)
    return await get(ctx, row["id"])


async def holders(ctx: Ctx, attribute: str) -> list[Row]:
    """The people who have an attribute, by name."""
    await one(ctx, BY_ID, id_=attribute)
    found = await all_rows(ctx, HOLDERS, id_=attribute)
    return sorted(found, key=lambda row: (row["name"].casefold(), row["user_id"]))


async def assign(ctx: Ctx, attribute: str, people: list[tuple[str, float | None]]) -> list[tuple[str, int]]:
    """Give people an attribute, or another proficiency in it; all of them or nobody."""
    row = await one(ctx, BY_ID, id_=attribute)
    if not row["active"]:
        raise Fault(INACTIVE)
    known = {found["id"] for found in await all_rows(ctx, KNOWN, ids=[user for user, _ in people])}
    levels: list[tuple[str, int]] = []
    for index, (user, level) in enumerate(people):
        at = f"attributes_users[{index}]"
        if user not in known:
            raise Fault(NOT_FOUND, f"{at}.id: there is no person {user!r} in this account.")
        value = row["default_proficiency"] if level is None else level
        levels.append((user, level_of(ctx, row["proficiency"], value, f"{at}.proficiency")))
    for user, kept in levels:
        await change(ctx, ASSIGN, id_=row["id"], user=user, level=kept)
    ids = [user for user, _ in levels]
    await emit(ctx, ASSIGNED, row["id"], PeopleFacts(attribute_id=row["id"], user_ids=ids))
    return levels


async def unassign(ctx: Ctx, attribute: str, people: list[str]) -> None:
    """Take an attribute from people; those who do not have it stay without."""
    row = await one(ctx, BY_ID, id_=attribute)
    if await change(ctx, UNASSIGN, id_=row["id"], ids=people):
        await emit(ctx, UNASSIGNED, row["id"], PeopleFacts(attribute_id=row["id"], user_ids=people))


async def of_user(ctx: Ctx, user: str) -> list[Row]:
    """A person's attributes, by name."""
    await one(ctx, USER, user=user)
    known = {row["id"]: row for row in await all_rows(ctx, ALL)}
    found = [
        known[row["attribute_id"]] | {"user_proficiency": row["proficiency"]}
        for row in await all_rows(ctx, OF_USER, user=user)
    ]
    return sorted(found, key=lambda row: row["name_key"])


async def categories(ctx: Ctx) -> list[Row]:
    counts: dict[str, int] = {}
    for row in await all_rows(ctx, ALL):
        counts[row["category_id"]] = counts.get(row["category_id"], 0) + 1
    return [row | {"attribute_count": counts.get(row["id"], 0)} for row in await all_rows(ctx, CATEGORIES)]


async def create_category(ctx: Ctx, name: str) -> Row:
    row = {"id": ctx.new_uuid(), "account_id": ctx.account, "name": name, "name_key": name.casefold()}
    try:
        await ctx.db.run(ADD_CATEGORY, **row)
    except DuplicateRow as why:
        raise Fault(NAME_TAKEN, f"There is a category called {name!r}.") from why
    await emit(ctx, CATEGORY_CREATED, row["id"], CategoryFacts(category_id=row["id"], name=name))
    return row | {"attribute_count": 0}


async def rename_category(ctx: Ctx, category: str, name: str) -> Row:
    row = await one(ctx, CATEGORY, id_=category)
    try:
        await change(ctx, RENAME, id_=row["id"], called=name, called_key=name.casefold())
    except DuplicateRow as why:
        raise Fault(NAME_TAKEN, f"There is a category called {name!r}.") from why
    await emit(ctx, CATEGORY_CHANGED, row["id"], CategoryFacts(category_id=row["id"], name=name))
    return next(found for found in await categories(ctx) if found["id"] == row["id"])


async def delete_category(ctx: Ctx, category: str) -> None:
    row = await one(ctx, CATEGORY, id_=category)
    if any(found["category_id"] == row["id"] for found in await all_rows(ctx, ALL)):
        raise Fault(CATEGORY_IN_USE)
    await change(ctx, DROP_CATEGORY, id_=row["id"])
    await emit(ctx, CATEGORY_DELETED, row["id"], CategoryFacts(category_id=row["id"], name=row["name"]))
