"""Webhooks of a real server process, which is killed again and again while it sends."""

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from standardwebhooks import Webhook

from .servers import Server, start

pytestmark = [pytest.mark.process, pytest.mark.slow]
SETTINGS = {"rate_limit": 0, "token_rate_limit": 0, "private_receivers": "on"}
KILLS = 10
PEOPLE, CHANGES = 800, 4  # events: one for each person, and one for each change
WRITERS = 16


class Receiver:
    """Keeps every event in the order of coming; slow while `pause` says so."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []  # (key, event id)
        self.secret, self.pause, self.url = "", 0.2, ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                event: Any = Webhook(self.secret).verify(body.decode(), headers)
                self.came.append((event["data"]["id"], event["id"]))
                await asyncio.sleep(self.pause)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        writer.close()

    async def until(self, count: int, patience: float) -> None:
        async with asyncio.timeout(patience):
            while len(self.came) < count:  # noqa: ASYNC110 - filled by connections
                await asyncio.sleep(0.02)


async def fill(server: Server, receiver: Receiver) -> None:
    """Subscribe, then make people and change them several times each."""
    full = server.client("full")
    async with httpx.AsyncClient(base_url=server.base, timeout=30) as http:
        form = {"grant_type": "client_credentials", "scope": "contacts:write contacts:read events:write"}
        answer = await http.post("/oauth/token", data=form, auth=(full["client_id"], full["client_secret"]))
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        wanted = {"callback_url": receiver.url, "event_types": ["contact.created", "contact.changed"]}
        receiver.secret = (await http.put("/events/subscriptions", json=wanted)).json()["secret"]
        left = iter(range(PEOPLE))

        async def write() -> None:
            for number in left:
                made = await http.post("/contacts", json={"name": f"Person {number}"})
                path = f"/contacts/{made.json()['contact']['id']}"
                for change in range(CHANGES):
                    assert (await http.patch(path, json={"title": f"No. {change}"})).status_code == 200

        await asyncio.gather(*(write() for _ in range(WRITERS)))


async def test_ten_kills_lose_no_event_and_keep_the_order_of_each_key(tmp_path: Path, database: str) -> None:
    receiver = Receiver()
    listening = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    settings = SETTINGS | {"database": database, "secret_key": "5a" * 32}

    async def begin() -> Server:
        return await asyncio.to_thread(start, tmp_path, "--demo", **settings)

    server = await begin()
    await fill(server, receiver)
    receiver.pause = 0.001
    total = PEOPLE * (1 + CHANGES)
    try:
        for kills in range(KILLS):
            left = total - len({id for _, id in receiver.came})  # on a slow machine many have come already
            await receiver.until(len(receiver.came) + left // (KILLS - kills + 2), 200)
            server.kill()
            server = await begin()
        async with asyncio.timeout(400):
            while len({id for _, id in receiver.came}) < total:  # noqa: ASYNC110 - filled by connections
                await asyncio.sleep(0.1)
        log = await asyncio.to_thread(server.ringfence, "events", "tail", "--json", "--last", "100000")
        listed = await asyncio.to_thread(server.ringfence, "events", "subscriptions", "--json")
        [subscription] = json.loads(listed)
        assert "whsec" not in listed
        assert "sealed" not in listed
        first, before = receiver.came[0], len(receiver.came)
        await asyncio.to_thread(server.ringfence, "events", "replay", subscription["id"], "--event", first[1])
        await receiver.until(before + 1, 120)
        assert receiver.came[-1] == first
    finally:
        server.kill()
        listening.close()
    wanted: dict[str, list[str]] = defaultdict(list)
    got: dict[str, list[str]] = defaultdict(list)
    for event in map(json.loads, log.splitlines()):
        if event["type"] in ("contact.created", "contact.changed") and event["actor"].startswith("client:"):
            wanted[event["key"]].append(event["id"])
    for key, id in receiver.came:
        if id not in got[key]:
            got[key].append(id)
    assert sum(map(len, wanted.values())) == total
    assert got == wanted
    again = before - total
    assert again <= KILLS * 100, "what was on the way at a kill comes again, and no more"
