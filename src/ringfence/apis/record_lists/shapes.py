"""What crosses the wire of the Record Lists API."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.floor.lists import CampaignPage, ListName, Team, Validation
from ringfence.floor.uploads import CsvMetadata, Status
from ringfence.kernel.shapes import DeepQuery, PageQuery, Shape

Rule = Literal["PHONE_NUMBER", "EXTERNAL", "NOTHING"]
PhoneNumber = Annotated[str, msgspec.Meta(max_length=20, examples=["+351210000000"])]
Text = Annotated[str, msgspec.Meta(max_length=255)]
Zone = Annotated[str, msgspec.Meta(max_length=35, examples=["Europe/Lisbon"])]
Many = msgspec.Meta(max_length=100)
ANA: dict[str, Any] = {
    "phone_numbers": [{"phone_number": "+351910000009", "phone_type": "MOBILE"}],
    "first_name": "Ana",
    "last_name": "Sol",
    "timezone": "Europe/Lisbon",
    "priority": 7,
    "extra_data": {"tier": "gold"},
}


class NewList(Shape):
    """With `csv_metadata` the list waits for that file, and the answer says where to send it."""

    name: ListName
    unique_identifier_type: Rule = "NOTHING"
    csv_metadata: CsvMetadata | None = None
    example: ClassVar = {"name": "Spring campaign", "unique_identifier_type": "PHONE_NUMBER"}


class CreatedList(Shape):
    id: str
    name: str
    unique_identifier_type: Rule
    status: Status
    signed_url: str | None
    links: ClassVar = {"self": "/record-lists/{id}"}


class RecordList(Shape):
    """A list. `validation` tells how the file that it was made with fared."""

    id: str
    name: str
    unique_identifier_type: Rule
    created_at: datetime
    updated_at: datetime
    records_count: int
    account_id: str
    status: Status
    campaign_page: CampaignPage
    teams: list[Team] | msgspec.UnsetType = msgspec.UNSET
    validation: Validation | msgspec.UnsetType = msgspec.UNSET
    links: ClassVar = {"self": "/record-lists/{id}", "records": "/record-lists/{id}/records"}


class StatusChange(Shape):
    """`replace` of `/status` by UPLOADED, which is taken under `value` or `status`."""

    op: Literal["replace"]
    path: Literal["/status"]
    value: Literal["UPLOADED"] | None = None
    status: Literal["UPLOADED"] | None = None
    example: ClassVar = {"op": "replace", "path": "/status", "value": "UPLOADED"}


class Phone(Shape):
    phone_number: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    phone_type: Literal["HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3"]


class NewRecord(Shape):
    """`phone_number` is taken where `phone_numbers` is absent."""

    first_name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    last_name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    phone_numbers: Annotated[list[Phone], msgspec.Meta(max_length=20)] | None = None
    phone_number: PhoneNumber | None = None
    timezone: Zone | None = None
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    external_provider: Text | None = None
    external_id: Text | None = None
    external_url: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    sync_external_id: bool | None = None
    extra_data: dict[str, Any] | None = None
    example: ClassVar = ANA


class RecordQuery(DeepQuery):
    """`order_by`: created_at, updated_at or priority, with `:asc` or `:desc`; `extra_data_filter` is `key:value`."""

    phone_number: PhoneNumber | None = None
    upload_request_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    search: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    search_fields: Annotated[list[Text], Many] = []
    order_by: Annotated[str, msgspec.Meta(max_length=40)] = "created_at:asc"
    priorities: Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=11)]], Many] = []
    timezones: Annotated[list[Zone], Many] = []
    updated_at_from: datetime | None = None
    updated_at_to: datetime | None = None
    extra_data_filter: Annotated[list[Text], Many] = []


class ZoneQuery(PageQuery):
    search: Annotated[str, msgspec.Meta(max_length=35)] | None = None


class NumberQuery(Shape):
    """The number; older clients say `phone`."""

    phone_number: PhoneNumber | None = None
    phone: PhoneNumber | None = None


class ReferenceQuery(Shape):
    """What a record is called in another system."""

    external_provider: Text
    external_id: Text


class Record(Shape):
    """Somebody to call. `priority` is null where nobody gave one."""

    id: str
    record_list_id: str
    phone_number: str | None
    phone_numbers: list[Phone]
    first_name: str
    last_name: str
    timezone: str | None
    priority: int | None
    external_provider: str | None
    external_id: str | None
    external_url: str | None
    sync_external_id: bool
    extra_data: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    links: ClassVar = {
        "self": "/record-lists/{record_list_id}/records/{id}", "record_list": "/record-lists/{record_list_id}"
    }  # fmt: skip


class Change(Shape):
    """One step of a JSON Patch (RFC 6902): `/priority`, `/extra_data`, `/extra_data/<key>`."""

    op: Literal["add", "replace"]
    path: Annotated[str, msgspec.Meta(max_length=200)]
    value: Any = None
    example: ClassVar = {"op": "replace", "path": "/priority", "value": 9}


class BulkStep(Change):
    """One step: `/records/{record_id}` with the new `priority` and what to add to `extra_data`."""

    example: ClassVar = {
        "op": "replace",
        "path": "/records/00000000-0000-7000-8000-000000000001",
        "value": {"priority": 9, "extra_data": {"tier": "silver"}},
    }


class NewRecords(Shape):
    """Up to 100 records, each taken or refused by itself."""

    records: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=100)]
    upload_request_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    example: ClassVar = {"records": [ANA]}


class Doomed(Shape):
    """A record by its id, its number, or what it is called in another system."""

    id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    phone_number: PhoneNumber | None = None
    external_provider: Text | None = None
    external_id: Text | None = None
    example: ClassVar = {"phone_number": "+351910000009"}


class BulkRecord(Shape):
    """A record of a bulk, and the codes of what is wrong with it."""

    id: str | None
    record_list_id: str
    phone_number: Any
    phone_numbers: Any
    first_name: Any
    last_name: Any
    timezone: Any
    priority: Any
    external_provider: Any
    external_id: Any
    external_url: Any
    extra_data: Any
    errors: list[str]


class BulkRecords(Shape):
    records: list[BulkRecord]


class BulkResult(Shape):
    """`total_created` counts the updated ones, after an update."""

    record_list_id: str
    has_errors: bool
    total_errors: int
    total_created: int
    embedded: BulkRecords = msgspec.field(name="_embedded")
    links: ClassVar = {
        "self": "/record-lists/{record_list_id}/records/bulks", "record_list": "/record-lists/{record_list_id}"
    }  # fmt: skip


class Failed(Shape):
    id: str


class FailedRecords(Shape):
    failed_records: list[Failed]


class BulkDelete(Shape):
    record_list_id: str
    has_errors: bool
    total_deleted: int
    total_errors: int
    embedded: FailedRecords = msgspec.field(name="_embedded")
    links: ClassVar = {
        "self": "/record-lists/{record_list_id}/records/bulks", "record_list": "/record-lists/{record_list_id}"
    }  # fmt: skip


class CallbackAction(Shape):
    """A request that is made when the file has been validated."""

    endpoint: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]+", max_length=2000)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    body: Any = None
    headers: dict[str, Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]*$(?!\n)", max_length=2000)]] = {}


class NewUpload(Shape):
    csv_metadata: CsvMetadata
    callback_action: CallbackAction | None = None
    send_atlas_notification: bool = False
    example: ClassVar = {"csv_metadata": CsvMetadata.example}


class UploadRequest(Shape):
    """A file for a list. `validation` tells how it fared."""

    id: str
    record_list_id: str
    status: Status
    signed_url: str | msgspec.UnsetType = msgspec.UNSET
    validation: Validation | msgspec.UnsetType = msgspec.UNSET
    links: ClassVar = {
        "self": "/record-lists/{record_list_id}/upload-requests/{id}",
        "record_list": "/record-lists/{record_list_id}",
        "upload": "/uploads/{id}",
    }
