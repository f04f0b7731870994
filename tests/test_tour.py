"""The README's tour, against a real process and with somebody else's OAuth client."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from tests.servers import Server, serving

pytestmark = pytest.mark.process
DELAY = 5
CALLBACK = "http://localhost:3000/callback"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tour"), "--demo", activation_delay=DELAY, rate_limit=0) as found:
        yield found


def made(server: Server, name: str, *options: str) -> tuple[str, str]:
    said = server.ringfence("clients", "create", name, *options)
    return re.search(r"client_id +(\w+)", said)[1], re.search(r"client_secret +(\S+)", said)[1]  # type: ignore[index]


def test_a_scope_is_missing_then_pending_then_effective_then_gone(server: Server) -> None:
    id, secret = made(server, "crm", "--scope", "contacts:read")
    with OAuth2Client(id, secret, token_endpoint=f"{server.base}/oauth/token") as crm:
        first = crm.fetch_token(grant_type="client_credentials")
        assert first["scope"] == "contacts:read"
        assert crm.get(f"{server.base}/contacts").json()["total"] == 60
        refused = crm.post(f"{server.base}/contacts", json={"name": "Ana"})
        assert refused.status_code == 403
        assert 'scope="contacts:write"' in refused.headers["www-authenticate"]

        server.ringfence("grants", "add", "crm", "contacts:write", "--reason", "two-way sync")
        form = {"grant_type": "client_credentials", "scope": "contacts:write"}
        waiting = httpx.post(f"{server.base}/oauth/token", data=form, auth=(id, secret))
        assert waiting.status_code == 401
        assert waiting.json()["error"] == "invalid_scope"
        assert waiting.json()["pending"][0]["scope"] == "contacts:write"
        assert 1 <= int(waiting.headers["retry-after"]) <= DELAY
        assert "contacts:write" in server.ringfence("grants", "wait", "crm")

        crm.fetch_token(grant_type="client_credentials", scope="contacts:write")
        assert crm.post(f"{server.base}/contacts", json={"name": "Ana"}).status_code == 201
        server.ringfence("grants", "remove", "crm", "contacts:write", "--reason", "no longer needed")
        gone = crm.post(f"{server.base}/contacts", json={"name": "Ana"})
        assert gone.status_code == 403
    history = server.ringfence("grants", "history", "crm")
    for word in ("client.scope_added", "client.scope_effective", "client.scope_removed", "two-way sync"):
        assert word in history


def test_activation_happens_at_its_second_and_never_before(server: Server) -> None:
    id, secret = made(server, "clockwork", "--scope", "account:read")
    server.ringfence("grants", "add", "clockwork", "users:read")
    form = {"grant_type": "client_credentials", "scope": "users:read"}
    effective = 0.0
    with httpx.Client() as http:
        while True:
            before = time.time()
            answer = http.post(f"{server.base}/oauth/token", data=form, auth=(id, secret))
            if answer.status_code == 200:
                break
            at = answer.json()["pending"][0]["effective_at"]
            effective = time.mktime(time.strptime(at, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
            time.sleep(0.05)
    assert effective <= time.time()
    assert before - effective < 1 + 1  # the answer names whole seconds, so up to one more


def test_a_client_may_sign_instead_of_sharing_a_secret(server: Server, tmp_path: Path) -> None:
    id, _ = made(server, "signer", "--scope", "account:read")
    pem = tmp_path / "signer.pem"
    kid = re.search(r"kid +(\w+)", server.ringfence("clients", "add-key", "signer", "--out", str(pem)))[1]  # type: ignore[index]
    endpoint = f"{server.base}/oauth/token"
    key = ECKey.import_key(pem.read_text())
    with OAuth2Client(id, key, token_endpoint_auth_method="private_key_jwt") as signer:
        signer.register_client_auth_method(PrivateKeyJWT(endpoint, alg="ES256", headers={"kid": kid}))
        signer.fetch_token(endpoint, grant_type="client_credentials")
        assert signer.get(f"{server.base}/account").json()["name"] == "acme"


def through_the_pages(server: Server, url: str, person: dict[str, str], decision: str = "allow") -> str:
    """Log in and decide as a browser would; where it leads."""
    with httpx.Client(base_url=server.base, headers={"accept": "text/html"}) as browser:
        page = browser.get(url)
        assert page.status_code == 200
        assert "Log in" in page.text
        answer = browser.post("/oauth/login", data=hidden(page.text) | person)
        assert answer.status_code == 303
        page = browser.get(answer.headers["location"])
        if page.status_code == 200:
            assert "will be able to" in page.text
            assert "See your contacts" in page.text
            page = browser.post("/oauth/consent", data=hidden(page.text) | {"decision": decision})
        assert page.status_code == 302
        location: str = page.headers["location"]
        return location


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


@pytest.fixture
def person(server: Server) -> dict[str, str]:
    found = next(u for u in server.ready["users"] if u["email"].startswith("bruno"))
    return {"email": found["email"], "password": found["password"]}


def logged_in(server: Server, person: dict[str, str], scope: str) -> tuple[OAuth2Client, dict[str, Any]]:
    full = server.client("full")
    web = OAuth2Client(
        full["client_id"],
        full["client_secret"],
        scope=scope,
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint=f"{server.base}/oauth/token",
    )
    verifier = "v" * 64
    url, state = web.create_authorization_url(f"{server.base}/oauth/authorize", code_verifier=verifier, nonce="n-1")
    back = through_the_pages(server, url, person)
    assert back.startswith(CALLBACK)
    answer = parse_qs(urlsplit(back).query)
    assert answer["state"] == [state]
    assert answer["iss"] == [server.base]
    token = web.fetch_token(authorization_response=back, code_verifier=verifier)
    return web, dict(token)


def test_a_person_logs_in_consents_and_is_known(server: Server, person: dict[str, str]) -> None:
    web, token = logged_in(server, person, "openid contacts:read")
    with closing(web):
        me = web.get(f"{server.base}/users/me").json()
        assert me["email"] == person["email"]
        keys = KeySet.import_key_set(httpx.get(f"{server.base}/oauth/certs").json())
        claims = jwt.decode(token["id_token"], keys).claims
        assert (claims["iss"], claims["sub"], claims["nonce"]) == (server.base, me["sub"], "n-1")
        assert claims["sid"] == token["sid"]


def test_refresh_tokens_rotate_and_revocation_ends_them(server: Server, person: dict[str, str]) -> None:
    web, token = logged_in(server, person, "contacts:read")
    endpoint = f"{server.base}/oauth/token"
    with closing(web):
        second = web.refresh_token(endpoint, refresh_token=token["refresh_token"])
        assert second["refresh_token"] != token["refresh_token"]
        assert web.get(f"{server.base}/contacts").status_code == 200
        web.revoke_token(f"{server.base}/oauth/revoke", token=second["refresh_token"])  # type: ignore[no-untyped-call]
        refused = web.get(f"{server.base}/contacts")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_who_says_no_is_sent_back_with_access_denied(server: Server, person: dict[str, str]) -> None:
    full = server.client("full")
    query = f"client_id={full['client_id']}&redirect_uri={CALLBACK}&response_type=code&prompt=consent&state=s"
    url = f"/oauth/authorize?{query}&scope=contacts:read"
    back = parse_qs(urlsplit(through_the_pages(server, url, person, decision="deny")).query)
    assert back["error"] == ["access_denied"]
    assert back["state"] == ["s"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_five_seconds_and_finishes_what_is_in_flight(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, "--demo") as server:
        full = server.client("full")
        auth = (full["client_id"], full["client_secret"])
        token = httpx.post(f"{server.base}/oauth/token", data={"grant_type": "client_credentials"}, auth=auth).json()
        parts = urlsplit(server.base)
        head = f"POST /contacts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token['access_token']}\r\n"
        with socket.create_connection((parts.hostname, parts.port), 5) as wire:
            wire.sendall(f'{head}content-length: 14\r\nconnection: close\r\n\r\n{{"name":'.encode())
            time.sleep(0.3)
            started = time.monotonic()
            server.process.send_signal(number)
            time.sleep(0.3)
            wire.sendall(b'"Ana"}')
            answer = b""
            while part := wire.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 201"), answer
        assert server.process.wait(5) == 0
        assert time.monotonic() - started < 5
        assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_the_ready_file_holds_what_a_script_needs(server: Server) -> None:
    assert set(server.ready) == {"base_url", "account", "clients", "users"}
    assert {c["name"] for c in server.ready["clients"]} == {"full", "read-only", "pending"}
    pending = server.client("pending")
    assert pending["scopes"] == ["contacts:read"]
    with httpx.Client(base_url=server.base) as http:
        for client in server.ready["clients"]:
            auth = (client["client_id"], client["client_secret"])
            token = http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth)
            assert token.status_code == 200
            assert set(client["scopes"]) >= set(token.json()["scope"].split()) - {"contacts:write"}
