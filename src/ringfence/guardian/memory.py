"""What the rules remember of a person, of a client, of peers, and of the whole account, while they read the log.

One document for each: today's counts, those of the 30 days before, and what may still become part of a sign. All of it
is bounded, and what is old is dropped whenever the document is touched.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, or_
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.store.columns import EPOCH, Json, among
from ringfence.store.query import ACCOUNT, Statement, mine
from ringfence.store.tables.guardian import subjects

DAYS = 30  # that a baseline goes back
HOUR, DAY = 3600.0, 86400.0
MANY = 500  # hits of one rule that are remembered at once: no threshold goes beyond
FEW = 1000  # of anything else
HOURS = "hours"  # hours in which somebody did anything: the chances of rules that have no better ones
PEOPLE = "people"  # of peers: how many were there


class Past(NamedTuple):
    """A day that is over: its number since 1970 (UTC), a bit for each hour of activity, what was counted."""

    day: int
    hours: int
    counts: dict[str, int]


class Hit(NamedTuple):
    at: float
    event: str


class Open(msgspec.Struct):
    """A case that may still go on."""

    id: str
    hits: int
    last: float


class Seen(NamedTuple):
    """Where somebody was when they logged in last."""

    at: float
    country: str
    latitude: float
    longitude: float


class Subject(msgspec.Struct, omit_defaults=True):
    """Times are seconds since 1970."""

    kind: str = "actor"  # person | actor | peers | account
    roles: list[str] = []
    first: float | None = None  # when the person first came in
    last: float = 0.0
    day: int = 0
    hours: int = 0
    counts: dict[str, int] = {}
    past: list[Past] = []
    hour: int = -1  # the last one with activity
    recent: list[tuple[int, dict[str, int]]] = []  # chances of the last hours, the oldest first
    hits: dict[str, list[Hit]] = {}
    cases: dict[str, Open] = {}
    shift: str | None = None  # the session of the shift that goes on
    place: Seen | None = None
    held: dict[str, float] = {}  # contacts on hold -> since when
    rings: float | None = None  # since when the phone has rung
    rang: float | None = None  # when it stopped
    made: float | None = None  # of a client
    reads: int = 0  # requests of a client for contacts that are no full hundred yet
    scopes: dict[str, Hit] = {}  # added to a client of late
    waiting: dict[str, float] = {}  # contacts of the account that wait -> since when

    def turn(self, at: float) -> None:
        """Let it be the day of a moment; one that comes late belongs to today.

        Before anything was counted it may go back: people are declared, and then a past is written.
        """
        self.last = max(self.last, at)
        day = int(at // DAY)
        if day < self.day and not (self.counts or self.hours or self.past):
            self.day = day
        if day <= self.day:
            return
        if self.counts or self.hours:
            self.past = [*self.past, Past(self.day, self.hours, self.counts)]
        self.past = [one for one in self.past if one.day >= day - DAYS]
        self.day, self.hours, self.counts = day, 0, {}

    def count(self, kind: str, n: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + n

    def chance(self, kind: str, at: float) -> None:
        self.count(kind)
        hour = int(at // HOUR)
        if not self.recent or self.recent[-1][0] < hour:
            self.recent = [one for one in self.recent if one[0] >= hour - 24]
            self.recent.append((hour, {}))
        counted = self.recent[-1][1]
        counted[kind] = counted.get(kind, 0) + 1

    def chances(self, kind: str, at: float, window: float) -> int:
        """How many there were within a window (whole hours) up to a moment."""
        first = int((at - window) // HOUR)
        return sum(counted.get(kind, 0) for hour, counted in self.recent if hour >= first)

    def before(self, kind: str) -> int:
        """What was counted on the 30 days before today."""
        return sum(one.counts.get(kind, 0) for one in self.past)

    def by_day(self, kind: str) -> list[int]:
        """… day by day, yesterday last."""
        known = {one.day: one.counts.get(kind, 0) for one in self.past}
        return [known.get(self.day - back, 0) for back in range(DAYS, 0, -1)]


SUBJECTS = Statement(
    mine(subjects, subjects.c.subject, subjects.c.doc).where(
        or_(
            among(subjects.c.subject, bindparam("ids", type_=Json)),
            subjects.c.kind == "peers",
            subjects.c.kind == "account",
        )
    )
)
_put = upsert(subjects).values(
    {"account_id": ACCOUNT} | {c.name: bindparam(c.name, type_=c.type) for c in subjects.c if c.name != "account_id"}
)
PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=[subjects.c.account_id, subjects.c.subject],
        set_={name: _put.excluded[name] for name in ("kind", "doc", "first_session_at", "last_at")},
    )
)


def moment(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)


async def recall(tx: Any, account: str, ids: Iterable[str]) -> dict[str, Subject]:
    """What is remembered of some people and clients, of all peers, and of the account."""
    rows = await tx.all(SUBJECTS, account=account, ids=sorted(ids))
    return {row["subject"]: msgspec.convert(row["doc"], Subject) for row in rows}


async def keep(tx: Any, account: str, known: dict[str, Subject]) -> None:
    rows = [
        {
            "account": account,
            "subject": id,
            "kind": one.kind,
            "doc": one,
            "first_session_at": moment(one.first) if one.first is not None else None,
            "last_at": moment(one.last),
        }
        for id, one in known.items()
    ]
    if rows:
        await tx.many(PUT, rows)
