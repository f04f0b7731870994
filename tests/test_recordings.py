"""Recordings: who may hear what, parts of files, sealed files, and how audio comes and goes."""

import asyncio
import gc
import io
import json
import os
import socket
import sqlite3
import subprocess
import time
import tracemalloc
import wave
from array import array
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ringfence.apis.recordings import domain
from ringfence.floor import audio, media
from ringfence.floor.carriers import CARRIERS
from ringfence.kernel.catalog import PUBLIC, Operation
from ringfence.kernel.problems import Fault
from ringfence.kernel.shapes import File
from ringfence.store.outbox import FOR_KEY
from ringfence.store.sealed import CHUNK, SALT, TAG, Tampered, new_key, sealed, unsealed
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.floor import floor_inbox, interactions, recordings
from ringfence.web.operation import Endpoint
from ringfence.web.ranges import wanted
from tests.conftest import BASE, POSTGRES, Centre, OpenHouse
from tests.servers import RINGFENCE, start
from tests.test_ring_groups import browser
from tests.test_s3 import bucket  # noqa: F401 - a fixture

READ = "recordings:read"
ADD_CALL, ADD_RECORDING = adding(interactions, everywhere=True), adding(recordings, everywhere=True)
INBOX = Statement(select(floor_inbox).order_by(floor_inbox.c.n), everywhere=True)
ROWS = Statement(select(recordings).order_by(recordings.c.id), everywhere=True)
SPEAKERS = {
    "channel_1": [{"participant_type": "CONTACT", "participant_id": "5f0000000000000000000002"}],
    "channel_2": [{"participant_type": "AGENT", "participant_id": "5f0000000000000000000001"}],
}


class Tape:
    """A carrier that gives what it is told to, and counts how often."""

    name = "tape"

    def __init__(self, sound: bytes = b"", pieces: int = 30_000) -> None:
        self.sound, self.pieces, self.asked = sound, pieces, 0
        self.breaks_at: int | None = None
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def media(self, recording: dict[str, Any]) -> AsyncIterator[bytes]:
        self.asked += 1
        for at in range(0, len(self.sound), self.pieces):
            await self.let_go.wait()
            if self.breaks_at is not None and at >= self.breaks_at:
                raise ConnectionError("the line is dead")
            yield self.sound[at : at + self.pieces]


async def asked(tape: Tape, times: int) -> None:
    """Until a carrier has been asked this often."""
    async with asyncio.timeout(10):
        while tape.asked < times:  # noqa: ASYNC110 - rare and short
            await asyncio.sleep(0.005)


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    found = Tape(os.urandom(300_007))
    monkeypatch.setitem(CARRIERS, "tape", found)
    return found


async def call(centre: Centre, account: str = "acme", state: str = "ended") -> str:
    id = centre.world.new_id(32)
    async with centre.house.db.writing() as tx:
        await tx.run(
            ADD_CALL,
            account_id=await centre.account(account),
            id=id,
            state=state,
            direction="IN",
            company_number="+351210000100",
            contact_number="+351910000000",
            started_at=centre.world.now(),
            doc={},
        )
    return id


async def recording(centre: Centre, call: str, account: str = "acme", **facts: Any) -> str:
    id = centre.world.new_id(32)
    row = {
        "account_id": await centre.account(account),
        "id": id,
        "call_id": call,
        "number": 0,
        "type": "conversation",
        "duration": 12,
        "channels": SPEAKERS,
        "carrier": "tape",
        "created_at": centre.world.now(),
    }
    async with centre.house.db.writing() as tx:
        await tx.run(ADD_RECORDING, **(row | facts))
    return id


async def link(centre: Centre, id: str) -> str:
    """The signed URL of a recording."""
    async with await centre.signed_in(READ) as http:
        answer = await http.get(f"/recordings/{id}/media")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def only(centre: Centre) -> dict[str, Any]:
    (row,) = await centre.rows(ROWS)
    return row


def kept(centre: Centre, id: str) -> Path:
    """Where a folder keeps a file."""
    folder: Path = centre.house.blobs.folder  # type: ignore[attr-defined]
    return folder / id[-2:] / id


def scope_of(url: str) -> dict[str, Any]:
    """A request for a URL, as a server hands it to the application."""
    parts = urlsplit(url)
    return {
        "type": "http", "method": "GET", "path": parts.path, "raw_path": parts.path.encode(), "headers": [],
        "query_string": parts.query.encode(), "client": None,
    }  # fmt: skip


async def patient() -> dict[str, Any]:
    """What comes from a caller who has said everything and listens."""
    await asyncio.Event().wait()
    raise AssertionError


async def cut_short(centre: Centre, url: str) -> bytes:
    """What comes of a file whose sending ends too early."""
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await centre.app(scope_of(url), patient, send)
    body = b"".join(message["body"] for message in messages[1:])
    assert len(body) < int(dict(messages[0]["headers"])[b"content-length"])
    assert all(message["more_body"] for message in messages[1:])  # so that the server cuts the connection
    return body


async def test_a_call_lists_its_recordings_and_each_is_shown(centre: Centre) -> None:
    talked, silent = await call(centre), await call(centre)
    ids = [await recording(centre, talked, number=n, type=t) for n, t in enumerate(("voicemail", "conversation"))]
    async with await centre.signed_in(READ) as http:
        here = f"{BASE}/calls/{talked}/recordings"
        page = (await http.get(here)).json()
        assert {k: page[k] for k in ("total", "count", "page", "per_page")} == {
            "total": 2, "count": 2, "page": 1, "per_page": 50
        }  # fmt: skip
        assert page["_links"] == {
            "self": {"href": f"{here}?page=1&per_page=50"},
            "page": {"href": f"{here}{{?page,per_page}}", "templated": True},
        }
        first, second = page["_embedded"]["recordings"]
        assert first == {
            "id": ids[0],
            "call_id": talked,
            "created_at": "2026-01-05T09:00:00Z",
            "index": 0,
            "duration": 12,
            "type": "voicemail",
            "agents": SPEAKERS,
            "_links": {
                "self": {"href": f"{BASE}/recordings/{ids[0]}"},
                "media": {"href": f"{BASE}/recordings/{ids[0]}/media"},
            },
        }
        part = (await http.get(f"{here}?per_page=1")).json()
        assert part["_links"]["next"]["href"] == f"{here}?page=2&per_page=1"
        one = (await http.get(f"/recordings/{ids[1]}")).json()
        assert one == {"recording": second, "_links": second["_links"]}
        assert (await http.get(f"/calls/{silent}/recordings")).json()["total"] == 0
        for path in (f"/calls/{ids[0]}/recordings", f"/recordings/{talked}", f"/recordings/{talked}/media"):
            assert (await http.get(path)).status_code == 404
        for path in (f"/recordings/{ids[0]}?redacted=true", f"/recordings/{ids[0]}/media?redacted=true"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert "no redacted version" in answer.json()["description"]
        assert (await http.get(f"/recordings/{ids[0]}?redacted=perhaps")).status_code == 400


async def test_media_leads_to_a_signed_url_that_needs_no_token(centre: Centre, tape: Tape) -> None:
    id = await recording(centre, await call(centre))
    async with await centre.signed_in(READ) as http:
        answer = await http.get(f"/recordings/{id}/media")
    url = answer.headers["location"]
    assert answer.status_code == 303
    assert answer.json() == {
        "_links": {"self": {"href": f"{BASE}/recordings/{id}/media"}, "file": {"href": url}}
    }  # fmt: skip
    assert tape.asked == 0  # nobody has listened yet
    async with centre.http() as http:
        heard = await http.get(url)
    assert (heard.status_code, heard.content) == (200, tape.sound)
    assert {name: heard.headers[name] for name in (
        "content-type", "content-length", "accept-ranges", "etag", "cache-control", "content-disposition",
        "x-content-type-options",
    )} == {
        "content-type": "audio/wav",
        "content-length": str(len(tape.sound)),
        "accept-ranges": "bytes",
        "etag": f'"{id}"',
        "cache-control": "private",
        "content-disposition": f'inline; filename="recording-{id}.wav"',
        "x-content-type-options": "nosniff",
    }  # fmt: skip
    row = await only(centre)
    assert (row["media"], row["bytes"], row["sealed"], row["gone_at"]) == ("audio/wav", len(tape.sound), None, None)
    assert kept(centre, id).read_bytes() == tape.sound


async def test_a_signed_url_ends_and_fits_nothing_else(centre: Centre, tape: Tape) -> None:
    talked = await call(centre)
    id, other = await recording(centre, talked), await recording(centre, talked, number=1)
    rival = await centre.account("rival")
    url = await link(centre, id)
    query = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    assert int(query["expires"]) == int(centre.world.time()) + 3600

    async def tried(of: str = id, **changed: str) -> tuple[int, str]:
        async with centre.http() as http:
            answer = await http.get(f"/recordings/{of}/file", params=query | changed)
        return answer.status_code, answer.json()["code"]

    bad = (403, "signed_url_refused")
    assert await tried(of=other) == bad
    assert await tried(account=rival) == bad
    assert await tried(expires=str(int(query["expires"]) + 1)) == bad
    for name in query:
        assert await tried(**{name: ""}) == bad
    for strange in ("x", "-1", "9" * 20, "²", "1e9"):
        assert await tried(expires=strange) == bad
    for strange in ("A" * 43, "é", query["signature"][:-1]):
        assert await tried(signature=strange) == bad
    assert (await tried(signature="A" * 101))[0] == 400
    put = centre.house.vault.derive(f"PUT {urlsplit(url).path} until {query['expires']}")
    assert await tried(signature=put) == bad  # what lets a file be sent does not let one be heard
    async with centre.http() as http:
        assert (await http.get(f"/recordings/{id}/file")).status_code == 403
        assert (await http.put(url)).status_code == 405
        centre.world.advance(3599)
        assert (await http.get(url)).status_code == 200
    centre.world.advance(1)
    assert await tried() == bad


async def test_another_accounts_recordings_do_not_exist(centre: Centre, tape: Tape) -> None:
    theirs = await call(centre, "rival")
    id = await recording(centre, theirs, "rival")
    ana = await centre.user()
    async with await centre.signed_in(READ) as http:
        for path in (f"/calls/{theirs}/recordings", f"/recordings/{id}", f"/recordings/{id}/media"):
            assert (await http.get(path)).status_code == 404
    async with centre.http(**await browser(centre, ana)) as http:
        assert (await http.delete(f"/interactions/{theirs}/recordings/{id}")).status_code == 404
        assert (await http.post(f"/interactions/{theirs}/actions/start_recording")).status_code == 404
    assert (await only(centre))["gone_at"] is None
    assert await centre.rows(INBOX) == []


RANGES = [  # header, status, start, stop
    ("bytes=0-0", 206, 0, 1),
    ("bytes=0-", 206, 0, None),
    ("bytes=5-9", 206, 5, 10),
    ("bytes=65535-65536", 206, 65535, 65537),
    ("bytes=131072-196607", 206, 131072, 196608),
    ("bytes=300006-", 206, 300006, None),
    ("bytes=300006-300006", 206, 300006, None),
    ("bytes=300000-999999999", 206, 300000, None),
    (f"bytes=7-{'9' * 9000}", 206, 7, None),
    ("bytes=-1", 206, 300006, None),
    ("bytes=-999999999", 206, 0, None),
    (f"bytes=-{'9' * 9000}", 206, 0, None),
    ("bytes=0000000000000000000000000001-2", 206, 1, 3),
    ("BYTES=1-2", 206, 1, 3),
    ("bytes= 1-2 ", 206, 1, 3),
    ("bytes=,1-2,", 206, 1, 3),
    ("bytes=300007-", 416, 0, 0),
    (f"bytes={'9' * 9000}-", 416, 0, 0),
    ("bytes=300007-300008", 416, 0, 0),
    ("bytes=-0", 416, 0, 0),
    ("bytes=9-5", 200, 0, None),
    ("bytes=0-1,3-4", 200, 0, None),
    ("bytes=-", 200, 0, None),
    ("bytes=", 200, 0, None),
    ("bytes", 200, 0, None),
    ("", 200, 0, None),
    ("bytes=a-b", 200, 0, None),
    ("bytes=1 - 2", 200, 0, None),
    ("bytes=--1", 200, 0, None),
    ("bytes=+1-2", 200, 0, None),
    ("bytes=1-2-3", 200, 0, None),
    ("bytes=0x1-2", 200, 0, None),
    ("lines=1-2", 200, 0, None),
    ("bytes:1-2", 200, 0, None),
    ("=1-2", 200, 0, None),
]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "sealed"])
async def test_parts_of_a_file_are_what_rfc_9110_says(opened: OpenHouse, tape: Tape, encrypted: bool) -> None:
    centre = await opened(recordings_encryption=encrypted)
    id = await recording(centre, await call(centre))
    url = await link(centre, id)
    size = len(tape.sound)
    async with centre.http() as http:
        for header, status, start, stop in RANGES:
            answer = await http.get(url, headers={"range": header})
            assert answer.status_code == status, header[:40]
            if status == 416:
                assert answer.headers["content-range"] == f"bytes */{size}"
                assert answer.json()["code"] == "range_not_satisfiable"
                continue
            part = tape.sound[start:stop]
            assert answer.content == part, header[:40]
            assert answer.headers["content-length"] == str(len(part))
            assert answer.headers["accept-ranges"] == "bytes"
            told = f"bytes {start}-{start + len(part) - 1}/{size}" if status == 206 else None
            assert answer.headers.get("content-range") == told, header[:40]
        strange = await http.get(url, headers=[(b"range", b"bytes=\xb2-\xb3")])
        twice = await http.get(url, headers=[("range", "bytes=0-1"), ("range", "bytes=3-4")])
        assert (strange.status_code, twice.status_code) == (200, 200)


async def test_conditions_are_weighed_before_ranges(centre: Centre, tape: Tape) -> None:
    id = await recording(centre, await call(centre))
    url, tag = await link(centre, id), f'"{id}"'
    part = {"range": "bytes=0-9"}
    async with centre.http() as http:

        async def status(**headers: str) -> int:
            answer = await http.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
            return answer.status_code

        assert await status(**part, if_range=tag) == 206
        for other in ('"x"', f"W/{tag}", "Mon, 05 Jan 2026 09:00:00 GMT", "nonsense", ""):
            assert await status(**part, if_range=other) == 200, other
        for same in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            answer = await http.get(url, headers={"if-none-match": same})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
            assert await status(**part, if_none_match=same) == 304
        assert await status(**part, if_none_match='"x"') == 206
        assert await status(if_match=tag) == 200
        assert await status(if_match="*") == 200
        assert await status(if_match='"x"') == 412
        assert await status(if_match=f"W/{tag}") == 412
        assert await status(accept="text/html") == 200
        head = await http.head(url, headers=part)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(tape.sound))
        assert "content-range" not in head.headers


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10), st.binary(max_size=24) | st.from_regex(rb"bytes=[0-9]{0,2}-[0-9]{0,2}", fullmatch=True))
def test_any_range_is_a_slice_or_the_whole_or_refused(length: int, header: bytes) -> None:
    try:
        span = wanted(header, length)
    except Fault as why:
        span, told = None, (why.problem.status, why.detail.headers)
    else:
        told = (416, (("Content-Range", f"bytes */{length}"),))
    assert told == (416, (("Content-Range", f"bytes */{length}"),))
    assert span is None or 0 <= span[0] < span[1] <= length


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "sealed"])
async def test_any_range_of_the_served_file_is_that_slice(
    opened: OpenHouse, tape: Tape, encrypted: bool, data: st.DataObject
) -> None:
    global _served
    if _served is None or _served[0] is not opened:
        centre = await opened(recordings_encryption=encrypted)
        _served = (opened, centre, await link(centre, await recording(centre, await call(centre))))
    _, centre, url = _served
    near = st.sampled_from([0, CHUNK, 2 * CHUNK, 4 * CHUNK, 256 * 1024, len(tape.sound)])
    place = st.builds(lambda edge, by: max(0, edge + by), near, st.integers(-3, 3)) | st.integers(0, 310_000)
    start = data.draw(place)
    stop = start + data.draw(st.sampled_from([1, CHUNK, CHUNK + 1]) | st.integers(1, 200_000))
    async with centre.http() as http:
        answer = await http.get(url, headers={"range": f"bytes={start}-{stop - 1}"})
    assert answer.status_code == (206 if start < len(tape.sound) else 416)
    if answer.status_code == 206:
        assert answer.content == tape.sound[start:stop]


_served: Any = None


class Shelf:
    """The least that sealed files need of where files are kept."""

    def __init__(self, content: bytes, pieces: int) -> None:
        self.content, self.pieces, self.touched = content, pieces, 0

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        for at in range(start, min(stop, len(self.content)), self.pieces):
            piece = self.content[at : min(stop, at + self.pieces)]
            self.touched += len(piece)
            yield piece


async def shut(key: str, plain: bytes, pieces: int) -> bytes:
    async def coming() -> AsyncIterator[bytes]:
        for at in range(0, len(plain), pieces):
            yield plain[at : at + pieces]

    return b"".join([piece async for piece in sealed(key, coming())])


async def opened_part(shelf: Any, key: str, length: int, start: int, stop: int) -> bytes:
    return b"".join([piece async for piece in unsealed(shelf, "a", key, length, start, stop)])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5]),
    st.integers(1000, 200_000),
    st.integers(1000, 200_000),
    st.data(),
)
async def test_a_sealed_file_gives_any_part_and_reads_no_more_than_it_needs(
    length: int, written: int, read: int, data: st.DataObject
) -> None:
    plain, key = os.urandom(length), new_key()
    shelf = Shelf(await shut(key, plain, written), read)
    assert len(shelf.content) == SALT + length + TAG * -(-length // CHUNK)
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start, length))
    assert await opened_part(shelf, key, length, start, stop) == plain[start:stop]
    assert shelf.touched <= SALT + (stop - start) + 2 * (CHUNK + TAG) + TAG * (stop - start) // CHUNK


async def test_a_sealed_file_that_was_changed_anywhere_is_noticed() -> None:
    plain, key = os.urandom(2 * CHUNK + 100), new_key()
    good = await shut(key, plain, CHUNK)
    one, two = SALT + CHUNK + TAG, SALT + 2 * (CHUNK + TAG)
    changed = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in (0, SALT, one - 1, one, two, len(good) - 1)]
    swapped = good[:SALT] + good[one:two] + good[SALT:one] + good[two:]
    for bad in (*changed, swapped, good[:two], good[:-1], good[:SALT], b"", await shut(key, plain[: 2 * CHUNK], 9000)):
        with pytest.raises(Tampered):
            await opened_part(Shelf(bad, CHUNK), key, len(plain), 0, len(plain))
    for length in (len(plain) - 1, 2 * CHUNK, CHUNK):  # said to be shorter than it is
        with pytest.raises(Tampered):
            await opened_part(Shelf(good, CHUNK), key, length, 0, length)
    with pytest.raises(Tampered):
        await opened_part(Shelf(good, CHUNK), new_key(), len(plain), 0, 10)
    assert await opened_part(Shelf(changed[-1], CHUNK), key, len(plain), 0, CHUNK) == plain[:CHUNK]


async def test_the_same_file_sealed_twice_shares_nothing() -> None:
    key, plain = new_key(), bytes(CHUNK)
    first, second = await shut(key, plain, CHUNK), await shut(key, plain, CHUNK)
    assert not {first[i : i + 16] for i in range(0, CHUNK, 16)} & {second[i : i + 16] for i in range(0, CHUNK, 16)}


async def test_sealed_audio_is_unreadable_at_rest_and_dies_with_its_key(opened: OpenHouse, tape: Tape) -> None:
    tape.sound = b"my number is 4929 " * 20_000
    centre = await opened(recordings_encryption=True)
    id = await recording(centre, await call(centre))
    url = await link(centre, id)
    async with centre.http() as http:
        assert (await http.get(url)).content == tape.sound
        stored = kept(centre, id).read_bytes()
        assert b"4929" not in stored
        row = await only(centre)
        assert row["bytes"] == len(tape.sound) == len(stored) - SALT - TAG * -(-len(tape.sound) // CHUNK)
        assert "4929" not in row["sealed"]
        flipped = bytearray(stored)
        flipped[SALT + 10] ^= 1
        kept(centre, id).write_bytes(flipped)
        for headers in ({}, {"range": "bytes=0-0"}):
            answer = await http.get(url, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (500, "recording_damaged")
        far = await http.get(url, headers={"range": f"bytes={CHUNK}-"})
        assert far.content == tape.sound[CHUNK:]  # what was not touched is still good
        flipped[SALT + 10] ^= 1
        flipped[-1] ^= 1
        kept(centre, id).write_bytes(flipped)
        assert tape.sound.startswith(await cut_short(centre, url))  # noticed when most of it had been sent
        kept(centre, id).unlink()
        assert (await http.get(url)).json()["code"] == "recording_damaged"
        kept(centre, id).write_bytes(stored)
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await domain.delete(ctx, call=row["call_id"], recording=id)
    assert (await only(centre))["sealed"] is None


async def test_a_plain_file_that_is_cut_off_or_gone_is_noticed(centre: Centre, tape: Tape) -> None:
    id = await recording(centre, await call(centre))
    url = await link(centre, id)
    async with centre.http() as http:
        assert (await http.get(url)).status_code == 200
        kept(centre, id).write_bytes(tape.sound[:-1])
        assert await cut_short(centre, url) == tape.sound[:-1]
        kept(centre, id).write_bytes(b"")
        assert (await http.get(url)).status_code == 500
        kept(centre, id).unlink()
        assert (await http.get(url)).json()["code"] == "recording_damaged"


async def test_a_carrier_that_fails_is_a_503_and_the_next_request_tries_again(centre: Centre, tape: Tape) -> None:
    id = await recording(centre, await call(centre))
    url = await link(centre, id)
    sound = tape.sound
    async with centre.http() as http:
        for at in (0, 200_000):
            tape.breaks_at = at
            answer = await http.get(url)
            assert (answer.status_code, answer.json()["code"]) == (503, "temporarily_unavailable")
            assert answer.headers["retry-after"] == "5"
            assert "tape" in answer.json()["description"]
        tape.breaks_at, tape.sound = None, b""
        assert (await http.get(url)).status_code == 503
        assert (await only(centre))["media"] is None
        assert not kept(centre, id).exists()
        assert list((kept(centre, id).parent.parent / "incoming").glob("*")) == []
        tape.sound = sound
        assert (await http.get(url)).content == sound
        lost = await recording(centre, await call(centre), carrier="nobody")
        assert (await http.get(await link(centre, lost))).status_code == 503
    assert centre.house.fetches == {}


async def test_a_carrier_that_says_nothing_is_not_waited_for(
    centre: Centre, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "PATIENCE", 0.05)
    tape.let_go.clear()
    async with centre.http() as http:
        url = await link(centre, await recording(centre, await call(centre)))
        assert (await http.get(url)).status_code == 503


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "sealed"])
async def test_first_requests_at_once_fetch_once(opened: OpenHouse, tape: Tape, encrypted: bool) -> None:
    centre = await opened(recordings_encryption=encrypted)
    url = await link(centre, await recording(centre, await call(centre)))
    tape.let_go.clear()
    async with centre.http() as http:
        asking = [asyncio.create_task(http.get(url)) for _ in range(8)]
        await asked(tape, 1)
        asking[0].cancel()  # whoever began it goes away
        await asyncio.sleep(0)
        tape.let_go.set()
        answers = await asyncio.gather(*asking[1:])
    assert all(answer.content == tape.sound for answer in answers)
    assert tape.asked == 1
    assert centre.house.fetches == {}


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "sealed"])
async def test_two_processes_may_fetch_the_same_at_once(opened: OpenHouse, tape: Tape, encrypted: bool) -> None:
    one = await opened(recordings_encryption=encrypted)
    other = await opened(recordings_encryption=encrypted)
    url = await link(one, await recording(one, await call(one)))
    tape.let_go.clear()
    asking = []
    for centre in (one, other):
        http = centre.http()
        asking.append(asyncio.create_task(http.get(url)))
    await asked(tape, 2)
    tape.let_go.set()
    answers = await asyncio.gather(*asking)
    assert [answer.content == tape.sound for answer in answers] == [True, True]
    for centre in (one, other):
        async with centre.http() as http:
            part = await http.get(url, headers={"range": "bytes=100000-250000"})
        assert part.content == tape.sound[100_000:250_001]


async def test_what_is_deleted_while_it_is_fetched_is_not_kept(centre: Centre, tape: Tape) -> None:
    talked = await call(centre)
    id = await recording(centre, talked)
    url = await link(centre, id)
    tape.let_go.clear()
    async with centre.http() as http:
        asking = asyncio.create_task(http.get(url))
        await asked(tape, 1)
        async with centre.house.db.writing() as tx:
            await domain.delete(centre.house.ctx(tx, await centre.account(), "test"), call=talked, recording=id)
        await centre.settle()
        tape.let_go.set()
        assert (await asking).status_code == 410
    assert not kept(centre, id).exists()


async def test_an_administrator_drops_the_audio_and_the_row_stays(centre: Centre, tape: Tape) -> None:
    talked, elsewhere = await call(centre), await call(centre)
    id = await recording(centre, talked)
    url = await link(centre, id)
    ana, rui = await centre.user(), await centre.user(email="rui@acme.example", roles=["agent"])
    here = f"/interactions/{talked}/recordings/{id}"
    good = await browser(centre, ana)
    async with centre.http() as http:
        assert (await http.get(url)).status_code == 200
    token = await centre.signed_in(READ)
    for headers, status in (
        ({"authorization": token.headers["authorization"]}, 401),
        ({"cookie": good["cookie"]}, 403),
        ({"cookie": good["cookie"], "origin": "https://evil.example"}, 403),
        (await browser(centre, rui), 403),
    ):
        async with centre.http(**headers) as http:
            assert (await http.delete(here)).status_code == status
    async with centre.http(**good) as http:
        assert (await http.delete(f"/interactions/{elsewhere}/recordings/{id}")).status_code == 404
        assert (await http.delete(f"/interactions/{talked}/recordings/{talked}")).status_code == 404
        assert (await http.delete(here)).status_code == 204
        again = await http.delete(here)
        assert (again.status_code, again.json()["code"]) == (410, "recording_gone")
    await centre.settle()
    assert not kept(centre, id).exists()
    assert (await only(centre))["gone_at"] == centre.world.now()
    async with await centre.signed_in(READ) as http:
        assert (await http.get(f"/recordings/{id}")).json()["recording"]["id"] == id
        assert (await http.get(f"/calls/{talked}/recordings")).json()["total"] == 1
        assert (await http.get(f"/recordings/{id}/media")).json()["code"] == "recording_gone"
    async with centre.http() as http:
        assert (await http.get(url)).status_code == 410
    told = await centre.rows(FOR_KEY, account=await centre.account(), key=talked)
    told = [event for event in told if event["type"] != "recording.media_requested"]
    assert [(e["type"], e["actor"], e["data"]["id"], e["data"]["reason"]) for e in told] == [
        ("recording.deleted", f"user:{ana}", id, "deleted")
    ]


async def test_administrators_start_and_pause_the_recording_of_a_call_that_goes_on(centre: Centre) -> None:
    live, over = await call(centre, state="talk"), await call(centre)
    ana = await centre.user()
    async with centre.http(**await browser(centre, ana)) as http:
        for verb in ("start", "pause"):
            answer = await http.post(f"/interactions/{live}/actions/{verb}_recording")
            assert (answer.status_code, answer.content) == (202, b"")
            ended = await http.post(f"/interactions/{over}/actions/{verb}_recording")
            assert (ended.status_code, ended.json()["code"]) == (409, "call_ended")
            assert (await http.post(f"/interactions/{'0' * 32}/actions/{verb}_recording")).status_code == 404
    async with centre.http(cookie=(await browser(centre, ana))["cookie"]) as http:
        assert (await http.post(f"/interactions/{live}/actions/start_recording")).status_code == 403
    async with await centre.signed_in(READ) as http:
        assert (await http.post(f"/interactions/{live}/actions/start_recording")).status_code == 401
    told = [(row["command"], row["args"]["call"], row["args"]["signal"]["what"]) for row in await centre.rows(INBOX)]
    assert told == [("signal", live, "record"), ("signal", live, "pause_recording")]


async def test_retention_drops_what_is_old_in_every_account_and_nothing_else(opened: OpenHouse, tape: Tape) -> None:
    centre = await opened(recordings_retention=86_400)
    now = centre.world.now()
    old, theirs, young = await call(centre), await call(centre, "rival"), await call(centre)
    heard = await recording(centre, old, created_at=now - timedelta(seconds=86_500))
    async with centre.http() as http:
        assert (await http.get(await link(centre, heard))).status_code == 200
    unheard = await recording(centre, theirs, "rival", created_at=now - timedelta(days=40))
    many = [
        await recording(centre, old, number=n, created_at=now - timedelta(days=2)) for n in range(1, domain.CHUNK + 10)
    ]
    fresh = await recording(centre, young, created_at=now - timedelta(seconds=70_000))
    await centre.settle()
    assert all(row["gone_at"] is None for row in await centre.rows(ROWS))  # not before the hour has passed
    centre.world.advance(3600)
    await centre.settle()
    gone = {row["id"] for row in await centre.rows(ROWS) if row["gone_at"] is not None}
    assert gone == {heard, unheard, *many}
    assert not kept(centre, heard).exists()
    told = await centre.rows(FOR_KEY, account=await centre.account("rival"), key=theirs)
    assert [(e["type"], e["data"]["id"], e["data"]["reason"]) for e in told] == [
        ("recording.deleted", unheard, "expired")
    ]
    async with await centre.signed_in(READ) as http:
        assert (await http.get(f"/recordings/{heard}/media")).status_code == 410
        assert (await http.get(f"/recordings/{fresh}/media")).status_code == 303


async def test_without_the_setting_everything_is_kept(centre: Centre) -> None:
    await recording(centre, await call(centre), created_at=centre.world.now() - timedelta(days=3000))
    await centre.settle()
    centre.world.advance(3600)
    await centre.settle()
    assert (await only(centre))["gone_at"] is None


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "sealed"])
async def test_audio_in_a_bucket_is_served_by_parts_too(
    opened: OpenHouse, tape: Tape, bucket: dict[str, str], encrypted: bool  # noqa: F811
) -> None:  # fmt: skip
    centre = await opened(recordings_encryption=encrypted, **bucket)
    talked = await call(centre)
    id = await recording(centre, talked)
    url = await link(centre, id)
    async with centre.http() as http:
        tape.breaks_at = 100_000
        assert (await http.get(url)).status_code == 503
        tape.breaks_at = None
        assert (await http.get(url)).content == tape.sound
        for start, stop in ((0, 1), (65_530, 65_540), (70_000, 299_999), (300_006, 300_007)):
            answer = await http.get(url, headers={"range": f"bytes={start}-{stop - 1}"})
            assert (answer.status_code, answer.content) == (206, tape.sound[start:stop])
        async with centre.house.db.writing() as tx:
            await domain.delete(centre.house.ctx(tx, await centre.account(), "test"), call=talked, recording=id)
        await centre.settle()
        assert (await http.get(url)).status_code == 410
    assert await centre.house.blobs.length(id) is None


def handles(path: Path) -> int:
    """How often a file is open in this process."""
    found = 0
    for handle in Path("/proc/self/fd").iterdir():
        try:
            found += handle.resolve() == path.resolve()
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "sealed"])
async def test_a_listener_who_goes_away_leaves_no_open_file_and_no_error(
    opened: OpenHouse, tape: Tape, encrypted: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    tape.sound = os.urandom(3_000_000)
    centre = await opened(recordings_encryption=encrypted)
    id = await recording(centre, await call(centre))
    url = await link(centre, id)
    async with centre.http() as http:
        assert (await http.get(url, headers={"range": "bytes=0-0"})).status_code == 206
    gone, sent = asyncio.Event(), 0

    async def receive() -> dict[str, Any]:
        if sent == 0:
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def quiet(message: dict[str, Any]) -> None:
        """A server that drops what is sent to nobody, as granian does."""
        nonlocal sent
        sent += len(message.get("body", b""))
        if sent > 300_000:
            gone.set()
            await asyncio.sleep(0)

    async def loud(message: dict[str, Any]) -> None:
        """One that says so."""
        await quiet(message)
        if gone.is_set():
            raise BrokenPipeError("nobody there")

    for send in (quiet, loud):
        gone.clear()
        sent = 0
        await centre.app(scope_of(url), receive, send)
        assert 300_000 < sent < 1_500_000
        assert handles(kept(centre, id)) == 0
    gone.clear()
    listening = asyncio.create_task(centre.app(scope_of(url), patient, quiet))
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    gc.collect()
    assert handles(kept(centre, id)) == 0
    said = capfd.readouterr()
    assert "error" not in (said.out + said.err).lower()


@pytest.mark.process
@pytest.mark.skipif(bool(POSTGRES), reason="a server on a file of its own")
def test_a_real_server_serves_parts_and_the_command_line_saves_the_same(tmp_path: Path) -> None:
    server = start(tmp_path, "--demo", recordings_encryption=True, rate_limit=0)
    try:
        database = tmp_path / "ringfence.db"
        account = json_of(server.ringfence("accounts", "list", "--json"))[0]["id"]
        call_id, id = "c" * 32, "d" * 32
        put(database, account, call_id, id, seconds=120)
        assert id in server.ringfence("recordings", "list", call_id)
        assert json_of(server.ringfence("recordings", "list", call_id, "--json"))[0]["channels"] == SPEAKERS
        made = server.ringfence("clients", "create", "ears", "--scope", READ)
        client_id, secret = (line.split()[-1] for line in made.splitlines() if line.startswith("client_"))
        form = {"grant_type": "client_credentials"}
        token = httpx.post(f"{server.base}/oauth/token", data=form, auth=(client_id, secret)).json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        url = httpx.get(f"{server.base}/recordings/{id}/media", headers=bearer).headers["location"]
        whole = httpx.get(url).content
        assert len(whole) == audio.length(120)
        assert httpx.get(url, headers={"range": "bytes=-100"}).content == whole[-100:]
        parts = urlsplit(url)
        assert parts.hostname is not None
        for _ in range(20):  # listeners who hang up
            with socket.create_connection((parts.hostname, parts.port or 80)) as line:
                line.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                assert line.recv(1000)
        time.sleep(0.5)
        kept_at = next(tmp_path.glob(f"*-files/*/{id}"))
        open_files = [os.path.realpath(f) for f in Path(f"/proc/{server.process.pid}/fd").iterdir()]
        assert str(kept_at) not in open_files
        server.ringfence("recordings", "save", id, "-o", "call.wav")
        assert (tmp_path / "call.wav").read_bytes() == whole
        piped = subprocess.run(
            [str(RINGFENCE), "recordings", "save", id], cwd=tmp_path, env=server.environment, capture_output=True
        )
        assert piped.stdout == whole
        assert "no such resource" in missing(server, tmp_path, "save", "x").lower()
        assert "no such resource" in missing(server, tmp_path, "list", "x").lower()
        assert b"error" not in (tmp_path / "server.log").read_bytes().lower()
    finally:
        server.process.terminate()
        server.process.wait(10)


def json_of(text: str) -> Any:
    return json.loads(text)


def missing(server: Any, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(RINGFENCE), "recordings", *arguments], cwd=folder, env=server.environment, capture_output=True
    )
    assert done.returncode == 1
    return done.stderr.decode()


def put(database: Path, account: str, call: str, id: str, seconds: int) -> None:
    """Rows of a call that is over, from beside the server."""
    with sqlite3.connect(database, timeout=10) as connection:
        connection.execute(
            "INSERT INTO interactions (account_id, id, state, direction, company_number, contact_number, started_at,"
            " doc) VALUES (?, ?, 'ended', 'IN', '+351210000100', '+351910000000', 0, '{}')",
            (account, call),
        )
        connection.execute(
            "INSERT INTO recordings (account_id, id, call_id, number, type, duration, channels, carrier, created_at)"
            " VALUES (?, ?, ?, 0, 'conversation', ?, ?, 'simulated', 0)",
            (account, id, call, seconds, json.dumps(SPEAKERS)),
        )
    connection.close()


async def test_a_long_recording_is_fetched_and_sent_in_little_memory(opened: OpenHouse, tape: Tape) -> None:
    centre = await opened(recordings_encryption=True)
    url = await link(centre, await recording(centre, await call(centre), carrier="simulated", duration=1800))
    count = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal count
        count += len(message.get("body", b""))

    tracemalloc.start()
    await centre.app(scope_of(url), patient, send)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == audio.length(1800) == 57_600_044
    assert most < 6_000_000


def spoken(kind: str, seconds: int = 20, **who: str) -> tuple["array[int]", "array[int]"]:
    """Both channels of a made-up recording."""
    whole = b"".join(audio.conversation("a call", seconds, kind=kind, **who))
    both = array("h", whole[audio.HEADER :])
    return both[0::2], both[1::2]


@pytest.mark.parametrize("seconds", [0, 1, 2, 61])
def test_made_up_audio_is_a_wav_file_of_the_length_that_was_said(seconds: int) -> None:
    whole = b"".join(audio.conversation("a call", seconds, kind="conversation"))
    assert len(whole) == audio.length(seconds)
    assert b"".join(audio.conversation("a call", seconds, kind="conversation")) == whole
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        assert file.getnframes() == seconds * 8000
        assert len(file.readframes(10**9)) == seconds * 32_000


def test_made_up_audio_differs_by_call_and_stays_within_its_limits() -> None:
    one, other = (b"".join(audio.conversation(seed, 5, kind="conversation")) for seed in ("a", "b"))
    assert one != other
    left, right = spoken("conversation")
    assert 3000 < max(map(abs, left)) < 32767
    assert 3000 < max(map(abs, right)) < 32767
    for bad in (-1, audio.LONGEST + 1):
        with pytest.raises(ValueError):
            next(audio.conversation("a", bad, kind="conversation"))


def loudness(channel: "array[int]") -> list[float]:
    """Of each tenth of a second."""
    return [sum(map(abs, channel[i : i + 800])) / 800 for i in range(0, len(channel), 800)]


def test_people_take_turns_and_a_voicemail_has_one_speaker() -> None:
    left, right = (loudness(channel) for channel in spoken("conversation", 60))
    heard = [(a > 100, b > 100) for a, b in zip(left, right, strict=True)]
    assert sum(a for a, _ in heard) > 50
    assert sum(b for _, b in heard) > 50
    assert sum(a and b for a, b in heard) < 20  # only where one follows the other
    alone, nobody = (loudness(channel) for channel in spoken("voicemail", 60))
    assert sum(a > 100 for a in alone) > 200
    assert max(nobody) < 10


def pitch(channel: "array[int]") -> float:
    """The pitch of a channel in Hz: the lag at which most of its loud stretches repeat themselves."""
    lags = range(28, 100)
    total = dict.fromkeys(lags, 0.0)
    for at in range(0, len(channel) - 1000, 800):
        part = channel[at : at + 600]
        if sum(map(abs, part)) / 600 < 800:
            continue
        energy = sum(x * x for x in part[:400]) or 1
        for lag in lags:
            total[lag] += sum(a * b for a, b in zip(part[:400], part[lag : lag + 400], strict=False)) / energy
    best = max(total.values())
    return 8000 / next(lag for lag in lags if total[lag] > 0.9 * best)


def test_a_person_has_one_voice_and_another_person_another() -> None:
    names = ["ana", "rui", "eva", "joao"]
    heard = {name: [pitch(spoken("voicemail", 12, voice=name)[0])] for name in names}
    for name in names:
        other = b"".join(audio.conversation("another call", 12, kind="conversation", voice=name))
        heard[name].append(pitch(array("h", other[audio.HEADER :])[0::2]))
        real = audio.voice_of(name).pitch
        assert all(abs(p / real - 1) < 0.12 for p in heard[name]), (name, real, heard[name])
    assert len({audio.voice_of(name) for name in names}) == len(names)


def test_three_minutes_of_audio_take_well_under_a_second() -> None:
    began = time.perf_counter()
    assert sum(map(len, audio.conversation("a call", 180, kind="conversation"))) == audio.length(180)
    assert time.perf_counter() - began < 1.0  # 0.03 s on an idle machine


async def test_a_file_is_declared_where_it_is_answered() -> None:
    async def hear(ctx: Any) -> File: ...  # type: ignore[empty-body]

    async def tell(ctx: Any) -> None: ...

    for run, serves in ((hear, ""), (tell, "audio/wav")):
        with pytest.raises(TypeError, match="serves"):
            Endpoint(Operation("GET", "/x", PUBLIC, run, serves=serves))
    assert Endpoint(Operation("GET", "/x", PUBLIC, hear, serves="audio/wav")).forgiving
