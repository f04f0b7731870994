"""The one door through which time, randomness and new ids enter."""

import asyncio
import itertools
import os
import secrets
import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid_of(ordered: int, rest: int) -> str:
    """A version 7 UUID: 48 bits of milliseconds and 16 that count on (12 of them fit), then 62 bits of `rest`."""
    stamp, count = ordered >> 16, ordered & 0xFFFF
    low = (0b10 << 62) | (rest & ((1 << 62) - 1))
    text = f"{(stamp << 16) | 0x7000 | (count & 0xFFF):016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class World:
    """The real one: the machine's clock and its random source."""

    def __init__(self) -> None:
        self._count = itertools.count(int.from_bytes(os.urandom(2), "big"))

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def new_id(self, length: int) -> str:
        """Lower-case hex that sorts by time of making: milliseconds, a counter, randomness. `length` 24 or 32."""
        tail = length - 16
        ordered = (int(self.time() * 1000) << 16) | (next(self._count) & 0xFFFF)
        return f"{ordered:016x}{self.token_bytes(tail // 2).hex()}"

    def new_uuid(self) -> str:
        """A UUID that sorts by time of making (RFC 9562 section 5.7)."""
        ordered = (int(self.time() * 1000) << 16) | (next(self._count) & 0xFFFF)
        return uuid_of(ordered, int.from_bytes(self.token_bytes(8), "big"))

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def token(self, count: int = 32) -> str:
        """An unguessable text of `count` random bytes, safe in a URL."""
        return secrets.token_urlsafe(count)


class FrozenWorld(World):
    """A clock that moves only when told to: for tests and sandboxes. Ids are counted, tokens stay random."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self._now = start
        self._moved = asyncio.Event()
        self._ids = itertools.count(1)

    def time(self) -> float:
        return (self._now - EPOCH).total_seconds()

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        until = self._now + timedelta(seconds=seconds)
        while self._now < until:
            await self._moved.wait()

    def new_id(self, length: int) -> str:
        return f"{next(self._ids):0{length}x}"

    def new_uuid(self) -> str:
        return uuid_of(0, next(self._ids))
