"""The floor of one account as it is now: agents with a status, calls, and who is put through to whom.

Held in memory by whoever keeps the floor. What a verb has changed is noted in `touched`, so that it can be written
down; a verb that is impossible raises and changes nothing. Times are seconds since 1970.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from . import calls
from .board import Board, Demand, Match, fits
from .calls import Attempt, By, Call, Impossible, Leg, Queue, Result
from .telephony import Due

AVAILABLE, BUSY, WRAPPING_UP, AWAY, OFFLINE = "available", "busy", "after_call_work", "away", "offline"


def is_chosen(status: str) -> bool:
    """Whether a person may choose a status; busy and after-call work come of calls."""
    return status in (AVAILABLE, AWAY, OFFLINE) or (status.startswith("away_") and len(status) > len("away_"))


class Desk(msgspec.Struct):
    """An agent at work. `call` is the one they are on, or that rings; `then` the status they chose meanwhile."""

    user: str
    status: str = OFFLINE
    since: float = 0.0
    idle_since: float = 0.0  # since when they have been free, over several waits for a caller
    call: str | None = None
    then: str | None = None
    off: str | None = None  # the status of a time off that goes on
    back: str | None = None  # what they chose during it, for when it is over
    absent: bool = False  # they were offline when it began, and have not come to work since
    timers: list[Due] = []
    filing: dict[str, Any] = {}  # the conversation that after-call work is about, as events tell of it

    @property
    def is_at_work(self) -> bool:
        return self.status not in (OFFLINE, self.off)


class Move(NamedTuple):
    """An agent's status changed."""

    user: str
    before: str
    since: float
    after: str
    at: float
    call: str | None
    time_off: str | None = None  # it began or is over, for somebody who is `at_work` or `absent`


class Floor:
    """Agents and calls, and the rules between them. `new_id` makes ids of contacts and ring attempts."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.desks: dict[str, Desk] = {}
        self.calls: dict[str, Call] = {}
        self.board = Board()
        self.rang: list[tuple[Call, Attempt]] = []  # phones that have begun to ring, for the carrier
        self.moves: list[Move] = []
        self.touched: dict[str, Call | Desk] = {}
        self._new_id = new_id
        self._staffed: dict[Demand, bool] = {}

    # agents

    def staff(self, user: str, ring_groups: Iterable[str], proficiencies: Mapping[str, int], at: float) -> None:
        """Say what a person is fit for; they may be put through to somebody who waits at once."""
        self.desks.setdefault(user, Desk(user, since=at))
        self._staffed.clear()
        self._matched(self.board.set_agent(user, ring_groups, proficiencies), at)

    def restore(self, desks: Iterable[Desk], going_on: Iterable[tuple[Call, bool]]) -> None:
        """What was written down before: agents, and calls with whether each stands in its line. Nobody is matched."""
        for desk in desks:
            self.desks[desk.user] = desk
        for call, in_line in going_on:
            self.calls[call.id] = call
            if in_line and call.state == "queued" and call.queue is not None:
                self.board.wait(call.id, call.queue.demand(), priority=call.queue.priority, since=call.queue.since)

    def let_go_of(self, desk: Desk, at: float) -> None:
        """The call that an agent was on cannot be gone on with: they are away until they say otherwise."""
        desk.call, desk.then = None, None
        if desk.status == BUSY or (desk.status == AVAILABLE and desk.off is not None):
            self._become(desk, desk.off or AWAY, at)
        self.touched[desk.user] = desk

    def restore_free(self, user: str, at: float) -> None:
        """Somebody who was available when it was written down is so still."""
        desk = self.desks[user]
        self._matched(self.board.release(user, desk.idle_since), at)

    def is_staffed(self, demand: Demand) -> bool:
        """Whether anybody who fits is at work, free or not."""
        found = self._staffed.get(demand)
        if found is None:
            if len(self._staffed) > 1000:
                self._staffed.clear()
            found = self._staffed[demand] = any(
                self.desks[user].is_at_work and fits(demand, agent) for user, agent in self.board.agents.items()
            )
        return found

    def longest_idle(self, ring_groups: Iterable[str], besides: str | None) -> str | None:
        """Who of some ring groups has been free the longest; all of them, where none is named."""
        wanted = frozenset(ring_groups)
        free = [
            (agent.idle_since, user)
            for user, agent in self.board.agents.items()
            if agent.idle_since is not None
            and user != besides
            and (not wanted or not wanted.isdisjoint(agent.ring_groups))
        ]
        return min(free)[1] if free else None

    def set_status(self, user: str, status: str, at: float) -> None:
        """A person chooses a status; during a call, what they will have after it."""
        desk = self._desk(user)
        if not is_chosen(status):
            raise Impossible(f"{status} is no status that a person chooses")
        if desk.off is not None:
            desk.back, desk.absent = status, desk.absent and status == OFFLINE
            self.touched[user] = desk
            return
        if desk.call is not None or desk.status == WRAPPING_UP:
            desk.then = status
            self.touched[user] = desk
            return
        if status == AVAILABLE:
            if desk.status != AVAILABLE:
                desk.idle_since = at
                self._become(desk, AVAILABLE, at)
                self._matched(self.board.release(user, desk.idle_since), at)
            return
        self.board.occupy(user)
        self._become(desk, status, at)

    def time_off(self, user: str, status: str | None, at: float) -> None:
        """Time off begins, with a status of its own; a call is finished first. None: it is over, and the person has
        the status that they chose meanwhile, or is offline."""
        desk, moved = self._desk(user), len(self.moves)
        before, desk.off = desk.off, status
        if before is None:
            desk.absent = desk.status == OFFLINE
        self._staffed.clear()
        self.touched[user] = desk
        busy = desk.call is not None or desk.status == WRAPPING_UP
        if status is None:
            chosen, desk.back = desk.back, None
            if before is not None and (chosen or not busy):
                self.set_status(user, chosen or OFFLINE, at)
        elif not busy and desk.status != status:
            self.board.occupy(user)
            self._become(desk, status, at)
        stood = "absent" if desk.absent else "at_work"
        self.moves[moved:] = [move._replace(time_off=stood) for move in self.moves[moved:]]

    def wrapped_up(self, user: str, at: float) -> None:
        """After-call work is over: the status chosen meanwhile, or available."""
        desk = self._desk(user)
        if desk.status != WRAPPING_UP:
            raise Impossible("there is no after-call work to be over")
        self._free(desk, at, idle_since=at)

    # calls

    def arrive(self, call: Call) -> None:
        """A call that a flow has begun to handle."""
        if call.id in self.calls:
            raise Impossible(f"call {call.id} is there already")
        self.calls[call.id] = self.touched[call.id] = call

    def enqueue(self, call: str, at: float, queue: Queue) -> None:
        found = self._call(call)
        calls.enqueue(found, at, queue, self._new_id())
        self._wait(found, at)

    def relax(self, call: str, at: float, minima: dict[str, int], ring_groups: list[str] | None = None) -> None:
        """A caller who waits asks for less, or may be taken by more; their place is kept."""
        found = self._call(call)
        if found.state != "queued" or found.queue is None:
            raise Impossible("only a caller who waits can ask for less")
        found.queue.minima = minima
        found.queue.ring_groups = ring_groups or found.queue.ring_groups
        self._wait(found, at)

    def answer(self, call: str, at: float) -> Leg:
        found = self._call(call)
        leg = calls.answer(found, at)
        self._seat(leg.agent, BUSY, at)
        return leg

    def dial(self, call: str, at: float) -> None:
        """The agent has taken a callback: the contact is called."""
        found = self._call(call)
        calls.dial(found, at)
        self._seat(found.leg.attempts[-1].agent, BUSY, at)

    def reach(self, call: str, at: float) -> Leg:
        return calls.reach(self._call(call), at)

    def fail(self, call: str, at: float) -> Leg:
        """The contact of a callback was not reached: it waits again where it was, not before `retry` is called."""
        found = self._call(call)
        leg = calls.fail(found, at, self._new_id())
        self._stand_up(leg.agent, at)
        return leg

    def retry(self, call: str, at: float) -> None:
        """A callback that waits for its next attempt stands in the queue again."""
        found = self._call(call)
        if found.state != "queued":
            raise Impossible("only a callback that waits can be tried again")
        self._wait(found, at)

    def miss(self, call: str, at: float, result: Result) -> Attempt:
        """The agent did not take it. Who ignored it or cannot be reached is away until they say otherwise."""
        found = self._call(call)
        attempt = calls.miss(found, at, result)
        desk = self._desk(attempt.agent)
        desk.call = None
        self._wait(found, at)
        if result != "Rejected" and desk.then is None:
            desk.then = AWAY
        self._free(desk, at, idle_since=at)
        return attempt

    def leave_queue(self, call: str, at: float) -> Leg:
        found = self._call(call)
        ringing = found.agents
        leg = calls.leave_queue(found, at)
        self.board.leave(call)
        self._let_go(ringing, at)
        return leg

    def hold(self, call: str, at: float) -> None:
        calls.hold(self._call(call), at)

    def resume(self, call: str, at: float) -> None:
        calls.resume(self._call(call), at)

    def consult(self, call: str, at: float, agent: str) -> None:
        """Ask another agent, who must be free."""
        found, desk = self._call(call), self._desk(agent)
        if desk.status != AVAILABLE or desk.call is not None:
            raise Impossible(f"{agent} is not free to be asked")
        calls.consult(found, at, agent)
        self.board.occupy(agent)
        desk.call = call
        self._become(desk, BUSY, at)

    def rejoin(self, call: str, at: float) -> None:
        self._stand_up(calls.rejoin(self._call(call), at), at)

    def hand_over(self, call: str, at: float) -> Leg:
        over = calls.hand_over(self._call(call), at, self._new_id())
        self._stand_up(over.agent, at)
        return over

    def pass_on(self, call: str, at: float, queue: Queue) -> Leg:
        found = self._call(call)
        over = calls.pass_on(found, at, queue, self._new_id())
        self._stand_up(over.agent, at)
        self._wait(found, at)
        return over

    def release(self, call: str, at: float) -> Leg:
        """The agent leaves the conversation; the contact stays on the line."""
        over = calls.release(self._call(call), at)
        self._stand_up(over.agent, at)
        return over

    def record_message(self, call: str) -> None:
        calls.record_message(self._call(call))

    def message_left(self, call: str) -> None:
        calls.message_left(self._call(call))

    def end(self, call: str, at: float, by: By, *, short: float = 0.0) -> Leg | None:
        """The call is over, and leaves the floor; agents who talked have after-call work."""
        found = self._call(call)
        busy, rings = found.agents, found.state == "ringing"
        leg = calls.end(found, at, by, short=short)
        self.board.leave(call)
        del self.calls[call]
        if rings:
            self._let_go(busy, at)
        else:
            for agent in busy:
                self._stand_up(agent, at)
        return leg

    # between them

    def _call(self, id: str) -> Call:
        found = self.calls.get(id)
        if found is None:
            raise Impossible(f"there is no call {id} going on")
        self.touched[id] = found
        return found

    def _desk(self, user: str) -> Desk:
        found = self.desks.get(user)
        if found is None:
            raise Impossible(f"{user} is nobody who takes calls")
        return found

    def _become(self, desk: Desk, status: str, at: float) -> None:
        self.moves.append(Move(desk.user, desk.status, desk.since, status, at, desk.call))
        if OFFLINE in (desk.status, status) or desk.off is not None:
            self._staffed.clear()
        desk.status, desk.since = status, at
        self.touched[desk.user] = desk

    def _seat(self, user: str | None, status: str, at: float) -> None:
        if user is not None:
            self._become(self._desk(user), status, at)

    def _stand_up(self, user: str | None, at: float) -> None:
        """An agent's part of a call is over."""
        if user is not None:
            desk = self._desk(user)
            self._become(desk, WRAPPING_UP, at)
            desk.call = None

    def _let_go(self, ringing: list[str], at: float) -> None:
        """Phones stop ringing; those agents have been idle all the while."""
        for user in ringing:
            desk = self._desk(user)
            desk.call = None
            self._free(desk, at, idle_since=desk.idle_since)

    def _free(self, desk: Desk, at: float, *, idle_since: float) -> None:
        status, desk.then = desk.then or AVAILABLE, None
        if desk.off is not None:
            desk.back = desk.back or (status if status != AVAILABLE else None)
            status = desk.off
        self.touched[desk.user] = desk
        if status != desk.status:
            self._become(desk, status, at)
        if status == AVAILABLE:
            desk.idle_since = idle_since
            self._matched(self.board.release(desk.user, idle_since), at)

    def _wait(self, call: Call, at: float) -> None:
        queue = call.queue
        if queue is None:
            raise RuntimeError("a call that waits has a place in a queue")
        self._matched(self.board.wait(call.id, queue.demand(), priority=queue.priority, since=queue.since), at)

    def _matched(self, match: Match | None, at: float) -> None:
        if match is not None:
            call, desk = self._call(match.call), self._desk(match.agent)
            attempt = calls.ring(call, at, match.agent, self._new_id())
            desk.call = call.id
            self.touched[desk.user] = desk
            self.rang.append((call, attempt))
