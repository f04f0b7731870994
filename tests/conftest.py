"""A whole house per test: real tables, real tokens through the real fence, a clock that stands still."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import pytest
from sqlalchemy import delete

from ringfence.apis.all import APIS
from ringfence.fence.house import House
from ringfence.fence.view import changed
from ringfence.kernel.settings import Settings, load
from ringfence.kernel.world import FrozenWorld, World
from ringfence.oauth import clients
from ringfence.oauth.opening import open_house
from ringfence.store.migrate import migrate
from ringfence.store.statement import Statement, adding
from ringfence.store.tables import metadata
from ringfence.store.tables.identity import accounts, roles, users
from ringfence.store.tables.log import events
from ringfence.store.worker import Worker
from ringfence.web.app import App
from ringfence.web.logs import set_up_logs
from ringfence.web.server import assemble

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
POSTGRES = os.environ.get("RINGFENCE_TEST_DATABASE", "")
SECRET = "5a" * 32
BASE = "http://ringfence.test"
FORGET_EVENTS = Statement(delete(events), everywhere=True)
KEPT = {"signing_keys", "platform_facts"}  # made once: an RSA key takes a while
ADD_ACCOUNT, ADD_ROLE, ADD_USER = (adding(table, everywhere=True) for table in (accounts, roles, users))

set_up_logs("text")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the tests run again on PostgreSQL, those that look at no database have nothing new to say."""
    if POSTGRES:
        left = [item for item in items if not _looks_at_a_database(item)]
        items[:] = [item for item in items if _looks_at_a_database(item)]
        config.hook.pytest_deselected(items=left)


def _looks_at_a_database(item: Any) -> bool:
    return "template" in item.fixturenames or hasattr(item.module, "POSTGRES")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def settings_for(url: str, **given: Any) -> Settings:
    wanted: dict[str, Any] = {
        "database": url,
        "secret_key": SECRET,
        "gateway_base": BASE,
        "identity_base": BASE,
        "rate_limit": 0,
        "token_rate_limit": 0,
        "connections": 4,
    }
    return load({}, **(wanted | given))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database with its signing keys: a file to copy on SQLite, the database itself on PostgreSQL."""
    url = POSTGRES or f"sqlite:///{tmp_path_factory.mktemp('template')}/template.db"
    if POSTGRES:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    migrate(url)

    async def make_keys() -> None:
        house = await open_house(settings_for(url), World(), APIS)
        async with house.db.writing() as tx:
            await tx.run(FORGET_EVENTS)
        await house.db.close()

    asyncio.run(make_keys())
    return url


@pytest.fixture
def database(template: str, tmp_path: Path) -> Iterator[str]:
    """An empty database of one test's own."""
    if not POSTGRES:
        path = tmp_path / "test.db"
        shutil.copy(template.removeprefix("sqlite:///"), path)
        yield f"sqlite:///{path}"
        return
    with psycopg.connect(template) as connection:
        empty_tables(connection)
        connection.execute("INSERT INTO fence_version (id, version) VALUES (1, 0)")
    yield template


def empty_tables(connection: psycopg.Connection[Any]) -> None:
    """Most tables hold nothing, and the others little: deleting that takes a tenth of what truncating all takes."""
    tables = [table for table in reversed(metadata.sorted_tables) if table.name not in KEPT]
    looks = " UNION ALL ".join(f"SELECT '{one.name}' WHERE EXISTS (SELECT FROM {one.name})" for one in tables)  # noqa: S608
    filled = {name for (name,) in connection.execute(looks)}
    for table in tables:
        if table.name in filled:
            connection.execute(f"DELETE FROM {table.name}")  # noqa: S608
            for column in table.c:
                if column.identity is not None:
                    connection.execute(f"ALTER TABLE {table.name} ALTER COLUMN {column.name} RESTART")


@pytest.fixture
def world() -> FrozenWorld:
    return FrozenWorld(START)


OpenHouse = Callable[..., Awaitable["Centre"]]


class Centre:
    """One running house with its application and worker, and ways to fill and call it."""

    def __init__(self, house: House, app: App, worker: Worker, world: FrozenWorld) -> None:
        self.house, self.app, self.worker, self.world = house, app, worker, world

    async def account(self, name: str = "acme") -> str:
        """The id of an account, made if need be, with a role that may do everything."""
        await self.house.view.refresh()
        if known := self.house.view.account_names.get(name):
            return known
        id = self.world.new_id(24)
        async with self.house.db.writing() as tx:
            ctx = self.house.ctx(tx, id, "test")
            await tx.run(
                ADD_ACCOUNT,
                id=id,
                name=name,
                company_name=name.title(),
                email=f"owner@{name}.example",
                timezone="Europe/Lisbon",
                created_at=self.world.now(),
            )
            await tx.run(ADD_ROLE, account_id=id, name="admin", scopes=sorted(self.house.scopes))
            await changed(ctx, "account", id)
            await changed(ctx, "roles", id)
        await self.house.view.refresh()
        return id

    async def user(self, email: str = "ana@acme.example", account: str = "acme", **facts: Any) -> str:
        """The id of a new person, an admin unless `roles` says otherwise."""
        id = self.world.new_id(24)
        row = {
            "id": id,
            "account_id": await self.account(account),
            "email": email,
            "email_key": email.casefold(),
            "name": email.partition("@")[0].title(),
            "active": True,
            "roles": ["admin"],
            "created_at": self.world.now(),
            "updated_at": self.world.now(),
        }
        async with self.house.db.writing() as tx:
            await tx.run(ADD_USER, **(row | facts))
        return id

    async def client(self, *scopes: str, account: str = "acme", name: str = "", **facts: Any) -> clients.NewClient:
        """A new client that holds these scopes, effective."""
        id = await self.account(account)
        wanted: dict[str, Any] = {"grant_types": ["client_credentials"], "redirect_uris": []}
        async with self.house.db.writing() as tx:
            ctx = self.house.ctx(tx, id, "test")
            return await clients.create(
                ctx, name=name or self.world.new_id(32), scopes=list(scopes), **(wanted | facts)
            )

    def http(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE, headers=headers)

    async def token(self, client: clients.NewClient, **form: str) -> str:
        async with self.http() as http:
            answer = await http.post(
                "/oauth/token",
                data={"grant_type": "client_credentials"} | form,
                auth=(client.row["id"], client.secret),
            )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    async def signed_in(self, *scopes: str, account: str = "acme") -> httpx.AsyncClient:
        """An HTTP client whose token carries exactly these scopes."""
        token = await self.token(await self.client(*scopes, account=account))
        return self.http(Authorization=f"Bearer {token}")

    async def settle(self) -> None:
        await self.worker.plant()
        await self.worker.settle()

    async def rows(self, statement: Statement, **given: Any) -> list[dict[str, Any]]:
        async with self.house.db.reading() as tx:
            return await tx.all(statement, **given)


@pytest.fixture
async def opened(database: str, world: FrozenWorld, tmp_path: Path) -> AsyncIterator[OpenHouse]:
    """Opens houses over the test's database, with settings of one's choice."""
    made: list[Centre] = []

    async def open_one(**given: Any) -> Centre:
        wanted = {"files": str(tmp_path / "files")} | given
        house = await open_house(settings_for(database, **wanted), world, APIS)
        app, worker = assemble(house, APIS)
        made.append(Centre(house, app, worker, world))
        return made[-1]

    yield open_one
    for centre in made:
        await centre.house.db.close()


@pytest.fixture
async def centre(opened: OpenHouse) -> Centre:
    return await opened()
