"""Reports of messaging, surveys, evaluations and the dialer, counted once more from the raw events (report_recount)."""

import json
from collections.abc import Iterator
from typing import Any

from .report_recount import BASE, Asked, Days, Past, Recount, Row, in_order, when, yes_no


def local(asked: Asked, text: str | None) -> str | None:
    return asked.local(when(text)) if text is not None else None


def lasting(start: str, end: str | None) -> int | None:
    return round((when(end) - when(start)).total_seconds()) if end is not None else None


def days(seconds: int | None) -> Days | None:
    return Days(seconds / 86400) if seconds is not None else None


def spelled(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24}d {hours % 24}h {minutes}m {rest}s"


def within(past: Past, asked: Asked, type: str) -> Iterator[dict[str, Any]]:
    return (event for event in past.told(type) if asked.holds(event["at"]))


def messaging_contacts(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in within(past, asked, "message.contact_finished"):
        told = event["data"]
        row = {
            "channel_type": told["channel"],
            "contact_assigned_at": local(asked, told["assigned_at"]),
            "contact_started_at": local(asked, told["started_at"]),
            "contact_finished_at": local(asked, told["finished_at"]),
            "contact_duration": days(lasting(told["started_at"], told["finished_at"])),
            "contact_finished_reason": told["finished_reason"],
            "contact_handle_time": spelled(told["handle_time"]),
            "contact_id": told["id"],
            "contact_person_channel_identifier": told["person_channel_identifier"],
            "contact_person_id": told["person_id"],
            "contact_person_name": told["person_name"],
            "conversation": f"{BASE}/conversations/{told['interaction_id']}",
            "direct_assignment_user_id": told["direct_assignment_user_id"],
            "direct_assignment_user": past.person(told["direct_assignment_user_id"])["name"],
            "direction": told["direction"],
            "disposition_name": told["disposition"],
            "first_response_time": spelled(told["first_response_time"]),
            "handling_queues": " + ".join(told["handling_queues"]),
            "interaction_duration": days(lasting(told["interaction_started_at"], told["interaction_finished_at"])),
            "interaction_started_at": local(asked, told["interaction_started_at"]),
            "interaction_finished_at": local(asked, told["interaction_finished_at"]),
            "interaction_handle_time": spelled(told["interaction_handle_time"]),
            "interaction_id": told["interaction_id"],
            "interaction_status": told["interaction_status"],
            "is_virtual_agent": "NO" if told["virtual_agent_id"] is None else "YES",
            "notes": told["notes"],
            "queues": " + ".join(told["queues"]),
            "touchpoint_identifier": told["touchpoint_id"],
            "touchpoint_name": told["touchpoint_name"],
            "transfer_out": yes_no(told["transfer_out"]),
            "user_id": told["user_id"],
            "user_name": past.person(told["user_id"])["name"],
            "virtual_agent_id": told["virtual_agent_id"],
            "virtual_agent_name": told["virtual_agent_name"],
            "wrap-up_duration": days(told["wrap_up_time"]),
        }
        found.append((event["at"], told["id"], row))
    return in_order(found)


def messaging_traffic(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in within(past, asked, "message.exchanged"):
        told = event["data"]
        row = {
            "contact_id": told["contact_id"],
            "channel_type": told["channel"],
            "contact_person_id": told["person_id"],
            "contact_person_name": told["person_name"],
            "interaction_id": told["interaction_id"],
            "message_created_at": asked.local(event["at"]),
            "message_direction": told["direction"],
            "message_id": told["id"],
            "user_id": told["user_id"],
            "user_name": past.person(told["user_id"])["name"],
        }
        found.append((event["at"], told["id"], row))
    return in_order(found)


def components(past: Past, asked: Asked) -> Iterator[tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]]:
    """(event, what was told, id of the answer, component) of each question of a survey that was answered."""
    for event in within(past, asked, "survey.answered"):
        told = event["data"]
        for number, one in enumerate(told["components"]):
            yield event, told, f"{told['id']}.{number}", one


def feedback_flow(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event, told, id, one in components(past, asked):
        of_call = told["about"] == "call"
        row = {
            "date_time": asked.local(event["at"]),
            "interaction_id": told["interaction_id"],
            "flow_name": told["flow_name"],
            "component_id": one["id"],
            "component_name": one["name"],
            "component_type": one["type"],
            "component_text": one["text"],
            "response": one["response"] or None,
            "is_kpi": "yes" if one["is_kpi"] else "no",
            "pertains_to_agent": "yes" if one["pertains_to_agent"] else "no",
            "recording_url": f"{BASE}/calls/{told['interaction_id']}/recordings" if of_call else None,
            "agent_name": past.person(told["user_id"])["name"],
            "respondent_phone_number": told["respondent_phone_number"] or None,
            "talkdesk_phone_number": told["talkdesk_phone_number"] or None,
            "ring_group": " + ".join(told["ring_groups"]),
            "team_name": past.team(told["user_id"]),
            "interaction_direction": told["direction"],
            "survey_channel": told["channel"],
            "response_state": told["state"],
            "sms_error": told["sms_error"],
            "touch_point_id": told["touch_point_id"],
            "touch_point_name": told["touch_point_name"],
            "touch_point_value": told["touch_point_value"],
        }
        found.append((event["at"], id, row))
    return in_order(found)


def feedback(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event, told, id, one in components(past, asked):
        row = {
            "interaction_id": told["interaction_id"],
            "survey_time": asked.local(event["at"]),
            "score": one["score"],
            "comment": told["comment"],
            "agent_name": past.person(told["user_id"])["name"],
            "team_name": past.team(told["user_id"]),
            "ring_group": " + ".join(told["ring_groups"]),
            "respondent_phone_number": told["respondent_phone_number"] or None,
            "talkdesk_phone_number": told["talkdesk_phone_number"] or None,
        }
        if one["score"] is not None:
            found.append((event["at"], id, row))
    return in_order(found)


def csat_score(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event, told, id, one in components(past, asked):
        row = {
            "agent_id": told["user_id"],
            "ring_groups_name": " + ".join(told["ring_groups"]),
            "team_id": past.person(told["user_id"])["team_id"],
            "sent_at": asked.local(event["at"]),
            "score": one["score"],
        }
        if one["score"] is not None and one["is_kpi"]:
            found.append((event["at"], id, row))
    return in_order(found)


def evaluations(past: Past, asked: Asked) -> Iterator[dict[str, Any]]:
    """Each evaluation as it was edited last, where that was within the span."""
    newest: dict[str, dict[str, Any]] = {}
    for event in past.told("evaluation.finished"):
        known = newest.get(event["data"]["id"])
        if known is None or known["data"]["version"] < event["data"]["version"]:
            newest[event["data"]["id"]] = event
    return (event for event in newest.values() if asked.holds(event["at"]))


def qm_evaluation_analysis(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in evaluations(past, asked):
        told, number = event["data"], 0
        agent = past.person(told["user_id"])
        for section in told["sections"]:
            for question in section["questions"]:
                row = {
                    "agent": agent["name"],
                    "agent_id": told["user_id"],
                    "agent_name": agent["name"],
                    "agent_email": agent["email"],
                    "evaluation_id": told["id"],
                    "evaluation_time": asked.local(event["at"]),
                    "evaluation_version": told["version"],
                    "evaluation_max_score": told["max_score"],
                    "evaluation_obtained_score": told["obtained_score"],
                    "evaluator_id": told["evaluator_id"],
                    "evaluator_name": past.person(told["evaluator_id"])["name"],
                    "form_id": told["form_id"],
                    "form_name": told["form_name"],
                    "interaction_id": told["interaction_id"],
                    **{f"section_{name}": section[name] for name in ("id", "name", "max_score", "obtained_score")},
                    **{f"question_{name}": question[name] for name in ("id", "text", "type", "answer")},
                    "question_max_score": question["max_score"],
                    "question_obtained_score": question["obtained_score"],
                    "ring_group_names": " + ".join(told["ring_groups"]),
                    "team_name": past.team(told["user_id"]),
                    "branch_to": question["branch_to"],
                    "first_evaluated_on": local(asked, told["first_evaluated_on"]),
                    "header_id": question["header_id"],
                    "header_text": question["header_text"],
                    "interaction_reference": told["interaction_reference"],
                    "form_element_mandatory": "yes" if question["mandatory"] else "no",
                    "interaction_channel": told["interaction_channel"],
                    "interaction_date": local(asked, told["interaction_date"]),
                    "interaction_direction": told["interaction_direction"],
                    "interaction_source": told["interaction_source"],
                    "interaction_type": told["interaction_type"],
                }
                found.append((event["at"], told["id"], number, row))
                number += 1
    return in_order(found)


def qm_evaluation_score(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in evaluations(past, asked):
        told = event["data"]
        row = {
            "agent_id": told["user_id"],
            "evaluation_time": asked.local(event["at"]),
            "evaluation_max_score": told["max_score"],
            "evaluation_obtained_score": told["obtained_score"],
            "ring_groups_name": " + ".join(told["ring_groups"]),
            "team_id": past.person(told["user_id"])["team_id"],
        }
        found.append((event["at"], told["id"], row))
    return in_order(found)


def outbound_dialer_calls(past: Past, asked: Asked) -> list[Row]:
    found = []
    for event in within(past, asked, "dialer.call_finished"):
        told = event["data"]
        extra = json.dumps(told["extra_data"], separators=(",", ":"), ensure_ascii=False)
        row = {
            "interaction_id": told["interaction_id"],
            "attempt_number": told["attempt_number"],
            "call_started_time": local(asked, told["started_at"]),
            "call_finished_time": local(asked, told["finished_at"]),
            "callback_mode": told["callback_mode"],
            "campaign_id": told["campaign_id"],
            "campaign_name": told["campaign_name"],
            "campaign_agent": past.person(told["user_id"])["name"],
            "campaign_transferred_agent": past.person(told["transferred_user_id"])["name"],
            "create_calls_analysis.in_queue": told["in_queue"],
            "create_calls_analysis.ringing_at_agent": told["ringing_at_agent"],
            "create_calls_analysis.ringing_at_customer": told["ringing_at_customer"],
            "create_calls_analysis.proactive_outbound_phone_type": told["proactive_outbound_phone_type"],
            "create_calls_analysis.outbound_dialer_record_extra_data": extra if told["extra_data"] else None,
            "customer_phone_number": told["customer_phone_number"] or None,
            "description": told["description"],
            "disposition": told["disposition"],
            "outbound_dialer_system_disposition": told["system_disposition"],
            "record_id": told["record_id"],
            "sip_hangup_code": told["sip_hangup_code"],
            "talkdesk_phone_number": told["talkdesk_phone_number"] or None,
            "team_name": past.team(told["user_id"]),
            "total_duration": lasting(told["started_at"], told["finished_at"]),
        }
        found.append((event["at"], told["id"], row))
    return in_order(found)


CHANNEL_RECOUNTS: dict[str, Recount] = {
    "messaging_contacts": messaging_contacts,
    "messaging_traffic": messaging_traffic,
    "feedback_flow": feedback_flow,
    "feedback": feedback,
    "csat_score": csat_score,
    "qm_evaluation_analysis": qm_evaluation_analysis,
    "qm_evaluation_score": qm_evaluation_score,
    "outbound_dialer_calls": outbound_dialer_calls,
}
