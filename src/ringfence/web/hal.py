"""Shapes to HAL. Links are templates declared on the shape, never built by hand."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints
from urllib.parse import quote, urlencode

import msgspec

from ringfence.kernel.shapes import Listed, Page, Shape, Versioned, Wrapped

encode = msgspec.json.Encoder().encode


class Where(NamedTuple):
    """Where a request came in: what links are built from."""

    base: str  # of the gateway, as bytes can be spliced: no quotes
    path: str
    query: list[tuple[str, str]]


def render(value: Any, where: Where) -> bytes:
    """The body of an answer, as JSON."""
    if isinstance(value, Versioned):
        value = value.shape
    if isinstance(value, Wrapped):
        kind: Any = type(value.shape)
        return b'{"%s":%s}' % (value.member.encode(), _writer(kind)(value.shape, where.base))
    if isinstance(value, Shape):
        return _writer(type(value))(value, where.base)
    if isinstance(value, Page):
        return _page(value, where)
    return encode(value)


@cache
def _writer(kind: type[Shape]) -> Callable[[Any, str], bytes]:
    """How to write one class of shapes, worked out once."""
    inner = tuple(kind.__struct_fields__) if _holds_shapes(kind) else ()
    links = _links(kind.links)

    def body_of(shape: Any, base: str) -> bytes:
        if not inner:
            return encode(shape)
        names = kind.__struct_encode_fields__
        return encode({n: _raw(getattr(shape, f), base) for f, n in zip(inner, names, strict=True)})

    def write(shape: Any, base: str) -> bytes:
        body = body_of(shape, base)
        comma = b"," if len(body) > 2 else b""
        return b'%s%s"_links":%s}' % (body[:-1], comma, links(shape, base))

    return write if kind.links else body_of


def _raw(value: Any, base: str) -> Any:
    if isinstance(value, Shape):
        return msgspec.Raw(_writer(type(value))(value, base))
    if isinstance(value, list | tuple):
        return [_raw(item, base) for item in value]
    return value


def _holds_shapes(kind: type[Shape]) -> bool:
    def shapely(hint: Any) -> bool:
        if isinstance(hint, type) and issubclass(hint, Shape):
            return bool(hint.links) or _holds_shapes(hint)
        return any(shapely(inner) for inner in getattr(hint, "__args__", ()))

    hints = get_type_hints(kind)
    return any(shapely(hints[name]) for name in kind.__struct_fields__)


def _links(templates: Mapping[str, Any]) -> Callable[[Any, str], bytes]:
    """A writer of `_links`: percent-encoded paths need no further escaping in JSON."""
    text = msgspec.json.encode(
        {rel: {"href": t} if isinstance(t, str) else dict(t) for rel, t in templates.items()}
    ).decode()
    pieces = re.split(r'(?<=":")(?=/)|{([\w.]+)}', text)  # text, a field or None where the base goes, text, …
    template = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
    slots = pieces[1::2]
    fields = {name: attrgetter(name) for name in slots if name is not None}

    def write(shape: Any, base: str) -> bytes:
        known: dict[str | None, str] = {name: quoted(str(found(shape))) for name, found in fields.items()}
        known[None] = base
        return (template % tuple([known[slot] for slot in slots])).encode()

    return write


def quoted(text: str) -> str:
    """One segment of a path, percent-encoded."""
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


def _page(page: Page[Any], where: Where) -> bytes:
    count = page.total if page.counts_all else len(page.items)
    reachable = page.total if page.reachable is None else min(page.total, page.reachable)
    last = max(1, -(-reachable // page.per_page))
    facts = {
        "total": page.total,
        "count": count,
        "page": page.page,
        "per_page": page.per_page,
        "total_pages": last,
    }

    def at(number: int, cursor: str | None = None) -> dict[str, str]:
        kept = [(name, value) for name, value in where.query if name not in ("page", "per_page", "cursor")]
        place = [("cursor", cursor)] if cursor else []
        query = urlencode([*kept, ("page", str(number)), ("per_page", str(page.per_page)), *place])
        return {"href": f"{where.base}{quote(where.path)}?{query}"}

    here = next((value for name, value in where.query if name == "cursor"), None)
    links: dict[str, Any] = {"self": at(page.page, here if page.cursors else None)}
    beside = page.cursors
    if beside.next if beside else page.page < last:
        links["next"] = at(page.page + 1, beside.next if beside else None)
    if beside.previous if beside else page.page > 1:
        before = page.page - 1 if beside else min(page.page - 1, last)
        links[page.previous] = at(max(1, before), beside.previous if beside else None)
    if page.bounds:
        links |= {"first": at(1), "last": at(last, beside.last if beside and last > 1 else None)}
    for rel, link in page.extra_links.items():
        links[rel] = {**link, "href": f"{where.base}{link['href']}"}
    body: dict[str, Any] = {name: facts[name] for name in page.members}
    body |= page.also
    items = [msgspec.Raw(render(item, where)) for item in page.items]
    body["_embedded"] = items if isinstance(page, Listed) else {page.rel: items}
    body["_links"] = links
    return encode(body)
