"""Facts of the floor: what its events come to (contract: data_and_events.md section 1.8)."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, func, null, update

from ringfence.floor import events as floor
from ringfence.store.query import ACCOUNT, Row, Statement
from ringfence.store.tables import facts

from .batch import Batch, Projector, at, joined, keeping, maybe_at

ENDINGS = {
    "Answered": "inbound",
    "Missed": "missed",
    "Abandoned": "abandoned",
    "Short Abandoned": "short_abandoned",
    "Voicemail": "voicemail",
    "Connected": "outbound",
    "Not Connected": "outbound_missed",
}


def _joined(new: Any) -> Any:
    old = facts.calls.c.ivr_options
    return case((old.is_(None), new), else_=old + "+" + new)


def _unless_none(name: str) -> Callable[[Any], Any]:
    return lambda new: func.coalesce(new, facts.calls.c[name])


ENDED = (
    "ended_at", "started_at", "type", "direction", "company_number", "contact_number", "contact_id", "user_id",
    "handling_user_id", "total_time", "talk_time", "waiting_time", "hold_time", "abandon_time", "ringing_time",
    "speed_to_answer", "ring_groups", "in_business_hours", "callback", "transfer", "legs", "ended_by", "recorded",
)  # fmt: skip
FIELDS = ("int_1", "int_2", "float_1", "float_2", "text_1", "text_2", "text_3", "text_4", "timestamp_1")
TEXTS = ("text_1", "text_2", "text_3", "text_4")
FILED = ("disposition", "notes", "rating", "rating_reason", *FIELDS)
END_CALL = keeping(facts.calls, *ENDED)
FILE_CALL = keeping(facts.calls, **{name: _unless_none(name) for name in FILED})
CHOOSE = keeping(facts.calls, ivr_options=_joined)
OF_CALL = (facts.contacts.c.account_id == ACCOUNT, facts.contacts.c.call_id == bindparam("call"))
WRAP_UP = Statement(
    update(facts.contacts)
    .where(
        facts.contacts.c.account_id == ACCOUNT,
        facts.contacts.c.id == bindparam("leg"),
        facts.contacts.c.user_id == bindparam("user"),  # not of a colleague who was asked meanwhile
    )
    .values(after_call_work_time=func.coalesce(facts.contacts.c.after_call_work_time, 0) + bindparam("worked"))
)
MESSAGE_LEFT = Statement(
    update(facts.contacts)
    .where(*OF_CALL, facts.contacts.c.number == bindparam("last"), facts.contacts.c.type == "Missed")
    .values(type="Voicemail")
)
FORGET_CALL = Statement(
    update(facts.calls)
    .where(facts.calls.c.account_id == ACCOUNT, facts.calls.c.id == bindparam("call"))
    .values(contact_number="", contact_id=null(), notes=null(), **dict.fromkeys(TEXTS, null()))
)
FORGET_CONTACTS = Statement(update(facts.contacts).where(*OF_CALL).values(contact_number=""))


def contact_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    batch.add(
        facts.contacts,
        account,
        id=told["leg_id"],
        call_id=told["call_id"],
        number=told["number"],
        type=told["type"],
        direction=told["direction"],
        started_at=at(told["started_at"]),
        answered_at=maybe_at(told["answered_at"]),
        finished_at=at(told["finished_at"]),
        company_number=told["talkdesk_phone_number"],
        contact_number=told["contact_phone_number"],
        user_id=told["user_id"],
        ring_groups=joined(told["ring_groups"]),
        waiting_time=told["waiting_time"],
        ringing_time=told["ringing_time"],
        talk_time=told["talk_time"],
        hard_hold_time=told["hold_time"],
        soft_hold_time=told["consultation_time"],
        after_call_work_time=None,
        in_business_hours=told["in_business_hours"],
        within_service_level=told["within_service_level"],
        transfer_in=told["transfer_in"],
        transfer_out=told["transfer_out"],
        callback=told["callback"],
        ended_by=told["ended_by"],
    )


def disposed(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """Work after one of the call's contacts is done; what the last one filed is what stays with the call."""
    batch.change(WRAP_UP, account, leg=told["leg_id"], user=told["user_id"], worked=told["after_call_work_time"])
    fields = told.get("custom_fields") or {}
    filed = {name: fields.get(name) for name in FIELDS} | {"timestamp_1": maybe_at(fields.get("timestamp_1"))}
    batch.change(
        FILE_CALL,
        account,
        id=told["call_id"],
        disposition=told["disposition"],
        notes=told["notes"],
        rating=told.get("rating"),
        rating_reason=told.get("rating_reason"),
        **filed,
    )


def call_ended(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    kind = ending(told)
    batch.change(
        END_CALL,
        account,
        id=told["call_id"],
        ended_at=at(told["ended_at"]),
        started_at=at(told["started_at"]),
        type=kind,
        direction=told["direction"],
        company_number=told["talkdesk_phone_number"],
        contact_number=told["contact_phone_number"],
        contact_id=told["contact_id"],
        user_id=told.get("first_user_id"),
        handling_user_id=told["user_id"],
        total_time=told["total_time"],
        talk_time=told["talk_time"],
        waiting_time=told["waiting_time"],
        hold_time=told["hold_time"],
        abandon_time=told["waiting_time"] if kind in ("abandoned", "short_abandoned") else 0,
        ringing_time=told["ringing_time"],
        speed_to_answer=told.get("speed_to_answer"),
        ring_groups=joined(told["ring_groups"]),
        in_business_hours=told["in_business_hours"],
        callback=told["callback"],
        transfer=told["transfers"] > 0,
        legs=told["legs"],
        ended_by=told["ended_by"],
        recorded=told["recorded"],
    )
    if told["type"] == "Voicemail":
        batch.change(MESSAGE_LEFT, account, call=told["call_id"], last=told["legs"] - 1)


def ending(told: Mapping[str, Any]) -> str:
    """What the reports call a call. One that no queue has seen was left by its caller, or served by the flow."""
    if told["type"] is not None:
        return ENDINGS[told["type"]]
    if told["direction"] == "OUT":
        return "outbound_missed"
    if told["recorded"]:
        return "voicemail"
    return "abandoned" if told["ended_by"] == "contact" else "inbound"


def ring_attempt_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    attempt = told["attempt"]
    started, finished = at(attempt["started_at"]), at(attempt["finished_at"])
    batch.add(
        facts.ring_attempts,
        account,
        id=attempt["id"],
        call_id=told["call_id"],
        leg_id=told["leg_id"],
        user_id=attempt["user_id"],
        result=attempt["result"],
        started_at=started,
        finished_at=finished,
        seconds=round((finished - started).total_seconds()),
    )


def status_changed(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    """The status before is over; a row for each month (UTC) that it lasted through."""
    for start, end in by_month(at(told["previous_since"]), event["at"]):
        batch.add(
            facts.statuses,
            account,
            user_id=told["user_id"],
            started_at=start,
            status=told["previous_status"],
            ended_at=end,
            seconds=round((end - start).total_seconds()),
        )


def by_month(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A span cut where months begin in UTC. Nothing where it is empty."""
    while start < end:
        year, month = divmod(start.year * 12 + start.month, 12)
        cut = min(end, datetime(year, month + 1, 1, tzinfo=UTC))
        yield start, cut
        start = cut


def step_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    batch.add(
        facts.steps,
        account,
        execution_id=told["flow_execution_id"],
        number=told["step_execution_order"],
        call_id=told["interaction_id"],
        flow_id=told["flow_id"],
        flow_name=told["flow_name"],
        step_name=told["step_name"],
        component_title=told["component_title"],
        exit=told["exit"],
        started_at=at(told["started_at"]),
        seconds=told["time_in_step"],
    )
    if len(told["exit"]) == 1 and told["exit"] in "0123456789*#":  # a key, chosen in a menu
        batch.change(CHOOSE, account, id=told["interaction_id"], ivr_options=told["exit"])


def flow_finished(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    batch.add(facts.executions, account, id=told["flow_execution_id"], finished_at=event["at"])


def call_forgotten(batch: Batch, account: str, event: Row, told: dict[str, Any]) -> None:
    batch.forget(FORGET_CALL, account, call=told["call_id"])
    batch.forget(FORGET_CONTACTS, account, call=told["call_id"])


PROJECTORS: dict[str, Projector] = {
    floor.LEG_FINISHED.name: contact_finished,
    floor.DISPOSED.name: disposed,
    floor.CALL_ENDED.name: call_ended,
    floor.RING_FINISHED.name: ring_attempt_finished,
    floor.STATUS_CHANGED.name: status_changed,
    floor.STEP_FINISHED.name: step_finished,
    floor.FLOW_FINISHED.name: flow_finished,
    floor.CALL_FORGOTTEN.name: call_forgotten,
}
