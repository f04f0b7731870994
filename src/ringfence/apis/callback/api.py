"""The Callback API as the world sees it."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.floor.interactions import CallbackState
from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Shape, in_utc
from ringfence.store.query import Row

from . import domain

WRITE = Scope("callback:write", "Let people be called back")
Number = Annotated[str, msgspec.Meta(max_length=20, examples=["+351910000001"])]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ContextField(Shape):
    """Something that the agent is shown."""

    name: Text
    display_name: Text
    tooltip_text: Text
    data_type: Literal["phone", "text", "url"]
    value: Text


class Context(Shape):
    fields: Annotated[list[ContextField], msgspec.Meta(max_length=50)] = []


class NewCallback(Shape):
    """Whom to call back, and from which number. Who calls: `ring_group`, else whom the number's flow asks first.

    Attributes are minimum proficiencies by name. Open for a day unless `expires_at` says otherwise (30 days at most).
    """

    talkdesk_phone_number: Number
    contact_phone_number: Number
    context: Context = Context()
    ring_group: Name | None = None
    attributes: Annotated[dict[Name, Annotated[int, msgspec.Meta(ge=0, le=100)]], msgspec.Meta(max_length=20)] = {}
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5
    not_before: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    example: ClassVar = {
        "talkdesk_phone_number": "+351210000100",
        "contact_phone_number": "+351910000001",
        "context": {
            "fields": [
                {
                    "name": "order",
                    "display_name": "Order",
                    "tooltip_text": "What it is about",
                    "data_type": "text",
                    "value": "4711",
                }
            ]
        },
    }


class Attempt(Shape):
    """From the ringing of an agent's phone on. `result`: connected, busy, no_answer, or why no agent took it."""

    user_id: str
    started_at: datetime
    finished_at: datetime | None
    result: str | None


class Callback(Shape):
    """A callback and how far it has got. Its id is that of its interaction and call."""

    id: str
    status: CallbackState
    reason: str | None
    talkdesk_phone_number: str
    contact_phone_number: str
    context: Context
    ring_groups: list[str]
    attributes: dict[str, int]
    priority: int
    attempts: list[Attempt]
    max_attempts: int
    not_before: datetime | None
    expires_at: datetime
    cancel_asked_at: datetime | None
    created_at: datetime
    updated_at: datetime
    links: ClassVar = {"self": "/calls/callback/{id}"}
    example: ClassVar = {
        "id": "5f000000000000000000000000000001",
        "status": "queued",
        "reason": None,
        "talkdesk_phone_number": "+351210000100",
        "contact_phone_number": "+351910000001",
        "context": {"fields": []},
        "ring_groups": ["sales"],
        "attributes": {},
        "priority": 5,
        "attempts": [],
        "max_attempts": 3,
        "not_before": None,
        "expires_at": "2026-01-06T09:00:00Z",
        "cancel_asked_at": None,
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:00:00Z",
    }


def shown(row: Row) -> Callback:
    asked: dict[str, Any] = row["asked"]
    tries = [{"finished_at": None, "result": None} | one for one in row["attempts"]]
    return Callback(
        id=row["id"],
        status=row["state"],
        reason=row["reason"],
        talkdesk_phone_number=row["company_number"],
        contact_phone_number=row["contact_number"],
        context=msgspec.convert(asked["context"] or {}, Context),
        ring_groups=asked["ring_groups"],
        attributes=asked["attributes"],
        priority=asked["priority"],
        attempts=msgspec.convert(tries, list[Attempt]),
        max_attempts=row["max_attempts"],
        not_before=row["not_before"],
        expires_at=row["expires_at"],
        cancel_asked_at=row["cancel_asked_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def ask_callback(ctx: Ctx, body: NewCallback) -> Callback:
    """Ask for a callback

    The contact stands in the queue without waiting on hold; when an agent is free, the agent's phone rings, then the
    contact's. Who cannot be reached is called again after five minutes, up to `max_attempts` times.
    """
    row = await domain.ask(
        ctx,
        company=body.talkdesk_phone_number,
        contact=body.contact_phone_number,
        context=msgspec.to_builtins(body.context),
        ring_group=body.ring_group,
        wanted=body.attributes,
        priority=body.priority,
        not_before=in_utc(body.not_before, "not_before") if body.not_before else None,
        expires_at=in_utc(body.expires_at, "expires_at") if body.expires_at else None,
        max_attempts=body.max_attempts,
    )
    return shown(row)


async def get_callback(ctx: Ctx, callback_id: str) -> Callback:
    """Get a callback"""
    return shown(await domain.get(ctx, callback_id))


async def cancel_callback(ctx: Ctx, callback_id: str) -> Callback:
    """Cancel a callback

    Done a moment later, unless the agent and the contact are connected before.
    """
    return shown(await domain.cancel(ctx, callback_id))


ONE = "/calls/callback/{callback_id}"
API = Api(
    name="callback",
    title="Callback API",
    about="Places a caller in queue without waiting on hold.",
    scopes=(WRITE,),
    operations=(
        Operation(
            "POST", "/calls/callback", WRITE, ask_callback, status=201,
            problems=(domain.DO_NOT_CALL, domain.OPEN_ALREADY),
        ),
        Operation("GET", ONE, WRITE, get_callback, problems=(NOT_FOUND,)),
        Operation("DELETE", ONE, WRITE, cancel_callback, status=202, problems=(NOT_FOUND, domain.UNDER_WAY)),
    ),
)  # fmt: skip
