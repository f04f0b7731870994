"""Real server processes, for the tests that look at the program from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RINGFENCE = Path(sys.executable).with_name("ringfence")
README = Path(__file__).parent.parent / "README.md"


@dataclass
class Server:
    """A running `ringfence serve`, and the folder that its database is in."""

    process: subprocess.Popen[bytes]
    folder: Path
    environment: dict[str, str]
    ready: dict[str, Any]

    @property
    def base(self) -> str:
        url: str = self.ready["base_url"]
        return url

    def client(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(c for c in self.ready["clients"] if c["name"] == name)
        return found

    def ringfence(self, *arguments: str, code: int = 0) -> str:
        """Run a command beside the server; its output."""
        done = subprocess.run(
            [str(RINGFENCE), *arguments], cwd=self.folder, env=self.environment, capture_output=True, timeout=60
        )
        assert done.returncode == code, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


def start(folder: Path, *options: str, **settings: Any) -> Server:
    """Start a server over `folder` and wait until it answers."""
    ready_file = folder / "ready.json"
    ready_file.unlink(missing_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")},
        "RINGFENCE_DEMO_CALLS": "0",  # a test has the calls that it makes
        **{f"RINGFENCE_{name.upper()}": str(value) for name, value in settings.items()},
        "COLUMNS": "200",
    }
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [str(RINGFENCE), "serve", "--port", "0", "--ready-file", str(ready_file), *options],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    give_up = time.monotonic() + 30
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            process.kill()
            raise AssertionError((folder / "server.log").read_text()[-3000:])
        time.sleep(0.02)
    return Server(process, folder, environment, json.loads(ready_file.read_text()))


@contextmanager
def serving(folder: Path, *options: str, **settings: Any) -> Iterator[Server]:
    server = start(folder, *options, **settings)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            server.process.wait(10)


def pasted(heading: str, server: Server, *, first: int = 0, instead: Mapping[str, str] = {}) -> list[str]:
    """What the commands of a section of the README print, block by block from the `first`; other words `instead`."""
    walk = README.read_text("utf-8").partition(f"\n## {heading}")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", walk, re.DOTALL)[first:]
    assert blocks, heading
    script = "set -um\n" + "\n".join(f"{block}\necho '--- {n}'" for n, block in enumerate(blocks))
    script = script.replace("http://127.0.0.1:8000", server.base)
    script = script.replace('"$PWD/.venv/bin:$PATH"', f'"{RINGFENCE.parent}:$PATH"')
    for old, new in instead.items():
        script = script.replace(old, new)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=server.folder,
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    told = done.stdout.decode()
    assert "Traceback" not in told, told
    return re.split(r"--- \d\n", told)
