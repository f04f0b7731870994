"""Writing down what other systems tell, and forgetting who it was about.

An event's key is the contact that it is about, else its interaction; its id follows from what it tells, so that what
is told again changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import bindparam, update

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault, wrong
from ringfence.kernel.shapes import in_utc, misfit
from ringfence.store.columns import Json, among
from ringfence.store.expressions import member
from ringfence.store.outbox import FOR_KEY, emit, emit_once
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, change, mine
from ringfence.store.tables.contacts import contact_phones, contacts
from ringfence.store.tables.floor import interactions
from ringfence.store.tables.identity import ring_groups, users
from ringfence.store.tables.log import events

from .channels import (
    BY_TYPE,
    CONVERSATIONS,
    DIALER_CALLS,
    EVALUATIONS,
    INTERACTION_FORGOTTEN,
    MESSAGES,
    SURVEYS,
    InteractionForgotten,
    Kind,
    impersonal,
)

LISTED = {MESSAGES.what.name: "messages", CONVERSATIONS.what.name: "contacts", DIALER_CALLS.what.name: "dialer_calls"}
CHUNK = 200  # events forgotten in one transaction
ERASED = "contact.erased"  # told by the Contacts API
_wanted: Any = bindparam("wanted", type_=Json)
USERS = Statement(mine(users, users.c.id).where(among(users.c.id, _wanted)))
GROUPS = Statement(mine(ring_groups, ring_groups.c.name))
CALLERS = Statement(
    mine(interactions, interactions.c.id, interactions.c.contact_id).where(
        among(interactions.c.id, _wanted), interactions.c.contact_id.is_not(None)
    )
)
NUMBERS = Statement(
    mine(contact_phones, contact_phones.c.value, contact_phones.c.contact_id)
    .where(among(contact_phones.c.value, _wanted))
    .order_by(contact_phones.c.contact_id.desc())
)
CONTACTS = Statement(mine(contacts, contacts.c.id).where(among(contacts.c.id, _wanted)))
GONE = Statement(mine(events, events.c.key).where(among(events.c.key, _wanted), events.c.type == ERASED))
ABOUT = Statement(
    mine(events)
    .where(events.c.key == bindparam("contact"), member(events.c.data, "person_id") == bindparam("contact"))
    .limit(CHUNK)
)
FORGET = Statement(
    update(events)
    .where(events.c.account_id == ACCOUNT, events.c.id == bindparam("event"))
    .values(data=bindparam("new_data", type_=Json), key=bindparam("new_key"))
)


@dataclass(frozen=True, slots=True)
class Known:
    """What records may name, and whom they are about: contacts by interaction and by number, those erased."""

    users: frozenset[str]
    groups: frozenset[str]
    callers: Mapping[str, str]
    numbers: Mapping[str, str]
    gone: frozenset[str]


async def record_messages(ctx: Ctx, given: Sequence[Any]) -> int:
    """Messages as JSON has them (`channels.Message`): how many of them were new. So it is with those below."""
    return await record(ctx, MESSAGES, given)


async def record_conversations(ctx: Ctx, given: Sequence[Any]) -> int:
    return await record(ctx, CONVERSATIONS, given)


async def record_evaluations(ctx: Ctx, given: Sequence[Any]) -> int:
    """An evaluation that is there already is edited by a higher `version`."""
    return await record(ctx, EVALUATIONS, given)


async def record_surveys(ctx: Ctx, given: Sequence[Any]) -> int:
    return await record(ctx, SURVEYS, given)


async def record_dialer_calls(ctx: Ctx, given: Sequence[Any]) -> int:
    return await record(ctx, DIALER_CALLS, given)


async def record(ctx: Ctx, kind: Kind, given: Sequence[Any]) -> int:
    """Write down what is told, all of it or, with a Fault that names `[index].member`, nothing. How many were new."""
    read = [_within(index, lambda one: read_one(ctx, kind, one), one) for index, one in enumerate(given)]
    known = await _known(ctx, kind, read)
    for index, one in enumerate(read):
        _within(index, lambda one: _check_names(kind, one, known), one)
    return await emit_once(ctx, [_event(ctx, kind, one, known) for one in read])


def _within(index: int, work: Any, one: Any) -> Any:
    try:
        return work(one)
    except Fault as why:
        [field] = why.detail.fields
        raise wrong(f"[{index}].{field.name}" if field.name != "body" else f"[{index}]", field.description) from why


def read_one(ctx: Ctx, kind: Kind, given: Any) -> Any:
    """One of what is told, checked as far as that goes without looking anything up. Raises a Fault."""
    try:
        told: Any = msgspec.convert(given, kind.what.data)
    except (msgspec.ValidationError, RecursionError) as why:
        raise misfit(why) from why
    now = ctx.now()
    for name in kind.times:
        moment: datetime | None = getattr(told, name)
        if moment is None:
            continue
        if moment.tzinfo is not UTC:
            moment = in_utc(moment, name)
            told = msgspec.structs.replace(told, **{name: moment})
        if moment > now:
            raise wrong(name, "lies in the future")
    return kind.check(told)


async def _known(ctx: Ctx, kind: Kind, read: list[Any]) -> Known:
    named = {user for one in read for name in kind.users if (user := getattr(one, name)) is not None}
    found = await all_rows(ctx, USERS, wanted=sorted(named)) if named else []
    groups = await all_rows(ctx, GROUPS) if any(getattr(one, name) for one in read for name in kind.groups) else []
    callers: dict[str, str] = {}
    numbers: dict[str, str] = {}
    gone: set[str] = set()
    if kind.personal is not None:
        nameless = [one for one in read if one.person_id is None]
        if kind.phone and nameless:
            wanted = sorted({one.interaction_id for one in nameless})
            callers = {r["id"]: r["contact_id"] for r in await all_rows(ctx, CALLERS, wanted=wanted)}
            wanted = sorted({getattr(one, kind.phone) or "" for one in nameless} - {""})
            numbers = {r["value"]: r["contact_id"] for r in await all_rows(ctx, NUMBERS, wanted=wanted)}
        people = {one.person_id for one in read if one.person_id is not None} | {*callers.values(), *numbers.values()}
        if people:
            people -= {row["id"] for row in await all_rows(ctx, CONTACTS, wanted=sorted(people))}
        gone = {row["key"] for row in await all_rows(ctx, GONE, wanted=sorted(people))} if people else set()
    return Known(
        frozenset(r["id"] for r in found), frozenset(r["name"] for r in groups), callers, numbers, frozenset(gone)
    )


def _check_names(kind: Kind, told: Any, known: Known) -> None:
    for name in kind.users:
        user = getattr(told, name)
        if user is not None and user not in known.users:
            raise wrong(name, f"there is no person {user!r} in this account")
    for name in kind.groups:
        if strange := [group for group in getattr(told, name) if group not in known.groups]:
            raise wrong(name, f"there is no ring group {strange[0]!r}")


def _event(ctx: Ctx, kind: Kind, told: Any, known: Known) -> tuple[str, Any, str, datetime, Any]:
    what, version = kind.what, getattr(told, "version", 0)
    told_of = f"{ctx.account} {what.name} {told.id} {version}"
    id = blake2b(told_of.encode(), digest_size=16).hexdigest()
    data: dict[str, Any] = msgspec.to_builtins(told)
    person = None
    if kind.personal is not None:
        person = told.person_id or known.callers.get(told.interaction_id)
        person = person or (known.numbers.get(data[kind.phone]) if kind.phone else None)
        data["person_id"] = person
        if person in known.gone:
            person, data = None, impersonal(kind, data)
    return id, what, person or told.interaction_id, getattr(told, kind.at), data


async def forget_some(ctx: Ctx, contact: str) -> bool:
    """Forget a contact in some of what was told about them; whether there was any."""
    found = await all_rows(ctx, ABOUT, contact=contact)
    for interaction in sorted({event["data"]["interaction_id"] for event in found}):
        # what names nobody is about the same person
        found += await all_rows(ctx, FOR_KEY, key=interaction)
    await forget_in(ctx, {event["id"]: event for event in found if event["type"] in BY_TYPE}.values())
    return bool(found)


async def forget_in(ctx: Ctx, found: Iterable[Row]) -> None:
    """Forget who these events are about; they are found by their interaction from now on."""
    forgotten: dict[str, InteractionForgotten] = {}
    for event in found:
        told, kind = event["data"], BY_TYPE[event["type"]]
        left, interaction = impersonal(kind, told), told["interaction_id"]
        if left == told:
            continue
        await change(ctx, FORGET, event=event["id"], new_key=interaction, new_data=left)
        into = forgotten.setdefault(
            interaction,
            InteractionForgotten(interaction_id=interaction, messages=[], contacts=[], surveys={}, dialer_calls=[]),
        )
        if kind is SURVEYS:
            into.surveys[told["id"]] = len(told["components"])
        else:
            getattr(into, LISTED[event["type"]]).append(told["id"])
    for interaction, into in forgotten.items():
        await emit(ctx, INTERACTION_FORGOTTEN, interaction, into)
