"""The steps that a flow consists of: components of Studio's kind (contract: voice_and_guardian.md section 2).

An exit that leads nowhere ends the flow. `{{name}}` in a text stands for a variable.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from ringfence.kernel.shapes import Shape

LONGEST = 4000  # characters of a text
WORD = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$(?!\n)"

Name = Annotated[str, msgspec.Meta(pattern=WORD)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST)]
Spoken = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Proficiency = Annotated[int, msgspec.Meta(ge=0, le=100)]
Demanded = Annotated[dict[Label, Proficiency], msgspec.Meta(max_length=20)]  # attributes, and how much of each
Digit = Annotated[str, msgspec.Meta(pattern=r"^[0-9*#]$(?!\n)")]
Value = str | int | float | bool | None
Constant = (
    Text
    | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    | Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
    | bool
    | None
)
Exits = Annotated[
    dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], str | None], msgspec.Meta(max_length=64)
]


class Step(Shape, tag_field="type", kw_only=True, forbid_unknown_fields=True):
    """What every step has: where its exits lead, and what people call it."""

    exits: Exits = {}
    title: Annotated[str, msgspec.Meta(max_length=255)] = ""

    def ways(self) -> tuple[str, ...]:
        """The exits that may be joined to another step."""
        return ("ok",)

    def texts(self) -> Iterator[tuple[str, str]]:
        """(field, text) wherever variables may stand."""
        yield from ()


class Variable(Shape, forbid_unknown_fields=True):
    """What the start of a flow takes in."""

    name: Name
    type: Literal["text", "number", "boolean"] = "text"
    mandatory: bool = False
    default: Constant = None


class Start(Step, tag="start", kw_only=True):
    """Where an execution begins, and which variables it takes."""

    variables: Annotated[list[Variable], msgspec.Meta(max_length=100)] = []


class Say(Step, tag="say", kw_only=True):
    """Speaks a text to the contact."""

    text: Spoken

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "text", self.text


class Play(Step, tag="play", kw_only=True):
    """Plays an audio file that takes so many seconds."""

    audio: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    seconds: Seconds = 5.0


class Menu(Step, tag="menu", kw_only=True):
    """Asks for one key. The exits are the keys, `no_input` and `invalid`."""

    prompt: Spoken
    options: Annotated[dict[Digit, Label], msgspec.Meta(min_length=1, max_length=12)]
    variable: Name | None = None
    patience: Annotated[float, msgspec.Meta(ge=1, le=120)] = 8.0  # seconds to wait for a key
    tries: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2

    def ways(self) -> tuple[str, ...]:
        return (*self.options, "no_input", "invalid")

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "prompt", self.prompt


class BiometricsConsent(Step, tag="biometrics_consent", kw_only=True):
    """Asks whether the contact's voice may be known: 1 agrees, 2 refuses. `unknown_contact`: nobody to agree."""

    prompt: Spoken
    patience: Annotated[float, msgspec.Meta(ge=1, le=120)] = 8.0  # seconds to wait for a key
    tries: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2

    def ways(self) -> tuple[str, ...]:
        return ("consented", "refused", "no_input", "invalid", "unknown_contact")

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "prompt", self.prompt


class Condition(Shape, kw_only=True, forbid_unknown_fields=True):
    """`exit` is taken where the variable compares so to the value."""

    variable: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    operator: Literal["eq", "ne", "gt", "ge", "lt", "le", "contains", "starts_with", "is_set"]
    value: Constant = None
    exit: Name


class Decision(Step, tag="decision", kw_only=True):
    """The exit of the first condition that holds, else `otherwise`."""

    conditions: Annotated[list[Condition], msgspec.Meta(min_length=1, max_length=50)]

    def ways(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(condition.exit for condition in self.conditions), "otherwise"]))


class SetVariable(Step, tag="set_variable", kw_only=True):
    """Gives a variable a value; None empties it."""

    variable: Name
    value: Constant = None

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


class Relaxation(Shape, forbid_unknown_fields=True):
    """After so many seconds of waiting, ask for less, or of more ring groups."""

    after: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    attributes: Demanded = {}
    ring_groups: Annotated[list[Label], msgspec.Meta(max_length=20)] = []


class Assign(Step, tag="assign", kw_only=True):
    """Puts the contact in a queue until an agent answers."""

    ring_groups: Annotated[list[Label], msgspec.Meta(min_length=1, max_length=20)]
    attributes: Demanded = {}
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5  # 10 goes first
    max_wait: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    max_queue: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000  # callers who may wait there
    relax: Annotated[list[Relaxation], msgspec.Meta(max_length=10)] = []
    record: bool = True

    def ways(self) -> tuple[str, ...]:
        return ("ok", "no_answer", "no_agents", "queue_size_limit_reached")


class PlaceCallback(Step, tag="callback", kw_only=True):
    """Promises to call back: the contact keeps their place in the queue of these ring groups."""

    ring_groups: Annotated[list[Label], msgspec.Meta(min_length=1, max_length=20)]
    attributes: Demanded = {}
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
    | Voicemail | SendEvent | BiometricsConsent | End
)  # fmt: skip


def type_of(step: Step) -> str:
    """What a step is called in a document."""
    tag: Any = step.__struct_config__.tag
    return str(tag)
