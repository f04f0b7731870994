"""The audio of recordings: fetched from its carrier when it is first wanted, kept, and read by any part."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from sqlalchemy import bindparam, update

from ringfence.fence.house import House
from ringfence.kernel.problems import UNAVAILABLE, Fault, Problem
from ringfence.store.query import ACCOUNT, Row, Statement, mine
from ringfence.store.sealed import Tampered, new_key, sealed, unsealed
from ringfence.store.tables.floor import recordings

from .carriers import CARRIERS

log = structlog.get_logger()
WAV = "audio/wav"
PATIENCE = 30.0  # seconds that a carrier has for each piece
RETRY = (("Retry-After", "5"),)
GONE = Problem("recording_gone", 410, "The audio of this recording is not kept any more.")
DAMAGED = Problem("recording_damaged", 500, "The audio that is kept is not what was recorded; tell the operator.")

THIS = recordings.c.id == bindparam("recording")
BY_ID = Statement(mine(recordings).where(THIS))
CLAIM = Statement(
    update(recordings)
    .where(recordings.c.account_id == ACCOUNT, THIS, recordings.c.media.is_(None), recordings.c.sealed.is_(None))
    .where(recordings.c.gone_at.is_(None))
    .values(sealed=bindparam("key"))
)
KEPT = Statement(
    update(recordings)
    .where(recordings.c.account_id == ACCOUNT, THIS, recordings.c.media.is_(None), recordings.c.gone_at.is_(None))
    .values(media=bindparam("kind"), bytes=bindparam("size"))
)


def purpose(row: Row) -> str:
    """What the key of a recording is sealed for."""
    return f"recording {row['account_id']} {row['id']}"


async def at_hand(house: House, row: Row) -> Row:
    """A recording whose audio is here; it is fetched where it is still with its carrier. Not within a transaction."""
    if row["gone_at"] is not None:
        raise Fault(GONE)
    if row["media"] is not None:
        return row
    task = house.fetches.get(row["id"])
    if task is None:
        task = house.fetches[row["id"]] = asyncio.create_task(_fetch(house, row), name=f"recording {row['id']}")
        task.add_done_callback(lambda done: _fetched(house, row["id"], done))
    return await asyncio.shield(task)  # whoever asked may go away; others wait for the same


def _fetched(house: House, id: str, task: "asyncio.Task[Row]") -> None:
    house.fetches.pop(id, None)
    if not task.cancelled():
        task.exception()  # it has been seen, also where nobody waits any more


async def _fetch(house: House, row: Row) -> Row:
    """Bring the audio of a recording here. Two processes may do so at once: each writes a whole file."""
    this = {"account": row["account_id"], "recording": row["id"]}
    if house.settings.recordings_encryption:  # one key for all who write: the first says which
        async with house.db.writing() as tx:
            await tx.run(CLAIM, key=house.vault.seal(new_key(), purpose(row)), **this)
            row = await tx.one(BY_ID, **this) or row
        if row["gone_at"] is not None:
            raise Fault(GONE)
    size, failed = 0, False

    async def coming() -> AsyncGenerator[bytes, None]:
        nonlocal size, failed
        try:
            given = CARRIERS[row["carrier"]].media(row)
            while True:
                async with asyncio.timeout(PATIENCE):
                    piece = await anext(given, None)
                if piece is None:
                    break
                size += len(piece)
                yield piece
                await asyncio.sleep(0)  # one that makes it up never waits, and others want their turn
            if not size:
                raise EOFError("there is no audio")
        except Exception:
            failed = True
            raise

    try:
        async with aclosing(coming()) as pieces:
            if row["sealed"] is None:
                await house.blobs.write(row["id"], pieces)
            else:
                async with aclosing(sealed(house.vault.unseal(row["sealed"], purpose(row)), pieces)) as closed:
                    await house.blobs.write(row["id"], closed)
    except Exception as why:
        if not failed:
            raise
        log.warning("carrier.failed", carrier=row["carrier"], recording=row["id"], why=repr(why))
        told = f"The carrier {row['carrier']} does not give the audio just now."
        raise Fault(UNAVAILABLE, told, headers=RETRY) from why
    async with house.db.writing() as tx:
        await tx.run(KEPT, kind=WAV, size=size, **this)
        row = await tx.one(BY_ID, **this) or row
    if row["gone_at"] is not None or row["media"] is None:  # dropped meanwhile
        await house.blobs.delete(row["id"])
        raise Fault(GONE)
    return row


async def read(house: House, row: Row, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """The bytes from `start` up to `stop` of a recording that is at hand."""
    left = stop - start
    key = row["sealed"] and house.vault.unseal(row["sealed"], purpose(row))
    try:
        async with aclosing(
            unsealed(house.blobs, row["id"], key, row["bytes"], start, stop)
            if key
            else house.blobs.read(row["id"], start, stop)
        ) as pieces:
            async for piece in pieces:
                left -= len(piece)
                yield piece
        if left:
            raise Tampered(f"{row['id']} was cut off")
    except (FileNotFoundError, Tampered) as why:
        log.error("recording.damaged", recording=row["id"], why=repr(why))
        raise Fault(DAMAGED) from why
