"""R1 at its full size: 1,000 kills on SQLite, 200 on PostgreSQL. Run by `make proof`; some minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.conftest import postgres_url  # noqa: F401 - the fixture
from tests.kills import Tally, kill

pytestmark = pytest.mark.proof


def nobody_is_rung_twice(tally: Tally, cycles: int) -> None:
    print(tally)  # the figures, for who runs it with -s
    assert tally.failures == []
    assert tally.most_dials_of_one_person == 1
    assert sum(tally.kills.values()) == sum(tally.settled.values()) == cycles


def test_a_thousand_kills_on_sqlite(tmp_path: Path) -> None:
    nobody_is_rung_twice(kill(1000, tmp_path), 1000)


@pytest.mark.postgres
def test_two_hundred_kills_on_postgresql(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    nobody_is_rung_twice(kill(200, tmp_path, database_url=postgres_url), 200)
