"""What the documentation says is true."""

import importlib
import re
import socket
import wave
from pathlib import Path

import pytest

from ringfence.apis.all import APIS
from ringfence.kernel.settings import as_markdown
from tests.servers import README as PAGE
from tests.servers import pasted, serving

ROOT = Path(__file__).parent.parent
README = PAGE.read_text("utf-8")
NAMED = re.compile(r"`((?:web|fence|store|oauth|kernel|apis|floor|sandbox|cli)\.[\w.]+)`")


@pytest.mark.parametrize("page", ["request.md", "event.md"])
def test_every_name_on_the_walks_exists(page: str) -> None:
    names = NAMED.findall((ROOT / "docs" / page).read_text("utf-8"))
    assert len(names) > 8
    for name in names:
        parts = f"ringfence.{name}".split(".")
        for cut in range(len(parts), 1, -1):
            try:
                found = importlib.import_module(".".join(parts[:cut]))
            except ImportError:
                continue
            for attribute in parts[cut:]:
                found = getattr(found, attribute)
            break
        else:
            raise AssertionError(f"{name} does not exist")


def test_the_readme_lists_every_setting_and_every_api() -> None:
    told = README.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0]
    assert told == as_markdown(), "paste the output of `ringfence settings --markdown`"
    for api in APIS:
        for scope in api.scopes:
            assert f"`{scope.name}`" in README


def test_every_link_in_the_documentation_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.process
def test_the_readmes_tour_works_as_pasted(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", activation_delay=6) as server:
        soon = {"ACTIVATION_DELAY=20": "ACTIVATION_DELAY=6"}
        made, read, refused, pending, admitted, removed = pasted("Five minutes", server, first=1, instead=soon)[:6]
    assert "client_id" in made
    assert '"total":60' in read
    assert "403 Forbidden" in refused
    assert 'scope="contacts:write"' in refused
    assert "401 Unauthorized" in pending
    assert '"effective_at"' in pending
    assert "201 Created" in admitted
    assert "403 Forbidden" in removed
    assert "client.scope_removed" in removed


@pytest.mark.process
def test_the_readmes_call_works_as_pasted(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with serving(tmp_path, "--demo", "--speed", "2", private_receivers="on") as server:
        told = pasted("A call, from", server, first=1, instead={"9009": port})
    _, subscribed, called, fetched = told[:4]
    assert "client_id" in subscribed
    assert (tmp_path / "secret.txt").read_text().startswith("whsec_")
    assert '"interaction_id"' in called
    assert re.search(r"call\.answered .*sales", called), called
    for event in ("call.started", "agent.status_changed busy", "recording.created conversation", "call.ended Answered"):
        assert f"signed: {event}" in called
    assert '"type":"conversation"' in fetched
    with wave.open(str(tmp_path / "call.wav")) as audio:
        assert audio.getnchannels() == 2
        assert 3 <= audio.getnframes() / audio.getframerate() <= 7


@pytest.mark.process
def test_the_readmes_report_works_as_pasted(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", "--backfill", "1d", demo_calls=100) as server:
        written, _, _ = pasted("A report in three", server)
    assert "rows in calls.csv" in written
    assert "studio_flow_execution" in written
    assert (tmp_path / "calls.svg").read_text().startswith("<svg ")
    here, by_api = ((tmp_path / name).read_text().splitlines() for name in ("calls.csv", "by-api.csv"))
    assert here[0] == by_api[0]
    assert len(by_api) > 20
    assert {line[:32] for line in here} <= {line[:32] for line in by_api}  # and perhaps a call that ended meanwhile


@pytest.mark.process
def test_what_guardian_tells_works_as_pasted(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", "--backfill", "30d") as server:
        told, _ = pasted("What is out of the ordinary", server)
    assert "impossible_travel" in told
    assert '"case":"hold_and_hang_up"' in told


@pytest.mark.process
def test_time_off_usage_and_consent_work_as_pasted(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        away, used, agreed, _ = pasted("Away, used, agreed", server)
    assert '"event_type_name":"Training"' in away, away
    assert re.search(r"Hugo.*away_training", away), away
    assert '"product_name":' in used
    assert '"plafond":' in used
    assert '"status":"CONSENTED"' in agreed
    assert re.search(r"DELETED.*opt_out", agreed), agreed
