"""What subscribers are told, as AsyncAPI 3: one channel for each type of event, and the scopes that may hear it."""

from collections.abc import Iterable, Iterator
from typing import Any

from ringfence.kernel.catalog import Api, EventType

from .openapi import Schemas

SUBSCRIBING = "events:write"  # beside the scope of the event itself
ABOUT = """Webhooks of this platform. Subscribe with `PUT /events/subscriptions`; a client hears an event while it holds
`events:write` and the scope that the event's operation names. Deliveries are at least once, in order for each key;
drop what has a `webhook-id` that you have seen."""
TEXT: dict[str, Any] = {"type": "string"}
HEADERS: dict[str, Any] = {
    "type": "object",
    "required": [
        "webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-ecdsa-signature", "x-hub-ecdsa-signature-id",
    ],
    "properties": {
        "webhook-id": TEXT | {"description": "The id of the event, the same at each attempt and when told again."},
        "webhook-timestamp": TEXT | {"description": "Seconds since 1970 at this attempt."},
        "webhook-signature": TEXT | {"description": "Standard Webhooks: `v1,` and base64; one for each valid secret."},
        "x-hub-ecdsa-signature": TEXT
        | {"description": "ECDSA on P-256 over the SHA-512 digest of the body, DER in hex."},
        "x-hub-ecdsa-signature-id": TEXT | {"description": "Its key is at /events/signature-keys/{id}."},
    },
}  # fmt: skip
MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}


def payload(event: EventType, schemas: Schemas) -> dict[str, Any]:
    """The body of a delivery. A type with a form of its own lifts some members of its data beside `data`."""
    own = event.shown is not None
    properties: dict[str, Any] = {
        "id": TEXT,
        "created_at": MOMENT,
        "api_version": {"const": "1"},
        "type": {"const": event.name},
        "data": {"type": "object"} if own else schemas.refs[event.data],
        "_links": {"type": "object"},
    }
    if not own:
        properties["account_id"] = TEXT
    return {"type": "object", "required": sorted(properties), "properties": properties}


def asyncapi(apis: Iterable[Api], version: str, identity_base: str = "") -> dict[str, Any]:
    """The whole document."""
    apis = tuple(apis)
    schemas = Schemas(apis)
    told = sorted((e for api in apis for e in api.events if e.scope), key=lambda e: e.name)
    titles = {scope.name: scope.title for api in apis for scope in api.scopes}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for event in told:
        message = {"name": event.name, "title": event.title, "contentType": "application/json"}
        messages[event.name] = message | {"headers": HEADERS, "payload": payload(event, schemas)}
        channels[event.name] = {
            "address": None,
            "title": event.title,
            "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"}},
        }
        scopes = sorted({SUBSCRIBING, event.scope})
        operations[event.name] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{event.name}"},
            "summary": event.title,
            "security": [
                {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": f"{identity_base}/oauth/token",
                            "availableScopes": {name: titles.get(name, name) for name in scopes},
                        }
                    },
                    "scopes": scopes,
                }
            ],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Ringfence events", "version": version, "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": _reached(messages, schemas.components)},
    }


def _reached(start: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The components that are referred to, also by one another."""
    found: dict[str, Any] = {}
    open_ = [start]
    while open_:
        for name in _refs(open_.pop()):
            if name in components and name not in found:
                found[name] = components[name]
                open_.append(components[name])
    return dict(sorted(found.items()))


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref.rpartition("/")[2]
        for inner in node.values():
            yield from _refs(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _refs(inner)
