"""Attributes, lists, apps, business hours and flows of a centre that is declared in a file."""

from pathlib import Path
from typing import Any

import pytest

from ringfence.apis.all import APIS
from ringfence.apis.apps import installations
from ringfence.apis.attributes import domain as attributes
from ringfence.floor import directory, flow_store, lists
from ringfence.sandbox import centre as planning
from ringfence.sandbox.declaration import BadDeclaration, read
from ringfence.sandbox.demo import apply_demo
from tests.conftest import Centre

SCOPES = sorted(scope.name for api in APIS for scope in api.scopes)
SMALL = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "owner@acme.example"

[[accounts.users]]
name = "Ana"
email = "ana@acme.example"
attributes = { Portuguese = 80, French = 40 }

[[accounts.attributes]]
name = "Portuguese"
category = "Languages"

[[accounts.attributes]]
name = "French"
category = "Languages"

[[accounts.record_lists]]
name = "Spring"
teams = [{ id = "s", name = "Sales" }]
records = [{ first_name = "Alda", last_name = "Abreu", phone = "+351910000001" }]

[[accounts.do_not_call_lists]]
name = "No"
numbers = ["+351910000900"]

[[accounts.apps]]
name = "Wallboard"
scopes = ["users:read"]

[[accounts.installations]]
app = "Wallboard"
"""


async def applied(centre: Centre, text: str) -> list[str]:
    plan = await planning.plan(centre.house, read(text, SCOPES).accounts[0], planning.Given())
    await planning.apply(centre.house, plan, "test", "test")
    return [f"{change.sign} {change.what} {change.detail}".strip() for change in plan.changes]


async def test_what_is_declared_is_made_and_a_second_run_changes_nothing(centre: Centre) -> None:
    assert await applied(centre, SMALL) == [
        "+ account acme",
        "+ user ana@acme.example",
        "+ attribute Portuguese Languages",
        "+ attribute French Languages",
        "+ user ana@acme.example Portuguese: 80",
        "+ user ana@acme.example French: 40",
        "+ record list Spring 1 records",
        "+ do-not-call list No 1 numbers",
        "+ app Wallboard users:read",
        "+ installation of Wallboard approved",
    ]
    assert await applied(centre, SMALL) == []
    account = centre.house.view.account_names["acme"]
    async with centre.house.db.reading() as tx:
        ctx = centre.house.ctx(tx, account, "test")
        (spring,) = await lists.all_of(ctx, "records")
        (row,) = await tx.all(installations.ALL, account=account)
    assert (spring["count"], spring["teams"], row["state"]) == (1, [{"id": "s", "name": "Sales"}], "completed")


async def test_each_change_is_shown_and_done(centre: Centre) -> None:
    await applied(centre, SMALL)
    changed = (
        SMALL.replace("{ Portuguese = 80, French = 40 }", "{ Portuguese = 100 }")
        .replace('name = "French"', 'name = "French"\nactive = false')
        .replace('scopes = ["users:read"]', 'scopes = ["users:read", "account:read"]')
        .replace('["+351910000900"]', '["+351910000900", "+351910000901"]')
        .replace('phone = "+351910000001" }', 'phone = "+351910000002" }')
    )
    assert await applied(centre, changed) == [
        "~ attribute French active: True → False",
        "~ user ana@acme.example Portuguese: 100",
        "- user ana@acme.example attribute French",
        "+ record list Spring +351910000002",
        "+ do-not-call list No +351910000901",
        "~ app Wallboard a new version",
    ]
    assert await applied(centre, changed) == []
    account = centre.house.view.account_names["acme"]
    async with centre.house.db.reading() as tx:
        ctx = centre.house.ctx(tx, account, "test")
        counts = {row["name"]: row["users_count"] for row in await attributes.everything(ctx)}
    assert counts == {"Portuguese": 1, "French": 0}


VOICE = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "owner@acme.example"
timezone = "Europe/Lisbon"
ring_groups = [{ name = "sales" }]

[[accounts.numbers]]
number = "+351210000100"
label = "Main line"
flow = "main"
business_hours = "office"

[[accounts.business_hours]]
name = "office"
week = { friday = [], monday = [["14:00", "18:00"], ["09:00", "13:00"]] }
closed_on = [2026-12-25, "2026-01-01"]

[[accounts.flows]]
name = "main"

[accounts.flows.steps.start]
type = "start"
exits = { ok = "queue" }

[accounts.flows.steps.queue]
type = "assign"
ring_groups = ["sales"]
"""


async def looked_up(centre: Centre) -> tuple[Any, Any, Any, Any]:
    """The hours, the flow, its published version and the number."""
    account = centre.house.view.account_names["acme"]
    async with centre.house.db.reading() as tx:
        ctx = centre.house.ctx(tx, account, "test")
        (row,) = await tx.all(directory.ALL_HOURS, account=account)
        (flow,) = await tx.all(flow_store.ALL, account=account)
        (number,) = await tx.all(directory.ALL_NUMBERS, account=account)
        return row, flow, await flow_store.published_of(ctx, flow), number


async def test_hours_and_flows_are_made_and_numbers_point_at_them(centre: Centre) -> None:
    assert await applied(centre, VOICE) == [
        "+ account acme",
        "+ ring group sales",
        "+ business hours office Europe/Lisbon",
        "+ flow main published",
        "+ number +351210000100 Main line",
    ]
    assert await applied(centre, VOICE) == []
    office, flow, version, number = await looked_up(centre)
    assert (office["timezone"], office["closed_on"]) == ("Europe/Lisbon", ["2026-01-01", "2026-12-25"])
    assert office["week"] == {"monday": [["09:00", "13:00"], ["14:00", "18:00"]]}
    assert (version["number"], version["flow_id"]) == (1, flow["id"])
    assert (number["flow_id"], number["business_hours"]) == (flow["id"], "office")


async def test_changed_hours_flows_and_numbers_are_shown_and_done(centre: Centre) -> None:
    await applied(centre, VOICE)
    changed = (
        VOICE.replace('["14:00", "18:00"]', '["14:00", "24:00"]')
        .replace('type = "assign"', 'type = "assign"\npriority = 9')
        .replace('flow = "main"\n', "")
    )
    assert await applied(centre, changed) == [
        "~ business hours office week",
        "~ flow main version 2",
        "~ number +351210000100 flow: 'main' → None",
    ]
    assert await applied(centre, changed) == []
    _, _, version, number = await looked_up(centre)
    assert (version["number"], version["document"]["steps"]["queue"]["priority"]) == (2, 9)
    assert number["flow_id"] is None


async def test_a_flow_may_be_in_a_file_beside(centre: Centre, tmp_path: Path) -> None:
    await applied(centre, VOICE)
    head, _, steps = VOICE.partition("[accounts.flows.steps.start]")
    (tmp_path / "main.toml").write_text(f"[accounts.flows.steps.start]{steps}".replace("accounts.flows.", ""))
    wanted = read(f'{head}file = "main.toml"\n', SCOPES, tmp_path).accounts[0]
    assert (await planning.plan(centre.house, wanted, planning.Given())).changes == []


WRONG = {
    "numbers[0].flow": ('flow = "main"', 'flow = "mine"'),
    "numbers[0].business_hours": ('business_hours = "office"', 'business_hours = "night"'),
    "business_hours[0].timezone": ('name = "office"', 'name = "office"\ntimezone = "Mars"'),
    "business_hours[0].week.monday": ('"13:00"]', '"15:00"]'),
    "monday: 18:00 is not before 14:00": ('["14:00", "18:00"]', '["18:00", "14:00"]'),
    "key` in `$.accounts[0].business_hours[0].week": ("friday =", "freitag ="),
    "business_hours[0].week[...][0][1]": ('"18:00"', '"24:01"'),
    "business_hours[0].closed_on[1]": ('"2026-01-01"', '"2026-02-30"'),
    "business_hours: office is declared twice": ("[[accounts.flows]]", '[[accounts.business_hours]]\nname = "office"\n'
                                                 "week = {}\n[[accounts.flows]]"),
    "flows[0]: steps.queue.ring_groups": ('ring_groups = ["sales"]', 'ring_groups = ["sale"]'),
    "flows[0]: steps.start.exits.ok": ('ok = "queue"', 'ok = "queu"'),
    "flows[0].steps: steps.queue.priority": ('type = "assign"', 'type = "assign"\npriority = 11'),
    "flows[0].steps: give a file or steps": ("[[accounts.flows]]", '[[accounts.flows]]\nname = "x"\n'
                                             "[[accounts.flows]]"),
    "flows[0].file: give a file or steps": ('name = "main"\n', 'name = "main"\nfile = "main.toml"\n'),
}  # fmt: skip


@pytest.mark.parametrize("told", WRONG)
def test_what_is_wrong_with_hours_and_flows_is_said_by_its_path(told: str) -> None:
    before, after = WRONG[told]
    head, mark, tail = VOICE.rpartition(before) if "ring_groups" in before else VOICE.partition(before)
    with pytest.raises(BadDeclaration) as found:
        read(f"{head}{after}{tail}" if mark else "", SCOPES)
    assert told in str(found.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    head = VOICE.partition("[accounts.flows.steps.start]")[0]
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "long.toml").write_text(f"x = {'9' * 5000}")
    for name in ("missing.toml", "deep.json", "long.toml", "."):
        with pytest.raises(BadDeclaration, match=r"accounts\[0\]\.flows\[0\]\.file: .*" + name):
            read(f'{head}file = "{name}"\n', SCOPES, tmp_path)


async def test_the_demo_shows_every_api_something(centre: Centre) -> None:
    shown = await apply_demo(centre.house)
    full = next(client for client in shown["clients"] if client["name"] == "full")
    async with centre.http() as http:
        form = {"grant_type": "client_credentials"}
        token = (await http.post("/oauth/token", data=form, auth=(full["client_id"], full["client_secret"]))).json()
        http.headers["authorization"] = f"Bearer {token['access_token']}"
        for path in ("/attributes", "/apps", "/record-lists", "/do-not-call-lists", "/ring-groups", "/contacts"):
            assert (await http.get(path)).json()["total"] > 0, path
        found = (await http.get("/identity/phonevalidations/+351910000900")).json()["_embedded"]
        assert found["do_not_call"] == "yes"
        async with centre.house.db.reading() as tx:
            flows = await tx.all(flow_store.ALL, account=centre.house.view.account_names["acme"])
        for flow in flows:
            begun = await http.post(f"/flows/{flow['id']}/interactions", json={"tier": "gold"})
            assert begun.status_code == 201, begun.text
            centre.world.advance(1)
        assert [flow["name"] for flow in flows] == ["callback-first", "main", "sales"]
    await centre.settle()
