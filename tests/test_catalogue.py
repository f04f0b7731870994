"""Truths about every operation, checked from the catalogue and never by hand."""

import json
import re
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from ringfence.apis.all import APIS
from ringfence.apis.apps import installations
from ringfence.apis.time_off import balances as time_off
from ringfence.cli.contract import agreed, promised, served, with_table
from ringfence.floor import flow_store
from ringfence.floor.directory import set_membership, set_number, set_ring_group
from ringfence.floor.flows import read
from ringfence.kernel.catalog import PUBLIC, Errors, Open, Operation, Scope, operation_name
from ringfence.kernel.patch import Patch
from ringfence.live.metrics import BY_NAME
from ringfence.metering.declaring import set_wallet
from ringfence.store.outbox import FOR_KEY
from ringfence.store.statement import adding
from ringfence.store.tables.floor import interactions, recordings
from ringfence.web.openapi import contract, example_of, problems_of
from tests.conftest import Centre

FENCED = [op for api in APIS for op in api.operations if op.fence is not PUBLIC]
SCOPES = {scope for api in APIS for scope in api.scopes}
BODIES = [op for op in FENCED if "body" in get_type_hints(op.run)]
NOBODYS = {"{phone_number}", "{trigger}", "{list_id}", "{type}", "{query_id}"}  # members that are no row of anybody
MEMBERS = [op for op in FENCED if set(re.findall(r"{\w+}", op.path)) - NOBODYS]
ADD_CALL, ADD_RECORDING = adding(interactions, everywhere=True), adding(recordings, everywhere=True)
CONTRACT = Path(__file__).parent.parent / "contract"
DOCUMENT = contract(APIS, "test")
SERVICE_LEVEL = BY_NAME["service_level"].id
FILES = {"POST /wfm/aion/v1/schedules/event-imports": {"csv_file": "YQ=="}}
FORMS: dict[str, dict[str, str]] = {"POST /oauth/end_user_session": {"user_id": "0" * 24}}


QUERIES = {  # what a query must hold
    "DELETE /record-lists/{record_list_id}/records": "?phone_number=%2B351210000001",
    "DELETE /record-lists/{record_list_id}/external-records": "?external_provider=crm&external_id=7",
}


def somewhere(path: str) -> str:
    return re.sub(r"{\w+}", "0" * 24, path)


def fence(op: Operation) -> Scope:
    assert not isinstance(op.fence, Open)
    return op.fence


def by_person(op: Operation) -> bool:
    return fence(op).via == ("authorization_code",)


async def tokens_for(centre: Centre, *scopes: str, account: str = "acme") -> dict[str, str]:
    """A token of a person, so that it may carry any scope."""
    from ringfence.oauth import tokens

    user = await centre.user(email=f"{centre.world.new_id(24)}@acme.example", account=account)
    client = await centre.client(*scopes, account=account)
    await centre.house.view.refresh()
    view = centre.house.view.clients[client.row["id"]]
    issued = await tokens.issue(centre.house, view, scopes, user=user, sid="0" * 32)
    return {"Authorization": f"Bearer {issued.token}"}


def example(op: Operation) -> Any:
    hint: Any = get_type_hints(op.run)["body"]
    shape = hint.__args__[0] if get_origin(hint) is Patch else hint
    return example_of(shape)


def filled(value: Any, members: dict[str, str]) -> Any:
    """An example whose ids are of things that exist."""
    if isinstance(value, list):
        return [filled(one, members) for one in value]
    if isinstance(value, dict):
        known: dict[str, Any] = {"category_id": members["category_id"]} if "category_id" in value else {}
        if "attributes_users" in value and isinstance(value["attributes_users"][0], dict):
            known = {"attributes_users": [{"id": members["user_id"], "proficiency": 80}]}
        if "agent_email" in value:
            known = {"agent_email": members["agent_email"]}
        return {name: filled(one, members) if isinstance(one, list) else one for name, one in value.items()} | known
    return value


async def installed(centre: Centre, headers: dict[str, str], *, approved: bool) -> dict[str, str]:
    """An app that is installed, on trial where it was approved, with credentials that nobody has acknowledged."""
    name = f"Wallboard {centre.world.new_id(24)}"
    offer = {"name": name, "scopes": ["users:read"], "subscription_types": [{"type": "trial", "name": "Try"}]}
    async with centre.http(**headers) as http:
        app = (await http.post("/apps", json=offer)).json()["id"]
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        row = await installations.install(ctx, app=app)
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await installations.provision(ctx, installations.Installed(installation=row["id"]))
        row = await installations.held(ctx, row["id"])
        if approved:
            row = await installations.decide(ctx, row, "approve", "")
        newest = await installations.rotate(ctx, row)
        told = await ctx.db.all(FOR_KEY, account=ctx.account, key=row["id"])
    event = next(event["id"] for event in told if event["type"] == "app.installed")
    return {"app_id": app, "installation_id": row["id"], "client_id": newest.client_id, "event_id": event}


async def made(centre: Centre, headers: dict[str, str], op: Operation) -> dict[str, str]:
    """Members of a path that exist: a contact with a custom field, a user."""
    async with centre.http(**headers) as http:
        if "{delivery_id}" in op.path:
            await centre.settle()  # from here on, subscriptions are told
        told = {"callback_url": "https://crm.example/events", "event_types": ["contact.created"]}
        subscription = (await http.put("/events/subscriptions", json=told)).json()["id"]
        contact = (await http.post("/contacts", json={"name": "Ana"})).json()["contact"]["id"]
        delivery = ""
        if "{delivery_id}" in op.path:
            await centre.settle()
            log = (await http.get(f"/events/subscriptions/{subscription}/deliveries")).json()
            delivery = log["_embedded"]["deliveries"][0]["id"]
        await http.put(f"/contacts/{contact}/custom-fields/tier", json={"value": "gold"})
        note = (await http.post(f"/contacts/{contact}/notes", json={"title": "Call", "content": "again"})).json()["id"]
        trigger = ""
        if "{trigger_id}" in op.path:
            hook = {"callbackurl": "https://crm.example/hook", "title": "A hook", "message": "{}"}
            trigger = (await http.post("/webhooks/triggers/noteCreated", json=hook)).json()["id"]
        listed = (await http.post("/do-not-call-lists", json={"name": "No"})).json()["id"]
        entry = await http.post(f"/do-not-call-lists/{listed}/entries", json={"phone_number": "+351210000001"})
        calls = (await http.post("/record-lists", json={"name": "Call"})).json()["id"]
        ana = {"first_name": "A", "last_name": "B", "phone_number": "+351210000001"}
        record = await http.post(f"/record-lists/{calls}/records", json=ana)
        csv = {"filename": "a.csv", "byte_size": 1, "checksum": "0cc175b9c0f1b6a831c399e269772661",
               "content_type": "text/csv"}  # fmt: skip
        upload = (await http.post(f"/record-lists/{calls}/upload-requests", json={"csv_metadata": csv})).json()
        put = {"content-type": "text/csv", "authorization": ""}
        await http.put(upload["signed_url"], content=b"a", headers=put)
        if op.path == "/record-lists/{record_list_id}" and op.method == "PATCH":
            made_with = (await http.post("/record-lists", json={"name": "Call", "csv_metadata": csv})).json()
            await http.put(made_with["signed_url"], content=b"a", headers=put)
            calls = made_with["id"]
        category = (await http.post("/attributes-categories", json={"name": "Tongues"})).json()["id"]
        spoken = {
            "name": "English", "category_id": category, "active": True, "proficiency": "none",
            "default_proficiency": 100,
        }  # fmt: skip
        attribute = (await http.post("/attributes", json=spoken)).json()["id"]
        live: dict[str, str] = {}
        if "{subscription_id}" in op.path and "live-" in op.path:
            followed = (await http.post("/live-subscriptions", json={"queries": [{"id": SERVICE_LEVEL}]})).json()
            live = {"subscription_id": followed["id"], "entry_id": followed["entries"][0]["id"]}
        report: dict[str, str] = {}
        if "reports/{type}" in op.path:
            past = {"timespan": {"from": "2026-01-04", "to": "2026-01-05"}}
            job = (await http.post(f"{op.path.partition('/{')[0]}/calls/jobs", json=past)).json()
            report = {"type": "calls", "id": job.get("job", job)["id"]}
        if op.method == "DELETE" and op.path.startswith("/attributes-categories"):
            category = (await http.post("/attributes-categories", json={"name": "Spare"})).json()["id"]
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await set_ring_group(ctx, name="24/7 désk", short_abandoned_threshold=10, wait_time_threshold=20)
        await set_number(ctx, number="+351210000100", label="Main line")
        start = read({"steps": {"start": {"type": "start"}}})
        await set_wallet(ctx, "voice", {"product_name": "Voice", "declared": 10**8, "low": None})
        flow = await flow_store.save(ctx, name="main", document=start)
        await flow_store.publish(ctx, flow)
        call, recording = ctx.new_key(), ctx.new_key()
        here = {"account_id": ctx.account, "state": "ended", "started_at": ctx.now(), "created_at": ctx.now()}
        numbers = {"direction": "IN", "company_number": "+351210000100", "contact_number": "+351910000000", "doc": {}}
        await tx.run(ADD_CALL, **here, **numbers, id=call)
        said = {"number": 0, "type": "voicemail", "duration": 9, "channels": {"channel_1": [], "channel_2": []}}
        await tx.run(ADD_RECORDING, **here, **said, id=recording, call_id=call, carrier="simulated")
    callback = ""
    if "{callback_id}" in op.path:
        wanted = {"talkdesk_phone_number": "+351210000100", "contact_phone_number": "+351910000001"}
        async with centre.http(**headers) as http:
            callback = (await http.post("/calls/callback", json=wanted)).json()["id"]
    app = await installed(centre, headers, approved=not op.path.endswith("{installation_id}/state"))
    agent = f"{centre.world.new_id(24)}@acme.example"
    user = await centre.user(email=agent)
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        await set_membership(ctx, user=user, ring_groups=["24/7 désk"])  # who is in one is an agent
        await time_off.declare_type(ctx, name="Vacation", draws_balance=False)
    away = {"agent_email": agent, "event_type_name": "Vacation"}
    async with centre.http(**headers) as http:
        span = {"start_at": "2030-03-01T09:00:00Z", "end_at": "2030-03-02T09:00:00Z"}
        off = (await http.post("/wfm/aion/externals/schedules/time-offs", json=away | span)).json()["id"]
        balances = {"time_off_balances": [away | {"balance": 8}]}
        left = await http.put("/wfm/request-management/externals/time-offs/balances", json=balances)
        sent = {"csv_file": "YQ=="}
        imported = (await http.post("/wfm/aion/v1/schedules/event-imports", json=sent)).json()["id"]
        agreed = {"status": "CONSENTED"}
        await http.put(f"/voicebiometrics/contacts/{contact}/consent", json=agreed)
    return app | {
        "agent_email": agent,
        "time_off_id": off,
        "balance_id": left.json()["time_off_balances"][0]["id"],
        "import_id": imported,
        "query_id": SERVICE_LEVEL,
        "call_id": call,
        "recording_id": recording,
        "interaction_id": call,
        "callback_id": callback,
        "flow_id": flow["id"],
        "subscription_id": subscription,
        "delivery_id": delivery,
        "phone_number": "+351210000001",
        "category_id": category,
        "attribute_id": attribute,
        "ring_group": "24%2F7%20d%C3%A9sk",
        "record_list_id": calls,
        "record_id": record.json()["id"],
        "upload_request_id": upload["id"],
        "contact_id": contact,
        "note_id": note,
        "trigger": "noteCreated",
        "trigger_id": trigger,
        "list_id": "noteCreated",
        "key": "tier",
        "user_id": user,
        "do_not_call_list_id": listed,
        "entry_id": entry.json()["id"],
        "name": "voice",
        **live,
        **report,
    }


async def test_without_a_token_nobody_gets_in(centre: Centre) -> None:
    async with centre.http() as http:
        for op in FENCED:
            answer = await http.request(op.method, somewhere(op.path))
            assert answer.status_code == 401, operation_name(op)
            assert answer.headers["www-authenticate"].startswith("Bearer realm="), operation_name(op)
            assert "error=" not in answer.headers["www-authenticate"], operation_name(op)
            assert answer.json()["code"] == "not_authenticated", operation_name(op)


async def test_every_other_scope_together_does_not_open_it(centre: Centre) -> None:
    for op in FENCED:
        others = sorted(scope.name for scope in SCOPES - {fence(op)})
        async with centre.http(**await tokens_for(centre, *others)) as http:
            answer = await http.request(op.method, somewhere(op.path))
        assert answer.status_code == 403, operation_name(op)
        wanted = f'error="insufficient_scope", scope="{fence(op).name}"'
        assert wanted in answer.headers["www-authenticate"], operation_name(op)
        body = answer.json()
        assert body["code"] == "insufficient_scope", operation_name(op)
        assert fence(op).name in body["description"], operation_name(op)


@pytest.mark.parametrize("op", MEMBERS, ids=operation_name)
async def test_another_accounts_rows_do_not_exist(centre: Centre, op: Operation) -> None:
    ours = await tokens_for(centre, *(s.name for s in SCOPES))
    theirs = await tokens_for(centre, *(s.name for s in SCOPES), account="rival")
    path = op.path.format(**await made(centre, ours, op)) + QUERIES.get(operation_name(op), "")
    async with centre.http(**theirs) as http:
        sent = example(op) if op in BODIES else None
        answer = await http.request(op.method, path, json=sent)
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not_found"


SAME_FOR_ALL = ("/account", "/users/me", "/live-queries")
LISTS = [op for op in FENCED if op.method == "GET" and "{" not in op.path and op.path not in SAME_FOR_ALL]


@pytest.mark.parametrize("op", LISTS, ids=operation_name)
async def test_lists_hold_nothing_of_another_account(centre: Centre, op: Operation) -> None:
    ours = await tokens_for(centre, *(s.name for s in SCOPES))
    await made(centre, ours, op)
    account = await centre.account("rival")
    rival = await centre.client(fence(op).name, account="rival")
    async with centre.http(Authorization=f"Bearer {await centre.token(rival)}") as http:
        listing = (await http.get(op.path)).json()
    assert account
    assert listing["total"] == 0


@pytest.mark.parametrize("op", BODIES, ids=operation_name)
async def test_the_example_is_taken_and_strangers_in_it_are_ignored(centre: Centre, op: Operation) -> None:
    headers = await tokens_for(centre, *(s.name for s in SCOPES))
    members = await made(centre, headers, op)
    path = op.path.format(**members)
    sent = filled(example(op), members)
    sent = [one | {"surprise": 1} for one in sent] if isinstance(sent, list) else sent | {"surprise": 1}
    async with centre.http(**headers) as http:
        key = {"idempotency-key": "a-key-of-mine"}
        answer = await http.request(op.method, f"{path}?surprise=1", json=sent, headers=key)
    assert answer.status_code == op.status, answer.text
    assert "surprise" not in answer.text.replace("?surprise=1", "")  # links of a page repeat what was asked


SENSELESS = (b"", b"{", b"[1", b"\xff\xfe", b'"text"', b"null", b"1e999", b"[" * 5000)


@pytest.mark.parametrize("op", BODIES, ids=operation_name)
async def test_a_body_that_makes_no_sense_is_a_400(centre: Centre, op: Operation) -> None:
    headers = await tokens_for(centre, *(s.name for s in SCOPES))
    path = op.path.format(**await made(centre, headers, op))
    members = {"code", "message", "description", "fields"} | ({"error"} if op.errors is Errors.STATE else set())
    async with centre.http(**headers) as http:
        for body in SENSELESS:
            answer = await http.request(op.method, path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400, (body, answer.text)
            assert set(answer.json()) == members, body


@pytest.mark.parametrize("op", BODIES, ids=operation_name)
async def test_a_body_over_the_limit_is_a_413_and_another_media_type_a_415(centre: Centre, op: Operation) -> None:
    async with centre.http(**await tokens_for(centre, *(s.name for s in SCOPES))) as http:
        large = await http.request(op.method, somewhere(op.path), content=b" " * (1024 * 1024 + 1))
        strange = await http.request(
            op.method, somewhere(op.path), content=b"<a/>", headers={"content-type": "text/xml"}
        )
        picky = await http.request(op.method, somewhere(op.path), json=example(op), headers={"accept": "text/csv"})
    assert (large.status_code, strange.status_code, picky.status_code) == (413, 415, 406)


GOOD = [op for op in FENCED if op.method != "DELETE" and op.status < 300]


def schema_of(op: Operation, status: int) -> Any:
    said = DOCUMENT["paths"][op.path][op.method.lower()]["responses"][str(status)]
    content = said.get("content", {}).get("application/json", {}).get("schema")
    return content and {**content, "components": DOCUMENT["components"]}


@pytest.mark.parametrize("op", GOOD, ids=operation_name)
async def test_answers_fit_the_published_contract(centre: Centre, op: Operation) -> None:
    headers = await tokens_for(centre, *(s.name for s in SCOPES))
    members = await made(centre, headers, op)
    path = op.path.format(**members)
    async with centre.http(**headers) as http:
        form = FORMS.get(operation_name(op))
        if form is not None:
            answer = await http.post(path, data=form | {"user_id": await centre.user()})
        else:
            sent = filled(example(op), members) if op in BODIES else FILES.get(operation_name(op))
            answer = await http.request(op.method, path, json=sent)
        missing = await http.request(op.method, somewhere(op.path), content=b"{")
    assert answer.status_code == op.status, answer.text
    schema = schema_of(op, op.status)
    assert (schema is None) == (answer.content == b"")
    if schema is not None:
        Draft202012Validator(schema).validate(answer.json())
    if missing.status_code >= 400:
        Draft202012Validator(schema_of(op, missing.status_code)).validate(missing.json())


def test_scopes_are_declared_where_they_are_used() -> None:
    for api in APIS:
        assert {op.fence for op in api.operations} - {PUBLIC} == set(api.scopes)
    names = [scope.name for api in APIS for scope in api.scopes]
    assert len(names) == len(set(names))


def test_the_contract_is_valid_and_says_every_operation() -> None:
    document = json.loads(msgspec.json.encode(DOCUMENT))
    validate(document)
    said = {(method.upper(), path) for path, ops in DOCUMENT["paths"].items() for method in ops}
    assert said == {(op.method, op.path) for api in APIS for op in api.operations}


def test_the_committed_contract_is_fresh() -> None:
    for name, text in promised().items():
        assert (CONTRACT / name).read_text("utf-8") == text, f"{name}: run `make contract` and read the change"


def test_every_api_that_was_agreed_on_is_there_with_its_scopes() -> None:
    wanted = agreed(CONTRACT)
    assert (len(wanted), sum(map(len, wanted.values()))) == (24, 34)
    there = {title: {scope.name for scope in api.scopes} for title, api in served().items()}
    assert {title: scopes for title, scopes in there.items() if title in wanted} == wanted


def test_the_table_in_the_readme_is_fresh() -> None:
    readme = (CONTRACT.parent / "README.md").read_text("utf-8")
    assert with_table(readme, CONTRACT) == readme, "run `make contract` and read the change"
    assert all(f"\n| {title} | " in readme for title in agreed(CONTRACT))


def test_every_problem_has_one_meaning() -> None:
    said: dict[tuple[str, int], str] = {}
    for api in APIS:
        for op in api.operations:
            for problem in problems_of(op):
                if op.errors is Errors.ENVELOPE:
                    assert said.setdefault((problem.code, problem.status), problem.message) == problem.message
