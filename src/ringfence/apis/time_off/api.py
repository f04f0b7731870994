"""The Time Off API as the world sees it."""

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from ringfence.floor.time_off import SCOPE
from ringfence.kernel.catalog import PUBLIC, Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INCOMPLETE, MALFORMED, NOT_FOUND, TOO_LARGE, UNSUPPORTED_MEDIA, Fault, wrong
from ringfence.kernel.shapes import File, See, Shape, Upload, in_utc, misfit
from ringfence.store.blobs import BAD_SIGNATURE, SignedQuery
from ringfence.store.query import Row

from . import balances, domain, imports
from .multipart import Form

WRITE = Scope(SCOPE, "Import agents' time off")
Mail = Annotated[str, msgspec.Meta(min_length=1, max_length=254)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Description = Annotated[str, msgspec.Meta(max_length=imports.LONGEST)]
FORM = "multipart/form-data"


class NewTimeOff(Shape):
    """Who is away, for what, and from when to when."""

    agent_email: Mail
    event_type_name: Name
    start_at: datetime
    end_at: datetime
    description: Description | None = None
    example: ClassVar = {
        "agent_email": "ana@acme.example",
        "event_type_name": "Vacation",
        "start_at": "2030-01-07T08:00:00Z",
        "end_at": "2030-01-08T08:00:00Z",
        "description": "One day",
    }


class Move(Shape):
    """Another span, and another description where there is one."""

    start_at: datetime
    end_at: datetime
    description: Description | UnsetType | None = UNSET
    example: ClassVar = {"start_at": "2030-02-07T08:00:00Z", "end_at": "2030-02-08T08:00:00Z"}


class TimeOff(Shape):
    """Time for which an agent is away."""

    id: str
    agent_email: str
    event_type_name: str
    start_at: datetime
    end_at: datetime
    description: str | None
    example: ClassVar = {"id": "00000000-0000-7000-8000-000000000001", **NewTimeOff.example}


class MergeQuery(Shape):
    """With `merge`, time offs of the same type that overlap become one."""

    merge: bool = False


class NewBalance(Shape):
    """Hours that an agent may still take."""

    agent_email: Mail
    event_type_name: Name
    balance: Annotated[float, msgspec.Meta(ge=0, le=100_000)]


class NewBalances(Shape):
    time_off_balances: Annotated[list[NewBalance], msgspec.Meta(min_length=1, max_length=1000)]
    example: ClassVar = {
        "time_off_balances": [{"agent_email": "ana@acme.example", "event_type_name": "Vacation", "balance": 176.0}]
    }


class Balance(NewBalance, kw_only=True):
    id: str


class Balances(Shape):
    time_off_balances: list[Balance]


class ImportAsked(Shape):
    """A file in a JSON body: CSV in base64."""

    csv_file: str
    file_name: Annotated[str, msgspec.Meta(max_length=255)] = ""
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] = ""
    date_format: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Import(Shape):
    """A file of time off and how far it has got; what was refused is in the report, a signed URL of CSV."""

    id: str
    status: imports.Status
    error_report_url: str | None
    error_report_expires_at: datetime | None
    file_name: str
    time_zone: str
    date_format: str
    rows: int | None
    processed: int
    imported: int
    refused: int
    created_at: datetime
    finished_at: datetime | None
    links: ClassVar = {"self": "/wfm/aion/v1/schedules/event-imports/{id}"}
    example: ClassVar = {
        "id": "00000000-0000-7000-8000-000000000001",
        "status": "IMPORTED",
        "error_report_url": None,
        "error_report_expires_at": None,
        "file_name": "january.csv",
        "time_zone": "Europe/Lisbon",
        "date_format": "YYYY-MM-DD",
        "rows": 12,
        "processed": 12,
        "imported": 12,
        "refused": 0,
        "created_at": "2026-01-05T09:00:00Z",
        "finished_at": "2026-01-05T09:00:01Z",
    }


def shown(row: Row) -> TimeOff:
    return TimeOff(**{name: row[name] for name in TimeOff.__struct_fields__})


def balance(row: Row) -> Balance:
    names = ("id", "agent_email", "event_type_name")
    return Balance(balance=balances.hours(row["seconds"]), **{name: row[name] for name in names})


def shown_import(ctx: Ctx, row: Row) -> Import:
    until = imports.until(ctx) if row["bytes"] is not None else None
    names = ("id", "status", "file_name", "time_zone", "date_format", "rows", "imported", "refused")
    return Import(
        error_report_url=imports.signed_url(ctx, row, until) if until else None,
        error_report_expires_at=datetime.fromtimestamp(until, UTC) if until else None,
        processed=row["done"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        **{name: row[name] for name in names},
    )


async def create_time_off(ctx: Ctx, body: NewTimeOff, query: MergeQuery) -> See:
    """Give an agent time off

    From its beginning to its end no call is put through to them. 201 for a new one; 200 where the same was there
    already, or where `merge=true` has made one of several.
    """
    known = await balances.known(ctx, [body.agent_email])
    id, new = await domain.add(
        ctx,
        known,
        email=body.agent_email,
        type_name=body.event_type_name,
        start=in_utc(body.start_at, "start_at"),
        end=in_utc(body.end_at, "end_at"),
        description=body.description,
        merge=query.merge,
    )
    return See(f"{TIME_OFFS}/{id}", status=201 if new else 200, shape=shown(await domain.get(ctx, id)))


async def change_time_off(ctx: Ctx, time_off_id: str, body: Move) -> TimeOff:
    """Move a time off

    The difference is drawn from the balance, or given back. One that goes on and is moved away ends at once.
    """
    before = await domain.get(ctx, time_off_id)
    said = before["description"] if isinstance(body.description, UnsetType) else body.description
    start, end = in_utc(body.start_at, "start_at"), in_utc(body.end_at, "end_at")
    return shown(await domain.move(ctx, time_off_id, start=start, end=end, description=said))


async def delete_time_off(ctx: Ctx, time_off_id: str) -> None:
    """Take a time off back

    What it drew is given back to the balance.
    """
    await domain.remove(ctx, time_off_id)


async def set_balances(ctx: Ctx, body: NewBalances) -> Balances:
    """Set balances of time off

    In hours; all of them or, where one is wrong, none: the errors name each item.
    """
    given = [balances.Given(one.agent_email, one.event_type_name, one.balance) for one in body.time_off_balances]
    return Balances(time_off_balances=[balance(row) for row in await balances.set_balances(ctx, given)])


async def delete_balance(ctx: Ctx, balance_id: str) -> None:
    """Drop a balance"""
    await balances.delete_balance(ctx, balance_id)


async def import_events(ctx: Ctx, upload: Upload) -> Import:
    """Import a file of time off

    CSV with the columns agent_email, event_type_name, start_at, end_at and, if you like, description. As
    multipart/form-data with the members csv_file (the file), file_name, time_zone (the account's where it is missing)
    and date_format; or as JSON with the same members, the file in base64. The answer comes at once; rows are imported
    in the background.
    """
    id, house = ctx.new_uuid(), ctx.house
    try:
        if upload.content_type == FORM:
            digest, wanted = await _from_form(ctx, id, upload)
        elif upload.content_type in ("", "application/json"):
            digest, wanted = await _from_json(ctx, id, upload)
        else:
            raise Fault(UNSUPPORTED_MEDIA, f"Send {FORM} or application/json, not {upload.content_type}.")
        async with house.db.writing() as tx:
            row = await imports.begin(house.request_ctx(tx, ctx.caller, ctx.origin), id, digest, wanted, kept=True)
    except Exception:
        with suppress(Exception):
            await house.blobs.delete(id)
        raise
    if row["id"] != id:
        await house.blobs.delete(id)
    return shown_import(ctx, row)


FIELDS = {"file_name": 255, "time_zone": 64, "date_format": 40}  # characters that each may have


async def _from_form(ctx: Ctx, id: str, upload: Upload) -> tuple[str, imports.Wanted]:
    form, said, digest = Form(upload.sent_as, upload.chunks()), dict.fromkeys(FIELDS, ""), None
    while (part := await form.next()) is not None:
        if part.name == "csv_file" and digest is None:
            said["file_name"] = said["file_name"] or part.filename[-255:]
            digest = await imports.receive(ctx, id, form.pieces())
        elif part.name == "csv_file":
            raise wrong("csv_file", "is there twice")
        elif part.name in FIELDS:
            said[part.name] = _within(part.name, await form.text(part.name, 4 * FIELDS[part.name]))
    if digest is None:
        raise wrong("csv_file", "is missing")
    return digest, imports.Wanted(**said)


def _within(name: str, text: str) -> str:
    if len(text) > FIELDS[name]:
        raise wrong(name, f"may have {FIELDS[name]} characters")
    return text.strip()


async def _from_json(ctx: Ctx, id: str, upload: Upload) -> tuple[str, imports.Wanted]:
    body = bytearray()
    async for piece in upload.chunks():
        body += piece
        if len(body) > ctx.settings.body_limit:
            raise Fault(TOO_LARGE, f"A JSON body may have {ctx.settings.body_limit} bytes; send {FORM}.")
    try:
        asked = msgspec.json.decode(body, type=ImportAsked)
    except msgspec.ValidationError as why:
        raise misfit(why) from why
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise Fault(MALFORMED, str(why)) from why
    said = {name: _within(name, getattr(asked, name)) for name in FIELDS}
    if strange := next((name for name, text in said.items() if "\0" in text), None):
        raise wrong(strange, "holds a NUL character")
    try:
        content = b64decode("".join(asked.csv_file.split()), validate=True)
    except (binascii.Error, ValueError) as why:
        raise wrong("csv_file", "is not base64") from why

    async def whole() -> AsyncIterator[bytes]:
        yield content

    return await imports.receive(ctx, id, whole()), imports.Wanted(**said)


async def get_import(ctx: Ctx, import_id: str) -> Import:
    """Follow an import"""
    return shown_import(ctx, await imports.get(ctx, import_id))


async def get_errors(ctx: Ctx, import_id: str, query: SignedQuery) -> File:
    """See what was refused

    At the signed URL as it was given: CSV, each row that was refused as it was sent, with its number and why.
    """
    row = await imports.lent(ctx, import_id, account=query.account, expires=query.expires, signature=query.signature)
    return File(
        media="text/csv",
        length=row["bytes"],
        read=partial(ctx.house.blobs.read, imports.report_of(row["id"])),
        etag=row["id"],
        name=f"errors-{row['id']}.csv",
    )


TIME_OFFS = "/wfm/aion/externals/schedules/time-offs"
BALANCES = "/wfm/request-management/externals/time-offs/balances"
IMPORTS = "/wfm/aion/v1/schedules/event-imports"
ONE = f"{TIME_OFFS}/{{time_off_id}}"
CLASHES = (NOT_FOUND, domain.OVERLAP, balances.TOO_LOW)
API = Api(
    name="time_off",
    title="Time Off API",
    about="Agents' time off: who is away is not called.",
    scopes=(WRITE,),
    events=(*balances.EVENTS, imports.IMPORTED),
    jobs=(imports.IMPORT, imports.RETENTION),
    operations=(
        Operation(
            "POST", TIME_OFFS, WRITE, create_time_off, status=201, or_status=200, problems=CLASHES, gives=TimeOff
        ),
        Operation("PATCH", ONE, WRITE, change_time_off, problems=CLASHES),
        Operation("DELETE", ONE, WRITE, delete_time_off, status=204, problems=(NOT_FOUND,)),
        Operation("PUT", BALANCES, WRITE, set_balances, problems=(NOT_FOUND,)),
        Operation("DELETE", f"{BALANCES}/{{balance_id}}", WRITE, delete_balance, status=204, problems=(NOT_FOUND,)),
        Operation(
            "POST", IMPORTS, WRITE, import_events, status=202, media=(FORM, "application/json"), writes=False,
            problems=(INCOMPLETE, TOO_LARGE, UNSUPPORTED_MEDIA),
        ),
        Operation("GET", f"{IMPORTS}/{{import_id}}", WRITE, get_import, problems=(NOT_FOUND,)),
        Operation(
            "GET", f"{IMPORTS}/{{import_id}}/errors", PUBLIC, get_errors, problems=(NOT_FOUND, BAD_SIGNATURE),
            serves="text/csv",
        ),
    ),
)  # fmt: skip
