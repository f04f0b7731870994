"""Reports of what other systems tell: messaging, surveys, evaluations, the dialer (contract: section 1.8).

Most of their columns are members of the facts' documents, written by `channel_facts.py`.
"""

from typing import Any

from sqlalchemy import Integer, case, func

from ringfence.store.columns import Moment
from ringfence.store.expressions import member
from ringfence.store.tables import facts

from .report import BASE, Column, Report, days, with_user

message: Any = facts.messages.c
conversation: Any = facts.conversations.c
answer: Any = facts.answers.c
evaluation: Any = facts.evaluations.c
dialled: Any = facts.dialer_calls.c


def texts(document: Column, *names: str) -> dict[str, Column]:
    return {name: member(document, name) for name in names}


def number(document: Column, name: str) -> Column:
    return member(document, name, Integer())


def moment(document: Column, name: str) -> Column:
    return member(document, name, Moment())


def spelled(seconds: Column) -> Column:
    """`0d 0h 0m 42s`."""
    parts = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    return case((seconds.is_not(None), func.format("%sd %sh %sm %ss", *parts)))


doc: Any = conversation.doc
_with_agent, agent, _ = with_user(facts.conversations, member(doc, "user_id"))
_with_direct, direct, _ = with_user(_with_agent, member(doc, "direct_assignment_user_id"), "direct")
MESSAGING_CONTACTS = Report(
    type="messaging_contacts",
    title="Messaging contacts",
    about="A row for each contact of a conversation, by its end.",
    source=_with_direct,
    ended=conversation.finished_at,
    order=(conversation.finished_at, conversation.id),
    columns={
        "channel_type": member(doc, "channel_type"),
        "contact_assigned_at": moment(doc, "contact_assigned_at"),
        "contact_started_at": moment(doc, "contact_started_at"),
        "contact_finished_at": moment(doc, "contact_finished_at"),
        "contact_duration": days(number(doc, "contact_duration")),
        "contact_finished_reason": member(doc, "contact_finished_reason"),
        "contact_handle_time": spelled(number(doc, "contact_handle_time")),
        "contact_id": conversation.id,
        **texts(doc, "contact_person_channel_identifier", "contact_person_id", "contact_person_name"),
        "conversation": BASE + "/conversations/" + conversation.interaction_id,
        "direct_assignment_user_id": member(doc, "direct_assignment_user_id"),
        "direct_assignment_user": direct.name,
        **texts(doc, "direction", "disposition_name"),
        "first_response_time": spelled(number(doc, "first_response_time")),
        "handling_queues": member(doc, "handling_queues"),
        "interaction_duration": days(number(doc, "interaction_duration")),
        "interaction_started_at": moment(doc, "interaction_started_at"),
        "interaction_finished_at": moment(doc, "interaction_finished_at"),
        "interaction_handle_time": spelled(number(doc, "interaction_handle_time")),
        "interaction_id": conversation.interaction_id,
        **texts(doc, "interaction_status", "is_virtual_agent", "notes", "queues"),
        **texts(doc, "touchpoint_identifier", "touchpoint_name", "transfer_out"),
        "user_id": member(doc, "user_id"),
        "user_name": agent.name,
        **texts(doc, "virtual_agent_id", "virtual_agent_name"),
        "wrap-up_duration": days(number(doc, "wrap-up_duration")),
    },
)

_with_agent, agent, _ = with_user(facts.messages, message.user_id)
MESSAGING_TRAFFIC = Report(
    type="messaging_traffic",
    title="Messaging traffic",
    about="A row for each message.",
    source=_with_agent,
    ended=message.at,
    order=(message.at, message.id),
    columns={
        "contact_id": message.contact_id,
        "channel_type": message.channel,
        "contact_person_id": message.person_id,
        "contact_person_name": message.person_name,
        "interaction_id": message.conversation_id,
        "message_created_at": message.at,
        "message_direction": message.direction,
        "message_id": message.id,
        "user_id": message.user_id,
        "user_name": agent.name,
    },
)

doc = answer.doc
ANSWERS_SOURCE, agent, team = with_user(facts.answers, answer.user_id)
recorded = case((member(doc, "interaction_type") == "call", BASE + "/calls/" + answer.interaction_id + "/recordings"))
FEEDBACK_FLOW = Report(
    type="feedback_flow",
    title="Feedback flow",
    about="A row for each question of a survey that was answered.",
    source=ANSWERS_SOURCE,
    ended=answer.at,
    order=(answer.at, answer.id),
    columns={
        "date_time": answer.at,
        "interaction_id": answer.interaction_id,
        **texts(doc, "flow_name", "component_id", "component_name", "component_type", "component_text", "response"),
        **texts(doc, "is_kpi", "pertains_to_agent"),
        "recording_url": recorded,
        "agent_name": agent.name,
        **texts(doc, "respondent_phone_number", "talkdesk_phone_number", "ring_group"),
        "team_name": team.name,
        **texts(doc, "interaction_direction", "survey_channel", "response_state", "sms_error"),
        **texts(doc, "touch_point_id", "touch_point_name", "touch_point_value"),
    },
)
of_score = answer.score.is_not(None)
FEEDBACK = Report(
    type="feedback",
    title="Feedback",
    about="The older single-question survey: a row for each score that was given.",
    source=ANSWERS_SOURCE,
    ended=answer.at,
    order=(answer.at, answer.id),
    only=of_score,
    columns={
        "interaction_id": answer.interaction_id,
        "survey_time": answer.at,
        "score": answer.score,
        "comment": member(doc, "comment"),
        "agent_name": agent.name,
        "team_name": team.name,
        "ring_group": member(doc, "ring_group"),
        "respondent_phone_number": member(doc, "respondent_phone_number"),
        "talkdesk_phone_number": member(doc, "talkdesk_phone_number"),
    },
)
CSAT_SCORE = Report(
    type="csat_score",
    title="CSAT score",
    about="A row for each answer by which satisfaction is measured.",
    source=ANSWERS_SOURCE,
    ended=answer.at,
    order=(answer.at, answer.id),
    only=of_score & (member(doc, "is_kpi") == "yes"),
    columns={
        "agent_id": answer.user_id,
        "ring_groups_name": member(doc, "ring_group"),
        "team_id": team.id,
        "sent_at": answer.at,
        "score": answer.score,
    },
)

doc = evaluation.doc
_with_agent, agent, team = with_user(facts.evaluations, evaluation.user_id)
_with_evaluator, evaluator, _ = with_user(_with_agent, member(doc, "evaluator_id"), "evaluator")
EVALUATION_ANALYSIS = Report(
    type="qm_evaluation_analysis",
    title="Evaluation analysis",
    about="A row for each question of an evaluation, as it was edited last.",
    source=_with_evaluator,
    ended=evaluation.at,
    order=(evaluation.at, evaluation.id, evaluation.number),
    at_any_time=("first_evaluated_on", "interaction_date"),
    columns={
        "agent": agent.name,
        "agent_id": evaluation.user_id,
        "agent_name": agent.name,
        "agent_email": agent.email,
        "evaluation_id": evaluation.id,
        "evaluation_time": evaluation.at,
        "evaluation_version": evaluation.version,
        "evaluation_max_score": evaluation.max_score,
        "evaluation_obtained_score": evaluation.obtained_score,
        "evaluator_id": member(doc, "evaluator_id"),
        "evaluator_name": evaluator.name,
        **texts(doc, "form_id", "form_name"),
        "interaction_id": evaluation.interaction_id,
        **texts(doc, "section_id", "section_name"),
        "section_max_score": number(doc, "section_max_score"),
        "section_obtained_score": number(doc, "section_obtained_score"),
        **texts(doc, "question_id", "question_text", "question_type", "question_answer"),
        "question_max_score": number(doc, "question_max_score"),
        "question_obtained_score": number(doc, "question_obtained_score"),
        "ring_group_names": member(doc, "ring_group_names"),
        "team_name": team.name,
        "branch_to": member(doc, "branch_to"),
        "first_evaluated_on": moment(doc, "first_evaluated_on"),
        **texts(doc, "header_id", "header_text", "interaction_reference", "form_element_mandatory"),
        "interaction_channel": member(doc, "interaction_channel"),
        "interaction_date": moment(doc, "interaction_date"),
        **texts(doc, "interaction_direction", "interaction_source", "interaction_type"),
    },
)
EVALUATION_SCORE = Report(
    type="qm_evaluation_score",
    title="Evaluation scores",
    about="A row for each evaluation, as it was edited last.",
    source=_with_evaluator,
    ended=evaluation.at,
    order=(evaluation.at, evaluation.id),
    only=evaluation.number == 0,
    columns={
        "agent_id": evaluation.user_id,
        "evaluation_time": evaluation.at,
        "evaluation_max_score": evaluation.max_score,
        "evaluation_obtained_score": evaluation.obtained_score,
        "ring_groups_name": member(doc, "ring_group_names"),
        "team_id": team.id,
    },
)

doc = dialled.doc
_with_agent, agent, team = with_user(facts.dialer_calls, dialled.user_id)
_with_other, other, _ = with_user(_with_agent, member(doc, "transferred_agent_id"), "other")
DIALER_CALLS = Report(
    type="outbound_dialer_calls",
    title="Outbound dialer calls",
    about="A row for each call of the outbound dialer, by its end.",
    source=_with_other,
    ended=dialled.finished_at,
    order=(dialled.finished_at, dialled.id),
    columns={
        "interaction_id": member(doc, "interaction_id"),
        "attempt_number": number(doc, "attempt_number"),
        "call_started_time": moment(doc, "call_started_time"),
        "call_finished_time": moment(doc, "call_finished_time"),
        "callback_mode": member(doc, "callback_mode"),
        "campaign_id": member(doc, "campaign_id"),
        "campaign_name": member(doc, "campaign_name"),
        "campaign_agent": agent.name,
        "campaign_transferred_agent": other.name,
        "create_calls_analysis.in_queue": number(doc, "in_queue"),
        "create_calls_analysis.ringing_at_agent": number(doc, "ringing_at_agent"),
        "create_calls_analysis.ringing_at_customer": number(doc, "ringing_at_customer"),
        "create_calls_analysis.proactive_outbound_phone_type": member(doc, "proactive_outbound_phone_type"),
        "create_calls_analysis.outbound_dialer_record_extra_data": member(doc, "outbound_dialer_record_extra_data"),
        **texts(doc, "customer_phone_number", "description", "disposition", "outbound_dialer_system_disposition"),
        "record_id": member(doc, "record_id"),
        "sip_hangup_code": number(doc, "sip_hangup_code"),
        "talkdesk_phone_number": member(doc, "talkdesk_phone_number"),
        "team_name": team.name,
        "total_duration": number(doc, "total_duration"),
    },
)

REPORTS = (
    MESSAGING_CONTACTS, MESSAGING_TRAFFIC, FEEDBACK_FLOW, FEEDBACK, CSAT_SCORE, EVALUATION_ANALYSIS, EVALUATION_SCORE,
    DIALER_CALLS,
)  # fmt: skip
