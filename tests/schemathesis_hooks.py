"""For the fuzzer: three times in four, a path leads to something that there is (`RINGFENCE_KNOWN`, by its template)."""

import json
import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

import schemathesis

KNOWN: dict[str, list[dict[str, str]]] = json.loads(Path(os.environ["RINGFENCE_KNOWN"]).read_text("utf-8"))


@schemathesis.hook
def map_path_parameters(ctx: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    known = KNOWN.get(ctx.operation.path, [])
    chance = int.from_bytes(blake2b(repr(path_parameters).encode(), digest_size=4).digest(), "big")
    return dict(known[chance // 4 % len(known)]) if known and chance % 4 else path_parameters
