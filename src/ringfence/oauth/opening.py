"""Opening the house: database, vault, keys and view, in the order in which they need one another."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.fence.house import House
from ringfence.fence.usage import Usage
from ringfence.fence.view import View
from ringfence.kernel.catalog import Api
from ringfence.kernel.settings import BadSetting, Settings
from ringfence.kernel.world import World
from ringfence.store import migrate
from ringfence.store.blobs import open_blobs
from ringfence.store.db import DatabaseUnavailable, open_database
from ringfence.store.secrets import Vault, master_key
from ringfence.store.statement import Statement
from ringfence.store.tables.identity import platform_facts

from . import keys

FACT = Statement(select(platform_facts).where(platform_facts.c.name == bindparam("fact")), everywhere=True)
SET_FACT = Statement(
    upsert(platform_facts).values(name=bindparam("name"), value=bindparam("value")).on_conflict_do_nothing(),
    everywhere=True,
)
CHECK = "vault check"


async def open_house(settings: Settings, world: World, apis: Iterable[Api], *, prepare: bool = True) -> House:
    """Open everything below the web. `prepare` migrates an embedded database and makes the first keys.

    Raises DatabaseUnavailable or BadSetting with a message for the operator.
    """
    if settings.database.startswith("sqlite:///") and prepare:
        migrate.migrate(settings.database)
    elif (have := migrate.current(settings.database)) != migrate.head():
        raise DatabaseUnavailable(
            f"The database is at revision {have or 'none'}, this program needs {migrate.head()}: "
            "run `ringfence migrate`."
        )
    apis = tuple(apis)
    vault = Vault(master_key(settings.secret_key, settings.database))
    db = open_database(settings.database, connections=settings.connections)
    await db.open()
    house = House(
        settings=settings,
        world=world,
        db=db,
        vault=vault,
        view=View(db, world.new_id(32)),
        usage=Usage(db, world, settings),
        blobs=open_blobs(settings, vault, (settings.gateway_base or own_address(settings)).rstrip("/"), world.time),
        keys=keys.KeyRing(db, vault),
        scopes={scope.name: scope for api in apis for scope in api.scopes},
        events={event.name: event for api in apis for event in api.events},
        identity_base=(settings.identity_base or own_address(settings)).rstrip("/"),
        gateway_base=(settings.gateway_base or own_address(settings)).rstrip("/"),
    )
    try:
        await _check_vault(house)
        house.view.on_keys(house.keys.mark_stale)
        async with db.writing() as tx:
            await keys.ensure(house.ctx(tx, "", "system"), vault)
        await house.view.refresh()
        await house.keys.load()
    except BaseException:
        await db.close()
        raise
    return house


def own_address(settings: Settings) -> str:
    """Where this server is reached when nobody says otherwise."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not binding
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def _check_vault(house: House) -> None:
    """A database is used with the master key that it was made with, or not at all."""
    expected = house.vault.hash(CHECK)
    async with house.db.writing() as tx:
        await tx.run(SET_FACT, name=CHECK, value=expected)
        row: Any = await tx.one(FACT, fact=CHECK)
    if row["value"] != expected:
        raise BadSetting(
            "The master key is not the one that this database was made with; restore the key file or secret_key."
        )
