"""Ring groups: two scopes kept apart, and writes that take an administrator's session."""

import pytest

from ringfence.floor import directory
from ringfence.kernel.settings import BadSetting
from ringfence.oauth import people
from ringfence.oauth.authorize import COOKIE
from ringfence.store.outbox import FOR_KEY
from tests.conftest import BASE, Centre, OpenHouse, settings_for

READ, MEMBERS = "ring-groups:read", "user-ring-groups:read"
ASSIGN, UNASSIGN = "/actions/users/assign-ring-groups", "/actions/users/unassign-ring-groups"


async def groups(centre: Centre, *names: str, account: str = "acme") -> None:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(account), "test")
        for name in names:
            await directory.set_ring_group(ctx, name=name, short_abandoned_threshold=5, wait_time_threshold=20)


async def browser(centre: Centre, user: str, account: str = "acme") -> dict[str, str]:
    """Headers of a page of ours in the browser of a person who is logged in."""
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(account), "test")
        session = await people.start_session(ctx, user, "x@acme.example")
    return {"cookie": f"{COOKIE}={session.cookie}", "origin": BASE}


async def members(centre: Centre, group: str) -> list[str]:
    async with await centre.signed_in(MEMBERS) as http:
        return [u["id"] for u in (await http.get(f"/ring-groups/{group}/users")).json()["_embedded"]["users"]]


async def test_groups_and_members_have_a_scope_each(centre: Centre) -> None:
    await groups(centre, "Sales", "support")
    async with await centre.signed_in(READ) as http:
        found = (await http.get("/ring-groups?order_by=name:desc")).json()
        assert [g["name"] for g in found["_embedded"]["ring_groups"]] == ["support", "Sales"]
        assert "id" not in found["_embedded"]["ring_groups"][0]
        second = (await http.get("/ring-groups?per_page=1&page=2")).json()["_links"]
        assert second["previous"]["href"].endswith("page=1&per_page=1")
        assert (await http.get("/ring-groups?name=SAL")).json()["total"] == 1
        assert (await http.get("/ring-groups?order_by=size")).status_code == 400
        assert (await http.get("/ring-groups/Sales/users")).status_code == 403
    async with await centre.signed_in(MEMBERS) as http:
        assert (await http.get("/ring-groups")).status_code == 403
        assert (await http.get("/ring-groups/Sales/users")).json()["ring_group"] == "Sales"
        assert (await http.get("/ring-groups/nobody/users")).status_code == 404


async def test_administrators_assign_unassign_and_replace(centre: Centre) -> None:
    await groups(centre, "Sales", "Support", "VIP")
    ana, rui = await centre.user(), await centre.user(email="rui@acme.example", roles=["agent"])
    both = [{"user_id": ana, "ring_groups": ["Sales"]}, {"user_id": rui, "ring_groups": ["Sales", "VIP"]}]
    async with centre.http(**await browser(centre, ana)) as http:
        assert (await http.post(ASSIGN, json=both)).status_code == 204
        assert await members(centre, "Sales") == sorted([ana, rui])
        assert (await http.post(ASSIGN, json=both)).status_code == 204
        assert (await http.post(UNASSIGN, json=both[:1])).status_code == 204
        assert await members(centre, "Sales") == [rui]
        assert (await http.put(f"/users/{rui}/ring-groups", json={"ring_groups": ["Support"]})).status_code == 204
        assert (await members(centre, "VIP"), await members(centre, "Support")) == ([], [rui])
        told = [e["data"] for e in await centre.rows(FOR_KEY, account=await centre.account(), key=rui)]
        moved = [data["ring_groups"] for data in told if "ring_groups" in data]
        assert moved == [["Sales", "VIP"], ["Support"]]  # assigning again told nobody
        half = [both[0], {"user_id": rui, "ring_groups": ["Nowhere"]}]
        assert (await http.post(ASSIGN, json=half)).json()["fields"][0]["name"] == "[1].ring_groups"
        assert (await http.post(ASSIGN, json=[{"user_id": "0" * 24, "ring_groups": ["Sales"]}])).status_code == 404
        assert await members(centre, "Sales") == []
        assert (await http.post(ASSIGN, json=[])).status_code == 400


async def test_no_token_no_other_site_and_nobody_else_opens_them(centre: Centre) -> None:
    await groups(centre, "Sales")
    ana, rui = await centre.user(), await centre.user(email="rui@acme.example", roles=["agent"])
    eve = await centre.user(email="eve@rival.example", account="rival")
    body = [{"user_id": ana, "ring_groups": ["Sales"]}]

    async def tried(**headers: str) -> tuple[int, str]:
        async with centre.http(**headers) as http:
            answer = await http.post(ASSIGN, json=body)
        return answer.status_code, answer.json()["code"]

    good = await browser(centre, ana)
    everything = await centre.signed_in(*centre.house.scopes.keys() - {"openid"})
    assert await tried(authorization=everything.headers["authorization"]) == (401, "session_required")
    assert await tried(cookie=f"{COOKIE}=made-up", origin=BASE) == (401, "session_required")
    assert await tried(cookie=good["cookie"]) == (403, "foreign_origin")
    assert await tried(cookie=good["cookie"], origin="https://evil.example") == (403, "foreign_origin")
    assert await tried(**await browser(centre, rui)) == (403, "not_an_administrator")
    assert await tried(**await browser(centre, eve, "rival")) == (404, "not_found")
    assert await members(centre, "Sales") == []
    async with centre.http(cookie=good["cookie"], **{"sec-fetch-site": "same-origin"}) as http:
        assert (await http.post(ASSIGN, json=body)).status_code == 204
    centre.world.advance(13 * 3600)
    assert await tried(**good) == (401, "session_required")


async def test_headers_tell_their_age_where_the_settings_do(centre: Centre, opened: OpenHouse) -> None:
    async with await centre.signed_in(READ) as http:
        assert not {"deprecation", "sunset"} & set((await http.get("/ring-groups")).headers)
        token = http.headers["authorization"]
    old = await opened(ring_groups_deprecation="2026-07-31", ring_groups_sunset="2027-01-31")
    async with old.http(authorization=token) as http:
        for path in ("/ring-groups", "/ring-groups?page=0"):
            headers = (await http.get(path)).headers
            assert headers["deprecation"] == "@1785456000"
            assert headers["sunset"] == "Sun, 31 Jan 2027 00:00:00 GMT"
    with pytest.raises(BadSetting, match="must be a day"):
        settings_for("sqlite:///x", ring_groups_sunset="soon")
