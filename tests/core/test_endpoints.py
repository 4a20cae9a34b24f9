"""Webhook endpoints: what may be one, whose it is, and its secrets."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import endpoints
from gateway.errors import NotFound, ValidationError
from gateway.models import DEFAULT_WORKSPACE
from gateway.store import Store
from gateway.store import endpoints as stored
from tests.outkit import URL, Post

OTHER = "another-tenant"
DAY = timedelta(days=1)


@pytest.fixture
def post(store: Store) -> Post:
    return Post(store)


def live(post: Post, endpoint_id: str) -> tuple[str, ...]:
    found = stored.find_sealed_endpoint(post.store, endpoint_id)
    assert found is not None
    return endpoints.live_secrets(post.services, found, post.clock())


def test_an_endpoint_is_made_with_a_secret_of_32_random_bytes(post: Post) -> None:
    made, secret = post.endpoint_and_secret()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert (made.url, made.event_types, made.is_enabled) == (URL, (), True)
    assert endpoints.list_endpoints(post.services) == [made]
    assert secret != post.endpoint_and_secret()[1]


def test_the_secret_is_neither_shown_again_nor_in_the_database(tmp_path: Path) -> None:
    file = tmp_path / "gateway.db"
    opened = Store.open(f"sqlite:///{file}")
    opened.upgrade()
    post = Post(opened)
    made, secret = post.endpoint_and_secret()
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    shown = repr(post.load(made)) + repr(stored.find_sealed_endpoint(post.store, made.id))
    opened.close()
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    for form in (secret, secret.removeprefix("whsec_"), raw.hex()):
        assert form not in shown
        assert form.encode() not in kept
    assert raw not in kept


def test_types_are_kept_once_in_one_order_and_unknown_ones_refused_by_name(post: Post) -> None:
    made = post.endpoint(event_types=["call.ended", "call.ringing", "call.ended"])
    assert made.event_types == ("call.ringing", "call.ended")
    every = post.endpoint(event_types=["number.drifted", "call.analyzed", "call.recording_ready"])
    assert every.wants("call.analyzed")
    with pytest.raises(ValidationError, match=r"'call.endet' is not one of: call.ringing") as refused:
        post.endpoint(event_types=["call.endet"])
    assert refused.value.field == "event_types"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.receiver.dev",
        "http://hooks.receiver.dev/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://user:pass@hooks.receiver.dev/",
        "https://hooks.receiver.dev:22/",
        "https://hooks.receiver.dev/#a",
        "https://hooks.receiver.dev/" + "a" * 2000,
    ],
)
def test_an_address_that_nothing_may_be_sent_to_is_no_endpoint(post: Post, url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        post.endpoint(url)
    assert refused.value.field == "url"
    made = post.endpoint()
    with pytest.raises(ValidationError):
        endpoints.change_endpoint(post.services, made.id, url=url)
    assert post.load(made).url == URL


def test_the_operator_can_allow_the_host_of_the_embedding_program(store: Store) -> None:
    url = "http://localhost:5000/hooks"
    with pytest.raises(ValidationError):
        Post(store).endpoint(url)
    assert Post(store, allowed_webhook_hosts=("localhost",)).endpoint(url).url == url


def test_both_secrets_are_live_until_the_overlap_is_over(post: Post) -> None:
    made, first = post.endpoint_and_secret()
    assert live(post, made.id) == (first,)
    _, second = endpoints.rotate_secret(post.services, made.id)
    assert live(post, made.id) == (second, first)
    post.clock.move(DAY - timedelta(microseconds=1))
    assert live(post, made.id) == (second, first)
    post.clock.move(timedelta(microseconds=1))
    assert live(post, made.id) == (second,)


def test_a_second_rotation_leaves_the_last_two_secrets(post: Post) -> None:
    made, first = post.endpoint_and_secret()
    _, second = endpoints.rotate_secret(post.services, made.id)
    _, third = endpoints.rotate_secret(post.services, made.id)
    assert live(post, made.id) == (third, second)
    assert first not in live(post, made.id)


def test_a_secret_that_others_know_is_over_at_once(post: Post) -> None:
    made, first = post.endpoint_and_secret()
    endpoints.rotate_secret(post.services, made.id)
    _, last = endpoints.rotate_secret(post.services, made.id, overlap=timedelta(0))
    assert live(post, made.id) == (last,)
    assert first != last


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31)])
def test_an_overlap_without_measure_is_refused(post: Post, overlap: timedelta) -> None:
    made, secret = post.endpoint_and_secret()
    with pytest.raises(ValidationError, match="overlap"):
        endpoints.rotate_secret(post.services, made.id, overlap=overlap)
    assert live(post, made.id) == (secret,)


def test_address_and_types_change_apart(post: Post) -> None:
    made = post.endpoint(event_types=["call.ended"])
    post.clock.move(DAY)
    moved = endpoints.change_endpoint(post.services, made.id, url="https://other.receiver.dev/")
    assert (moved.url, moved.event_types) == ("https://other.receiver.dev/", ("call.ended",))
    assert moved.updated_at == post.clock()
    everything = endpoints.change_endpoint(post.services, made.id, event_types=[])
    assert (everything.url, everything.event_types) == ("https://other.receiver.dev/", ())
    assert post.load(made) == everything


def test_enabling_clears_what_disabled_it(post: Post) -> None:
    woken: list[bool] = []
    post.services.wake = lambda: woken.append(True)
    made = post.endpoint()
    with post.store.transaction() as tx:
        stored.note_failure(tx, made.id, post.clock())
        stored.pause_endpoint(tx, made.id, post.clock() + DAY)
    disabled = endpoints.disable_endpoint(post.services, made.id)
    assert (disabled.is_enabled, disabled.disabled_reason) == (False, "disabled by its owner")
    enabled = endpoints.enable_endpoint(post.services, made.id)
    assert (enabled.is_enabled, enabled.disabled_reason, enabled.failing_since) == (True, None, None)
    assert post.load(made) == enabled
    assert woken == [True]
    post.event()
    assert post.round() == 1


VERBS: list[Callable[..., Any]] = [
    endpoints.load_endpoint,
    endpoints.change_endpoint,
    endpoints.rotate_secret,
    endpoints.enable_endpoint,
    endpoints.disable_endpoint,
    endpoints.remove_endpoint,
]


@pytest.mark.parametrize("verb", VERBS)
def test_another_workspaces_endpoint_is_as_unknown_as_none(post: Post, verb: Callable[..., Any]) -> None:
    made, secret = post.endpoint_and_secret()
    with pytest.raises(NotFound) as foreign:
        verb(post.services, made.id, workspace_id=OTHER)
    with pytest.raises(NotFound) as unknown:
        verb(post.services, "nothing", workspace_id=OTHER)
    assert str(foreign.value).replace(made.id, "") == str(unknown.value).replace("nothing", "")
    assert post.load(made) == made
    assert live(post, made.id) == (secret,)
    assert endpoints.list_endpoints(post.services, OTHER) == []


def test_a_removed_endpoint_takes_its_deliveries_along(post: Post) -> None:
    made = post.endpoint()
    post.event()
    endpoints.remove_endpoint(post.services, made.id)
    assert post.deliveries(DEFAULT_WORKSPACE) == ()
    assert post.rounds() == 0
    with pytest.raises(NotFound):
        post.load(made)
