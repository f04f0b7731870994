"""What the centre's other systems tell: messages, conversations, evaluations, answers to surveys, dialled calls.

Times are RFC 3339 with their zone, durations whole seconds. `interaction_id` is a call's id or a conversation's;
`person_id` is the id of a contact, where it is known who it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from ringfence.kernel.catalog import EventType
from ringfence.kernel.problems import wrong
from ringfence.kernel.shapes import Shape

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:@+=-]{1,60}\Z")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*\Z")]
Prose = Annotated[str, msgspec.Meta(max_length=10_000, pattern=r"^[^\x00]*\Z")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*\Z")]
Phone = Annotated[str, msgspec.Meta(pattern=r"^(?:\+[1-9][0-9]{6,14})?\Z")]  # empty: withheld, or none
Seconds = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Score = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
Total = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
Groups = Annotated[list[Name], msgspec.Meta(max_length=50)]  # ring groups of the account
Channel = Literal["SMS", "EMAIL", "CHAT", "WHATSAPP", "FBM", "DIGITAL_CONNECT"]
Way = Literal["Inbound", "Outbound"]
SOMEBODY = "5f0000000000000000000a01"


class Told(Shape, kw_only=True, forbid_unknown_fields=True):
    """What is told is refused where it holds a member that is not known. `id` is what it is, however often told."""

    id: Id


class Message(Told, kw_only=True):
    """One message of a conversation; `contact_id` is the contact of the interaction that it belongs to."""

    interaction_id: Id
    contact_id: Id
    channel: Channel
    direction: Way
    at: datetime
    person_id: Id | None = None
    person_name: Name | None = None
    user_id: Id | None = None

    example = {
        "id": "m-1",
        "interaction_id": "c-1",
        "contact_id": "c-1.1",
        "channel": "SMS",
        "direction": "Inbound",
        "at": "2026-01-05T09:00:00Z",
        "person_name": "Alda Abreu",
    }


class MessagingContact(Told, kw_only=True):
    """A contact of a conversation is over (`id` is its own), as messaging_contacts has it."""

    interaction_id: Id
    channel: Channel
    direction: Way
    started_at: datetime
    assigned_at: datetime | None = None
    finished_at: datetime
    finished_reason: Word
    handle_time: Seconds
    first_response_time: Seconds | None = None
    wrap_up_time: Seconds = 0
    queues: Groups = []
    handling_queues: Groups = []
    user_id: Id | None = None
    direct_assignment_user_id: Id | None = None
    disposition: Word | None = None
    notes: Prose | None = None
    transfer_out: bool = False
    person_id: Id | None = None
    person_name: Name | None = None
    person_channel_identifier: Word | None = None  # a number, an e-mail address, a name
    interaction_started_at: datetime
    interaction_finished_at: datetime | None = None
    interaction_status: Literal["OPEN", "CLOSED"] = "CLOSED"
    interaction_handle_time: Seconds
    touchpoint_id: Word | None = None
    touchpoint_name: Word | None = None
    virtual_agent_id: Id | None = None
    virtual_agent_name: Word | None = None

    example = {
        "id": "c-1.1",
        "interaction_id": "c-1",
        "channel": "SMS",
        "direction": "Inbound",
        "started_at": "2026-01-05T09:00:00Z",
        "assigned_at": "2026-01-05T09:00:20Z",
        "finished_at": "2026-01-05T09:12:00Z",
        "finished_reason": "MANUALLY CLOSED",
        "handle_time": 600,
        "first_response_time": 42,
        "person_name": "Alda Abreu",
        "person_channel_identifier": "+351910000001",
        "interaction_started_at": "2026-01-05T09:00:00Z",
        "interaction_finished_at": "2026-01-05T09:12:00Z",
        "interaction_handle_time": 600,
        "touchpoint_id": "+351210000100",
        "touchpoint_name": "Main line",
    }


class Question(Shape, kw_only=True, forbid_unknown_fields=True):
    """A question of an evaluation. One that counts has both scores."""

    id: Id
    text: Prose
    type: Literal["MultipleChoiceQuestion", "TextQuestion"]
    answer: Prose | None = None
    max_score: Score | None = None
    obtained_score: Score | None = None
    mandatory: bool = True
    branch_to: Id | None = None
    header_id: Id | None = None
    header_text: Prose | None = None


class Section(Shape, kw_only=True, forbid_unknown_fields=True):
    """Scores are the sums of its questions', and may be left out."""

    id: Id
    name: Name
    questions: Annotated[list[Question], msgspec.Meta(min_length=1, max_length=100)]
    max_score: Total | None = None
    obtained_score: Total | None = None


class Evaluation(Told, kw_only=True):
    """An agent's work was evaluated; told again with a higher `version`, it was edited. Scores as in a section."""

    version: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0  # 0: never edited
    at: datetime
    first_evaluated_on: datetime | None = None
    evaluator_id: Id
    user_id: Id  # who was evaluated
    form_id: Id
    form_name: Name
    sections: Annotated[list[Section], msgspec.Meta(min_length=1, max_length=50)]
    max_score: Total | None = None
    obtained_score: Total | None = None
    ring_groups: Groups = []
    interaction_id: Id
    interaction_reference: Word | None = None
    interaction_channel: Word = "VOICE"
    interaction_date: datetime | None = None
    interaction_direction: Way | None = None
    interaction_source: Word | None = None
    interaction_type: Word | None = None

    example = {
        "id": "e-1",
        "at": "2026-01-05T09:00:00Z",
        "evaluator_id": SOMEBODY,
        "user_id": SOMEBODY,
        "form_id": "f-1",
        "form_name": "Calls",
        "interaction_id": "5f000000000000000000000000000001",
        "sections": [
            {
                "id": "s-1",
                "name": "Greeting",
                "questions": [
                    {
                        "id": "q-1",
                        "text": "Did the agent say who they are?",
                        "type": "MultipleChoiceQuestion",
                        "answer": "Yes",
                        "max_score": 10,
                        "obtained_score": 10,
                    },
                    {"id": "q-2", "text": "What else?", "type": "TextQuestion", "answer": "Friendly from the start"},
                ],
            }
        ],
    }


class Component(Shape, kw_only=True, forbid_unknown_fields=True):
    """One question of a survey and what was answered. A `score` has one; the first that `is_kpi` is the CSAT."""

    id: Id
    name: Name
    type: Literal["score", "choice", "text", "voice"]
    text: Prose
    response: Prose
    score: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    is_kpi: bool = False
    pertains_to_agent: bool = False


class SurveyAnswer(Told, kw_only=True):
    """Somebody has answered a survey about a call or a conversation. `state` and `sms_error`: how far it got."""

    at: datetime
    interaction_id: Id
    about: Literal["call", "conversation"] = "call"
    flow_name: Name
    channel: Literal["VOICE", "SMS", "EMAIL", "CHAT"] = "VOICE"
    state: Literal["COMPLETED", "PARTIAL"] = "COMPLETED"
    sms_error: Word | None = None
    direction: Way = "Inbound"
    user_id: Id | None = None
    ring_groups: Groups = []
    person_id: Id | None = None
    respondent_phone_number: Phone = ""
    talkdesk_phone_number: Phone = ""
    comment: Prose | None = None
    touch_point_id: Word | None = None
    touch_point_name: Word | None = None
    touch_point_value: Word | None = None
    components: Annotated[list[Component], msgspec.Meta(min_length=1, max_length=100)]

    example = {
        "id": "s-1",
        "at": "2026-01-05T09:00:00Z",
        "interaction_id": "5f000000000000000000000000000001",
        "flow_name": "After the call",
        "respondent_phone_number": "+351910000001",
        "talkdesk_phone_number": "+351210000100",
        "components": [
            {
                "id": "csat",
                "name": "Satisfaction",
                "type": "score",
                "text": "How content are you, from 1 to 5?",
                "response": "5",
                "score": 5,
                "is_kpi": True,
            }
        ],
    }


class DialerCall(Told, kw_only=True):
    """A call of the outbound dialer is over. `in_queue` and `ringing_at_…`: how long it was in that state."""

    interaction_id: Id
    attempt_number: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    started_at: datetime
    finished_at: datetime
    campaign_id: Id
    campaign_name: Name
    callback_mode: Word | None = None
    user_id: Id | None = None
    transferred_user_id: Id | None = None
    in_queue: Seconds = 0
    ringing_at_agent: Seconds = 0
    ringing_at_customer: Seconds = 0
    proactive_outbound_phone_type: Word | None = None
    record_id: Id | None = None
    extra_data: Annotated[dict[Name, Prose], msgspec.Meta(max_length=50)] = {}
    person_id: Id | None = None
    customer_phone_number: Phone
    talkdesk_phone_number: Phone
    description: Prose | None = None
    disposition: Word | None = None
    system_disposition: Word
    sip_hangup_code: Annotated[int, msgspec.Meta(ge=100, le=699)] | None = None

    example = {
        "id": "d-1",
        "interaction_id": "d-1",
        "started_at": "2026-01-05T09:00:00Z",
        "finished_at": "2026-01-05T09:02:00Z",
        "campaign_id": "spring",
        "campaign_name": "Spring",
        "customer_phone_number": "+351910000001",
        "talkdesk_phone_number": "+351210000100",
        "system_disposition": "Answered",
        "sip_hangup_code": 200,
    }


class InteractionForgotten(Shape, kw_only=True):
    """Whom an interaction was with has been forgotten, in these of its messages, contacts, answers, dialled calls."""

    interaction_id: str
    messages: list[str] = []
    contacts: list[str] = []
    surveys: dict[str, int] = {}  # and how many components they have
    dialer_calls: list[str] = []


# none of these is behind a scope: they stay inside, and are read in reports
MESSAGE_EXCHANGED = EventType("message.exchanged", Message, "A message was sent or came in")
CONTACT_FINISHED = EventType("message.contact_finished", MessagingContact, "A contact of a conversation was over")
EVALUATION_FINISHED = EventType("evaluation.finished", Evaluation, "An agent's work was evaluated")
SURVEY_ANSWERED = EventType("survey.answered", SurveyAnswer, "A survey was answered")
DIALER_CALL_FINISHED = EventType("dialer.call_finished", DialerCall, "A call of the dialer was over")
INTERACTION_FORGOTTEN = EventType("interaction.forgotten", InteractionForgotten, "It was forgotten who it was with")


def _in_order(told: Any, *names: str) -> None:
    """Each of these moments is not before the one that is named ahead of it."""
    before = ""
    for name in names:
        if getattr(told, name) is not None:
            if before and getattr(told, name) < getattr(told, before):
                raise wrong(name, f"is before {before}")
            before = name


def _contact(told: MessagingContact) -> MessagingContact:
    _in_order(told, "started_at", "assigned_at", "finished_at")
    _in_order(told, "interaction_started_at", "started_at")
    _in_order(told, "finished_at", "interaction_finished_at")
    if (told.interaction_status == "CLOSED") != (told.interaction_finished_at is not None):
        raise wrong("interaction_finished_at", "is given for an interaction that is CLOSED, and only for one")
    return told


def _dialled(told: DialerCall) -> DialerCall:
    _in_order(told, "started_at", "finished_at")
    return told


def _answered(told: SurveyAnswer) -> SurveyAnswer:
    if told.about == "call" and len(told.interaction_id) > 32:
        raise wrong("interaction_id", "is no id of a call, which has 32 characters at most")
    for index, one in enumerate(told.components):
        if (one.type == "score") != (one.score is not None):
            raise wrong(f"components[{index}].score", "is given where the type is score, and only there")
    return told


Scored = TypeVar("Scored", Section, Evaluation)


def _summed(told: Scored, parts: Sequence[Any], path: str) -> Scored:
    """With the sums of its parts' scores; what it says of them itself must be the same."""
    sums = {name: sum(getattr(one, name) or 0 for one in parts) for name in ("max_score", "obtained_score")}
    for name, total in sums.items():
        if getattr(told, name) not in (None, total):
            raise wrong(f"{path}{name}", f"is {getattr(told, name)}, and what it is made of adds up to {total}")
    return msgspec.structs.replace(told, **sums)


def _evaluated(told: Evaluation) -> Evaluation:
    _in_order(told, "first_evaluated_on", "at")
    sections = []
    for number, section in enumerate(told.sections):
        path = f"sections[{number}]."
        for index, question in enumerate(section.questions):
            most, got = question.max_score, question.obtained_score
            if (most is None) != (got is None):
                raise wrong(f"{path}questions[{index}]", "has a max_score and an obtained_score, or neither")
            if most is not None and got is not None and got > most:
                raise wrong(f"{path}questions[{index}].obtained_score", f"is more than max_score, which is {most}")
        sections.append(_summed(section, section.questions, path))
    return _summed(msgspec.structs.replace(told, sections=sections), sections, "")


def _same(told: Any) -> Any:
    return told


def _nothing(told: dict[str, Any]) -> dict[str, Any]:
    return {}


def _words_said(told: dict[str, Any]) -> dict[str, Any]:
    """What a respondent said or wrote goes; scores and choices stay."""
    spoken = ("text", "voice")
    return {"components": [one | {"response": ""} if one["type"] in spoken else one for one in told["components"]]}


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of what is told: when it happened, what it names, how it is checked, and what is personal in it.

    `check` gives it back with all that follows from it; `personal` are members to put in place of personal ones.
    """

    what: EventType
    at: str
    times: tuple[str, ...]
    check: Callable[[Any], Any] = _same
    users: tuple[str, ...] = ("user_id",)
    groups: tuple[str, ...] = ()
    phone: str = ""  # by which a contact is looked for
    personal: Mapping[str, Any] | None = None
    beside: Callable[[dict[str, Any]], dict[str, Any]] = _nothing  # more of them, that depend on the rest


MESSAGES = Kind(MESSAGE_EXCHANGED, "at", ("at",), personal={"person_id": None, "person_name": None})
CONVERSATIONS = Kind(
    CONTACT_FINISHED,
    "finished_at",
    ("started_at", "assigned_at", "finished_at", "interaction_started_at", "interaction_finished_at"),
    _contact,
    users=("user_id", "direct_assignment_user_id"),
    groups=("queues", "handling_queues"),
    phone="person_channel_identifier",
    personal=dict.fromkeys(("person_id", "person_name", "person_channel_identifier", "notes")),
)
EVALUATIONS = Kind(
    EVALUATION_FINISHED,
    "at",
    ("at", "first_evaluated_on", "interaction_date"),
    _evaluated,
    users=("user_id", "evaluator_id"),
    groups=("ring_groups",),
)
SURVEYS = Kind(
    SURVEY_ANSWERED,
    "at",
    ("at",),
    _answered,
    groups=("ring_groups",),
    phone="respondent_phone_number",
    personal={"person_id": None, "respondent_phone_number": "", "comment": None},
    beside=_words_said,
)
DIALER_CALLS = Kind(
    DIALER_CALL_FINISHED,
    "finished_at",
    ("started_at", "finished_at"),
    _dialled,
    users=("user_id", "transferred_user_id"),
    phone="customer_phone_number",
    personal={"person_id": None, "customer_phone_number": "", "description": None, "record_id": None, "extra_data": {}},
)
KINDS = (MESSAGES, CONVERSATIONS, EVALUATIONS, SURVEYS, DIALER_CALLS)
BY_TYPE = {kind.what.name: kind for kind in KINDS}
EVENTS = (*(kind.what for kind in KINDS), INTERACTION_FORGOTTEN)


def impersonal(kind: Kind, told: dict[str, Any]) -> dict[str, Any]:
    """What is told, without who it was with."""
    return told if kind.personal is None else told | dict(kind.personal) | kind.beside(told)
