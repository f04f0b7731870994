"""Executing a published flow: a step is entered, and left by one of its exits, at once or when a signal comes."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from jsonpointer import JsonPointerException, resolve_pointer

from .board import Demand
from .calls import Queue
from .events import CONSENT_ANSWERED, FLOW_EVENT, FLOW_FINISHED, FLOW_STARTED, STEP_FINISHED
from .flows import (
    AnyStep,
    Assign,
    BiometricsConsent,
    BusinessHours,
    Decision,
    End,
    HttpRequest,
    Menu,
    PlaceCallback,
    Play,
    Say,
    SendEvent,
    SetVariable,
    Start,
    Value,
    Voicemail,
    filled,
    holds,
)
from .interactions import Callback, Execution, Interaction, moment
from .telephony import Due, Order, Signal

if TYPE_CHECKING:
    from .centre import Centre

AGREES, REFUSES = "1", "2"  # keys of who is asked for their consent
MOST_STEPS = 1000  # of one execution: a circle without an end stops here
SPOKEN = 14.0  # characters a second
CALLBACK_LIFE = 86_400.0  # seconds that a callback which a flow places stays open


def begin(centre: "Centre", it: Interaction, execution: Execution, at: float) -> None:
    """Enter the first step."""
    it.execution = execution
    centre.tell(FLOW_STARTED, it.call.id, at, _about(it, execution))
    run(centre, it, at)


def run(centre: "Centre", it: Interaction, at: float) -> None:
    """Go on from step to step until one has to wait, or the flow is over."""
    while it.execution is not None:
        exit = _enter(centre, it, _step(centre, it.execution), at)
        if exit is None or not leave(centre, it, exit, at):
            return


def go(centre: "Centre", it: Interaction, exit: str, at: float) -> None:
    """Leave the step that waited, and go on."""
    if leave(centre, it, exit, at):
        run(centre, it, at)


def leave(centre: "Centre", it: Interaction, exit: str, at: float) -> bool:
    """Leave the present step by an exit; whether the flow goes on. A flow that is over hangs up."""
    execution = it.execution
    if execution is None:
        return False
    step = _step(centre, execution)
    _note(centre, it, execution, step, exit, at)
    after = step.exits.get(exit)
    if after is None:
        _finish(centre, it, exit, at)
        return False
    if execution.order + 1 >= MOST_STEPS:
        _finish(centre, it, "step_limit_reached", at)
        return False
    execution.step, execution.entered, execution.tries = after, at, 0
    execution.order += 1
    return True


def abort(centre: "Centre", it: Interaction, exit: str, at: float) -> None:
    """The call is over: so is its flow, wherever it was."""
    execution = it.execution
    if execution is not None:
        _note(centre, it, execution, _step(centre, execution), exit, at)
        _close(centre, it, execution, exit, at)


def _step(centre: "Centre", execution: Execution) -> AnyStep:
    return centre.roster.versions[execution.version].document.steps[execution.step]


def _about(it: Interaction, execution: Execution) -> dict[str, Any]:
    return {
        "interaction_id": it.call.id,
        "flow_id": execution.flow,
        "flow_version_id": execution.version,
        "flow_execution_id": execution.id,
    }


def _note(centre: "Centre", it: Interaction, execution: Execution, step: AnyStep, exit: str, at: float) -> None:
    centre.cancel(it, "step")
    centre.tell(
        STEP_FINISHED,
        it.call.id,
        at,
        _about(it, execution)
        | {
            "flow_name": centre.roster.versions[execution.version].name,
            "step_name": execution.step,
            "component_title": step.title or execution.step,
            "exit": exit,
            "started_at": moment(execution.entered),
            "time_in_step": round(at - execution.entered, 3),
            "step_execution_order": execution.order,
        },
    )


def _close(centre: "Centre", it: Interaction, execution: Execution, outcome: str, at: float) -> None:
    it.execution = None
    told = _about(it, execution) | {"outcome": outcome, "steps": execution.order + 1}
    centre.tell(FLOW_FINISHED, it.call.id, at, told)


def _finish(centre: "Centre", it: Interaction, outcome: str, at: float) -> None:
    if it.execution is not None:
        _close(centre, it, it.execution, outcome, at)
    if it.call.state != "ended":
        centre.end(it, "system", at)


def variables(it: Interaction) -> dict[str, Value]:
    """What a text may name: the execution's own variables, and those of the platform."""
    call = it.call
    return (it.execution.variables if it.execution else {}) | {
        "contact.number": call.contact_number,
        "contact.id": it.contact_id,
        "company.number": call.company_number,
        "interaction.id": call.id,
        "interaction.direction": call.direction,
    }


def _order(centre: "Centre", it: Interaction, kind: Any, at: float, **more: Any) -> None:
    centre.order(it, Order(centre.new_id(), kind, it.call.id, **more), at)


def _say(centre: "Centre", it: Interaction, text: str, at: float) -> None:
    told = filled(text, variables(it))
    _order(centre, it, "say", at, text=told, seconds=round(len(told) / SPOKEN, 2))


def _enter(centre: "Centre", it: Interaction, step: AnyStep, at: float) -> str | None:
    """Begin a step; the exit by which it is left at once, or None where it waits for a signal."""
    execution = it.execution
    if execution is None:
        raise RuntimeError("a step belongs to an execution")
    match step:
        case Start():
            return "ok"
        case Say():
            _say(centre, it, step.text, at)
        case Play():
            _order(centre, it, "say", at, text=step.audio, seconds=step.seconds)
        case BiometricsConsent() if it.contact_id is None:
            return "unknown_contact"
        case Menu() | BiometricsConsent():
            seconds = round(len(step.prompt) / SPOKEN, 2) + step.patience
            prompt = filled(step.prompt, variables(it))
            keys = list(step.options) if isinstance(step, Menu) else [AGREES, REFUSES]
            _order(centre, it, "ask", at, text=prompt, seconds=seconds, options=keys)
            # a real carrier tells what was pressed; that nothing was, the floor also notices by itself
            centre.due(it, Due(at + seconds + 2.0, "step", Signal("silent")))
        case Decision():
            known = variables(it)
            return next((one.exit for one in step.conditions if holds(one, known)), "otherwise")
        case SetVariable():
            value = step.value
            execution.variables[step.variable] = (
                filled(value, variables(it))[:4000] if isinstance(value, str) else value
            )
            return "ok"
        case BusinessHours():
            return "open" if centre.roster.is_open(step.hours, at) else "closed"
        case HttpRequest():
            centre.requests.append((it.call.id, execution.order))
        case Assign():
            return _assign(centre, it, step, at)
        case PlaceCallback():
            return _place_callback(centre, it, step, at)
        case Voicemail():
            centre.floor.record_message(it.call.id)
            _order(centre, it, "record_message", at, text=filled(step.greeting, variables(it)), seconds=step.longest)
        case SendEvent():
            data = {name: filled(text, variables(it)) for name, text in step.data.items()}
            told = {"interaction_id": it.call.id, "flow_id": execution.flow, "name": step.name, "data": data}
            centre.tell(FLOW_EVENT, it.call.id, at, told)
            return "ok"
        case End():
            return "ended"
    return None


def _assign(centre: "Centre", it: Interaction, step: Assign, at: float) -> str | None:
    demand = Demand(frozenset(step.ring_groups), frozenset(step.attributes.items()))
    loosest = [demand, *(_relaxed(step, demand, n) for n in range(len(step.relax)))]
    if not any(centre.floor.is_staffed(one) for one in loosest):
        return "no_agents"
    if len(centre.floor.board.callers) >= step.max_queue and centre.waiting(step.ring_groups) >= step.max_queue:
        return "queue_size_limit_reached"
    it.record = step.record
    queue = Queue(list(step.ring_groups), at, dict(step.attributes), step.priority)
    centre.due(it, Due(at + step.max_wait, "queue", Signal("max_wait")))
    for number, one in enumerate(step.relax):
        centre.due(it, Due(at + one.after, "queue", Signal("relax", number=number)))
    centre.enqueue(it, queue, at)
    return None


def _relaxed(step: Assign, demand: Demand, number: int) -> Demand:
    one = step.relax[number]
    groups = frozenset(one.ring_groups) or demand.ring_groups
    return Demand(groups, frozenset(one.attributes.items()))


def relax(centre: "Centre", it: Interaction, number: int, at: float) -> None:
    """The caller has waited long enough to be satisfied with less."""
    if it.execution is None or it.call.state != "queued":
        return
    step = _step(centre, it.execution)
    if isinstance(step, Assign) and number < len(step.relax):
        one = step.relax[number]
        centre.floor.relax(it.call.id, at, dict(one.attributes), list(one.ring_groups) or None)


def _place_callback(centre: "Centre", it: Interaction, step: PlaceCallback, at: float) -> str:
    """The exit `refused`: the number is withheld, or there is an open callback to it already."""
    call = it.call
    if not call.contact_number or centre.has_callback(call.company_number, call.contact_number):
        return "refused"
    asked = Callback(
        ring_groups=list(step.ring_groups),
        attributes=dict(step.attributes),
        priority=step.priority,
        expires=at + CALLBACK_LIFE,
        created=at,
    )
    centre.ask_callback(centre.new_id(), call.company_number, call.contact_number, it.contact_id, asked, at)
    return "ok"


def signal(centre: "Centre", it: Interaction, given: Signal, at: float) -> None:
    """What the contact, or another system, answered to the step that waits."""
    execution = it.execution
    if execution is None:
        return
    step = _step(centre, execution)
    match given.what, step:
        case "played", Say() | Play():
            go(centre, it, "ok", at)
        case "pressed", Menu() if given.digit in step.options:
            if step.variable:
                execution.variables[step.variable] = given.digit
            go(centre, it, given.digit, at)
        case "pressed", BiometricsConsent() if given.digit in (AGREES, REFUSES):
            agrees = given.digit == AGREES
            told = {"contact_id": it.contact_id, "flow_id": execution.flow, "consented": agrees}
            centre.tell(CONSENT_ANSWERED, it.call.id, at, {"interaction_id": it.call.id} | told)
            go(centre, it, "consented" if agrees else "refused", at)
        case "pressed" | "silent", Menu() | BiometricsConsent():
            execution.tries += 1
            if execution.tries < step.tries:
                centre.cancel(it, "step")
                _enter(centre, it, step, at)
            else:
                go(centre, it, "invalid" if given.what == "pressed" else "no_input", at)
        case "http_answered", HttpRequest() if given.order in ("", str(execution.order)):
            execution.variables |= given.values | {"http_status": given.number or None}
            go(centre, it, "ok" if 200 <= given.number < 300 else "error" if given.number else "unreachable", at)
        case "message_left", Voicemail():
            centre.message_left(it, given.seconds, at)
            go(centre, it, "ok" if given.seconds > 0 else "nothing_said", at)


def request(centre: "Centre", it: Interaction) -> tuple[str, str, dict[str, str], bytes, HttpRequest] | None:
    """The HTTP request that the present step asks for: method, URL, headers, body, and the step."""
    if it.execution is None:
        return None
    step = _step(centre, it.execution)
    if not isinstance(step, HttpRequest):
        return None
    known = variables(it)
    url = filled(step.url, known, lambda text: quote(text, safe=""))
    headers = {name: _one_line(filled(value, known)) for name, value in step.headers.items()}
    is_json = step.body.lstrip().startswith(("{", "["))
    if step.body:
        headers.setdefault("Content-Type", "application/json" if is_json else "text/plain; charset=utf-8")
    body = filled(step.body, known, _in_json if is_json else str)
    return step.method, url, headers, body.encode("utf-8", "replace"), step


def _in_json(text: str) -> str:
    """A text for the inside of a JSON string: nothing in a variable ends it."""
    return msgspec.json.encode(text).decode()[1:-1]


def _one_line(text: str) -> str:
    """A value for a header: nothing in a variable begins another one."""
    return "".join(c for c in text if " " <= c <= "~")


def saved(step: HttpRequest, body: str) -> dict[str, Value]:
    """The variables that an answer fills, by JSON pointer; what is not there, or no plain value, is empty."""
    if not step.save:
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return dict.fromkeys(step.save)
    found: dict[str, Value] = {}
    for name, pointer in step.save.items():
        try:
            value = resolve_pointer(document, pointer, None)
        except JsonPointerException:
            value = None
        found[name] = value[:4000] if isinstance(value, str) else value if isinstance(value, int | float) else None
    return found
