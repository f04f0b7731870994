"""Flows in files: a document in TOML, or in JSON where the file's name ends so."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from ringfence.floor import flows
from ringfence.floor.flows import FlowDocument
from ringfence.kernel.problems import INVALID, Fault

MOST_BYTES = 4 * 1024 * 1024  # of a file


def load(path: Path) -> FlowDocument:
    """The flow in a file. Raises a Fault that says what is wrong with it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Fault(INVALID, f"{path} has more than {MOST_BYTES} bytes.")
        raw = path.read_bytes()
    except (OSError, ValueError) as why:
        raise Fault(INVALID, f"{path} cannot be read: {why}") from why
    return flows.read(_parsed(raw, path))


def _parsed(raw: bytes, path: Path) -> Any:
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        return msgspec.json.decode(raw) if kind == "JSON" else tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as why:  # msgspec's, tomllib's and Unicode's errors are ValueErrors
        raise Fault(INVALID, f"{path} is not {kind}: {why}") from why
