"""A call from its first ring to its end: one table of what can follow what, and the times that come of it.

A call is an interaction; each agent or queue that it comes to is a contact within it (contract:
data_and_events.md, contacts). Times are seconds since 1970.
"""

from typing import Literal

import msgspec

from .board import Demand

State = Literal["flow", "queued", "ringing", "connected", "held", "consulting", "dialling", "voicemail", "ended"]
Direction = Literal["IN", "OUT"]
Result = Literal["Answered", "Canceled", "Device Unavailable", "Ignored", "Rejected"]
Ending = Literal["Answered", "Missed", "Abandoned", "Short Abandoned", "Voicemail", "Connected", "Not Connected"]
Transfer = Literal["Blind", "Warm"]
By = Literal["contact", "agent", "system"]

# verb -> state before -> state after; what is not here cannot happen
MOVES: dict[str, dict[State, State]] = {
    "enqueue": {"flow": "queued"},
    "ring": {"queued": "ringing"},
    "miss": {"ringing": "queued"},
    "leave_queue": {"queued": "flow", "ringing": "flow"},
    "answer": {"ringing": "connected"},
    "dial": {"ringing": "dialling"},
    "reach": {"dialling": "connected"},
    "fail": {"dialling": "queued"},
    "hold": {"connected": "held"},
    "resume": {"held": "connected"},
    "consult": {"connected": "consulting", "held": "consulting"},
    "rejoin": {"consulting": "connected"},
    "hand_over": {"consulting": "connected"},
    "pass_on": {"connected": "queued", "held": "queued"},
    "release": {"connected": "flow", "held": "flow"},
    "record_message": {"flow": "voicemail"},
    "message_left": {"voicemail": "flow"},
    "end": dict.fromkeys(
        ("flow", "queued", "ringing", "connected", "held", "consulting", "dialling", "voicemail"), "ended"
    ),
}


class Impossible(Exception):
    """What was asked for cannot follow the state that a call or an agent is in."""


class Attempt(msgspec.Struct):
    """One agent's phone rings, or rang."""

    id: str
    agent: str
    started: float
    finished: float | None = None
    result: Result | None = None


class Leg(msgspec.Struct, omit_defaults=True):
    """A contact of the interaction: from coming to a queue or to an agent until leaving them."""

    id: str
    direction: Direction
    started: float
    ring_groups: list[str] = []
    attempts: list[Attempt] = []
    agent: str | None = None
    answered: float | None = None
    finished: float | None = None
    type: Ending | None = None
    hard_hold: float = 0.0  # the contact waits, and nobody is asked
    soft_hold: float = 0.0  # the contact waits while another agent is asked
    held_since: float | None = None
    transfer_in: Transfer | None = None
    transfer_out: Transfer | None = None
    ended_by: By | None = None

    @property
    def wait(self) -> float:
        """Until an agent answered, or until it was over."""
        until = self.answered if self.answered is not None else self.finished
        return 0.0 if until is None else until - self.started

    @property
    def talk(self) -> float:
        """Without the time on hold."""
        if self.answered is None or self.finished is None:
            return 0.0
        return self.finished - self.answered - self.hard_hold - self.soft_hold

    @property
    def ring(self) -> float:
        return sum(one.finished - one.started for one in self.attempts if one.finished is not None)


class Queue(msgspec.Struct):
    """Where a caller stands. `since` is kept when the call comes back: the place in the queue is theirs."""

    ring_groups: list[str]
    since: float
    minima: dict[str, int] = {}
    priority: int = 5

    def demand(self) -> Demand:
        return Demand(frozenset(self.ring_groups), frozenset(self.minima.items()))


class Call(msgspec.Struct, omit_defaults=True):
    """An interaction by voice."""

    id: str
    direction: Direction
    company_number: str
    contact_number: str
    started: float
    state: State = "flow"
    legs: list[Leg] = []
    queue: Queue | None = None
    consulted: str | None = None  # the agent who is asked while the contact waits
    callback: bool = False
    ended: float | None = None
    ended_by: By | None = None

    @property
    def leg(self) -> Leg:
        """The contact that is going on."""
        return self.legs[-1]

    @property
    def contact_is_there(self) -> bool:
        """They called, or have been reached."""
        return self.direction == "IN" or any(leg.answered is not None for leg in self.legs)

    @property
    def agents(self) -> list[str]:
        """Who is busy with the call now, or whose phone rings for it."""
        found = []
        if self.state in ("connected", "held", "consulting") and self.leg.agent is not None:
            found.append(self.leg.agent)
        if self.state in ("ringing", "dialling"):
            found.append(self.leg.attempts[-1].agent)
        if self.consulted is not None:
            found.append(self.consulted)
        return found


def move(call: Call, verb: str, *, unless: str = "") -> State:
    """Take the one step that the table allows; the state before. Raises Impossible, and changes nothing."""
    before = call.state
    after = MOVES[verb].get(before)
    if after is None:
        raise Impossible(f"a call that is {before} cannot {verb}")
    if unless:
        raise Impossible(unless)
    call.state = after
    return before


def enqueue(call: Call, at: float, queue: Queue, leg: str) -> None:
    """The caller waits for an agent: a contact begins."""
    move(call, "enqueue")
    call.queue = queue
    call.legs.append(Leg(leg, call.direction, at, list(queue.ring_groups)))


def ring(call: Call, at: float, agent: str, attempt: str) -> Attempt:
    """An agent's phone begins to ring."""
    move(call, "ring")
    made = Attempt(attempt, agent, at)
    call.leg.attempts.append(made)
    return made


def miss(call: Call, at: float, result: Result) -> Attempt:
    """The agent did not take it; the caller waits on where they were."""
    move(call, "miss", unless="an attempt that was answered was not missed" if result == "Answered" else "")
    return _stop_ringing(call, at, result)


def leave_queue(call: Call, at: float) -> Leg:
    """Nobody is coming, or it took too long: back to the flow. The contact was missed."""
    if move(call, "leave_queue") == "ringing":
        _stop_ringing(call, at, "Canceled")
    call.queue = None
    return _finish(call, at, "Missed", "system")


def answer(call: Call, at: float) -> Leg:
    """The agent takes a call whose contact is there."""
    move(call, "answer", unless="" if call.contact_is_there else "the contact must be dialled first")
    return _connect(call, at, _stop_ringing(call, at, "Answered").agent)


def dial(call: Call, at: float) -> None:
    """The agent takes an outbound call: now the contact's phone is to ring."""
    move(call, "dial", unless="the contact is there already" if call.contact_is_there else "")
    _stop_ringing(call, at, "Answered")


def reach(call: Call, at: float) -> Leg:
    """The contact answers."""
    move(call, "reach")
    return _connect(call, at, call.leg.attempts[-1].agent)


def fail(call: Call, at: float, leg: str) -> Leg:
    """The contact was not reached: this contact is over, and another begins where it stood in the queue."""
    move(call, "fail")
    call.leg.agent = call.leg.attempts[-1].agent
    over = _finish(call, at, "Not Connected", "system")
    call.legs.append(Leg(leg, call.direction, at, list(over.ring_groups)))
    return over


def hold(call: Call, at: float) -> None:
    move(call, "hold")
    call.leg.held_since = at


def resume(call: Call, at: float) -> None:
    move(call, "resume")
    _take_off_hold(call, at)


def consult(call: Call, at: float, agent: str) -> None:
    """The agent asks another one while the contact waits."""
    own = bool(call.legs) and agent == call.leg.agent
    if move(call, "consult", unless="nobody consults themselves" if own else "") == "held":
        _take_off_hold(call, at)
    call.consulted, call.leg.held_since = agent, at


def rejoin(call: Call, at: float) -> str:
    """Back to the contact; who had been asked is free again."""
    asked = _asked(call, "rejoin")
    _take_off_hold(call, at, soft=True)
    call.consulted = None
    return asked


def hand_over(call: Call, at: float, leg: str) -> Leg:
    """A warm transfer: who was asked takes the contact over."""
    asked = _asked(call, "hand_over")
    _take_off_hold(call, at, soft=True)
    call.consulted = None
    over = _finish(call, at, _conversation(call), "agent")
    over.transfer_out = "Warm"
    call.legs.append(Leg(leg, call.direction, at, list(over.ring_groups), transfer_in="Warm"))
    _connect(call, at, asked)
    return over


def pass_on(call: Call, at: float, queue: Queue, leg: str) -> Leg:
    """A blind transfer: the contact waits for another agent."""
    if move(call, "pass_on") == "held":
        _take_off_hold(call, at)
    over = _finish(call, at, _conversation(call), "agent")
    over.transfer_out = "Blind"
    call.queue = queue
    call.legs.append(Leg(leg, call.direction, at, list(queue.ring_groups), transfer_in="Blind"))
    return over


def release(call: Call, at: float) -> Leg:
    """The agent hangs up and the contact does not: they are back with the flow."""
    if move(call, "release") == "held":
        _take_off_hold(call, at)
    return _finish(call, at, _conversation(call), "agent")


def record_message(call: Call) -> None:
    move(call, "record_message")


def message_left(call: Call) -> None:
    """The last contact, that nobody took, becomes one that left a message."""
    move(call, "message_left")
    if call.legs and call.leg.type == "Missed":
        call.leg.type = "Voicemail"


def end(call: Call, at: float, by: By, *, short: float = 0.0) -> Leg | None:
    """The call is over; the contact that this ended. `short` is the threshold of short abandons, in seconds."""
    state = move(call, "end")
    call.queue = None
    call.ended, call.ended_by = at, by
    if state in ("flow", "voicemail"):
        return None
    if state == "ringing":
        _stop_ringing(call, at, "Canceled")
    if state in ("held", "consulting"):
        _take_off_hold(call, at, soft=state == "consulting")
        call.consulted = None
    if state == "dialling":
        call.leg.agent = call.leg.attempts[-1].agent
    return _finish(call, at, _ending(call, state, at, by, short), by)


def _ending(call: Call, state: State, at: float, by: By, short: float) -> Ending:
    if state in ("connected", "held", "consulting"):
        return _conversation(call)
    if call.direction == "OUT":
        return "Not Connected"
    if by != "contact":
        return "Missed"
    return "Short Abandoned" if at - call.leg.started < short else "Abandoned"


def _conversation(call: Call) -> Ending:
    return "Answered" if call.direction == "IN" else "Connected"


def _asked(call: Call, verb: str) -> str:
    move(call, verb)
    if call.consulted is None:
        raise RuntimeError("a call that consults has somebody who is consulted")
    return call.consulted


def _connect(call: Call, at: float, agent: str) -> Leg:
    call.queue = None
    call.leg.agent, call.leg.answered = agent, at
    return call.leg


def _stop_ringing(call: Call, at: float, result: Result) -> Attempt:
    attempt = call.leg.attempts[-1]
    attempt.finished, attempt.result = at, result
    return attempt


def _take_off_hold(call: Call, at: float, *, soft: bool = False) -> None:
    leg = call.leg
    held = at - leg.held_since if leg.held_since is not None else 0.0
    if soft:
        leg.soft_hold += held
    else:
        leg.hard_hold += held
    leg.held_since = None


def _finish(call: Call, at: float, type: Ending, by: By) -> Leg:
    leg = call.leg
    leg.finished, leg.type, leg.ended_by = at, type, by
    return leg
