"""Declaring a centre in a file: the plan, what it does, and what it refuses."""

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from ringfence.apis.all import APIS
from ringfence.kernel.world import FrozenWorld
from ringfence.oauth import clients, people
from ringfence.sandbox import centre as planning
from ringfence.sandbox.declaration import BadDeclaration, read
from ringfence.sandbox.demo import FILE, apply_demo
from ringfence.store.query import Statement, mine
from ringfence.store.tables.identity import ring_group_users, teams, users
from ringfence.store.tables.log import events
from tests.conftest import Centre
from tests.servers import RINGFENCE

SCOPES = sorted(scope.name for api in APIS for scope in api.scopes)
USERS = Statement(mine(users).order_by(users.c.email_key))
MEMBERS = Statement(mine(ring_group_users))
TEAMS = Statement(mine(teams).order_by(teams.c.name))
TOLD = Statement(select(events).order_by(events.c.n), everywhere=True)
SMALL = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "owner@acme.example"
timezone = "Europe/Lisbon"

[[accounts.roles]]
name = "agent"
scopes = ["contacts:read"]

[[accounts.ring_groups]]
name = "sales"

[[accounts.users]]
name = "Ana"
email = "ana@acme.example"
password = "correct horse"
roles = ["agent"]
ring_groups = ["sales"]

[[accounts.clients]]
name = "crm"
scopes = ["contacts:read", "users:read"]

[[accounts.contacts]]
name = "Bea"
phone = "+351910000001"
"""


async def applied(centre: Centre, text: str) -> planning.Plan:
    plan = await planning.plan(centre.house, read(text, SCOPES).accounts[0], planning.Given())
    await planning.apply(centre.house, plan, "test", "test")
    return plan


async def test_a_second_run_has_nothing_to_change(centre: Centre) -> None:
    first = await applied(centre, SMALL)
    assert {c.sign for c in first.changes} == {"+"}
    assert list(first.secrets) == ["crm"]
    assert (await applied(centre, SMALL)).changes == []


async def test_each_change_is_shown_and_done(centre: Centre) -> None:
    account = (await applied(centre, SMALL)).id
    changed = (
        SMALL.replace('"Acme"', '"Acme & Co"')
        .replace('name = "Ana"', 'name = "Ana Sol"')
        .replace('ring_groups = ["sales"]', "ring_groups = []")
        .replace('"correct horse"', '"battery staple"')
        .replace('scopes = ["contacts:read", "users:read"]', 'scopes = ["contacts:read", "account:read"]')
        .replace('name = "sales"', 'name = "sales"\nwait_time_threshold = 45')
    )
    plan = await applied(centre, changed)
    assert [(c.sign, c.what) for c in plan.changes] == [
        ("~", "account acme"), ("~", "ring group sales"), ("~", "user ana@acme.example"),
        ("~", "user ana@acme.example"), ("~", "user ana@acme.example"), ("+", "client crm"), ("-", "client crm"),
    ]  # fmt: skip
    assert "'Ana' → 'Ana Sol'" in " ".join(c.detail for c in plan.changes)
    (ana,) = await centre.rows(USERS, account=account)
    assert ana["name"] == "Ana Sol"
    assert await people.verify_password(ana["password_hash"], "battery staple")
    assert await centre.rows(MEMBERS, account=account) == []
    assert (await applied(centre, changed)).changes == []


async def test_a_team_comes_to_be_by_being_named(centre: Centre) -> None:
    account = (await applied(centre, SMALL)).id
    assert await centre.rows(TEAMS, account=account) == []
    in_team = SMALL.replace('name = "Ana"', 'name = "Ana"\nteam = "Support"')
    plan = await applied(centre, in_team)
    assert [(c.sign, c.what, c.detail) for c in plan.changes] == [
        ("~", "user ana@acme.example", "team: None → 'Support'")
    ]
    [team] = await centre.rows(TEAMS, account=account)
    [ana] = await centre.rows(USERS, account=account)
    assert (team["name"], team["id"], len(team["id"])) == ("Support", ana["team_id"], 24)
    assert (await applied(centre, in_team)).changes == []
    two = in_team + '[[accounts.users]]\nname = "Bea"\nemail = "bea@acme.example"\nteam = "Support"\n'
    await applied(centre, two)
    assert {user["team_id"] for user in await centre.rows(USERS, account=account)} == {team["id"]}
    assert len(await centre.rows(TEAMS, account=account)) == 1
    await applied(centre, two.replace('team = "Support"', 'team = "Sales"', 1))
    told = [row for row in await centre.rows(TOLD) if row["type"] == "user.changed"]
    assert [row["data"]["team_id"] for row in told] == [
        team["id"],
        (await centre.rows(TEAMS, account=account))[0]["id"],
    ]
    assert (await applied(centre, SMALL)).changes[0].detail == "team: 'Sales' → None"
    with pytest.raises(BadDeclaration, match=r"users\[0\]\.team"):
        read(SMALL.replace('name = "Ana"', 'name = "Ana"\nteam = ""'), SCOPES)


async def test_a_scope_declared_later_waits_and_one_dropped_goes_at_once(centre: Centre, world: FrozenWorld) -> None:
    plan = await applied(centre, SMALL)
    id, secret = plan.secrets["crm"]
    await applied(centre, SMALL.replace('"users:read"]', '"account:read"]'))
    view = centre.house.view.clients[id]
    assert view.effective(world.time()) == {"contacts:read"}
    assert set(view.pending(world.time())) == {"account:read"}
    assert clients.NewClient({"id": id}, secret).secret == secret


async def test_a_person_turned_off_is_refused_at_the_next_request(centre: Centre) -> None:
    account = (await applied(centre, SMALL)).id
    (ana,) = await centre.rows(USERS, account=account)
    person = await centre.house.view.person(account, ana["id"])
    assert person is not None
    assert person.active
    await applied(centre, SMALL.replace('name = "Ana"', 'name = "Ana"\nactive = false'))
    person = await centre.house.view.person(account, ana["id"])
    assert person is not None
    assert not person.active


WRONG = {
    "emial": ('email = "ana@', 'emial = "ana@'),
    "timezone": ("Europe/Lisbon", "Europe/Atlantis"),
    "accounts[0].roles[0].scopes": ('scopes = ["contacts:read"]\n', 'scopes = ["contacts:reed"]\n'),
    "accounts[0].users[0].roles": ('roles = ["agent"]', 'roles = ["boss"]'),
    "accounts[0].users[0].ring_groups": ('ring_groups = ["sales"]', 'ring_groups = ["nobody"]'),
    "accounts[0].contacts[0].phone": ("+351910000001", "12"),
    "accounts[0].contacts[0]": ('phone = "+351910000001"', ""),
    "TOML": ("[[accounts]]", "[[accounts"),
}


@pytest.mark.parametrize("told", WRONG)
def test_what_is_wrong_with_a_file_is_said_by_its_path(told: str) -> None:
    before, after = WRONG[told]
    with pytest.raises(BadDeclaration) as found:
        read(SMALL.replace(before, after, 1), SCOPES)
    assert told in str(found.value)


def test_all_complaints_come_at_once() -> None:
    text = SMALL.replace("Europe/Lisbon", "Mars").replace('roles = ["agent"]', 'roles = ["boss"]')
    with pytest.raises(BadDeclaration) as found:
        read(text, SCOPES)
    assert len(found.value.complaints) == 2


@given(st.text() | st.sampled_from(SMALL.splitlines()).flatmap(lambda line: st.just(SMALL.replace(line, "x = [1]"))))
def test_no_file_breaks_the_reader(text: str) -> None:
    with suppress(BadDeclaration):
        read(text, SCOPES)


async def test_the_demo_is_such_a_file_and_always_shows_a_pending_scope(centre: Centre, world: FrozenWorld) -> None:
    assert len(read(FILE.read_text("utf-8"), SCOPES, FILE.parent).accounts) == 1
    first = await apply_demo(centre.house)
    assert [c["pending"] for c in first["clients"]] == [[], [], ["contacts:write"]]
    world.advance(500)
    again = await apply_demo(centre.house)
    assert again == first
    assert len(first["users"]) == 11


def test_the_command_shows_its_plan_and_keeps_secrets_out_of_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "centre.toml").write_text(SMALL)
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RINGFENCE_")} | {"COLUMNS": "160"}

    def ringfence(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(RINGFENCE), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    dry = ringfence("apply", "centre.toml", "--dry-run")
    assert "client crm" in dry.stdout
    assert "no account yet" in ringfence("clients", "list").stderr
    done = ringfence("apply", "centre.toml", "--yes", "--secrets-file", "secrets.json")
    assert done.returncode == 0
    (secret,) = json.loads((tmp_path / "secrets.json").read_text())
    assert secret["client_secret"] not in done.stdout
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    assert ringfence("apply", "centre.toml").stdout == "nothing to change\n"
    assert json.loads(ringfence("clients", "list", "--json").stdout)[0]["scopes"] == ["contacts:read", "users:read"]
    assert ringfence("grants", "add", "crm", "nonsense").returncode == 1
    assert "client.created" in ringfence("events", "tail", "--key", secret["client_id"]).stdout
    assert ringfence("clients", "show", "nobody").stderr.startswith("ringfence: There is no client 'nobody'")
    (tmp_path / "centre.toml").write_text("[[accounts]]\nname = 1")
    wrong = ringfence("apply", "centre.toml")
    assert wrong.returncode == 2
    assert "accounts[0].name" in wrong.stderr
    assert "Traceback" not in wrong.stderr
