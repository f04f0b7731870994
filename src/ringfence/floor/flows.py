"""What a flow is: a document of steps joined by exits, how it is read, and what it does with variables.

What keeps a document from being published is in floor/flow_checks.py.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

from ringfence.kernel.problems import INVALID, Fault, FieldError, wrong
from ringfence.kernel.shapes import Shape

from .steps import (
    LONGEST,
    AnyStep,
    Assign,
    BiometricsConsent,
    BusinessHours,
    Condition,
    Decision,
    End,
    HttpRequest,
    Menu,
    Name,
    PlaceCallback,
    Play,
    Relaxation,
    Say,
    SendEvent,
    SetVariable,
    Start,
    Step,
    Value,
    Variable,
    Voicemail,
    type_of,
)

__all__ = [
    "MOST_STEPS",
    "PLACE",
    "AnyStep",
    "Assign",
    "BiometricsConsent",
    "BusinessHours",
    "Condition",
    "Decision",
    "End",
    "FlowDocument",
    "HttpRequest",
    "Menu",
    "PlaceCallback",
    "Play",
    "Relaxation",
    "Say",
    "SendEvent",
    "SetVariable",
    "Start",
    "Step",
    "Value",
    "Variable",
    "Voicemail",
    "filled",
    "holds",
    "keepable",
    "number",
    "read",
    "said",
    "taken_in",
    "type_of",
    "typed",
]

MOST_STEPS = 500  # in a document
MOST_DEPTH = 12  # of a document: no step is deeper
PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]{0,127})\s*\}\}")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,299})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")  # RFC 8259 section 6
TOKEN = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")  # of a path as msgspec writes it
LARGEST = 1e300
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip


class FlowDocument(Shape, forbid_unknown_fields=True):
    """A flow: its steps by name, one of which is of the type `start`."""

    steps: Annotated[dict[Name, AnyStep], msgspec.Meta(min_length=1, max_length=MOST_STEPS)]

    @property
    def start(self) -> str:
        """The name of the first step, of a document that was checked."""
        return next(name for name, step in self.steps.items() if isinstance(step, Start))

    @property
    def variables(self) -> list[Variable]:
        step = self.steps[self.start]
        return step.variables if isinstance(step, Start) else []


def read(document: Any) -> FlowDocument:
    """A document out of JSON or TOML. Raises a Fault that names the step and the field."""
    _refuse_unkept(document, "", MOST_DEPTH)
    try:
        return msgspec.convert(document, FlowDocument)
    except msgspec.ValidationError as why:
        raise _misfit(why, document) from why


def keepable(text: str) -> bool:
    """Whether every database takes a text: Unicode without NUL and without halves of surrogate pairs."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _refuse_unkept(value: Any, path: str, deeper: int) -> None:
    if isinstance(value, str):
        if not keepable(value):
            raise wrong(path or "document", "holds a character that cannot be kept")
    elif isinstance(value, dict | list):
        if not deeper:
            raise wrong(path, "is nested too deeply")
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            at = f"{path}{_place(name)}".lstrip(".")
            _refuse_unkept(name, at, deeper)
            _refuse_unkept(inner, at, deeper - 1)


def _place(name: Any) -> str:
    """A member of a document, in the path to it."""
    if isinstance(name, int):
        return f"[{name}]"
    shown = f"{name!s:.64}"
    return f".{shown if keepable(shown) else ascii(shown)}"


def _misfit(why: msgspec.ValidationError, document: Any) -> Fault:
    """msgspec writes `$.steps[...]` for a member of a dictionary, and `key` for its name: say which it was."""
    sentence, _, path = str(why).rpartition(" - at `") if " - at `" in str(why) else (str(why), "", "")
    if path.startswith("key`"):
        path += "[...]"
    places: list[Any] = []
    for token in TOKEN.finditer(path):
        if token[1] or token[2]:
            places.append(token[1] or int(token[2]))
            continue
        for name, inner in _at(document, places).items():
            alone = _with(document, places, {name: inner})
            if _complaint(alone) == str(why):
                document = alone
                places.append(name)
                break
        else:
            break
    if named := re.search(r"field `([^`]{1,64})`", sentence):
        places.append(named[1])
    return wrong("".join(map(_place, places)).lstrip(".") or "document", sentence[:300])


def _complaint(document: Any) -> str:
    try:
        msgspec.convert(document, FlowDocument)
    except msgspec.ValidationError as why:
        return str(why)
    return ""


def _at(value: Any, places: list[Any]) -> dict[Any, Any]:
    for place in places:
        value = value[place]
    return value if isinstance(value, dict) else {}


def _with(value: Any, places: list[Any], new: Any) -> Any:
    """A document that is another at one place."""
    if not places:
        return new
    copy: Any = value.copy()
    copy[places[0]] = _with(value[places[0]], places[1:], new)
    return copy


MUST_BE = {
    "text": f"must be a text of at most {LONGEST} characters",
    "number": "must be a number",
    "boolean": "must be true or false",
}


def taken_in(document: FlowDocument, given: Mapping[str, Any]) -> dict[str, Value]:
    """The variables that an execution begins with. Raises a Fault that names what is missing or of another type."""
    found: dict[str, Value] = {}
    wrongs: list[FieldError] = []
    for variable in document.variables:
        value = given.get(variable.name)
        if value is None:
            if variable.mandatory and variable.default is None:
                wrongs.append(FieldError(variable.name, "is mandatory in this flow"))
            value = variable.default
        found[variable.name] = typed(variable, value)
        if value is not None and found[variable.name] is None:
            wrongs.append(FieldError(variable.name, MUST_BE[variable.type]))
    if wrongs:
        raise Fault(INVALID, f"{wrongs[0].name}: {wrongs[0].description}", fields=tuple(wrongs))
    return found


def typed(variable: Variable, value: Any) -> Value:
    """A value as the variable's type has it; None where it is none."""
    if variable.type == "text":
        kept = said(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        return kept if kept is not None and len(kept) <= LONGEST and keepable(kept) else None
    if variable.type == "boolean":
        words: dict[str, bool] = {"true": True, "false": False}
        return value if isinstance(value, bool) else words.get(value.lower()) if isinstance(value, str) else None
    return number(value)


def number(value: Any) -> int | float | None:
    """A number, or a text that JSON would read as one; None where it is neither, or too large to reckon with."""
    if isinstance(value, str):
        if len(value) > 400 or NUMBER.fullmatch(value) is None:
            return None
        value = int(value) if value.lstrip("-").isdigit() else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= LARGEST else None  # NaN is not


def said(value: Value) -> str:
    """A value as people and other systems read it; None is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > LARGEST:
        return ""  # Python does not write out an integer of any length
    return "" if value is None else str(value)


def filled(text: str, variables: Mapping[str, Value], quote: Callable[[str], str] = str) -> str:
    """A text with its variables in place; what is not set is empty."""
    return PLACE.sub(lambda place: quote(said(variables.get(place[1]))), text)


def holds(condition: Condition, variables: Mapping[str, Value]) -> bool:
    """Whether a condition is true; where both sides are numbers they compare as such, else as texts."""
    have, wanted = variables.get(condition.variable), condition.value
    if condition.operator == "is_set":
        return have not in (None, "")
    if condition.operator == "contains":
        return said(wanted) in said(have)
    if condition.operator == "starts_with":
        return said(have).startswith(said(wanted))
    one, other = number(have), number(wanted)
    if one is None or other is None:
        return COMPARED[condition.operator](said(have), said(wanted))
    return COMPARED[condition.operator](one, other)
