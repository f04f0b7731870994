"""Attributes, lists and apps of an account, brought to what a file declares. What is there beside them stays."""

from collections.abc import Callable
from typing import Any

import msgspec

from ringfence.apis.apps import domain as apps
from ringfence.apis.apps import installations
from ringfence.apis.apps.shapes import AppFacts, AppUrl, SubscriptionType
from ringfence.apis.attributes import domain as attributes
from ringfence.apis.do_not_call_lists import domain as do_not_call
from ringfence.apis.record_lists import domain as records
from ringfence.floor import directory, lists
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.oauth import people
from ringfence.store.statement import Row

from .declaration import (
    AccountDeclared,
    AppDeclared,
    AttributeDeclared,
    DoNotCallListDeclared,
    InstallationDeclared,
    RecordListDeclared,
    UserDeclared,
)

Add = Callable[..., None]  # (sign, what, detail, apply): one more step of a plan


async def plan_attributes(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """Attributes with their categories, and who is how good at them."""
    have = {row["name"]: row for row in await attributes.everything(ctx)}
    for one in wanted.attributes:
        before = have.get(one.name)
        if before is None:
            add("+", f"attribute {one.name}", one.category, _new_attribute(one))
        elif changed := _changed(before, one):
            add("~", f"attribute {one.name}", ", ".join(changed), _change_attribute(before["id"], one))
    users = {row["email_key"]: row for row in await ctx.db.all(directory.ALL_USERS, account=ctx.account)}
    for user in wanted.users:
        known = users.get(user.email.casefold())
        held = {r["name"]: r["user_proficiency"] for r in await attributes.of_user(ctx, known["id"])} if known else {}
        for name, level in user.attributes.items():
            if name not in held or level not in (None, held[name]):
                detail = f"{name}: {level or 'its default'}"
                add("~" if name in held else "+", f"user {user.email}", detail, _assign(user, name, level))
        for name in held.keys() - user.attributes.keys() if user.attributes else ():
            add("-", f"user {user.email}", f"attribute {name}", _unassign(user, name))


def _changed(before: Row, wanted: AttributeDeclared) -> list[str]:
    facts = {"active": wanted.active, "category_name": wanted.category}
    if before["proficiency"] != "none":
        facts["default_proficiency"] = wanted.default_proficiency
    return [f"{name}: {before[name]!r} → {value!r}" for name, value in facts.items() if before[name] != value]


async def _category(ctx: Ctx, name: str) -> str:
    known = {row["name_key"]: row["id"] for row in await attributes.categories(ctx)}
    found: str | None = known.get(name.casefold())
    return found or (await attributes.create_category(ctx, name))["id"]


def _new_attribute(wanted: AttributeDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        await attributes.create(
            ctx,
            name=wanted.name,
            category_id=await _category(ctx, wanted.category),
            active=wanted.active,
            proficiency=wanted.proficiency,
            default=wanted.default_proficiency,
            team_ids=[],
        )

    return run


def _change_attribute(id: str, wanted: AttributeDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        facts = {"active": wanted.active, "default_proficiency": wanted.default_proficiency}
        await attributes.replace(ctx, id, facts | {"category_id": await _category(ctx, wanted.category)})

    return run


async def _found(ctx: Ctx, user: UserDeclared, name: str) -> tuple[str, str]:
    """The ids of an attribute and of a person, who may have been made a moment ago."""
    attribute = next(row["id"] for row in await attributes.everything(ctx) if row["name"] == name)
    person: Any = await people.find_person(ctx, user.email)
    return attribute, person["id"]


def _assign(user: UserDeclared, name: str, level: int | None) -> Any:
    async def run(ctx: Ctx) -> None:
        attribute, person = await _found(ctx, user, name)
        await attributes.assign(ctx, attribute, [(person, level)])

    return run


def _unassign(user: UserDeclared, name: str) -> Any:
    async def run(ctx: Ctx) -> None:
        attribute, person = await _found(ctx, user, name)
        await attributes.unassign(ctx, attribute, [person])

    return run


async def plan_lists(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """Lists, and what they hold at least."""
    have = {row["name"]: row for row in await lists.all_of(ctx, records.KIND)}
    for one in wanted.record_lists:
        before = have.get(one.name)
        if before is None:
            add("+", f"record list {one.name}", f"{len(one.records)} records", _new_records(one))
            continue
        for record in one.records:
            if not await records.by_number(ctx, before["id"], int(record.phone[1:])):
                add("+", f"record list {one.name}", record.phone, _add_record(before["id"], record))
    have = {row["name"]: row for row in await lists.all_of(ctx, do_not_call.KIND)}
    for each in wanted.do_not_call_lists:
        before = have.get(each.name)
        if before is None:
            add("+", f"do-not-call list {each.name}", f"{len(each.numbers)} numbers", _new_numbers(each))
            continue
        for number in each.numbers:
            if not await do_not_call.holds(ctx, before["id"], int(number[1:])):
                add("+", f"do-not-call list {each.name}", number, _add_number(before["id"], number))


def _used_by(wanted: RecordListDeclared | DoNotCallListDeclared) -> dict[str, Any]:
    return {
        "teams": [{"id": team.id, "name": team.name} for team in wanted.teams],
        "campaigns": [{"id": one.id, "campaign_name": one.campaign_name} for one in wanted.campaigns],
    }


def _new_records(wanted: RecordListDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        made = await records.create(ctx, name=wanted.name, rule=wanted.unique, csv=None, **_used_by(wanted))
        for record in wanted.records:
            await _add_record(made["id"], record)(ctx)

    return run


def _add_record(list_id: str, record: Any) -> Any:
    async def run(ctx: Ctx) -> None:
        given = {name: getattr(record, name) for name in ("first_name", "last_name", "timezone", "priority")}
        await records.add(ctx, list_id, given | {"phone_number": record.phone})

    return run


def _new_numbers(wanted: DoNotCallListDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        made = await do_not_call.create(ctx, name=wanted.name, csv=None, **_used_by(wanted))
        for number in wanted.numbers:
            await _add_number(made["id"], number)(ctx)

    return run


def _add_number(list_id: str, number: str) -> Any:
    async def run(ctx: Ctx) -> None:
        await do_not_call.add_entry(ctx, list_id, phone_number=number, expiration_date=None, reason=None)

    return run


async def plan_apps(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """Apps of the account, and what is installed in it."""
    have = {row["name"]: row for row in await ctx.db.all(apps.ALL, account=ctx.account)}
    for one in wanted.apps:
        before = have.get(one.name)
        if before is None:
            add("+", f"app {one.name}", ", ".join(one.scopes), _new_app(one))
        elif before["account_id"] == ctx.account and _facts(one, before["facts"]) != before["facts"]:
            add("~", f"app {one.name}", "a new version", _change_app(before["id"], one))
    for each in wanted.installations:
        app = have.get(each.app)
        row = await ctx.db.one(installations.BY_APP, account=ctx.account, app=app["id"]) if app else None
        if row is None:
            add("+", f"installation of {each.app}", "approved" if each.approved else "pending", _install(each))


def _facts(wanted: AppDeclared, before: dict[str, Any]) -> dict[str, Any]:
    """An app's facts as the file has them; what it does not speak of stays."""
    plans = [SubscriptionType(type="trial", name="Trial"), SubscriptionType(type="paid", name="Paid")]
    facts = {
        "name": wanted.name,
        "description": wanted.description,
        "scopes": wanted.scopes,
        "urls": [AppUrl(type="redirect_uri", url=uri) for uri in wanted.redirect_uris],
        "subscription_types": plans if wanted.trial else [],
    }
    said: dict[str, Any] = msgspec.to_builtins(msgspec.convert(before | msgspec.to_builtins(facts), AppFacts))
    return said


def _new_app(wanted: AppDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        await apps.create(ctx, _shape(_facts(wanted, {})))

    return run


def _shape(facts: dict[str, Any]) -> AppFacts:
    return msgspec.convert(facts, AppFacts)


def _change_app(id: str, wanted: AppDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        row = await apps.hold(ctx, id)
        await apps.revise(ctx, row, _shape(_facts(wanted, row["facts"])))

    return run


def _install(wanted: InstallationDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        try:
            row = await installations.install(ctx, app=wanted.app, scopes=wanted.scopes)
        except Fault as why:
            raise Fault(why.problem, f"installation of {wanted.app}: {why.detail.description}") from why
        await installations.provision(ctx, installations.Installed(installation=row["id"]))
        if wanted.approved:
            row = await installations.held(ctx, row["id"])
            await installations.decide(ctx, row, "approve", "declared in the file")

    return run
