"""What is told of an app's life, and how an event of it is shown to the partner."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, or_, select

from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault
from ringfence.kernel.shapes import Shape
from ringfence.store.query import ACCOUNT, Row, Statement, find, mine
from ringfence.store.tables.log import events

from .tables import installations

API_VERSION = "1"
NO_SECRETS: Mapping[str, str | None] = {"client_secret": None, "private_key": None}


class AppNamed(Shape):
    app_id: str
    name: str
    version_number: int


class Moved(Shape):
    """A step of an installation's life."""

    app_id: str
    installation_id: str
    state: str
    reason: str


class Life(Shape):
    """What every event of an installation says."""

    app_id: str
    app_version_id: str
    installation_id: str
    account_id: str


class Named(Life):
    app_version_name: str
    account_name: str


class Credentials(Named):
    """Without the secret and the private key, which are never written to the log."""

    client_id: str
    public_key: str
    key_id: str
    key_algorithm: str


class Users(Shape):
    adding: list[str]
    removing: list[str]


class Seats(Shape):
    name: str
    licenses: str


class NewPlan(Shape):
    adding: Seats


class Updated(Named):
    """Only what changed is there."""

    users: Users | None = None
    subscription: NewPlan | None = None


class Reason(Shape):
    type: str
    message: str


class Uninstalled(Named):
    reason: Reason


class OnTrial(Life):
    expires_at: datetime


class TrialEnded(OnTrial):
    ended_at: datetime
    ended_reason: str
    ended_by: str


async def told(ctx: Ctx, row: Row, *, trusted: bool) -> dict[str, Any]:
    """An event as it is delivered. Only who may rotate an app's credentials is told their secrets."""
    from .credentials import secrets_of  # which tells of rotations by what is declared here

    found = None
    if trusted and "client_id" in row["data"]:
        found = await secrets_of(ctx, row["data"]["client_id"])
    return shown(row, ctx.house.gateway_base, ctx.house.identity_base, found or NO_SECRETS)


async def partner(ctx: Ctx, row: Row) -> set[str]:
    """The account that the app belongs to hears of it too."""
    found = await find(ctx, OWNER, installation=row["data"]["installation_id"])
    return {found["owner_id"]} if found else set()


OWNER = Statement(mine(installations, installations.c.owner_id).where(installations.c.id == bindparam("installation")))
APP_CREATED = EventType("app.created", AppNamed, "A partner made an app")
APP_CHANGED = EventType("app.changed", AppNamed, "A partner changed an app: it has a new version")
INSTALLATION_MOVED = EventType("app.installation_changed", Moved, "An installation went on to another state")
INSTALLED = EventType(
    "app.installed", Credentials, "An app is being installed, and has credentials there", "apps:read", told, partner
)
UPDATED = EventType(
    "app.updated", Updated, "People or the plan of an installation are to change", "apps:read", told, partner
)
UNINSTALLED = EventType("app.uninstalled", Uninstalled, "An app is being uninstalled", "apps:read", told, partner)
TRIAL_STARTED = EventType("app.trial_started", OnTrial, "The trial of an app began", "apps:read", told, partner)
TRIAL_EXTENDED = EventType(
    "app.trial_extended", OnTrial, "The trial of an app goes on for longer", "apps:read", told, partner
)
TRIAL_ENDED = EventType("app.trial_ended", TrialEnded, "The trial of an app is over", "apps:read", told, partner)
ROTATED = EventType(
    "app.credentials_rotated", Credentials, "An installation got new credentials", "apps:read", told, partner
)
LIFE = (INSTALLED, UPDATED, UNINSTALLED, TRIAL_STARTED, TRIAL_EXTENDED, TRIAL_ENDED, ROTATED)
EVENTS = (APP_CREATED, APP_CHANGED, INSTALLATION_MOVED, *LIFE)

ONE = Statement(
    select(events).where(
        events.c.id == bindparam("event"),
        events.c.key.in_(
            select(installations.c.id).where(
                installations.c.app_id == bindparam("app"),
                or_(installations.c.account_id == ACCOUNT, installations.c.owner_id == ACCOUNT),
            )
        ),
    )
)


def life(row: Row, account_name: str, version_name: str) -> dict[str, Any]:
    """The members that an installation's events have in common."""
    return {
        "app_id": row["app_id"],
        "app_version_id": row["version_id"],
        "installation_id": row["id"],
        "account_id": row["account_id"],
        "app_version_name": version_name,
        "account_name": account_name,
    }


def shown(event: Row, base: str, identity: str, secrets: Mapping[str, str | None] = NO_SECRETS) -> dict[str, Any]:
    """An event as the partner gets it. `secrets` only where it is delivered."""
    data = {name: value for name, value in event["data"].items() if value is not None}
    app = data.pop("app_id")
    root = f"{base}/apps/{app}"
    links = {"root": {"href": base}, "self": {"href": f"{root}/events/{event['id']}"}}
    links["installation"] = {"href": f"{root}/installations/{data['installation_id']}"}
    body = {
        "id": event["id"],
        "created_at": event["at"],
        "api_version": API_VERSION,
        "type": event["type"],
        "app_id": app,
    }
    body |= {name: data.pop(name) for name in ("app_version_id", "app_version_name") if name in data}
    if event["type"] in (INSTALLED.name, ROTATED.name):
        data |= secrets
        for rel, path in (("userinfo", "/users/me"), ("authorization", "/oauth/authorize"), ("token", "/oauth/token")):
            links[rel] = {"href": f"{base if rel == 'userinfo' else identity}{path}"}
    built: dict[str, Any] = msgspec.to_builtins(body | {"data": data, "_links": links}, builtin_types=(datetime,))
    return built


async def get(ctx: Ctx, app: str, event: str) -> dict[str, Any]:
    """An event of an app's life, for its partner and for the account where it is installed."""
    row = await ctx.db.one(ONE, account=ctx.account, app=app, event=event)
    if row is None or row["type"] not in {what.name for what in LIFE}:
        raise Fault(NOT_FOUND)
    return shown(row, ctx.house.gateway_base, ctx.house.identity_base)
