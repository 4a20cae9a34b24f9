"""Outgoing events at the lengths that the requirements name (R60, R62, R65, R68)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway import delivering
from gateway.store import Store
from gateway.store.rows import DeliveryState
from tests.deliverykills import run
from tests.outkit import Clock, Post
from tests.outproofs import accepted_mutants, is_accepted, walk_two_tenants, wrongly_rebuilt

pytestmark = pytest.mark.proof


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    opened.upgrade()
    yield opened
    opened.close()


def test_a_thousand_kills_lose_no_event(store: Store, url: str) -> None:
    result = run(url, kills=1000, seed=1)
    print(result)
    assert (result.kills, result.lost, result.unknown, result.undelivered) == (1000, 0, 0, 0)
    assert result.repeated > 0  # else the kills did not hit


def test_ten_thousand_events_are_verified_by_the_receivers_package(store: Store) -> None:
    post = Post(store, clock=Clock(datetime.now(UTC)))
    secrets = {}
    for n in range(20):
        made, secret = post.endpoint_and_secret(f"https://hooks.receiver.dev/{n}")
        secrets[made.url] = secret
    for n in range(500):
        post.event(sequence=n)
        post.clock.at = datetime.now(UTC)  # the package refuses what is older than five minutes
        post.round(limit=80)
        for sent in post.egress.sent:
            assert is_accepted(secrets[sent.url], sent.body, dict(sent.headers))
        post.egress.sent.clear()
    post.clock.at = datetime.now(UTC)
    post.rounds()
    for sent in post.egress.sent:
        assert is_accepted(secrets[sent.url], sent.body, dict(sent.headers))
    assert len(post.deliveries(state=DeliveryState.DELIVERED)) == 10_000


def test_none_of_a_hundred_thousand_changed_events_is_accepted() -> None:
    assert accepted_mutants(100_000, seed=2) == 0


def test_a_thousand_dead_events_are_all_delivered_by_a_replay(store: Store) -> None:
    post = Post(store)
    made = [post.endpoint(f"https://hooks.receiver.dev/{n}") for n in range(50)]
    for _ in range(20):
        post.event()
    post.react(500)
    post.run_until_quiet(most=100_000)
    assert len(post.deliveries(state=DeliveryState.DEAD)) == 1000
    post.clock.move(timedelta(days=20))
    assert delivering.purge(post.services) == 0
    post.egress.sent.clear()
    post.react(200)
    assert delivering.replay_dead(post.services) == 1000
    post.rounds()
    assert {(sent.id, sent.url) for sent in post.egress.sent} == {
        (each.notification_id, endpoint.url)
        for endpoint in made
        for each in post.deliveries(endpoint_id=endpoint.id)
    }
    assert len(post.deliveries(state=DeliveryState.DELIVERED)) == 1000


def test_two_tenants_in_a_hundred_thousand_steps(tmp_path: Path) -> None:
    checked = 0
    for seed in range(100):
        opened = Store.open(f"sqlite:///{tmp_path / f'{seed}.db'}")
        opened.upgrade()
        checked += walk_two_tenants(Post(opened), steps=1000, seed=seed)
        opened.close()
    print(f"{checked} deliveries checked")


def test_a_hundred_thousand_calls_are_rebuilt_from_events_in_any_order() -> None:
    assert wrongly_rebuilt(100_000, seed=67) == 0
