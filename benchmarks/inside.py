"""What is measured inside one process: the fence on a known token, and a bare signature."""

import time
from math import inf
from timeit import repeat

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.apis.contacts.api import API
from ringfence.fence.gate import Claims, Gate, Known, Principal, bearer
from ringfence.fence.view import View

CALLS = 20_000


def signature_seconds() -> float:
    """One ECDSA P-256 signature over SHA-256, by the library alone."""
    key, text = ec.generate_private_key(ec.SECP256R1()), b"x" * 700
    return min(repeat(lambda: key.sign(text, ec.ECDSA(hashes.SHA256())), number=500, repeat=5)) / 500


def fence_seconds() -> float:
    """From the Authorization header to an admitted caller, for a token that was seen before."""
    operation = next(op for op in API.operations if op.method == "GET" and "{" in op.path)
    view = View(None, "benchmark")  # type: ignore[arg-type]
    view.behind, view.confirmed, view.version = False, time.monotonic() + 1e6, 1

    async def unread(token: str) -> Claims:
        raise AssertionError(token)

    gate = Gate(view, unread, time.time, 3.0)
    claims = Claims("j", "a", "c", None, frozenset({"contacts:read"}), 0, inf)
    token = "e" * 700
    gate._known[token] = Known(claims, Principal("a", "c", None, claims.scopes, "client:c", claims), 1, inf)
    header = f"Bearer {token}".encode()

    def admit() -> None:
        found = bearer(header.decode("latin-1"))
        assert found is not None
        assert gate.recall(operation, found) is not None

    return min(repeat(admit, number=CALLS, repeat=5)) / CALLS
