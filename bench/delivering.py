"""A thousand events to a hundred endpoints, one of which hangs: how long the others wait, against none (R63).

Each endpoint is another workspace's and gets ten of the events; a hundred events a second are written, as calls change.
What counts is the time from the commit of an event to its arrival at a server on loopback, the 99th percentile over
the endpoints that answer. The one that hangs takes connections and never answers.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from bench.figures import Figure
from gateway import Gateway, endpoints
from gateway.background import Courier
from gateway.ids import new_id
from gateway.settings import load_settings
from gateway.store import outbox
from gateway.store.rows import Notification

ROUNDS = 3
EVENTS, ENDPOINTS, A_SECOND = 1_000, 100, 100
PATIENCE_S = 60.0
GOAL = 2.0


def figures() -> Iterator[Figure]:
    """Measure without and with the endpoint that hangs, by turns."""
    rounds = [(_p99_us(hangs=False), _p99_us(hangs=True)) for _ in range(ROUNDS)]
    yield Figure(
        what=f"healthy p99 of {EVENTS:,} events to {ENDPOINTS} endpoints, one hangs (R63: at most 1,000,000 µs)",
        floor="the same, none hangs",
        floor_us=median(each for each, _ in rounds),
        ours_us=median(each for _, each in rounds),
        goal=GOAL,
    )


def _p99_us(*, hangs: bool) -> float:
    with tempfile.TemporaryDirectory() as folder, _receiver() as (url, arrived), _silence() as silent:
        settings = load_settings(
            env={},
            database_url=f"sqlite:///{Path(folder) / 'bench.db'}",
            allowed_webhook_hosts=("127.0.0.1",),
        )
        with Gateway.open(settings, background=False) as gateway:
            services = gateway.services
            for number in range(ENDPOINTS):
                base = silent if hangs and number == 0 else url
                endpoints.create_endpoint(services, f"{base}{number}", workspace_id=f"tenant-{number}")
            courier = Courier(services)
            courier.start()
            written = _write(gateway, courier)
            healthy = {ident: at for ident, (number, at) in written.items() if number or not hangs}
            deadline = time.monotonic() + PATIENCE_S
            while len(arrived) < len(healthy):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{len(healthy) - len(arrived)} events never arrived")
                time.sleep(0.02)
            courier.stop(1.0)
    waits = sorted(arrived[ident] - at for ident, at in healthy.items())
    return waits[len(waits) * 99 // 100] * 1e6


def _write(gateway: Gateway, courier: Courier) -> dict[str, tuple[int, float]]:
    """Write the events at their pace; return each one's endpoint and when it was committed."""
    written = {}
    began = time.monotonic()
    for turn in range(EVENTS):
        time.sleep(max(0.0, began + turn / A_SECOND - time.monotonic()))
        number = turn % ENDPOINTS
        event = Notification(
            id="evt_" + new_id().replace("-", ""),
            workspace_id=f"tenant-{number}",
            call_id=None,
            type="call.ended",
            sequence=turn,
            payload=json.dumps({"type": "call.ended", "data": {"sequence": turn, "text": "x" * 1_000}}),
            created_at=gateway.services.clock(),
        )
        with gateway.services.store.transaction() as tx:
            outbox.add_notification(tx, event)
        written[event.id] = (number, time.monotonic())
        courier.wake()
    return written


@contextmanager
def _receiver() -> Iterator[tuple[str, dict[str, float]]]:
    """Run a server that notes when each event came first."""
    arrived: dict[str, float] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.setdefault(self.headers["webhook-id"], time.monotonic())
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", arrived
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextmanager
def _silence() -> Iterator[str]:
    """Listen and never answer: the system completes the connections by itself."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/"
