"""What the authorization server takes and what it refuses."""

import re
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2 as httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from sqlalchemy import select

from ringfence.fence import grants
from ringfence.floor.directory import set_role
from ringfence.kernel.world import FrozenWorld
from ringfence.oauth import clients, keys, people
from ringfence.oauth.authentication import JWT_BEARER
from ringfence.store.statement import Statement
from ringfence.store.tables import metadata
from tests.conftest import BASE, Centre, OpenHouse

CALLBACK = "https://crm.example/callback"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
PASSWORD = "correct horse battery"
SCOPES = ("contacts:read", "contacts:write", "openid", "users:read")
WEB = {"grant_types": ["client_credentials", "authorization_code", "refresh_token"], "redirect_uris": [CALLBACK]}
JOSE = JWSRegistry(algorithms=["ES256", "ES384", "PS256", "RS256", "HS256", "none"])


async def ask(centre: Centre, client: clients.NewClient | None = None, **form: str) -> httpx.Response:
    """A token request by Basic."""
    async with centre.http() as http:
        if client is None:
            return await http.post("/oauth/token", data=form)
        return await http.post("/oauth/token", data=form, auth=(client.row["id"], client.secret))


# -- client authentication


async def test_credentials_are_taken_by_basic_raw_or_encoded_and_by_form(centre: Centre) -> None:
    client = await centre.client("contacts:read", secret="a+b c/%:=é")
    form = {"grant_type": "client_credentials"}
    async with centre.http() as http:
        for secret in (client.secret, quote(client.secret, safe="")):
            basic = b64encode(f"{client.row['id']}:{secret}".encode()).decode()
            answer = await http.post("/oauth/token", data=form, headers={"authorization": f"basic {basic}"})
            assert answer.status_code == 200, answer.text
        posted = form | {"client_id": client.row["id"], "client_secret": client.secret}
        assert (await http.post("/oauth/token", data=posted)).status_code == 200


async def test_grant_type_may_come_in_the_url_with_an_empty_body(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    auth = (client.row["id"], client.secret)
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with centre.http(**form) as http:
        assert (await http.post("/oauth/token?grant_type=client_credentials", auth=auth)).status_code == 200
        for leak in ("client_secret=x", "code=x", "client_assertion=x", "refresh_token=x"):
            answer = await http.post(f"/oauth/token?grant_type=client_credentials&{leak}", auth=auth)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", "Basic " + b64encode(b"nocolon").decode(), "Basic " + b64encode(b"\xff:\xfe").decode()],
)
async def test_unreadable_basic_credentials_are_a_401(centre: Centre, header: str) -> None:
    async with centre.http(authorization=header) as http:
        answer = await http.post("/oauth/token", data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_what_is_wrong_with_a_token_request_is_said(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    said = {
        "unsupported_grant_type": await ask(centre, client, grant_type="password"),
        "unauthorized_client": await ask(centre, client, grant_type="refresh_token", refresh_token="x"),
        "invalid_scope": await ask(centre, client, grant_type="client_credentials", scope="users:read"),
        "invalid_request": await ask(centre, client, scope="contacts:read"),
    }
    for error, answer in said.items():
        assert (answer.status_code, answer.json()["error"]) == (400, error)
        assert answer.headers["cache-control"] == "no-store"
    async with centre.http() as http:
        auth = (client.row["id"], client.secret)
        twice = await http.post(
            "/oauth/token",
            content="grant_type=client_credentials&grant_type=client_credentials",
            headers={"content-type": "application/x-www-form-urlencoded"},
            auth=auth,
        )
        assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
        as_json = await http.post("/oauth/token", json={"grant_type": "client_credentials"}, auth=auth)
        assert (as_json.status_code, as_json.json()["error"]) == (400, "invalid_request")
        both = await http.post(
            "/oauth/token", data={"grant_type": "client_credentials", "client_secret": client.secret}, auth=auth
        )
        assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["grant_type=%ff", "grant_type=%00", "&".join(f"a{n}=1" for n in range(600))])
async def test_forms_that_are_not_text_are_a_400(centre: Centre, form: str) -> None:
    async with centre.http(**{"content-type": "application/x-www-form-urlencoded"}) as http:
        answer = await http.post("/oauth/token", content=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def signing(centre: Centre, alg: str = "ES256") -> tuple[clients.NewClient, clients.NewKey]:
    client = await centre.client("contacts:read")
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, client.row["account_id"], "test")
        key = await clients.make_key(ctx, client=client.row["id"], alg=alg)
    return client, key


def assertion(world: FrozenWorld, client: clients.NewClient, key: clients.NewKey, **claims: Any) -> dict[str, str]:
    kind = ECKey if key.alg.startswith("ES") else RSAKey
    now = int(world.time())
    id = client.row["id"]
    said = {"iss": id, "sub": id, "aud": f"{BASE}/oauth/token", "jti": "j1", "iat": now, "exp": now + 300} | claims
    head = {"alg": key.alg, "kid": key.kid}
    signed = jwt.encode(head, said, kind.import_key(key.private_pem), algorithms=[key.alg])
    form = {"client_assertion_type": JWT_BEARER, "client_assertion": signed}
    return {"grant_type": "client_credentials", **form}


@pytest.mark.parametrize("alg", clients.ASSERTION_ALGORITHMS)
async def test_every_signature_algorithm_of_the_contract_is_taken_once(
    centre: Centre, world: FrozenWorld, alg: str
) -> None:
    client, key = await signing(centre, alg)
    form = assertion(world, client, key)
    assert (await ask(centre, None, **form)).status_code == 200
    replayed = await ask(centre, None, **form)
    assert (replayed.status_code, replayed.json()["error"]) == (401, "invalid_client")
    assert "used before" in replayed.json()["error_description"]


WRONG = [
    {"aud": "https://elsewhere.example/oauth/token"},
    {"aud": [f"{BASE}/oauth/token", "https://elsewhere.example"]},
    {"iss": "somebody"},
    {"exp": 1},
    {"exp": "soon"},
    {"exp": 10**18},
    {"iat": 10**10},
    {"nbf": 10**10},
    {"jti": None},
    {"jti": ""},
    {"jti": 7},
]


@pytest.mark.parametrize("claims", WRONG, ids=str)
async def test_an_assertion_with_wrong_claims_is_refused(
    centre: Centre, world: FrozenWorld, claims: dict[str, Any]
) -> None:
    client, key = await signing(centre)
    answer = await ask(centre, None, **assertion(world, client, key, **claims))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_an_assertion_by_another_key_or_algorithm_is_refused(centre: Centre, world: FrozenWorld) -> None:
    client, key = await signing(centre)
    other = clients.NewKey(key.kid, "ES256", ECKey.generate_key("P-256").as_pem(private=True).decode())
    for form in (
        assertion(world, client, other),
        {**assertion(world, client, key), "client_assertion": "a.b.c"},
        {**assertion(world, client, key), "client_assertion": "eyJhbGciOiJub25lIn0.e30."},
        {**assertion(world, client, key), "client_id": "0" * 32},
    ):
        answer = await ask(centre, None, **form)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_secret_is_rotated_with_and_without_grace(centre: Centre, world: FrozenWorld) -> None:
    client = await centre.client("contacts:read")
    form = {"grant_type": "client_credentials"}

    async def rotate(grace: int) -> clients.NewClient:
        async with centre.house.db.writing() as tx:
            ctx = centre.house.ctx(tx, client.row["account_id"], "test")
            new = await clients.rotate_secret(ctx, client=client.row["id"], grace=grace)
        return clients.NewClient(client.row, new)

    second = await rotate(60)
    assert [(await ask(centre, c, **form)).status_code for c in (client, second)] == [200, 200]
    world.advance(61)
    assert [(await ask(centre, c, **form)).status_code for c in (client, second)] == [401, 200]
    third = await rotate(0)
    assert [(await ask(centre, c, **form)).status_code for c in (second, third)] == [401, 200]


# -- scopes with a life


async def grant(centre: Centre, client: clients.NewClient, *scopes: str) -> None:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, client.row["account_id"], "test")
        await grants.add(ctx, client=client.row["id"], scopes=scopes, known=centre.house.scopes, reason="r")


async def end(centre: Centre, client: clients.NewClient, scope: str, how: str = "remove") -> None:
    async with centre.house.db.writing() as tx:
        ctx = centre.house.ctx(tx, client.row["account_id"], "test")
        await getattr(grants, how)(ctx, client=client.row["id"], scope=scope, reason="r")


async def test_a_pending_scope_is_a_401_that_names_it_until_its_second(centre: Centre, world: FrozenWorld) -> None:
    client = await centre.client("contacts:read")
    await grant(centre, client, "contacts:write")
    form = {"grant_type": "client_credentials", "scope": "contacts:read contacts:write"}
    waiting = await ask(centre, client, **form)
    assert waiting.status_code == 401
    assert waiting.headers["retry-after"] == "120"
    body = waiting.json()
    assert body["error"] == "invalid_scope"
    assert body["pending"] == [{"scope": "contacts:write", "effective_at": "2026-01-05T09:02:00Z"}]
    assert (await ask(centre, client, grant_type="client_credentials")).json()["scope"] == "contacts:read"
    world.advance(119.9)
    assert (await ask(centre, client, **form)).status_code == 401
    world.advance(0.1)
    assert (await ask(centre, client, **form)).json()["scope"] == "contacts:read contacts:write"


async def test_only_pending_scopes_and_no_wish_is_a_401(centre: Centre) -> None:
    client = await centre.client()
    await grant(centre, client, "contacts:write")
    assert (await ask(centre, client, grant_type="client_credentials")).status_code == 401


async def test_a_cancelled_scope_was_never_there_and_may_be_given_again(centre: Centre, world: FrozenWorld) -> None:
    client = await centre.client()
    await grant(centre, client, "contacts:write")
    await end(centre, client, "contacts:write", "cancel")
    form = {"grant_type": "client_credentials", "scope": "contacts:write"}
    assert (await ask(centre, client, **form)).status_code == 400
    await grant(centre, client, "contacts:write")
    world.advance(120)
    assert (await ask(centre, client, **form)).status_code == 200


async def test_removal_acts_on_tokens_already_issued(centre: Centre) -> None:
    client = await centre.client("contacts:read", "account:read")
    headers = {"Authorization": f"Bearer {await centre.token(client)}"}
    async with centre.http(**headers) as http:
        assert (await http.get("/contacts")).status_code == 200
        await end(centre, client, "contacts:read")
        assert (await http.get("/contacts")).status_code == 403
        assert (await http.get("/account")).status_code == 200


async def test_the_history_says_who_what_why_and_from_where(centre: Centre, world: FrozenWorld) -> None:
    client = await centre.client()
    await grant(centre, client, "contacts:write")
    world.advance(120)
    await centre.settle()
    await end(centre, client, "contacts:write")
    await centre.settle()
    async with centre.house.db.reading() as tx:
        ctx = centre.house.ctx(tx, client.row["account_id"], "test")
        told = await grants.history(ctx, client.row["id"])
    assert [e["type"] for e in told] == [
        "client.created", "client.scope_added", "client.scope_effective", "client.scope_removed"
    ]  # fmt: skip
    assert {e["actor"] for e in told} == {"test", "job:fence.activate"}
    assert told[1]["data"]["reason"] == "r"


async def test_refresh_token_as_a_scope_is_taken_silently(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    answer = await ask(centre, client, grant_type="client_credentials", scope="refresh_token contacts:read")
    assert answer.json()["scope"] == "contacts:read"


# -- access tokens


async def refused(centre: Centre, token: str) -> str:
    async with centre.http(Authorization=f"Bearer {token}") as http:
        answer = await http.get("/contacts")
    assert answer.status_code == 401, answer.text
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert answer.json()["code"] == "invalid_token"
    told: str = answer.json()["description"]
    return told


async def test_an_expired_token_is_refused_and_said_to_be(centre: Centre, world: FrozenWorld) -> None:
    token = await centre.token(await centre.client("contacts:read"))
    world.advance(600)
    assert "expired" in await refused(centre, token)


async def test_garbled_unsigned_and_foreign_tokens_are_refused(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    token = await centre.token(client)
    head, body, signature = token.split(".")
    key = ECKey.generate_key("P-256")
    claims = jwt.decode(token, (await centre.house.keys.signer("ES256"))[0]).claims
    kid = (await centre.house.keys.signer("ES256"))[1]
    foreign = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims, key)
    unknown = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "0" * 32}, claims, key)
    none = urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt","kid":"%s"}' % kid.encode()).decode().rstrip("=")
    rsa = (await centre.house.keys.signer("RS256"))[1]
    confused = urlsafe_b64encode(b'{"alg":"ES256","typ":"at+jwt","kid":"%s"}' % rsa.encode()).decode().rstrip("=")
    for bad in (
        "x", "a.b.c", "..", token + "x", token[:-4] + "AAAA", f"{head}.{body}.", f"{none}.{body}.",
        f"{none}.{body}.{signature}", f"{confused}.{body}.{signature}", foreign, unknown, "sts_unknown",
        "x" * 9000, f"{head}.{body[:-2]}AA.{signature}",
    ):  # fmt: skip
        await refused(centre, bad)


async def test_an_id_token_is_no_access_token(centre: Centre) -> None:
    token = await tokens_of_a_login(centre, await web(centre), "openid contacts:read")
    assert "header" in await refused(centre, token["id_token"])


async def test_a_deleted_clients_token_is_refused(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    token = await centre.token(client)
    async with centre.house.db.writing() as tx:
        await clients.delete(centre.house.ctx(tx, client.row["account_id"], "test"), client=client.row["id"])
    assert "no longer exists" in await refused(centre, token)


async def test_an_opaque_token_lives_while_it_is_used(centre: Centre, world: FrozenWorld) -> None:
    client = await centre.client("contacts:read")
    token = await centre.token(client, token_type="opaque", expires_in="60")
    async with centre.http(Authorization=token) as bare, centre.http(Authorization=f"bearer {token}") as http:
        for _ in range(5):
            world.advance(50)
            assert (await http.get("/contacts")).status_code == 200
            assert (await bare.get("/contacts")).status_code == 200
        world.advance(61)
        assert (await http.get("/contacts")).status_code == 401
    for odd in ("59", "2592001", "x", "-1", "1e3"):
        form = {"grant_type": "client_credentials", "token_type": "opaque", "expires_in": odd}
        assert (await ask(centre, client, **form)).status_code == 400


async def test_signing_keys_rotate_and_old_tokens_stay_good(centre: Centre) -> None:
    client = await centre.client("contacts:read")
    old = await centre.token(client)
    async with centre.house.db.writing() as tx:
        made = await keys.rotate(centre.house.ctx(tx, "", "test"), centre.house.vault)
    await centre.house.view.refresh()
    new = await centre.token(client)
    async with centre.http() as http:
        published = {key["kid"] for key in (await http.get("/oauth/certs")).json()["keys"]}
        assert set(made) < published
        assert "d" not in str([set(key) & {"d", "p", "q"} for key in (await http.get("/oauth/certs")).json()["keys"]])
        for token in (old, new):
            answer = await http.get("/contacts", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 200


# -- people


async def web(centre: Centre, *scopes: str, **facts: Any) -> clients.NewClient:
    if not await people_exist(centre):
        await centre.user("ana@acme.example", password_hash=await people.hash_password(PASSWORD))
    return await centre.client(*(scopes or SCOPES), **(WEB | facts))


async def people_exist(centre: Centre) -> bool:
    async with centre.house.db.reading() as tx:
        ctx = centre.house.ctx(tx, await centre.account(), "test")
        return await people.find_person(ctx, "ana@acme.example") is not None


def wish(client: clients.NewClient, **more: str) -> dict[str, str]:
    given = {"client_id": client.row["id"], "redirect_uri": CALLBACK, "response_type": "code", "state": "s-1"}
    return given | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | more


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


async def code_for(centre: Centre, client: clients.NewClient, **more: str) -> str:
    async with centre.http() as browser:
        page = await browser.get("/oauth/authorize", params=wish(client, **more))
        person = {"email": "ana@acme.example", "password": PASSWORD}
        answer = await browser.post("/oauth/login", data=hidden(page.text) | person)
        page = await browser.get(answer.headers["location"])
        if page.status_code == 200:
            page = await browser.post("/oauth/consent", data=hidden(page.text) | {"decision": "allow"})
    assert page.status_code == 302, page.text
    return parse_qs(urlsplit(page.headers["location"]).query)["code"][0]


async def exchange(centre: Centre, client: clients.NewClient, code: str, **more: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return await ask(centre, client, **(form | more))


async def tokens_of_a_login(centre: Centre, client: clients.NewClient, scope: str) -> dict[str, str]:
    answer = await exchange(centre, client, await code_for(centre, client, scope=scope))
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


async def status(centre: Centre, token: str, path: str = "/contacts") -> int:
    async with centre.http(Authorization=f"Bearer {token}") as http:
        return (await http.get(path)).status_code


async def test_a_code_replayed_revokes_what_it_gave(centre: Centre) -> None:
    client = await web(centre)
    code = await code_for(centre, client, scope="contacts:read")
    token = (await exchange(centre, client, code)).json()
    assert await status(centre, token["access_token"]) == 200
    replayed = await exchange(centre, client, code)
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert await status(centre, token["access_token"]) == 401
    again = await ask(centre, client, grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


async def test_a_code_is_bound_to_its_client_uri_verifier_and_minute(centre: Centre, world: FrozenWorld) -> None:
    client, other = await web(centre), await web(centre)
    code = await code_for(centre, client)
    for answer in (
        await exchange(centre, other, code),
        await exchange(centre, client, code, redirect_uri=f"{CALLBACK}/"),
        await exchange(centre, client, code, code_verifier="w" * 43),
        await exchange(centre, client, code, code_verifier="short"),
        await exchange(centre, client, code, code_verifier=""),
        await exchange(centre, client, "made-up"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    wrong = clients.NewClient(client.row, "not the secret")
    assert (await exchange(centre, wrong, code)).status_code == 401
    assert (await exchange(centre, client, code)).status_code == 200
    late = await code_for(centre, client)
    world.advance(60)
    assert (await exchange(centre, client, late)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "uri",
    [
        "https://crm.example/callback/", "https://crm.example/callback?x=1", "https://crm.example/callback#f",
        "https://crm.example.evil.example/callback", "http://crm.example/callback", "https://CRM.example/callback",
        "https://crm.example:443/callback", "https://crm.example/callback/../callback", "javascript:alert(1)", "//x",
        "https://user@crm.example/callback", "https://crm.example/callback%00", "",
    ],
)  # fmt: skip
async def test_redirect_uris_match_exactly_or_nobody_is_redirected(centre: Centre, uri: str) -> None:
    client = await web(centre)
    async with centre.http(accept="text/html") as http:
        page = await http.get("/oauth/authorize", params=wish(client, redirect_uri=uri))
        machine = await http.get(
            "/oauth/authorize", params=wish(client, redirect_uri=uri), headers={"accept": "application/json"}
        )
    assert page.status_code == 400
    assert "location" not in page.headers
    if uri and "%00" not in uri:
        assert machine.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "given, error",
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"scope": "account:read"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"request": "x"}, "invalid_request"),
    ],
)
async def test_faults_after_the_redirect_uri_go_back_to_the_client(
    centre: Centre, given: dict[str, str], error: str
) -> None:
    client = await web(centre)
    async with centre.http() as http:
        answer = await http.get("/oauth/authorize", params=wish(client, **given))
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.status_code == 302
    assert (back["error"], back["state"], back["iss"]) == ([error], ["s-1"], [BASE])


async def test_a_public_client_needs_pkce_and_no_secret(centre: Centre) -> None:
    client = await web(centre, kind="public", grant_types=["authorization_code", "refresh_token"])
    async with centre.http() as http:
        bare = {k: v for k, v in wish(client).items() if not k.startswith("code_challenge")}
        answer = await http.get("/oauth/authorize", params=bare)
        assert "error=invalid_request" in answer.headers["location"]
        code = await code_for(centre, client)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        granted = await http.post("/oauth/token", data=form | {"client_id": client.row["id"]})
        assert granted.status_code == 200


async def test_wrong_passwords_are_throttled_and_nobody_learns_who_exists(centre: Centre, world: FrozenWorld) -> None:
    client = await web(centre)
    async with centre.http() as browser:

        async def attempt(email: str, password: str) -> httpx.Response:
            page = await browser.get("/oauth/authorize", params=wish(client))
            return await browser.post("/oauth/login", data=hidden(page.text) | {"email": email, "password": password})

        known, unknown = await attempt("ana@acme.example", "wrong"), await attempt("who@acme.example", "wrong")
        assert (known.status_code, unknown.status_code) == (401, 401)
        assert known.text.count("is not right") == unknown.text.count("is not right") == 1
        for _ in range(4):
            await attempt("ana@acme.example", "wrong")
        held = await attempt("ANA@acme.example ", PASSWORD)
        assert held.status_code == 429
        assert int(held.headers["retry-after"]) > 0
        world.advance(301)
        assert (await attempt("ana@acme.example", PASSWORD)).status_code == 303


async def test_forged_forms_are_refused(centre: Centre) -> None:
    client = await web(centre)
    async with centre.http() as browser, centre.http() as stranger:
        page = await browser.get("/oauth/authorize", params=wish(client))
        person = {"email": "ana@acme.example", "password": PASSWORD}
        stolen = await stranger.post("/oauth/login", data=hidden(page.text) | person)
        assert stolen.status_code == 400
        answer = await browser.post("/oauth/login", data=hidden(page.text) | person)
        page = await browser.get(answer.headers["location"])
        form = hidden(page.text) | {"decision": "allow"}
        assert (await stranger.post("/oauth/consent", data=form)).status_code == 400
        changed = form | {"query": form["query"].replace("s-1", "s-2")}
        assert (await browser.post("/oauth/consent", data=changed)).status_code == 400
        assert "form-action 'self' https://crm.example" in page.headers["content-security-policy"]


async def test_refresh_tokens_rotate_and_reuse_revokes_the_family(centre: Centre, world: FrozenWorld) -> None:
    client = await web(centre)
    first = await tokens_of_a_login(centre, client, "contacts:read")

    async def refresh(token: str, **more: str) -> httpx.Response:
        return await ask(centre, client, grant_type="refresh_token", refresh_token=token, **more)

    second = (await refresh(first["refresh_token"])).json()
    world.advance(5)
    tolerated = await refresh(first["refresh_token"])
    assert tolerated.status_code == 200
    world.advance(6)
    reused = await refresh(first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert (await refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
    assert await status(centre, second["access_token"]) == 401


async def test_a_refresh_narrows_and_follows_removals(centre: Centre) -> None:
    client = await web(centre)
    token = await tokens_of_a_login(centre, client, "contacts:read contacts:write")

    async def refresh(**more: str) -> httpx.Response:
        answer = await ask(centre, client, grant_type="refresh_token", refresh_token=token["refresh_token"], **more)
        if answer.status_code == 200:
            token.update(answer.json())
        return answer

    assert (await refresh(scope="contacts:read")).json()["scope"] == "contacts:read"
    assert (await refresh(scope="users:read")).json()["error"] == "invalid_scope"
    await end(centre, client, "contacts:write")
    assert (await refresh()).json()["scope"] == "contacts:read"
    assert (await refresh(scope="contacts:write")).json()["error"] == "invalid_scope"
    await grant(centre, client, "contacts:write")
    assert (await refresh(scope="contacts:write")).status_code == 401


async def test_an_unused_refresh_token_dies(centre: Centre, world: FrozenWorld) -> None:
    client = await web(centre)
    token = await tokens_of_a_login(centre, client, "contacts:read")
    world.advance(30 * 86400)
    answer = await ask(centre, client, grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert answer.json()["error"] == "invalid_grant"


async def test_what_a_person_may_do_is_cut_to_their_roles_at_each_request(centre: Centre) -> None:
    account = await centre.account()
    async with centre.house.db.writing() as tx:
        await set_role(centre.house.ctx(tx, account, "test"), name="agent", scopes=["contacts:read"])
    hashed = await people.hash_password(PASSWORD)
    await centre.user("ana@acme.example", roles=["agent"], password_hash=hashed)
    client = await web(centre)
    token = await tokens_of_a_login(centre, client, "contacts:read contacts:write")
    assert token["scope"] == "contacts:read"
    assert await status(centre, token["access_token"], "/users") == 403
    async with centre.house.db.writing() as tx:
        await set_role(centre.house.ctx(tx, account, "test"), name="agent", scopes=[])
    assert await status(centre, token["access_token"]) == 403


async def test_ending_sessions_ends_tokens(centre: Centre) -> None:
    client = await web(centre)
    token = await tokens_of_a_login(centre, client, "openid contacts:read")
    async with centre.http(Authorization=f"Bearer {token['access_token']}") as http:
        user = (await http.get("/users/me")).json()["id"]
    async with await centre.signed_in("user-session-public:end") as http:
        for bad in ({}, {"user_id": "short"}, {"user_id": user, "reason": "because"}):
            assert (await http.post("/oauth/end_user_session", data=bad)).status_code == 400
        assert (await http.post("/oauth/end_user_session", data={"user_id": "0" * 24})).status_code == 404
        done = await http.post("/oauth/end_user_session", data={"user_id": user, "reason": "force_logout"})
        assert done.status_code == 204
    assert await status(centre, token["access_token"]) == 401
    again = await ask(centre, client, grant_type="refresh_token", refresh_token=token["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


async def test_userinfo_is_for_people(centre: Centre) -> None:
    client = await centre.client("openid", "contacts:read")
    assert await status(centre, await centre.token(client), "/users/me") == 403  # openid comes by login alone


# -- introspection, revocation, discovery


async def test_introspection_tells_what_a_token_may_do_now(centre: Centre) -> None:
    client, other = await centre.client("contacts:read", "account:read"), await centre.client()
    rival = await centre.client(account="rival")
    token = await centre.token(client)

    async def introspect(by: clients.NewClient, token: str, **headers: str) -> dict[str, Any]:
        async with centre.http(**headers) as http:
            auth = (by.row["id"], by.secret)
            answer = await http.post("/oauth/introspect", data={"token": token}, auth=auth)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    told = await introspect(other, token)
    assert told["active"] is True
    assert told["scope"] == told["scp"] == "account:read contacts:read"
    assert (told["client_id"], told["aid"]) == (client.row["id"], client.row["account_id"])
    await end(centre, client, "contacts:read")
    assert (await introspect(other, token))["scope"] == "account:read"
    assert await introspect(rival, token) == {"active": False}
    assert await introspect(other, "nonsense") == {"active": False}
    wrapped = await introspect(other, token, accept="application/vnd.ringfence.introspection+json")
    assert wrapped["token_introspection"]["active"] is True
    assert {"kid", "sig"} < set(wrapped)


async def test_revocation_is_for_ones_own_tokens(centre: Centre) -> None:
    client, other = await centre.client("contacts:read"), await centre.client("contacts:read")
    for kind in ({}, {"token_type": "opaque"}):
        token = await centre.token(client, **kind)
        for by, after in ((other, 200), (client, 401)):
            async with centre.http() as http:
                auth = (by.row["id"], by.secret)
                answer = await http.post("/oauth/revoke", data={"token": token}, auth=auth)
            assert (answer.status_code, answer.content) == (200, b"")
            assert await status(centre, token) == after


async def test_metadata_lead_to_endpoints_that_exist(centre: Centre) -> None:
    async with centre.http() as http:
        told = (await http.get("/.well-known/openid-configuration")).json()
        assert told == (await http.get("/.well-known/oauth-authorization-server")).json()
        assert told["issuer"] == BASE
        for name, url in told.items():
            if name.endswith(("_endpoint", "_uri")):
                assert (await http.get(url)).status_code in (200, 302, 400, 401, 405)
        guarded = (await http.get("/.well-known/oauth-protected-resource")).json()
        assert guarded["authorization_servers"] == [BASE]


async def test_hosts_name_the_account_when_domains_are_configured(opened: OpenHouse) -> None:
    centre = await opened(identity_domains="id.example", identity_base="https://{account}.id.example")
    client = await centre.client("contacts:read")
    await centre.account("rival")
    form = {"grant_type": "client_credentials"}
    async with centre.http() as http:
        for host, expected in (("acme.id.example", 200), ("rival.id.example", 401), ("nobody.id.example", 401)):
            answer = await http.post(
                "/oauth/token", data=form, auth=(client.row["id"], client.secret), headers={"host": host}
            )
            assert answer.status_code == expected
        told = await http.get("/.well-known/openid-configuration", headers={"host": "acme.id.example"})
        assert told.json()["issuer"] == "https://acme.id.example"


async def test_token_requests_are_limited_per_client(opened: OpenHouse) -> None:
    centre = await opened(token_rate_limit=2, rate_limit=2)
    client = await centre.client("contacts:read")
    form = {"grant_type": "client_credentials"}
    answers = [await ask(centre, client, **form) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
    async with centre.http(Authorization=f"Bearer {answers[0].json()['access_token']}") as http:
        found = [await http.get("/contacts") for _ in range(3)]
    assert [a.status_code for a in found] == [200, 200, 429]
    assert found[0].headers["ratelimit-limit"] == "2"
    assert found[0].headers["ratelimit-remaining"] == "1"
    assert found[2].json()["code"] == "rate_limited"


async def test_keys_may_be_published_by_the_client_itself(
    centre: Centre, world: FrozenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await centre.client("contacts:read", jwks_uri="https://keys.example/jwks")
    first, second = (keys.generate("ES256") for _ in range(2))
    published = [dict(first.as_dict(private=False)) | {"kid": "one"}]
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return msgspec.json.encode({"keys": published})

    monkeypatch.setattr("ringfence.oauth.remote_keys.fetch", fetch)

    async def signed(kid: str, key: Any, jti: str) -> int:
        made = clients.NewKey(kid, "ES256", key.as_pem(private=True).decode())
        return (await ask(centre, None, **assertion(world, client, made, jti=jti))).status_code

    assert await signed("one", first, "1") == 200
    assert await signed("one", first, "2") == 200
    assert await signed("two", second, "3") == 401
    assert asked == ["https://keys.example/jwks"]
    published.append(dict(second.as_dict(private=False)) | {"kid": "two"})
    world.advance(31)
    assert await signed("two", second, "4") == 200
    assert len(asked) == 2


async def test_rs256_is_used_where_it_is_asked_for(opened: OpenHouse) -> None:
    centre = await opened(token_algorithm="RS256")
    token = await tokens_of_a_login(centre, await web(centre, id_token_alg="RS256"), "openid contacts:read")
    key = (await centre.house.keys.signer("RS256"))[0]
    for name in ("access_token", "id_token"):
        assert jwt.decode(token[name], key, algorithms=["RS256"]).header["alg"] == "RS256"
    assert await status(centre, token["access_token"]) == 200


async def test_nothing_secret_is_kept_in_the_clear(centre: Centre) -> None:
    client = await web(centre)
    token = await tokens_of_a_login(centre, client, "contacts:read")
    opaque = await centre.token(client, token_type="opaque")
    await centre.house.usage.flush()
    secrets = {client.secret, token["refresh_token"], token["access_token"], opaque, PASSWORD}
    async with centre.house.db.reading() as tx:
        for table in metadata.sorted_tables:
            for row in await tx.all(Statement(select(table), everywhere=True)):
                kept = str(row)
                assert not [secret for secret in secrets if secret in kept], table.name
                assert '"d":' not in kept, table.name
