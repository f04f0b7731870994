"""What other systems tell: recorded once, checked, forgotten with its person, and what it comes to in the facts."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from ringfence.apis.contacts import domain as contacts
from ringfence.cli import record as read_file
from ringfence.cli.floor import custom_fields
from ringfence.cli.shared import Stop
from ringfence.floor import channel_log, channels, directory, inbox
from ringfence.floor.channels import CONVERSATIONS, DIALER_CALLS, EVALUATIONS, KINDS, MESSAGES, SURVEYS, Kind
from ringfence.floor.events import CustomFields
from ringfence.kernel.problems import Fault
from ringfence.reports import channel_facts
from ringfence.reports import facts as reports
from ringfence.reports.batch import Batch
from ringfence.sandbox import other_channels, traffic
from ringfence.sandbox.centre import EMPTY_CONTACT
from ringfence.sandbox.demo import apply_demo
from ringfence.store.outbox import BACKFILL
from ringfence.store.statement import Statement
from ringfence.store.tables import facts
from ringfence.store.tables.log import events

from .conftest import START, Centre
from .servers import RINGFENCE
from .test_centre import LINE
from .test_keeper import keeper, pass_time, staffed, tell, told

NOW = START.timestamp()
NUMBER = "+351910000001"
NAMES = [kind.what.name for kind in KINDS]
EVENTS = Statement(select(events).order_by(events.c.n), everywhere=True)
TYPES = Statement(
    select(events.c.type, func.count().label("count")).where(events.c.origin == BACKFILL).group_by(events.c.type),
    everywhere=True,
)
TABLES = {table.name: Statement(select(table).order_by(*table.primary_key), everywhere=True) for table in facts.FACTS}


async def record(centre: Centre, kind: Kind, *told: Any, account: str = "acme") -> int:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(account), "test")
        return await channel_log.record(ctx, kind, list(told))


async def recorded(centre: Centre) -> list[dict[str, Any]]:
    return [row for row in await centre.rows(EVENTS) if row["type"] in NAMES]


async def kept(centre: Centre) -> dict[str, list[dict[str, Any]]]:
    """All facts, when nothing is left to do."""
    await centre.settle()
    return {name: await centre.rows(statement) for name, statement in TABLES.items()}


async def anew(centre: Centre) -> dict[str, list[dict[str, Any]]]:
    """All facts, made from the log once more."""
    async with centre.house.db.writing() as tx:
        await reports.begin_anew(tx)
    centre.worker._cursors.clear()
    return await kept(centre)


def shown(kind: Kind) -> dict[str, Any]:
    shape: Any = kind.what.data
    return dict(shape.example)


async def example(centre: Centre, kind: Kind, account: str = "acme", **more: Any) -> dict[str, Any]:
    """One that can be recorded."""
    one = deepcopy(shown(kind)) | more
    for name in {"user_id", "evaluator_id"} & one.keys():
        if one[name] == channels.SOMEBODY:
            one[name] = await centre.user(f"{centre.world.new_id(24)}@acme.example", account)
    return one


async def contact(centre: Centre, number: str = NUMBER) -> str:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        made = EMPTY_CONTACT | {"name": "Alda Abreu", "company": "", "tags": [], "emails": []}
        row = await contacts.create(ctx, facts=made | {"phones": [{"label": "mobile", "number": number}]})
    id: str = row["id"]
    return id


async def erase(centre: Centre, who: str) -> None:
    await centre.worker.plant()
    async with await centre.signed_in("contacts:write") as http:
        assert (await http.post("/internal-contacts/gdpr", json={"ids": [who]})).status_code == 202
    await centre.settle()


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
async def test_what_is_told_twice_is_recorded_once_and_in_its_account_alone(centre: Centre, kind: Kind) -> None:
    centre.world.advance(3600)
    one = await example(centre, kind)
    assert await record(centre, kind, one, one) == 1
    assert await record(centre, kind, one) == 0
    assert await record(centre, kind, one | {"interaction_id": "another"}) == 0  # its id is what it is
    before = await recorded(centre)
    assert [(row["type"], row["data"]["interaction_id"]) for row in before] == [(kind.what.name, one["interaction_id"])]
    assert before[0]["at"].isoformat().replace("+00:00", "Z") == one[kind.at]
    other = await example(centre, kind, "rival")
    assert await record(centre, kind, other, account="rival") == 1
    after = await recorded(centre)
    assert after[: len(before)] == before
    assert [row["account_id"] for row in after] == [await centre.account(), await centre.account("rival")]
    if "user_id" in one:
        with pytest.raises(Fault, match=r"\[0\]\.user_id: there is no person"):
            await record(centre, kind, one | {"id": "x"}, account="rival")


async def test_what_names_nobody_known_is_refused_as_a_whole(centre: Centre) -> None:
    centre.world.advance(3600)
    good = await example(centre, MESSAGES)
    stranger = await centre.user("zoe@rival.example", "rival")
    with pytest.raises(Fault, match=rf"\[1\]\.user_id: there is no person '{stranger}'"):
        await record(centre, MESSAGES, good, good | {"id": "m-2", "user_id": stranger})
    for kind, name in ((CONVERSATIONS, "queues"), (CONVERSATIONS, "handling_queues"), (SURVEYS, "ring_groups")):
        with pytest.raises(Fault, match=rf"\[0\]\.{name}: there is no ring group 'nobody'"):
            await record(centre, kind, await example(centre, kind) | {name: ["nobody"]})
    for kind, name in ((EVALUATIONS, "evaluator_id"), (DIALER_CALLS, "transferred_user_id")):
        with pytest.raises(Fault, match=rf"\[0\]\.{name}: there is no person"):
            await record(centre, kind, await example(centre, kind) | {name: "nobody"})
    assert await recorded(centre) == []


WRONG: list[tuple[Kind, dict[str, Any], str]] = [
    *((kind, {kind.at: "2026-01-05T09:00:00"}, f"{kind.at}: must say its time zone") for kind in KINDS),
    *((kind, {kind.at: "2026-01-05T10:30:00+01:00"}, f"{kind.at}: lies in the future") for kind in KINDS),
    *((kind, {kind.at: "0001-01-01T00:00:00+14:00"}, f"{kind.at}: is not within the years") for kind in KINDS),
    *((kind, {kind.at: "yesterday"}, f"{kind.at}: Invalid RFC3339") for kind in KINDS),
    *((kind, {"id": "a b"}, "id: Expected") for kind in KINDS),
    *((kind, {"id": "a\n"}, "id: Expected") for kind in KINDS),
    *((kind, {"surprise": 1}, "surprise: Object contains unknown field") for kind in KINDS),
    (MESSAGES, {"channel": "PIGEON"}, "channel: Invalid enum value 'PIGEON'"),
    (MESSAGES, {"person_name": "a\0b"}, "person_name: Expected"),
    (CONVERSATIONS, {"started_at": "2026-01-05T08:58:30Z"}, "started_at: is before interaction_started_at"),
    (CONVERSATIONS, {"assigned_at": "2026-01-05T08:30:00Z"}, "assigned_at: is before started_at"),
    (CONVERSATIONS, {"interaction_finished_at": None}, "interaction_finished_at: is given for an interaction"),
    (CONVERSATIONS, {"interaction_status": "OPEN"}, "interaction_finished_at: is given for an interaction"),
    (CONVERSATIONS, {"handle_time": -1}, "handle_time: Expected"),
    (EVALUATIONS, {"max_score": 11}, "max_score: is 11, and what it is made of adds up to 10"),
    (EVALUATIONS, {"sections": []}, "sections: Expected"),
    (EVALUATIONS, {"version": -1}, "version: Expected"),
    (EVALUATIONS, {"first_evaluated_on": "2026-01-05T08:59:59.5Z"}, "at: is before first_evaluated_on"),
    (SURVEYS, {"respondent_phone_number": "1234"}, "respondent_phone_number: Expected"),
    (SURVEYS, {"interaction_id": "a" * 33}, "interaction_id: is no id of a call"),
    (SURVEYS, {"interaction_id": "a" * 61, "about": "conversation"}, "interaction_id: Expected"),
    (EVALUATIONS, {"max_score": 10**9}, "max_score: Expected"),
    (SURVEYS, {"components": [{}]}, r"components\[0\]"),
    (DIALER_CALLS, {"started_at": "2026-01-05T08:59:45Z"}, "finished_at: is before started_at"),
    (DIALER_CALLS, {"attempt_number": 0}, "attempt_number: Expected"),
    (DIALER_CALLS, {"extra_data": {"a": 1}}, "extra_data"),
]


def early(kind: Kind) -> dict[str, Any]:
    """The example of a kind, half a minute before now."""
    one = deepcopy(shown(kind))
    times = {name: START - timedelta(seconds=60 - 10 * number) for number, name in enumerate(kind.times) if name in one}
    if kind is CONVERSATIONS:
        times["interaction_started_at"] = times["started_at"]
    return one | {name: at.isoformat().replace("+00:00", "Z") for name, at in times.items()}


CLOCK: Any = SimpleNamespace(now=lambda: START, account="acme")


@pytest.mark.parametrize("kind, more, why", WRONG)
def test_what_cannot_be_is_refused_by_the_name_of_its_member(kind: Kind, more: dict[str, Any], why: str) -> None:
    channel_log.read_one(CLOCK, kind, early(kind))
    with pytest.raises(Fault, match=why) as refused:
        channel_log.read_one(CLOCK, kind, early(kind) | more)
    assert refused.value.problem.status == 400


def test_scores_add_up_or_are_added_up() -> None:
    one = early(EVALUATIONS)
    made = channel_log.read_one(CLOCK, EVALUATIONS, one)
    assert (made.max_score, made.obtained_score, made.sections[0].max_score) == (10, 10, 10)
    question = one["sections"][0]["questions"][0]
    for more, why in (
        ({"obtained_score": 11}, r"sections\[0\]\.questions\[0\]\.obtained_score: is more than max_score"),
        ({"obtained_score": None}, r"sections\[0\]\.questions\[0\]: has a max_score and an obtained_score"),
    ):
        worse = deepcopy(one)
        worse["sections"][0]["questions"][0] = question | more
        with pytest.raises(Fault, match=why):
            channel_log.read_one(CLOCK, EVALUATIONS, worse)
    one["sections"][0]["obtained_score"] = 9
    with pytest.raises(Fault, match=r"sections\[0\]\.obtained_score: is 9"):
        channel_log.read_one(CLOCK, EVALUATIONS, one)


def test_a_score_is_where_the_question_asks_for_one() -> None:
    for more in ({"score": None}, {"type": "text"}):
        one = early(SURVEYS)
        one["components"][0] |= more
        with pytest.raises(Fault, match=r"components\[0\]\.score: is given where the type is score"):
            channel_log.read_one(CLOCK, SURVEYS, one)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes().map(str)
    | st.sampled_from(["2026-01-05T08:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "\0", "é" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_whatever_is_told_is_refused_with_a_sentence_or_comes_to_facts(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    one: Any = early(kind)
    names = [field.name for field in msgspec.structs.fields(kind.what.data)]
    if data.draw(st.booleans()):
        one[data.draw(st.sampled_from(names))] = data.draw(ODD)
    *path, last = data.draw(st.sampled_from(list(places(one))[1:]))
    inside = one
    for key in path:
        inside = inside[key]
    inside[last] = data.draw(ODD)
    refused: list[Fault] = []
    try:
        read = channel_log.read_one(CLOCK, kind, one)
    except Fault as why:
        refused.append(why)
    if refused:
        assert (refused[0].problem.status, len(refused[0].detail.fields)) == (400, 1)
        return
    nobody = channel_log.Known(frozenset(), frozenset(), {}, {}, frozenset())
    _, what, key, at, payload = channel_log._event(CLOCK, kind, read, nobody)
    assert len(key) <= 200
    for left in (payload, channels.impersonal(kind, payload)):
        channel_facts.PROJECTORS[what.name](Batch(), "acme", {"at": at}, left)
        msgspec.json.encode(left)


async def test_what_is_told_comes_to_facts_and_is_the_same_when_they_are_made_anew(centre: Centre) -> None:
    who = await contact(centre)
    user = await centre.user()
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        for name in ("sales", "support"):
            await directory.set_ring_group(ctx, name=name, short_abandoned_threshold=10, wait_time_threshold=20)
    centre.world.advance(3600)
    groups = ["sales", "support"]
    await record(centre, MESSAGES, await example(centre, MESSAGES, user_id=user, person_id=who))
    await record(centre, CONVERSATIONS, await example(
        centre, CONVERSATIONS, user_id=user, queues=groups, handling_queues=["sales"], notes="n", wrap_up_time=7,
    ))  # fmt: skip
    await record(centre, SURVEYS, await example(centre, SURVEYS, user_id=user, ring_groups=groups))
    await record(centre, SURVEYS, await example(centre, SURVEYS, id="s-2", interaction_id="c-1", about="conversation"))
    await record(centre, DIALER_CALLS, await example(centre, DIALER_CALLS, user_id=user, extra_data={"a": "b"}))
    form = await example(centre, EVALUATIONS)
    await record(centre, EVALUATIONS, form)
    found = await kept(centre)
    [message] = found["fact_messages"]
    assert (message["conversation_id"], message["user_id"], message["person_id"]) == ("c-1", user, who)
    [conversation] = found["fact_conversations"]
    shown = conversation["doc"]
    assert (shown["queues"], shown["handling_queues"], shown["contact_duration"]) == ("sales + support", "sales", 720)
    assert (shown["wrap-up_duration"], shown["is_virtual_agent"], shown["transfer_out"]) == (7, "NO", "No")
    assert shown["contact_person_id"] == who  # found by the number
    first, second = found["fact_answers"]
    assert (first["id"], first["score"], first["doc"]["is_kpi"], first["doc"]["ring_group"]) == (
        "s-1.0", 5, "yes", "sales + support",
    )  # fmt: skip
    assert second["doc"]["interaction_type"] == "conversation"
    [call] = found["fact_calls"]  # a conversation is no call
    assert (call["id"], call["csat_score"], call["ended_at"]) == (first["interaction_id"], 5, None)
    [dialled] = found["fact_dialer_calls"]
    assert (dialled["doc"]["total_duration"], dialled["doc"]["outbound_dialer_record_extra_data"]) == (120, '{"a":"b"}')
    rows = found["fact_evaluations"]
    assert [(row["version"], row["number"], row["max_score"]) for row in rows] == [(0, 0, 10), (0, 1, 10)]
    for name in ("fact_conversations", "fact_answers", "fact_dialer_calls", "fact_evaluations"):
        for row in found[name]:
            assert all(value is None or isinstance(value, str | int) for value in row["doc"].values()), row["doc"]
    assert await anew(centre) == found


async def test_an_edit_takes_the_place_of_an_evaluation_whichever_comes_first(centre: Centre) -> None:
    centre.world.advance(3600)
    form = await example(centre, EVALUATIONS)
    edited = deepcopy(form) | {"version": 2}
    edited["sections"][0]["questions"] = [form["sections"][0]["questions"][0] | {"obtained_score": 5}]
    await record(centre, EVALUATIONS, form, form | {"id": "e-2"})
    await kept(centre)
    assert await record(centre, EVALUATIONS, edited) == 1
    assert await record(centre, EVALUATIONS, edited) == 0
    assert await record(centre, EVALUATIONS, form | {"version": 1}) == 1  # late
    found = await kept(centre)
    rows = [(row["id"], row["version"], row["number"], row["obtained_score"]) for row in found["fact_evaluations"]]
    assert rows == [("e-1", 2, 0, 5), ("e-2", 0, 0, 10), ("e-2", 0, 1, 10)]
    assert await anew(centre) == found


async def test_who_is_erased_is_forgotten_in_what_was_told(centre: Centre) -> None:
    who, other = await contact(centre), await contact(centre, "+351910000002")
    centre.world.advance(3600)
    spoken = {"id": "q", "name": "More", "type": "text", "text": "What else?", "response": "Alda Abreu was here"}

    async def everything(prefix: str, who: str, number: str) -> None:
        theirs = {"person_id": who, "person_name": "Alda Abreu", "interaction_id": f"{prefix}c"}
        for count in range(3):
            await record(centre, MESSAGES, await example(centre, MESSAGES, **theirs | {"id": f"{prefix}{count}"}))
        nameless = {"id": f"{prefix}9", "interaction_id": f"{prefix}c", "person_name": "Alda Abreu"}
        await record(centre, MESSAGES, await example(centre, MESSAGES, **nameless))
        await record(centre, CONVERSATIONS, await example(
            centre, CONVERSATIONS, **theirs | {"id": prefix}, person_channel_identifier=number, notes="Alda Abreu rang",
        ))  # fmt: skip
        survey = await example(centre, SURVEYS, id=prefix, interaction_id=prefix, respondent_phone_number=number)
        survey |= {"components": [*survey["components"], spoken], "comment": "says Alda Abreu"}
        await record(centre, SURVEYS, survey)
        await record(centre, DIALER_CALLS, await example(
            centre, DIALER_CALLS, id=prefix, customer_phone_number=number, description="Alda Abreu",
            extra_data={"name": "Alda Abreu"},
        ))  # fmt: skip

    await everything("a", who, NUMBER)
    await everything("b", other, "+351910000002")
    before = await kept(centre)
    await erase(centre, who)
    found = await kept(centre)
    logged = [row for row in await centre.rows(EVENTS) if row["account_id"] == await centre.account()]
    for text in (NUMBER, f"'{who}'"):
        assert text not in str(found)
        assert text not in str([row for row in logged if not row["type"].startswith("contact.")])
    theirs = {name: [row for row in rows if str(row.get("id", ""))[:1] == "b"] for name, rows in found.items()}
    for name in ("fact_messages", "fact_conversations", "fact_answers", "fact_dialer_calls"):
        ours = [row for row in before[name] if row["id"][:1] == "b"]
        assert theirs[name] == ours
        assert "Alda Abreu" in str(ours) or name == "fact_answers"
        assert "Alda Abreu" not in str([row for row in found[name] if row["id"][:1] == "a"])
        assert len(found[name]) == len(before[name])
    assert {row["id"]: row["score"] for row in found["fact_answers"]}["a.0"] == 5
    assert await anew(centre) == found
    # what comes late is about nobody either
    late = await example(centre, MESSAGES, id="late", person_id=who, person_name="Alda Abreu")
    await record(centre, MESSAGES, late)
    found = await kept(centre)
    [row] = [row for row in found["fact_messages"] if row["id"] == "late"]
    assert (row["person_id"], row["person_name"]) == (None, None)
    assert await anew(centre) == found


async def test_whoever_is_called_like_an_interaction_is_forgotten_and_no_more(centre: Centre) -> None:
    """Ids that cross over end no loop and begin none."""
    who = await contact(centre)
    centre.world.advance(3600)
    await record(centre, MESSAGES, await example(centre, MESSAGES, interaction_id=who, person_id=who))
    await record(centre, EVALUATIONS, await example(centre, EVALUATIONS, interaction_id=who))
    await erase(centre, who)
    [row] = (await kept(centre))["fact_messages"]
    assert row["person_id"] is None


async def test_what_an_agent_files_stays_with_the_call_until_it_is_forgotten(centre: Centre) -> None:
    who = await contact(centre, "+351910009904")
    await staffed(centre)
    floor = keeper(centre)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))
    await floor.settle()
    filed = inbox.WrappedUp(
        user="", disposition="Sale", notes="Ana wants two", rating=2, rating_reason="An echo",
        custom_fields=CustomFields(int_1=3, float_2=0.5, text_4="Ana", timestamp_1=START),
    )  # fmt: skip
    for _ in range(2000):
        centre.world.advance(1)
        await floor.settle()
        if busy := [
            d for one in floor.centres.values() for d in one.floor.desks.values() if d.status.startswith("after")
        ]:
            await tell(centre, msgspec.structs.replace(filed, user=busy[0].user))
            break
    await pass_time(centre, floor, 600)
    [said] = await told(centre, "call.disposed")
    assert said["custom_fields"] == {
        "int_1": 3, "float_2": 0.5, "text_4": "Ana", "timestamp_1": START.isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    [call] = (await kept(centre))["fact_calls"]
    assert (call["rating"], call["rating_reason"], call["notes"]) == (2, "An echo", "Ana wants two")
    assert (call["int_1"], call["float_2"], call["text_4"], call["timestamp_1"]) == (3, 0.5, "Ana", START)
    await record(centre, SURVEYS, await example(centre, SURVEYS, interaction_id=call["id"], respondent_phone_number=""))
    await erase(centre, who)
    found = await kept(centre)
    [call] = found["fact_calls"]
    assert (call["notes"], call["text_4"], call["int_1"], call["rating"], call["csat_score"]) == (None, None, 3, 2, 5)
    assert "Ana wants" not in str(await centre.rows(EVENTS))
    assert {row["data"]["person_id"] for row in await recorded(centre)} == {None}  # it was known by the call
    assert await anew(centre) == found


async def test_history_has_some_of_everything_and_it_is_about_calls_that_were(centre: Centre) -> None:
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    script = traffic.Script(250)
    await traffic.backfill(centre.house, account, since=NOW - 4 * 86400, until=NOW, script=script)
    count = {row["type"]: row["count"] for row in await centre.rows(TYPES)}
    calls, answered = count["call.ended"], count["call.answered"]
    assert 0.1 < count["message.contact_finished"] / calls < 0.3
    assert count["message.exchanged"] > 2 * count["message.contact_finished"]
    assert 0.05 < count["survey.answered"] / answered < 0.25
    assert 0 < count["evaluation.finished"] / answered < 0.08
    assert 0.02 < count["dialer.call_finished"] / calls < 0.1
    found = await kept(centre)
    were = {row["id"]: row for row in found["fact_calls"] if row["ended_at"] is not None}
    assert all(row["interaction_id"] in were for row in (*found["fact_answers"], *found["fact_evaluations"]))
    assert {row["csat_score"] for row in were.values()} >= {None, 4, 5}
    assert any(row["rating"] for row in were.values())
    assert any(row["int_1"] and row["timestamp_1"] for row in were.values())
    assert all(row["at"] <= START for row in await recorded(centre))
    assert len({row["id"] for row in found["fact_messages"]}) == count["message.exchanged"]
    assert await anew(centre) == found


async def test_other_systems_live_beside_the_calls(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    for share in ("TALKS", "SURVEYED", "EVALUATED", "DIALLED"):
        monkeypatch.setattr(other_channels, share, 1.0)
    await contact(centre)
    await staffed(centre)
    floor = keeper(centre)
    living = asyncio.create_task(other_channels.live(centre.house, await centre.account(), "seed", 60.0))
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))
    for turn in range(6000):
        centre.world.advance(10)
        await floor.settle()
        await asyncio.sleep(0.001)
        if turn % 100 == 99 and {row["type"] for row in await recorded(centre)} == set(NAMES):
            break
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    assert {row["type"] for row in await recorded(centre)} == set(NAMES)
    found = await kept(centre)
    assert len(found["fact_dialer_calls"]) == len([row for row in found["fact_calls"] if row["ended_at"]])


@pytest.mark.process
def test_files_are_recorded_from_the_command_line(tmp_path: Path) -> None:
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RINGFENCE_")} | {"COLUMNS": "160"}

    def ringfence(*arguments: str, given: str = "", code: int = 0) -> str:
        command = [str(RINGFENCE), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, input=given
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    (tmp_path / "centre.toml").write_text(
        '[[accounts]]\nname = "acme"\ncompany_name = "Acme"\nemail = "owner@acme.example"\n'
        '[[accounts.users]]\nname = "Ana"\nemail = "ana@acme.example"\nteam = "Support"\n'
    )
    ringfence("apply", "centre.toml", "--yes")
    for what in ("conversations", "evaluations", "surveys", "dialer-calls"):
        one = ringfence("record", what, "--example")
        (tmp_path / "some.ndjson").write_text(one + "\n" + one)
        assert ringfence("record", what, "some.ndjson") == "1 recorded, 1 were known already\n"
    message = json.loads(ringfence("record", "messages", "--example"))
    many = [message | {"id": f"n-{n}"} for n in range(1200)]
    worse = "\n".join(json.dumps(one) for one in [*many, message | {"user_id": "x"}])
    told = ringfence("record", "messages", "-", given=worse, code=1)
    assert "line 1201: user_id: there is no person 'x' in this account. Nothing was recorded." in told
    assert ringfence("record", "messages", "-", given=json.dumps(many)) == "1,200 recorded\n"  # they were not before
    assert "item 2: Expected" in ringfence("record", "messages", "-", given=f"[{json.dumps(message)}, 3]", code=1)
    assert "cannot be read" in ringfence("record", "messages", "missing.json", code=1)
    assert "FILE, or --example" in ringfence("record", "messages", code=2)
    ringfence("agents", "wrap-up", "ana@acme.example", "--rating", "4", "--rating-reason", "clear",
              "--field", "int_1=3", "--field", "timestamp_1=2026-01-05T09:00:00+01:00")  # fmt: skip
    assert "--field int_1=x" in ringfence("agents", "wrap-up", "ana@acme.example", "--field", "int_1=x", code=2)
    ringfence("agents", "wrap-up", "ana@acme.example", "--rating", "6", code=2)


def test_a_file_that_is_no_json_is_refused_by_its_line() -> None:
    assert read_file.parsed(b"\xef\xbb\xbf[1, {}]") == [("item 1", 1), ("item 2", {})]
    assert read_file.parsed(b'{"a": 1}\r\n\n2') == [("line 1", {"a": 1}), ("line 3", 2)]
    assert read_file.parsed(b" ") == read_file.parsed(b"[]") == []
    for text, why in ((b"{", "line 1: this is no JSON"), (b"[1,", "no JSON array"), (b"1\n\xff", "line 2: this"),
                      (b"[" * 100_000, "no JSON array"), (b'{"a":' * 100_000, "line 1: this is no JSON"),
                      (b'"\\ud800"', "line 1: this is no JSON")):  # fmt: skip
        with pytest.raises(Stop, match=why):
            read_file.parsed(text)


def test_custom_fields_are_read_strictly() -> None:
    read = custom_fields(["int_1=3", "float_1=1.5", "text_1=a=b", "timestamp_1=2026-01-05T09:00:00+01:00"])
    assert read == CustomFields(int_1=3, float_1=1.5, text_1="a=b", timestamp_1=START - timedelta(hours=1))
    assert custom_fields([]) is None
    for wrong in ("int_1=x", "int_1", "int_9=1", "text_1=", "text_1=a\0", "text_1=\udcff", "float_1=nan", "=",
                  "timestamp_1=2026-01-05T09:00:00", "timestamp_1=5", f"int_1={2**31}"):  # fmt: skip
        with pytest.raises(typer.BadParameter, match=r"^--field "):
            custom_fields([wrong])
    with pytest.raises(typer.BadParameter, match="each name once"):
        custom_fields(["int_1=1", "int_1=2"])
