"""The Webhook Trigger API as the world sees it: one callback for one kind of happening, with a body of one's own."""

from typing import Annotated, ClassVar
from urllib.parse import quote

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, INSUFFICIENT_SCOPE, NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Plain, Shape

from . import subscriptions, trigger_payloads
from .trigger_payloads import TRIGGERS, Trigger

WRITE = Scope(subscriptions.TRIGGERS, "Be called when something happens, such as a contact created or a call ended")
SINCE = "2026-01-05"  # the day on which the schemas were deprecated here: they always were
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, examples=["https://crm.example/hook"])]


class NewTrigger(Shape):
    """Where to call, as `callbackurl` or `callbackURL`, and what is sent.

    `message` is JSON with places such as `{{contact_name}}`; empty or `{}`, all that is known is sent.
    """

    title: Annotated[str, msgspec.Meta(max_length=255)]
    message: Annotated[str, msgspec.Meta(max_length=20_000)]
    callbackurl: Url | None = None
    callback_url: Url | None = msgspec.field(name="callbackURL", default=None)
    example: ClassVar = {
        "callbackurl": "https://crm.example/hook",
        "title": "A note for the CRM",
        "message": '{"id": "{{contact_id}}", "text": "{{content}}"}',
    }


class MadeTrigger(Shape):
    """A trigger. `secret` is shown once, when it is made."""

    id: str
    trigger: str
    title: str
    callbackurl: str
    active: bool
    secret: str | None
    example: ClassVar = {
        "id": "01900000-0000-7000-8000-000000000001",
        "trigger": "noteCreated",
        "title": "A note for the CRM",
        "callbackurl": "https://crm.example/hook",
        "active": True,
        "secret": "whsec_…",
    }


class Removed(Shape):
    message: str
    example: ClassVar = {"message": "The trigger was deleted."}


class PayloadSchema(Shape):
    """The JSON schema of what a trigger sends. As a trigger's `message`, it asks for all of it."""

    dialect: str = msgspec.field(name="$schema")
    title: str
    type: str
    properties: dict[str, dict[str, str]]
    required: list[str]
    closed: bool = msgspec.field(name="additionalProperties")


def named(name: str) -> Trigger:
    found = TRIGGERS.get(name)
    if found is None:
        raise Fault(NOT_FOUND, f"There is no trigger of this name; there is {', '.join(TRIGGERS)}.")
    return found


async def put_trigger(ctx: Ctx, trigger: str, body: NewTrigger) -> Plain:
    """Be called when something happens

    `Location` is the URL to DELETE. The same again is the same trigger, made active where it was disabled. Beside the
    scope of this operation the client needs that of the event (contacts:read for contacts and notes, users:read for
    agents, recordings:read for calls), now and when it is called; what its scopes do not let it read of contacts,
    people, ring groups and the account is left empty. Signatures and retries are those of the Events API.
    """
    what = named(trigger)
    if body.callbackurl is not None and body.callback_url is not None and body.callbackurl != body.callback_url:
        raise wrong("callbackURL", "is not what callbackurl says")
    member = "callbackurl" if body.callback_url is None else "callbackURL"
    url = body.callbackurl or body.callback_url
    if url is None:
        raise wrong("callbackurl", "is missing")
    subscriptions.check_url(ctx, url, member=member)
    trigger_payloads.check(what, body.message)
    types = [trigger_payloads.type_of(ctx, what)]
    row, secret = await subscriptions.put_trigger(
        ctx, trigger=what.name, types=types, url=url, title=body.title, message=body.message
    )
    made = MadeTrigger(
        id=row["id"], trigger=what.name, title=row["title"], callbackurl=url, active=row["active"], secret=secret
    )
    location = f"{ctx.house.gateway_base}/webhooks/triggers/{quote(what.name)}/{row['id']}"
    return Plain(msgspec.to_builtins(made), headers=(("location", location),))


async def delete_trigger(ctx: Ctx, trigger: str, trigger_id: str) -> Removed:
    """Delete a trigger

    One of the client's own. Nothing more is told, also of what has happened already.
    """
    await subscriptions.remove_trigger(ctx, named(trigger).name, trigger_id)
    return Removed(message="The trigger was deleted.")


async def get_schema(ctx: Ctx, list_id: str) -> PayloadSchema:
    """Get the schema of what a trigger sends

    Deprecated. `list_id` is the trigger's name.
    """
    what = named(list_id)
    return PayloadSchema(
        dialect="http://json-schema.org/draft-07/schema#",
        title=what.title,
        type="object",
        properties={key: {"type": "string", "default": f"{{{{{key}}}}}"} for key in what.places()},
        required=list(what.places()),
        closed=False,
    )


async def get_schema_of_list(ctx: Ctx, list_id: str) -> PayloadSchema:
    """Get the schema of what a trigger sends, by its older path

    Deprecated. `list_id` is the trigger's name.
    """
    return await get_schema(ctx, list_id)


HERE, ONE = "/webhooks/triggers/{trigger}", "/webhooks/triggers/{trigger}/{trigger_id}"
ASKED = (NOT_FOUND, CONFLICT, INSUFFICIENT_SCOPE)
API = Api(
    name="webhook-triggers",
    title="Webhook Triggers",
    about="One callback for one kind of happening: contacts, notes, agents, calls.",
    scopes=(WRITE,),
    events=(subscriptions.TRIGGER_SET, subscriptions.TRIGGER_DELETED, subscriptions.TRIGGER_DISABLED),
    operations=(
        Operation("POST", HERE, WRITE, put_trigger, problems=ASKED, gives=MadeTrigger),
        Operation("DELETE", ONE, WRITE, delete_trigger, problems=(NOT_FOUND,)),
        Operation(
            "GET", "/webhooks/schemas/{list_id}", WRITE, get_schema, problems=(NOT_FOUND,), deprecated=SINCE
        ),
        Operation(
            "GET", "/webhooks/schema/{list_id}", WRITE, get_schema_of_list, problems=(NOT_FOUND,), deprecated=SINCE
        ),
    ),
)  # fmt: skip
