"""Files for lists: announced, sent to a signed URL, and validated when they are there."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from sqlalchemy import bindparam, literal, select, update

from ringfence.kernel.catalog import PUBLIC, Api, EventType, Job, Operation
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INCOMPLETE, NOT_FOUND, TOO_LARGE, Fault, Problem
from ringfence.kernel.shapes import Nothing, Shape, Upload
from ringfence.store import blobs
from ringfence.store.columns import Moment, Uuid
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, change, find, mine, one
from ringfence.store.tables.lists import lists, uploads
from ringfence.store.work import enqueue

Status = Literal["REJECTED", "VALIDATION_STARTED", "UPLOADED", "ACCEPTED", "INCOMPLETE", "CORRUPTED"]
KEPT = timedelta(days=1)  # after a signed URL's end, for a file that waits to be validated
LOOK = timedelta(seconds=5)  # between looks whether a file has come into the bucket
WRONG_STATE = Problem("wrong_state", 409, "The file is not in a state in which this can be done.")


class CsvMetadata(Shape):
    """What will be sent: name, bytes, MD5 in hex, content type."""

    filename: Annotated[str, msgspec.Meta(min_length=1, max_length=35)]
    byte_size: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    checksum: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{32}$(?!\n)")]
    content_type: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$(?!\n)", max_length=35)]
    example: ClassVar = {
        "filename": "list.csv",
        "byte_size": 120,
        "checksum": "9e107d9d372bb6826bd81d3542a419d6",
        "content_type": "text/csv",
    }


class SignedQuery(Shape):
    """What a signed URL carries."""

    expires: Annotated[str, msgspec.Meta(max_length=20)] = ""
    signature: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Validate(Shape):
    """Arguments of the job that validates a file."""

    upload: str


class UploadFacts(Shape):
    upload_id: str
    list_id: str
    byte_size: int


UPLOAD_RECEIVED = EventType("upload.received", UploadFacts, "A file for a list was received")

ADD = adding(uploads)
THIS = uploads.c.id == bindparam("upload", type_=Uuid)
BY_ID = Statement(mine(uploads).where(THIS))
BY_SIGNATURE = Statement(select(uploads).where(THIS), everywhere=True)  # the signature says that it may be known
HELD = Statement(mine(uploads).where(THIS).with_for_update())
BEGUN = Statement(
    mine(uploads)
    .where(
        uploads.c.list_id == bindparam("list", type_=Uuid),
        uploads.c.checksum == bindparam("checksum"),
        uploads.c.byte_size == bindparam("size"),
        uploads.c.status.in_([literal("UPLOADED"), literal("VALIDATION_STARTED")]),
    )
    .order_by(uploads.c.created_at.desc())
    .limit(1)
)
SET = Statement(
    update(uploads)
    .where(uploads.c.account_id == ACCOUNT, uploads.c.id == bindparam("upload", type_=Uuid))
    .values(status=bindparam("state"), reason=bindparam("why"), received_at=bindparam("received", type_=Moment))
)
FORGOTTEN = Statement(
    select(uploads.c.id)
    .where(
        uploads.c.status == "INCOMPLETE",
        uploads.c.received_at.is_not(None),
        uploads.c.expires_at < bindparam("before", type_=Moment),
    )
    .limit(1000),
    everywhere=True,
)
FORGET = Statement(update(uploads).where(THIS).values(received_at=None), everywhere=True)
SET_LIST = Statement(
    update(lists)
    .where(lists.c.account_id == ACCOUNT, lists.c.upload_id == bindparam("upload", type_=Uuid))
    .values(status=bindparam("state"), updated_at=bindparam("at", type_=Moment))
)


async def announce(
    ctx: Ctx,
    *,
    list_id: str,
    job: str,
    csv: CsvMetadata,
    waits: bool,
    callback: Any = None,
    notify: bool = False,
    at_hand: bool = False,
) -> Row:
    """Expect a file. The upload, with the `signed_url` to PUT it to. One that is `at_hand` may have any length."""
    if csv.byte_size > ctx.settings.upload_limit and not at_hand:
        raise Fault(TOO_LARGE, f"A file may have {ctx.settings.upload_limit} bytes.")
    now = ctx.now()
    row: Row = {
        "id": ctx.new_uuid(),
        "account_id": ctx.account,
        "list_id": list_id,
        "job": job,
        "filename": csv.filename,
        "byte_size": csv.byte_size,
        "checksum": csv.checksum.lower(),
        "content_type": csv.content_type,
        "status": "INCOMPLETE",
        "waits": waits,
        "callback": callback,
        "notify": notify,
        "created_at": now,
        "expires_at": now + timedelta(seconds=ctx.settings.upload_lifetime),
        "received_at": None,
        **dict.fromkeys(("merged", "rows", "accepted", "rejected"), 0),
        "reason": "",
        "errors": [],
    }
    await ctx.db.run(ADD, **row)
    if not waits and not ctx.house.blobs.direct:
        await enqueue(ctx, LOOK_FOR_FILE, Validate(upload=row["id"]), due=now + LOOK)
    return row | {"signed_url": signed_url(ctx, row)}


async def at_hand(ctx: Ctx, list_id: str, job: str, csv: CsvMetadata) -> Row:
    """The upload of a file that is here already: one that was begun with the same file goes on."""
    row = await find(ctx, BEGUN, list=list_id, checksum=csv.checksum, size=csv.byte_size)
    if row is None:
        row = await announce(ctx, list_id=list_id, job=job, csv=csv, waits=True, at_hand=True)
        await set_state(ctx, row, "UPLOADED", received=ctx.now())
    return row


def signed_url(ctx: Ctx, row: Row) -> str:
    url: str = ctx.house.blobs.signed_url(row["id"], path_of(row["id"]), int(row["expires_at"].timestamp()))
    return url


def path_of(upload: str) -> str:
    return f"/uploads/{upload}"


async def get(ctx: Ctx, upload: str) -> Row:
    return await one(ctx, BY_ID, upload=upload)


async def set_state(ctx: Ctx, row: Row, state: str, *, why: str = "", received: Any = None) -> None:
    """Move an upload on, and the list that was made with it."""
    await change(ctx, SET, upload=row["id"], state=state, why=why, received=received or row["received_at"])
    await change(ctx, SET_LIST, upload=row["id"], state=state, at=ctx.now())


async def begin(ctx: Ctx, upload: str) -> Row:
    """Let a file that has come be validated; 409 before it is there, and a second time."""
    row = await one(ctx, HELD, upload=upload)
    if row["status"] != "INCOMPLETE":
        raise Fault(WRONG_STATE, f"The file is {row['status']} already.")
    if ctx.house.blobs.direct and row["received_at"] is None:
        raise Fault(WRONG_STATE, "The file has not been received: PUT it to the signed URL first.")
    await set_state(ctx, row, "UPLOADED")
    await enqueue(ctx, Job(row["job"], Validate, look_for_file), Validate(upload=upload))
    return row | {"status": "UPLOADED"}


async def receive_file(ctx: Ctx, upload_id: str, query: SignedQuery, upload: Upload) -> Fault | None:
    """Send a file

    To the signed URL as it was given. Content-Type, length and MD5 must be those that were announced; a file that
    does not come whole leaves nothing, and may be sent again until the URL expires.
    """
    house = ctx.house
    blobs.check_signature(house.vault, path_of(upload_id), query.expires, query.signature, ctx.world.time())
    async with house.db.reading() as tx:
        row = await tx.one(BY_SIGNATURE, upload=upload_id)
    if row is None or not house.blobs.direct:
        raise Fault(NOT_FOUND)
    if row["status"] not in ("INCOMPLETE", "CORRUPTED") or row["merged"]:
        raise Fault(WRONG_STATE, f"The file is {row['status']} already.")
    ctx = replace(ctx, account=row["account_id"], actor=f"upload:{upload_id}")
    try:
        announced = blobs.Announced(row["byte_size"], row["checksum"], row["content_type"])
        await house.blobs.receive(row["id"], announced, upload)
    except Fault as why:
        if why.problem is INCOMPLETE:
            raise
        await set_state(ctx, row, "CORRUPTED", why=why.detail.description)
        return why
    await set_state(ctx, row, "INCOMPLETE", received=ctx.now())
    facts = UploadFacts(upload_id=row["id"], list_id=row["list_id"], byte_size=row["byte_size"])
    await emit(ctx, UPLOAD_RECEIVED, row["list_id"], facts)
    if not row["waits"]:
        await begin(ctx, row["id"])
    return None


async def look_for_file(ctx: Ctx, args: Validate) -> None:
    """Has the file come into the bucket? Then it is validated; else look again, until its URL has expired."""
    there = await ctx.house.blobs.length(args.upload)
    row = await get(ctx, args.upload)
    if there is not None:
        await begin(ctx, args.upload)
    elif ctx.now() < row["expires_at"]:
        await enqueue(ctx, LOOK_FOR_FILE, args, due=ctx.now() + LOOK)


async def clear_away(ctx: Ctx, args: Nothing) -> None:
    """Drop files that were sent a day ago or more, and that nobody has let be validated."""
    for row in await ctx.db.all(FORGOTTEN, before=ctx.now() - KEPT):
        await ctx.house.blobs.delete(row["id"])
        await ctx.db.run(FORGET, upload=row["id"])
    ctx.house.blobs.clear_away(ctx.world.time())


CLEAR_AWAY = Job("uploads.clear_away", Nothing, clear_away, every=3600)
LOOK_FOR_FILE = Job("uploads.look", Validate, look_for_file)
UPLOADS = Api(
    name="uploads",
    title="Uploads",
    about="Files, sent to the signed URLs that other operations answer with.",
    operations=(
        Operation(
            "PUT",
            "/uploads/{upload_id}",
            PUBLIC,
            receive_file,
            status=204,
            media=("text/csv",),
            problems=(
                NOT_FOUND, INCOMPLETE, WRONG_STATE, blobs.BAD_SIGNATURE, blobs.CHECKSUM, blobs.LENGTH, blobs.TYPE
            ),
        ),
    ),
    events=(UPLOAD_RECEIVED,),
    jobs=(LOOK_FOR_FILE, CLEAR_AWAY),
)  # fmt: skip
