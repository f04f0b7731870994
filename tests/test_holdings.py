"""Attributes, lists and apps of a centre that is declared in a file."""

from ringfence.apis.all import APIS
from ringfence.apis.apps import installations
from ringfence.apis.attributes import domain as attributes
from ringfence.floor import lists
from ringfence.sandbox import centre as planning
from ringfence.sandbox.declaration import read
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
    await centre.settle()
