"""The Live API as the world sees it: queries, subscriptions to them, and the streams."""

from typing import Annotated, Any, ClassVar

import msgspec

from ringfence.kernel.catalog import PUBLIC, Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INSUFFICIENT_SCOPE, INVALID_TOKEN, NOT_AUTHENTICATED, NOT_FOUND, Fault
from ringfence.kernel.shapes import Asked, Shape, Stream
from ringfence.live import subscriptions, ticker
from ringfence.live.filters import REFUSED, Entry
from ringfence.live.metrics import BY_NAME, QUERIES, Given, Query
from ringfence.store.query import Row

from . import domain

QUERIES_READ = Scope("live-queries:read", "See which live figures there are")
READ = Scope(ticker.SCOPE, "Follow live figures of the contact centre")
WRITE = Scope("live-subscriptions:write", "Subscribe to live figures of the contact centre")
SERVICE_LEVEL = BY_NAME["service_level"].id
ENTRY_ID = "0190d3b1-c2a4-7000-8000-000000000002"
SUBSCRIPTION_ID = "0190d3b1-c2a4-7000-8000-000000000001"


class Descriptor(Shape):
    """A filter or a parameter: what it is without being sent, and the most that it may be.

    A double underscore stands for a member within: `range__from` is `{"range": {"from": …}}`. One with `json_map` is
    sent as a JSON array.
    """

    name: str
    description: str
    default: Any = None
    limit: int | None = None
    json_map: bool = False


class LiveQuery(Shape):
    """A figure that can be subscribed to. `unit`: contacts, agents, seconds, percent (0 to 100), or a list."""

    id: str
    name: str
    description: str
    unit: str
    params: list[Descriptor]
    filters: list[Descriptor]
    links: ClassVar = {"self": "/live-queries/{id}"}


class QueriesEmbedded(Shape):
    queries: list[LiveQuery]


class LiveQueries(Shape):
    """Every query; `queries` beside `_embedded` is the same list."""

    total: int
    queries: list[LiveQuery]
    embedded: QueriesEmbedded = msgspec.field(name="_embedded")
    links: ClassVar = {"self": "/live-queries"}


class Wanted(Shape):
    """A query to subscribe to. `metadata` is an object of yours that every event brings back."""

    id: Annotated[str, msgspec.Meta(max_length=64)]
    metadata: Any = None
    params: Any = None
    filters: Any = None


class NewSubscription(Shape):
    """1 to 16 queries."""

    queries: list[Wanted]
    example: ClassVar = {
        "queries": [
            {
                "id": SERVICE_LEVEL,
                "metadata": {"widget": "left"},
                "params": {},
                "filters": {"range": {"type": "interval", "interval": 1800}},
            }
        ]
    }


class LiveEntry(Shape):
    """One query of a subscription. `error` says why it is not computed any more; another query in its place helps."""

    subscription_id: str
    id: str
    query_id: str
    metadata: dict[str, Any]
    params: dict[str, Any]
    filters: dict[str, Any]
    error: str | None = None
    links: ClassVar = {
        "self": "/live-subscriptions/{subscription_id}/entries/{id}",
        "query": "/live-queries/{query_id}",
        "subscription": "/live-subscriptions/{subscription_id}",
    }


class EntriesEmbedded(Shape):
    entries: list[LiveEntry]


class Href(Shape):
    href: str


class SubscriptionLinks(Shape):
    """`stream` needs no token beside the one that it holds."""

    here: Href = msgspec.field(name="self")
    stream: Href


class LiveSubscription(Shape):
    """A subscription; `entries` beside `_embedded` is the same list. It is over two minutes after its last stream."""

    id: str
    entries: list[LiveEntry]
    embedded: EntriesEmbedded = msgspec.field(name="_embedded")
    found: SubscriptionLinks = msgspec.field(name="_links")


class StreamQuery(Shape):
    """`token` comes with the link; `last_event_id` does what the header Last-Event-ID does."""

    token: Annotated[str, msgspec.Meta(max_length=200)] = ""
    last_event_id: Annotated[str, msgspec.Meta(max_length=200)] = ""


def described(one: Given) -> Descriptor:
    return Descriptor(name=one.name, description=one.about, default=one.default, limit=one.limit, json_map=one.json_map)


def shown_query(query: Query) -> LiveQuery:
    return LiveQuery(
        id=query.id,
        name=query.name,
        description=query.about,
        unit=query.unit,
        params=[described(one) for one in query.params],
        filters=[described(one) for one in query.filters],
    )


def shown_entry(subscription: str, entry: Entry) -> LiveEntry:
    return LiveEntry(subscription_id=subscription, **msgspec.structs.asdict(entry))


def shown(ctx: Ctx, row: Row) -> LiveSubscription:
    entries = [shown_entry(row["id"], entry) for entry in subscriptions.entries_of(row)]
    base = ctx.house.gateway_base
    here = f"{base}/live-subscriptions/{row['id']}"
    stream = base + subscriptions.stream_path(ctx.house, row["account_id"], row["id"])
    return LiveSubscription(
        id=row["id"],
        entries=entries,
        embedded=EntriesEmbedded(entries=entries),
        found=SubscriptionLinks(here=Href(href=here), stream=Href(href=stream)),
    )


def sent(body: NewSubscription) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(one) for one in body.queries]


async def list_queries(ctx: Ctx) -> LiveQueries:
    """List the queries that can be subscribed to

    Their ids are the same in every account.
    """
    found = [shown_query(query) for query in QUERIES.values()]
    return LiveQueries(total=len(found), queries=found, embedded=QueriesEmbedded(queries=found))


async def get_query(ctx: Ctx, query_id: str) -> LiveQuery:
    """Get one query"""
    if query_id not in QUERIES:
        raise Fault(NOT_FOUND)
    return shown_query(QUERIES[query_id])


async def subscribe(ctx: Ctx, body: NewSubscription) -> LiveSubscription:
    """Subscribe to a new stream

    Open the link `stream` within two minutes. The subscription lives until two minutes after its last stream was
    closed, and 24 hours at most.
    """
    return shown(ctx, await subscriptions.create(ctx, ctx.caller.client, sent(body)))


async def get_subscription(ctx: Ctx, subscription_id: str) -> LiveSubscription:
    """Get a subscription"""
    return shown(ctx, await subscriptions.get(ctx, subscription_id))


async def update_entry(ctx: Ctx, subscription_id: str, entry_id: str, body: NewSubscription) -> LiveSubscription:
    """Let an entry of a subscription be another query

    `queries` holds the one. Open streams are sent its value at once; an error of the entry is over.
    """
    row, entry = await subscriptions.change_entry(ctx, subscription_id, entry_id, sent(body))
    found = shown(ctx, row)
    return msgspec.structs.replace(found, embedded=EntriesEmbedded(entries=[shown_entry(row["id"], entry)]))


async def end_subscription(ctx: Ctx, subscription_id: str) -> None:
    """End a subscription

    Its streams are told, and closed. Not in the original contract, where subscriptions only expire.
    """
    await subscriptions.end(ctx, subscription_id)


async def open_stream(ctx: Ctx, subscription_id: str, query: StreamQuery, asked: Asked) -> Stream:
    """Follow a subscription

    Server-sent events: `result` and `error` for an entry, `closed` before the server closes. The link of the
    subscription needs no Authorization header; without its `token` a bearer token with live-subscriptions:read will do.
    """
    stream, row = await domain.begin(ctx, subscription_id, token=query.token, last_id=query.last_event_id, asked=asked)
    frames = ticker.of(ctx.house).frames(stream, subscriptions.entries_of(row))
    return Stream(frames=frames, leave=stream.leave)


ONE = "/live-subscriptions/{subscription_id}"
API = Api(
    name="live",
    title="Live API",
    about="Figures of the contact centre as they change, as streams of server-sent events.",
    scopes=(QUERIES_READ, READ, WRITE),
    events=(subscriptions.CHANGED, subscriptions.ENDED),
    jobs=(subscriptions.SWEEPING,),
    operations=(
        Operation("GET", "/live-queries", QUERIES_READ, list_queries),
        Operation("GET", "/live-queries/{query_id}", QUERIES_READ, get_query, problems=(NOT_FOUND,)),
        Operation(
            "POST", "/live-subscriptions", WRITE, subscribe,
            problems=(REFUSED, subscriptions.TOO_MANY_SUBSCRIPTIONS),
        ),
        Operation("GET", ONE, READ, get_subscription, problems=(NOT_FOUND,)),
        Operation("PUT", f"{ONE}/entries/{{entry_id}}", WRITE, update_entry, problems=(NOT_FOUND, REFUSED)),
        Operation("DELETE", ONE, WRITE, end_subscription, status=204, problems=(NOT_FOUND,)),
        Operation(
            "GET", f"{ONE}/stream", PUBLIC, open_stream,
            problems=(NOT_AUTHENTICATED, INVALID_TOKEN, INSUFFICIENT_SCOPE, NOT_FOUND, domain.TOO_MANY_STREAMS),
        ),
    ),
)  # fmt: skip
