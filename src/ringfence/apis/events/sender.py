"""Telling: deliveries go out by HTTP, many receivers side by side, each key in order, until they have arrived."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

import msgspec
import structlog
from sqlalchemy import bindparam, update

from ringfence import __version__
from ringfence.fence.house import House
from ringfence.kernel.catalog import Duty, EventType
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Moment
from ringfence.store.outbox import emit
from ringfence.store.outward import Caller, Reply, Unreachable
from ringfence.store.query import Row, Statement, adding

from . import queue, signing, trigger_payloads
from .subscriptions import DISABLED, SCOPE, TRIGGER_DISABLED, TRIGGERS, Disabled
from .tables import delivery_attempts, subscriptions

log = structlog.get_logger()
API_VERSION = "1"
LOOK = 0.05  # seconds between looks for something to do
ABREAST = 20  # deliveries at a time to one receiver …
PROBING = 2  # … and while it fails
MOST = 1000  # deliveries at a time in all
FIRST = 300.0  # seconds before the second attempt; each further wait is twice as long …
LONGEST = 43200.0  # … up to this
GIVE_UP = timedelta(days=3)  # after which an event is no longer tried
DISABLE = timedelta(days=5)  # of nothing but failures, after which a subscription is disabled
JITTER = 0.1  # share of a wait that is added at random
ADD_ATTEMPT = adding(delivery_attempts, everywhere=True)
_this = subscriptions.c.id == bindparam("subscription")
WORKS = Statement(update(subscriptions).where(_this).values(failing_since=None), everywhere=True)
FAILS = Statement(
    update(subscriptions)
    .where(_this, subscriptions.c.failing_since.is_(None))
    .values(failing_since=bindparam("at", type_=Moment)),
    everywhere=True,
)
STOP = Statement(
    update(subscriptions)
    .where(_this, subscriptions.c.active)
    .values(active=False, reason=bindparam("why"), updated_at=bindparam("at", type_=Moment)),
    everywhere=True,
)


class Tallied(Shape):
    """How many attempts to deliver were written down together, and how many of them arrived."""

    attempts: int
    delivered: int


TALLIED = EventType("webhook.tallied", Tallied, "Attempts to deliver were written down")


@dataclass(slots=True)
class Outcome:
    """What came of one attempt. `reply` is None where there was no answer, `withheld` says why none was asked for."""

    row: Row
    subscription: Row
    at: datetime
    took: int
    reply: Reply | None = None
    error: str = ""
    withheld: bool = False


@dataclass(slots=True)
class Line:
    """One receiver: its open connections, and what is on the way to it."""

    caller: Caller
    flying: set[str] = field(default_factory=set)
    failing: bool = False


def envelope(event: Row, base: str) -> dict[str, Any]:
    """What a subscriber gets of an event that has no form of its own."""
    return {
        "id": event["id"],
        "created_at": event["at"],
        "api_version": API_VERSION,
        "type": event["type"],
        "account_id": event["account_id"],
        "data": event["data"],
        "_links": {"root": {"href": base}},
    }


def event_of(row: Row) -> Row:
    """The event out of a delivery beside its event."""
    return {
        "id": row["event_id"],
        "account_id": row["event_account"],
        "type": row["type"],
        "at": row["at"],
        "key": row["key"],
        "data": row["data"],
    }


async def body_of(ctx: Ctx, type: EventType, event: Row, *, trusted: bool) -> bytes:
    """The very bytes that are sent of an event. `ctx` is of its account."""
    if type.shown is not None:
        return msgspec.json.encode(await type.shown(ctx, event, trusted=trusted))
    return msgspec.json.encode(envelope(event, ctx.house.gateway_base))


class Sender:
    """All that goes out of one process."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lines: dict[str, Line] = {}
        self.done: list[Outcome] = []
        self.flights: set[asyncio.Task[None]] = set()
        self.wake = asyncio.Event()
        self.signer: signing.Signer | None = None
        self._random = random.Random()  # noqa: S311 - spreads the load, guards nothing

    async def run(self) -> None:
        """Until cancelled; what is on the way then will be sent again."""
        try:
            while True:
                try:
                    busy = await self.turn()
                except asyncio.CancelledError:
                    raise
                except Exception:
                    log.exception("deliveries.turn_failed")
                    await asyncio.sleep(1)
                    continue
                if not busy:
                    self.wake.clear()
                    try:
                        await asyncio.wait_for(self.wake.wait(), LOOK)
                    except TimeoutError:
                        continue
        finally:
            await self.close()

    async def close(self) -> None:
        for task in self.flights:
            task.cancel()
        await asyncio.gather(*self.flights, return_exceptions=True)
        for line in self.lines.values():
            await line.caller.close()

    async def settle(self) -> None:
        """Send until nothing is due, and wait for what is on the way."""
        while await self.turn() or self.flights:
            if self.flights:
                await asyncio.wait(set(self.flights), return_when=asyncio.FIRST_COMPLETED)

    async def turn(self) -> bool:
        """Write down what has come back, send what is due. Whether there was anything."""
        done, self.done = self.done, []
        if done:
            await self._note(done)
        begun = await self._fill()
        if len(self.lines) > MOST:
            await self._hang_up()
        return begun > 0 or bool(done)

    async def _hang_up(self) -> None:
        """Let go of the connections to receivers that nothing is on the way to."""
        for id in [id for id, line in self.lines.items() if not line.flying]:
            await self.lines.pop(id).caller.close()

    async def _fill(self) -> int:
        if len(self.flights) >= MOST:
            return 0
        house, now, begun = self.house, self.house.world.now(), 0
        if self.signer is None:
            async with house.db.writing() as tx:
                self.signer = await signing.signer(house.ctx(tx, "", "events"))
        async with house.db.reading() as tx:
            due = await tx.all(queue.DUE, now=now)
            found = []
            for subscription in due:
                line = self.lines.get(subscription["id"])
                if line is None:
                    settings = house.settings
                    caller = Caller(private=settings.private_receivers, patience=settings.delivery_patience)
                    line = self.lines[subscription["id"]] = Line(caller)
                room = (PROBING if line.failing else ABREAST) - len(line.flying)
                if room > 0:
                    limit = room + len(line.flying)
                    heads = await tx.all(queue.HEADS, subscription=subscription["id"], now=now, limit=limit)
                    fresh = [row for row in heads if row["id"] not in line.flying][:room]
                    found += [(subscription, line, row) for row in fresh]
        if found:
            await house.view_confirmed()
        for subscription, line, row in found[: MOST - len(self.flights)]:
            line.flying.add(row["id"])
            task = asyncio.create_task(self._fly(subscription, line, row))
            self.flights.add(task)
            task.add_done_callback(self.flights.discard)
            begun += 1
        return begun

    def _may_hear(self, subscription: Row, type: EventType | None) -> frozenset[str] | None:
        """The scopes of the subscription's client, if they let it hear this now."""
        client = self.house.view.clients.get(subscription["client_id"])
        if client is None or type is None:
            return None
        held = client.effective(self.house.world.time())
        needed = SCOPE if subscription["trigger"] is None else TRIGGERS
        return held if {needed, type.scope} <= held else None

    async def _fly(self, subscription: Row, line: Line, row: Row) -> None:
        house = self.house
        outcome = Outcome(row, subscription, house.world.now(), 0)
        started = monotonic()
        try:
            type: EventType | None = house.events.get(row["type"])
            held = self._may_hear(subscription, type)
            if held is None or type is None:
                outcome.withheld = True
                outcome.error = "The client may not hear this: its scopes have changed."
                return
            async with house.db.reading() as tx:
                ctx = house.ctx(tx, row["event_account"], "events")
                event = event_of(row)
                if subscription["trigger"] is not None:
                    body = await trigger_payloads.body(ctx, subscription, event, held)
                else:
                    body = await body_of(ctx, type, event, trusted="apps:write" in held)
            headers = self._headers(ctx, subscription, row, body, outcome.at)
            started = monotonic()
            outcome.reply = await line.caller.send("POST", subscription["callback_url"], headers, body)
        except Unreachable as why:
            outcome.error = str(why)
        except asyncio.CancelledError:
            raise
        except Exception as why:
            log.exception("delivery.failed", delivery=row["id"])
            outcome.error = type_name(why)
        finally:
            outcome.took = int((monotonic() - started) * 1000)
            self.done.append(outcome)
            self.wake.set()

    def _headers(self, ctx: Ctx, subscription: Row, row: Row, body: bytes, at: datetime) -> dict[str, str]:
        signer, seconds = self.signer, int(at.timestamp())
        if signer is None:
            raise RuntimeError("nothing is sent before there is a key to sign with")
        return {
            "content-type": "application/json",
            "user-agent": f"ringfence/{__version__}",
            "webhook-id": row["event_id"],
            "webhook-timestamp": str(seconds),
            "webhook-signature": signing.standard(
                signing.opened(ctx, subscription, at), row["event_id"], seconds, body
            ),
            "x-hub-ecdsa-signature": signer.sign(body),
            "x-hub-ecdsa-signature-id": signer.id,
        }

    async def _note(self, done: list[Outcome]) -> None:
        """Write down outcomes, in one transaction; those that cannot be written are sent again."""
        try:
            async with self.house.db.writing() as tx:
                held = set()
                for subscription in sorted({one.subscription["id"] for one in done}):
                    if await tx.one(queue.HOLD, subscription=subscription):  # it may have been deleted meanwhile
                        held.add(subscription)
                tallies: dict[str, list[int]] = {}
                for one in done:
                    if one.subscription["id"] in held:
                        account = one.subscription["account_id"]
                        await self._conclude(self.house.ctx(tx, account, "events"), one)
                        if not one.withheld:
                            tally = tallies.setdefault(account, [0, 0])
                            tally[0] += 1
                            tally[1] += _arrived(one.reply)
                for account, (attempts, delivered) in sorted(tallies.items()):
                    told = Tallied(attempts=attempts, delivered=delivered)
                    await emit(self.house.ctx(tx, account, "events"), TALLIED, account, told)
        finally:
            for one in done:
                line = self.lines[one.subscription["id"]]
                line.flying.discard(one.row["id"])
                line.failing = not (one.withheld or _arrived(one.reply))

    async def _conclude(self, ctx: Ctx, one: Outcome) -> None:
        row, subscription, tries = one.row, one.subscription["id"], one.row["attempts"] + 1
        arrived, now = _arrived(one.reply), ctx.now()
        error = one.error or ("" if arrived or one.reply is None else f"It answered {one.reply.status}.")
        await ctx.db.run(
            ADD_ATTEMPT,
            delivery_id=row["id"],
            number=tries,
            account_id=row["account_id"],
            at=one.at,
            status=one.reply.status if one.reply else None,
            took=one.took,
            error=error,
            response=one.reply.begin if one.reply else "",
        )
        again = None if arrived or one.withheld else self._again(one, tries, now)
        if again is not None:
            await ctx.db.run(queue.LATER, delivery=row["id"], tries=tries, again=again)
        else:
            state = queue.DELIVERED if arrived else queue.WITHHELD if one.withheld else queue.FAILED
            await ctx.db.run(queue.OVER, delivery=row["id"], tries=tries, becomes=state, at=now)
            await ctx.db.run(queue.PROMOTE, subscription=subscription, of=row["key"], at=now)
        if arrived and one.subscription["failing_since"] is not None:
            await ctx.db.run(WORKS, subscription=subscription)
        elif not arrived and not one.withheld:
            await self._failed(ctx, one, now)

    async def _failed(self, ctx: Ctx, one: Outcome, now: datetime) -> None:
        since, gone = one.subscription["failing_since"], one.reply is not None and one.reply.status == 410
        if since is None:
            await ctx.db.run(FAILS, subscription=one.subscription["id"], at=now)
        if gone or (since is not None and now - since >= DISABLE):
            why = "The receiver is gone (410)." if gone else "Nothing could be delivered for five days."
            if await ctx.db.run(STOP, subscription=one.subscription["id"], why=why, at=now):
                id, told = one.subscription["id"], DISABLED if one.subscription["trigger"] is None else TRIGGER_DISABLED
                await emit(ctx, told, id, Disabled(id=id, reason=why))

    def _again(self, one: Outcome, tries: int, now: datetime) -> datetime | None:
        """When to try once more; None: never."""
        left: timedelta = one.row["created_at"] + GIVE_UP - now
        if left <= timedelta(0):
            return None
        wait = min(FIRST * 2.0 ** min(tries - 1, 20), LONGEST) * (1 + JITTER * self._random.random())
        if one.reply is not None and (asked := _retry_after(one.reply.headers, now)) is not None:
            wait = max(wait, asked)
        return now + min(timedelta(seconds=wait), left)


def type_name(why: BaseException) -> str:
    return f"It could not be sent: {type(why).__name__}."


def _arrived(reply: Reply | None) -> bool:
    return reply is not None and 200 <= reply.status < 300


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a receiver asks to be left alone (RFC 9110 section 10.2.3), a day at most."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), 86400.0)
    try:
        return min(max((parsedate_to_datetime(value) - now).total_seconds(), 0.0), 86400.0)
    except (ValueError, TypeError, OverflowError):
        return None


async def send(house: House) -> None:
    await Sender(house).run()


SENDING = Duty("events.send", send)
