"""What keeps a flow from being published: everything that is wrong with its document, each with the path to it."""

import re
from collections.abc import Callable

from ringfence.kernel.problems import FieldError
from ringfence.kernel.shapes import Shape

from .flows import (
    PLACE,
    AnyStep,
    Assign,
    BusinessHours,
    Decision,
    FlowDocument,
    HttpRequest,
    Menu,
    PlaceCallback,
    SetVariable,
    Start,
    filled,
    type_of,
    typed,
)

SYSTEM = ("contact.number", "contact.id", "company.number", "interaction.id", "interaction.direction")
HOST = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]{1,5})?(?=[/?#]|$)")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110 section 5.6.2
OURS = ("host", "content-length", "transfer-encoding", "connection")  # headers
POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")  # RFC 6901 section 3

Tell = Callable[[str, str], None]  # (path within the steps, what is wrong)


class Known(Shape):
    """What an account has that a flow may name."""

    ring_groups: frozenset[str]
    attributes: frozenset[str]
    business_hours: frozenset[str]


def complaints(document: FlowDocument, known: Known | None = None) -> list[FieldError]:
    """All that keeps a document from being published; names of the account's are checked where it is known."""
    found: list[FieldError] = []

    def tell(path: str, why: str) -> None:
        found.append(FieldError(f"steps.{path}", why))

    starts = [name for name, step in document.steps.items() if isinstance(step, Start)]
    if len(starts) != 1:
        found.append(FieldError("steps", f"must have exactly one step of type start, not {len(starts)}"))
    for name, step in document.steps.items():
        _check_exits(document, name, step, tell)
        match step:
            case Start():
                _check_start(name, step, tell)
            case HttpRequest():
                _check_request(name, step, tell)
            case Assign():
                _check_relaxations(name, step, tell)
        if known is not None:
            _check_names(name, step, known, tell)
    targets = {target for step in document.steps.values() for target in step.exits.values() if target is not None}
    if len(starts) == 1 and targets <= set(document.steps):  # a misspelt name would make many unreachable
        for name in sorted(set(document.steps) - _reached(document, starts[0])):
            tell(name, "no exit leads to this step")
    _check_variables(document, tell)
    return found


def _check_exits(document: FlowDocument, name: str, step: AnyStep, tell: Tell) -> None:
    ways = step.ways()
    for exit, target in step.exits.items():
        if exit not in ways:
            tell(f"{name}.exits.{exit}", f"a step of type {type_of(step)} has the exits {', '.join(ways) or '(none)'}")
        elif target is not None and target not in document.steps:
            tell(f"{name}.exits.{exit}", f"there is no step {target!r}")
        elif target is not None and isinstance(document.steps[target], Start):
            tell(f"{name}.exits.{exit}", "nothing leads back to the start")


def _check_start(name: str, step: Start, tell: Tell) -> None:
    seen: set[str] = set()
    for index, variable in enumerate(step.variables):
        if variable.name in seen:
            tell(f"{name}.variables[{index}].name", f"{variable.name} is declared twice")
        if variable.default is not None and typed(variable, variable.default) is None:
            tell(f"{name}.variables[{index}].default", f"is no {variable.type}")
        seen.add(variable.name)


def _check_request(name: str, step: HttpRequest, tell: Tell) -> None:
    if HOST.match(step.url) is None:
        told = "must begin with https:// and a host, which does not come from a variable"
        tell(f"{name}.url", told)
    elif re.search(r"[\x00-\x20\x7f]", PLACE.sub("", step.url)):
        tell(f"{name}.url", "holds a space; write %20")
    for variable, pointer in step.save.items():
        if POINTER.fullmatch(pointer) is None:
            tell(f"{name}.save.{variable}", "must be a JSON pointer, as in /customer/tier")
    for header, value in step.headers.items():
        if HEADER.fullmatch(header) is None or "\n" in value or "\r" in value:
            tell(f"{name}.headers.{header[:64]}", "is no header of HTTP")
        elif header.lower() in OURS:
            tell(f"{name}.headers.{header}", "is set by the platform")


def _check_relaxations(name: str, step: Assign, tell: Tell) -> None:
    waits = [one.after for one in step.relax]
    if waits != sorted(set(waits)):
        tell(f"{name}.relax", "must be in order of `after`, each later than the one before")
    for index, after in enumerate(waits):
        if after >= step.max_wait:
            tell(f"{name}.relax[{index}].after", "comes after max_wait, so it never happens")


def _check_names(name: str, step: AnyStep, known: Known, tell: Tell) -> None:
    """What a step names of the account's exists there."""
    if isinstance(step, BusinessHours) and step.hours not in known.business_hours:
        tell(f"{name}.hours", f"the account has no business hours {step.hours!r}")
    if isinstance(step, Assign | PlaceCallback):
        asked = [("", step.ring_groups, step.attributes)]
        if isinstance(step, Assign):
            asked += [(f"relax[{i}].", one.ring_groups, one.attributes) for i, one in enumerate(step.relax)]
        for where, groups, attributes in asked:
            for group in groups:
                if group not in known.ring_groups:
                    tell(f"{name}.{where}ring_groups", f"the account has no ring group {group!r}")
            for attribute in attributes:
                if attribute not in known.attributes:
                    tell(f"{name}.{where}attributes", f"the account has no active attribute {attribute!r}")


def _reached(document: FlowDocument, start: str) -> set[str]:
    seen, left = {start}, [start]
    while left:
        for target in document.steps[left.pop()].exits.values():
            if target is not None and target in document.steps and target not in seen:
                seen.add(target)
                left.append(target)
    return seen


def _filled_by(step: AnyStep) -> set[str]:
    """The variables that a step gives a value."""
    match step:
        case Start():
            return {variable.name for variable in step.variables}
        case SetVariable():
            return {step.variable}
        case HttpRequest():
            return {*step.save, "http_status"}
        case Menu(variable=str(variable)):
            return {variable}
        case _:
            return set()


def _check_variables(document: FlowDocument, tell: Tell) -> None:
    """A text or condition may only name what the start takes in, a step fills, or the platform knows."""
    known = set(SYSTEM).union(*map(_filled_by, document.steps.values()))
    for name, step in document.steps.items():
        for field, text in step.texts():
            for place in PLACE.findall(text):
                if place not in known:
                    tell(f"{name}.{field}", f"nothing fills the variable {place!r}")
            if "{{" in filled(text, {}):
                tell(f"{name}.{field}", "has a {{ that names no variable, as in {{tier}}")
        if isinstance(step, Decision):
            for index, condition in enumerate(step.conditions):
                if condition.variable not in known:
                    tell(f"{name}.conditions[{index}].variable", f"nothing fills the variable {condition.variable!r}")
