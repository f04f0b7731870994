"""What a flow is: a document of steps joined by exits, checked as a whole before it may be published.

Steps are components of Studio's kind (contract: voice_and_guardian.md section 2). An exit that leads nowhere ends the
flow. `{{name}}` in a text stands for a variable.
"""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from ringfence.kernel.problems import INVALID, Fault, FieldError
from ringfence.kernel.shapes import Shape, misfit

MOST_STEPS = 500  # in a document
WORD = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$(?!\n)"
PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]{0,127})\s*\}\}")

Name = Annotated[str, msgspec.Meta(pattern=WORD)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Proficiency = Annotated[int, msgspec.Meta(ge=0, le=100)]
Digit = Annotated[str, msgspec.Meta(pattern=r"^[0-9*#]$(?!\n)")]
Value = str | int | float | bool | None
Exits = dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], str | None]


class Step(Shape, tag_field="type", kw_only=True):
    """What every step has: where its exits lead, and what people call it."""

    exits: Exits = {}
    title: Annotated[str, msgspec.Meta(max_length=255)] = ""

    def ways(self) -> tuple[str, ...]:
        """The exits that may be joined to another step."""
        return ("ok",)

    def texts(self) -> Iterator[tuple[str, str]]:
        """(field, text) wherever variables may stand."""
        yield from ()


class Variable(Shape):
    """What the start of a flow takes in."""

    name: Name
    type: Literal["text", "number", "boolean"] = "text"
    mandatory: bool = False
    default: Value = None


class Start(Step, tag="start", kw_only=True):
    """Where an execution begins, and which variables it takes."""

    variables: Annotated[list[Variable], msgspec.Meta(max_length=100)] = []


class Say(Step, tag="say", kw_only=True):
    """Speaks a text to the contact."""

    text: Text

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "text", self.text


class Play(Step, tag="play", kw_only=True):
    """Plays an audio file that takes so many seconds."""

    audio: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    seconds: Seconds = 5.0


class Menu(Step, tag="menu", kw_only=True):
    """Asks for one key. The exits are the keys, `no_input` and `invalid`."""

    prompt: Text
    options: Annotated[dict[Digit, Label], msgspec.Meta(min_length=1, max_length=12)]
    variable: Name | None = None
    patience: Annotated[float, msgspec.Meta(ge=1, le=120)] = 8.0  # seconds to wait for a key
    tries: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2

    def ways(self) -> tuple[str, ...]:
        return (*self.options, "no_input", "invalid")

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "prompt", self.prompt


class Condition(Shape, kw_only=True):
    """`exit` is taken where the variable compares so to the value."""

    variable: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    operator: Literal["eq", "ne", "gt", "ge", "lt", "le", "contains", "starts_with", "is_set"]
    value: Value = None
    exit: Name


class Decision(Step, tag="decision", kw_only=True):
    """The exit of the first condition that holds, else `otherwise`."""

    conditions: Annotated[list[Condition], msgspec.Meta(min_length=1, max_length=50)]

    def ways(self) -> tuple[str, ...]:
        return (*dict.fromkeys(condition.exit for condition in self.conditions), "otherwise")


class SetVariable(Step, tag="set_variable", kw_only=True):
    variable: Name
    value: Annotated[str, msgspec.Meta(max_length=4000)] | int | float | bool | None

    def texts(self) -> Iterator[tuple[str, str]]:
        if isinstance(self.value, str):
            yield "value", self.value


class BusinessHours(Step, tag="business_hours", kw_only=True):
    """Exits `open` and `closed`, by hours that the account has declared."""

    hours: Label

    def ways(self) -> tuple[str, ...]:
        return ("open", "closed")


class HttpRequest(Step, tag="http_request", kw_only=True):
    """Asks another system. `save` fills variables from the answer by JSON pointer (RFC 6901)."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    headers: Annotated[dict[str, Text], msgspec.Meta(max_length=30)] = {}
    body: Text = ""
    patience: Annotated[float, msgspec.Meta(ge=0.1, le=30)] = 10.0
    save: Annotated[dict[Name, Annotated[str, msgspec.Meta(max_length=500)]], msgspec.Meta(max_length=50)] = {}

    def ways(self) -> tuple[str, ...]:
        return ("ok", "error", "unreachable")  # 2xx, any other answer, none

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "url", self.url
        yield "body", self.body
        for name, value in self.headers.items():
            yield f"headers.{name}", value


class Relaxation(Shape):
    """After so many seconds of waiting, ask for less, or of more ring groups."""

    after: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    attributes: dict[Label, Proficiency] = {}
    ring_groups: list[Label] = []


class Assign(Step, tag="assign", kw_only=True):
    """Puts the contact in a queue until an agent answers."""

    ring_groups: Annotated[list[Label], msgspec.Meta(min_length=1, max_length=20)]
    attributes: Annotated[dict[Label, Proficiency], msgspec.Meta(max_length=20)] = {}
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5  # 10 goes first
    max_wait: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    max_queue: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000  # callers who may wait there
    relax: Annotated[list[Relaxation], msgspec.Meta(max_length=10)] = []
    record: bool = True

    def ways(self) -> tuple[str, ...]:
        return ("ok", "no_answer", "no_agents", "queue_size_limit_reached")


class PlaceCallback(Step, tag="callback", kw_only=True):
    """Hangs up later, calls back: the contact keeps their place in the queue of these ring groups."""

    ring_groups: Annotated[list[Label], msgspec.Meta(min_length=1, max_length=20)]
    attributes: Annotated[dict[Label, Proficiency], msgspec.Meta(max_length=20)] = {}
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5

    def ways(self) -> tuple[str, ...]:
        return ("ok", "refused")


class Voicemail(Step, tag="voicemail", kw_only=True):
    """Records a message."""

    greeting: Text = ""
    longest: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 120.0

    def ways(self) -> tuple[str, ...]:
        return ("ok", "nothing_said")

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "greeting", self.greeting


class SendEvent(Step, tag="send_event", kw_only=True):
    """Emits `flow.event`, which webhooks can hear."""

    name: Label
    data: Annotated[dict[Name, Text], msgspec.Meta(max_length=50)] = {}

    def texts(self) -> Iterator[tuple[str, str]]:
        for name, value in self.data.items():
            yield f"data.{name}", value


class End(Step, tag="end", kw_only=True):
    """Hangs up."""

    def ways(self) -> tuple[str, ...]:
        return ()


AnyStep = (
    Start | Say | Play | Menu | Decision | SetVariable | BusinessHours | HttpRequest | Assign | PlaceCallback
    | Voicemail | SendEvent | End
)  # fmt: skip


class FlowDocument(Shape):
    """A flow: its steps by name, one of which is of the type `start`."""

    steps: Annotated[dict[Name, AnyStep], msgspec.Meta(min_length=1, max_length=MOST_STEPS)]

    @property
    def start(self) -> str:
        return next(name for name, step in self.steps.items() if isinstance(step, Start))

    @property
    def variables(self) -> list[Variable]:
        step = self.steps[self.start]
        return step.variables if isinstance(step, Start) else []


SYSTEM = ("contact.number", "contact.id", "company.number", "interaction.id", "interaction.direction")


def read(document: Any) -> FlowDocument:
    """A document out of JSON or TOML. Raises a Fault that names the step and the field."""
    try:
        return msgspec.convert(document, FlowDocument)
    except msgspec.ValidationError as why:
        raise misfit(_at_step(why, document)) from why
    except RecursionError as why:
        raise Fault(INVALID, "The document is nested too deeply.") from why


def _at_step(why: msgspec.ValidationError, document: Any) -> Exception:
    """msgspec writes `$.steps[...]` for a member of a dictionary: say which step it was."""
    sentence, found, path = str(why).partition(" - at `")
    steps = document.get("steps") if isinstance(document, dict) else None
    if not found or not path.startswith("$.steps[...]") or not isinstance(steps, dict):
        return why
    for name, step in steps.items():
        try:
            msgspec.convert({"steps": {name: step}}, FlowDocument)
        except msgspec.ValidationError as same:
            if str(same) == str(why):
                return msgspec.ValidationError(f"{sentence} - at `{path.replace('[...]', f'.{name}', 1)}")
    return why


def complaints(document: FlowDocument, known: "Known | None" = None) -> list[FieldError]:
    """All that keeps a document from being published, each with the path of what is wrong."""
    found: list[FieldError] = []

    def say(path: str, why: str) -> None:
        found.append(FieldError(f"steps.{path}", why))

    starts = [name for name, step in document.steps.items() if isinstance(step, Start)]
    if len(starts) != 1:
        found.append(FieldError("steps", f"must have exactly one step of type start, not {len(starts)}"))
    for name, step in document.steps.items():
        ways = step.ways()
        for exit, target in step.exits.items():
            if exit not in ways:
                say(f"{name}.exits.{exit}", f"a {_type(step)} step has the exits {', '.join(ways) or 'none'}")
            elif target is not None and target not in document.steps:
                say(f"{name}.exits.{exit}", f"there is no step {target!r}")
            elif target is not None and isinstance(document.steps[target], Start):
                say(f"{name}.exits.{exit}", "nothing leads back to the start")
        _check_fields(name, step, say)
        if known is not None:
            _check_known(name, step, known, say)
    if len(starts) == 1:
        for name in sorted(set(document.steps) - _reached(document, starts[0])):
            say(name, "no exit leads to this step")
    _check_variables(document, say)
    return found


class Known(Shape):
    """What an account has that a flow may name."""

    ring_groups: frozenset[str]
    attributes: frozenset[str]
    business_hours: frozenset[str]


Say_ = Callable[[str, str], None]


def _type(step: Step) -> str:
    tag: Any = step.__struct_config__.tag
    return str(tag)


def _check_fields(name: str, step: AnyStep, say: Say_) -> None:
    if isinstance(step, Start):
        names = [variable.name for variable in step.variables]
        for index, variable in enumerate(step.variables):
            if variable.name in names[:index]:
                say(f"{name}.variables[{index}].name", f"{variable.name} is declared twice")
            if variable.default is not None and typed(variable, variable.default) is None:
                say(f"{name}.variables[{index}].default", f"is no {variable.type}")
    elif isinstance(step, HttpRequest):
        _check_url(name, step.url, say)
        for variable_name, pointer in step.save.items():
            if pointer and not pointer.startswith("/"):
                say(f"{name}.save.{variable_name}", "must be a JSON pointer, as in /customer/tier")
        for header, value in step.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", header) or "\n" in value or "\r" in value:
                say(f"{name}.headers.{header}", "is no header of HTTP")
            elif header.lower() in ("host", "content-length", "transfer-encoding", "connection"):
                say(f"{name}.headers.{header}", "is set by the platform")
    elif isinstance(step, Assign):
        waits = [one.after for one in step.relax]
        if waits != sorted(set(waits)):
            say(f"{name}.relax", "must be in order of `after`, each later than the one before")
        for index, one in enumerate(step.relax):
            if one.after >= step.max_wait:
                say(f"{name}.relax[{index}].after", "comes after max_wait, so it never happens")


def _check_url(name: str, url: str, say: Say_) -> None:
    plain = PLACE.sub("x", url)
    try:
        parts = urlsplit(plain)
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.username is None
        good = good and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not url.startswith(("https://", "http://")):
        say(f"{name}.url", "must be a URL that begins with https:// and a host")
    elif PLACE.search(url.split("/", 3)[2]):
        say(f"{name}.url", "the host must not come from a variable")


def _check_known(name: str, step: AnyStep, known: Known, say: Say_) -> None:
    if isinstance(step, BusinessHours) and step.hours not in known.business_hours:
        say(f"{name}.hours", f"the account has no business hours {step.hours!r}")
    if isinstance(step, Assign | PlaceCallback):
        asked = [("", step.ring_groups, step.attributes)]
        if isinstance(step, Assign):
            asked += [(f"relax[{i}].", one.ring_groups, one.attributes) for i, one in enumerate(step.relax)]
        for where, groups, attributes in asked:
            for group in groups:
                if group not in known.ring_groups:
                    say(f"{name}.{where}ring_groups", f"the account has no ring group {group!r}")
            for attribute in attributes:
                if attribute not in known.attributes:
                    say(f"{name}.{where}attributes", f"the account has no attribute {attribute!r}")


def _reached(document: FlowDocument, start: str) -> set[str]:
    seen, left = {start}, [start]
    while left:
        for target in document.steps[left.pop()].exits.values():
            if target is not None and target in document.steps and target not in seen:
                seen.add(target)
                left.append(target)
    return seen


def _check_variables(document: FlowDocument, say: Say_) -> None:
    """A text may only name what the start takes in, a step fills, or the platform knows."""
    filled = set(SYSTEM)
    for step in document.steps.values():
        if isinstance(step, Start):
            filled |= {variable.name for variable in step.variables}
        elif isinstance(step, SetVariable):
            filled.add(step.variable)
        elif isinstance(step, HttpRequest):
            filled |= {*step.save, "http_status"}
        elif isinstance(step, Menu) and step.variable:
            filled.add(step.variable)
    for name, step in document.steps.items():
        for field, text in step.texts():
            for place in PLACE.findall(text):
                if place not in filled:
                    say(f"{name}.{field}", f"nothing fills the variable {place!r}")
        if isinstance(step, Decision):
            for index, condition in enumerate(step.conditions):
                if condition.variable not in filled:
                    say(f"{name}.conditions[{index}].variable", f"nothing fills the variable {condition.variable!r}")


def typed(variable: Variable, value: Any) -> Value:
    """A value as the variable's type has it; None where it is none."""
    if variable.type == "text":
        if isinstance(value, bool):
            return None
        return value if isinstance(value, str) else f"{value}" if isinstance(value, int | float) else None
    if variable.type == "boolean":
        words: dict[Any, bool] = {"true": True, "false": False}
        return value if isinstance(value, bool) else words.get(value.lower()) if isinstance(value, str) else None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return value if good else None


def taken_in(document: FlowDocument, given: dict[str, Any]) -> dict[str, Value]:
    """The variables that an execution begins with. Raises a Fault that names what is missing or of another type."""
    found: dict[str, Value] = {}
    wrong: list[FieldError] = []
    for variable in document.variables:
        value = given.get(variable.name)
        if value is None:
            if variable.mandatory and variable.default is None:
                wrong.append(FieldError(variable.name, "is mandatory in this flow"))
            found[variable.name] = variable.default
            continue
        found[variable.name] = known = typed(variable, value)
        if known is None or (isinstance(known, str) and (len(known) > 4000 or "\0" in known)):
            wrong.append(FieldError(variable.name, f"must be a {variable.type} of at most 4000 characters"))
    if wrong:
        raise Fault(INVALID, f"{wrong[0].name}: {wrong[0].description}", fields=tuple(wrong))
    return found


def filled(text: str, variables: dict[str, Value], quote: Callable[[str], str] = str) -> str:
    """A text with its variables in place; what is not set is empty."""

    def value_of(match: re.Match[str]) -> str:
        value = variables.get(match[1])
        if value is None:
            return ""
        return quote(("true" if value else "false") if isinstance(value, bool) else f"{value}")

    return PLACE.sub(value_of, text)


def holds(condition: Condition, variables: dict[str, Value]) -> bool:
    """Whether a condition is true; numbers compare as numbers where both sides are some, else texts."""
    have, wanted = variables.get(condition.variable), condition.value
    if condition.operator == "is_set":
        return have not in (None, "")
    if condition.operator in ("contains", "starts_with"):
        text, part = _plain(have), _plain(wanted)
        return part in text if condition.operator == "contains" else text.startswith(part)
    one, other = _number(have), _number(wanted)
    left: Any = one if one is not None and other is not None else _plain(have)
    right: Any = other if one is not None and other is not None else _plain(wanted)
    verdicts: dict[str, bool] = {
        "eq": left == right, "ne": left != right, "gt": left > right, "ge": left >= right, "lt": left < right,
        "le": left <= right,
    }  # fmt: skip
    return verdicts[condition.operator]


def _plain(value: Value) -> str:
    return "" if value is None else ("true" if value else "false") if isinstance(value, bool) else f"{value}"


def _number(value: Value) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except ValueError:
        return None
