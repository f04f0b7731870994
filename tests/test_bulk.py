"""Files from outside: a server that is killed in the middle, a sender that gives up, the commands that move files."""

import csv
import hashlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import psycopg
import pytest

from ringfence.store.migrate import migrate
from tests.conftest import POSTGRES, SECRET
from tests.servers import RINGFENCE, Server, serving, start

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROWS = 40_000
SETTINGS: dict[str, Any] = {"rate_limit": 0, "token_rate_limit": 0}


def people(count: int) -> Iterator[str]:
    """A header and rows with numbers in no order; every tenth row has the number of the one before it."""
    yield "first_name,last_name,phone_number,tier\n"
    number = ""
    for index, chosen in enumerate(random.Random(5).sample(range(910_000_000, 970_000_000), count)):
        number = number if index % 10 == 9 else f"+351{chosen}"
        yield f"Ana{index},Sol,{number},gold\n"


def signed_in(server: Server) -> httpx.Client:
    """A client whose token may do everything."""
    full = server.client("full")
    form = {"grant_type": "client_credentials"}
    auth = (full["client_id"], full["client_secret"])
    token = httpx.post(f"{server.base}/oauth/token", data=form, auth=auth).json()["access_token"]
    return httpx.Client(base_url=server.base, timeout=30, headers={"authorization": f"Bearer {token}"})


def announced(content: bytes) -> dict[str, Any]:
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"filename": "a.csv", "byte_size": len(content), "checksum": checksum, "content_type": "text/csv"}


def validated(server: Server, path: str, *, until: int) -> dict[str, Any]:
    """The list once it holds so many records, or its validation is over."""
    give_up = time.monotonic() + 60
    with signed_in(server) as http:
        while True:
            found: dict[str, Any] = http.get(path).json()
            started = found["status"] in ("UPLOADED", "VALIDATION_STARTED", "INCOMPLETE")
            if not started or found["records_count"] >= until:
                return found
            assert time.monotonic() < give_up, found
            time.sleep(0.02)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings for an empty database that outlives its servers, of the kind that is being tested."""
    if not POSTGRES:
        yield {"database": f"sqlite:///{tmp_path / 'ringfence.db'}"}
        return
    server, _, name = POSTGRES.rpartition("/")
    url = f"{server}/{name}_bulk"
    with psycopg.connect(POSTGRES, autocommit=True) as db:
        db.execute(f"DROP DATABASE IF EXISTS {name}_bulk WITH (FORCE)")
        db.execute(f"CREATE DATABASE {name}_bulk")
        migrate(url)
        yield {"database": url, "secret_key": SECRET}
        db.execute(f"DROP DATABASE {name}_bulk WITH (FORCE)")


def counted(url: str, sql: str) -> tuple[int, ...]:
    """The one row of a query, asked of the database itself."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            found: tuple[int, ...] = file.execute(sql).fetchone()
            return found
    with psycopg.connect(url) as remote:
        return tuple(remote.execute(sql.encode()).fetchone() or ())


def test_killed_again_and_again_a_validation_ends_with_every_record_once(tmp_path: Path, own: dict[str, str]) -> None:
    content = "".join(people(ROWS)).encode()
    settings = SETTINGS | own | {"files": str(tmp_path / "files")}
    server = start(tmp_path, "--demo", **settings)
    try:
        with signed_in(server) as http, httpx.Client(timeout=30) as bare:
            wanted = {"name": "Bulk", "unique_identifier_type": "PHONE_NUMBER", "csv_metadata": announced(content)}
            made = http.post("/record-lists", json=wanted).json()
            path = f"/record-lists/{made['id']}"
            put = bare.put(made["signed_url"], content=content, headers={"content-type": "text/csv"})
            assert put.status_code == 204
            step = {"op": "replace", "path": "/status", "value": "UPLOADED"}
            assert http.patch(path, json=step).status_code == 200
        for stored in (0, 1, ROWS // 3):
            validated(server, path, until=stored)
            server.kill()
            server = start(tmp_path, "--demo", **settings)
        found = validated(server, path, until=ROWS)
    finally:
        server.kill()
    kept = ROWS - ROWS // 10
    assert (found["status"], found["records_count"]) == ("ACCEPTED", kept)
    told = found["validation"]
    assert (told["rows"], told["accepted"], told["rejected"]) == (ROWS, kept, ROWS // 10)
    ours = "list_id IN (SELECT id FROM lists WHERE name = 'Bulk')"
    url = own["database"]
    assert counted(url, f"SELECT count(*), count(DISTINCT id) FROM records WHERE {ours}") == (kept, kept)  # noqa: S608 - no input in it
    assert counted(url, f"SELECT count(*) FROM record_phones WHERE {ours}") == (kept,)  # noqa: S608 - no input in it
    assert counted(url, "SELECT count(*) FROM events WHERE type = 'record_list.validated'") == (1,)
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def test_half_a_file_leaves_nothing_and_may_be_sent_again(tmp_path: Path) -> None:
    content = "".join(people(2000)).encode()
    with serving(tmp_path, "--demo", **SETTINGS) as server:
        with signed_in(server) as http:
            made = http.post("/record-lists", json={"name": "Half", "csv_metadata": announced(content)}).json()
        url = urlsplit(made["signed_url"])
        files = tmp_path / "ringfence.db-files"
        before = sorted(files.rglob("*")) if files.exists() else []
        with socket.create_connection((url.hostname or "", url.port or 0)) as raw:
            head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: text/csv\r\n"
            raw.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[: len(content) // 2])
            time.sleep(0.3)
        time.sleep(0.5)
        after = [path for path in files.rglob("*") if path.is_file()] if files.exists() else []
        assert [path for path in after if path not in before] == []
        with httpx.Client(timeout=30) as bare:
            sent = bare.put(made["signed_url"], content=content, headers={"content-type": "text/csv"})
        assert sent.status_code == 204, sent.text


def test_files_go_in_and_out_by_command_also_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("".join(people(ROWS)))
    with serving(tmp_path, "--demo", **SETTINGS):
        pass
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RINGFENCE_")}
    environment |= {"RINGFENCE_DATABASE": f"sqlite:///{tmp_path / 'ringfence.db'}"}

    def ringfence(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(RINGFENCE), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert "no record list" in ringfence("lists", "import", "Mine", "people.csv").stderr
    command = [str(RINGFENCE), "lists", "import", "Mine", "people.csv", "--create"]
    for _ in range(2):
        running = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.5, 2.5))
        running.send_signal(signal.SIGKILL)
        running.wait(10)
    done = ringfence("lists", "import", "Mine", "people.csv", "--create")
    kept = ROWS - ROWS // 10
    # on a quick machine one that was to be killed has finished: then all rows are there already, and none is taken
    assert f"ACCEPTED: {kept} of {ROWS} rows taken" in done.stdout or f": 0 of {ROWS}" in done.stdout, done
    assert ringfence("lists", "export", "Mine", "-o", "out.csv").returncode == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["home"] for row in rows}) == kept
    assert {row["tier"] for row in rows} == {"gold"}
    (tmp_path / "people.csv").write_text("name,emails,phones,tier\nEva,work=eva@x.example,,gold\nRui,,,\nBad,no,,\n")
    first = ringfence("contacts", "import", "people.csv")
    assert first.stdout.startswith("2 added, 0 known already, 1 refused"), first
    assert ringfence("contacts", "import", "people.csv").stdout.startswith("1 added, 1 known already, 1 refused")
    assert ringfence("contacts", "export", "-o", "contacts.csv").returncode == 0
    assert "Eva,,,,,work=eva@x.example,,,,gold" in (tmp_path / "contacts.csv").read_text()
    (tmp_path / "people.csv").write_bytes("name\nEva\n".encode("utf-16"))
    refused = ringfence("contacts", "import", "people.csv")
    assert refused.returncode == 1
    assert "row 1: the file is UTF-16" in refused.stderr
