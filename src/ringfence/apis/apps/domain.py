"""Apps and their versions. A partner sees its own; an account also those that are installed there."""

from typing import Any

import msgspec
from sqlalchemy import bindparam, or_, select, update

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, Problem, wrong
from ringfence.oauth.clients import check_redirect_uri
from ringfence.store.columns import Json, Moment
from ringfence.store.db import DuplicateRow
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, change, mine, one

from .events import APP_CHANGED, APP_CREATED, AppNamed
from .shapes import AppFacts
from .tables import app_versions, apps, installations

# what the platform's partners may ask for, beside the scopes that are served here
ELSEWHERE = frozenset({
    "refresh_token", "reports:read", "reports:write", "events:read", "recordings:read", "interaction-triggers:read"
})  # fmt: skip
NAME_TAKEN = Problem("name_taken", 409, "The account already has one of this name.")

_here = select(installations.c.app_id).where(installations.c.account_id == ACCOUNT)
_visible = select(apps).where(or_(apps.c.account_id == ACCOUNT, apps.c.id.in_(_here)))
BY_ID = Statement(_visible.where(apps.c.id == bindparam("app")))
OWN = Statement(mine(apps).where(apps.c.id == bindparam("app")).with_for_update())
ALL = Statement(_visible.order_by(apps.c.name_key))
ANYWHERE = Statement(
    select(apps).where(or_(apps.c.id == bindparam("app"), apps.c.name_key == bindparam("key"))), everywhere=True
)
VERSIONS = Statement(
    mine(app_versions).where(app_versions.c.app_id == bindparam("app")).order_by(app_versions.c.number)
)
ADD, ADD_VERSION = adding(apps), adding(app_versions)
SET = Statement(
    update(apps)
    .where(apps.c.account_id == ACCOUNT, apps.c.id == bindparam("app"))
    .values(
        name=bindparam("called"),
        name_key=bindparam("key"),
        active=bindparam("on"),
        version_id=bindparam("version"),
        version_number=bindparam("number"),
        facts=bindparam("said", type_=Json),
        updated_at=bindparam("at", type_=Moment),
    )
)


async def get(ctx: Ctx, app: str) -> Row:
    return await one(ctx, BY_ID, app=app)


def version_name(number: int) -> str:
    return f"{number}.0"


def _checked(ctx: Ctx, facts: AppFacts) -> dict[str, Any]:
    known = {*ctx.house.scopes, *ELSEWHERE}
    for index, scope in enumerate(facts.scopes):
        if scope not in known:
            raise wrong(f"scopes[{index}]", f"{scope!r} is not a scope of this platform")
    for index, found in enumerate(facts.urls):
        if found.type == "redirect_uri":
            try:
                check_redirect_uri(found.url)
            except (Fault, ValueError) as why:
                raise wrong(f"urls[{index}].url", "is not a URI to which a code can be sent safely") from why
    for index, plan in enumerate(facts.subscription_types):
        if plan.max_licenses is not None and plan.max_licenses < plan.min_licenses:
            raise wrong(f"subscription_types[{index}].max_licenses", "must not be less than min_licenses")
    names = [plan.name for plan in facts.subscription_types]
    if len(set(names)) < len(names):
        raise wrong("subscription_types", "must not have a name twice")
    said: dict[str, Any] = msgspec.to_builtins(facts)
    return said


async def create(ctx: Ctx, facts: AppFacts) -> Row:
    said, now = _checked(ctx, facts), ctx.now()
    row: Row = {
        "id": ctx.new_key(),
        "account_id": ctx.account,
        "name": facts.name,
        "name_key": facts.name.casefold(),
        "active": facts.active,
        "version_id": ctx.new_key(),
        "version_number": 1,
        "facts": said,
        "created_at": now,
        "updated_at": now,
    }
    try:
        await ctx.db.run(ADD, **row)
    except DuplicateRow as why:
        raise Fault(NAME_TAKEN, f"There is an app called {facts.name!r}.") from why
    await _add_version(ctx, row)
    told = AppNamed(app_id=row["id"], name=facts.name, version_number=1)
    await emit(ctx, APP_CREATED, row["id"], told)
    return row


async def _add_version(ctx: Ctx, row: Row) -> None:
    version = {"number": row["version_number"], "facts": row["facts"], "created_at": row["updated_at"]}
    await ctx.db.run(ADD_VERSION, id=row["version_id"], account_id=row["account_id"], app_id=row["id"], **version)


async def hold(ctx: Ctx, app: str) -> Row:
    """An app of one's own, to be changed."""
    return await one(ctx, OWN, app=app)


async def revise(ctx: Ctx, row: Row, facts: AppFacts) -> Row:
    """A new version of an app that is held; installations stay with theirs until they are updated."""
    said = _checked(ctx, facts)
    if said == row["facts"]:
        return row
    after = row | {
        "name": facts.name,
        "active": facts.active,
        "version_id": ctx.new_key(),
        "version_number": row["version_number"] + 1,
        "facts": said,
        "updated_at": ctx.now(),
    }
    try:
        await change(
            ctx,
            SET,
            app=row["id"],
            called=facts.name,
            key=facts.name.casefold(),
            on=facts.active,
            version=after["version_id"],
            number=after["version_number"],
            said=said,
            at=after["updated_at"],
        )
    except DuplicateRow as why:
        raise Fault(NAME_TAKEN, f"There is an app called {facts.name!r}.") from why
    await _add_version(ctx, after)
    told = AppNamed(app_id=row["id"], name=facts.name, version_number=after["version_number"])
    await emit(ctx, APP_CHANGED, row["id"], told)
    return after
