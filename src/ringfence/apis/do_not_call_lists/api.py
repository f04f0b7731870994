"""The Do Not Call Lists API as the world sees it."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.floor import lists
from ringfence.floor.lists import CampaignPage, ListName, ListQuery, OneQuery, Team, Validation
from ringfence.floor.uploads import CsvMetadata, Status
from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, TOO_LARGE
from ringfence.kernel.shapes import DeepQuery, Page, PageQuery, Shape
from ringfence.store.query import Row

from . import domain, files

MANAGE = Scope("do-not-call-lists:manage", "See and change whom your dialer must not call")
Text = Annotated[str, msgspec.Meta(max_length=255)]
PhoneNumber = Annotated[str, msgspec.Meta(max_length=20, examples=["+351210000000"])]
ENTRIES = "/do-not-call-lists/{do_not_call_list_id}/entries"


class NewList(Shape):
    """With `csv_metadata` the list waits for that file, and the answer says where to send it."""

    name: ListName
    csv_metadata: CsvMetadata | None = None
    example: ClassVar = {"name": "Customers who said no"}


class CreatedList(Shape):
    id: str
    name: str
    status: Status
    signed_url: str | None
    links: ClassVar = {"self": "/do-not-call-lists/{id}"}


class DoNotCallList(Shape):
    """A list. `validation` tells how the file that it was made with fared."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    status: Status
    entries_count: int
    account_id: str
    campaign_page: CampaignPage
    teams: list[Team] | msgspec.UnsetType = msgspec.UNSET
    validation: Validation | msgspec.UnsetType = msgspec.UNSET
    links: ClassVar = {"self": "/do-not-call-lists/{id}", "entries": "/do-not-call-lists/{id}/entries"}


class NewEntry(Shape):
    """`expiration_date` is the last day on which the number is not called, where it is at home."""

    phone_number: PhoneNumber
    expiration_date: Annotated[str, msgspec.Meta(max_length=10, examples=["2030-12-31"])] | None = None
    reason: Text | None = None
    example: ClassVar = {"phone_number": "+351910000000", "expiration_date": "2030-12-31", "reason": "asked us"}


class Entry(Shape):
    id: str
    do_not_call_list_id: str
    phone_number: str
    reason: str | None
    expiration_date: str | None
    created_at: datetime
    updated_at: datetime
    links: ClassVar = {"self": "/do-not-call-lists/{do_not_call_list_id}/entries/{id}"}


class EntryQuery(DeepQuery):
    """`order_by`: created_at or updated_at, with `:asc` or `:desc`."""

    phone_number: PhoneNumber | None = None
    order_by: Annotated[str, msgspec.Meta(max_length=40)] = "created_at:asc"


class Change(Shape):
    """One step of a JSON Patch (RFC 6902)."""

    op: Literal["add", "replace", "remove"]
    path: Annotated[str, msgspec.Meta(max_length=200)]
    value: Any = None
    example: ClassVar = {"op": "replace", "path": "/expiration_date", "value": "2030-12-31"}


class Named(Shape):
    id: Annotated[str, msgspec.Meta(max_length=36)]
    links: ClassVar = {}
    example: ClassVar = {"id": "00000000-0000-7000-8000-000000000001"}


class Failed(Shape):
    id: str


class ChangedEntry(Shape):
    """An entry after the change, why it was not changed, and the step if it is not allowed."""

    id: str
    do_not_call_list_id: str
    phone_number: str | None
    reason: str | None
    expiration_date: str | None
    errors: list[str]
    un_allowed_patch: dict[str, Any] | None


class ChangedEntries(Shape):
    entries: list[ChangedEntry]


class BulkChange(Shape):
    do_not_call_list_id: str
    has_errors: bool
    total_errors: int
    total_updated: int
    embedded: ChangedEntries = msgspec.field(name="_embedded")
    links: ClassVar = {
        "self": "/do-not-call-lists/{do_not_call_list_id}/entries",
        "do_not_call_list": "/do-not-call-lists/{do_not_call_list_id}",
    }


class FailedRecords(Shape):
    failed_records: list[Failed]


class BulkDelete(Shape):
    """`id` is that of the list."""

    id: str
    has_errors: bool
    total_errors: int
    total_deleted: int
    embedded: FailedRecords = msgspec.field(name="_embedded")
    links: ClassVar = {
        "self": "/do-not-call-lists/{id}/entries", "do_not_call_list": "/do-not-call-lists/{id}"
    }  # fmt: skip


class Asked(Shape):
    phone_number: PhoneNumber
    timezone: Annotated[str, msgspec.Meta(max_length=64)]


class EntriesAsked(Shape):
    """Numbers, each with the time zone in which it is at home."""

    phone_numbers: Annotated[list[Asked], msgspec.Meta(min_length=1, max_length=100)]
    example: ClassVar = {"phone_numbers": [{"phone_number": "+351910000000", "timezone": "Europe/Lisbon"}]}


def shown(row: Row, fields: list[Literal["TEAMS"]], checked: Validation | msgspec.UnsetType) -> DoNotCallList:
    return DoNotCallList(
        id=row["id"],
        name=row["name"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        status=row["status"],
        entries_count=row["count"],
        account_id=row["account_id"],
        campaign_page=lists.campaign_page(row),
        teams=lists.teams_of(row, fields),
        validation=checked,
    )


def entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        do_not_call_list_id=row["list_id"],
        phone_number=f"+{row['number']}",
        reason=row["reason"],
        expiration_date=row["expiration_date"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def create_list(ctx: Ctx, body: NewList) -> CreatedList:
    """Make a do-not-call list

    With `csv_metadata`, send the file to `signed_url` by PUT; it is validated as soon as it is there.
    """
    row = await domain.create(ctx, name=body.name, csv=body.csv_metadata)
    return CreatedList(id=row["id"], name=row["name"], status=row["status"], signed_url=row["signed_url"])


async def list_lists(ctx: Ctx, query: ListQuery) -> Page[DoNotCallList]:
    """List the do-not-call lists"""
    found = await lists.search(ctx, domain.KIND, query, "do_not_call_lists")
    return found.map(lambda row: shown(row, query.fields, msgspec.UNSET))


async def get_list(ctx: Ctx, do_not_call_list_id: str, query: OneQuery) -> DoNotCallList:
    """Get one do-not-call list"""
    row = await domain.get(ctx, do_not_call_list_id)
    return shown(row, query.fields, await lists.validation_of(ctx, row))


async def list_entries(ctx: Ctx, do_not_call_list_id: str, query: EntryQuery) -> Page[Entry]:
    """List the entries of a do-not-call list"""
    found = await domain.search(
        ctx,
        do_not_call_list_id,
        phone_number=query.phone_number,
        order_by=query.order_by,
        page=query.page,
        per_page=query.per_page,
        cursor=query.cursor,
    )
    return found.map(entry)


async def create_entry(ctx: Ctx, do_not_call_list_id: str, body: NewEntry) -> Entry:
    """Add a number to a do-not-call list"""
    facts = {"expiration_date": body.expiration_date, "reason": body.reason}
    return entry(await domain.add_entry(ctx, do_not_call_list_id, phone_number=body.phone_number, **facts))


async def get_entry(ctx: Ctx, do_not_call_list_id: str, entry_id: str) -> Entry:
    """Get one entry"""
    return entry(await domain.get_entry(ctx, do_not_call_list_id, entry_id))


async def change_entry(ctx: Ctx, do_not_call_list_id: str, entry_id: str, body: list[Change]) -> Entry:
    """Change an entry

    JSON Patch of `/expiration_date` and `/reason`.
    """
    lists.few(body)
    steps = [(one.op, one.path, one.value) for one in body]
    return entry(await domain.change_entry(ctx, do_not_call_list_id, entry_id, steps))


async def delete_entry(ctx: Ctx, do_not_call_list_id: str, entry_id: str) -> None:
    """Remove an entry"""
    await domain.get_entry(ctx, do_not_call_list_id, entry_id)
    await domain.remove_entries(ctx, do_not_call_list_id, [entry_id])


async def change_entries(ctx: Ctx, do_not_call_list_id: str, body: list[Change]) -> BulkChange:
    """Change up to 100 entries

    Steps on `/{entry_id}/expiration_date`, each applied by itself: the answer tells which were not.
    """
    lists.few(body)
    found = await domain.change_entries(ctx, do_not_call_list_id, [(one.op, one.path, one.value) for one in body])
    shown_entries = [
        ChangedEntry(
            id=id,
            do_not_call_list_id=do_not_call_list_id,
            phone_number=f"+{row['number']}" if row else None,
            reason=row["reason"] if row else None,
            expiration_date=row["expiration_date"] if row else None,
            errors=errors,
            un_allowed_patch=refused,
        )
        for row, id, errors, refused in found
    ]
    bad = sum(1 for one in shown_entries if one.errors or one.un_allowed_patch)
    return BulkChange(
        do_not_call_list_id=do_not_call_list_id,
        has_errors=bad > 0,
        total_errors=bad,
        total_updated=len(found) - bad,
        embedded=ChangedEntries(entries=shown_entries),
    )


async def delete_entries(ctx: Ctx, do_not_call_list_id: str, body: list[Named]) -> BulkDelete:
    """Remove up to 100 entries"""
    lists.few(body)
    ids = [one.id for one in body]
    missing = await domain.remove_entries(ctx, do_not_call_list_id, ids)
    failed = [Failed(id=id) for id in missing]
    return BulkDelete(
        id=do_not_call_list_id,
        has_errors=bool(missing),
        total_errors=len(missing),
        total_deleted=len(set(ids)) - len(missing),
        embedded=FailedRecords(failed_records=failed),
    )


async def query_entries(ctx: Ctx, do_not_call_list_id: str, body: EntriesAsked, query: PageQuery) -> Page[Entry]:
    """Find which numbers may not be called today

    An entry holds through the end of its last day in the time zone given with the number.
    """
    asked = [(one.phone_number, one.timezone) for one in body.phone_numbers]
    found = await domain.in_force(ctx, do_not_call_list_id, asked, page=query.page, per_page=query.per_page)
    return found.map(entry)


PATCHES = ("application/json-patch+json", "application/json")
ONE = (NOT_FOUND,)
API = Api(
    name="do_not_call_lists",
    title="Do Not Call Lists (DNCL) API",
    about="Retrieves, creates and changes do-not-call lists for the outbound dialer.",
    scopes=(MANAGE,),
    events=domain.EVENTS,
    jobs=(files.VALIDATE, domain.CLEAR),
    operations=(
        Operation("POST", "/do-not-call-lists", MANAGE, create_list, status=201, problems=(TOO_LARGE,)),
        Operation("GET", "/do-not-call-lists", MANAGE, list_lists),
        Operation("GET", "/do-not-call-lists/{do_not_call_list_id}", MANAGE, get_list, problems=ONE),
        Operation("GET", ENTRIES, MANAGE, list_entries, problems=ONE),
        Operation("POST", ENTRIES, MANAGE, create_entry, status=201, problems=ONE),
        Operation("PATCH", ENTRIES, MANAGE, change_entries, media=PATCHES, problems=ONE),
        Operation("DELETE", ENTRIES, MANAGE, delete_entries, status=200, problems=ONE),
        Operation("POST", f"{ENTRIES}/queries", MANAGE, query_entries, problems=ONE, writes=False),
        Operation("GET", f"{ENTRIES}/{{entry_id}}", MANAGE, get_entry, problems=ONE),
        Operation(
            "PATCH",
            f"{ENTRIES}/{{entry_id}}",
            MANAGE,
            change_entry,
            media=PATCHES,
            problems=(NOT_FOUND, domain.UNPROCESSABLE),
        ),
        Operation("DELETE", f"{ENTRIES}/{{entry_id}}", MANAGE, delete_entry, status=204, problems=ONE),
    ),
)
