"""Rows of a long read as text: what the databases write is what Python reads out of it again, whatever it is."""

import asyncio
import csv
import io
import json
import math
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ringfence.reports.report import EVER, days
from ringfence.store.db import DatabaseUnavailable
from ringfence.store.dump import local_time, offsets
from ringfence.store.query import ACCOUNT
from ringfence.store.sqlite_lines import Format, csv_of
from ringfence.store.tables import facts

from .conftest import Centre

call: Any = facts.calls.c
COLUMNS = ("id", "notes", "rating_reason", "int_1", "float_1", "recorded", "total_time")
CORE = (
    select(call.id, call.notes, call.rating_reason, call.int_1, call.float_1, call.recorded,
           days(call.total_time).label("of_a_day"))
    .where(call.account_id == ACCOUNT)
    .order_by(call.id)
)  # fmt: skip
TEXTS = st.none() | st.text(
    st.sampled_from(',"\r\n\x1e\x1f\\.\x01\x02 ab') | st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    max_size=12,
)
WHOLE = st.integers(min_value=-(2**31), max_value=2**31 - 1)
SECONDS = st.integers(min_value=0, max_value=99 * 86400)
FLOATS = st.floats(min_value=-1e15, max_value=1e15, allow_nan=False, allow_subnormal=False).filter(
    lambda number: number == 0 or abs(number) > 1e-9
)  # far from these SQLite itself is off by a digit
ROWS = st.lists(
    st.tuples(TEXTS, TEXTS, st.none() | WHOLE, st.none() | FLOATS, st.none() | st.booleans(), st.none() | SECONDS),
    max_size=8,
)
ZONES = (
    "UTC", "Europe/Lisbon", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia",
    "Africa/Casablanca", "America/St_Johns", "Pacific/Kiritimati", "Africa/Monrovia", "Europe/Dublin",
)  # fmt: skip
PATIENT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
A_FEW = settings(PATIENT, max_examples=15)


async def filled(centre: Centre, rows: list[tuple[Any, ...]], columns: tuple[str, ...] = COLUMNS) -> str:
    """A new account with these rows; it."""
    account = centre.world.new_id(24)
    numbered = [(f"{n:06}", *row) for n, row in enumerate(rows)]
    async with centre.house.db.writing() as tx:
        await tx.load(facts.calls, columns, numbered, account_id=account)
    return account


async def pieces_of(centre: Centre, account: str, format: Format, core: Any = CORE) -> list[tuple[bytes, int]]:
    return [piece async for piece in centre.house.db.dump(core, format, account=account)]


def read_csv(pieces: list[tuple[bytes, int]]) -> list[list[str]]:
    text = b"".join(lines for lines, _ in pieces).decode()
    found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len(found) == sum(count for _, count in pieces)
    return found


def read_json(pieces: list[tuple[bytes, int]]) -> list[dict[str, Any]]:
    found = [json.loads(line) for lines, _ in pieces for line in lines.decode().split("\n")[:-1]]
    assert len(found) == sum(count for _, count in pieces)
    return found


def without_separators(centre: Centre, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What SQLite may make of texts in CSV."""
    if centre.house.db.name != "sqlite":
        return rows
    return [tuple(spaced(value) if isinstance(value, str) else value for value in row) for row in rows]


def spaced(text: str) -> str:
    return text.replace("\x1e", " ").replace("\x1f", " ")


@PATIENT
@example([("\x1e", "\x1f", 0, 0.1 + 0.2, True, 1), ('"', "a,b\r\n", None, 1e300, False, 86400)])
@example([("\\.", "", 7, -0.0, None, 0)])
@example([(None, None, None, None, None, None)])
@given(ROWS)
async def test_csv_holds_what_the_rows_hold(centre: Centre, rows: list[tuple[Any, ...]]) -> None:
    account = await filled(centre, rows)
    found = read_csv(await pieces_of(centre, account, "csv"))
    assert len(found) == len(rows)
    for row, expected in zip(found, without_separators(centre, rows), strict=True):
        notes, reason, whole, number, recorded, seconds = expected
        assert row[1:3] == [notes or "", reason or ""]
        assert row[3] == ("" if whole is None else str(whole))
        assert (float(row[4]) if row[4] else None) == number
        assert row[5] == {None: "", True: "true", False: "false"}[recorded]
        assert row[6] == ("" if seconds is None else f"{seconds / 86400:.12f}")


@PATIENT
@example([("\x1e", "\x1f", 0, 0.1 + 0.2, True, 1), ("\u2028\x7f", '"\\', None, 1e300, False, 86400)])
@given(ROWS)
async def test_json_holds_exactly_what_the_rows_hold(centre: Centre, rows: list[tuple[Any, ...]]) -> None:
    account = await filled(centre, rows)
    found = read_json(await pieces_of(centre, account, "json"))
    assert len(found) == len(rows)
    for row, (notes, reason, whole, number, recorded, seconds) in zip(found, rows, strict=True):
        assert (row["notes"], row["rating_reason"], row["int_1"]) == (notes, reason, whole)
        assert row["float_1"] == number
        assert row["recorded"] is recorded
        if seconds is None:
            assert row["of_a_day"] is None
        else:
            assert math.isclose(row["of_a_day"], seconds / 86400, abs_tol=0.51e-12)


def plain_row(n: int) -> tuple[Any, ...]:
    return (f"note {n}", "", n, n / 7, n % 2 == 0, n)


@pytest.mark.parametrize("where", [0, 1999, 2000, 4321, 6999])
async def test_a_separator_in_the_middle_of_many_rows_loses_none(centre: Centre, where: int) -> None:
    rows = [plain_row(n) for n in range(7000)]
    rows[where] = ("a\x1eb", "\x1f", where, 0.5, True, where)
    rows[6998] = ('quoted "and", then\nbroken', "\r", 6998, 0.5, True, 6998)
    account = await filled(centre, rows)
    pieces = await pieces_of(centre, account, "csv")
    assert len(pieces) > 2
    found = read_csv(pieces)
    assert [row[0] for row in found] == [f"{n:06}" for n in range(7000)]
    expected = without_separators(centre, rows)
    assert [row[1:3] for row in found] == [list(row[:2]) for row in expected]
    assert [float(row[4]) for row in found] == [row[3] for row in rows]
    exact = read_json(await pieces_of(centre, account, "json"))
    assert [(row["notes"], row["rating_reason"]) for row in exact] == [row[:2] for row in rows]


async def test_no_rows_are_no_pieces(centre: Centre) -> None:
    account = await filled(centre, [])
    assert await pieces_of(centre, account, "csv") == []
    assert await pieces_of(centre, account, "json") == []


async def test_nobody_sees_the_rows_of_another_account(centre: Centre) -> None:
    one, other = await filled(centre, [plain_row(1)]), await filled(centre, [plain_row(2)])
    assert [row[1] for row in read_csv(await pieces_of(centre, one, "csv"))] == ["note 1"]
    assert [row[1] for row in read_csv(await pieces_of(centre, other, "csv"))] == ["note 2"]


def test_only_fields_that_need_them_get_quotes() -> None:
    assert csv_of(b'a\x1f"\x1fb\x1e\x1f\x1f\x1e1\n2\x1f,\x1f\r\x1e') == b'a,"""",b\n,,\n"1\n2",",","\r"\n'


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection to PostgreSQL that was opened by itself, and every process that reads SQLite, in order."""
    opened: list[Any] = []

    def kept(connect: Callable[..., Any]) -> Callable[..., Any]:
        def connecting(*given: Any, **more: Any) -> Any:
            opened.append(connect(*given, **more))
            return opened[-1]

        return connecting

    monkeypatch.setattr(subprocess, "Popen", kept(subprocess.Popen))
    monkeypatch.setattr(psycopg, "connect", kept(psycopg.connect))
    return opened


def is_closed(one: Any) -> bool:
    return bool(one.closed if isinstance(one, psycopg.Connection) else one.poll() is not None)


async def test_who_stops_early_leaves_nothing_open(centre: Centre, connections: list[Any]) -> None:
    account = await filled(centre, [plain_row(n) for n in range(9000)])
    connections.clear()
    dump = centre.house.db.dump(CORE, "csv", account=account)
    await anext(dump)
    [connection] = connections
    assert not is_closed(connection)
    await dump.aclose()
    assert is_closed(connection)


async def test_a_killed_process_is_a_database_that_is_away(centre: Centre, connections: list[Any]) -> None:
    """A report is written in another attempt, and has not failed."""
    if centre.house.db.name != "sqlite":
        pytest.skip("rows of PostgreSQL are read by none")
    account = await filled(centre, [plain_row(n) for n in range(60_000)])
    dump = centre.house.db.dump(CORE, "csv", account=account)
    await anext(dump)
    connections[-1].kill()
    with pytest.raises(DatabaseUnavailable, match="signal 9"):
        [_ async for _ in dump]


async def test_who_is_cancelled_while_the_database_works_leaves_nothing_open(
    centre: Centre, connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops in the middle of a report: the job is cancelled, and not failed."""
    account = await filled(centre, [plain_row(n) for n in range(9000)])
    connections.clear()
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connect: Callable[..., Any]) -> Callable[..., Any]:
        def connecting(*given: Any, **more: Any) -> Any:
            made = connect(*given, **more)
            begun.set()
            go_on.wait(10)
            return made

        return connecting

    monkeypatch.setattr(subprocess, "Popen", slowly(subprocess.Popen))
    monkeypatch.setattr(psycopg, "connect", slowly(psycopg.connect))

    async def read() -> None:
        await pieces_of(centre, account, "csv")

    reading = asyncio.create_task(read())
    await asyncio.to_thread(begun.wait, 10)
    reading.cancel()
    await asyncio.sleep(0.05)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [is_closed(connection) for connection in connections] == [True]


# moments as clocks show them

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))


@A_FEW
@given(
    st.lists(MOMENTS, min_size=1, max_size=10),
    st.sampled_from(ZONES),
    st.lists(st.timedeltas(timedelta(seconds=-2), timedelta(seconds=2)), min_size=2, max_size=4),
)
async def test_moments_are_shown_as_clocks_show_them(
    centre: Centre, moments: list[datetime], name: str, beside: list[timedelta]
) -> None:
    zone = ZoneInfo(name)
    changes = [end for end, _ in offsets(zone, *EVER)[:-1]]
    moments = moments + [change + by for change in changes[:: max(1, len(changes) // 5)] for by in beside]
    account = await filled(centre, [(at,) for at in moments], ("id", "started_at"))
    core = select(
        local_time(call.started_at, zone, EVER).label("local"),
        local_time(call.started_at, zone, EVER, milliseconds=True).label("precise"),
        local_time(call.started_at, None, EVER).label("rfc3339"),
    ).where(call.account_id == ACCOUNT).order_by(call.id)  # fmt: skip
    expected = [
        [
            f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
            f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}",
            f"{at:%Y-%m-%dT%H:%M:%SZ}",
        ]
        for at in moments
    ]
    assert read_csv(await pieces_of(centre, account, "csv", core)) == expected
    assert [list(row.values()) for row in read_json(await pieces_of(centre, account, "json", core))] == expected


@given(st.sampled_from(ZONES), MOMENTS, st.timedeltas(timedelta(0), timedelta(days=900)))
@settings(deadline=None)
def test_offsets_are_those_of_the_zone_at_every_moment(name: str, since: datetime, length: timedelta) -> None:
    zone, until = ZoneInfo(name), min(since + length, EVER[1])
    steps = offsets(zone, since, until)
    begin = since
    for end, ahead in steps:
        for at in (begin, begin + (end - begin) / 2, end - timedelta(microseconds=1)):
            if since <= at < until:
                offset = at.astimezone(zone).utcoffset()
                assert offset is not None
                assert offset.total_seconds() == ahead
        begin = end
    assert [end for end, _ in steps] == sorted(end for end, _ in steps)
    assert all(end.microsecond == 0 for end, _ in steps[:-1])
