"""What some people of the demo do that they should not, on some days; drawn from the seed.

One agent puts contacts on hold and hangs up, one is available for a moment only again and again, one refuses calls.
Everybody logs in from the office when they come to work; for one account somebody tries passwords, another is used
from two cities at once, and one person, whom everybody knows by day, comes in one night a month.
"""

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any

from sqlalchemy import select

from ringfence.fence.house import House
from ringfence.floor import inbox
from ringfence.floor.calls import Call
from ringfence.floor.carrier import Habits, Simulated
from ringfence.floor.live import AVAILABLE, AWAY, OFFLINE
from ringfence.floor.telephony import Due, Order, Signal
from ringfence.oauth import people
from ringfence.oauth.people import Device
from ringfence.store.outbox import BACKFILL
from ringfence.store.query import ACCOUNT, Statement
from ringfence.store.tables.identity import users

from . import equipment

PARTS = ("hangs_up", "flips", "refuses", "tried", "in_two_places", "at_night")
SHARE = 0.15  # of the days of each of them
HOUR, DAY = 3600.0, 86400.0
GONE = 3 * HOUR  # nobody at work does nothing for so long
SETTLED, SELDOM = 18 * DAY, 32 * DAY  # nobody's hours are known at once, and what is done often is usual
ABROAD, ELSEWHERE = "203.0.113.20", "192.0.2.66"  # the first is declared in demo.toml
EMAILS = Statement(select(users.c.id, users.c.email).where(users.c.account_id == ACCOUNT))


@dataclass(frozen=True, slots=True)
class Plot:
    """Who does what (part -> agent), and on which days."""

    seed: str
    parts: dict[str, str]

    def on(self, part: str, agent: str | None, at: float) -> bool:
        """Whether this is somebody's part, and the day of a moment (UTC) one of their days."""
        if agent is None or self.parts.get(part) != agent:
            return False
        digest = blake2b(f"{self.seed} {part} {int(at // DAY)}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") / 2**32 < SHARE


def plot(agents: tuple[str, ...], seed: str) -> Plot:
    """The parts, each played by somebody else; nobody does anything in a centre that is too small for that."""
    cast = Random(f"{seed} misconduct").sample(sorted(agents), len(PARTS)) if len(agents) > len(PARTS) else []  # noqa: S311
    return Plot(seed, dict(zip(PARTS, cast, strict=False)))


class Unruly(Simulated):
    """The simulated carrier, with agents who hang up on people and refuse calls."""

    def __init__(self, plot: Plot, seed: str, habits: Habits | None = None) -> None:
        super().__init__(seed, habits)
        self.plot = plot

    def foresee(self, order: Order, call: Call, at: float) -> list[Due]:
        agent, u = order.agent, self._u
        if order.kind == "connect" and self.plot.on("hangs_up", agent, at) and u(call.id, f"rude {order.leg}") < 0.3:
            hung_up = Signal("hung_up", by="agent")
            return [Due(at + 20.0, "talk", Signal("hold")), Due(at + 45.0, "talk", hung_up)]
        if order.kind == "ring" and self.plot.on("refuses", agent, at) and u(call.id, f"refuses {order.id}") < 0.4:
            return [Due(at + 4.0, "ring", Signal("rejected", order=order.id))]
        return super().foresee(order, call, at)


Happening = tuple[float, inbox.AnyCommand]


def with_flips(plot: Plot, happenings: Iterator[Happening]) -> Iterator[Happening]:
    """What happens, and somebody who is available for some seconds every few minutes, an hour after they came."""
    more: list[tuple[float, int, inbox.AnyCommand]] = []
    count, day = itertools.count(), -1
    for at, command in happenings:
        while more and more[0][0] <= at:
            when, _, what = heapq.heappop(more)
            yield when, what
        yield at, command
        if not isinstance(command, inbox.SetStatus) or command.status != AVAILABLE or int(at // DAY) == day:
            continue
        if plot.on("flips", command.user, at):
            day = int(at // DAY)
            for n in range(25):
                begun = at + HOUR + 240.0 * n
                for moment, status in ((begun, AVAILABLE), (begun + 8.0, AWAY)):
                    heapq.heappush(more, (moment, next(count), inbox.SetStatus(user=command.user, status=status)))


class Logins:
    """Who logs in, or tries to, when agents come to work. Kept until it is due."""

    def __init__(self, plot: Plot, agents: tuple[str, ...], emails: dict[str, str]) -> None:
        self.plot, self.emails = plot, emails
        self._number = {agent: number for number, agent in enumerate(agents)}
        self._seen: dict[str, float] = {}  # agent -> when they last did something
        self._night: float | None = None  # from when on somebody next comes in at night
        self._heap: list[tuple[float, int, str, Device, bool]] = []
        self._count = itertools.count()

    def see(self, at: float, command: inbox.AnyCommand) -> None:
        """Something that is about to happen on the floor."""
        if not isinstance(command, inbox.SetStatus) or command.user not in self.emails or command.status == OFFLINE:
            return
        if at - self._seen.get(command.user, -math.inf) > GONE:
            self._came(command.user, at)
        self._seen[command.user] = at

    def next_due(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def _came(self, user: str, at: float) -> None:
        number = self._number.get(user, 0)
        browser = equipment.browser(number)
        add = partial(self._add, user)
        add(at + 20.0 + number, Device(equipment.address(number), browser))
        if self.plot.on("tried", user, at):
            for n in range(12):
                add(at + 2 * HOUR + 130.0 * n, Device(ELSEWHERE, "curl/8.5.0"), right=False)
        if self.plot.on("in_two_places", user, at):
            add(at + 0.6 * HOUR, Device(ABROAD, equipment.browser(number + 1)))
        if self.plot.parts.get("at_night") == user:
            if self._night is None:
                self._night = at + SETTLED
            if at >= self._night:
                self._night = at + SELDOM
                add(at - at % DAY + DAY + 2.7 * HOUR, Device(ELSEWHERE, browser))

    def _add(self, user: str, at: float, using: Device, *, right: bool = True) -> None:
        heapq.heappush(self._heap, (at, next(self._count), user, using, right))

    async def write(self, house: House, account: str, until: float) -> None:
        """Let happen what is due by then, through the domain. The house's clock is one that can be put."""
        if self.next_due() > until:
            return
        world: Any = house.world
        async with house.db.writing(lazy=True) as tx:
            while self.next_due() <= until:
                world.at, _, user, using, right = heapq.heappop(self._heap)
                ctx = house.ctx(tx, account, f"user:{user}" if right else "", BACKFILL)
                if right:
                    await people.start_session(ctx, user, self.emails[user], using)
                else:
                    await people.note_failure(ctx, self.emails[user], user, using)
        world.at = until


async def logins_of(house: House, account: str, plot: Plot, agents: tuple[str, ...]) -> Logins:
    """The logins of an account's agents; nobody's where there is no plot."""
    async with house.db.reading() as tx:
        rows = await tx.all(EMAILS, account=account) if plot.parts else []
    return Logins(plot, agents, {row["id"]: row["email"] for row in rows})
