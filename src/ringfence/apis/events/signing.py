"""How a delivery proves where it comes from: Standard Webhooks signatures, and the ECDSA ones of the contract."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import bindparam, select

from ringfence.kernel.ctx import Ctx
from ringfence.store.query import Row, Statement, adding

from .tables import signature_keys

PREFIX = "whsec_"
PURPOSE = "webhook signature key"
ALGORITHM = "ECDSA_P256_SHA512"
ADD = adding(signature_keys, everywhere=True)
NEWEST = Statement(select(signature_keys).order_by(signature_keys.c.created_at.desc()).limit(1), everywhere=True)
BY_ID = Statement(select(signature_keys).where(signature_keys.c.id == bindparam("key")), everywhere=True)


def new_secret(ctx: Ctx) -> str:
    """24 random bytes as Standard Webhooks writes them: `whsec_` and base64."""
    return PREFIX + base64.b64encode(ctx.world.token_bytes(24)).decode()


def standard(secrets: Sequence[str], id: str, at: int, body: bytes) -> str:
    """`webhook-signature`: one HMAC-SHA256 for each valid secret, the newest first."""
    signed = b"%s.%d.%s" % (id.encode(), at, body)
    made = (hmac.digest(base64.b64decode(secret.removeprefix(PREFIX)), signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(one).decode()}" for one in made)


class Signer:
    """A platform key, ready to sign."""

    def __init__(self, id: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.id, self._key = id, key

    def sign(self, body: bytes) -> str:
        """ECDSA on P-256 over the SHA-512 digest of the body, DER in hex."""
        return self._key.sign(body, ec.ECDSA(hashes.SHA512())).hex()


async def signer(ctx: Ctx) -> Signer:
    """The newest key of the platform; the first is made here."""
    row: Row | None = await ctx.db.one(NEWEST)
    if row is None:
        made = ec.generate_private_key(ec.SECP256R1())
        public = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        row = {
            "id": ctx.new_key(),
            "private": ctx.house.vault.seal(pem, PURPOSE),
            "public": base64.b64encode(public).decode(),
            "created_at": ctx.now(),
        }
        await ctx.db.run(ADD, **row)
    key: Any = load_pem_private_key(ctx.house.vault.unseal(row["private"], PURPOSE).encode(), None)
    return Signer(row["id"], key)


def opened(ctx: Ctx, subscription: Row, now: datetime) -> list[str]:
    """The secrets that sign now: the newest, and one that was replaced a short while ago."""
    return [
        ctx.house.vault.unseal(one["sealed"], f"webhook secret {subscription['id']}")
        for one in subscription["secrets"]
        if one["until"] is None or datetime.fromisoformat(one["until"]) > now
    ]


def sealed(ctx: Ctx, subscription: str, secret: str) -> dict[str, Any]:
    return {"sealed": ctx.house.vault.seal(secret, f"webhook secret {subscription}"), "until": None}
