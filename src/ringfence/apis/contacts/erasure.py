"""Forgetting people (GDPR): what is known of them goes, in the contacts and in the log of what happened."""

from datetime import datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import Table, bindparam, delete, select, update

from ringfence.kernel.catalog import EventType, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment, among
from ringfence.store.outbox import emit
from ringfence.store.query import ACCOUNT, Statement, all_rows, change, mine
from ringfence.store.tables.log import events, idempotency
from ringfence.store.work import enqueue

from .domain import CONTACT_CHANGED, CONTACT_CREATED, DROP_FINDER
from .tables import contact_emails, contact_fields, contact_phones, contact_tags, contacts

CHUNK = 200  # contacts erased in one transaction


class Criteria(Shape):
    """Contacts that fit any of these; `start` to `end` is when they were added. `after` is where a chunk begins."""

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


CONTACT_ERASED = EventType("contact.erased", Erased, "All that was known of a contact was erased")


def _has(table: Table, name: str) -> Any:
    wanted = among(table.c.value, bindparam(name, type_=Json))
    return contacts.c.id.in_(select(table.c.contact_id).where(table.c.account_id == ACCOUNT, wanted))


ANY_OF: dict[str, Any] = {
    "phones": _has(contact_phones, "phones"),
    "emails": _has(contact_emails, "emails"),
    "tags": _has(contact_tags, "tags"),
    "ids": among(contacts.c.id, bindparam("ids", type_=Json)),
    "span": (contacts.c.created_at >= bindparam("start", type_=Moment))
    & (contacts.c.created_at < bindparam("end", type_=Moment)),
}
ERASE = Statement(delete(contacts).where(contacts.c.account_id == ACCOUNT, contacts.c.id == bindparam("contact")))
ERASE_FIELDS = Statement(
    delete(contact_fields).where(
        contact_fields.c.account_id == ACCOUNT, contact_fields.c.contact_id == bindparam("contact")
    )
)
SCRUB = Statement(
    update(events)
    .where(
        events.c.account_id == ACCOUNT,
        events.c.key == bindparam("contact"),
        (events.c.type == CONTACT_CREATED.name) | (events.c.type == CONTACT_CHANGED.name),
    )
    .values(data=bindparam("left", type_=Json))
)
FORGET_ANSWERS = Statement(
    delete(idempotency).where(idempotency.c.account_id == ACCOUNT, idempotency.c.operation.like("%/contacts%"))
)


@cache
def _matching(criteria: frozenset[str]) -> Statement:
    either = ANY_OF[min(criteria)]
    for name in sorted(criteria)[1:]:
        either = either | ANY_OF[name]
    wanted = mine(contacts, contacts.c.id).where(either, contacts.c.id > bindparam("after"))
    return Statement(wanted.order_by(contacts.c.id).limit(CHUNK))


async def request(ctx: Ctx, criteria: Criteria) -> str:
    """Ask for the erasure of the contacts that fit; done by a job, in chunks."""
    return await enqueue(ctx, ERASE_CONTACTS, criteria)


async def erase(ctx: Ctx, args: Criteria) -> None:
    """Erase one chunk, and ask for the next."""
    given: dict[str, Any] = {
        "phones": args.phones,
        "emails": [email.casefold() for email in args.emails],
        "ids": args.ids,
        "tags": args.tags,
    }
    given = {name: values for name, values in given.items() if values}
    used = set(given)
    if args.start is not None and args.end is not None:
        used.add("span")
        given |= {"start": args.start, "end": args.end}
    if not used:
        return
    found = await all_rows(ctx, _matching(frozenset(used)), after=args.after, **given)
    for row in found:
        await _erase_one(ctx, row["id"], args.reason)
    if found:
        await change(ctx, FORGET_ANSWERS)
    if len(found) == CHUNK:
        await enqueue(ctx, ERASE_CONTACTS, _from(args, found[-1]["id"]))


def _from(args: Criteria, after: str) -> Criteria:
    return Criteria(
        reason=args.reason,
        phones=args.phones,
        emails=args.emails,
        ids=args.ids,
        tags=args.tags,
        start=args.start,
        end=args.end,
        after=after,
    )


async def _erase_one(ctx: Ctx, contact: str, reason: str) -> None:
    for drop in (ERASE_FIELDS, *DROP_FINDER.values(), ERASE):
        await change(ctx, drop, contact=contact)
    await change(ctx, SCRUB, contact=contact, left={"id": contact})
    await emit(ctx, CONTACT_ERASED, contact, Erased(id=contact, reason=reason))


ERASE_CONTACTS = Job("contacts.erase", Criteria, erase)
