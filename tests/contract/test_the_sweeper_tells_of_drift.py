"""Who breaks a number in the console is told within the hour, once, by an event that reaches an endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway import endpoints, registry
from gateway.pointing import CHECK_EVERY
from gateway.services import utc_now
from tests.bench import OURS
from tests.ownerkit import OTHER, Owner, open_owner


@contextmanager
def receiving() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve an endpoint on loopback; yields its URL and the events that came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/events", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(params=sorted(registry.BUILT_IN))
def swept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    """Two assigned numbers, with the sweeper running."""
    with open_owner(request.param, tmp_path, allowed_webhook_hosts=("127.0.0.1",)) as owner:
        owner.bring()
        for number in (OURS, OTHER):
            owner.gw.numbers.assign(number, agent="echo", inbound=True)
        yield owner


def hours_later(owner: Owner, hours: int) -> None:
    """Put the gateway's clock ahead, and wait until the sweeper has looked at both numbers."""
    ahead = hours * (CHECK_EVERY + timedelta(minutes=1))
    owner.gw.services.clock = lambda: utc_now() + ahead
    due = owner.gw.services.clock() - timedelta(minutes=1)
    owner.bench.until(
        lambda: all(each.checked_at and each.checked_at >= due for each in owner.gw.numbers.list())
    )


def test_drift_is_told_within_the_hour_and_once(swept: Owner) -> None:
    with receiving() as (url, came):
        endpoints.create_endpoint(
            swept.gw.services, url=url, event_types=["number.drifted"], include_numbers=True
        )
        swept.point(OURS, "trunk")
        hours_later(swept, 1)
        swept.bench.until(lambda: came)
        hours_later(swept, 2)
        hours_later(swept, 3)
        [event] = came
        assert event["type"] == "number.drifted"
        assert event["data"]["e164"] == OURS
        assert event["data"]["drift"]
        assert [each.e164 for each in swept.gw.numbers.page(drifted=True).numbers] == [OURS]

        assert swept.gw.numbers.repair(OURS).is_fine
        swept.point(OURS, "trunk")
        hours_later(swept, 4)
        swept.bench.until(lambda: len(came) == 2)


def test_what_was_mended_is_not_told_again(swept: Owner) -> None:
    with receiving() as (url, came):
        endpoints.create_endpoint(
            swept.gw.services, url=url, event_types=["number.drifted"], include_numbers=True
        )
        swept.point(OURS, "trunk")
        swept.gw.numbers.repair(OURS)  # it looks first, and tells
        swept.bench.until(lambda: came)
        hours_later(swept, 1)
        hours_later(swept, 2)
        assert swept.gw.numbers.page(drifted=True).total == 0
        assert [each["data"]["e164"] for each in came] == [OURS]
