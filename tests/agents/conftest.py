"""The agent runtime's tests run in an environment of their own (`make test-agents`); elsewhere they are skipped.

pytest imports this everywhere, so nothing of pipecat is imported here before a test needs it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.runtime import PageAgent, serve_page
from tests.bench import PROVIDERS, Bench, open_bench


@pytest.fixture(scope="session")
def pipecat_is_there() -> None:
    if importlib.util.find_spec("pipecat") is not None:
        return
    missing = "pipecat-ai is not installed: run `make test-agents`, which has an environment of its own"
    if os.environ.get("GATEWAY_TEST_AGENTS"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(params=PROVIDERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, pipecat_is_there: None) -> Iterator[Bench]:
    """A whole gateway for one carrier, at the pace of a real call: the agent's pipeline has a clock of its own."""
    with open_bench(request.param, tmp_path, speed=1) as opened:
        opened.gw.services.prepare_providers()  # as `gateway serve` does at its start: no call waits for a library
        yield opened


@pytest.fixture
def page(bench: Bench) -> Iterator[PageAgent]:
    """The agent of docs/agents.md, set up as the agent of the bench's number."""
    from gateway import Agent, Stream

    with serve_page(bench.web.url) as agent:
        bench.gw.agents.put(Agent(id="echo", connect=Stream(agent.url)))
        yield agent
