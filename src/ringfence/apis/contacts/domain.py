"""What may happen to a contact: added, changed, deleted, given fields of the account's own."""

import unicodedata
from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy import Table, bindparam, delete, func, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, NOT_FOUND, PRECONDITION_REQUIRED, STALE, Fault, Problem, wrong
from ringfence.kernel.shapes import IfMatch, Page, Shape
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, mine, one
from ringfence.store.tables.contacts import (
    contact_emails,
    contact_fields,
    contact_integrations,
    contact_notes,
    contact_phones,
    contact_tags,
    contacts,
)

KEY = 255  # characters of a key: two of them still fit in one entry of a PostgreSQL index
FIELDS = 200  # of its own that a contact may have
TRIES = 2  # at a change that does not say which version it is for
NOTES = 1000  # about a contact
TOO_MANY_FIELDS = Problem("too_many_custom_fields", 409, f"A contact has at most {FIELDS} custom fields.")
TOO_MANY_NOTES = Problem("too_many_notes", 409, f"There are at most {NOTES} notes about a contact.")


class ContactFacts(Shape):
    """Who it is about; only the id is left of a contact that was erased."""

    id: str
    name: str = ""
    company: str = ""
    emails: list[str] = []
    phones: list[str] = []


class FieldFacts(Shape):
    id: str
    key: str = ""


class NoteFacts(Shape):
    """`id` is the contact's. What a note says is not in the log."""

    id: str
    note_id: str = ""


class ContactId(Shape):
    id: str


CONTACT_CREATED = EventType("contact.created", ContactFacts, "A contact was added", "contacts:read")
CONTACT_CHANGED = EventType("contact.changed", ContactFacts, "A contact was changed", "contacts:read")
CONTACT_DELETED = EventType("contact.deleted", ContactId, "A contact was deleted", "contacts:read")
FIELD_SET = EventType("contact.field_set", FieldFacts, "A custom field of a contact was set", "contacts:read")
FIELD_REMOVED = EventType(
    "contact.field_removed", FieldFacts, "A custom field of a contact was removed", "contacts:read"
)

NOTE_CREATED = EventType("contact.note_created", NoteFacts, "A note about a contact was written", "contacts:read")
NOTE_DELETED = EventType("contact.note_deleted", NoteFacts, "A note about a contact was deleted", "contacts:read")

THIS = (contacts.c.id == bindparam("contact"), contacts.c.deleted_at.is_(None))
BY_ID = Statement(mine(contacts).where(*THIS))
UNSHOWN = ("account_id", "name_key", "company_key", "integrations")
SHOWN = Statement(mine(contacts, *(c for c in contacts.c if c.name not in UNSHOWN)).where(*THIS))
HOLD = Statement(mine(contacts, contacts.c.id).where(*THIS).with_for_update(read=True))
ADD = adding(contacts)
CHANGED = (
    "name", "name_key", "company", "company_key", "title", "address", "website", "emails", "phones", "tags",
    "integrations", "version", "updated_at", "deleted_at",
)  # fmt: skip
UPDATE = Statement(
    update(contacts)
    .where(contacts.c.account_id == ACCOUNT, *THIS, contacts.c.version == bindparam("read_version"))
    .values({name: bindparam(f"new_{name}", type_=contacts.c[name].type) for name in CHANGED})
)
FINDERS: dict[str, Table] = {
    "phones": contact_phones,
    "emails": contact_emails,
    "integrations": contact_integrations,
    "tags": contact_tags,
}
ADD_FINDER = {name: adding(table) for name, table in FINDERS.items()}
DROP_FINDER = {
    name: Statement(delete(table).where(table.c.account_id == ACCOUNT, table.c.contact_id == bindparam("contact")))
    for name, table in FINDERS.items()
}
FIELD_KEYS = Statement(
    mine(contact_fields, contact_fields.c.key).where(contact_fields.c.contact_id == bindparam("contact"))
)
SET_FIELD = Statement(
    upsert(contact_fields)
    .values(account_id=ACCOUNT, contact_id=bindparam("contact"), key=bindparam("name"), value=bindparam("new_value"))
    .on_conflict_do_update(
        index_elements=[contact_fields.c.account_id, contact_fields.c.contact_id, contact_fields.c.key],
        set_={"value": bindparam("new_value")},
    )
)
DROP_FIELD = Statement(
    delete(contact_fields).where(
        contact_fields.c.account_id == ACCOUNT,
        contact_fields.c.contact_id == bindparam("contact"),
        contact_fields.c.key == bindparam("name"),
    )
)
ADD_NOTE = adding(contact_notes)
_notes = contact_notes.c.contact_id == bindparam("contact")
NOTES_OF = Statement(
    mine(contact_notes)
    .where(_notes)
    .order_by(contact_notes.c.id.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
COUNT_NOTES = Statement(mine(contact_notes, func.count().label("count")).where(_notes))
DROP_NOTE = Statement(
    delete(contact_notes).where(contact_notes.c.account_id == ACCOUNT, _notes, contact_notes.c.id == bindparam("note"))
)


def key(text: str) -> str:
    """Text without case and accents: what names are ordered and loosely searched by."""
    if text.isascii():
        return text.lower()[:KEY]
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.casefold()[:KEY]


def integration_key(name: str, external_id: str) -> str:
    return f"{name}:{external_id}"


def _found_by(facts: dict[str, Any]) -> dict[str, set[str]]:
    """What a contact can be found by."""
    return {
        "phones": {phone["number"] for phone in facts["phones"]},
        "emails": {email["email"].casefold() for email in facts["emails"]},
        "integrations": {integration_key(i["name"], i["external_id"]) for i in facts["integrations"]},
        "tags": set(facts["tags"]),
    }


def _said(row: Row) -> ContactFacts:
    """What an event tells of a contact."""
    return ContactFacts(
        id=row["id"],
        name=row["name"],
        company=row["company"],
        emails=[email["email"] for email in row["emails"]],
        phones=[phone["number"] for phone in row["phones"]],
    )


async def create(ctx: Ctx, facts: dict[str, Any]) -> Row:
    """Add a contact. `facts`: name, company, title, address, website, emails, phones, tags, integrations."""
    now = ctx.now()
    row: Row = facts | {
        "account_id": ctx.account,
        "id": ctx.new_id(),
        "name_key": key(facts["name"]),
        "company_key": key(facts["company"]),
        "version": 1,
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
    }
    await ctx.db.run(ADD, **row)
    await _add_finders(ctx, row["id"], _found_by(row))
    await emit(ctx, CONTACT_CREATED, row["id"], _said(row))
    return row


async def _add_finders(ctx: Ctx, id: str, found_by: dict[str, set[str]]) -> None:
    for name, values in found_by.items():
        if values:
            rows = [{"account_id": ctx.account, "value": value, "contact_id": id} for value in sorted(values)]
            await ctx.db.many(ADD_FINDER[name], rows)


def read(ctx: Ctx, contact: str) -> Coroutine[Any, Any, Row]:
    """What is shown of a contact, and no more: this is asked for more often than anything else."""
    return one(ctx, SHOWN, contact=contact)


async def get(ctx: Ctx, contact: str) -> Row:
    return await one(ctx, BY_ID, contact=contact)


def _check_version(ctx: Ctx, row: Row, if_match: IfMatch) -> None:
    if if_match.versions is None:
        if ctx.settings.require_if_match:
            raise Fault(PRECONDITION_REQUIRED)
    elif not if_match.any and row["version"] not in if_match.versions:
        raise Fault(STALE)


async def _rewrite(ctx: Ctx, contact: str, if_match: IfMatch, new: Callable[[Row], Row]) -> tuple[Row, Row]:
    """Write what `new` makes of a contact over the version that was read: the row before, and after.

    Whoever loses a race starts again with what the winner wrote, unless If-Match named the version.
    """
    for _ in range(TRIES):
        before = await get(ctx, contact)
        _check_version(ctx, before, if_match)
        after = before | new(before) | {"updated_at": ctx.now(), "version": before["version"] + 1}
        given = {f"new_{name}": after[name] for name in CHANGED}
        if await change(ctx, UPDATE, contact=contact, read_version=before["version"], **given):
            return before, after
        if if_match.versions:
            raise Fault(STALE)
    raise Fault(CONFLICT, "Others are changing this contact; try again.")


async def revise(ctx: Ctx, contact: str, new: Callable[[Row], Row], if_match: IfMatch) -> Row:
    """Change a contact: `new` makes its facts, all that `create` takes, of the present ones."""

    def with_keys(row: Row) -> Row:
        facts = new(row)
        return facts | {"name_key": key(facts["name"]), "company_key": key(facts["company"])}

    before, after = await _rewrite(ctx, contact, if_match, with_keys)
    past, present = _found_by(before), _found_by(after)
    for name in FINDERS:
        if past[name] != present[name]:
            await change(ctx, DROP_FINDER[name], contact=contact)
            await _add_finders(ctx, contact, {name: present[name]})
    await emit(ctx, CONTACT_CHANGED, contact, _said(after))
    return after


async def remove(ctx: Ctx, contact: str, if_match: IfMatch) -> None:
    """Delete a contact: it keeps its row, with the time, for those who list with `include_deleted`."""
    await _rewrite(ctx, contact, if_match, lambda _: {"deleted_at": ctx.now()})
    await emit(ctx, CONTACT_DELETED, contact, ContactId(id=contact))


async def set_field(ctx: Ctx, contact: str, name: str, value: str) -> None:
    """Set a custom field of a contact. Names have 1 to 100 characters."""
    if not 1 <= len(name) <= 100:
        raise wrong("key", "must have 1 to 100 characters")
    await one(ctx, HOLD, contact=contact)  # until commit, or an erasure meanwhile would leave this field behind
    known = {row["key"] for row in await all_rows(ctx, FIELD_KEYS, contact=contact)}
    if name not in known and len(known) >= FIELDS:
        raise Fault(TOO_MANY_FIELDS)
    await change(ctx, SET_FIELD, contact=contact, name=name, new_value=value)
    await emit(ctx, FIELD_SET, contact, FieldFacts(id=contact, key=name))


async def remove_field(ctx: Ctx, contact: str, name: str) -> None:
    await one(ctx, HOLD, contact=contact)
    if not await change(ctx, DROP_FIELD, contact=contact, name=name):
        raise Fault(NOT_FOUND, "The contact has no such custom field.")
    await emit(ctx, FIELD_REMOVED, contact, FieldFacts(id=contact, key=name))


async def add_note(ctx: Ctx, contact: str, *, title: str, content: str) -> Row:
    """Write a note about a contact."""
    await one(ctx, HOLD, contact=contact)  # until commit, or an erasure meanwhile would leave this note behind
    if (await one(ctx, COUNT_NOTES, contact=contact))["count"] >= NOTES:
        raise Fault(TOO_MANY_NOTES)
    row: Row = {
        "account_id": ctx.account,
        "id": ctx.new_id(),
        "contact_id": contact,
        "title": title,
        "content": content,
        "created_at": ctx.now(),
    }
    await ctx.db.run(ADD_NOTE, **row)
    await emit(ctx, NOTE_CREATED, contact, NoteFacts(id=contact, note_id=row["id"]))
    return row


async def notes(ctx: Ctx, contact: str, page: int, per_page: int) -> Page[Row]:
    """The notes about a contact, the latest first."""
    await get(ctx, contact)
    found = await all_rows(ctx, NOTES_OF, contact=contact, limit=per_page, offset=(page - 1) * per_page)
    total = (await one(ctx, COUNT_NOTES, contact=contact))["count"]
    return Page(
        rel="notes", items=found, total=total, page=page, per_page=per_page, members=("total", "count"), bounds=False
    )


async def remove_note(ctx: Ctx, contact: str, note: str) -> None:
    await one(ctx, HOLD, contact=contact)
    if not await change(ctx, DROP_NOTE, contact=contact, note=note):
        raise Fault(NOT_FOUND, "There is no such note about the contact.")
    await emit(ctx, NOTE_DELETED, contact, NoteFacts(id=contact, note_id=note))
