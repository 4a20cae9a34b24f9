"""The way from an adapter to its carrier, bent by a test: shorter deadlines, and whatever happens to a dial on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gateway import registry
from gateway.interface import Provider
from gateway.services import utc_now
from gateway.transport import HttpRequest, HttpResponse, OneShotTransport

DIAL_PATHS = ("/Calls.json", "/v2/calls", "/Call/")

Send = Callable[[HttpRequest], HttpResponse]


class Wire:
    """A one-shot transport that lets `around_dial(request, send)` stand in for the sending of each dial.

    `base_url` is where requests really go, None: where the gateway sends them.
    """

    def __init__(
        self,
        *,
        total_timeout_s: float = 15.0,
        base_url: str | None = None,
        around_dial: Callable[[HttpRequest, Send], HttpResponse] | None = None,
    ) -> None:
        self._hosts = ("", "")
        self.bend(total_timeout_s=total_timeout_s, base_url=base_url, around_dial=around_dial)

    def bend(
        self,
        *,
        total_timeout_s: float = 15.0,
        base_url: str | None = None,
        around_dial: Callable[[HttpRequest, Send], HttpResponse] | None = None,
    ) -> None:
        """Change how it carries what comes next; without arguments it is straight again."""
        self.total_timeout_s = total_timeout_s
        self.base_url = base_url
        self.around_dial = around_dial

    def open_provider(
        self, name: str, secrets: Mapping[str, str], *, base_url: str | None = None
    ) -> Provider:
        """Stands in for `Services.open_provider`."""
        assert base_url is not None, "no test talks to a carrier"
        self._hosts = (registry.BUILT_IN[name].base_url, base_url)
        return registry.open_provider(name, secrets, base_url=base_url, transport=self)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request, once or as the test says."""
        host, there = self._hosts
        real = OneShotTransport(
            [host], rewrites={host: self.base_url or there}, total_timeout_s=self.total_timeout_s
        )
        path = urlsplit(request.url).path
        if self.around_dial is not None and request.method == "POST" and path.endswith(DIAL_PATHS):
            return self.around_dial(request, real.send)
        return real.send(request)


class Clock:
    """A gateway's clock that a test can put forward."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        with self._lock:
            return utc_now() + self._ahead

    def ahead(self, **by: float) -> None:
        """Put it that far ahead of the real time: `ahead(minutes=10)`; without arguments it is right again."""
        with self._lock:
            self._ahead = timedelta(**by)
