"""The published contract, thrown at a running server by somebody else's fuzzer: every operation, on a lived-in centre.

RINGFENCE_SEEDS holds more seeds, separated by commas; RINGFENCE_EXAMPLES how many cases each operation gets.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from ringfence.apis.all import APIS
from ringfence.kernel.catalog import PUBLIC, operation_name
from tests.servers import Server, serving
from tests.walk import Walk

pytestmark = [pytest.mark.process, pytest.mark.slow]
ROOT = Path(__file__).parent.parent
SEEDS = [20260105, *(int(seed) for seed in os.environ.get("RINGFENCE_SEEDS", "").split(",") if seed)]
EXAMPLES = os.environ.get("RINGFENCE_EXAMPLES", "4")
LOOKS = 20  # for what is done a moment later
GOOD = {"200", "302", "303"}
OPERATIONS = [op for api in APIS for op in api.operations]
PATIENCE = 900  # seconds that one run may take
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
SETTINGS = {"rate_limit": 0, "token_rate_limit": 0, "flows_rate_limit": 0, "token_lifetime": 3600, "demo_calls": 300}
# what no list leads this client to: links that are signed, ids that only an event tells, who a person is
UNTOLD = {"/uploads/{upload_id}", "/recordings/{recording_id}/file", "/data/report-files/{id}",
          "/events/signature-keys/{key_id}", "/apps/{app_id}/events/{event_id}", "/users/me"}  # fmt: skip


def signed_in(server: Server) -> httpx.Client:
    full = server.client("full")
    auth = (full["client_id"], full["client_secret"])
    answer = httpx.post(f"{server.base}/oauth/token", data={"grant_type": "client_credentials"}, auth=auth)
    token = answer.json()["access_token"]
    return httpx.Client(base_url=server.base, headers={"authorization": f"Bearer {token}"}, timeout=30)


def known(server: Server, http: httpx.Client, document: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """What there is to be asked for; the first of it where no list tells."""
    walk = Walk(http, document)
    calls = json.loads(server.ringfence("calls", "list", "--last", "300", "--json"))
    for call in sorted(calls, key=lambda one: one["state"] != "ended"):
        walk.add("/calls/{call_id}/recordings", {"call_id": call["id"]})
        for one in http.get(f"/calls/{call['id']}/recordings").json()["_embedded"]["recordings"]:
            members = {"interaction_id": call["id"], "recording_id": one["id"]}
            walk.add("/recordings/{recording_id}", {"recording_id": one["id"]})
            walk.add("/interactions/{interaction_id}/recordings/{recording_id}", members)
    for flow in json.loads(server.ringfence("flows", "list", "--json")):
        walk.add("/flows/{flow_id}/interactions", {"flow_id": flow["id"]})
    for group in http.get("/ring-groups").json()["_embedded"]["ring_groups"]:
        walk.add("/ring-groups/{ring_group}/users", {"ring_group": group["name"]})
    for installation in json.loads(server.ringfence("apps", "installations", "--json")):
        members = {"app_id": installation["app_id"], "installation_id": installation["id"]}
        walk.add("/apps/{app_id}/installations/{installation_id}", members)
    for type in ("calls", "contacts", "ring_attempts"):
        walk.add("/data/reports/{type}/jobs", {"type": type})
        walk.add("/reports/{type}/jobs", {"type": type})
    for trigger in ("noteCreated", "contactUpdated"):
        walk.add("/webhooks/triggers/{trigger}", {"trigger": trigger})
        walk.add("/webhooks/schemas/{list_id}", {"list_id": trigger})
        walk.add("/webhooks/schema/{list_id}", {"list_id": trigger})
    for number in ("+351210000001", "+442030000300"):
        walk.add("/identity/phonevalidations/{phone_number}", {"phone_number": number})
        walk.add("/identity/phonevalidations/{phone_number}/stats", {"phone_number": number})
    hook = {"callback_url": "https://crm.example/hook", "event_types": ["contact.*"]}
    http.put("/events/subscriptions", json=hook).raise_for_status()
    table = "agent_email,event_type_name,start_at,end_at,description\n"
    row = "ana@acme.example,Nothing,2026-03-01 09:00,2026-03-01 10:00,x\n"  # of a type that there is not
    sent = {"csv_file": ("january.csv", (table + row).encode(), "text/csv")}
    imported = http.post("/wfm/aion/v1/schedules/event-imports", files=sent).json()["id"]
    for path in ("", "/errors"):
        walk.add("/wfm/aion/v1/schedules/event-imports/{import_id}" + path, {"import_id": imported})
    walk.walk()
    for _ in range(LOOKS):  # what takes a moment is there by then: a report's file, a delivery
        if not never_found(answered(http)):
            break
        time.sleep(1)
        walk.look_around()
    for members in walk.found["/contacts/{contact_id}"]:
        walk.add("/contacts/{contact_id}/custom-fields/{key}", members | {"key": "tier"})
    return {path: held for path, held in walk.found.items() if held}


def answered(http: httpx.Client) -> dict[str, dict[str, int]]:
    """How often each operation has answered with which status."""
    found: dict[str, dict[str, int]] = {}
    line = re.compile(r'ringfence_requests_total{operation="([^"]+)",status="(\d+)"} ([\d.e+]+)')
    for name, status, count in line.findall(http.get("/metrics").text):
        found.setdefault(name, {})[status] = int(float(count))
    return found


def never_found(statuses: dict[str, dict[str, int]]) -> list[str]:
    """Reads behind the fence that have never led to anything."""
    gets = [op for op in OPERATIONS if op.method == "GET" and op.fence is not PUBLIC and op.path not in UNTOLD]
    return [name for op in gets if not GOOD & statuses.get(name := operation_name(op), {}).keys()]


@pytest.mark.parametrize("seed", SEEDS)
def test_schemathesis_finds_no_500_and_no_breach_of_the_contract(tmp_path: Path, seed: int) -> None:
    with serving(tmp_path, "--demo", "--backfill", "1d", **SETTINGS) as server, signed_in(server) as http:
        document = http.get("/openapi.json").json()
        there = known(server, http, document)
        (tmp_path / "known.json").write_text(json.dumps(there), "utf-8")
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.base}/openapi.json",
            "-H", f"Authorization: {http.headers['authorization']}", "-n", EXAMPLES, "--seed", str(seed),
            "--continue-on-failure", "--phases", "examples,coverage,fuzzing", "--request-timeout", "10",
            "--generation-database", "none", "--no-shrink", "--checks", ",".join(CHECKS),
        ]  # fmt: skip
        hooks = {"SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks", "RINGFENCE_KNOWN": str(tmp_path / "known.json")}
        environment = os.environ | hooks | {"PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout.decode()[-60000:] + done.stderr.decode()[-2000:]
        assert "request.failed" not in (tmp_path / "server.log").read_text()
        statuses = answered(http)
    assert [name for op in OPERATIONS if (name := operation_name(op)) not in statuses] == [], "never asked"
    assert never_found(statuses) == []
