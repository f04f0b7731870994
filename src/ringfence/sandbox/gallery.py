"""The charts of the API reference: the demo centre's reports of fixed days, drawn once and committed.

python -m ringfence.sandbox.gallery [FOLDER]

They are static files, so that a page that anybody may see shows nothing of an account. `make charts` writes them.
Who calls and when is the same each time; what becomes of a call follows from its id, which is not.
"""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from ringfence.apis.all import APIS
from ringfence.fence.house import House
from ringfence.kernel.settings import load
from ringfence.kernel.world import FrozenWorld
from ringfence.oauth.opening import open_house
from ringfence.reports.catalogue import EXPLORE
from ringfence.reports.charts import pictured
from ringfence.reports.plots import svg
from ringfence.reports.rebuild import catch_up
from ringfence.reports.spans import Span
from ringfence.store.migrate import migrate
from ringfence.store.outbox import emit_many

from .demo import apply_demo
from .traffic import Script, backfill

STATIC = Path(__file__).parent.parent / "web" / "static"
FIRST = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAYS, CALLS, SEED = 4, 700, "gallery"
WEEKLY = ("audit_logs", "qm_evaluation_score", "qm_evaluation_analysis")  # of which a day has few
CHANGES = ("user.ring_groups_changed", "ring_group.changed", "number.changed", "client.scope_added", "flow.published")


async def draw(folder: Path) -> list[str]:
    """Write a file for each type of report; their names."""
    with tempfile.TemporaryDirectory() as aside:
        url = f"sqlite:///{aside}/gallery.db"
        migrate(url)
        world = FrozenWorld(FIRST)
        house = await open_house(load({}, database=url, secret_key="5a" * 32), world, APIS)
        demo = await apply_demo(house)
        account = house.view.account_names[demo["account"]]
        world.advance(DAYS * 86400)
        until = world.time()
        await backfill(house, account, since=until - DAYS * 86400, until=until, script=Script(CALLS, SEED))
        await _administer(house, account)
        await catch_up(house.db, lambda place, last: None)
        zone = ZoneInfo("Europe/Lisbon")
        whole, last = (Span(zone, FIRST + timedelta(days=day), FIRST + timedelta(days=DAYS)) for day in (0, DAYS - 1))
        names = []
        for report in EXPLORE.values():
            span = whole if report.type in WEEKLY else last
            names.append(f"report-{report.type}.svg")
            picture = await pictured(house.db, report, span, account=account)
            (folder / names[-1]).write_text(svg(picture), "utf-8")
        await house.db.close()
    return names


async def _administer(house: House, account: str) -> None:
    """What administrators change in a few days: only that they did is of interest here."""
    chance = Random(SEED)  # noqa: S311 - a picture
    told: list[tuple[Any, str, datetime, Any]] = []
    for day in range(DAYS):
        for _ in range(chance.randint(3, 9)):
            at = FIRST + timedelta(days=day, hours=9, minutes=chance.randrange(480))
            told.append((house.events[chance.choice(CHANGES)], "gallery", at, {}))
    async with house.db.writing() as tx:
        await emit_many(house.ctx(tx, account, "user:gallery", "gallery"), sorted(told, key=lambda one: one[2]))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    for name in asyncio.run(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else STATIC)):
        sys.stdout.write(f"{name}\n")
