"""The built-in carrier: a simulation of the telephone network and of the people at both ends of it.

What will happen follows from a seed, the call's id and the purpose alone, so the same calls live the same lives.
Numbers with certain ends behave in certain ways, for tests: see BEHAVIOURS and docs/telephony.md.
"""

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from ringfence.store.statement import Row

from .calls import Call
from .events import CustomFields, Quality
from .telephony import Due, Order, Signal

NAME = "simulated"
DISPOSITIONS = ("Resolved", "Follow-up needed", "Sale", "Complaint", "Wrong number", "Information given")
NOTES = {
    "Follow-up needed": "Will be called again tomorrow",
    "Complaint": "Has been waiting for a reply for a week",
    "Sale": "Asked for the offer in writing",
}
REASONS = ("The sound broke off", "There was an echo")  # for a line that was rated poor
TOPICS = ("delivery", "invoice", "return", "subscription")  # of an order


@dataclass(frozen=True, slots=True)
class Habits:
    """How people behave on the telephone: means in seconds, shares from 0 to 1."""

    patience: float = 150.0  # of a caller in a queue
    talk: float = 180.0
    ring: float = 5.0  # until an agent answers
    wrap_up: float = 25.0
    answers: float = 0.93  # share of rings that an agent answers …
    rejects: float = 0.03  # … rejects …
    unreachable: float = 0.01  # … cannot be reached; the rest is ignored
    reached: float = 0.7  # share of people who answer when they are called
    busy: float = 0.12
    holds: float = 0.2  # share of conversations with a hold
    consults: float = 0.04
    transfers: float = 0.05  # blind ones
    gives_up: float = 0.02  # share of callers who hang up while they are told something
    silent: float = 0.05  # share of menus at which nothing is pressed
    strays: float = 0.02  # … or a key that means nothing
    poor: float = 0.04  # share of conversations with poor audio
    rates: float = 0.3  # share of conversations whose agent rates the line …
    notes: float = 0.1  # … writes notes …
    files: float = 0.15  # … fills in custom fields


# what a contact's number ends with -> how they behave
BEHAVIOURS = {
    "9901": "busy",
    "9902": "no_answer",
    "9903": "hangs_up_in_queue",
    "9904": "presses_nothing",
    "9905": "talks_ten_seconds",
    "9906": "waits_for_ever",
    "9907": "poor_audio",
    "9908": "leaves_no_message",
}


class Simulated:
    """A `Carrier`. `speed` divides everything that people take time for."""

    name = NAME

    def __init__(self, seed: str = "ringfence", habits: Habits | None = None, speed: float = 1.0) -> None:
        self.seed, self.habits, self.speed = seed.encode(), habits or Habits(), speed

    def _u(self, call: str, purpose: str) -> float:
        """A number from 0 to 1 that belongs to a call and a purpose."""
        digest = blake2b(f"{call} {purpose}".encode(), digest_size=7, key=self.seed[:64]).digest()
        return int.from_bytes(digest, "big") / 72057594037927936

    def _around(self, mean: float, u: float) -> float:
        """A duration, log-normal about a mean (sigma 0.6), from a uniform number."""
        u = min(max(u, 1e-9), 1 - 1e-9)
        # the normal quantile by the logistic one: good to a few percent, and cheap
        normal = math.log(u / (1 - u)) / 1.702
        return mean * math.exp(0.6 * normal - 0.18) / self.speed

    def foresee(self, order: Order, call: Call, at: float) -> list[Due]:
        """The signals to come of an order."""
        way = BEHAVIOURS.get(call.contact_number[-4:], "") if call.contact_number else ""
        u, id = self._u(call.id, order.kind + str(call.started if order.kind == "clear" else order.leg)), call.id
        habits = self.habits
        match order.kind:
            case "say":
                return self._told(order, at, way)
            case "ask":
                return self._asked(order, at, way)
            case "wait":
                patience = self._around(habits.patience, self._u(id, f"patience {order.leg}"))
                if way == "waits_for_ever":
                    return []
                if way == "hangs_up_in_queue":
                    patience = 5.0 / self.speed
                return [Due(at + patience, "queue", Signal("hung_up"))]
            case "ring":
                u = self._u(id, f"ring {order.id}")
                if u < habits.answers:
                    after = self._around(habits.ring, u / habits.answers)
                    return [Due(at + min(after, 15.0 / self.speed), "ring", Signal("answered", order=order.id))]
                if u < habits.answers + habits.rejects:
                    return [Due(at + 4.0 / self.speed, "ring", Signal("rejected", order=order.id))]
                if u < habits.answers + habits.rejects + habits.unreachable:
                    return [Due(at + 1.0 / self.speed, "ring", Signal("unavailable", order=order.id))]
                return [Due(at + 20.0 / self.speed, "ring", Signal("ignored", order=order.id))]
            case "dial":
                u = self._u(id, f"dial {order.id}")
                if way == "busy" or (not way and habits.reached <= u < habits.reached + habits.busy):
                    return [Due(at + 3.0 / self.speed, "ring", Signal("busy", order=order.id))]
                if way == "no_answer" or (not way and u >= habits.reached):
                    return [Due(at + 25.0 / self.speed, "ring", Signal("no_answer", order=order.id))]
                return [Due(at + (3.0 + 12.0 * u) / self.speed, "ring", Signal("reached", order=order.id))]
            case "connect":
                return self._talk(order, call, at, way)
            case "record_message":
                if way == "leaves_no_message" or self._u(id, "message") < 0.25:
                    return [Due(at + 2.0 / self.speed, "step", Signal("hung_up"))]
                length = min(self._around(18.0, u), order.seconds)
                return [Due(at + length, "step", Signal("message_left", seconds=length, order=order.id))]
            case _:
                return []

    def _told(self, order: Order, at: float, way: str) -> list[Due]:
        seconds = max(order.seconds, 0.2) / self.speed
        if not way and self._u(order.call, f"say {order.text[:40]}") < self.habits.gives_up:
            return [Due(at + seconds * 0.7, "step", Signal("hung_up"))]
        return [Due(at + seconds, "step", Signal("played", order=order.id))]

    def _asked(self, order: Order, at: float, way: str) -> list[Due]:
        u = self._u(order.call, f"menu {order.id}")
        if way == "presses_nothing" or u < self.habits.silent:
            return [Due(at + order.seconds / self.speed, "step", Signal("silent", order=order.id))]
        pick = self._u(order.call, f"key {order.id}")
        digit = order.options[min(int(pick * pick * len(order.options)), len(order.options) - 1)]
        if u < self.habits.silent + self.habits.strays:
            digit = next((key for key in "0987654321*#" if key not in order.options), digit)
        after = (1.0 + pick * min(order.seconds, 6.0)) / self.speed
        return [Due(at + after, "step", Signal("pressed", digit=digit, order=order.id))]

    def _talk(self, order: Order, call: Call, at: float, way: str) -> list[Due]:
        """A conversation: perhaps a hold, a consultation or a transfer, and in the end somebody hangs up."""
        id, leg, habits = call.id, order.leg, self.habits
        talk = self._around(habits.talk, self._u(id, f"talk {leg}"))
        if way == "talks_ten_seconds":
            return [Due(at + 10.0 / self.speed, "talk", Signal("hung_up", by="contact"))]
        found: list[Due] = []
        u = self._u(id, f"course {leg}")
        if u < habits.transfers and len(call.legs) < 3:
            return [Due(at + talk * 0.6, "talk", Signal("pass_on"))]
        if u < habits.transfers + habits.consults and len(call.legs) < 3:
            asked = at + talk * 0.5
            over = asked + self._around(30.0, self._u(id, f"consult {leg}"))
            kind: Signal = Signal("hand_over") if self._u(id, f"hands {leg}") < 0.7 else Signal("rejoin")
            found += [Due(asked, "talk", Signal("consult")), Due(over, "talk", kind)]
            talk = over - at + talk * 0.5
        elif u < habits.transfers + habits.consults + habits.holds:
            held = at + talk * 0.4
            back = held + self._around(35.0, self._u(id, f"hold {leg}"))
            found += [Due(held, "talk", Signal("hold")), Due(back, "talk", Signal("resume"))]
            talk += back - held
        by = Signal("hung_up", by="contact" if self._u(id, f"who {leg}") < 0.65 else "agent")
        return [*found, Due(at + talk, "talk", by)]

    async def carry_out(self, orders: Sequence[Order]) -> None:
        """Nothing to do: what happens was foreseen."""

    def after_call_work(self, call: Call, leg: str, agent: str) -> tuple[float, Signal]:
        u = self._u(call.id, f"wrap up {leg} {agent}")
        disposition = DISPOSITIONS[int(self._u(call.id, f"disposition {leg}") ** 2 * len(DISPOSITIONS))]
        rating = self._rating(self._u(call.id, f"rating {leg}"))
        filed = Signal(
            "wrapped_up",
            disposition=disposition,
            notes=NOTES.get(disposition) if u < self.habits.notes else None,
            rating=rating,
            rating_reason=REASONS[leg[-1] < "8"] if rating is not None and rating < 3 else None,
            custom_fields=self._fields(call, self._u(call.id, f"fields {leg}")),
        )
        return max(self._around(self.habits.wrap_up, u), 1.0 / self.speed), filed

    def _rating(self, u: float) -> int | None:
        """What an agent thought of the line, where they say it: mostly that it was good."""
        return 5 - int((u / self.habits.rates) ** 3 * 5) if u < self.habits.rates else None

    def _fields(self, call: Call, u: float) -> CustomFields | None:
        """An order that the call was about."""
        if u >= self.habits.files:
            return None
        u /= self.habits.files
        return CustomFields(
            int_1=100_000 + int(u * 900_000),
            float_1=round(5 + 495 * u * u, 2),
            text_1=TOPICS[int(u * 997) % len(TOPICS)],
            timestamp_1=datetime.fromtimestamp(int(call.started - 86400 * 30 * u), UTC),
        )

    def quality(self, call: Call, leg: str, at: float) -> Quality | None:
        u = self._u(call.id, f"quality {leg}")
        bad = u < self.habits.poor or call.contact_number.endswith("9907")
        jitter = 25.0 + 40.0 * u if bad else 2.0 + 8.0 * u
        rtt = 250.0 + 300.0 * u if bad else 40.0 + 80.0 * u
        return Quality(
            jitter_avg=round(jitter, 1),
            jitter_max=round(jitter * 2.2, 1),
            rtt_avg=round(rtt, 1),
            rtt_min=round(rtt * 0.8, 1),
            rtt_max=round(rtt * 1.7, 1),
            packets_loss_percentage=round(2.0 + 6.0 * u if bad else 0.4 * u, 2),
        )

    async def media(self, recording: Row) -> AsyncIterator[bytes]:
        """Made up when it is asked for, the same each time."""
        from . import audio

        # one person has one voice
        contact, agent = (
            "".join(one["participant_id"] for one in recording["channels"][channel][:1])
            for channel in ("channel_1", "channel_2")
        )
        for piece in audio.conversation(
            recording["id"], recording["duration"], kind=recording["type"], voice=contact, agent=agent
        ):
            yield piece
