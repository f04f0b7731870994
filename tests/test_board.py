"""Routing: who is rung for whom, against the plainest way to say it."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.floor.board import Agent, Board, Demand, Match, fits

GROUPS = ["sales", "support", "billing"]
SKILLS = ["english", "french"]
demands = st.builds(
    Demand,
    st.frozensets(st.sampled_from(GROUPS), min_size=1),
    st.frozensets(st.tuples(st.sampled_from(SKILLS), st.sampled_from([20, 60, 100])), max_size=2),
)
people = st.sampled_from([f"agent {n}" for n in range(6)])
calls = st.sampled_from([f"call {n}" for n in range(12)])
steps = st.one_of(
    st.tuples(
        st.just("set"),
        people,
        st.frozensets(st.sampled_from(GROUPS)),
        st.dictionaries(st.sampled_from(SKILLS), st.sampled_from([20, 60, 100])),
    ),
    st.tuples(st.just("release"), people),
    st.tuples(st.just("occupy"), people),
    st.tuples(st.just("remove"), people),
    st.tuples(st.just("wait"), calls, demands, st.integers(1, 3)),
    st.tuples(st.just("leave"), calls),
)


@dataclass
class Plain:
    """The rules, with every agent and every caller looked at each time."""

    agents: dict[str, Agent] = field(default_factory=dict)
    callers: dict[str, tuple[int, float, Demand]] = field(default_factory=dict)

    def release(self, id: str, since: float) -> Match | None:
        agent = self.agents[id]
        fitting = [(p, s, call) for call, (p, s, demand) in self.callers.items() if fits(demand, agent)]
        if not fitting:
            agent.idle_since = since
            return None
        call = min(fitting)[2]
        del self.callers[call]
        agent.idle_since = None
        return Match(call, id)

    def wait(self, call: str, demand: Demand, priority: int, since: float) -> Match | None:
        self.callers.pop(call, None)
        idle = [(a.idle_since, id) for id, a in self.agents.items() if a.idle_since is not None and fits(demand, a)]
        if not idle:
            self.callers[call] = (-priority, since, demand)
            return None
        id = min(idle)[1]
        self.agents[id].idle_since = None
        return Match(call, id)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=60))
def test_the_longest_idle_who_fits_takes_the_first_of_the_highest_priority(history: list[Any]) -> None:
    board, plain = Board(), Plain()
    for now, (what, name, *more) in enumerate(history):
        found = wanted = None
        known = name in plain.agents
        if what == "set":
            before = plain.agents.get(name)
            plain.agents[name] = Agent(more[0], more[1])
            found = board.set_agent(name, *more)
            if before is not None and before.idle_since is not None:
                wanted = plain.release(name, before.idle_since)
        elif what == "release" and known:
            found, wanted = board.release(name, now), plain.release(name, now)
        elif what == "occupy" and known:
            board.occupy(name)
            plain.agents[name].idle_since = None
        elif what == "remove":
            board.remove_agent(name)
            plain.agents.pop(name, None)
        elif what == "wait":
            found = board.wait(name, more[0], priority=more[1], since=now)
            wanted = plain.wait(name, more[0], more[1], now)
        elif what == "leave":
            assert board.leave(name) == (plain.callers.pop(name, None) is not None)
        assert found == wanted
        assert board.waiting() == len(plain.callers)
        for group in GROUPS:
            assert board.waiting(group) == sum(group in d.ring_groups for _, _, d in plain.callers.values())
        for _, _, demand in plain.callers.values():
            assert not board.free_for(demand)


def test_a_caller_who_asks_for_less_is_put_through() -> None:
    board = Board()
    board.set_agent("ana", ["sales"], {"french": 40})
    board.release("ana", 0.0)
    strict = Demand(frozenset(["sales"]), frozenset([("french", 80)]))
    assert board.wait("call", strict, priority=1, since=1.0) is None
    relaxed = strict._replace(minima=frozenset([("french", 40)]))
    assert board.wait("call", relaxed, priority=1, since=1.0) == Match("call", "ana")
    assert board.waiting() == 0


def test_demands_that_nobody_has_are_forgotten() -> None:
    board = Board()
    board.set_agent("ana", ["sales"], {"french": 100})
    for least in range(2000):
        demand = Demand(frozenset(["sales"]), frozenset([("german", least)]))
        assert board.wait(f"call {least}", demand, priority=1, since=least) is None
        board.leave(f"call {least}")
    assert len(board.lines) <= 500


def test_lines_stay_as_short_as_what_stands_in_them() -> None:
    board = Board()
    sales = Demand(frozenset(["sales"]))
    for name in ("ana", "bea"):
        board.set_agent(name, ["sales"], {})
    strict = Demand(frozenset(["sales"]), frozenset([("german", 100)]))
    for now in range(5000):
        board.wait(f"call {now}", strict, priority=1, since=now)
        board.wait(f"other {now}", sales, priority=1, since=now)
        board.release("ana", now)
        board.occupy("ana")
        board.leave(f"call {now}")
        board.leave(f"other {now}")
    assert all(len(line.waiting) < 100 and len(line.free) < 100 for line in board.lines.values())
