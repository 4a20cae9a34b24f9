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
    """A one-shot transport that lets `around_dial(request, send)` stand in for the sending of each dial."""

    def __init__(
        self,
        *,
        total_timeout_s: float = 15.0,
        base_url: str | None = None,
        around_dial: Callable[[HttpRequest, Send], HttpResponse] | None = None,
    ) -> None:
        self.total_timeout_s = total_timeout_s
        self.base_url = base_url
        self.around_dial = around_dial
        self._real: OneShotTransport | None = None

    def open_provider(
        self, name: str, secrets: Mapping[str, str], *, base_url: str | None = None
    ) -> Provider:
        """Stands in for `Services.open_provider`."""
        host = registry.BUILT_IN[name].base_url
        there = self.base_url or base_url
        assert there is not None, "no test talks to a carrier"
        self._real = OneShotTransport([host], rewrites={host: there}, total_timeout_s=self.total_timeout_s)
        return registry.open_provider(name, secrets, base_url=there, transport=self)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request, once or as the test says."""
        assert self._real is not None
        path = urlsplit(request.url).path
        if self.around_dial is not None and request.method == "POST" and path.endswith(DIAL_PATHS):
            return self.around_dial(request, self._real.send)
        return self._real.send(request)


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
