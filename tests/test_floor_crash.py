"""A server that is killed again and again while calls go on: nothing answered is lost, and every call ends."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx2 as httpx
import pytest

from .servers import Server, start

pytestmark = [pytest.mark.process, pytest.mark.slow]
SETTINGS = {"rate_limit": 0, "token_rate_limit": 0, "flows_rate_limit": 0, "secret_key": "5a" * 32}
KILLS = 8
CALLERS = 6


async def call(server: Server, acknowledged: list[str], stop: asyncio.Event) -> None:
    """Start flows, one after another, until told to stop or the server is gone."""
    full = server.client("full")
    flow = next(one["id"] for one in FLOWS if one["name"] == "sales")
    async with httpx.AsyncClient(base_url=server.base, timeout=10) as http:
        form = {"grant_type": "client_credentials", "scope": "flows-interactions:start"}
        try:
            answer = await http.post("/oauth/token", data=form, auth=(full["client_id"], full["client_secret"]))
            http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            while not stop.is_set():
                contact = f"+35191{len(acknowledged):07}"
                answer = await http.post(f"/flows/{flow}/interactions", json={"contact_phone_number": contact})
                assert answer.status_code == 201, answer.text
                acknowledged.append(answer.json()["interaction_id"])
                await asyncio.sleep(0.05)
        except (httpx.HTTPError, json.JSONDecodeError):
            return


FLOWS: list[dict[str, str]] = []


async def test_kills_lose_no_call_and_no_execution(tmp_path: Path, database: str) -> None:
    settings = SETTINGS | {"database": database}

    async def begin() -> Server:
        return await asyncio.to_thread(start, tmp_path, "--demo", "--speed", "60", **settings)

    server = await begin()
    FLOWS[:] = json.loads(await asyncio.to_thread(server.ringfence, "flows", "list", "--json"))
    for agent in ("duarte", "elsa", "joel"):
        await asyncio.to_thread(server.ringfence, "agents", "status", f"{agent}@acme.example", "available")
    acknowledged: list[str] = []
    for _ in range(KILLS):
        stop = asyncio.Event()
        callers = [asyncio.create_task(call(server, acknowledged, stop)) for _ in range(CALLERS)]
        await asyncio.sleep(1.5)
        server.kill()
        stop.set()
        await asyncio.gather(*callers)
        server = await begin()
    try:
        async with asyncio.timeout(90):
            live = ("calls", "list", "--live", "--json")
            while json.loads(await asyncio.to_thread(server.ringfence, *live)):  # noqa: ASYNC110 - by the server
                await asyncio.sleep(1)
        log = await asyncio.to_thread(server.ringfence, "events", "tail", "--json", "--last", "1000000")
    finally:
        server.kill()
    counts: dict[str, Counter[str]] = {}
    for event in map(json.loads, log.splitlines()):
        counts.setdefault(event["type"], Counter())[event["key"]] += 1
    assert len(acknowledged) > 100
    for type in ("call.started", "call.ended", "flow.started", "flow.finished"):
        assert {id: counts[type][id] for id in acknowledged} == dict.fromkeys(acknowledged, 1), type
        assert set(counts[type].values()) == {1}, "also of what was not acknowledged: once or never"
    assert counts["call.answered"].total() > 10
