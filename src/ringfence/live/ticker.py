"""What a process does for its open streams: follow the log, compute each figure once, and say who is sent what.

Begun with the first stream; an account that nobody watches any more is dropped after a minute.
"""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from math import inf
from typing import Any

import structlog

from ringfence.fence.house import House
from ringfence.kernel.problems import Fault
from ringfence.store.db import DatabaseUnavailable

from . import subscriptions
from .feed import Feed, is_about_people, last_place, opened, told, types_told
from .filters import Entry, read
from .metrics import QUERIES
from .streams import GREETING, LEAST, MOST, UNSENT, Figure, Stream, Watch, acknowledged

log = structlog.get_logger()
SCOPE = "live-subscriptions:read"
TICK = 0.5  # seconds between looks
RENEWAL = 30.0  # seconds between two times that subscriptions are kept alive
UNWATCHED = 60.0  # seconds that an account is held though nobody watches it
TIDY = 600.0  # seconds between two times that old contacts are dropped
ABREAST = 16  # streams that one subscription may have in one process
GOODBYE = 2.0  # seconds that streams have to end when the server stops


class Watched:
    """An account with open streams: its feed and the figures that are asked of it."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.figures: dict[Any, Figure] = {}
        self.uses: Counter[Any] = Counter()  # of windows
        self.unused_since = inf
        self.reading = 0  # streams that are about to ask


class Ticker:
    """The open streams of one process."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.accounts: dict[str, Watched] = {}
        self.streams: dict[str, list[Stream]] = {}  # by subscription
        self.place = 0
        self.lapsing: set[str] = set()  # subscriptions that have just lost their last stream
        self._soon: list[tuple[float, int, Watch]] = []  # of a watch whose figure has changed, one
        self._late: list[tuple[float, int, Watch]] = []  # of every watch with a figure, one
        self._count = itertools.count()
        self._failed: list[Watch] = []
        self._changed: set[str] = set()  # subscriptions to read anew
        self._moved: set[str] = set()  # accounts whose people are to be read anew
        self._renewed_at = self._tidied_at = -inf
        self._lock = asyncio.Lock()
        self._opening: dict[str, asyncio.Lock] = {}
        self._running: asyncio.Task[None] | None = None
        self._types = types_told(house, subscriptions.CHANGED.name, subscriptions.ENDED.name)

    # one stream's life

    async def frames(self, stream: Stream, entries: list[Entry]) -> AsyncGenerator[bytes, None]:
        """What goes over the wire, until the reader leaves or the stream is over."""
        self.streams.setdefault(stream.subscription, []).append(stream)
        self.lapsing.discard(stream.subscription)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="live")
        try:
            yield GREETING
            await self._begin(stream, entries)
            while not stream.left:
                await stream.wake.wait()
                stream.wake.clear()
                if stream.over is not None:
                    yield stream.farewell()
                    return
                if stream.pending and not stream.left:
                    yield self._taken(stream)
        finally:
            self._leave(stream)

    def _taken(self, stream: Stream) -> bytes:
        now = self.house.world.time()
        pending, stream.pending = stream.pending, []
        return b"".join([watch.frame(now) for watch in pending])

    async def _begin(self, stream: Stream, entries: list[Entry]) -> None:
        """Everything at once, but what the reader says that they have."""
        for entry, acked in zip(entries, acknowledged(stream.last_id, len(entries)), strict=True):
            watch = Watch(stream, entry)
            stream.watches.append(watch)
            watch.acked = acked
        stream.last_id = ""
        (await self._account(stream.account)).reading -= 1  # also where all entries are in error
        for watch in list(stream.watches):
            await self._show(watch)
        await self._refresh(stream.subscription)  # it may have been changed since it was read

    async def _show(self, watch: Watch) -> None:
        """Give a watch its figure, and send what the reader does not have."""
        if watch.figure is not None or watch.pending:
            return
        figure = await self._assign(watch) if watch.error is None else None
        if watch not in watch.stream.watches:
            return
        now = self.house.world.time()
        if figure is not None:
            heapq.heappush(self._late, (now + MOST, next(self._count), watch))
        if watch.acked != UNSENT and watch.acked == watch.now():
            watch.sent_at, watch.sent_body = now, figure.body if figure is not None else b""
        else:
            watch.stream.send(watch)

    async def _assign(self, watch: Watch) -> Figure | None:
        """The figure of an entry; None: it is in error, or its reader has left."""
        query, account = QUERIES.get(watch.entry.query_id), watch.stream.account
        held = await self._account(account)
        try:
            if query is None:
                raise LookupError
            selection = read(query, watch.entry.filters, watch.entry.params, zone=held.feed.tally.people.zone)
            if query.source in ("finished", "arrived"):
                await held.feed.ready([selection])
        except (Fault, LookupError):
            self._fail(watch, "This version of the server does not serve the query as it was asked for.")
            return None
        finally:
            held.reading -= 1
        if watch not in watch.stream.watches:
            return None
        figure = held.figures.get((query.id, selection))
        if figure is None:
            figure = Figure((query.id, selection), query, selection)
            held.figures[figure.key] = figure
            if query.source in ("finished", "arrived"):
                held.uses[query.source, selection, query.by] += 1
        figure.watches[watch] = None
        watch.figure = figure
        held.unused_since = inf
        if not figure.body or figure.seen != held.feed.tally.version:
            self._compute(held, figure, self.house.world.time())
        return watch.figure

    async def _account(self, account: str) -> Watched:
        """An account's feed, opened if need be. Whoever asks takes one off `reading` when they are done."""
        async with self._opening.setdefault(account, asyncio.Lock()):
            held = self.accounts.get(account)
            if held is None:
                feed = await opened(self.house, account)
                async with self._lock:
                    if not self.accounts:
                        self.place = feed.place
                    await feed.catch_up(self.place)
                    held = self.accounts[account] = Watched(feed)
            held.reading += 1
            return held

    def _leave(self, stream: Stream) -> None:
        for watch in stream.watches:
            self._release(watch)
        stream.watches, stream.left = [], True
        kept = self.streams.get(stream.subscription, [])
        if stream in kept:
            kept.remove(stream)
        if not kept:
            self.streams.pop(stream.subscription, None)
            if stream.over is None or stream.over[0] != "subscription_ended":
                self.lapsing.add(stream.subscription)

    def _release(self, watch: Watch) -> None:
        figure, watch.figure = watch.figure, None
        held = self.accounts.get(watch.stream.account)
        if figure is None or held is None:
            return
        figure.watches.pop(watch, None)
        if figure.watches:
            return
        held.figures.pop(figure.key, None)
        query, selection = figure.query, figure.selection
        use = (query.source, selection, query.by)
        if use in held.uses:
            held.uses[use] -= 1
            if not held.uses[use]:
                del held.uses[use]
                tally = held.feed.tally
                line = tally.arrived if query.source == "arrived" else tally.finished
                line.windows.pop((selection, query.by), None)
        if not held.figures:
            held.unused_since = self.house.world.time()

    # ticks

    async def _run(self) -> None:
        while self.streams or self.accounts or self.lapsing:
            await asyncio.sleep(TICK)
            try:
                await self.tick()
            except Exception as why:
                log.error("live.tick_failed", why=repr(why), exc_info=not isinstance(why, Fault | DatabaseUnavailable))
                await asyncio.sleep(1)

    async def tick(self) -> None:
        """One look at everything. Nothing is sent while the grants cannot be confirmed."""
        await self.house.view_confirmed()
        self._end_refused()
        await self._follow()
        now = self.house.world.time()
        for held in self.accounts.values():
            tally = held.feed.tally
            tally.slide(now)
            for figure in list(held.figures.values()):
                if figure.seen != tally.version or figure.query.ticks:
                    self._compute(held, figure, now)
        self._send_due(now)
        await self._write_down(now)
        self._drop_unwatched(now)

    def _end_refused(self) -> None:
        """End the streams of clients that may not read any more, and those whose day is over."""
        now, clients = self.house.world.time(), self.house.view.clients
        fine: dict[tuple[str, str], bool] = {}
        for stream in [one for streams in self.streams.values() for one in streams]:
            for client in stream.clients:
                key = (client, stream.account)
                if key not in fine:
                    held = clients.get(client)
                    fine[key] = held is not None and held.account == stream.account and SCOPE in held.effective(now)
                if not fine[key]:
                    stream.end("insufficient_scope", f"The client does not hold {SCOPE} any more.")
            if now >= stream.ends_at:
                stream.end("subscription_ended", "A subscription lives 24 hours; make a new one.")

    async def _follow(self) -> None:
        """Let every account and subscription know what has happened."""
        async with self._lock:
            async with self.house.db.reading() as tx:
                last = await last_place(tx)
            async for event in told(self.house, list(self.accounts), self._types, self.place, last):
                if event["type"] in (subscriptions.CHANGED.name, subscriptions.ENDED.name):
                    self._changed.add(event["key"])
                elif (held := self.accounts.get(event["account_id"])) is not None:
                    held.feed.take(event)
                    if is_about_people(event["type"]):
                        self._moved.add(event["account_id"])
            self.place = max(self.place, last)
            for held in self.accounts.values():
                held.feed.place = max(held.feed.place, last)
        for account in sorted(self._moved):
            if (found := self.accounts.get(account)) is not None:
                await found.feed.read_people()
                await found.feed.ready([figure.selection for figure in found.figures.values()])
            self._moved.discard(account)
        for subscription in sorted(self._changed):
            await self._refresh(subscription)
            self._changed.discard(subscription)

    async def _refresh(self, subscription: str) -> None:
        """Let the streams of a subscription be of its entries as they are now."""
        streams = self.streams.get(subscription)
        if not streams:
            return
        row = await subscriptions.read(self.house, streams[0].account, subscription)
        if row is None:
            for stream in streams:
                stream.end("subscription_ended", "The subscription is over; make a new one.")
            return
        entries = {entry.id: entry for entry in subscriptions.entries_of(row)}
        for stream in list(streams):
            for index, watch in enumerate(list(stream.watches)):
                if stream.left:
                    break
                entry = entries.get(watch.entry.id, watch.entry)
                if entry == watch.entry or (entry.error is not None and entry.error == watch.error):
                    watch.entry = entry
                    continue
                self._release(watch)
                fresh = stream.watches[index] = Watch(stream, entry)
                stream.pending = [one for one in stream.pending if one is not watch]
                await self._show(fresh)

    def _compute(self, held: Watched, figure: Figure, now: float) -> None:
        tally = held.feed.tally
        figure.seen = tally.version
        if strange := tally.strange(figure.selection):
            for watch in list(figure.watches):
                self._fail(watch, f"There is no ring group {strange[0]!r} any more.")
            return
        if figure.become(tally.figure(figure.query, figure.selection, now)):
            for watch in figure.watches:
                if not watch.pending and not watch.soon and watch.sent_at > -inf:
                    watch.soon = True
                    heapq.heappush(self._soon, (max(now, watch.sent_at + LEAST), next(self._count), watch))

    def _fail(self, watch: Watch, why: str) -> None:
        self._release(watch)
        watch.error = why
        self._failed.append(watch)
        watch.stream.send(watch)

    def _send_due(self, now: float) -> None:
        """New values that may be sent now, and old ones that must be."""
        while self._soon and self._soon[0][0] <= now:
            watch = heapq.heappop(self._soon)[2]
            watch.soon = False
            if watch.figure is not None and watch.figure.body != watch.sent_body:
                watch.stream.send(watch)
        while self._late and self._late[0][0] <= now:
            watch = heapq.heappop(self._late)[2]
            if watch.figure is not None:
                if (due := watch.sent_at + MOST) <= now:
                    watch.stream.send(watch)
                    due = now + MOST
                heapq.heappush(self._late, (due, next(self._count), watch))

    async def _write_down(self, now: float) -> None:
        """Entries that are in error, and which subscriptions are alive."""
        failed, self._failed = self._failed, []
        for watch in failed:
            with suppress(Exception):
                stream = watch.stream
                await subscriptions.fail_entry(
                    self.house, stream.account, stream.subscription, watch.entry, watch.error or ""
                )
        if self.lapsing:
            lapsing, self.lapsing = self.lapsing, set()
            await subscriptions.keep_alive(self.house, lapsing, subscriptions.IDLE)
        if self.streams and now >= self._renewed_at + RENEWAL:
            self._renewed_at = now
            await subscriptions.keep_alive(self.house, list(self.streams), subscriptions.IDLE + RENEWAL)

    def _drop_unwatched(self, now: float) -> None:
        followed = {streams[0].account for streams in self.streams.values()}
        for account, held in list(self.accounts.items()):
            if account in followed:
                continue
            if not held.figures and not held.reading and held.unused_since == inf:
                held.unused_since = now
            if not held.figures and not held.reading and now >= held.unused_since + UNWATCHED:
                del self.accounts[account]
                self._opening.pop(account, None)
        if now >= self._tidied_at + TIDY:
            self._tidied_at = now
            for held in self.accounts.values():
                tally, starts = held.feed.tally, held.feed.tally.starts(now)
                oldest = min((starts(figure.selection.span) for figure in held.figures.values()), default=now)
                tally.forget(min(oldest, now) - TIDY)

    async def close(self) -> None:
        """The server stops: streams are told, and end."""
        for stream in [one for streams in self.streams.values() for one in streams]:
            stream.end("server_stopping", "The server stops; come again with the same URL.")
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                while self.streams:  # noqa: ASYNC110 - rare and short
                    await asyncio.sleep(0.01)
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        if self.lapsing:
            with suppress(Exception):
                await subscriptions.keep_alive(self.house, self.lapsing, subscriptions.IDLE)


def of(house: House) -> Ticker:
    """The one of this process."""
    if house.live is None:
        house.live = Ticker(house)
    found: Ticker = house.live
    return found
