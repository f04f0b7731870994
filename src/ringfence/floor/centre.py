"""The floor of one account, alive: commands, signals and timers come in; rows to write, events and orders come out.

Nothing in here waits or touches a database. Who keeps the floor (keeper.py) writes down what has come out before the
carrier is given its orders. Times are seconds since 1970.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from ringfence.kernel.catalog import EventType

from . import engine, events, live, signals, telling
from .calls import By, Call, Impossible, Leg, Queue
from .flows import FlowDocument, Value, typed
from .inbox import CancelCallback, Incoming, SetStatus, Signalled, StartInteraction, TimeOff, WrappedUp
from .interactions import Callback, CallbackState, Execution, Interaction, Try, moment, whole
from .live import OFFLINE, WRAPPING_UP, Desk, Floor, Move
from .roster import Roster
from .telephony import Carrier, Due, Order, Signal

RING_TIME_OUT = 25.0  # seconds after which a phone that nobody answers stops


class Centre:
    """One account's floor. `new_id` makes ids of 32 hex digits that sort by time."""

    def __init__(self, account: str, roster: Roster, carrier: Carrier, new_id: Callable[[], str]) -> None:
        self.account, self.roster, self.carrier, self.new_id = account, roster, carrier, new_id
        self.floor = Floor(new_id)
        self.interactions: dict[str, Interaction] = {}
        self.callbacks: dict[str, tuple[str, str]] = {}  # open ones -> between which two numbers
        self.told: list[events.Told] = []
        self.dirty: dict[str, Interaction] = {}
        self.dirty_desks: dict[str, Desk] = {}
        self.recordings: list[dict[str, Any]] = []
        self.orders: list[Order] = []
        self.current = ""  # the call that something is being done to, in case it goes wrong
        self.requests: list[tuple[str, int]] = []  # (call, order of its step): HTTP to be asked
        self._heap: list[tuple[float, int, str, str, Due]] = []  # (due, n, call, agent, what)
        self._count = itertools.count()

    # the beginning, and what the account has changed

    def restore(self, interactions: Iterable[Interaction], desks: Iterable[Desk], at: float) -> None:
        """Go on from what was written down; what the carrier was doing it is told to do again."""
        for it in interactions:
            self.interactions[it.call.id] = it
            for due in it.timers:
                self._push(due, call=it.call.id)
            if it.callback is not None:
                self.callbacks[it.call.id] = (it.call.company_number, it.call.contact_number)
            if it.order is not None:
                self.orders.append(it.order)
        desks = list(desks)
        for desk in desks:
            for due in desk.timers:
                self._push(due, agent=desk.user)
            if desk.call is not None and desk.call not in self.interactions:
                self.floor.let_go_of(desk, at)
        self.floor.restore(desks, [(it.call, it.in_line) for it in self.interactions.values()])
        self.restaff(self.roster, at)
        for it in self.interactions.values():
            if it.execution is not None and engine.request(self, it) is not None:
                self.requests.append((it.call.id, it.execution.order))
        self._settle(at)

    def restaff(self, roster: Roster, at: float) -> None:
        """People, what they are fit for, thresholds and flows as they are now."""
        roster.versions = self.roster.versions | roster.versions
        self.roster = roster
        for user, person in roster.people.items():
            desk = self.floor.desks.get(user)
            free = desk is not None and desk.status == live.AVAILABLE and desk.call is None
            before = self.floor.board.agents.get(user)
            if desk is not None and free and before is None:
                self.floor.staff(user, person.ring_groups, person.proficiencies, at)
                self.floor.restore_free(user, at)
            elif before is None or (before.ring_groups, before.proficiencies) != (
                frozenset(person.ring_groups), person.proficiencies,
            ):  # fmt: skip
                self.floor.staff(user, person.ring_groups, person.proficiencies, at)
        for user, desk in self.floor.desks.items():
            if user not in roster.people and desk.status != OFFLINE and user in self.floor.board.agents:
                self.floor.set_status(user, OFFLINE, at)
        self._settle(at)

    # commands

    def start(self, command: StartInteraction, at: float) -> None:
        """A contact is on the line, and a flow takes them on."""
        if command.call in self.interactions:
            return  # told twice
        version = self.roster.versions[command.version]
        call = Call(command.call, "IN", command.company_number, command.contact_number, at)
        it = self._arrive(call, command.contact_id, at, flow=command.flow, version=command.version)
        known = defaults(version.document) | command.variables
        execution = Execution(command.execution, command.flow, version.id, version.document.start, at, variables=known)
        engine.begin(self, it, execution, at)
        self._settle(at)

    def incoming(self, command: Incoming, at: float, contact_id: str | None = None) -> None:
        """The carrier has a call: the number's flow answers it; one that has none is turned away."""
        number = self.roster.numbers.get(command.company_number)
        flow = number["flow_id"] if number is not None else None
        version = self.roster.published.get(flow or "")
        id = command.call or self.new_id()
        if flow is None or version is None:
            call = Call(id, "IN", command.company_number, command.contact_number, at)
            self.end(self._arrive(call, contact_id, at), "system", at)
            self._settle(at)
            return
        told = StartInteraction(
            call=id, execution=self.new_id(), flow=flow, version=version, contact_id=contact_id,
            company_number=command.company_number, contact_number=command.contact_number,
        )  # fmt: skip
        self.start(told, at)

    def ask_callback(
        self, id: str, company: str, contact: str, contact_id: str | None, asked: Callback, at: float
    ) -> None:
        """Somebody wants to be called back: from now on, or from `not_before` on, they stand in the queue."""
        if id in self.interactions:
            return
        call = Call(id, "OUT", company, contact, at, callback=True)
        it = self._arrive(call, contact_id, at, callback=asked)
        self.callbacks[id] = (company, contact)
        self.callback_is(it, "queued", at)
        self.due(it, Due(max(asked.expires, at), "call", Signal("expire")))
        if asked.not_before is not None and asked.not_before > at:
            self.due(it, Due(asked.not_before, "call", Signal("begin")))
        else:
            self.begin_callback(it, at)
        self._settle(at)

    def cancel_callback(self, command: CancelCallback, at: float) -> None:
        it = self.interactions.get(command.id)
        if it is not None and it.callback is not None and not it.call.contact_is_there:
            self.callback_over(it, "cancelled", "cancelled", at)
            self.end(it, "system", at)
            self._settle(at)

    def set_status(self, command: SetStatus, at: float) -> None:
        if command.user in self.roster.people:
            desk = self.floor.desks.get(command.user)
            begins = desk is None or desk.status == OFFLINE
            self.floor.set_status(command.user, command.status, at)
            self._settle(at)
            if begins and command.phone is not None and self.floor.desks[command.user].status != OFFLINE:
                phone = command.phone
                told = {"user_id": command.user, "address": phone.address, "user_agent": phone.user_agent}
                self.tell(events.PHONE_CONNECTED, command.user, at, told)

    def time_off(self, command: TimeOff, at: float) -> None:
        """An agent's time off begins or is over, also of somebody who is not of the account any more."""
        self.floor.time_off(command.user, command.status, at)
        self._settle(at)

    def wrapped_up(self, command: WrappedUp, at: float) -> None:
        """An agent says that the work after a call is done."""
        desk = self.floor.desks.get(command.user)
        if desk is not None and desk.status == WRAPPING_UP:
            filed = Signal(
                "wrapped_up", disposition=command.disposition, notes=command.notes, rating=command.rating,
                rating_reason=command.rating_reason, custom_fields=command.custom_fields,
            )  # fmt: skip
            self._wrap_up(desk, filed, at)
            self._settle(at)

    def signalled(self, command: Signalled, at: float) -> None:
        self.receive(command.call, command.signal, at)

    # signals and timers

    def next_due(self) -> float | None:
        """When something happens by itself; None: nothing does."""
        while self._heap and not self._heap[0][4].phase:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pass_time(self, until: float, most: int = 1_000_000) -> int:
        """Let the timers go off that are due by then, at most so many; how many did."""
        count = 0
        while count < most and (due := self.next_due()) is not None and due <= until:
            at, _, call, agent, what = heapq.heappop(self._heap)
            phase, what.phase = what.phase, ""
            if call:
                it = self.interactions.get(call)
                if it is not None:
                    it.timers = [one for one in it.timers if one.phase]
                    self.dirty[call] = it
                    self.receive(call, what.signal, at, phase=phase)
            elif (desk := self.floor.desks.get(agent)) is not None:
                desk.timers = []
                self.dirty_desks[agent] = desk
                if desk.status == WRAPPING_UP:
                    self._wrap_up(desk, what.signal, at)
                    self._settle(at)
            count += 1
        return count

    def receive(self, call: str, signal: Signal, at: float, *, phase: str = "") -> bool:
        """Something has happened to a call. Whether it could: a signal may come late."""
        it = self.interactions.get(call)
        if it is None or (not phase and signal.order and self._stale(it, signal)):
            return False
        self.dirty[call] = it
        self.current = call
        try:
            signals.RECEIVE[signal.what](self, it, signal, at)
        except Impossible:
            return False
        finally:
            self._settle(at)
        return True

    def _stale(self, it: Interaction, signal: Signal) -> bool:
        """Whether a signal answers an order that is no longer the present one."""
        step = str(it.execution.order) if it.execution is not None else ""
        return signal.order != (step if signal.what == "http_answered" else it.order.id if it.order else "")

    def about_to_dial(self, now: float) -> list[Interaction]:
        """Callbacks whose contact would be dialled by now: the last moment to find that they must not be."""
        ringing = [it for id in self.callbacks if (it := self.interactions[id]).call.state == "ringing"]
        return [it for it in ringing if any(d.due <= now and d.signal.what == "answered" for d in it.timers)]

    # the parts of a call's life

    def _arrive(self, call: Call, contact_id: str | None, at: float, **more: Any) -> Interaction:
        number = self.roster.numbers.get(call.company_number)
        is_open = self.roster.is_open(number["business_hours"] if number is not None else None, at)
        it = Interaction(call, contact_id=contact_id, open=is_open, **more)
        self.floor.arrive(call)
        self.interactions[call.id] = self.dirty[call.id] = it
        self.tell(events.CALL_STARTED, call.id, at, telling.facts(self, it))
        return it

    def enqueue(self, it: Interaction, queue: Queue, at: float) -> None:
        """The contact waits for an agent."""
        it.in_line = True
        self.floor.enqueue(it.call.id, at, queue)
        self.waits(it, at)

    def waits(self, it: Interaction, at: float, transfer: str | None = None) -> None:
        leg, queue = it.call.leg, it.call.queue
        it.in_line = True
        if queue is not None:
            told = {
                "leg_id": leg.id,
                "ring_groups": list(leg.ring_groups),
                "attributes": dict(queue.minima),
                "priority": queue.priority,
                "waiting": len(self.floor.board.callers) + (it.call.state == "ringing"),
                "transfer": transfer,
            }
            self.tell(events.CALL_QUEUED, it.call.id, at, telling.facts(self, it) | told)
            if it.call.contact_is_there:
                groups = list(leg.ring_groups)
                self.order(it, Order(self.new_id(), "wait", it.call.id, leg=leg.id, ring_groups=groups), at)

    def begin_callback(self, it: Interaction, at: float) -> None:
        asked = it.callback
        if asked is None or it.call.state != "flow":
            raise Impossible("this callback has begun")
        queue = Queue(list(asked.ring_groups), asked.created, dict(asked.attributes), asked.priority)
        self.enqueue(it, queue, at)

    def talk(self, it: Interaction, leg: Leg, at: float, transfer: str | None = None) -> None:
        """An agent and the contact are connected."""
        call = it.call
        self.cancel(it, "queue", "ring")
        it.in_line = False
        if leg.attempts and call.direction == "IN":
            telling.attempt_finished(self, it, leg.attempts[-1])
        if it.callback is not None and it.callback.state != "connected":
            self.tried(it, "connected", at)
            self.callback_is(it, "connected", at)
        it.recorded, it.recording_since = 0.0, at if it.record else None
        told = {
            "leg_id": leg.id,
            "user_id": leg.agent,
            "ring_groups": list(leg.ring_groups),
            "waiting_time": whole(leg.wait),
            "transfer": transfer or leg.transfer_in,
        }
        self.tell(events.CALL_ANSWERED, call.id, at, telling.facts(self, it) | told)
        order = Order(
            self.new_id(), "connect", call.id, leg=leg.id, agent=leg.agent or "", ring_groups=list(leg.ring_groups)
        )
        self.order(it, order, at)

    def stop_talking(self, it: Interaction, leg: Leg, at: float) -> None:
        self.cancel(it, "talk")
        self.keep_recording(it, leg, at)
        telling.leg_finished(self, it, leg, at)

    def end(self, it: Interaction, by: By, at: float) -> None:
        """The call is over, in whatever state it was."""
        call = it.call
        groups = list(call.legs[-1].ring_groups) if call.legs else []
        ringing = list(call.legs[-1].attempts[-1:]) if call.state == "ringing" else []
        dialling = call.state == "dialling"
        leg = self.floor.end(call.id, at, by, short=self.roster.short(groups))
        for attempt in ringing:
            telling.attempt_finished(self, it, attempt)
        self.cancel(it, "step", "queue", "ring", "talk", "call")
        it.in_line = False
        if leg is not None:
            if leg.answered is not None:
                self.keep_recording(it, leg, at)
            telling.leg_finished(self, it, leg, at)
        talked = leg is not None and leg.answered is not None
        engine.abort(self, it, "ok" if talked else "call_aborted", at)
        if it.callback is not None and it.callback.state not in ("failed", "expired", "cancelled", "completed"):
            if it.callback.state == "connected":
                self.callback_over(it, "completed", None, at)
            else:
                self.callback_over(it, "failed", "busy" if dialling else "ended", at)
        it.order = None
        telling.call_ended(self, it, by, at)
        self.orders.append(Order(self.new_id(), "clear", call.id))
        del self.interactions[call.id]
        self.dirty[call.id] = it

    def message_left(self, it: Interaction, seconds: float, at: float) -> None:
        """The contact has left a message, or hung up without a word."""
        self.floor.message_left(it.call.id)
        if seconds > 0:
            self._add_recording(it, "voicemail", max(1, whole(seconds)), None, at)

    def keep_recording(self, it: Interaction, leg: Leg, at: float) -> None:
        if it.recording_since is not None:
            it.recorded += at - it.recording_since
            it.recording_since = None
        if it.recorded >= 1.0:
            self._add_recording(it, "conversation", whole(it.recorded), leg.agent, at)
        it.recorded = 0.0

    def _add_recording(self, it: Interaction, type: str, duration: int, agent: str | None, at: float) -> None:
        call, id = it.call, self.new_id()
        contact = {"participant_type": "CONTACT", "participant_id": it.contact_id or call.contact_number}
        row = {
            "account_id": self.account,
            "id": id,
            "call_id": call.id,
            "number": it.recordings,
            "type": type,
            "duration": duration,
            "channels": {
                "channel_1": [contact],
                "channel_2": [{"participant_type": "AGENT", "participant_id": agent}] if agent else [],
            },
            "carrier": self.carrier.name,
            "media": None,
            "sealed": None,
            "bytes": None,
            "created_at": moment(at),
            "gone_at": None,
        }
        it.recordings += 1
        self.recordings.append(row)
        told = {"id": id, "call_id": call.id, "type": type, "index": row["number"], "duration": duration}
        self.tell(events.RECORDING_CREATED, call.id, at, told | {"created_at": row["created_at"]})

    # callbacks

    def has_callback(self, company: str, contact: str) -> bool:
        return (company, contact) in self.callbacks.values()

    def callback_is(self, it: Interaction, state: CallbackState, at: float) -> None:
        asked = it.callback
        if asked is None:
            return
        asked.state = state
        self.dirty[it.call.id] = it
        told = {
            "id": it.call.id,
            "state": state,
            "reason": asked.reason,
            "talkdesk_phone_number": it.call.company_number,
            "contact_phone_number": it.call.contact_number,
            "attempts": asked.dialled,
        }
        self.tell(events.CALLBACK_CHANGED, it.call.id, at, told)

    def callback_over(self, it: Interaction, state: CallbackState, reason: str | None, at: float) -> None:
        if it.callback is not None:
            it.callback.reason = reason
            self.callback_is(it, state, at)
            self.callbacks.pop(it.call.id, None)

    def tried(self, it: Interaction, result: str, at: float) -> None:
        if it.callback is not None and it.callback.tries and it.callback.tries[-1].finished_at is None:
            it.callback.tries[-1].finished_at, it.callback.tries[-1].result = moment(at), result

    # what follows of what has just happened

    def waiting(self, ring_groups: list[str]) -> int:
        """How many wait for any of these ring groups."""
        return max((self.floor.board.waiting(name) for name in ring_groups), default=0)

    def _settle(self, at: float) -> None:
        """Phones that began to ring, and statuses that changed: tell of them, order, and set timers."""
        floor = self.floor
        while floor.rang or floor.moves:
            rang, floor.rang = floor.rang, []
            moves, floor.moves = floor.moves, []
            for move in moves:
                self._tell_move(move)
            for call, attempt in rang:
                self._ring(self.interactions[call.id], attempt.id, attempt.agent, at)
        if floor.touched:
            for id, what in floor.touched.items():
                if isinstance(what, Desk):
                    self.dirty_desks[id] = what
                elif id in self.interactions:
                    self.dirty[id] = self.interactions[id]
            floor.touched.clear()

    def _ring(self, it: Interaction, attempt: str, agent: str, at: float) -> None:
        if it.call.state != "ringing" or it.call.leg.attempts[-1].id != attempt:
            return  # it has stopped already
        it.in_line = True
        self.dirty[it.call.id] = it
        told = {"leg_id": it.call.leg.id, "ring_attempt_id": attempt, "user_id": agent}
        self.tell(events.CALL_RINGING, it.call.id, at, telling.facts(self, it) | told)
        if it.callback is not None:
            self.callback_is(it, "reserved", at)
            it.callback.tries.append(Try(agent, moment(at)))
            self.callback_is(it, "dialling_agent", at)
        self.due(it, Due(at + RING_TIME_OUT, "ring", Signal("ignored")))
        self.order(it, Order(attempt, "ring", it.call.id, agent=agent, leg=it.call.leg.id), at)

    def _tell_move(self, move: Move) -> None:
        desk = self.floor.desks[move.user]
        told = {
            "user_id": move.user,
            "status": move.after,
            "previous_status": move.before,
            "previous_since": moment(move.since),
            "duration": whole(move.at - move.since),
            "call_id": move.call,
            "time_off": move.time_off,
        }
        self.tell(events.STATUS_CHANGED, move.user, move.at, told)
        self.dirty_desks[move.user] = desk
        if move.after == WRAPPING_UP and move.call is not None and desk.status == WRAPPING_UP:
            it = self.interactions.get(move.call) or self.dirty.get(move.call)
            if it is None or not it.call.legs:
                return
            leg = next((one for one in reversed(it.call.legs) if one.agent == move.user), it.call.legs[-1])
            desk.filing = telling.facts(self, it) | {"leg_id": leg.id, "user_id": move.user}
            seconds, filed = self.carrier.after_call_work(it.call, leg.id, move.user)
            if seconds > 0:
                due = Due(move.at + seconds, "wrap_up", filed)
                desk.timers = [due]
                self._push(due, agent=move.user)

    def _wrap_up(self, desk: Desk, signal: Signal, at: float) -> None:
        for due in desk.timers:
            due.phase = ""
        desk.timers = []
        if desk.filing:
            told = desk.filing | telling.filed(signal) | {"after_call_work_time": whole(at - desk.since)}
            self.tell(events.DISPOSED, desk.filing["call_id"], at, told)
        desk.filing = {}
        self.floor.wrapped_up(desk.user, at)

    # telling

    def tell(self, what: EventType, key: str, at: float, data: dict[str, Any]) -> None:
        self.told.append((what, key, at, data))

    # timers and orders

    def due(self, it: Interaction, what: Due) -> None:
        it.timers.append(what)
        self._push(what, call=it.call.id)

    def cancel(self, it: Interaction, *phases: str) -> None:
        """Signals that were to come in these phases will not."""
        kept = []
        for due in it.timers:
            if due.phase in phases:
                due.phase = ""
            elif due.phase:
                kept.append(due)
        it.timers = kept

    def order(self, it: Interaction, order: Order, at: float) -> None:
        """Let the carrier do something, once it is written down that it is to."""
        it.order = order
        self.orders.append(order)
        for due in self.carrier.foresee(order, it.call, at):
            self.due(it, due)

    def _push(self, due: Due, *, call: str = "", agent: str = "") -> None:
        heapq.heappush(self._heap, (due.due, next(self._count), call, agent, due))


def defaults(document: FlowDocument) -> dict[str, Value]:
    """What the variables of a flow are where nobody says otherwise."""
    return {one.name: typed(one, one.default) if one.default is not None else None for one in document.variables}
