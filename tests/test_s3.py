"""Files in a bucket: the same lists, with somebody else's S3 in between."""

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import Centre, OpenHouse

SCOPES = ("do-not-call-lists:manage", "record-lists:manage")
TEXT = b"first_name,last_name,phone_number\n" + b"".join(b"Ana,Sol,+3512100%05d\n" % n for n in range(3000))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Settings for a bucket of a little S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    base = f"http://{host}:{port}"
    assert httpx.put(f"{base}/calls").status_code == 200
    yield {
        "files": "s3://calls/lists",
        "s3_endpoint": base,
        "s3_access_key": "test",
        "s3_secret_key": "test",
    }
    server.stop()


def announced(text: bytes, **given: Any) -> dict[str, Any]:
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    return {"filename": "a.csv", "byte_size": len(text), "checksum": digest, "content_type": "text/csv"} | given


async def sent(url: str, text: bytes) -> None:
    async with httpx.AsyncClient() as bare:
        answer = await bare.put(url, content=text, headers={"content-type": "text/csv"})
        assert answer.status_code == 200, answer.text


async def looked(centre: Centre) -> None:
    """Until the next look into the bucket."""
    centre.world.advance(6)
    await centre.settle()


async def test_a_do_not_call_list_begins_when_its_file_is_in_the_bucket(
    opened: OpenHouse, bucket: dict[str, str]
) -> None:
    centre = await opened(**bucket)
    async with await centre.signed_in(*SCOPES) as http:
        body = {"name": "No", "csv_metadata": announced(TEXT)}
        made = (await http.post("/do-not-call-lists", json=body)).json()
        here = f"/do-not-call-lists/{made['id']}"
        assert made["signed_url"].startswith(f"{bucket['s3_endpoint']}/calls/lists/")
        assert "X-Amz-Signature=" in made["signed_url"]
        await looked(centre)
        assert (await http.get(here)).json()["status"] == "INCOMPLETE"
        await sent(made["signed_url"], TEXT)
        await looked(centre)
        found = (await http.get(here)).json()
        assert (found["status"], found["entries_count"]) == ("ACCEPTED", 3000)
    upload = made["signed_url"].partition("/lists/")[2].partition("?")[0]
    assert await centre.house.blobs.length(upload) is None  # it has done its duty


async def test_a_record_list_waits_for_the_word_and_its_file_is_checked(
    opened: OpenHouse, bucket: dict[str, str]
) -> None:
    centre = await opened(**bucket)
    uploaded = {"op": "replace", "path": "/status", "value": "UPLOADED"}
    async with await centre.signed_in(*SCOPES) as http:
        for csv, status, count in (
            (announced(TEXT), "ACCEPTED", 3000),
            (announced(TEXT, checksum="0" * 32), "CORRUPTED", 0),
            (announced(TEXT, byte_size=7), "CORRUPTED", 0),
        ):
            made = (await http.post("/record-lists", json={"name": "Call", "csv_metadata": csv})).json()
            await sent(made["signed_url"], TEXT)
            here = f"/record-lists/{made['id']}"
            assert (await http.patch(here, json=uploaded)).status_code == 200
            await centre.settle()
            found = (await http.get(here)).json()
            assert (found["status"], found["records_count"]) == (status, count)
        empty = (await http.post("/record-lists", json={"name": "Call", "csv_metadata": announced(TEXT)})).json()
        assert (await http.patch(f"/record-lists/{empty['id']}", json=uploaded)).status_code == 200
        await centre.settle()
        found = (await http.get(f"/record-lists/{empty['id']}")).json()
        assert (found["status"], found["validation"]["reason"]) == ("CORRUPTED", "the file is gone")
