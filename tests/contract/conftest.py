"""Every contract test runs for every carrier: through SDK, transport, simulator, web server and store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import registry
from tests.bench import PROVIDERS, Bench, open_bench
from tests.ownerkit import Owner, open_owner


@pytest.fixture(params=sorted(registry.BUILT_IN))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A whole gateway for one carrier; a carrier without a bench fails here."""
    assert request.param in PROVIDERS
    with open_bench(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(params=sorted(registry.BUILT_IN))
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    """An account with two numbers that go somewhere else, and a gateway that knows nothing of it."""
    with open_owner(request.param, tmp_path, sweeps=False) as opened:
        yield opened
