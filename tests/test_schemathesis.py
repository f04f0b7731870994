"""The published contract, thrown at a running server by somebody else's fuzzer."""

import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.servers import serving

pytestmark = [pytest.mark.process, pytest.mark.slow]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


def test_schemathesis_finds_no_500_and_no_breach_of_the_contract(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo", rate_limit=0, token_rate_limit=0) as server:
        full = server.client("full")
        form = {"grant_type": "client_credentials"}
        auth = (full["client_id"], full["client_secret"])
        token = httpx.post(f"{server.base}/oauth/token", data=form, auth=auth).json()["access_token"]
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.base}/openapi.json",
            "-H", f"Authorization: Bearer {token}", "-n", "30", "--continue-on-failure", "--checks", ",".join(CHECKS),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stdout.decode()[-60000:]
        assert "request.failed" not in (tmp_path / "server.log").read_text()
