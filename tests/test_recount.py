"""Historical reports against a recount: random histories of two centres, every type, format and kind of time zone."""

import csv
import io
import itertools
import json
import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2 as httpx
import msgspec
import pytest
from sqlalchemy import bindparam, select

from ringfence.floor import carrier, channel_log, directory, flows
from ringfence.floor.calls import Call
from ringfence.floor.carrier import Habits, Simulated
from ringfence.floor.events import CustomFields
from ringfence.reports import facts
from ringfence.reports.catalogue import EXPLORE, LEGACY
from ringfence.sandbox import traffic
from ringfence.sandbox.traffic import Script
from ringfence.store import outbox
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.facts import FACTS
from ringfence.store.tables.floor import flow_versions
from ringfence.store.tables.floor import flows as flow_table
from ringfence.store.tables.identity import numbers, ring_group_users, teams, users
from ringfence.store.tables.log import events

from .channel_recount import CHANNEL_RECOUNTS
from .conftest import Centre, OpenHouse
from .report_recount import LEGACY_RECOUNTS, RECOUNTS, SUMMED, VERSIONED, Asked, Days, Past
from .test_centre import FLOW

HISTORIES = max(1, int(os.environ.get("RINGFENCE_TEST_HISTORIES", "320")) // 160)
COUNTED = RECOUNTS | CHANNEL_RECOUNTS
FORMATS = ("csv", "json", "json_bulk")
LINES = ("+351210000100", "+351210000200")
NASTY = (
    'Sales, "Lisbon"', "a\r\nb", "\nnew", "cr\rhere", "sep\x1far\x1eted", "\x1e", "\x1f\x1f", "bell\x07 \x7f",
    "naïve 日本語 😀", "back\\slash", "\\.", "  spaces  ", "=1+1", "tab\there", "plus+plus", "'; --", '"', '""', ",",
    "null", "\u2028", "%s %d", "{}", "\\N", "</script>",
)  # fmt: skip
ZONES = (
    "UTC", "Europe/Lisbon", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham",
    "America/St_Johns", "Pacific/Apia",
)  # fmt: skip
# when histories end: clocks change on the day before, a month or a leap February ends
ENDS = (
    datetime(2026, 3, 29, 4, tzinfo=UTC),  # Lisbon on summer time since 01:00 UTC
    datetime(2026, 4, 4, 18, tzinfo=UTC),  # Chatham off it since 14:00, Lord Howe, by half an hour, since 15:00
    datetime(2026, 10, 3, 18, tzinfo=UTC),  # Lord Howe on it since 15:30
    datetime(2028, 3, 1, 5, tzinfo=UTC),
    datetime(2026, 2, 1, 5, tzinfo=UTC),
    datetime(2026, 10, 25, 6, tzinfo=UTC),  # Lisbon off it since 01:00
    datetime(2027, 1, 1, 4, tzinfo=UTC),
    datetime(2028, 2, 29, 22, tzinfo=UTC),
)
HOURS = 10
ADD_FLOW, ADD_VERSION = adding(flow_table, everywhere=True), adding(flow_versions, everywhere=True)
EVENTS = Statement(select(events).where(events.c.account_id == bindparam("account")).order_by(events.c.place))
USERS, TEAMS, NUMBERS, MEMBERS = (
    Statement(select(table).where(table.c.account_id == bindparam("account")))
    for table in (users, teams, numbers, ring_group_users)
)


# histories


def habits(draw: random.Random) -> Habits:
    """People of some kind: nobody answers, or everybody is transferred, asks a colleague, waits on hold …"""
    pick = draw.choice
    answers = pick((0.3, 0.7, 0.95))
    return Habits(
        patience=pick((6.0, 40.0, 300.0)), talk=pick((30.0, 180.0)), ring=pick((2.0, 8.0)), wrap_up=pick((3.0, 60.0)),
        answers=answers, rejects=(1 - answers) / 3, unreachable=(1 - answers) / 3, reached=pick((0.2, 0.7)),
        busy=0.2, holds=pick((0.1, 0.5)), consults=pick((0.2, 0.5)), transfers=pick((0.05, 0.4)),
        gives_up=pick((0.0, 0.2)), silent=pick((0.0, 0.4)), strays=0.05, rates=0.6, notes=0.6, files=0.6,
    )  # fmt: skip


def custom_fields(self: Simulated, call: Call, u: float) -> CustomFields | None:
    """Numbers, texts and moments at the edges of what may be filed."""
    draw = random.Random(u)
    moment = datetime(1971, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randrange(3_900_000_000))
    fields: dict[str, Any] = {
        "int_1": draw.choice((0, -1, 2**31 - 1, -(2**31))),
        "int_2": draw.randrange(1000),
        "float_1": draw.choice((0.1 + 0.2, 1e300, -1e-300, 0.0, 1 / 3, 123456789.123456789)),
        "float_2": round(draw.random() * 500, 2),
        "text_1": draw.choice(NASTY),
        "text_2": draw.choice(NASTY),
        "text_4": draw.choice(NASTY) * 3,
        "timestamp_1": moment,
    }
    return CustomFields(**{name: value for name, value in fields.items() if draw.random() < 0.7}) if u < 0.6 else None


@contextmanager
def odd_texts(draw: random.Random) -> Iterator[None]:
    """Agents who file whatever a keyboard gives, and callers who withhold their numbers."""
    with pytest.MonkeyPatch.context() as patch:
        said = tuple(draw.sample(NASTY, 6))
        patch.setattr(carrier, "DISPOSITIONS", said)
        patch.setattr(carrier, "NOTES", dict(zip(said[:4], draw.sample(NASTY, 4), strict=True)))
        patch.setattr(carrier, "REASONS", tuple(draw.sample(NASTY, 2)))
        patch.setattr(Simulated, "_fields", custom_fields)
        patch.setattr(traffic, "WITHHELD", draw.choice((0.0, 0.3)))
        yield


async def open_account(centre: Centre, name: str, draw: random.Random) -> str:
    """An account with people, teams, ring groups, lines and a flow, all of them badly named; its id."""
    account, now = await centre.account(name), centre.world.now()
    groups = draw.sample(NASTY, 3)
    steps = msgspec.to_builtins(FLOW)["steps"]
    steps["sales"]["ring_groups"], steps["support"]["ring_groups"] = groups[:2], groups[1:2]
    steps["later"]["ring_groups"] = groups[2:]
    steps["sales"]["attributes"] = {}
    steps["hello"]["title"] = draw.choice(NASTY).strip() or "Hello"
    people = [
        await centre.user(f"agent{n}@{name}.example", name, name=draw.choice(NASTY)) for n in range(draw.randint(3, 7))
    ]
    document = msgspec.to_builtins(flows.read({"steps": steps}))
    flow, version = centre.world.new_id(32), centre.world.new_id(32)
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, account, "cli:ana, the first", draw.choice(("cli", "10.0.0.1", "")))
        made = [await directory.team_of(ctx, draw.choice(NASTY)) for _ in range(2)]
        await tx.run(ADD_VERSION, account_id=account, id=version, flow_id=flow, number=1, document=document,
                     published_at=now, published_by="test")  # fmt: skip
        await tx.run(ADD_FLOW, account_id=account, id=flow, name=draw.choice(NASTY), draft=document, draft_number=1,
                     published_id=version, created_at=now, updated_at=now)  # fmt: skip
        for group in groups:
            await directory.set_ring_group(ctx, name=group, short_abandoned_threshold=draw.choice((0, 10, 60)),
                                           wait_time_threshold=draw.choice((5, 60)))  # fmt: skip
        for n, user in enumerate(people):
            belongs = draw.sample(groups, draw.randint(1, 3))
            await directory.set_membership(ctx, user=user, ring_groups=belongs)
            facts_of: dict[str, Any] = dict.fromkeys(directory.USER_FIELDS)
            facts_of |= {"name": draw.choice(NASTY), "active": True, "roles": [], "team_id": draw.choice((*made, None))}
            await directory.change_user(ctx, user=user, email=f"agent{n}@{name}.example", facts=facts_of)
        for number in LINES:
            await directory.set_number(ctx, number=number, label=draw.choice(NASTY), flow=flow)
    return account


async def live_through(centre: Centre, account: str, draw: random.Random, end: datetime) -> None:
    """Some busy hours up to a moment, and then some more, for what has begun to end."""
    since = end.timestamp() - HOURS * 3600
    local = datetime.fromtimestamp(since, UTC).astimezone(ZoneInfo("Europe/Lisbon"))
    script = Script(draw.choice((80, 200)), f"{draw.random()}", shift=(8.0 - local.hour) * 3600)
    with odd_texts(draw):
        people = habits(draw)
        half = since + draw.random() * HOURS * 3600
        await traffic.backfill(centre.house, account, since=since, until=half, script=script, habits=people)
        if draw.random() < 0.5:
            await centre.settle()  # so that events do not come in the same portions
        await traffic.backfill(centre.house, account, since=half, until=end.timestamp(), script=script, habits=people)


async def evaluate_some(centre: Centre, account: str, draw: random.Random, end: datetime) -> None:
    """A few evaluations, of which one is edited."""
    people = [row["id"] for row in await centre.rows(USERS, account=account)]

    def question(id: str) -> dict[str, Any]:
        score = draw.choice((None, 5, 10))
        scores = {} if score is None else {"max_score": 10, "obtained_score": score}
        kind = "TextQuestion" if score is None else "MultipleChoiceQuestion"
        return {"id": id, "text": draw.choice(NASTY), "type": kind, "answer": draw.choice(NASTY), **scores}

    given: list[dict[str, Any]] = []
    for number, version in ((0, 0), (1, 0), (2, 0), (1, 1)):
        at = end - timedelta(seconds=draw.randrange(HOURS * 3600))
        sections = [
            {
                "id": f"s{n}",
                "name": "One, two",
                "questions": [question(f"q{n}.{m}") for m in range(draw.choice((1, 3)))],
            }
            for n in range(2)
        ]
        given.append(
            {
                "id": f"e{number}",
                "version": version,
                "at": at.isoformat(),
                "first_evaluated_on": "1999-07-01T12:00:00Z",
                "evaluator_id": draw.choice(people),
                "user_id": draw.choice(people),
                "form_id": "f",
                "form_name": draw.choice(("Calls", "Calls, long")),
                "interaction_id": "i",
                "interaction_date": "2015-01-01T00:00:00Z",
                "sections": sections,
            }
        )
    async with centre.house.db.writing() as tx:
        await channel_log.record_evaluations(centre.house.ctx(tx, account, "test"), given)


async def past_of(centre: Centre, account: str) -> Past:
    async def rows(statement: Statement) -> list[dict[str, Any]]:
        return await centre.rows(statement, account=account)

    groups: dict[str, list[str]] = {}
    for row in await rows(MEMBERS):
        groups.setdefault(row["user_id"], []).append(row["ring_group"])
    return Past(
        account,
        await rows(EVENTS),
        {row["id"]: row for row in await rows(USERS)},
        {row["id"]: row["name"] for row in await rows(TEAMS)},
        {row["number"]: row["label"] for row in await rows(NUMBERS)},
        groups,
    )


async def two_histories(centre: Centre, seed: int) -> tuple[list[Past], datetime]:
    """Two accounts beside each other, after some hours each, and when these were over."""
    draw = random.Random(seed)
    end = ENDS[seed % len(ENDS)]
    accounts = [await open_account(centre, name, draw) for name in ("acme", "rival")]
    for account in accounts:
        await live_through(centre, account, draw, end)
    centre.world.advance(end.timestamp() + 7200 - centre.world.time())
    for account in accounts:
        await evaluate_some(centre, account, draw, end)
    await centre.settle()
    return [await past_of(centre, account) for account in accounts], end


# reports as they come over the wire


@dataclass
class Wanted:
    """A report that has been asked for."""

    type: str
    format: str
    asked: Asked
    path: str
    legacy: bool = False


def told(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


async def ask(http: httpx.AsyncClient, type: str, format: str, asked: Asked) -> Wanted:
    body = {
        "format": format, "timezone": asked.zone.key, "timespan": {"from": told(asked.starts), "to": told(asked.ends)}
    }  # fmt: skip
    made = await http.post(f"/data/reports/{type}/jobs", json=body)
    assert made.status_code == 202, made.text
    return Wanted(type, format, asked, made.json()["_links"]["self"]["href"])


async def ask_the_older_way(http: httpx.AsyncClient, type: str, format: str, asked: Asked) -> Wanted:
    body = {"format": format, "timespan": {"from": told(asked.starts), "to": told(asked.ends)}}
    made = await http.post(f"/reports/{type}/jobs", json=body)
    assert made.status_code == 202, made.text
    return Wanted(type, format, asked, made.json()["_links"]["self"]["href"], legacy=True)


async def file_of(centre: Centre, http: httpx.AsyncClient, wanted: Wanted) -> bytes:
    """The file, by way of the redirects; the signed link is opened by somebody who has no token."""
    done = await http.get(wanted.path)
    assert (done.status_code, done.json().get("job", done.json())["status"]) == (303, "done"), done.text
    lent = await http.get(done.headers["location"])
    assert lent.status_code == (302 if wanted.legacy else 303)
    async with centre.http() as anybody:
        file = await anybody.get(lent.headers["location"])
    assert file.status_code == 200
    return file.content


def rows_of(wanted: Wanted, file: bytes) -> tuple[list[str], list[list[Any]]]:
    """Names of columns, and the rows: texts of CSV, values of JSON. No names where JSON has no rows."""
    if wanted.format == "csv":
        assert file.endswith(b"\n")
        header, *rows = csv.reader(io.StringIO(file.decode(), newline=""), strict=True)
        return header, rows
    if wanted.format == "json":
        document = json.loads(file)
        entries = document.pop("entries")
        also = {"type": wanted.type, "version": "v1"} if wanted.type in VERSIONED else {}
        assert document == {"total": len(entries)} | also
    else:
        entries = [json.loads(line) for line in file.decode().split("\n")[:-1]]
    names = list(entries[0]) if entries else []
    assert all(list(entry) == names for entry in entries)
    return names, [list(entry.values()) for entry in entries]


def same(expected: Any, value: Any, format: str) -> bool:
    """Whether a field is as it should be: in JSON by value, in CSV as the text of it."""
    if format != "csv":
        if isinstance(expected, Days):
            return isinstance(value, float) and abs(expected.value - value) <= 0.51e-12
        if isinstance(expected, float):
            return type(value) in (int, float) and value == expected  # PostgreSQL writes 0.0 as 0
        return type(expected) is type(value) and bool(expected == value)
    match expected:
        case None:
            return bool(value == "")
        case bool():
            return bool(value == str(expected).lower())
        case Days():
            return bool(re.fullmatch(r"\d+\.\d{12}", value)) and abs(float(value) - expected.value) <= 0.51e-12
        case float():
            return float(value) == expected
        case list():
            return bool(json.loads(value) == expected)
    return spaced(str(expected)) == spaced(value)


def spaced(text: str) -> str:
    """In CSV, SQLite may have spaces for the two separators."""
    return text.replace("\x1e", " ").replace("\x1f", " ")


def check(wanted: Wanted, file: bytes, expected: list[dict[str, Any]]) -> None:
    names, rows = rows_of(wanted, file)
    if expected and (wanted.format == "csv" or rows):
        assert names == list(expected[0]), wanted
    if wanted.type in SUMMED:
        expected, rows = by_text(expected), sorted(rows, key=lambda row: [str(value or "") for value in row])
    assert len(rows) == len(expected), wanted
    for row, should in zip(rows, expected, strict=True):
        wrong = {
            name: (value, row[n])
            for n, (name, value) in enumerate(should.items())
            if not same(value, row[n], wanted.format)
        }
        assert not wrong, (wanted, wrong)


def by_text(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [str(value or "") for value in row.values()])


def plain(rows: list[list[Any]]) -> list[list[str]]:
    """Rows of any format in the words of CSV."""

    def text(value: Any) -> str:
        return spaced(value) if isinstance(value, str) else "" if value is None else json.dumps(value)

    return [[text(value) for value in row] for row in rows]


def alike(one: list[list[str]], other: list[list[str]]) -> bool:
    """Whether two files hold the same rows in the same order; numbers may be spelled differently."""
    return len(one) == len(other) and all(
        a == b or _number(a) == _number(b) is not None or _document(a) == _document(b) is not None
        for row, counterpart in zip(one, other, strict=True)
        for a, b in zip(row, counterpart, strict=True)
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# what must hold


def test_every_type_is_recounted() -> None:
    assert set(EXPLORE) == set(COUNTED)
    assert set(LEGACY) == set(LEGACY_RECOUNTS)


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_reports_are_what_the_events_come_to(opened: OpenHouse, seed: int) -> None:
    centre = await opened(report_jobs=10_000)
    pasts, end = await two_histories(centre, seed)
    draw = random.Random(seed)
    begin = end - timedelta(hours=HOURS)
    for name, past in zip(("acme", "rival"), pasts, strict=True):
        scopes = [f"{family}:{way}" for family in ("data-reports", "reports") for way in ("read", "write")]
        async with await centre.signed_in(*scopes, account=name) as http:
            whole = Asked(ZoneInfo(draw.choice(ZONES)), begin - timedelta(days=draw.choice((0, 20))), end)
            formats = FORMATS if name == "acme" else (draw.choice(FORMATS),)
            asked = [await ask(http, type, format, whole) for type in EXPLORE for format in formats]
            for format in ("csv", "json"):
                older = Asked(ZoneInfo("UTC"), whole.starts, whole.ends)
                asked += [await ask_the_older_way(http, type, format, older) for type in LEGACY]
            tiles: dict[str, list[Wanted]] = {}
            cuts = sorted([whole.starts, cut_of(past, draw), whole.ends])
            zone, format = ZoneInfo(draw.choice(ZONES)), draw.choice(FORMATS)
            for type in EXPLORE:
                parts = [Asked(zone, a, b) for a, b in itertools.pairwise(cuts) if a < b]
                tiles[type] = [await ask(http, type, format, part) for part in parts]
            away = Asked(zone, end + timedelta(days=40), end + timedelta(days=41))
            nothing = [await ask(http, type, draw.choice(FORMATS), away) for type in EXPLORE]
            await centre.settle()
            files = {one.path: await file_of(centre, http, one) for one in asked + nothing}
            for one in asked + nothing:
                recounts = LEGACY_RECOUNTS if one.legacy else COUNTED
                if one.type in recounts:
                    check(one, files[one.path], recounts[one.type](past, one.asked))
            for type in EXPLORE:
                same_rows = [one for one in asked if one.type == type and not one.legacy]
                by_format = [plain(rows_of(one, files[one.path])[1]) for one in same_rows]
                assert all(alike(rows, by_format[0]) for rows in by_format), type
                count = 0
                for tile in tiles[type]:
                    file = await file_of(centre, http, tile)
                    count += len(rows_of(tile, file)[1])
                    check(tile, file, COUNTED[type](past, tile.asked))
                if type not in SUMMED:  # spans that follow one another have every row once
                    assert count == len(by_format[0]), type


def cut_of(past: Past, draw: random.Random) -> datetime:
    """A moment within a past at which, to the microsecond, something was over."""
    over = [event["at"] for event in past.told("call.ended", "flow.finished", "agent.status_changed")]
    found: datetime = draw.choice(over)
    return found


async def everything(centre: Centre) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for table in FACTS:
        rows = await centre.rows(Statement(select(table), everywhere=True))
        keys = [column.name for column in table.primary_key]
        found[table.name] = sorted(rows, key=lambda row: [row[key] for key in keys])
    return found


@pytest.mark.parametrize("seed", range(1000, 1000 + HISTORIES))
async def test_facts_made_anew_are_the_same(centre: Centre, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events are taken at a time."""
    await two_histories(centre, seed)
    before = await everything(centre)
    assert all(before[name] for name in ("fact_calls", "fact_contacts", "fact_statuses", "fact_steps", "fact_audit"))
    after = events.c.place > bindparam("place")
    for portion in (10, 10_000) if seed % 5 == 0 else (random.Random(seed).randrange(10, 120),):
        taken = Statement(select(events).where(after).order_by(events.c.place).limit(portion), everywhere=True)
        monkeypatch.setattr(outbox, "AFTER", taken)
        async with centre.house.db.writing() as tx:
            await facts.begin_anew(tx)
        centre.worker._cursors.clear()
        assert not any((await everything(centre)).values())
        await centre.settle()
        assert await everything(centre) == before, portion
