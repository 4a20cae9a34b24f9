"""The guide of the public API, typed into one shell as it stands: a simulator, a server, curl, then its Python.

Only the ports are others, so that several runs stand side by side, and what would fill a terminal of its own runs in
the background.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import Gateway
from gateway.settings import load_settings
from tests.docs.pages import ROOT, Block, blocks

PAGE = ROOT / "docs/api.md"
PORTS = ("8080", "9000", "9100")
# Commands that do not end by themselves, with what says that they are ready.
READY = {
    "gateway simulate": "until [ -s gateway.db ] && grep -q 'listen on port' simulate.log; do sleep 0.1; done",
    "gateway serve": "until curl -sf $GATEWAY_PUBLIC_URL/readyz >readyz; do sleep 0.1; done",
    "gateway webhooks": "sleep 1.5",
}


def typed(block: Block) -> Iterator[str]:
    """A block as lines of one script."""
    if block.language == "python":
        yield f"# kept for the end\ncat >>guide.py <<'END OF BLOCK'\n{block.text}END OF BLOCK"
        return
    for line in block.text.splitlines():
        begin = " ".join(line.split()[:2])
        if begin in READY:
            yield f"{line} >{line.split()[1]}.log 2>&1 &\n{READY[begin]}"
        else:
            yield line


def script() -> str:
    """The whole page."""
    lines = ["set -eu -o pipefail", "trap 'kill $(jobs -p); wait' EXIT"]
    for number, block in enumerate(blocks(PAGE)):
        if block.language in ("bash", "console", "python"):
            lines += [f"echo '== {block.language} {number}'", *typed(block)]
    return "\n".join([*lines, "echo '== guide'", "python guide.py", "sleep 1", ""])


@pytest.fixture
def ports() -> dict[str, str]:
    """A free port for each that the page names."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    found = {port: str(one.getsockname()[1]) for port, one in zip(PORTS, held, strict=True)}
    for one in held:
        one.close()
    return found


def test_the_guide_does_what_it_says(tmp_path: Path, ports: dict[str, str]) -> None:
    text = script().replace("gateway simulate", f"gateway simulate --port {ports['9000']}")
    text = re.sub(r"(?<=127\.0\.0\.1:)(\d{4})", lambda found: ports[found[1]], text)
    text = text.replace('("127.0.0.1", 9100)', f'("127.0.0.1", {ports["9100"]})')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["GATEWAY_BIND"] = f"127.0.0.1:{ports['8080']}"
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    logs = "\n".join(f"== {path.name}\n{path.read_text('utf-8')}" for path in sorted(tmp_path.glob("*.log")))
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{logs}"
    check_curl(done.stdout)
    check_python(done.stdout.partition("== guide\n")[2])
    heard = (tmp_path / "webhooks.log").read_text("utf-8")
    assert {"call.ended", "call.updated"} <= set(re.findall(r"call\.[a-z]+", heard))
    settings = load_settings(env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}")
    with Gateway.open(settings, background=False) as gateway:
        assert gateway.calls.list().calls == (), "both calls were deleted"


def check_curl(out: str) -> None:
    """Placed, watched, fetched, updated, deleted: each line answered what it should."""
    said = [part.strip() for part in re.split(r"== bash \d+", out.partition("== python")[0])[1:]]
    _key, placed, watched, fetched, updated, deleted, _admin = said
    call = json.loads(placed)
    assert (call["status"], call["variables"]) == ("queued", {"first_name": "Jane"})
    assert [each["id"] for each in json.loads(watched)["data"]] == [call["id"]]
    assert (json.loads(fetched)["id"], json.loads(fetched)["status"]) == (call["id"], "busy")
    assert json.loads(updated)["context"]["follow_up"] == "tomorrow"
    assert deleted == ""


def check_python(out: str) -> None:
    """The receiver heard signed events with masked numbers; the caller read what became of its call."""
    lines = out.splitlines()
    assert lines == ["call.ended busy …0124", "['busy'] 1", "busy busy +14155550124"]


def test_the_guide_is_run_with_its_python() -> None:
    """`test_every_page_with_python_is_run_here` looks for run("docs/api.md"); it is run by the script above."""
    assert "python guide.py" in script()
    assert script().count("END OF BLOCK") == 2 * len(blocks(PAGE, "python"))
