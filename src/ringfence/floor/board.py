"""Who takes which caller: the longest idle agent who fits, the first caller of the highest priority.

All in memory. Callers with the same demand stand in one line, and each line knows the free agents who fit it, so a
decision looks at the heads of a few lines and never along them. There is never both a caller waiting and an agent free
for the same line: whoever comes second is matched at once. The same calls in the same order give the same answers.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_LINES = 500  # demands that are remembered, also when nobody has them just now
SLACK = 64  # entries of a line that may be out of date before it is tidied, beside as many as are right


class Demand(NamedTuple):
    """What a caller needs: an agent of any of these ring groups who has all of these proficiencies (0 to 100)."""

    ring_groups: frozenset[str]
    minima: frozenset[tuple[str, int]] = frozenset()


class Match(NamedTuple):
    """Who is rung for whom."""

    call: str
    agent: str


@dataclass(slots=True, eq=False)  # a line is itself, whoever stands in it
class Line:
    """The callers of one demand, and the free agents who fit it. Entries that no longer hold are passed over."""

    demand: Demand
    waiting: list[tuple[int, float, str]] = field(default_factory=list)  # (-priority, since, call)
    free: list[tuple[float, str]] = field(default_factory=list)  # (idle since, agent)
    callers: int = 0


@dataclass(slots=True)
class Agent:
    """A person as routing sees them; `idle_since` is None while nobody can be put through to them."""

    ring_groups: frozenset[str]
    proficiencies: Mapping[str, int]
    idle_since: float | None = None
    lines: list[Line] = field(default_factory=list)


def fits(demand: Demand, agent: Agent) -> bool:
    """Whether an agent may be given a caller with this demand."""
    return not demand.ring_groups.isdisjoint(agent.ring_groups) and all(
        agent.proficiencies.get(name, -1) >= least for name, least in demand.minima
    )


class Board:
    """The free agents and the waiting callers of one account."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.lines: dict[Demand, Line] = {}
        self.callers: dict[str, tuple[Line, int, float]] = {}  # call -> (line, -priority, since)

    def set_agent(self, id: str, ring_groups: Iterable[str], proficiencies: Mapping[str, int]) -> Match | None:
        """Say what a person is fit for. Who is free stays free, and may now fit somebody who waits."""
        before = self.agents.get(id)
        idle_since = before.idle_since if before is not None else None
        agent = Agent(frozenset(ring_groups), dict(proficiencies))
        agent.lines = [line for line in self.lines.values() if fits(line.demand, agent)]
        self.agents[id] = agent
        return self.release(id, idle_since) if idle_since is not None else None

    def remove_agent(self, id: str) -> None:
        self.agents.pop(id, None)

    def release(self, id: str, idle_since: float) -> Match | None:
        """An agent has become free, idle since then (seconds): the caller to ring them for, if one waits."""
        agent = self.agents[id]
        best: Line | None = None
        for line in agent.lines:
            if line.callers and (head := self._first(line)) and (best is None or head < best.waiting[0]):
                best = line
        if best is not None:
            call = heapq.heappop(best.waiting)[2]
            self._leave(call)
            agent.idle_since = None
            return Match(call, id)
        agent.idle_since = idle_since
        for line in agent.lines:
            heapq.heappush(line.free, (idle_since, id))
            if len(line.free) > 2 * len(self.agents) + SLACK:
                line.free = [
                    (a.idle_since, id) for id, a in self.agents.items() if a.idle_since is not None and line in a.lines
                ]
                heapq.heapify(line.free)
        return None

    def occupy(self, id: str) -> None:
        """Nobody can be put through to an agent any more: busy, away, logged out."""
        self.agents[id].idle_since = None

    def wait(self, call: str, demand: Demand, *, priority: int, since: float) -> Match | None:
        """A caller waits, or goes on waiting with another demand or priority: the agent to ring, if one is free."""
        self._leave(call)
        line = self.lines.get(demand) or self._open(demand)
        while line.free:
            idle_since, id = line.free[0]
            agent = self.agents.get(id)
            heapq.heappop(line.free)
            if agent is not None and agent.idle_since == idle_since and line in agent.lines:
                agent.idle_since = None
                return Match(call, id)
        entry = (-priority, since, call)
        heapq.heappush(line.waiting, entry)
        line.callers += 1
        self.callers[call] = (line, -priority, since)
        return None

    def leave(self, call: str) -> bool:
        """A caller waits no longer. Whether it did."""
        return self._leave(call)

    def waiting(self, ring_group: str | None = None) -> int:
        """How many callers wait, in all or for a ring group."""
        return sum(
            line.callers for line in self.lines.values() if ring_group is None or ring_group in line.demand.ring_groups
        )

    def free_for(self, demand: Demand) -> bool:
        """Whether somebody who fits is free now."""
        return any(agent.idle_since is not None and fits(demand, agent) for agent in self.agents.values())

    def _leave(self, call: str) -> bool:
        found = self.callers.pop(call, None)
        if found is None:
            return False
        line = found[0]
        line.callers -= 1
        if len(line.waiting) > 2 * line.callers + SLACK:
            line.waiting = [entry for entry in line.waiting if self._holds(line, entry)]
            heapq.heapify(line.waiting)
        return True

    def _holds(self, line: Line, entry: tuple[int, float, str]) -> bool:
        """Whether the caller of an entry still stands there."""
        found = self.callers.get(entry[2])
        return found is not None and found[0] is line and found[1:] == entry[:2]

    def _open(self, demand: Demand) -> Line:
        self._close_idle()
        line = self.lines[demand] = Line(demand)
        for agent in self.agents.values():
            if fits(demand, agent):
                agent.lines.append(line)
        line.free = self._free(line)
        return line

    def _free(self, line: Line) -> list[tuple[float, str]]:
        """The free agents of a line, as a heap."""
        found = [(a.idle_since, id) for id, a in self.agents.items() if a.idle_since is not None and line in a.lines]
        heapq.heapify(found)
        return found

    def _close_idle(self) -> None:
        """Forget demands that nobody has, once there are many: they come from flows, and flows change."""
        if len(self.lines) < MOST_LINES:
            return
        self.lines = {demand: line for demand, line in self.lines.items() if line.callers}
        kept = set(map(id, self.lines.values()))
        for agent in self.agents.values():
            agent.lines = [line for line in agent.lines if id(line) in kept]

    def _first(self, line: Line) -> tuple[int, float, str] | None:
        """The caller at the head of a line; entries of those who left or moved are dropped on the way."""
        while line.waiting:
            entry = line.waiting[0]
            if self._holds(line, entry):
                return entry
            heapq.heappop(line.waiting)
        return None
