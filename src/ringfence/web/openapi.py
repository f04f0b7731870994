"""The contract, derived from the catalogue: nothing in it is written twice."""

import inspect
import re
from collections.abc import Iterable
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from ringfence.kernel.catalog import ENVELOPES, Api, Errors, Open, Operation, takes_key
from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import (
    BUSY_KEY,
    HEADERS_TOO_LARGE,
    INSUFFICIENT_SCOPE,
    INVALID,
    INVALID_TOKEN,
    MALFORMED,
    NOT_ACCEPTABLE,
    NOT_AUTHENTICATED,
    REUSED_KEY,
    STALE,
    TOO_LARGE,
    TOO_MANY,
    UNAVAILABLE,
    UNSATISFIABLE,
    UNSUPPORTED_MEDIA,
    Problem,
)
from ringfence.kernel.shapes import Listed, Page, Shape, Stream, Versioned, Wrapped

REF = "#/components/schemas/{name}"
LINK = {"type": "object", "properties": {"href": {"type": "string"}}, "required": ["href"]}
ERROR = {
    "type": "object",
    "required": ["code", "message", "description", "fields"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "description": {"type": "string"},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "description"],
                "properties": {"name": {"type": "string"}, "description": {"type": "string"}},
            },
        },
    },
}
BINARY = {"type": "string", "format": "binary"}
STREAMED = {  # one event of a stream, as it is read
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}
OF_FILES = {
    "Range": "A part of the file, as in `bytes=0-65535`; several parts at once are answered with all of it.",
    "If-Range": "The ETag of the file that the part is of; of another one all is answered.",
    "If-None-Match": "The ETag of the file that you have.",
}
OAUTH_ERROR = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {
        "error": {"type": "string"},
        "error_description": {"type": "string"},
        "pending": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["scope", "effective_at"],
                "properties": {"scope": {"type": "string"}, "effective_at": {"type": "string", "format": "date-time"}},
            },
        },
    },
}


def problems_of(operation: Operation) -> list[Problem]:
    """Every refusal that an operation can answer with: its own and those of the layers in front of it."""
    found: list[Problem] = [INVALID, HEADERS_TOO_LARGE, UNAVAILABLE]
    if operation.fence is not Open.PUBLIC:
        found += [NOT_AUTHENTICATED, INVALID_TOKEN, INSUFFICIENT_SCOPE, TOO_MANY]
        if operation.errors in ENVELOPES:
            found.append(NOT_ACCEPTABLE)
    if operation.method != "GET":
        found.append(TOO_LARGE)
    if "body" in inspect.signature(operation.run).parameters:
        found += [MALFORMED, UNSUPPORTED_MEDIA]
    if takes_key(operation):
        found += [BUSY_KEY, REUSED_KEY]
    if operation.serves:
        found += [STALE, UNSATISFIABLE]
    return list(dict.fromkeys([*operation.problems, *found]))


def summary(operation: Operation) -> tuple[str, str]:
    """The first line of the handler's docstring, and the rest of it."""
    text = inspect.getdoc(operation.run) or operation.run.__name__.replace("_", " ").capitalize()
    first, _, rest = text.partition("\n")
    return first.strip().rstrip("."), " ".join(rest.split())


def returned(operation: Operation) -> tuple[str, Any]:
    """What kind of answer a handler gives, and of which shape.

    `page`, `listed`, `wrapped`, `shape`, `none` or `other`.
    """
    hint: Any = operation.gives or get_type_hints(operation.run).get("return")
    if get_origin(hint) is Versioned:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Page, Listed):
        return "page" if get_origin(hint) is Page else "listed", get_args(hint)[0]
    if get_origin(hint) is Wrapped:
        return "wrapped", get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, Shape):
        return "shape", hint
    return ("none", None) if hint in (None, type(None)) else ("other", None)


def body_of(operation: Operation) -> Any:
    """The shape of an operation's body; for a Patch the shape that the result must fit."""
    hint: Any = get_type_hints(operation.run).get("body")
    return get_args(hint)[0] if get_origin(hint) is Patch else hint


def example_of(shape: Any) -> Any:
    """What a body may look like: the shape's example, of a list one such item; of a free object an empty one."""
    if get_origin(shape) is dict:
        return {}
    if get_origin(shape) is list:
        inner = get_args(shape)[0].example
        return None if inner is None else [dict(inner)]
    return None if shape.example is None else dict(shape.example)


def spoken(apis: Iterable[Api]) -> list[Any]:
    """Every shape that crosses the wire, each once."""
    types: dict[Any, None] = {}
    for api in apis:
        for operation in api.operations:
            for kind in (body_of(operation), operation.takes, returned(operation)[1]):
                if kind is not None:
                    types[kind] = None
        types |= dict.fromkeys(event.data for event in api.events)
    return list(types)


class Schemas:
    """The shapes as JSON Schema, with the `_links` that the renderer adds."""

    def __init__(self, apis: Iterable[Api]) -> None:
        kinds = spoken(apis)
        refs, self.components = msgspec.json.schema_components(kinds, ref_template=REF)
        self.refs: dict[Any, Any] = dict(zip(kinds, refs, strict=True))
        bodies = {kind for api in apis for op in api.operations for kind in (body_of(op), op.takes)}
        for kind in self._all_shapes(kinds):
            schema = self.components.get(kind.__name__)
            if schema is None or kind in bodies:
                continue
            if kind.links:
                schema["properties"]["_links"] = {
                    "type": "object",
                    "required": sorted(kind.links),
                    "properties": dict.fromkeys(kind.links, LINK),
                }
                schema["required"] = [*schema.get("required", []), "_links"]
            if kind.example is not None:
                schema["examples"] = [dict(kind.example)]
        for kind in kinds:
            if get_origin(kind) is None and kind.__name__ in self.components and kind.example is not None:
                self.components[kind.__name__]["examples"] = [dict(kind.example)]

    def _all_shapes(self, kinds: Iterable[Any]) -> list[Any]:
        found: dict[Any, None] = {}

        def visit(hint: Any) -> None:
            if isinstance(hint, type) and issubclass(hint, Shape):
                if hint not in found:
                    found[hint] = None
                    for inner in get_type_hints(hint).values():
                        visit(inner)
            else:
                for inner in get_args(hint):
                    visit(inner)

        for kind in kinds:
            visit(kind)
        return list(found)

    def answer(self, operation: Operation) -> dict[str, Any] | None:
        """The schema of an operation's body when all goes well."""
        kind, shape = returned(operation)
        match kind:
            case "shape":
                schema: dict[str, Any] = self.refs[shape]
            case "wrapped":
                member = wrapped_member(operation)
                schema = {"type": "object", "required": [member], "properties": {member: self.refs[shape]}}
            case "page" | "listed":
                items: dict[str, Any] = {"type": "array", "items": self.refs[shape]}
                schema = {
                    "type": "object",
                    "required": ["_embedded", "_links"],
                    "properties": {
                        **{n: {"type": "integer"} for n in ("total", "count", "page", "per_page", "total_pages")},
                        "_embedded": {"type": "object", "additionalProperties": items} if kind == "page" else items,
                        "_links": {"type": "object", "required": ["self"], "additionalProperties": LINK},
                    },
                }
            case "other":
                return {}
            case _:
                return None
        return schema


def wrapped_member(operation: Operation) -> str:
    """What a Wrapped answer is wrapped in: the last fixed word of the path, in the singular."""
    words = [part for part in operation.path.split("/") if part and not part.startswith("{")]
    return words[-1].removesuffix("s").replace("-", "_")


def parameters(operation: Operation) -> list[dict[str, Any]]:
    """Path, query and header parameters."""
    hints = get_type_hints(operation.run, include_extras=True)
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    query: Any = operation.takes if operation.method == "GET" else hints.get("query")
    if query is not None or (query := hints.get("query")) is not None:
        _, components = msgspec.json.schema_components([query], ref_template=REF)
        schema = components[query.__name__]
        for name, about in schema["properties"].items():
            one: dict[str, Any] = {"name": name, "in": "query", "required": name in schema.get("required", ())}
            if told := about.pop("description", None):
                one["description"] = told
            found.append(one | {"schema": about})
    names = inspect.signature(operation.run).parameters
    header = {"in": "header", "required": False, "schema": {"type": "string"}}
    if "if_match" in names:
        found.append({"name": "If-Match", "description": "The ETag of the version you read.", **header})
    if takes_key(operation):
        about = "The same key with the same request gives the same answer again."
        found.append({"name": "Idempotency-Key", "description": about, **header})
    if operation.serves:
        found += [{"name": name, "description": about, **header} for name, about in OF_FILES.items()]
    return found


def request_body(operation: Operation, schemas: Schemas) -> dict[str, Any] | None:
    hint: Any = get_type_hints(operation.run).get("body")
    if "upload" in inspect.signature(operation.run).parameters:
        return {"required": True, "content": {media: {} for media in operation.media}}
    if hint is None:
        if operation.takes is None or operation.method == "GET":
            return None
        form: dict[str, Any] = {"schema": schemas.refs[operation.takes]}
        return {"content": {operation.media[0]: form}}
    shape = body_of(operation)
    content: dict[str, Any] = {}
    for media in operation.media:
        if media == "application/json-patch+json" and get_origin(hint) is Patch:
            step = {"type": "object", "required": ["op", "path"], "properties": {
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string"}, "from": {"type": "string"}, "value": {},
            }}  # fmt: skip
            content[media] = {"schema": {"type": "array", "items": step}}
        elif get_origin(hint) is Patch:
            content[media] = {"schema": {"type": "object"}}
        else:
            content[media] = {"schema": schemas.refs[shape]}
        steps = get_origin(hint) is Patch and media == "application/json-patch+json"
        if (example := example_of(shape)) is not None and not steps:
            content[media]["example"] = example
    return {"required": True, "content": content}


def responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    good: dict[str, Any] = {"description": "Done"}
    schema = schemas.answer(operation)
    if schema is not None:
        good["content"] = {"application/json": {"schema": schema}} if schema else {}
    found[str(operation.status)] = good
    if operation.or_status is not None:
        told = "On to what Location says" if operation.or_status >= 300 else "It was there already"
        found[str(operation.or_status)] = {**good, "description": told}
    if get_origin(get_type_hints(operation.run).get("return")) is Versioned:
        good["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The version, for If-Match."}}
        if operation.method == "GET":
            found["304"] = {"description": "Not changed since the version in If-None-Match"}
    if operation.serves:
        tag = {"schema": {"type": "string"}, "description": "What If-Range and If-None-Match are given."}
        span = {"schema": {"type": "string"}, "description": "Which bytes, and of how many."}
        good["content"] = {media: {"schema": BINARY} for media in operation.serves.split(",")}
        good["headers"] = {"ETag": tag, "Accept-Ranges": {"schema": {"type": "string", "const": "bytes"}}}
        found["206"] = {**good, "description": "The part that was asked for", "headers": {"Content-Range": span}}
        found["304"] = {"description": "You have it already"}
    if get_type_hints(operation.run).get("return") is Stream:
        good["content"] = {"text/event-stream": {"schema": STREAMED}}
    if operation.errors is Errors.PAGE:
        found |= {str(s): {"description": "On to the next step"} for s in (200, 302, 303)}
    by_status: dict[int, list[Problem]] = {}
    for problem in problems_of(operation):
        by_status.setdefault(problem.status, []).append(problem)
    error = {"$ref": REF.format(name="OAuthError" if operation.errors is Errors.OAUTH else "Error")}
    for status, problems in sorted(by_status.items()):
        told = "; ".join(f"`{p.code}` {p.message}" for p in problems)
        one: dict[str, Any] = {"description": told}
        if operation.errors is not Errors.PAGE:
            one["content"] = {"application/json": {"schema": error}}
        found[str(status)] = one
    return found


def describe(api: Api, operation: Operation, schemas: Schemas) -> dict[str, Any]:
    title, more = summary(operation)
    fence = operation.fence
    doc: dict[str, Any] = {
        "operationId": f"{api.name}.{operation.run.__name__}.{operation.method.lower()}",
        "summary": title,
        "tags": [api.title],
        "parameters": parameters(operation),
        "security": [] if fence is Open.PUBLIC else [{"oauth": [fence.name]}],
        "responses": responses(operation, schemas),
    }
    if more:
        doc["description"] = more
    if operation.deprecated:
        doc["deprecated"] = True
    if (body := request_body(operation, schemas)) is not None:
        doc["requestBody"] = body
    return doc


def contract(apis: Iterable[Api], version: str) -> dict[str, Any]:
    """The whole contract as an OpenAPI 3.1 document."""
    apis = tuple(apis)
    schemas = Schemas(apis)
    paths: dict[str, Any] = {}
    for api in apis:
        for operation in api.operations:
            one = describe(api, operation, schemas)
            one["operationId"] += ".dated" if operation.path == "/oauth/2023-10/certs" else ""
            if operation.path.startswith("/.well-known/oauth-auth"):
                one["operationId"] += ".oauth"
            paths.setdefault(operation.path, {})[operation.method.lower()] = one
    scopes = {scope.name: scope.title for api in apis for scope in api.scopes}
    flows = {
        "clientCredentials": {"tokenUrl": "/oauth/token", "scopes": scopes},
        "authorizationCode": {
            "authorizationUrl": "/oauth/authorize", "tokenUrl": "/oauth/token", "scopes": scopes
        },
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ringfence", "version": version},
        "tags": [{"name": api.title, "description": api.about} for api in apis if api.operations],
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Error": ERROR, "OAuthError": OAUTH_ERROR},
            "securitySchemes": {"oauth": {"type": "oauth2", "flows": flows}},
        },
    }


def agreement(apis: Iterable[Api]) -> list[str]:
    """METHOD PATH SCOPE, a line per operation, sorted: what a reviewer of a fence reads."""
    return sorted(
        f"{op.method} {op.path} {'PUBLIC' if op.fence is Open.PUBLIC else op.fence.name}"
        for api in apis
        for op in api.operations
    )
