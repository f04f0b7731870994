"""The floor in every order that can happen: what holds between agents and calls after each step."""

import itertools
import os
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.floor.board import fits
from ringfence.floor.calls import MOVES, Call, Impossible, Queue
from ringfence.floor.live import AVAILABLE, BUSY, WRAPPING_UP, Floor

PEOPLE = ["ana", "bea", "cleo", "dora"]
CALLS = [f"call {n}" for n in range(6)]
GROUPS = ["sales", "support"]
HISTORIES = int(os.environ.get("RINGFENCE_TEST_HISTORIES", "500"))
WANTS: list[tuple[list[str], dict[str, int]]] = [
    (["sales"], {}), (["support"], {}), (["sales", "support"], {"french": 60}), (["support"], {"french": 100}),
]  # fmt: skip
STATUSES = ["available", "available", "away", "away_lunch", "offline"]


def candidates(floor: Floor, wild: bool) -> list[tuple[Any, ...]]:
    """What can happen next, or, if `wild`, anything at all."""
    found: list[tuple[Any, ...]] = [
        ("arrive", id, way) for id in CALLS if id not in floor.calls for way in ("IN", "OUT")
    ]
    for who, (groups, least) in itertools.product(PEOPLE, WANTS[:2]):
        found.append(("staff", who, groups, {"french": 60} | least))
    for who in PEOPLE if wild else floor.desks:
        found += [("set_status", who, status) for status in STATUSES] + [("wrapped_up", who)] * 3
    for id in CALLS if wild else floor.calls:
        for verb in (verb for verb in MOVES if wild or floor.calls[id].state in MOVES[verb]):
            if verb in ("enqueue", "pass_on"):
                found += [(verb, id, groups, least) for groups, least in WANTS]
            elif verb == "miss":
                found += [(verb, id, result) for result in ("Ignored", "Rejected", "Device Unavailable")]
            elif verb == "consult":
                found += [(verb, id, who) for who in PEOPLE]
            elif verb == "end":
                found += [(verb, id, by) for by in ("contact", "agent", "system")]
            elif verb != "ring":
                found += [(verb, id)] * 3
        found += [("relax", id), ("retry", id)]
    return found


def act(floor: Floor, now: float, step: tuple[Any, ...], n: int) -> None:
    match step:
        case ("staff", who, groups, skills):
            floor.staff(who, groups, skills, now)
        case ("set_status", who, status):
            floor.set_status(who, status, now)
        case ("wrapped_up", who):
            floor.wrapped_up(who, now)
        case ("arrive", id, direction):
            floor.arrive(Call(id, direction, "+351210000100", "+351910000000", now))
        case ("enqueue" | "pass_on" as verb, id, groups, least):
            getattr(floor, verb)(id, now, Queue(groups, now, least, n % 3))
        case ("relax", id):
            floor.relax(id, now, {})
        case ("miss" | "consult" as verb, id, more):
            getattr(floor, verb)(id, now, more)
        case ("record_message" | "message_left" as verb, id):
            getattr(floor, verb)(id)
        case ("end", id, by):
            floor.end(id, now, by, short=10.0)
        case (verb, id):
            getattr(floor, verb)(id, now)


def check(floor: Floor, held_back: set[str]) -> None:
    """What is true at every moment. `held_back` are callbacks that wait for their next attempt."""
    busy: dict[str, str] = {}
    for call in floor.calls.values():
        for agent in call.agents:
            assert agent not in busy, "nobody is on two calls"
            busy[agent] = call.id
    assert busy == {desk.user: desk.call for desk in floor.desks.values() if desk.call is not None}
    for desk in floor.desks.values():
        free = desk.status == AVAILABLE and desk.call is None
        assert (floor.board.agents[desk.user].idle_since is not None) == free
        assert (desk.status == BUSY) == (desk.call is not None and floor.calls[desk.call].state != "ringing")
        assert desk.then is None or desk.call is not None or desk.status == WRAPPING_UP
    waiting = {call.id for call in floor.calls.values() if call.state == "queued"}
    assert set(floor.board.callers) <= waiting
    assert waiting - set(floor.board.callers) <= held_back
    for id in floor.board.callers:
        queue = floor.calls[id].queue
        assert queue is not None
        for seen in floor.board.agents.values():
            assert seen.idle_since is None or not fits(queue.demand(), seen), "nobody waits while somebody is free"


@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10_000)), min_size=40, max_size=100))
def test_whatever_happens_in_whatever_order_the_floor_stays_whole(history: list[tuple[int, int]]) -> None:
    count = itertools.count()
    floor = Floor(lambda: str(next(count)))
    for name in PEOPLE[:3]:
        floor.staff(name, GROUPS, {"french": 60}, 0.0)
        floor.set_status(name, "available", 0.0)
    held_back: set[str] = set()
    over: list[Call] = []
    for n, (wild, choice) in enumerate(history):
        open_to = candidates(floor, wild == 0)
        one = open_to[choice % len(open_to)]
        going = dict(floor.calls)
        before = msgspec.json.encode((floor.calls, floor.desks))
        try:
            act(floor, float(n), one, n)
        except Impossible:
            assert msgspec.json.encode((floor.calls, floor.desks)) == before, "what cannot be done changes nothing"
        else:
            if one[0] == "fail":
                held_back.add(one[1])
            elif one[0] in ("retry", "relax"):
                held_back.discard(one[1])
            over += [call for id, call in going.items() if id not in floor.calls]
        check(floor, held_back)
    for ended in over:
        assert ended.state == "ended"
        assert all(leg.finished is not None for leg in ended.legs), "a caller leaves a queue once"


def test_who_ignores_a_call_is_away_and_who_rejects_it_goes_to_the_end_of_the_line() -> None:
    count = itertools.count()
    floor = Floor(lambda: str(next(count)))
    for at, name in enumerate(("ana", "bea")):
        floor.staff(name, ["sales"], {}, float(at))
        floor.set_status(name, "available", float(at))
    floor.arrive(Call("call", "IN", "+351210000100", "+351910000000", 10.0))
    floor.enqueue("call", 10.0, Queue(["sales"], 10.0))
    assert [attempt.agent for _, attempt in floor.rang] == ["ana"]
    floor.miss("call", 15.0, "Rejected")
    floor.miss("call", 20.0, "Ignored")
    assert [attempt.agent for _, attempt in floor.rang] == ["ana", "bea", "ana"]
    assert floor.desks["bea"].status == "away"
    floor.answer("call", 22.0)
    floor.set_status("ana", "away_lunch", 30.0)
    floor.end("call", 60.0, "contact")
    assert floor.desks["ana"].status == "after_call_work"
    floor.wrapped_up("ana", 80.0)
    assert (floor.desks["ana"].status, floor.desks["ana"].since) == ("away_lunch", 80.0)
