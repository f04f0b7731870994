"""Duties: what one process at a time does as long as it runs, each under a lease."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import structlog

from ringfence.kernel.catalog import Api, Duty

from .lease import TERM, give_back, take

log = structlog.get_logger()
PAUSE = TERM.total_seconds() / 4


async def attend(house: Any, apis: Iterable[Api]) -> None:
    """Do every duty that no other process does, until cancelled; then give them back."""
    holder = house.world.new_id(32)
    await asyncio.gather(*(_keep(house, duty, holder) for api in apis for duty in api.duties))


async def _keep(house: Any, duty: Duty, holder: str) -> None:
    doing: asyncio.Task[None] | None = None
    loop = asyncio.get_running_loop()
    held_until = 0.0
    try:
        while True:
            begun = loop.time()
            try:
                mine = await take(house.db, duty.name, holder, house.world.now())
                held_until = begun + TERM.total_seconds() if mine else 0.0
            except Exception:
                log.exception("duty.lease_failed", duty=duty.name)
                mine = loop.time() < held_until - PAUSE  # still ours, but not for long
            if doing is not None and doing.done():
                if not doing.cancelled() and (why := doing.exception()):
                    log.error("duty.failed", duty=duty.name, exc_info=why)
                doing = None
            if mine and doing is None:
                doing = asyncio.create_task(duty.run(house), name=f"duty {duty.name}")  # type: ignore[arg-type]
            elif not mine and doing is not None:
                await _stop(doing)
                doing = None
            await asyncio.sleep(PAUSE)
    finally:
        if doing is not None:
            await _stop(doing)
            with suppress(Exception):
                await give_back(house.db, duty.name, holder)


async def _stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
