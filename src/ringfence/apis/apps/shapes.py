"""Apps, installations and what belongs to them, as they cross the wire."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.floor.users import User
from ringfence.kernel.shapes import Shape

Text = Annotated[str, msgspec.Meta(max_length=4000)]
Name = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=120)]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://\S+$(?!\n)", max_length=2000)]
Word = Annotated[str, msgspec.Meta(pattern=r"^[!-~]+$(?!\n)", max_length=100)]
State = Literal["installing", "pending", "timeout", "completed", "failed", "rejected", "suspended", "revoked"]
Verb = Literal["approve", "reject", "completed", "rejected"]
Plan = Literal["trial", "paid"]
License = Literal["individual", "universal"]
FilterKind = Literal["all", "role", "roleid", "none"]
SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$(?!\n)"


class Address(Shape):
    type: Annotated[str, msgspec.Meta(max_length=40)]
    email: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$(?!\n)", max_length=254)]


class Asset(Shape, kw_only=True):
    type: Literal["screenshot", "video", "icon"]
    description: Text = ""
    url: Url


class AppUrl(Shape):
    type: Literal[
        "redirect_uri", "installation_subscription", "launch_url", "privacy_policy", "terms_of_service", "app_source"
    ]
    url: Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*:\S+$(?!\n)", max_length=2000)]


class Capability(Shape):
    name: Annotated[str, msgspec.Meta(max_length=100)]


class SubscriptionType(Shape, kw_only=True):
    """A plan that an app is offered in; `price` is for a seat and a month."""

    type: Plan
    license_type: License = "individual"
    name: Name
    price: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0
    description: Text = ""
    listing_summary: Text = ""
    min_licenses: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    max_licenses: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    created_by: Text = ""


Few = msgspec.Meta(max_length=100)


class Changeable(Shape, kw_only=True):
    """What a PATCH may change of an app."""

    name: Name
    active: bool = True
    description: Text = ""
    sandbox: bool = False
    assets: Annotated[list[Asset], Few] = []
    slug: Annotated[str, msgspec.Meta(pattern=SLUG)] | None = None
    capabilities: Annotated[list[Capability], Few] = []
    urls: Annotated[list[AppUrl], Few] = []
    render: Literal["portal", "canvas"] = "portal"
    example: ClassVar = {"name": "Wallboard", "description": "Who waits, and for how long"}


class AppFacts(Changeable, kw_only=True):
    """An app as its partner describes it; `scopes` are what an installation may be granted."""

    app_type: Literal["standalone", "atlas"] = "standalone"
    display_name: Text = ""
    listing_summary: Text = ""
    notes: Text = ""
    created_type: Literal["company"] = "company"
    scopes_reason: Text = ""
    emails: Annotated[list[Address], Few] = []
    subscription_types: Annotated[list[SubscriptionType], Few] = []
    scopes: Annotated[list[Word], msgspec.Meta(max_length=200)] = []


class NewApps(Shape):
    apps: Annotated[list[AppFacts], msgspec.Meta(min_length=1, max_length=1)] | AppFacts


class NewApp(AppFacts, kw_only=True):
    """An app, bare or inside `_embedded.apps`."""

    name: Annotated[str, msgspec.Meta(max_length=120)] = ""  # given where it is bare
    embedded: NewApps | None = msgspec.field(name="_embedded", default=None)
    example: ClassVar = {
        "name": "Wallboard",
        "scopes": ["account:read", "users:read"],
        "subscription_types": [{"type": "trial", "name": "Try it", "license_type": "universal"}],
    }


class Made(Shape):
    id: str
    links: ClassVar = {"self": "/apps/{id}"}


class App(AppFacts, kw_only=True):
    """An app; each change of it is another version."""

    id: str
    version_number: int
    links: ClassVar = {"self": "/apps/{id}"}
    example: ClassVar = {
        "id": "5f000000000000000000000000000001",
        "name": "Wallboard",
        "version_number": 1,
        "scopes": ["account:read", "users:read"],
        "subscription_types": [{"type": "trial", "name": "Try it", "license_type": "universal"}],
    }


class Filter(Shape):
    """Whom an installation is for, without being named: everybody, or those who have a role."""

    filter: FilterKind
    match: Annotated[str, msgspec.Meta(max_length=100)] = ""


class StateNow(Shape):
    state: State
    reason: str
    updated_at: datetime
    app_id: str
    installation_id: str
    links: ClassVar = {"self": "/apps/{app_id}/installations/{installation_id}/state"}


class Inside(Shape):
    state: StateNow
    created_by: User | None


HERE = "/apps/{app_id}/installations/{id}"


class Installation(Shape):
    """An app in an account; `scopes` are what the administrator granted."""

    id: str
    app_id: str
    account_id: str
    scopes: list[str]
    auto_provision_filters: list[Filter]
    created_at: datetime
    embedded: Inside = msgspec.field(name="_embedded")
    links: ClassVar = {
        "self": HERE,
        "account": "/account",
        "subscription": f"{HERE}/subscription",
        "auto_provision_filters": HERE,
        "users": f"{HERE}/users",
        "channels": f"{HERE}/channels",
    }


class Verdict(Shape):
    """`approve` or `reject` what waits (`completed` and `rejected` say the same)."""

    state: Verb
    reason: Text = ""
    example: ClassVar = {"state": "approve", "reason": "tried on a laptop"}


class Decided(Shape):
    """The verb as it was sent, and when the state changed."""

    state: Verb
    reason: str
    updated_at: datetime
    app_id: str
    installation_id: str
    links: ClassVar = {"self": "/apps/{app_id}/installations/{installation_id}/state"}


class Subscription(Shape):
    id: str
    app_id: str
    type: Plan
    license_type: License
    name: str
    price: float
    description: str
    listing_summary: str
    min_licenses: int
    max_licenses: int | None
    total_licenses: int
    created_by: str
    links: ClassVar = {"self": "/apps/{app_id}/installations/{id}/subscription"}


class Trial(Shape):
    state: Literal["active", "ended"]
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_reason: Literal["trial_expired", "app_uninstalled", "plan_upgraded"] | None
    subscription_name: str
    app_id: str
    installation_id: str
    links: ClassVar = {
        "self": "/apps/{app_id}/installations/{installation_id}/trial",
        "installation": "/apps/{app_id}/installations/{installation_id}",
    }


class NewChannel(Shape):
    """A number of the account that the app is to be used with."""

    type: Literal["messages"]
    resource_type: Literal["number"]
    resource: Annotated[str, msgspec.Meta(max_length=20)]
    example: ClassVar = {"type": "messages", "resource_type": "number", "resource": "+351210000100"}


class Resource(Shape):
    id: str
    type: Literal["number"]
    app_id: str
    installation_id: str
    links: ClassVar = {"self": "/apps/{app_id}/installations/{installation_id}/channels"}


class Resources(Shape):
    resource: list[Resource]


class Channel(Shape):
    type: Literal["messages"]
    updated_at: datetime
    app_id: str
    installation_id: str
    embedded: Resources = msgspec.field(name="_embedded")
    links: ClassVar = {"self": "/apps/{app_id}/installations/{installation_id}/channels"}


class Acknowledgement(Shape):
    """`acknowledged`: the new credentials are in use, the ones before them may end."""

    state: Literal["acknowledged"]
    example: ClassVar = {"state": "acknowledged"}


class Acknowledged(Shape):
    state: Literal["acknowledged"]
    app_id: str
    installation_id: str
    client_id: str
    links: ClassVar = {"self": "/apps/{app_id}/installations/{installation_id}/credentials/{client_id}/state"}


class AppEvent(Shape):
    """An event of an app's life, as it is delivered; secrets are delivered once and shown as null here."""

    id: str
    created_at: datetime
    api_version: str
    type: str
    app_id: str
    data: dict[str, Any]
    app_version_id: str | None = None
    app_version_name: str | None = None
