"""Guardian's rules: each fires at its threshold and not below, and against peers only on what is rare among them."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.guardian import agents, chance, emodel, rules
from ringfence.guardian.memory import DAYS, Subject
from ringfence.guardian.networks import Map, kilometres
from ringfence.guardian.rules import RULES, Rule
from ringfence.guardian.scene import Case, Scene
from ringfence.guardian.signs import HEARD, concerned
from ringfence.kernel.settings import Settings, load

MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
ANA, RUI = "a" * 24, "b" * 24
LISBON, PORTO, SYDNEY = (38.72, -9.14), (41.15, -8.61), (-33.87, 151.21)
NETWORKS = [
    {"cidr": "198.51.100.0/24", "country": "PT", "latitude": LISBON[0], "longitude": LISBON[1]},
    {"cidr": "203.0.113.0/24", "country": "AU", "latitude": SYDNEY[0], "longitude": SYDNEY[1]},
    {"cidr": "2001:db8::/32", "country": "PT", "latitude": PORTO[0], "longitude": PORTO[1]},
]
NUMBERS = count(1)


def event(what: str, key: str, at: datetime, actor: str = "floor", /, **data: Any) -> dict[str, Any]:
    """An event as the log holds it."""
    return {
        "id": f"{next(NUMBERS):032x}", "account_id": "c" * 24, "type": what, "key": key, "at": at, "actor": actor,
        "origin": "test", "data": data,
    }  # fmt: skip


def scene_of(**settings: Any) -> Scene:
    return Scene("c" * 24, load({}, **settings), {}, Map(NETWORKS), ZoneInfo("Europe/Lisbon"))


def told(scene: Scene, events: Iterable[dict[str, Any]]) -> list[Case]:
    """What a run of events comes to: cases by their rules."""
    for one in events:
        assert one["type"] in HEARD
        assert set(concerned(one)) <= {*concerned(one), one["key"]}
        HEARD[one["type"]](scene, one, one["data"], one["at"].timestamp())
    return list(scene.cases.values())


def names(cases: list[Case]) -> list[str]:
    return [case.rule.name for case in cases]


def minutes(n: int, step: float = 1.0, start: datetime = MONDAY) -> list[datetime]:
    return [start + timedelta(minutes=step * i) for i in range(n)]


# what happens


def login(at: datetime, address: str, user: str = ANA) -> dict[str, Any]:
    return event("user.logged_in", user, at, f"user:{user}", user_id=user, sid="s", address=address, user_agent="")


def failure(at: datetime, user: str = ANA) -> dict[str, Any]:
    return event("user.login_failed", user, at, "", user_id=user)


def status(at: datetime, before: str, after: str, lasted: float, user: str = ANA) -> dict[str, Any]:
    since = (at - timedelta(seconds=lasted)).isoformat()
    return event(
        "agent.status_changed", user, at, user_id=user, status=after, previous_status=before, previous_since=since,
        duration=round(lasted), call_id=None,
    )  # fmt: skip


def queued(at: datetime, leg: str) -> dict[str, Any]:
    return event("call.queued", "call", at, leg_id=leg, ring_groups=[])


def ring(at: datetime, result: str, user: str = ANA) -> list[dict[str, Any]]:
    moments = {"started_at": at.isoformat(), "finished_at": at.isoformat()}
    attempt = {"id": "r", "user_id": user, "result": result} | moments
    return [
        event("call.ringing", "call", at, user_id=user, leg_id="l", ring_attempt_id="r"),
        event("call.ring_attempt_finished", "call", at + timedelta(seconds=5), leg_id="l", attempt=attempt),
    ]


def talk(
    at: datetime, seconds: float = 120, by: str = "contact", *, hold: bool = False, user: str = ANA, **more: Any
) -> list[dict[str, Any]]:
    """A conversation that ends at a moment."""
    leg = f"leg {next(NUMBERS)}"
    over = {
        "call_id": "call", "interaction_id": "call", "leg_id": leg, "user_id": user, "ended_by": by,
        "transfer_out": None, "answered_at": (at - timedelta(seconds=seconds)).isoformat(),
        "finished_at": at.isoformat(), "quality": None,
    }  # fmt: skip
    held = [event("call.held", "call", at - timedelta(seconds=5), leg_id=leg, user_id=user)] if hold else []
    return [*held, event("call.contact_finished", "call", at, **(over | more))]


def report(at: datetime, actor: str = "client:" + "d" * 32) -> dict[str, Any]:
    return event("report.requested", "report", at, actor, type="calls")


def note(at: datetime, actor: str = f"user:{ANA}") -> dict[str, Any]:
    return event("contact.note_created", "contact", at, actor, id="contact")


def fetched(at: datetime, actor: str = f"user:{ANA}") -> dict[str, Any]:
    return event("recording.media_requested", "call", at, actor, id="r", call_id="call", type="conversation")


def used(at: datetime, count: int, scope: str = "contacts:read") -> dict[str, Any]:
    one = {"client_id": "d" * 32, "scope": scope, "operation": "GET /contacts", "count": count}
    return event("usage.flushed", "account", at, "fence", uses=[one])


def flips(n: int, user: str = ANA) -> list[dict[str, Any]]:
    found = []
    for at in minutes(n, 2):
        found += [
            status(at, "away", "available", 110, user),
            status(at + timedelta(seconds=10), "available", "away", 10, user),
        ]
    return found


def aways(n: int, waiting: int, user: str = ANA) -> list[dict[str, Any]]:
    found = [queued(MONDAY, f"leg {i}") for i in range(waiting)]
    for at in minutes(n, 5):
        found += [
            status(at, "away_break", "available", 100, user),
            status(at + timedelta(seconds=120), "available", "away_break", 120, user),
        ]
    return found


def refusals(n: int, of: int, user: str = ANA) -> list[dict[str, Any]]:
    return [one for i, at in enumerate(minutes(of, 2)) for one in ring(at, "Rejected" if i < n else "Answered", user)]


def talks(n: int, **how: Any) -> list[dict[str, Any]]:
    return [one for at in minutes(n, 2) for one in talk(at, **how)]


COUNTED: list[tuple[Rule, Any]] = [
    (rules.FAILED_LOGINS, lambda n: [failure(at) for at in minutes(n)]),
    (rules.MASS_EXPORT, lambda n: [report(at) for at in minutes(n)]),
    (rules.MASS_CONTACT_CHANGES, lambda n: [note(at) for at in minutes(n, 0.2)]),
    (rules.MASS_CONTACT_READS, lambda n: [used(at, 100) for at in minutes(n)]),
    (rules.RECORDINGS_ACCESSED, lambda n: [fetched(at) for at in minutes(n, 0.5)]),
    (rules.HOLD_AND_HANG_UP, lambda n: talks(n, by="agent", hold=True)),
    (rules.SHORT_TALKS, lambda n: talks(n, by="agent", seconds=6)),
    (rules.STATUS_FLIPS, flips),
    (rules.AWAY_WHILE_WAITING, lambda n: aways(n, 3)),
    (rules.REFUSED_CALLS, lambda n: refusals(n, n + 4)),
]


@pytest.mark.parametrize("rule, made", COUNTED, ids=[rule.name for rule, _ in COUNTED])
def test_a_rule_of_many_signs_fires_at_its_threshold_and_not_one_below(rule: Rule, made: Any) -> None:
    threshold = getattr(Settings(), rule.threshold)
    assert names(told(scene_of(), made(threshold - 1))) == []
    [case] = told(scene_of(), made(threshold))
    assert (case.rule, case.facts["hits_number"]) == (rule, threshold)
    assert len(case.hits) == threshold
    assert case.event == case.hits[-1].event
    assert str(threshold) in case.facts["specification"]
    assert "{" not in case.facts["specification"]
    if rule.against:
        assert case.facts["pop_prob" if rule.against == "peers" else "user_prob"] <= 0.001
    assert math.isclose(case.facts["pop_conf"] + case.facts["pop_prob"], 1)


@pytest.mark.parametrize("rule, made", COUNTED, ids=[rule.name for rule, _ in COUNTED])
def test_what_goes_on_extends_its_case_and_what_is_spread_over_time_makes_none(rule: Rule, made: Any) -> None:
    threshold = getattr(Settings(), rule.threshold)
    [case] = told(scene_of(), made(threshold + 7))
    assert case.facts["hits_number"] == threshold + 7
    assert case.first["hits_number"] == threshold
    spread = made(threshold)
    for i, one in enumerate(spread):  # a day and a half between them
        moved = timedelta(hours=36 * i)
        one["at"] += moved
        for name in ("answered_at", "finished_at", "previous_since"):
            if name in one["data"]:
                one["data"][name] = (datetime.fromisoformat(one["data"][name]) + moved).isoformat()
    assert rule.name not in names(told(scene_of(), spread))


def test_every_rule_is_tested_here() -> None:
    single = {rule.name for rule in RULES if rule.single}
    assert single | {rule.name for rule, _ in COUNTED} == {rule.name for rule in RULES}
    assert single == {"impossible_travel", "unusual_hours", "scope_then_export", "after_hours_publishing"}


def test_requests_for_contacts_count_by_full_hundreds_however_they_come() -> None:
    enough, [case] = 100 * Settings().guardian_contact_reads, told(scene_of(), [used(MONDAY, 1234)])
    assert case.facts["hits_number"] == 12
    bit_by_bit = [used(at, 33) for at in minutes(enough // 33)]
    assert told(scene_of(), bit_by_bit) == []
    rest = MONDAY + timedelta(minutes=30)
    assert names(told(scene_of(), [*bit_by_bit, used(rest, enough % 33)])) == ["mass_contact_reads"]
    assert told(scene_of(), [*bit_by_bit, used(rest, enough % 33, "contacts:write")]) == []


# rules of one sign


def test_travel_is_impossible_above_the_speed_and_possible_below() -> None:
    far = kilometres(LISBON, SYDNEY)
    assert 18_000 < far < 18_300
    for speed, expected in ((901, ["impossible_travel"]), (899, [])):
        later = MONDAY + timedelta(hours=far / speed)
        assert names(told(scene_of(), [login(MONDAY, "198.51.100.7"), login(later, "203.0.113.9")])) == expected


def test_nobody_travels_from_or_to_where_nothing_is_known_nor_within_a_town() -> None:
    soon = MONDAY + timedelta(seconds=1)
    for one, other in (("198.51.100.7", "10.0.0.1"), ("198.51.100.7", "198.51.100.9"), ("floor", "203.0.113.9")):
        assert told(scene_of(), [login(MONDAY, one), login(soon, other)]) == []
    [case] = told(scene_of(), [login(MONDAY, "::ffff:198.51.100.7"), login(soon, "2001:db8::1")])
    assert "274 km from PT to PT" in case.facts["specification"]


def days_at_nine(n: int) -> list[dict[str, Any]]:
    return [login(MONDAY + timedelta(days=i), "10.0.0.1") for i in range(n)]


@pytest.mark.parametrize(
    "known, hour, expected",
    [(10, 12, ["unusual_hours"]), (9, 12, []), (10, 11, []), (10, 3, ["unusual_hours"]), (10, 7, [])],
)
def test_hours_are_unusual_once_a_person_is_known(known: int, hour: int, expected: list[str]) -> None:
    late = (MONDAY + timedelta(days=known)).replace(hour=hour, minute=30)
    assert names(told(scene_of(), [*days_at_nine(known), login(late, "10.0.0.1")])) == expected


def test_a_past_that_is_written_after_people_were_declared_is_known_by_day() -> None:
    late = (MONDAY + timedelta(days=10)).replace(hour=2)
    declared = event("user.created", ANA, MONDAY + timedelta(days=40), roles=["agent"])
    scene = scene_of()
    [case] = told(scene, [declared, *days_at_nine(10), login(late, "10.0.0.1")])
    assert case.rule.name == "unusual_hours"
    assert [past.day for past in scene.people[ANA].past] == [int(MONDAY.timestamp() // 86400) + n for n in range(10)]


def test_a_shift_at_an_unusual_hour_counts_and_only_its_begin() -> None:
    late = (MONDAY + timedelta(days=12)).replace(hour=2)
    shift = [status(late, "offline", "available", 9999), status(late + timedelta(hours=1), "available", "away", 3600)]
    [case] = told(scene_of(), [*days_at_nine(12), *shift])
    assert (case.rule.name, case.facts["hits_number"]) == ("unusual_hours", 1)


def test_a_time_off_of_somebody_who_is_absent_is_no_coming_to_work() -> None:
    night = (MONDAY + timedelta(days=12)).replace(hour=0)
    scene = scene_of()
    ill = status(night, "offline", "away_sick_leave", 9999)
    over = status(night + timedelta(days=1), "away_sick_leave", "offline", 9999)
    for one in (ill, over):
        one["data"]["time_off"] = "absent"
    assert told(scene, [*days_at_nine(12), ill, over]) == []
    assert {row["id"] for row in scene.rows["session"]} == {"s"}
    assert scene.people[ANA].shift is None
    assert len(scene.people[ANA].past) == 12  # nothing was counted since


CLIENT = "d" * 32


def added(at: datetime, scope: str = "data-reports:read", client: str = CLIENT) -> dict[str, Any]:
    return event("client.scope_added", client, at, f"user:{ANA}", client_id=client, scope=scope,
                 effective_at=at.isoformat(), reason="")  # fmt: skip


@pytest.mark.parametrize(
    "seconds, scope, expected",
    [(900, "data-reports:read", ["scope_then_export"]), (901, "data-reports:read", []), (60, "contacts:read", [])],
)
def test_a_scope_used_at_once_to_export(seconds: int, scope: str, expected: list[str]) -> None:
    run = [added(MONDAY, scope), report(MONDAY + timedelta(seconds=seconds))]
    assert names(told(scene_of(), run)) == expected


def test_what_a_client_was_made_with_is_no_sign() -> None:
    made = event("client.created", CLIENT, MONDAY, client_id=CLIENT)
    assert told(scene_of(), [made, added(MONDAY), report(MONDAY + timedelta(seconds=5))]) == []


@pytest.mark.parametrize(
    "local, expected",
    [
        ("2026-01-05T07:00", []), ("2026-01-05T06:59", ["after_hours_publishing"]), ("2026-01-05T19:59", []),
        ("2026-01-05T20:00", ["after_hours_publishing"]), ("2026-01-10T12:00", ["after_hours_publishing"]),
        ("2026-07-06T06:30", ["after_hours_publishing"]),  # 05:30 UTC: the account's clock counts
    ],
)  # fmt: skip
def test_flows_are_published_by_day(local: str, expected: list[str]) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Lisbon")).astimezone(UTC)
    published = event("flow.published", "f", at, f"user:{ANA}", flow_id="f", flow_version_id="v", name="main", number=1)
    assert names(told(scene_of(), [published])) == expected
    by_nobody = published | {"actor": "demo"}
    assert told(scene_of(), [by_nobody]) == []


# what is no sign


def test_a_phone_that_rang_is_no_status_game() -> None:
    run = []
    for at in minutes(20, 2):
        run += [status(at, "after_call_work", "available", 30), *ring(at + timedelta(seconds=2), "Ignored")]
        run.append(status(at + timedelta(seconds=7), "available", "away", 7))
    assert names(told(scene_of(), run)) == ["refused_calls"]


def test_longer_spells_and_few_who_wait_are_no_signs() -> None:
    longer = [one for at in minutes(20, 2) for one in (status(at, "available", "away", 31),)]
    assert told(scene_of(), longer) == []
    assert told(scene_of(), aways(20, 2)) == []
    gone = [*aways(0, 3), *(event("call.answered", "c", MONDAY, leg_id=f"leg {i}", user_id=RUI) for i in range(3))]
    assert told(scene_of(), [*gone, *aways(20, 0)]) == []


def test_contacts_who_hang_up_and_talks_that_are_passed_on_are_no_signs() -> None:
    assert told(scene_of(), talks(30, by="contact", hold=True)) == []
    assert told(scene_of(), talks(30, by="agent", seconds=5, transfer_out="Blind")) == []
    assert told(scene_of(), talks(30, by="agent", seconds=11)) == []
    resumed = []
    for at in minutes(30, 2):
        [held, over] = talk(at, by="agent", hold=True)
        back = event("call.resumed", "call", at, leg_id=held["data"]["leg_id"], user_id=ANA)
        resumed += [held, back, over]
    assert told(scene_of(), resumed) == []


def test_what_peers_do_as_well_is_not_out_of_the_ordinary() -> None:
    """Twelve of twenty refused is rare where peers answer, and usual where they refuse just as often."""
    for share, expected in ((0.0, ["refused_calls"]), (0.6, [])):
        scene = scene_of()
        for day in range(1, 11):
            for peer in range(5):
                user = f"{peer:024x}"
                for i in range(20):
                    at = MONDAY - timedelta(days=day) + timedelta(minutes=i)
                    told(scene, ring(at, "Rejected" if i < 20 * share else "Answered", user))
        scene.cases.clear()
        for one in scene.people.values():
            one.cases.clear()
        found = told(scene, refusals(12, 20))
        assert names([case for case in found if case.user == ANA]) == expected


def test_peers_have_the_same_roles() -> None:
    scene = scene_of()
    roles = ((ANA, "agent"), (RUI, "lead"))
    people = [event("user.created", user, MONDAY, id=user, roles=[role]) for user, role in roles]
    told(scene, [*people, *refusals(1, 3), *refusals(2, 5, RUI)])
    assert scene.people["peers: role agent"].counts["rings"] == 3
    assert scene.people["peers: role lead"].counts["refused_calls"] == 2
    assert [row["role"] for row in scene.rows["assigned"]] == ["agent", "lead"]


# the case's statistics


def test_baselines_are_those_of_the_thirty_days_before() -> None:
    scene = scene_of()
    for back in (31, 30, 2, 1):
        start = MONDAY - timedelta(days=back, hours=3)
        told(scene, [one for at in minutes(back % 7 + 1, 2, start) for one in talk(at, by="agent", hold=True)])
        told(scene, [one for at in minutes(4, 2, start) for one in talk(at, user=RUI)])
    scene.cases.clear()
    [case] = [one for one in told(scene, talks(9, by="agent", hold=True)) if one.user == ANA]
    assert case.facts["user_baseline"] == [3] + [0] * 27 + [3, 2]
    assert len(case.facts["pop_baseline"]) == DAYS
    # own: 8 hits in 8 talks; peers: none in 12, and u = 0.002 for K = 20 more; 9 talks today
    peers = (0 + 20 * 0.002) / (12 + 20)
    own = (8 + 20 * peers) / (8 + 20)
    assert case.facts["baseline"] == round(own * 9, 4)
    assert math.isclose(case.facts["pop_prob"], chance.at_least(9, peers * 9))
    assert math.isclose(case.facts["user_prob"], chance.at_least(9, own * 9))


@given(st.integers(0, 400), st.floats(0.001, 300))
def test_the_poisson_tail_is_what_is_left_of_the_sum(n: int, mean: float) -> None:
    below = math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(n))
    found = chance.at_least(n, mean)
    assert 0 <= found <= 1
    assert math.isclose(found, 1 - below, abs_tol=1e-9)
    assert chance.at_least(n + 1, mean) <= found + 1e-12


def test_small_tails_keep_their_digits() -> None:
    assert math.isclose(chance.at_least(5, 0.1), 7.667e-08, rel_tol=1e-3)
    assert math.isclose(chance.at_least(20, 1.0), 1.59e-19, rel_tol=1e-2)
    assert chance.at_least(3, 0) == 0
    assert chance.at_least(0, 0) == 1


def test_what_is_remembered_stays_small() -> None:
    scene = scene_of()
    for day in range(45):
        start = MONDAY + timedelta(days=day)
        told(scene, [one for at in minutes(5, 60, start) for one in talk(at, by="agent", hold=True)])
        told(scene, [failure(at) for at in minutes(600, 0.05, start)])
    who: Subject = scene.people[ANA]
    assert len(who.past) == DAYS
    assert len(who.recent) <= 26
    assert len(who.hits["failed_logins"]) == 500
    assert len(who.hits["hold_and_hang_up"]) <= 10
    assert who.held == {}


# how it sounded


def test_the_e_model_gives_published_values() -> None:
    """G.107: defaults; annex B table B.1: limits of user satisfaction; clause 7.4 for delay; G.113 for loss."""
    clean = emodel.CODECS["G.711"]
    assert round(emodel.opinion(emodel.rating(0, 0, clean)), 2) == 4.41
    for r, mos in ((90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (93.2, 4.41), (100, 4.5), (0, 1.0)):
        assert math.isclose(emodel.opinion(r), mos, abs_tol=0.007), r
    assert emodel.opinion(-5) == 1.0
    assert emodel.opinion(120) == 4.5
    assert emodel.delay_impairment(100) == 0
    assert math.isclose(emodel.delay_impairment(150), 0.164, abs_tol=0.005)
    assert math.isclose(emodel.delay_impairment(400), 24.1, abs_tol=0.1)
    assert math.isclose(emodel.rating(0, 0, emodel.CODECS["G.729A"]), 82.2)
    assert math.isclose(emodel.loss_impairment(1, clean), 95 / 5.3)
    assert math.isclose(emodel.loss_impairment(2, emodel.CODECS["G.729A"]), 11 + 84 * 2 / 21)


measured = st.floats(0, 2000)


@given(measured, measured, measured, st.floats(0, 100), st.sampled_from(sorted(emodel.CODECS)))
def test_scores_are_in_order_and_within_bounds(jitter: float, rtt: float, more: float, loss: float, codec: str) -> None:
    found = emodel.scores(
        jitter=jitter, jitter_max=jitter + more, rtt=rtt, rtt_min=rtt * 0.8, rtt_max=rtt + more, loss=loss,
        codec=emodel.CODECS[codec],
    )  # fmt: skip
    assert 1.0 <= found.min <= found.avg <= found.max <= 4.41


# places and programs


def test_an_address_is_where_the_narrowest_network_is() -> None:
    inner = NETWORKS[0] | {"cidr": "198.51.100.128/25", "country": "ES"}
    known = Map([*NETWORKS, inner])
    places = {at: known.place(at) for at in ("198.51.100.1", "198.51.100.200", "10.1.1.1", "unix", "")}
    assert [place.country if place else None for place in places.values()] == ["PT", "ES", None, None, None]


@pytest.mark.parametrize(
    "header, browser, system",
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
         " Safari/537.36 Edg/126.0.2592.87", "Edge 126.0.2592.87", "Windows 10"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox 128.0", "Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
         " Safari/605.1.15", "Safari 17.5", "macOS 10.15.7"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1", "Chrome 126.0.6478.54", "iOS 17.5"),
        ("Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0"
         " Chrome/121.0.0.0 Mobile Safari/537.36", "Samsung Internet 25.0", "Android 14"),
        ("curl/8.5.0", "curl 8.5.0", None),
        ("", None, None),
    ],
)  # fmt: skip
def test_common_programs_are_recognised(header: str, browser: str | None, system: str | None) -> None:
    assert (agents.browser(header), agents.system(header)) == (browser, system)


@given(st.text(max_size=400))
def test_no_header_is_too_strange(header: str) -> None:
    assert len(agents.browser(header) or "") <= 100
    assert len(agents.system(header) or "") <= 100
