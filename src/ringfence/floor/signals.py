"""What each signal does to a call: one function a signal. What cannot follow the present state raises Impossible."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import engine, events, telling
from .calls import Impossible, Queue, Result
from .interactions import Interaction
from .telephony import Due, Order, Signal

if TYPE_CHECKING:
    from .centre import Centre

TRANSFERRED_WAIT = 600.0  # seconds that a contact who was transferred waits at most
RETRY = 300.0  # seconds between two attempts at a callback
TALKING = ("connected", "held", "consulting")
MISSED: dict[str, Result] = {"rejected": "Rejected", "ignored": "Ignored", "unavailable": "Device Unavailable"}


def answered(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    call = it.call
    if call.contact_is_there:
        centre.talk(it, centre.floor.answer(call.id, at), at)
        return
    attempt = call.leg.attempts[-1]
    centre.floor.dial(call.id, at)
    centre.cancel(it, "ring")
    telling.attempt_finished(centre, it, attempt)
    if it.callback is not None:
        it.callback.dialled += 1
        centre.callback_is(it, "dialling_contact", at)
    centre.order(it, Order(centre.new_id(), "dial", call.id, number=call.contact_number, agent=attempt.agent), at)


def missed(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    attempt = centre.floor.miss(it.call.id, at, MISSED[signal.what])
    centre.cancel(it, "ring")
    telling.attempt_finished(centre, it, attempt)
    if it.callback is not None:
        centre.tried(it, attempt.result or "", at)
        if it.call.state == "queued":
            centre.callback_is(it, "queued", at)


def reached(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    centre.talk(it, centre.floor.reach(it.call.id, at), at)


def not_reached(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    asked = it.callback
    if it.call.state != "dialling":
        raise Impossible("nobody is being dialled")
    centre.cancel(it, "ring")
    if asked is None or asked.dialled >= asked.max_attempts:
        if asked is not None:
            centre.tried(it, signal.what, at)
            centre.callback_over(it, "failed", signal.what, at)
        centre.end(it, "system", at)
        return
    over = centre.floor.fail(it.call.id, at)
    it.in_line = False
    telling.leg_finished(centre, it, over, at)
    centre.tried(it, signal.what, at)
    centre.callback_is(it, "queued", at)
    centre.due(it, Due(at + RETRY, "call", Signal("retry")))


def not_allowed(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    if it.call.contact_is_there:
        raise Impossible("the contact is there already")
    centre.tried(it, "not_allowed", at)
    centre.callback_over(it, "failed", "do_not_call", at)
    centre.end(it, "system", at)


def hung_up(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    call = it.call
    if signal.by == "agent" and call.state in ("connected", "held") and goes_on(centre, it):
        over = centre.floor.release(call.id, at)
        centre.stop_talking(it, over, at)
        engine.go(centre, it, "ok", at)
        return
    centre.end(it, signal.by, at)


def goes_on(centre: "Centre", it: Interaction) -> bool:
    """Whether the flow has something for the contact after the conversation."""
    execution = it.execution
    if execution is None:
        return False
    step = centre.roster.versions[execution.version].document.steps[execution.step]
    return step.exits.get("ok") is not None


def hold(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    centre.floor.hold(it.call.id, at)
    telling.held(centre, it, events.CALL_HELD, at)


def resume(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    centre.floor.resume(it.call.id, at)
    telling.held(centre, it, events.CALL_RESUMED, at)


def consult(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    if it.call.state not in ("connected", "held"):
        raise Impossible("only an agent who talks can ask another")
    asked = signal.agent or centre.floor.longest_idle(signal.ring_groups, it.call.leg.agent)
    if asked is None:
        raise Impossible("nobody is free to be asked")
    centre.floor.consult(it.call.id, at, asked)


def rejoin(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    centre.floor.rejoin(it.call.id, at)


def hand_over(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    over = centre.floor.hand_over(it.call.id, at)
    centre.stop_talking(it, over, at)
    centre.talk(it, it.call.leg, at, transfer="Warm")


def pass_on(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    call = it.call
    if call.state not in ("connected", "held"):
        raise Impossible("only an agent who talks can transfer")
    groups = signal.ring_groups or list(call.leg.ring_groups)
    if not groups:
        raise Impossible("there is no ring group to transfer to")
    over = centre.floor.pass_on(call.id, at, Queue(groups, at))
    centre.stop_talking(it, over, at)
    centre.due(it, Due(at + TRANSFERRED_WAIT, "queue", Signal("max_wait")))
    centre.waits(it, at, transfer="Blind")


def max_wait(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    ringing = list(it.call.leg.attempts[-1:]) if it.call.state == "ringing" else []
    over = centre.floor.leave_queue(it.call.id, at)
    for attempt in ringing:
        telling.attempt_finished(centre, it, attempt)
    centre.cancel(it, "queue", "ring")
    it.in_line = False
    telling.leg_finished(centre, it, over, at)
    if it.execution is not None:
        engine.go(centre, it, "no_answer", at)
    else:
        centre.end(it, "system", at)


def relax(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    engine.relax(centre, it, signal.number, at)


def retry(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    it.in_line = True
    centre.floor.retry(it.call.id, at)


def begin(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    centre.begin_callback(it, at)


def expire(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    if it.callback is None or it.call.contact_is_there:
        raise Impossible("a conversation does not expire")
    centre.callback_over(it, "expired", "expired", at)
    centre.end(it, "system", at)


def to_flow(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    engine.signal(centre, it, signal, at)


def record(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    it.record = True
    if it.call.state in TALKING and it.recording_since is None:
        it.recording_since = at


def pause_recording(centre: "Centre", it: Interaction, signal: Signal, at: float) -> None:
    it.record = False
    if it.recording_since is not None:
        it.recorded += at - it.recording_since
        it.recording_since = None


Received = Callable[["Centre", Interaction, Signal, float], None]
RECEIVE: dict[str, Received] = {
    "played": to_flow,
    "pressed": to_flow,
    "silent": to_flow,
    "http_answered": to_flow,
    "message_left": to_flow,
    "answered": answered,
    "rejected": missed,
    "ignored": missed,
    "unavailable": missed,
    "reached": reached,
    "busy": not_reached,
    "no_answer": not_reached,
    "not_allowed": not_allowed,
    "hold": hold,
    "resume": resume,
    "consult": consult,
    "rejoin": rejoin,
    "hand_over": hand_over,
    "pass_on": pass_on,
    "hung_up": hung_up,
    "max_wait": max_wait,
    "relax": relax,
    "retry": retry,
    "begin": begin,
    "expire": expire,
    "record": record,
    "pause_recording": pause_recording,
}
