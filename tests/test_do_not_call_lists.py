"""Do-not-call lists: entries, until when they hold, and files by signed URL."""

import gzip
import hashlib
from typing import Any

import httpx2 as httpx
import pytest

from tests.conftest import Centre

SCOPE = "do-not-call-lists:manage"


def announced(text: bytes, **given: Any) -> dict[str, Any]:
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    return {"filename": "no.csv", "byte_size": len(text), "checksum": digest, "content_type": "text/csv"} | given


async def sent(http: httpx.AsyncClient, url: str, text: bytes, **headers: str) -> httpx.Response:
    """PUT a file to a signed URL, with no token."""
    http.headers.pop("authorization", None)
    return await http.put(url, content=text, headers={"content-type": "text/csv"} | headers)


async def loaded(centre: Centre, text: bytes) -> dict[str, Any]:
    """Make a list with a file, and let it be validated; the list afterwards."""
    async with await centre.signed_in(SCOPE) as http, centre.http() as bare:
        made = (await http.post("/do-not-call-lists", json={"name": "No", "csv_metadata": announced(text)})).json()
        assert made["status"] == "INCOMPLETE"
        assert (await sent(bare, made["signed_url"], text)).status_code == 204
        await centre.settle()
        found: dict[str, Any] = (await http.get(f"/do-not-call-lists/{made['id']}")).json()
        return found


async def a_list(http: httpx.AsyncClient) -> str:
    made: str = (await http.post("/do-not-call-lists", json={"name": "No"})).json()["id"]
    return f"/do-not-call-lists/{made}"


async def test_a_file_is_validated_as_soon_as_it_is_there(centre: Centre) -> None:
    text = b"phone_number,expiration_date,reason\n+351210000001,,\n+351210000002,2030-01-31,asked\n"
    found = await loaded(centre, text)
    assert (found["status"], found["entries_count"]) == ("ACCEPTED", 2)
    assert found["validation"] == {"rows": 2, "accepted": 2, "rejected": 0, "reason": "", "errors": []}
    async with await centre.signed_in(SCOPE) as http:
        entries = (await http.get(f"/do-not-call-lists/{found['id']}/entries")).json()["_embedded"]["entries"]
    assert [e["phone_number"] for e in entries] == ["+351210000001", "+351210000002"]
    assert (entries[1]["expiration_date"], entries[1]["reason"]) == ("2030-01-31", "asked")


BAD_FILES = {
    "wrong delimiter": (b"phone_number;reason\n+351210000001;x\n", "row 1: the columns are separated by semicolons"),
    "UTF-16": ("phone_number\n+351210000001\n".encode("utf-16"), "row 1: the file is UTF-16"),
    "gzip": (gzip.compress(b"phone_number\n" + b"0" * 100_000), "row 1: the file is gzip"),
    "missing column": (b"number\n+351210000001\n", "row 1: the column phone_number is missing"),
    "column twice": (b"phone_number,Phone Number\n+351210000001,\n", "row 1: the column Phone Number is there twice"),
    "long line": (b"phone_number\n+351210000001\n" + b"9" * 10_000_000, "row 3: the line has more than"),
    "NUL": (b"phone_number\n+351210000001\n+35121\x000000001\n", "row 3: the row holds a NUL"),
    "not UTF-8": (b"phone_number,reason\n+351210000001,\xe9\n", "row 2: the row is not UTF-8"),
    "open quote": (b'phone_number,reason\n+351210000001,"x\n', "row 2: unexpected end of data"),
    "nothing": (b"\n", "row 1: the column phone_number is missing"),
}


@pytest.mark.parametrize("text, reason", BAD_FILES.values(), ids=BAD_FILES)
async def test_a_file_that_cannot_be_read_stores_nothing_and_says_why(centre: Centre, text: bytes, reason: str) -> None:
    found = await loaded(centre, text)
    assert (found["status"], found["entries_count"]) == ("CORRUPTED", 0)
    assert found["validation"]["reason"].startswith(reason)


async def test_rows_that_are_wrong_are_left_out_and_named(centre: Centre) -> None:
    text = (
        b"\xef\xbb\xbfphone_number,expiration_date\r\n+351210000001,\r\n210000001,\r\n+999123456789,\r\n,\r\n"
        b"+351210000002,2030-02-30\r\n+351210000001,\r\n+351210000003\r\n"
    )
    found = await loaded(centre, text)
    assert (found["status"], found["entries_count"]) == ("ACCEPTED", 1)
    told = [(e["row"], e["code"]) for e in found["validation"]["errors"]]
    assert told == [
        (3, "PHONE_NUMBER_INVALID"),
        (4, "PHONE_NUMBER_INVALID"),
        (5, "PHONE_NUMBER_MISSING"),
        (6, "EXPIRATION_DATE_INVALID"),
        (7, "PHONE_NUMBER_NOT_UNIQUE"),
        (8, "REQUIRED_FIELDS"),
    ]


async def test_a_file_without_a_good_row_is_rejected(centre: Centre) -> None:
    found = await loaded(centre, b"phone_number\n1\n2\n")
    assert (found["status"], found["entries_count"]) == ("REJECTED", 0)
    assert found["validation"]["rejected"] == 2


async def test_a_file_that_would_fill_a_list_too_much_stores_nothing(opened: Any) -> None:
    found = await loaded(await opened(list_entries=2), b"phone_number\n+351210000001\n+351210000002\n+351210000003\n")
    assert (found["status"], found["entries_count"]) == ("CORRUPTED", 0)
    assert "more than 2" in found["validation"]["reason"]


async def test_what_was_not_announced_is_refused_and_may_be_sent_again(centre: Centre) -> None:
    text = b"phone_number\n+351210000001\n"
    async with await centre.signed_in(SCOPE) as http, centre.http() as bare:
        body = {"name": "No", "csv_metadata": announced(text)}
        made = (await http.post("/do-not-call-lists", json=body)).json()
        url = made["signed_url"]
        assert (await sent(bare, url, text[:-2] + b"7\n")).json()["code"] == "checksum_mismatch"
        assert (await http.get(f"/do-not-call-lists/{made['id']}")).json()["status"] == "CORRUPTED"
        assert (await sent(bare, url, text + b"+351210000002\n")).json()["code"] == "length_mismatch"
        assert (await sent(bare, url, text[:-1])).json()["code"] == "length_mismatch"
        assert (await sent(bare, url, text, **{"content-type": "text/plain"})).status_code == 415
        assert (await sent(bare, url, text, **{"content-encoding": "gzip"})).status_code == 400
        assert (await sent(bare, url, text)).status_code == 204
        assert (await sent(bare, url, text)).status_code == 409
        await centre.settle()
        assert (await http.get(f"/do-not-call-lists/{made['id']}")).json()["status"] == "ACCEPTED"


async def test_a_signed_url_opens_nothing_else_and_expires(centre: Centre) -> None:
    text = b"phone_number\n+351210000001\n"
    async with await centre.signed_in(SCOPE) as http, centre.http() as bare:
        first, second = [
            (await http.post("/do-not-call-lists", json={"name": "No", "csv_metadata": announced(text)})).json()
            for _ in range(2)
        ]
        path, _, query = first["signed_url"].partition("?")
        other = second["signed_url"].partition("?")[0]
        later = query.replace("expires=1", "expires=2")
        for url in (f"{other}?{query}", f"{path}?{later}", path, f"{path}?expires=x&signature=y"):
            assert (await sent(bare, url, text)).json()["code"] == "signed_url_refused"
        centre.world.advance(3601)
        assert (await sent(bare, f"{path}?{query}", text)).json()["code"] == "signed_url_refused"


async def test_over_the_upload_limit_is_a_413(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        body = {"name": "No", "csv_metadata": announced(b"x", byte_size=2**25 + 1)}
        assert (await http.post("/do-not-call-lists", json=body)).status_code == 413


async def test_over_the_limit_of_lists_is_a_400_that_names_it(opened: Any) -> None:
    centre = await opened(do_not_call_lists=1)
    async with await centre.signed_in(SCOPE) as http:
        assert (await http.post("/do-not-call-lists", json={"name": "One"})).status_code == 201
        refused = await http.post("/do-not-call-lists", json={"name": "Two"})
    assert refused.status_code == 400
    assert "the account has 1 of these lists" in refused.text


async def test_an_entry_is_added_once_changed_and_removed(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http)
        made = await http.post(f"{here}/entries", json={"phone_number": "+351210000001", "reason": "asked"})
        assert made.status_code == 201
        again = await http.post(f"{here}/entries", json={"phone_number": "+351210000001"})
        assert (again.status_code, again.json()["fields"][0]["name"]) == (400, "phone_number")
        past = await http.post(
            f"{here}/entries", json={"phone_number": "+351210000002", "expiration_date": "2026-01-04"}
        )
        assert (past.status_code, past.json()["fields"][0]["name"]) == (400, "expiration_date")
        entry = f"{here}/entries/{made.json()['id']}"
        changed = await http.patch(entry, json=[{"op": "replace", "path": "/expiration_date", "value": "2027-01-01"}])
        assert changed.json()["expiration_date"] == "2027-01-01"
        for step in (
            {"op": "replace", "path": "/phone_number", "value": "+351210000009"},
            {"op": "replace", "path": "/expiration_date", "value": "2020-01-01"},
            {"op": "replace", "path": "/expiration_date", "value": 7},
        ):
            assert (await http.patch(entry, json=[step])).status_code == 422
        assert (await http.get(f"{here}/entries", params={"phone_number": "+351210000001"})).json()["total"] == 1
        assert (await http.get(here)).json()["entries_count"] == 1
        assert (await http.delete(entry)).status_code == 204
        assert (await http.delete(entry)).status_code == 404
        assert (await http.get(here)).json()["entries_count"] == 0


async def test_bulk_changes_and_removals_tell_which_failed(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http)
        ids = [
            (await http.post(f"{here}/entries", json={"phone_number": f"+35121000000{n}"})).json()["id"]
            for n in range(3)
        ]
        gone = "00000000-0000-7000-8000-0000000fffff"
        steps = [
            {"op": "replace", "path": f"/{ids[0]}/expiration_date", "value": "2028-01-01"},
            {"op": "replace", "path": f"/{ids[1]}/expiration_date", "value": "soon"},
            {"op": "replace", "path": f"/{ids[1]}/phone_number", "value": "+351210000009"},
            {"op": "replace", "path": f"/{gone}/expiration_date", "value": "2028-01-01"},
        ]
        done = (await http.patch(f"{here}/entries", json=steps)).json()
        assert (done["has_errors"], done["total_errors"], done["total_updated"]) == (True, 3, 1)
        told = done["_embedded"]["entries"]
        assert told[0]["expiration_date"] == "2028-01-01"
        assert told[1]["errors"] == ["EXPIRATION_DATE_INVALID"]
        assert told[2]["un_allowed_patch"]["path"] == f"/{ids[1]}/phone_number"
        assert told[3]["errors"] == ["ENTRY_NOT_FOUND"]
        removed = await http.request("DELETE", f"{here}/entries", json=[{"id": ids[0]}, {"id": gone}, {"id": "x"}])
        assert removed.status_code == 200
        assert (removed.json()["total_deleted"], removed.json()["total_errors"]) == (1, 2)
        assert (await http.get(here)).json()["entries_count"] == 2
        many = [{"id": gone}] * 101
        assert (await http.request("DELETE", f"{here}/entries", json=many)).status_code == 400


async def test_an_entry_holds_through_its_last_day_where_the_number_is(centre: Centre) -> None:
    """It is 9:00 UTC on 5 January: the fifth everywhere between Honolulu's 4th and nowhere's 6th."""
    async with await centre.signed_in(SCOPE) as http:
        here = await a_list(http)
        await http.post(f"{here}/entries", json={"phone_number": "+351210000001", "expiration_date": "2026-01-05"})

        async def held(zone: str) -> int:
            asked = {"phone_numbers": [{"phone_number": "+351210000001", "timezone": zone}]}
            total: int = (await http.post(f"{here}/entries/queries", json=asked)).json()["total"]
            return total

        assert await held("Europe/Lisbon") == 1
        centre.world.advance(15 * 3600)  # midnight in Lisbon, the afternoon before in Honolulu
        http.headers["authorization"] = (await centre.signed_in(SCOPE)).headers["authorization"]
        assert (await held("Europe/Lisbon"), await held("Pacific/Honolulu")) == (0, 1)
        bad = {"phone_numbers": [{"phone_number": "+351210000001", "timezone": "Mars/Olympus"}]}
        assert (await http.post(f"{here}/entries/queries", json=bad)).status_code == 400


async def test_every_entry_is_met_once_on_the_way_through_the_pages(centre: Centre) -> None:
    text = b"phone_number\n" + b"".join(b"+3512100%05d\n" % n for n in range(2500))
    found = await loaded(centre, text)
    async with await centre.signed_in(SCOPE) as http:
        here = f"/do-not-call-lists/{found['id']}/entries"
        added = 0
        for order in ("created_at:asc", "created_at:desc", "updated_at:asc"):
            seen: list[str] = []
            url: str | None = f"{here}?per_page=200&order_by={order}"
            while url:
                page = (await http.get(url)).json()
                seen += [entry["phone_number"] for entry in page["_embedded"]["entries"]]
                if len(seen) in (400, 1000):  # somebody removes what was seen, and adds another
                    one = page["_embedded"]["entries"][0]["id"]
                    assert (await http.delete(f"{here}/{one}")).status_code == 204
                    added += 1
                    await http.post(here, json={"phone_number": f"+35122000{added:04d}"})
                url = page["_links"].get("next", {}).get("href")
            old = [number for number in seen if number.startswith("+35121")]
            assert len(old) == len(set(old)) == 2500 - (added - 2)
        last = (await http.get((await http.get(f"{here}?per_page=200")).json()["_links"]["last"]["href"])).json()
        assert (last["page"], last["count"]) == (13, 100)
        assert "next" not in last["_links"]
        back = (await http.get(last["_links"]["prev"]["href"])).json()
        assert (back["page"], back["count"]) == (12, 200)
