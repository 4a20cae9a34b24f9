"""The values and errors that cross the transport's border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.transport.redaction import redact_url

Headers: TypeAlias = tuple[tuple[str, str], ...]


class TransportError(Exception):
    """Base of the three. The text names host and cause, never headers, body, query or what the answer said."""


class NotSent(TransportError):
    """No request byte left this machine: the name, TCP or TLS failed, or the request cannot be written as HTTP."""


class OutcomeUnknown(TransportError):
    """Timeout, reset, bad framing or an unusable answer after the first byte was, or may have been, sent."""


class HostRefused(TransportError):
    """The URL is not on the fixed hosts of this transport: nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HttpRequest:
    """One request. `url` is absolute, as the carrier's API spells it; `headers` are (name, value), latin-1."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"HttpRequest({self.method} {redact_url(self.url)}, headers: {names}, body: {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HttpResponse:
    """One whole answer; `body` is exactly what arrived."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case, or None."""
        return first_header(self.headers, name)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"HttpResponse({self.status}, headers: {names}, body: {len(self.body)} bytes)"


class Transport(Protocol):
    """What an adapter needs of a transport; tests pass their own."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send the request once. Raises NotSent, OutcomeUnknown, HostRefused."""


def root_transport_error(error: BaseException) -> NotSent | OutcomeUnknown | HostRefused | None:
    """Find the transport's own error behind what a vendor library raised, or None.

    Walks `__cause__`, else `__context__`. An OutcomeUnknown anywhere wins: a later harmless failure does not undo it.
    """
    found: NotSent | OutcomeUnknown | HostRefused | None = None
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, OutcomeUnknown):
            return current
        if isinstance(current, NotSent | HostRefused):
            found = found or current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return found


def first_header(headers: Headers, name: str) -> str | None:
    """Return the first header of that name, in any case, or None."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)
