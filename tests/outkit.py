"""What the tests of outgoing events share: services over a store, a clock, an endpoint that answers, events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.fernet import Fernet

from gateway import delivering, endpoints
from gateway.egress import Answer, EgressError
from gateway.ids import new_id
from gateway.models import DEFAULT_WORKSPACE, WebhookEndpoint
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import Store, outbox
from gateway.store.rows import Delivery, Notification
from gateway.store.workspaces import ensure_workspace
from gateway.vault import Vault
from tests.storekit import T0

URL = "https://hooks.receiver.dev/events"
KEY = Fernet.generate_key().decode()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = T0) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        self.at += by


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request, as the endpoint gets it, and when."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    at: datetime

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Reaction = Callable[[Sent], Answer | int | Exception]


@dataclass(slots=True)
class FakeEgress:
    """Stands for the way out: keeps what is sent and answers as told."""

    clock: Callable[[], datetime]
    react: Reaction = lambda _: 200
    sent: list[Sent] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        one = Sent(url=url, headers=dict(headers), body=body, at=self.clock())
        with self._lock:
            self.sent.append(one)
        said = self.react(one)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else Answer(status=said)

    def ids(self) -> list[str]:
        return [one.id for one in self.sent]


class Post:
    """A post office on a store: endpoints, events, rounds of deliveries under a clock that is moved by hand."""

    def __init__(self, store: Store, *, clock: Any = None, **settings: Any) -> None:
        self.store = store
        self.clock = clock or Clock()
        self.services = Services(
            store=store, settings=Settings(**settings), vault=Vault([KEY]), clock=self.clock
        )
        self.egress = FakeEgress(self.clock)

    def endpoint(self, url: str = URL, **said: Any) -> WebhookEndpoint:
        return self.endpoint_and_secret(url, **said)[0]

    def endpoint_and_secret(self, url: str = URL, **said: Any) -> tuple[WebhookEndpoint, str]:
        return endpoints.create_endpoint(self.services, url, **said)

    def event(self, kind: str = "call.ended", **said: Any) -> Notification:
        return put_event(self.store, kind, at=self.clock(), **said)

    def react(self, reaction: Reaction | int | Exception) -> None:
        self.egress.react = reaction if callable(reaction) else lambda _: reaction

    def round(self, limit: int = 50) -> int:
        """Deliver what is due now, once."""
        return delivering.deliver_due(self.services, limit, egress=self.egress)  # type: ignore[arg-type]

    def rounds(self, limit: int = 50) -> int:
        """Deliver until nothing is due now."""
        count = 0
        while done := self.round(limit):
            count += done
        return count

    def run_until_quiet(self, most: int = 200) -> None:
        """Move the clock from one thing that is due to the next until nothing is."""
        for _ in range(most):
            self.rounds()
            due = delivering.next_due(self.services)
            if due is None:
                return
            self.clock.at = max(due, self.clock.at)
        raise AssertionError("it never ends")

    def deliveries(self, workspace_id: str = DEFAULT_WORKSPACE, **said: Any) -> Sequence[Delivery]:
        """All of them, oldest first."""
        page = outbox.list_deliveries(self.store, workspace_id, limit=10_000, **said)
        return page.deliveries[::-1]

    def delivery(self) -> Delivery:
        """The only one there is."""
        (only,) = self.deliveries()
        return only

    def load(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        return endpoints.load_endpoint(self.services, endpoint.id, endpoint.workspace_id)


def put_event(
    store: Store,
    kind: str = "call.ended",
    *,
    at: datetime,
    workspace_id: str = DEFAULT_WORKSPACE,
    sequence: int = 1,
    data: Any = None,
) -> Notification:
    event = Notification(
        id="evt_" + new_id().replace("-", ""),
        workspace_id=workspace_id,
        call_id=None,
        type=kind,
        sequence=sequence,
        payload=json.dumps(
            {"type": kind, "data": data or {"sequence": sequence, "name": "Zoë"}}, separators=(",", ":")
        ),
        created_at=at,
    )
    with store.transaction() as tx:
        ensure_workspace(tx, workspace_id, at)
        outbox.add_notification(tx, event)
    return event


def no_answer(_sent: Sent) -> Exception:
    return EgressError("hooks.receiver.dev:443: timed out")


class Receiver:
    """A real server that takes events; keeps the id of each, in the order they came."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                outer.ids.append(self.headers["webhook-id"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """A sender that was killed breaks its connection."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with closing(self._server.socket):
            self._server.shutdown()
        self._thread.join(5)
