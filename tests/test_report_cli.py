"""`ringfence report` and `ringfence facts` from outside, and the charts of reports."""

import asyncio
import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from ringfence.cli.reports import meant, span_of
from ringfence.cli.shared import Stop
from ringfence.reports import rebuild
from ringfence.reports.catalogue import EXPLORE
from ringfence.reports.charts import ALL, MOST, OTHERS, Picture, Steps, fewest, pictured
from ringfence.reports.plots import scale, svg
from ringfence.reports.spans import Span
from ringfence.sandbox import traffic
from ringfence.sandbox.demo import apply_demo
from ringfence.sandbox.traffic import Script
from ringfence.store.statement import Statement
from ringfence.store.tables.facts import FACTS
from ringfence.web.reference import STATIC
from tests.conftest import SECRET, START, Centre
from tests.servers import RINGFENCE

TABLES = {table.name: Statement(select(table).order_by(*table.primary_key), everywhere=True) for table in FACTS}
LISBON = ZoneInfo("Europe/Lisbon")
HOURS, BEGIN = 5, "2026-01-05T04:00"
SVG = "{http://www.w3.org/2000/svg}"


async def lived(centre: Centre) -> str:
    """The demo's account with some hours of history, and no facts yet; its id."""
    demo = await apply_demo(centre.house)
    account: str = centre.house.view.account_names[demo["account"]]
    now = centre.world.time()
    await traffic.backfill(centre.house, account, since=now - HOURS * 3600, until=now, script=Script(300, "report-cli"))
    return account


def command(centre: Centre, *arguments: str, code: int = 0, said: str = "") -> str:
    """Run a command on the centre's database; its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
    environment |= {"RINGFENCE_SECRET_KEY": SECRET, "COLUMNS": "200"}
    done = subprocess.run(
        [str(RINGFENCE), "--database", centre.house.db.url, *arguments],
        env=environment,
        capture_output=True,
        timeout=90,
    )
    errors = done.stderr.decode()
    assert done.returncode == code, done.stdout.decode() + errors
    assert "Traceback" not in errors
    assert said in " ".join(errors.replace("│", " ").split()), errors
    return done.stdout.decode()


def parts_in(folder: Path) -> list[str]:
    """Half files."""
    return [path.name for path in folder.glob("*.part")]


def begun_slowly(centre: Centre) -> "subprocess.Popen[bytes]":
    """A rebuild in very small steps."""
    slowly = "from ringfence.reports import rebuild; rebuild.STEP = 10; from ringfence.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", slowly, "--database", centre.house.db.url, "facts", "rebuild"],
        env={**os.environ, "RINGFENCE_SECRET_KEY": SECRET},
        stderr=subprocess.DEVNULL,
    )


async def facts_of(centre: Centre) -> dict[str, Any]:
    return {name: await centre.rows(statement) for name, statement in TABLES.items()}


async def test_a_report_is_written_to_a_file_and_to_standard_output_in_each_format(
    centre: Centre, tmp_path: Path
) -> None:
    await lived(centre)  # no server has made facts of it: the command does
    span = ("--from", BEGIN, "--to", "2026-01-05T09:00")
    file = tmp_path / "calls.csv"
    assert command(centre, "report", "calls", *span, "-o", str(file), said=f"rows in {file}") == ""
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) > 20
    assert list(rows[0]) == list(EXPLORE["calls"].columns)
    assert parts_in(tmp_path) == []
    assert list(csv.DictReader(io.StringIO(command(centre, "report", "calls", *span)))) == rows
    whole = json.loads(command(centre, "report", "calls", *span, "--format", "json"))
    assert (whole["type"], whole["total"]) == ("calls", len(rows))
    bulk = command(centre, "report", "contacts", *span, "--format", "json_bulk", "--timezone", "Asia/Tokyo")
    assert all(json.loads(line)["finished_at"].startswith("2026-01-05 1") for line in bulk.splitlines())
    centuries = json.loads(
        command(centre, "report", "calls", "--from", "2020-01-01", "--to", "2027-01-01", "--format", "json")
    )
    assert centuries["entries"] == whole["entries"]  # no month's limit here


async def test_what_cannot_be_written_is_told_and_leaves_no_half_file(centre: Centre, tmp_path: Path) -> None:
    await apply_demo(centre.house)
    assert "messaging_traffic" in command(centre, "report", "--list")
    assert [one["type"] for one in json.loads(command(centre, "report", "--json"))] == list(EXPLORE)
    command(centre, "report", "cals", code=2, said="there is no report 'cals'; the nearest is calls")
    command(centre, "report", "calls", "--from", "ieri", code=1, said="--from must be a date and a time")
    command(centre, "report", "calls", "--timezone", "Mars", code=1, said="--timezone is not the name of an IANA")
    command(centre, "report", "calls", "--account", "no", code=1, said="There is no account called 'no'")
    command(centre, "report", "calls", "-o", str(tmp_path / "a" / "b.csv"), code=1, said="cannot be written: No such")
    file = tmp_path / "kept.csv"
    file.write_text("as it was")
    command(
        centre, "report", "calls", "--from", "today", "--to", "yesterday", "-o", str(file), code=1, said="after --from"
    )
    assert file.read_text() == "as it was"
    assert parts_in(tmp_path) == []
    command(centre, "report", "calls", "-o", os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)  # nor is a device replaced


def test_handy_words_are_days_and_hours_of_the_zone() -> None:
    now = datetime(2026, 3, 29, 8, 30, tzinfo=UTC).astimezone(LISBON)  # the day on which an hour is left out
    assert meant("today", now) == "2026-03-29"
    assert meant("yesterday", now) == "2026-03-28"
    assert meant("7d", now) == "2026-03-22"
    assert meant("12h", now) == "2026-03-28T20:30:00+00:00"
    assert meant("30m", now) == "2026-03-29T08:00:00+00:00"
    assert meant("2026-01-01", now) == "2026-01-01"
    found = span_of("yesterday", "today", None, account_zone="Europe/Lisbon", now=now)
    assert (found.starts, found.ends) == (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC))
    for wrong in ("9999d", "-1d", "１d", "", "2026-02-30"):
        with pytest.raises(Stop, match="--"):
            span_of(wrong, "now", None, account_zone="UTC", now=now)


async def test_facts_made_anew_are_the_same_also_after_a_kill_in_the_middle(centre: Centre) -> None:
    await lived(centre)
    await centre.settle()
    before = await facts_of(centre)
    assert len(before["fact_steps"]) > 100
    told = json.loads(command(centre, "facts", "status", "--json"))
    assert told["behind"] == 0
    assert told["rows"]["fact_calls"] == len(before["fact_calls"])
    command(centre, "facts", "rebuild", said="making the facts anew")
    assert await facts_of(centre) == before

    process = begun_slowly(centre)
    give_up = time.monotonic() + 60
    while True:
        assert time.monotonic() < give_up
        async with centre.house.db.reading() as tx:
            place, last = await rebuild.how_far(tx)
            begun = await tx.one(rebuild.GOAL)
        if begun and 0 < place < last:
            break
        await asyncio.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    told = json.loads(command(centre, "facts", "status", "--json"))
    assert 0 < told["behind"] < told["last"]
    assert f"{last - told['place']:,} events read" in command(centre, "facts", "rebuild", said="going on where")
    assert await facts_of(centre) == before
    command(centre, "facts", "rebuild", said="making the facts anew")


async def test_a_rebuild_and_a_running_worker_share_the_work(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    await lived(centre)
    await centre.settle()
    before = await facts_of(centre)
    monkeypatch.setattr(rebuild, "STEP", 200)
    began: list[bool] = []
    ended = asyncio.Event()

    async def server() -> None:
        centre.worker._cursors.clear()  # as one that has just started
        while not ended.is_set():
            await centre.worker.turn()
            await asyncio.sleep(0.01)

    serving = asyncio.create_task(server())
    places: list[int] = []
    await rebuild.rebuild(centre.house.db, lambda place, last: places.append(place), began=began.append)
    ended.set()
    await serving
    assert began == [True]
    assert places == sorted(places)
    assert await facts_of(centre) == before


# charts


async def test_every_type_has_a_chart_that_is_small_well_formed_and_can_be_read_aloud(centre: Centre) -> None:
    account = await lived(centre)
    await rebuild.catch_up(centre.house.db, lambda place, last: None)
    for days in (1, 3, 400):
        span = Span(LISBON, START - timedelta(days=days), START)
        for report in EXPLORE.values():
            picture = await pictured(centre.house.db, report, span, account=account)
            text = svg(picture)
            root = ElementTree.fromstring(text)  # noqa: S314 - our own
            assert root.get("role") == "img"
            assert root.findtext(f"{SVG}title") == picture.title
            assert picture.unit in (root.findtext(f"{SVG}desc") or "")
            assert "prefers-color-scheme:dark" in (root.findtext(f"{SVG}style") or "")
            assert len(text) < 7 * 1024, (report.type, len(text))
            assert len(picture.labels) <= MOST
            if report.type == "calls":
                rows = await centre.rows(TABLES["fact_calls"])
                assert sum(map(sum, picture.series.values())) == len(
                    [row for row in rows if row["ended_at"] and row["ended_at"] < START]
                )


async def test_charts_from_the_command_line_are_svg(centre: Centre, tmp_path: Path) -> None:
    await lived(centre)
    out = command(centre, "report", "ring_attempts", "--plot", "--from", BEGIN, "--to", "2026-01-05T09:00")
    assert "Ring attempts by result" in out
    file = tmp_path / "chart.svg"
    command(centre, "report", "calls", "--plot", "--from", BEGIN, "--to", "2026-01-05T09:00", "-o", str(file))
    assert ElementTree.parse(file).getroot().tag == f"{SVG}svg"  # noqa: S314 - our own


def test_nothing_in_a_chart_is_taken_for_markup() -> None:
    hostile = '<script>"&\x00\x1f\ud800\uffff'
    for marks in (None, [(0, hostile)]):
        series = {ALL: [1.0]} if marks is None else {hostile: [1.0], "b": [0.0]}
        root = ElementTree.fromstring(svg(Picture(hostile, hostile, hostile, [hostile], series, marks)))  # noqa: S314
        assert '<script>"&' in (root.findtext(f"{SVG}title") or "")
        assert root.find(f".//{SVG}script") is None


def test_a_chart_of_nothing_is_one_too() -> None:
    ElementTree.fromstring(svg(Picture("t", "u", "a", [], {ALL: []}, None)))  # noqa: S314 - our own
    ElementTree.fromstring(svg(Picture("t", "u", "a", ["x"], {ALL: [0.0]}, [(0, "x")])))  # noqa: S314 - our own


@pytest.mark.parametrize("most", [0, 0.01, 0.3, 1, 3, 7, 99, 100, 101, 12_345, 9_999_999])
def test_axes_end_at_a_round_number_above_everything(most: float) -> None:
    step, end = scale(most)
    assert end >= most
    assert 1 <= round(end / step) <= 5


def test_time_is_cut_into_as_few_steps_as_can_be_read() -> None:
    def steps(days: float, finest: timedelta) -> Steps:
        return Steps(Span(LISBON, START, START + timedelta(days=days)), finest, MOST)

    quarter, hour = timedelta(minutes=15), timedelta(hours=1)
    assert [steps(days, quarter).step for days in (1, 3, 20, 60)] == [quarter, hour, 6 * hour, 24 * hour]
    assert len(steps(1, quarter).labels) == 96
    assert steps(1, hour).number("2026-01-05 09:59:59") == 0
    assert steps(1, hour).number("2025-12-31 00:00:00") == 0  # begun before
    assert fewest({"a": 1, "b": 3, "c": 2}, 2) == {"b": 3, OTHERS: 3}
    assert list(fewest({"10": 5, "9": 1}, 5)) == ["9", "10"]


def test_the_reference_has_a_chart_of_every_type() -> None:
    for type in EXPLORE:
        assert (STATIC / f"report-{type}.svg").exists(), "run `make charts`"


async def test_the_reference_shows_each_type_with_its_columns_and_chart(centre: Centre) -> None:
    async with centre.http() as http:
        page = (await http.get("/docs/explore")).text
        older = (await http.get("/docs/reporting")).text
    for report in EXPLORE.values():
        part = page.partition(f'<article class="report" id="report-{report.type}"')[2].partition("</article>")[0]
        assert escape(report.about) in part.replace("&#39;", "&#x27;")
        assert f'src="/static/report-{report.type}.svg"' in part
        assert all(f"<code>{name}</code>" in part for name in report.columns)
    assert '<code>end_at</code> <span class="kind">time in UTC</span>' in page
    assert '<code>talk_time</code> <span class="kind">fraction of a day</span>' in page
    assert 'href="/docs/explore#report-calls"' in older
