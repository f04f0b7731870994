"""What webhook triggers send: flat objects of texts, from an event and the account's rows, put into a message.

The keys are those of the contract (data_and_events.md section 5). A client is told of contacts, people, ring groups
and the account what its scopes let it read; the rest is empty, as is what the platform does not know.
"""

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from ringfence.floor import events as floor
from ringfence.floor.directory import GROUPS_OF
from ringfence.floor.live import OFFLINE
from ringfence.kernel.catalog import EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import wrong
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, find, mine
from ringfence.store.tables.contacts import contact_notes, contacts
from ringfence.store.tables.identity import accounts, users

CONTACT = (
    "contact_id", "account_id", "contact_first_name", "contact_last_name", "contact_name", "contact_email",
    "contact_phone", "contact_company", "contact_title", "contact_address", "contact_website", "account_email",
    "account_name",
)  # fmt: skip
AGENT = ("agent_id", "agent_name", "agent_email", "agent_tags")
CALL = (
    "call_id", "interaction_id", "talkdesk_phone_number", "contact_phone_number", "phone_vip", "phone_ivr",
    "interaction_type",
)  # fmt: skip
CONTEXT = "interaction_context_id"
TIMES = ("total_duration", "duration", "waiting_time", "hold_time")
PLACES = 200  # that a message may have
ALIASES = {"agent_tags_list": "agent_tags"}  # what the low-code connector calls it


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that a caller may be told of: which event, if its data fit, and what is sent beside `event`."""

    name: str
    title: str
    type: str
    keys: tuple[str, ...]
    fits: Callable[[Mapping[str, Any]], bool] = lambda data: True

    def places(self) -> tuple[str, ...]:
        return ("event", *self.keys)


def _inbound(data: Mapping[str, Any]) -> bool:
    return data.get("direction") == "IN"


def _outbound(data: Mapping[str, Any]) -> bool:
    return data.get("direction") == "OUT"


def _came(data: Mapping[str, Any]) -> bool:
    return data.get("previous_status") == OFFLINE != data.get("status") and data.get("time_off") != "absent"


def _went(data: Mapping[str, Any]) -> bool:
    return data.get("status") == OFFLINE != data.get("previous_status") and data.get("time_off") != "absent"


# events of the other APIs are named: no API knows another
TRIGGERS = {
    one.name: one
    for one in (
        Trigger("contactCreated", "A contact is created", "contact.created", CONTACT),
        Trigger("contactUpdated", "A contact is updated", "contact.changed", CONTACT),
        Trigger("noteCreated", "A note is created", "contact.note_created", (*CONTACT, "title", "content")),
        Trigger("agentLogIn", "An agent logs in", floor.STATUS_CHANGED.name, AGENT, _came),
        Trigger("agentLogOut", "An agent logs out", floor.STATUS_CHANGED.name, AGENT, _went),
        Trigger(
            "inboundCallReachesContactCenter",
            "An inbound call reaches the contact centre",
            floor.CALL_STARTED.name,
            (*CALL, *CONTACT, CONTEXT),
            _inbound,
        ),
        Trigger(
            "inboundCallStarts",
            "An inbound call starts",
            floor.CALL_ANSWERED.name,
            (*CALL, *CONTACT, *AGENT, CONTEXT, "waiting_time", "proactive_outbound", "tags", "is_transfer"),
            _inbound,
        ),
        Trigger(
            "inboundCallEnds",
            "An inbound call ends",
            floor.CALL_ENDED.name,
            (
                *CALL, *CONTACT, *AGENT, CONTEXT, *TIMES, "in_business_hours", "recording_url", "hangup", "start_time",
                "timestamp", "proactive_outbound", "tags",
            ),
            _inbound,
        ),
        Trigger(
            "outboundCallEnds",
            "An outbound call ends",
            floor.CALL_ENDED.name,
            (*CALL, *CONTACT, *AGENT, *TIMES, "hangup", "proactive_outbound", "tags"),
            _outbound,
        ),
    )
}  # fmt: skip

CONTACT_ROW = Statement(
    mine(
        contacts, contacts.c.name, contacts.c.company, contacts.c.title, contacts.c.address, contacts.c.website,
        contacts.c.emails, contacts.c.phones,
    ).where(contacts.c.id == bindparam("contact"))
)  # fmt: skip
NOTE_ROW = Statement(
    mine(contact_notes, contact_notes.c.title, contact_notes.c.content).where(contact_notes.c.id == bindparam("note"))
)
ACCOUNT_ROW = Statement(select(accounts.c.name, accounts.c.email).where(accounts.c.id == ACCOUNT))
USER_ROW = Statement(mine(users, users.c.name, users.c.email).where(users.c.id == bindparam("user")))


def type_of(ctx: Ctx, trigger: Trigger) -> EventType:
    """The type of event that a trigger is fired by."""
    found: EventType = ctx.house.events[trigger.type]
    return found


def fires(name: str, event: Row) -> bool:
    """Whether an event of the right type is one that a trigger is for."""
    return TRIGGERS[name].fits(event["data"])


async def body(ctx: Ctx, subscription: Row, event: Row, held: Set[str]) -> bytes:
    """The very bytes that are sent. `held` are the scopes that the subscription's client has now."""
    values = await payload(ctx, TRIGGERS[subscription["trigger"]], event, held)
    return written(subscription["message"], values)


async def payload(ctx: Ctx, trigger: Trigger, event: Row, held: Set[str]) -> dict[str, str]:
    """Every key of a trigger, and what is known for it now."""
    data: Mapping[str, Any] = event["data"]
    known: dict[str, Any] = {"event": trigger.name, "account_id": ctx.account, "proactive_outbound": False}
    contact = data.get("contact_id") if event["type"].startswith("call.") else data.get("id")
    if "contact_id" in trigger.keys:
        known |= await _contact(ctx, contact, held)
    if "content" in trigger.keys:
        known |= await find(ctx, NOTE_ROW, note=data.get("note_id", "")) or {}
    if "call_id" in trigger.keys:
        known |= _call(ctx, data)
    if "agent_id" in trigger.keys:
        known |= await _agent(ctx, data.get("user_id"), held)
    return {key: _text(known.get(key)) for key in trigger.places()}


async def _contact(ctx: Ctx, contact: str | None, held: Set[str]) -> dict[str, Any]:
    known: dict[str, Any] = {"contact_id": contact}
    if "account:read" in held and (account := await find(ctx, ACCOUNT_ROW)):
        known |= {"account_email": account["email"], "account_name": account["name"]}
    row = await find(ctx, CONTACT_ROW, contact=contact) if contact and "contacts:read" in held else None
    if row is None:
        return known
    first, _, last = row["name"].strip().partition(" ")
    known |= {f"contact_{name}": row[name] for name in ("name", "company", "title", "address", "website")}
    return known | {
        "contact_first_name": first,
        "contact_last_name": last.strip(),
        "contact_email": row["emails"][0]["email"] if row["emails"] else "",
        "contact_phone": row["phones"][0]["number"] if row["phones"] else "",
    }


async def _agent(ctx: Ctx, user: str | None, held: Set[str]) -> dict[str, Any]:
    known: dict[str, Any] = {"agent_id": user}
    if user is None:
        return known
    if "users:read" in held and (row := await find(ctx, USER_ROW, user=user)):
        known |= {"agent_name": row["name"], "agent_email": row["email"]}
    if "user-ring-groups:read" in held:
        known["agent_tags"] = [row["ring_group"] for row in await all_rows(ctx, GROUPS_OF, user=user)]
    return known


def _call(ctx: Ctx, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the event says of a call; one that is not over has no duration yet."""
    same = (
        "call_id", "interaction_id", "talkdesk_phone_number", "contact_phone_number", "waiting_time", "hold_time",
        "in_business_hours",
    )  # fmt: skip
    recordings = f"{ctx.house.gateway_base}/calls/{data['call_id']}/recordings"
    return {name: data.get(name) for name in same} | {
        "interaction_type": "inbound" if _inbound(data) else "outbound",
        "total_duration": data.get("total_time"),
        "duration": data.get("talk_time"),
        "hangup": data.get("ended_by"),
        "start_time": data.get("started_at"),
        "timestamp": data.get("ended_at"),
        "tags": data.get("ring_groups"),
        "is_transfer": data.get("transfer") is not None,
        "recording_url": recordings if data.get("recorded") else "",
    }


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(value)
    return str(value)


# a backslash and what it escapes, the begin or end of a string, or a place
MARKS = re.compile(r'\\.|"|\{\{\s*([a-z][a-z0-9_.]*)\s*\}\}', re.DOTALL | re.IGNORECASE | re.ASCII)


def meant(place: str) -> str:
    """The key that a place stands for: `contact.first_name` is `contact_first_name`."""
    name = place.replace(".", "_")
    return ALIASES.get(name, name)


def check(trigger: Trigger, message: str) -> None:
    """Refuse a message that cannot be filled; one that is taken can be filled with whatever happens."""
    places = [found[1] for found in MARKS.finditer(message) if found[1]]
    if len(places) > PLACES:
        raise wrong("message", f"has more than {PLACES} places")
    keys = trigger.places()
    if strange := [place for place in places if meant(place) not in keys]:
        raise wrong("message", f"there is no {strange[0]!r} for {trigger.name}; there is {', '.join(keys)}")
    try:
        written(message, dict.fromkeys(keys, "x"))
    except (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeError) as why:
        raise wrong("message", f"is not JSON once its places are filled: {str(why)[:200]}") from why


def written(message: str, values: Mapping[str, str]) -> bytes:
    """The message with its places filled. The values alone for an empty one; for a JSON schema, which is what the
    low-code connector sends, an object of its properties, each its default."""
    text = filled(message, values)
    document: Any = msgspec.json.decode(text) if text.strip() else {}
    if document == {}:
        return msgspec.json.encode(values)
    if isinstance(document, dict) and "$schema" in document and isinstance(document.get("properties"), dict):
        members = document["properties"].items()
        return msgspec.json.encode({name: _default(each, values.get(name)) for name, each in members})
    return text.encode()


def _default(member: Any, known: str | None) -> Any:
    return member["default"] if isinstance(member, dict) and "default" in member else known or ""


def filled(message: str, values: Mapping[str, str]) -> str:
    """Inside a string a value is escaped as JSON has it; elsewhere it becomes a string itself."""
    inside = False

    def put(found: re.Match[str]) -> str:
        nonlocal inside
        if found[1] is not None:
            value = msgspec.json.encode(values[meant(found[1])]).decode()
            return value[1:-1] if inside else value
        if found[0] == '"':
            inside = not inside
        return found[0]

    return MARKS.sub(put, message)
