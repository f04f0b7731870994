"""The Contacts API as the world sees it."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, PRECONDITION_REQUIRED, STALE, wrong
from ringfence.kernel.shapes import IfMatch, Page, PageQuery, Shape, Versioned, Wrapped, misfit
from ringfence.store.query import Row

from . import domain, erasure, search

READ = Scope("contacts:read", "See your contacts and how to reach them")
WRITE = Scope("contacts:write", "Add, change and delete your contacts")

# Python's `$` also matches before a last newline; what follows it refuses that, and means nothing elsewhere
Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}$(?!\n)", examples=["+351210000000"])]
Mail = Annotated[str, msgspec.Meta(pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$(?!\n)", max_length=254)]
Name = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=255)]
Label = Annotated[str, msgspec.Meta(max_length=50)]
Text = Annotated[str, msgspec.Meta(max_length=255)]
LongText = Annotated[str, msgspec.Meta(max_length=2000)]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
FEW = msgspec.Meta(max_length=50)
Wanted = Annotated[list[Text], msgspec.Meta(max_length=200)]
MANY = msgspec.Meta(max_length=1000)
CUSTOM = "/contacts/{contact_id}/custom-fields"
NOTES = "/contacts/{contact_id}/notes"


class Phone(Shape):
    """A phone number in E.164."""

    number: Number
    label: Label = ""


class Email(Shape):
    email: Mail
    label: Label = ""


class EmailShown(Shape):
    """An e-mail address; `number` repeats it for clients that look there."""

    label: str
    email: str
    number: str


class Integration(Shape):
    """The same person in another system."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^:]+$")]
    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    url: LongText = ""


class NewContact(Shape):
    """What a contact consists of; only the name must be given."""

    name: Name
    company: Text = ""
    title: Text = ""
    address: LongText = ""
    website: LongText = ""
    emails: Annotated[list[Email], FEW] = []
    phones: Annotated[list[Phone], FEW] = []
    tags: Annotated[list[Tag], FEW] = []
    integrations: Annotated[list[Integration], FEW] = []
    example: ClassVar = {
        "name": "Ana Sol",
        "company": "Sol & Filhos",
        "emails": [{"label": "work", "email": "ana@example.com"}],
        "phones": [{"label": "mobile", "number": "+351910000000"}],
    }


class Contact(Shape):
    """A person that the contact centre talks to. `company` is empty where there is none."""

    id: str
    name: str
    company: str
    title: str
    address: str
    website: str
    emails: list[EmailShown]
    phones: list[Phone]
    tags: list[str]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    links: ClassVar = {
        "self": "/contacts/{id}",
        "integrations": "/contacts/{id}/integrations",
        "custom_fields": "/contacts/{id}/custom-fields",
        "notes": "/contacts/{id}/notes",
    }
    example: ClassVar = {
        "id": "5f0000000000000000000001",
        "name": "Ana Sol",
        "company": "Sol & Filhos",
        "title": "",
        "address": "",
        "website": "",
        "emails": [{"label": "work", "email": "ana@example.com", "number": "ana@example.com"}],
        "phones": [{"number": "+351910000000", "label": "mobile"}],
        "tags": [],
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:00:00Z",
        "deleted_at": None,
    }


class ContactQuery(PageQuery):
    """`name` and `company` match exactly, their `.loose` variants anywhere in the text, case and accents aside."""

    ids: Wanted = []
    name: Text | None = None
    name_loose: Text | None = msgspec.field(name="name.loose", default=None)
    company: Text | None = None
    company_loose: Text | None = msgspec.field(name="company.loose", default=None)
    integration: Annotated[str, msgspec.Meta(max_length=356)] | None = None
    emails: Wanted = []
    phones: Wanted = []
    include_deleted: bool = False


class Integrations(Shape):
    """A contact in other systems."""

    contact_id: str
    embedded: dict[str, list[Integration]] = msgspec.field(name="_embedded")
    links: ClassVar = {"self": "/contacts/{contact_id}/integrations"}


class CustomField(Shape):
    key: str
    value: str
    example: ClassVar = {"key": "tier", "value": "gold"}


class FieldValue(Shape):
    """The value of a custom field."""

    value: Annotated[str, msgspec.Meta(max_length=4000)]
    example: ClassVar = {"value": "gold"}


class FieldQuery(PageQuery):
    """`search` matches anywhere in the key."""

    search: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class NewNote(Shape):
    """What somebody wants to be remembered of a contact."""

    title: Name
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    example: ClassVar = {"title": "Call back", "content": "Prefers the afternoon."}


class Note(Shape):
    id: str
    contact_id: str
    title: str
    content: str
    created_at: datetime
    links: ClassVar = {"contact": "/contacts/{contact_id}"}
    example: ClassVar = {
        "id": "5f0000000000000000000002",
        "contact_id": "5f0000000000000000000001",
        "title": "Call back",
        "content": "Prefers the afternoon.",
        "created_at": "2026-01-05T09:00:00Z",
    }


class Span(Shape):
    """From `start_time` up to, not including, `end_time`."""

    start_time: datetime
    end_time: datetime


class Erasure(Shape):
    """Contacts that fit any of the lists are erased, of those added within `created_at` where it is given.

    At least one of phones, emails, ids, tags and created_at must be given.
    """

    reason: Literal["rtbf", "account_removal"] = "rtbf"
    phones: Annotated[list[Number], MANY] = []
    emails: Annotated[list[Mail], MANY] = []
    ids: Annotated[list[Text], MANY] = []
    tags: Annotated[list[Tag], MANY] = []
    created_at: Span | None = None
    example: ClassVar = {"reason": "rtbf", "emails": ["ana@example.com"]}


def shown(row: Row) -> Contact:
    return Contact(
        id=row["id"],
        name=row["name"],
        company=row["company"],
        title=row["title"],
        address=row["address"],
        website=row["website"],
        emails=[EmailShown(label=e["label"], email=e["email"], number=e["email"]) for e in row["emails"]],
        phones=[Phone(number=p["number"], label=p["label"]) for p in row["phones"]],
        tags=row["tags"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        deleted_at=row["deleted_at"],
    )


def answered(row: Row) -> Versioned[Wrapped[Contact]]:
    return Versioned(Wrapped("contact", shown(row)), row["version"])


def facts(body: NewContact) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(body)
    return found


async def list_contacts(ctx: Ctx, query: ContactQuery) -> Page[Contact]:
    """Find contacts

    By name, then id. At most 10,000 contacts can be reached; narrow the search to see others.
    """
    found = await search.search(
        ctx,
        page=query.page,
        per_page=query.per_page,
        include_deleted=query.include_deleted,
        ids=query.ids,
        phones=[_plus(phone) for phone in query.phones],
        emails=query.emails,
        integration=query.integration,
        name=query.name,
        name_loose=query.name_loose,
        company=query.company,
        company_loose=query.company_loose,
    )
    return found.map(shown)


def _plus(number: str) -> str:
    """A `+` that was not percent-encoded in the query arrives as a space."""
    return f"+{number[1:]}" if number.startswith(" ") else number


async def create_contact(ctx: Ctx, body: NewContact) -> Versioned[Wrapped[Contact]]:
    """Add a contact"""
    return answered(await domain.create(ctx, facts(body)))


async def get_contact(ctx: Ctx, contact_id: str) -> Versioned[Wrapped[Contact]]:
    """Get one contact"""
    return answered(await domain.read(ctx, contact_id))


async def change_contact(
    ctx: Ctx, contact_id: str, body: Patch[NewContact], if_match: IfMatch
) -> Versioned[Wrapped[Contact]]:
    """Change a contact

    Takes a merge document (RFC 7396) or JSON Patch operations (RFC 6902).
    """

    def changed(row: Row) -> Row:
        return facts(_fitting(body.onto({name: row[name] for name in NewContact.__struct_fields__})))

    return answered(await domain.revise(ctx, contact_id, changed, if_match))


def _fitting(document: Any) -> NewContact:
    try:
        return msgspec.convert(document, NewContact)
    except msgspec.ValidationError as why:
        raise misfit(why) from why


async def delete_contact(ctx: Ctx, contact_id: str, if_match: IfMatch) -> None:
    """Delete a contact

    It disappears, but for listings with `include_deleted`. To erase what is known of a person, see
    POST /internal-contacts/gdpr.
    """
    await domain.remove(ctx, contact_id, if_match)


async def list_integrations(ctx: Ctx, contact_id: str) -> Integrations:
    """List a contact's counterparts in other systems"""
    row = await domain.get(ctx, contact_id)
    found = [msgspec.convert(one, Integration) for one in row["integrations"]]
    return Integrations(contact_id=contact_id, embedded={"integrations": found})


async def list_custom_fields(ctx: Ctx, contact_id: str, query: FieldQuery) -> Page[CustomField]:
    """List a contact's custom fields"""
    await domain.get(ctx, contact_id)
    found = await search.fields(ctx, contact_id, page=query.page, per_page=query.per_page, search=query.search)
    return found.map(lambda row: CustomField(key=row["key"], value=row["value"]))


async def set_custom_field(ctx: Ctx, contact_id: str, key: str, body: FieldValue) -> CustomField:
    """Set a custom field of a contact"""
    await domain.set_field(ctx, contact_id, key, body.value)
    return CustomField(key=key, value=body.value)


async def delete_custom_field(ctx: Ctx, contact_id: str, key: str) -> None:
    """Remove a custom field of a contact"""
    await domain.remove_field(ctx, contact_id, key)


def noted(row: Row) -> Note:
    return Note(**{name: row[name] for name in Note.__struct_fields__})


async def add_note(ctx: Ctx, contact_id: str, body: NewNote) -> Note:
    """Write a note about a contact"""
    return noted(await domain.add_note(ctx, contact_id, title=body.title, content=body.content))


async def list_notes(ctx: Ctx, contact_id: str, query: PageQuery) -> Page[Note]:
    """List the notes about a contact

    The latest first.
    """
    return (await domain.notes(ctx, contact_id, query.page, query.per_page)).map(noted)


async def delete_note(ctx: Ctx, contact_id: str, note_id: str) -> None:
    """Delete a note about a contact"""
    await domain.remove_note(ctx, contact_id, note_id)


async def erase_contacts(ctx: Ctx, body: Erasure) -> None:
    """Erase what is known of people

    The contacts that fit are erased shortly after, with all that the event log held of them.
    """
    if not (body.phones or body.emails or body.ids or body.tags or body.created_at):
        raise wrong("body", "name at least one of phones, emails, ids, tags, created_at")
    span = body.created_at
    if span is not None and _aware(span.start_time, "start_time") >= _aware(span.end_time, "end_time"):
        raise wrong("created_at.end_time", "must be after start_time")
    criteria = erasure.Criteria(
        reason=body.reason,
        phones=body.phones,
        emails=body.emails,
        ids=body.ids,
        tags=body.tags,
        start=span.start_time if span else None,
        end=span.end_time if span else None,
    )
    await erasure.request(ctx, criteria)


def _aware(moment: datetime, name: str) -> datetime:
    if moment.tzinfo is None:
        raise wrong(f"created_at.{name}", "must say its time zone, as in 2026-01-05T09:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as why:
        raise wrong(f"created_at.{name}", "is not within the years 1 to 9999 in UTC") from why


PATCHES = ("application/merge-patch+json", "application/json-patch+json", "application/json")
VERSIONS = (STALE, PRECONDITION_REQUIRED, CONFLICT)
API = Api(
    name="contacts",
    title="Contacts API",
    about="Reads and edits a contact's information.",
    scopes=(READ, WRITE),
    events=(
        domain.CONTACT_CREATED,
        domain.CONTACT_CHANGED,
        domain.CONTACT_DELETED,
        domain.FIELD_SET,
        domain.FIELD_REMOVED,
        domain.NOTE_CREATED,
        domain.NOTE_DELETED,
        erasure.CONTACT_ERASED,
    ),
    jobs=(erasure.ERASE_CONTACTS,),
    operations=(
        Operation("GET", "/contacts", READ, list_contacts),
        Operation("POST", "/contacts", WRITE, create_contact, status=201),
        Operation("GET", "/contacts/{contact_id}", READ, get_contact, problems=(NOT_FOUND,)),
        Operation(
            "PATCH",
            "/contacts/{contact_id}",
            WRITE,
            change_contact,
            media=PATCHES,
            problems=(NOT_FOUND, *VERSIONS),
        ),
        Operation(
            "DELETE", "/contacts/{contact_id}", WRITE, delete_contact, status=204, problems=(NOT_FOUND, *VERSIONS)
        ),
        Operation("GET", "/contacts/{contact_id}/integrations", READ, list_integrations, problems=(NOT_FOUND,)),
        Operation("GET", CUSTOM, READ, list_custom_fields, problems=(NOT_FOUND,)),
        Operation("PUT", f"{CUSTOM}/{{key}}", WRITE, set_custom_field, problems=(NOT_FOUND, domain.TOO_MANY_FIELDS)),
        Operation("DELETE", f"{CUSTOM}/{{key}}", WRITE, delete_custom_field, status=204, problems=(NOT_FOUND,)),
        Operation("POST", NOTES, WRITE, add_note, status=201, problems=(NOT_FOUND, domain.TOO_MANY_NOTES)),
        Operation("GET", NOTES, READ, list_notes, problems=(NOT_FOUND,)),
        Operation("DELETE", f"{NOTES}/{{note_id}}", WRITE, delete_note, status=204, problems=(NOT_FOUND,)),
        Operation("POST", "/internal-contacts/gdpr", WRITE, erase_contacts, status=202),
    ),
)
