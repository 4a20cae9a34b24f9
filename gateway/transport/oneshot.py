"""The transport of an adapter, and the reader of recordings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import urljoin

from gateway.transport.connecting import Resolver, system_resolver, tls_context
from gateway.transport.messages import Headers, HostRefused, HttpRequest, HttpResponse
from gateway.transport.targets import Target, allowed_target, routes_of
from gateway.transport.wire import Exchange, Limits, StreamedResponse

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 3
_KEPT_ON_REDIRECT: Final = frozenset({"accept", "range", "if-range", "user-agent"})


class OneShotTransport:
    """Sends each request once, to fixed hosts, within a deadline. Threads may share one: it keeps no state.

    Args:
        origins: the URL prefixes a request may go to: "https://api.carrier.example", with or without a path.
        rewrites: "https://api.carrier.example" -> "http://127.0.0.1:8080/carrier": requests under the first go to the
            second, what follows kept. For libraries with hard-wired hosts and a simulator or regional host. Once an
            origin is rewritten nothing goes to the original any more. URLs under the new base are taken as well.
        connect_timeout_s: for name, TCP and TLS together. The system's resolver cannot be interrupted: it is asked in
            a daemon thread, which a timeout leaves behind until the resolver gives up.
        total_timeout_s: for everything, from the call to the last byte of the answer.
        max_body_bytes: a longer answer is OutcomeUnknown.
        ca_file: certificates to trust *instead of* the system's.
        on_request: called with each request, once its host is accepted and before anything is sent; what it raises
            stops the request.
        resolve: name resolution, for tests.

    Raises:
        ValueError: a base is no plain URL, or is unencrypted and not on loopback.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        rewrites: Mapping[str, str] | None = None,
        connect_timeout_s: float = 3.0,
        total_timeout_s: float = 15.0,
        max_body_bytes: int = 1_000_000,
        ca_file: str | None = None,
        on_request: Callable[[HttpRequest], None] | None = None,
        resolve: Resolver = system_resolver,
    ) -> None:
        self._routes = routes_of(origins, rewrites or {})
        self._total_timeout_s = total_timeout_s
        self._on_request = on_request
        encrypted = any(base.scheme == "https" for _, base in self._routes)
        self._limits = Limits(
            connect_timeout_s=connect_timeout_s,
            max_body_bytes=max_body_bytes,
            tls=tls_context(ca_file) if encrypted else None,
            resolve=resolve,
        )

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send the request once and return the whole answer, whatever its status.

        Raises:
            NotSent: nothing left this machine. OutcomeUnknown: something may have. HostRefused: not our host.
        """
        target = self._route(request.url)
        if self._on_request is not None:
            self._on_request(request)
        deadline = time.monotonic() + self._total_timeout_s
        with Exchange(request, target, self._limits, deadline).begin() as answer:
            return HttpResponse(status=answer.status, headers=answer.headers, body=b"".join(answer))

    def rewritten(self, url: str) -> str:
        """Return the URL that a request for `url` really goes to. Raises HostRefused."""
        return self._route(url).url

    def _route(self, url: str) -> Target:
        target = Target.of(url)
        for prefix, base in self._routes:
            if (moved := target.moved(prefix, base)) is not None:
                return moved
        raise HostRefused(f"{target.host}:{target.port} is not a host of this transport")


def stream_get(
    url: str,
    headers: Headers = (),
    *,
    allowed_hosts: Iterable[str],
    max_bytes: int = 100_000_000,
    connect_timeout_s: float = 3.0,
    total_timeout_s: float = 60.0,
    ca_file: str | None = None,
    resolve: Resolver = system_resolver,
) -> StreamedResponse:
    """GET a large answer, such as a recording, piece by piece.

    Up to three redirects are followed, inside the allowlist only; only `Accept`, `Range`, `If-Range` and `User-Agent`
    go along, so credentials reach nobody but the first host.

    Args:
        url: https, or http on loopback.
        headers: sent to the first host; a `Range` is passed on.
        allowed_hosts: names, each with all its subdomains, or IPv4 addresses; "name:port" where the port is not the
            scheme's own.
        max_bytes: of the body; more ends the iteration with OutcomeUnknown.
        total_timeout_s: until the last byte, redirects and the reader's own pauses included.
        ca_file: certificates to trust instead of the system's.
        resolve: name resolution, for tests.

    Returns:
        The answer, whatever its status. Iterate it to the end or close it; a failure on the way is OutcomeUnknown.

    Raises:
        HostRefused: the URL or a redirect leaves the allowlist, or there are too many. NotSent, OutcomeUnknown.
    """
    hosts = tuple(allowed_hosts)
    deadline = time.monotonic() + total_timeout_s
    limits = Limits(
        connect_timeout_s=connect_timeout_s,
        max_body_bytes=max_bytes,
        tls=tls_context(ca_file),
        resolve=resolve,
    )
    for _ in range(_MAX_REDIRECTS + 1):
        target = allowed_target(url, hosts)
        request = HttpRequest(method="GET", url=url, headers=headers)
        answer = Exchange(request, target, limits, deadline).begin()
        location = answer.header("location")
        if answer.status not in _REDIRECTS or location is None:
            return answer
        answer.close()
        url = urljoin(url, location)
        headers = tuple(header for header in headers if header[0].lower() in _KEPT_ON_REDIRECT)
    raise HostRefused(f"more than {_MAX_REDIRECTS} redirects")
