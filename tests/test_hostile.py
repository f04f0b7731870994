"""What a hostile caller may send: each gets a clear answer, and nothing is half-written."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import Fault
from tests.conftest import Centre, OpenHouse
from tests.servers import Server, serving

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
STEP = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "nonsense"])},
    optional={
        "path": st.text() | st.sampled_from(["/name", "/phones/0", "/phones/-", ""]),
        "value": JSON,
        "from": JSON,
    },
)
ANA = {"name": "Ana", "phones": [{"number": "+351910000000", "label": ""}]}


@given(JSON | st.lists(STEP | JSON, max_size=6))
def test_no_patch_breaks_anything(document: Any) -> None:
    if isinstance(document, dict | list):
        with suppress(Fault):
            assert isinstance(Patch(document).onto(dict(ANA)), dict)
    assert ANA == {"name": "Ana", "phones": [{"number": "+351910000000", "label": ""}]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(JSON, JSON)
async def test_no_body_and_no_patch_is_a_500(centre: Centre, body: Any, patch: Any) -> None:
    async with await centre.signed_in("contacts:read", "contacts:write") as http:
        made = await http.post("/contacts", json=ANA)
        path = f"/contacts/{made.json()['contact']['id']}"
        for answer in (
            await http.post("/contacts", content=json.dumps(body)),
            await http.patch(path, content=json.dumps(patch), headers={"content-type": "application/json"}),
            await http.post("/internal-contacts/gdpr", content=json.dumps(body)),
        ):
            assert answer.status_code < 500, answer.text
        assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=x", "page=1&page=2", "per_page=201", "per_page=99999999999999999999", "include_deleted=maybe",
        "integration=nocolon", "name=%00", "name=%ff", "page=201&per_page=50", "page=-1", "page=",
    ],
)  # fmt: skip
async def test_a_query_that_makes_no_sense_is_a_400_that_names_it(centre: Centre, query: str) -> None:
    async with await centre.signed_in("contacts:read") as http:
        answer = await http.get(f"/contacts?{query}")
    assert answer.status_code == 400, answer.text
    if "%ff" not in query:
        assert answer.json()["fields"][0]["name"] in query


async def test_strangers_in_a_query_are_ignored(centre: Centre) -> None:
    async with await centre.signed_in("contacts:read", "users:read") as http:
        for path in ("/contacts?limit=5&offset=3", "/users?limit=5&offset=3"):
            assert (await http.get(path)).status_code == 200


async def test_paths_that_lead_nowhere_and_odd_methods_get_an_envelope(centre: Centre) -> None:
    async with await centre.signed_in("contacts:read") as http:
        for path in ("/nope", "/contacts/", "/contacts/x/y/z", "/contacts/%ff", "/contacts/%00"):
            answer = await http.get(path)
            assert answer.status_code in (400, 404), path
            assert "code" in answer.json()
        odd = await http.put("/contacts")
        assert (odd.status_code, odd.headers["allow"]) == (405, "GET, HEAD, POST")
        head = await http.head("/contacts")
        assert (head.status_code, head.content) == (200, b"")


async def test_conditional_requests_keep_writers_from_undoing_each_other(centre: Centre) -> None:
    async with await centre.signed_in("contacts:read", "contacts:write") as http:
        made = await http.post("/contacts", json=ANA)
        path, tag = f"/contacts/{made.json()['contact']['id']}", made.headers["etag"]
        assert (await http.get(path, headers={"if-none-match": tag})).status_code == 304
        first = await http.patch(path, json={"company": "A"}, headers={"if-match": tag})
        assert first.status_code == 200
        for stale in (tag, 'W/"2"', '"x"', '""', "nonsense"):
            for call in (http.patch(path, json={"company": "B"}, headers={"if-match": stale}),
                         http.delete(path, headers={"if-match": stale})):  # fmt: skip
                assert (await call).status_code == 412, stale
        assert (await http.get(path)).json()["contact"]["company"] == "A"
        assert (await http.patch(path, json={"company": "C"}, headers={"if-match": "*"})).status_code == 200
        either = {"if-match": f'{tag}, "3"'}
        assert (await http.delete(path, headers=either)).status_code == 204
        assert (await http.get(path)).status_code == 404


async def test_a_change_without_if_match_is_a_428_where_the_operator_wants_it(opened: OpenHouse) -> None:
    centre = await opened(require_if_match=True)
    async with await centre.signed_in("contacts:read", "contacts:write") as http:
        made = await http.post("/contacts", json=ANA)
        path = f"/contacts/{made.json()['contact']['id']}"
        assert (await http.patch(path, json={"company": "A"})).status_code == 428
        assert (await http.delete(path)).status_code == 428
        assert (await http.delete(path, headers={"if-match": made.headers["etag"]})).status_code == 204


async def test_an_idempotency_key_gives_the_same_answer_again_and_only_to_the_same_request(centre: Centre) -> None:
    async with await centre.signed_in("contacts:read", "contacts:write") as http:
        key = {"idempotency-key": "k-1"}
        first = await http.post("/contacts", json=ANA, headers=key)
        again = await http.post("/contacts", json=ANA, headers=key)
        assert (again.status_code, again.json(), again.headers["etag"]) == (201, first.json(), first.headers["etag"])
        assert again.headers["idempotency-replayed"] == "true"
        other = await http.post("/contacts", json={"name": "Bea"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert (await http.get("/contacts")).json()["total"] == 1
        failed = await http.post("/contacts", json={"name": ""}, headers={"idempotency-key": "k-2"})
        assert failed.status_code == 400
        assert (await http.post("/contacts", json=ANA, headers={"idempotency-key": "k-2"})).status_code == 201
        assert (await http.post("/contacts", json=ANA, headers={"idempotency-key": "x" * 256})).status_code == 400
    async with await centre.signed_in("contacts:write") as stranger:
        assert "idempotency-replayed" not in (await stranger.post("/contacts", json=ANA, headers=key)).headers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("hostile"), "--demo", rate_limit=0) as found:
        yield found


def raw(server: Server, request: bytes) -> bytes:
    """Send bytes and read what comes back, until the server closes or falls silent."""
    parts = urlsplit(server.base)
    with socket.create_connection((parts.hostname, parts.port), 5) as wire:
        wire.settimeout(2)
        answer = b""
        try:
            wire.sendall(request)
            wire.shutdown(socket.SHUT_WR)
            while part := wire.recv(65536):
                answer += part
        except OSError:
            pass  # the server has said what it had to say
    return answer


@pytest.mark.process
def test_a_header_of_64_kb_is_refused(server: Server) -> None:
    answer = httpx.get(f"{server.base}/contacts", headers={"x-large": "x" * 65536})
    assert answer.status_code == 431
    assert answer.json()["code"] == "headers_too_large"


@pytest.mark.process
@pytest.mark.parametrize("size", [60_000, 300_000, 2_000_000])
def test_who_sends_much_is_told_why_it_is_refused_and_never_just_cut_off(server: Server, size: int) -> None:
    text = json.dumps({"name": "x" * size})
    with httpx.Client(base_url=server.base, headers={"content-type": "application/json"}) as http:
        for _ in range(15):
            assert http.post("/contacts", content=text).status_code == 401
            assert http.put("/nowhere", content=text).status_code == 404
            assert http.post("/oauth/token", content=text).status_code in (400, 413)
            assert http.get("/healthz").status_code == 200


@pytest.mark.process
@pytest.mark.parametrize(
    "request_",
    [
        b"GET /contacts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\nconnection: close\r\n\r\n",
        b"GET /contacts?name=\xff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /contacts HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n",
        b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\nconnection: close\r\n\r\ngrant_type=",
        b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n",
        b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\nconnection: close\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
)
def test_bytes_that_are_hardly_http_do_no_harm(server: Server, request_: bytes) -> None:
    answer = raw(server, request_)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert not answer.startswith(b"HTTP/1.1 2")
    assert httpx.get(f"{server.base}/healthz").status_code == 200
    assert "request.failed" not in (server.folder / "server.log").read_text()
