"""Files: received by signed URL into a folder or an S3-compatible bucket, read back in pieces, deleted.

A file is there whole and checked, or it is not there: it is written under another name, and takes its own only
when length and checksum are right.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol
from urllib.parse import urlencode

import msgspec

from ringfence.kernel.problems import Fault, Problem, wrong
from ringfence.kernel.settings import BadSetting, Settings
from ringfence.kernel.shapes import Shape, Upload

from .secrets import Vault

PIECE = 256 * 1024  # bytes read at a time
FORGOTTEN = 86400  # seconds after which a file that was never finished is cleared away
KEY = re.compile(r"[0-9a-f-]{1,64}")

BAD_SIGNATURE = Problem("signed_url_refused", 403, "This signed URL is not valid, or no longer; ask for a new one.")
CHECKSUM = Problem("checksum_mismatch", 400, "The file is not the one that was announced: its MD5 differs.")
LENGTH = Problem("length_mismatch", 400, "The file is not the one that was announced: its length differs.")
TYPE = Problem("content_type_mismatch", 415, "The file is not the one that was announced: its content type differs.")


class SignedQuery(Shape):
    """What the signed URL carries."""

    account: Annotated[str, msgspec.Meta(max_length=24)] = ""
    expires: Annotated[str, msgspec.Meta(max_length=20)] = ""
    signature: Annotated[str, msgspec.Meta(max_length=100)] = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """What a file was said to be before it came: bytes, MD5 in hex, content type."""

    length: int
    md5: str
    content_type: str


class Blobs(Protocol):
    """Where files are kept. Keys are made by us, and hold nothing but hex digits and dashes."""

    direct: bool  # whether files are received by this server

    def signed_url(self, key: str, path: str, until: int) -> str:
        """Where the file may be PUT without any other authorization, until then (seconds since 1970)."""
        ...

    async def receive(self, key: str, announced: Announced, upload: Upload) -> None:
        """Take a file in. Raises a Fault, and leaves nothing, where it is not what was announced."""
        ...

    async def length(self, key: str) -> int | None:
        """Bytes of a file; None: there is none."""
        ...

    def fetched(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The file on this machine, for as long as it is needed."""
        ...

    def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `stop`, in pieces. FileNotFoundError where there is no file."""
        ...

    async def write(self, key: str, pieces: AsyncIterator[bytes]) -> None: ...
    async def delete(self, key: str) -> None: ...
    async def close(self) -> None: ...
    def clear_away(self, now: float) -> None:
        """Drop what a process that died was receiving."""
        ...


def signature(vault: Vault, path: str, until: int, method: str = "PUT") -> str:
    return vault.derive(f"{method} {path} until {until}")


def signed(vault: Vault, path: str, until: int, method: str = "PUT") -> str:
    """A path of this server with what lets anybody use it by this method, until then (seconds since 1970)."""
    query = urlencode({"expires": until, "signature": signature(vault, path, until, method)})
    return f"{path}{'&' if '?' in path else '?'}{query}"


def check_signature(vault: Vault, path: str, until: str, given: str, now: float, method: str = "PUT") -> None:
    """Refuse a signed URL of this server that was tampered with or has expired."""
    good = until.isascii() and until.isdigit() and len(until) <= 12
    if not vault.same(signature(vault, path, int(until) if good else 0, method), given) or not good:
        raise Fault(BAD_SIGNATURE, "The signature does not fit the URL.")
    if now >= int(until):
        raise Fault(BAD_SIGNATURE, "The URL has expired.")


class Disk:
    """Files in a folder."""

    direct = True

    def __init__(self, folder: Path, vault: Vault, base: str) -> None:
        self.folder, self._vault, self._base = folder, vault, base

    def signed_url(self, key: str, path: str, until: int) -> str:
        return self._base + signed(self._vault, path, until)

    async def receive(self, key: str, announced: Announced, upload: Upload) -> None:
        if upload.encoding not in ("", "identity"):
            raise wrong("content-encoding", "must not be used: send the file as it is")
        if upload.content_type != announced.content_type:
            raise Fault(TYPE, f"Announced was {announced.content_type}, sent {upload.content_type or 'none'}.")
        if upload.length is not None and upload.length != announced.length:
            raise Fault(LENGTH, f"Announced were {announced.length} bytes, sent {upload.length}.")
        digest = hashlib.md5(usedforsecurity=False)

        async def checked() -> AsyncIterator[bytes]:
            size = 0
            async for piece in upload.chunks():
                size += len(piece)
                if size > announced.length:
                    raise Fault(LENGTH, f"Announced were {announced.length} bytes, sent more.")
                digest.update(piece)
                yield piece
            if size != announced.length:
                raise Fault(LENGTH, f"Announced were {announced.length} bytes, sent {size}.")
            if digest.hexdigest() != announced.md5.lower():
                raise Fault(CHECKSUM, f"Announced was {announced.md5}, sent {digest.hexdigest()}.")

        await self.write(key, checked())

    async def write(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        whole = self._path(key)
        part = self.folder / "incoming" / f"{key}.{os.urandom(8).hex()}"  # processes in containers all have the same id
        loop = asyncio.get_running_loop()
        for folder in (part.parent, whole.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                async for piece in pieces:
                    file.write(piece)
                file.flush()
                await loop.run_in_executor(None, os.fsync, file.fileno())
            part.replace(whole)
            await loop.run_in_executor(None, _settle, whole.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    async def length(self, key: str) -> int | None:
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None

    @asynccontextmanager
    async def fetched(self, key: str) -> AsyncIterator[Path]:
        yield self._path(key)

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        with self._path(key).open("rb") as file:
            file.seek(start)
            while start < stop and (piece := await loop.run_in_executor(None, file.read, min(PIECE, stop - start))):
                start += len(piece)
                yield piece

    async def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    async def close(self) -> None:
        return None

    def clear_away(self, now: float) -> None:
        for left in (self.folder / "incoming").glob("*"):
            with suppress(OSError):
                if left.stat().st_mtime < now - FORGOTTEN:
                    left.unlink()

    def _path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a file")
        return self.folder / key[-2:] / key


def _settle(folder: Path) -> None:
    """Make a new name in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_blobs(settings: Settings, vault: Vault, base: str, now: Callable[[], float]) -> Blobs:
    """What the setting `files` names: a folder, or `s3://bucket/prefix`."""
    if settings.files.startswith("s3://"):
        from .s3 import S3

        return S3(settings, now)
    if "://" in settings.files:
        raise BadSetting("files must be a folder or s3://BUCKET/PREFIX.")
    if settings.files:
        folder = Path(settings.files)
    elif settings.database.startswith("sqlite:///"):
        folder = Path(settings.database.removeprefix("sqlite:///") + "-files")
    else:
        folder = Path("ringfence-files")
    return Disk(folder, vault, base)
