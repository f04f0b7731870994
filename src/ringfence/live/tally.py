"""What is going on in one account and what has been: fed with events, asked for figures. Nothing in here waits.

A contact counts at the moment it was over, except as one that arrived: that counts when it began to wait. Events that
are applied again, up to the last one, change nothing. Times are seconds since 1970.
"""

from collections.abc import Callable
from datetime import datetime
from math import inf
from typing import Any, Literal

from ringfence.store.query import Row

from . import metrics
from .filters import Selection, midnight, next_midnight
from .metrics import Query
from .people import People, Person
from .records import Arrived, AtWork, Finished, GoingOn, instant
from .windows import TOTAL, Line, Starts, Values, Window

Pairs = list[tuple[str, Any]]
NOBODY = Person("", "", ())
STATUSES = ("available", "busy", "after_call_work", "away")  # shown also where nobody has them


class Tally:
    """One account. `since` is how far back it knows the contacts that are over."""

    def __init__(self, people: People) -> None:
        self.people, self.since = people, inf
        self.statuses: dict[str, tuple[str, float]] = {}
        self.going_on: dict[str, GoingOn] = {}
        self.finished = Line(len(metrics.SUMS))
        self.arrived = Line(1)
        self.known: dict[str, Finished] = {}
        self.missed: dict[str, Finished] = {}  # by call: what may turn out to have left a message
        self.called: dict[str, tuple[str, ...]] = {}  # ring groups of outbound calls that go on
        self.version = 0  # counts the changes
        self._today = (0.0, -1.0)

    # what is known

    def set_people(self, people: People, now: float) -> None:
        """People, teams, ring groups and the time zone as they are now."""
        self.people, self._today = people, (0.0, -1.0)
        for item in self.known.values():
            item.team = people.team_of(item.user)
        self.finished.recount(self.starts(now))
        self.arrived.recount(self.starts(now))
        self.version += 1

    def set_status(self, user: str, status: str, since: float) -> None:
        self.statuses[user] = (status, since)
        self.version += 1

    def goes_on(self, contact: GoingOn) -> None:
        """A contact that has not been known of."""
        if contact.id in self.known or contact.id in self.going_on:
            return
        self.going_on[contact.id] = contact
        self.version += 1
        if contact.direction == "IN":
            self.arrived.add(Arrived(contact.since, contact.groups))

    def is_over(self, contact: Finished) -> None:
        if contact.id not in self.known:
            self._know(contact)
            if contact.direction == "IN" and contact.id not in self.going_on:
                self.arrived.add(Arrived(contact.started, contact.groups))
            self.finished.add(contact)
        self.going_on.pop(contact.id, None)
        self.version += 1

    def have_been(self, contacts: list[Finished], since: float, now: float) -> None:
        """Contacts of long ago: from now on those since then are known."""
        fresh = [one for one in contacts if one.id not in self.known]
        for one in fresh:
            self._know(one)
        arrived = [
            Arrived(one.started, one.groups) for one in fresh if one.direction == "IN" and one.id not in self.going_on
        ]
        self.since = min(self.since, since)
        self.finished.prepend(list(fresh), self.starts(now))
        self.arrived.prepend(list(arrived), self.starts(now))
        self.version += 1

    def _know(self, contact: Finished) -> None:
        contact.team = self.people.team_of(contact.user)
        self.known[contact.id] = contact
        before = self.missed.get(contact.call)
        if before is None or before.at <= contact.at:
            if contact.type == "Missed":
                self.missed[contact.call] = contact
            else:
                self.missed.pop(contact.call, None)

    def forget(self, before: float) -> None:
        """Drop contacts that were over before anything asked for."""
        for item in self.finished.forget(before):
            del self.known[item.id]
            call = item.call
            if self.missed.get(call) is item:
                del self.missed[call]
        self.arrived.forget(before)
        self.since = self.since if self.since == inf else max(self.since, before)

    # events

    def apply(self, event: Row) -> None:
        """Take in one event: `type`, `place`, `at` and `data`."""
        if (take := TAKE.get(event["type"])) is not None:
            take(self, event, event["data"])

    def _queued(self, event: Row, told: dict[str, Any]) -> None:
        groups = tuple(told["ring_groups"])
        if told["direction"] == "OUT":  # it is there once an agent's phone rings for it
            self.called[told["call_id"]] = groups
        else:
            at = event["at"].timestamp()
            self.goes_on(GoingOn(told["leg_id"], told["call_id"], at, direction="IN", groups=groups, state="waiting"))

    def _ringing(self, event: Row, told: dict[str, Any]) -> None:
        id, call, at = told["leg_id"], told["call_id"], event["at"].timestamp()
        if told["direction"] == "OUT":
            groups = self.called.get(call, ())
            self.goes_on(GoingOn(id, call, at, direction="OUT", groups=groups, state="ringing"))
        self._becomes(id, "ringing", told["user_id"])

    def _rang(self, event: Row, told: dict[str, Any]) -> None:
        if told["attempt"]["result"] == "Answered":
            return
        if told["direction"] == "OUT":
            if self.going_on.pop(told["leg_id"], None) is not None:
                self.version += 1
        else:
            self._becomes(told["leg_id"], "waiting", None)

    def _answered(self, event: Row, told: dict[str, Any]) -> None:
        id, at, groups = told["leg_id"], event["at"].timestamp(), tuple(told["ring_groups"])
        made = GoingOn(id, told["call_id"], at, direction=told["direction"], groups=groups, state="talking")
        self.goes_on(made)  # by a warm transfer it begins so
        self._becomes(id, "talking", told["user_id"])
        if (found := self.going_on.get(id)) is not None:
            found.answered, found.groups = at, groups

    def _becomes(self, id: str, state: Literal["waiting", "ringing", "talking"], user: str | None) -> None:
        if (found := self.going_on.get(id)) is not None:
            found.state, found.user = state, user
            self.version += 1

    def _over(self, event: Row, told: dict[str, Any]) -> None:
        contact = Finished(
            told["leg_id"],
            told["call_id"],
            _seconds(told["finished_at"]),
            _seconds(told["started_at"]),
            type=told["type"],
            direction=told["direction"],
            groups=tuple(told["ring_groups"]),
            user=told["user_id"],
            waited=told["waiting_time"],
            talk=told["talk_time"],
            hold=told["hold_time"] + told["consultation_time"],
            wrap_up=0,
            within=told["within_service_level"],
            place=event["place"],
        )
        self.is_over(contact)

    def _disposed(self, event: Row, told: dict[str, Any]) -> None:
        """After-call work adds to the handling of its contact; that of a colleague who was asked does not."""
        found = self.known.get(told["leg_id"])
        if found is not None and found.user == told["user_id"] and event["place"] > found.place:
            before = found.values
            found.wrap_up += told["after_call_work_time"]
            self._changed(found, before, event["place"])

    def _ended(self, event: Row, told: dict[str, Any]) -> None:
        """Only now it is known whether who was missed has left a message."""
        self.called.pop(told["call_id"], None)
        found = self.missed.pop(told["call_id"], None)
        if found is not None and told["type"] == "Voicemail" and found.type == "Missed":
            before = found.values
            found.type = "Voicemail"
            self._changed(found, before, max(found.place, event["place"]))

    def _changed(self, contact: Finished, before: Values, place: int) -> None:
        contact.place = place
        self.finished.changed(contact, before)
        self.version += 1

    def _status(self, event: Row, told: dict[str, Any]) -> None:
        self.set_status(told["user_id"], told["status"], event["at"].timestamp())

    # figures

    def starts(self, now: float) -> Starts:
        begin, end = self._today
        if not begin <= now < end:
            self._today = midnight(self.people.zone, now), next_midnight(self.people.zone, now)
        return Starts(self._today[0], now)

    def slide(self, now: float) -> None:
        """Time goes by: what is older than its range falls out."""
        starts = self.starts(now)
        fell = self.finished.slide(starts)
        if self.arrived.slide(starts) or fell:
            self.version += 1

    def window(self, query: Query, selection: Selection, now: float) -> Window:
        """The sums behind a figure, kept from now on. Whoever asks has seen to it that `since` reaches far enough."""
        line = self.arrived if query.source == "arrived" else self.finished
        found = line.windows.get((selection, query.by))
        if found is None:
            found = line.windows[selection, query.by] = Window(line, selection, query.by)
            found.begin(self.starts(now)(selection.span))
        return found

    def strange(self, selection: Selection) -> list[str]:
        """Ring groups that were asked for and are not there."""
        return sorted((selection.ring_groups or frozenset()) - set(self.people.ring_groups))

    def figure(self, query: Query, selection: Selection, now: float) -> Pairs:
        """What is sent of a query: its segments, then `_total`."""
        if query.source in ("finished", "arrived"):
            window = self.window(query, selection, now)

            def value(segment: str) -> Any:
                longest = window.longest(segment) if query.figure is LONGEST else 0
                return query.figure(window.of(segment), longest)

            named = self._segments(query, selection, ())
            return [*((name, value(name)) for name in named), ("_total", value(TOTAL))]
        members = self.members(query, selection)
        if query.by in ("user", "contact"):
            rows = [(one.id, self._row(one)) for one in members[: selection.limit]]
            return [*rows, ("_total", len(members))]
        named = self._segments(query, selection, members)
        parts: dict[str, list[Any]] = {name: [] for name in named}
        if query.by:
            for one in members:
                for name in self._parts(query, one):
                    if name in parts:
                        parts[name].append(one)
        found = [(name, query.figure(held, now)) for name, held in parts.items()]
        return [*found, ("_total", query.figure(members, now))]

    def members(self, query: Query, selection: Selection) -> list[Any]:
        """Who is counted: agents at work by name, or contacts that go on, the oldest first."""
        if selection.none:
            return []
        groups, teams = selection.ring_groups, selection.teams
        found: list[Any] = []
        if query.source == "agents":
            for user, (status, since) in self.statuses.items():
                person = self.people.by_id.get(user)
                if (
                    status != "offline"
                    and person is not None
                    and (groups is None or not groups.isdisjoint(person.groups))
                    and (teams is None or person.team in teams)
                    and (selection.statuses is None or status in selection.statuses)
                ):
                    found.append(AtWork(user, person, status, since))
            return sorted(found, key=lambda one: (one.name, one.id)) if query.by == "user" else found
        for one in self.going_on.values():
            if (
                (query.source == "contacts" or (one.direction == "IN" and one.state != "talking"))
                and (groups is None or not groups.isdisjoint(one.groups))
                and (teams is None or self.people.team_of(one.user) in teams)
                and (selection.directions is None or one.direction in selection.directions)
            ):
                found.append(one)
        return sorted(found, key=lambda one: (one.since, one.id)) if query.by == "contact" else found

    def _segments(self, query: Query, selection: Selection, members: Any) -> list[str]:
        """What a figure is broken down to: also where there is nothing to count."""
        match query.by:
            case "ring_group":
                wanted = selection.ring_groups
                return [name for name in self.people.ring_groups if wanted is None or name in wanted]
            case "team":
                return [name for name in self.people.teams if selection.teams is None or name in selection.teams]
            case "direction":
                names = {"IN": "inbound", "OUT": "outbound"}
                return [name for key, name in names.items() if key in (selection.directions or names)]
            case "status":
                found = [*STATUSES, *sorted({one.status for one in members} - set(STATUSES))]
                return [name for name in found if selection.statuses is None or name in selection.statuses]
            case _:
                return []

    def _parts(self, query: Query, one: Any) -> tuple[str, ...]:
        match query.by:
            case "status":
                return (one.status,)
            case "team":
                return (one.team,)
            case _:
                groups: tuple[str, ...] = one.groups
                return groups

    def _row(self, one: Any) -> dict[str, Any]:
        """One line of a list. Times do not run in it: they say since when."""
        if isinstance(one, AtWork):
            return {
                "name": one.name,
                "team": one.team or None,
                "ring_groups": list(one.groups),
                "status": one.status,
                "since": instant(one.since),
                "channels": ["voice"],
                "occupancy": int(one.status == "busy"),
                "max_capacity": 1,
            }
        person = self.people.by_id.get(one.user or "", NOBODY)
        return {
            "interaction_id": one.call,
            "channel": "voice",
            "direction": "inbound" if one.direction == "IN" else "outbound",
            "state": one.state,
            "since": instant(one.since),
            "answered_at": instant(one.answered) if one.answered is not None else None,
            "ring_groups": list(one.groups),
            "user_id": one.user,
            "user_name": person.name or None,
        }


def _seconds(text: Any) -> float:
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    return float(at.timestamp())


LONGEST = metrics.BY_NAME["longest_wait_time"].figure
TAKE: dict[str, Callable[[Tally, Row, dict[str, Any]], None]] = {
    "call.queued": Tally._queued,
    "call.ringing": Tally._ringing,
    "call.ring_attempt_finished": Tally._rang,
    "call.answered": Tally._answered,
    "call.contact_finished": Tally._over,
    "call.disposed": Tally._disposed,
    "call.ended": Tally._ended,
    "agent.status_changed": Tally._status,
}
