"""Facts: one flat row for each call, contact, status, step … that is over. Reports are scans of these tables.

Kept by reactions from the event log alone, so that they can be made anew from it. Durations are whole seconds;
ring groups are joined with `+`.
"""

from typing import Any

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata


def _facts(name: str, *columns: Any) -> Table:
    return Table(f"fact_{name}", metadata, *columns, sqlite_with_rowid=False)


calls = _facts(
    "calls",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("ended_at", Moment),  # NULL: known of, and not over
    Column("started_at", Moment),
    Column("type", String(20)),  # inbound | outbound | missed | abandoned | short_abandoned | voicemail | …
    Column("direction", String(3)),
    Column("company_number", String(20)),
    Column("contact_number", String(20)),
    Column("contact_id", String(24)),
    Column("user_id", String(24)),  # whom the call came to first
    Column("handling_user_id", String(24)),  # who talked last
    Column("total_time", Integer),
    Column("talk_time", Integer),
    Column("waiting_time", Integer),
    Column("hold_time", Integer),
    Column("abandon_time", Integer),
    Column("ringing_time", Integer),
    Column("speed_to_answer", Integer),  # NULL: nobody answered
    Column("ring_groups", Text),
    Column("in_business_hours", Boolean),
    Column("callback", Boolean),
    Column("transfer", Boolean),
    Column("legs", Integer),
    Column("ended_by", String(10)),  # contact | agent | system
    Column("recorded", Boolean),
    Column("ivr_options", Text),  # what was chosen in menus
    Column("disposition", Text),
    Column("notes", Text),
    Column("rating", Integer),  # what the agent thought of the line, 1 to 5
    Column("rating_reason", Text),
    Column("csat_score", Integer),
    Column("csat_at", Moment),
    Column("int_1", Integer),  # custom fields of the interaction
    Column("int_2", Integer),
    Column("float_1", Double),
    Column("float_2", Double),
    Column("text_1", Text),
    Column("text_2", Text),
    Column("text_3", Text),
    Column("text_4", Text),
    Column("timestamp_1", Moment),
    Index("fact_calls_ended", "account_id", "ended_at", "id"),
)

contacts = _facts(
    "contacts",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("call_id", String(32), nullable=False),
    Column("number", Integer, nullable=False),  # from 0 within the call
    Column("type", String(20), nullable=False),  # as in floor/calls.py, Ending
    Column("direction", String(3), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("answered_at", Moment),
    Column("finished_at", Moment, nullable=False),
    Column("company_number", String(20), nullable=False),
    Column("contact_number", String(20), nullable=False),
    Column("user_id", String(24)),
    Column("ring_groups", Text, nullable=False),
    Column("waiting_time", Integer, nullable=False),
    Column("ringing_time", Integer, nullable=False),
    Column("talk_time", Integer, nullable=False),
    Column("hard_hold_time", Integer, nullable=False),
    Column("soft_hold_time", Integer, nullable=False),
    Column("after_call_work_time", Integer),  # NULL until it is done
    Column("in_business_hours", Boolean, nullable=False),
    Column("within_service_level", Boolean, nullable=False),
    Column("transfer_in", String(5)),  # Blind | Warm
    Column("transfer_out", String(5)),
    Column("callback", Boolean, nullable=False),
    Column("ended_by", String(10)),
    Index("fact_contacts_finished", "account_id", "finished_at", "id"),
    Index("fact_contacts_call", "account_id", "call_id"),
)

ring_attempts = _facts(
    "ring_attempts",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("call_id", String(32), nullable=False),
    Column("leg_id", String(32), nullable=False),
    Column("user_id", String(24), nullable=False),
    Column("result", String(20), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("seconds", Integer, nullable=False),
    Index("fact_ring_attempts_finished", "account_id", "finished_at", "id"),
)

statuses = _facts(
    "statuses",
    Column("account_id", String(24), primary_key=True),
    Column("user_id", String(24), primary_key=True),
    Column("started_at", Moment, primary_key=True),
    Column("status", String(64), nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("seconds", Integer, nullable=False),
    Index("fact_statuses_ended", "account_id", "ended_at", "user_id"),
)

executions = _facts(
    "executions",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("finished_at", Moment, nullable=False),
    Index("fact_executions_finished", "account_id", "finished_at", "id"),
)

steps = _facts(
    "steps",
    Column("account_id", String(24), primary_key=True),
    Column("execution_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 0 within the execution
    Column("call_id", String(32), nullable=False),
    Column("flow_id", String(32), nullable=False),
    Column("flow_name", Text, nullable=False),
    Column("step_name", String(64), nullable=False),
    Column("component_title", Text, nullable=False),
    Column("exit", String(64), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seconds", Double, nullable=False),
)

audit = _facts(
    "audit",
    Column("account_id", String(32), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor_id", String(200), nullable=False),
    Column("user_id", String(24)),  # where the actor is a person
    Column("origin", String(64), nullable=False),
    Column("operation", String(64), nullable=False),  # the event's type
    Column("generator", String(40), nullable=False),  # the part of the platform that it was done to
    Column("resource", String(255), nullable=False),
    Column("status", String(10), nullable=False),  # success | failure
    Index("fact_audit_at", "account_id", "at", "id"),
)

messages = _facts(
    "messages",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("conversation_id", String(64), nullable=False),  # the interaction
    Column("contact_id", String(64), nullable=False),  # the contact within it
    Column("channel", String(20), nullable=False),
    Column("person_id", String(64)),
    Column("person_name", Text),
    Column("at", Moment, nullable=False),
    Column("direction", String(8), nullable=False),  # Inbound | Outbound
    Column("user_id", String(24)),
    Index("fact_messages_at", "account_id", "at", "id"),
)

conversations = _facts(
    "conversations",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(64), primary_key=True),  # of the contact
    Column("interaction_id", String(64), nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("doc", Json, nullable=False),  # floor/channels.py, MessagingContact
    Index("fact_conversations_finished", "account_id", "finished_at", "id"),
)

evaluations = _facts(
    "evaluations",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),  # of the question, from 0 within the evaluation
    Column("at", Moment, nullable=False),
    Column("user_id", String(24), nullable=False),  # who was evaluated
    Column("interaction_id", String(64), nullable=False),
    Column("max_score", Integer, nullable=False),
    Column("obtained_score", Integer, nullable=False),
    Column("doc", Json, nullable=False),  # what else there is to the question, its section and its form
    Index("fact_evaluations_at", "account_id", "at", "id", "version", "number"),
)

answers = _facts(
    "answers",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(64), primary_key=True),  # of a survey's answer
    Column("at", Moment, nullable=False),
    Column("interaction_id", String(64), nullable=False),
    Column("user_id", String(24)),
    Column("score", Integer),  # where the question asked for one
    Column("doc", Json, nullable=False),  # floor/channels.py, SurveyAnswer
    Index("fact_answers_at", "account_id", "at", "id"),
)

dialer_calls = _facts(
    "dialer_calls",
    Column("account_id", String(24), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("finished_at", Moment, nullable=False),
    Column("user_id", String(24)),
    Column("doc", Json, nullable=False),  # floor/channels.py, DialerCall
    Index("fact_dialer_calls_finished", "account_id", "finished_at", "id"),
)

FACTS = (
    calls, contacts, ring_attempts, statuses, executions, steps, audit, messages, conversations, evaluations, answers,
    dialer_calls,
)  # fmt: skip
