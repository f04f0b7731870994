"""Time off: who is away is not called; balances, files, and what comes of a killed import."""

import asyncio
import base64
import csv
import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from ringfence.apis.events.trigger_payloads import TRIGGERS
from ringfence.apis.time_off import api, balances, domain, imports, local_times
from ringfence.apis.time_off.multipart import Form
from ringfence.floor import inbox, time_off
from ringfence.kernel.problems import Fault
from ringfence.sandbox import absences, traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.store.outbox import BACKFILL
from ringfence.store.statement import Statement
from ringfence.store.tables.facts import statuses as statuses_kept
from ringfence.store.tables.floor import desks
from ringfence.store.tables.guardian import sessions as guardian_sessions
from ringfence.store.tables.log import events
from ringfence.store.tables.time_off import time_off_balances, time_off_import_errors, time_off_imports, time_offs
from tests.conftest import Centre, OpenHouse
from tests.servers import serving, start
from tests.test_centre import LINE
from tests.test_keeper import keeper, pass_time, staffed, tell, told

SCOPE = "wfm-aion-public:write"
OFFS = "/wfm/aion/externals/schedules/time-offs"
BALANCES = "/wfm/request-management/externals/time-offs/balances"
IMPORTS = "/wfm/aion/v1/schedules/event-imports"
ALL = Statement(select(time_offs).order_by(time_offs.c.start_at, time_offs.c.user_id), everywhere=True)
COUNT = Statement(select(func.count().label("n")).select_from(time_offs), everywhere=True)
LEFT = Statement(select(time_off_balances), everywhere=True)
IMPORTED = Statement(select(time_off_imports), everywhere=True)
ERRORS = Statement(select(time_off_import_errors), everywhere=True)
REPORTED = Statement(select(statuses_kept), everywhere=True)
RUNG = Statement(select(events).where(events.c.type == "call.ringing"), everywhere=True)
SESSIONS = Statement(select(guardian_sessions).order_by(guardian_sessions.c.login_at), everywhere=True)
MOVED = Statement(select(events).where(events.c.type == "agent.status_changed").order_by(events.c.n), everywhere=True)
DESKS = Statement(select(desks), everywhere=True)
EVENTS = Statement(select(events).where(events.c.type.startswith("time_off.")).order_by(events.c.n), everywhere=True)
LISBON = ZoneInfo("Europe/Lisbon")


async def types(centre: Centre, account: str = "acme", **declared: bool) -> None:
    """Declare types of time off: whether each draws a balance."""
    id = await centre.account(account)
    async with centre.house.db.writing() as tx:
        for name, draws in (declared or {"Vacation": True, "Training": False}).items():
            await balances.declare_type(centre.house.ctx(tx, id, "test"), name=name, draws_balance=draws)


def off(start: str = "2026-01-05T10:00:00Z", end: str = "2026-01-05T12:00:00Z", **more: Any) -> dict[str, Any]:
    return {"agent_email": "ana@acme.example", "event_type_name": "Training", "start_at": start, "end_at": end} | more


async def left(centre: Centre) -> float:
    [row] = await centre.rows(LEFT)
    return balances.hours(row["seconds"])


async def what_was_told(centre: Centre) -> list[str]:
    return [row["type"] for row in await centre.rows(EVENTS)]


async def test_an_agent_is_given_time_off_and_the_same_again_is_the_same(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    async with await centre.signed_in(SCOPE) as http:
        made = await http.post(OFFS, json=off(description="A course"))
        again = await http.post(OFFS, json=off(agent_email="ANA@acme.example", event_type_name="training"))
        keyed = [await http.post(OFFS, json=off("2026-02-05T10:00:00Z", "2026-02-05T11:00:00Z"),
                                 headers={"idempotency-key": "one"}) for _ in range(2)]  # fmt: skip
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json() == {
        "id": made.json()["id"], "agent_email": "ana@acme.example", "event_type_name": "Training",
        "start_at": "2026-01-05T10:00:00Z", "end_at": "2026-01-05T12:00:00Z", "description": "A course",
    }  # fmt: skip
    assert [one.status_code for one in keyed] == [201, 201]
    assert keyed[0].json() == keyed[1].json()
    assert len(await centre.rows(ALL)) == 2


@pytest.mark.parametrize(
    "changed, status, named",
    [
        ({"agent_email": "bob@acme.example"}, 404, "agent_email"),
        ({"event_type_name": "Party"}, 404, "event_type_name"),
        ({"end_at": "2026-01-05T10:00:00Z"}, 400, "end_at"),
        ({"end_at": "2026-01-05T09:00:00Z"}, 400, "end_at"),
        ({"start_at": "2026-01-05T10:00:00"}, 400, "start_at"),
        ({"start_at": "0001-01-01T00:00:00Z"}, 400, "start_at"),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, 400, "start_at"),
        ({"end_at": "9999-12-31T23:59:59-14:00"}, 400, "end_at"),
        ({"end_at": "2028-01-05T10:00:00Z"}, 400, "end_at"),
        ({"end_at": "soon"}, 400, "end_at"),
        ({"description": "x" * 2001}, 400, "description"),
    ],
)
async def test_what_is_wrong_is_named(centre: Centre, changed: dict[str, Any], status: int, named: str) -> None:
    await centre.user()
    await centre.user("gone@acme.example", active=False)
    await types(centre)
    async with await centre.signed_in(SCOPE) as http:
        answer = await http.post(OFFS, json=off() | changed)
        assert answer.status_code == status, answer.text
        assert [field["name"] for field in answer.json()["fields"]] == [named]
        assert (await http.post(OFFS, json=off(agent_email="gone@acme.example"))).status_code == 404
    assert await centre.rows(ALL) == []


async def test_overlaps_are_refused_or_merged(centre: Centre) -> None:
    await centre.user()
    await types(centre, Vacation=True, Training=False)
    async with await centre.signed_in(SCOPE) as http:
        await http.put(BALANCES, json=given_hours(10))
        first = (await http.post(OFFS, json=off(event_type_name="Vacation"))).json()
        touching = await http.post(OFFS, json=off("2026-01-05T12:00:00Z", "2026-01-05T13:00:00Z"))
        assert touching.status_code == 201
        later = (await http.post(OFFS, json=off("2026-01-05T14:00:00Z", "2026-01-05T15:00:00Z",
                                                event_type_name="Vacation"))).json()  # fmt: skip
        wide = off("2026-01-05T11:00:00Z", "2026-01-05T16:00:00Z", event_type_name="Vacation")
        refused = await http.post(OFFS, json=wide)
        assert (refused.status_code, refused.json()["code"]) == (409, "time_off_overlap")
        other_type = await http.post(f"{OFFS}?merge=true", json=wide)
        assert other_type.status_code == 409
        assert "another type" in other_type.json()["description"]
        assert await left(centre) == 7
        assert (await http.delete(f"{OFFS}/{touching.json()['id']}")).status_code == 204
        merged = await http.post(f"{OFFS}?merge=true", json=wide)
        assert merged.status_code == 200, merged.text
        assert (merged.json()["id"], merged.json()["start_at"], merged.json()["end_at"]) == (
            first["id"], "2026-01-05T10:00:00Z", "2026-01-05T16:00:00Z",
        )  # fmt: skip
        assert (await http.delete(f"{OFFS}/{later['id']}")).status_code == 404
        assert await left(centre) == 4
        same_start = await http.post(OFFS, json=off(event_type_name="Vacation", end="2026-01-05T11:00:00Z"))
        assert same_start.status_code == 409
    assert len(await centre.rows(ALL)) == 1


def given_hours(*hours: float, email: str = "ana@acme.example", kind: str = "Vacation") -> dict[str, Any]:
    return {"time_off_balances": [{"agent_email": email, "event_type_name": kind, "balance": h} for h in hours]}


async def test_balances_are_drawn_given_back_and_never_below_zero(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    vacation = {"event_type_name": "Vacation"}
    async with await centre.signed_in(SCOPE) as http:
        none = await http.post(OFFS, json=off(**vacation))
        assert (none.status_code, none.json()["code"]) == (409, "balance_too_low")
        [balance] = (await http.put(BALANCES, json=given_hours(3.5))).json()["time_off_balances"]
        assert balance["balance"] == 3.5
        made = (await http.post(OFFS, json=off(**vacation))).json()
        assert await left(centre) == 1.5
        too_long = {"start_at": "2026-01-05T10:00:00Z", "end_at": "2026-01-05T13:30:01Z"}
        refused = await http.patch(f"{OFFS}/{made['id']}", json=too_long)
        assert (refused.status_code, refused.json()["code"]) == (409, "balance_too_low")
        assert "1.5 hours left" in refused.json()["description"]
        moved = await http.patch(f"{OFFS}/{made['id']}", json=too_long | {"end_at": "2026-01-05T13:30:00Z"})
        assert moved.status_code == 200
        assert await left(centre) == 0
        shorter = await http.patch(f"{OFFS}/{made['id']}", json=too_long | {"end_at": "2026-01-05T10:30:00Z"})
        assert shorter.json()["description"] is None
        assert await left(centre) == 3
        assert (await http.delete(f"{OFFS}/{made['id']}")).status_code == 204
        assert await left(centre) == 3.5
        assert (await http.post(OFFS, json=off())).status_code == 201  # draws nothing
        assert await left(centre) == 3.5
        assert (await http.delete(f"{BALANCES}/{balance['id']}")).status_code == 204
        assert (await http.delete(f"{BALANCES}/{balance['id']}")).status_code == 404
    assert await centre.rows(LEFT) == []


async def test_setting_balances_is_all_or_nothing_and_names_each_item(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    many = given_hours(1)["time_off_balances"]
    many += given_hours(2, email="bob@acme.example")["time_off_balances"]
    many += given_hours(2, kind="Party")["time_off_balances"]
    async with await centre.signed_in(SCOPE) as http:
        strange = await http.put(BALANCES, json={"time_off_balances": many})
        twice = await http.put(BALANCES, json=given_hours(1, 2))
        negative = await http.put(BALANCES, json=given_hours(1, -2))
        assert (await http.put(BALANCES, json={"time_off_balances": []})).status_code == 400
        assert await centre.rows(LEFT) == []
        first = (await http.put(BALANCES, json=given_hours(8))).json()
        second = (await http.put(BALANCES, json=given_hours(4))).json()
    assert strange.status_code == 404
    assert [one["name"] for one in strange.json()["fields"]] == [
        "time_off_balances[1].agent_email", "time_off_balances[2].event_type_name"
    ]  # fmt: skip
    assert (twice.status_code, twice.json()["fields"][0]["name"]) == (400, "time_off_balances[1].event_type_name")
    assert (negative.status_code, negative.json()["fields"][0]["name"]) == (400, "time_off_balances[1].balance")
    assert first["time_off_balances"][0]["id"] == second["time_off_balances"][0]["id"]
    assert await left(centre) == 4


async def test_another_account_sees_and_changes_nothing(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    await centre.account("rival")
    span = {"start_at": "2026-01-06T10:00:00Z", "end_at": "2026-01-06T13:00:00Z"}
    async with await centre.signed_in(SCOPE) as ours, await centre.signed_in(SCOPE, account="rival") as theirs:
        id = (await ours.post(OFFS, json=off())).json()["id"]
        [balance] = (await ours.put(BALANCES, json=given_hours(8))).json()["time_off_balances"]
        sent = (await ours.post(IMPORTS, files=form(rows()))).json()["id"]
        assert (await theirs.patch(f"{OFFS}/{id}", json=span)).status_code == 404
        assert (await theirs.delete(f"{OFFS}/{id}")).status_code == 404
        assert (await theirs.delete(f"{BALANCES}/{balance['id']}")).status_code == 404
        assert (await theirs.get(f"{IMPORTS}/{sent}")).status_code == 404
        unknown = await theirs.post(OFFS, json=off())
        assert (unknown.status_code, unknown.json()["fields"][0]["name"]) == (404, "agent_email")


# the floor


async def give(centre: Centre, email: str, minutes: int, long: int, name: str = "Training") -> str:
    """Time off that begins in some minutes; its id."""
    begin = centre.world.now() + timedelta(minutes=minutes)
    async with await centre.signed_in(SCOPE) as http:
        asked = {"agent_email": email, "event_type_name": name, "start_at": begin.isoformat(),
                 "end_at": (begin + timedelta(minutes=long)).isoformat()}  # fmt: skip
        answer = await http.post(OFFS, json=asked)
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    return id


async def go_on(centre: Centre, kept: Any, minutes: int) -> None:
    for _ in range(minutes):
        centre.world.advance(60)
        await time_off.pass_time(centre.house)
        await kept.settle()


async def statuses(centre: Centre) -> list[str]:
    return [row["status"] for row in await centre.rows(DESKS)]


async def test_who_is_on_time_off_is_not_called(centre: Centre) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await kept.settle()
    await give(centre, "agent0@acme.example", 1, 60)
    await go_on(centre, kept, 1)
    assert await statuses(centre) == ["away_training"]
    await tell(centre, inbox.SetStatus(user=(await centre.rows(DESKS))[0]["user_id"], status="available"))
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))
    await pass_time(centre, kept, 600)
    assert await told(centre, "call.ringing") == []
    kept = keeper(centre)  # and one that takes over does not call them either
    await pass_time(centre, kept, 300)
    assert await told(centre, "call.ringing") == []
    await go_on(centre, kept, 60)
    assert await what_was_told(centre) == [
        "time_off.type_declared", "time_off.type_declared", "time_off.created", "time_off.began", "time_off.ended"
    ]  # fmt: skip
    assert await statuses(centre) == ["available"]  # what they chose meanwhile
    changes = [(move["previous_status"], move["status"]) for move in await told(centre, "agent.status_changed")]
    assert changes == [("offline", "available"), ("available", "away_training"), ("away_training", "available")]


async def test_who_said_nothing_is_offline_afterwards(centre: Centre) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await kept.settle()
    await give(centre, "agent0@acme.example", 0, 10)
    await give(centre, "agent0@acme.example", 10, 10)
    await go_on(centre, kept, 15)
    assert await statuses(centre) == ["away_training"]
    await go_on(centre, kept, 10)
    assert await statuses(centre) == ["offline"]
    changes = [move["status"] for move in await told(centre, "agent.status_changed")]
    assert changes == ["available", "away_training", "offline"]


async def test_who_is_on_a_call_finishes_it(centre: Centre) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))
    while not await told(centre, "call.answered"):
        await pass_time(centre, kept, 5)
    await give(centre, "agent0@acme.example", 0, 600)
    await time_off.pass_time(centre.house)
    await kept.settle()
    assert await statuses(centre) == ["busy"]
    while not await told(centre, "call.disposed"):
        await pass_time(centre, kept, 60)
    assert await statuses(centre) == ["away_training"]
    [ended] = await told(centre, "call.ended")
    assert (ended["type"], ended["ended_by"]) == ("Answered", ended["ended_by"])


async def stood(centre: Centre) -> list[tuple[str, str, str | None]]:
    """Changes of status: from what, to what, and how the agent stood where it came of a time off."""
    moves = await told(centre, "agent.status_changed")
    return [(move["previous_status"], move["status"], move["time_off"]) for move in moves]


async def test_time_off_of_somebody_who_is_not_there_is_no_coming_and_going(centre: Centre) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await kept.settle()
    user = (await centre.rows(DESKS))[0]["user_id"]
    await tell(centre, inbox.SetStatus(user=user, status="offline"))
    await kept.settle()
    await give(centre, "agent0@acme.example", 1, 10)
    await give(centre, "agent0@acme.example", 20, 10)
    await go_on(centre, kept, 25)
    await tell(centre, inbox.SetStatus(user=user, status="available"))  # they come to work before it is over
    await go_on(centre, kept, 10)
    await give(centre, "agent0@acme.example", 1, 10)
    await go_on(centre, kept, 15)
    await centre.settle()
    assert await stood(centre) == [
        ("offline", "available", None), ("available", "offline", None),
        ("offline", "away_training", "absent"), ("away_training", "offline", "absent"),
        ("offline", "away_training", "absent"), ("away_training", "available", "at_work"),
        ("available", "away_training", "at_work"), ("away_training", "offline", "at_work"),
    ]  # fmt: skip
    sessions = [(row["login_at"], row["logout_at"]) for row in await centre.rows(SESSIONS)]
    changed = [row["at"] for row in await centre.rows(MOVED)]
    assert sessions == [(changed[0], changed[1]), (changed[5], changed[7])]
    moves = await told(centre, "agent.status_changed")
    heard = [TRIGGERS[name].fits for name in ("agentLogIn", "agentLogOut")]
    assert [sum(fits(data) for data in moves) for fits in heard] == [1, 2]


@pytest.mark.parametrize("how", ["delete", "later", "shorter"])
async def test_time_off_that_is_taken_back_gives_the_agent_back(centre: Centre, how: str) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await kept.settle()
    id = await give(centre, "agent0@acme.example", 0, 60)
    await go_on(centre, kept, 1)
    assert await statuses(centre) == ["away_training"]
    async with await centre.signed_in(SCOPE) as http:
        if how == "delete":
            await http.delete(f"{OFFS}/{id}")
        else:
            span = ("2026-01-06T10:00:00Z", "2026-01-06T11:00:00Z")
            if how == "shorter":
                span = ("2026-01-05T08:00:00Z", "2026-01-05T09:00:30Z")
            answer = await http.patch(f"{OFFS}/{id}", json={"start_at": span[0], "end_at": span[1]})
            assert answer.status_code == 200, answer.text
    await go_on(centre, kept, 1)
    assert await statuses(centre) == ["offline"]
    ended = {"delete": "time_off.deleted", "later": "time_off.ended", "shorter": "time_off.ended"}
    assert (await what_was_told(centre))[-1] == ended[how]


async def test_what_was_over_before_anybody_looked_is_told_and_nobody_is_taken_away(centre: Centre) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await kept.settle()
    await give(centre, "agent0@acme.example", 5, 10)
    centre.world.advance(3600)
    await go_on(centre, kept, 1)
    assert (await what_was_told(centre))[-2:] == ["time_off.began", "time_off.ended"]
    assert await statuses(centre) == ["available"]
    async with await centre.signed_in(SCOPE) as http:  # what is past when it is written is only written down
        past = await http.post(OFFS, json=off("2025-01-05T10:00:00Z", agent_email="agent0@acme.example",
                                              end="2025-01-06T10:00:00Z"))  # fmt: skip
        assert past.status_code == 201
    await go_on(centre, kept, 1)
    assert (await what_was_told(centre))[-1] == "time_off.created"


async def test_nobody_is_staffed_where_everybody_has_time_off(centre: Centre) -> None:
    await staffed(centre)
    await types(centre)
    kept = keeper(centre)
    await kept.settle()
    await give(centre, "agent0@acme.example", 0, 600)
    await go_on(centre, kept, 1)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))
    await pass_time(centre, kept, 300)
    assert {step["exit"] for step in await told(centre, "flow.step_finished")} >= {"no_agents"}


# files

HEADER = "agent_email,event_type_name,start_at,end_at,description"


def rows(*lines: str) -> str:
    return "\n".join([HEADER, *(lines or ("ana@acme.example,Training,2026-03-01 09:00,2026-03-01 10:00,x",))]) + "\n"


def form(text: str | bytes, **more: str) -> dict[str, Any]:
    content = text if isinstance(text, bytes) else text.encode()
    return {"csv_file": ("january.csv", content, "text/csv")} | {n: (None, v) for n, v in more.items()}


async def imported(centre: Centre, text: str | bytes, **more: str) -> dict[str, Any]:
    """A file sent and done with."""
    async with await centre.signed_in(SCOPE) as http:
        sent = await http.post(IMPORTS, files=form(text, **more))
        assert sent.status_code == 202, sent.text
        assert sent.json()["status"] == "PROCESSING"
        await centre.settle()
        found: dict[str, Any] = (await http.get(f"{IMPORTS}/{sent.json()['id']}")).json()
    return found


async def report(centre: Centre, found: dict[str, Any]) -> list[list[str]]:
    async with centre.http() as http:
        answer = await http.get(found["error_report_url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv")
    return list(csv.reader(io.StringIO(answer.text)))


async def test_a_file_is_imported_in_local_time(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    text = rows(
        "ana@acme.example,Training,29/03/2026 00:30,29/03/2026 02:30,over the change",
        "ANA@acme.example,training,24/12/2026,25/12/2026,",
        "",
        "ana@acme.example,Training,24/12/2026,25/12/2026,the same again",
    )
    found = await imported(centre, text, time_zone="Europe/Lisbon", date_format="dd/mm/yyyy HH:mm")
    counts = {name: found[name] for name in ("status", "rows", "processed", "imported", "refused", "file_name")}
    assert counts == {"status": "IMPORTED", "rows": 4, "processed": 4, "imported": 3, "refused": 0,
                      "file_name": "january.csv"}  # fmt: skip
    assert (found["error_report_url"], found["error_report_expires_at"]) == (None, None)
    spans = [(row["start_at"], row["end_at"]) for row in await centre.rows(ALL)]
    assert spans == [
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (datetime(2026, 12, 24, tzinfo=UTC), datetime(2026, 12, 26, tzinfo=UTC)),
    ]
    assert await centre.house.blobs.length(found["id"]) is None


async def test_rows_that_are_wrong_are_in_a_report_behind_a_signed_url(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    text = rows(
        "ana@acme.example,Training,2026-03-01 09:00,2026-03-01 10:00,good",
        "bob@acme.example,Training,2026-03-01 09:00,2026-03-01 10:00,",
        "ana@acme.example,Party,2026-03-01 09:00,2026-03-01 10:00,",
        "ana@acme.example,Training,01.03.2026,2026-03-01 10:00,",
        "ana@acme.example,Training,2026-03-02 09:00,2026-02-30 10:00,",
        "ana@acme.example,Training,2026-03-29 01:30,2026-03-29 10:00,",
        "ana@acme.example,Training,2026-03-02 09:00,2026-03-02 09:00,",
        "ana@acme.example,Training,2026-03-01 09:30,2026-03-01 10:30,",
        "ana@acme.example,Vacation,2026-03-05 09:30,2026-03-05 10:30,",
        "ana@acme.example,Training",
        f"ana@acme.example,Training,2026-03-06 09:00,2026-03-06 10:00,{'x' * 2001}",
    )
    found = await imported(centre, text)
    assert (found["status"], found["imported"], found["refused"]) == ("IMPORTED_WITH_ERRORS", 1, 10)
    assert found["error_report_expires_at"] == "2026-01-05T10:00:00Z"
    lines = await report(centre, found)
    assert lines[0] == ["row", "code", "description", *HEADER.split(",")]
    assert [(line[0], line[1]) for line in lines[1:]] == [
        ("3", "AGENT_UNKNOWN"), ("4", "EVENT_TYPE_UNKNOWN"), ("5", "START_INVALID"), ("6", "END_INVALID"),
        ("7", "START_INVALID"), ("8", "SPAN_INVALID"), ("9", "OVERLAP"), ("10", "BALANCE_TOO_LOW"), ("11", "FIELDS"),
        ("12", "DESCRIPTION_TOO_LONG"),
    ]  # fmt: skip
    assert "set forward" in lines[5][2]
    assert lines[1][3:] == ["bob@acme.example", "Training", "2026-03-01 09:00", "2026-03-01 10:00", ""]
    assert await centre.rows(ERRORS) == []
    async with centre.http() as http:
        url = found["error_report_url"]
        assert (await http.get(url.replace("signature=", "signature=x"))).status_code == 403
        centre.world.advance(3601)
        assert (await http.get(url)).status_code == 403
    centre.world.advance(31 * 86400)
    await centre.settle()
    async with await centre.signed_in(SCOPE) as ours:
        assert (await ours.get(f"{IMPORTS}/{found['id']}")).json()["error_report_url"] is None
    assert await centre.house.blobs.length(imports.report_of(found["id"])) is None


@pytest.mark.parametrize(
    "content, row, why",
    [
        (b"", "1", "empty"),
        (b"PK\x03\x04", "1", "workbook"),
        (HEADER.encode(), "2", "no rows"),
        (b"agent_email,event_type_name,start_at\na,b,c\n", "1", "end_at is missing"),
        (rows().encode() + b"\xff,,,,\n", "3", "UTF-8"),
    ],
)
async def test_a_file_that_cannot_be_read_imports_nothing(centre: Centre, content: bytes, row: str, why: str) -> None:
    await centre.user()
    await types(centre)
    found = await imported(centre, content)
    assert (found["status"], found["imported"]) == ("ERROR", 0)
    [_, line] = await report(centre, found)
    assert (line[0], line[1]) == (row, "FILE_UNREADABLE")
    assert why in line[2]
    assert await centre.rows(ALL) == []


async def test_a_file_may_come_in_json(centre: Centre) -> None:
    await centre.user()
    await types(centre)
    content = base64.b64encode(rows().encode()).decode()
    async with await centre.signed_in(SCOPE) as http:
        good: dict[str, Any] = {
            "csv_file": content,
            "file_name": "a.csv",
            "time_zone": "UTC",
            "date_format": "YYYY-MM-DD",
        }
        first, second = [await http.post(IMPORTS, json=good) for _ in range(2)]
        assert first.json()["id"] == second.json()["id"]  # the same file, just being imported
        await centre.settle()
        assert (await http.get(f"{IMPORTS}/{first.json()['id']}")).json()["status"] == "IMPORTED"
        bad: list[tuple[dict[str, Any], str]] = [
            ({"csv_file": "a,b"}, "csv_file"), ({"csv_file": None}, "csv_file"), ({"time_zone": "Mars"}, "time_zone"),
            ({"time_zone": "localtime"}, "time_zone"), ({"time_zone": "../../etc/passwd"}, "time_zone"),
            ({"date_format": "YY"}, "date_format"),
            ({"file_name": "a\0"}, "file_name"), ({"file_name": "a" * 256}, "file_name"),
        ]  # fmt: skip
        for wrong, named in bad:
            answer = await http.post(IMPORTS, json=good | wrong)
            assert answer.status_code == 400, answer.text
            assert answer.json()["fields"][0]["name"] == named
        text = await http.post(IMPORTS, content=b"a", headers={"content-type": "text/csv"})
        assert text.status_code == 415
        large = await http.post(IMPORTS, json=good | {"csv_file": "A" * 1_100_000})
        assert large.status_code == 413
        missing = await http.post(IMPORTS, files={"time_zone": (None, "UTC")})
        assert (missing.status_code, missing.json()["fields"][0]["name"]) == (400, "csv_file")
        bad_zone = await http.post(IMPORTS, files=form(rows(), time_zone="Mars"))
        assert bad_zone.status_code == 400
    assert len(await centre.rows(IMPORTED)) == 1


async def test_a_large_file_is_refused(opened: OpenHouse) -> None:
    centre = await opened(upload_limit=1000)
    await types(centre)
    async with await centre.signed_in(SCOPE) as http:
        answer = await http.post(IMPORTS, files=form(b"x" * 1001))
    assert answer.status_code == 413
    assert await centre.rows(IMPORTED) == []


async def test_rows_of_one_transaction_see_each_other(centre: Centre) -> None:
    await centre.user()
    await centre.user("bob@acme.example")
    await types(centre)
    async with await centre.signed_in(SCOPE) as http:
        await http.put(BALANCES, json=given_hours(5))
        await http.post(OFFS, json=off("2026-03-01T06:00:00Z", "2026-03-01T08:00:00Z"))
    text = rows(
        "ana@acme.example,Training,2026-03-01 08:00,2026-03-01 09:00,touches what is there",
        "ana@acme.example,Training,2026-03-01 07:30,2026-03-01 08:00,overlaps with what is there",
        "ana@acme.example,Training,2026-03-01 08:30,2026-03-01 09:30,overlaps with the first row",
        "bob@acme.example,Training,2026-03-01 08:30,2026-03-01 09:30,somebody else",
        "ana@acme.example,Training,2026-03-01 08:00,2026-03-01 09:00,the first row again",
        "ana@acme.example,Vacation,2026-03-02 08:00,2026-03-02 12:00,four of five hours",
        "ana@acme.example,Vacation,2026-03-03 08:00,2026-03-03 10:00,two of one",
        "ana@acme.example,Vacation,2026-03-04 08:00,2026-03-04 09:00,one of one",
        "bob@acme.example,Vacation,2026-03-04 08:00,2026-03-04 09:00,one of none",
    )
    found = await imported(centre, text, time_zone="UTC")
    assert (found["imported"], found["refused"]) == (5, 4)
    refused = [(line[0], line[1], line[2]) for line in (await report(centre, found))[1:]]
    assert [(row, code) for row, code, _ in refused] == [
        ("3", "OVERLAP"), ("4", "OVERLAP"), ("8", "BALANCE_TOO_LOW"), ("10", "BALANCE_TOO_LOW")
    ]  # fmt: skip
    assert "1 hours left, and 2 more" in refused[2][2]
    kept = await centre.rows(ALL)
    assert sorted(row["description"] or "" for row in kept) == [
        "", "four of five hours", "one of one", "somebody else", "touches what is there"
    ]  # fmt: skip
    assert await left(centre) == 0
    assert sum(row["drawn"] for row in kept) == 5 * 3600
    async with await centre.signed_in(SCOPE) as http:
        for row in kept:
            assert (await http.delete(f"{OFFS}/{row['id']}")).status_code == 204
    assert await left(centre) == 5


async def test_rows_that_fit_are_written_in_few_statements(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    await centre.user()
    await types(centre)
    asked = [0]
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        known = await balances.known(ctx, ["ana@acme.example"])
        moments = [datetime(2026, 3, 1 + n // 24, n % 24, tzinfo=UTC) for n in range(imports.SLICE)]
        wishes = [domain.wish(known, email="ana@acme.example", type_name="Training", start=at,
                              end=at + timedelta(hours=1)) for at in moments]  # fmt: skip
        kind = type(tx)
        for name in ("all", "one", "run", "many", "each"):
            whole = getattr(kind, name)

            async def counted(*given: Any, whole: Any = whole, **named: Any) -> Any:
                asked[0] += 1
                return await whole(*given, **named)

            monkeypatch.setattr(kind, name, counted)
        assert await domain.add_many(ctx, wishes) == [None] * imports.SLICE
    assert asked[0] < 10
    assert len(await centre.rows(ALL)) == imports.SLICE


class Killed(BaseException):
    """What a process feels when it is killed."""


async def test_an_import_goes_on_where_it_was_killed(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    await centre.user()
    await types(centre)
    lines = [f"ana@acme.example,Training,2026-03-{1 + n // 20:02} {n % 20:02}:00,2026-03-{1 + n // 20:02} "
             f"{n % 20:02}:30,{n}" for n in range(300)]  # fmt: skip
    lines[150] = "bob" + lines[150]
    async with await centre.signed_in(SCOPE) as http:
        id = (await http.post(IMPORTS, files=form(rows(*lines)))).json()["id"]
    ctx = centre.house.ctx(None, await centre.account(), "test")
    whole, count = imports._refuse, [0]
    monkeypatch.setattr(imports, "_others", lambda: dies(count))
    for _ in range(20):
        count[0] = 2
        try:
            await imports.work(ctx, id)
        except Killed:
            continue
        break
    assert whole is imports._refuse
    [row] = await centre.rows(IMPORTED)
    assert (row["status"], row["done"], row["imported"], row["refused"]) == ("IMPORTED_WITH_ERRORS", 300, 299, 1)
    assert [row["description"] for row in await centre.rows(ALL)] == [str(n) for n in range(300) if n != 150]
    created = [row for row in await centre.rows(EVENTS) if row["type"] == "time_off.created"]
    assert len(created) == 299


async def dies(left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise Killed
    await asyncio.sleep(0)


@pytest.mark.process
@pytest.mark.slow
def test_a_server_that_is_killed_in_an_import_finishes_it_and_imports_no_row_twice(tmp_path: Path) -> None:
    day = datetime(2027, 1, 1, tzinfo=UTC)
    agents = ("bruno", "carla", "duarte", "elsa")
    lines = []
    for n in range(4000):
        at = day + timedelta(hours=n // 4)
        lines.append(f"{agents[n % 4]}@acme.example,Training,{at:%Y-%m-%d %H:%M},{at:%Y-%m-%d %H}:30,{n}")
    with serving(tmp_path, "--demo", rate_limit=0) as server:
        headers = signed(server)
        sent = httpx.post(f"{server.base}{IMPORTS}", files=form(rows(*lines), time_zone="UTC"), headers=headers)
        assert sent.status_code == 202, sent.text
        id = sent.json()["id"]
        while not (found := follow(server, id, headers))["processed"]:
            pass
        assert found["status"] == "PROCESSING"
        server.kill()
    server = start(tmp_path, "--demo", rate_limit=0)
    try:
        headers = signed(server)
        for _ in range(600):
            found = follow(server, id, headers)
            if found["status"] != "PROCESSING":
                break
            time.sleep(0.1)
        assert (found["status"], found["imported"], found["refused"]) == ("IMPORTED", 4000, 0), found
        listed = server.ringfence("time-off", "list", "--from", "2027-01-01", "--to", "2027-12-31", "--json")
        assert listed.count('"description"') == 4000
    finally:
        server.process.terminate()
        server.process.wait(10)


def signed(server: Any) -> dict[str, str]:
    full = server.client("full")
    answer = httpx.post(f"{server.base}/oauth/token", data={"grant_type": "client_credentials"},
                        auth=(full["client_id"], full["client_secret"]))  # fmt: skip
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def follow(server: Any, id: str, headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.base}{IMPORTS}/{id}", headers=headers).json()
    return found


# what anybody may send

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELL = st.one_of(
    st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\n"), max_size=12),
    st.sampled_from(["ana@acme.example", "Training", "Vacation", "2026-03-01 09:00", "2026-03-01", "2026-02-30", "=1"]),
)
PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers()
ANY = st.recursive(
    PLAIN | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@SLOW
@given(st.lists(st.lists(CELL, min_size=1, max_size=6), min_size=1, max_size=8))
async def test_any_rows_end_in_a_count(centre: Centre, lines: list[list[str]]) -> None:
    await centre.account()
    try:
        await centre.user()
        await types(centre)
    except Exception:  # noqa: S110 - they are there from the example before
        pass
    out = io.StringIO()
    csv.writer(out).writerows([HEADER.split(","), *lines])
    found = await imported(centre, out.getvalue())
    assert found["status"] != "PROCESSING"
    if found["rows"]:
        assert found["processed"] == found["rows"]


@SLOW
@given(st.dictionaries(st.sampled_from(["agent_email", "event_type_name", "start_at", "end_at", "description"]), ANY))
async def test_any_body_gets_an_answer(centre: Centre, body: dict[str, Any]) -> None:
    async with await centre.signed_in(SCOPE) as http:
        for sent in (body, off() | body):
            assert (await http.post(OFFS, json=sent)).status_code in (400, 404)
            assert (await http.patch(f"{OFFS}/{'0' * 24}", json=sent)).status_code in (400, 404)
        balances = {"time_off_balances": [body, given_hours(1)["time_off_balances"][0] | body]}
        assert (await http.put(BALANCES, json=balances)).status_code in (400, 404)


@SLOW
@given(st.binary(max_size=300), st.sampled_from(["b", "--", 'x"y', "é"]))
async def test_any_form_gets_an_answer(centre: Centre, content: bytes, boundary: str) -> None:
    await centre.account()
    async with await centre.signed_in(SCOPE) as http:
        for sent in (content, b"--b\r\n" + content, b'--b\r\ncontent-disposition: form-data; name="csv_file"\r\n\r\n'
                     + content):  # fmt: skip
            headers = {b"content-type": f"multipart/form-data; boundary={boundary}".encode("latin-1")}
            answer = await http.post(IMPORTS, content=sent, headers=headers)
            assert answer.status_code in (202, 400), answer.text


@SLOW
@given(st.binary(max_size=200), st.integers(1, 40), st.binary(max_size=60))
async def test_a_form_is_the_same_in_pieces_of_any_size(content: bytes, size: int, preamble: bytes) -> None:
    mark = b"zz-boundary"
    if mark in content or mark in preamble:
        return
    whole = preamble + b"\r\n--" + mark + b'\r\nContent-Disposition: form-data; name="a"; filename="f.csv"\r\n\r\n'
    whole += content + b"\r\n--" + mark + b'\r\nContent-Disposition: form-data; name="b"\r\n\r\n\r\n--' + mark + b"--"

    async def chunks() -> Any:
        for at in range(0, len(whole), size):
            yield whole[at : at + size]

    got = Form(f"multipart/form-data; boundary={mark.decode()}", chunks())
    first = await got.next()
    assert first is not None
    assert (first.name, first.filename) == ("a", "f.csv")
    assert b"".join([piece async for piece in got.pieces()]) == content
    second = await got.next()
    assert second is not None
    assert await got.text("b", 10) == ""
    assert await got.next() is None


@given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)), st.booleans(), st.sampled_from(local_times.FORMATS))
def test_a_local_time_is_a_moment_of_that_zone_or_does_not_exist(local: datetime, end: bool, format: str) -> None:
    local = local.replace(microsecond=0)
    words = {"YYYY": f"{local:%Y}", "MM": f"{local:%m}", "DD": f"{local:%d}"}
    text = format
    for word, value in words.items():
        text = text.replace(word, value)
    try:
        found = local_times.moment(f"{text} {local:%H:%M:%S}", format, LISBON, end=end)
    except local_times.BadTime:
        there_and_back = local.replace(tzinfo=LISBON).astimezone(UTC).astimezone(LISBON).replace(tzinfo=None)
        assert there_and_back != local
        return
    assert found.astimezone(LISBON).replace(tzinfo=None, fold=0) == local


def test_a_time_that_comes_twice_covers_both() -> None:
    first = local_times.moment("2026-10-25 01:30", "YYYY-MM-DD", LISBON, end=False)
    second = local_times.moment("2026-10-25 01:30", "YYYY-MM-DD", LISBON, end=True)
    assert second - first == timedelta(hours=1)
    day = [local_times.moment("2026-10-25", "YYYY-MM-DD", LISBON, end=end) for end in (False, True)]
    assert day[1] - day[0] == timedelta(hours=25)


@given(st.text(max_size=30))
def test_any_date_format_is_known_or_refused(text: str) -> None:
    try:
        found = local_times.format_of(text)
    except Fault as why:
        found = why.detail.fields[0].name
    assert found in (*local_times.FORMATS, "date_format")


# the demo


async def test_the_past_of_the_demo_has_time_off_and_who_has_it_takes_no_calls(centre: Centre) -> None:
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    now = centre.world.time()
    script = traffic.Script(150, "demo")
    await traffic.backfill(centre.house, account, since=now - 10 * 86400, until=now, script=script)
    await centre.settle()
    offs = [row for row in await centre.rows(ALL) if row["start_at"].timestamp() < now]
    told_ = [row for row in await centre.rows(EVENTS) if row["type"] in ("time_off.began", "time_off.ended")]
    begun = {row["key"]: row for row in told_ if row["type"] == "time_off.began"}
    assert len(offs) > 3
    assert set(begun) == {row["id"] for row in offs}
    assert {row["origin"] for row in told_} == {BACKFILL}
    reported = {(row["user_id"], row["status"]) for row in await centre.rows(REPORTED)}
    rung = [(event["data"]["user_id"], event["at"]) for event in await centre.rows(RUNG)]
    for row in offs:
        assert begun[row["id"]]["at"] == row["start_at"]
        assert not [at for user, at in rung if user == row["user_id"] and row["start_at"] <= at < row["end_at"]]
    over = [row for row in offs if row["end_at"].timestamp() < now - 3600]
    assert {row["next_at"] for row in over} == {None}
    assert {(row["user_id"], time_off.status_of(row["type_key"])) for row in over} <= reported


async def test_the_demo_gives_agents_time_off_that_is_declared_by_now_once(centre: Centre) -> None:
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    made = await absences.give(centre.house, account, "demo")
    offs = await centre.rows(ALL)
    assert made == len(offs) > 0
    assert await absences.give(centre.house, account, "demo") == 0
    illness = [row for row in offs if row["type_key"] == "sick leave"]
    assert all(row["start_at"] < centre.world.now() + timedelta(hours=2) for row in illness)  # nobody knows before
    async with await centre.signed_in(SCOPE, account="acme") as http:
        assert (await http.post(OFFS, json=api.NewTimeOff.example)).status_code == 201


@pytest.mark.process
def test_the_examples_of_the_reference_work_in_the_demo(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server, httpx.Client(base_url=server.base, headers=signed(server)) as http:
        made = http.post(OFFS, json=api.NewTimeOff.example)
        assert made.status_code == 201, made.text
        moved = http.patch(f"{OFFS}/{made.json()['id']}", json=api.Move.example)
        assert moved.status_code == 200, moved.text
        assert http.put(BALANCES, json=api.NewBalances.example).status_code == 200


# declared, and from the command line

CENTRE = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "owner@acme.example"

[[accounts.users]]
name = "Ana Sol"
email = "ana@acme.example"

[[accounts.time_off_types]]
name = "Vacation"
draws_balance = true

[[accounts.time_off_balances]]
agent_email = "ANA@acme.example"
event_type_name = "vacation"
balance = 40
"""


async def test_types_and_balances_are_declared_and_not_filled_up_again(centre: Centre) -> None:
    from ringfence.sandbox import centre as applying
    from ringfence.sandbox import declaration

    [wanted] = declaration.read(CENTRE, centre.house.scopes).accounts
    await applying.apply(centre.house, await applying.plan(centre.house, wanted, applying.Given()), "test", "test")
    async with await centre.signed_in(SCOPE) as http:
        assert (await http.post(OFFS, json=off(event_type_name="Vacation"))).status_code == 201
    assert await left(centre) == 38
    assert (await applying.plan(centre.house, wanted, applying.Given())).changes == []
    [changed] = declaration.read(CENTRE.replace("draws_balance = true", ""), centre.house.scopes).accounts
    plan = await applying.plan(centre.house, changed, applying.Given())
    assert [(one.sign, one.what) for one in plan.changes] == [("~", "time off type Vacation")]


@pytest.mark.parametrize(
    "old, new, told_",
    [
        ('"ANA@acme.example"', '"bob@acme.example"', "time_off_balances[0].agent_email"),
        ('"vacation"', '"Party"', "time_off_balances[0].event_type_name"),
        ("balance = 40", "balance = -1", "time_off_balances[0].balance"),
        ("draws_balance = true", 'draws_balance = "yes"', "time_off_types[0].draws_balance"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_named(old: str, new: str, told_: str) -> None:
    from ringfence.sandbox import declaration

    with pytest.raises(declaration.BadDeclaration) as caught:
        declaration.read(CENTRE.replace(old, new), [])
    assert told_ in caught.value.complaints[0]


@pytest.mark.process
def test_the_command_line_gives_takes_and_imports(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        id = server.ringfence("time-off", "add", "bruno@acme.example", "Vacation", "2027-08-03", "2027-08-04").strip()
        assert '"balance": 128.0' in server.ringfence("time-off", "balances", "--json")
        assert id in server.ringfence("time-off", "list", "--from", "2027-08-01", "--to", "2027-08-31", "--json")
        server.ringfence("time-off", "remove", id)
        assert '"balance": 128.0' not in server.ringfence("time-off", "balances", "--json")
        file = tmp_path / "a.csv"
        file.write_text(rows("bruno@acme.example,Training,03/08/2027,03/08/2027,", "x,y,z,,"))
        told_ = server.ringfence("time-off", "import", str(file), "--format", "DD/MM/YYYY", code=1)
        assert "IMPORTED_WITH_ERRORS: 1 of 2 rows taken, 1 refused" in told_
        assert "AGENT_UNKNOWN" in told_
        file.write_text(rows("bruno@acme.example,Training,03/08/2027,03/08/2027,"))
        assert "IMPORTED: 1 of 1" in server.ringfence("time-off", "import", str(file), "--format", "DD/MM/YYYY")
        server.ringfence("time-off", "add", "bruno@acme.example", "Training", "03/08/2027", "2027-08-04", code=1)
        server.ringfence("time-off", "import", str(file), "--zone", "Mars", code=1)
        server.ringfence("biometrics", "show", "0" * 24, code=1)
        assert "no voice print" in server.ringfence("biometrics", "proof", "0" * 24)
