"""Every contract test runs for every carrier: through SDK, transport, simulator, web server and store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import registry
from tests.bench import PROVIDERS, Bench, open_bench


@pytest.fixture(params=sorted(registry.BUILT_IN))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A whole gateway for one carrier; a carrier without a bench fails here."""
    assert request.param in PROVIDERS
    with open_bench(request.param, tmp_path) as opened:
        yield opened
