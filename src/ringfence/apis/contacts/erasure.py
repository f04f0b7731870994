"""Forgetting people (GDPR): what is known of them goes, in the contacts and in the log of what happened."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

import msgspec
from sqlalchemy import bindparam, delete, union, update

from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment, among
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Statement, all_rows, change, mine
from ringfence.store.tables.contacts import (
    contact_emails,
    contact_fields,
    contact_notes,
    contact_phones,
    contact_tags,
    contacts,
)
from ringfence.store.tables.log import events, idempotency
from ringfence.store.work import enqueue

from .domain import FINDERS
from .search import having, read, those

CHUNK = 200  # contacts erased in one transaction
WAIT = timedelta(minutes=5)  # that a request may have stood in line with its Idempotency-Key already claimed


class Criteria(Shape):
    """Contacts that fit any of the lists, of those added from `start` to `end`. `after` is where a chunk begins."""

    reason: Literal["rtbf", "account_removal"]
    phones: list[str] = []
    emails: list[str] = []
    ids: list[str] = []
    tags: list[str] = []
    start: datetime | None = None
    end: datetime | None = None
    after: str = ""


class Erased(Shape):
    id: str
    reason: str


CONTACT_ERASED = EventType("contact.erased", Erased, "All that was known of a contact was erased", "contacts:read")


NAMED = {
    "phones": having(contact_phones, "phones"),
    "emails": having(contact_emails, "emails"),
    "ids": those(among(contacts.c.id, bindparam("ids", type_=Json))),
    "tags": having(contact_tags, "tags"),
}
GONE = bindparam("gone", type_=Json)
ERASE = Statement(
    delete(contacts)
    .where(contacts.c.account_id == ACCOUNT, among(contacts.c.id, GONE))
    .returning(contacts.c.id, contacts.c.created_at)
)
ERASE_BESIDE = [
    Statement(delete(table).where(table.c.account_id == ACCOUNT, among(table.c.contact_id, GONE)))
    for table in (*FINDERS.values(), contact_fields)
]
ERASE_NOTES = Statement(
    delete(contact_notes)
    .where(contact_notes.c.account_id == ACCOUNT, among(contact_notes.c.contact_id, GONE))
    .returning(contact_notes.c.created_at)
)
SCRUB = Statement(
    update(events)
    .where(events.c.account_id == ACCOUNT, events.c.key == bindparam("contact"), events.c.type.startswith("contact."))
    .values(data=bindparam("left", type_=Json))
)
FORGET_ANSWER = Statement(
    delete(idempotency).where(
        idempotency.c.account_id == ACCOUNT,
        idempotency.c.operation == bindparam("by"),
        idempotency.c.created_at >= bindparam("since", type_=Moment),
        idempotency.c.created_at <= bindparam("until", type_=Moment),
    )
)


@cache
def _matching(named: frozenset[str], *, within: bool) -> Statement:
    wanted = mine(contacts, contacts.c.id).where(contacts.c.id > bindparam("after"))
    if named:
        wanted = wanted.where(contacts.c.id.in_(union(*(NAMED[name] for name in sorted(named)))))
    if within:
        wanted = wanted.where(
            contacts.c.created_at >= bindparam("start", type_=Moment),
            contacts.c.created_at < bindparam("end", type_=Moment),
        )
    return Statement(wanted.order_by(contacts.c.id).limit(CHUNK))


async def request(ctx: Ctx, criteria: Criteria) -> str:
    """Ask for the erasure of the contacts that fit; done by a job, in chunks. The job's id."""
    return await enqueue(ctx, ERASE_CONTACTS, criteria)


async def erase(ctx: Ctx, args: Criteria) -> None:
    """Erase one chunk, and ask for the next."""
    lists: dict[str, Any] = {
        "phones": args.phones,
        "emails": [email.casefold() for email in args.emails],
        "ids": args.ids,
        "tags": args.tags,
    }
    named = frozenset(name for name, values in lists.items() if values)
    within = args.start is not None and args.end is not None
    if not named and not within:
        return
    given = lists | {"after": args.after, "start": args.start, "end": args.end}
    found = [row["id"] for row in await read(ctx, _matching(named, within=within), given, aside=True)]
    if found:
        await _erase(ctx, found, args.reason)
    if len(found) == CHUNK:
        await enqueue(ctx, ERASE_CONTACTS, msgspec.structs.replace(args, after=found[-1]))


async def _erase(ctx: Ctx, found: list[str], reason: str) -> None:
    # the contacts first: that waits for whoever is changing one, and nothing can be added to it afterwards
    gone = await all_rows(ctx, ERASE, gone=found)
    ids = [row["id"] for row in gone]
    notes = await all_rows(ctx, ERASE_NOTES, gone=ids)
    for statement in ERASE_BESIDE:
        await change(ctx, statement, gone=ids)
    await ctx.db.many(SCRUB, [{"account": ctx.account, "contact": id, "left": {"id": id}} for id in ids])
    # an answer remembered for an Idempotency-Key holds the contact or the note that it made
    made = [("POST /contacts", row) for row in gone] + [("POST /contacts/{contact_id}/notes", row) for row in notes]
    spans = [{"by": by, "since": row["created_at"] - WAIT, "until": row["created_at"]} for by, row in made]
    await ctx.db.many(FORGET_ANSWER, [{"account": ctx.account, **span} for span in spans])
    for id in ids:
        await emit(ctx, CONTACT_ERASED, id, Erased(id=id, reason=reason))


ERASE_CONTACTS = Job("contacts.erase", Criteria, erase)
