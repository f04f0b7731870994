"""Flows: what a document may say, what is published of it, and interactions that are started with it."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.floor import flow_store, hours, inbox
from ringfence.floor.directory import set_business_hours, set_number, set_ring_group
from ringfence.floor.events import FLOW_PUBLISHED
from ringfence.floor.flow_checks import Known, complaints
from ringfence.floor.flows import FlowDocument, Value, Variable, filled, holds, read, taken_in, typed
from ringfence.floor.steps import Condition
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.kernel.world import FrozenWorld
from ringfence.sandbox import flow_files
from ringfence.store.outbox import FOR_KEY
from ringfence.store.query import Statement
from ringfence.store.tables.floor import floor_inbox
from tests.conftest import Centre, OpenHouse
from tests.servers import RINGFENCE

EXAMPLE = re.findall(r"```toml\n(.*?)```", (Path(__file__).parent.parent / "docs/flows.md").read_text("utf-8"), re.S)[0]
TOLD = Statement(floor_inbox.select().order_by(floor_inbox.c.n), everywhere=True)
START: dict[str, Any] = {"type": "start", "exits": {"ok": "hello"}}
GOOD: dict[str, Any] = {
    "start": START | {"variables": [{"name": "tier", "mandatory": True}, {"name": "count", "type": "number"}]},
    "hello": {"type": "say", "text": "Hello, {{ tier }}.", "exits": {"ok": "menu"}},
    "menu": {"type": "menu", "prompt": "One?", "options": {"1": "One"}, "exits": {"1": "who", "no_input": "ask"}},
    "who": {
        "type": "decision",
        "conditions": [{"variable": "count", "operator": "gt", "value": 3, "exit": "many"}],
        "exits": {"many": "queue", "otherwise": "call"},
    },
    "ask": {
        "type": "http_request",
        "url": "https://crm.example/{{tier}}?q={{contact.number}}",
        "headers": {"X-Tier": "{{tier}}"},
        "save": {"name": "/people/0/name"},
        "exits": {"ok": "queue"},
    },
    "queue": {
        "type": "assign",
        "ring_groups": ["sales"],
        "attributes": {"French": 60},
        "relax": [{"after": 20}, {"after": 40, "ring_groups": ["sales", "support"]}],
        "exits": {"no_agents": "message"},
    },
    "call": {"type": "callback", "ring_groups": ["sales"]},
    "message": {"type": "voicemail", "greeting": "{{name}}"},
}
KNOWN = Known(
    ring_groups=frozenset({"sales", "support"}), attributes=frozenset({"French"}), business_hours=frozenset({"office"})
)


def changed(*places: Any, to: Any) -> dict[str, Any]:
    """The good document with another value at a place."""
    document: dict[str, Any] = json.loads(json.dumps({"steps": GOOD}))
    at = document["steps"]
    for place in places[:-1]:
        at = at[place]
    at[places[-1]] = to
    return document


def accepted(document: Any) -> FlowDocument | Fault:
    try:
        return read(document)
    except Fault as why:
        return why


def said(document: Any) -> list[str]:
    """What is wrong with a document, by path."""
    found = accepted(document)
    return [one.name for one in (found.detail.fields if isinstance(found, Fault) else complaints(found, KNOWN))]


def test_a_good_document_has_nothing_to_complain_about() -> None:
    assert said({"steps": GOOD}) == []
    assert [variable.name for variable in read({"steps": GOOD}).variables] == ["tier", "count"]


WRONG: dict[str, tuple[Any, ...]] = {
    "steps.hello.text": ("hello", "text", ""),
    "steps.hello.exits.ok": ("hello", "exits", "ok", "nowhere"),
    "steps.menu.exits.2": ("menu", "exits", "2", "who"),
    "steps.menu.options.x": ("menu", "options", "x", "No key"),
    "steps.menu.patience": ("menu", "patience", float("nan")),
    "steps.menu.tries": ("menu", "tries", 10**400),
    "steps.menu.titel": ("menu", "titel", "Misspelt"),
    "steps.who.conditions[0].operator": ("who", "conditions", 0, "operator", "like"),
    "steps.who.conditions[0].variable": ("who", "conditions", 0, "variable", "nobody"),
    "steps.who.conditions[0].value": ("who", "conditions", 0, "value", 2**60),
    "steps.ask.url": ("ask", "url", "https://{{tier}}.example/"),
    "steps.ask.headers.Host": ("ask", "headers", "Host", "x"),
    "steps.ask.headers.X-Tier": ("ask", "headers", "X-Tier", "a\r\nb: c"),
    "steps.ask.save.name": ("ask", "save", "name", "people"),
    "steps.ask.save.first name": ("ask", "save", "first name", "/x"),
    "steps.queue.ring_groups": ("queue", "ring_groups", ["nobody"]),
    "steps.queue.attributes": ("queue", "attributes", {"German": 20}),
    "steps.queue.attributes.French": ("queue", "attributes", "French", 101),
    "steps.queue.relax": ("queue", "relax", 0, "after", 50),
    "steps.queue.relax[1].after": ("queue", "relax", 1, "after", 900),
    "steps.queue.relax[1].ring_groups": ("queue", "relax", 1, "ring_groups", ["nobody"]),
    "steps.message.greeting": ("message", "greeting", "{{nobody}}"),
    "steps.message.title": ("message", "title", "\ud800"),
    "steps.lonely": ("lonely", {"type": "end"}),
    "steps.hours.hours": ("hello", {"type": "business_hours", "hours": "night"}),
    "steps.x y": ("x y", {"type": "end"}),
    "steps.hello.type": ("hello", {"type": "sing"}),
    "steps.start.variables[1].name": ("start", "variables", 1, "name", "tier"),
    "steps.start.variables[1].default": ("start", "variables", 1, "default", "many"),
    "steps.call.exits.ok": ("call", "exits", {"ok": "start"}),
}


@pytest.mark.parametrize("path", WRONG)
def test_what_is_wrong_is_said_by_step_and_field(path: str) -> None:
    *places, value = WRONG[path]
    if path == "steps.hours.hours":
        document = {"steps": {"start": {"type": "start", "exits": {"ok": "hours"}}, "hours": value}}
        assert said(document) == [path]
        return
    assert path in said(changed(*places, to=value))


def test_all_complaints_come_at_once() -> None:
    document = changed("hello", "text", to="{{x}} {{y}} {{ z z }}")
    document["steps"]["message"] |= {"greeting": "{{x}}", "exits": {"done": "hello"}}
    assert len(said(document)) == 5


def test_there_is_exactly_one_start() -> None:
    assert said({"steps": {"end": {"type": "end"}}}) == ["steps"]
    assert "steps" in said(changed("message", to={"type": "start"}))


ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["", "\0", "\ud800", "x" * 5000, "{{", "{{x}}", "+351", "https://", "nan", 10**400, -(10**400), 2**63, float("nan"),
     float("inf"), -0.0, 1e308, True, None, [], {}, [[]], {"": {}}, {"type": "say"}, {"type": ["say"]}, "say", "start"]
)  # fmt: skip
JSON = st.recursive(
    ODD | st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [inner for name, one in pairs for inner in places(one, (*path, name))]


def judged(document: Any) -> None:
    """A document is accepted, with complaints that can be shown, or refused with a Fault that names something."""
    found = accepted(document)
    if isinstance(found, Fault):
        (told,) = found.detail.fields
        assert found.problem.status == 400
        assert 0 < len(told.name) < 1000
        assert told.description
        str(found).encode()
        return
    wrongs = complaints(found, KNOWN)
    json.dumps([(one.name, one.description) for one in wrongs]).encode()
    if not wrongs:
        assert found.start in found.steps


@given(JSON | st.fixed_dictionaries({"steps": st.dictionaries(st.sampled_from([*GOOD, "", "a b", "\0"]), JSON)}))
def test_no_document_breaks_the_reader(document: Any) -> None:
    judged(document)


@settings(max_examples=400)
@given(st.data())
def test_no_change_to_a_good_document_breaks_the_reader(data: st.DataObject) -> None:
    document: Any = {"steps": GOOD}
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(document["steps"])))
        document = json.loads(json.dumps(document))
        at = document["steps"]
        for step in place[:-1]:
            at = at[step]
        match data.draw(st.sampled_from(["set", "add", "drop"])):
            case "drop" if isinstance(at, dict):
                del at[place[-1]]
            case "add" if isinstance(at, dict):
                name = data.draw(st.text(max_size=6) | st.sampled_from(["exits", "type", "title", "value"]))
                at[name] = data.draw(ODD)
            case _:
                at[place[-1]] = data.draw(JSON)
        judged(document)
        try:
            document = json.loads(json.dumps(document))
        except ValueError:
            return


def test_what_is_deep_or_large_is_refused_at_once() -> None:
    deep: Any = {}
    for _ in range(50_000):
        deep = {"a": deep}
    assert said(deep)[0].startswith("a.a.")
    assert said(changed("start", "variables", 1, "default", to=10**100_000)) == ["steps.start.variables[1].default"]
    assert said({"steps": {f"s{n}": {"type": "end"} for n in range(501)}}) == ["steps"]
    assert said({"steps": {"s" * 10_000_000: {"type": "end"}}}) == [f"steps.{'s' * 64}"]


KINDS: dict[str, Any] = {"text": str, "number": int | float, "boolean": bool}
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ODD


@given(VALUES, VALUES, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le", "contains", "starts_with", "is_set"]))
def test_any_two_values_compare_and_any_can_be_said(one: Any, other: Any, operator: Any) -> None:
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return
    condition = Condition(variable="x", operator=operator, value=other, exit="y")
    assert holds(condition, {"x": one}) in (True, False)
    assert isinstance(filled("{{x}}", {"x": one}), str)
    for kind in KINDS:
        found = typed(Variable(name="x", type=kind), one)  # type: ignore[arg-type]
        assert found is None or isinstance(found, KINDS[kind])


@pytest.mark.parametrize(
    "have, operator, wanted, true",
    [
        ("10", "gt", 9, True), ("10", "gt", "9", True), (10, "eq", "1e1", True), ("+10", "eq", "10", False),
        ("007", "eq", "7", False), ("nan", "eq", "nan", True), ("abc", "lt", "abd", True), (None, "eq", "", True),
        ("", "is_set", None, False), (0, "is_set", None, True), (None, "is_set", None, False),
        (True, "eq", "true", True), ("Lisbon", "starts_with", "Lis", True), ("Lisbon", "contains", "sb", True),
        (12345678901234567, "eq", "12345678901234568", False),
    ],
)  # fmt: skip
def test_numbers_compare_as_numbers_and_texts_as_texts(have: Any, operator: Any, wanted: Any, true: bool) -> None:
    assert holds(Condition(variable="x", operator=operator, value=wanted, exit="y"), {"x": have}) is true


def test_texts_are_filled_with_what_is_known() -> None:
    known: dict[str, Value] = {"a": 5, "b": True, "c.d": "x y", "e": None, "f": 2.0}
    assert filled("{{a}} {{ b }} {{c.d}} {{e}}{{f}} {{z}}{{ z z }}", known) == "5 true x y 2.0 {{ z z }}"
    assert filled("{{c.d}}", known, lambda text: text.replace(" ", "%20")) == "x%20y"


def test_variables_are_taken_in_by_their_types() -> None:
    document = read({"steps": GOOD})
    assert taken_in(document, {"tier": 5, "count": "12", "other": 1}) == {"tier": "5", "count": 12}
    assert taken_in(document, {"tier": ""}) == {"tier": "", "count": None}
    wrongs: tuple[Any, ...] = (None, True, [], "x" * 4001, "\0", "\ud800")
    for wrong in wrongs:
        with pytest.raises(Fault) as found:
            taken_in(document, {"tier": wrong})
        assert [one.name for one in found.value.detail.fields] == ["tier"]
    with pytest.raises(Fault) as found:
        taken_in(document, {"count": "many"})
    assert [one.name for one in found.value.detail.fields] == ["tier", "count"]


# business hours


LISBON: dict[str, Any] = {
    "timezone": "Europe/Lisbon",
    "week": {"sunday": [["00:30", "02:00"]], "monday": [["09:00", "12:00"], ["13:00", "24:00"]]},
    "closed_on": ["2026-12-28"],
}


@pytest.mark.parametrize(
    "zone, at, open",
    [
        ("Europe/Lisbon", "2026-01-05T08:59", False), ("Europe/Lisbon", "2026-01-05T09:00", True),
        ("Europe/Lisbon", "2026-01-05T12:00", False), ("Europe/Lisbon", "2026-01-05T23:59", True),
        ("Europe/Lisbon", "2026-01-06T00:00", False), ("Europe/Lisbon", "2026-07-06T08:00", True),  # summer time
        ("Europe/Lisbon", "2026-12-28T10:00", False),
        # clocks go from 01:00 to 02:00: the span ends with its first half
        ("Europe/Lisbon", "2026-03-29T00:59", True), ("Europe/Lisbon", "2026-03-29T01:00", False),
        # clocks go back from 02:00 to 01:00: the hour is open twice
        ("Europe/Lisbon", "2026-10-25T00:30", True), ("Europe/Lisbon", "2026-10-25T01:30", True),
        ("Europe/Lisbon", "2026-10-25T02:00", False), ("Europe/Lisbon", "2026-10-24T23:30", True),
        ("Asia/Kolkata", "2026-01-05T03:29", False), ("Asia/Kolkata", "2026-01-05T03:30", True),  # + 5:30
        ("Asia/Kathmandu", "2026-01-05T03:14", False), ("Asia/Kathmandu", "2026-01-05T03:15", True),  # + 5:45
        ("Australia/Lord_Howe", "2026-04-04T14:59", True),  # half an hour back at 02:00
        ("Pacific/Kiritimati", "2026-12-27T20:00", False),  # + 14: the 28th there
        ("Pacific/Kiritimati", "2027-01-03T20:00", True),
    ],
)  # fmt: skip
def test_business_hours_go_by_the_clock_on_the_wall(zone: str, at: str, open: bool) -> None:
    assert hours.is_open(LISBON | {"timezone": zone}, datetime.fromisoformat(at).replace(tzinfo=UTC)) is open


def test_spans_are_in_order_and_apart() -> None:
    assert list(hours.complaints({"monday": [("13:00", "24:00"), ("09:00", "13:00")]})) == []
    assert [day for day, _ in hours.complaints({"monday": [("13:00", "13:00")]})] == ["monday"]
    assert [day for day, _ in hours.complaints({"sunday": [("24:00", "24:00")]})] == ["sunday"]
    assert len(list(hours.complaints({"monday": [("09:00", "12:00"), ("10:00", "11:00"), ("11:30", "13:00")]}))) == 2


# drafts and versions


async def within(centre: Centre, work: Callable[[Ctx], Any], account: str = "acme") -> Any:
    async with centre.house.db.writing() as tx:
        return await work(centre.house.ctx(tx, await centre.account(account), "cli:ana"))


async def furnished(centre: Centre) -> None:
    """What the flows of these tests name."""
    from ringfence.apis.attributes import domain as attributes

    async def work(ctx: Ctx) -> None:
        for name in ("sales", "support"):
            await set_ring_group(ctx, name=name, short_abandoned_threshold=10, wait_time_threshold=20)
        category = (await attributes.create_category(ctx, "Tongues"))["id"]
        for name in ("French", "Portuguese"):
            await attributes.create(
                ctx, name=name, category_id=category, active=True, proficiency="none", default=100, team_ids=[]
            )
        await set_business_hours(ctx, name="office", timezone="UTC", week={}, closed_on=[])
        await set_number(ctx, number="+351210000100", label="Main line")
        await set_number(ctx, number="+351210000200", label="Sales")

    await centre.account()
    await within(centre, work)


async def published(centre: Centre, document: FlowDocument, name: str = "main") -> tuple[Any, Any]:
    async def work(ctx: Ctx) -> Any:
        flow = await flow_store.save(ctx, name=name, document=document)
        return flow, await flow_store.publish(ctx, flow)

    found: tuple[Any, Any] = await within(centre, work)
    return found


async def test_a_published_version_never_changes_and_the_same_again_is_no_version(centre: Centre) -> None:
    await furnished(centre)
    flow, first = await published(centre, read({"steps": GOOD}))
    _, again = await published(centre, read({"steps": GOOD}))
    assert (first["number"], again["id"]) == (1, first["id"])
    other = read(changed("hello", "text", to="Hi."))

    async def draft(ctx: Ctx) -> Any:
        return await flow_store.save(ctx, name="main", document=other)

    saved = await within(centre, draft)
    assert (saved["id"], saved["draft_number"], saved["published_id"]) == (flow["id"], 2, first["id"])
    _, second = await published(centre, other)
    assert second["number"] == 2

    async def look(ctx: Ctx) -> Any:
        held = await flow_store.named(ctx, flow["id"])
        versions = await ctx.db.all(flow_store.VERSIONS, account=ctx.account, flow=flow["id"])
        told = await ctx.db.all(FOR_KEY, account=ctx.account, key=flow["id"])
        return held, await flow_store.version_of(ctx, held, 1), versions, told

    held, one, versions, told = await within(centre, look)
    assert (held["draft_number"], held["published_id"]) == (2, second["id"])
    assert read(one["document"]) == read({"steps": GOOD})
    assert one["published_by"] == "cli:ana"
    assert [row["number"] for row in versions] == [1, 2]
    assert [(e["type"], e["data"]["number"]) for e in told] == [(FLOW_PUBLISHED.name, 1), (FLOW_PUBLISHED.name, 2)]
    assert [row["command"] for row in await centre.rows(TOLD)] == ["reload", "reload"]
    with pytest.raises(Fault):
        await within(centre, lambda ctx: flow_store.version_of(ctx, held, 3))


async def test_versions_that_are_published_at_once_follow_each_other(centre: Centre) -> None:
    await furnished(centre)
    await asyncio.gather(*(published(centre, read(changed("hello", "text", to=f"Hi {n}."))) for n in range(6)))

    async def look(ctx: Ctx) -> Any:
        flow = await flow_store.named(ctx, "main")
        versions = await ctx.db.all(flow_store.VERSIONS, account=ctx.account, flow=flow["id"])
        return flow, versions

    flow, versions = await within(centre, look)
    assert [row["number"] for row in versions] == list(range(1, len(versions) + 1))
    assert versions[-1]["id"] == flow["published_id"]
    assert versions[-1]["document"] == flow["draft"]


async def test_what_the_account_does_not_have_is_not_published_and_nothing_is_written(centre: Centre) -> None:
    await centre.account()
    with pytest.raises(Fault) as found:
        await published(centre, read({"steps": GOOD}))
    assert {one.name for one in found.value.detail.fields} == {
        "steps.queue.ring_groups", "steps.queue.attributes", "steps.queue.relax[1].ring_groups",
        "steps.call.ring_groups",
    }  # fmt: skip
    assert await within(centre, lambda ctx: ctx.db.all(flow_store.ALL, account=ctx.account)) == []
    assert await centre.rows(TOLD) == []


async def test_a_name_that_cannot_be_kept_is_refused(centre: Centre) -> None:
    await furnished(centre)
    for name in ("", " ", "x" * 256, "\0", "\ud800"):
        with pytest.raises(Fault):
            await published(centre, read({"steps": GOOD}), name)


async def test_the_example_of_the_documentation_can_be_published(centre: Centre, tmp_path: Path) -> None:
    await furnished(centre)
    (tmp_path / "example.toml").write_text(EXAMPLE)
    document = flow_files.load(tmp_path / "example.toml")
    kinds = {"start", "say", "play", "menu", "decision", "set_variable", "business_hours", "http_request", "assign",
             "callback", "voicemail", "send_event", "end"}  # fmt: skip
    assert {step.__struct_config__.tag for step in document.steps.values()} == kinds
    _, version = await published(centre, document)
    assert read(version["document"]) == document


# starting an interaction


async def ready(centre: Centre) -> str:
    """The path at which interactions of a published flow are started."""
    await furnished(centre)
    flow, _ = await published(centre, read({"steps": GOOD}))
    return f"/flows/{flow['id']}/interactions"


async def test_the_floor_is_told_what_to_start(centre: Centre) -> None:
    path = await ready(centre)
    async with await centre.signed_in("flows-interactions:start", "contacts:write") as http:
        await http.post("/contacts", json={"name": "Eva", "phones": [{"number": "+351910000009", "label": ""}]})
        made = await http.post("/contacts", json={"name": "Ana", "phones": [{"number": "+351910000001", "label": ""}]})
        body = {"tier": "gold", "count": 4, "unknown": [1], "contact_phone_number": "+351910000001",
                "talkdesk_phone_number": "+351210000200"}  # fmt: skip
        answer = await http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    (row,) = [row for row in await centre.rows(TOLD) if row["command"] == "start"]
    told = inbox.read(row["command"], row["args"])
    assert isinstance(told, inbox.StartInteraction)
    assert answer.json() == {
        "interaction_id": told.call, "flow_version_id": told.version, "flow_execution_id": told.execution
    }  # fmt: skip
    assert (told.company_number, told.contact_number) == ("+351210000200", "+351910000001")
    assert told.contact_id == made.json()["contact"]["id"]
    assert told.variables == {"tier": "gold", "count": 4}
    assert row["account_id"] == await centre.account()


async def test_the_number_is_the_flows_own_or_else_the_first(centre: Centre, world: FrozenWorld) -> None:
    path = await ready(centre)
    flow = path.split("/")[2]
    async with await centre.signed_in("flows-interactions:start") as http:
        assert (await http.post(path, json={"tier": "x"})).status_code == 201
        await within(centre, lambda ctx: set_number(ctx, number="+351210000200", label="", flow=flow))
        assert (await http.post(path, json={"tier": "x", "contact_phone_number": None})).status_code == 201
    told = [row["args"] for row in await centre.rows(TOLD) if row["command"] == "start"]
    assert [one["company_number"] for one in told] == ["+351210000100", "+351210000200"]
    assert [one["contact_number"] for one in told] == ["", ""]


@pytest.mark.parametrize(
    "body, names",
    [
        ({}, ["tier"]),
        ({"tier": True}, ["tier"]),
        ({"tier": "x", "count": "many"}, ["count"]),
        ({"tier": "x", "count": 10**301}, ["count"]),
        ({"tier": "x", "contact_phone_number": "12"}, ["contact_phone_number"]),
        ({"tier": "x", "contact_phone_number": ["+351910000001"]}, ["contact_phone_number"]),
        ({"tier": "x", "talkdesk_phone_number": "+351210000999"}, ["talkdesk_phone_number"]),
        ({"contact_phone_number": 1, "talkdesk_phone_number": {}},
         ["talkdesk_phone_number", "contact_phone_number", "tier"]),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_variables_is_said_by_name(centre: Centre, body: Any, names: list[str]) -> None:
    path = await ready(centre)
    async with await centre.signed_in("flows-interactions:start") as http:
        answer = await http.post(path, content=json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert [one["name"] for one in answer.json()["fields"]] == names
    assert [row for row in await centre.rows(TOLD) if row["command"] == "start"] == []


async def test_unknown_flows_are_a_404_and_drafts_a_409(centre: Centre) -> None:
    await furnished(centre)
    draft = await within(centre, lambda ctx: flow_store.save(ctx, name="x", document=read({"steps": GOOD})))
    async with await centre.signed_in("flows-interactions:start") as http:
        assert (await http.post(f"/flows/{'0' * 32}/interactions", json={})).status_code == 404
        answer = await http.post(f"/flows/{draft['id']}/interactions", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "flow_not_published")


async def test_an_account_without_numbers_is_told_so(centre: Centre) -> None:
    await centre.account()
    flow, _ = await published(centre, read({"steps": {"start": {"type": "start"}}}))
    async with await centre.signed_in("flows-interactions:start") as http:
        answer = await http.post(f"/flows/{flow['id']}/interactions", json={})
    assert (answer.status_code, answer.json()["fields"][0]["name"]) == (400, "talkdesk_phone_number")


async def test_an_account_starts_two_a_second_and_a_repeated_request_does_not_count(
    centre: Centre, world: FrozenWorld
) -> None:
    path, body = await ready(centre), {"tier": "x"}
    async with await centre.signed_in("flows-interactions:start") as http:
        key = {"idempotency-key": "one"}
        first = await http.post(path, json=body, headers=key)
        assert [(await http.post(path, json=body, headers=key)).json() for _ in range(3)] == [first.json()] * 3
        assert (await http.post(path, json=body)).status_code == 201
        async with await centre.signed_in("flows-interactions:start") as beside:
            over = await beside.post(path, json=body)
        assert (over.status_code, over.headers["retry-after"], over.json()["code"]) == (429, "1", "rate_limited")
        world.advance(1)
        assert (await http.post(path, json=body)).status_code == 201
    assert len([row for row in await centre.rows(TOLD) if row["command"] == "start"]) == 3


async def test_the_operator_may_set_another_rate_or_none(opened: OpenHouse) -> None:
    centre = await opened(flows_rate_limit=0)
    path = await ready(centre)
    async with await centre.signed_in("flows-interactions:start") as http:
        assert {(await http.post(path, json={"tier": "x"})).status_code for _ in range(9)} == {201}


BODIES = st.dictionaries(
    st.sampled_from(["tier", "count", "contact_phone_number", "talkdesk_phone_number"]) | st.text(max_size=5), JSON
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(BODIES | JSON)
async def test_no_body_is_a_500_and_what_is_told_can_be_read(centre: Centre, body: Any) -> None:
    centre.house.flow_limiter.rate = 0
    await centre.account()
    await within(centre, lambda ctx: set_number(ctx, number="+351210000100", label="Main line"))
    flow, _ = await published(centre, read({"steps": {"start": GOOD["start"] | {"exits": {}}}}))
    async with await centre.signed_in("flows-interactions:start") as http:
        answer = await http.post(f"/flows/{flow['id']}/interactions", content=json.dumps(body))
    assert answer.status_code in (201, 400), answer.text
    for row in await centre.rows(TOLD):
        inbox.read(row["command"], row["args"])


# the command line


def test_the_command_validates_publishes_draws_and_starts(tmp_path: Path) -> None:
    centre = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "owner@acme.example"
ring_groups = [{ name = "sales" }, { name = "support" }]
numbers = [{ number = "+351210000100" }]
attributes = [{ name = "French" }]
"""
    (tmp_path / "centre.toml").write_text(centre)
    (tmp_path / "main.json").write_text(json.dumps({"steps": GOOD}))
    bad = changed("hello", "exits", "ok", to="nowhere")
    bad["steps"]["queue"]["ring_groups"] = ["nobody"]
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    (tmp_path / "not.toml").write_text("x = " + "9" * 5000)
    (tmp_path / "latin.json").write_bytes(b'{"steps": "\xff"}')
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RINGFENCE_")} | {"COLUMNS": "160"}

    def ringfence(*arguments: str, code: int = 0) -> str:
        command = [str(RINGFENCE), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    ringfence("apply", "centre.toml", "--yes")
    assert ringfence("flows", "validate", "main.json", "--names") == "main.json is fine: 8 steps\n"
    wrong = ringfence("flows", "validate", "bad.json", "--names", code=1).splitlines()
    assert wrong[1:] == [
        "  steps.hello.exits.ok: there is no step 'nowhere'",
        "  steps.queue.ring_groups: the account has no ring group 'nobody'",
    ]
    for file in ("not.toml", "latin.json", "missing.toml", "."):
        assert "cannot be" in (told := ringfence("flows", "publish", file, code=1)) or "is not" in told
    assert "published version 1" in ringfence("flows", "publish", "main.json", "--name", "Main line")
    assert "nothing to change" in ringfence("flows", "publish", "main.json", "--name", "Main line")
    assert "steps.hello.exits.ok" in ringfence("flows", "publish", "bad.json", "--name", "Main line", code=1)
    (listed,) = json.loads(ringfence("flows", "list", "--json"))
    assert (listed["name"], listed["published_version"], listed["draft_number"]) == ("Main line", 1, 1)
    drawn = ringfence("flows", "show", "Main line", "--version", "1")
    assert "menu  “One?”" in drawn
    assert "no_agents" in drawn
    assert "many  count gt 3" in drawn
    assert "no version 2" in ringfence("flows", "show", "Main line", "--version", "2", code=1)
    assert "tier: is mandatory" in ringfence("flows", "run", "Main line", code=1)
    assert "NAME=VALUE" in ringfence("flows", "run", "Main line", "--var", "tier", code=1)
    started = ringfence("flows", "run", "Main line", "--var", "tier=gold", "--from", "+351910000001")
    assert re.fullmatch(r"interaction [0-9a-f]{32}\nexecution   [0-9a-f]{32}\nversion     [0-9a-f]{32}\n", started)
    assert "There is no flow" in ringfence("flows", "run", "nobody", code=1)
