"""Voice biometrics: consent and its history, prints out of recordings, and that nothing is left of them."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from sqlalchemy import select

from ringfence.floor import audio, biometrics, flow_checks, flows, inbox
from ringfence.floor.carrier import Simulated
from ringfence.floor.events import RECORDING_CREATED
from ringfence.floor.voice_prints import ENGINE, NoSpeech, left_of
from ringfence.oauth import keys
from ringfence.sandbox import voices
from ringfence.store.outbox import emit
from ringfence.store.statement import Statement, adding
from ringfence.store.tables import metadata
from ringfence.store.tables.biometrics import biometric_history, biometric_removals, voice_prints
from ringfence.store.tables.floor import interactions, recordings
from ringfence.store.tables.log import events
from tests.conftest import Centre
from tests.test_centre import LINE
from tests.test_channels import erase
from tests.test_keeper import STEADY, keeper, pass_time, staffed, tell, told

READ, WRITE, ENROL = "voicebiometrics-consent:read", "voicebiometrics-consent:write", "voicebiometrics-enroll:write"
SCOPES = (READ, WRITE, ENROL, "contacts:write", "contacts:read")
PHONE = "+351910000001"
EVERY: tuple[tuple[str, str, Any], ...] = (
    ("GET", "consent", None),
    ("PUT", "consent", {"status": "REFUSED"}),
    ("PUT", "enrollment", {"phrase_id": 1}),
    ("DELETE", "enrollment", None),
)
ADD_CALL, ADD_RECORDING = adding(interactions, everywhere=True), adding(recordings, everywhere=True)
PRINTS = Statement(select(voice_prints), everywhere=True)
SAID = Statement(select(biometric_history).order_by(biometric_history.c.n), everywhere=True)
REMOVALS = Statement(select(biometric_removals), everywhere=True)
EVENTS = Statement(select(events).where(events.c.type.startswith("biometrics.")).order_by(events.c.n), everywhere=True)


def of(contact: str) -> str:
    return f"/voicebiometrics/contacts/{contact}"


async def contact(centre: Centre, phone: str = PHONE, account: str = "acme") -> str:
    async with await centre.signed_in("contacts:write", account=account) as http:
        sent = {"name": "Alda", "phones": [{"label": "mobile", "number": phone}]}
        id: str = (await http.post("/contacts", json=sent)).json()["contact"]["id"]
    return id


async def called(centre: Centre, who: str, number: str = PHONE, seconds: int = 20) -> str:
    """A call of a contact that was recorded; the recording's id."""
    account, now = await centre.account(), centre.world.now()
    call, recording = centre.world.new_id(32), centre.world.new_id(32)
    async with centre.house.db.writing() as tx:
        await tx.run(ADD_CALL, account_id=account, id=call, state="ended", direction="IN", company_number=LINE,
                     contact_number=number, contact_id=who, started_at=now, doc={})  # fmt: skip
        await tx.run(
            ADD_RECORDING, account_id=account, id=recording, call_id=call, number=0, type="conversation",
            duration=seconds, carrier="simulated", created_at=now,
            channels={"channel_1": [{"participant_type": "CONTACT", "participant_id": who}],
                      "channel_2": [{"participant_type": "AGENT", "participant_id": "a" * 24}]},
        )  # fmt: skip
        made = {"id": recording, "call_id": call, "type": "conversation", "index": 0, "duration": seconds}
        await emit(centre.house.ctx(tx, account, "test"), RECORDING_CREATED, call, made | {"created_at": now})
    return recording


def unsealed(centre: Centre, row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(
        centre.house.vault.unseal(row["print"], biometrics.purpose(row["account_id"], row["contact_id"]))
    )
    return found


async def enrolled(centre: Centre) -> str:
    """A contact who has agreed, and whose voice has been heard."""
    who = await contact(centre)
    await called(centre, who)
    async with await centre.signed_in(*SCOPES) as http:
        assert (await http.put(f"{of(who)}/consent", json={"status": "CONSENTED"})).status_code == 200
        assert (await http.put(f"{of(who)}/enrollment", json={"phrase_id": 7})).status_code == 201
    await centre.settle()
    return who


async def everything(centre: Centre) -> str:
    """All that the tables hold, as text."""
    found = []
    for table in metadata.sorted_tables:
        found += [repr(row) for row in await centre.rows(Statement(select(table), everywhere=True))]
    return "\n".join(found)


def files(folder: Path) -> list[bytes]:
    """All that is kept in files."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_consent_is_kept_with_its_history(centre: Centre) -> None:
    who = await contact(centre)
    async with await centre.signed_in(*SCOPES) as http:
        nothing = (await http.get(f"{of(who)}/consent")).json()
        assert (nothing["status"], nothing["consented_at"]) == ("NO_CONSENT", None)
        assert nothing["_links"]["self"]["href"].endswith(f"{of(who)}/consent")
        for status in ("CONSENTED", "CONSENTED", "REFUSED", "NO_CONSENT", "CONSENTED"):
            centre.world.advance(60)
            answer = await http.put(f"{of(who)}/consent", json={"status": status})
            assert answer.json() == {"status": status}
        said = (await http.get(f"{of(who)}/consent")).json()
        assert (said["status"], said["consented_at"]) == ("CONSENTED", "2026-01-05T09:05:00Z")
        assert (await http.put(f"{of(who)}/consent", json={"status": "DELETED"})).status_code == 400
        for method, path, body in EVERY:
            assert (await http.request(method, f"{of('0' * 24)}/{path}", json=body)).status_code == 404
    history = await centre.rows(SAID)
    assert [(row["previous"], row["status"], row["how"]) for row in history] == [
        ("NO_CONSENT", "CONSENTED", "api"), ("CONSENTED", "REFUSED", "api"), ("REFUSED", "NO_CONSENT", "api"),
        ("NO_CONSENT", "CONSENTED", "api"),
    ]  # fmt: skip
    assert all(row["actor"].startswith("client:") for row in history)


async def test_enrolment_needs_consent_and_listens_to_recordings(centre: Centre) -> None:
    who = await contact(centre)
    recording = await called(centre, who)
    async with await centre.signed_in(*SCOPES) as http:
        refused = await http.put(f"{of(who)}/enrollment", json={"phrase_id": 1})
        assert (refused.status_code, refused.json()["code"]) == (409, "consent_missing")
        await http.put(f"{of(who)}/consent", json={"status": "CONSENTED"})
        first = await http.put(f"{of(who)}/enrollment", json={"phrase_id": 1})
        assert (first.status_code, first.json()["status"], first.json()["phrase_id"]) == (201, "WAITING", 1)
        await centre.settle()
        again = await http.put(f"{of(who)}/enrollment", json={"phrase_id": 2})
        assert (again.status_code, again.json()["status"], again.json()["phrase_id"]) == (200, "ENROLLED", 2)
    [row] = await centre.rows(PRINTS)
    assert row["recordings"] == [recording]
    assert "bands" not in row["print"]
    made = unsealed(centre, row)
    assert made["frames"] > 50
    assert made["pitch"] == pytest.approx(audio.voice_of(who).pitch, rel=0.15)
    assert [row["type"] for row in await centre.rows(EVENTS)] == [
        "biometrics.consent_changed", "biometrics.enrolled", "biometrics.enrolled"
    ]  # fmt: skip


async def test_who_has_not_called_yet_is_heard_when_they_do(centre: Centre) -> None:
    who = await contact(centre)
    async with await centre.signed_in(*SCOPES) as http:
        await http.put(f"{of(who)}/consent", json={"status": "CONSENTED"})
        await http.put(f"{of(who)}/enrollment", json={"phrase_id": 1})
    await centre.settle()
    assert [row["print"] for row in await centre.rows(PRINTS)] == [None]
    heard = [await called(centre, who)]
    await centre.settle()
    heard.append(await called(centre, who))
    centre.world.advance(1)
    await centre.settle()
    [row] = await centre.rows(PRINTS)
    assert sorted(row["recordings"]) == sorted(heard)
    other = await contact(centre, "+351910000002")
    await called(centre, other, "+351910000002")
    await centre.settle()
    [row] = await centre.rows(PRINTS)
    assert len(row["recordings"]) == 2


@pytest.mark.parametrize("how", ["opt_out", "REFUSED", "NO_CONSENT", "deletion", "erasure"])
async def test_nothing_is_left_of_a_print_but_the_proof(centre: Centre, how: str) -> None:
    who = await enrolled(centre)
    [row] = await centre.rows(PRINTS)
    made = unsealed(centre, row)
    plain = msgspec.json.encode(made).decode()
    assert row["print"] in await everything(centre)
    async with await centre.signed_in(*SCOPES) as http:
        if how == "opt_out":
            answer = await http.delete(f"{of(who)}/enrollment")
            assert (answer.status_code, answer.content) == (204, b"")
            assert (await http.get(f"{of(who)}/consent")).json()["status"] == "DELETED"
            assert (await http.delete(f"{of(who)}/enrollment")).status_code == 204
            assert (await http.put(f"{of(who)}/enrollment", json={"phrase_id": 1})).status_code == 409
        elif how == "erasure":
            await erase(centre, who)
        elif how == "deletion":
            assert (await http.delete(f"/contacts/{who}")).status_code == 204
        else:
            assert (await http.put(f"{of(who)}/consent", json={"status": how})).json() == {"status": how}
    await centre.settle()
    assert await centre.rows(PRINTS) == []
    left = await everything(centre)
    digest = centre.house.vault.hash(plain)
    for trace in (row["print"], plain, str(made["bands"]), str(made["bands"][0]), str(made["pitch"]), "'bands'"):
        assert trace not in left
    assert left.count(digest) == 1
    for content in files(Path(centre.house.blobs.folder)):  # type: ignore[attr-defined]
        assert plain.encode() not in content
        assert row["print"].encode() not in content
    async with centre.house.db.reading() as tx:
        [(proof, good)] = await biometrics.proofs(centre.house.ctx(tx, await centre.account(), "test"), who)
    assert good
    removed = proof["removed"]
    assert (removed["contact_id"], removed["phrase_id"], removed["recordings"]) == (who, 7, 1)
    assert (removed["print_digest"], removed["engine"]) == (digest, "bands-1")
    assert removed["how"] == ("api" if how in ("REFUSED", "NO_CONSENT") else how)
    history = await centre.rows(SAID)
    assert [row["status"] for row in history] == [
        "CONSENTED", how if how in ("REFUSED", "NO_CONSENT") else "DELETED"
    ]  # fmt: skip
    assert removed["removed_by"].startswith("job:" if how == "erasure" else "client:")
    told_of = [row for row in await centre.rows(EVENTS) if row["type"] == "biometrics.removed"]
    assert [row["data"]["removal_id"] for row in told_of] == [proof["id"]]


async def test_a_proof_that_was_changed_is_noticed(centre: Centre) -> None:
    who = await enrolled(centre)
    ctx = centre.house.ctx(None, await centre.account(), "test")
    async with centre.house.db.writing() as tx:
        await biometrics.opt_out(centre.house.ctx(tx, ctx.account, "test"), who)
    changed = Statement(biometric_removals.update().values(removed={"contact_id": who}), everywhere=True)
    async with centre.house.db.writing() as tx:
        await tx.run(changed)
        [(_, good)] = await biometrics.proofs(centre.house.ctx(tx, ctx.account, "test"), who)
    assert not good


async def test_a_proof_is_verified_by_anybody_also_after_keys_were_rotated(centre: Centre) -> None:
    who = await enrolled(centre)
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await biometrics.opt_out(ctx, who)
        [(row, _)] = await biometrics.proofs(ctx, who)
        text = await biometrics.attested(ctx, row)
    for _ in range(2):
        async with centre.house.db.writing() as tx:
            await keys.rotate(centre.house.ctx(tx, "", "test"), centre.house.vault)
        centre.world.advance(2 * 3600)
    await centre.house.view.refresh()
    async with centre.http() as http:
        published = KeySet.import_key_set((await http.get("/oauth/certs")).json())
        as_token = await http.get(f"{of(who)}/consent", headers={"authorization": f"Bearer {text}"})
    assert as_token.status_code == 401
    found = jwt.decode(text, published, algorithms=["ES384"], registry=keys.REGISTRY)
    assert found.header["typ"] == "voice-print-removal+jwt"
    assert {name: found.claims[name] for name in row["removed"]} == row["removed"]
    assert found.claims["iss"] == centre.house.identity_base
    head, body, signature = text.split(".")
    forged = f"{head}.{body[:-4]}AAAA.{signature}"
    with pytest.raises(BadSignatureError):
        jwt.decode(forged, published, algorithms=["ES384"], registry=keys.REGISTRY)


async def test_a_print_that_was_being_made_is_not_kept_after_the_opt_out(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = await contact(centre)
    await called(centre, who)
    account = await centre.account()
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, account, "test")
        await biometrics.set_consent(ctx, who, "CONSENTED", how="cli")
        await biometrics.enrol(ctx, who, 1)
    heard = biometrics._sound

    async def meanwhile(ctx: Any, row: Any) -> Any:
        found = await heard(ctx, row)
        async with centre.house.db.writing() as tx:
            await biometrics.opt_out(centre.house.ctx(tx, account, "test"), who)
        return found

    monkeypatch.setattr(biometrics, "_sound", meanwhile)
    await centre.settle()
    assert await centre.rows(PRINTS) == []
    [row] = await centre.rows(REMOVALS)
    assert row["removed"]["print_digest"] is None


async def test_another_accounts_contacts_are_unknown(centre: Centre) -> None:
    who = await enrolled(centre)
    await centre.account("rival")
    async with await centre.signed_in(*SCOPES, account="rival") as http:
        for method, path, body in EVERY:
            assert (await http.request(method, f"{of(who)}/{path}", json=body)).status_code == 404
    assert len(await centre.rows(PRINTS)) == 1


@pytest.mark.parametrize("scope", [READ, WRITE, ENROL])
async def test_each_scope_opens_its_own(centre: Centre, scope: str) -> None:
    who = await enrolled(centre)
    async with await centre.signed_in(scope) as http:
        answers = {
            READ: (await http.get(f"{of(who)}/consent")).status_code,
            WRITE: (await http.put(f"{of(who)}/consent", json={"status": "CONSENTED"})).status_code,
            ENROL: (await http.put(f"{of(who)}/enrollment", json={"phrase_id": 7})).status_code,
        }
    assert answers == {one: 200 if one == scope else 403 for one in answers}


async def test_the_demo_enrols_who_has_agreed_and_some_opt_out(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await centre.account()
    stays, leaves, silent = [await contact(centre, f"+35191000000{n}") for n in (1, 2, 3)]
    for n, who in enumerate((stays, leaves), 1):
        await called(centre, who, f"+35191000000{n}")
        async with centre.house.db.writing() as tx:
            ctx = centre.house.ctx(tx, account, "test")
            await biometrics.set_consent(ctx, who, "CONSENTED", how="flow")
    monkeypatch.setattr(voices, "leaves", lambda who: who == leaves)
    for _ in range(3):
        await voices.look(centre.house, account)
        await centre.settle()
    assert [row["contact_id"] for row in await centre.rows(PRINTS)] == [stays]
    assert [row["contact_id"] for row in await centre.rows(REMOVALS)] == [leaves]
    assert silent not in {row["contact_id"] for row in await centre.rows(SAID)}


# in a flow

ASKING: dict[str, Any] = {
    "begin": {"type": "start", "exits": {"ok": "ask"}},
    "ask": {"type": "biometrics_consent", "prompt": "May we know your voice? One for yes, two for no.", "tries": 2,
            "exits": {"unknown_contact": "bye"}},
    "bye": {"type": "say", "text": "Who are you?"},
}  # fmt: skip


class Presses(Simulated):
    """A contact who presses one key, whatever they are asked; nothing for an empty one."""

    def __init__(self, digit: str) -> None:
        super().__init__("test", STEADY)
        self.digit = digit

    def _asked(self, order: Any, at: float, way: str) -> Any:
        found = super()._asked(order, at, way)
        for due in found:
            due.signal = msgspec.structs.replace(due.signal, digit=self.digit)
        return found if self.digit else []


async def asked(centre: Centre, digit: str, monkeypatch: pytest.MonkeyPatch, number: str = PHONE) -> list[str]:
    """The exits of a call in which consent is asked for."""
    monkeypatch.setattr("tests.test_keeper.FLOW", flows.read({"steps": ASKING}))
    await staffed(centre)
    kept = keeper(centre)
    kept.carrier = Presses(digit)
    await tell(centre, inbox.Incoming(company_number=LINE, contact_number=number))
    await kept.settle()
    await pass_time(centre, kept, 120)
    for _ in range(2):
        await centre.settle()
    return [step["exit"] for step in await told(centre, "flow.step_finished")]


@pytest.mark.parametrize(
    "digit, exit, status",
    [("1", "consented", "CONSENTED"), ("2", "refused", "REFUSED"), ("9", "invalid", None), ("", "no_input", None)],
)
async def test_a_flow_asks_for_consent(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, digit: str, exit: str, status: str | None
) -> None:
    who = await contact(centre)
    assert await asked(centre, digit, monkeypatch) == ["ok", exit]
    history = await centre.rows(SAID)
    if status is None:
        assert history == []
        return
    [row] = history
    calls = await centre.rows(Statement(select(interactions), everywhere=True))
    assert (row["contact_id"], row["status"], row["how"], row["actor"]) == (who, status, "flow", f"contact:{who}")
    assert row["interaction_id"] == calls[0]["id"]


async def test_who_is_unknown_cannot_agree(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await asked(centre, "1", monkeypatch, "+351910009999") == ["ok", "unknown_contact", "ok"]
    assert await centre.rows(SAID) == []


async def test_who_was_erased_before_their_answer_was_written_down_has_not_agreed(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = await contact(centre)

    async def later(ctx: Any, happened: Any) -> None:
        raise RuntimeError("not now")

    from dataclasses import replace

    held = centre.worker.reactions
    centre.worker.reactions = tuple(
        replace(one, run_all=later) if one.name == biometrics.FOLLOW.name else one for one in held
    )
    await asked(centre, "1", monkeypatch)
    await erase(centre, who)
    await centre.settle()
    centre.worker.reactions = held
    centre.world.advance(60)
    await centre.settle()
    assert await centre.rows(SAID) == []


def test_a_flow_with_a_strange_exit_or_an_empty_question_is_refused() -> None:
    steps = ASKING | {"ask": {"type": "biometrics_consent", "prompt": "{{nobody}}", "exits": {"yes": "bye"}}}
    complaints = {one.name: one.description for one in flow_checks.complaints(flows.read({"steps": steps}))}
    assert "consented, refused, no_input, invalid, unknown_contact" in complaints["steps.ask.exits.yes"]
    assert "nobody" in complaints["steps.ask.prompt"]


# prints


def recording(seed: str, voice: str, seconds: int = 20) -> bytes:
    return b"".join(audio.conversation(seed, seconds, kind="conversation", voice=voice, agent="agent"))


def test_a_voice_is_nearer_to_itself_than_to_one_that_is_clearly_another() -> None:
    people = [f"person {n}" for n in (0, 1, 4)]
    one = {who: ENGINE.listen([left_of(recording(f"a {who}", who), 60)]) for who in people}
    other = {who: ENGINE.listen([left_of(recording(f"b {who}", who), 60)]) for who in people}
    for who in people:
        near = ENGINE.distance(one[who], other[who])
        assert all(2 * near < ENGINE.distance(one[who], other[them]) for them in people if them != who)
        assert ENGINE.distance(one[who], one[who]) == 0


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.integers(0, 20_000).map(lambda n: recording("x", "y", 1)[:n])))
def test_any_bytes_are_a_print_or_no_speech(content: bytes) -> None:
    try:
        made = ENGINE.listen([left_of(content, 5)])
    except NoSpeech:
        return
    assert set(made) == {"pitch", "bands", "frames"}
    json.dumps(made, allow_nan=False)


def test_silence_and_noise_are_not_somebody() -> None:
    silence = audio.header(2) + bytes(audio.length(2) - audio.HEADER)
    noise = audio.header(2) + os.urandom(audio.length(2) - audio.HEADER)
    for content in (silence, noise):
        with pytest.raises(NoSpeech):
            ENGINE.listen([left_of(content, 5)])


ANY: Any = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just(1.5) | st.just([]) | st.just({})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["status", "phrase_id", "x"]), ANY, max_size=3) | ANY)
async def test_any_body_gets_an_answer(centre: Centre, body: Any) -> None:
    await centre.account()
    async with await centre.signed_in(*SCOPES) as http:
        for path in ("consent", "enrollment"):
            assert (await http.put(f"{of('0' * 24)}/{path}", json=body)).status_code in (400, 404)
