"""Attributes: what people are good at, as routing will ask."""

from typing import Any

import httpx2 as httpx
import pytest

from ringfence.floor import flow_store, flows
from ringfence.floor.directory import set_ring_group
from tests.conftest import Centre, OpenHouse

SCOPES = ("attributes:read", "attributes:write")


async def category(http: httpx.AsyncClient, name: str = "Languages") -> str:
    made: str = (await http.post("/attributes-categories", json={"name": name})).json()["id"]
    return made


async def attribute(http: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "name": "Portuguese", "active": True, "proficiency": "five_stars_scale", "default_proficiency": 60,
    }  # fmt: skip
    if "category_id" not in given:
        wanted["category_id"] = await category(http)
    answer = await http.post("/attributes", json=wanted | given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_attribute_lives_and_is_switched_off_but_never_deleted(centre: Centre) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        made = await attribute(http)
        here = f"/attributes/{made['id']}"
        assert (made["category_name"], made["users_count"], made["flows_count"]) == ("Languages", 0, 0)
        again = {"name": "PORTUGUESE", "category_id": made["category_id"], "active": True}
        kind = {"proficiency": "none", "default_proficiency": 0}
        assert (await http.post("/attributes", json=again | kind)).status_code == 409
        changed = (await http.put(here, json={"active": False, "name": "Português"})).json()
        assert (changed["active"], changed["name"], changed["default_proficiency"]) == (False, "Português", 60)
        assert (await http.get(here)).json() == changed
        assert (await http.delete(here)).status_code == 405
        assert (await http.put(here, json={"default_proficiency": 50})).status_code == 400
        assert (await http.put(here, json={"category_id": "nowhere"})).json()["fields"][0]["name"] == "category_id"


async def test_published_flows_that_ask_for_an_attribute_are_counted(centre: Centre) -> None:
    async def publish(name: str, first: int | None, later: int | None, *, draft: bool = False) -> None:
        queue = {
            "type": "assign",
            "ring_groups": ["sales"],
            "attributes": {} if first is None else {"Portuguese": first},
            "relax": [] if later is None else [{"after": 5, "attributes": {"Portuguese": later}}],
        }
        document = flows.read({"steps": {"start": {"type": "start", "exits": {"ok": "wait"}}, "wait": queue}})
        async with centre.house.db.writing() as tx:
            ctx = centre.house.ctx(tx, await centre.account(), "test")
            await set_ring_group(ctx, name="sales", short_abandoned_threshold=10, wait_time_threshold=20)
            flow = await flow_store.save(ctx, name=name, document=document)
            if not draft:
                await flow_store.publish(ctx, flow)

    async with await centre.signed_in(*SCOPES) as http:
        made = await attribute(http)

        async def count() -> Any:
            return (await http.get(f"/attributes/{made['id']}")).json()["flows_count"]

        await publish("a draft", 80, None, draft=True)
        assert await count() == 0
        await publish("at once and later", 80, 40)
        assert await count() == 1
        await publish("later", None, 20)
        assert await count() == 2
        await publish("later", None, None)  # a new version, that does not ask any more
        assert await count() == 1


async def test_people_are_given_an_attribute_all_of_them_or_nobody(centre: Centre) -> None:
    ana, rui = await centre.user(), await centre.user(email="rui@acme.example")
    stranger = await centre.user(email="eve@rival.example", account="rival")
    async with await centre.signed_in(*SCOPES) as http:
        made = await attribute(http)
        people = f"/attributes/{made['id']}/users"
        refused = await http.post(people, json={"attributes_users": [{"id": ana}, {"id": stranger}]})
        assert refused.status_code == 404
        assert "attributes_users[1].id" in refused.json()["description"]
        assert (await http.get(people)).json()["total"] == 0
        given = {"attributes_users": [{"id": ana, "proficiency": 100}, {"id": rui}]}
        done = (await http.post(people, json=given)).json()["attributes_users"]
        assert [(one["id"], one["proficiency"]) for one in done] == [(ana, 100), (rui, 60)]
        assert (await http.get(f"/attributes/{made['id']}")).json()["users_count"] == 2
        assert [p["name"] for p in (await http.get(f"{people}?name=RU")).json()["_embedded"]["attribute_users"]] == [
            "Rui"
        ]
        held = (await http.get(f"/users/{ana}/attributes")).json()["_embedded"]["attributes"]
        assert [(one["name"], one["user_proficiency"]) for one in held] == [("Portuguese", 100)]
        gone = await http.request("DELETE", people, json={"attributes_users": [ana, stranger]})
        assert gone.status_code == 204
        assert [p["id"] for p in (await http.get(people)).json()["_embedded"]["attribute_users"]] == [rui]
        await http.put(f"/attributes/{made['id']}", json={"active": False})
        assert (await http.post(people, json={"attributes_users": [{"id": ana}]})).status_code == 409


async def test_stars_are_twenty_each_and_count_as_such_only_where_the_setting_says_so(opened: OpenHouse) -> None:
    plain, starry = await opened(), await opened(attribute_stars=True)
    ana = await plain.user()
    async with await plain.signed_in(*SCOPES) as http:
        made = await attribute(http)
        people = f"/attributes/{made['id']}/users"
        for level in (1, 5, 0, 50, 99.5, 101):
            given = {"attributes_users": [{"id": ana, "proficiency": level}]}
            assert (await http.post(people, json=given)).status_code == 400, level
    await starry.house.view.refresh()
    async with await starry.signed_in(*SCOPES) as http:
        done = await http.post(people, json={"attributes_users": [{"id": ana, "proficiency": 4}]})
        assert done.json()["attributes_users"][0]["proficiency"] == 80


async def test_everybody_has_all_of_an_attribute_without_levels(centre: Centre) -> None:
    ana = await centre.user()
    async with await centre.signed_in(*SCOPES) as http:
        made = await attribute(http, name="Fire warden", proficiency="none", default_proficiency=20)
        assert made["default_proficiency"] == 100
        done = await http.post(
            f"/attributes/{made['id']}/users", json={"attributes_users": [{"id": ana, "proficiency": 20}]}
        )
        assert done.json()["attributes_users"][0]["proficiency"] == 100


async def test_a_category_that_is_used_stays(centre: Centre) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        made = await attribute(http)
        here = f"/attributes-categories/{made['category_id']}"
        assert (await http.delete(here)).status_code == 409
        assert (await http.post("/attributes-categories", json={"name": "LANGUAGES"})).status_code == 409
        spare = await category(http, "Spare")
        assert (await http.patch(f"/attributes-categories/{spare}", json={"name": "languages"})).status_code == 409
        renamed = (await http.patch(here, json={"name": "Tongues"})).json()
        assert (renamed["name"], renamed["attribute_count"]) == ("Tongues", 1)
        assert (await http.get(f"/attributes/{made['id']}")).json()["category_name"] == "Tongues"
        assert (await http.delete(f"/attributes-categories/{spare}")).status_code == 204
        listed = (await http.get("/attributes-categories")).json()
        assert [c["name"] for c in listed["_embedded"]["categories"]] == ["Tongues"]


@pytest.mark.parametrize(
    "query, names",
    [
        ("", ["English", "French", "Golf"]),
        ("?sort=-name", ["Golf", "French", "English"]),
        ("?active=false", ["French"]),
        ("?name=NCH", ["French"]),
        ("?categories=languages", ["English", "French"]),
        ("?categories=Hobbies,Languages", ["English", "French", "Golf"]),
        ("?proficiency=none", ["Golf"]),
        ("?per_page=1&page=2", ["French"]),
    ],
)
async def test_attributes_are_found_by_what_is_asked(centre: Centre, query: str, names: list[str]) -> None:
    async with await centre.signed_in(*SCOPES) as http:
        tongues, hobbies = await category(http), await category(http, "Hobbies")
        await attribute(http, name="French", category_id=tongues, active=False)
        await attribute(http, name="English", category_id=tongues)
        await attribute(http, name="Golf", category_id=hobbies, proficiency="none")
        found = (await http.get(f"/attributes{query}")).json()
        assert [one["name"] for one in found["_embedded"]["attributes"]] == names
        assert found["_links"]["page"]["templated"] is True
