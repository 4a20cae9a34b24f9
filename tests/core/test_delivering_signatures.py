"""Signatures of outgoing events, checked by the receivers' own package (R60)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway import delivering, endpoints
from gateway.store import Store
from tests.outkit import Clock, Post, Sent
from tests.outproofs import a_secret, accepted_mutants, is_accepted

DAY = timedelta(days=1)


@pytest.fixture
def post(store: Store) -> Post:
    return Post(store, clock=Clock(datetime.now(UTC)))  # the package compares with the real time


def accepts(secret: str, sent: Sent) -> bool:
    return is_accepted(secret, sent.body, dict(sent.headers))


def test_every_event_is_verified_by_the_receivers_package(post: Post) -> None:
    _, secret = post.endpoint_and_secret()
    events = [post.event(data={"name": text}) for text in ("Zoë", "𝄞", "\u202e", '"\\', "", "x" * 9000)]
    post.rounds()
    by_id = {event.id: event for event in events}
    assert len(post.egress.sent) == 6
    for sent in post.egress.sent:
        assert accepts(secret, sent)
        assert sent.body == by_id[sent.id].payload.encode()
        assert json.loads(sent.body)["type"] == "call.ended"
        assert sent.headers["Content-Type"] == "application/json"
        assert sent.headers["webhook-timestamp"] == str(int(sent.at.timestamp()))


def test_retries_keep_the_id_and_the_body_and_get_a_timestamp_of_their_own(post: Post) -> None:
    _, secret = post.endpoint_and_secret()
    event = post.event()
    post.react(500)
    post.rounds()
    post.clock.move(timedelta(seconds=10))
    post.rounds()
    first, second = post.egress.sent
    assert first.id == second.id == event.id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 10
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert accepts(secret, first)
    assert accepts(secret, second)


def test_during_a_rotation_either_secret_verifies_and_afterwards_only_the_new_one(post: Post) -> None:
    made, first = post.endpoint_and_secret()
    _, second = endpoints.rotate_secret(post.services, made.id, overlap=timedelta(minutes=1))
    post.event()
    post.rounds()
    (sent,) = post.egress.sent
    assert len(sent.headers["webhook-signature"].split(" ")) == 2
    assert accepts(first, sent)
    assert accepts(second, sent)
    assert not accepts(post.endpoint_and_secret()[1], sent)
    post.clock.move(timedelta(minutes=1))
    post.event()
    post.round(limit=1)
    later = post.egress.sent[-1]
    assert accepts(second, later)
    assert not accepts(first, later)


def test_each_endpoint_has_its_own_signature(post: Post) -> None:
    made = [post.endpoint_and_secret(f"https://hooks.receiver.dev/{n}") for n in range(3)]
    secrets = {endpoint.url: secret for endpoint, secret in made}
    post.event()
    post.rounds()
    for sent in post.egress.sent:
        assert [url for url, secret in secrets.items() if accepts(secret, sent)] == [sent.url]


@pytest.mark.parametrize("count", [2000])
def test_no_changed_event_is_accepted(count: int) -> None:
    assert accepted_mutants(count, seed=20260302) == 0


def test_what_was_signed_long_ago_is_refused_by_the_package(post: Post) -> None:
    """A replayed capture: the timestamp is signed, so it cannot be renewed."""
    secret = a_secret()

    def sign(at: datetime) -> dict[str, str]:
        return delivering.signed_headers([secret], "evt_1", "{}", at)

    now = datetime.now(UTC)
    assert is_accepted(secret, b"{}", sign(now))
    old = sign(now - DAY)
    assert not is_accepted(secret, b"{}", old)
    assert not is_accepted(secret, b"{}", {**old, "webhook-timestamp": sign(now)["webhook-timestamp"]})
