"""Writing the directory: accounts, roles, people, teams, ring groups, numbers. Declared in a file, not by the APIs."""

from typing import Any, Literal

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.fence.view import changed
from ringfence.kernel.catalog import Api, EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.tables.floor import business_hours
from ringfence.store.tables.identity import accounts, numbers, ring_group_users, ring_groups, roles, teams, users

from . import channels
from .events import EVENTS, HOURS_CHANGED, HoursFacts


class AccountFacts(Shape):
    id: str
    name: str


class UserFacts(Shape):
    id: str
    email: str
    active: bool
    roles: list[str]
    team_id: str | None = None


class TeamFacts(Shape):
    id: str
    name: str


class Named(Shape):
    name: str


class NumberFacts(Shape):
    number: str
    label: str


class MembershipFacts(Shape):
    """The ring groups that a person now belongs to."""

    user_id: str
    ring_groups: list[str]


ACCOUNT_CREATED = EventType("account.created", AccountFacts, "An account was made")
ACCOUNT_CHANGED = EventType("account.changed", AccountFacts, "Facts of an account were changed", "account:read")
ROLE_CHANGED = EventType("role.changed", Named, "What a role allows was changed")
USER_CREATED = EventType("user.created", UserFacts, "A person was added", "users:read")
USER_CHANGED = EventType(
    "user.changed", UserFacts, "Facts, roles or the password of a person were changed", "users:read"
)
RING_GROUP_CHANGED = EventType("ring_group.changed", Named, "A ring group was made or changed", "ring-groups:read")
MEMBERSHIP_CHANGED = EventType(
    "user.ring_groups_changed", MembershipFacts, "A person joined or left ring groups", "users:read"
)
TEAM_CHANGED = EventType("team.changed", TeamFacts, "A team was made", "users:read")
NUMBER_CHANGED = EventType("number.changed", NumberFacts, "A phone number was added or relabelled", "account:read")

ADD_ACCOUNT, ADD_USER = adding(accounts, everywhere=True), adding(users)
ACCOUNT_BY_NAME = Statement(select(accounts).where(accounts.c.name == bindparam("name")), everywhere=True)
ALL_ACCOUNTS = Statement(select(accounts).order_by(accounts.c.name), everywhere=True)
SET_ACCOUNT = Statement(
    update(accounts)
    .where(accounts.c.id == ACCOUNT)
    .values(company_name=bindparam("company"), email=bindparam("mail"), timezone=bindparam("zone"))
)
ALL_ROLES, ALL_USERS = Statement(mine(roles).order_by(roles.c.name)), Statement(mine(users).order_by(users.c.email_key))
ALL_RING_GROUPS, ALL_NUMBERS = Statement(mine(ring_groups)), Statement(mine(numbers))
ALL_MEMBERS = Statement(mine(ring_group_users))
SET_ROLE = Statement(
    upsert(roles)
    .values(account_id=ACCOUNT, name=bindparam("role"), scopes=bindparam("allowed", type_=Json))
    .on_conflict_do_update(
        index_elements=[roles.c.account_id, roles.c.name], set_={"scopes": bindparam("allowed", type_=Json)}
    )
)
USER_FIELDS = ("name", "active", "gender", "extension", "external_phone_number", "team_id", "roles")
SET_USER = Statement(
    update(users)
    .where(users.c.account_id == ACCOUNT, users.c.id == bindparam("user"))
    .values(
        {field: bindparam(f"new_{field}", type_=users.c[field].type) for field in USER_FIELDS}
        | {"updated_at": bindparam("at", type_=Moment)}
    )
)
ALL_TEAMS = Statement(mine(teams).order_by(teams.c.name))
TEAM_BY_NAME = Statement(mine(teams, teams.c.id).where(teams.c.name == bindparam("name")))
ADD_TEAM = Statement(
    upsert(teams).values(account_id=ACCOUNT, id=bindparam("team"), name=bindparam("name")).on_conflict_do_nothing()
)
SET_PASSWORD = Statement(
    update(users)
    .where(users.c.account_id == ACCOUNT, users.c.id == bindparam("user"))
    .values(password_hash=bindparam("hashed"), updated_at=bindparam("at", type_=Moment))
)
SET_RING_GROUP = Statement(
    upsert(ring_groups)
    .values(
        account_id=ACCOUNT,
        name=bindparam("group"),
        short_abandoned_threshold=bindparam("short"),
        wait_time_threshold=bindparam("wait"),
    )
    .on_conflict_do_update(
        index_elements=[ring_groups.c.account_id, ring_groups.c.name],
        set_={"short_abandoned_threshold": bindparam("short"), "wait_time_threshold": bindparam("wait")},
    )
)
_number: dict[str, Any] = {
    "label": bindparam("new_label"),
    "flow_id": bindparam("flow"),
    "business_hours": bindparam("hours"),
}
SET_NUMBER = Statement(
    upsert(numbers)
    .values(account_id=ACCOUNT, number=bindparam("phone"), **_number)
    .on_conflict_do_update(index_elements=[numbers.c.account_id, numbers.c.number], set_=_number)
)
_hours: dict[str, Any] = {
    "timezone": bindparam("zone"),
    "week": bindparam("new_week", type_=Json),
    "closed_on": bindparam("new_closed_on", type_=Json),
}
SET_HOURS = Statement(
    upsert(business_hours)
    .values(account_id=ACCOUNT, name=bindparam("hours"), **_hours)
    .on_conflict_do_update(index_elements=[business_hours.c.account_id, business_hours.c.name], set_=_hours)
)
ALL_HOURS = Statement(mine(business_hours).order_by(business_hours.c.name))
GROUPS_OF = Statement(
    mine(ring_group_users, ring_group_users.c.ring_group)
    .where(ring_group_users.c.user_id == bindparam("user"))
    .order_by(ring_group_users.c.ring_group)
)
LEAVE_GROUP = Statement(
    delete(ring_group_users).where(
        ring_group_users.c.account_id == ACCOUNT,
        ring_group_users.c.user_id == bindparam("user"),
        ring_group_users.c.ring_group == bindparam("group"),
    )
)
JOIN_GROUP = Statement(
    upsert(ring_group_users)
    .values(account_id=ACCOUNT, ring_group=bindparam("group"), user_id=bindparam("user"))
    .on_conflict_do_nothing()
)
USER = Statement(mine(users, users.c.id).where(users.c.id == bindparam("user")))


async def create_account(ctx: Ctx, *, id: str, name: str, company_name: str, email: str, timezone: str) -> None:
    """Make an account; `ctx.account` must be its id."""
    await ctx.db.run(
        ADD_ACCOUNT,
        id=id,
        name=name,
        company_name=company_name,
        email=email,
        timezone=timezone,
        created_at=ctx.now(),
    )
    await emit(ctx, ACCOUNT_CREATED, id, AccountFacts(id=id, name=name))
    await changed(ctx, "account", id)


async def change_account(ctx: Ctx, *, name: str, company_name: str, email: str, timezone: str) -> None:
    await change(ctx, SET_ACCOUNT, company=company_name, mail=email, zone=timezone)
    await emit(ctx, ACCOUNT_CHANGED, ctx.account, AccountFacts(id=ctx.account, name=name))


async def set_role(ctx: Ctx, *, name: str, scopes: list[str]) -> None:
    """Make a role, or change what it allows: from the next request on, for everybody who has it."""
    await change(ctx, SET_ROLE, role=name, allowed=sorted(scopes))
    await emit(ctx, ROLE_CHANGED, name, Named(name=name))
    await changed(ctx, "roles", ctx.account)


def _facts(id: str, email: str, facts: Row) -> UserFacts:
    team = facts.get("team_id")
    return UserFacts(id=id, email=email, active=facts["active"], roles=list(facts["roles"]), team_id=team)


async def team_of(ctx: Ctx, name: str) -> str:
    """The id of a team, made where there is none of that name: 24 hex digits."""
    id = ctx.new_id()
    if await change(ctx, ADD_TEAM, team=id, name=name):
        await emit(ctx, TEAM_CHANGED, id, TeamFacts(id=id, name=name))
        return id
    found: str = (await one(ctx, TEAM_BY_NAME, name=name))["id"]
    return found


async def create_user(ctx: Ctx, *, email: str, password_hash: str | None, facts: dict[str, Any]) -> str:
    """Add a person. `facts` are USER_FIELDS. Their id."""
    id, now = ctx.new_id(), ctx.now()
    await ctx.db.run(
        ADD_USER,
        **facts,
        id=id,
        account_id=ctx.account,
        email=email,
        email_key=email.casefold(),
        password_hash=password_hash,
        created_at=now,
        updated_at=now,
    )
    await emit(ctx, USER_CREATED, id, _facts(id, email, facts))
    return id


async def change_user(ctx: Ctx, *, user: str, email: str, facts: dict[str, Any]) -> None:
    """Change a person's facts and roles; a person who is no longer active is refused at the next request."""
    given = {f"new_{field}": facts[field] for field in USER_FIELDS}
    await change(ctx, SET_USER, user=user, at=ctx.now(), **given)
    await emit(ctx, USER_CHANGED, user, _facts(user, email, facts))
    await changed(ctx, "person", user)


async def set_password(ctx: Ctx, *, user: Row, password_hash: str) -> None:
    await change(ctx, SET_PASSWORD, user=user["id"], hashed=password_hash, at=ctx.now())
    await emit(ctx, USER_CHANGED, user["id"], _facts(user["id"], user["email"], user))


async def set_membership(ctx: Ctx, *, user: str, ring_groups: list[str]) -> None:
    """The ring groups that a person belongs to, and no others."""
    have = {row["ring_group"] for row in await all_rows(ctx, GROUPS_OF, user=user)}
    await _move(ctx, user, join=set(ring_groups) - have, leave=have - set(ring_groups))


async def _move(ctx: Ctx, user: str, *, join: set[str], leave: set[str]) -> None:
    moved = 0
    for name in sorted(leave):
        moved += await change(ctx, LEAVE_GROUP, user=user, group=name)
    for name in sorted(join):
        moved += await change(ctx, JOIN_GROUP, user=user, group=name)
    if moved:
        now = [row["ring_group"] for row in await all_rows(ctx, GROUPS_OF, user=user)]
        await emit(ctx, MEMBERSHIP_CHANGED, user, MembershipFacts(user_id=user, ring_groups=now))


Change = Literal["assign", "unassign", "replace"]


async def change_membership(ctx: Ctx, what: Change, given: list[tuple[str, list[str]]]) -> None:
    """Put people into ring groups, take them out, or say which they are in: all of it or, with a Fault, nothing."""
    known = {row["name"] for row in await all_rows(ctx, ALL_RING_GROUPS)}
    for index, (user, names) in enumerate(given):
        if await find(ctx, USER, user=user) is None:
            raise Fault(NOT_FOUND, f"There is no person {user!r} in this account.")
        if strange := [name for name in names if name not in known]:
            raise wrong(f"[{index}].ring_groups", f"there is no ring group {strange[0]!r}")
        if what == "replace":
            await set_membership(ctx, user=user, ring_groups=names)
        elif what == "assign":
            await _move(ctx, user, join=set(names), leave=set())
        else:
            await _move(ctx, user, join=set(), leave=set(names))


async def set_ring_group(ctx: Ctx, *, name: str, short_abandoned_threshold: int, wait_time_threshold: int) -> None:
    """Make or change a ring group; thresholds in seconds."""
    await change(ctx, SET_RING_GROUP, group=name, short=short_abandoned_threshold, wait=wait_time_threshold)
    await emit(ctx, RING_GROUP_CHANGED, name, Named(name=name))


async def set_number(
    ctx: Ctx, *, number: str, label: str, flow: str | None = None, business_hours: str | None = None
) -> None:
    """Add or change a number of the account: which flow answers it, and by which hours it is open."""
    await change(ctx, SET_NUMBER, phone=number, new_label=label, flow=flow, hours=business_hours)
    await emit(ctx, NUMBER_CHANGED, number, NumberFacts(number=number, label=label))


async def set_business_hours(
    ctx: Ctx, *, name: str, timezone: str, week: dict[str, list[tuple[str, str]]], closed_on: list[str]
) -> None:
    """Declare when the account is open: by day of the week, `HH:MM` to `HH:MM`, and days on which it is closed."""
    await change(ctx, SET_HOURS, hours=name, zone=timezone, new_week=week, new_closed_on=closed_on)
    await emit(ctx, HOURS_CHANGED, name, HoursFacts(name=name))


FLOOR = Api(
    name="floor",
    title="The floor",
    about="The people, ring groups and numbers of a contact centre.",
    operations=(),
    events=(
        ACCOUNT_CREATED,
        ACCOUNT_CHANGED,
        ROLE_CHANGED,
        USER_CREATED,
        USER_CHANGED,
        RING_GROUP_CHANGED,
        MEMBERSHIP_CHANGED,
        TEAM_CHANGED,
        NUMBER_CHANGED,
        *EVENTS,
        *channels.EVENTS,
    ),
)
