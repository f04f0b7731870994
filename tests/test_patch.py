"""Changes to documents: a Fault is the worst that can come of one, and what it is applied to is never touched."""

from copy import deepcopy
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.kernel.patch import COPIED, COPIES, STEPS, Patch
from ringfence.kernel.problems import CONFLICT, INVALID, Fault

NAMES = st.sampled_from(["", "a", "b", "emails", "0", "1", "-", "~", "/", "é"]) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, JSON, max_size=5)
POINTERS = st.lists(NAMES, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts)) | st.text(max_size=6)
OPS = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])
STEP = st.fixed_dictionaries({"op": OPS, "path": POINTERS}, optional={"from": POINTERS, "value": JSON})
ODD_STEP = st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), JSON | OPS | POINTERS)


def applied(document: Any, before: dict[str, Any]) -> dict[str, Any] | Fault:
    try:
        patch: Patch[Any] = Patch(document)
        return patch.onto(before)
    except Fault as fault:
        return fault


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            if name in target:
                del target[name]
        else:
            target[name] = merged(target.get(name), value)
    return target


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"a": document}
    return document


@given(DOCUMENTS, JSON.filter(lambda value: isinstance(value, dict)))
def test_a_merge_document_does_what_the_rfc_says(before: dict[str, Any], patch: dict[str, Any]) -> None:
    kept, sent = deepcopy(before), deepcopy(patch)
    assert applied(patch, before) == merged(deepcopy(before), patch)
    assert (before, patch) == (kept, sent)


@given(DOCUMENTS, st.lists(STEP | ODD_STEP | JSON, max_size=8))
def test_operations_change_a_copy_or_are_refused(before: dict[str, Any], steps: list[Any]) -> None:
    kept, sent = deepcopy(before), deepcopy(steps)
    after = applied(steps, before)
    if isinstance(after, Fault):
        assert after.problem in (INVALID, CONFLICT)
    else:
        assert isinstance(after, dict)
    assert (before, steps) == (kept, sent)


@given(DOCUMENTS, st.lists(STEP, max_size=6))
def test_the_same_operations_do_the_same_again(before: dict[str, Any], steps: list[Any]) -> None:
    patch: Patch[Any] = Patch(steps)

    def outcome() -> Any:
        try:
            return patch.onto(before)
        except Fault as fault:
            return fault.problem, fault.detail

    assert outcome() == outcome()


def test_the_operation_at_fault_is_named() -> None:
    steps = [{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/b"}]
    fault = applied(steps, {})
    assert isinstance(fault, Fault)
    assert [field.name for field in fault.detail.fields] == ["[1]"]


def test_a_test_that_does_not_hold_is_a_conflict() -> None:
    fault = applied([{"op": "test", "path": "/a", "value": 2}], {"a": 1})
    assert isinstance(fault, Fault)
    assert fault.problem is CONFLICT


@pytest.mark.parametrize("whole", [None, 1, "text", [], True], ids=repr)
def test_a_document_stays_an_object(whole: Any) -> None:
    fault = applied([{"op": "replace", "path": "", "value": whole}], {"a": 1})
    assert isinstance(fault, Fault)
    assert fault.problem is INVALID


def test_there_may_be_so_many_operations_and_copies() -> None:
    add, copy = {"op": "add", "path": "/b", "value": 1}, {"op": "copy", "from": "/a", "path": "/b"}
    assert applied([add] * STEPS, {}) == {"b": 1}
    assert applied([copy] * COPIES, {"a": 1}) == {"a": 1, "b": 1}
    assert isinstance(applied([add] * (STEPS + 1), {}), Fault)
    assert isinstance(applied([copy] * (COPIES + 1), {"a": 1}), Fault)


def test_copies_of_copies_cannot_make_a_document_grow_without_end() -> None:
    into_itself = {"op": "copy", "from": "", "path": "/a/-"}
    fault = applied([into_itself] * COPIES, {"a": ["x" * (COPIED // 2 + 1)]})
    assert isinstance(fault, Fault)
    assert [field.name for field in fault.detail.fields] == ["[1]"]
    started = perf_counter()
    large = [{"op": "add", "path": "/a", "value": [0] * 500_000}, *[into_itself] * COPIES]
    assert isinstance(applied(large, {}), Fault)
    assert perf_counter() - started < 2


@pytest.mark.parametrize(
    "document",
    [
        nested(50_000),
        [{"op": "add", "path": "/a", "value": nested(50_000)}],
        [{"op": "test", "path": "/a", "value": nested(50_000)}],
    ],
    ids=["merge", "add", "test"],
)
def test_nesting_without_end_is_refused(document: Any) -> None:
    fault = applied(document, {"a": nested(50)})
    assert isinstance(fault, Fault)


@pytest.mark.parametrize("index", ["9" * 5000, "-1", "01", "1.0", "１"])
def test_an_index_that_is_none_is_refused(index: str) -> None:
    assert isinstance(applied([{"op": "replace", "path": f"/a/{index}", "value": 1}], {"a": [0]}), Fault)
