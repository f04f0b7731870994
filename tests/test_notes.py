"""Notes about contacts: written, listed, deleted, and forgotten with the person."""

import json
from typing import Any

import pytest

from ringfence.apis.contacts import domain
from ringfence.store.outbox import AFTER, stamp
from ringfence.store.query import mine
from ringfence.store.statement import Statement
from ringfence.store.tables.contacts import contact_notes
from ringfence.store.tables.log import idempotency

from .conftest import Centre

SCOPES = ("contacts:read", "contacts:write")
LEFT, ANSWERS = Statement(mine(contact_notes)), Statement(mine(idempotency))


async def contact(http: Any) -> str:
    id: str = (await http.post("/contacts", json={"name": "Ana"})).json()["contact"]["id"]
    return id


async def test_notes_are_listed_the_latest_first_and_deleted(centre: Centre) -> None:
    http = await centre.signed_in(*SCOPES)
    path = f"/contacts/{await contact(http)}/notes"
    made = [(await http.post(path, json={"title": f"n{n}", "content": "…"})).json() for n in range(3)]
    listed = (await http.get(path, params={"per_page": 2})).json()
    assert (listed["total"], listed["count"]) == (3, 2)
    assert listed["_embedded"]["notes"] == made[:0:-1]
    assert "next" in listed["_links"]
    assert (await http.delete(f"{path}/{made[1]['id']}")).status_code == 204
    assert (await http.delete(f"{path}/{made[1]['id']}")).status_code == 404
    assert [one["title"] for one in (await http.get(path)).json()["_embedded"]["notes"]] == ["n2", "n0"]


async def test_a_note_is_of_one_contact_that_is_there(centre: Centre) -> None:
    http = await centre.signed_in(*SCOPES)
    ana, eva = await contact(http), await contact(http)
    note = (await http.post(f"/contacts/{ana}/notes", json={"title": "t", "content": "c"})).json()["id"]
    assert (await http.delete(f"/contacts/{eva}/notes/{note}")).status_code == 404
    await http.delete(f"/contacts/{ana}")
    for answered in (
        await http.get(f"/contacts/{ana}/notes"),
        await http.post(f"/contacts/{ana}/notes", json={"title": "t", "content": "c"}),
        await http.delete(f"/contacts/{ana}/notes/{note}"),
        await http.get("/contacts/nobody/notes"),
    ):
        assert answered.status_code == 404


@pytest.mark.parametrize(
    "body, named",
    [
        ({"content": "c"}, "title"),
        ({"title": "t"}, "content"),
        ({"title": " ", "content": "c"}, "title"),
        ({"title": "t", "content": ""}, "content"),
        ({"title": "t" * 256, "content": "c"}, "title"),
        ({"title": "t", "content": "c" * 10_001}, "content"),
        ({"title": "t", "content": "\0"}, "content"),
    ],
)
async def test_what_is_no_note_is_a_400_that_names_it(centre: Centre, body: dict[str, str], named: str) -> None:
    http = await centre.signed_in(*SCOPES)
    answered = await http.post(f"/contacts/{await contact(http)}/notes", json=body)
    assert answered.status_code == 400
    if "\0" not in json.dumps(body):
        assert answered.json()["fields"][0]["name"] == named


async def test_there_is_an_end_to_notes(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "NOTES", 2)
    http = await centre.signed_in(*SCOPES)
    path = f"/contacts/{await contact(http)}/notes"
    found = [(await http.post(path, json={"title": "t", "content": "c"})).status_code for _ in range(3)]
    assert found == [201, 201, 409]


async def test_erasing_a_person_erases_the_notes_about_them(centre: Centre) -> None:
    http = await centre.signed_in(*SCOPES)
    ana, eva = await contact(http), await contact(http)
    for id in (ana, eva):
        said = {"title": f"about {id}", "content": "secret"}
        key = {"idempotency-key": id}
        assert (await http.post(f"/contacts/{id}/notes", json=said, headers=key)).status_code == 201
        centre.world.advance(400)
    http = await centre.signed_in(*SCOPES)
    assert (await http.post("/internal-contacts/gdpr", json={"ids": [ana]})).status_code == 202
    await centre.settle()
    account = await centre.account()
    assert {row["contact_id"] for row in await centre.rows(LEFT, account=account)} == {eva}
    assert {row["key"] for row in await centre.rows(ANSWERS, account=account)} == {eva}
    await stamp(centre.house.db)
    log = [event for event in await centre.rows(AFTER, place=0) if event["key"] == ana]
    assert [event["type"] for event in log] == ["contact.created", "contact.note_created", "contact.erased"]
    assert [event["data"] for event in log[:2]] == [{"id": ana}] * 2
    assert "secret" not in str(await centre.rows(AFTER, place=0))
