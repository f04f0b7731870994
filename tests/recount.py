"""Live figures counted once more, from the raw events alone and without any cleverness."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ringfence.live.filters import Selection, start_of
from ringfence.live.metrics import Query
from ringfence.live.people import People

INBOUND = ("Answered", "Abandoned", "Short Abandoned", "Missed", "Voicemail")


def seconds(at: Any) -> float:
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else float(at.timestamp())


def contacts(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every contact that is over, as all that was told of it leaves it."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        told = event["data"]
        if event["type"] == "call.contact_finished":
            found[told["leg_id"]] = dict(told) | {"work": 0, "finished": seconds(told["finished_at"])}
        elif event["type"] == "call.disposed" and told["leg_id"] in found:
            if told["user_id"] == found[told["leg_id"]]["user_id"]:  # not a colleague who was asked
                found[told["leg_id"]]["work"] += told["after_call_work_time"]
        elif event["type"] == "call.ended" and told["type"] == "Voicemail":
            last = max(
                (one for one in found.values() if one["call_id"] == told["call_id"]), key=lambda one: one["number"]
            )
            last["type"] = "Voicemail"
    return list(found.values())


def arrivals(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        told = event["data"]
        if told.get("direction") == "IN" and (
            event["type"] == "call.queued" or (event["type"] == "call.answered" and told["transfer"] == "Warm")
        ):
            made = {"finished": event["at"].timestamp(), "ring_groups": told["ring_groups"], "direction": "IN"}
            found.setdefault(told["leg_id"], made)
    return list(found.values())


def going_on(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    groups: dict[str, list[str]] = {}
    for event in events:
        told, at = event["data"], event["at"].timestamp()
        kind, leg = event["type"], told.get("leg_id")
        if kind == "call.queued":
            groups[told["call_id"]] = told["ring_groups"]
            if told["direction"] == "IN":
                found[leg] = {"since": at, "state": "waiting", "user": None, "direction": "IN"}
                found[leg]["ring_groups"] = told["ring_groups"]
        elif kind == "call.ringing":
            made = {"since": at, "direction": "OUT", "ring_groups": groups[told["call_id"]]}
            found.setdefault(leg, made)
            found[leg] |= {"state": "ringing", "user": told["user_id"]}
        elif kind == "call.ring_attempt_finished" and told["attempt"]["result"] != "Answered":
            if told["direction"] == "OUT":
                found.pop(leg, None)
            else:
                found[leg] |= {"state": "waiting", "user": None}
        elif kind == "call.answered":
            found.setdefault(leg, {"since": at, "direction": told["direction"]})
            found[leg] |= {"state": "talking", "user": told["user_id"], "ring_groups": told["ring_groups"]}
        elif kind == "call.contact_finished":
            found.pop(leg, None)
    return list(found.values())


def agents(events: Iterable[dict[str, Any]], people: People) -> list[dict[str, Any]]:
    last = {event["data"]["user_id"]: event for event in events if event["type"] == "agent.status_changed"}
    return [
        {
            "user": user,
            "status": event["data"]["status"],
            "ring_groups": list(people.by_id[user].groups),
            "team": people.by_id[user].team,
        }
        for user, event in last.items()
        if event["data"]["status"] != "offline" and user in people.by_id
    ]


def recount(
    events: list[dict[str, Any]], people: People, query: Query, selection: Selection, now: float
) -> list[tuple[str, Any]]:
    """What a stream should say at this moment; of a list only whom it is about."""
    if query.source == "agents":
        members = agents(events, people)
    elif query.source in ("queue", "contacts"):
        members = [
            one for one in going_on(events)
            if query.source == "contacts" or (one["direction"] == "IN" and one["state"] != "talking")
        ]  # fmt: skip
    else:
        start = start_of(selection.span, people.zone, now)
        made = contacts(events) if query.source == "finished" else arrivals(events)
        members = [one for one in made if start <= one["finished"]]
    for one in members:
        who = one.get("user") or one.get("user_id")
        one["team"] = people.by_id[who].team if who in people.by_id else ""
    members = [
        one for one in members
        if not selection.none
        and (selection.ring_groups is None or selection.ring_groups & set(one["ring_groups"]))
        and (selection.teams is None or one["team"] in selection.teams)
        and (selection.directions is None or one["direction"] in selection.directions)
        and (selection.statuses is None or one["status"] in selection.statuses)
    ]  # fmt: skip
    if query.by in ("user", "contact"):
        return [("_total", len(members))]
    parts: list[tuple[str, list[dict[str, Any]]]] = []
    if query.by == "ring_group":
        for name in sorted(selection.ring_groups or people.ring_groups):
            parts.append((name, [one for one in members if name in one["ring_groups"]]))
    if query.by == "team":
        for name in sorted(people.teams):
            if selection.teams is None or name in selection.teams:
                parts.append((name, [one for one in members if one["team"] == name]))
    if query.by == "direction":
        for name, key in (("inbound", "IN"), ("outbound", "OUT")):
            if selection.directions is None or key in selection.directions:
                parts.append((name, [one for one in members if one["direction"] == key]))
    if query.by == "status":
        base = ["available", "busy", "after_call_work", "away"]
        for name in [*base, *sorted({one["status"] for one in members} - set(base))]:
            if selection.statuses is None or name in selection.statuses:
                parts.append((name, [one for one in members if one["status"] == name]))
    figure = query.name.partition("_by_")[0]
    return [(name, valued(figure, held, now)) for name, held in [*parts, ("_total", members)]]


def valued(figure: str, members: list[dict[str, Any]], now: float) -> Any:
    def of(*types: str) -> list[dict[str, Any]]:
        return [one for one in members if one["type"] in types]

    def mean(values: list[int]) -> float:
        return round(sum(values) / len(values), 2) if values else 0.0

    def percent(part: int, whole: int) -> float:
        return round(100 * part / whole, 2) if whole else 0.0

    match figure:
        case "arrived_contacts" | "live_contacts_in_queue" | "live_contacts" | "live_users_logged_in":
            return len(members)
        case "live_longest_wait_time":
            return max((int(now - one["since"]) for one in members), default=0)
        case "inbound_contacts":
            return len(of(*INBOUND))
        case "answered_contacts":
            return len(of("Answered"))
        case "missed_contacts":
            return len(of("Missed"))
        case "abandoned_contacts":
            return len(of("Abandoned"))
        case "short_abandoned_contacts":
            return len(of("Short Abandoned"))
        case "voicemail_contacts":
            return len(of("Voicemail"))
        case "outbound_contacts":
            return len(of("Connected", "Not Connected"))
        case "connected_contacts":
            return len(of("Connected"))
        case "not_connected_contacts":
            return len(of("Not Connected"))
        case "abandon_rate":
            return percent(len(of("Abandoned")), len(of(*INBOUND)) - len(of("Short Abandoned")))
        case "service_level":
            good = [one for one in of("Answered") if one["within_service_level"]]
            return percent(len(good), len(of(*INBOUND)) - len(of("Short Abandoned")))
        case "avg_wait_time":
            return mean([one["waiting_time"] for one in of(*INBOUND)])
        case "longest_wait_time":
            return max((one["waiting_time"] for one in of(*INBOUND)), default=0)
        case "avg_abandon_time":
            return mean([one["waiting_time"] for one in of("Abandoned")])
    talked = of("Answered", "Connected")
    held = [one["hold_time"] + one["consultation_time"] for one in talked]
    match figure:
        case "avg_talk_time":
            return mean([one["talk_time"] for one in talked])
        case "avg_hold_time":
            return mean(held)
        case "avg_handle_time":
            return mean([one["talk_time"] + h + one["work"] for one, h in zip(talked, held, strict=True)])
    raise AssertionError(f"nobody has said how {figure} is counted")
