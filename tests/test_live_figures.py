"""Live figures: at every moment they are what a recount of the raw events gives, whatever is asked and restarted."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ringfence.floor import inbox
from ringfence.floor.carrier import Habits, Simulated
from ringfence.floor.keeper import Keeper
from ringfence.live import feed as feeds
from ringfence.live.filters import Selection, Span, midnight, next_midnight, read
from ringfence.live.metrics import BY_NAME, KNOWN, QUERIES, Query
from ringfence.live.people import People, Person
from ringfence.live.records import ENDED, Finished, GoingOn
from ringfence.live.tally import Tally
from ringfence.sandbox import traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.store.outbox import stamp
from ringfence.store.statement import Statement
from ringfence.store.tables.log import events as log

from . import test_centre
from .conftest import Centre
from .recount import contacts, going_on, recount, seconds

LISBON = ZoneInfo("Europe/Lisbon")
EVENTS = Statement(select(log).where(log.c.place.is_not(None)).order_by(log.c.place), everywhere=True)
BUSY = Habits(patience=60, transfers=0.2, consults=0.2, holds=0.3)
SPANS = st.one_of(
    st.just(Span()),
    st.integers(1, 20_000).map(lambda n: Span("interval", float(n))),
    st.floats(test_centre.START - 3600, test_centre.START + 20_000).map(lambda at: Span("from", at)),
)


def subsets(*names: str) -> st.SearchStrategy[frozenset[str] | None]:
    return st.one_of(st.none(), st.sets(st.sampled_from(names), min_size=1).map(frozenset))


@st.composite
def selections(draw: st.DrawFn, query: Query) -> Selection:
    taken = {one.name for one in query.filters}

    def maybe(name: str, *values: str) -> frozenset[str] | None:
        return draw(subsets(*values)) if name in taken else None

    return Selection(
        span=draw(SPANS) if "range__from" in taken else Span(),
        ring_groups=maybe("ring_groups", "sales", "support", "nobody's"),
        teams=maybe("teams", "red", "blue"),
        statuses=maybe("statuses", "available", "busy", "away_lunch"),
        directions=maybe("directions", "IN", "OUT"),
        none=draw(st.integers(0, 9)) == 0,
        limit=200,
    )


ASKED = st.sampled_from(list(QUERIES.values())).flatmap(lambda query: st.tuples(st.just(query), selections(query)))


def a_day(seed: str, patience: float, agents: int) -> tuple[list[dict[str, Any]], People]:
    """A busy morning on the floor, as events; and who works there."""
    centre, draw = test_centre.centre(seed, agents=agents), random.Random(seed)
    centre.carrier = Simulated(seed, replace(BUSY, patience=patience))
    at = test_centre.START
    for agent in centre.roster.people:
        centre.set_status(inbox.SetStatus(user=agent, status="available"), at)
    for _ in range(150):
        at += draw.random() * 60
        centre.pass_time(at)
        if draw.random() < 0.7:
            number = f"+35191{draw.randrange(10**7):07}"
            centre.incoming(inbox.Incoming(company_number=test_centre.LINE, contact_number=number), at)
        else:
            status = draw.choice(("available", "available", "available", "away_lunch", "offline"))
            centre.set_status(inbox.SetStatus(user=draw.choice(list(centre.roster.people)), status=status), at)
    centre.pass_time(at + 2000)
    rows = [
        {"type": what.name, "place": place, "key": key, "at": datetime.fromtimestamp(moment, UTC), "data": data}
        for place, (what, key, moment, data) in enumerate(centre.told, 1)
    ]
    people = {
        user: Person(person.name, ("", "red", "blue")[number % 3], tuple(person.ring_groups))
        for number, (user, person) in enumerate(centre.roster.people.items())
    }
    return rows, People(LISBON, people, ("blue", "red"), ("nobody's", "sales", "support"))


DAYS = {
    "hasty": a_day("hasty", patience=10, agents=6),
    "patient": a_day("patient", patience=300, agents=3),
    "stubborn": a_day("stubborn", patience=5000, agents=2),
}


def restored(told: list[dict[str, Any]], people: People, since: float, now: float) -> Tally:
    """A tally that begins in the middle of things, with what tables would hold."""
    tally = Tally(people)
    for one, leg in zip(going_on(told), legs(told), strict=True):
        made = GoingOn(leg, "", one["since"], direction=one["direction"], groups=tuple(one["ring_groups"]),
                       state=one["state"], user=one["user"])  # fmt: skip
        tally.goes_on(made)
    for event in told:
        if event["type"] == "agent.status_changed":
            tally.set_status(event["data"]["user_id"], event["data"]["status"], event["at"].timestamp())
        if event["type"] == "call.queued" and event["data"]["direction"] == "OUT":
            tally.called[event["data"]["call_id"]] = tuple(event["data"]["ring_groups"])
    rows = [
        Finished(
            one["leg_id"], one["call_id"], one["finished"], seconds(one["started_at"]), type=one["type"],
            direction=one["direction"], groups=tuple(one["ring_groups"]), user=one["user_id"],
            waited=one["waiting_time"], talk=one["talk_time"], hold=one["hold_time"] + one["consultation_time"],
            wrap_up=one["work"], within=one["within_service_level"], place=told[-1]["place"],
        )
        for one in contacts(told)
    ]  # fmt: skip
    tally.have_been(rows, since, now)
    return tally


def legs(told: list[dict[str, Any]]) -> list[str]:
    """Ids of what goes on, in the order of `going_on`."""
    found: dict[str, None] = {}
    for event in told:
        leg, kind = event["data"].get("leg_id"), event["type"]
        out = event["data"].get("direction") == "OUT"
        if kind in ("call.ringing", "call.answered") or (kind == "call.queued" and not out):
            found[leg] = None
        missed = kind == "call.ring_attempt_finished" and event["data"]["attempt"]["result"] != "Answered"
        if kind == "call.contact_finished" or (out and missed):
            found.pop(leg, None)
    return list(found)


def agree(tally: Tally, told: list[dict[str, Any]], asked: list[tuple[Query, Selection]], now: float) -> None:
    tally.slide(now)
    for query, selection in asked:
        found = tally.figure(query, selection, now)
        if query.by in ("user", "contact"):
            assert len(found) - 1 == found[-1][1]
            found = found[-1:]
        assert found == recount(told, tally.people, query, selection, now), (query.name, selection)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(DAYS)), st.lists(ASKED, min_size=1, max_size=6), st.lists(st.integers(1, 4000), max_size=12),
    st.integers(0, 12), st.integers(0, 400),
)  # fmt: skip
def test_figures_agree_with_a_recount_at_every_tick(
    day: str, asked: list[tuple[Query, Selection]], ticks: list[int], restart: int, again: int
) -> None:
    rows, people = DAYS[day]
    tally, place, now = Tally(people), 0, test_centre.START
    tally.have_been([], test_centre.START - 86_400, now)
    for number, step in enumerate(ticks):
        now += step
        upto = sum(1 for row in rows if row["at"].timestamp() <= now)
        told = rows[:upto]
        if number == restart and told:
            tally = restored(told, people, test_centre.START - 86_400, now)
            place = max(0, upto - again)  # what has been taken in already comes once more
        for row in rows[place:upto]:
            tally.apply(row)
        place = upto
        agree(tally, told, asked, now)


@pytest.mark.parametrize("day", sorted(DAYS))
def test_every_figure_agrees_as_the_day_goes_by(day: str) -> None:
    rows, people = DAYS[day]
    tally, place = Tally(people), 0
    tally.have_been([], test_centre.START - 86_400, test_centre.START)
    asked = [(query, Selection(span=Span("interval", 1200.0), limit=1000)) for query in QUERIES.values()]
    asked += [(query, Selection(limit=1000)) for query in QUERIES.values()]
    end = int(rows[-1]["at"].timestamp() - test_centre.START)
    for now in (test_centre.START + n for n in range(0, end + 2400, 240)):
        upto = sum(1 for row in rows if row["at"].timestamp() <= now)
        for row in rows[place:upto]:
            tally.apply(row)
        place = upto
        agree(tally, rows[:upto], asked, now)


def test_the_days_hold_every_kind_of_contact() -> None:
    assert {one["type"] for rows, _ in DAYS.values() for one in contacts(rows)} == set(ENDED)


def test_contacts_out_of_order_late_and_forgotten_are_counted_where_they_belong() -> None:
    tally, query = Tally(People(LISBON, {}, (), ("sales",))), BY_NAME["inbound_contacts"]
    longest, last = BY_NAME["longest_wait_time"], Selection(span=Span("interval", 100.0))

    def contact(id: str, at: float, waited: int) -> Finished:
        return Finished(id, id, at, at - waited, type="Missed", direction="IN", groups=("sales",), user=None,
                        waited=waited, talk=0, hold=0, wrap_up=0, within=False, place=1)  # fmt: skip

    def value(query: Query, now: float) -> Any:
        tally.slide(now)
        return dict(tally.figure(query, last, now))["_total"]

    tally.have_been([], 0, 1000)
    assert value(query, 1000) == value(longest, 1000) == 0
    for id, at, waited in (("a", 990, 9), ("b", 950, 50), ("c", 970, 3), ("d", 850, 70), ("b", 950, 50)):
        tally.is_over(contact(id, at, waited))
    assert (value(query, 1000), value(longest, 1000)) == (3, 50)
    assert (value(query, 1051), value(longest, 1051)) == (2, 9)
    tally.forget(960)
    assert (value(query, 1060), len(tally.known)) == (2, 2)
    tally.have_been([contact("b", 950, 50), contact("c", 970, 3), contact("e", 965, 1)], 900, 1060)
    assert (value(query, 1060), len(tally.known)) == (3, 4)
    ended = {"call_id": "c", "type": "Voicemail"}
    tally.apply({"type": "call.ended", "place": 9, "at": None, "data": ended})
    assert dict(tally.figure(BY_NAME["voicemail_contacts"], last, 1060))["_total"] == 1
    assert value(query, 2000) == 0


@pytest.mark.parametrize(
    "zone, now, began, ends",
    [
        ("Europe/Lisbon", "2026-01-05T09:00:00+00:00", "2026-01-05T00:00:00+00:00", "2026-01-06T00:00:00+00:00"),
        ("Europe/Lisbon", "2026-03-29T12:00:00+00:00", "2026-03-29T00:00:00+00:00", "2026-03-29T23:00:00+00:00"),
        ("Asia/Kolkata", "2026-01-05T18:29:59+00:00", "2026-01-04T18:30:00+00:00", "2026-01-05T18:30:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-05T12:00:00+00:00", "2026-04-04T13:00:00+00:00", "2026-04-05T13:30:00+00:00"),
        # there is no midnight: the clocks go on from 00:00 to 01:00
        ("Africa/Cairo", "2026-04-24T09:00:00+00:00", "2026-04-23T22:00:00+00:00", "2026-04-24T21:00:00+00:00"),
        # midnight comes twice: at 01:00 it is 00:00 again
        ("America/Havana", "2026-11-01T05:30:00+00:00", "2026-11-01T04:00:00+00:00", "2026-11-02T05:00:00+00:00"),
        # the hour before midnight comes twice
        ("Africa/Cairo", "2026-10-29T21:30:00+00:00", "2026-10-28T21:00:00+00:00", "2026-10-29T22:00:00+00:00"),
    ],
)
def test_today_begins_at_midnight_of_the_account(zone: str, now: str, began: str, ends: str) -> None:
    at = datetime.fromisoformat(now).timestamp()
    assert midnight(ZoneInfo(zone), at) == datetime.fromisoformat(began).timestamp()
    assert next_midnight(ZoneInfo(zone), at) == datetime.fromisoformat(ends).timestamp()
    tally = Tally(People(ZoneInfo(zone), {}, (), ()))
    for step in range(0, 2 * 86_400, 900):
        assert tally.starts(at + step)(Span()) == midnight(ZoneInfo(zone), at + step)


def test_a_range_is_read_in_the_zone_of_the_account() -> None:
    query, kolkata = BY_NAME["inbound_contacts"], ZoneInfo("Asia/Kolkata")

    def span(**given: Any) -> Span:
        return read(query, {"range": given}, {}, zone=kolkata).span

    nine = datetime(2026, 1, 5, 3, 30, tzinfo=UTC).timestamp()
    assert span(type="from", **{"from": "2026-01-05 09:00:00.000"}) == Span("from", nine)
    assert span(**{"from": "2026-01-05T09:00:00"}) == Span("from", nine)
    assert (
        span(**{"from": "2026-01-05T03:30:00Z"}) == span(**{"from": "2026-01-05T04:30:00+01:00"}) == Span("from", nine)
    )
    assert span(interval=60) == span(type="interval", interval=60) == Span("interval", 60.0)
    assert span() == read(query, {}, {}, zone=kolkata).span == Span()
    assert read(query, {"range__interval": 60}, {}, zone=kolkata).span == Span("interval", 60.0)


def test_ids_are_the_known_ones_and_never_change() -> None:
    assert all(BY_NAME[name].id == id for name, id in KNOWN.items())
    assert BY_NAME["abandoned_contacts"].id == "51e97780bcbbc9461092033afc15b067"
    assert len(QUERIES) == len(BY_NAME)
    assert all(len(id) == 32 and set(id) <= set("0123456789abcdef") for id in QUERIES)


async def compared(centre: Centre, live: list[feeds.Feed], asked: list[tuple[Query, Selection]]) -> None:
    now = centre.world.time()
    rows = await centre.rows(EVENTS)
    async with centre.house.db.reading() as tx:
        last = await feeds.last_place(tx)
    for feed in live:
        await feed.catch_up(last)
        await feed.ready([selection for _, selection in asked])
        agree(feed.tally, rows, asked, now)


async def test_figures_of_a_living_centre_agree_across_restarts(centre: Centre) -> None:
    """Through the keeper, the log, the facts and the tables: a feed from the start, and others that begin later."""
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    draw, begun = random.Random("live"), centre.world.time()
    await traffic.backfill(
        centre.house,
        account,
        since=begun - 7200,
        until=begun - 60,
        script=traffic.Script(1500),
        habits=BUSY,
    )
    kept = Keeper(centre.house, Simulated("live", BUSY))
    await kept.settle()
    live = [await feeds.opened(centre.house, account)]
    cast = await traffic.cast_of(centre.house, account)
    happenings = list(traffic.happenings(cast, traffic.Script(2500, "live"), begun, begun + 3600))
    asked = [(query, Selection(limit=1000)) for query in QUERIES.values()]
    for query in QUERIES.values():
        span = draw.choice((Span("interval", draw.uniform(60, 9000)), Span("from", begun - draw.uniform(-600, 9000))))
        groups = frozenset(draw.sample(("sales", "support", "billing"), 2))
        directions = draw.choice((None, frozenset({"IN"})))
        taken = {one.name for one in query.filters}
        asked.append((query, Selection(
            span=span if "range__from" in taken else Span(), ring_groups=groups, limit=1000,
            directions=directions if "directions" in taken else None,
        )))  # fmt: skip
    for step in range(40):
        centre.world.advance(90)
        due = [what for at, what in happenings if begun + step * 90 <= at < begun + step * 90 + 90]
        async with centre.house.db.writing() as tx:
            for command in due:
                await inbox.tell(centre.house.ctx(tx, account, "test"), command)
        await kept.settle()
        if step % 3:
            await centre.settle()  # else the facts lag behind
        else:
            await centre.worker.plant()
            await stamp(centre.house.db)
        if step in (1, 10, 15, 24):
            live.append(await feeds.opened(centre.house, account))
        if step % 4 == 0:
            await compared(centre, live, asked)
    await centre.settle()
    live.append(await feeds.opened(centre.house, account))
    await compared(centre, live, asked)
    assert dict(live[-1].tally.figure(BY_NAME["inbound_contacts"], Selection(), centre.world.time()))["_total"] > 50
    assert timedelta(seconds=centre.world.time() - begun) == timedelta(hours=1)
