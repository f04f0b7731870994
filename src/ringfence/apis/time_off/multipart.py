"""multipart/form-data as it comes (RFC 7578): one part after another, never held whole."""

import re
from collections.abc import AsyncIterator

from ringfence.kernel.problems import wrong

HEADERS = 8 * 1024  # bytes that the headers of a part may have
PARTS = 50
BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
NAME = re.compile(r'content-disposition:\s*form-data[^\r\n]*?;\s*name="([^"\r\n]*)"', re.IGNORECASE)
FILENAME = re.compile(r'content-disposition:[^\r\n]*?;\s*filename="([^"\r\n]*)"', re.IGNORECASE)


class Part:
    """The name of a member, and of its file where it is one."""

    def __init__(self, name: str, filename: str) -> None:
        self.name, self.filename = name, filename


class Form:
    """A form that is still coming. Raises a Fault where it is none."""

    def __init__(self, content_type: str, chunks: AsyncIterator[bytes]) -> None:
        found = BOUNDARY.search(content_type)
        if found is None:
            raise wrong("Content-Type", "multipart/form-data must name its boundary")
        self._mark = b"\r\n--" + (found[1] or found[2]).encode("latin-1")
        self._chunks, self._held = chunks, bytearray(b"\r\n")
        self._inside, self._count = True, 0  # what comes before the first part belongs to none

    async def next(self) -> Part | None:
        """The next part; what is left of the one before is passed over. None: there are no more."""
        if self._inside:
            async for _ in self.pieces():
                pass
        await self._until(2)
        if self._held[:2] == b"--":
            return None
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > HEADERS:
                raise wrong("body", f"the headers of a part have more than {HEADERS} bytes")
            await self._until(len(self._held) + 1)
        try:
            head = self._held[:end].decode()
        except UnicodeDecodeError as why:
            raise wrong("body", "the headers of a part are not UTF-8") from why
        del self._held[: end + 4]
        self._inside, self._count = True, self._count + 1
        if self._count > PARTS:
            raise wrong("body", f"has more than {PARTS} parts")
        name, filename = NAME.search(head), FILENAME.search(head)
        if name is None:
            raise wrong("body", "a part has no name")
        if "\0" in head:
            raise wrong("body", "holds a NUL character")
        return Part(name[1], filename[1] if filename else "")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content of the present part."""
        keep = len(self._mark) - 1
        while (at := self._held.find(self._mark)) < 0:
            if len(self._held) > keep:
                yield bytes(self._held[:-keep])
                del self._held[:-keep]
            await self._until(len(self._held) + 1)
        content = bytes(self._held[:at])
        del self._held[: at + len(self._mark)]
        self._inside = False
        if content:
            yield content

    async def text(self, name: str, limit: int) -> str:
        """The content of a part that is a short text."""
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > limit:
                raise wrong(name, f"may have {limit} bytes")
        try:
            text = found.decode()
        except UnicodeDecodeError as why:
            raise wrong(name, "is not UTF-8") from why
        if "\0" in text:
            raise wrong(name, "holds a NUL character")
        return text

    async def _until(self, length: int) -> None:
        while len(self._held) < length:
            piece = await anext(self._chunks, None)
            if piece is None:
                raise wrong("body", "ends before its last boundary")
            self._held += piece
