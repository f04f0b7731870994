"""Record lists: records one by one, in bulk and from files; duplicate rules, search, pages."""

import asyncio
import hashlib
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import func, select

from ringfence.apis.record_lists.tables import record_phones, records
from ringfence.floor import imports
from ringfence.store.statement import Statement
from tests.conftest import Centre

SCOPE = "record-lists:manage"
UPLOADED = {"op": "replace", "path": "/status", "status": "UPLOADED"}
RECORDS = Statement(select(func.count().label("n")).select_from(records), everywhere=True)
PHONES = Statement(select(func.count().label("n")).select_from(record_phones), everywhere=True)


def csv_of(text: bytes) -> dict[str, Any]:
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    return {"filename": "call.csv", "byte_size": len(text), "checksum": digest, "content_type": "text/csv"}


async def put(url: str, text: bytes, centre: Centre) -> None:
    async with centre.http() as http:
        assert (await http.put(url, content=text, headers={"content-type": "text/csv"})).status_code == 204


async def loaded(centre: Centre, http: httpx.AsyncClient, text: bytes, rule: str = "NOTHING") -> dict[str, Any]:
    body = {"name": "Call", "unique_identifier_type": rule, "csv_metadata": csv_of(text)}
    made = (await http.post("/record-lists", json=body)).json()
    await put(made["signed_url"], text, centre)
    assert (await http.patch(f"/record-lists/{made['id']}", json=UPLOADED)).json()["status"] == "UPLOADED"
    await centre.settle()
    found: dict[str, Any] = (await http.get(f"/record-lists/{made['id']}")).json()
    return found


async def a_list(http: httpx.AsyncClient, rule: str = "NOTHING") -> str:
    made = (await http.post("/record-lists", json={"name": "Call", "unique_identifier_type": rule})).json()
    assert (made["status"], made["signed_url"]) == ("ACCEPTED", None)
    return f"/record-lists/{made['id']}"


def person(number: str = "+351210000001", **given: Any) -> dict[str, Any]:
    return {"first_name": "Ana", "last_name": "Sol", "phone_number": number} | given


async def test_a_file_goes_through_its_states(centre: Centre) -> None:
    text = (
        b"First Name,last_name,phone_number,mobile,timezone,priority,external_provider,external_id,tier\n"
        b"Ana,Sol,+351210000001,+351910000001,Europe/Lisbon,9,crm,7,gold\n"
        b"Eva,Mar,+351210000002,,,,,,\n"
    )
    async with await centre.signed_in(SCOPE) as http:
        made = (await http.post("/record-lists", json={"name": "Call", "csv_metadata": csv_of(text)})).json()
        here = f"/record-lists/{made['id']}"
        assert made["status"] == "INCOMPLETE"
        early = await http.patch(here, json=UPLOADED)
        assert (early.status_code, early.json()["code"]) == (409, "wrong_state")
        await put(made["signed_url"], text, centre)
        assert (await http.get(here)).json()["status"] == "INCOMPLETE"
        begun = await http.patch(here, json={"op": "replace", "path": "/status", "value": "UPLOADED"})
        assert begun.json()["status"] == "UPLOADED"
        assert (await http.patch(here, json=UPLOADED)).status_code == 409
        await centre.settle()
        done = (await http.get(here)).json()
        assert (done["status"], done["records_count"]) == ("ACCEPTED", 2)
        ana, eva = (await http.get(f"{here}/records")).json()["_embedded"]["records"]
    assert ana["phone_numbers"] == [
        {"phone_number": "+351210000001", "phone_type": "HOME"},
        {"phone_number": "+351910000001", "phone_type": "MOBILE"},
    ]
    assert (ana["timezone"], ana["priority"], ana["external_id"]) == ("Europe/Lisbon", 9, "7")
    assert (ana["extra_data"], eva["extra_data"]) == ({"tier": "gold"}, {"tier": ""})
    assert (eva["priority"], eva["timezone"]) == (5, None)


DOUBLES = (
    b"first_name,last_name,phone_number,external_provider,external_id\n"
    b"A,A,+351210000001,crm,1\nB,B,+351210000001,crm,2\nC,C,+351210000003,crm,1\nD,D,+351210000004,,\n"
)


@pytest.mark.parametrize(
    "rule, taken, errors",
    [
        ("NOTHING", 4, []),
        ("PHONE_NUMBER", 3, [(3, "PHONE_NUMBER_NOT_UNIQUE")]),
        ("EXTERNAL", 2, [(4, "PHONE_NUMBER_NOT_UNIQUE"), (5, "EXTERNAL_REF_MISSING")]),
    ],
)
async def test_each_duplicate_rule_keeps_out_its_doubles(
    centre: Centre, rule: str, taken: int, errors: list[tuple[int, str]]
) -> None:
    async with await centre.signed_in(SCOPE) as http:
        found = await loaded(centre, http, DOUBLES, rule)
        assert found["records_count"] == taken
        assert [(e["row"], e["code"]) for e in found["validation"]["errors"]] == errors
        here = f"/record-lists/{found['id']}"
        # the same file again: what is there already is kept out, row by row
        more = (await http.post(f"{here}/upload-requests", json={"csv_metadata": csv_of(DOUBLES)})).json()
        await put(more["signed_url"], DOUBLES, centre)
        assert (await http.patch(more["_links"]["self"]["href"], json=UPLOADED)).json()["status"] == "UPLOADED"
        await centre.settle()
        again = (await http.get(more["_links"]["self"]["href"])).json()
        assert again["status"] == ("ACCEPTED" if rule == "NOTHING" else "REJECTED")
        assert again["validation"]["accepted"] == (4 if rule == "NOTHING" else 0)
        assert (await http.get(here)).json()["records_count"] == (8 if rule == "NOTHING" else taken)
        # and one by one
        sent = person(external_provider="crm", external_id="1")
        assert (await http.post(f"{here}/records", json=sent)).status_code == (201 if rule == "NOTHING" else 400)


async def test_wrong_rows_are_named(centre: Centre) -> None:
    text = (
        b"first_name,last_name,phone_number,timezone,priority\n"
        b",Sol,+351210000001,,\nAna,,+351210000001,,\nAna,Sol,,,\nAna,Sol,12,,\n"
        b"Ana,Sol,+351210000001,Mars/Base,\nAna,Sol,+351210000001,,11\n" + b"A" * 81 + b",Sol,+351210000001,,\n"
    )
    async with await centre.signed_in(SCOPE) as http:
        found = await loaded(centre, http, text)
    assert (found["status"], found["records_count"]) == ("REJECTED", 0)
    assert [e["code"] for e in found["validation"]["errors"]] == [
        "FIRST_NAME_MISSING", "LAST_NAME_MISSING", "PHONE_NUMBER_MISSING", "PHONE_NUMBER_INVALID",
        "TIMEZONE_INVALID", "PRIORITY_INVALID", "FIRST_NAME_INVALID",
    ]  # fmt: skip


async def test_a_record_is_added_changed_found_and_removed(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http)
        bad = await http.post(f"{here}/records", json=person("nonsense", timezone="Mars/Base"))
        assert bad.status_code == 400
        assert {f["name"] for f in bad.json()["fields"]} == {"phone_numbers[0].phone_number", "timezone"}
        made = (await http.post(f"{here}/records", json=person(extra_data={"tier": "gold"}))).json()
        await http.post(f"{here}/records", json=person("+351210000002", first_name="Eva", priority=3))
        one = f"{here}/records/{made['id']}"
        steps = [
            {"op": "replace", "path": "/priority", "value": 10},
            {"op": "add", "path": "/extra_data/city", "value": "Porto"},
        ]
        changed = (await http.patch(one, json=steps)).json()
        assert (changed["priority"], changed["extra_data"]) == (10, {"tier": "gold", "city": "Porto"})
        for step in ({"path": "/first_name", "value": "X"}, {"path": "/priority", "value": 11}):
            assert (await http.patch(one, json=[{"op": "replace", **step}])).status_code == 400

        async def found(**query: Any) -> list[str]:
            page = (await http.get(f"{here}/records", params=query)).json()
            assert page["count"] == len(page["_embedded"]["records"])
            return [record["first_name"] for record in page["_embedded"]["records"]]

        assert await found(phone_number="+351210000002") == ["Eva"]
        assert await found(search="EV") == ["Eva"]
        assert await found(search="210000001", search_fields="phone_number") == ["Ana"]
        assert await found(search="%") == []
        assert await found(extra_data_filter="city:Porto") == ["Ana"]
        assert await found(priorities="3") == ["Eva"]
        assert await found(order_by="priority:desc") == ["Ana", "Eva"]
        assert await found(order_by="updated_at:desc") == ["Eva", "Ana"]
        assert await found(limit=1, offset=1) == ["Ana", "Eva"]
        assert (
            await http.get(f"{here}/records", params={"updated_at_from": "2026-01-01T00:00:00Z"})
        ).status_code == 400
        assert (await http.delete(f"{here}/records", params={"phone_number": "+351210000002"})).status_code == 204
        assert (await http.delete(one)).status_code == 204
        assert (await http.get(one)).status_code == 404
        assert (await http.get(here)).json()["records_count"] == 0
    assert (await centre.rows(PHONES))[0]["n"] == 0


async def test_bulks_take_what_is_right_and_name_what_is_not(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http, "PHONE_NUMBER")
        sent = [person(), person(), person("+351210000002", external_provider="crm", external_id="2"), {}, 7]
        made = await http.post(f"{here}/records/bulks", json={"records": sent})
        assert made.status_code == 201
        assert (made.json()["total_created"], made.json()["total_errors"]) == (2, 3)
        told = made.json()["_embedded"]["records"]
        assert told[1]["errors"] == ["PHONE_NUMBER_NOT_UNIQUE"]
        assert told[3]["errors"] == ["PHONE_NUMBER_MISSING", "FIRST_NAME_MISSING", "LAST_NAME_MISSING"]
        steps = [
            {"op": "replace", "path": f"/records/{told[0]['id']}", "value": {"priority": 2}},
            {"op": "replace", "path": f"/records/{told[2]['id']}", "value": {"priority": 12}},
            {"op": "replace", "path": "/records/nobody", "value": {"priority": 1}},
        ]
        changed = (await http.patch(f"{here}/records/bulks", json=steps)).json()
        assert (changed["total_created"], changed["total_errors"]) == (1, 2)
        doomed = [{"id": told[0]["id"]}, {"external_provider": "crm", "external_id": "2"}, {"phone_number": "+1"}]
        removed = (await http.request("DELETE", f"{here}/records/bulks", json=doomed)).json()
        assert (removed["total_deleted"], removed["total_errors"]) == (2, 1)
        many = {"records": [person()] * 101}
        assert (await http.post(f"{here}/records/bulks", json=many)).status_code == 400


async def test_the_time_zones_of_a_list_are_listed(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http)
        for zone in ("Europe/Lisbon", "America/New_York", "Europe/Lisbon"):
            await http.post(f"{here}/records", json=person(timezone=zone))
        page = (await http.get(f"{here}/records/timezones")).json()
        assert page["_embedded"]["timezones"] == ["America/New_York", "Europe/Lisbon"]
        page = (await http.get(f"{here}/records/timezones", params={"search": "york"})).json()
        assert page["_embedded"]["timezones"] == ["America/New_York"]


async def test_a_validation_that_dies_goes_on_where_it_was(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is gone after some chunks; the job is run again, and every row is there once."""
    header = b"first_name,last_name,phone_number\n"
    text = header + b"".join(b"A,B,+3512100%05d\n" % n for n in range(2600)) + b"A,B,bad\n"
    monkeypatch.setitem(imports.CHUNK, "sqlite", 200)
    monkeypatch.setitem(imports.CHUNK, "postgresql", 200)
    told: list[int] = []

    class Died(BaseException):
        pass

    def tell(read: int, stored: int) -> None:
        told.append(stored)
        if stored >= 1000:
            raise Died

    from ringfence.apis.record_lists import files

    async with await centre.signed_in(SCOPE) as http:
        body = {"name": "Call", "unique_identifier_type": "PHONE_NUMBER", "csv_metadata": csv_of(text)}
        made = (await http.post("/record-lists", json=body)).json()
        await put(made["signed_url"], text, centre)
        here = f"/record-lists/{made['id']}"
        await http.patch(here, json=UPLOADED)
        upload = made["signed_url"].partition("/uploads/")[2].partition("?")[0]
        ctx = centre.house.ctx(None, await centre.account(), "test")
        with pytest.raises(Died):
            await imports.validate(ctx, upload, files.FILES, tell)
        await asyncio.sleep(0.2)  # what nobody waits for is committed soon
        assert 1000 <= (await http.get(here)).json()["records_count"] < 2600
        await centre.settle()
        found = (await http.get(here)).json()
        assert (found["status"], found["records_count"]) == ("ACCEPTED", 2600)
        facts = found["validation"]
        assert (facts["rows"], facts["accepted"], facts["rejected"]) == (2601, 2600, 1)
    assert (await centre.rows(RECORDS))[0]["n"] == (await centre.rows(PHONES))[0]["n"] == 2600


async def more(centre: Centre, http: httpx.AsyncClient, here: str, text: bytes) -> dict[str, Any]:
    """Another file into a list that holds something; the list afterwards."""
    made = (await http.post(f"{here}/upload-requests", json={"csv_metadata": csv_of(text)})).json()
    await put(made["signed_url"], text, centre)
    assert (await http.patch(f"{here}/upload-requests/{made['id']}", json=UPLOADED)).status_code == 200
    await centre.settle()
    found: dict[str, Any] = (await http.get(f"{here}/upload-requests/{made['id']}")).json()["validation"]
    return found


async def test_a_row_that_loses_one_number_gives_back_the_others(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http, "PHONE_NUMBER")
        assert (await http.post(f"{here}/records", json=person())).status_code == 201
        rows = b"Ana,Sol,+351210000009,+351210000001\nEva,Mar,+351210000002,\nRui,Dias,+351210000002,+351210000003\n"
        rows += b"Ivo,Reis,+351210000003,+351210000004\n"
        told = await more(centre, http, here, b"first_name,last_name,home,office\n" + rows)
        assert (told["accepted"], [error["row"] for error in told["errors"]]) == (2, [2, 4])
        assert (await http.get(here)).json()["records_count"] == 3
        for number, status in (("+351210000009", 201), ("+351210000003", 400), ("+351210000004", 400)):
            answer = await http.post(f"{here}/records", json=person(number))
            assert answer.status_code == status, number
        assert (await centre.rows(PHONES))[0]["n"] == 5


async def test_a_reference_that_is_there_is_refused_and_its_numbers_given_back(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http, "EXTERNAL")
        known = {"external_provider": "crm", "external_id": "7"}
        assert (await http.post(f"{here}/records", json=person(**known))).status_code == 201
        rows = b"Eva,Mar,+351210000002,crm,7\nRui,Dias,+351210000002,crm,8\nIvo,Reis,+351210000003,crm,8\n"
        head = b"first_name,last_name,home,external_provider,external_id\n"
        told = await more(centre, http, here, head + rows)
        assert (told["accepted"], [error["row"] for error in told["errors"]]) == (1, [2, 4])
        found = (await http.get(f"{here}/records?phone_number=%2B351210000002")).json()
        assert [record["first_name"] for record in found["_embedded"]["records"]] == ["Rui"]
        assert (await centre.rows(PHONES))[0]["n"] == 2


async def test_a_deleted_list_leaves_nothing(centre: Centre) -> None:
    from ringfence.apis.record_lists import domain

    text = b"first_name,last_name,home\n" + b"".join(b"A,B,+3512100%05d\n" % n for n in range(1200))
    async with await centre.signed_in(SCOPE) as http:
        found = await loaded(centre, http, text, "PHONE_NUMBER")
        async with centre.house.db.writing() as tx:
            await domain.delete_list(centre.house.ctx(tx, await centre.account(), "test"), found["id"])
        assert (await http.get(f"/record-lists/{found['id']}")).status_code == 404
    await centre.settle()
    await asyncio.sleep(0.2)  # what nobody waits for is committed soon
    assert (await centre.rows(RECORDS))[0]["n"] == (await centre.rows(PHONES))[0]["n"] == 0


async def test_a_file_that_nobody_lets_be_validated_is_cleared_away(centre: Centre) -> None:
    text = b"first_name,last_name,home\nA,B,+351210000001\n"
    async with await centre.signed_in(SCOPE) as http:
        made = (await http.post("/record-lists", json={"name": "Call", "csv_metadata": csv_of(text)})).json()
        await put(made["signed_url"], text, centre)
    upload = made["signed_url"].partition("/uploads/")[2].partition("?")[0]
    await centre.settle()
    assert await centre.house.blobs.length(upload) == len(text)
    centre.world.advance(2 * 86400)
    await centre.settle()
    assert await centre.house.blobs.length(upload) is None
    async with await centre.signed_in(SCOPE) as http:
        assert (await http.patch(f"/record-lists/{made['id']}", json=UPLOADED)).status_code == 409
