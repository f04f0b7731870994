"""Time off of an account, brought to what a file declares; and what the agents of the demo have of it."""

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from ringfence.apis.time_off import balances, domain
from ringfence.fence.house import House
from ringfence.floor import directory, inbox, roster, time_off
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.store.outbox import BACKFILL

from .declaration import AccountDeclared, TimeOffBalanceDeclared, TimeOffTypeDeclared

Add = Callable[..., None]  # (sign, what, detail, apply): one more step of a plan
DAYS = 7  # that the demo looks ahead
ILL = "Sick leave"
PLAYED = (  # type, on what share of days, how long before it is declared, (local hour, hours), and what for
    ("Vacation", 0.5, timedelta(days=14), ((9, 8), (9, 4), (13, 4)), "A day off"),
    ("Training", 0.3, timedelta(days=7), ((10, 2), (14, 3)), "What is new in the products"),
    (ILL, 0.2, timedelta(hours=2), ((0, 24), (0, 48)), "Called in sick"),
)


async def plan_time_off(ctx: Ctx, add: Add, wanted: AccountDeclared) -> None:
    """Types as they are declared, and balances of agents who have none: what has been drawn is not filled up again."""
    have = {row["key"]: row for row in await balances.all_types(ctx)}
    for one in wanted.time_off_types:
        before = have.get(one.name.casefold())
        if before is None or (before["name"], before["draws"]) != (one.name, one.draws_balance):
            detail = "draws a balance" if one.draws_balance else "draws no balance"
            add("~" if before else "+", f"time off type {one.name}", detail, _declare(one))
    left = {(row["agent_email"].casefold(), row["type_key"]) for row in await balances.all_balances(ctx)}
    for given in wanted.time_off_balances:
        if (given.agent_email.casefold(), given.event_type_name.casefold()) not in left:
            detail = f"{given.event_type_name}: {given.balance:g} hours"
            add("+", f"time off of {given.agent_email}", detail, _fill(given))


def _declare(wanted: TimeOffTypeDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        await balances.declare_type(ctx, name=wanted.name, draws_balance=wanted.draws_balance)

    return run


def _fill(wanted: TimeOffBalanceDeclared) -> Any:
    async def run(ctx: Ctx) -> None:
        given = balances.Given(wanted.agent_email, wanted.event_type_name, wanted.balance)
        await balances.set_balances(ctx, [given])

    return run


@dataclass(frozen=True, slots=True, order=True)
class Absence:
    """Time off that somebody of the demo has, and when it is declared."""

    declared: datetime
    email: str
    kind: str
    start: datetime
    end: datetime
    description: str


def absences(people: Sequence[str], kinds: Collection[str], seed: str, day: date, zone: ZoneInfo) -> list[Absence]:
    """Who is absent on a day: now and then somebody is ill or at a course, most days somebody is on vacation."""
    draw = Random(f"{seed} absences {day}")  # noqa: S311 - a play, not a secret
    midnight = datetime.combine(day, time(), zone)
    found = []
    who = draw.sample(people, min(len(PLAYED), len(people)))
    for email, (kind, share, ahead, spans, description) in zip(who, PLAYED, strict=False):
        chance, (begin, hours) = draw.random(), draw.choice(spans)
        if kind in kinds and chance < share and (kind == ILL or day.weekday() < 5):
            start = (midnight + timedelta(hours=begin)).astimezone(UTC)
            end = start + timedelta(hours=hours)
            found.append(Absence(start - ahead, email, kind, start, end, description))
    return found


async def _cast(house: House, account: str) -> tuple[list[str], set[str], ZoneInfo]:
    """The e-mail addresses of an account's agents, the types of time off that it knows, and its zone."""
    async with house.db.reading() as tx:
        known = await roster.load(tx, account, [])
        users = await tx.all(directory.ALL_USERS, account=account)
        kinds = {row["name"] for row in await balances.all_types(house.ctx(tx, account, "demo"))}
        zone = next(row["timezone"] for row in await tx.all(directory.ALL_ACCOUNTS) if row["id"] == account)
    agents = {user for user, person in known.people.items() if person.ring_groups}
    return [row["email"] for row in users if row["active"] and row["id"] in agents], kinds, ZoneInfo(zone)


async def give(house: House, account: str, seed: str) -> int:
    """Give agents the time off of the coming days that is declared by now, the same for the same day; how many were
    new."""
    people, kinds, zone = await _cast(house, account)
    now, made = house.world.now(), 0
    for ahead in range(DAYS):
        for one in absences(people, kinds, seed, (now + timedelta(days=ahead)).date(), zone):
            if one.declared <= now < one.end:
                async with house.db.writing() as tx:
                    found = await _declare_one(house.ctx(tx, account, "demo", "demo"), one)
                made += found is not None and found[1]
    return made


async def _declare_one(ctx: Ctx, one: Absence) -> tuple[str, bool] | None:
    """The id of the time off, and whether it is a new one; None where it cannot be given."""
    try:
        known = await balances.known(ctx, [one.email])
        span: dict[str, Any] = {"start": one.start, "end": one.end, "description": one.description}
        return await domain.add(ctx, known, email=one.email, type_name=one.kind, **span)
    except Fault:  # they have other plans, or no hours left; nothing was written
        return None


class Past:
    """Time off in a past that is written: declared, begun and ended in its time, by a clock that can be put."""

    def __init__(self, house: House, account: str, planned: list[Absence]) -> None:
        self.house, self.account = house, account
        self._planned = deque(sorted(planned))
        self._moments: list[float] = []  # at which one begins or ends

    def next_due(self) -> float:
        declared = self._planned[0].declared.timestamp() if self._planned else math.inf
        return min(declared, self._moments[0] if self._moments else math.inf)

    async def let_pass(self, until: float) -> list[inbox.TimeOff]:
        """Let happen what is due by then, through the domain; what it means for the floor."""
        async with self.house.db.writing(lazy=True) as tx:
            while self._planned and self._planned[0].declared.timestamp() <= until:
                one = self._planned.popleft()
                if await _declare_one(self.house.ctx(tx, self.account, "demo", BACKFILL), one) is not None:
                    for moment in (one.start, one.end):
                        heapq.heappush(self._moments, moment.timestamp())
            if not self._moments or self._moments[0] > until:
                return []
            while self._moments and self._moments[0] <= until:
                heapq.heappop(self._moments)
            _, told = await time_off.begin_and_end(self.house, tx, BACKFILL)
        return [command for account, command in told if account == self.account]


async def past_of(house: House, account: str, seed: str, since: float, until: float) -> Past:
    """The time off that an account's agents have had from one moment to another (seconds since 1970)."""
    people, kinds, zone = await _cast(house, account)
    first, last = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
    days = [first.date() + timedelta(days=n) for n in range(-2, (last - first).days + DAYS + 2)]
    planned = [one for day in days for one in absences(people, kinds, seed, day, zone)]
    there = [replace(one, declared=max(one.declared, first)) for one in planned if first < one.end]
    return Past(house, account, [one for one in there if one.declared < last])
