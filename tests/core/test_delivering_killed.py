"""A process that delivers is killed anywhere: no event is lost (R62). `make proof` does it a thousand times."""

from __future__ import annotations

from gateway.store import Store
from tests.deliverykills import run


def test_no_kill_loses_an_event(store: Store, database_url: str) -> None:
    result = run(database_url, kills=8, seed=20260304)
    assert (result.lost, result.unknown, result.undelivered) == (0, 0, 0), result
    assert result.events >= 8
