"""Historical reports counted once more: from the raw events and the directory alone, in plain Python.

Written from the contract (data_and_events.md section 1.8) and from what the columns mean. Each function gives the
rows of one type that were over within a span, in their order: values as JSON has them, fractions as `Days`. The rows
of SUMMED types come in no order.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

BASE = "http://ringfence.test"
WHAT_A_CALL_IS = {
    "Answered": "inbound",
    "Missed": "missed",
    "Abandoned": "abandoned",
    "Short Abandoned": "short_abandoned",
    "Voicemail": "voicemail",
    "Connected": "outbound",
    "Not Connected": "outbound_missed",
}
GENERATORS = {
    "account": "account-api", "app": "apps-api", "attribute": "attributes-api",
    "attribute_category": "attributes-api", "business_hours": "business-hours-api", "client": "identity-api",
    "do_not_call_list": "do-not-call-lists-api", "flow": "studio", "keys": "identity-api", "number": "numbers-api",
    "record_list": "record-lists-api", "recording": "recordings-api", "report": "explore-api",
    "ring_group": "ring-groups-api", "role": "roles-api", "subscription": "events-api", "token": "identity-api",
    "trigger": "events-api", "user": "users-api",
}  # fmt: skip
PATHS = {
    "account": "accounts", "app": "apps", "attribute": "attributes", "attribute_category": "attributes-categories",
    "business_hours": "business-hours", "client": "clients", "do_not_call_list": "do-not-call-lists", "flow": "flows",
    "keys": "keys", "number": "numbers", "record_list": "record-lists", "recording": "recordings",
    "report": "reports", "ring_group": "ring-groups", "role": "roles", "subscription": "subscriptions",
    "token": "tokens", "trigger": "triggers", "user": "users",
}  # fmt: skip
CUSTOM_FIELDS = {
    "int_custom_field_n1": "int_1",
    "int_custom_field_n2": "int_2",
    "float_custom_field_n1": "float_1",
    "float_custom_field_n2": "float_2",
    "text_custom_field_n1": "text_1",
    "text_custom_field_n2": "text_2",
    "text_custom_field_n3": "text_3",
    "text_custom_field_n4": "text_4",
    "timestamp_custom_field_n1": "timestamp_1",
}


@dataclass(frozen=True)
class Days:
    """A duration as a fraction of a day, shown with twelve digits after the point."""

    value: float


@dataclass
class Past:
    """All that is known of an account: events in their order, and the directory by its keys."""

    account: str
    events: list[dict[str, Any]]
    users: dict[str, dict[str, Any]]
    teams: dict[str, str]
    numbers: dict[str, str]
    ring_groups: dict[str, list[str]]  # by user

    def told(self, *types: str) -> Iterator[dict[str, Any]]:
        return (event for event in self.events if event["type"] in types)

    def person(self, id: str | None) -> dict[str, Any]:
        nobody = {"name": None, "email": None, "active": None, "team_id": None}
        return self.users.get(id or "", nobody)

    def team(self, id: str | None) -> str | None:
        return self.teams.get(self.person(id)["team_id"] or "")


@dataclass(frozen=True)
class Asked:
    """What a report was asked about."""

    zone: ZoneInfo
    starts: datetime
    ends: datetime

    def holds(self, at: datetime) -> bool:
        return self.starts <= at < self.ends

    def local(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"


Row = dict[str, Any]
Recount = Callable[[Past, Asked], list[Row]]


def when(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def in_order(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """The rows at the ends of these, in the order of what stands before them."""
    return [one[-1] for one in sorted(found, key=lambda one: one[:-1])]


def rfc3339(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def yes_no(value: bool | None) -> str | None:
    return None if value is None else "Yes" if value else "No"


# calls


def calls_over(past: Past, asked: Asked) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    """(end, id, all that was told of the call) of each call that was over within the span."""
    filed: dict[str, dict[str, Any]] = defaultdict(dict)
    keys: dict[str, list[str]] = defaultdict(list)
    scores: dict[str, tuple[int, datetime]] = {}
    for event in past.told("call.disposed"):
        told = event["data"]
        said = {name: told[name] for name in ("disposition", "notes", "rating", "rating_reason")}
        said |= told["custom_fields"] or {}
        filed[told["call_id"]] |= {name: value for name, value in said.items() if value is not None}
    for event in past.told("flow.step_finished"):
        if event["data"]["exit"] in list("0123456789*#"):
            keys[event["data"]["interaction_id"]].append(event["data"]["exit"])
    for event in past.told("survey.answered"):
        told = event["data"]
        kpis = [one["score"] for one in told["components"] if one["is_kpi"] and one["score"] is not None]
        if told["about"] == "call" and kpis:
            scores[told["interaction_id"]] = (kpis[0], event["at"])
    for event in past.told("call.ended"):
        told = event["data"]
        id, ended = told["call_id"], when(told["ended_at"])
        if asked.holds(ended):
            score, scored = scores.get(id, (None, None))
            beside = {"keys": "+".join(keys[id]), "filed": filed[id], "score": score, "scored": scored}
            yield ended, id, told | beside | {"what": what_a_call_is(told)}


def what_a_call_is(told: dict[str, Any]) -> str:
    if told["type"] is not None:
        return WHAT_A_CALL_IS[told["type"]]
    if told["direction"] == "OUT":
        return "outbound_missed"
    if told["recorded"]:
        return "voicemail"
    return "abandoned" if told["ended_by"] == "contact" else "inbound"


def custom_fields(filed: dict[str, Any], shown: Callable[[datetime], str]) -> Row:
    found: Row = {column: filed.get(name) for column, name in CUSTOM_FIELDS.items()}
    for column in ("float_custom_field_n1", "float_custom_field_n2"):
        if found[column] is not None:
            found[column] = float(found[column])  # PostgreSQL's documents have large ones as whole numbers
    if found["timestamp_custom_field_n1"] is not None:
        found["timestamp_custom_field_n1"] = shown(when(found["timestamp_custom_field_n1"]))
    return found


def calls(past: Past, asked: Asked) -> list[Row]:
    found = []
    for ended, id, told in calls_over(past, asked):
        first, last = told["first_user_id"], told["user_id"]
        filed = told["filed"]
        row = {
            "call_id": id,
            "callsid": id,
            "type": told["what"],
            "start_at": rfc3339(when(told["started_at"])),
            "end_at": rfc3339(ended),
            "talkdesk_phone_number": told["talkdesk_phone_number"],
            "talkdesk_phone_display_name": past.numbers.get(told["talkdesk_phone_number"]),
            "contact_phone_number": told["contact_phone_number"],
            "user_id": first,
            "user_name": past.person(first)["name"],
            "user_email": past.person(first)["email"],
            "total_time": told["total_time"],
            "talk_time": told["talk_time"],
            "wait_time": told["waiting_time"],
            "hold_time": told["hold_time"],
            "abandon_time": told["waiting_time"] if "abandoned" in told["what"] else 0,
            "total_ringing_time": told["ringing_time"],
            "disposition_code": filed.get("disposition"),
            "notes": filed.get("notes"),
            "user_voice_rating": filed.get("rating", 0),
            "ring_groups": "+".join(told["ring_groups"]),
            "ivr_options": told["keys"],
            "is_in_business_hours": told["in_business_hours"],
            "is_callback_from_queue": told["callback"],
            "is_transfer": told["transfers"] > 0,
            "is_external_transfer": False,
            "handling_user_id": last,
            "handling_user_name": past.person(last)["name"],
            "handling_user_email": past.person(last)["email"],
            "recording_url": f"{BASE}/calls/{id}/recordings" if told["recorded"] else None,
            "is_if_no_answer": False,
            "is_call_forwarding": False,
            "csat_score": told["score"],
            "csat_survey_time": rfc3339(told["scored"]) if told["scored"] else "",
            "team_id": past.person(first)["team_id"],
            "team_name": past.team(first),
            "rating_reason": filed.get("rating_reason", ""),
            "agent_disconnected": yes_no(told["ended_by"] == "agent"),
            "data_status": "Valid",
            "disposition_set": None,
            "nested_disposition": None,
        }
        found.append((ended, id, row | custom_fields(filed, rfc3339)))
    return in_order(found)


def explore_calls(past: Past, asked: Asked) -> list[Row]:
    found = []
    for ended, id, told in calls_over(past, asked):
        first, last = told["first_user_id"], told["user_id"]
        filed = told["filed"]
        answered = told["speed_to_answer"]
        row = {
            "interaction_id": id,
            "call_type": told["what"],
            "start_time": asked.local(when(told["started_at"])),
            "end_time": asked.local(ended),
            "talkdesk_phone_number": told["talkdesk_phone_number"],
            "customer_phone_number": told["contact_phone_number"],
            "talk_time": Days(told["talk_time"] / 86400),
            "waiting_time": Days(told["waiting_time"] / 86400),
            "agent_speed_to_answer": Days(answered / 86400) if answered is not None else None,
            "holding_time": Days(told["hold_time"] / 86400),
            "record": f"/calls/{id}/recordings" if told["recorded"] else None,
            "hangup": "completed" if told["ended_by"] == "system" else "disconnected",
            "in_business_hours?": str(told["in_business_hours"]).upper(),
            "callback_from_queue?": str(told["callback"]).upper(),
            "rating": filed.get("rating"),
            "description": filed.get("notes"),
            "agent_name": past.person(first)["name"],
            "user_email": past.person(first)["email"],
            "phone_display_name": past.numbers.get(told["talkdesk_phone_number"]),
            "disposition_code": filed.get("disposition"),
            "transfer?": yes_no(told["transfers"] > 0),
            "handling_agent": past.person(last)["name"],
            "tags": "+".join(told["ring_groups"]),
            "ivr_options": told["keys"],
            "csat_score": told["score"],
            "csat_survey_time": asked.local(told["scored"]) if told["scored"] else "",
            "team": past.team(first),
            "rating_reason": filed.get("rating_reason", ""),
            "agent_disconnected": yes_no(told["ended_by"] == "agent"),
            "disposition_set": None,
            "nested_disposition": None,
        }
        found.append((ended, id, row))
    return in_order(found)


def interaction_custom_fields(past: Past, asked: Asked) -> list[Row]:
    found = []
    for ended, id, told in calls_over(past, asked):
        row = {
            "interaction_id": id,
            "contact_id": told["contact_id"],
            "started_at": asked.local(when(told["started_at"])),
            "finished_at": asked.local(ended),
        }
        found.append((ended, id, row | custom_fields(told["filed"], asked.local)))
    return in_order(found)


# contacts


def contacts_over(past: Past, asked: Asked) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    """(end, id, all that was told) of each contact that was over; the work after it is that of its own agent."""
    work: dict[tuple[str, str], int] = {}
    for event in past.told("call.disposed"):
        told = event["data"]
        key = (told["leg_id"], told["user_id"])
        work[key] = work.get(key, 0) + told["after_call_work_time"]
    ends = {event["data"]["call_id"]: event["data"] for event in past.told("call.ended")}
    for event in past.told("call.contact_finished"):
        told = dict(event["data"])
        call = ends.get(told["call_id"])
        last = call is not None and told["number"] == call["legs"] - 1
        if last and call is not None and call["type"] == "Voicemail" and told["type"] == "Missed":
            told["type"] = "Voicemail"
        told["last"] = None if call is None else last
        told["work"] = work.get((told["leg_id"], told["user_id"]))
        told["held"] = told["hold_time"] + told["consultation_time"]
        told["talked"] = told["answered_at"] is not None
        if asked.holds(when(told["finished_at"])):
            yield when(told["finished_at"]), told["leg_id"], told


def contacts(past: Past, asked: Asked) -> list[Row]:
    found = []
    for finished, id, told in contacts_over(past, asked):
        answered = asked.local(when(told["answered_at"])) if told["talked"] else None
        inbound, waited = told["direction"] == "IN", told["waiting_time"]
        user, groups = told["user_id"], "+".join(told["ring_groups"])
        row = {
            "interaction_id": told["call_id"],
            "contact_id": id,
            "company_number": told["talkdesk_phone_number"],
            "contact_person_number": told["contact_phone_number"],
            "phone_display_name": past.numbers.get(told["talkdesk_phone_number"]),
            "external_phone_number": None,
            "direction": told["direction"],
            "contact_type": told["type"],
            "started_at": asked.local(when(told["started_at"])),
            "finished_at": asked.local(finished),
            "answered_at": answered if inbound else None,
            "connected_at": None if inbound else answered,
            "wait_time": waited,
            "time_to_missed": waited if told["type"] == "Missed" else None,
            "abandon_time": waited if told["type"] == "Abandoned" else None,
            "short_abandon_time": waited if told["type"] == "Short Abandoned" else None,
            "time_to_voicemail": waited if told["type"] == "Voicemail" else None,
            "ring_time": told["ringing_time"],
            "connect_time": waited if told["type"] == "Connected" else None,
            "talk_time": told["talk_time"],
            "hard_hold_time": told["hold_time"],
            "soft_hold_time": told["consultation_time"],
            "hold_time": told["held"],
            "after_call_work_time": told["work"],
            "duration": waited + told["talk_time"] + told["held"],
            "handle_time": told["talk_time"] + told["held"] + (told["work"] or 0) if told["talked"] else None,
            "inside_business_hours": yes_no(told["in_business_hours"]),
            "inside_service_level": yes_no(told["within_service_level"]),
            "within_service_level_threshold": yes_no(told["within_service_level"]),
            "transfer_out": yes_no(told["transfer_out"] is not None),
            "transfer_in": yes_no(told["transfer_in"] is not None),
            "callback": yes_no(told["callback"]),
            "transfer_out_type": told["transfer_out"],
            "transfer_in_type": told["transfer_in"],
            "ring_groups": groups,
            "handling_ring_groups": groups if told["talked"] else None,
            "user_id": user,
            "user_name": past.person(user)["name"],
            "direct_assignment_ids": None,
            "direct_assignment_user": None,
            "team_id": past.person(user)["team_id"],
            "team_name": past.team(user),
            "disconnected_by_agent": yes_no(told["ended_by"] == "agent"),
            "last_contact": yes_no(told["last"]),
            "data_status": "Valid",
        }
        found.append((finished, id, row))
    return in_order(found)


def ring_attempts(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in past.told("call.ring_attempt_finished"):
        told, attempt = event["data"], event["data"]["attempt"]
        started, finished = when(attempt["started_at"]), when(attempt["finished_at"])
        if asked.holds(finished):
            row = {
                "interaction_id": told["call_id"],
                "contact_id": told["leg_id"],
                "batch_ring_id": attempt["id"],
                "ring_attempt_id": attempt["id"],
                "attempt_type": attempt["result"],
                "ring_started_at_time": asked.local(started),
                "ring_finished_at_time": asked.local(finished),
                "ring_attempt_duration": round((finished - started).total_seconds()),
                "user_name": past.person(attempt["user_id"])["name"],
                "user_email": past.person(attempt["user_id"])["email"],
                "team_name": past.team(attempt["user_id"]),
            }
            found.append((finished, attempt["id"], row))
    return in_order(found)


# agents


def statuses_over(past: Past, asked: Asked) -> Iterator[tuple[datetime, datetime, str, str]]:
    """(end, beginning, agent, status) of each piece of a status, cut at every first of a month in UTC."""
    for event in past.told("agent.status_changed"):
        told = event["data"]
        begun, over = when(told["previous_since"]), event["at"]
        while begun < over:
            later = begun.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)
            piece = min(over, later.replace(day=1))
            if asked.holds(piece):
                yield piece, begun, told["user_id"], told["previous_status"]
            begun = piece


def user_status(past: Past, asked: Asked) -> list[Row]:
    found = []
    for over, begun, user, status in statuses_over(past, asked):
        row = {
            "user_id": user,
            "user_name": past.person(user)["name"],
            "user_email": past.person(user)["email"],
            "status_label": status,
            "status_start_at": asked.local(begun),
            "status_end_at": asked.local(over),
            "status_time": round((over - begun).total_seconds()),
            "is_user_active": past.person(user)["active"],
            "team_id": past.person(user)["team_id"],
            "team_name": past.team(user),
            "ring_groups": "+".join(sorted(past.ring_groups.get(user, []))),
        }
        found.append((over, user, row))
    return in_order(found)


def legacy_user_status(past: Past, asked: Asked) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "ring_groups"} for row in user_status(past, asked)]


# flows


def studio_flow_execution(past: Past, asked: Asked) -> list[Row]:
    between = {
        event["data"]["call_id"]: (event["data"]["talkdesk_phone_number"], event["data"]["contact_phone_number"])
        for event in past.told("call.started")
    }
    over = {event["data"]["flow_execution_id"]: event["at"] for event in past.told("flow.finished")}
    found = []
    for event in past.told("flow.step_finished"):
        told = event["data"]
        execution = told["flow_execution_id"]
        if execution in over and asked.holds(over[execution]):
            company, contact = between[told["interaction_id"]]
            row = {
                "call_sid": told["interaction_id"],
                "interaction_id": told["interaction_id"],
                "destination_number": company,
                "origin_number": contact,
                "flow_name": told["flow_name"],
                "flow_id": told["flow_id"],
                "flow_execution_id": execution,
                "component_title": told["component_title"],
                "step_name": told["step_name"],
                "exit": told["exit"],
                "time_in_step": Days(told["time_in_step"] / 86400),
                "timestamp": asked.local(when(told["started_at"])),
                "studio_flow_executions_aggregated.flow_execution_finished_time": asked.local(over[execution]),
                "step_execution_order": told["step_execution_order"],
            }
            found.append((over[execution], execution, told["step_execution_order"], row))
    return in_order(found)


# sums by a quarter of an hour


def quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def by_quarter(measure: str, value: Callable[[dict[str, Any]], int | None]) -> Recount:
    """Sums over contacts by agent, ring groups, team and when they began; those without a value do not count."""

    def counted(past: Past, asked: Asked) -> list[Row]:
        sums: dict[Any, int] = {}
        for _, _, told in contacts_over(past, asked):
            if (more := value(told)) is not None:
                user = told["user_id"]
                began = asked.local(quarter(when(told["started_at"])))
                team = past.person(user)["team_id"]
                key = (user, "+".join(told["ring_groups"]), team, began, quarter(when(told["started_at"])))
                sums[key] = sums.get(key, 0) + more
        return [
            {"agent_id": user, "ring_groups_name": groups, "team_id": team, "started_at": began, measure: sum}
            for (user, groups, team, began, _), sum in sums.items()
        ]

    return counted


def contact_online_time(past: Past, asked: Asked) -> list[Row]:
    sums: dict[Any, int] = {}
    for over, begun, user, status in statuses_over(past, asked):
        if status != "offline":
            key = (user, past.person(user)["team_id"], quarter(begun))
            sums[key] = sums.get(key, 0) + round((over - begun).total_seconds())
    return [
        {"agent_id": user, "team_id": team, "started_at": asked.local(began), "status_duration_seconds": sum}
        for (user, team, began), sum in sums.items()
    ]


# who did what


def audit_logs(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in past.events:
        area = event["type"].partition(".")[0]
        kind, _, actor = event["actor"].partition(":")
        if area in GENERATORS and kind in ("client", "user", "cli") and asked.holds(event["at"]):
            user = actor if kind == "user" else None
            row = {
                "actor_id": actor,
                "generator_name": GENERATORS[area],
                "ip_addresses": [event["origin"]] if event["origin"] else [],
                "operation": event["type"],
                "platform_tid": event["id"],
                "resource_id": f"/{PATHS[area]}/{event['key']}",
                "operation_status": "failure" if event["type"].endswith("_failed") else "success",
                "user_agent": None,
                "timestamp": asked.local(event["at"]) + f".{event['at'].microsecond // 1000:03}",
                "user_id": user,
                "agent_name": past.person(user)["name"],
                "agent_email": past.person(user)["email"],
            }
            found.append((event["at"], event["id"], row))
    return in_order(found)


RECOUNTS: dict[str, Recount] = {
    "audit_logs": audit_logs,
    "calls": calls,
    "explore_calls": explore_calls,
    "contacts": contacts,
    "user_status": user_status,
    "studio_flow_execution": studio_flow_execution,
    "ring_attempts": ring_attempts,
    "interaction_custom_fields": interaction_custom_fields,
    "acw_time_data": by_quarter("acw_time_seconds_total", lambda told: told["work"]),
    "hold_time_data": by_quarter("hold_time_seconds_total", lambda told: told["held"] if told["talked"] else None),
    "talk_time_data": by_quarter("talk_time_seconds_total", lambda told: told["talk_time"] if told["talked"] else None),
    "inbound_contact_volume": by_quarter("in_contact_volume", lambda told: 1 if told["direction"] == "IN" else None),
    "contact_online_time": contact_online_time,
}
LEGACY_RECOUNTS: dict[str, Recount] = {"calls": calls, "user_status": legacy_user_status}
SUMMED = {
    "acw_time_data", "hold_time_data", "talk_time_data", "inbound_contact_volume", "contact_online_time"
}  # fmt: skip
VERSIONED = {"calls", "user_status"}
