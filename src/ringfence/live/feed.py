"""What fills a tally: the account as it stands in the database, then its events as they are told.

The cursor of the facts is read before them and everything else after it, and events are followed from that cursor on:
what happens meanwhile comes once more, which changes nothing. The floor may be kept by any process.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, select

from ringfence.fence.house import House
from ringfence.floor import interactions as floor
from ringfence.store import outbox
from ringfence.store.columns import Json, Moment, among
from ringfence.store.db import Transaction
from ringfence.store.query import Row, Statement, mine
from ringfence.store.tables.facts import contacts
from ringfence.store.tables.floor import desks, interactions
from ringfence.store.tables.log import cursors, events

from . import people
from .filters import Selection
from .metrics import Query
from .records import Finished, GoingOn
from .tally import TAKE, Pairs, Tally

CHUNK = 500
KEPT = "facts"  # the reaction that keeps fact_contacts
ABOUT_PEOPLE = ("user", "ring_group", "team", "account")  # what events are about that change who there is
BESIDE = {"user.logged_in", "user.login_failed", "user.logout", "user.session_ended", "user.consented"}
FACTS_OF = ("call.contact_finished", "call.disposed", "call.ended")

KEPT_AT = Statement(select(cursors.c.place).where(cursors.c.name == KEPT), everywhere=True)
DESKS = Statement(mine(desks, desks.c.user_id, desks.c.status, desks.c.since).where(desks.c.status != "offline"))
LIVE = Statement(mine(interactions, interactions.c.doc).where(interactions.c.state != "ended"))
_kept_at = select(cursors.c.place).where(cursors.c.name == KEPT).scalar_subquery()
FINISHED = Statement(
    mine(
        contacts, contacts.c.id, contacts.c.call_id, contacts.c.type, contacts.c.direction, contacts.c.started_at,
        contacts.c.finished_at, contacts.c.user_id, contacts.c.ring_groups, contacts.c.waiting_time,
        contacts.c.talk_time, contacts.c.hard_hold_time, contacts.c.soft_hold_time, contacts.c.after_call_work_time,
        contacts.c.within_service_level, _kept_at.label("kept_at"),
    )
    .where(
        contacts.c.finished_at >= bindparam("since", type_=Moment),
        contacts.c.finished_at < bindparam("until", type_=Moment),
    )
    .order_by(contacts.c.finished_at, contacts.c.id)
)  # fmt: skip
TOLD = (events.c.place, events.c.account_id, events.c.type, events.c.key, events.c.at, events.c.data)
OF_ACCOUNTS = Statement(
    select(*TOLD)
    .where(
        events.c.place > bindparam("after"),
        events.c.place <= bindparam("last"),
        among(events.c.account_id, bindparam("accounts", type_=Json)),
        among(events.c.type, bindparam("types", type_=Json)),
    )
    .order_by(events.c.place)
    .limit(CHUNK),
    everywhere=True,
)


def types_told(house: House, *more: str) -> list[str]:
    """The types of event that live figures come of."""
    of_people = [name for name in house.events if name.partition(".")[0] in ABOUT_PEOPLE and name not in BESIDE]
    return [*TAKE, *of_people, *more]


def is_about_people(type: str) -> bool:
    return type.partition(".")[0] in ABOUT_PEOPLE


async def last_place(tx: Transaction) -> int:
    row = await tx.one(outbox.LAST)
    return row["place"] if row else 0


async def told(
    house: House, accounts: Sequence[str], types: Sequence[str], after: int, last: int
) -> AsyncIterator[Row]:
    """Events of accounts, in order: those after a place, up to another."""
    while after < last:
        async with house.db.reading() as tx:
            found = await tx.all(OF_ACCOUNTS, accounts=list(accounts), types=list(types), after=after, last=last)
        for event in found:
            yield event
        after = found[-1]["place"] if len(found) == CHUNK else last


class Feed:
    """One account's tally, as of the event at `place`."""

    def __init__(self, house: House, account: str) -> None:
        self.house, self.account = house, account
        self.place = 0
        self._reaching = asyncio.Lock()
        self.tally = Tally(people.People())

    async def open(self) -> None:
        """Read the account as it stands. No contacts that are over yet: `reach` brings those."""
        async with self.house.db.reading() as tx:
            kept = await tx.one(KEPT_AT)
            self.place = kept["place"] if kept else 0
            self.tally = Tally(await people.load(tx, self.account))
            for row in await tx.all(LIVE, account=self.account):
                self._restore(floor.read(row["doc"]))
            for row in await tx.all(DESKS, account=self.account):
                self.tally.set_status(row["user_id"], row["status"], row["since"].timestamp())

    def _restore(self, it: floor.Interaction) -> None:
        call = it.call
        if not call.legs:
            return
        leg, groups, state = call.leg, tuple(call.leg.ring_groups), call.state
        if call.direction == "OUT":
            self.tally.called[call.id] = groups
        if leg.finished is not None or (call.direction == "OUT" and state == "queued"):
            return
        started = leg.attempts[-1].started if call.direction == "OUT" and leg.attempts else leg.started
        made = GoingOn(leg.id, call.id, started, direction=call.direction, groups=groups, state="waiting")
        if state in ("ringing", "dialling"):
            made.state, made.user = "ringing", leg.attempts[-1].agent
        elif leg.answered is not None:
            made.state, made.user, made.answered = "talking", leg.agent, leg.answered
        self.tally.goes_on(made)

    async def reach(self, since: float) -> None:
        """See to it that contacts are known that were over since then (seconds since 1970)."""
        if since < self.tally.since:
            async with self._reaching:
                if since < self.tally.since:
                    await self._reach(since)

    async def _reach(self, since: float) -> None:
        tally = self.tally
        until = min(tally.since, self.house.world.time() + 86_400)
        span = {"since": _moment(since), "until": _moment(until)}
        found: list[Finished] = []
        kept_at = None
        async with self.house.db.reading() as tx:
            kept = await tx.one(KEPT_AT)
            async for row in tx.scan(FINISHED, account=self.account, **span):
                kept_at = row["kept_at"]
                found.append(_finished(row, tally))
        if kept_at is None:
            kept_at = kept["place"] if kept else 0
        tally.have_been(found, since, self.house.world.time())
        if kept_at < self.place:  # told of to this tally before it knew these contacts
            async for event in told(self.house, [self.account], FACTS_OF, kept_at, self.place):
                tally.apply(event)

    async def catch_up(self, last: int) -> None:
        """Take in this account's events up to a place."""
        types = types_told(self.house)
        changed = False
        async for event in told(self.house, [self.account], types, self.place, last):
            self.take(event)
            changed = changed or is_about_people(event["type"])
        self.place = max(self.place, last)
        if changed:
            await self.read_people()

    def take(self, event: Row) -> None:
        if event["place"] > self.place:
            self.tally.apply(event)
            self.place = event["place"]

    async def read_people(self) -> None:
        async with self.house.db.reading() as tx:
            found = await people.load(tx, self.account)
        self.tally.set_people(found, self.house.world.time())

    async def ready(self, wanted: Iterable[Selection]) -> None:
        """See to it that the figures of these selections can be made."""
        starts = self.tally.starts(self.house.world.time())
        await self.reach(min((starts(one.span) for one in wanted), default=self.tally.since))

    async def figure(self, query: Query, selection: Selection) -> Pairs:
        """One figure, here and now."""
        if query.source in ("finished", "arrived"):
            await self.ready([selection])
        now = self.house.world.time()
        self.tally.slide(now)
        return self.tally.figure(query, selection, now)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _finished(row: Row, tally: Tally) -> Finished:
    return Finished(
        row["id"],
        row["call_id"],
        row["finished_at"].timestamp(),
        row["started_at"].timestamp(),
        type=row["type"],
        direction=row["direction"],
        groups=tally.people.parted(row["ring_groups"]),
        user=row["user_id"],
        waited=row["waiting_time"],
        talk=row["talk_time"],
        hold=row["hard_hold_time"] + row["soft_hold_time"],
        wrap_up=row["after_call_work_time"] or 0,
        within=row["within_service_level"],
        place=row["kept_at"] or 0,
    )


async def opened(house: House, account: str) -> Feed:
    """A feed that has caught up with the log."""
    feed = Feed(house, account)
    await feed.open()
    async with house.db.reading() as tx:
        last = await last_place(tx)
    await feed.catch_up(last)
    return feed
