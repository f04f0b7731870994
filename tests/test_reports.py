"""The Explore API and the older Reporting API: what a job goes through, who may see it, and what is refused."""

import asyncio
import csv
import io
import json
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from ringfence.floor import carrier, inbox
from ringfence.floor.carrier import Simulated
from ringfence.floor.keeper import Keeper
from ringfence.kernel.problems import Fault
from ringfence.reports import jobs
from ringfence.reports.catalogue import EXPLORE, LEGACY
from ringfence.reports.spans import instant, moment, span, wall
from ringfence.sandbox import traffic
from ringfence.sandbox.traffic import Script
from ringfence.store.db import DatabaseUnavailable
from ringfence.store.statement import Statement
from ringfence.store.tables.facts import FACTS
from ringfence.store.tables.log import jobs as work
from ringfence.store.tables.reports import report_jobs

from .conftest import Centre, OpenHouse
from .test_centre import LINE
from .test_dump import ZONES
from .test_hostile import JSON
from .test_keeper import STEADY, pass_time, staffed, tell
from .test_recount import open_account

READ, WRITE = "data-reports:read", "data-reports:write"
OLD_READ, OLD_WRITE = "reports:read", "reports:write"
DAY = {"from": "2026-01-04T00:00:00Z", "to": "2026-01-05T00:00:00Z"}
EVERY = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-31T00:00:00Z"}
NO_WORK = Statement(delete(work).where(work.c.name == jobs.WRITE.name), everywhere=True)
ROWS = Statement(select(report_jobs), everywhere=True)


async def lived(centre: Centre, *, hours: float, calls: int) -> None:
    """Some hours of history up to now, and the facts of them."""
    account, now = await open_account(centre, "acme", random.Random("reports")), centre.world.time()
    await traffic.backfill(centre.house, account, since=now - hours * 3600, until=now, script=Script(calls, "reports"))
    await centre.settle()


async def reader(centre: Centre, account: str = "acme") -> httpx.AsyncClient:
    return await centre.signed_in(READ, WRITE, OLD_READ, OLD_WRITE, account=account)


async def ask(http: httpx.AsyncClient, type: str = "calls", **body: Any) -> dict[str, Any]:
    made = await http.post(f"/data/reports/{type}/jobs", json={"timespan": DAY} | body)
    assert made.status_code == 202, made.text
    found: dict[str, Any] = made.json()
    return found


async def ask_the_older_way(http: httpx.AsyncClient, type: str = "calls", **body: Any) -> dict[str, Any]:
    made = await http.post(f"/reports/{type}/jobs", json={"timespan": DAY} | body)
    assert made.status_code == 202, made.text
    found: dict[str, Any] = made.json()
    return found


def path(href: str) -> str:
    return href.removeprefix("http://ringfence.test")


# a job's life


async def test_a_report_is_asked_for_waited_for_and_fetched(centre: Centre) -> None:
    async with await reader(centre) as http:
        made = await http.post("/data/reports/calls/jobs", json={"timespan": DAY, "format": "csv", "name": "Mine"})
        assert made.status_code == 202
        body = made.json()
        job = body["job"]
        id = job["id"]
        assert job == {
            "id": id,
            "name": "Mine",
            "created_at": "2026-01-05T09:00:00",
            "status": "created",
            "type": "calls",
            "format": "csv",
            "timezone": "UTC",
            "timespan": DAY,
        }
        assert len(id) == 36
        assert body["_links"] == {
            "self": {"href": f"http://ringfence.test/data/reports/calls/jobs/{id}"},
            "files": {"href": f"http://ringfence.test/data/reports/calls/files/{id}"},
        }
        for waiting in (f"/data/reports/calls/jobs/{id}", f"/data/reports/calls/files/{id}"):
            answer = await http.get(waiting)
            assert (answer.status_code, answer.json()) == (200, body)
        await centre.settle()
        done = await http.get(f"/data/reports/calls/jobs/{id}")
        assert done.status_code == 303
        assert done.json()["job"] == job | {"status": "done"}
        assert path(done.headers["location"]) == f"/data/reports/calls/files/{id}"
        lent = await http.get(done.headers["location"])
        assert lent.status_code == 303
        assert lent.json()["job"]["status"] == "done"
        async with centre.http() as anybody:
            file = await anybody.get(lent.headers["location"])
        assert file.status_code == 200
        assert file.headers["content-type"].startswith("text/csv")
        assert file.headers["content-disposition"] == 'inline; filename="calls-2026-01-04.csv"'
        followed = await http.get(f"/data/reports/calls/jobs/{id}", follow_redirects=True)
        assert followed.content == file.content
        assert file.text.split("\n")[0] == ",".join(EXPLORE["calls"].columns)


async def test_what_is_left_out_has_a_default_and_strangers_are_passed_over(centre: Centre) -> None:
    async with await reader(centre) as http:
        made = (await ask(http, "user_status", mystery=[1], timespan=DAY | {"timezone": "Mars/Base"}))["job"]
        assert (made["name"], made["format"], made["timezone"]) == ("User status", "json", "UTC")
        assert (await ask(http))["job"]["name"] == "Calls"


async def test_a_report_of_nothing_is_an_empty_file(centre: Centre) -> None:
    async with await reader(centre) as http:
        for type, report in EXPLORE.items():
            made = [await ask(http, type, format=format) for format in ("csv", "json", "json_bulk")]
            await centre.settle()
            texts = [(await http.get(one["_links"]["self"]["href"], follow_redirects=True)).text for one in made]
            [header] = csv.reader(io.StringIO(texts[0]))
            assert header == list(report.columns)
            assert json.loads(texts[1])["entries"] == []
            assert json.loads(texts[1])["total"] == 0
            assert texts[2] == ""


async def test_jobs_are_listed_the_newest_first(centre: Centre) -> None:
    async with await reader(centre) as http:
        made = []
        for n in range(5):
            made.append((await ask(http, name=f"report {n}"))["job"]["id"])
            centre.world.advance(1)
        await ask(http, "contacts")
        await ask_the_older_way(http)
        page = (await http.get("/data/reports/calls/jobs?per_page=2")).json()
        assert (page["total"], page["count"], page["page"], page["per_page"]) == (5, 2, 1, 2)
        listed = page["_embedded"]["jobs"]
        assert [one["id"] for one in listed] == made[:2:-1]
        assert {"id", "name", "status", "format", "timespan", "_links"} <= set(listed[0])
        assert set(listed[0]["_links"]) == {"self", "files"}
        again = (await http.get(page["_links"]["next"]["href"])).json()
        last = (await http.get(again["_links"]["next"]["href"])).json()
        assert [one["id"] for one in (again["_embedded"]["jobs"] + last["_embedded"]["jobs"])] == made[2::-1]
        assert "next" not in last["_links"]
        assert (await http.get("/data/reports/calls/jobs?per_page=200")).status_code == 200
        for bad in ("per_page=0", "per_page=201", "page=0", "page=x"):
            answer = await http.get(f"/data/reports/calls/jobs?{bad}")
            assert (answer.status_code, answer.json()["fields"][0]["name"]) == (400, bad.partition("=")[0])


async def test_a_file_is_deleted_once(centre: Centre) -> None:
    async with await reader(centre) as http:
        made = await ask(http)
        id, files = made["job"]["id"], made["_links"]["files"]["href"]
        assert (await http.delete(files)).status_code == 404  # there is none yet
        await centre.settle()
        link = (await http.get(files)).headers["location"]
        assert (await http.delete(files)).status_code == 204
        assert (await http.delete(files)).status_code == 403
        assert (await http.get(files)).status_code == 404
        status = await http.get(made["_links"]["self"]["href"])
        assert (status.status_code, status.json()["job"]["status"]) == (200, "deleted")
        assert (await http.get(link)).status_code == 404
    await centre.settle()
    assert await centre.house.blobs.length(id) is None


async def test_what_is_not_there_is_not_found(centre: Centre) -> None:
    async with await reader(centre) as http, await reader(centre, "rival") as rival:
        id = (await ask(http))["job"]["id"]
        older = (await ask_the_older_way(http))["id"]
        await centre.settle()
        for who, type, job in ((http, "calls", "no-job"), (http, "contacts", id), (rival, "calls", id),
                               (http, "calls", older), (http, "nothing", id)):  # fmt: skip
            for answer in (
                await who.get(f"/data/reports/{type}/jobs/{job}"),
                await who.get(f"/data/reports/{type}/files/{job}"),
                await who.delete(f"/data/reports/{type}/files/{job}"),
            ):
                assert answer.status_code == 404, answer.url
        assert (await rival.get("/data/reports/calls/jobs")).json()["total"] == 0
        assert (await http.get(f"/reports/calls/jobs/{id}")).status_code == 404
        assert (await http.get("/data/reports/nothing/jobs")).status_code == 404
        assert (await http.post("/data/reports/nothing/jobs", json={"timespan": DAY})).status_code == 404
        assert (await http.post("/reports/contacts/jobs", json={"timespan": DAY})).status_code == 404


async def test_each_operation_is_behind_its_scope(centre: Centre) -> None:
    async with await reader(centre) as http:
        id = (await ask(http))["job"]["id"]
        older = (await ask_the_older_way(http))["id"]
        await centre.settle()
    asked = (
        ("POST", "/data/reports/calls/jobs", WRITE), ("GET", "/data/reports/calls/jobs", READ),
        ("GET", f"/data/reports/calls/jobs/{id}", READ), ("GET", f"/data/reports/calls/files/{id}", READ),
        ("DELETE", f"/data/reports/calls/files/{id}", WRITE),
        ("POST", "/reports/calls/jobs", OLD_WRITE), ("GET", "/reports/calls/jobs", OLD_READ),
        ("GET", f"/reports/calls/jobs/{older}", OLD_READ), ("GET", f"/reports/calls/files/{older}", OLD_READ),
        ("DELETE", f"/reports/calls/jobs/{older}", OLD_WRITE), ("DELETE", f"/reports/calls/files/{older}", OLD_WRITE),
    )  # fmt: skip
    for method, where, scope in asked:
        others = {READ, WRITE, OLD_READ, OLD_WRITE, "contacts:read"} - {scope}
        async with centre.http() as nobody, await centre.signed_in(*others) as http:
            body = {"timespan": DAY} if method == "POST" else None
            assert (await nobody.request(method, where, json=body)).status_code == 401
            assert (await http.request(method, where, json=body)).status_code == 403


# what is refused


def bad(**timespan: Any) -> dict[str, Any]:
    return {"timespan": DAY | timespan}


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    (bad(**{"from": DAY["to"]}), "timespan.to"),
    (bad(**{"from": "2026-01-06T00:00:00Z"}), "timespan.to"),
    (bad(to="2026-02-04T00:00:01Z"), "timespan.to"),
    (bad(to="tomorrow"), "timespan.to"),
    (bad(to="2026-02-30T00:00:00Z"), "timespan.to"),
    (bad(to="2026-01-05T25:00:00Z"), "timespan.to"),
    (bad(to="2026-01-05T00:00:00+99:99"), "timespan.to"),
    (bad(to="9999-12-31T23:59:59Z"), "timespan.to"),
    (bad(**{"from": "1969-12-31T23:59:59Z"}), "timespan.from"),
    (bad(**{"from": "0001-01-01T00:00:00+14:00"}), "timespan.from"),
    (bad(**{"from": ""}), "timespan.from"),
    (bad(**{"from": 17}), "timespan.from"),
    (bad(**{"from": None}), "timespan.from"),
    ({"timespan": {"to": DAY["to"]}}, "timespan"),
    ({"timespan": {"from": DAY["from"]}}, "timespan"),
    ({}, "timespan"),
    ({"timespan": []}, "timespan"),
    ({"timespan": DAY, "timezone": "Mars/Base"}, "timezone"),
    ({"timespan": DAY, "timezone": "../UTC"}, "timezone"),
    ({"timespan": DAY, "timezone": ""}, "timezone"),
    ({"timespan": DAY, "format": "xlsx"}, "format"),
    ({"timespan": DAY, "name": "x" * 201}, "name"),
    ({"timespan": DAY, "name": "\0"}, "name"),
)


async def test_a_bad_wish_is_a_400_that_names_it(centre: Centre) -> None:
    async with await reader(centre) as http:
        for body, field in BAD:
            answer = await http.post("/data/reports/calls/jobs", json=body)
            assert answer.status_code == 400, (body, answer.text)
            assert answer.json()["fields"][0]["name"] in (field, f"{field}.from", f"{field}.to", "from", "to"), body
    assert await centre.rows(ROWS) == []


MONTHS: tuple[tuple[str, str, str], ...] = (
    ("Europe/Lisbon", "2026-03-01T00:00:00", "2026-04-01T00:00:00"),  # an hour less than 31 days
    ("Europe/Lisbon", "2026-10-01T00:00:00", "2026-11-01T00:00:00"),  # an hour more
    ("Australia/Lord_Howe", "2026-10-01", "2026-11-01"),
    ("UTC", "2028-02-01", "2028-03-01"),
)


async def test_every_month_fits(centre: Centre) -> None:
    async with await reader(centre) as http:
        for zone, start, end in MONTHS:
            await ask(http, timezone=zone, timespan={"from": start, "to": end})


MEANT: tuple[tuple[str, str, str], ...] = (
    ("UTC", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"),
    ("Asia/Kathmandu", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"),
    ("Asia/Kathmandu", "2026-01-01T09:00:00", "2026-01-01T03:15:00Z"),
    ("Asia/Kolkata", "2026-01-01T09:00:00+01:00", "2026-01-01T08:00:00Z"),
    ("Asia/Kolkata", "2026-01-01 09:00:00 UTC", "2026-01-01T09:00:00Z"),
    ("Pacific/Chatham", "2026-01-01", "2025-12-31T10:15:00Z"),
    ("Europe/Lisbon", "2026-03-29T01:30:00", "2026-03-29T01:00:00Z"),  # never: the moment of the leap
    ("Europe/Lisbon", "2026-03-29T01:30:00.5", "2026-03-29T01:00:00Z"),
    ("Europe/Lisbon", "2026-10-25T01:30:00", "2026-10-25T00:30:00Z"),  # twice: the first time
    ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00Z"),
    ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00Z"),  # a day that never was
)


async def test_times_without_an_offset_are_meant_in_the_zone(centre: Centre) -> None:
    async with await reader(centre) as http:
        for zone, text, utc in MEANT:
            assert moment(text, ZoneInfo(zone), "from") == datetime.fromisoformat(utc)
            later = f"{datetime.fromisoformat(utc) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
            made = await ask(http, timezone=zone, timespan={"from": text, "to": later})
            assert made["job"]["timespan"] == {"from": utc, "to": later}, text
            assert made["job"]["timezone"] == zone


async def test_only_so_many_jobs_wait_at_a_time(opened: OpenHouse) -> None:
    centre = await opened(report_jobs=2)
    async with await reader(centre) as http, await reader(centre, "rival") as rival:
        await ask(http)
        await ask_the_older_way(http)
        refused = await http.post("/data/reports/calls/jobs", json={"timespan": DAY})
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert (await http.post("/reports/calls/jobs", json={"timespan": DAY})).status_code == 429
        await ask(rival)
        await centre.settle()
        await ask(http)


# the file


async def test_a_signed_link_is_good_as_it_is_and_for_a_while(opened: OpenHouse) -> None:
    centre = await opened(report_link_lifetime=60)
    async with await reader(centre) as http:
        one, other = await ask(http), await ask(http)
        await centre.settle()
        link = (await http.get(one["_links"]["files"]["href"])).headers["location"]
        own, foreign = (job["job"]["id"] for job in (one, other))
    rival = await centre.account("rival")
    async with centre.http() as anybody:
        assert (await anybody.get(link)).status_code == 200
        mine = await centre.account()
        for tampered in (link.replace(own, foreign), link.replace(mine, rival), link[:-1], link + "x",
                         link.replace("expires=", "expires=9"), link.partition("?")[0]):  # fmt: skip
            assert (await anybody.get(tampered)).status_code == 403, tampered
        centre.world.advance(61)
        assert (await anybody.get(link)).status_code == 403
    async with await reader(centre) as http:
        again = (await http.get(one["_links"]["files"]["href"])).headers["location"]
        assert (await http.get(again)).status_code == 200


async def test_a_part_of_a_file_can_be_had(centre: Centre) -> None:
    async with await reader(centre) as http:
        made = await ask(http, format="csv")
        await centre.settle()
        link = (await http.get(made["_links"]["files"]["href"])).headers["location"]
        whole = (await http.get(link)).content
        part = await http.get(link, headers={"range": "bytes=5-14"})
        assert (part.status_code, part.content) == (206, whole[5:15])
        assert part.headers["content-range"] == f"bytes 5-14/{len(whole)}"
        assert (await http.get(link, headers={"range": "bytes=-7"})).content == whole[-7:]
        assert (await http.get(link, headers={"range": f"bytes={len(whole)}-"})).status_code == 416


async def test_files_are_kept_as_long_as_the_setting_says(opened: OpenHouse) -> None:
    centre = await opened(reports_retention=86400)
    async with await reader(centre) as http:
        old = await ask(http)
        await centre.settle()
    centre.world.advance(80_000)
    await centre.settle()
    async with await reader(centre) as http:
        young = await ask(http)
        await centre.settle()
        assert (await http.get(old["_links"]["files"]["href"])).status_code == 303
    centre.world.advance(10_000)
    await centre.settle()
    async with await reader(centre) as http:
        assert (await http.get(old["_links"]["files"]["href"])).status_code == 404
        assert (await http.get(old["_links"]["self"]["href"])).json()["job"]["status"] == "deleted"
        assert (await http.get(young["_links"]["files"]["href"])).status_code == 303
    assert await centre.house.blobs.length(old["job"]["id"]) is None


async def test_a_job_that_nobody_goes_on_with_is_given_up_after_a_day(centre: Centre) -> None:
    async with await reader(centre) as http:
        left = await ask(http)
    async with centre.house.db.writing() as tx:
        await tx.run(NO_WORK)
    centre.world.advance(80_000)
    await centre.settle()
    async with await reader(centre) as http:
        assert (await http.get(left["_links"]["self"]["href"])).json()["job"]["status"] == "created"
    centre.world.advance(10_000)
    await centre.settle()
    async with await reader(centre) as http:
        assert (await http.get(left["_links"]["self"]["href"])).json()["job"]["status"] == "failed"


# what goes wrong while it is written


class Slow:
    """A database whose rows come when they are let."""

    def __init__(self, centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.fails: Exception | None = None
        self.dump = centre.house.db.dump
        monkeypatch.setattr(centre.house.db, "dump", self._dump)
        monkeypatch.setattr(jobs, "LOOK", 1)

    async def _dump(self, core: Any, format: Any, /, **given: Any) -> AsyncGenerator[tuple[bytes, int], None]:
        self.begun.set()
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        async for piece in self.dump(core, format, **given):
            yield piece


async def status_of(http: httpx.AsyncClient, href: str) -> str:
    body = (await http.get(href)).json()
    status: str = body.get("job", body)["status"]
    return status


async def test_a_job_is_canceled_while_it_waits_and_while_it_is_written(
    opened: OpenHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = await opened(files=str(tmp_path))
    slow = Slow(centre, monkeypatch)
    async with await reader(centre) as http:
        first, second = await ask_the_older_way(http), await ask_the_older_way(http)
        hrefs = [one["_links"]["self"]["href"] for one in (first, second)]
        assert (await http.delete(hrefs[0])).status_code == 204
        assert await status_of(http, hrefs[0]) == "canceled"
        await centre.worker.plant()
        await centre.worker.turn()
        await slow.begun.wait()
        assert await status_of(http, hrefs[1]) == "processing"
        assert (await http.delete(hrefs[1])).status_code == 204
        slow.go_on.set()
        await centre.settle()
        for href, one in zip(hrefs, (first, second), strict=True):
            assert await status_of(http, href) == "canceled"
            assert (await http.get(one["_links"]["files"]["href"])).status_code == 404
            assert (await http.delete(href)).status_code == 403
            assert await centre.house.blobs.length(one["id"]) is None


async def test_a_report_that_cannot_be_written_fails(
    opened: OpenHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = await opened(files=str(tmp_path))
    slow = Slow(centre, monkeypatch)
    slow.fails = RuntimeError("a disk is full")
    slow.go_on.set()
    async with await reader(centre) as http:
        made = await ask(http)
        await centre.settle()
        answer = await http.get(made["_links"]["self"]["href"])
        assert (answer.status_code, answer.json()["job"]["status"]) == (200, "failed")
        assert (await http.get(made["_links"]["files"]["href"])).status_code == 404
        assert (await http.delete(made["_links"]["files"]["href"])).status_code == 404
    [row] = await centre.rows(ROWS)
    assert "disk" in row["error"]
    assert await centre.house.blobs.length(made["job"]["id"]) is None


async def test_a_database_that_is_away_is_waited_for(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(centre, monkeypatch)
    slow.fails = DatabaseUnavailable("away")
    slow.go_on.set()
    async with await reader(centre) as http:
        made = await ask(http)
        await centre.settle()
        assert await status_of(http, made["_links"]["self"]["href"]) == "processing"
        slow.fails = None
        centre.world.advance(10)
        await centre.settle()
        assert await status_of(http, made["_links"]["self"]["href"]) == "done"


async def test_another_worker_begins_anew_what_one_that_died_was_writing(
    opened: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre, other = await opened(), await opened()
    await lived(centre, hours=12, calls=100)
    slow = Slow(centre, monkeypatch)
    async with await reader(centre) as http:
        made = await ask(http, format="csv", timespan={"from": "2026-01-04T12:00:00Z", "to": "2026-01-06T00:00:00Z"})
        href = made["_links"]["self"]["href"]
        await centre.worker.turn()
        await slow.begun.wait()  # … and now it hangs
        await other.settle()
        assert await status_of(http, href) == "processing"
        other.world.advance(20)  # its lease is over
        await other.settle()
        assert await status_of(http, href) == "done"
        file = await http.get(href, follow_redirects=True)
        slow.go_on.set()  # it was not dead after all
        await centre.settle()
        assert await status_of(http, href) == "done"
        assert (await http.get(href, follow_redirects=True)).content == file.content
    assert file.status_code == 200


async def test_a_worker_that_is_stopped_gives_its_job_back(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(centre, monkeypatch)
    async with await reader(centre) as http:
        made = await ask(http)
        await centre.worker.plant()
        await centre.worker.turn()
        await slow.begun.wait()
        for task in tuple(centre.worker._long):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await status_of(http, made["_links"]["self"]["href"]) == "processing"
        slow.go_on.set()
        await centre.settle()
        assert await status_of(http, made["_links"]["self"]["href"]) == "done"


async def test_a_job_that_two_have_finished_keeps_its_file(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers may both come to the end; the second finds the job done, and the file is not its to delete."""
    write = centre.house.blobs.write

    async def write_and_be_overtaken(key: str, pieces: Any) -> None:
        await write(key, pieces)
        [row] = await centre.rows(ROWS)
        async with centre.house.db.writing() as tx:
            ctx = centre.house.ctx(tx, row["account_id"], "another worker")
            over = jobs._over(ctx, "done", rows=0, size=await centre.house.blobs.length(key))
            await tx.run(jobs.FINISH, account=row["account_id"], job=key, before=jobs.OPEN, **over)

    monkeypatch.setattr(centre.house.blobs, "write", write_and_be_overtaken)
    async with await reader(centre) as http:
        made = await ask(http)
        await centre.settle()
        assert (await http.get(made["_links"]["self"]["href"], follow_redirects=True)).status_code == 200


# the older API


async def test_the_older_way(centre: Centre) -> None:
    async with await reader(centre) as http:
        made = await ask_the_older_way(http, format="csv")
        id = made["id"]
        told = {"from": "2026-01-04 00:00:00 UTC", "to": "2026-01-05 00:00:00 UTC"}
        assert len(id) == 24
        assert int(id, 16)
        assert made | {"type": ""} == {
            "id": id, "type": "", "status": "created", "timespan": told,
            "_links": {
                "self": {"href": f"http://ringfence.test/reports/calls/jobs/{id}"},
                "files": {"href": f"http://ringfence.test/reports/calls/files/{id}"},
            },
        }  # fmt: skip
        assert (await http.get(f"/reports/calls/jobs/{id}")).json() == made
        assert (await http.get(f"/reports/calls/files/{id}")).status_code == 404
        await centre.settle()
        done = await http.get(f"/reports/calls/jobs/{id}")
        assert (done.status_code, done.json()["status"]) == (303, "done")
        lent = await http.get(done.headers["location"])
        assert lent.status_code == 302
        async with centre.http() as anybody:
            assert (await anybody.get(lent.headers["location"])).status_code == 200
        assert (await http.delete(f"/reports/calls/jobs/{id}")).status_code == 403
        assert (await http.delete(f"/reports/calls/files/{id}")).status_code == 204
        assert (await http.delete(f"/reports/calls/files/{id}")).status_code == 403
        for format in ("json_bulk", "xlsx"):
            answer = await http.post("/reports/calls/jobs", json={"timespan": DAY, "format": format})
            assert (answer.status_code, answer.json()["fields"][0]["name"]) == (400, "format")


async def test_the_older_way_asks_for_what_is_an_hour_past(centre: Centre) -> None:
    async with await reader(centre) as http:
        for to, status in (("2026-01-05T08:00:00Z", 202), ("2026-01-05T08:00:01Z", 400)):
            answer = await http.post("/reports/calls/jobs", json={"timespan": DAY | {"to": to}})
            assert answer.status_code == status
        assert answer.json()["fields"][0]["name"] == "timespan.to"
        await ask(http, timespan=DAY | {"to": "2026-01-05T09:00:00Z"})  # the Explore API takes what is now


async def test_the_older_list_can_be_ordered(centre: Centre) -> None:
    async with await reader(centre) as http:
        for n in (2, 1, 3):
            await ask_the_older_way(http, timespan={"from": f"2026-01-0{n}T00:00:00Z", "to": "2026-01-04T00:00:00Z"})
            centre.world.advance(1)
        await ask(http)

        async def froms(query: str) -> list[str]:
            body = (await http.get(f"/reports/calls/jobs?{query}")).json()
            assert {"total", "page", "per_page"} < set(body)
            assert body["total"] == 3
            assert body["_links"]["page"]["templated"]
            assert all(name in body["_links"]["page"]["href"] for name in ("page", "per_page", "order_by", "order"))
            return [one["timespan"]["from"][9] for one in body["_embedded"]["jobs"]]

        assert await froms("") == ["3", "1", "2"]
        assert await froms("order=asc") == ["2", "1", "3"]
        assert await froms("order_by=from") == ["3", "2", "1"]
        assert await froms("order_by=from&order=asc") == ["1", "2", "3"]
        assert await froms("order_by=from&order=asc&page=2&per_page=2") == ["3"]
        page = (await http.get("/reports/calls/jobs?order_by=from&order=asc&per_page=2")).json()
        rest = (await http.get(page["_links"]["next"]["href"])).json()
        assert [one["timespan"]["from"][9] for one in rest["_embedded"]["jobs"]] == ["3"]
        assert (await http.get("/reports/calls/jobs?order=sideways")).status_code == 400
        assert (await http.get("/reports/calls/jobs?order_by=name")).status_code == 400


async def test_the_older_reports_have_their_columns(centre: Centre) -> None:
    await lived(centre, hours=12, calls=200)
    centre.world.advance(7200)
    async with await reader(centre) as http:
        made = {type: await ask_the_older_way(http, type, timespan=EVERY | {"to": "2026-01-05T09:00:00Z"})
                for type in LEGACY}  # fmt: skip
        await centre.settle()
        for type, one in made.items():
            file = (await http.get(one["_links"]["self"]["href"], follow_redirects=True)).json()
            assert (file["type"], file["version"]) == (type, "v1")
            assert file["total"] == len(file["entries"]) > 0
            assert ("ring_groups" in file["entries"][0]) is (type == "calls")


# who is erased


async def test_who_is_erased_is_in_no_report(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    number = "+351910009904"
    monkeypatch.setattr(carrier, "NOTES", dict.fromkeys(carrier.DISPOSITIONS, f"Ana Abreu wants it at {number}"))
    monkeypatch.setattr(carrier, "TOPICS", ("Ana Abreu",))
    async with await centre.signed_in("contacts:write") as http:
        made = await http.post("/contacts", json={"name": "Ana Abreu", "phones": [{"number": number, "label": ""}]})
        ana = made.json()["contact"]["id"]
    await staffed(centre)
    kept = Keeper(centre.house, Simulated("test", replace(STEADY, notes=1.0, files=1.0)))
    for _ in range(2):
        await tell(centre, inbox.Incoming(company_number=LINE, contact_number=number))
        await pass_time(centre, kept, 3000)
    await centre.settle()

    async def files() -> str:
        async with await reader(centre) as http:
            asked = [await ask(http, type, timespan=EVERY) for type in EXPLORE]
            await centre.settle()
            return "".join([(await http.get(one["_links"]["self"]["href"], follow_redirects=True)).text
                            for one in asked])  # fmt: skip

    before = await files()
    assert all(text in before for text in (number, "Ana Abreu", f'"{ana}"'))
    async with await centre.signed_in("contacts:write") as http:
        assert (await http.post("/internal-contacts/gdpr", json={"ids": [ana]})).status_code == 202
    await centre.settle()
    centre.world.advance(3600)
    await centre.settle()
    after = await files()
    assert not [text for text in (number, "Ana Abreu", f'"{ana}"') if text in after]
    kept_rows = [await centre.rows(Statement(select(table), everywhere=True)) for table in FACTS]
    assert not [text for text in (number, "Ana Abreu", f"'{ana}'") if text in str(kept_rows)]
    assert after.count('"call_id"') == 2


# whatever is sent

TIMES = st.text(max_size=30) | st.sampled_from(
    ["2026-01-04", "2026-01-04T00:00:00Z", "2026-01-05T08:00:00+05:45", "2026-01-05 08:00", "9998-12-31T23:59:59",
     "1970-01-01T00:00:00", "0000-00-00", "2026-03-29T01:30:00", "9998-12-31T23:59:59-23:59", "1970-01-01T00:00+23:59",
     "２０２６-01-04", "2026-01-04T00:00:00.9999999Z"]
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"timespan": st.fixed_dictionaries({"from": TIMES | JSON, "to": TIMES | JSON}) | JSON},
    optional={
        "name": st.text(max_size=210) | JSON,
        "format": st.sampled_from(["csv", "json", "json_bulk"]) | JSON,
        "timezone": st.sampled_from(ZONES) | st.text(max_size=20) | JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(BODIES | JSON)
async def test_no_body_is_a_500(centre: Centre, body: Any) -> None:
    async with await reader(centre) as http:
        for where in ("/data/reports/calls/jobs", "/reports/user_status/jobs"):
            answer = await http.post(where, content=json.dumps(body))
            assert answer.status_code in (202, 400), answer.text
            if answer.status_code == 202:
                await centre.settle()
                done = await http.get(answer.json()["_links"]["self"]["href"])
                assert done.status_code == 303


WALLS = st.datetimes(datetime(1970, 1, 3), datetime(2099, 12, 28))


@given(WALLS, st.sampled_from(ZONES))
@example(datetime(2026, 10, 25, 1, 30), "Europe/Lisbon")
@settings(deadline=None)
def test_what_clocks_show_leads_back_to_the_moment(at: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    utc = at.replace(tzinfo=UTC)
    back = instant(wall(utc, zone), zone)
    assert back <= utc  # of two that clocks show alike, the first
    assert wall(back, zone) == wall(utc, zone)
    early, late = (wall(utc, zone).replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if early == late:
        assert back == utc


@given(WALLS, WALLS | st.timedeltas(timedelta(0), timedelta(hours=3)), st.sampled_from(ZONES))
@example(datetime(2026, 3, 29, 0, 59, 59), timedelta(seconds=1), "Europe/Lisbon")
@example(datetime(2011, 12, 30, 12), timedelta(hours=3), "Pacific/Apia")
@settings(deadline=None)
def test_what_clocks_show_later_is_never_earlier(one: datetime, other: datetime | timedelta, name: str) -> None:
    zone = ZoneInfo(name)
    later = one + other if isinstance(other, timedelta) else other
    first, second = sorted((one, later))
    assert instant(first, zone) <= instant(second, zone)


@given(WALLS, st.timedeltas(timedelta(microseconds=1), timedelta(days=31)), st.sampled_from(ZONES))
@settings(deadline=None)
def test_a_span_is_what_it_was_asked_to_be(start: datetime, length: timedelta, name: str) -> None:
    end = start + length
    try:
        found = span(name, start.isoformat(), end.isoformat())
    except Fault:
        zone = ZoneInfo(name)
        assert instant(start, zone) == instant(end, zone)  # both within a leap, or where hours come twice
        return
    assert found.starts < found.ends
    assert found == span(name, f"{found.starts:%Y-%m-%dT%H:%M:%S.%fZ}", f"{found.ends:%Y-%m-%dT%H:%M:%S.%fZ}")
