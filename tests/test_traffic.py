"""Traffic: the same seed gives the same days, history goes through the keeper, and a living centre lives."""

import itertools
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from ringfence.floor import inbox
from ringfence.floor.keeper import Keeper
from ringfence.sandbox import traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.sandbox.traffic import Cast, Refused, Script
from ringfence.store.lease import take
from ringfence.store.outbox import BACKFILL
from ringfence.store.statement import Statement
from ringfence.store.tables.floor import desks, interactions
from ringfence.store.tables.log import events

from .conftest import START, Centre
from .servers import serving

CAST = Cast(
    agents=("a1", "a2", "a3"), numbers=("+351210000100",), callers=(("+351910000001", "c1"),),
    zone=ZoneInfo("Europe/Lisbon"),
)  # fmt: skip
NOW = START.timestamp()
WEEK = 7 * 86400.0
STATES = Statement(
    select(interactions.c.state, func.count().label("count")).group_by(interactions.c.state), everywhere=True
)
TYPES = Statement(
    select(events.c.type, func.count().label("count")).where(events.c.origin == BACKFILL).group_by(events.c.type),
    everywhere=True,
)
TIMES = Statement(
    select(func.min(events.c.at).label("first"), func.max(events.c.at).label("last")).where(
        events.c.origin == BACKFILL
    ),
    everywhere=True,
)
DESKS = Statement(select(desks), everywhere=True)


def test_the_same_seed_gives_the_same_week_however_it_is_cut() -> None:
    script = Script(200)
    whole = list(traffic.happenings(CAST, script, NOW - WEEK, NOW))
    assert whole == list(traffic.happenings(CAST, script, NOW - WEEK, NOW))
    cut = NOW - WEEK / 3
    pieces = [*traffic.happenings(CAST, script, NOW - WEEK, cut), *traffic.happenings(CAST, script, cut, NOW)]
    assert pieces == whole
    assert [at for at, _ in whole] == sorted(at for at, _ in whole)
    assert whole != list(traffic.happenings(CAST, Script(200, "another"), NOW - WEEK, NOW))


def test_people_call_by_day_and_as_many_as_was_said() -> None:
    calls = [at for at, what in traffic.happenings(CAST, Script(1000), NOW - 4 * WEEK, NOW)
             if isinstance(what, inbox.Incoming)]  # fmt: skip
    assert 0.75 < len(calls) / 28_000 < 0.95  # weekends are quieter, so a week has less than seven times a weekday
    by_hour = [0] * 24
    for at in calls:
        by_hour[(START + timedelta(seconds=at - NOW)).hour] += 1
    assert by_hour[10] > 20 * by_hour[3]


def test_agents_who_come_to_work_go_home() -> None:
    told = [what for _, what in traffic.happenings(CAST, Script(1), NOW - 2 * WEEK, NOW)]
    for agent in CAST.agents:
        days = [one.status for one in told if isinstance(one, inbox.SetStatus) and one.user == agent]
        assert days.count("offline") > 5
        assert days.count("away_lunch") >= days.count("offline")
        assert not any(a == b == "offline" for a, b in itertools.pairwise(days))


async def test_history_is_written_through_the_keeper_and_the_living_floor_goes_on(centre: Centre) -> None:
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    seen: list[int] = []
    calls = await traffic.backfill(
        centre.house, account, since=NOW - 2 * 86400, until=NOW, script=Script(300),
        progress=lambda at, count: seen.append(count),
    )  # fmt: skip
    states = {row["state"]: row["count"] for row in await centre.rows(STATES)}
    assert states["ended"] > 0.9 * calls
    told = {row["type"]: row["count"] for row in await centre.rows(TYPES)}
    assert told["call.started"] == sum(states.values())
    assert told["call.ended"] == states["ended"]
    [times] = await centre.rows(TIMES)
    assert times["first"].timestamp() >= NOW - 2 * 86400
    assert times["last"].timestamp() <= NOW
    assert seen[-1] == calls
    kept = Keeper(centre.house)
    for _ in range(60):
        centre.world.advance(120)
        await kept.settle()
    left = {row["state"]: row["count"] for row in await centre.rows(STATES)}
    assert left.get("ended", 0) >= states["ended"]
    assert {row["status"] for row in await centre.rows(DESKS)} <= {
        "available", "busy", "after_call_work", "away", "away_break", "away_lunch", "offline",
    }  # fmt: skip


async def test_history_is_refused_where_there_is_some_or_a_server_keeps_the_floor(centre: Centre) -> None:
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    await traffic.backfill(centre.house, account, since=NOW - 86400, until=NOW, script=Script(50))
    with pytest.raises(Refused, match="already"):
        await traffic.backfill(centre.house, account, since=NOW - 3600 * 30, until=NOW, script=Script(50))
    assert await take(centre.house.db, "floor.keep", "f" * 32, centre.world.now())
    rival = await centre.account("rival")
    with pytest.raises(Refused, match="ring group"):
        await traffic.backfill(centre.house, rival, since=NOW - 3600, until=NOW, script=Script(50))
    with pytest.raises(Refused, match="server"):
        await traffic.backfill(centre.house, account, since=NOW, until=NOW + 60, script=Script(50))


@pytest.mark.process
def test_a_demo_with_a_past_is_alive(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", "--speed", "60", "--backfill", "1d", demo_calls=5000) as server:
        assert "calls in 1 day" in (tmp_path / "server.log").read_text()
        agents = server.ringfence("agents", "list")
        assert "Duarte Lima" in agents
        for _ in range(20):
            if "queued" in server.ringfence("calls", "list", "--last", "50"):
                break
        else:
            raise AssertionError("nobody calls")
        server.ringfence("simulate", "--backfill", "soon", code=2)  # no span of time
        server.ringfence("simulate", "--backfill", "1h", code=1)  # there are calls in it
        id = server.ringfence("calls", "incoming", "+351210000200", "--from", "+351910009903").strip()
        for _ in range(20):
            if "call.ended" in (shown := server.ringfence("calls", "show", id)):
                break
        assert "call.queued" in shown
        server.ringfence("agents", "status", "nobody@acme.example", "available", code=1)
        server.ringfence("agents", "wrap-up", "duarte@acme.example", "--disposition", "Sale")
        server.ringfence("calls", "end", id)
        server.ringfence("agents", "status", "duarte@acme.example", "busy", code=2)  # comes of calls, is not chosen
