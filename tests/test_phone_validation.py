"""Phone validation: facts, unknowns, and the signals that make a score."""

from datetime import timedelta

import pytest

from ringfence.apis.phone_validation.domain import SIGNALS, Home, judged
from ringfence.store.statement import adding
from ringfence.store.tables.floor import interactions
from tests.conftest import Centre

ADD_CALL = adding(interactions, everywhere=True)

SCOPE = "identity-phone-validation:read"
LISTS = "do-not-call-lists:manage"
PATH = "/identity/phonevalidations"
PORTUGUESE = Home(True, "PT", "unknown", "Lisbon", "Europe/Lisbon", "fixed_line", "unknown")


async def test_a_number_is_told_what_the_plans_say_and_nothing_is_made_up(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http:
        body = (await http.get(f"{PATH}/%2B351213500000")).json()
        found = body["_embedded"]
        assert body["_links"]["self"]["href"].endswith(f"{PATH}/%2B351213500000")
        assert (found["valid"], found["country"], found["line_type"]) == (True, "PT", "fixed_line")
        assert (found["timezone"], found["region"]) == ("Europe/Lisbon", "Lisbon")
        assert (found["status"], found["fraud_score"], found["signals"]) == ("SAFE", 0, [])
        for name in ("leaked", "spammer", "prepaid", "recent_abuse", "tcpa_blacklist", "active", "name", "zip_code"):
            assert found[name] == "unknown"
        american = (await http.get(f"{PATH}/+16502530000")).json()["_embedded"]
        assert (american["city"], american["region"]) == ("Mountain View", "CA")
        mobile = (await http.get(f"{PATH}/+351910000001")).json()["_embedded"]
        assert (mobile["line_type"], mobile["carrier"]) == ("mobile", "Vodafone")


@pytest.mark.parametrize(
    "number, reason",
    [
        ("351213500000", "must begin with +"),
        ("+35121350", "has a length that no number of the code +351 has"),
        ("+351 213 500 000", "must be + and 7 to 15 digits"),
        ("+999123456789", "begins with the code of no country"),
        ("%00", "NUL"),
    ],
)
async def test_a_malformed_number_is_a_400_with_the_reason(centre: Centre, number: str, reason: str) -> None:
    async with await centre.signed_in(SCOPE) as http:
        for path in (f"{PATH}/{number}", f"{PATH}/{number}/stats"):
            answer = await http.get(path)
            assert answer.status_code == 400
            assert reason in answer.json()["description"]


async def test_validations_are_counted_for_a_day_and_many_of_them_are_a_signal(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE) as http, await centre.signed_in(SCOPE, account="rival") as rival:
        for _ in range(20):
            last = (await http.get(f"{PATH}/+351213500000")).json()["_embedded"]
        assert [signal["name"] for signal in last["signals"]] == ["validated_often"]
        assert last["fraud_score"] == 30
        stats = f"{PATH}/+351213500000/stats"
        assert (await http.get(stats)).json()["_embedded"] == {
            "phone_number": "+351213500000",
            "number_validations_last_24h": 20,
        }
        assert (await rival.get(stats)).json()["_embedded"]["number_validations_last_24h"] == 0
        centre.world.advance(25 * 3600)
    async with await centre.signed_in(SCOPE) as http:
        assert (await http.get(stats)).json()["_embedded"]["number_validations_last_24h"] == 0
        centre.world.advance(72 * 3600)
        await centre.settle()


async def test_do_not_call_holds_through_the_last_day_where_the_number_is(centre: Centre) -> None:
    async with await centre.signed_in(SCOPE, LISTS) as http:
        here = f"/do-not-call-lists/{(await http.post('/do-not-call-lists', json={'name': 'No'})).json()['id']}"
        entry = {"phone_number": "+18082480000", "expiration_date": "2026-01-05"}  # Honolulu, ten hours behind UTC
        assert (await http.post(f"{here}/entries", json=entry)).status_code == 201

    async def told() -> tuple[str, int]:
        async with await centre.signed_in(SCOPE) as http:
            found = (await http.get(f"{PATH}/+18082480000")).json()["_embedded"]
            return found["do_not_call"], found["fraud_score"]

    assert await told() == ("yes", 20)
    centre.world.advance(20 * 3600)  # five in the morning of the next day in UTC, seven in the evening there
    assert await told() == ("yes", 20)
    centre.world.advance(6 * 3600)
    assert await told() == ("no", 0)
    async with await centre.signed_in(SCOPE, account="rival") as http:
        assert (await http.get(f"{PATH}/+18082480000")).json()["_embedded"]["do_not_call"] == "no"


def test_every_signal_has_a_number_that_fires_it_and_one_just_below() -> None:
    def names(home: Home = PORTUGUESE, *, listed: bool = False, validations: int = 1) -> set[str]:
        return {signal.name for signal in judged(home, listed=listed, validations=validations).signals}

    fired = names(PORTUGUESE._replace(valid=False)) | names(listed=True)
    for kind in ("premium_rate", "shared_cost", "personal_number"):
        fired |= names(PORTUGUESE._replace(line_type=kind))
    assert names(validations=19) == set()
    assert names(validations=20) == names(validations=99) == {"validated_often"}
    assert names(validations=100) == {"validated_in_bulk"}
    assert fired | {"validated_often", "validated_in_bulk", "short_calls"} == {signal.name for signal in SIGNALS}
    assert judged(PORTUGUESE._replace(valid=False), listed=True, validations=1).score == 100
    assert judged(PORTUGUESE._replace(valid=False), listed=True, validations=1).status == "HIGH_RISK"
    assert judged(PORTUGUESE._replace(line_type="premium_rate"), listed=False, validations=1).status == "SUSPICIOUS"


async def test_a_number_of_short_calls_looks_suspicious(centre: Centre) -> None:
    """From five calls on, when most were over within 15 seconds; not those of other accounts, nor older ones."""
    account, rival, now = await centre.account(), await centre.account("rival"), centre.world.now()
    line = {"state": "ended", "direction": "IN", "company_number": "+351210000100", "contact_number": "+351910000001"}

    async def calls(count: int, seconds: int, *, account: str = account, days: int = 1) -> None:
        async with centre.house.db.writing() as tx:
            for _ in range(count):
                begun = now - timedelta(days=days)
                ended = begun + timedelta(seconds=seconds)
                row = line | {"account_id": account, "id": centre.world.new_id(32), "doc": {}}
                await tx.run(ADD_CALL, **row, started_at=begun, ended_at=ended)

    async def signals() -> set[str]:
        async with await centre.signed_in("identity-phone-validation:read") as http:
            answer = (await http.get("/identity/phonevalidations/%2B351910000001")).json()
        return {signal["name"] for signal in answer["_embedded"]["signals"]}

    await calls(9, 3, account=rival)
    await calls(9, 3, days=31)
    await calls(4, 3)
    assert "short_calls" not in await signals()
    await calls(1, 14)
    assert "short_calls" in await signals()
    await calls(5, 15)
    assert "short_calls" not in await signals()
