"""A change to a document: a merge document (RFC 7396) or JSON Patch operations (RFC 6902)."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jsonpatch
import jsonpointer

from .problems import CONFLICT, Fault, wrong

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patch(Generic[T]):
    """What the caller sent; `T` is the shape that the changed document must fit."""

    document: dict[str, Any] | list[Any]

    def onto(self, before: dict[str, Any]) -> dict[str, Any]:
        """The document after the change. Raises a Fault that names the operation at fault."""
        if isinstance(self.document, dict):
            merged = _merge(before, self.document)
            return merged if isinstance(merged, dict) else {}
        for index, step in enumerate(self.document):
            if not isinstance(step, dict):
                raise wrong(f"[{index}]", "each operation of a JSON Patch is an object")
        try:
            after = jsonpatch.apply_patch(before, self.document)
        except jsonpatch.JsonPatchTestFailed as why:
            raise Fault(CONFLICT, "A `test` operation of the patch did not hold.") from why
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as why:
            raise wrong("body", str(why)) from why
        except (TypeError, KeyError, ValueError, IndexError, AttributeError) as why:
            raise wrong("body", "this JSON Patch cannot be applied to the document") from why
        if not isinstance(after, dict):
            raise wrong("body", "the patched document must stay an object")
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
