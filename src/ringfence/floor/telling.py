"""What events say of a call: the facts that all of them share, and what each kind adds."""

from typing import TYPE_CHECKING, Any

import msgspec

from ringfence.kernel.catalog import EventType

from . import events
from .calls import Attempt, By, Leg
from .interactions import Interaction, moment, whole
from .telephony import Signal

if TYPE_CHECKING:
    from .centre import Centre


def facts(centre: "Centre", it: Interaction) -> dict[str, Any]:
    call = it.call
    return {
        "call_id": call.id,
        "interaction_id": call.id,
        "direction": call.direction,
        "talkdesk_phone_number": call.company_number,
        "contact_phone_number": call.contact_number,
        "contact_id": it.contact_id,
        "flow_id": it.flow,
        "flow_version_id": it.version,
        "callback": call.callback,
        "in_business_hours": it.open,
    }


def held(centre: "Centre", it: Interaction, what: EventType, at: float) -> None:
    leg = it.call.leg
    centre.tell(what, it.call.id, at, facts(centre, it) | {"leg_id": leg.id, "user_id": leg.agent})


def attempt_finished(centre: "Centre", it: Interaction, attempt: Attempt) -> None:
    at = attempt.finished if attempt.finished is not None else attempt.started
    told = {
        "id": attempt.id,
        "user_id": attempt.agent,
        "started_at": moment(attempt.started),
        "finished_at": moment(at),
        "result": attempt.result,
    }
    all_of_it = facts(centre, it) | {"leg_id": it.call.leg.id, "attempt": told}
    centre.tell(events.RING_FINISHED, it.call.id, at, all_of_it)


def filed(signal: Signal) -> dict[str, Any]:
    """What an agent says of a conversation when the work after it is done."""
    fields = signal.custom_fields
    return {
        "disposition": signal.disposition,
        "notes": signal.notes,
        "rating": signal.rating,
        "rating_reason": signal.rating_reason,
        "custom_fields": msgspec.to_builtins(fields) if fields is not None else None,
    }


def leg_finished(centre: "Centre", it: Interaction, leg: Leg, at: float) -> None:
    call = it.call
    talked = leg.answered is not None
    quality = centre.carrier.quality(call, leg.id, at) if talked else None
    told = {
        "leg_id": leg.id,
        "number": call.legs.index(leg),
        "type": leg.type,
        "started_at": moment(leg.started),
        "answered_at": moment(leg.answered) if leg.answered is not None else None,
        "finished_at": moment(at),
        "waiting_time": whole(leg.wait),
        "ringing_time": whole(leg.ring),
        "talk_time": whole(leg.talk),
        "hold_time": whole(leg.hard_hold),
        "consultation_time": whole(leg.soft_hold),
        "ring_groups": list(leg.ring_groups),
        "user_id": leg.agent,
        "transfer_in": leg.transfer_in,
        "transfer_out": leg.transfer_out,
        "ended_by": leg.ended_by,
        "within_service_level": talked and leg.wait <= centre.roster.service_level(leg.ring_groups),
        "quality": quality,
    }
    centre.tell(events.LEG_FINISHED, call.id, at, facts(centre, it) | told)


def call_ended(centre: "Centre", it: Interaction, by: By, at: float) -> None:
    call, legs = it.call, it.call.legs
    answered = next((leg for leg in legs if leg.answered is not None), None)
    told = {
        "type": legs[-1].type if legs else None,
        "started_at": moment(call.started),
        "ended_at": moment(at),
        "total_time": whole(at - call.started),
        "waiting_time": whole(sum(leg.wait for leg in legs)),
        "talk_time": whole(sum(leg.talk for leg in legs)),
        "hold_time": whole(sum(leg.hard_hold + leg.soft_hold for leg in legs)),
        "ringing_time": whole(sum(leg.ring for leg in legs)),
        "ended_by": by,
        "ring_groups": list(dict.fromkeys(name for leg in legs for name in leg.ring_groups)),
        "user_id": next((leg.agent for leg in reversed(legs) if leg.agent is not None), None),
        "first_user_id": answered.agent if answered is not None else None,
        "speed_to_answer": whole(answered.wait) if answered is not None else None,
        "legs": len(legs),
        "transfers": sum(1 for leg in legs if leg.transfer_in is not None),
        "recorded": it.recordings > 0,
    }
    centre.tell(events.CALL_ENDED, call.id, at, facts(centre, it) | told)
