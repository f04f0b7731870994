"""Facts of what other systems tell: messages, conversations, evaluations, answers to surveys, calls of the dialer.

What stands in a row's `doc` is flat: texts, whole numbers, null. Moments are RFC 3339 in UTC, durations whole
seconds, ring groups joined with ` + `, and yes and no are spelled as the report spells them. Names of users and
teams are looked up when a report is read.
"""

from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, null, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement

from ringfence.floor import channels
from ringfence.store.columns import Json
from ringfence.store.expressions import member
from ringfence.store.query import ACCOUNT, Row, Statement
from ringfence.store.tables import facts

from .batch import Batch, Projector, at, keeping


class blanked(ColumnElement[Any]):  # noqa: N801 - reads as SQL
    """A document with these of its members set to null."""

    inherit_cache = False
    type = Json()

    def __init__(self, document: ColumnElement[Any], *names: str) -> None:
        self.document, self.names = document, names


@compiles(blanked, "sqlite")
def _blanked_sqlite(element: blanked, compiler: Any, **kw: Any) -> str:
    members = ", ".join(f"'$.{name}', NULL" for name in element.names)
    return f"json_set({compiler.process(element.document, **kw)}, {members})"


@compiles(blanked, "postgresql")
def _blanked_postgresql(element: blanked, compiler: Any, **kw: Any) -> str:
    members = ", ".join(f"'{name}', NULL" for name in element.names)
    return f"{compiler.process(element.document, **kw)} || jsonb_build_object({members})"


def _of(table: Any) -> Any:
    return update(table).where(table.c.account_id == ACCOUNT, table.c.id == bindparam("row"))


SCORE_CALL = keeping(facts.calls, "csat_score", "csat_at")
_newest = facts.evaluations.alias("newest")
DROP_OLDER = Statement(
    delete(facts.evaluations).where(
        facts.evaluations.c.account_id == ACCOUNT,
        facts.evaluations.c.id == bindparam("row"),
        facts.evaluations.c.version
        < select(func.max(_newest.c.version))
        .where(_newest.c.account_id == ACCOUNT, _newest.c.id == bindparam("row"))
        .scalar_subquery(),
    ),
    everywhere=True,  # both are cut to the one :account
)
PERSON = ("contact_person_id", "contact_person_name", "contact_person_channel_identifier", "notes")
RESPONDENT = ("respondent_phone_number", "comment")
CUSTOMER = ("customer_phone_number", "description", "record_id", "outbound_dialer_record_extra_data")
_answer_kind = member(facts.answers.c.doc, "component_type")
FORGET_MESSAGE = Statement(_of(facts.messages).values(person_id=null(), person_name=null()))
FORGET_CONTACT = Statement(_of(facts.conversations).values(doc=blanked(facts.conversations.c.doc, *PERSON)))
FORGET_ANSWER = Statement(_of(facts.answers).values(doc=blanked(facts.answers.c.doc, *RESPONDENT)))
FORGET_RESPONSE = Statement(
    _of(facts.answers)
    .where(or_(_answer_kind == "text", _answer_kind == "voice"))
    .values(doc=blanked(facts.answers.c.doc, "response"))
)
FORGET_DIALLED = Statement(_of(facts.dialer_calls).values(doc=blanked(facts.dialer_calls.c.doc, *CUSTOMER)))


def _joined(ring_groups: list[str]) -> str:
    return " + ".join(ring_groups)


def message_exchanged(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """All of it is in columns."""
    batch.add(
        facts.messages,
        account,
        id=told["id"],
        conversation_id=told["interaction_id"],
        contact_id=told["contact_id"],
        channel=told["channel"],
        person_id=told["person_id"],
        person_name=told["person_name"],
        at=event["at"],
        direction=told["direction"],
        user_id=told["user_id"],
    )


def contact_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """`doc`: channel_type, contact_assigned_at, contact_started_at, contact_finished_at, contact_duration (seconds),
    contact_finished_reason, contact_handle_time (seconds), contact_person_channel_identifier, contact_person_id,
    contact_person_name, direct_assignment_user_id, direction, disposition_name, first_response_time (seconds),
    handling_queues, interaction_duration (seconds), interaction_started_at, interaction_finished_at,
    interaction_handle_time (seconds), interaction_status, is_virtual_agent (YES/NO), notes, queues,
    touchpoint_identifier, touchpoint_name, transfer_out (Yes/No), user_id, virtual_agent_id, virtual_agent_name,
    wrap-up_duration (seconds).
    """
    begun, over = told["interaction_started_at"], told["interaction_finished_at"]
    doc = {
        "channel_type": told["channel"],
        "contact_assigned_at": told["assigned_at"],
        "contact_started_at": told["started_at"],
        "contact_finished_at": told["finished_at"],
        "contact_duration": _seconds(told["started_at"], told["finished_at"]),
        "contact_finished_reason": told["finished_reason"],
        "contact_handle_time": told["handle_time"],
        "contact_person_channel_identifier": told["person_channel_identifier"],
        "contact_person_id": told["person_id"],
        "contact_person_name": told["person_name"],
        "direct_assignment_user_id": told["direct_assignment_user_id"],
        "direction": told["direction"],
        "disposition_name": told["disposition"],
        "first_response_time": told["first_response_time"],
        "handling_queues": _joined(told["handling_queues"]),
        "interaction_duration": _seconds(begun, over) if over is not None else None,
        "interaction_started_at": begun,
        "interaction_finished_at": over,
        "interaction_handle_time": told["interaction_handle_time"],
        "interaction_status": told["interaction_status"],
        "is_virtual_agent": "NO" if told["virtual_agent_id"] is None else "YES",
        "notes": told["notes"],
        "queues": _joined(told["queues"]),
        "touchpoint_identifier": told["touchpoint_id"],
        "touchpoint_name": told["touchpoint_name"],
        "transfer_out": "Yes" if told["transfer_out"] else "No",
        "user_id": told["user_id"],
        "virtual_agent_id": told["virtual_agent_id"],
        "virtual_agent_name": told["virtual_agent_name"],
        "wrap-up_duration": told["wrap_up_time"],
    }
    batch.add(
        facts.conversations,
        account,
        id=told["id"],
        interaction_id=told["interaction_id"],
        finished_at=event["at"],
        doc=doc,
    )


def _seconds(start: str, end: str) -> int:
    return round((at(end) - at(start)).total_seconds())


def evaluation_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """A row for each question, of the newest version alone. Columns hold the evaluation's scores, and who was
    evaluated. `doc`: evaluator_id, form_id, form_name, section_id, section_name, section_max_score,
    section_obtained_score, question_id, question_text, question_type, question_answer, question_max_score,
    question_obtained_score, form_element_mandatory (yes/no), branch_to, header_id, header_text, ring_group_names,
    first_evaluated_on, interaction_reference, interaction_channel, interaction_date, interaction_direction,
    interaction_source, interaction_type.
    """
    of_all = {
        "evaluator_id": told["evaluator_id"],
        "form_id": told["form_id"],
        "form_name": told["form_name"],
        "ring_group_names": _joined(told["ring_groups"]),
        "first_evaluated_on": told["first_evaluated_on"],
    } | {f"interaction_{name}": told[f"interaction_{name}"] for name in OF_INTERACTION}
    number = 0
    for section in told["sections"]:
        of_section = {f"section_{name}": section[name] for name in ("id", "name", "max_score", "obtained_score")}
        for question in section["questions"]:
            doc = {f"question_{name}": question[name] for name in OF_QUESTION}
            doc |= {name: question[name] for name in ("branch_to", "header_id", "header_text")}
            doc["form_element_mandatory"] = "yes" if question["mandatory"] else "no"
            batch.add(
                facts.evaluations,
                account,
                id=told["id"],
                version=told["version"],
                number=number,
                at=event["at"],
                user_id=told["user_id"],
                interaction_id=told["interaction_id"],
                max_score=told["max_score"],
                obtained_score=told["obtained_score"],
                doc=of_all | of_section | doc,
            )
            number += 1
    batch.forget(DROP_OLDER, account, row=told["id"])


OF_INTERACTION = ("reference", "channel", "date", "direction", "source", "type")
OF_QUESTION = ("id", "text", "type", "answer", "max_score", "obtained_score")


def survey_answered(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """A row for each component, `id` and number joined with a point; the first score that is a KPI goes to its call.

    `doc`: survey_id, interaction_type (call/conversation), flow_name, component_id, component_name, component_type
    (score/choice/text/voice), component_text, response, is_kpi (yes/no), pertains_to_agent (yes/no), comment,
    respondent_phone_number, talkdesk_phone_number, ring_group, interaction_direction, survey_channel, response_state,
    sms_error, touch_point_id, touch_point_name, touch_point_value.
    """
    of_all = {
        "survey_id": told["id"],
        "interaction_type": told["about"],
        "flow_name": told["flow_name"],
        "comment": told["comment"],
        "respondent_phone_number": told["respondent_phone_number"] or None,
        "talkdesk_phone_number": told["talkdesk_phone_number"] or None,
        "ring_group": _joined(told["ring_groups"]),
        "interaction_direction": told["direction"],
        "survey_channel": told["channel"],
        "response_state": told["state"],
        "sms_error": told["sms_error"],
    } | {f"touch_point_{name}": told[f"touch_point_{name}"] for name in ("id", "name", "value")}
    for number, one in enumerate(told["components"]):
        doc = {f"component_{name}": one[name] for name in ("id", "name", "type", "text")}
        doc |= {name: "yes" if one[name] else "no" for name in ("is_kpi", "pertains_to_agent")}
        batch.add(
            facts.answers,
            account,
            id=_answer(told["id"], number),
            at=event["at"],
            interaction_id=told["interaction_id"],
            user_id=told["user_id"],
            score=one["score"],
            doc=of_all | doc | {"response": one["response"] or None},
        )
    csat = next((one["score"] for one in told["components"] if one["is_kpi"] and one["score"] is not None), None)
    if csat is not None and told["about"] == "call":
        batch.change(SCORE_CALL, account, id=told["interaction_id"], csat_score=csat, csat_at=event["at"])


def _answer(survey: str, number: int) -> str:
    return f"{survey}.{number}"


def dialer_call_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """`doc`: interaction_id, attempt_number, call_started_time, call_finished_time, total_duration (seconds),
    callback_mode, campaign_id, campaign_name, transferred_agent_id, in_queue, ringing_at_agent, ringing_at_customer
    (seconds), proactive_outbound_phone_type, outbound_dialer_record_extra_data (JSON as text), customer_phone_number,
    talkdesk_phone_number, description, disposition, outbound_dialer_system_disposition, record_id, sip_hangup_code
    (a number). The agent is in the column `user_id`.
    """
    extra = told["extra_data"]
    doc = {name: told[name] for name in OF_DIALLED} | {
        "call_started_time": told["started_at"],
        "call_finished_time": told["finished_at"],
        "total_duration": _seconds(told["started_at"], told["finished_at"]),
        "transferred_agent_id": told["transferred_user_id"],
        "outbound_dialer_record_extra_data": msgspec.json.encode(extra).decode() if extra else None,
        "customer_phone_number": told["customer_phone_number"] or None,
        "talkdesk_phone_number": told["talkdesk_phone_number"] or None,
        "outbound_dialer_system_disposition": told["system_disposition"],
    }
    batch.add(facts.dialer_calls, account, id=told["id"], finished_at=event["at"], user_id=told["user_id"], doc=doc)


OF_DIALLED = (
    "interaction_id", "attempt_number", "callback_mode", "campaign_id", "campaign_name", "in_queue", "ringing_at_agent",
    "ringing_at_customer", "proactive_outbound_phone_type", "description", "disposition", "record_id",
    "sip_hangup_code",
)  # fmt: skip


def interaction_forgotten(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    for row in told["messages"]:
        batch.forget(FORGET_MESSAGE, account, row=row)
    for row in told["contacts"]:
        batch.forget(FORGET_CONTACT, account, row=row)
    for survey, components in told["surveys"].items():
        for number in range(components):
            batch.forget(FORGET_ANSWER, account, row=_answer(survey, number))
            batch.forget(FORGET_RESPONSE, account, row=_answer(survey, number))
    for row in told["dialer_calls"]:
        batch.forget(FORGET_DIALLED, account, row=row)


PROJECTORS: dict[str, Projector] = {
    channels.MESSAGE_EXCHANGED.name: message_exchanged,
    channels.CONTACT_FINISHED.name: contact_finished,
    channels.EVALUATION_FINISHED.name: evaluation_finished,
    channels.SURVEY_ANSWERED.name: survey_answered,
    channels.DIALER_CALL_FINISHED.name: dialer_call_finished,
    channels.INTERACTION_FORGOTTEN.name: interaction_forgotten,
}
