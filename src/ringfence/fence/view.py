"""The versioned view of clients, grants, roles and revocations that each process keeps in memory.

Every write that matters to the fence takes the next version in its own transaction. A process that has not
confirmed its view within the staleness limit refuses to answer, so a change acts everywhere within that limit
at the very latest, and normally before the writer is told that it is done (see `settle`).
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.ctx import Ctx
from ringfence.store.columns import Moment
from ringfence.store.db import Db, Transaction
from ringfence.store.statement import Row, Statement
from ringfence.store.tables.identity import (
    accounts,
    clients,
    fence_changes,
    fence_version,
    revocations,
    roles,
    scope_grants,
    users,
    watchers,
)

NEXT_VERSION = Statement(
    update(fence_version).values(version=fence_version.c.version + 1).returning(fence_version.c.version),
    everywhere=True,
)
NOTE_CHANGE = Statement(
    fence_changes.insert().values(version=bindparam("version"), kind=bindparam("kind"), ref=bindparam("ref")),
    everywhere=True,
)
VERSION = Statement(select(fence_version.c.version), everywhere=True)
CHANGES = Statement(
    select(fence_changes).where(fence_changes.c.version > bindparam("version")).order_by(fence_changes.c.version),
    everywhere=True,
)
KEPT_CHANGES = 10_000  # a process that missed more reads everything anew
TRIM = Statement(
    delete(fence_changes).where(
        fence_changes.c.version <= select(fence_version.c.version).scalar_subquery() - KEPT_CHANGES
    ),
    everywhere=True,
)
ACCOUNTS = Statement(select(accounts.c.id, accounts.c.name), everywhere=True)
_serving = (clients.c.deleted_at.is_(None), clients.c.suspended_at.is_(None))
CLIENTS = Statement(select(clients).where(*_serving), everywhere=True)
CLIENT = Statement(select(clients).where(clients.c.id == bindparam("id"), *_serving), everywhere=True)
_live = select(scope_grants.c.client_id, scope_grants.c.scope, scope_grants.c.effective_at).where(
    scope_grants.c.ended_at.is_(None)
)
GRANTS = Statement(_live, everywhere=True)
CLIENT_GRANTS = Statement(_live.where(scope_grants.c.client_id == bindparam("id")), everywhere=True)
ROLES = Statement(select(roles), everywhere=True)
PERSON = Statement(
    select(users.c.id, users.c.account_id, users.c.active, users.c.roles).where(
        users.c.account_id == bindparam("account"), users.c.id == bindparam("id")
    )
)
REVOKED = Statement(select(revocations), everywhere=True)
REVOKED_ONE = Statement(select(revocations).where(revocations.c.mark == bindparam("mark_")), everywhere=True)
REVOKE = Statement(
    upsert(revocations)
    .values(mark=bindparam("mark"), until=bindparam("until", type_=Moment))
    .on_conflict_do_update(index_elements=[revocations.c.mark], set_={"until": bindparam("until2", type_=Moment)}),
    everywhere=True,
)
WATCH = Statement(
    upsert(watchers)
    .values(id=bindparam("id"), seen=bindparam("seen"), at=bindparam("at", type_=Moment))
    .on_conflict_do_update(
        index_elements=[watchers.c.id], set_={"seen": bindparam("seen2"), "at": bindparam("at2", type_=Moment)}
    ),
    everywhere=True,
)
UNWATCH = Statement(delete(watchers).where(watchers.c.id == bindparam("watcher")), everywhere=True)
BEHIND = Statement(select(watchers.c.id).where(watchers.c.seen < bindparam("version")), everywhere=True)


@dataclass(frozen=True, slots=True)
class ClientView:
    """A client as the fence and the token endpoint see it. Times are seconds since 1970."""

    id: str
    account: str
    name: str
    kind: str
    grant_types: frozenset[str]
    redirect_uris: tuple[str, ...]
    secrets: tuple[tuple[str, float], ...]  # (hash, valid until)
    keys: tuple[dict[str, Any], ...]
    jwks_uri: str | None
    id_token_alg: str
    grants: tuple[tuple[str, float], ...]  # (scope, effective at)

    def effective(self, now: float) -> frozenset[str]:
        return frozenset(scope for scope, at in self.grants if at <= now)

    def pending(self, now: float) -> dict[str, float]:
        return {scope: at for scope, at in self.grants if at > now}

    def next_change(self, now: float) -> float:
        return min((at for _, at in self.grants if at > now), default=inf)


@dataclass(frozen=True, slots=True)
class Person:
    """A user behind a token: still active, and with which roles."""

    id: str
    account: str
    active: bool
    roles: tuple[str, ...]


class View:
    """What this process knows of the fence, as of `version`."""

    def __init__(self, db: Db, id: str) -> None:
        self.db, self.id = db, id
        self.version = -1
        self.confirmed = -inf  # monotonic seconds of the last look that succeeded
        self.behind = True
        self.accounts: dict[str, str] = {}
        self.account_names: dict[str, str] = {}
        self.clients: dict[str, ClientView] = {}
        self.roles: dict[tuple[str, str], frozenset[str]] = {}
        self.revoked: dict[str, float] = {}
        self._people: dict[str, Person] = {}
        self._lock = asyncio.Lock()
        self._on_keys: list[Any] = []

    def mark_behind(self) -> None:
        """A change of this process has been committed: look before the next request is let in."""
        self.behind = True

    async def refresh(self) -> bool:
        """Catch up with the database. Whether anything had changed."""
        async with self._lock:
            self.behind = False
            try:
                started = time.monotonic()
                async with self.db.reading() as tx:
                    row = await tx.one(VERSION)
                    version = row["version"] if row else 0
                    if changed := version != self.version:
                        await self._catch_up(tx, version)
                self.confirmed = started
                return changed
            except BaseException:
                self.behind = True
                raise

    async def _catch_up(self, tx: Transaction, version: int) -> None:
        if self.version < 0:
            await self._load(tx)
        else:
            changes = await tx.all(CHANGES, version=self.version)
            if changes:  # on PostgreSQL more may have become visible since the version was read
                version = max(version, changes[-1]["version"])
            if len(changes) < version - self.version:  # away for so long that some are no longer kept
                await self._load(tx)
            else:
                for kind, ref in dict.fromkeys((c["kind"], c["ref"]) for c in changes):
                    await self._apply(tx, kind, ref)
        self.version = version

    async def _load(self, tx: Transaction) -> None:
        await self._load_accounts(tx)
        await self._load_roles(tx)
        grants: dict[str, list[Row]] = {}
        for grant in await tx.all(GRANTS):
            grants.setdefault(grant["client_id"], []).append(grant)
        self.clients = {row["id"]: _client(row, grants.get(row["id"], ())) for row in await tx.all(CLIENTS)}
        self.revoked = {row["mark"]: row["until"].timestamp() for row in await tx.all(REVOKED)}
        self._people.clear()
        for call in self._on_keys:
            call()

    async def _load_accounts(self, tx: Transaction) -> None:
        self.accounts = {row["id"]: row["name"] for row in await tx.all(ACCOUNTS)}
        self.account_names = {name: id for id, name in self.accounts.items()}

    async def _load_roles(self, tx: Transaction) -> None:
        self.roles = {(r["account_id"], r["name"]): frozenset(r["scopes"]) for r in await tx.all(ROLES)}

    async def _apply(self, tx: Transaction, kind: str, ref: str) -> None:
        match kind:
            case "client":
                row = await tx.one(CLIENT, id=ref)
                if row is None:
                    self.clients.pop(ref, None)
                else:
                    self.clients[ref] = _client(row, await tx.all(CLIENT_GRANTS, id=ref))
            case "person":
                self._people.pop(ref, None)
            case "roles":
                await self._load_roles(tx)
            case "account":
                await self._load_accounts(tx)
            case "revoked":
                row = await tx.one(REVOKED_ONE, mark_=ref)
                if row is not None:
                    self.revoked[ref] = row["until"].timestamp()
            case "keys":
                for call in self._on_keys:
                    call()

    def on_keys(self, call: Any) -> None:
        """Call this when the signing keys have changed."""
        self._on_keys.append(call)

    async def person(self, account: str, id: str) -> Person | None:
        """The user behind a token, read once and kept until something about them changes."""
        known = self._people.get(id)
        if known is None:
            version = self.version
            async with self.db.reading() as tx:
                row = await tx.one(PERSON, account=account, id=id)
            if row is None:
                return None
            known = Person(row["id"], row["account_id"], row["active"], tuple(row["roles"]))
            if version == self.version:
                self._people[id] = known
        return known if known.account == account else None

    def allowed(self, person: Person) -> frozenset[str]:
        """What a person's roles allow, together."""
        return frozenset().union(*(self.roles.get((person.account, role), ()) for role in person.roles))

    def forget_expired(self, now: float) -> None:
        """Drop revocations of tokens that have died by themselves."""
        for mark in [mark for mark, until in self.revoked.items() if until < now]:
            del self.revoked[mark]

    async def watch(self, poll: float, now: Any) -> None:
        """Keep the view confirmed, and say so to whoever waits for a change to be seen. Until cancelled."""
        said = -1
        while True:
            try:
                await self.refresh()
                if said != self.version:
                    await self.acknowledge(now())
                    said = self.version
            except asyncio.CancelledError:
                raise
            except Exception:
                said = -1  # the gate refuses once the view is too old; keep trying
            await asyncio.sleep(poll)

    async def acknowledge(self, at: datetime) -> None:
        seen = self.version
        async with self.db.writing() as tx:
            await tx.run(WATCH, id=self.id, seen=seen, seen2=seen, at=at, at2=at)

    async def leave(self) -> None:
        """This process no longer serves: nobody need wait for it."""
        async with self.db.writing() as tx:
            await tx.run(UNWATCH, watcher=self.id)


def _client(row: Row, grants: Iterable[Row]) -> ClientView:
    return ClientView(
        id=row["id"],
        account=row["account_id"],
        name=row["name"],
        kind=row["kind"],
        grant_types=frozenset(row["grant_types"]),
        redirect_uris=tuple(row["redirect_uris"]),
        secrets=tuple((s["hash"], s["until"] if s["until"] is not None else inf) for s in row["secrets"]),
        keys=tuple(row["keys"]),
        jwks_uri=row["jwks_uri"],
        id_token_alg=row["id_token_alg"],
        grants=tuple((g["scope"], g["effective_at"].timestamp()) for g in grants),
    )


async def changed(ctx: Ctx, kind: str, ref: str) -> int:
    """Say, in the transaction of the change, that the fence must look again. The version of the change."""
    row = await ctx.db.one(NEXT_VERSION)
    version: int = row["version"]
    await ctx.db.run(NOTE_CHANGE, version=version, kind=kind, ref=ref)
    if ctx.house is not None:
        ctx.db.after(ctx.house.view.mark_behind)
    return version


async def revoke(ctx: Ctx, mark: str, until: datetime) -> None:
    """Refuse every token that carries this mark (`jti:…`, `grant:…`, `sid:…`), until they are all expired."""
    await ctx.db.run(REVOKE, mark=mark, until=until, until2=until)
    await changed(ctx, "revoked", mark)


async def settle(db: Db, limit: float) -> bool:
    """Wait until every serving process has seen what is committed now; whether all of them said so.

    One that stays silent for the staleness limit either has stopped, or refuses requests until it has looked.
    """
    async with db.reading() as tx:
        row = await tx.one(VERSION)
    version = row["version"] if row else 0
    give_up = time.monotonic() + limit
    while True:
        async with db.reading() as tx:
            behind = await tx.all(BEHIND, version=version)
        if not behind:
            return True
        if time.monotonic() >= give_up:
            break
        await asyncio.sleep(0.02)
    async with db.writing() as tx:
        for row in behind:
            await tx.run(UNWATCH, watcher=row["id"])
    return False
