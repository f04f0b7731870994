"""The Live API: subscriptions and their limits, and what goes over an open stream, tick by tick."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2 as httpx
import msgspec
import pytest
from sqlalchemy import bindparam, delete, func, select

from ringfence.fence import grants
from ringfence.floor.directory import RING_GROUP_CHANGED, Named
from ringfence.floor.events import STATUS_CHANGED, StatusChanged
from ringfence.kernel.problems import Fault
from ringfence.live import subscriptions, ticker
from ringfence.live.metrics import BY_NAME, QUERIES
from ringfence.live.streams import acknowledged
from ringfence.live.ticker import Ticker
from ringfence.oauth import clients
from ringfence.oauth.clients import NewClient
from ringfence.store.outbox import emit
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.floor import desks
from ringfence.store.tables.identity import ring_groups
from ringfence.store.tables.reports import live_subscriptions

from .conftest import Centre, OpenHouse
from .servers import pasted, serving
from .test_keeper import staffed

SCOPES = ("live-queries:read", "live-subscriptions:read", "live-subscriptions:write")
COUNT = Statement(select(func.count().label("count")).select_from(live_subscriptions), everywhere=True)
FORGET_GROUP = Statement(delete(ring_groups).where(ring_groups.c.name == bindparam("group")), everywhere=True)
ADD_DESK = adding(desks, everywhere=True)
AGENTS, BY_STATUS, LIST = (BY_NAME[f"live_users_{name}"].id for name in ("logged_in", "logged_in_by_status", "list"))
INBOUND = BY_NAME["inbound_contacts"].id


class Reader:
    """A stream as its reader sees it, over the application itself."""

    def __init__(self, centre: Centre, url: str, headers: dict[str, str] | None = None) -> None:
        self.centre = centre
        parts = urlsplit(url)
        self.scope = {
            "type": "http", "method": "GET", "path": parts.path, "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }  # fmt: skip
        self.status, self.headers, self.raw = 0, dict[str, str](), b""
        self.writes = 0
        self.gone, self.may_write = asyncio.Event(), asyncio.Event()
        self.may_write.set()
        self.task = asyncio.create_task(cast(Any, self.centre.app(self.scope, self._receive, self._send)))
        self._asked = False

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        await self.may_write.wait()
        self.raw += message.get("body", b"")
        self.writes += 1

    async def idle(self) -> None:
        """Until nothing more comes by itself."""
        for _ in range(60):
            await asyncio.sleep(0.002)

    async def take(self) -> list[dict[str, Any]]:
        """The events since the last time."""
        await self.idle()
        raw, self.raw = self.raw, b""
        found = []
        for block in raw.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines())
            if "event" in lines:
                found.append({"event": lines["event"], "id": lines.get("id", ""), **msgspec.json.decode(lines["data"])})
        return found

    async def leave(self) -> None:
        self.gone.set()
        await self.task


@pytest.fixture
async def live(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ticker]:
    """Ticks when it is told to."""
    monkeypatch.setattr(ticker, "TICK", 3600)
    found = ticker.of(centre.house)
    yield found
    await found.close()


def total(event: dict[str, Any]) -> Any:
    return {one["_key"]: one["_value"] for one in event["result"]}["_total"]


async def subscribed(http: httpx.AsyncClient, *queries: Any) -> dict[str, Any]:
    wanted = [{"id": query} if isinstance(query, str) else query for query in queries]
    answer = await http.post("/live-subscriptions", json={"queries": wanted})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def link(subscription: dict[str, Any]) -> str:
    url: str = subscription["_links"]["stream"]["href"]
    return url


async def opened_stream(centre: Centre, subscription: dict[str, Any], last_id: str = "") -> Reader:
    reader = Reader(centre, link(subscription), {"last-event-id": last_id} if last_id else {})
    await reader.idle()
    assert reader.status == 200
    return reader


async def become(centre: Centre, user: str, status: str) -> None:
    """An agent has another status, and the log says so."""
    told = StatusChanged(
        user_id=user, status=status, previous_status="offline", previous_since=centre.world.now(), duration=0
    )
    async with centre.house.db.writing() as tx:
        await emit(centre.house.ctx(tx, await centre.account(), "test"), STATUS_CHANGED, user, told)
    await centre.worker.turn()


async def tick(centre: Centre, live: Ticker, seconds: float = 0.0) -> None:
    centre.world.advance(seconds)
    await live.tick()


# subscriptions


async def test_queries_are_listed_and_each_has_its_link(centre: Centre) -> None:
    async with await centre.signed_in("live-queries:read") as http:
        found = (await http.get("/live-queries")).json()
        assert found["queries"] == found["_embedded"]["queries"]
        assert found["total"] == len(QUERIES) == len(found["queries"])
        one = next(query for query in found["queries"] if query["name"] == "service_level")
        assert one["id"] == "ab8e693f64d741e081d117197929c2d9"
        filters = {each["name"]: each for each in one["filters"]}
        assert filters["ring_groups"]["json_map"]
        assert filters["range__interval"]["limit"] == 31 * 86_400
        assert filters["range__from"]["default"] == "today"
        assert (await http.get(one["_links"]["self"]["href"])).json() == one
        assert (await http.get("/live-queries/none")).status_code == 404


async def test_a_subscription_shows_its_entries_twice_and_its_links(centre: Centre) -> None:
    await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        wanted = {"id": INBOUND, "metadata": {"a": [1, None]}, "params": [], "filters": {"ring_groups": ["sales"]}}
        made = await subscribed(http, wanted, LIST)
        again = (await http.get(made["_links"]["self"]["href"])).json()
        assert again == made
        assert made["entries"] == made["_embedded"]["entries"]
        [entry, listed] = made["entries"]
        assert entry["query_id"] == INBOUND
        assert (entry["metadata"], entry["filters"], entry["params"]) == ({"a": [1, None]}, wanted["filters"], {})
        assert listed["params"] == {"limit": 200}
        assert entry["_links"]["query"]["href"].endswith(f"/live-queries/{INBOUND}")
        other = {"queries": [{"id": AGENTS, "metadata": {"b": 1}}]}
        changed = (await http.put(entry["_links"]["self"]["href"], json=other)).json()
        assert [one["query_id"] for one in changed["_embedded"]["entries"]] == [AGENTS]
        assert [one["query_id"] for one in changed["entries"]] == [AGENTS, LIST]
        assert (await http.put(f"/live-subscriptions/{made['id']}/entries/none", json=other)).status_code == 404
        assert (await http.delete(made["_links"]["self"]["href"])).status_code == 204
        assert (await http.get(made["_links"]["self"]["href"])).status_code == 404


GOOD = {"id": INBOUND}


@pytest.mark.parametrize(
    "body, status, field",
    [
        ({"queries": []}, 422, "queries"),
        ({"queries": [GOOD] * 17}, 422, "queries"),
        ({"queries": [GOOD, {"id": "0" * 32}]}, 422, "queries[1].id"),
        ({"queries": [GOOD | {"filters": {"colour": ["red"]}}]}, 422, "queries[0].filters.colour"),
        ({"queries": [GOOD | {"filters": {"teams": ["red"]}}]}, 422, "queries[0].filters.teams"),
        ({"queries": [GOOD | {"filters": {"ring_groups": "sales"}}]}, 422, "queries[0].filters.ring_groups"),
        ({"queries": [GOOD | {"filters": {"ring_groups": []}}]}, 422, "queries[0].filters.ring_groups"),
        ({"queries": [GOOD | {"filters": {"ring_groups": ["none"]}}]}, 422, "queries[0].filters.ring_groups"),
        ({"queries": [GOOD | {"filters": {"range": 5}}]}, 422, "queries[0].filters.range"),
        ({"queries": [GOOD | {"filters": {"range": {"interval": 0}}}]}, 422, "queries[0].filters.range.interval"),
        ({"queries": [GOOD | {"filters": {"range": {"interval": 1.5}}}]}, 422, "queries[0].filters.range.interval"),
        ({"queries": [GOOD | {"filters": {"range": {"interval": 2678401}}}]}, 422, "queries[0].filters.range.interval"),
        ({"queries": [GOOD | {"filters": {"range": {"type": "interval"}}}]}, 422, "queries[0].filters.range.interval"),
        ({"queries": [GOOD | {"filters": {"range": {"type": "never"}}}]}, 422, "queries[0].filters.range.type"),
        ({"queries": [GOOD | {"filters": {"range": {"from": "soon"}}}]}, 422, "queries[0].filters.range.from"),
        ({"queries": [GOOD | {"filters": {"range": {"from": "2025-12-04 09:00"}}}]}, 422,
         "queries[0].filters.range.from"),
        ({"queries": [GOOD | {"filters": {"range": {"from": "0001-01-01T00:00:00+14:00"}}}]}, 422,
         "queries[0].filters.range.from"),
        ({"queries": [GOOD | {"filters": {"range": {"to": "x"}}}]}, 422, "queries[0].filters.range.to"),
        ({"queries": [GOOD | {"filters": ["x"]}]}, 422, "queries[0].filters"),
        ({"queries": [GOOD | {"metadata": "x"}]}, 422, "queries[0].metadata"),
        ({"queries": [GOOD | {"metadata": {"x": "y" * 5000}}]}, 422, "queries[0].metadata"),
        ({"queries": [GOOD | {"params": {"x": 1}}]}, 422, "queries[0].params.x"),
        ({"queries": [{"id": LIST, "params": {"limit": 1001}}]}, 422, "queries[0].params.limit"),
        ({"queries": [{"id": BY_NAME["live_contacts"].id, "filters": {"directions": ["up"]}}]}, 422,
         "queries[0].filters.directions"),
        ({"queries": [{}]}, 400, "queries[0]"),
        ({"queries": GOOD}, 400, "queries"),
        ({}, 400, "queries"),
    ],
)  # fmt: skip
async def test_what_cannot_be_subscribed_to_is_refused_by_name(
    centre: Centre, body: Any, status: int, field: str
) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        answer = await http.post("/live-subscriptions", json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["fields"][0]["name"].startswith(field), answer.text
        bad = await http.post("/live-subscriptions", content=b"{", headers={"content-type": "application/json"})
        assert bad.status_code == 400
        bad = await http.post("/live-subscriptions", content=b"{}", headers={"content-type": "text/plain"})
        assert bad.status_code == 415
        assert [row["count"] for row in await centre.rows(COUNT)] == [0]


async def test_an_account_has_as_many_subscriptions_as_it_may(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "CAP", 2)
    async with await centre.signed_in(*SCOPES) as http, await centre.signed_in(*SCOPES, account="rival") as rival:
        made = [await subscribed(http, INBOUND) for _ in range(2)]
        answer = await http.post("/live-subscriptions", json={"queries": [GOOD]})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "120"
        await subscribed(rival, INBOUND)
        for number in range(3):
            await centre.user(f"p{number}@acme.example")
        await subscribed(http, INBOUND)  # one for each active person
        await http.delete(f"/live-subscriptions/{made[0]['id']}")
        await subscribed(http, INBOUND)


async def test_a_subscription_without_a_stream_is_over_after_two_minutes(centre: Centre, live: Ticker) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS)
        centre.world.advance(119)
        assert (await http.get(f"/live-subscriptions/{made['id']}")).status_code == 200
        reader = await opened_stream(centre, made)
        for _ in range(20):
            await tick(centre, live, 25)
        await reader.leave()
        await tick(centre, live, 1)
        centre.world.advance(118)
        reader = await opened_stream(centre, made)  # the same URL within two minutes
        await reader.leave()
        await tick(centre, live)
        centre.world.advance(121)
        gone = Reader(centre, link(made))
        await gone.idle()
        assert gone.status == 404
    assert [row["count"] for row in await centre.rows(COUNT)] == [1]
    await centre.settle()
    centre.world.advance(120)
    await centre.settle()
    assert [row["count"] for row in await centre.rows(COUNT)] == [0]


async def test_a_stream_ends_with_its_subscriptions_day(centre: Centre, live: Ticker) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS)
        reader = await opened_stream(centre, made)
        await reader.take()
        for _ in range(24 * 12):
            assert not reader.task.done()
            await tick(centre, live, 300)
        last = (await reader.take())[-1]
        assert (last["event"], last["code"]) == ("closed", "subscription_ended")
        await reader.task
        gone = Reader(centre, link(made))
        await gone.idle()
        assert gone.status == 404


# who may open a stream


async def test_a_stream_is_opened_by_its_token_or_by_one_with_the_scope(centre: Centre, live: Ticker) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        made, other = await subscribed(http, AGENTS), await subscribed(http, AGENTS)
    plain = link(made).partition("?")[0]
    rival = await centre.token(await centre.client(*SCOPES, account="rival"))
    scopeless = await centre.token(await centre.client("live-queries:read"))
    allowed = await centre.token(await centre.client("live-subscriptions:read"))
    token = link(made).partition("token=")[2]
    for url, headers, status in (
        (plain, {}, 401),
        (plain, {"authorization": "Bearer nonsense"}, 401),
        (plain, {"authorization": f"Bearer {scopeless}"}, 403),
        (plain, {"authorization": f"Bearer {rival}"}, 404),
        (plain, {"authorization": f"Bearer {allowed}"}, 200),
        (f"{plain}?token={token[:-1]}", {}, 401),
        (f"{plain}?token={token.replace('.', 'x', 1)}", {}, 401),
        (f"{plain}?token=.", {}, 401),
        (f"{plain}?token=%ff", {}, 400),
        (f"{link(other).partition('?')[0]}?token={token}", {}, 401),
        (link(made), {}, 200),
    ):
        reader = Reader(centre, url, headers)
        await reader.idle()
        assert reader.status == status, (url, headers, reader.raw)
        if status == 200:
            assert reader.headers["content-type"] == "text/event-stream"
            assert reader.headers["cache-control"] == "no-store"
            await reader.leave()
        else:
            assert set(msgspec.json.decode(reader.raw)) >= {"code", "message", "description", "fields"}
    async with centre.http() as http:
        head = await http.head(link(made))
        assert (head.status_code, head.content) == (200, b"")
    assert not live.streams


async def test_a_subscription_has_so_many_streams(centre: Centre, live: Ticker) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS)
    readers = [await opened_stream(centre, made) for _ in range(ticker.ABREAST)]
    refused = Reader(centre, link(made))
    await refused.idle()
    assert refused.status == 429
    for reader in readers:
        await reader.leave()


async def test_another_accounts_figures_are_never_seen(centre: Centre, live: Ticker) -> None:
    [ana] = await staffed(centre)
    async with await centre.signed_in(*SCOPES) as ours, await centre.signed_in(*SCOPES, account="rival") as theirs:
        made, foreign = await subscribed(ours, AGENTS), await subscribed(theirs, AGENTS, LIST)
        assert (await theirs.get(f"/live-subscriptions/{made['id']}")).status_code == 404
        assert (await theirs.delete(f"/live-subscriptions/{made['id']}")).status_code == 404
    mine, other = await opened_stream(centre, made), await opened_stream(centre, foreign)
    await become(centre, ana, "available")
    await tick(centre, live, 5)
    assert [total(event) for event in await mine.take()] == [0, 1]
    assert [total(event) for event in await other.take()] == [0, 0]
    for reader in (mine, other):
        await reader.leave()


# what is sent when


async def test_a_snapshot_first_then_changes_then_silence_every_minute(centre: Centre, live: Ticker) -> None:
    ana, rui = await staffed(centre, agents=2)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, {"id": AGENTS, "metadata": {"n": 1}}, BY_STATUS, INBOUND)
    reader = await opened_stream(centre, made)
    first = await reader.take()
    assert [event["query_id"] for event in first] == [AGENTS, BY_STATUS, INBOUND]
    assert first[0]["metadata"] == {"n": 1}
    assert first[0]["entry_id"] == made["entries"][0]["id"]
    assert first[0]["result"] == [{"_key": "_total", "_value": 0}]
    assert [one["_key"] for one in first[1]["result"]] == ["available", "busy", "after_call_work", "away", "_total"]
    await tick(centre, live, 10)
    assert await reader.take() == []
    await become(centre, ana, "available")
    writes = reader.writes
    await tick(centre, live)
    assert [(event["query_id"], total(event)) for event in await reader.take()] == [(AGENTS, 1), (BY_STATUS, 1)]
    assert reader.writes == writes + 1  # together
    await become(centre, rui, "away_lunch")
    for _ in range(4):
        await tick(centre, live, 1)
        assert await reader.take() == []  # so soon it is not sent again
    await become(centre, ana, "busy")
    await tick(centre, live, 1)
    events = await reader.take()
    assert [(event["query_id"], total(event)) for event in events] == [(AGENTS, 2), (BY_STATUS, 2)]
    assert {one["_key"]: one["_value"] for one in events[1]["result"]} == {
        "available": 0, "busy": 1, "after_call_work": 0, "away": 0, "away_lunch": 1, "_total": 2,
    }  # fmt: skip
    sent: list[str] = []
    for _ in range(64):
        await tick(centre, live, 1)
        sent += [event["query_id"] for event in await reader.take()]
    assert sorted(sent) == sorted([INBOUND, AGENTS, BY_STATUS])
    await reader.leave()


async def test_what_is_again_as_it_was_is_not_sent(centre: Centre, live: Ticker) -> None:
    [ana] = await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS)
    reader = await opened_stream(centre, made)
    await reader.take()
    await become(centre, ana, "available")
    await tick(centre, live, 1)
    await become(centre, ana, "offline")
    await tick(centre, live, 1)
    await tick(centre, live, 4)
    assert await reader.take() == []
    await reader.leave()


async def test_a_slow_reader_is_sent_only_the_latest(centre: Centre, live: Ticker) -> None:
    people = await staffed(centre, agents=3)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS)
    reader = await opened_stream(centre, made)
    await reader.take()
    reader.may_write.clear()
    for user in people:
        await become(centre, user, "available")
        await tick(centre, live, 6)
    [stream] = live.streams[made["id"]]
    assert len(stream.pending) <= 1
    reader.may_write.set()
    await tick(centre, live, 6)
    assert [total(event) for event in await reader.take()] == [1, 3]
    await reader.leave()


async def test_equal_questions_are_computed_once_whoever_asks(centre: Centre, live: Ticker) -> None:
    await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        many = [
            await subscribed(http, AGENTS, {"id": INBOUND, "filters": {"ring_groups": ["sales"]}}) for _ in range(5)
        ]
    readers = [await opened_stream(centre, made) for made in many for _ in range(2)]
    [held] = live.accounts.values()
    assert len(held.figures) == 2
    assert len(held.feed.tally.finished.windows) == 1
    for reader in readers:
        await reader.leave()
    assert not held.figures
    assert not held.feed.tally.finished.windows
    await tick(centre, live, 1)
    assert live.accounts
    await tick(centre, live, 61)
    assert not live.accounts


# coming back


async def test_who_comes_back_misses_nothing_and_is_told_nothing_twice(centre: Centre, live: Ticker) -> None:
    [ana] = await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS, BY_STATUS, INBOUND, LIST)
    reader = await opened_stream(centre, made)
    events = await reader.take()
    await reader.leave()
    again = await opened_stream(centre, made, events[-1]["id"])
    assert await again.take() == []
    await again.leave()
    part = await opened_stream(centre, made, events[1]["id"])
    assert [event["query_id"] for event in await part.take()] == [INBOUND, LIST]
    await part.leave()
    await become(centre, ana, "available")
    await tick(centre, live, 1)
    later = await opened_stream(centre, made, events[-1]["id"])
    assert [event["query_id"] for event in await later.take()] == [AGENTS, BY_STATUS, LIST]
    await later.leave()
    by_query = Reader(centre, f"{link(made)}&last_event_id={events[-1]['id']}")
    assert len(await by_query.take()) == 3
    await by_query.leave()
    for odd in ("x", "é", "AAAA", "=" * 9, "A" * 199):
        whole = Reader(centre, link(made), {"last-event-id": odd})
        assert len(await whole.take()) == 4, odd
        await whole.leave()
    assert acknowledged("", 2) == acknowledged("!!", 2) == [bytes(4)] * 2


async def test_another_process_goes_on_where_the_first_left_off(opened: OpenHouse, monkeypatch: Any) -> None:
    monkeypatch.setattr(ticker, "TICK", 3600)
    centre, second = await opened(), await opened()
    [ana] = await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS, INBOUND)
        reader = await opened_stream(centre, made)
        last = (await reader.take())[-1]["id"]
        await ticker.of(centre.house).close()
        closed = await reader.take()
        assert [(event["event"], event["code"]) for event in closed] == [("closed", "server_stopping")]
        now, account = centre.world.now(), await centre.account()
        async with centre.house.db.writing() as tx:
            await tx.run(ADD_DESK, account_id=account, user_id=ana, status="away", since=now, doc={})
        await second.house.view.refresh()
        live, other = ticker.of(second.house), await opened_stream(second, made, last)
        assert [(event["query_id"], total(event)) for event in await other.take()] == [(AGENTS, 1)]
        # an entry that is changed over there
        entry = made["entries"][1]["_links"]["self"]["href"]
        assert (await http.put(entry, json={"queries": [{"id": LIST}]})).status_code == 200
        await centre.worker.turn()
        await tick(second, live)
        assert [event["query_id"] for event in await other.take()] == [LIST]
        assert (await http.delete(f"/live-subscriptions/{made['id']}")).status_code == 204
        await centre.worker.turn()
        await tick(second, live)
        assert [event["code"] for event in await other.take()] == ["subscription_ended"]
        await other.task
        await live.close()


# the fence, and entries in error


@pytest.mark.parametrize("how", ["remove", "suspend", "delete"])
async def test_a_client_that_may_not_read_any_more_is_told_and_cut_off(centre: Centre, live: Ticker, how: str) -> None:
    client: NewClient = await centre.client(*SCOPES)
    kept = await centre.client(*SCOPES)
    async with centre.http(Authorization=f"Bearer {await centre.token(client)}") as http:
        made = await subscribed(http, AGENTS)
    async with centre.http(Authorization=f"Bearer {await centre.token(kept)}") as http:
        other = await subscribed(http, AGENTS)
    reader, beside = await opened_stream(centre, made), await opened_stream(centre, other)
    await reader.take()
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        if how == "remove":
            await grants.remove(ctx, client=client.row["id"], scope="live-subscriptions:read", reason="test")
        elif how == "suspend":
            await clients.suspend(ctx, client=client.row["id"], suspended=True)
        else:
            await clients.delete(ctx, client=client.row["id"])
    await tick(centre, live, 60)
    assert [(event["event"], event["code"]) for event in await reader.take()] == [("closed", "insufficient_scope")]
    await reader.task
    assert [event["event"] for event in await beside.take()] == ["result", "result"]
    refused = Reader(centre, link(made))
    await refused.idle()
    assert refused.status == 403
    await beside.leave()


async def test_an_entry_in_error_stays_so_until_it_is_updated(centre: Centre, live: Ticker) -> None:
    [ana] = await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(
            http, {"id": INBOUND, "metadata": {"n": 1}, "filters": {"ring_groups": ["sales"]}}, AGENTS
        )
        reader = await opened_stream(centre, made)
        await reader.take()
        async with centre.house.db.writing() as tx:
            await tx.run(FORGET_GROUP, group="sales")
            ctx = centre.house.ctx(tx, await centre.account(), "test")
            await emit(ctx, RING_GROUP_CHANGED, "sales", Named(name="sales"))
        await centre.worker.turn()
        await tick(centre, live, 1)
        [error] = await reader.take()
        assert error["event"] == "error"
        assert "'sales'" in error["error_message"]
        assert (error["metadata"], error["query_id"]) == ({"n": 1}, INBOUND)
        assert error["entry_id"] == made["entries"][0]["id"]
        shown = (await http.get(f"/live-subscriptions/{made['id']}")).json()["entries"]
        assert shown[0]["error"] == error["error_message"]
        assert shown[1]["error"] is None
        await become(centre, ana, "available")
        await tick(centre, live, 70)
        await tick(centre, live, 70)
        assert {event["query_id"] for event in await reader.take()} == {AGENTS}  # the others go on
        again = await opened_stream(centre, made)
        assert [event["event"] for event in await again.take()] == ["error", "result"]
        resumed = await opened_stream(centre, made, error["id"])
        assert [event["query_id"] for event in await resumed.take()] == [AGENTS]
        entry = made["entries"][0]["_links"]["self"]["href"]
        bad = await http.put(entry, json={"queries": [{"id": INBOUND, "filters": {"ring_groups": ["sales"]}}]})
        assert bad.status_code == 422
        mended = {"queries": [{"id": INBOUND, "filters": {"ring_groups": ["support"]}}]}
        assert (await http.put(entry, json=mended)).status_code == 200
        await centre.worker.turn()
        await tick(centre, live)
        for one in (reader, again, resumed):
            assert (INBOUND, "result") in [(event["query_id"], event["event"]) for event in await one.take()]
            await one.leave()
        shown = (await http.get(f"/live-subscriptions/{made['id']}")).json()["entries"]
        assert shown[0]["error"] is None


async def test_nothing_is_sent_while_the_grants_cannot_be_confirmed(centre: Centre, live: Ticker) -> None:
    [ana] = await staffed(centre)
    async with await centre.signed_in(*SCOPES) as http:
        made = await subscribed(http, AGENTS)
    reader = await opened_stream(centre, made)
    await reader.take()
    await become(centre, ana, "available")
    centre.house.view.confirmed = float("-inf")
    refresh, centre.house.view.refresh = centre.house.view.refresh, _fails  # type: ignore[method-assign]
    with pytest.raises(Fault):
        await tick(centre, live, 10)
    assert await reader.take() == []
    centre.house.view.refresh = refresh  # type: ignore[method-assign]
    await tick(centre, live)
    assert [total(event) for event in await reader.take()] == [1]
    await reader.leave()


async def _fails() -> bool:
    raise ConnectionError("the database is away")


# a real server


@pytest.mark.process
def test_the_readmes_wallboard_works_as_pasted(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", "--speed", "20", demo_calls=5000, activation_delay=0) as server:
        followed, board_once, _ = pasted("The centre, live", server)
        board = msgspec.json.decode(server.ringfence("live", "--json", "--group", "sales", "--interval", "900"))
        server.ringfence("live", "--once", "--group", "none", code=1)
        log = (tmp_path / "server.log").read_text()
    assert "Traceback" not in log, log
    assert '"metadata":{"widget":"who is at work"}' in followed
    assert followed.count("event: result") >= 2
    assert "event: closed" in board_once
    assert '"code":"insufficient_scope"' in board_once
    assert "Agents at work" in board_once
    assert set(board["groups"]) == {"sales", "all"}
    assert board["groups"]["all"]["answered_contacts"] == board["groups"]["sales"]["answered_contacts"]


@pytest.mark.process
def test_streams_end_in_band_when_the_server_stops(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", demo_calls=0) as server:
        client = server.client("full")
        with httpx.Client(base_url=server.base) as http:
            form = {"grant_type": "client_credentials"}
            answer = http.post("/oauth/token", data=form, auth=(client["client_id"], client["client_secret"]))
            http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            made = http.post("/live-subscriptions", json={"queries": [{"id": AGENTS}]}).json()
            with httpx.stream("GET", link(made)) as stream:
                lines = stream.iter_lines()
                assert next(lines) == "retry: 2000"
                begun = time.monotonic()
                server.process.terminate()
                rest = "\n".join(lines)
            assert '"code":"server_stopping"' in rest
            server.process.wait(10)
            assert time.monotonic() - begun < 4
    assert "Traceback" not in (tmp_path / "server.log").read_text()
