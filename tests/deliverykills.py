"""Kill a delivering process again and again, anywhere, and count what the receiver got (R62).

The receiver is a server in this process: it alone knows what arrived. Each killed process is followed by a new one on
the same database. Time runs faster for them, so that leases and gaps are over soon.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import delivering, endpoints
from gateway.background import Courier
from gateway.egress import Egress, EgressPolicy
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import Store, outbox
from gateway.store.rows import DeliveryState
from gateway.vault import Vault
from tests.outkit import KEY, Receiver, put_event

HOSTS = ("127.0.0.1",)
SPEED = 400  # a lease of 45 s is over in 0.11 s
ENDPOINTS = 5
PATIENCE_S = (
    800.0  # on a machine that does much else, events take many attempts: all ten of 76 h are over in 680 s
)


class FastClock:
    """Runs `SPEED` times as fast as the real one, alike in all processes."""

    def __init__(self, origin: float) -> None:
        self._origin = origin

    def __call__(self) -> datetime:
        begun = datetime.fromtimestamp(self._origin, UTC)
        return begun + timedelta(seconds=(time.time() - self._origin) * SPEED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was counted. `lost` must be 0, `unknown` (ids that nobody sent) too."""

    kills: int
    events: int
    lost: int
    unknown: int
    repeated: int
    undelivered: int


def deliver(database_url: str, origin: float, key: str, driver: str) -> None:
    """The process that is killed: a courier, or rounds of `deliver_due`."""
    services = open_services(database_url, origin, key)
    egress = Egress(EgressPolicy(allowed_hosts=HOSTS))
    if driver == "courier":
        Courier(services, egress=egress).start()
        signal.pause()
    while True:
        if not delivering.deliver_due(services, 20, egress=egress):
            time.sleep(0.005)


def open_services(database_url: str, origin: float, key: str) -> Services:
    settings = Settings(allowed_webhook_hosts=HOSTS)
    store = Store.open(database_url)
    return Services(store=store, settings=settings, vault=Vault([key]), clock=FastClock(origin))


def run(database_url: str, *, kills: int, seed: int) -> Result:
    """Keep something to deliver, kill `kills` times, let the last one finish, count."""
    rng = random.Random(seed)
    origin = time.time()
    services = open_services(database_url, origin, KEY)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.deliverykills", "tests.apiproofs"])
    put: list[str] = []

    def start(driver: str) -> Any:
        process = context.Process(target=deliver, args=(database_url, origin, KEY, driver), daemon=True)
        process.start()
        return process

    with Receiver() as receiver:
        for n in range(ENDPOINTS):
            endpoints.create_endpoint(services, f"{receiver.url}{n}")
        for _ in range(kills):
            put += [put_event(services.store, at=services.clock()).id for _ in range(rng.randint(1, 3))]
            process = start(rng.choice(("courier", "rounds")))
            wait_for_a_sign(receiver, len(receiver.ids))
            time.sleep(rng.uniform(0, 0.03))
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        process = start("courier")
        until_quiet(services)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        got = Counter(receiver.ids)
    left = outbox.list_deliveries(services.store, "default", state=DeliveryState.PENDING, limit=1).deliveries
    dead = outbox.list_deliveries(services.store, "default", state=DeliveryState.DEAD, limit=1).deliveries
    services.store.close()
    return Result(
        kills=kills,
        events=len(put),
        lost=sum(got[each] < ENDPOINTS for each in put),
        unknown=len(set(got) - set(put)),
        repeated=sum(got[each] > ENDPOINTS for each in put),
        undelivered=len(left) + len(dead),
    )


def wait_for_a_sign(receiver: Receiver, before: int) -> None:
    """Until the new process has sent something: from then on it claims, sends and writes all the time."""
    deadline = time.monotonic() + PATIENCE_S
    while len(receiver.ids) == before:
        assert time.monotonic() < deadline, "nothing was ever sent"
        time.sleep(0.0005)


def until_quiet(services: Services) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while outbox.list_deliveries(services.store, "default", state=DeliveryState.PENDING, limit=1).deliveries:
        assert time.monotonic() < deadline, "something is never delivered"
        time.sleep(0.02)
