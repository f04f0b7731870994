"""Webhook triggers: who is called when something happens, and with what."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from ringfence.apis.all import APIS
from ringfence.apis.events import trigger_payloads
from ringfence.apis.events.queue import fan_out
from ringfence.apis.events.trigger_payloads import TRIGGERS, check, written
from ringfence.fence import grants
from ringfence.floor import events as floor
from ringfence.floor.directory import set_membership, set_ring_group
from ringfence.kernel.catalog import EventType
from ringfence.kernel.problems import Fault
from ringfence.kernel.world import FrozenWorld
from ringfence.store import outbox

from .conftest import SECRET, Centre, OpenHouse
from .servers import RINGFENCE
from .test_events import Receiver, answer, contact, receiving, told
from .test_hostile import JSON

OWN = "webhooks-trigger:write"
READS = ("contacts:read", "users:read", "recordings:read", "account:read", "user-ring-groups:read")
ALL = (OWN, *READS, "contacts:write", "events:write")
CONTACT = {
    "contact_id", "account_id", "contact_first_name", "contact_last_name", "contact_name", "contact_email",
    "contact_phone", "contact_company", "contact_title", "contact_address", "contact_website", "account_email",
    "account_name",
}  # fmt: skip
AGENT = {"agent_id", "agent_name", "agent_email", "agent_tags"}
CALL = {
    "call_id", "interaction_id", "talkdesk_phone_number", "contact_phone_number", "phone_vip", "phone_ivr",
    "interaction_type",
}  # fmt: skip
KEYS = {
    "contactCreated": CONTACT,
    "contactUpdated": CONTACT,
    "noteCreated": CONTACT | {"title", "content"},
    "agentLogIn": AGENT,
    "agentLogOut": AGENT,
    "inboundCallReachesContactCenter": CALL | CONTACT | {"interaction_context_id"},
    "inboundCallStarts": CALL | CONTACT | AGENT | {
        "interaction_context_id", "waiting_time", "proactive_outbound", "tags", "is_transfer",
    },
    "inboundCallEnds": CALL | CONTACT | AGENT | {
        "interaction_context_id", "total_duration", "duration", "waiting_time", "hold_time", "in_business_hours",
        "recording_url", "hangup", "start_time", "timestamp", "proactive_outbound", "tags",
    },
    "outboundCallEnds": CALL | CONTACT | AGENT | {
        "total_duration", "duration", "waiting_time", "hold_time", "hangup", "proactive_outbound", "tags",
    },
}  # fmt: skip
ANA = {
    "name": "Ana Maria Sol",
    "company": "Sol & Filhos",
    "emails": [{"email": "ana@example.com"}],
    "phones": [{"number": "+351910000000"}],
    "website": "https://sol.example",
}


@pytest.fixture
def world() -> FrozenWorld:
    """Standing still now: the library that checks signatures wants recent ones."""
    return FrozenWorld(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def room(opened: OpenHouse) -> Centre:
    """A house that may call receivers on this machine."""
    return await opened(private_receivers=True, delivery_patience=2.0)


async def made(centre: Centre, http: Any, trigger: str, url: str, message: str = "{}") -> dict[str, Any]:
    await centre.settle()
    body = {"callbackurl": url, "title": "T", "message": message}
    answered = await http.post(f"/webhooks/triggers/{trigger}", json=body)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found | {"location": answered.headers["location"]}


async def happens(centre: Centre, what: EventType, key: str, data: dict[str, Any], origin: str = "") -> None:
    """Something is told as the floor tells it."""
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "floor", origin)
        await outbox.emit(ctx, what, key, data)


def call(direction: str = "IN", **more: Any) -> dict[str, Any]:
    return {
        "call_id": "c1",
        "interaction_id": "c1",
        "direction": direction,
        "talkdesk_phone_number": "+351210000100",
        "contact_phone_number": "+351910000000",
    } | more


def ended(centre: Centre, direction: str, **more: Any) -> dict[str, Any]:
    at = centre.world.now()
    times = {"total_time": 90, "waiting_time": 12, "talk_time": 60, "hold_time": 5, "ringing_time": 3}
    over = {"type": "Answered", "started_at": at, "ended_at": at, "ended_by": "contact", "legs": 1, "transfers": 0}
    return call(direction, **times, **over, ring_groups=["sales", "vip"], **more)


async def agent(centre: Centre) -> str:
    user = await centre.user("eva@acme.example", name="Eva Mar")
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        for name in ("sales", "vip"):
            await set_ring_group(ctx, name=name, short_abandoned_threshold=5, wait_time_threshold=30)
        await set_membership(ctx, user=user, ring_groups=["vip", "sales"])
    return user


def status(user: str, before: str, after: str) -> dict[str, Any]:
    since = datetime(2026, 1, 5, tzinfo=UTC)
    return {"user_id": user, "status": after, "previous_status": before, "previous_since": since, "duration": 1}


async def everything(centre: Centre, http: Any) -> tuple[str, str]:
    """One of each kind of event, and some that nobody is to be told of. The contact and the agent."""
    user = await agent(centre)
    ana = (await http.post("/contacts", json=ANA)).json()["contact"]["id"]
    await http.patch(f"/contacts/{ana}", json={"title": "Dr."})
    await http.post(f"/contacts/{ana}/notes", json={"title": "Call back", "content": 'at "six"'})
    for before, after in (("offline", "available"), ("available", "busy"), ("busy", "offline")):
        await happens(centre, floor.STATUS_CHANGED, user, status(user, before, after))
    for direction in ("IN", "OUT"):
        await happens(centre, floor.CALL_STARTED, "c1", call(direction, contact_id=ana))
        talk = {"leg_id": "l", "user_id": user, "ring_groups": ["sales", "vip"], "waiting_time": 12}
        await happens(centre, floor.CALL_ANSWERED, "c1", call(direction, contact_id=ana, **talk))
        await happens(
            centre, floor.CALL_ENDED, "c1", ended(centre, direction, contact_id=ana, user_id=user, recorded=True)
        )
    return ana, user


def test_the_triggers_are_those_of_the_contract_and_each_has_its_event() -> None:
    events = {event.name: event for api in APIS for event in api.events}
    assert {name: set(one.keys) for name, one in TRIGGERS.items()} == KEYS
    assert all(events[one.type].scope for one in TRIGGERS.values())


async def test_each_trigger_fires_once_with_exactly_the_keys_of_the_contract(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    for name in TRIGGERS:
        await made(room, http, name, receiver.url)
    ana, user = await everything(room, http)
    await told(room)
    got = {body["event"]: body for body in receiver.bodies}
    assert sorted(body["event"] for body in receiver.bodies) == sorted(KEYS)
    for name, body in got.items():
        assert set(body) == KEYS[name] | {"event"}
        assert all(isinstance(value, str) for value in body.values())
    known = {
        "contact_id": ana,
        "contact_first_name": "Ana",
        "contact_last_name": "Maria Sol",
        "contact_name": "Ana Maria Sol",
        "contact_email": "ana@example.com",
        "contact_phone": "+351910000000",
        "contact_company": "Sol & Filhos",
        "contact_website": "https://sol.example",
        "contact_address": "",
        "account_name": "acme",
        "account_email": "owner@acme.example",
        "account_id": await room.account(),
    }
    for name in set(KEYS) - {"agentLogIn", "agentLogOut"}:
        assert known.items() <= got[name].items()
    someone = {"agent_id": user, "agent_name": "Eva Mar", "agent_email": "eva@acme.example", "agent_tags": "sales,vip"}
    for name in ("agentLogIn", "agentLogOut", "inboundCallStarts", "inboundCallEnds", "outboundCallEnds"):
        assert someone.items() <= got[name].items()
    assert (got["noteCreated"]["title"], got["noteCreated"]["content"]) == ("Call back", 'at "six"')
    assert got["contactUpdated"]["contact_title"] == "Dr."
    starts, ends = got["inboundCallStarts"], got["inboundCallEnds"]
    assert (starts["waiting_time"], starts["is_transfer"], starts["tags"]) == ("12", "false", "sales,vip")
    assert (ends["total_duration"], ends["duration"], ends["hold_time"]) == ("90", "60", "5")
    assert ends["recording_url"] == "http://ringfence.test/calls/c1/recordings"
    assert (ends["hangup"], ends["in_business_hours"], ends["interaction_type"]) == ("contact", "true", "inbound")
    assert datetime.fromisoformat(ends["timestamp"]) == room.world.now()
    assert got["outboundCallEnds"]["interaction_type"] == "outbound"


async def test_a_call_is_signed_so_that_a_library_for_standard_webhooks_believes_it(
    room: Centre, receiver: Receiver
) -> None:
    http = await room.signed_in(*ALL)
    secret = (await made(room, http, "contactCreated", receiver.url))["secret"]
    await contact(http)
    await told(room)
    [(headers, body)] = receiver.got
    verified: Any = Webhook(secret).verify(body.decode(), headers)
    assert verified["event"] == "contactCreated"
    assert headers["x-hub-ecdsa-signature"]


async def test_what_fails_is_tried_again_in_order_and_gone_is_the_end(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    first = await made(room, http, "contactUpdated", receiver.url)
    ana = await contact(http)
    receiver.answers = [answer("500 Oops")]
    for title in ("one", "two"):
        await http.patch(f"/contacts/{ana}", json={"title": title})
    await told(room)
    assert len(receiver.got) == 1
    room.world.advance(400)
    await told(room)
    assert len(receiver.got) == 3
    receiver.answers = [answer("410 Gone")]
    http = await room.signed_in(*ALL)
    async with receiving() as watcher:
        listens = {"callback_url": watcher.url, "event_types": ["trigger.*"]}
        assert (await http.put("/events/subscriptions", json=listens)).status_code == 200
        await http.patch(f"/contacts/{ana}", json={"title": "three"})
        await told(room)
        await told(room)
        assert [(one["type"], one["data"]["id"]) for one in watcher.bodies] == [("trigger.disabled", first["id"])]


async def test_the_same_trigger_again_is_the_same_and_is_woken(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    first = await made(room, http, "contactCreated", receiver.url)
    receiver.answers = [answer("410 Gone")]
    await contact(http)
    await told(room)
    again = await made(room, http, "contactCreated", receiver.url)
    other = await made(room, http, "contactCreated", receiver.url, '{"a": "{{event}}"}')
    assert (again["id"], again["secret"], again["active"]) == (first["id"], None, True)
    assert other["id"] != first["id"]
    assert other["secret"].startswith("whsec_")


@pytest.mark.parametrize("member", ["callbackurl", "callbackURL"])
async def test_both_spellings_are_taken(room: Centre, receiver: Receiver, member: str) -> None:
    http = await room.signed_in(*ALL)
    await room.settle()
    body = {member: receiver.url, "title": "T", "message": ""}
    answered = await http.post("/webhooks/triggers/contactCreated", json=body)
    assert answered.status_code == 200
    assert answered.json()["callbackurl"] == receiver.url
    wrong = await http.post("/webhooks/triggers/contactCreated", json=body | {member: "ftp://x.example"})
    assert [one["name"] for one in wrong.json()["fields"]] == [member]
    await contact(http)
    await told(room)
    assert receiver.bodies[0]["event"] == "contactCreated"


@pytest.mark.parametrize(
    "change, named",
    [
        ({"callbackurl": None}, "callbackurl"),
        ({"callbackURL": "https://other.example/"}, "callbackURL"),
        ({"callbackurl": "nonsense"}, "callbackurl"),
        ({"title": None}, "title"),
        ({"message": None}, "message"),
        ({"message": "{"}, "message"),
        ({"message": "{{event}} and more"}, "message"),
        ({"message": '{"a": "{{nonsense}}"}'}, "message"),
        ({"message": '{"a": "{{content}}"}'}, "message"),  # of another trigger
        ({"message": '"' + "{{event}}" * 201 + '"'}, "message"),
        ({"message": "[" * 5000}, "message"),
        ({"message": "1e999"}, "message"),
        ({"message": '"\\ud800{{event}}"'}, "message"),
        ({"message": "x" * 20_001}, "message"),
    ],
)
async def test_what_cannot_be_taken_is_a_400_that_names_it(room: Centre, change: dict[str, Any], named: str) -> None:
    http = await room.signed_in(*ALL)
    body = {"callbackurl": "https://crm.example/", "title": "T", "message": "{}"} | change
    sent = {name: value for name, value in body.items() if value is not None}
    answered = await http.post("/webhooks/triggers/contactCreated", json=sent)
    assert answered.status_code == 400, answered.text
    assert [one["name"] for one in answered.json()["fields"]] == [named]


async def test_a_message_is_filled_whatever_the_values_hold(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    message = '{"who": "{{contact.name}} \\"x\\"", "id": {{ contact_id }}, "n": [1, true], "{{event}}": null}'
    await made(room, http, "contactCreated", receiver.url, message)
    name = 'A "quote", a \\ and a\nline, {{event}}'
    ana = await contact(http, name)
    await told(room)
    assert receiver.bodies == [{"who": f'{name} "x"', "id": ana, "n": [1, True], "contactCreated": None}]


async def test_a_schema_as_a_message_asks_for_an_object_of_its_properties(room: Centre, receiver: Receiver) -> None:
    """As the low-code connector sends it: each property has a place for its default."""
    http = await room.signed_in(*ALL)
    places = {"event": "{{event}}", "contact_email": "{{contact.email}}", "account_name": "{{account.name}}"}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {name: {"type": "string", "default": place} for name, place in places.items()},
    }
    await made(room, http, "contactCreated", receiver.url, json.dumps(schema))
    ours = (await http.get("/webhooks/schemas/contactCreated")).json()
    await made(room, http, "contactCreated", receiver.url, json.dumps(ours))
    agents = '{"$schema": "", "properties": {"agent_tags": {"default": "{{agent.tags_list}}"}}}'
    await made(room, http, "agentLogIn", receiver.url, agents)
    await http.post("/contacts", json=ANA)
    user = await agent(room)
    await happens(room, floor.STATUS_CHANGED, user, status(user, "offline", "away"))
    await told(room)
    by_size = {len(body): body for body in receiver.bodies}
    assert by_size[3] == {"event": "contactCreated", "contact_email": "ana@example.com", "account_name": "acme"}
    assert set(by_size[len(CONTACT) + 1]) == CONTACT | {"event"}
    assert by_size[1] == {"agent_tags": "sales,vip"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@example("", "", "", float("inf"))
@given(st.text(), st.text(), st.text(), JSON)
async def test_no_request_is_a_500(room: Centre, url: str, title: str, message: str, odd: Any) -> None:
    sent = {"callbackurl": f"https://crm.example/{url}", "title": title, "message": f'{{"a": "{message}"}}'}
    async with await room.signed_in(*ALL) as http:
        for body in (
            sent,
            sent | {"message": message},
            sent | {"message": json.dumps(odd)},
            sent | {"title": odd},
            odd,
        ):
            text, kind = json.dumps(body), {"content-type": "application/json"}
            answered = await http.post("/webhooks/triggers/noteCreated", content=text, headers=kind)
            assert answered.status_code in (200, 400, 409), answered.text
            if answered.status_code == 200:
                assert (await http.delete(answered.headers["location"])).status_code == 200


@given(st.text(), st.text())
def test_no_message_is_more_than_refused_and_what_is_taken_can_be_filled(message: str, value: str) -> None:
    for text in (message, f'{{"a": "{message}{{{{event}}}}", "b": {{{{contact_id}}}}}}'):
        try:
            check(TRIGGERS["contactCreated"], text)
        except Fault:
            continue
        json.loads(written(text, dict.fromkeys(TRIGGERS["contactCreated"].places(), value)))


async def test_the_scope_of_the_event_is_needed_too_and_the_one_that_is_missing_is_named(room: Centre) -> None:
    body = {"callbackurl": "https://crm.example/", "title": "T", "message": "{}"}
    needed = {"noteCreated": "contacts:read", "agentLogIn": "users:read", "inboundCallStarts": "recordings:read"}
    http = await room.signed_in(OWN, "events:write")
    for trigger, scope in needed.items():
        answered = await http.post(f"/webhooks/triggers/{trigger}", json=body)
        assert answered.status_code == 403
        assert f'scope="{scope}"' in answered.headers["www-authenticate"]
        enough = await room.signed_in(OWN, scope)
        assert (await enough.post(f"/webhooks/triggers/{trigger}", json=body)).status_code == 200


async def test_what_the_scopes_do_not_let_a_client_read_is_empty(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(OWN, "recordings:read")
    await made(room, http, "inboundCallEnds", receiver.url)
    user = await agent(room)
    ana = (await (await room.signed_in(*ALL)).post("/contacts", json=ANA)).json()["contact"]["id"]
    await happens(room, floor.CALL_ENDED, "c1", ended(room, "IN", contact_id=ana, user_id=user))
    await told(room)
    [body] = receiver.bodies
    assert (body["contact_id"], body["agent_id"], body["duration"]) == (ana, user, "60")
    assert body["recording_url"] == ""
    for key in (CONTACT | AGENT) - {"contact_id", "agent_id", "account_id"}:
        assert body[key] == ""


@pytest.mark.parametrize("scope", [OWN, "contacts:read"])
async def test_a_scope_that_is_taken_away_is_not_heard_any_more(room: Centre, receiver: Receiver, scope: str) -> None:
    client = await room.client(*ALL)
    http = room.http(Authorization=f"Bearer {await room.token(client)}")
    await made(room, http, "contactCreated", receiver.url)
    await contact(http)
    await room.settle()
    async with room.house.db.writing() as tx:
        ctx = room.house.ctx(tx, await room.account(), "test")
        await grants.remove(ctx, client=client.row["id"], scope=scope, reason="test")
    await told(room)
    assert receiver.got == []


async def test_a_deleted_trigger_is_silent_and_only_its_client_may_delete_it(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    one = await made(room, http, "contactCreated", receiver.url)
    path = one["location"].removeprefix("http://ringfence.test")
    assert path == f"/webhooks/triggers/contactCreated/{one['id']}"
    assert (await (await room.signed_in(*ALL)).delete(path)).status_code == 404
    assert (await http.delete(path.replace("contactCreated", "contactUpdated"))).status_code == 404
    await contact(http)
    await room.settle()
    gone = await http.delete(one["location"])
    assert (gone.status_code, gone.json()) == (200, {"message": "The trigger was deleted."})
    assert (await http.delete(path)).status_code == 404
    await contact(http)
    await told(room)
    assert receiver.got == []


async def test_another_account_is_told_nothing(room: Centre, receiver: Receiver) -> None:
    await made(room, await room.signed_in(*ALL, account="rival"), "contactCreated", receiver.url)
    await contact(await room.signed_in(*ALL))
    await told(room)
    assert receiver.got == []


async def test_the_events_api_does_not_see_a_trigger(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    async with receiving() as watcher:
        await http.put("/events/subscriptions", json={"callback_url": watcher.url, "event_types": ["subscription.*"]})
        one = await made(room, http, "contactCreated", receiver.url)
        await told(room)
        assert receiver.url not in "".join(map(str, watcher.bodies))
    assert (await http.get("/events/subscriptions")).json()["total"] == 1
    at = f"/events/subscriptions/{one['id']}"
    again = {"event_id": "0" * 32}
    for answered in (
        await http.get(at),
        await http.post(f"{at}/secret"),
        await http.post(f"{at}/replays", json=again),
        await http.get(f"{at}/deliveries"),
        await http.get(f"{at}/deliveries/{one['id']}"),
        await http.delete(at),
    ):
        assert answered.status_code == 404
    await contact(http)
    await told(room)
    assert len(receiver.got) == 1


async def test_what_happened_before_and_what_is_filled_in_later_is_not_told(room: Centre, receiver: Receiver) -> None:
    http = await room.signed_in(*ALL)
    await room.settle()
    await contact(http, "before")
    for path, body in (
        ("/webhooks/triggers/contactCreated", {"callbackurl": receiver.url, "title": "T", "message": ""}),
        ("/events/subscriptions", {"callback_url": receiver.url, "event_types": ["contact.created", "call.started"]}),
    ):
        method = "PUT" if "events" in path else "POST"
        assert (await http.request(method, path, json=body)).status_code == 200
    await happens(room, floor.CALL_STARTED, "c0", call(), origin=outbox.BACKFILL)
    await contact(http, "after")
    await told(room)
    said = [body.get("contact_name") or body["data"]["name"] for body in receiver.bodies]
    assert said == ["after", "after"]


async def test_the_command_line_shows_triggers_and_what_became_of_what_was_told(
    room: Centre, receiver: Receiver, database: str
) -> None:
    http = await room.signed_in(*ALL)
    one = await made(room, http, "contactCreated", receiver.url)
    receiver.answers = [answer("500 Oops")]
    ana = await contact(http)
    await told(room)

    async def say(*arguments: str, code: int = 0) -> str:
        environment = {"RINGFENCE_SECRET_KEY": SECRET, "RINGFENCE_DATABASE": database, "COLUMNS": "200"}
        command = [str(RINGFENCE), "--account", "acme", "events", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env=os.environ | environment, capture_output=True, timeout=60
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()

    listed = await say("subscriptions")
    assert one["id"][:20] in listed
    assert "contactCreated" in listed
    assert "sealed" not in await say("subscriptions", "--json")
    [row] = json.loads(await say("deliveries", one["id"], "--json", "--state", "waiting"))
    assert (row["type"], row["key"], row["attempts"]) == ("contact.created", ana, 1)
    assert ana in await say("deliveries", one["id"])
    assert json.loads(await say("deliveries", one["id"], "--json", "--state", "failed")) == []
    await say("deliveries", "nothing", code=1)
    await say("replay", one["id"], "--event", row["event_id"])
    await say("replay", one["id"], "--event", "nothing", code=1)


async def test_events_that_nobody_hears_cost_one_look(room: Centre) -> None:
    looks: list[Any] = []

    class Watching:
        async def all(self, statement: Any, **given: Any) -> list[Any]:
            looks.append(given)
            return []

    ctx = room.house.ctx(Watching(), "", "test")  # type: ignore[arg-type]
    event = {"type": "call.started", "account_id": "a", "origin": "", "place": 1, "data": {}, "id": "e", "key": "k"}
    await fan_out(ctx, [event] * 500)
    assert looks == [{"accounts": ["a"]}]
    await fan_out(ctx, [event | {"origin": outbox.BACKFILL}, event | {"type": "keys.rotated"}])
    assert len(looks) == 1


async def test_the_schemas_are_deprecated_and_fit_what_is_sent(room: Centre) -> None:
    http = await room.signed_in(OWN)
    for name in TRIGGERS:
        for path in ("schemas", "schema"):
            answered = await http.get(f"/webhooks/{path}/{name}")
            assert answered.headers["deprecation"].startswith("@")
            assert set(answered.json()["properties"]) == KEYS[name] | {"event"}
    assert (await http.get("/webhooks/schemas/nothing")).status_code == 404
    assert (await http.post("/webhooks/triggers/nothing", json={"title": "", "message": ""})).status_code == 404
    document = (await http.get("/openapi.json")).json()
    assert document["paths"]["/webhooks/schema/{list_id}"]["get"]["deprecated"] is True


async def test_an_event_without_its_data_is_told_without_it(room: Centre) -> None:
    """An erased contact leaves only its id in the log."""
    event = {"type": "contact.note_created", "data": {"id": "5f" * 12}, "account_id": await room.account()}
    async with room.house.db.reading() as tx:
        ctx = room.house.ctx(tx, await room.account(), "events")
        sent = await trigger_payloads.payload(ctx, TRIGGERS["noteCreated"], event, frozenset(READS))
    assert set(sent) == KEYS["noteCreated"] | {"event"}
    assert (sent["contact_id"], sent["contact_name"], sent["content"]) == ("5f" * 12, "", "")
