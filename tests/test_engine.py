"""Flows, executed: random documents that may be published, with random callers; no execution is ever lost."""

import os
import random
from typing import Any

import msgspec
import pytest

from ringfence.floor import flow_checks, flows
from ringfence.floor.centre import Centre
from ringfence.floor.engine import MOST_STEPS
from ringfence.floor.flows import FlowDocument
from ringfence.floor.inbox import SetStatus, Signalled, StartInteraction
from ringfence.floor.roster import Version
from ringfence.floor.telephony import Signal

from .test_centre import LINE, START, by_type, centre, check, reborn

DOCUMENTS = int(os.environ.get("RINGFENCE_TEST_HISTORIES", "300"))
HIDDEN = {"call_aborted", "ended", "ok"}
VARIABLES = ("a", "b", "contact.number")


def step(draw: random.Random) -> dict[str, Any]:
    """One step of any type, without exits."""
    kind = draw.choice(("say", "play", "menu", "decision", "set_variable", "business_hours", "http_request", "assign",
                        "callback", "voicemail", "send_event", "biometrics_consent", "end"))  # fmt: skip
    text = draw.choice(("Hello.", "Hello {{a}}, {{contact.number}}", "x" * 4000, "{{b}}{{b}}", "Olá \U0001f600 {{a}}"))
    every: dict[str, dict[str, Any]] = {
        "say": {"text": text},
        "play": {"audio": "https://acme.example/a", "seconds": draw.choice((0, 3, 86400))},
        "menu": {"prompt": text, "options": dict.fromkeys(draw.sample("0123456789*#", draw.randint(1, 12)), "x"),
                 "patience": draw.choice((1, 8, 120)), "tries": draw.randint(1, 10),
                 "variable": draw.choice((None, "b"))},
        "decision": {"conditions": [
            {"variable": draw.choice(VARIABLES), "value": draw.choice((None, "1", 1, -2.5, True, "")),
             "operator": draw.choice(("eq", "ne", "gt", "ge", "lt", "le", "contains", "starts_with", "is_set")),
             "exit": f"way{n}"} for n in range(draw.randint(1, 4))
        ]},
        "set_variable": {"variable": draw.choice("ab"), "value": draw.choice((None, 1, 2.5, True, "{{a}}+{{b}}", "n"))},
        "business_hours": {"hours": "office"},
        "http_request": {"url": "https://acme.example/{{a}}", "body": draw.choice(("", '{"a": "{{a}}"}')),
                         "save": {"b": "/x/0"}},
        "assign": {"ring_groups": draw.sample(["sales", "support", "nobody"], draw.randint(1, 3)),
                   "attributes": draw.choice(({}, {"English": 80}, {"Klingon": 20})), "priority": draw.randint(1, 10),
                   "max_wait": draw.choice((1, 60, 3600)), "max_queue": draw.choice((1, 3, 1000)),
                   "relax": draw.choice(([], [{"after": 0.5}]))},
        "callback": {"ring_groups": ["sales"]},
        "voicemail": {"greeting": text, "longest": draw.choice((1, 60, 3600))},
        "send_event": {"name": "e", "data": {"x": text}},
        "biometrics_consent": {"prompt": text, "patience": draw.choice((1, 120)), "tries": draw.randint(1, 3)},
        "end": {},
    }  # fmt: skip
    return {"type": kind, **every[kind]}


def document(draw: random.Random) -> FlowDocument:
    names = [f"s{n}" for n in range(draw.randint(1, 12))]
    steps: dict[str, Any] = {name: step(draw) for name in names}
    variables = [{"name": "a", "type": "text", "default": draw.choice(("", "7", 'x"\\\n{{b}}'))}, {"name": "b"}]
    steps["begin"] = {"type": "start", "variables": variables}
    read = flows.read({"steps": steps})
    joined: dict[str, Any] = msgspec.to_builtins(read)
    for name, one in read.steps.items():
        joined["steps"][name]["exits"] = {way: draw.choice(names) for way in one.ways() if draw.random() < 0.8}
    return flows.read(joined)


def answer(made: Centre, draw: random.Random, at: float) -> None:
    """Other systems answer, after a while, or not at all."""
    asked, made.requests = made.requests, []
    for call, order in asked:
        status = draw.choice((0, 200, 201, 404, 500))
        values: dict[str, Any] = {"b": draw.choice((None, 5, "five"))}
        signal = Signal("http_answered", number=status, values=values, order=str(order))
        made.signalled(Signalled(call=call, signal=signal), at)


@pytest.mark.parametrize("seed", range(10))
def test_no_execution_of_a_random_flow_is_lost(seed: int) -> None:
    draw = random.Random(seed)
    tried = 0
    for number in range(DOCUMENTS // 10):
        made_of = document(draw)
        if any("no exit leads" not in one.description for one in flow_checks.complaints(made_of)):
            continue
        tried += 1
        made = centre(f"{seed} {number}")
        made.roster.versions["v9"] = Version("v9", "f9", "random", made_of)
        for user in list(made.roster.people)[: draw.randint(0, 12)]:
            made.set_status(SetStatus(user=user, status="available"), START)
        for n in range(12):
            told = StartInteraction(call=f"c{n}", execution=f"e{n}", flow="f9", version="v9", company_number=LINE,
                                    contact_number=draw.choice(("", f"+35191000000{n % 10}")))  # fmt: skip
            made.pass_time(START + n * 20)
            made.start(told, START + n * 20)
            check(made)
        if draw.random() < 0.5:
            made = reborn(made, START + 300)
        at = START + 300
        for _ in range(3000):  # a circle of long pieces of music takes a while to reach its last step
            if not made.interactions:
                break
            at += 100_000
            made.pass_time(at)
            answer(made, draw, at)
        check(made)
        told_ = by_type(made)
        assert not made.interactions, made_of
        assert sorted(one["flow_execution_id"] for one in told_["flow.finished"]) == sorted(f"e{n}" for n in range(12))
        for one in told_["flow.step_finished"]:
            assert one["exit"] in {*made_of.steps[one["step_name"]].ways(), *HIDDEN}
        for n in range(12):
            orders = [
                one["step_execution_order"] for one in told_["flow.step_finished"] if one["interaction_id"] == f"c{n}"
            ]
            assert orders == list(range(len(orders)))
            assert len(orders) <= MOST_STEPS
    assert tried > DOCUMENTS // 30


def test_a_circle_without_an_end_stops() -> None:
    made = centre()
    around = {
        "begin": {"type": "start", "exits": {"ok": "one"}},
        "one": {"type": "set_variable", "variable": "a", "value": 1, "exits": {"ok": "two"}},
        "two": {"type": "set_variable", "variable": "a", "value": "{{a}}{{a}}", "exits": {"ok": "one"}},
    }
    made.roster.versions["v9"] = Version("v9", "f9", "circle", flows.read({"steps": around}))
    made.start(StartInteraction(call="c", execution="e", flow="f9", version="v9", company_number=LINE,
                                contact_number=""), START)  # fmt: skip
    [over] = by_type(made)["flow.finished"]
    assert (over["outcome"], over["steps"]) == ("step_limit_reached", MOST_STEPS)
    assert not made.interactions


def test_what_is_published_later_does_not_change_what_has_begun() -> None:
    made = centre()
    first: dict[str, Any] = {
        "begin": {"type": "start", "exits": {"ok": "hi"}},
        "hi": {"type": "say", "text": "Hello.", "exits": {"ok": "bye"}},
        "bye": {"type": "end", "title": "first"},
    }
    second = first | {"bye": {"type": "end", "title": "second"}}
    made.roster.versions |= {
        "one": Version("one", "f9", "f", flows.read({"steps": first})),
        "two": Version("two", "f9", "f", flows.read({"steps": second})),
    }
    for n, version in enumerate(("one", "two")):
        made.start(StartInteraction(call=f"c{n}", execution=f"e{n}", flow="f9", version=version, company_number=LINE,
                                    contact_number="+351910009906"), START)  # fmt: skip
    made.pass_time(START + 100)
    said = {one["interaction_id"]: one["component_title"] for one in by_type(made)["flow.step_finished"]}
    assert said == {"c0": "first", "c1": "second"}
