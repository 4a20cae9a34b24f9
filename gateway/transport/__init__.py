"""The one-shot HTTP transport: the only way a request leaves for a carrier.

Vendor libraries repeat a dial on a 5xx or a timeout, and their timeouts restart with every byte, so a dripped answer
holds them for ever. Each of them therefore runs over this transport instead of its own HTTP stack:

* one request on one fresh connection: no retry, no pool, no stale socket, no redirect, no proxy from the environment;
* two monotonic deadlines: name, TCP and TLS within `connect_timeout_s`, everything within `total_timeout_s`;
* fixed hosts: a URL elsewhere is refused before a byte leaves, so credentials go nowhere else; TLS 1.2+ is verified;
* three failures, told apart by what a dial needs to know::

      TransportError
      ├── NotSent          no request byte left this machine: trying again is safe
      ├── OutcomeUnknown   a byte left, or may have left, and no whole answer came back: never repeat a dial
      └── HostRefused      the URL is not on the fixed hosts: nothing was sent

An answer that cannot be read is no answer: bad framing, a cut or oversized body and a compressed one (we ask for
`identity`) are `OutcomeUnknown` whatever the status line said. Everything else is returned as it came, 3xx to 5xx
included.

Here too: `stream_get` for recordings, `httpx_client` and `requests_session` for libraries that bring their own stack,
and `redact_url`, the one way a request URL may reach a log. Not here: any carrier's word, and what a status means.
"""

from gateway.transport.bridges import httpx_client, requests_adapter, requests_session
from gateway.transport.connecting import AddressInfo, Resolver, system_resolver
from gateway.transport.messages import (
    Headers,
    HostRefused,
    HttpRequest,
    HttpResponse,
    NotSent,
    OutcomeUnknown,
    Transport,
    TransportError,
    root_transport_error,
)
from gateway.transport.oneshot import OneShotTransport, stream_get
from gateway.transport.redaction import redact_url
from gateway.transport.wire import StreamedResponse

__all__ = [
    "AddressInfo",
    "Headers",
    "HostRefused",
    "HttpRequest",
    "HttpResponse",
    "NotSent",
    "OneShotTransport",
    "OutcomeUnknown",
    "Resolver",
    "StreamedResponse",
    "Transport",
    "TransportError",
    "httpx_client",
    "redact_url",
    "requests_adapter",
    "requests_session",
    "root_transport_error",
    "stream_get",
    "system_resolver",
]
