"""The floor of an account in memory, with the simulated carrier: days of traffic, and what must be true of it."""

import itertools
import random
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest

from ringfence.floor import flows
from ringfence.floor.carrier import Habits, Simulated
from ringfence.floor.centre import Centre
from ringfence.floor.inbox import Incoming, SetStatus
from ringfence.floor.interactions import Callback, Interaction
from ringfence.floor.live import Desk
from ringfence.floor.roster import Person, Roster, Version

START = 1_767_603_600.0
LINE = "+351210000100"
FLOW = flows.read(
    {
        "steps": {
            "begin": {"type": "start", "exits": {"ok": "hello"}},
            "hello": {"type": "say", "text": "Welcome to Acme.", "exits": {"ok": "menu"}},
            "menu": {
                "type": "menu",
                "prompt": "One for sales, two for support, three to be called back.",
                "options": {"1": "Sales", "2": "Support", "3": "Callback"},
                "exits": {"1": "sales", "2": "support", "3": "later", "no_input": "sales", "invalid": "bye"},
            },
            "sales": {
                "type": "assign",
                "ring_groups": ["sales"],
                "attributes": {"English": 80},
                "relax": [{"after": 20, "attributes": {}}],
                "max_wait": 240,
                "exits": {"no_answer": "message", "no_agents": "message"},
            },
            "support": {
                "type": "assign",
                "ring_groups": ["support"],
                "max_wait": 300,
                "exits": {"no_answer": "message", "ok": "thanks"},
            },
            "later": {"type": "callback", "ring_groups": ["support"], "exits": {"ok": "bye", "refused": "bye"}},
            "message": {"type": "voicemail", "greeting": "Please leave a message.", "exits": {"ok": "bye"}},
            "thanks": {"type": "say", "text": "Thank you.", "exits": {"ok": "bye"}},
            "bye": {"type": "end"},
        }
    }
)


def roster(agents: int = 12) -> Roster:
    people = {
        f"agent{n:02}": Person(f"Agent {n}", ["sales", "support"] if n % 3 == 0 else [("sales", "support")[n % 2]],
                               {"English": 100 if n % 2 else 40})
        for n in range(agents)
    }  # fmt: skip
    version = Version("v1", "f1", "main", FLOW)
    number = {"number": LINE, "label": "", "flow_id": "f1", "business_hours": None}
    return Roster(
        people=people,
        thresholds={"sales": (10, 20), "support": (10, 30)},
        numbers={LINE: number},
        published={"f1": "v1"},
        names={"f1": "main"},
        versions={"v1": version},
    )


def centre(seed: str = "test", **more: Any) -> Centre:
    ids = itertools.count(1)
    made = Centre("acme", roster(**more), Simulated(seed, Habits()), lambda: f"{next(ids):032x}")
    made.restaff(made.roster, START)
    return made


def reborn(before: Centre, at: float) -> Centre:
    """What a process that begins anew makes of what was written down."""
    its = [msgspec.json.decode(msgspec.json.encode(it), type=Interaction) for it in before.interactions.values()]
    desks = [msgspec.json.decode(msgspec.json.encode(d), type=Desk) for d in before.floor.desks.values()]
    made = Centre("acme", before.roster, before.carrier, before.new_id)
    made.restore(its, desks, at)
    made.told[:0] = before.told
    return made


def day(seed: int, calls: int = 300, restarts: int = 0) -> tuple[Centre, int]:
    """Agents come to work, and people call, at random moments of six hours."""
    draw = random.Random(seed)
    made = centre(str(seed))
    happenings: list[tuple[float, Any]] = []
    for user in made.roster.people:
        begin = START + draw.random() * 1800
        happenings += [(begin, SetStatus(user=user, status="available"))]
        happenings += [(begin + 7200, SetStatus(user=user, status="away_lunch"))]
        happenings += [(begin + 9000, SetStatus(user=user, status="available"))]
        happenings += [(START + 20000 + draw.random() * 2000, SetStatus(user=user, status="offline"))]
    for n in range(calls):
        contact = f"+3519100{n:05}" if draw.random() < 0.95 else ""
        happenings.append((START + draw.random() * 21600, Incoming(company_number=LINE, contact_number=contact)))
    happenings += [(START + 21600 * (n + 1) / (restarts + 1), None) for n in range(restarts)]
    for at, what in sorted(happenings, key=lambda one: one[0]):
        made.pass_time(at)
        if isinstance(what, SetStatus):
            made.set_status(what, at)
        elif isinstance(what, Incoming):
            made.incoming(what, at)
        else:
            made = reborn(made, at)
        check(made)
    made.pass_time(START + 400_000)
    return made, calls


def check(made: Centre) -> None:
    """What is true at every moment."""
    busy = Counter(agent for it in made.interactions.values() for agent in it.call.agents)
    assert all(count == 1 for count in busy.values()), "nobody is on two calls"
    for user, desk in made.floor.desks.items():
        assert (desk.call is not None) == (user in busy)
    assert set(made.floor.calls) == set(made.interactions)


def by_type(made: Centre) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for what, _, _, data in made.told:
        found[what.name].append(data)
    return found


@pytest.mark.parametrize("restarts", [0, 7])
@pytest.mark.parametrize("seed", range(4))
def test_a_day_ends_with_every_call_accounted_for(seed: int, restarts: int) -> None:
    made, calls = day(seed, restarts=restarts)
    assert not made.interactions
    assert not made.callbacks
    told = by_type(made)
    inbound = [one for one in told["call.started"] if one["direction"] == "IN"]
    assert len(inbound) == calls
    assert {one["call_id"] for one in told["call.started"]} == {one["call_id"] for one in told["call.ended"]}
    assert len(told["call.started"]) == len(told["call.ended"])
    assert len(told["flow.started"]) == len(told["flow.finished"]) == calls
    kinds = Counter(one["type"] for one in told["call.contact_finished"])
    assert kinds["Answered"] > 100
    assert kinds["Connected"] > 5
    ends = Counter(one["state"] for one in told["callback.changed"])
    assert ends["completed"] + ends["failed"] + ends["expired"] + ends["cancelled"] == ends["queued"] - retries(told)


def retries(told: dict[str, list[dict[str, Any]]]) -> int:
    """How often a callback came back into the queue."""
    first = {one["id"] for one in told["callback.changed"]}
    return sum(1 for one in told["callback.changed"] if one["state"] == "queued") - len(first)


def test_times_add_up_and_attempts_are_answered_once() -> None:
    told = by_type(day(9)[0])
    for leg in told["call.contact_finished"]:
        whole = (leg["finished_at"] - leg["started_at"]).total_seconds()
        parts = leg["waiting_time"] + leg["talk_time"] + leg["hold_time"] + leg["consultation_time"]
        assert abs(whole - parts) <= 2
    answered = Counter(
        one["leg_id"] for one in told["call.ring_attempt_finished"] if one["attempt"]["result"] == "Answered"
    )
    assert set(answered.values()) == {1}
    rings, stops = len(told["call.ringing"]), len(told["call.ring_attempt_finished"])
    assert rings == stops


def test_an_agents_statuses_follow_one_another_without_a_gap() -> None:
    told = by_type(day(3)[0])
    last: dict[str, tuple[str, Any]] = {}
    for one in told["agent.status_changed"]:
        if one["user_id"] in last:
            assert one["previous_status"] == last[one["user_id"]][0]
        last[one["user_id"]] = (one["status"], one["previous_since"])
    assert {status for status, _ in last.values()} == {"offline"}


def test_all_that_is_told_has_the_declared_shape() -> None:
    kinds = set()
    for what, key, _, data in day(5)[0].told:
        kinds.add(what.name)
        assert key
        declared: Any = what.data
        msgspec.json.decode(msgspec.json.encode(data), type=declared)
        assert set(data) <= set(declared.__struct_fields__), what.name
    assert {"call.held", "call.resumed", "recording.created", "call.disposed", "flow.step_finished"} <= kinds


def test_the_same_seed_gives_the_same_day() -> None:
    one, other = day(7)[0].told, day(7)[0].told
    assert [(what.name, key, at, data) for what, key, at, data in one] == [(w.name, k, at, d) for w, k, at, d in other]


def test_a_callback_is_tried_again_and_fails_after_the_last_attempt() -> None:
    made = centre()
    made.set_status(SetStatus(user="agent00", status="available"), START)
    asked = Callback(["sales"], START + 86400, START, max_attempts=2)
    made.ask_callback("c1", LINE, "+351910009902", None, asked, START)
    made.pass_time(START + 3000)
    states = [one["state"] for one in by_type(made)["callback.changed"]]
    assert states == ["queued", *["reserved", "dialling_agent", "dialling_contact"], "queued",
                      *["reserved", "dialling_agent", "dialling_contact"], "failed"]  # fmt: skip
    [*_, last] = by_type(made)["callback.changed"]
    assert (last["reason"], last["attempts"]) == ("no_answer", 2)
