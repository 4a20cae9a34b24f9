"""The long checks of `tests/proof/test_public_api.py`, short (R9, R36, R37, R81-R83, R85, R87)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.support import Site
from tests.apiproofs import (
    BOMBS,
    FILTERS,
    ask_hostile,
    differing_strings,
    induce_errors,
    race_keys,
    spend_limit,
    throw_bombs,
    use_revoked_key,
    walk_two_tenants,
)
from tests.core.conftest import postgres_url  # noqa: F401 - the fixture


@pytest.fixture
def url(site: Site) -> str:
    return site.gw.settings.database_url


def test_one_key_is_one_call_on_two_workers(site: Site, url: str) -> None:
    raced = race_keys(url, site.client().secret or "", processes=2, threads=6, keys=8)
    assert (raced.keys, raced.most_ids_of_a_key, raced.dials) == (8, 1, 8)
    assert raced.statuses == {201: 96}


def test_four_workers_keep_one_limit_within_5_percent(site: Site, url: str) -> None:
    assert 190 <= spend_limit(url, site.client().secret or "", workers=4, rate=200) <= 200


def test_a_revoked_key_opens_nothing_on_any_worker_after_a_second(site: Site, url: str) -> None:
    for before, after in use_revoked_key(site, url, workers=2, tries=100):
        assert before > 0
        assert after == 0


def test_two_tenants_meet_nothing_of_each_other(site: Site) -> None:
    done = walk_two_tenants(site, steps=1500, seed=1)
    assert min(done.values()) > 50
    assert done["calls theirs"] > 100
    assert min(done["credentials theirs"], done["numbers theirs"]) > 50


def test_no_hostile_word_in_a_filter_is_an_error_of_ours(site: Site) -> None:
    statuses = ask_hostile(site, words=100, seed=1)
    assert statuses.total() == 100 * len(FILTERS)
    assert {each.split()[1] for each in statuses} <= {"200", "422"}


def test_no_bomb_is_an_error_of_ours(site: Site) -> None:
    found = throw_bombs(site, times=1)
    assert {status for status, _ in found.values()} <= {400, 413, 422}
    assert len(found) == len(BOMBS)


@pytest.mark.postgres
def test_strings_are_stored_alike_on_both_databases(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    assert differing_strings([f"sqlite:///{tmp_path / 'a.db'}", postgres_url], strings=500, seed=1) == (
        0,
        500,
    )


def test_no_error_of_ours_shows_its_insides(site: Site) -> None:
    statuses, leaked = induce_errors(site, count=300, seed=1)
    assert leaked == []
    assert set(statuses) <= {500, 503, 422}
    assert statuses[500] > 100
