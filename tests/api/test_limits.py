"""How often a key may be used, over all workers, and how often an address may be wrong (R82)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gateway.store import rates
from gateway.web.api.limits import RateLimit
from tests.api.support import Client, Site, error_of


class Still:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock(site: Site) -> Still:
    site.gw.services.clock = made = Still()
    return made


def allowed(limit: RateLimit, key: str, tries: int) -> int:
    return sum(limit.hit(key) is None for _ in range(tries))


def test_a_key_is_refused_beyond_its_rate_and_told_how_long_to_wait(make_site: Callable[..., Site]) -> None:
    site = make_site(rate_limit_per_key="5/minute")
    site.gw.services.clock = clock = Still()
    client, other = site.client(), site.client()
    assert [client.get("/calls").status_code for _ in range(6)] == [200] * 5 + [429]
    answer = client.get("/calls")
    assert error_of(answer) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "60"
    assert other.get("/calls").status_code == 200, "each key has its own"
    clock.at = clock.at.replace(minute=1)
    assert client.get("/calls").status_code == 200


def test_wrong_keys_of_one_address_are_refused_beyond_their_rate(make_site: Callable[..., Site]) -> None:
    site = make_site(rate_limit_failed_auth="3/minute")
    site.gw.services.clock = Still()
    wrong, right = Client(site, "gwk_" + "A" * 43), site.client()
    assert [wrong.get("/calls").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert right.get("/calls").status_code == 200, "a good key does not pay for the wrong ones of its address"
    answer = site.app.test_client().get(
        "/api/public/v1/calls",
        headers={"Authorization": f"Bearer {wrong.secret}"},
        environ_base={"REMOTE_ADDR": "192.0.2.9"},
    )
    assert answer.status_code == 401, "another address has its own"


@pytest.mark.parametrize("rate", [600, 1000, 100])
def test_four_workers_share_a_limit_within_5_percent(site: Site, clock: Still, rate: int) -> None:
    workers = [RateLimit(site.gw.services, "key", f"{rate}/minute") for _ in range(4)]
    passed = sum(workers[n % 4].hit("k") is None for n in range(2 * rate))
    assert 0.95 * rate <= passed <= rate


def test_a_worker_that_gets_everything_gets_the_whole_limit(site: Site, clock: Still) -> None:
    assert allowed(RateLimit(site.gw.services, "key", "600/minute"), "k", 700) == 600


def test_a_request_seldom_writes(site: Site, clock: Still) -> None:
    limit = RateLimit(site.gw.services, "key", "1000/minute")
    claims: list[str] = []
    store, transaction = site.gw.services.store, site.gw.services.store.transaction
    store.transaction = lambda: claims.append("claim") or transaction()  # type: ignore[assignment, func-returns-value, method-assign]
    assert allowed(limit, "k", 3000) == 1000
    assert len(claims) == 101, "a hundred slices, and one that tells that the limit is reached"


def test_a_new_window_begins_by_the_clock(site: Site, clock: Still) -> None:
    limit = RateLimit(site.gw.services, "key", "10/second")
    for second in range(3):
        clock.at = clock.at.replace(second=second)
        assert allowed(limit, "k", 15) == 10
        assert limit.hit("k") == 1


def test_a_million_addresses_leave_a_bounded_memory(site: Site, clock: Still) -> None:
    limit = RateLimit(site.gw.services, "failed_auth", "300/minute")
    for n in range(10_500):
        with_slices = limit._limiter.storage
        with_slices._slices[(f"address {n}", clock())] = None  # type: ignore[attr-defined]
        limit._remember(f"address {n}", clock())
    limit.hit("one more")
    assert len(with_slices._slices) == 10_000  # type: ignore[attr-defined]
    assert len(limit._reached) == 10_000


def test_old_counts_are_forgotten(site: Site, clock: Still) -> None:
    limit = RateLimit(site.gw.services, "key", "10/minute")
    limit.hit("k")
    first = clock.at
    clock.at = first.replace(day=4)
    limit.hit("k")
    key = limit._item.key_for("key", "k")
    assert rates.window_counts(site.gw.services.store, key, 60, first) == (0, 0)
    assert rates.window_counts(site.gw.services.store, key, 60, clock.at) == (0, 1)
