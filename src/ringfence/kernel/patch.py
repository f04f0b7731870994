"""A change to a document: a merge document (RFC 7396) or JSON Patch operations (RFC 6902)."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jsonpatch
import jsonpointer
import msgspec

from .problems import CONFLICT, Fault, wrong

T = TypeVar("T")
STEPS = 100  # operations that a JSON Patch may have
COPIES = 5  # of them: each may double the document …
COPIED = 256 * 1024  # … and so is refused where that already has more bytes
TOLD = 200  # characters of the library's complaint that are passed on: it may quote the whole document


@dataclass(frozen=True, slots=True)
class Patch(Generic[T]):
    """What the caller sent; `T` is the shape that the changed document must fit."""

    document: dict[str, Any] | list[Any]

    def onto(self, before: dict[str, Any]) -> dict[str, Any]:
        """The document after the change; `before` stays as it is. Raises a Fault that names the operation at fault."""
        try:
            if isinstance(self.document, dict):
                after = _merge(before, self.document)
            else:
                _check(self.document)
                after = _apply(before, self.document)
        except RecursionError as why:
            raise wrong("body", "is nested too deeply") from why
        if not isinstance(after, dict):
            raise wrong("body", "the patched document must stay an object")
        return after


def _check(steps: Sequence[Any]) -> None:
    if len(steps) > STEPS:
        raise wrong("body", f"a JSON Patch has at most {STEPS} operations")
    for index, step in enumerate(steps):
        if not isinstance(step, dict):
            raise wrong(f"[{index}]", "each operation of a JSON Patch is an object")
    if sum(step.get("op") == "copy" for step in steps) > COPIES:
        raise wrong("body", f"a JSON Patch has at most {COPIES} `copy` operations")


def _apply(before: Any, steps: Sequence[dict[str, Any]]) -> Any:
    """RFC 6902 section 5: all operations, or none."""
    after = deepcopy(before)
    for index, step in enumerate(steps):
        if step.get("op") == "copy" and len(msgspec.json.encode(after)) > COPIED:
            raise wrong(f"[{index}]", f"`copy` is not done in a document of more than {COPIED} bytes")
        try:
            after = jsonpatch.apply_patch(after, [step], in_place=True)
        except jsonpatch.JsonPatchTestFailed as why:
            raise Fault(CONFLICT, f"The `test` of operation [{index}] did not hold.") from why
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as why:
            raise wrong(f"[{index}]", str(why)[:TOLD]) from why
        except (TypeError, KeyError, ValueError, IndexError, AttributeError, RecursionError) as why:
            raise wrong(f"[{index}]", "cannot be applied to the document") from why
    return after


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2."""
    if not isinstance(patch, dict):
        return patch
    base = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            base.pop(name, None)
        else:
            base[name] = _merge(base.get(name), value)
    return base
