"""Recordings of calls: finding them, lending their audio out by signed URL, and dropping it."""

from dataclasses import replace
from datetime import timedelta
from typing import Literal

from sqlalchemy import bindparam, null, select, update

from ringfence.floor import inbox
from ringfence.floor.events import (
    CALL_FORGOTTEN,
    MEDIA_REQUESTED,
    RECORDING_DELETED,
    MediaRequested,
    RecordingDeleted,
)
from ringfence.floor.media import BY_ID, GONE, THIS, at_hand
from ringfence.floor.telephony import Signal
from ringfence.kernel.catalog import Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, Fault, Problem
from ringfence.kernel.shapes import Nothing, Shape
from ringfence.store import blobs
from ringfence.store.columns import Json, Moment
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, change, find, mine, one
from ringfence.store.tables.floor import interactions, recordings
from ringfence.store.work import enqueue, step

CHUNK = 200  # recordings that retention drops in one transaction
CALL_ENDED = Problem("call_ended", 409, "The call is over.")

CALL = Statement(mine(interactions, interactions.c.state).where(interactions.c.id == bindparam("call")))
OF_CALL = Statement(
    mine(recordings).where(recordings.c.call_id == bindparam("call")).order_by(recordings.c.number, recordings.c.id)
)
DROP = Statement(
    update(recordings)
    .where(recordings.c.account_id == ACCOUNT, THIS, recordings.c.gone_at.is_(None))
    .values(gone_at=bindparam("at", type_=Moment), sealed=null())  # without its key what is left of it means nothing
)
FORGET_SPEAKER = Statement(
    update(recordings).where(recordings.c.account_id == ACCOUNT, THIS).values(channels=bindparam("who", type_=Json))
)
OLD = Statement(
    select(recordings)
    .where(recordings.c.gone_at.is_(None), recordings.c.created_at < bindparam("before", type_=Moment))
    .order_by(recordings.c.created_at)
    .limit(CHUNK),
    everywhere=True,
)


class Dropped(Shape):
    """Recordings whose audio is to be deleted, by id."""

    ids: list[str]


async def of_call(ctx: Ctx, call: str) -> list[Row]:
    """The recordings of a call, in order; those whose audio is gone among them."""
    await one(ctx, CALL, call=call)
    return await all_rows(ctx, OF_CALL, call=call)


async def get(ctx: Ctx, recording: str, *, redacted: bool = False) -> Row:
    """One recording. 404 for what is not there, and that is every redacted version."""
    row = await one(ctx, BY_ID, recording=recording)
    if redacted:
        raise Fault(NOT_FOUND, "This recording has no redacted version.")
    return row


def path_of(account: str, recording: str) -> str:
    return f"/recordings/{recording}/file?account={account}"


def signed_url(ctx: Ctx, row: Row) -> str:
    """Where anybody gets the audio for a while."""
    if row["gone_at"] is not None:
        raise Fault(GONE)
    until = int(ctx.world.time()) + ctx.settings.recordings_link_lifetime
    path = path_of(row["account_id"], row["id"])
    base: str = ctx.house.gateway_base
    return base + blobs.signed(ctx.house.vault, path, until, "GET")


async def lend(ctx: Ctx, row: Row) -> str:
    """A signed link for somebody who asked for one, and that they did."""
    url = signed_url(ctx, row)
    facts = MediaRequested(id=row["id"], call_id=row["call_id"], type=row["type"])
    await emit(ctx, MEDIA_REQUESTED, row["call_id"], facts)
    return url


async def lent(ctx: Ctx, recording: str, *, account: str, expires: str, signature: str) -> Row:
    """The recording that a signed URL is of, its audio at hand."""
    path = path_of(account, recording)
    blobs.check_signature(ctx.house.vault, path, expires, signature, ctx.world.time(), "GET")
    async with ctx.house.db.reading() as tx:  # not held while the audio is being fetched
        row = await one(replace(ctx, account=account, db=tx), BY_ID, recording=recording)
    return await at_hand(ctx.house, row)


async def delete(ctx: Ctx, *, call: str, recording: str) -> None:
    """Drop the audio of a recording; that there was one stays."""
    row = await one(ctx, BY_ID, recording=recording)
    if row["call_id"] != call:
        raise Fault(NOT_FOUND)
    if row["gone_at"] is not None:
        raise Fault(GONE)
    await _drop(ctx, row, "deleted")
    await enqueue(ctx, DELETE_MEDIA, Dropped(ids=[row["id"]]))


async def _drop(ctx: Ctx, row: Row, reason: Literal["deleted", "expired"]) -> None:
    if not await change(ctx, DROP, recording=row["id"], at=ctx.now()):
        return  # somebody else has
    facts = RecordingDeleted(
        id=row["id"],
        call_id=row["call_id"],
        type=row["type"],
        index=row["number"],
        duration=row["duration"],
        created_at=row["created_at"],
        reason=reason,
    )
    await emit(ctx, RECORDING_DELETED, row["call_id"], facts)


async def forget(ctx: Ctx, event: Row) -> None:
    """The reaction: who called is forgotten, and what they said with them."""
    rows = await all_rows(ctx, OF_CALL, call=event["key"])
    for row in rows:
        await _drop(ctx, row, "deleted")
        nobody = [{"participant_type": "CONTACT", "participant_id": ""}]
        channels = {name: nobody if name == "channel_1" else who for name, who in row["channels"].items()}
        await change(ctx, FORGET_SPEAKER, recording=row["id"], who=channels)
    if rows:
        await enqueue(ctx, DELETE_MEDIA, Dropped(ids=[row["id"] for row in rows]))


async def steer(ctx: Ctx, call: str, what: Literal["record", "pause_recording"]) -> None:
    """Tell the floor to record a call, or not to."""
    row = await find(ctx, CALL, call=call)
    if row is None:
        raise Fault(NOT_FOUND)
    if row["state"] == "ended":
        raise Fault(CALL_ENDED)
    await inbox.signal(ctx, call, Signal(what))


async def delete_media(ctx: Ctx, args: Dropped) -> None:
    """Delete files of recordings that are gone. Twice is no harm."""
    for id in args.ids:
        await ctx.house.blobs.delete(id)


async def retain(ctx: Ctx, args: Nothing) -> None:
    """Drop the audio that is older than the setting allows."""
    if not (kept := ctx.settings.recordings_retention):
        return
    before = ctx.now() - timedelta(seconds=kept)
    more = True
    while more:
        async with step(ctx) as now:
            rows = await now.db.all(OLD, before=before)
            for row in rows:
                await _drop(replace(now, account=row["account_id"]), row, "expired")
            if rows:
                await enqueue(now, DELETE_MEDIA, Dropped(ids=[row["id"] for row in rows]))
        more = len(rows) == CHUNK


DELETE_MEDIA = Job("recordings.delete_media", Dropped, delete_media, retry=(5, 60, 600, 3600, 21600, 86400))
RETENTION = Job("recordings.retention", Nothing, retain, every=3600, long=True)
FORGETTING = Reaction("recordings.forget", (CALL_FORGOTTEN,), forget)
