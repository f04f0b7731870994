"""Apps of partners: their life in an account, their credentials there, and what the log tells of it."""

from typing import Any

import pytest

from ringfence.apis.apps import credentials, installations, trials
from ringfence.floor.directory import set_number
from ringfence.kernel.problems import Fault
from ringfence.store.outbox import FOR_KEY
from ringfence.store.query import Row
from tests.conftest import Centre

DAY = 86400
SCOPES = ("apps:read", "apps:write")
OFFER: dict[str, Any] = {
    "name": "Wallboard",
    "scopes": ["users:read", "apps:write", "reports:read"],
    "urls": [{"type": "redirect_uri", "url": "https://wall.example/back"}],
    "subscription_types": [
        {"type": "trial", "name": "Try", "license_type": "universal"},
        {"type": "paid", "name": "Pay", "price": 9.5, "min_licenses": 2, "max_licenses": 10},
    ],
}
PARTNER, CUSTOMER = "maker", "acme"


class Story:
    """A partner's app in a customer's account, and ways to move it on."""

    def __init__(self, centre: Centre, app: str) -> None:
        self.centre, self.app, self.id = centre, app, ""

    async def do(self, call: Any, *given: Any, **facts: Any) -> Any:
        """A step of the installation, as an administrator of the account takes it."""
        async with self.centre.house.db.writing() as tx:
            ctx = self.centre.house.ctx(tx, await self.centre.account(CUSTOMER), "test")
            return await call(ctx, await installations.held(ctx, self.id), *given, **facts)

    async def install(self, **facts: Any) -> None:
        async with self.centre.house.db.writing() as tx:
            ctx = self.centre.house.ctx(tx, await self.centre.account(CUSTOMER), "test")
            self.id = (await installations.install(ctx, app=self.app, **facts))["id"]
        assert (await self.row())["state"] == "installing"
        await self.centre.settle()

    async def row(self) -> Row:
        async def same(ctx: Any, row: Row) -> Row:
            return row

        found: Row = await self.do(same)
        return found

    async def state(self) -> str:
        found: str = (await self.row())["state"]
        return found

    async def events(self, kind: str) -> list[Row]:
        told = await self.centre.rows(FOR_KEY, account=await self.centre.account(CUSTOMER), key=self.id)
        return [event for event in told if event["type"] == kind]

    async def rotate(self, *, compromised: bool = False) -> str:
        async def run(ctx: Any, row: Row) -> str:
            return (await installations.rotate(ctx, row, compromised=compromised)).client_id

        found: str = await self.do(run)
        return found

    async def token(self, client: str) -> int:
        """The status of the token endpoint for a set of credentials, as they were delivered."""

        async def secrets(ctx: Any, row: Row) -> Any:
            return await credentials.secrets_of(ctx, client)

        known = await self.do(secrets) or {"client_secret": "gone"}
        async with self.centre.http() as http:
            form = {"grant_type": "client_credentials"}
            return (await http.post("/oauth/token", data=form, auth=(client, known["client_secret"]))).status_code

    @property
    def path(self) -> str:
        return f"/apps/{self.app}/installations/{self.id}"


@pytest.fixture
async def story(centre: Centre) -> Story:
    async with await centre.signed_in(*SCOPES, account=PARTNER) as http:
        answer = await http.post("/apps", json=OFFER)
    assert answer.status_code == 201, answer.text
    return Story(centre, answer.json()["id"])


async def test_an_app_is_its_partners_and_seen_where_it_is_installed(centre: Centre, story: Story) -> None:
    async with (
        await centre.signed_in(*SCOPES, account=PARTNER) as partner,
        await centre.signed_in(*SCOPES, account=CUSTOMER) as customer,
    ):
        here = f"/apps/{story.app}"
        assert (await customer.get(here)).status_code == 404
        await story.install()
        assert (await customer.get("/apps")).json()["_embedded"]["apps"][0]["name"] == "Wallboard"
        assert (await customer.patch(here, json={"name": "Mine"})).status_code == 404
        changed = (await partner.patch(here, json={"description": "Who waits"})).json()
        app = changed["_embedded"]["apps"][0]
        assert (changed["total"], app["version_number"], app["description"]) == (1, 2, "Who waits")
        steps = [{"op": "replace", "path": "/slug", "value": "wall"}]
        patched = await partner.patch(here, json=steps, headers={"content-type": "application/json-patch+json"})
        assert patched.json()["_embedded"]["apps"][0]["version_number"] == 3
        assert (await partner.patch(here, json={"slug": "Wall!"})).json()["fields"][0]["name"] == "slug"
        again = await partner.post("/apps", json={"_embedded": {"apps": [OFFER | {"name": "WALLBOARD"}]}})
        assert again.status_code == 409
        assert (await partner.post("/apps", json={"_embedded": {"apps": [OFFER | {"name": "Two"}]}})).status_code == 201
        assert (await partner.get("/apps")).json()["total"] == 2
        for bad, field in (
            ({}, "name"),
            ({"name": "x", "scopes": ["nothing:read"]}, "scopes[0]"),
            ({"name": "x", "urls": [{"type": "redirect_uri", "url": "http://wall.example"}]}, "urls[0].url"),
            ({"name": "x", "_embedded": {"apps": []}}, "_embedded.apps"),
        ):
            assert (await partner.post("/apps", json=bad)).json()["fields"][0]["name"] == field


async def test_an_installation_gets_a_client_with_what_was_granted(centre: Centre, story: Story) -> None:
    ana = await centre.user(account=CUSTOMER)
    await story.install(scopes=["users:read"], by=ana)
    assert await story.state() == "pending"
    (told,) = await story.events("app.installed")
    assert not {"client_secret", "private_key"} & set(told["data"])  # secrets are never in the log
    client = told["data"]["client_id"]
    await centre.house.view.refresh()
    assert centre.house.view.clients[client].effective(centre.world.time()) == {"users:read"}
    assert await story.token(client) == 200
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        found = (await partner.get(story.path)).json()
        assert found["_embedded"]["created_by"]["id"] == ana
        assert found["_embedded"]["state"]["state"] == "pending"
        assert [u["id"] for u in (await partner.get(f"{story.path}/users")).json()["_embedded"]["users"]] == [ana]
        event = (await partner.get(f"/apps/{story.app}/events/{told['id']}")).json()
        assert (event["type"], event["api_version"], event["app_version_name"]) == ("app.installed", "1", "1.0")
        assert event["data"]["account_name"] == CUSTOMER
        assert (event["data"]["client_secret"], event["data"]["private_key"]) == (None, None)
        assert event["_links"]["self"]["href"].endswith(f"/apps/{story.app}/events/{told['id']}")
        done = await partner.post(f"{story.path}/state", json={"state": "completed", "reason": "ok"})
        assert (done.status_code, done.json()["state"], done.json()["reason"]) == (200, "completed", "ok")
        again = await partner.post(f"{story.path}/state", json={"state": "reject"})
        assert again.status_code == 409
        assert "nothing waits" in again.json()["error"]
    async with await centre.signed_in("users:read", account=CUSTOMER) as other:
        refused = await other.post(f"{story.path}/state", json={"state": "approve"})
        assert (refused.status_code, "apps:write" in refused.json()["error"]) == (403, True)
    with pytest.raises(Fault, match="installed in this account already"):
        await story.install()


async def test_what_nobody_confirms_times_out_and_can_be_repeated(centre: Centre, story: Story) -> None:
    await story.install()
    client = (await story.events("app.installed"))[0]["data"]["client_id"]
    centre.world.advance(7 * DAY - 1)
    await centre.settle()
    assert await story.state() == "pending"
    centre.world.advance(2)
    await centre.settle()
    assert await story.state() == "timeout"
    assert await story.token(client) == 401
    await story.install()
    await story.do(installations.decide, "reject", "not today")
    assert await story.state() == "rejected"
    await story.install()
    await story.do(installations.decide, "approve", "")
    ana = await centre.user(account=CUSTOMER)
    await story.do(installations.change_later, adding=[ana])
    centre.world.advance(7 * DAY)
    await centre.settle()
    assert (await story.state(), (await story.row())["users"]) == ("completed", [])
    await story.do(installations.uninstall, message="too dear")
    centre.world.advance(7 * DAY)
    await centre.settle()
    assert await story.state() == "revoked"
    assert (await story.events("app.uninstalled"))[0]["data"]["reason"] == {"type": "other", "message": "too dear"}


async def test_updates_tell_only_what_changes_and_hold_once_confirmed(centre: Centre, story: Story) -> None:
    ana = await centre.user(account=CUSTOMER)
    await story.install(users=[ana])
    await story.do(installations.decide, "approve", "")
    rui = await centre.user(email="rui@acme.example", account=CUSTOMER)
    await story.do(installations.change_later, adding=[rui], removing=[ana])
    (event,) = await story.events("app.updated")
    assert event["data"]["users"] == {"adding": [rui], "removing": [ana]}
    assert event["data"]["subscription"] is None
    await story.do(installations.decide, "approve", "")
    assert (await story.row())["users"] == [rui]
    with pytest.raises(Fault, match="2 to 10"):
        await story.do(installations.change_later, plan="Pay", licenses=1)
    with pytest.raises(Fault, match="nothing would change"):
        await story.do(installations.change_later)
    await story.do(installations.change_later, plan="Pay", licenses=3)
    assert (await story.events("app.updated"))[-1]["data"]["subscription"] == {
        "adding": {"name": "Pay", "licenses": "3"}
    }
    await story.do(installations.decide, "approve", "")
    (ended,) = await story.events("app.trial_ended")
    assert (ended["data"]["ended_reason"], ended["data"]["ended_by"]) == ("plan_upgraded", "user")
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        plan = (await partner.get(f"{story.path}/subscription")).json()
        assert (plan["type"], plan["price"], plan["total_licenses"]) == ("paid", 9.5, 3)
        assert (await partner.get(f"{story.path}/trial")).json()["ended_reason"] == "plan_upgraded"


async def test_a_trial_of_thirty_days_is_extended_and_expires(centre: Centre, story: Story) -> None:
    await story.install()
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        assert (await partner.get(f"{story.path}/trial")).status_code == 404
    await story.do(installations.decide, "approve", "")
    assert len(await story.events("app.trial_started")) == 1
    with pytest.raises(Fault, match="had its trial"):
        await story.do(trials.start)
    centre.world.advance(29 * DAY)
    await story.do(trials.extend, 10)
    centre.world.advance(2 * DAY)
    await centre.settle()
    assert await story.events("app.trial_ended") == []
    centre.world.advance(9 * DAY)
    await centre.settle()
    (ended,) = await story.events("app.trial_ended")
    assert (ended["data"]["ended_reason"], ended["data"]["ended_by"]) == ("trial_expired", "system")
    with pytest.raises(Fault, match="not on trial"):
        await story.do(trials.extend, 1)
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        trial = (await partner.get(f"{story.path}/trial")).json()
        assert (trial["state"], trial["subscription_name"]) == ("ended", "Try")


async def test_old_and_new_credentials_are_both_taken_for_seven_days(centre: Centre, story: Story) -> None:
    await story.install()
    old = (await story.events("app.installed"))[0]["data"]["client_id"]
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        answer = await partner.post(f"{story.path}/credentials/actions/rotate")
        assert (answer.status_code, answer.content) == (202, b"")
    new = (await story.events("app.credentials_rotated"))[0]["data"]["client_id"]
    assert new != old
    assert (await story.token(old), await story.token(new)) == (200, 200)
    centre.world.advance(7 * DAY - 10)
    assert await story.token(old) == 200
    centre.world.advance(20)
    await centre.settle()
    assert await story.token(old) == 401


async def test_acknowledged_or_compromised_the_old_credentials_end_at_once(centre: Centre, story: Story) -> None:
    await story.install()
    await story.do(installations.decide, "approve", "")
    first, second = (await story.events("app.installed"))[0]["data"]["client_id"], await story.rotate()
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        state = {"state": "acknowledged"}
        assert (await partner.post(f"{story.path}/credentials/{first}/state", json=state)).status_code == 409
        assert (await partner.post(f"{story.path}/credentials/{'0' * 32}/state", json=state)).status_code == 404
        done = await partner.post(f"{story.path}/credentials/{second}/state", json=state)
        assert (done.status_code, done.json()["state"]) == (202, "acknowledged")
        assert (await partner.post(f"{story.path}/credentials/{second}/state", json=state)).status_code == 409
    assert (await story.token(first), await story.token(second)) == (401, 200)
    third = await story.rotate(compromised=True)
    assert (await story.token(second), await story.token(third)) == (401, 200)
    for _ in range(4):
        await story.rotate()
    with pytest.raises(Fault, match="5 valid credentials"):
        await story.rotate()


async def test_a_suspended_installation_is_refused_until_it_is_resumed(centre: Centre, story: Story) -> None:
    await story.install()
    await story.do(installations.decide, "approve", "")
    client = (await story.events("app.installed"))[0]["data"]["client_id"]
    await story.do(installations.suspend, "unpaid")
    assert (await story.state(), await story.token(client)) == ("suspended", 401)
    with pytest.raises(Fault, match="suspended"):
        await story.do(installations.change_later, licenses=2)
    await story.do(installations.resume, "paid")
    assert (await story.state(), await story.token(client)) == ("completed", 200)
    await story.do(installations.suspend, "again")
    await story.do(installations.uninstall)
    await story.do(installations.decide, "reject", "stay")
    assert await story.state() == "suspended"
    await story.do(installations.uninstall)
    await story.do(installations.decide, "approve", "")
    assert (await story.state(), await story.token(client)) == ("revoked", 401)
    with pytest.raises(Fault, match="revoked"):
        await story.do(installations.resume, "")
    (ended,) = await story.events("app.trial_ended")
    assert ended["data"]["ended_reason"] == "app_uninstalled"


async def test_channels_are_numbers_of_the_account(centre: Centre, story: Story) -> None:
    await story.install()
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(CUSTOMER), "test")
        await set_number(ctx, number="+351210000100", label="Main line")
    async with await centre.signed_in(*SCOPES, account=PARTNER) as partner:
        new = {"type": "messages", "resource_type": "number", "resource": "+351210000100"}
        for _ in range(2):
            found = (await partner.post(f"{story.path}/channels", json=new)).json()
        assert [r["id"] for r in found["_embedded"]["users"][0]["_embedded"]["resource"]] == ["+351210000100"]
        assert (await partner.get(f"{story.path}/channels")).json() == found
        bad = await partner.post(f"{story.path}/channels", json=new | {"resource": "+351210000999"})
        assert bad.json()["fields"][0]["name"] == "resource"
