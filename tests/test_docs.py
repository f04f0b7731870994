"""What the documentation says is true."""

import importlib
import re
import socket
import subprocess
import wave
from pathlib import Path

import pytest

from ringfence.apis.all import APIS
from ringfence.kernel.settings import as_markdown
from tests.servers import RINGFENCE, serving

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
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
    tour = README.partition("## Five minutes")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", tour, re.DOTALL)
    assert "make serve" in blocks[0]
    with serving(tmp_path, "--demo", activation_delay=6) as server:
        script = "set -u\n" + "\n".join(f"{block}\necho '--- {n}'" for n, block in enumerate(blocks[1:]))
        script = script.replace("http://127.0.0.1:8000", server.base).replace(
            "ACTIVATION_DELAY=20", "ACTIVATION_DELAY=6"
        )
        script = script.replace('"$PWD/.venv/bin:$PATH"', f'"{RINGFENCE.parent}:$PATH"')
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=server.environment, capture_output=True, timeout=120
        )
    out = done.stdout.decode()
    made, read, refused, pending, admitted, removed = re.split(r"--- \d\n", out)[:6]
    assert done.stderr.decode().strip() == "", done.stderr.decode()
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
    walk = README.partition("## A call, from")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", walk, re.DOTALL)
    assert "make serve" in blocks[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving(tmp_path, "--demo", "--speed", "2", private_receivers="on") as server:
        script = "set -um\n" + "\n".join(f"{block}\necho '--- {n}'" for n, block in enumerate(blocks[1:]))
        script = script.replace("http://127.0.0.1:8000", server.base).replace("9009", str(port))
        script = script.replace('"$PWD/.venv/bin:$PATH"', f'"{RINGFENCE.parent}:$PATH"')
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=server.environment, capture_output=True, timeout=120
        )
    _, subscribed, called, fetched = re.split(r"--- \d\n", done.stdout.decode())[:4]
    assert "Traceback" not in done.stderr.decode(), done.stderr.decode()
    assert "client_id" in subscribed
    assert (tmp_path / "secret.txt").read_text().startswith("whsec_")
    assert '"interaction_id"' in called
    assert re.search(r"call\.answered .*sales", called), called
    for told in ("call.started", "agent.status_changed busy", "recording.created conversation", "call.ended Answered"):
        assert f"signed: {told}" in called
    assert '"type":"conversation"' in fetched
    with wave.open(str(tmp_path / "call.wav")) as audio:
        assert audio.getnchannels() == 2
        assert 3 <= audio.getnframes() / audio.getframerate() <= 7


@pytest.mark.process
def test_the_readmes_report_works_as_pasted(tmp_path: Path) -> None:
    walk = README.partition("## A report in three")[2].partition("\n## ")[0]
    script = "set -u\n" + "\n".join(re.findall(r"```\n(.*?)```", walk, re.DOTALL))
    with serving(tmp_path, "--demo", "--backfill", "1d", demo_calls=100) as server:
        script = script.replace("http://127.0.0.1:8000", server.base)
        script = script.replace('"$PWD/.venv/bin:$PATH"', f'"{RINGFENCE.parent}:$PATH"')
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=server.environment, capture_output=True, timeout=120
        )
    assert "Traceback" not in done.stderr.decode(), done.stderr.decode()
    assert "rows in calls.csv" in done.stderr.decode()
    assert "studio_flow_execution" in done.stdout.decode()
    assert (tmp_path / "calls.svg").read_text().startswith("<svg ")
    here, by_api = ((tmp_path / name).read_text().splitlines() for name in ("calls.csv", "by-api.csv"))
    assert here[0] == by_api[0]
    assert len(by_api) > 20
    assert {line[:32] for line in by_api} <= {line[:32] for line in here}  # the port of links is the test's own
