"""The signing keys of this server: sealed at rest, rotated, published as a JWK set (RFC 7517)."""

from datetime import timedelta
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry
from sqlalchemy import bindparam, delete, literal, select, update

from ringfence.fence.view import changed
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Moment
from ringfence.store.db import Db
from ringfence.store.outbox import emit
from ringfence.store.secrets import Vault
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.identity import signing_keys

ALGORITHMS = ("ES256", "RS256")
PROVING = "ES384"  # signs no tokens but proofs, which last for years: its keys stay published for ever
REGISTRY = JWSRegistry(algorithms=[*ALGORITHMS, PROVING])
OVERLAP = timedelta(hours=1)  # a retired key stays published this long: no token lives longer

ALL = Statement(select(signing_keys).order_by(signing_keys.c.created_at, signing_keys.c.kid), everywhere=True)
ADD = adding(signing_keys)
RETIRE = Statement(
    update(signing_keys)
    .where(signing_keys.c.alg == bindparam("algorithm"), signing_keys.c.retired_at.is_(None))
    .values(retired_at=bindparam("at", type_=Moment))
)
DROP = Statement(
    delete(signing_keys).where(
        signing_keys.c.retired_at < bindparam("before", type_=Moment), signing_keys.c.alg != literal(PROVING)
    )
)


class KeyFacts(Shape):
    kid: str
    alg: str


KEY_ROTATED = EventType("keys.rotated", KeyFacts, "A new signing key came into use")


def generate(alg: str) -> Key:
    """A fresh key pair for one of ALGORITHMS, ES384, ES512, or any RS/PS algorithm."""
    if alg.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg])
    return RSAKey.generate_key(2048)


class KeyRing:
    """The keys as this process holds them: the newest of each algorithm signs, all that are published verify."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault
        self.verifying: dict[str, tuple[Key, str]] = {}
        self.signing: dict[str, tuple[Key, str]] = {}
        self.published: list[dict[str, Any]] = []
        self.fresh = False

    def mark_stale(self) -> None:
        self.fresh = False

    async def load(self) -> None:
        self.fresh = True
        async with self._db.reading() as tx:
            rows = await tx.all(ALL)
        verifying: dict[str, tuple[Key, str]] = {}
        signing: dict[str, tuple[Key, str]] = {}
        published: list[dict[str, Any]] = []
        for row in rows:
            alg, kid = row["alg"], row["kid"]
            key = self.verifying.get(kid, (None, ""))[0] or self._opened(row["private"], alg, kid)
            verifying[kid] = (key, alg)
            published.append(row["public"])
            if row["retired_at"] is None:
                signing[alg] = (key, kid)
        self.verifying, self.signing, self.published = verifying, signing, published

    def _opened(self, sealed: str, alg: str, kid: str) -> Key:
        jwk = msgspec.json.decode(self._vault.unseal(sealed, f"signing key {kid}"))
        return (ECKey if alg.startswith("ES") else RSAKey).import_key(jwk)

    async def sign(self, alg: str, typ: str, claims: dict[str, Any]) -> str:
        """A compact JWS (RFC 7515) of some claims."""
        key, kid = await self.signer(alg)
        return jwt.encode({"alg": alg, "typ": typ, "kid": kid}, claims, key, algorithms=[alg], registry=REGISTRY)

    async def prove(self, typ: str, claims: dict[str, Any]) -> str:
        """The same with the key whose public half stays published for ever."""
        return await self.sign(PROVING, typ, claims)

    async def signer(self, alg: str) -> tuple[Key, str]:
        """The key that signs now, and its id."""
        if not self.fresh or alg not in self.signing:
            await self.load()
        return self.signing[alg]

    async def verifier(self, kid: str) -> tuple[Key, str] | None:
        """The published key of this id and its algorithm."""
        if not self.fresh or kid not in self.verifying:
            await self.load_if_stale()
        return self.verifying.get(kid)

    async def load_if_stale(self) -> None:
        if not self.fresh:
            await self.load()


async def rotate(ctx: Ctx, vault: Vault, algs: tuple[str, ...] = ALGORITHMS) -> list[str]:
    """Make new signing keys; the old ones stay published for OVERLAP. The new key ids."""
    now, made = ctx.now(), []
    for alg in algs:
        key, kid = generate(alg), ctx.new_key()
        about = {"kid": kid, "alg": alg, "use": "sig"}
        private = msgspec.json.encode(dict(key.as_dict(private=True)) | about).decode()
        await ctx.db.run(RETIRE, algorithm=alg, at=now)
        await ctx.db.run(
            ADD,
            kid=kid,
            alg=alg,
            private=vault.seal(private, f"signing key {kid}"),
            public=dict(key.as_dict(private=False)) | about,
            created_at=now,
            retired_at=None,
        )
        await emit(ctx, KEY_ROTATED, kid, KeyFacts(kid=kid, alg=alg))
        made.append(kid)
    await ctx.db.run(DROP, before=now - OVERLAP)
    await changed(ctx, "keys", "signing")
    return made


async def ensure(ctx: Ctx, vault: Vault) -> None:
    """Make the first keys of a new database."""
    have = {row["alg"] for row in await ctx.db.all(ALL) if row["retired_at"] is None}
    if missing := tuple(alg for alg in (*ALGORITHMS, PROVING) if alg not in have):
        await rotate(ctx, vault, missing)
