"""Traffic: callers by a daily curve, agents on shifts with breaks. Drawn from a seed, so the same day comes again.

What happens is a stream of commands to the floor, in order of time. `backfill` lets it happen at once, through the
same keeper that keeps the living floor; `live` lets it happen as time goes by, at any speed.
"""

import asyncio
import heapq
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import bindparam, func, select

from ringfence.fence.house import House
from ringfence.floor import inbox, roster
from ringfence.floor.carrier import Habits
from ringfence.floor.centre import Centre
from ringfence.floor.directory import ALL_ACCOUNTS
from ringfence.floor.keeper import KEEPING, Keeper
from ringfence.floor.roster import Roster
from ringfence.kernel.world import World
from ringfence.store.columns import Moment
from ringfence.store.lease import give_back, take
from ringfence.store.outbox import BACKFILL
from ringfence.store.query import Statement, mine
from ringfence.store.tables.contacts import contact_phones
from ringfence.store.tables.floor import interactions

from . import absences, misconduct, other_channels
from .equipment import softphone

# share of a weekday's calls by hour of the day
CURVE = (2, 1, 1, 1, 1, 2, 6, 18, 52, 84, 96, 92, 70, 66, 88, 92, 84, 66, 44, 30, 20, 12, 7, 4)
WEEK = (1.15, 1.05, 1.0, 0.98, 0.9, 0.45, 0.3)  # Monday to Sunday
TOGETHER = 4000  # events that a backfill commits at a time
KNOWN = 0.6  # share of callers whom the account has as contacts
WITHHELD = 0.02

PHONES = Statement(mine(contact_phones, contact_phones.c.value, contact_phones.c.contact_id).limit(20_000))
SINCE = Statement(
    select(func.count().label("count"))
    .select_from(interactions)
    .where(
        interactions.c.account_id == bindparam("account"), interactions.c.started_at >= bindparam("since", type_=Moment)
    )
)
Happening = tuple[float, inbox.AnyCommand]


class Refused(Exception):
    """History cannot be written here; the message says why."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part: agents, numbers with a flow, and callers who are known (number -> contact)."""

    agents: tuple[str, ...]
    numbers: tuple[str, ...]
    callers: tuple[tuple[str, str], ...]
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Script:
    """How busy the centre is. `shift` seconds are added to the clock that shifts and the curve go by.

    `misconduct`: whether, in the past that is written, some people do what they should not.
    """

    calls_a_day: int = 400
    seed: str = "ringfence"
    shift: float = 0.0
    misconduct: bool = False


async def cast_of(house: House, account: str) -> Cast:
    """The people, lines and contacts of an account. Raises Refused where nobody could call or answer."""
    async with house.db.reading() as tx:
        known: Roster = await roster.load(tx, account, [])
        phones = await tx.all(PHONES, account=account)
        zone = next(row["timezone"] for row in await tx.all(ALL_ACCOUNTS) if row["id"] == account)
    agents = tuple(sorted(user for user, person in known.people.items() if person.ring_groups))
    numbers = tuple(sorted(number for number, row in known.numbers.items() if row["flow_id"] in known.published))
    if not agents:
        raise Refused("Nobody of this account is in a ring group, so nobody would answer.")
    if not numbers:
        raise Refused("No number of this account leads to a published flow, so nobody could call.")
    callers = tuple(sorted((row["value"], row["contact_id"]) for row in phones))
    return Cast(agents, numbers, callers, ZoneInfo(zone))


def happenings(cast: Cast, script: Script, since: float, until: float) -> Iterator[Happening]:
    """All that people do of themselves from one moment to another (seconds since 1970), in order of time."""
    yield from heapq.merge(_arrivals(cast, script, since, until), _shifts(cast, script, since, until), key=_when)


def _when(happening: Happening) -> float:
    return happening[0]


def _local(cast: Cast, script: Script, at: float) -> datetime:
    return datetime.fromtimestamp(at + script.shift, UTC).astimezone(cast.zone)


def _arrivals(cast: Cast, script: Script, since: float, until: float) -> Iterator[Happening]:
    """Callers, a quarter of an hour at a time: as many as the curve and chance have it."""
    total, at = sum(CURVE), since - since % 900
    while at < until:
        draw = random.Random(f"{script.seed} calls {int(at)}")  # noqa: S311 - a play, not a secret
        local = _local(cast, script, at)
        mean = script.calls_a_day * WEEK[local.weekday()] * CURVE[local.hour] / total / 4
        moments = sorted(at + draw.random() * 900 for _ in range(_poisson(draw, mean)))
        for moment in moments:
            contact = _caller(cast, draw)
            if since <= moment < until:
                yield moment, inbox.Incoming(company_number=draw.choice(cast.numbers), contact_number=contact)
        at += 900


def _poisson(draw: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        product *= draw.random()
        count += 1
    return count


def _caller(cast: Cast, draw: random.Random) -> str:
    u = draw.random()
    if u < WITHHELD:
        return ""
    if cast.callers and u < KNOWN:
        return draw.choice(cast.callers)[0]
    return f"+35191{draw.randrange(10**7):07}"


def _shifts(cast: Cast, script: Script, since: float, until: float) -> Iterator[Happening]:
    """Every agent's day: to work, two breaks and lunch, home; and back to the phone after one was missed."""
    if cast.agents:
        day = _local(cast, script, since).replace(hour=0, minute=0, second=0, microsecond=0)
        while day.timestamp() - script.shift < until:
            found: list[Happening] = []
            for number, agent in enumerate(cast.agents):
                found += _day(agent, number, day, script)
            for moment, command in sorted(found, key=_when):
                if since <= moment < until:
                    yield moment, command
            day = (day + timedelta(days=1, hours=2)).replace(hour=0)


def _day(agent: str, number: int, day: datetime, script: Script) -> list[Happening]:
    draw = random.Random(f"{script.seed} shift {agent} {day.date()}")  # noqa: S311 - a play, not a secret
    if draw.random() > (0.92 if day.weekday() < 5 else 0.4):
        return []
    # four shifts, so that somebody is there whenever people call
    start = day.timestamp() - script.shift + (7.5 + 2.0 * (number % 4)) * 3600 + draw.gauss(0, 300)
    end = start + 8.5 * 3600 + draw.gauss(0, 600)
    away = sorted(
        (start + share * 3600 + draw.random() * 1200, length * 60 * (0.8 + 0.4 * draw.random()), word)
        for share, length, word in ((1.8, 15, "away_break"), (3.8, 45, "away_lunch"), (6.3, 15, "away_break"))
    )
    free = inbox.SetStatus(user=agent, status="available", phone=softphone(number))
    found: list[Happening] = [(start, free)]
    for begin, length, word in away:
        found += [(begin, msgspec.structs.replace(free, status=word)), (begin + length, free)]
    nudge = start + 600
    while nudge < end:
        if not any(begin <= nudge <= begin + length for begin, length, _ in away):
            found.append((nudge, free))
        nudge += 500 + 200 * draw.random()
    found.append((end, inbox.SetStatus(user=agent, status="offline")))
    return found


class SteppedWorld(World):
    """A clock that stands where it was put."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at

    def time(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


@asynccontextmanager
async def _floor_to_oneself(house: House) -> AsyncIterator[Callable[[], Any]]:
    """Keep every server from keeping the floor meanwhile; what is given renews that."""
    holder = house.world.new_id(32)

    async def hold() -> None:
        if not await take(house.db, KEEPING.name, holder, house.world.now()):
            raise Refused(
                "A server keeps this floor just now: stop it first, or let history be written before it starts."
            )

    await hold()
    try:
        yield hold
    finally:
        await give_back(house.db, KEEPING.name, holder)


async def backfill(
    house: House,
    account: str,
    *,
    since: float,
    until: float,
    script: Script,
    habits: Habits | None = None,
    progress: Callable[[float, int], None] = lambda at, calls: None,
) -> int:
    """Let a span of the past happen, through the keeper of the floor; how many calls came in.

    Raises Refused where the floor has lived through part of it already, or is kept by a server.
    """
    cast = await cast_of(house, account)
    world = SteppedWorld(since)
    async with house.db.reading() as tx:
        row: Any = await tx.one(SINCE, account=account, since=world.now())
    if row["count"]:
        raise Refused("There are calls in this span already; history is only written where there is none.")
    plot = misconduct.plot(cast.agents if script.misconduct else (), script.seed)
    carrier = misconduct.Unruly(plot, script.seed, habits)
    keeper = Keeper(replace(house, world=world), carrier, origin=BACKFILL, lazy=True)
    contacts = dict(cast.callers)
    beside = other_channels.Beside(await other_channels.company_of(house, account), script.seed)
    logins = await misconduct.logins_of(house, account, plot, cast.agents)
    absent = await absences.past_of(keeper.house, account, script.seed, since, until)
    calls, last_hold = 0, house.world.time()
    async with _floor_to_oneself(house) as hold:
        async with house.db.reading() as tx:
            await keeper.load()
            centre = await keeper.centre(tx, account)
        for at, command in misconduct.with_flips(plot, happenings(cast, script, since, until)):
            while (due := min(logins.next_due(), absent.next_due())) <= at:  # each in its place of the log
                _pass(centre, world, due)
                await _write(keeper, centre, beside, logins, due)
                for told in await absent.let_pass(due):
                    centre.time_off(told, due)
            _pass(centre, world, at)
            if isinstance(command, inbox.SetStatus) and _away(centre, command.user):
                continue  # who has time off does not come to work
            logins.see(at, command)
            if isinstance(command, inbox.Incoming):
                calls += 1
                centre.incoming(command, at, contacts.get(command.contact_number))
            elif isinstance(command, inbox.SetStatus):
                centre.set_status(command, at)
            if len(centre.told) >= TOGETHER:
                await _write(keeper, centre, beside, logins, at)
                progress(at, calls)
                if house.world.time() - last_hold > 1.0:
                    await hold()
                    last_hold = house.world.time()
        _pass(centre, world, until)
        await _write(keeper, centre, beside, logins, until)
        progress(until, calls)
    async with house.db.writing() as tx:  # what was lazy is durable once this is
        await tx.run(inbox.TAKE, done=[])
    return calls


async def _write(
    keeper: Keeper, centre: Centre, beside: other_channels.Beside, logins: misconduct.Logins, at: float
) -> None:
    """Commit what has happened by then, on the floor and beside it."""
    beside.hear(centre.told)
    await keeper.flush()
    await other_channels.write(keeper.house, centre.account, BACKFILL, beside.due(at))
    await logins.write(keeper.house, centre.account, at)


def _away(centre: Centre, user: str) -> bool:
    desk = centre.floor.desks.get(user)
    return desk is not None and desk.off is not None


def _pass(centre: Any, world: SteppedWorld, until: float) -> None:
    while (due := centre.next_due()) is not None and due <= until:
        world.at = due
        centre.pass_time(due)
    world.at = until


async def live(house: House, account: str, *, script: Script, speed: float = 1.0, until: float | None = None) -> None:
    """Let things happen as time goes by, `speed` times as fast, through the floor's inbox."""
    cast = await cast_of(house, account)
    begun = house.world.time()
    await _say(house, account, _at_work(cast, script, begun))
    end = begun + (until - begun) * speed if until is not None else begun + 3650 * 86400.0
    beside = asyncio.create_task(other_channels.live(house, account, script.seed, speed), name="beside the traffic")
    try:
        for at, command in happenings(cast, script, begun, end):
            wait = begun + (at - begun) / speed - house.world.time()
            if wait > 0:
                await house.world.sleep(wait)
            await _say(house, account, [command])
        if until is not None:
            await house.world.sleep(max(0.0, until - house.world.time()))
    finally:
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)


def _at_work(cast: Cast, script: Script, at: float) -> list[inbox.AnyCommand]:
    """The status that everybody has who came to work before."""
    last: dict[str, inbox.AnyCommand] = {}
    for _, command in _shifts(cast, script, at - 86400.0, at):
        if isinstance(command, inbox.SetStatus):
            last[command.user] = command
    return list(last.values())


async def _say(house: House, account: str, commands: list[inbox.AnyCommand]) -> None:
    async with house.db.writing() as tx:
        ctx = house.ctx(tx, account, "traffic", "traffic")
        for command in commands:
            await inbox.tell(ctx, command)
