"""The thread that delivers: a hanging endpoint keeps nobody waiting, a stop loses nothing (R63)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway
from gateway.background import SENDERS, Courier
from gateway.delivering import PER_ENDPOINT
from gateway.egress import Egress, EgressPolicy
from gateway.errors import StoreUnavailable
from gateway.services import utc_now
from gateway.settings import load_settings
from gateway.store import Store, outbox
from gateway.store.rows import DeliveryState
from tests.faultserver import Connection, FaultServer, drip_after, hang_after, reply
from tests.outkit import Post, Receiver, put_event

HOSTS = ("127.0.0.1",)


def until(found: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not found():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.01)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    store = Store.open(f"sqlite:///{tmp_path / 'gateway.db'}")
    store.upgrade()
    yield Post(store, clock=utc_now, allowed_webhook_hosts=HOSTS)
    store.close()


@contextmanager
def running(post: Post, *, deadline_s: float = 300) -> Iterator[Courier]:
    """A courier whose requests would hang for longer than the test waits."""
    courier = Courier(
        post.services, egress=Egress(EgressPolicy(allowed_hosts=HOSTS), total_timeout_s=deadline_s)
    )
    post.services.wake = courier.wake
    courier.start()
    try:
        yield courier
    finally:
        courier.stop(0.5)


def test_hanging_and_dripping_endpoints_keep_no_other_waiting(post: Post) -> None:
    """More of them than there are senders; everything else is delivered while all of them still hang."""
    count = SENDERS // PER_ENDPOINT + 2
    with ExitStack() as stack:
        bad = [
            stack.enter_context(FaultServer(hang_after() if n % 2 else drip_after(b"", b"HTTP/1.1 " * 4000)))
            for n in range(count)
        ]
        for server in bad:
            post.endpoint(server.url)
        for _ in range(PER_ENDPOINT + 2):
            post.event("call.ringing")
        good = stack.enter_context(Receiver())
        stack.enter_context(running(post))
        until(lambda: sum(len(server.posts) for server in bad) == count * PER_ENDPOINT)
        made = [post.endpoint(f"{good.url}{n}") for n in range(5)]
        ids = [post.event("call.ended").id for _ in range(20)]
        until(lambda: len(good.ids) >= 100)
        assert sorted(good.ids) == sorted(ids * 5)
        assert [len(server.posts) for server in bad] == [PER_ENDPOINT] * count
        for each in made:
            until(
                lambda each=each: (
                    len(post.deliveries(state=DeliveryState.DELIVERED, endpoint_id=each.id)) == 20
                )
            )


def test_a_stop_lets_what_is_under_way_end_and_writes_it(post: Post) -> None:
    with FaultServer(reply(200)) as server:
        post.endpoint(server.url)
        for _ in range(30):
            post.event()
        with running(post) as courier:
            until(lambda: len(server.posts) > 3)
            courier.stop(30)
        delivered = post.deliveries(state=DeliveryState.DELIVERED)
        assert len(delivered) == len(server.posts)
        pending = post.deliveries(state=DeliveryState.PENDING)
        assert all(each.lease_until is None for each in pending)
        assert len(delivered) + len(pending) == 30


def test_a_stopped_courier_stays_stopped(post: Post) -> None:
    with Receiver() as receiver, running(post) as courier:
        courier.stop()
        courier.start()
        post.endpoint(receiver.url)
        post.event()
        time.sleep(0.6)
        assert receiver.ids == []


def test_events_of_other_processes_are_found_without_being_woken(post: Post) -> None:
    with Receiver() as receiver, running(post):
        time.sleep(0.3)  # it is idle
        post.endpoint(receiver.url)
        event = post.event()
        until(lambda: receiver.ids == [event.id])


def test_two_couriers_share_the_work_and_send_nothing_twice(post: Post) -> None:
    with Receiver() as receiver, running(post), running(post):
        for n in range(8):
            post.endpoint(f"{receiver.url}{n}")
        ids = [post.event().id for _ in range(25)]
        until(lambda: len(post.deliveries(state=DeliveryState.DELIVERED)) == 200)
        assert sorted(receiver.ids) == sorted(ids * 8)


def test_serving_delivers_and_an_embedded_gateway_leaves_it_to_serving(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    settings = load_settings(env={}, database_url=url, allowed_webhook_hosts=HOSTS)
    with Receiver() as receiver, Gateway.open(settings) as gateway:
        post = Post(gateway.services.store, clock=utc_now)
        post.services = gateway.services
        post.endpoint(receiver.url)
        first = post.event()
        gateway.background.wake()
        time.sleep(0.5)
        assert receiver.ids == []
        gateway.background.start(sweeps=True)
        until(lambda: receiver.ids == [first.id])
        second = post.event()
        gateway.services.wake()
        until(lambda: receiver.ids == [first.id, second.id])


class Flaky:
    """A store whose transactions fail for a while, as a database does that went away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failures = 0

    def transaction(self) -> Any:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the database is away")
        return self._store.transaction()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_an_outcome_that_cannot_be_written_is_written_later_and_not_sent_again(post: Post) -> None:
    flaky = Flaky(post.store)
    post.services.store = flaky  # type: ignore[assignment]

    def break_down(connection: Connection) -> None:
        flaky.failures = 3
        reply(200)(connection)

    with FaultServer(break_down) as server, running(post):
        post.endpoint(server.url)
        post.event()
        until(lambda: post.delivery().state is DeliveryState.DELIVERED)
        assert flaky.failures == 0
        assert len(server.posts) == 1


def test_a_courier_forgets_what_is_over_for_thirty_days(post: Post) -> None:
    old = put_event(post.store, at=utc_now() - timedelta(days=31))
    new = put_event(post.store, at=utc_now() - timedelta(days=29))
    with running(post):
        until(lambda: outbox.find_notification(post.store, "default", old.id) is None)
    assert outbox.find_notification(post.store, "default", new.id) == new
