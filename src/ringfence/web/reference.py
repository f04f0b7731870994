"""The API reference: pages drawn from the catalogue, one per API, and the contract as OpenAPI."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ringfence.kernel.catalog import PUBLIC, Api, Errors, Open, Operation
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NO_SUCH_PATH, Fault, Problem
from ringfence.kernel.shapes import Asked, Plain, See, Shape, Sheet

from .hal import Where, render
from .openapi import Schemas, body_of, contract, parameters, problems_of, returned, summary, wrapped_member

STATIC = Path(__file__).with_name("static")
MEDIA = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
KEEP = (("cache-control", "public, max-age=3600"),)
LIMITS = {
    "minimum": "at least {}", "maximum": "at most {}", "minLength": "at least {} characters",
    "maxLength": "at most {} characters", "maxItems": "at most {} items", "pattern": "matches {}",
    "default": "default {}",
}  # fmt: skip


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type of a schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return " or ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))


def notes_on(schema: Mapping[str, Any], about: str = "") -> str:
    """The limits of a schema, in words."""
    limits = [
        text.format(json.dumps(schema[name]) if name == "default" else schema[name])
        for name, text in LIMITS.items()
        if name in schema and schema[name] not in ([], None, "")
    ]
    return "; ".join([*([about] if about else []), *limits])


def rows_of(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": p["name"],
            "in": p["in"],
            "required": p["required"],
            "type": kind_of(p["schema"]),
            "notes": notes_on(p["schema"], p.get("description", "")),
        }
        for p in parameters(operation)
    ]


def members_of(operation: Operation, schemas: Schemas) -> list[dict[str, Any]]:
    """The members of an operation's body."""
    shape = body_of(operation)
    if shape is None:
        return []
    schema = schemas.components[shape.__name__]
    return [
        {
            "name": name,
            "required": name in schema.get("required", ()),
            "type": kind_of(about),
            "notes": notes_on(about, about.get("description", "")),
        }
        for name, about in schema["properties"].items()
    ]


def example_answer(operation: Operation, base: str) -> str:
    """What an operation answers, made of the example of its shape."""
    kind, shape = returned(operation)
    if shape is None or shape.example is None:
        return ""
    made: Any = json.loads(render(msgspec.convert(dict(shape.example), shape), Where(base, "", [])))
    if kind == "wrapped":
        made = {wrapped_member(operation): made}
    elif kind == "page":
        rel = operation.path.rpartition("/")[2].replace("-", "_")
        here = {"self": {"href": f"{base}{operation.path}?page=1&per_page=50"}}
        made = {"total": 1, "count": 1, "_embedded": {rel: [made]}, "_links": here}
    return json.dumps(made, indent=2, ensure_ascii=False)


def example_request(operation: Operation, base: str) -> str:
    """An operation as a line for the shell."""
    parts = ["curl"]
    if operation.method != "GET":
        parts.append(f"-X {operation.method}")
    if operation.fence is not PUBLIC:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    shape = body_of(operation)
    if shape is not None and shape.example is not None:
        text = json.dumps(dict(shape.example), ensure_ascii=False).replace("'", "'\\''")
        parts += [f'-H "Content-Type: {operation.media[0]}"', f"-d '{text}'"]
    return " \\\n  ".join([*parts, f'"{base}{operation.path}"'])


def entry(operation: Operation, schemas: Schemas, base: str) -> dict[str, Any]:
    """One operation as its page shows it."""
    title, more = summary(operation)
    slug = f"{operation.method}{operation.path}".lower().replace("/", "-").replace("{", "").replace("}", "")
    return {
        "id": slug,
        "method": operation.method,
        "path": operation.path,
        "title": title,
        "more": more,
        "scope": "" if isinstance(operation.fence, Open) else operation.fence.name,
        "parameters": rows_of(operation),
        "members": members_of(operation, schemas),
        "curl": example_request(operation, base),
        "status": operation.status,
        "answer": example_answer(operation, base),
        "problems": sorted(problems_of(operation), key=lambda p: (p.status, p.code)),
    }


def payload_of(data: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(data)] if issubclass(data, Shape) else []


def pages(apis: tuple[Api, ...], version: str) -> Api:
    """The operations that serve the reference of these APIs."""
    shown = tuple(api for api in apis if api.operations)
    by_name = {api.name: api for api in shown}
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in MEDIA}
    made: dict[str, Any] = {}

    def schemas() -> Schemas:
        if "schemas" not in made:
            made["schemas"] = Schemas(apis)
        found: Schemas = made["schemas"]
        return found

    async def root(ctx: Ctx) -> See:
        """Lead to the reference"""
        return See("/docs")

    async def index(ctx: Ctx, asked: Asked) -> Sheet:
        """Show what this server offers"""
        scopes = [(s, [op for op in api.operations if op.fence is s]) for api in shown for s in api.scopes]
        return Sheet("docs_index.html", {"apis": shown, "scopes": scopes, "base": ctx.house.gateway_base})

    async def of_api(ctx: Ctx, api: str) -> Sheet:
        """Show one API: each operation with its scope, parameters, examples and errors"""
        found = by_name.get(api)
        if found is None:
            raise Fault(NO_SUCH_PATH)
        entries = [entry(op, schemas(), ctx.house.gateway_base) for op in found.operations]
        return Sheet("docs_api.html", {"api": found, "entries": entries})

    async def errors(ctx: Ctx) -> Sheet:
        """Show every error code"""
        found: dict[tuple[str, int], Problem] = {}
        for api in shown:
            for op in api.operations:
                for problem in problems_of(op):
                    found.setdefault((problem.code, problem.status), problem)
        return Sheet("docs_errors.html", {"problems": sorted(found.values(), key=lambda p: (p.status, p.code))})

    async def events(ctx: Ctx) -> Sheet:
        """Show every type of event"""
        found = sorted((e for api in apis for e in api.events), key=lambda e: e.name)
        return Sheet("docs_events.html", {"events": [(e, payload_of(e.data)) for e in found]})

    async def openapi(ctx: Ctx) -> Plain:
        """Give the contract as OpenAPI 3.1"""
        if "contract" not in made:
            made["contract"] = contract(apis, version)
        return Plain(made["contract"], headers=(("cache-control", "public, max-age=300"),))

    async def static(ctx: Ctx, name: str) -> Plain:
        """Serve a style sheet or picture of the pages"""
        path = files.get(name)
        if path is None:
            raise Fault(NO_SUCH_PATH)
        return Plain(path.read_text("utf-8"), media=MEDIA[path.suffix], headers=KEEP)

    return Api(
        name="pages",
        title="Pages",
        about="The reference.",
        operations=(
            Operation("GET", "/", PUBLIC, root),
            Operation("GET", "/docs", PUBLIC, index, errors=Errors.PAGE),
            Operation("GET", "/docs/errors", PUBLIC, errors, errors=Errors.PAGE),
            Operation("GET", "/docs/events", PUBLIC, events, errors=Errors.PAGE),
            Operation("GET", "/docs/{api}", PUBLIC, of_api, problems=(NO_SUCH_PATH,), errors=Errors.PAGE),
            Operation("GET", "/openapi.json", PUBLIC, openapi),
            Operation("GET", "/static/{name}", PUBLIC, static, problems=(NO_SUCH_PATH,)),
        ),
    )
