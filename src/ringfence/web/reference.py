"""The API reference: pages drawn from the catalogue, one per API, and the contract as OpenAPI."""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any, get_origin, get_type_hints

import msgspec

from ringfence.kernel import problems as common
from ringfence.kernel.catalog import ENVELOPES, PUBLIC, Api, Errors, Open, Operation, operation_name
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import NO_SUCH_PATH, Fault, Problem
from ringfence.kernel.shapes import Plain, See, Sheet

from .asyncapi import asyncapi
from .hal import Where, encode, render
from .openapi import Schemas, body_of, contract, example_of, parameters, problems_of, returned, summary, wrapped_member
from .report_types import reports_of

STATIC = Path(__file__).with_name("static")
MEDIA = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
KEEP = (("cache-control", "public, max-age=3600"),)
LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}",
    "minLength": "at least {} characters", "maxLength": "at most {} characters", "minItems": "at least {} items",
    "maxItems": "at most {} items", "pattern": "matches `{}`", "default": "default `{}`",
}  # fmt: skip
DEEPEST = 3  # levels of members that a table shows
SHORT = 60  # characters of an example that go on one line


def resolved(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its reference followed and its `or null` left off."""
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) == 1:
        schema = {**schema, **choices[0]}
    if "$ref" in schema:
        return {**components.get(schema["$ref"].rpartition("/")[2], {}), **schema}
    return schema


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
    """The limits of a schema, in words; code between backticks."""
    schema = resolved(schema, {})
    limits = [
        text.format(_said(name, schema[name]))
        for name, text in LIMITS.items()
        if name in schema and schema[name] not in ([], None, "")
    ]
    each = notes_on(schema["items"]) if schema.get("type") == "array" and "items" in schema else ""
    return "; ".join([*([about] if about else []), *limits, *([f"each {each}"] if each else [])])


def _said(limit: str, value: Any) -> str:
    if limit == "default":
        return json.dumps(value, ensure_ascii=False)
    if limit == "pattern":
        return str(value).removesuffix(r"(?!\n)")  # it says to the machine what `$` says to people
    return f"{value:,}"


def row(name: str, schema: Mapping[str, Any], required: bool, about: str = "", place: str = "") -> dict[str, Any]:
    """A parameter or member as the tables show it."""
    return {"name": name, "required": required, "type": kind_of(schema), "in": place, "notes": notes_on(schema, about)}


def rows_of(operation: Operation) -> list[dict[str, Any]]:
    """The parameters of an operation."""
    return [
        row(p["name"], p["schema"], p["required"], p.get("description", ""), p["in"]) for p in parameters(operation)
    ]


def members_in(schema: Mapping[str, Any], components: Mapping[str, Any], under: str = "") -> Iterator[dict[str, Any]]:
    """The members of an object, each followed by its own: `phones`, `phones[].number`."""
    schema = resolved(schema, components)
    for name, told in schema.get("properties", {}).items():
        yield row(f"{under}{name}", told, name in schema.get("required", ()), told.get("description", ""))
        inner, step = resolved(told, components), "."
        if inner.get("type") == "array":
            inner, step = resolved(inner.get("items", {}), components), "[]."
        if inner.get("type") == "object" and under.count(".") + 1 < DEEPEST:
            yield from members_in(inner, components, f"{under}{name}{step}")


def sent_to(operation: Operation) -> Any:
    """The shape of what an operation is sent: its body, or the form that its handler reads by itself."""
    return body_of(operation) or (operation.takes if operation.method != "GET" else None)


def members_of(operation: Operation, schemas: Schemas) -> list[dict[str, Any]]:
    """The members of what an operation is sent; a change needs none, and what it leaves out stays as it is."""
    shape = sent_to(operation)
    if shape is None:
        return []
    schema = schemas.refs[shape]
    if get_origin(get_type_hints(operation.run).get("body")) is Patch:
        whole = resolved(schema, schemas.components)
        parts = {n: {k: v for k, v in about.items() if k != "default"} for n, about in whole["properties"].items()}
        schema = {"type": "object", "properties": parts}
    return list(members_in(schema, schemas.components))


def example_answer(operation: Operation, base: str) -> str:
    """What an operation answers, made of the example of its shape; of a page the members that every page has."""
    kind, shape = returned(operation)
    if getattr(shape, "example", None) is None:
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
    """An operation as a line for the shell; members of the path are variables of it, like the token."""
    shape = sent_to(operation)
    example = example_of(shape) if shape is not None else None
    if operation.takes is not None and example is None:
        return ""  # asked by a browser
    parts = ["curl"]
    if operation.takes is None and operation.method != "GET":
        parts.append(f"-X {operation.method}")
    if operation.fence is not PUBLIC:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    elif operation.takes is not None and "client_secret" in get_type_hints(operation.takes):
        parts.append('-u "$CLIENT_ID:$CLIENT_SECRET"')
    if "if_match" in inspect.signature(operation.run).parameters:
        parts.append("""-H 'If-Match: "1"'""")
    if operation.takes is not None:
        parts += [f"--data-urlencode {quote(f'{name}={value}')}" for name, value in (example or {}).items()]
    elif example is not None:
        parts.append(f'-H "Content-Type: {operation.media[0]}"')
        text = json.dumps(example, ensure_ascii=False)
        parts.append(f"-d {quote(text if len(text) < SHORT else json.dumps(example, indent=2, ensure_ascii=False))}")
    steps = [f"${step[1:-1].upper()}" if step.startswith("{") else step for step in operation.path.split("/")]
    return " \\\n  ".join([*parts, f'"{base}{"/".join(steps)}"'])


def slug(operation: Operation) -> str:
    """What an operation is called in the address of its place on the page."""
    return operation_name(operation).lower().replace(" /", "/").translate({ord("/"): "-", ord("{"): "", ord("}"): ""})


def about(shape: Any) -> str:
    """What a shape says of itself."""
    return " ".join(((shape and shape.__doc__) or "").split())


def entry(operation: Operation, schemas: Schemas, base: str) -> dict[str, Any]:
    """One operation as its page shows it."""
    title, more = summary(operation)
    asks = operation.takes if operation.method == "GET" else None
    return {
        "id": slug(operation),
        "method": operation.method,
        "path": operation.path,
        "title": title,
        "more": more,
        "scope": "" if isinstance(operation.fence, Open) else operation.fence.name,
        "parameters": rows_of(operation),
        "parameters_about": about(asks or get_type_hints(operation.run).get("query")),
        "members": members_of(operation, schemas),
        "members_about": about(sent_to(operation)),
        "media": operation.media,
        "curl": example_request(operation, base),
        "status": operation.status,
        "empty": returned(operation)[0] == "none",
        "page": operation.errors is Errors.PAGE,
        "answer": example_answer(operation, base),
        "problems": by_status(problems_of(operation)),
    }


def by_status(found: Iterable[Problem]) -> list[Problem]:
    """Each code once per status; what comes first counts."""
    once: dict[tuple[int, str], Problem] = {}
    for problem in found:
        once.setdefault((problem.status, problem.code), problem)
    return [once[key] for key in sorted(once)]


def pages(apis: tuple[Api, ...], version: str) -> Api:
    """The operations that serve the reference of these APIs."""
    shown = tuple(api for api in apis if api.operations)
    by_name = {api.name: api for api in shown}
    every = [(api, op) for api in shown for op in api.operations]
    files = {
        path.name: (path.read_text("utf-8"), MEDIA[path.suffix]) for path in STATIC.iterdir() if path.suffix in MEDIA
    }
    schemas = cache(lambda: Schemas(apis))
    document = cache(lambda: encode(contract(apis, version)).decode())

    @cache
    def entries(name: str, gateway: str, identity: str) -> list[dict[str, Any]]:
        return [
            entry(op, schemas(), identity if op.path.startswith("/oauth/") else gateway)
            for op in by_name[name].operations
        ]

    def sheet(template: str, here: str, **values: Any) -> Sheet:
        return Sheet(template, {"apis": shown, "here": here, "version": version, **values})

    async def root(ctx: Ctx) -> See:
        """Lead to the reference"""
        return See("/docs")

    async def index(ctx: Ctx) -> Sheet:
        """Show what this server offers"""
        scopes = [
            (scope, [(of, op, slug(op)) for of, op in every if op.fence == scope])
            for api in shown
            for scope in api.scopes
        ]
        house = ctx.house
        return sheet("docs_index.html", "", scopes=scopes, gateway=house.gateway_base, identity=house.identity_base)

    async def of_api(ctx: Ctx, api: str) -> Sheet:
        """Show one API: each operation with its scope, parameters, examples and errors"""
        if api not in by_name:
            raise Fault(NO_SUCH_PATH)
        found = entries(api, ctx.house.gateway_base, ctx.house.identity_base)
        return sheet("docs_api.html", api, api=by_name[api], entries=found, reports=reports_of(api, set(files)))

    async def errors(ctx: Ctx) -> Sheet:
        """Show every error code"""
        told = [problem for problem in vars(common).values() if isinstance(problem, Problem)]
        told += [p for _, op in every if op.errors in ENVELOPES for p in problems_of(op)]
        oauth = [p for _, op in every if op.errors not in ENVELOPES for p in problems_of(op)]
        return sheet("docs_errors.html", "errors", problems=by_status(told), oauth=by_status(oauth))

    async def events(ctx: Ctx) -> Sheet:
        """Show every type of event"""
        found = sorted((e for api in apis for e in api.events), key=lambda e: e.name)
        told = [(e, list(members_in(schemas().refs[e.data], schemas().components))) for e in found]
        return sheet("docs_events.html", "event-types", events=told)

    async def openapi(ctx: Ctx) -> Plain:
        """Give the contract as OpenAPI 3.1"""
        return Plain(document(), headers=(("cache-control", "public, max-age=300"),))

    @cache
    def told() -> dict[str, Any]:
        return asyncapi(apis, version)

    async def webhooks(ctx: Ctx) -> Plain:
        """Give what subscribers are told as AsyncAPI 3"""
        return Plain(told(), headers=(("cache-control", "public, max-age=300"),))

    async def static(ctx: Ctx, name: str) -> Plain:
        """Serve a style sheet or picture of the pages"""
        if name not in files:
            raise Fault(NO_SUCH_PATH)
        text, media = files[name]
        return Plain(text, media=media, headers=KEEP)

    return Api(
        name="pages",
        title="Pages",
        about="The reference.",
        operations=(
            Operation("GET", "/", PUBLIC, root),
            Operation("GET", "/docs", PUBLIC, index, errors=Errors.PAGE),
            Operation("GET", "/docs/errors", PUBLIC, errors, errors=Errors.PAGE),
            Operation("GET", "/docs/event-types", PUBLIC, events, errors=Errors.PAGE),
            Operation("GET", "/docs/{api}", PUBLIC, of_api, problems=(NO_SUCH_PATH,), errors=Errors.PAGE),
            Operation("GET", "/openapi.json", PUBLIC, openapi),
            Operation("GET", "/asyncapi.json", PUBLIC, webhooks),
            Operation("GET", "/static/{name}", PUBLIC, static, problems=(NO_SUCH_PATH,)),
        ),
    )
