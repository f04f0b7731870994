"""The floor as it is kept: told through the inbox, written down, gone on with by another process."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, select, update

from ringfence.floor import directory, flows, forgetting, inbox, roster, signals
from ringfence.floor.carrier import Habits, Simulated
from ringfence.floor.keeper import KEEPER, Displaced, Keeper
from ringfence.store.db import DatabaseUnavailable
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.floor import callbacks, desks, floor_inbox, flow_versions, interactions, recordings
from ringfence.store.tables.floor import flows as flow_table
from ringfence.store.tables.identity import platform_facts
from ringfence.store.tables.lists import do_not_call_entries
from ringfence.store.tables.log import events
from ringfence.store.work import enqueue

from .conftest import Centre
from .test_centre import FLOW, LINE

ALL = Statement(select(interactions).order_by(interactions.c.id), everywhere=True)
DESKS = Statement(select(desks), everywhere=True)
RECORDINGS = Statement(select(recordings), everywhere=True)
THEIRS = Statement(
    update(interactions).where(interactions.c.id == bindparam("call")).values(contact_id=bindparam("who")),
    everywhere=True,
)
TOLD = Statement(select(events).where(events.c.origin == "floor").order_by(events.c.n), everywhere=True)
WAITING = Statement(select(floor_inbox), everywhere=True)
STEADY = Habits(answers=1, rejects=0, unreachable=0, gives_up=0, silent=0, strays=0, holds=0, consults=0, transfers=0,
                reached=1, busy=0, patience=5000)  # fmt: skip
ADD_FLOW, ADD_VERSION = adding(flow_table, everywhere=True), adding(flow_versions, everywhere=True)


async def staffed(centre: Centre, *, agents: int = 1) -> list[str]:
    """A centre with a line, a flow and people who are available; their ids."""
    account, now = await centre.account(), centre.world.now()
    people = [await centre.user(f"agent{n}@acme.example") for n in range(agents)]
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, account, "test")
        for name in ("sales", "support"):
            await directory.set_ring_group(ctx, name=name, short_abandoned_threshold=10, wait_time_threshold=20)
        for user in people:
            await directory.set_membership(ctx, user=user, ring_groups=["sales", "support"])
        document = flows.read({"steps": {**builtins(FLOW)["steps"]}})
        await tx.run(ADD_VERSION, account_id=account, id="v1", flow_id="f1", number=1, document=builtins(document),
                     published_at=now, published_by="test")  # fmt: skip
        await tx.run(ADD_FLOW, account_id=account, id="f1", name="main", draft=builtins(document), draft_number=1,
                     published_id="v1", created_at=now, updated_at=now)  # fmt: skip
        await directory.set_number(ctx, number=LINE, label="Main", flow="f1")
        for user in people:
            await inbox.tell(ctx, inbox.SetStatus(user=user, status="available"))
    return people


def builtins(document: Any) -> Any:
    return msgspec.to_builtins(document)


async def tell(centre: Centre, *commands: inbox.AnyCommand) -> None:
    async with centre.house.db.writing() as tx:
        for command in commands:
            await inbox.tell(centre.house.ctx(tx, await centre.account(), "test"), command)


def keeper(centre: Centre) -> Keeper:
    return Keeper(centre.house, Simulated("test", STEADY))


async def pass_time(centre: Centre, kept: Keeper, seconds: int, step: int = 5) -> None:
    for _ in range(0, seconds, step):
        centre.world.advance(step)
        await kept.settle()


async def told(centre: Centre, type: str = "") -> list[dict[str, Any]]:
    return [row["data"] for row in await centre.rows(TOLD) if type in ("", row["type"])]


async def test_a_call_comes_in_is_answered_and_leaves_a_recording(centre: Centre) -> None:
    [agent] = await staffed(centre)
    kept = keeper(centre)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))  # presses no key
    await kept.settle()
    assert await centre.rows(WAITING) == []
    [row] = await centre.rows(ALL)
    assert (row["state"], row["direction"], row["company_number"]) == ("flow", "IN", LINE)
    await pass_time(centre, kept, 2400)
    [row] = await centre.rows(ALL)
    assert row["state"] == "ended"
    [ended] = await told(centre, "call.ended")
    assert ended["total_time"] == round((row["ended_at"] - row["started_at"]).total_seconds())
    assert ended["type"] == "Answered"
    [recording] = await centre.rows(RECORDINGS)
    assert (recording["type"], recording["call_id"]) == ("conversation", row["id"])
    assert recording["channels"]["channel_2"] == [{"participant_type": "AGENT", "participant_id": agent}]
    [desk] = await centre.rows(DESKS)
    assert (desk["user_id"], desk["status"]) == (agent, "available")


async def test_another_process_goes_on_where_one_was_killed(centre: Centre) -> None:
    await staffed(centre, agents=3)
    calls = [inbox.Incoming(company_number=LINE, contact_number=f"+3519100000{n:02}") for n in range(20)]
    kept = keeper(centre)
    await tell(centre, *calls)
    for _ in range(60):
        await kept.settle()
        kept = keeper(centre)  # what the one before held in memory is gone
        centre.world.advance(45)
    await pass_time(centre, kept, 20_000, 200)
    rows = await centre.rows(ALL)
    assert {row["state"] for row in rows} == {"ended"}
    inbound = [row for row in rows if row["direction"] == "IN"]
    assert len(inbound) == 20
    assert len(await told(centre, "call.ended")) == len(rows)
    assert len(await told(centre, "flow.finished")) == 20


async def test_a_keeper_that_was_displaced_writes_nothing_more(centre: Centre) -> None:
    await staffed(centre)
    first, second = keeper(centre), keeper(centre)
    await first.settle()
    await second.settle()
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910000001"))
    with pytest.raises(Displaced):
        await first.turn()
    assert await centre.rows(ALL) == []
    await second.settle()
    assert len(await centre.rows(ALL)) == 1
    facts = await centre.rows(Statement(select(platform_facts), everywhere=True))
    assert [row["value"] for row in facts if row["name"] == KEEPER] == [second.me]


async def test_a_command_that_cannot_be_done_holds_nobody_up(centre: Centre) -> None:
    await staffed(centre)
    kept = keeper(centre)
    await kept.settle()
    broken = inbox.StartInteraction(call="c", execution="e", flow="f", version="no such", company_number=LINE,
                                    contact_number="")  # fmt: skip
    await tell(centre, broken, inbox.Incoming(company_number=LINE, contact_number="+351910000001"))
    for _ in range(4):
        try:
            await kept.turn()
        except KeyError:
            kept.forget()
    assert await centre.rows(WAITING) == []
    assert len(await centre.rows(ALL)) == 1


async def test_a_database_that_is_away_for_a_moment_loses_no_command(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    [agent] = await staffed(centre)
    kept = keeper(centre)
    good = roster.load

    async def away(*given: Any) -> Any:
        raise DatabaseUnavailable("gone for a moment")

    monkeypatch.setattr(roster, "load", away)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await kept.turn()
        kept.forget()  # as its loop does
    assert len(await centre.rows(WAITING)) == 1
    monkeypatch.setattr(roster, "load", good)
    await kept.settle()
    [desk] = await centre.rows(DESKS)
    assert (desk["user_id"], desk["status"]) == (agent, "available")
    await tell(centre, inbox.SetStatus(user=agent, status="busy"))  # comes of calls, and is not chosen
    await kept.settle()
    [desk] = await centre.rows(DESKS)
    assert (desk["status"], await centre.rows(WAITING)) == ("available", [])


async def test_an_agent_files_a_conversation_before_the_time_is_over(centre: Centre) -> None:
    [agent] = await staffed(centre)
    kept = keeper(centre)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number="+351910009904"))
    await kept.settle()
    for _ in range(2000):
        centre.world.advance(1)
        await kept.settle()
        [desk] = await centre.rows(DESKS)
        if desk["status"] == "after_call_work":
            break
    done = inbox.WrappedUp(user=agent, disposition="Sale", notes="Two of them.")
    await tell(centre, done, done)
    await kept.settle()
    [filed] = await told(centre, "call.disposed")
    assert (filed["disposition"], filed["notes"], filed["user_id"]) == ("Sale", "Two of them.", agent)
    [desk] = await centre.rows(DESKS)
    assert desk["status"] == "available"


async def test_a_call_that_cannot_be_gone_on_with_is_given_up_alone(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    [agent] = await staffed(centre)
    kept = keeper(centre)
    await tell(centre, *(inbox.Incoming(company_number=LINE, contact_number=f"+3519100{n}9904") for n in (1, 2)))
    await kept.settle()
    await pass_time(centre, kept, 60)
    rows = await centre.rows(ALL)
    broken = next(row["id"] for row in rows if row["state"] == "connected")
    good = signals.RECEIVE["hung_up"]

    def fails(on: Any, it: Any, signal: Any, at: float) -> None:
        if it.call.id == broken:
            raise RuntimeError("a mistake of ours")
        good(on, it, signal, at)

    monkeypatch.setitem(signals.RECEIVE, "hung_up", fails)
    for _ in range(300):
        centre.world.advance(20)
        try:
            await kept.settle()
        except RuntimeError:
            kept.forget()  # as its loop does
    assert {row["state"] for row in await centre.rows(ALL)} == {"ended"}
    assert len(await told(centre, "call.ended")) == 2
    [desk] = await centre.rows(DESKS)
    assert (desk["user_id"], desk["status"], desk["doc"].get("call")) == (agent, "away", None)


async def call_back(centre: Centre, **more: Any) -> Any:
    body = {"talkdesk_phone_number": LINE, "contact_phone_number": "+351910000001"} | more
    async with await centre.signed_in("callback:write") as http:
        return await http.post("/calls/callback", json=body)


async def test_a_callback_is_queued_dialled_connected_and_completed(centre: Centre) -> None:
    [agent] = await staffed(centre)
    kept = keeper(centre)
    await kept.settle()
    fields = [{"name": "o", "display_name": "Order", "tooltip_text": "", "data_type": "text", "value": "4711"}]
    answer = await call_back(centre, context={"fields": fields}, priority=9)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["status"] == "queued"
    assert made["ring_groups"] == ["sales"]  # whom the number's flow asks first
    await pass_time(centre, kept, 3000)
    async with await centre.signed_in("callback:write") as http:
        found = (await http.get(f"/calls/callback/{made['id']}")).json()
    assert found["status"] == "completed"
    assert found["context"] == {"fields": fields}
    [attempt] = found["attempts"]
    assert (attempt["user_id"], attempt["result"]) == (agent, "connected")
    states = [one["state"] for one in await told(centre, "callback.changed")]
    assert states == ["queued", "reserved", "dialling_agent", "dialling_contact", "connected", "completed"]


async def test_bad_callbacks_are_refused(centre: Centre) -> None:
    await staffed(centre)
    for bad, field in (
        ({"contact_phone_number": "910000001"}, "contact_phone_number"),
        ({"talkdesk_phone_number": "+351999999999"}, "talkdesk_phone_number"),
        ({"ring_group": "nobody"}, "ring_group"),
        ({"attributes": {"Klingon": 80}}, "attributes.Klingon"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2036-01-01T00:00:00Z"}, "expires_at"),
        ({"not_before": "2026-01-05T09:00:00"}, "not_before"),
        ({"max_attempts": 0}, "max_attempts"),
    ):
        answer = await call_back(centre, **bad)
        assert answer.status_code == 400, bad
        assert answer.json()["fields"][0]["name"] == field
    assert (await call_back(centre)).status_code == 201
    again = await call_back(centre)
    assert (again.status_code, again.json()["code"]) == (409, "callback_open")


async def test_a_callback_can_be_cancelled_until_it_is_connected(centre: Centre) -> None:
    kept = keeper(centre)
    await staffed(centre)
    first = (await call_back(centre, not_before="2026-01-05T12:00:00Z")).json()
    await kept.settle()
    async with await centre.signed_in("callback:write") as http:
        assert (await http.delete(f"/calls/callback/{first['id']}")).status_code == 202
        await kept.settle()
        over = (await http.get(f"/calls/callback/{first['id']}")).json()
        assert (over["status"], over["reason"]) == ("cancelled", "cancelled")
        late = await http.delete(f"/calls/callback/{first['id']}")
        assert late.status_code == 409
    assert (await call_back(centre)).status_code == 201


async def test_who_must_not_be_called_is_not_called_back(centre: Centre) -> None:
    """Neither when it is asked for, nor when the number is listed while the callback waits."""
    await staffed(centre)
    kept = keeper(centre)
    asked = (await call_back(centre, not_before="2026-01-05T09:10:00Z")).json()
    await kept.settle()
    async with await centre.signed_in("do-not-call-lists:manage") as http:
        made = (await http.post("/do-not-call-lists", json={"name": "No"})).json()["id"]
        path = f"/do-not-call-lists/{made}/entries"
        assert (await http.post(path, json={"phone_number": "+351910000001"})).status_code == 201
    assert await centre.rows(Statement(select(do_not_call_entries), everywhere=True))
    refused = await call_back(centre)
    assert (refused.status_code, refused.json()["code"]) == (403, "do_not_call")
    await pass_time(centre, kept, 1200)
    async with await centre.signed_in("callback:write") as http:
        over = (await http.get(f"/calls/callback/{asked['id']}")).json()
    assert (over["status"], over["reason"]) == ("failed", "do_not_call")


async def test_who_is_erased_is_forgotten_on_the_floor_too(centre: Centre) -> None:
    number = "+351910009904"
    async with await centre.signed_in("contacts:write", "contacts:read") as http:
        phones = [{"number": number, "label": "home"}]
        made = await http.post("/contacts", json={"name": "Ana", "phones": phones})
        assert made.status_code == 201, made.text
        ana = made.json()["contact"]["id"]
    await staffed(centre)
    kept = keeper(centre)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number=number))
    await kept.settle()
    [row] = await centre.rows(ALL)
    assert row["contact_id"] == ana
    await centre.worker.plant()
    async with await centre.signed_in("contacts:write") as http:
        assert (await http.post("/internal-contacts/gdpr", json={"ids": [ana]})).status_code == 202
    await centre.worker.settle()
    [row] = await centre.rows(ALL)
    assert row["contact_number"] == number  # the call goes on
    await pass_time(centre, kept, 3000)
    asked = (await call_back(centre, contact_phone_number=number)).json()
    await pass_time(centre, kept, 3000)
    async with centre.house.db.writing() as tx:  # as if the callback had been asked for before the erasure
        await tx.run(THEIRS, who=ana, call=asked["id"])
    await centre.settle()
    rows = await centre.rows(ALL)
    assert {(one["contact_number"], one["contact_id"]) for one in rows} == {("", None)}
    everything = [await centre.rows(Statement(select(table), everywhere=True))
                  for table in (interactions, callbacks, events, recordings)]  # fmt: skip
    assert number not in str(everything)
    assert all(one["gone_at"] is not None for one in await centre.rows(RECORDINGS))
    assert len(await told(centre, "call.ended")) == 2


async def test_a_call_that_an_agent_still_files_is_forgotten_once_it_is_filed(centre: Centre) -> None:
    number = "+351910009904"
    await staffed(centre)
    kept = keeper(centre)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number=number))
    await kept.settle()
    filing: list[Any] = []
    while not filing:  # until the agent is at the work after the call
        await pass_time(centre, kept, 5)
        filing = [desk["doc"]["filing"] for desk in await centre.rows(DESKS) if desk["doc"].get("filing")]
    [row] = await centre.rows(ALL)
    assert row["state"] == "ended"
    async with centre.house.db.writing() as tx:
        await tx.run(THEIRS, who="a" * 24, call=row["id"])
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await enqueue(ctx, forgetting.FORGET, forgetting.Forgotten(contact="a" * 24))
    await centre.settle()
    [row] = await centre.rows(ALL)
    assert row["contact_number"] == number  # still at hand, for what is to be told of it
    await pass_time(centre, kept, 1200)
    await centre.settle()
    [row] = await centre.rows(ALL)
    assert (row["contact_number"], row["contact_id"]) == ("", None)
    assert number not in str(await centre.rows(Statement(select(events), everywhere=True)))
    assert number not in str(await centre.rows(DESKS))
