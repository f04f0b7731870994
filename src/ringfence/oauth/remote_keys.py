"""A client's own JWK set, fetched from its `jwks_uri` and kept for a while."""

from typing import Any

import msgspec

from ringfence.fence.house import House
from ringfence.store.outward import Unreachable, fetch

KEEP = 600.0  # seconds
PATIENCE = 30.0  # seconds before an unknown key id makes us look again
_sets: dict[str, tuple[float, list[dict[str, Any]]]] = {}


async def remote_keys(house: House, uri: str, kid: Any) -> list[dict[str, Any]]:
    """The keys at `uri`; none where it cannot be read. Fetched again for a key id that is not among them."""
    now = house.world.time()
    at, keys = _sets.get(uri, (float("-inf"), []))
    age = now - at
    if age < PATIENCE or (age < KEEP and any(key.get("kid") == kid for key in keys)):
        return keys
    try:
        found = msgspec.json.decode(await fetch(uri))
        keys = [key for key in found["keys"] if isinstance(key, dict)]
    except (Unreachable, msgspec.DecodeError, KeyError, TypeError):
        keys = keys if age < KEEP else []
    if len(_sets) > 10_000:
        _sets.clear()
    _sets[uri] = (now, keys)
    return keys
