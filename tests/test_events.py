"""Subscriptions to events, and how what happens reaches them."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from ringfence.apis.events.sender import Sender
from ringfence.apis.events.subscriptions import check_url
from ringfence.fence import grants
from ringfence.kernel.problems import Fault

from .conftest import Centre, OpenHouse

SCOPES = ("events:write", "contacts:read", "contacts:write", "apps:read")


@dataclass
class Receiver:
    """A little real server that takes what it is told, and answers what it is told to."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)  # raw ones, used up in turn; 200 afterwards
    hangs: bool = False

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")[1:-2]
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.got.append((headers, body))
                if self.hangs:
                    await asyncio.sleep(3600)
                answer = self.answers.pop(0) if self.answers else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Length: 0", *headers, "", ""]).encode()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?x=1"
    try:
        yield receiver
    finally:
        server.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def room(opened: OpenHouse) -> Centre:
    """A house that may call receivers on this machine."""
    return await opened(private_receivers=True, delivery_patience=2.0)


@asynccontextmanager
async def sender_of(centre: Centre) -> AsyncIterator[Sender]:
    sender = Sender(centre.house)
    try:
        yield sender
    finally:
        await sender.close()


async def told(centre: Centre) -> None:
    """Let everything that is due go out."""
    await centre.settle()
    async with sender_of(centre) as sender:
        await sender.settle()


async def subscribed(centre: Centre, http: Any, url: str, *types: str) -> dict[str, Any]:
    await centre.settle()
    made = await http.put("/events/subscriptions", json={"callback_url": url, "event_types": list(types)})
    assert made.status_code == 200, made.text
    found: dict[str, Any] = made.json()
    return found


async def contact(http: Any, name: str = "Ana") -> str:
    made = await http.post("/contacts", json={"name": name})
    id: str = made.json()["contact"]["id"]
    return id


async def test_an_event_arrives_signed_in_both_ways(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.*")
    id = await contact(http)
    await told(room)
    [(headers, body)] = receiver.got
    event = json.loads(body)
    assert event["type"] == "contact.created"
    assert event["data"]["id"] == id
    assert headers["webhook-id"] == event["id"]
    signed = {name: headers[name] for name in ("webhook-id", "webhook-signature")}
    now = str(int(time.time()))
    # the clock of the test stands still in another year; the library wants a recent one, so check both halves of it
    with pytest.raises(Exception, match="too old"):
        Webhook(made["secret"]).verify(body.decode(), {**signed, "webhook-timestamp": headers["webhook-timestamp"]})
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"])).astimezone()
    assert Webhook(made["secret"]).sign(headers["webhook-id"], at, body.decode()) == headers["webhook-signature"]
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(made["secret"]).verify(body.decode(), {**signed, "webhook-timestamp": now})
    async with room.http() as anybody:
        key = (await anybody.get(f"/events/signature-keys/{headers['x-hub-ecdsa-signature-id']}")).json()
    public = load_der_public_key(base64.b64decode(key["public_key"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(bytes.fromhex(headers["x-hub-ecdsa-signature"]), body, ec.ECDSA(hashes.SHA512()))


async def test_the_same_subscription_again_is_the_same(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    first = await subscribed(room, http, receiver.url, "contact.created", "contact.deleted")
    again = await subscribed(room, http, receiver.url, "contact.deleted", "contact.created")
    other = await subscribed(room, http, receiver.url, "contact.created")
    assert again["id"] == first["id"]
    assert again["secret"] is None
    assert first["secret"].startswith("whsec_")
    assert other["id"] != first["id"]
    found = (await http.get("/events/subscriptions")).json()
    assert found["total"] == 2
    assert all(one["secret"] is None for one in found["_embedded"]["subscriptions"])


@pytest.mark.parametrize(
    "body, status, named",
    [
        ({"callback_url": "http://example.com/x"}, 400, "callback_url"),
        ({"callback_url": "https://127.0.0.1/x"}, 400, "callback_url"),
        ({"callback_url": "https://[::ffff:10.0.0.1]/x"}, 400, "callback_url"),
        ({"callback_url": "https://u:p@example.com/"}, 400, "callback_url"),
        ({"callback_url": "https://example.com:99999/"}, 400, "callback_url"),
        ({"callback_url": "https://"}, 400, "callback_url"),
        ({"callback_url": "nonsense"}, 400, "callback_url"),
        ({"callback_url": "https://example.com/", "event_types": ["contact.vanished"]}, 400, "event_types[0]"),
        ({"callback_url": "https://example.com/", "event_types": ["keys.rotated"]}, 400, "event_types[0]"),
        ({"callback_url": "https://example.com/", "event_types": ["record_list.created"]}, 403, None),
    ],
)
async def test_what_cannot_be_subscribed_to_is_refused(
    opened: OpenHouse, body: dict[str, Any], status: int, named: str | None
) -> None:
    http = await (await opened()).signed_in(*SCOPES)
    answered = await http.put("/events/subscriptions", json=body)
    assert answered.status_code == status, answered.text
    assert [one["name"] for one in answered.json()["fields"]] == ([named] if named else [])


async def test_failures_are_tried_again_in_order_per_key(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.*")
    receiver.answers = [answer("500 Oops")]
    first = await contact(http)
    await http.patch(f"/contacts/{first}", json={"name": "Bea"})
    await told(room)
    assert [body["type"] for body in receiver.bodies] == ["contact.created"]
    second = await contact(http)  # another key does not wait
    await told(room)
    assert [body["data"]["id"] for body in receiver.bodies] == [first, second]
    room.world.advance(299)
    await told(room)
    assert len(receiver.got) == 2
    room.world.advance(60)
    await told(room)
    assert [(b["type"], b["data"]["id"]) for b in receiver.bodies[2:]] == [
        ("contact.created", first),
        ("contact.changed", first),
    ]
    log = (await http.get(f"/events/subscriptions/{made['id']}/deliveries")).json()["_embedded"]["deliveries"]
    assert sorted((one["state"], one["attempts"]) for one in log) == [
        ("delivered", 1),
        ("delivered", 1),
        ("delivered", 2),
    ]
    tried = next(one for one in log if one["attempts"] == 2)
    full = (await http.get(tried["_links"]["self"]["href"])).json()
    assert [(one["status"], one["error"]) for one in full["tries"]] == [(500, "It answered 500."), (200, "")]
    assert full["body"] == receiver.bodies[0]


async def test_retry_after_is_kept_to(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    await subscribed(room, http, receiver.url, "contact.created")
    date = format_datetime(room.world.now() + timedelta(hours=3), usegmt=True)
    receiver.answers = [answer("503 Later", "Retry-After: 7200"), answer("429 Slower", f"Retry-After: {date}")]
    await contact(http)
    await told(room)
    room.world.advance(7199)
    await told(room)
    assert len(receiver.got) == 1
    room.world.advance(2)
    await told(room)
    assert len(receiver.got) == 2
    room.world.advance(3598)
    await told(room)
    assert len(receiver.got) == 2
    room.world.advance(2)
    await told(room)
    assert len(receiver.got) == 3


async def test_gone_disables_and_the_same_subscription_again_wakes_it(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.created")
    async with receiving() as watcher:
        await subscribed(room, http, watcher.url, "subscription.disabled")
        receiver.answers = [answer("410 Gone")]
        await contact(http)
        await told(room)
        await told(room)
        assert watcher.bodies[0]["data"] == {"id": made["id"], "reason": "The receiver is gone (410)."}
    state = (await http.get(f"/events/subscriptions/{made['id']}")).json()
    assert not state["active"]
    assert "410" in state["reason"]
    await contact(http, "unheard")
    await told(room)
    assert len(receiver.got) == 1
    assert (await subscribed(room, http, receiver.url, "contact.created"))["active"]
    room.world.advance(400)
    await told(room)
    assert len(receiver.got) == 2
    assert receiver.bodies[0] == receiver.bodies[1]


async def test_after_three_days_an_event_and_after_five_a_subscription_is_given_up(
    room: Centre, receiver: Receiver
) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.created")
    receiver.answers = [answer("500 Oops")] * 1000
    at = f"/events/subscriptions/{made['id']}"
    await contact(http)
    for _ in range(3 * 24 + 12):
        await told(room)
        room.world.advance(3600)
    http = await room.signed_in(*SCOPES)
    [log] = (await http.get(f"{at}/deliveries", params={"state": "failed"})).json()["_embedded"]["deliveries"]
    assert 10 <= log["attempts"] <= 20
    await contact(http)
    for _ in range(2 * 24):
        await told(room)
        room.world.advance(3600)
    http = await room.signed_in(*SCOPES)
    assert "five days" in (await http.get(at)).json()["reason"]


async def test_a_replaced_secret_signs_beside_the_new_one_for_a_day(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.created")
    new = (await http.post(f"/events/subscriptions/{made['id']}/secret")).json()
    await contact(http)
    await told(room)
    assert receiver.got[0][0]["webhook-signature"].count("v1,") == 2
    room.world.advance(86401)
    await contact(await room.signed_in(*SCOPES))
    await told(room)
    headers, body = receiver.got[1]
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"])).astimezone()
    assert headers["webhook-signature"] == Webhook(new["secret"]).sign(headers["webhook-id"], at, body.decode())


async def test_events_are_told_again_on_demand(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.created")
    for name in ("a", "b", "c"):
        await contact(http, name)
        room.world.advance(10)
    await told(room)
    path = f"/events/subscriptions/{made['id']}/replays"
    assert (await http.post(path, json={"event_id": receiver.bodies[1]["id"]})).status_code == 202
    await told(room)
    assert receiver.bodies[3] == receiver.bodies[1]
    span = {"from": receiver.bodies[1]["created_at"], "to": receiver.bodies[2]["created_at"]}
    assert (await http.post(path, json=span)).status_code == 202
    await told(room)
    assert receiver.bodies[4:] == [receiver.bodies[1]]
    for wrong in ({}, {"from": span["from"]}, span | {"event_id": "x"}, {"from": span["to"], "to": span["from"]}):
        assert (await http.post(path, json=wrong)).status_code == 400
    assert (await http.post(path, json={"event_id": "nothing"})).status_code == 404


async def test_a_scope_that_is_taken_away_is_not_heard_any_more(room: Centre, receiver: Receiver) -> None:
    client = await room.client(*SCOPES)
    http = room.http(Authorization=f"Bearer {await room.token(client)}")
    made = await subscribed(room, http, receiver.url, "contact.created")
    await contact(http)
    await room.settle()
    async with room.house.db.writing() as tx:
        ctx = room.house.ctx(tx, await room.account(), "test")
        await grants.remove(ctx, client=client.row["id"], scope="contacts:read", reason="test")
    await told(room)
    assert receiver.got == []
    [one] = (await http.get(f"/events/subscriptions/{made['id']}/deliveries")).json()["_embedded"]["deliveries"]
    assert one["state"] == "withheld"
    assert (await http.get(one["_links"]["self"]["href"])).json()["body"] == {}


async def test_another_account_is_told_nothing(room: Centre, receiver: Receiver) -> None:
    stranger = await room.signed_in(*SCOPES, account="other")
    await subscribed(room, stranger, receiver.url, "contact.*")
    await contact(await room.signed_in(*SCOPES))
    await told(room)
    assert receiver.got == []


async def test_one_that_hangs_does_not_hold_up_another(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    async with receiving() as slow:
        slow.hangs = True
        await subscribed(room, http, slow.url, "contact.created")
        await subscribed(room, http, receiver.url, "contact.created")
        for index in range(30):
            await contact(http, f"c{index}")
        await room.settle()
        async with sender_of(room) as sender:
            async with asyncio.timeout(60):
                while len(receiver.got) < 30:
                    await sender.turn()
                    await asyncio.sleep(0.01)
            assert len(slow.got) <= 22
            await sender.settle()


async def test_what_is_on_the_way_when_a_process_dies_is_sent_again(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    await subscribed(room, http, receiver.url, "contact.created")
    await contact(http)
    await room.settle()
    async with sender_of(room) as dying:
        await dying.turn()
        async with asyncio.timeout(60):
            while not receiver.got:  # noqa: ASYNC110 - from the loop of another server
                await asyncio.sleep(0.01)
    await told(room)
    assert len(receiver.got) == 2
    assert receiver.bodies[0]["id"] == receiver.bodies[1]["id"]


async def test_redirects_are_not_followed_and_a_deleted_subscription_ends_all(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*SCOPES)
    made = await subscribed(room, http, receiver.url, "contact.created")
    receiver.answers = [answer("302 Found", "Location: /elsewhere")]
    await contact(http)
    await told(room)
    assert len(receiver.got) == 1
    assert (await http.delete(f"/events/subscriptions/{made['id']}")).status_code == 204
    room.world.advance(4000)
    await told(room)
    assert len(receiver.got) == 1


async def test_without_the_setting_a_private_receiver_is_never_called(opened: OpenHouse, receiver: Receiver) -> None:
    open_house = await opened(private_receivers=True)
    http = await open_house.signed_in(*SCOPES)
    made = await subscribed(open_house, http, receiver.url, "contact.created")
    await contact(http)
    await told(await opened())
    assert receiver.got == []
    [one] = (await http.get(f"/events/subscriptions/{made['id']}/deliveries")).json()["_embedded"]["deliveries"]
    assert one["state"] == "waiting"
    assert one["attempts"] == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_no_callback_url_is_more_than_refused(url: str) -> None:
    for private in (True, False):
        for text in (url, f"https://{url}", f"http://{url}/x"):
            with suppress(Fault):  # anything else fails the test
                check_url(SimpleNamespace(settings=SimpleNamespace(private_receivers=private)), text)  # type: ignore[arg-type]


async def test_the_events_are_published_with_the_scopes_that_may_hear_them(room: Centre) -> None:
    async with room.http() as http:
        document = (await http.get("/asyncapi.json")).json()
    assert document["asyncapi"] == "3.0.0"
    told = {name: type for name, type in room.house.events.items() if type.scope}
    assert set(document["operations"]) == set(document["channels"]) == set(told)
    for name, type in told.items():
        assert type.scope in room.house.scopes
        [security] = document["operations"][name]["security"]
        assert set(security["scopes"]) == {"events:write", type.scope}
    text = json.dumps(document)
    for ref in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node = document
        for part in ref.split("/"):
            node = node[part]
