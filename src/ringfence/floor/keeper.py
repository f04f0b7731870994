"""Who keeps the floor: one process at a time holds every account's centre in memory, and writes down what changes.

A turn takes commands out of the inbox, lets timers go off, and commits rows, events and the taken commands together;
only then is the carrier given its orders. When anything fails, memory is dropped and read anew.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.fence.house import House
from ringfence.kernel.catalog import Api, Duty, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.store import outbox
from ringfence.store.columns import EPOCH
from ringfence.store.db import DatabaseUnavailable, Transaction, TryAgain
from ringfence.store.outward import Caller, Unreachable
from ringfence.store.query import Row, Statement, adding
from ringfence.store.tables.floor import callbacks, desks, interactions, recordings
from ringfence.store.tables.identity import platform_facts

from . import do_not_call, engine, forgetting, inbox, numbers, people, roster, telling
from .calls import Impossible
from .carriers import CARRIERS
from .centre import Centre
from .interactions import Callback, Interaction, moment
from .interactions import read as read_interaction
from .live import Desk
from .telephony import Carrier, Signal

log = structlog.get_logger()
LOOK = 0.05  # seconds between looks into the inbox
MOST = 100  # timers that one turn lets go off: requests have their turns between
ABREAST = 50  # HTTP requests of flows at a time
KEEPER = "floor keeper"  # the fact that says who keeps the floor
LIVE = Statement(select(interactions).where(interactions.c.state != "ended"), everywhere=True)
DESKS = Statement(select(desks), everywhere=True)


def _put(table: Any, keys: tuple[str, ...], kept: tuple[str, ...] = ()) -> Statement:
    """Insert a row, or write over the one that is there but for what is `kept` of it."""
    columns = {c.name: bindparam(c.name, type_=c.type) for c in table.c if c.name not in kept}
    changed = {name: bind for name, bind in columns.items() if name not in keys}
    put = upsert(table).values(columns)
    return Statement(
        put.on_conflict_do_update(
            index_elements=[table.c[name] for name in keys], set_={n: put.excluded[n] for n in changed}
        ),
        everywhere=True,
    )


PUT_INTERACTION = _put(interactions, ("account_id", "id"))
PUT_DESK = _put(desks, ("account_id", "user_id"))
PUT_CALLBACK = _put(callbacks, ("account_id", "id"), kept=("cancel_asked_at",))
ADD_RECORDING = adding(recordings, everywhere=True)
CALLBACK = Statement(select(callbacks).where(callbacks.c.id == bindparam("callback")), everywhere=True)
BECOME = Statement(
    upsert(platform_facts)
    .values(name=KEEPER, value=bindparam("me"))
    .on_conflict_do_update(index_elements=[platform_facts.c.name], set_={"value": bindparam("me")}),
    everywhere=True,
)
STILL = Statement(
    update(platform_facts)
    .where(platform_facts.c.name == KEEPER, platform_facts.c.value == bindparam("me"))
    .values(value=bindparam("me")),
    everywhere=True,
)


AWAY = (DatabaseUnavailable, TryAgain, sqlite3.Error, OSError)  # what says nothing against a command


class Displaced(Exception):
    """Another process keeps the floor now."""


class Keeper:
    """Every account's centre. `origin` marks the events; a `lazy` one does not wait until each turn is durable."""

    def __init__(self, house: House, carrier: Carrier | None = None, *, origin: str = "floor", lazy: bool = False):
        self.house, self.origin, self.lazy = house, origin, lazy
        self.carrier = carrier or CARRIERS["simulated"]
        self.centres: dict[str, Centre] = {}
        self.me = ""
        self._broken: set[str] = set()  # calls that cannot be gone on with
        self._bad: set[int] = set()  # commands that cannot be done
        self._answers: list[tuple[str, str, Signal]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._abreast = asyncio.Semaphore(ABREAST)

    # its life

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    busy = await self.turn()
                except asyncio.CancelledError:
                    raise
                except Exception as why:
                    log.error("floor.turn_failed", why=repr(why), exc_info=not isinstance(why, Displaced))
                    self.forget()
                    await asyncio.sleep(1)
                    continue
                if not busy:
                    await asyncio.sleep(self._pause())
        finally:
            for task in self._asking:
                task.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)

    def _pause(self) -> float:
        due = self.next_due()
        return LOOK if due is None else min(max(due - self.house.world.time(), 0.0), LOOK)

    def next_due(self) -> float | None:
        """When something happens by itself, on any account's floor."""
        return min((due for one in self.centres.values() if (due := one.next_due()) is not None), default=None)

    def forget(self) -> None:
        """Drop what is in memory; the next turn reads it anew."""
        self.centres.clear()
        self._answers.clear()
        self.me = ""

    async def settle(self) -> None:
        """Turn until nothing is left to do at this moment."""
        while await self.turn() or self._asking:
            if self._asking:
                await asyncio.wait(set(self._asking), return_when=asyncio.FIRST_COMPLETED)

    async def turn(self) -> bool:
        """Do what there is to do now; whether there was anything."""
        if not self.me:
            await self.load()
        async with self.house.db.reading() as tx:
            rows = await tx.all(inbox.WAITING)
            for row in rows:
                if row["n"] not in self._bad:
                    await self._obey(tx, row)
            now = self.house.world.time()
            answers, self._answers = self._answers, []
            for account, call, signal in answers:
                if (held := self.centres.get(account)) is not None:
                    with self._giving_up(held):
                        held.receive(call, signal, now)
            for centre in self.centres.values():
                for it in centre.about_to_dial(now):
                    if await self._may_not_dial(tx, centre, it):
                        with self._giving_up(centre):
                            centre.receive(it.call.id, Signal("not_allowed"), now)
        went_off = 0
        for centre in self.centres.values():
            with self._giving_up(centre):
                went_off += centre.pass_time(now, MOST)
        if not (rows or answers or went_off or any(one.told or one.dirty for one in self.centres.values())):
            return False
        await self.flush([row["n"] for row in rows])
        return True

    @contextmanager
    def _giving_up(self, centre: Centre) -> Iterator[None]:
        """A call that cannot be gone on with is ended when memory is read anew, or it would fail again and again."""
        try:
            yield
        except Exception:
            self._broken.add(centre.current)
            raise

    async def load(self) -> None:
        """Become the keeper, and read what was written down."""
        me, now = self.house.world.new_id(32), self.house.world.time()
        async with self.house.db.writing() as tx:
            await tx.run(BECOME, me=me)
        async with self.house.db.reading() as tx:
            live: dict[str, list[Interaction]] = {}
            for row in await tx.all(LIVE):
                live.setdefault(row["account_id"], []).append(read_interaction(row["doc"]))
            at_work: dict[str, list[Desk]] = {}
            for row in await tx.all(DESKS):
                at_work.setdefault(row["account_id"], []).append(msgspec.convert(row["doc"], Desk))
            for account in live.keys() | at_work.keys():
                going_on = live.get(account, [])
                centre = await self._open(tx, account, [it.version for it in going_on if it.version is not None])
                good = [it for it in going_on if it.call.id not in self._broken]
                centre.restore(good, at_work.get(account, []), now)
                for it in going_on:
                    if it.call.id in self._broken:
                        it.call.state, it.call.ended, it.call.ended_by, it.timers = "ended", now, "system", []
                        centre.dirty[it.call.id] = it
                        telling.call_ended(centre, it, "system", now)
                        log.error("floor.call_given_up", call=it.call.id)
        self.me = me

    async def _open(self, tx: Transaction, account: str, versions: list[str]) -> Centre:
        known = await roster.load(tx, account, versions)
        world = self.house.world
        centre = self.centres[account] = Centre(account, known, self.carrier, lambda: world.new_id(32))
        return centre

    # commands

    async def centre(self, tx: Transaction, account: str) -> Centre:
        """The floor of an account, opened when it is first spoken of."""
        found = self.centres.get(account)
        if found is None:
            found = await self._open(tx, account, [])
            found.restore([], [], self.house.world.time())
        return found

    async def _obey(self, tx: Transaction, row: Row) -> None:
        try:
            command = inbox.read(row["command"], row["args"])
            await self._do(tx, await self.centre(tx, row["account_id"]), command)
        except Impossible as why:
            log.info("floor.command_passed_over", command=row["command"], n=row["n"], why=str(why))
        except AWAY:
            raise  # it stays in the inbox until the database is there again
        except Exception:
            log.exception("floor.command_failed", command=row["command"], n=row["n"])
            self._bad.add(row["n"])  # it is taken out with the next turn; what it half did is forgotten
            raise

    async def _do(self, tx: Transaction, centre: Centre, command: inbox.AnyCommand) -> None:
        now = self.house.world.time()
        match command:
            case inbox.StartInteraction():
                await roster.add_versions(tx, centre.account, centre.roster, [command.version])
                centre.start(command, now)
            case inbox.Incoming():
                centre.incoming(command, now, await people.contact_of(tx, centre.account, command.contact_number))
            case inbox.AskCallback():
                await self._ask_callback(tx, centre, command, now)
            case inbox.CancelCallback():
                centre.cancel_callback(command, now)
            case inbox.SetStatus():
                centre.set_status(command, now)
            case inbox.TimeOff():
                centre.time_off(command, now)
            case inbox.WrappedUp():
                centre.wrapped_up(command, now)
            case inbox.Signalled():
                await self._signal(tx, centre, command.call, command.signal, now)
            case inbox.Reload():
                used = [it.version for it in centre.interactions.values() if it.version is not None]
                centre.restaff(await roster.load(tx, centre.account, used), now)

    async def _ask_callback(self, tx: Transaction, centre: Centre, command: inbox.AskCallback, now: float) -> None:
        row = await tx.one(CALLBACK, callback=command.id)
        if row is None or row["account_id"] != centre.account or not row["open"]:
            return
        asked = msgspec.convert(
            row["asked"]
            | {
                "expires": row["expires_at"].timestamp(),
                "created": row["created_at"].timestamp(),
                "not_before": row["not_before"].timestamp() if row["not_before"] else None,
                "max_attempts": row["max_attempts"],
            },
            Callback,
        )
        centre.ask_callback(command.id, row["company_number"], row["contact_number"], command.contact_id, asked, now)

    async def _signal(self, tx: Transaction, centre: Centre, call: str, signal: Signal, now: float) -> None:
        it = centre.interactions.get(call)
        if it is not None and signal.what == "answered" and await self._may_not_dial(tx, centre, it):
            signal = Signal("not_allowed")
        centre.receive(call, signal, now)

    async def _may_not_dial(self, tx: Transaction, centre: Centre, it: Interaction) -> bool:
        """Whether a do-not-call list holds the number that would be dialled now."""
        number = numbers.digits(it.call.contact_number)
        if it.call.contact_is_there or it.call.state != "ringing" or number is None:
            return False
        return await do_not_call.listed(self.house.ctx(tx, centre.account, "floor"), number)

    # writing down

    async def flush(self, taken: Iterable[int] = ()) -> None:
        """Commit what has come out of the centres, and the commands that led to it; then tell the carrier."""
        taken = list(taken)
        out = list(self.centres.values())
        async with self.house.db.writing(lazy=self.lazy) as tx:
            if not await tx.run(STILL, me=self.me):
                raise Displaced
            if taken and await tx.run(inbox.TAKE, done=taken) != len(taken):
                raise Displaced
            for centre in out:
                await self._write(tx, centre)
        self._bad.difference_update(taken)
        for centre in out:
            orders, centre.orders = centre.orders, []
            if orders:
                await self.carrier.carry_out(orders)
            requests, centre.requests = centre.requests, []
            for call, step in requests:
                self._ask(centre, call, step)

    async def _write(self, tx: Transaction, centre: Centre) -> None:
        ctx = self.house.ctx(tx, centre.account, "floor", self.origin)
        dirty, centre.dirty = centre.dirty, {}
        at_work, centre.dirty_desks = centre.dirty_desks, {}
        made, centre.recordings = centre.recordings, []
        told, centre.told = centre.told, []
        if dirty:
            await tx.many(PUT_INTERACTION, [_interaction_row(centre.account, it) for it in dirty.values()])
            asked = [_callback_row(centre.account, it, ctx) for it in dirty.values() if it.callback is not None]
            if asked:
                await tx.many(PUT_CALLBACK, asked)
        if at_work:
            await tx.many(PUT_DESK, [_desk_row(centre.account, desk) for desk in at_work.values()])
        if made:
            await tx.many(ADD_RECORDING, made)
        if told:
            await outbox.emit_many(ctx, ((what, key, moment(at), data) for what, key, at, data in told))

    # HTTP of flows

    def _ask(self, centre: Centre, call: str, step: int) -> None:
        task = asyncio.create_task(self._request(centre, call, step), name=f"flow request of {call}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _request(self, centre: Centre, call: str, order: int) -> None:
        """Send the request of a step; after a crash it is sent again."""
        it = centre.interactions.get(call)
        asked = engine.request(centre, it) if it is not None else None
        if asked is None:
            return
        method, url, headers, body, step = asked
        status, values = 0, {}
        caller = Caller(private=self.house.settings.private_receivers, patience=step.patience)
        try:
            async with self._abreast:
                reply = await caller.send(method, url, headers, body)
            status = reply.status
            values = engine.saved(step, reply.begin)
        except Unreachable as why:
            log.info("flow.unreachable", call=call, why=str(why))
        finally:
            await caller.close()
        self._answers.append(
            (centre.account, call, Signal("http_answered", number=status, values=values, order=str(order)))
        )


def _interaction_row(account: str, it: Interaction) -> dict[str, Any]:
    call = it.call
    return {
        "account_id": account,
        "id": call.id,
        "state": call.state,
        "direction": call.direction,
        "company_number": call.company_number,
        "contact_number": call.contact_number,
        "contact_id": it.contact_id,
        "started_at": moment(call.started),
        "ended_at": moment(call.ended) if call.ended is not None else None,
        "doc": it,
    }


def _desk_row(account: str, desk: Desk) -> dict[str, Any]:
    return {
        "account_id": account,
        "user_id": desk.user,
        "status": desk.status,
        "since": moment(desk.since),
        "doc": desk,
    }


def _callback_row(account: str, it: Interaction, ctx: Ctx) -> dict[str, Any]:
    asked = it.callback
    if asked is None:
        raise RuntimeError("only a callback has a row of callbacks")
    return {
        "account_id": account,
        "id": it.call.id,
        "state": asked.state,
        "reason": asked.reason,
        "company_number": it.call.company_number,
        "contact_number": it.call.contact_number,
        "asked": {
            "ring_groups": asked.ring_groups,
            "attributes": asked.attributes,
            "priority": asked.priority,
            "context": asked.context,
        },
        "attempts": asked.tries,
        "max_attempts": asked.max_attempts,
        "not_before": moment(asked.not_before) if asked.not_before is not None else None,
        "expires_at": EPOCH + timedelta(seconds=asked.expires),
        "open": asked.state not in ("completed", "failed", "expired", "cancelled"),
        "created_at": moment(asked.created),
        "updated_at": ctx.now(),
    }


RELOADING = ("user.", "ring_group.", "attribute.", "number.", "flow.published", "business_hours.")


async def reload(ctx: Ctx, event: Row) -> None:
    """The reaction: what the floor knows of an account has changed."""
    if event["type"].startswith(RELOADING):
        await inbox.tell(ctx, inbox.Reload())


async def keep(house: House) -> None:
    await Keeper(house).run()


KEEPING = Duty("floor.keep", keep)
RELOAD = Reaction("floor.reload", None, reload, start="end")
LIVE_FLOOR = Api(
    name="live-floor",
    title="The live floor",
    about="Calls, agents at work, and who is put through to whom.",
    operations=(),
    reactions=(RELOAD, forgetting.NOTICE),
    jobs=(forgetting.FORGET,),
    duties=(KEEPING,),
)
