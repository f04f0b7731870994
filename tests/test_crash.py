"""Nothing acknowledged is lost: the server is killed in the middle of writing, again and again."""

import asyncio
import random
import sqlite3
import time
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.servers import Server, serving, start

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROUNDS = 20
WRITERS = 8
SETTINGS = {"rate_limit": 0, "token_rate_limit": 0}


async def write_until_killed(server: Server, after: float) -> list[str]:
    """Post contacts from several connections; the ids that were acknowledged before the server died."""
    full = server.client("full")
    acknowledged: list[str] = []
    limits = httpx.Limits(max_connections=WRITERS)
    async with httpx.AsyncClient(base_url=server.base, limits=limits, timeout=5) as http:
        form = {"grant_type": "client_credentials", "scope": "contacts:write"}
        answer = await http.post("/oauth/token", data=form, auth=(full["client_id"], full["client_secret"]))
        headers = {"authorization": f"Bearer {answer.json()['access_token']}"}

        async def write() -> None:
            while True:
                try:
                    made = await http.post("/contacts", json={"name": "x", "phones": []}, headers=headers)
                except httpx.HTTPError:
                    return
                assert made.status_code == 201, made.text
                acknowledged.append(made.json()["contact"]["id"])

        writers = [asyncio.create_task(write()) for _ in range(WRITERS)]
        await asyncio.sleep(after)
        server.kill()
        await asyncio.gather(*writers)
    return acknowledged


def test_every_acknowledged_contact_survives_twenty_kills(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        server = start(tmp_path, "--demo", **SETTINGS)
        acknowledged += asyncio.run(write_until_killed(server, random.uniform(0.1, 0.4)))
    assert len(acknowledged) > ROUNDS * WRITERS
    assert len(acknowledged) == len(set(acknowledged))
    with serving(tmp_path, "--demo", **SETTINGS):
        wait_for_reactions(tmp_path / "ringfence.db")
    with sqlite3.connect(tmp_path / "ringfence.db") as db:
        kept = {row[0] for row in db.execute("SELECT id FROM contacts")}
        assert set(acknowledged) <= kept
        places = [row[0] for row in db.execute("SELECT place FROM events ORDER BY place")]
        assert places == list(range(1, len(places) + 1))
        told = {row[0] for row in db.execute("SELECT key FROM events WHERE type = 'contact.created'")}
        assert told == kept
        (tallied,) = db.execute("SELECT sum(count) FROM tallies").fetchone()
        assert tallied == len(places)
    db.close()


def wait_for_reactions(path: Path) -> None:
    """Until the cursor of every reaction is at the end of the log."""
    db = sqlite3.connect(path)
    give_up = time.monotonic() + 30
    while True:
        last = db.execute("SELECT max(place) FROM events").fetchone()[0]
        behind = db.execute("SELECT count(*) FROM cursors WHERE place < ?", (last,)).fetchone()[0]
        if not behind:
            break
        assert time.monotonic() < give_up, "a reaction does not catch up"
        time.sleep(0.1)
    db.close()
