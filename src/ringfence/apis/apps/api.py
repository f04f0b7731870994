"""The Apps API as the world sees it: for partners, about their apps, and for the accounts that install them."""

from datetime import datetime
from typing import Any

import msgspec

from ringfence.floor.users import User
from ringfence.floor.users import shown as person
from ringfence.kernel.catalog import Api, Errors, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Page, PageQuery, Plain, misfit, paged
from ringfence.oauth import people
from ringfence.store.query import Row, all_rows

from . import credentials, domain, events, installations, trials
from .shapes import (
    Acknowledged,
    Acknowledgement,
    App,
    AppEvent,
    AppFacts,
    Changeable,
    Channel,
    Decided,
    Filter,
    Inside,
    Installation,
    Made,
    NewApp,
    NewChannel,
    Resource,
    Resources,
    StateNow,
    Subscription,
    Trial,
    Verdict,
)

READ = Scope("apps:read", "See your apps, where they are installed, and for whom")
WRITE = Scope("apps:write", "Change your apps, and decide on their installations")


def shown(row: Row) -> App:
    facts = msgspec.convert(row["facts"], AppFacts)
    fields = {name: getattr(facts, name) for name in AppFacts.__struct_fields__}
    return App(id=row["id"], version_number=row["version_number"], **fields)


def page_of(rel: str, found: list[Any], query: PageQuery) -> Page[Any]:
    return paged(rel, found, query.page, query.per_page, members=("total", "page", "per_page"), bounds=False)


async def list_apps(ctx: Ctx, query: PageQuery) -> Page[App]:
    """List your apps, and those that are installed in your account"""
    return page_of("apps", await all_rows(ctx, domain.ALL), query).map(shown)


async def create_app(ctx: Ctx, body: NewApp) -> Made:
    """Make an app

    Bare, or inside `_embedded.apps`. Its name is its own across the platform.
    """
    given: AppFacts = body
    if body.embedded is not None:
        inside = body.embedded.apps
        if isinstance(inside, list) and len(inside) != 1:
            raise wrong("_embedded.apps", "must hold one app")
        given = inside[0] if isinstance(inside, list) else inside
    if not given.name.strip():
        raise wrong("name", "must be given")
    facts = AppFacts(**{name: getattr(given, name) for name in AppFacts.__struct_fields__})
    return Made(id=(await domain.create(ctx, facts))["id"])


async def get_app(ctx: Ctx, app_id: str) -> App:
    """Get one app"""
    return shown(await domain.get(ctx, app_id))


async def change_app(ctx: Ctx, app_id: str, body: Patch[Changeable]) -> Page[App]:
    """Change an app of yours

    Takes a merge document (RFC 7396) or JSON Patch operations (RFC 6902). Each change is a new version; the answer
    is the app, as a page of one.
    """
    row = await domain.hold(ctx, app_id)
    before: dict[str, Any] = {name: row["facts"][name] for name in Changeable.__struct_fields__}
    try:
        after = msgspec.convert(body.onto(before), Changeable)
    except msgspec.ValidationError as why:
        raise misfit(why) from why
    facts = msgspec.convert(row["facts"] | msgspec.to_builtins(after), AppFacts)
    made = await domain.revise(ctx, row, facts)
    return Page(rel="apps", items=[shown(made)], total=1, page=1, per_page=50, bounds=False)


async def get_installation(ctx: Ctx, app_id: str, installation_id: str) -> Installation:
    """Get one installation of an app"""
    within, row = await installations.get(ctx, app_id, installation_id)
    by = await people.person(within, row["created_by"]) if row["created_by"] else None
    return Installation(
        id=row["id"],
        app_id=row["app_id"],
        account_id=row["account_id"],
        scopes=row["scopes"],
        auto_provision_filters=[Filter(filter=f["filter"], match=f["match"]) for f in row["filters"]],
        created_at=row["created_at"],
        embedded=Inside(
            state=StateNow(
                state=row["state"],
                reason=row["reason"],
                updated_at=row["updated_at"],
                app_id=row["app_id"],
                installation_id=row["id"],
            ),
            created_by=person(by) if by is not None else None,
        ),
    )


async def list_people(ctx: Ctx, app_id: str, installation_id: str, query: PageQuery) -> Page[User]:
    """List for whom an app is installed"""
    within, row = await installations.get(ctx, app_id, installation_id)
    return page_of("users", await installations.people(within, row), query).map(person)


async def decide(ctx: Ctx, app_id: str, installation_id: str, body: Verdict) -> Decided:
    """Approve or reject an installation, an update or an uninstallation

    It waits for seven days. Refusals say what is wrong as `error` too.
    """
    within, found = await installations.get(ctx, app_id, installation_id)
    row = await installations.held(within, found["id"])
    approved = body.state in ("approve", "completed")
    after = await installations.decide(within, row, "approve" if approved else "reject", body.reason)
    return Decided(
        state=body.state,
        reason=body.reason,
        updated_at=after["updated_at"],
        app_id=row["app_id"],
        installation_id=row["id"],
    )


async def get_subscription(ctx: Ctx, app_id: str, installation_id: str) -> Subscription:
    """See the plan that an app is installed in"""
    _, row = await installations.get(ctx, app_id, installation_id)
    if row["subscription"] is None:
        raise Fault(NOT_FOUND, "The app is installed without a plan.")
    facts = {"id": row["id"], "app_id": row["app_id"], "total_licenses": row["licenses"]}
    return msgspec.convert(row["subscription"] | facts, Subscription)


def channels(row: Row) -> list[Channel]:
    kinds = sorted({found["type"] for found in row["channels"]})
    return [_channel(row, [found for found in row["channels"] if found["type"] == kind]) for kind in kinds]


def _channel(row: Row, found: list[dict[str, Any]]) -> Channel:
    resources = [
        Resource(id=each["resource"], type=each["resource_type"], app_id=row["app_id"], installation_id=row["id"])
        for each in found
    ]
    return Channel(
        type=found[0]["type"],
        updated_at=max(datetime.fromisoformat(each["updated_at"]) for each in found),
        app_id=row["app_id"],
        installation_id=row["id"],
        embedded=Resources(resource=resources),
    )


async def list_channels(ctx: Ctx, app_id: str, installation_id: str, query: PageQuery) -> Page[Channel]:
    """List what an app is used with, by kind

    The member is called `users`, as clients expect.
    """
    _, row = await installations.get(ctx, app_id, installation_id)
    return page_of("users", channels(row), query)


async def add_channel(ctx: Ctx, app_id: str, installation_id: str, body: NewChannel) -> Page[Channel]:
    """Use an app with a number of the account"""
    within, found = await installations.get(ctx, app_id, installation_id)
    row = await installations.held(within, found["id"])
    after = await installations.add_channel(within, row, body.type, body.resource_type, body.resource)
    return page_of("users", channels(after), PageQuery())


async def get_trial(ctx: Ctx, app_id: str, installation_id: str) -> Trial:
    """See the trial of an installation"""
    _, row = await installations.get(ctx, app_id, installation_id)
    trial = row["trial"]
    if trial is None:
        raise Fault(NOT_FOUND, "The installation has no trial.")
    return msgspec.convert(trial | {"app_id": row["app_id"], "installation_id": row["id"]}, Trial)


async def rotate(ctx: Ctx, app_id: str, installation_id: str) -> None:
    """Renew the credentials of an installation

    The new ones come by the event `app.credentials_rotated`; those before them are taken for seven more days, or
    until the new ones are acknowledged.
    """
    within, found = await installations.get(ctx, app_id, installation_id)
    row = await installations.held(within, found["id"])
    if row["ended_at"] is not None or row["state"] == "installing":
        raise Fault(installations.WRONG_STATE, f"The installation is {row['state']}.")
    await installations.rotate(within, row)


async def acknowledge(
    ctx: Ctx, app_id: str, installation_id: str, client_id: str, body: Acknowledgement
) -> Acknowledged:
    """Acknowledge renewed credentials

    They are in use; those before them end now.
    """
    within, found = await installations.get(ctx, app_id, installation_id)
    row = await installations.held(within, found["id"])
    await credentials.acknowledge(within, row, client_id)
    return Acknowledged(state="acknowledged", app_id=row["app_id"], installation_id=row["id"], client_id=client_id)


async def get_event(ctx: Ctx, app_id: str, event_id: str) -> Plain:
    """Get an event of an app's life again

    As it was delivered, but for the secrets: those are delivered once.
    """
    return Plain(await events.get(ctx, app_id, event_id))


APP = "/apps/{app_id}"
HERE = f"{APP}/installations/{{installation_id}}"
FOUND = (NOT_FOUND,)
STATES = (NOT_FOUND, installations.WRONG_STATE)
TAKEN = (NOT_FOUND, domain.NAME_TAKEN, CONFLICT)
BOTH = ("application/json", "application/json-patch+json")
API = Api(
    name="apps",
    title="Apps API",
    about="Apps of partners, where they are installed, and their credentials there.",
    scopes=(READ, WRITE),
    events=events.EVENTS,
    jobs=(installations.PROVISION, installations.TIME_OUT, trials.END_TRIAL, credentials.END_CLIENT),
    operations=(
        Operation("GET", "/apps", READ, list_apps),
        Operation("POST", "/apps", WRITE, create_app, status=201, problems=(domain.NAME_TAKEN,)),
        Operation("GET", APP, READ, get_app, problems=FOUND),
        Operation("PATCH", APP, WRITE, change_app, problems=TAKEN, media=BOTH),
        Operation("GET", f"{APP}/events/{{event_id}}", READ, get_event, problems=FOUND, gives=AppEvent),
        Operation("GET", HERE, READ, get_installation, problems=FOUND),
        Operation("GET", f"{HERE}/users", READ, list_people, problems=FOUND),
        Operation("POST", f"{HERE}/state", WRITE, decide, problems=STATES, errors=Errors.STATE),
        Operation("GET", f"{HERE}/subscription", READ, get_subscription, problems=FOUND),
        Operation("GET", f"{HERE}/channels", READ, list_channels, problems=FOUND),
        Operation("POST", f"{HERE}/channels", WRITE, add_channel, problems=STATES),
        Operation("GET", f"{HERE}/trial", READ, get_trial, problems=FOUND),
        Operation(
            "POST", f"{HERE}/credentials/actions/rotate", WRITE, rotate, status=202, problems=(*STATES, CONFLICT)
        ),
        Operation(
            "POST",
            f"{HERE}/credentials/{{client_id}}/state",
            WRITE,
            acknowledge,
            status=202,
            problems=(NOT_FOUND, CONFLICT),
        ),
    ),
)
