"""The life of an app in an account, one step at a time; what is not a step cannot happen.

installing → pending → completed, and from there an update or the uninstallation is pending again. What is pending is
approved, rejected, or times out.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import bindparam, or_, select, update

from ringfence.floor.directory import ALL_NUMBERS, ALL_USERS, USER
from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault, Problem, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.db import DuplicateRow
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine, one
from ringfence.store.work import enqueue

from . import credentials, domain, trials
from .events import (
    INSTALLATION_MOVED,
    INSTALLED,
    UNINSTALLED,
    UPDATED,
    Moved,
    NewPlan,
    Reason,
    Seats,
    Uninstalled,
    Updated,
    Users,
    life,
)
from .tables import app_versions, installations

PATIENCE = timedelta(days=7)  # for a confirmation
NOT_CONFIRMED = "it was not confirmed within 7 days"
WRONG_STATE = Problem("wrong_installation_state", 409, "The installation is not in a state in which this can be done.")
Decision = Literal["approve", "reject"]
CALM: dict[str, Any] = {"step": None, "before": None, "due": None, "proposal": None}  # nothing waits


class Installed(Shape):
    """Arguments of the jobs of an installation."""

    installation: str


THIS = installations.c.id == bindparam("installation")
OURS = or_(installations.c.account_id == ACCOUNT, installations.c.owner_id == ACCOUNT)
BY_ID = Statement(select(installations).where(OURS, THIS, installations.c.app_id == bindparam("app")))
BY_APP = Statement(
    mine(installations)
    .where(installations.c.app_id == bindparam("app"), installations.c.ended_at.is_(None))
    .with_for_update()
)
HELD = Statement(mine(installations).where(THIS).with_for_update())
ALL = Statement(mine(installations).order_by(installations.c.created_at, installations.c.id))
VERSION = Statement(
    select(app_versions.c.number, app_versions.c.facts).where(app_versions.c.id == bindparam("version")),
    everywhere=True,  # of an app that is installed here, whoever owns it
)
ADD = adding(installations)
SAVED = (
    "version_id", "state", "reason", "step", "before", "due", "proposal", "users", "subscription", "licenses",
    "channels", "trial", "updated_at", "ended_at",
)  # fmt: skip
SAVE = Statement(
    update(installations)
    .where(installations.c.account_id == ACCOUNT, THIS)
    .values({name: bindparam(f"new_{name}", type_=installations.c[name].type) for name in SAVED})
)


async def get(ctx: Ctx, app: str, installation: str) -> tuple[Ctx, Row]:
    """An installation that the partner or the account asks for, and the context of the account where it is."""
    row = await one(ctx, BY_ID, app=app, installation=installation)
    return replace(ctx, account=row["account_id"]), row


async def held(ctx: Ctx, installation: str) -> Row:
    """An installation of the context's account, to be changed."""
    return await one(ctx, HELD, installation=installation)


async def save(ctx: Ctx, row: Row, **changed: Any) -> Row:
    after = row | changed | {"updated_at": ctx.now()}
    await change(ctx, SAVE, installation=row["id"], **{f"new_{name}": after[name] for name in SAVED})
    return after


async def move(ctx: Ctx, row: Row, state: str, reason: str = "", **changed: Any) -> Row:
    """Go on to another state, and say so in the log."""
    after = await save(ctx, row, state=state, reason=reason, **changed)
    told = Moved(app_id=row["app_id"], installation_id=row["id"], state=state, reason=reason)
    await emit(ctx, INSTALLATION_MOVED, row["id"], told)
    return after


async def version_of(ctx: Ctx, row: Row) -> Row:
    found: Row = await ctx.db.one(VERSION, version=row["version_id"])
    return found


async def common(ctx: Ctx, row: Row) -> dict[str, Any]:
    """What the events of an installation have in common."""
    version = await version_of(ctx, row)
    name = ctx.house.view.accounts.get(row["account_id"], "")
    return life(row, name, domain.version_name(version["number"]))


async def install(
    ctx: Ctx,
    *,
    app: str,
    scopes: list[str] | None = None,
    users: list[str] | None = None,
    filters: list[dict[str, str]] | None = None,
    plan: str | None = None,
    licenses: int = 0,
    by: str | None = None,
) -> Row:
    """Begin to install an app in the context's account; `scopes` are granted, all that it asks for where None."""
    found = await ctx.db.one(domain.ANYWHERE, app=app, key=app.casefold())
    if found is None:
        raise Fault(NOT_FOUND, f"There is no app {app!r}.")
    if not found["active"]:
        raise Fault(WRONG_STATE, f"The app {found['name']!r} is not active.")
    facts, now = found["facts"], ctx.now()
    known = [scope for scope in facts["scopes"] if scope in ctx.house.scopes]
    if strange := sorted(set(scopes or ()) - set(known)):
        raise wrong("scopes", f"the app does not ask for {', '.join(strange)}, or this server does not know it")
    for user in users or ():
        if await find(ctx, USER, user=user) is None:
            raise wrong("users", f"there is no person {user!r} in this account")
    row: Row = {
        "id": ctx.new_key(),
        "account_id": ctx.account,
        "owner_id": found["account_id"],
        "app_id": found["id"],
        "version_id": found["version_id"],
        "scopes": sorted(known if scopes is None else set(scopes)),
        "state": "installing",
        "reason": "",
        "users": users or [],
        "filters": filters or [{"filter": "all" if users is None else "none", "match": ""}],
        "subscription": _plan(facts, plan, licenses) if plan or facts["subscription_types"] else None,
        "licenses": licenses,
        "channels": [],
        "created_by": by,
        "created_at": now,
        "updated_at": now,
    }
    try:
        await ctx.db.run(ADD, **row)
    except DuplicateRow as why:
        raise Fault(WRONG_STATE, f"{found['name']!r} is installed in this account already.") from why
    told = Moved(app_id=row["app_id"], installation_id=row["id"], state="installing", reason="")
    await emit(ctx, INSTALLATION_MOVED, row["id"], told)
    await enqueue(ctx, PROVISION, Installed(installation=row["id"]))
    return await held(ctx, row["id"])


def _plan(facts: dict[str, Any], plan: str | None, licenses: int) -> dict[str, Any]:
    """One of the plans that an app is offered in, by name; the first where none is named."""
    offered: list[dict[str, Any]] = facts["subscription_types"]
    found = next((one for one in offered if plan in (None, one["name"])), None)
    if found is None:
        names = ", ".join(one["name"] for one in offered) or "none"
        raise wrong("plan", f"the app is not offered in the plan {plan!r}; it is in {names}")
    most = found["max_licenses"]
    if licenses < found["min_licenses"] or (most is not None and licenses > most):
        raise wrong("licenses", f"the plan takes {found['min_licenses']} to {'any number' if most is None else most}")
    return found


async def provision(ctx: Ctx, args: Installed) -> None:
    """Give a new installation its credentials, and wait for somebody to confirm it."""
    row = await find(ctx, HELD, installation=args.installation)
    if row is None or row["state"] != "installing":
        return
    said = await common(ctx, row)
    try:
        made = await credentials.issue(ctx, row, (await version_of(ctx, row))["facts"])
    except Fault as why:  # such as a redirect URI that is no longer taken
        await _end(ctx, row, "failed", why.detail.description or why.problem.message)
        return
    await emit(ctx, INSTALLED, row["id"], credentials.told(said, made))
    await _wait(ctx, row, "install", before=None)


async def _wait(ctx: Ctx, row: Row, step: str, *, before: str | None, proposal: Any = None) -> Row:
    due = ctx.now() + PATIENCE
    await enqueue(ctx, TIME_OUT, Installed(installation=row["id"]), due=due)
    return await move(ctx, row, "pending", step=step, before=before, due=due, proposal=proposal)


async def decide(ctx: Ctx, row: Row, decision: Decision, reason: str) -> Row:
    """Approve or reject what waits for it."""
    if row["state"] != "pending":
        raise Fault(WRONG_STATE, f"The installation is {row['state']}: nothing waits to be decided.")
    if row["step"] == "install":
        if decision == "reject":
            return await _end(ctx, row, "rejected", reason)
        after = await move(ctx, row, "completed", reason, **CALM)
        subscription = row["subscription"]
        return await trials.start(ctx, after) if subscription and subscription["type"] == "trial" else after
    if row["step"] == "uninstall" and decision == "approve":
        return await _end(ctx, row, "revoked", reason)
    if decision == "reject" or row["step"] == "uninstall":
        return await move(ctx, row, row["before"], reason, **CALM)
    proposal = row["proposal"]
    after = await move(ctx, row, row["before"], reason, **CALM, **proposal["becomes"])
    if proposal["upgrade"] and (after["trial"] or {}).get("state") == "active":
        after = await trials.end(ctx, after, "plan_upgraded", "user")
    return after


async def _end(ctx: Ctx, row: Row, state: str, reason: str) -> Row:
    """The installation is over: its clients are refused from the next request on."""
    await credentials.end_all(ctx, row["id"])
    if (row["trial"] or {}).get("state") == "active":
        row = await trials.end(ctx, row, "app_uninstalled", "user")
    return await move(ctx, row, state, reason, ended_at=ctx.now(), **CALM)


async def time_out(ctx: Ctx, args: Installed) -> None:
    """Nobody has confirmed: an installation and an update are off, an uninstallation goes on."""
    row = await find(ctx, HELD, installation=args.installation)
    if row is None or row["state"] != "pending" or row["due"] > ctx.now():
        return
    if row["step"] == "install":
        await _end(ctx, row, "timeout", NOT_CONFIRMED)
    else:
        await decide(ctx, row, "approve" if row["step"] == "uninstall" else "reject", NOT_CONFIRMED)


def _settled(row: Row, *states: str) -> None:
    if row["state"] not in states:
        raise Fault(WRONG_STATE, f"The installation is {row['state']}, not {' or '.join(states)}.")


async def change_later(
    ctx: Ctx,
    row: Row,
    *,
    adding: list[str] | None = None,
    removing: list[str] | None = None,
    plan: str | None = None,
    licenses: int | None = None,
) -> Row:
    """Propose other people or another plan, at the app's newest version; the partner is told and confirms."""
    _settled(row, "completed")
    app = await ctx.db.one(domain.ANYWHERE, app=row["app_id"], key="")
    people = set(row["users"])
    for user in adding or ():
        if await find(ctx, USER, user=user) is None:
            raise wrong("users", f"there is no person {user!r} in this account")
    joining = [user for user in dict.fromkeys(adding or ()) if user not in people]
    leaving = [user for user in dict.fromkeys(removing or ()) if user in people]
    becomes: dict[str, Any] = {
        "version_id": app["version_id"],
        "users": [user for user in row["users"] if user not in leaving] + joining,
    }
    seats = row["licenses"] if licenses is None else licenses
    replanned = plan is not None or licenses is not None
    if replanned:
        name = plan or (row["subscription"] or {}).get("name")
        becomes |= {"subscription": _plan(app["facts"], name, seats), "licenses": seats}
    if not (joining or leaving or replanned or app["version_id"] != row["version_id"]):
        raise wrong("body", "nothing would change")
    said = await common(ctx, row | becomes)
    users = Users(adding=joining, removing=leaving) if joining or leaving else None
    subscription = None
    if replanned:
        subscription = NewPlan(adding=Seats(name=becomes["subscription"]["name"], licenses=str(seats)))
    await emit(ctx, UPDATED, row["id"], Updated(**said, users=users, subscription=subscription))
    upgrade = replanned and becomes["subscription"]["type"] == "paid"
    proposal = {"becomes": becomes, "upgrade": upgrade}
    return await _wait(ctx, row, "update", before=row["state"], proposal=proposal)


async def uninstall(ctx: Ctx, row: Row, *, kind: str = "other", message: str = "") -> Row:
    """Ask for an uninstallation: it is done when the partner approves it, at the latest after seven days."""
    _settled(row, "completed", "suspended")
    said = await common(ctx, row)
    await emit(ctx, UNINSTALLED, row["id"], Uninstalled(**said, reason=Reason(type=kind, message=message)))
    return await _wait(ctx, row, "uninstall", before=row["state"])


async def suspend(ctx: Ctx, row: Row, reason: str) -> Row:
    _settled(row, "completed")
    await credentials.suspend_all(ctx, row["id"], suspended=True)
    return await move(ctx, row, "suspended", reason)


async def resume(ctx: Ctx, row: Row, reason: str) -> Row:
    _settled(row, "suspended")
    await credentials.suspend_all(ctx, row["id"], suspended=False)
    return await move(ctx, row, "completed", reason)


async def rotate(ctx: Ctx, row: Row, *, compromised: bool = False) -> credentials.Made:
    """Renew the credentials of an installation that is held."""
    facts, said = (await version_of(ctx, row))["facts"], await common(ctx, row)
    return await credentials.rotate(ctx, row, facts, said, compromised=compromised)


async def people(ctx: Ctx, row: Row) -> list[Row]:
    """Whom an installation is for, in the account where it is: those named, and those its filters find."""
    found = []
    for user in await all_rows(ctx, ALL_USERS):
        filtered = any(
            one["filter"] == "all" or (one["filter"] in ("role", "roleid") and one["match"] in user["roles"])
            for one in row["filters"]
        )
        if user["active"] and (filtered or user["id"] in row["users"]):
            found.append(user)
    return found


async def add_channel(ctx: Ctx, row: Row, kind: str, resource_type: str, resource: str) -> Row:
    """Use an app with a number of the account."""
    _settled(row, "pending", "completed", "suspended")
    if resource not in {number["number"] for number in await all_rows(ctx, ALL_NUMBERS)}:
        raise wrong("resource", f"{resource} is not a number of the account")
    kept = [one for one in row["channels"] if one["resource"] != resource]
    new = {"type": kind, "resource_type": resource_type, "resource": resource, "updated_at": ctx.now().isoformat()}
    return await save(ctx, row, channels=[*kept, new])


PROVISION = Job("apps.provision", Installed, provision)
TIME_OUT = Job("apps.time_out", Installed, time_out)
