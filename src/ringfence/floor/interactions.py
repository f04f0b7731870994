"""What is written down of an interaction: the call, where its flow has got to, and the signals that are to come."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from .calls import Call
from .flows import Value
from .telephony import Due, Order

CallbackState = Literal[
    "queued", "reserved", "dialling_agent", "dialling_contact", "connected", "completed", "failed", "expired",
    "cancelled",
]  # fmt: skip


class Execution(msgspec.Struct, omit_defaults=True):
    """A flow that is being executed: the step it is at, since when, and its variables."""

    id: str
    flow: str
    version: str
    step: str
    entered: float
    order: int = 0  # of the step, from 0
    variables: dict[str, Value] = {}
    tries: int = 0  # of a menu


class Try(msgspec.Struct, omit_defaults=True):
    """One attempt at a callback, from the ringing of the agent's phone on."""

    user_id: str
    started_at: datetime
    finished_at: datetime | None = None
    result: str | None = None  # connected | busy | no_answer | not_allowed | Rejected, Ignored …


class Callback(msgspec.Struct, omit_defaults=True):
    """What was asked for when somebody wanted to be called back, and how far it has got."""

    ring_groups: list[str]
    expires: float
    created: float
    attributes: dict[str, int] = {}
    priority: int = 5
    not_before: float | None = None
    max_attempts: int = 3
    context: Any = None
    state: CallbackState = "queued"
    reason: str | None = None
    tries: list[Try] = []
    dialled: int = 0  # how often the contact's phone was made to ring


class Interaction(msgspec.Struct, omit_defaults=True):
    """A call on the floor with all that belongs to it; the whole of it is in the row, so a restart goes on."""

    call: Call
    contact_id: str | None = None
    open: bool = True  # whether it began within business hours
    execution: Execution | None = None
    callback: Callback | None = None
    timers: list[Due] = []
    order: Order | None = None  # the last one: it is given again after a restart
    in_line: bool = False  # whether the call stands on the board; a callback between two attempts does not
    record: bool = True
    recording_since: float | None = None
    recorded: float = 0.0  # seconds of the conversation that goes on
    recordings: int = 0
    flow: str | None = None
    version: str | None = None


DECODE = msgspec.json.Decoder(Interaction).decode


def read(document: Any) -> Interaction:
    return msgspec.convert(document, Interaction)


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def whole(seconds: float) -> int:
    """A duration as the reports have it."""
    return round(seconds)
