"""From what came over the wire to typed values: query, body, forms, headers. What is wrong is named by field."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import (
    HEADERS_TOO_LARGE,
    INCOMPLETE,
    INVALID,
    MALFORMED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    Fault,
    wrong,
)
from ringfence.kernel.shapes import IfMatch, Upload, misfit

Receive = Callable[[], Any]
Pairs = list[tuple[str, str]]
FIELDS = 500  # members that a query or a form may have
FORM = "application/x-www-form-urlencoded"
DROPPED, DROPPING = 2**22, 5.0  # bytes of a body that are read on for nothing, and seconds that may take


def decoded(part: str) -> str:
    """One percent-decoded segment of a path."""
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError as why:
        raise Fault(INVALID, "The path is not UTF-8.") from why
    if "\0" in text:
        raise Fault(INVALID, "The path holds a NUL character.")
    return text


def pairs(raw: bytes, where: str) -> Pairs:
    """The members of a query or a form, in order."""
    if not raw:
        return []
    try:
        found = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except UnicodeDecodeError as why:
        raise Fault(INVALID, f"The {where} is not percent-encoded UTF-8.") from why
    except ValueError as why:
        raise Fault(INVALID, f"The {where} has more than {FIELDS} members.") from why
    for name, value in found:
        if "\0" in value or "\0" in name:
            raise wrong(name.replace("\0", "␀"), "holds a NUL character")
    return found


def query_reader(kind: type[msgspec.Struct]) -> Callable[[Pairs], Any]:
    """How one operation's query becomes its typed value; unknown members are ignored."""
    lists: set[str] = set()
    scalars: set[str] = set()
    for field in msgspec.structs.fields(kind):
        hints = [field.type, *get_args(field.type)]
        many = any(get_origin(h) in (list, tuple, frozenset) or h in (list, tuple) for h in hints)
        (lists if many else scalars).add(field.encode_name)
    try:
        nothing = msgspec.convert({}, kind)
    except msgspec.ValidationError:
        nothing = None

    def read(given: Pairs) -> Any:
        if not given and nothing is not None:
            return nothing
        values: dict[str, Any] = {}
        for name, value in given:
            plain = name.removesuffix("[]")
            if plain in lists:
                values.setdefault(plain, []).extend(part for part in value.split(",") if part)
            elif name in scalars:
                if name in values:
                    raise wrong(name, "was given more than once")
                values[name] = value
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as why:
            raise misfit(why) from why

    return read


class Arriving:
    """`receive` of a request whose body is still coming; what nobody has read of it can be dropped."""

    __slots__ = ("_receive", "over")

    def __init__(self, receive: Receive) -> None:
        self._receive, self.over = receive, False

    async def __call__(self) -> Any:
        message = await self._receive()
        self.over = not message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Read to the end, within limits: who is cut off while still sending may never see the answer."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DROPPING):
                while not self.over and size < DROPPED:
                    size += len((await self()).get("body", b""))


async def read_body(receive: Receive, announced: bytes | None, limit: int) -> bytes:
    """The whole body, up to the limit."""
    if announced is not None:
        if not announced.isdigit():
            raise Fault(INVALID, "Content-Length is not a number.")
        if len(announced) > 18 or int(announced) > limit:
            raise Fault(TOO_LARGE, f"The body may have {limit} bytes.")
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body") or message["type"] == "http.disconnect":
        parts, size = [body], len(body)
        while message["type"] != "http.disconnect" and message.get("more_body"):
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise Fault(TOO_LARGE, f"The body may have {limit} bytes.")
            parts.append(part)
        if message["type"] == "http.disconnect":
            raise Fault(INCOMPLETE)
        body = b"".join(parts)
    if len(body) > limit:
        raise Fault(TOO_LARGE, f"The body may have {limit} bytes.")
    return body


def as_upload(receive: Receive, headers: Mapping[bytes, bytes]) -> Upload:
    """The body as a file that is still coming."""
    announced = headers.get(b"content-length")
    if announced is not None and not (announced.isdigit() and len(announced) <= 18):
        raise Fault(INVALID, "Content-Length is not a number.")

    async def chunks() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Fault(INCOMPLETE)
            yield message.get("body", b"")
            more = message.get("more_body", False)

    return Upload(
        content_type=media_type(headers.get(b"content-type")),
        sent_as=headers.get(b"content-type", b"").decode("latin-1"),
        encoding=headers.get(b"content-encoding", b"").decode("latin-1").strip().lower(),
        length=None if announced is None else int(announced),
        chunks=chunks,
    )


def media_type(header: bytes | None) -> str:
    return (header or b"").split(b";", 1)[0].strip().lower().decode("latin-1")


def body_reader(kind: Any, media: tuple[str, ...]) -> Callable[[bytes, bytes | None], Any]:
    """How one operation's body becomes its typed value."""
    patching = get_origin(kind) is Patch or kind is Patch
    decode = msgspec.json.Decoder(dict[str, Any] | list[Any] if patching else kind).decode

    def read(body: bytes, content_type: bytes | None) -> Any:
        sent_as = media_type(content_type)
        if sent_as and sent_as not in media:
            raise Fault(UNSUPPORTED_MEDIA, f"Send {' or '.join(media)}, not {sent_as}.")
        if not body:
            raise wrong("body", "is missing")
        try:
            value = decode(body)
        except msgspec.ValidationError as why:
            raise misfit(why) from why
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
            raise Fault(MALFORMED, str(why)) from why
        if b"\\u0000" in body:
            refuse_nul(msgspec.json.decode(body), "")
        return Patch(value) if patching else value

    return read


def refuse_nul(value: Any, path: str) -> None:
    """No database of ours stores NUL in text, so nobody may send it; names the member that holds it."""
    if isinstance(value, str):
        if "\0" in value:
            raise wrong(path.lstrip(".") or "body", "holds a NUL character")
    elif isinstance(value, dict):
        for name, inner in value.items():
            refuse_nul(name, f"{path}.{name.replace(chr(0), '␀')}")
            refuse_nul(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            refuse_nul(inner, f"{path}[{index}]")


def read_if_match(header: str | None) -> IfMatch:
    """RFC 9110 section 13.1.1. A tag that is not one of ours, or weak, matches nothing."""
    if header is None:
        return IfMatch()
    if header.strip() == "*":
        return IfMatch(frozenset(), any=True)
    tags = re.findall(r'(?:^|,)\s*"([0-9]{1,18})"\s*(?=,|$)', header)
    return IfMatch(frozenset(int(tag) for tag in tags))


def cookies(header: str | None) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for part in (header or "").split(";"):
        name, mark, value = part.strip().partition("=")
        if mark:
            found.setdefault(name, value)
    return found


def check_headers(headers: list[tuple[bytes, bytes]], limit: int) -> dict[bytes, bytes]:
    """The headers by name (ASGI gives lower case). Refuses too many bytes, and two of what must be one."""
    found: dict[bytes, bytes] = {}
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + 32
        if name in found:
            if name in (b"authorization", b"content-length", b"content-type", b"host", b"idempotency-key"):
                raise wrong(name.decode("latin-1"), "this header was sent more than once")
            found[name] = found[name] + (b"; " if name == b"cookie" else b", ") + value
        else:
            found[name] = value
    if size > limit:
        raise Fault(HEADERS_TOO_LARGE, f"The headers may have {limit} bytes together.")
    return found
