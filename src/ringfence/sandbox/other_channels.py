"""What happens beside the calls: messages, surveys, evaluations, the dialer. Drawn from the seed, call by call.

Every call that is over may be followed by some of it: by what, and when, follows from the seed, the number that was
called and the moment. `Beside` keeps it until it is due.
"""

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from random import Random
from struct import Struct
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import bindparam

from ringfence.fence.house import House
from ringfence.floor import roster
from ringfence.floor.channel_log import record
from ringfence.floor.channels import CONVERSATIONS, DIALER_CALLS, EVALUATIONS, MESSAGES, SURVEYS, Kind
from ringfence.floor.events import CALL_ENDED, Told
from ringfence.floor.interactions import read
from ringfence.store.columns import Moment
from ringfence.store.query import Row, Statement, mine
from ringfence.store.tables.contacts import contact_phones, contacts
from ringfence.store.tables.floor import interactions

log = structlog.get_logger()
TALKS, SURVEYED, EVALUATED, DIALLED = 0.2, 0.15, 0.03, 0.05  # shares of calls; those in the middle: of answered ones
FOUR = Struct(">4Q")
DAY = 86400.0
LATE = 300.0  # seconds after its end within which a call is seen, in live traffic
LOOK = 2.0  # seconds between looks for calls that are over, in live traffic
CHANNELS = ("WHATSAPP", "WHATSAPP", "SMS", "SMS", "EMAIL", "CHAT", "FBM")
DISPOSITIONS = ("Resolved", "Follow-up needed", "Sale", "Complaint", "Information given")
REMARKS = ("Quick and friendly", "I had to wait too long", "All good", "I still do not know when it comes")
HANGUPS = (("Answered", 200), ("Answered", 200), ("No answer", 480), ("Busy", 486), ("Answering machine", 200))
FORM = (
    ("Greeting", (("Did the agent say who they are?", 10), ("Did they ask how they could help?", 10))),
    ("Solution", (("Was the question answered?", 40), ("Was it explained in plain words?", 20))),
    ("Closing", (("Did they ask whether there was more?", 20), ("What else is there to say?", None))),
)

PEOPLE = Statement(
    mine(contacts, contacts.c.id, contacts.c.name, contact_phones.c.value)
    .join(
        contact_phones,
        (contact_phones.c.account_id == contacts.c.account_id) & (contact_phones.c.contact_id == contacts.c.id),
    )
    .where(contacts.c.deleted_at.is_(None))
    .order_by(contacts.c.id)
    .limit(2000),
    everywhere=True,  # both tables are cut to the one :account
)
OVER = Statement(
    mine(interactions)
    .where(
        interactions.c.state == "ended",
        interactions.c.started_at >= bindparam("begun", type_=Moment),
        interactions.c.ended_at > bindparam("since", type_=Moment),
    )
    .order_by(interactions.c.started_at)
    .limit(5000)
)


@dataclass(frozen=True, slots=True)
class Company:
    """Who takes part: agents with their ring groups, the account's numbers by label, contacts (id, name, number)."""

    agents: dict[str, list[str]]
    numbers: dict[str, str]
    people: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is over. `agent` talked last."""

    id: str
    direction: str
    company_number: str
    contact_number: str
    contact_id: str | None
    agent: str | None
    ring_groups: Sequence[str]
    started: float
    ended: float


async def company_of(house: House, account: str) -> Company:
    async with house.db.reading() as tx:
        known = await roster.load(tx, account, [])
        people = await tx.all(PEOPLE, account=account)
    agents = {user: sorted(one.ring_groups) for user, one in sorted(known.people.items()) if one.ring_groups}
    numbers = {number: row["label"] for number, row in sorted(known.numbers.items())}
    return Company(agents, numbers, [(row["id"], row["name"], row["value"]) for row in people])


class Beside:
    """What is still to come, in order of time. `speed` divides everything that takes time."""

    def __init__(self, company: Company, seed: str, speed: float = 1.0) -> None:
        self.company, self.seed, self.speed = company, seed.encode()[:64], speed
        self._groups = frozenset(name for names in company.agents.values() for name in names)
        self._heap: list[tuple[float, int, Kind, dict[str, Any]]] = []
        self._count = itertools.count()

    def hear(self, told: Iterable[Told]) -> None:
        """Look for calls that are over among what the floor tells."""
        for what, key, at, data in told:
            if what is CALL_ENDED:
                number, contact = data["talkdesk_phone_number"], data["contact_phone_number"]
                agent = data["user_id"] if data["first_user_id"] is not None else None
                self.see(
                    Ended(key, data["direction"], number, contact, data["contact_id"], agent, data["ring_groups"],
                          data["started_at"].timestamp(), at)
                )  # fmt: skip

    def see(self, call: Ended) -> None:
        """Draw what follows from a call that is over."""
        digest = blake2b(f"{call.company_number} {call.started:.3f}".encode(), digest_size=32, key=self.seed).digest()
        talks, dialled, surveyed, evaluated = (draw / 2**64 for draw in FOUR.unpack(digest))
        answered = call.agent in self.company.agents
        if talks < TALKS and self.company.people:
            self._conversation(call, digest, Random(digest))  # noqa: S311 - a play, not a secret
        if dialled < DIALLED and self.company.people:
            self._dialled(call, digest, Random(digest))  # noqa: S311
        if answered and surveyed < SURVEYED:
            self._survey(call, digest, Random(digest))  # noqa: S311
        if answered and evaluated < EVALUATED:
            self._evaluation(call, digest, Random(digest))  # noqa: S311

    def due(self, until: float) -> dict[Kind, list[dict[str, Any]]]:
        """What has happened by then, by kind; it is not given again."""
        found: dict[Kind, list[dict[str, Any]]] = {}
        while self._heap and self._heap[0][0] <= until:
            _, _, kind, told = heapq.heappop(self._heap)
            found.setdefault(kind, []).append(told)
        return found

    def _push(self, at: float, kind: Kind, told: dict[str, Any]) -> None:
        heapq.heappush(self._heap, (at, next(self._count), kind, told))

    def _conversation(self, call: Ended, digest: bytes, draw: Random) -> None:
        person, name, number = draw.choice(self.company.people)
        channel = draw.choice(CHANNELS)
        agent = draw.choice([*self.company.agents])
        bot = draw.random() < 0.1
        user = None if bot else agent
        groups = self.company.agents[agent][:1]
        interaction, contact = str(UUID(bytes=digest[:16])), str(UUID(bytes=digest[16:]))
        begun = call.ended
        told_of = {"interaction_id": interaction, "channel": channel, "person_id": person, "person_name": name}
        at, first = begun, None
        for count in range(2 + int(draw.random() ** 2 * 7)):
            inbound = count % 2 == 0
            if not inbound and first is None:
                first = at
            message = told_of | {
                "id": f"{interaction[:8]}-{contact}-{count}",
                "contact_id": contact,
                "direction": "Inbound" if inbound else "Outbound",
                "at": said(at),
                "user_id": None if inbound else user,
            }
            self._push(at, MESSAGES, message)
            at += (20 + draw.expovariate(1 / 70)) / self.speed
        handled = round((at - begun) * 0.6)
        conversation = told_of | {
            "id": contact,
            "direction": "Inbound",
            "started_at": said(begun),
            "assigned_at": said(min(begun + 5 / self.speed, at)),
            "finished_at": said(at),
            "finished_reason": "MANUALLY CLOSED" if draw.random() < 0.8 else "INACTIVITY",
            "handle_time": handled,
            "first_response_time": round(first - begun) if first is not None else None,
            "wrap_up_time": round(draw.random() * 40),
            "queues": groups,
            "handling_queues": [] if bot else groups,
            "user_id": user,
            "disposition": draw.choice(DISPOSITIONS),
            "person_channel_identifier": number,
            "interaction_started_at": said(begun),
            "interaction_finished_at": said(at),
            "interaction_handle_time": handled,
            "touchpoint_id": call.company_number,
            "touchpoint_name": self.company.numbers.get(call.company_number) or None,
            "virtual_agent_id": "concierge" if bot else None,
            "virtual_agent_name": "Concierge" if bot else None,
        }
        self._push(at, CONVERSATIONS, conversation)

    def _dialled(self, call: Ended, digest: bytes, draw: Random) -> None:
        person, _, number = draw.choice(self.company.people)
        how, code = draw.choice(HANGUPS)
        id = f"d-{digest[:15].hex()}"
        rang, talked = 4 + draw.random() * 20, draw.expovariate(1 / 110) if how == "Answered" else 0.0
        begun, over = call.ended, call.ended + (rang + talked) / self.speed
        told = {
            "id": id,
            "interaction_id": id,
            "attempt_number": 1 + int(draw.random() ** 3 * 4),
            "started_at": said(begun),
            "finished_at": said(over),
            "campaign_id": "spring",
            "campaign_name": "Spring",
            "user_id": draw.choice([*self.company.agents]) if how == "Answered" else None,
            "ringing_at_customer": round(rang),
            "proactive_outbound_phone_type": "MOBILE",
            "record_id": digest[16:].hex(),
            "person_id": person,
            "customer_phone_number": number,
            "talkdesk_phone_number": call.company_number,
            "disposition": draw.choice(DISPOSITIONS) if how == "Answered" else None,
            "system_disposition": how,
            "sip_hangup_code": code,
        }
        self._push(over, DIALER_CALLS, told)

    def _survey(self, call: Ended, digest: bytes, draw: Random) -> None:
        by_text = draw.random() < 0.3 and call.contact_number != ""
        at = call.ended + ((120 + draw.expovariate(1 / 1800)) if by_text else 20 + 40 * draw.random()) / self.speed
        score = 5 - int(draw.random() ** 2.5 * 5)
        solved = "Yes" if draw.random() < 0.2 + 0.15 * score else "No"
        components: list[dict[str, Any]] = [
            {"id": "csat", "name": "Satisfaction", "type": "score", "text": "How content are you, from 1 to 5?",
             "response": str(score), "score": score, "is_kpi": True, "pertains_to_agent": True},
            {"id": "solved", "name": "Solved", "type": "choice", "text": "Is your question answered?",
             "response": solved},
        ]  # fmt: skip
        partly = draw.random() < 0.15
        if by_text and not partly:
            components.append({"id": "remark", "name": "Remark", "type": "text", "text": "What else?",
                               "response": draw.choice(REMARKS)})  # fmt: skip
        told = {
            "id": f"s-{digest[:15].hex()}",
            "at": said(at),
            "interaction_id": call.id,
            "flow_name": "After the call",
            "channel": "SMS" if by_text else "VOICE",
            "state": "PARTIAL" if partly else "COMPLETED",
            "direction": way(call.direction),
            "user_id": call.agent,
            "ring_groups": [name for name in call.ring_groups if name in self._groups],
            "person_id": call.contact_id,
            "respondent_phone_number": call.contact_number,
            "talkdesk_phone_number": call.company_number,
            "touch_point_id": call.company_number,
            "touch_point_name": self.company.numbers.get(call.company_number) or None,
            "components": components[:1] if partly else components,
        }
        self._push(at, SURVEYS, told)

    def _evaluation(self, call: Ended, digest: bytes, draw: Random) -> None:
        at = call.ended + (0.5 + draw.random()) * DAY / self.speed
        evaluator = draw.choice([user for user in self.company.agents if user != call.agent] or [call.agent])
        told = {
            "id": f"e-{digest[:15].hex()}",
            "at": said(at),
            "evaluator_id": evaluator,
            "user_id": call.agent,
            "form_id": "calls",
            "form_name": "Calls",
            "sections": _sections(draw),
            "ring_groups": [name for name in call.ring_groups if name in self._groups],
            "interaction_id": call.id,
            "interaction_date": said(call.started),
            "interaction_direction": way(call.direction),
        }
        self._push(at, EVALUATIONS, told)
        if draw.random() < 0.1:  # somebody thinks again
            again = at + 2 * 3600.0 * draw.random() / self.speed
            more = {"version": 1, "at": said(again), "first_evaluated_on": said(at), "sections": _sections(draw)}
            self._push(again, EVALUATIONS, told | more)


def _sections(draw: Random) -> list[dict[str, Any]]:
    found = []
    for number, (name, questions) in enumerate(FORM, 1):
        answered: list[dict[str, Any]] = []
        for index, (text, most) in enumerate(questions, 1):
            id = f"q-{number}-{index}"
            if most is None:
                answered.append({"id": id, "text": text, "type": "TextQuestion", "mandatory": False})
                continue
            good = draw.random() < 0.85
            answered.append({"id": id, "text": text, "type": "MultipleChoiceQuestion", "max_score": most,
                             "answer": "Yes" if good else "No", "obtained_score": most if good else 0})  # fmt: skip
        found.append({"id": f"s-{number}", "name": name, "questions": answered})
    return found


def said(at: float) -> str:
    """A moment as other systems say it, to the millisecond, and never later than it is."""
    return datetime.fromtimestamp(int(at * 1000) / 1000, UTC).isoformat()


def way(direction: str) -> str:
    return "Inbound" if direction == "IN" else "Outbound"


async def write(house: House, account: str, origin: str, due: dict[Kind, list[dict[str, Any]]]) -> None:
    """Record what has happened, as the other systems would."""
    if due:
        async with house.db.writing(lazy=True) as tx:
            ctx = house.ctx(tx, account, "traffic", origin)
            for kind, told in due.items():
                await record(ctx, kind, told)


async def live(house: House, account: str, seed: str, speed: float) -> None:
    """Let it happen as time goes by, after calls that are over; until cancelled."""
    begun = house.world.time()
    beside = Beside(await company_of(house, account), seed, speed)
    since = begun - 1.6 * DAY / speed  # what follows from these may be still to come
    seen: set[str] | None = None
    while True:
        now = house.world.time()
        try:
            async with house.db.reading() as tx:
                span = {"begun": _moment(since - 7200), "since": _moment(since)}
                rows = await tx.all(OVER, account=account, **span)
            for row in rows:
                if row["id"] not in (seen or ()):
                    beside.see(_ended(row))
            if seen is None:
                beside.due(begun)  # that was recorded before
            seen, since = {row["id"] for row in rows}, now - LATE
            await write(house, account, "traffic", beside.due(now))
        except Exception:
            log.exception("traffic.beside_failed")
        await house.world.sleep(LOOK)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=at)


def _ended(row: Row) -> Ended:
    call = read(row["doc"]).call
    talked = next((leg for leg in reversed(call.legs) if leg.answered is not None), None)
    groups = list(dict.fromkeys(name for leg in call.legs for name in leg.ring_groups))
    agent = talked.agent if talked is not None else None
    started, ended = row["started_at"].timestamp(), row["ended_at"].timestamp()
    return Ended(row["id"], row["direction"], row["company_number"], row["contact_number"], row["contact_id"], agent,
                 groups, started, ended)  # fmt: skip
