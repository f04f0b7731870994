"""Guardian over HTTP: sessions, people, call quality, cases; filters, pages, isolation, and what is made anew."""

import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ringfence.floor import directory
from ringfence.floor.events import EVENTS
from ringfence.guardian import networks, watch
from ringfence.guardian.records import CASE_FIELDS, QUALITY_FIELDS, SESSION_FIELDS
from ringfence.oauth import people
from ringfence.sandbox import centre as declared_centre
from ringfence.sandbox import declaration, misconduct, traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.store.outbox import BACKFILL, emit_many
from ringfence.store.statement import Statement
from ringfence.store.tables import guardian as tables
from ringfence.store.tables.log import events as log

from .conftest import START, Centre, OpenHouse
from .servers import serving
from .test_guardian_rules import event, failure, minutes, status, talk
from .test_oauth import PASSWORD, hidden, web, wish

BY_NAME = {one.name: one for one in (*EVENTS, *people.EVENTS)}
CASES, SESSIONS, USERS = "/guardian/cases", "/guardian/logs/sessions", "/guardian/users"
QUALITY = "/guardian/calls/call-quality"
READ = {
    CASES: "guardian-cases:read", SESSIONS: "guardian-session:read", USERS: "guardian-users:read",
    "/guardian/agents": "guardian-users:read", QUALITY: "guardian-call-quality:read",
}  # fmt: skip
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
DETECTED = Statement(select(log).where(log.c.type == "guardian.case_detected").order_by(log.c.place), everywhere=True)
KEPT = {
    table.name: Statement(select(table).order_by(*table.primary_key.columns), everywhere=True) for table in tables.KEPT
}


async def tell(centre: Centre, told: list[dict[str, Any]], account: str = "acme", origin: str = "test") -> None:
    """Put events into the log as they would come, and let everybody react."""
    id = await centre.account(account)
    async with centre.house.db.writing() as tx:
        for one in told:
            ctx = centre.house.ctx(tx, id, one["actor"], origin)
            await emit_many(ctx, [(BY_NAME[one["type"]], one["key"], one["at"], one["data"])])
    await centre.settle()


async def get(centre: Centre, path: str, account: str = "acme", **query: Any) -> httpx.Response:
    scope = next(scope for at, scope in READ.items() if path.startswith(at))
    async with await centre.signed_in(scope, account=account) as http:
        return await http.get(path, params=query)


async def items(centre: Centre, path: str, account: str = "acme", **query: Any) -> list[dict[str, Any]]:
    answer = await get(centre, path, account, **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["_embedded"]
    return found


async def log_in(centre: Centre, password: str = PASSWORD, client: Any = None) -> httpx.Response:
    client = client or await web(centre)
    async with centre.http(**{"user-agent": FIREFOX}) as browser:
        page = await browser.get("/oauth/authorize", params=wish(client))
        form = hidden(page.text) | {"email": "ana@acme.example", "password": password}
        return await browser.post("/oauth/login", data=form)


# sessions


async def test_a_login_through_the_pages_is_a_session_until_it_is_ended(centre: Centre) -> None:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await networks.set_network(ctx, cidr="127.0.0.0/8", country="PT", latitude=38.72, longitude=-9.14)
    assert (await log_in(centre)).status_code == 303
    await centre.settle()
    [session] = await items(centre, SESSIONS)
    assert session.items() >= {
        "login_timestamp": "2026-01-05T09:00:00Z", "logout_timestamp": None, "country": "PT", "latitude": 38.72,
        "longitude": -9.14, "ip_address": "127.0.0.1", "browser_full": "Firefox 128.0", "os_full": "Linux",
        "sso": False, "support_access": False,
    }.items()  # fmt: skip
    centre.world.advance(60)
    async with await centre.signed_in("user-session-public:end") as http:
        form = {"user_id": session["user_id"]}
        assert (await http.post("/oauth/end_user_session", data=form)).status_code == 204
    await centre.settle()
    [session] = await items(centre, SESSIONS)
    assert session["logout_timestamp"] == "2026-01-05T09:01:00Z"


async def test_a_session_that_nobody_ends_is_over_when_it_expires(centre: Centre) -> None:
    await log_in(centre)
    await centre.settle()
    centre.world.advance(12 * 3600 - 1)
    assert (await items(centre, SESSIONS, filter="logout_timestamp eq null"))[0]["country"] == "unknown"
    centre.world.advance(1)
    assert await items(centre, SESSIONS, filter="logout_timestamp eq null") == []
    [session] = await items(centre, SESSIONS, filter="logout_timestamp le 2026-01-05T21:00:00Z")
    assert session["logout_timestamp"] == "2026-01-05T21:00:00Z"


async def test_a_shift_is_a_session_from_offline_to_offline(centre: Centre) -> None:
    ana = await centre.user()
    away = status(START + timedelta(hours=1), "available", "away", 3600, ana)
    await tell(centre, [status(START, "offline", "available", 999, ana), away])
    [shift] = await items(centre, SESSIONS, filter=f"user_id eq '{ana}'")
    assert (shift["logout_timestamp"], shift["browser_full"], shift["ip_address"]) == (None, "Softphone", None)
    await tell(centre, [status(START + timedelta(hours=8), "away", "offline", 9, ana)])
    [shift] = await items(centre, SESSIONS)
    assert shift["logout_timestamp"] == "2026-01-05T17:00:00Z"


async def test_a_shift_has_the_device_and_the_address_of_the_softphone(centre: Centre) -> None:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await networks.set_network(ctx, cidr="198.51.100.0/24", country="PT", latitude=38.72, longitude=-9.14)
    ana = await centre.user()
    phone = {"user_id": ana, "address": "198.51.100.7", "user_agent": "Softphone/4.2.1 (Windows NT 10.0; Win64; x64)"}
    came = [status(START, "offline", "available", 999, ana), event("softphone.connected", ana, START, **phone)]
    left = status(START + timedelta(hours=8), "available", "offline", 9, ana)
    stray = event("softphone.connected", ana, left["at"], **phone | {"address": "10.0.0.1"})
    await tell(centre, [*came, left, stray])
    [shift] = await items(centre, SESSIONS)
    assert shift.items() >= {
        "browser_full": "Softphone 4.2.1", "os_full": "Windows 10", "ip_address": "198.51.100.7", "country": "PT",
        "latitude": 38.72, "longitude": -9.14, "logout_timestamp": "2026-01-05T17:00:00Z",
    }.items()  # fmt: skip


async def test_what_goes_on_comes_first_in_order_and_last_in_falling_order(centre: Centre) -> None:
    ana, rui = await directory_of(centre)
    shift = [status(START, "offline", "available", 9, ana), status(START, "available", "offline", 9, ana)]
    await tell(centre, [*shift, status(START, "offline", "available", 9, rui)])
    for way, expected in (("asc", [None, "2026-01-05T09:00:00Z"]), ("desc", ["2026-01-05T09:00:00Z", None])):
        found = await items(centre, SESSIONS, order_by=f"logout_timestamp {way}")
        assert [one["logout_timestamp"] for one in found] == expected


@pytest.mark.parametrize("agent", ["", "\x7f" * 50, "x" * 3000, "Mozilla/5.0 \u2603", "'; DROP TABLE users; --"])
async def test_strange_browsers_log_in_too(centre: Centre, agent: str) -> None:
    client = await web(centre)
    async with centre.http() as browser:
        browser.headers["user-agent"] = agent
        page = await browser.get("/oauth/authorize", params=wish(client))
        form = hidden(page.text) | {"email": "ana@acme.example", "password": PASSWORD}
        assert (await browser.post("/oauth/login", data=form)).status_code == 303
    await centre.settle()
    [session] = await items(centre, SESSIONS)
    assert len(session["browser_full"] or "") <= 100


# people


async def directory_of(centre: Centre) -> tuple[str, str]:
    """Ana, who was made an agent by the owner and is in two ring groups; Rui, who is nothing yet."""
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "cli:owner", "cli")
        await directory.set_role(ctx, name="agent", scopes=[])
        for name in ("sales", "24/7 + more"):
            await directory.set_ring_group(ctx, name=name, short_abandoned_threshold=5, wait_time_threshold=20)
        facts: dict[str, Any] = dict.fromkeys(directory.USER_FIELDS) | {"active": True}
        ana = await directory.create_user(
            ctx, email="ana@acme.example", password_hash=None, facts=facts | {"name": "Ana", "roles": ["agent"]}
        )
        await directory.set_membership(ctx, user=ana, ring_groups=["sales", "24/7 + more"])
        rui = await directory.create_user(
            ctx, email="rui@acme.example", password_hash=None, facts=facts | {"name": "Rui", "roles": []}
        )
    await centre.settle()
    return ana, rui


async def test_people_are_shown_with_what_is_known_of_them(centre: Centre) -> None:
    ana, rui = await directory_of(centre)
    found = {one["id"]: one for one in await items(centre, USERS)}
    assert found[ana] == {
        "id": ana, "name": "Ana", "email": "ana@acme.example", "role": "agent", "ring_groups": ["24/7 + more", "sales"],
        "creation_time": "2026-01-05T09:00:00Z", "presence": "offline", "presence_type": "offline", "risk": 0,
        "status": "PENDING", "call_quality": {"avg_affected_calls": False, "mos": {"avg": None}},
    }  # fmt: skip
    assert found[rui]["ring_groups"] == []
    await tell(centre, [status(START, "offline", "available", 9, ana)])
    one = (await get(centre, f"{USERS}/{ana}")).json()
    assert one["status"] == "ACTIVE"
    async with await centre.signed_in("guardian-users:read") as http:
        assert [a["id"] for a in (await http.get("/guardian/agents")).json()["_embedded"]] == [ana]
        assert (await http.get(f"/guardian/agents/{ana}")).status_code == 200
        assert (await http.get(f"/guardian/agents/{rui}")).status_code == 404
        assert (await http.get(f"/guardian/users/{'0' * 24}")).status_code == 404
        assert (await http.get(f"/guardian/users/{'0' * 24}/roles")).status_code == 404
        assert (await http.get("/guardian/cases")).status_code == 403
    assert [u["id"] for u in await items(centre, USERS, filter="status eq 'PENDING' and risk le 0")] == [rui]
    assert [u["id"] for u in await items(centre, USERS, filter="contains(ring_groups, 'sales')")] == [ana]
    assert [u["id"] for u in await items(centre, USERS, order_by="email desc", per_page=1)] == [rui]


async def test_roles_say_since_when_and_by_whom(centre: Centre) -> None:
    ana, _ = await directory_of(centre)
    centre.world.advance(3600)
    facts: dict[str, Any] = dict.fromkeys(directory.USER_FIELDS) | {"active": True, "name": "Ana"}
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "cli:boss", "cli")
        for roles in (["admin"], [], ["admin", "agent"]):
            await directory.change_user(ctx, user=ana, email="ana@acme.example", facts=facts | {"roles": roles})
    await centre.settle()
    roles_of = await items(centre, f"{USERS}/{ana}/roles", order_by="role")
    assert [(one["role"], one["assigned_by"]) for one in roles_of] == [("admin", "cli:boss"), ("agent", "cli:boss")]
    assert {one["assigned_at"] for one in roles_of} == {"2026-01-05T10:00:00Z"}


async def test_risk_is_what_the_cases_of_a_month_weigh(centre: Centre) -> None:
    ana = await centre.user()
    await tell(centre, [failure(at, ana) for at in minutes(8)])
    [user] = await items(centre, USERS, filter="risk gt 0")
    assert (user["id"], user["risk"]) == (ana, 20)
    centre.world.advance(31 * 86400)
    assert await items(centre, USERS, filter="risk gt 0") == []


# call quality

GOOD = {
    "jitter_avg": 4.0, "jitter_max": 9.0, "rtt_avg": 60.0, "rtt_min": 50.0, "rtt_max": 100.0,
    "packets_loss_percentage": 0.1,
}  # fmt: skip
BAD = GOOD | {"packets_loss_percentage": 4.0, "rtt_avg": 300.0, "rtt_max": 500.0}


async def test_call_quality_is_that_of_the_previous_thirty_days(centre: Centre) -> None:
    ana = await centre.user()
    heard: list[dict[str, Any]] = []
    for back, measured in ((31, GOOD), (30, GOOD), (2, BAD), (1, GOOD)):
        at = START - timedelta(days=back) + timedelta(seconds=back)
        heard += talk(at, user=ana, quality=measured, call_id=f"{back:032}", interaction_id=f"{back:032}")
    heard += talk(START, user=ana, answered_at=None, quality=GOOD)
    await tell(centre, heard)
    found = await items(centre, QUALITY)
    assert [int(one["call_id"]) for one in found] == [1, 2, 30]
    assert [one["affected_call"] for one in found] == [False, True, False]
    assert found[0]["jitter"] == {"avg": 4.0, "max": 9.0}
    assert found[0]["rtt"] == {"avg": 60.0, "max": 100.0, "min": 50.0}
    assert found[1]["mos"]["min"] < found[1]["mos"]["avg"] < 3.6 < 4.2 < found[0]["mos"]["avg"]
    assert [one["call_id"] for one in await items(centre, QUALITY, filter="affected_call eq true")] == [f"{2:032}"]
    assert len(await items(centre, QUALITY, filter="mos.avg gt 4 and rtt.max lt 101")) == 2
    [user] = await items(centre, USERS)
    mean = sum(one["mos"]["avg"] for one in found) / 3
    assert user["call_quality"]["mos"]["avg"] == pytest.approx(mean, abs=0.006)
    centre.world.advance(3600)
    await centre.settle()
    rows = await centre.rows(KEPT["guardian_call_quality"])
    assert sorted(int(row["call_id"]) for row in rows) == [1, 2]  # what is older is gone for good


async def test_people_are_found_by_the_score_that_they_are_shown_with(centre: Centre) -> None:
    ana = await centre.user()
    await tell(centre, [one for measured in (GOOD, GOOD, BAD) for one in talk(START, user=ana, quality=measured)])
    [user] = await items(centre, USERS)
    shown = user["call_quality"]["mos"]["avg"]
    assert shown == round(shown, 2)
    for filter in ("eq {}", "ge {}", "le {}"):
        assert len(await items(centre, USERS, filter=f"call_quality.mos.avg {filter.format(shown)}")) == 1
    for filter in ("ne {}", "gt {}", "lt {}"):
        assert await items(centre, USERS, filter=f"call_quality.mos.avg {filter.format(shown)}") == []


# cases


async def test_cases_are_found_by_probabilities_as_they_are_written(centre: Centre) -> None:
    ana = await centre.user()
    await tell(centre, [failure(at, ana) for at in minutes(20)])
    [case] = await items(centre, CASES)
    assert case["pop_prob"] < 1e-9
    for filter in (f"pop_prob eq {case['pop_prob']!r}", "pop_prob lt 1e-9", "pop_prob lt 1.0E-9", "user_id ne NULL"):
        assert len(await items(centre, CASES, filter=filter)) == 1
    assert await items(centre, CASES, filter="pop_prob gt 1e-9") == []
    answer = await get(centre, CASES, filter="pop_prob lt 1e999")
    assert answer.json()["description"] == "filter: character 13: expected a number, found '1e999'"


async def test_a_case_that_fades_out_still_says_what_made_it_one(centre: Centre) -> None:
    ana = await centre.user()
    await tell(centre, [failure(at, ana) for at in minutes(9)])
    [case] = await items(centre, CASES)
    await tell(centre, [failure(at, ana) for at in minutes(2, 40, START + timedelta(minutes=65))])
    [faded] = await items(centre, CASES)
    assert (faded["id"], faded["hits_number"], len(faded["hits"])) == (case["id"], 11, 11)
    assert faded["specification"].startswith("9 wrong passwords were given for the person within 1 h; 8 make a case")
    kept = ("specification", "pop_prob", "user_prob", "baseline", "user_baseline", "pop_baseline")
    assert {name: faded[name] for name in kept} == {name: case[name] for name in kept}


async def test_a_burst_of_failed_logins_through_the_pages_is_told_once(opened: OpenHouse) -> None:
    centre = await opened(login_attempts=100, guardian_failed_logins=3)
    client = await web(centre)
    for _ in range(4):
        assert (await log_in(centre, "wrong", client)).status_code == 401
        await centre.settle()
        centre.world.advance(10)
    [case] = await items(centre, CASES)
    assert (case["case"], case["hits_number"], case["source"]) == ("failed_logins", 4, "EVENT_LOG")
    assert case["specification"].startswith("4 wrong passwords were given for the person within 1 h; 3 make a case")
    assert [hit["timestamp"][17:19] for hit in case["hits"]] == ["00", "10", "20", "30"]
    assert case["event_id"] == case["hits"][2]["event_id"]
    assert case["ingest_timestamp"] == case["hits"][2]["timestamp"]
    assert len(case["user_baseline"]) == len(case["pop_baseline"]) == 30
    [told] = await centre.rows(DETECTED)
    assert (told["data"]["id"], told["data"]["hits_number"]) == (case["id"], 3)
    assert told["origin"] == "test" or told["origin"] == "127.0.0.1"


async def test_history_makes_cases_and_nobody_is_told(centre: Centre) -> None:
    ana = await centre.user()
    await tell(centre, [failure(at, ana) for at in minutes(9)], origin=BACKFILL)
    assert len(await items(centre, CASES)) == 1
    assert [row["origin"] for row in await centre.rows(DETECTED)] == [BACKFILL]


async def test_strict_mode_calls_its_source_as_the_contract_does(opened: OpenHouse) -> None:
    centre = await opened(strict_contract=True)
    ana = await centre.user()
    await tell(centre, [failure(at, ana) for at in minutes(9)])
    [case] = await items(centre, CASES)
    assert case["source"] == "ELASTICSEARCH"
    for path in (SESSIONS, USERS, "/guardian/agents", f"{USERS}/{ana}/roles"):
        refused = await get(centre, path)
        assert (refused.status_code, refused.json()["fields"][0]["name"]) == (400, "filter")
        assert (await get(centre, path, filter="id ne 'x'")).status_code == 200
    assert (await get(centre, QUALITY)).status_code == 200


async def test_without_a_filter_where_one_is_required_a_header_says_so(centre: Centre) -> None:
    ana = await centre.user()
    for path, header in (
        (SESSIONS, "default"), (USERS, "default"), (f"{USERS}/{ana}/roles", "default"), (CASES, None), (QUALITY, None),
    ):  # fmt: skip
        answer = await get(centre, path)
        assert (answer.status_code, answer.headers.get("ringfence-filter")) == (200, header)
        assert "ringfence-filter" not in (await get(centre, path, filter="not id eq 'x'" if header else "")).headers


# lists


async def test_pages_have_their_array_and_their_links(centre: Centre) -> None:
    ana = await centre.user()
    shifts = [
        status(at, before, after, 5, ana)
        for at in minutes(7, 10)
        for before, after in (("offline", "available"), ("available", "offline"))
    ]
    await tell(centre, shifts)
    seen: list[str] = []
    url = f"{SESSIONS}?filter=user_id%20eq%20'{ana}'&order_by=login_timestamp%20asc,id&per_page=3"
    async with await centre.signed_in("guardian-session:read") as http:
        for number in (1, 2, 3):
            page = (await http.get(url)).json()
            facts = {name: page[name] for name in ("count", "page", "per_page", "total", "total_pages")}
            assert facts == {
                "count": 3 if number < 3 else 1, "page": number, "per_page": 3, "total": 7, "total_pages": 3,
            }  # fmt: skip
            assert isinstance(page["_embedded"], list)
            assert set(page["_links"]) == {"self", "first", "last", "show"} | (
                {"next"} if number == 1 else {"prev"} if number == 3 else {"next", "prev"}
            )
            seen += [one["login_timestamp"] for one in page["_embedded"]]
            url = page["_links"].get("next", {}).get("href", "")
        assert (await http.get(f"{SESSIONS}?page=9")).json()["_embedded"] == []
    assert len(seen) == 7
    assert seen == sorted(seen)


@pytest.mark.parametrize("path", [*READ])
@pytest.mark.parametrize(
    "name, value, told",
    [
        ("filter", "nonsense eq 'x'", "character 1: 'nonsense' is none of"),
        ("filter", "(id eq 'x'", "character"),
        ("filter", "user_id eq", "character"),
        ("filter", "id == 'x'", "character 4"),
        ("order_by", "nonsense", "'nonsense' is none of"),
        ("order_by", "id upwards", "'id upwards'"),
        ("per_page", "201", ""),
        ("page", "0", ""),
    ],
)
async def test_bad_queries_name_what_is_wrong(centre: Centre, path: str, name: str, value: str, told: str) -> None:
    answer = await get(centre, path, **{name: value})
    assert answer.status_code == 400
    [field] = answer.json()["fields"]
    assert field["name"] == name
    assert told in field["description"]


FIELDS = {
    CASES: [*CASE_FIELDS], SESSIONS: [*SESSION_FIELDS], QUALITY: [*QUALITY_FIELDS],
    USERS: ["id", "name", "role", "risk", "status", "creation_time", "presence", "ring_groups", "call_quality.mos.avg"],
}  # fmt: skip
words = st.sampled_from(
    ["eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or", "not", "contains", "startswith", "(", ")", ",", "null",
     "true", "'x'", "''", "'it''s'", "1", "-2.5", "1e-9", "1e999", "99999999999999999", "2026-01-05T09:00:00Z",
     "'2026-01-05T09:00:00Z'", "2026-13-01T00:00:00Z", "%", "\u2603"]
)  # fmt: skip


async def test_no_filter_and_no_order_is_more_than_refused(centre: Centre) -> None:
    ana = await centre.user()
    await tell(centre, [failure(at, ana) for at in minutes(9)])
    await tell(centre, [status(START, "offline", "available", 5, ana), *talk(START, user=ana, quality=GOOD)])
    clients = {path: await centre.signed_in(READ[path]) for path in FIELDS}
    asked: list[tuple[str, str, str]] = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from([*FIELDS]))
        field = st.sampled_from(FIELDS[path])
        parts = data.draw(st.lists(st.one_of(words, field), max_size=9))
        good = f"{data.draw(field)} {data.draw(words)} {data.draw(words)}"
        text = data.draw(st.sampled_from([" ".join(parts), good, data.draw(st.text(max_size=20)).replace("\0", "")]))
        order = data.draw(st.one_of(field, st.just(""), st.text(max_size=8).map(lambda t: t.replace("\0", ""))))
        asked.append((path, text, order))

    draw()
    good = 0
    for path, text, order in asked:
        answer = await clients[path].get(path, params={"filter": text, "order_by": order})
        assert answer.status_code in (200, 400), answer.text
        good += answer.status_code == 200
        if answer.status_code == 400:
            assert answer.json()["fields"][0]["name"] in ("filter", "order_by")
    assert good > 10
    for path, fields in FIELDS.items():
        for name in fields:
            answer = await clients[path].get(path, params={"filter": f"{name} ne null", "order_by": f"{name} desc"})
            assert answer.status_code == 200, answer.text


async def test_nobody_sees_what_is_anothers(centre: Centre) -> None:
    ana = await centre.user()
    other = await centre.user("eve@rival.example", account="rival")
    await tell(centre, [failure(at, ana) for at in minutes(9)])
    shift = [status(START, "offline", "available", 5, ana), *talk(START, user=ana, quality=GOOD)]
    await tell(centre, shift)
    for path in (CASES, SESSIONS, QUALITY):
        assert len(await items(centre, path)) == 1
        assert await items(centre, path, "rival") == []
        assert await items(centre, path, "rival", filter="not user_id eq 'x' or user_id eq 'x'") == []
    assert [one["id"] for one in await items(centre, USERS, "rival")] == [other]
    assert (await get(centre, f"{USERS}/{ana}", "rival")).status_code == 404
    assert (await get(centre, f"{USERS}/{ana}/roles", "rival")).status_code == 404


# made anew


async def test_made_anew_it_is_the_same_and_nobody_is_told_again(centre: Centre) -> None:
    ana, rui = await directory_of(centre)
    for hour in range(3):  # in pieces: how the log is cut into runs does not matter
        start = START + timedelta(hours=hour)
        await tell(centre, [failure(at, ana) for at in minutes(4, 1, start)])
        await tell(centre, [one for at in minutes(4, 3, start) for one in talk(at, by="agent", hold=True, user=rui)])
        await tell(centre, [status(start, "offline", "available", 5, rui), *talk(start, user=rui, quality=BAD)])
        await tell(centre, [failure(at, ana) for at in minutes(5, 1, start + timedelta(minutes=20))])
        await tell(centre, [status(start + timedelta(minutes=50), "available", "offline", 5, rui)])
    lived = {name: await centre.rows(statement) for name, statement in KEPT.items()}
    assert {row["rule"] for row in lived["guardian_cases"]} == {"failed_logins", "hold_and_hang_up"}
    assert all(lived.values())
    told = await centre.rows(DETECTED)
    async with centre.house.db.writing() as tx:
        await watch.begin_anew(tx)
    centre.worker._cursors.clear()
    await centre.settle()
    assert {name: await centre.rows(statement) for name, statement in KEPT.items()} == lived
    assert await centre.rows(DETECTED) == told
    assert {row["id"] for row in told} == {row["id"] for row in lived["guardian_cases"]}


# the demo, the command line, the declaration


async def past_of_the_demo(centre: Centre, days: int, script: traffic.Script) -> str:
    """The name of the demo's account, once it has a past and all of it is known."""
    demo = await apply_demo(centre.house)
    account = centre.house.view.account_names[demo["account"]]
    now = centre.world.time()
    await traffic.backfill(centre.house, account, since=now - days * 86400, until=now, script=script)
    await centre.settle()
    name: str = demo["account"]
    return name


async def test_a_past_with_misconduct_makes_cases_that_can_be_explained(centre: Centre) -> None:
    script = traffic.Script(150, "demo", misconduct=True)
    name = await past_of_the_demo(centre, 14, script)
    account = centre.house.view.account_names[name]
    async with centre.house.db.reading() as tx:
        plot = misconduct.plot((await traffic.cast_of(centre.house, account)).agents, script.seed)
        rows = await tx.all(KEPT["guardian_cases"])
    assert len(rows) >= 3
    assert len({row["rule"] for row in rows}) >= 3
    played = {
        "hold_and_hang_up": "hangs_up", "status_flips": "flips", "refused_calls": "refuses", "failed_logins": "tried",
        "impossible_travel": "in_two_places", "unusual_hours": "at_night",
    }  # fmt: skip
    for row in rows:
        if row["rule"] in played:
            assert row["user_id"] == plot.parts[played[row["rule"]]], row["specification"]
    logins = await items(centre, SESSIONS, name, filter="startswith(ip_address, '198.51.100.')", per_page=200)
    assert len(logins) > 50
    assert {(one["country"], one["latitude"]) for one in logins} == {("PT", 38.72)}
    assert {row["origin"] for row in await centre.rows(DETECTED)} == {BACKFILL}
    phones = [one for one in logins if one["browser_full"].startswith("Softphone ")]
    assert {one["os_full"] for one in phones} == {"Windows 10", "Linux", "macOS 10.15.7"}
    assert {one["os_full"] for one in logins if one not in phones} == {one["os_full"] for one in phones}


async def test_a_past_has_baselines_and_one_night_that_is_unusual(centre: Centre) -> None:
    script = traffic.Script(20, "demo", misconduct=True)
    name = await past_of_the_demo(centre, 25, script)
    account = centre.house.view.account_names[name]
    plot = misconduct.plot((await traffic.cast_of(centre.house, account)).agents, script.seed)
    rows = await centre.rows(KEPT["guardian_cases"])
    [night] = [row for row in rows if row["rule"] == "unusual_hours"]
    assert (night["user_id"], night["hits_number"]) == (plot.parts["at_night"], 1)
    assert "about 02:00 UTC, on none of" in night["specification"]
    assert any(sum(row["user_baseline"]) for row in rows)


async def test_without_misconduct_nobody_is_suspected_of_it(centre: Centre) -> None:
    await past_of_the_demo(centre, 4, traffic.Script(150, "demo"))
    found = [(row["rule"], row["specification"]) for row in await centre.rows(KEPT["guardian_cases"])]
    assert [one for one in found if one[0] != "away_while_waiting"] == []


def test_a_plot_is_the_same_for_a_seed_and_needs_enough_people() -> None:
    agents = tuple(f"agent {n}" for n in range(9))
    assert misconduct.plot(agents, "x") == misconduct.plot(agents[::-1], "x")
    assert len(set(misconduct.plot(agents, "x").parts.values())) == len(misconduct.PARTS)
    assert misconduct.plot(agents[:6], "x").parts == {}


DECLARED = """
[[accounts]]
name = "acme"
company_name = "Acme"
email = "a@acme.example"
"""


def network(cidr: str, **more: Any) -> str:
    facts = {"cidr": cidr, "country": "PT", "latitude": 38.72, "longitude": -9} | more
    return "[[accounts.networks]]\n" + "".join(f"{name} = {value!r}\n" for name, value in facts.items())


@pytest.mark.parametrize(
    "text, told",
    [
        (network("198.51.100.7/24"), "networks[0].cidr"),
        (network("nowhere"), "networks[0].cidr"),
        (network("198.51.100.0/24") * 2, "declared twice"),
        (network("198.51.100.0/24", latitude=90.1), "networks[0].latitude"),
        (network("198.51.100.0/24", country="Portugal"), "networks[0].country"),
    ],
)
def test_networks_are_checked(text: str, told: str) -> None:
    with pytest.raises(declaration.BadDeclaration, match=re.escape(told)):
        declaration.read(DECLARED + text, [])


async def test_networks_are_those_of_the_file(centre: Centre) -> None:
    async def applied(text: str) -> list[str]:
        wanted = declaration.read(DECLARED + text, centre.house.scopes).accounts[0]
        made = await declared_centre.plan(centre.house, wanted, declared_centre.Given())
        await declared_centre.apply(centre.house, made, "cli:test", "cli")
        return [f"{one.sign} {one.what}" for one in made.changes if one.what.startswith("network")]

    both = network("198.51.100.0/24") + network("2001:db8::/32")
    assert await applied(both) == ["+ network 198.51.100.0/24", "+ network 2001:db8::/32"]
    assert await applied(both) == []
    moved = network("198.51.100.0/24", country="ES")
    assert await applied(moved) == ["~ network 198.51.100.0/24", "- network 2001:db8::/32"]
    assert await applied("") == []


@pytest.mark.process
def test_the_command_line_beside_a_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", guardian_failed_logins=3, login_attempts=100, token_rate_limit=0) as server:
        person = server.ready["users"][0]
        redirect = "http://127.0.0.1:9/back"
        made = server.ringfence(
            "clients", "create", "page", "--scope", "openid", "--grant", "authorization_code", "--redirect-uri",
            redirect,
        )  # fmt: skip
        client = re.search(r"client_id\s+(\w+)", made)
        assert client is not None
        query = {"client_id": client[1], "redirect_uri": redirect, "response_type": "code", "state": "s"}
        for password in ("wrong", "wrong", "wrong", person["password"]):
            with httpx.Client(base_url=server.base) as browser:
                page = browser.get("/oauth/authorize", params=query)
                form = hidden(page.text) | {"email": person["email"], "password": password}
                assert browser.post("/oauth/login", data=form).status_code == (401 if password == "wrong" else 303)
        give_up = time.monotonic() + 20
        while not (cases := json.loads(server.ringfence("guardian", "cases", "--json"))):
            assert time.monotonic() < give_up
        assert (cases[0]["case"], cases[0]["hits_number"]) == ("failed_logins", 3)
        open_now = server.ringfence("guardian", "sessions", "--filter", "ip_address eq '127.0.0.1'", "--json")
        assert [one["logout_timestamp"] for one in json.loads(open_now)] == [None]
        assert "hold_and_hang_up" in server.ringfence("guardian", "rules")
        assert server.ringfence("guardian", "cases", "--filter", "x eq 1", code=1) == ""
        before = server.ringfence("guardian", "cases", "--json")
        assert "events read" in server.ringfence("guardian", "rebuild")
        assert server.ringfence("guardian", "cases", "--json") == before
        full = server.client("full")
        form = {"grant_type": "client_credentials"}
        auth = (full["client_id"], full["client_secret"])
        token = httpx.post(f"{server.base}/oauth/token", data=form, auth=auth).json()["access_token"]
        answer = httpx.get(
            f"{server.base}/guardian/cases", params={"filter": "case eq 'failed_logins'"},
            headers={"authorization": f"Bearer {token}"},
        )  # fmt: skip
        assert answer.json()["_embedded"][0]["id"] == cases[0]["id"]
