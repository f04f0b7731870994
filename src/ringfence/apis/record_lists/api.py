"""The Record Lists API as the world sees it."""

from typing import Any, Literal

import msgspec

from ringfence.floor import lists, numbers, uploads
from ringfence.floor.lists import ListQuery, OneQuery, Validation
from ringfence.floor.uploads import WRONG_STATE
from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, TOO_LARGE, Fault, wrong
from ringfence.kernel.shapes import Page
from ringfence.store.query import Row

from . import domain, files, search
from .shapes import (
    BulkDelete,
    BulkRecord,
    BulkRecords,
    BulkResult,
    BulkStep,
    Change,
    CreatedList,
    Doomed,
    Failed,
    FailedRecords,
    NewList,
    NewRecord,
    NewRecords,
    NewUpload,
    NumberQuery,
    Phone,
    Record,
    RecordList,
    RecordQuery,
    ReferenceQuery,
    StatusChange,
    UploadRequest,
    ZoneQuery,
)

MANAGE = Scope("record-lists:manage", "See and change the lists of people that your dialer calls")
LIST = "/record-lists/{record_list_id}"
RECORDS = f"{LIST}/records"
UPLOADS = f"{LIST}/upload-requests"


def shown(row: Row, fields: list[Literal["TEAMS"]], checked: Validation | msgspec.UnsetType) -> RecordList:
    return RecordList(
        id=row["id"],
        name=row["name"],
        unique_identifier_type=row["unique_identifier_type"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        records_count=row["count"],
        account_id=row["account_id"],
        status=row["status"],
        campaign_page=lists.campaign_page(row),
        teams=lists.teams_of(row, fields),
        validation=checked,
    )


def record(row: Row) -> Record:
    phones = [Phone(phone_number=p["phone_number"], phone_type=p["phone_type"]) for p in row["phone_numbers"]]
    return Record(
        id=row["id"],
        record_list_id=row["list_id"],
        phone_number=phones[0].phone_number if phones else None,
        phone_numbers=phones,
        first_name=row["first_name"],
        last_name=row["last_name"],
        timezone=row["timezone"],
        priority=row["priority"] if row["priority"] <= 10 else None,
        external_provider=row["external_provider"],
        external_id=row["external_id"],
        external_url=row["external_url"],
        sync_external_id=row["sync_external_id"],
        extra_data=row["extra_data"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def in_bulk(list_id: str, found: dict[str, Any], id: str | None, errors: list[str]) -> BulkRecord:
    """A record as it is, or as it was sent where it was not taken."""
    names = set(BulkRecord.__struct_fields__) - {"id", "record_list_id", "errors"}
    facts = {name: found.get(name) for name in names}
    return BulkRecord(id=id, record_list_id=list_id, errors=errors, **facts)


def bulk(list_id: str, items: list[BulkRecord]) -> BulkResult:
    bad = sum(1 for item in items if item.errors)
    return BulkResult(
        record_list_id=list_id,
        has_errors=bad > 0,
        total_errors=bad,
        total_created=len(items) - bad,
        embedded=BulkRecords(records=items),
    )


def upload(row: Row, *, url: str | msgspec.UnsetType = msgspec.UNSET) -> UploadRequest:
    told = lists.validation(row) if row["status"] not in ("INCOMPLETE", "UPLOADED") else msgspec.UNSET
    return UploadRequest(
        id=row["id"], record_list_id=row["list_id"], status=row["status"], signed_url=url, validation=told
    )


async def list_lists(ctx: Ctx, query: ListQuery) -> Page[RecordList]:
    """List the record lists"""
    found = await lists.search(ctx, domain.KIND, query, "record_lists")
    return found.map(lambda row: shown(row, query.fields, msgspec.UNSET))


async def create_list(ctx: Ctx, body: NewList) -> CreatedList:
    """Make a record list

    With `csv_metadata`, send the file to `signed_url` by PUT, then set the list's status to UPLOADED.
    """
    row = await domain.create(ctx, name=body.name, rule=body.unique_identifier_type, csv=body.csv_metadata)
    return CreatedList(
        id=row["id"],
        name=row["name"],
        unique_identifier_type=row["unique_identifier_type"],
        status=row["status"],
        signed_url=row["signed_url"],
    )


async def get_list(ctx: Ctx, record_list_id: str, query: OneQuery) -> RecordList:
    """Get one record list"""
    row = await domain.get(ctx, record_list_id)
    return shown(row, query.fields, await lists.validation_of(ctx, row))


def _uploaded(body: StatusChange) -> None:
    if body.value is None and body.status is None:
        raise wrong("value", "must be UPLOADED")


async def change_list(ctx: Ctx, record_list_id: str, body: StatusChange) -> RecordList:
    """Say that the list's file has been sent

    Its validation starts.
    """
    _uploaded(body)
    row = await domain.get(ctx, record_list_id)
    if row["upload_id"] is None:
        raise Fault(WRONG_STATE, "The list was made without a file.")
    begun = await uploads.begin(ctx, row["upload_id"])
    return shown(row | {"status": begun["status"]}, [], msgspec.UNSET)


async def list_records(ctx: Ctx, record_list_id: str, query: RecordQuery) -> Page[Record]:
    """List the records of a list"""
    asked = {name: getattr(query, name) for name in query.__struct_fields__ if name != "search"}
    return (await search.search(ctx, record_list_id, text=query.search, **asked)).map(record)


async def create_record(ctx: Ctx, record_list_id: str, body: NewRecord) -> Record:
    """Add a record"""
    return record(await domain.add(ctx, record_list_id, msgspec.to_builtins(body)))


async def delete_by_number(ctx: Ctx, record_list_id: str, query: NumberQuery) -> None:
    """Remove the records that have a number"""
    text = query.phone_number or query.phone
    number = numbers.digits(lists.same_query_number(text)) if text else None
    if number is None:
        raise wrong("phone_number", numbers.MALFORMED)
    held = await domain.hold(ctx, record_list_id)
    await domain.remove(ctx, held["id"], await domain.by_number(ctx, held["id"], number))


async def get_record(ctx: Ctx, record_list_id: str, record_id: str) -> Record:
    """Get one record"""
    return record(await domain.read(ctx, record_list_id, record_id))


async def change_record(ctx: Ctx, record_list_id: str, record_id: str, body: list[Change]) -> Record:
    """Change a record's priority or extra data"""
    lists.few(body)
    steps = [(one.op, one.path, one.value) for one in body]
    return record(await domain.change_record(ctx, record_list_id, record_id, steps))


async def delete_record(ctx: Ctx, record_list_id: str, record_id: str) -> None:
    """Remove a record"""
    held = await domain.hold(ctx, record_list_id)
    await domain.remove(ctx, held["id"], [await domain.read(ctx, record_list_id, record_id)])


async def create_records(ctx: Ctx, record_list_id: str, body: NewRecords) -> BulkResult:
    """Add up to 100 records

    Each by itself: the answer tells which were not taken, and why.
    """
    made = await domain.add_many(ctx, record_list_id, body.records, body.upload_request_id)
    return bulk(
        record_list_id,
        [
            in_bulk(record_list_id, msgspec.to_builtins(record(row)) if row else given, row["id"] if row else None, bad)
            for row, given, bad in made
        ],
    )


async def change_records(ctx: Ctx, record_list_id: str, body: list[BulkStep]) -> BulkResult:
    """Change up to 100 records"""
    lists.few(body)
    found = await domain.change_many(ctx, record_list_id, [(one.op, one.path, one.value) for one in body])
    return bulk(
        record_list_id,
        [
            in_bulk(record_list_id, msgspec.to_builtins(record(row)) if row else {}, id, errors)
            for row, id, errors in found
        ],
    )


async def delete_records(ctx: Ctx, record_list_id: str, body: list[Doomed]) -> BulkDelete:
    """Remove up to 100 records, each by id, number or external reference"""
    lists.few(body)
    held = await domain.hold(ctx, record_list_id)
    count, failed = 0, []
    for index, one in enumerate(body):
        found = await _named(ctx, held["id"], one, index)
        gone = await domain.remove(ctx, held["id"], found)
        count += gone
        if not gone:
            failed.append(Failed(id=one.id or one.phone_number or f"{one.external_provider}:{one.external_id}"))
    return BulkDelete(
        record_list_id=record_list_id,
        has_errors=bool(failed),
        total_deleted=count,
        total_errors=len(failed),
        embedded=FailedRecords(failed_records=failed),
    )


async def _named(ctx: Ctx, list_id: str, one: Doomed, index: int) -> list[Row]:
    if one.id is not None:
        try:
            return [await domain.read(ctx, list_id, one.id)]
        except Fault:
            return []
    if one.phone_number is not None:
        number = numbers.digits(one.phone_number)
        return await domain.by_number(ctx, list_id, number) if number is not None else []
    if one.external_provider is None or one.external_id is None:
        raise wrong(f"[{index}]", "name an id, a phone_number, or external_provider and external_id")
    return await domain.by_reference(ctx, list_id, one.external_provider, one.external_id)


async def delete_external(ctx: Ctx, record_list_id: str, query: ReferenceQuery) -> None:
    """Remove the records that are called so in another system"""
    held = await domain.hold(ctx, record_list_id)
    found = await domain.by_reference(ctx, held["id"], query.external_provider, query.external_id)
    await domain.remove(ctx, held["id"], found)


async def list_timezones(ctx: Ctx, record_list_id: str, query: ZoneQuery) -> Page[str]:
    """List the time zones of a list's records"""
    place = {"page": query.page, "per_page": query.per_page}
    return await search.timezones_of(ctx, record_list_id, text=query.search, **place)


async def create_upload(ctx: Ctx, record_list_id: str, body: NewUpload) -> UploadRequest:
    """Announce a file with more records

    Send it to `signed_url` by PUT, then set the status of the upload request to UPLOADED.
    """
    callback = msgspec.to_builtins(body.callback_action) if body.callback_action else None
    notify = body.send_atlas_notification
    row = await domain.expect_file(ctx, record_list_id, body.csv_metadata, callback, notify=notify)
    return upload(row, url=row["signed_url"])


async def get_upload(ctx: Ctx, record_list_id: str, upload_request_id: str) -> UploadRequest:
    """Get one upload request, and how its validation went"""
    return upload(await domain.upload_of(ctx, record_list_id, upload_request_id))


async def change_upload(ctx: Ctx, record_list_id: str, upload_request_id: str, body: StatusChange) -> UploadRequest:
    """Say that a file has been sent

    Its validation starts; `callback_action` is called at the end.
    """
    _uploaded(body)
    row = await domain.upload_of(ctx, record_list_id, upload_request_id)
    return upload(await uploads.begin(ctx, row["id"]))


PATCHES = ("application/json-patch+json", "application/json")
ONE = (NOT_FOUND,)
ONE_RECORD = f"{RECORDS}/{{record_id}}"
API = Api(
    name="record_lists",
    title="Record Lists API",
    about="Creates, fills and catalogues lists of people to call.",
    scopes=(MANAGE,),
    events=domain.EVENTS,
    jobs=(files.VALIDATE, domain.CLEAR, files.CALL_BACK),
    operations=(
        Operation("GET", "/record-lists", MANAGE, list_lists),
        Operation("POST", "/record-lists", MANAGE, create_list, status=201, problems=(TOO_LARGE,)),
        Operation("GET", LIST, MANAGE, get_list, problems=ONE),
        Operation("PATCH", LIST, MANAGE, change_list, media=PATCHES, problems=(NOT_FOUND, WRONG_STATE)),
        Operation("GET", RECORDS, MANAGE, list_records, problems=ONE),
        Operation("POST", RECORDS, MANAGE, create_record, status=201, problems=ONE),
        Operation("DELETE", RECORDS, MANAGE, delete_by_number, status=204, problems=ONE),
        Operation("GET", f"{RECORDS}/timezones", MANAGE, list_timezones, problems=ONE),
        Operation("POST", f"{RECORDS}/bulks", MANAGE, create_records, status=201, problems=ONE),
        Operation("PATCH", f"{RECORDS}/bulks", MANAGE, change_records, media=PATCHES, problems=ONE),
        Operation("DELETE", f"{RECORDS}/bulks", MANAGE, delete_records, status=200, problems=ONE),
        Operation("GET", ONE_RECORD, MANAGE, get_record, problems=ONE),
        Operation("PATCH", ONE_RECORD, MANAGE, change_record, media=PATCHES, problems=ONE),
        Operation("DELETE", ONE_RECORD, MANAGE, delete_record, status=204, problems=ONE),
        Operation("DELETE", f"{LIST}/external-records", MANAGE, delete_external, status=204, problems=ONE),
        Operation("POST", UPLOADS, MANAGE, create_upload, status=201, problems=(NOT_FOUND, TOO_LARGE)),
        Operation("GET", f"{UPLOADS}/{{upload_request_id}}", MANAGE, get_upload, problems=ONE),
        Operation(
            "PATCH",
            f"{UPLOADS}/{{upload_request_id}}",
            MANAGE,
            change_upload,
            media=PATCHES,
            problems=(NOT_FOUND, WRONG_STATE),
        ),
    ),
)
