"""The Events API as the world sees it: subscriptions, as webhooks, to what happens inside the platform."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.kernel.catalog import PUBLIC, Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, INSUFFICIENT_SCOPE, NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Page, PageQuery, Plain, Shape, in_utc
from ringfence.store.query import Row

from . import queue, sender, signing, subscriptions

WRITE = Scope(subscriptions.SCOPE, "Be told, by webhooks, of what happens in the platform")
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, examples=["https://crm.example/events"])]
EventName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, examples=["contact.created"])]
Names = Annotated[list[EventName], msgspec.Meta(max_length=200)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
State = Literal["waiting", "delivered", "failed", "withheld"]


class NewSubscription(Shape):
    """Where to tell what. Without types, the events of the apps' life; `contact.*` stands for all that begin so."""

    callback_url: Url
    event_types: Names = []
    app_id: Id | None = None
    example: ClassVar = {"callback_url": "https://crm.example/events", "event_types": ["app.*"]}


class Subscription(Shape):
    """Who is told of what. `secret` is shown once, when the subscription is made."""

    id: str
    client_id: str
    app_id: str | None
    callback_url: str
    event_types: list[str]
    active: bool
    reason: str
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    secret: str | None = None
    links: ClassVar = {
        "self": "/events/subscriptions/{id}",
        "deliveries": "/events/subscriptions/{id}/deliveries",
    }
    example: ClassVar = {
        "id": "01900000-0000-7000-8000-000000000001",
        "client_id": "5f000000000000000000000000000001",
        "app_id": None,
        "callback_url": "https://crm.example/events",
        "event_types": ["app.installed"],
        "active": True,
        "reason": "",
        "failing_since": None,
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:00:00Z",
    }


class NewSecret(Shape):
    """The new secret, shown this once, and until when the one before signs beside it."""

    secret: str
    overlap_until: datetime
    example: ClassVar = {"secret": "whsec_…", "overlap_until": "2026-01-06T09:00:00Z"}


class Replay(Shape):
    """One event by its id, or those of a span: from `from` up to, not including, `to`."""

    event_id: Id | None = None
    since: datetime | None = msgspec.field(name="from", default=None)
    to: datetime | None = None
    event_types: Names = []
    example: ClassVar = {"from": "2026-01-05T09:00:00Z", "to": "2026-01-05T10:00:00Z"}


class DeliveryQuery(PageQuery):
    """Of one state only, or of all."""

    state: State | None = None


class Attempt(Shape):
    """One try: `status` is what the receiver answered, `took` milliseconds, `response` the begin of what it said."""

    number: int
    at: datetime
    status: int | None
    took: int
    error: str
    response: str


class Delivery(Shape):
    """An event on its way to a subscription. `due` is when it is tried (again); null: over, or behind another."""

    id: str
    subscription_id: str
    event_id: str
    type: str
    key: str
    state: State
    attempts: int
    due: datetime | None
    created_at: datetime
    finished_at: datetime | None
    links: ClassVar = {"self": "/events/subscriptions/{subscription_id}/deliveries/{id}"}
    example: ClassVar = {
        "id": "01900000-0000-7000-8000-000000000002",
        "subscription_id": "01900000-0000-7000-8000-000000000001",
        "event_id": "5f000000000000000000000000000003",
        "type": "contact.created",
        "key": "5f0000000000000000000001",
        "state": "delivered",
        "attempts": 1,
        "due": None,
        "created_at": "2026-01-05T09:00:00Z",
        "finished_at": "2026-01-05T09:00:00Z",
    }


class DeliveryInFull(Delivery, kw_only=True):
    """With every attempt and what is sent. The secrets of an app's credentials are null here."""

    tries: list[Attempt]
    body: dict[str, Any]
    example: ClassVar = {
        **Delivery.example,
        "tries": [
            {"number": 1, "at": "2026-01-05T09:00:00Z", "status": 200, "took": 12, "error": "", "response": "ok"}
        ],
        "body": {"id": "5f000000000000000000000000000003", "type": "contact.created"},
    }


def shown(row: Row, secret: str | None = None) -> Subscription:
    given = {name: row[name] for name in Subscription.__struct_fields__ if name != "secret"}
    return Subscription(**given, secret=secret)


def told(row: Row) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__struct_fields__})


async def put_subscription(ctx: Ctx, body: NewSubscription) -> Subscription:
    """Subscribe to events

    The same URL, types and app again is the same subscription: it is made active again where it was disabled. The
    client needs the scope of each type, when it subscribes and when it is told. Each delivery is signed as Standard
    Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`) and by ECDSA on P-256 over the SHA-512
    digest of the body, DER in hex (`X-Hub-Ecdsa-Signature`, `X-Hub-Ecdsa-Signature-Id`). What is not answered with
    2xx is tried again for three days; 410 disables the subscription.
    """
    row, secret = await subscriptions.put(ctx, url=body.callback_url, types=body.event_types, app=body.app_id)
    return shown(row, secret)


async def list_subscriptions(ctx: Ctx, query: PageQuery) -> Page[Subscription]:
    """List subscriptions"""
    return (await subscriptions.listed(ctx, query.page, query.per_page)).map(shown)


async def get_subscription(ctx: Ctx, subscription_id: str) -> Subscription:
    """Get a subscription"""
    return shown(await subscriptions.get(ctx, subscription_id))


async def delete_subscription(ctx: Ctx, subscription_id: str) -> None:
    """Delete a subscription

    Nothing more is told, also of what has happened already.
    """
    await subscriptions.remove(ctx, subscription_id)


async def rotate_secret(ctx: Ctx, subscription_id: str) -> NewSecret:
    """Get a new secret

    The one before signs beside it for a day, so that the receiver can change over.
    """
    secret, until = await subscriptions.rotate(ctx, subscription_id)
    return NewSecret(secret=secret, overlap_until=until)


async def replay(ctx: Ctx, subscription_id: str, body: Replay) -> None:
    """Be told again

    Deliveries are made anew, behind what waits already; they carry the same event ids.
    """
    span = (body.since, body.to)
    if (body.event_id is None) == (span == (None, None)):
        raise wrong("event_id", "give either event_id, or from and to")
    await subscriptions.get(ctx, subscription_id)
    if body.event_id is not None:
        await queue.replay_one(ctx, subscription_id, body.event_id)
        return
    if body.since is None or body.to is None:
        raise wrong("to" if body.to is None else "from", "from and to come together")
    since, until = in_utc(body.since, "from"), in_utc(body.to, "to")
    await queue.replay_range(ctx, subscription_id, since, until, body.event_types)


async def list_deliveries(ctx: Ctx, subscription_id: str, query: DeliveryQuery) -> Page[Delivery]:
    """List deliveries

    The latest first; kept for 30 days.
    """
    await subscriptions.get(ctx, subscription_id)
    return (await queue.page(ctx, subscription_id, query.state, query.page, query.per_page)).map(told)


async def get_delivery(ctx: Ctx, subscription_id: str, delivery_id: str) -> DeliveryInFull:
    """Get a delivery, its attempts and its body"""
    await subscriptions.get(ctx, subscription_id)
    row, tries = await queue.get(ctx, subscription_id, delivery_id)
    type = ctx.house.events.get(row["type"])
    body: dict[str, Any] = {}
    if type is not None and type.scope in ctx.caller.scopes:
        body = msgspec.json.decode(await sender.body_of(ctx, type, sender.event_of(row), trusted=False))
    attempts = [Attempt(**{name: one[name] for name in Attempt.__struct_fields__}) for one in tries]
    return DeliveryInFull(**msgspec.structs.asdict(told(row)), tries=attempts, body=body)


async def signature_key(ctx: Ctx, key_id: str) -> Plain:
    """Get the public key of a signature

    `public_key` is base64 of the DER of a SubjectPublicKeyInfo (RFC 5280).
    """
    row = await ctx.db.one(signing.BY_ID, key=key_id)
    if row is None:
        raise Fault(NOT_FOUND)
    return Plain({"id": row["id"], "algorithm": signing.ALGORITHM, "public_key": row["public"]})


class SignatureKey(Shape):
    id: str
    algorithm: str
    public_key: str


ALL, ONE = "/events/subscriptions", "/events/subscriptions/{subscription_id}"
API = Api(
    name="events",
    title="Events API",
    about="Subscriptions, as webhooks, to what happens inside the platform.",
    scopes=(WRITE,),
    events=(
        subscriptions.SUBSCRIBED,
        subscriptions.UNSUBSCRIBED,
        subscriptions.DISABLED,
        subscriptions.ROTATED,
        sender.TALLIED,
    ),
    operations=(
        Operation("PUT", ALL, WRITE, put_subscription, problems=(CONFLICT, INSUFFICIENT_SCOPE)),
        Operation("GET", ALL, WRITE, list_subscriptions),
        Operation("GET", ONE, WRITE, get_subscription, problems=(NOT_FOUND,)),
        Operation("DELETE", ONE, WRITE, delete_subscription, status=204, problems=(NOT_FOUND,)),
        Operation("POST", f"{ONE}/secret", WRITE, rotate_secret, problems=(NOT_FOUND,)),
        Operation("POST", f"{ONE}/replays", WRITE, replay, status=202, problems=(NOT_FOUND,)),
        Operation("GET", f"{ONE}/deliveries", WRITE, list_deliveries, problems=(NOT_FOUND,)),
        Operation("GET", f"{ONE}/deliveries/{{delivery_id}}", WRITE, get_delivery, problems=(NOT_FOUND,)),
        Operation(
            "GET", "/events/signature-keys/{key_id}", PUBLIC, signature_key, problems=(NOT_FOUND,), gives=SignatureKey
        ),
    ),
    reactions=(queue.FAN_OUT,),
    jobs=(queue.REPLAY, queue.FORGET_OLD),
    duties=(sender.SENDING,),
)
