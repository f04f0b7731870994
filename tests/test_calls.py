"""Calls in every order that can happen: what holds after each step, and what cannot be done."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.floor import calls
from ringfence.floor.calls import MOVES, Call, Impossible, Queue

AGENTS = ["ana", "bea", "cleo"]
step = st.tuples(
    st.sampled_from(sorted(MOVES)),
    st.floats(0, 500).map(lambda seconds: round(seconds, 3)),
    st.sampled_from(AGENTS),
    st.sampled_from(["contact", "agent", "system"]),
    st.sampled_from(["Ignored", "Rejected", "Device Unavailable"]),
)


def act(call: Call, verb: str, at: float, agent: str, by: Any, result: Any, n: int) -> None:
    """Do what a verb says, with whatever else it needs."""
    queue = Queue([f"group {n % 3}"], at)
    match verb:
        case "enqueue":
            calls.enqueue(call, at, queue, f"leg {n}")
        case "ring":
            calls.ring(call, at, agent, f"attempt {n}")
        case "miss":
            calls.miss(call, at, result)
        case "fail":
            calls.fail(call, at, f"leg {n}")
        case "consult":
            calls.consult(call, at, agent)
        case "hand_over":
            calls.hand_over(call, at, f"leg {n}")
        case "pass_on":
            calls.pass_on(call, at, queue, f"leg {n}")
        case "end":
            calls.end(call, at, by, short=10.0)
        case "record_message" | "message_left":
            getattr(calls, verb)(call)
        case _:
            getattr(calls, verb)(call, at)


def check(call: Call, now: float) -> None:
    """What is true of every call at every moment."""
    over = [leg for leg in call.legs if leg.finished is not None]
    going = [leg for leg in call.legs if leg.finished is None]
    waits = call.state in ("queued", "ringing", "connected", "held", "consulting", "dialling")
    assert len(going) == (1 if waits else 0)  # one contact at a time
    assert not going or going[0] is call.leg
    for leg in over:
        assert leg.type is not None
        assert leg.held_since is None
        assert leg.finished is not None
        assert leg.wait + leg.talk + leg.hard_hold + leg.soft_hold == pytest.approx(leg.finished - leg.started)
        assert min(leg.wait, leg.talk, leg.hard_hold, leg.soft_hold) >= -1e-6
        assert (leg.answered is not None) == (leg.type in ("Answered", "Connected"))
        assert leg.ring <= leg.finished - leg.started + 1e-6
    for leg in call.legs:
        assert all(one.result is not None for one in leg.attempts[:-1])
        answered = [one for one in leg.attempts if one.result == "Answered"]
        assert len(answered) <= 1
        assert leg.agent is None or leg.transfer_in == "Warm" or leg.agent == answered[0].agent
    ringing = [one for leg in call.legs for one in leg.attempts if one.result is None]
    assert len(ringing) == (1 if call.state == "ringing" else 0)
    assert len(call.agents) == len(set(call.agents))
    assert (call.consulted is not None) == (call.state == "consulting")
    assert (call.ended is not None) == (call.state == "ended")
    assert (call.queue is not None) == (call.state in ("queued", "ringing", "dialling"))
    assert msgspec.json.decode(msgspec.json.encode(call), type=Call) == call  # a restart finds it as it was


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["IN", "OUT"]), st.lists(step, max_size=25))
def test_whatever_happens_in_whatever_order_a_call_stays_whole(direction: Any, history: list[Any]) -> None:
    call, now = Call("call", direction, "+351210000100", "+351910000000", 0.0), 0.0
    for n, (verb, later, agent, by, result) in enumerate(history):
        before = deepcopy(call)
        try:
            act(call, verb, now + later, agent, by, result, n)
        except Impossible:
            assert call == before, "what cannot be done changes nothing"
        else:
            now += later
        check(call, now)
    if call.state != "ended":
        calls.end(call, now + 1, "system")
    check(call, now + 1)
    for verb in MOVES:
        with pytest.raises(Impossible):
            act(call, verb, now + 2, "ana", "agent", "Ignored", 99)


def inbound() -> Call:
    call = Call("call", "IN", "+351210000100", "+351910000000", 0.0)
    calls.enqueue(call, 5.0, Queue(["sales"], 5.0), "one")
    return call


@pytest.mark.parametrize("left_at, type", [(14.9, "Short Abandoned"), (15.0, "Abandoned")])
def test_who_hangs_up_early_abandons_shortly(left_at: float, type: str) -> None:
    call = inbound()
    calls.ring(call, 6.0, "ana", "first")
    leg = calls.end(call, left_at, "contact", short=10.0)
    assert leg is not None
    assert (leg.type, leg.attempts[0].result) == (type, "Canceled")


def test_a_warm_transfer_is_two_contacts_and_the_wait_of_the_first_is_on_hold() -> None:
    call = inbound()
    calls.ring(call, 6.0, "ana", "first")
    calls.answer(call, 9.0)
    calls.consult(call, 30.0, "bea")
    first = calls.hand_over(call, 42.0, "two")
    calls.end(call, 60.0, "contact")
    assert (first.wait, first.talk, first.soft_hold, first.transfer_out) == (4.0, 21.0, 12.0, "Warm")
    assert (call.leg.agent, call.leg.talk, call.leg.transfer_in, call.leg.type) == ("bea", 18.0, "Warm", "Answered")


def test_a_callback_that_is_not_answered_keeps_its_place() -> None:
    call = Call("call", "OUT", "+351210000100", "+351910000000", 0.0, callback=True)
    calls.enqueue(call, 0.0, Queue(["sales"], 0.0), "one")
    calls.ring(call, 60.0, "ana", "first")
    calls.dial(call, 63.0)
    over = calls.fail(call, 90.0, "two")
    assert (over.type, over.agent) == ("Not Connected", "ana")
    assert call.queue is not None
    assert call.queue.since == 0.0
    assert call.state == "queued"


def test_a_message_makes_the_contact_that_nobody_took_a_voicemail() -> None:
    call = inbound()
    calls.leave_queue(call, 100.0)
    calls.record_message(call)
    calls.message_left(call)
    calls.end(call, 130.0, "contact")
    assert call.leg.type == "Voicemail"
