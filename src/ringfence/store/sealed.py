"""Files encrypted at rest: AES-256-GCM in chunks, so that any part of one is read without the rest.

A file is 32 random bytes and its chunks. They are sealed under a key that follows from the file's key and those
bytes: a file that is written twice, by two processes at once, never uses a key and a number twice. Each chunk is
sealed with its place, the last one as the last: what was changed, swapped, cut off or added is noticed.
"""

import hmac
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .blobs import Blobs

CHUNK = 64 * 1024
TAG = 16
SALT = 32


class Tampered(Exception):
    """A file is not what was written."""


def new_key() -> str:
    """A random key of one file, in hex."""
    return os.urandom(32).hex()


def _cipher(key: str, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(bytes.fromhex(key), b"ringfence file 1" + salt, "sha256"))


def _nonce(index: int, *, last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes([last])


async def sealed(key: str, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """What to write instead of `pieces`."""
    salt = os.urandom(SALT)
    cipher, index, held = _cipher(key, salt), 0, bytearray()
    yield salt
    async for piece in pieces:
        held += piece
        while len(held) > CHUNK:  # a full one may be the last
            yield cipher.encrypt(_nonce(index, last=False), bytes(held[:CHUNK]), None)
            del held[:CHUNK]
            index += 1
    yield cipher.encrypt(_nonce(index, last=True), bytes(held), None)


async def unsealed(
    blobs: Blobs, name: str, key: str, length: int, start: int, stop: int
) -> AsyncGenerator[bytes, None]:
    """The bytes from `start` up to `stop` of a sealed file that has `length` of them. Raises Tampered."""
    if start >= stop:
        return
    end = max(0, length - 1) // CHUNK
    index, until = start // CHUNK, (stop - 1) // CHUNK
    first = SALT + index * (CHUNK + TAG)
    behind = min(SALT + (until + 1) * (CHUNK + TAG), SALT + length + (end + 1) * TAG)
    cipher, held = None, bytearray()
    if index:
        async with aclosing(blobs.read(name, 0, SALT)) as pieces:
            cipher = _cipher(key, b"".join([piece async for piece in pieces]))
    async with aclosing(blobs.read(name, first if index else 0, behind)) as pieces:
        async for piece in pieces:
            held += piece
            if cipher is None and len(held) >= SALT:
                cipher = _cipher(key, bytes(held[:SALT]))
                del held[:SALT]
            while cipher is not None and index <= until:
                size = TAG + (CHUNK if index < end else length - end * CHUNK)
                if len(held) < size:
                    break
                try:
                    plain = cipher.decrypt(_nonce(index, last=index == end), bytes(held[:size]), None)
                except InvalidTag as why:
                    raise Tampered(f"chunk {index} of {name} was changed") from why
                del held[:size]
                yield plain[max(0, start - index * CHUNK) : stop - index * CHUNK]
                index += 1
    if index <= until:
        raise Tampered(f"{name} was cut off")
