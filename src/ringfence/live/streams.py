"""An open stream: what its reader has been sent of each entry, what is due next, and how that looks on the wire.

New data is sent at once; under constant change an entry is sent every 5 seconds at most, without any every 60. The id
of an event holds, for each entry, a digest of what the reader has: who comes back with it is sent only the rest.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from math import inf
from typing import Any

import msgspec

from .filters import Entry, Selection
from .metrics import Query
from .tally import Pairs

LEAST = 5.0  # seconds between two values of an entry
MOST = 60.0  # seconds without a value of an entry
DIGEST = 4  # bytes
UNSENT = bytes(DIGEST)
GREETING = b"retry: 2000\n\n"
encode = msgspec.json.encode


def digest(*parts: bytes) -> bytes:
    return blake2b(b"\0".join(parts), digest_size=DIGEST).digest()


class Figure:
    """One query with its selection, computed once for all who watch it. `body` is the JSON of its `result`."""

    __slots__ = ("body", "key", "query", "seen", "selection", "version", "watches")

    def __init__(self, key: Any, query: Query, selection: Selection) -> None:
        self.key, self.query, self.selection = key, query, selection
        self.body = b""
        self.seen = -1  # version of the tally that it was computed at
        self.version = 0  # counts the changes
        self.watches: dict[Watch, None] = {}

    def become(self, pairs: Pairs) -> bool:
        """Whether it is another one now."""
        body = encode([{"_key": key, "_value": value} for key, value in pairs])
        if body == self.body:
            return False
        self.body, self.version = body, self.version + 1
        return True


class Watch:
    """One entry of one stream. It has a figure, or an error and none."""

    __slots__ = ("acked", "entry", "error", "figure", "head", "pending", "sent_at", "sent_body", "soon", "stream")

    def __init__(self, stream: "Stream", entry: Entry) -> None:
        self.stream, self.entry = stream, entry
        self.figure: Figure | None = None
        self.error = entry.error
        facts = {"metadata": entry.metadata, "query_id": entry.query_id, "entry_id": entry.id}
        self.head = encode(facts)[:-1]
        self.acked = UNSENT
        self.sent_at, self.sent_body = -inf, b""
        self.pending = self.soon = False  # about to be sent; changed, and to be sent as soon as it may be

    def now(self) -> bytes:
        """The digest of what would be sent."""
        told = self.error.encode() if self.error is not None else self.figure.body if self.figure else b""
        return digest(self.head, told)

    def frame(self, at: float) -> bytes:
        """What is sent now; the reader has it from here on."""
        self.pending = False
        self.acked, self.sent_at = self.now(), at
        if self.error is not None or self.figure is None:
            name, data = b"error", b',"error_message":%s}' % encode(self.error or "")
        else:
            self.sent_body = self.figure.body
            name, data = b"result", b',"result":%s}' % self.figure.body
        return b"id: %s\nevent: %s\ndata: %s%s\n\n" % (self.stream.id(), name, self.head, data)


class Stream:
    """One reader. `clients` are those whose scope it stands on; `over` says why it has ended."""

    __slots__ = (
        "account", "clients", "ends_at", "last_id", "left", "over", "pending", "subscription", "wake", "watches",
    )  # fmt: skip

    def __init__(
        self, account: str, subscription: str, *, clients: Sequence[str], ends_at: float, last_id: str = ""
    ) -> None:
        self.account, self.subscription, self.clients, self.ends_at = account, subscription, tuple(clients), ends_at
        self.last_id = last_id
        self.watches: list[Watch] = []
        self.pending: list[Watch] = []
        self.wake = asyncio.Event()
        self.over: tuple[str, str] | None = None
        self.left = False

    def leave(self) -> None:
        """The reader has gone."""
        self.left = True
        self.wake.set()

    def end(self, code: str, message: str) -> None:
        if self.over is None:
            self.over = (code, message)
            self.wake.set()

    def send(self, watch: Watch) -> None:
        """Let an entry be part of what is sent next."""
        if not watch.pending:
            watch.pending = True
            self.pending.append(watch)
            self.wake.set()

    def id(self) -> bytes:
        return urlsafe_b64encode(b"".join([watch.acked for watch in self.watches])).rstrip(b"=")

    def farewell(self) -> bytes:
        code, message = self.over or ("closed", "")
        return b"event: closed\ndata: %s\n\n" % encode({"code": code, "message": message})


def acknowledged(id: str, count: int) -> list[bytes]:
    """What the last event's id says that a reader has of each entry; one that is no such id says nothing."""
    try:
        raw = urlsafe_b64decode(id + "=" * (-len(id) % 4))
    except ValueError:
        raw = b""
    if len(raw) != count * DIGEST:
        return [UNSENT] * count
    return [raw[at : at + DIGEST] for at in range(0, len(raw), DIGEST)]
