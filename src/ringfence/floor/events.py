"""What the floor tells: calls, contacts, agents' statuses, flows, callbacks and recordings, each behind a scope.

Times are RFC 3339 in UTC, durations whole seconds. The key of an event is its call's id, or its agent's.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from ringfence.kernel.catalog import EventType
from ringfence.kernel.shapes import Shape

from .calls import By, Direction, Ending, Result, Transfer

READS_CALLS = "recordings:read"  # no scope is for calls alone: who may hear what was said may know that it was
READS_USERS = "users:read"
READS_SESSIONS = "guardian-session:read"
STARTS_FLOWS = "flows-interactions:start"
ASKS_FOR_CALLBACKS = "callback:write"


class CallFacts(Shape):
    """A call: `call_id` is also the id of its interaction."""

    call_id: str
    interaction_id: str
    direction: Direction
    talkdesk_phone_number: str
    contact_phone_number: str
    contact_id: str | None = None
    flow_id: str | None = None
    flow_version_id: str | None = None
    callback: bool = False
    in_business_hours: bool = True


class CallQueued(CallFacts, kw_only=True):
    """A contact of the call waits for an agent."""

    leg_id: str
    ring_groups: list[str]
    attributes: dict[str, int] = {}
    priority: int
    waiting: int  # callers of the account who wait now, this one included
    transfer: Transfer | None = None


class CallRinging(CallFacts, kw_only=True):
    leg_id: str
    ring_attempt_id: str
    user_id: str


class CallAnswered(CallFacts, kw_only=True):
    leg_id: str
    user_id: str
    ring_groups: list[str]
    waiting_time: int
    transfer: Transfer | None = None


class RingAttempt(Shape):
    id: str
    user_id: str
    started_at: datetime
    finished_at: datetime
    result: Result


class RingAttemptFinished(CallFacts, kw_only=True):
    """A phone has stopped ringing."""

    leg_id: str
    attempt: RingAttempt


class CallHeld(CallFacts, kw_only=True):
    leg_id: str
    user_id: str


class Quality(Shape):
    """What the carrier measured: jitter and round trip in milliseconds, loss in percent."""

    jitter_avg: float
    jitter_max: float
    rtt_avg: float
    rtt_min: float
    rtt_max: float
    packets_loss_percentage: float


class LegFinished(CallFacts, kw_only=True):
    """A contact of the call is over (`contacts` in data_and_events.md)."""

    leg_id: str
    number: int  # from 0 within the call
    type: Ending
    started_at: datetime
    answered_at: datetime | None
    finished_at: datetime
    waiting_time: int
    ringing_time: int
    talk_time: int
    hold_time: int
    consultation_time: int
    ring_groups: list[str]
    user_id: str | None
    transfer_in: Transfer | None
    transfer_out: Transfer | None
    ended_by: By | None
    within_service_level: bool
    quality: Quality | None = None


class CallEnded(CallFacts, kw_only=True):
    """The whole call. `type` is how its last contact ended."""

    type: Ending | None
    started_at: datetime
    ended_at: datetime
    total_time: int
    waiting_time: int
    talk_time: int
    hold_time: int
    ringing_time: int
    ended_by: By
    ring_groups: list[str]
    user_id: str | None  # who was talked to last
    first_user_id: str | None = None  # who answered first
    speed_to_answer: int | None = None  # how long the contact waited for them
    legs: int
    transfers: int
    recorded: bool = False


Rating = Annotated[int, msgspec.Meta(ge=1, le=5)]
Whole = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Fraction = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*\Z")]


class CustomFields(Shape, forbid_unknown_fields=True, omit_defaults=True):
    """What an account files with an interaction of its own accord; a field that is left out keeps what it held."""

    int_1: Whole | None = None
    int_2: Whole | None = None
    float_1: Fraction | None = None
    float_2: Fraction | None = None
    text_1: Line | None = None
    text_2: Line | None = None
    text_3: Line | None = None
    text_4: Line | None = None
    timestamp_1: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Disposed(CallFacts, kw_only=True):
    """After-call work is done: how the conversation was filed, and what the agent thought of the line."""

    leg_id: str
    user_id: str
    disposition: str | None
    notes: str | None
    after_call_work_time: int
    rating: Rating | None = None  # from 1, poor, to 5
    rating_reason: str | None = None
    custom_fields: CustomFields | None = None


class CallForgotten(Shape):
    """Whoever called has been forgotten; recordings of the call go too."""

    call_id: str


class StatusChanged(Shape):
    """An agent has another status. `duration` is how long the one before lasted.

    `time_off`: it is so because a time off began or is over, of somebody who is at work or who is absent; who is
    absent neither came nor went.
    """

    user_id: str
    status: str
    previous_status: str
    previous_since: datetime
    duration: int
    call_id: str | None = None
    time_off: Literal["at_work", "absent"] | None = None


class PhoneConnected(Shape):
    """With what an agent came to work: address and User-Agent of their softphone."""

    user_id: str
    address: str
    user_agent: str


class FlowStarted(Shape):
    interaction_id: str
    flow_id: str
    flow_version_id: str
    flow_execution_id: str


class StepFinished(Shape):
    """A step of a flow was left by one of its exits. `time_in_step` in seconds."""

    interaction_id: str
    flow_id: str
    flow_name: str
    flow_version_id: str
    flow_execution_id: str
    step_name: str
    component_title: str
    exit: str
    started_at: datetime
    time_in_step: float
    step_execution_order: int


class FlowFinished(FlowStarted, kw_only=True):
    """`outcome` is the last exit, or `call_aborted`."""

    outcome: str
    steps: int


class FlowEvent(Shape):
    """What a step `send_event` sends."""

    interaction_id: str
    flow_id: str
    name: str
    data: dict[str, str]


class ConsentAnswered(Shape):
    """A contact was asked in a flow whether their voice may be known, and answered."""

    interaction_id: str
    contact_id: str | None
    flow_id: str
    consented: bool


class CallbackFacts(Shape):
    """A callback in a new state."""

    id: str
    state: str
    reason: str | None
    talkdesk_phone_number: str
    contact_phone_number: str
    attempts: int


class RecordingFacts(Shape):
    id: str
    call_id: str
    type: str
    index: int
    duration: int
    created_at: datetime


class RecordingDeleted(RecordingFacts, kw_only=True):
    """The audio is gone; that there was a recording is still known."""

    reason: Literal["deleted", "expired"]  # by an administrator, or by retention


class MediaRequested(Shape):
    """Somebody was given a signed link to the audio of a recording."""

    id: str
    call_id: str
    type: str


class FlowPublished(Shape):
    flow_id: str
    flow_version_id: str
    name: str
    number: int


class HoursFacts(Shape):
    name: str


CALL_STARTED = EventType("call.started", CallFacts, "A call began", READS_CALLS)
CALL_QUEUED = EventType("call.queued", CallQueued, "A contact began to wait for an agent", READS_CALLS)
CALL_RINGING = EventType("call.ringing", CallRinging, "An agent's phone began to ring", READS_CALLS)
RING_FINISHED = EventType("call.ring_attempt_finished", RingAttemptFinished, "An agent's phone stopped", READS_CALLS)
CALL_ANSWERED = EventType("call.answered", CallAnswered, "An agent and a contact were connected", READS_CALLS)
CALL_HELD = EventType("call.held", CallHeld, "A contact was put on hold", READS_CALLS)
CALL_RESUMED = EventType("call.resumed", CallHeld, "A contact was taken off hold", READS_CALLS)
LEG_FINISHED = EventType("call.contact_finished", LegFinished, "A contact of a call was over", READS_CALLS)
CALL_ENDED = EventType("call.ended", CallEnded, "A call ended", READS_CALLS)
DISPOSED = EventType("call.disposed", Disposed, "After-call work was done", READS_CALLS)
CALL_FORGOTTEN = EventType("call.forgotten", CallForgotten, "It was forgotten who called", READS_CALLS)
STATUS_CHANGED = EventType("agent.status_changed", StatusChanged, "An agent's status changed", READS_USERS)
PHONE_CONNECTED = EventType(
    "softphone.connected", PhoneConnected, "An agent came to work with a softphone", READS_SESSIONS
)
FLOW_STARTED = EventType("flow.started", FlowStarted, "An execution of a flow began", STARTS_FLOWS)
STEP_FINISHED = EventType("flow.step_finished", StepFinished, "A step of a flow was left", STARTS_FLOWS)
FLOW_FINISHED = EventType("flow.finished", FlowFinished, "An execution of a flow was over", STARTS_FLOWS)
FLOW_EVENT = EventType("flow.event", FlowEvent, "A flow sent an event", STARTS_FLOWS)
CONSENT_ANSWERED = EventType("biometrics.consent_answered", ConsentAnswered, "A contact answered in a flow")
FLOW_PUBLISHED = EventType("flow.published", FlowPublished, "A version of a flow was published", STARTS_FLOWS)
CALLBACK_CHANGED = EventType("callback.changed", CallbackFacts, "A callback changed its state", ASKS_FOR_CALLBACKS)
RECORDING_CREATED = EventType("recording.created", RecordingFacts, "A conversation was recorded", READS_CALLS)
RECORDING_DELETED = EventType("recording.deleted", RecordingDeleted, "A recording's audio was dropped", READS_CALLS)
MEDIA_REQUESTED = EventType(
    "recording.media_requested", MediaRequested, "A link to the audio of a recording was given out", READS_CALLS
)
HOURS_CHANGED = EventType("business_hours.changed", HoursFacts, "Business hours were declared", "account:read")

EVENTS = (
    CALL_STARTED, CALL_QUEUED, CALL_RINGING, RING_FINISHED, CALL_ANSWERED, CALL_HELD, CALL_RESUMED, LEG_FINISHED,
    CALL_ENDED, DISPOSED, CALL_FORGOTTEN, STATUS_CHANGED, PHONE_CONNECTED, FLOW_STARTED, STEP_FINISHED, FLOW_FINISHED,
    FLOW_EVENT, CONSENT_ANSWERED, FLOW_PUBLISHED, CALLBACK_CHANGED, RECORDING_CREATED, RECORDING_DELETED,
    MEDIA_REQUESTED, HOURS_CHANGED,
)  # fmt: skip

Told = tuple[EventType, str, float, Any]  # type, key, when (seconds since 1970), data as builtins
