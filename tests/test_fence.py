"""The view that every request is checked against, and what happens when it cannot be trusted."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, select

from ringfence.fence import grants, view
from ringfence.fence.usage import OF_CLIENT
from ringfence.kernel.problems import Fault
from ringfence.store.statement import Statement
from ringfence.store.tables.identity import fence_changes
from ringfence.store.tables.log import events
from tests.conftest import Centre, OpenHouse

KEYED = Statement(select(events).where(events.c.account_id == bindparam("account"), events.c.type == bindparam("t")))


async def remove(centre: Centre, client: Any, scope: str) -> None:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, client.row["account_id"], "test")
        await grants.remove(ctx, client=client.row["id"], scope=scope, reason="")


async def test_another_process_refuses_once_it_has_looked(opened: OpenHouse) -> None:
    first, second = await opened(), await opened()
    client = await first.client("contacts:read")
    token = await first.token(client)
    await second.house.view.acknowledge(second.world.now())  # as `serve` does before it takes requests
    watching = asyncio.create_task(second.house.view.watch(0.02, second.house.world.now))
    try:
        async with second.http(Authorization=f"Bearer {token}") as http:
            assert (await http.get("/contacts")).status_code == 200
            await remove(first, client, "contacts:read")
            assert await view.settle(first.house.db, 3)
            assert (await http.get("/contacts")).status_code == 403
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_silent_process_is_waited_for_no_longer_than_the_limit(opened: OpenHouse) -> None:
    first, silent = await opened(), await opened()
    await silent.house.view.acknowledge(silent.house.world.now())
    await remove(first, await first.client("contacts:read"), "contacts:read")
    started = time.monotonic()
    assert not await view.settle(first.house.db, 0.3)
    assert 0.25 < time.monotonic() - started < 2
    assert await view.settle(first.house.db, 0.3)


async def test_a_view_that_cannot_be_confirmed_refuses(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await centre.token(await centre.client("contacts:read"))
    async with centre.http(Authorization=f"Bearer {token}") as http:
        assert (await http.get("/contacts")).status_code == 200

        async def broken() -> bool:
            raise OSError

        monkeypatch.setattr(centre.house.view, "refresh", broken)
        assert (await http.get("/contacts")).status_code == 200
        centre.house.view.confirmed -= 10
        refused = await http.get("/contacts")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["code"] == "temporarily_unavailable"


async def test_use_is_counted_by_client_scope_and_operation(centre: Centre) -> None:
    client = await centre.client("contacts:read", "account:read")
    async with centre.http(Authorization=f"Bearer {await centre.token(client)}") as http:
        for _ in range(3):
            await http.get("/contacts")
        await http.get("/account")
        await http.post("/contacts", json={"name": "x"})
    await centre.house.usage.flush()
    rows = await centre.rows(OF_CLIENT, account=client.row["account_id"], client=client.row["id"])
    assert {(r["scope"], r["operation"]): r["count"] for r in rows} == {
        ("account:read", "GET /account"): 1,
        ("contacts:read", "GET /contacts"): 3,
    }


async def test_only_a_scope_that_exists_can_be_given_and_only_once(centre: Centre) -> None:
    client = await centre.client("contacts:read")

    async def add(*scopes: str) -> None:
        async with centre.house.db.writing() as tx:
            ctx = centre.house.ctx(tx, client.row["account_id"], "test")
            await grants.add(ctx, client=client.row["id"], scopes=scopes, known=centre.house.scopes, reason="")

    with pytest.raises(Fault, match="not a scope"):
        await add("nonsense")
    with pytest.raises(Fault, match="already holds"):
        await add("contacts:read")


async def test_every_change_of_a_grant_is_an_event(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    await remove(centre, client, "contacts:read")
    for kind in ("client.created", "client.scope_added", "client.scope_effective", "client.scope_removed"):
        (event,) = await centre.rows(KEYED, account=client.row["account_id"], t=kind)
        assert event["actor"] == "test"
        assert event["key"] == client.row["id"]


async def test_a_process_that_was_away_for_long_reads_everything_anew(
    opened: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await opened(), await opened()
    client = await first.client("contacts:read")
    for _ in range(3):
        await first.client()
    async with first.house.db.writing() as tx:
        await tx.run(Statement(delete(fence_changes), everywhere=True))
    await second.house.view.refresh()
    assert second.house.view.version == first.house.view.version or await first.house.view.refresh()
    assert second.house.view.clients[client.row["id"]].effective(first.world.time()) == {"contacts:read"}
