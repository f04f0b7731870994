"""The telephony port: what the floor orders from a carrier, and what a carrier signals back.

An order is carried out after it has been written down, and again after a crash: its `id` tells that it is the same.
A carrier that is a simulation says beforehand which signals will come; a real one sends them to the floor's inbox.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

from ringfence.store.statement import Row

from .calls import By, Call
from .events import CustomFields, Quality, Rating

What = Literal[
    "played", "pressed", "silent",  # of what the contact is told and asked
    "answered", "rejected", "ignored", "unavailable",  # of an agent's phone
    "reached", "busy", "no_answer", "not_allowed",  # of the contact's phone
    "hold", "resume", "consult", "rejoin", "hand_over", "pass_on",  # of an agent who talks
    "record", "pause_recording",
    "hung_up", "message_left", "http_answered",
    "max_wait", "relax", "retry", "begin", "expire", "wrapped_up",  # of the floor's own clock
]  # fmt: skip


class Signal(msgspec.Struct, omit_defaults=True, frozen=True):
    """Something that happened to a call, or to an agent. What cannot follow the present state is passed over."""

    what: What
    by: By = "contact"  # who hung up
    digit: str = ""
    seconds: float = 0.0  # of a message
    agent: str | None = None  # who is consulted; nobody named: whoever of the ring groups has been idle longest
    ring_groups: list[str] = []
    number: int = 0  # which relaxation; which status of HTTP
    values: dict[str, str | int | float | bool | None] = {}  # of variables
    disposition: str | None = None
    notes: str | None = None
    rating: Rating | None = None  # of the line
    rating_reason: str | None = None
    custom_fields: CustomFields | None = None
    order: str = ""  # the order that it answers, where there is one


class Due(msgspec.Struct, omit_defaults=True):
    """A signal that will come by itself. Leaving the phase that it belongs to cancels it."""

    due: float
    phase: str
    signal: Signal


Kind = Literal["say", "ask", "wait", "ring", "dial", "connect", "record_message", "clear"]


class Order(msgspec.Struct, omit_defaults=True, frozen=True):
    """What the carrier is to do for a call."""

    id: str
    kind: Kind
    call: str
    text: str = ""  # to say
    seconds: float = 0.0  # that playing takes, that a key is waited for, that a message may have
    options: list[str] = []  # keys that make sense
    agent: str = ""  # whose phone
    leg: str = ""
    ring_groups: list[str] = []
    number: str = ""  # to dial


class Carrier(Protocol):
    """Where calls come from and go to. Another one is a class like the simulated one, in a file of its own."""

    name: str

    def foresee(self, order: Order, call: Call, at: float) -> list[Due]:
        """The signals that an order will be answered with, where that is known beforehand; else none."""
        ...

    async def carry_out(self, orders: Sequence[Order]) -> None:
        """Do it. The signals come to `inbox.signal` later."""
        ...

    def after_call_work(self, call: Call, leg: str, agent: str) -> tuple[float, Signal]:
        """Seconds that an agent works after a conversation, and how it is filed. 0 seconds: the agent says when."""
        ...

    def quality(self, call: Call, leg: str, at: float) -> Quality | None:
        """What was measured of the media of a contact that is over."""
        ...

    def media(self, recording: Row) -> AsyncIterator[bytes]:
        """The audio of a recording (a row of `recordings`) as WAV, in pieces."""
        ...
