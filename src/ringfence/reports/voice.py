"""Reports of the voice floor (contract: data_and_events.md section 1.8)."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Integer, and_, case, false, func, literal_column

from ringfence.store.expressions import listing, quarter_hour
from ringfence.store.query import ACCOUNT
from ringfence.store.tables import facts
from ringfence.store.tables.floor import interactions

from .report import (
    BASE,
    NO_TEXT,
    Column,
    Report,
    days,
    text_of,
    true_false,
    with_number,
    with_ring_groups,
    with_user,
    yes_no,
)

call: Any = facts.calls.c
contact: Any = facts.contacts.c
attempt: Any = facts.ring_attempts.c
status: Any = facts.statuses.c
step: Any = facts.steps.c
execution: Any = facts.executions.c
audit: Any = facts.audit.c


def text(value: str) -> Column:
    return literal_column(f"'{value}'")


_with_agent, agent, team = with_user(facts.calls, call.user_id)
_with_handler, handler, _ = with_user(_with_agent, call.handling_user_id, "handler")
CALLS_SOURCE, line = with_number(_with_handler, call.company_number)
CUSTOM_FIELDS: dict[str, Column] = {
    "int_custom_field_n1": call.int_1,
    "int_custom_field_n2": call.int_2,
    "float_custom_field_n1": call.float_1,
    "float_custom_field_n2": call.float_2,
    "text_custom_field_n1": call.text_1,
    "text_custom_field_n2": call.text_2,
    "text_custom_field_n3": call.text_3,
    "text_custom_field_n4": call.text_4,
    "timestamp_custom_field_n1": call.timestamp_1,
}
by_agent = call.ended_by == "agent"
IN_ORDER = (call.ended_at, call.id)

CALLS = Report(
    type="calls",
    title="Calls",
    about="A row for each call, by its end.",
    source=CALLS_SOURCE,
    ended=call.ended_at,
    order=IN_ORDER,
    rfc3339=True,
    versioned=True,
    filled=("csat_survey_time",),
    columns={
        "call_id": call.id,
        "callsid": call.id,
        "type": call.type,
        "start_at": call.started_at,
        "end_at": call.ended_at,
        "talkdesk_phone_number": call.company_number,
        "talkdesk_phone_display_name": line.label,
        "contact_phone_number": call.contact_number,
        "user_id": call.user_id,
        "user_name": agent.name,
        "user_email": agent.email,
        "total_time": call.total_time,
        "talk_time": call.talk_time,
        "wait_time": call.waiting_time,
        "hold_time": call.hold_time,
        "abandon_time": call.abandon_time,
        "total_ringing_time": call.ringing_time,
        "disposition_code": call.disposition,
        "notes": call.notes,
        "user_voice_rating": func.coalesce(call.rating, literal_column("0", Integer())),
        "ring_groups": call.ring_groups,
        "ivr_options": text_of(call.ivr_options),
        "is_in_business_hours": call.in_business_hours,
        "is_callback_from_queue": call.callback,
        "is_transfer": call.transfer,
        "is_external_transfer": false(),
        "handling_user_id": call.handling_user_id,
        "handling_user_name": handler.name,
        "handling_user_email": handler.email,
        "recording_url": case((call.recorded.is_(True), BASE + "/calls/" + call.id + "/recordings")),
        "is_if_no_answer": false(),
        "is_call_forwarding": false(),
        "csat_score": call.csat_score,
        "csat_survey_time": call.csat_at,
        "team_id": agent.team_id,
        "team_name": team.name,
        "rating_reason": text_of(call.rating_reason),
        "agent_disconnected": yes_no(by_agent),
        "data_status": text("Valid"),
        "disposition_set": NO_TEXT,
        "nested_disposition": NO_TEXT,
        **CUSTOM_FIELDS,
    },
)

EXPLORE_CALLS = Report(
    type="explore_calls",
    title="Explore calls",
    about="The same calls, as the Explore page shows them.",
    source=CALLS_SOURCE,
    ended=call.ended_at,
    order=IN_ORDER,
    at_any_time=("csat_survey_time",),
    filled=("csat_survey_time",),
    columns={
        "interaction_id": call.id,
        "call_type": call.type,
        "start_time": call.started_at,
        "end_time": call.ended_at,
        "talkdesk_phone_number": call.company_number,
        "customer_phone_number": call.contact_number,
        "talk_time": days(call.talk_time),
        "waiting_time": days(call.waiting_time),
        "agent_speed_to_answer": days(call.speed_to_answer),
        "holding_time": days(call.hold_time),
        "record": case((call.recorded.is_(True), text("/calls/") + call.id + "/recordings")),
        "hangup": case((call.ended_by == "system", text("completed")), else_=text("disconnected")),
        "in_business_hours?": true_false(call.in_business_hours),
        "callback_from_queue?": true_false(call.callback),
        "rating": call.rating,
        "description": call.notes,
        "agent_name": agent.name,
        "user_email": agent.email,
        "phone_display_name": line.label,
        "disposition_code": call.disposition,
        "transfer?": yes_no(call.transfer),
        "handling_agent": handler.name,
        "tags": call.ring_groups,
        "ivr_options": text_of(call.ivr_options),
        "csat_score": call.csat_score,
        "csat_survey_time": call.csat_at,
        "team": team.name,
        "rating_reason": text_of(call.rating_reason),
        "agent_disconnected": yes_no(by_agent),
        "disposition_set": NO_TEXT,
        "nested_disposition": NO_TEXT,
    },
)

INTERACTION_CUSTOM_FIELDS = Report(
    type="interaction_custom_fields",
    title="Interaction custom fields",
    about="What agents filed with each call.",
    source=facts.calls,
    ended=call.ended_at,
    order=IN_ORDER,
    at_any_time=("timestamp_custom_field_n1",),
    columns={
        "interaction_id": call.id,
        "contact_id": call.contact_id,
        "started_at": call.started_at,
        "finished_at": call.ended_at,
        **CUSTOM_FIELDS,
    },
)


def when(type: str) -> Column:
    """How long a contact waited, where it ended so."""
    return case((contact.type == text(type), contact.waiting_time))


_with_call = facts.contacts.outerjoin(
    facts.calls, and_(facts.calls.c.account_id == ACCOUNT, facts.calls.c.id == contact.call_id)
)
_with_agent, agent, team = with_user(_with_call, contact.user_id)
CONTACTS_SOURCE, line = with_number(_with_agent, contact.company_number)
hold = contact.hard_hold_time + contact.soft_hold_time
worked = func.coalesce(contact.after_call_work_time, literal_column("0", Integer()))
talked = contact.answered_at.is_not(None)

CONTACTS = Report(
    type="contacts",
    title="Contacts",
    about="A row for each contact within a call: a transfer opens another one.",
    source=CONTACTS_SOURCE,
    ended=contact.finished_at,
    order=(contact.finished_at, contact.id),
    columns={
        "interaction_id": contact.call_id,
        "contact_id": contact.id,
        "company_number": contact.company_number,
        "contact_person_number": contact.contact_number,
        "phone_display_name": line.label,
        "external_phone_number": NO_TEXT,
        "direction": contact.direction,
        "contact_type": contact.type,
        "started_at": contact.started_at,
        "finished_at": contact.finished_at,
        "answered_at": case((contact.direction == "IN", contact.answered_at)),
        "connected_at": case((contact.direction == "OUT", contact.answered_at)),
        "wait_time": contact.waiting_time,
        "time_to_missed": when("Missed"),
        "abandon_time": when("Abandoned"),
        "short_abandon_time": when("Short Abandoned"),
        "time_to_voicemail": when("Voicemail"),
        "ring_time": contact.ringing_time,
        "connect_time": when("Connected"),
        "talk_time": contact.talk_time,
        "hard_hold_time": contact.hard_hold_time,
        "soft_hold_time": contact.soft_hold_time,
        "hold_time": hold,
        "after_call_work_time": contact.after_call_work_time,
        "duration": contact.waiting_time + contact.talk_time + hold,
        "handle_time": case((talked, contact.talk_time + hold + worked)),
        "inside_business_hours": yes_no(contact.in_business_hours),
        "inside_service_level": yes_no(contact.within_service_level),
        "within_service_level_threshold": yes_no(contact.within_service_level),
        "transfer_out": yes_no(contact.transfer_out.is_not(None)),
        "transfer_in": yes_no(contact.transfer_in.is_not(None)),
        "callback": yes_no(contact.callback),
        "transfer_out_type": contact.transfer_out,
        "transfer_in_type": contact.transfer_in,
        "ring_groups": contact.ring_groups,
        "handling_ring_groups": case((talked, contact.ring_groups)),
        "user_id": contact.user_id,
        "user_name": agent.name,
        "direct_assignment_ids": NO_TEXT,
        "direct_assignment_user": NO_TEXT,
        "team_id": agent.team_id,
        "team_name": team.name,
        "disconnected_by_agent": yes_no(contact.ended_by == "agent"),
        "last_contact": yes_no(contact.number == call.legs - literal_column("1", Integer())),
        "data_status": text("Valid"),
    },
)

_with_agent, agent, team = with_user(facts.statuses, status.user_id)
STATUS_SOURCE, member_of = with_ring_groups(_with_agent, status.user_id)
USER_STATUS = Report(
    type="user_status",
    title="User status",
    about="A row for each time that an agent had a status, cut where months begin in UTC.",
    source=STATUS_SOURCE,
    ended=status.ended_at,
    order=(status.ended_at, status.user_id),
    versioned=True,
    columns={
        "user_id": status.user_id,
        "user_name": agent.name,
        "user_email": agent.email,
        "status_label": status.status,
        "status_start_at": status.started_at,
        "status_end_at": status.ended_at,
        "status_time": status.seconds,
        "is_user_active": agent.active,
        "team_id": agent.team_id,
        "team_name": team.name,
        "ring_groups": text_of(member_of.names),
    },
)

_with_agent, agent, team = with_user(facts.ring_attempts, attempt.user_id)
RING_ATTEMPTS = Report(
    type="ring_attempts",
    title="Ring attempts",
    about="A row for each time that an agent's phone rang.",
    source=_with_agent,
    ended=attempt.finished_at,
    order=(attempt.finished_at, attempt.id),
    columns={
        "interaction_id": attempt.call_id,
        "contact_id": attempt.leg_id,
        "batch_ring_id": attempt.id,  # one phone rings at a time
        "ring_attempt_id": attempt.id,
        "attempt_type": attempt.result,
        "ring_started_at_time": attempt.started_at,
        "ring_finished_at_time": attempt.finished_at,
        "ring_attempt_duration": attempt.seconds,
        "user_name": agent.name,
        "user_email": agent.email,
        "team_name": team.name,
    },
)

STUDIO_FLOW_EXECUTION = Report(
    type="studio_flow_execution",
    title="Studio flow execution",
    about="A row for each step that an execution of a flow took, by the end of the execution.",
    source=facts.executions.join(
        facts.steps, and_(step.account_id == ACCOUNT, step.execution_id == execution.id)
    ).outerjoin(interactions, and_(interactions.c.account_id == ACCOUNT, interactions.c.id == step.call_id)),
    ended=execution.finished_at,
    order=(execution.finished_at, execution.id, step.number),
    columns={
        "call_sid": step.call_id,
        "interaction_id": step.call_id,
        "destination_number": interactions.c.company_number,
        "origin_number": interactions.c.contact_number,
        "flow_name": step.flow_name,
        "flow_id": step.flow_id,
        "flow_execution_id": step.execution_id,
        "component_title": step.component_title,
        "step_name": step.step_name,
        "exit": step.exit,
        "time_in_step": days(step.seconds),
        "timestamp": step.started_at,
        "studio_flow_executions_aggregated.flow_execution_finished_time": execution.finished_at,
        "step_execution_order": step.number,
    },
)


_by_agent, agent, team = with_user(facts.contacts, contact.user_id)


def by_quarter(type: str, title: str, about: str, measure: str, value: Column, where: Column) -> Report:
    """Contacts that are over, summed up by agent, ring groups and the quarter of an hour that they began in."""
    return Report(
        type=type,
        title=title,
        about=about,
        source=_by_agent,
        ended=contact.finished_at,
        order=(),
        only=where,
        sums=(measure,),
        columns={
            "agent_id": contact.user_id,
            "ring_groups_name": contact.ring_groups,
            "team_id": team.id,
            "started_at": quarter_hour(contact.started_at),
            measure: value,
        },
    )


def seconds(column: Column) -> Column:
    return func.sum(column, type_=Integer())


ACW_TIME = by_quarter(
    "acw_time_data",
    "After-call work",
    "Seconds of after-call work by agent, ring groups and quarter of an hour.",
    "acw_time_seconds_total",
    seconds(worked),
    contact.after_call_work_time.is_not(None),
)
HOLD_TIME = by_quarter(
    "hold_time_data",
    "Time on hold",
    "Seconds that contacts were on hold by agent, ring groups and quarter of an hour.",
    "hold_time_seconds_total",
    seconds(hold),
    talked,
)
TALK_TIME = by_quarter(
    "talk_time_data",
    "Talk time",
    "Seconds of conversation by agent, ring groups and quarter of an hour.",
    "talk_time_seconds_total",
    seconds(contact.talk_time),
    talked,
)
INBOUND_VOLUME = by_quarter(
    "inbound_contact_volume",
    "Inbound contacts",
    "Inbound contacts by agent, ring groups and quarter of an hour.",
    "in_contact_volume",
    func.count(),
    contact.direction == "IN",
)

_with_agent, agent, team = with_user(facts.statuses, status.user_id)
ONLINE_TIME = Report(
    type="contact_online_time",
    title="Time online",
    about="Seconds that agents were at work with one status, by the quarter of an hour that it began in.",
    source=_with_agent,
    ended=status.ended_at,
    order=(),
    only=status.status != "offline",
    sums=("status_duration_seconds",),
    columns={
        "agent_id": status.user_id,
        "team_id": team.id,
        "started_at": quarter_hour(status.started_at),
        "status_duration_seconds": seconds(status.seconds),
    },
)

_with_person, person, _ = with_user(facts.audit, audit.user_id)
AUDIT_LOGS = Report(
    type="audit_logs",
    title="Audit logs",
    about="What was done to people, permissions, clients, numbers, ring groups, recordings and flows, and by whom.",
    source=_with_person,
    ended=audit.at,
    order=(audit.at, audit.id),
    precise=True,
    columns={
        "actor_id": audit.actor_id,
        "generator_name": audit.generator,
        "ip_addresses": listing(audit.origin),
        "operation": audit.operation,
        "platform_tid": audit.id,
        "resource_id": audit.resource,
        "operation_status": audit.status,
        "user_agent": NO_TEXT,
        "timestamp": audit.at,
        "user_id": audit.user_id,
        "agent_name": person.name,
        "agent_email": person.email,
    },
)

LEGACY_USER_STATUS = replace(
    USER_STATUS, columns={name: column for name, column in USER_STATUS.columns.items() if name != "ring_groups"}
)

REPORTS = (
    AUDIT_LOGS, CALLS, EXPLORE_CALLS, CONTACTS, USER_STATUS, STUDIO_FLOW_EXECUTION, RING_ATTEMPTS,
    INTERACTION_CUSTOM_FIELDS, ACW_TIME, HOLD_TIME, TALK_TIME, INBOUND_VOLUME, ONLINE_TIME,
)  # fmt: skip
