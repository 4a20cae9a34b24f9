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

from __future__ import annotations

import email.errors
import http.client
import io
import ipaddress
import logging
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias, cast
from urllib.parse import unquote, urljoin, urlsplit

if TYPE_CHECKING:
    import httpx
    import requests
    from _typeshed import WriteableBuffer
    from requests.adapters import BaseAdapter

Headers: TypeAlias = tuple[tuple[str, str], ...]
AddressInfo: TypeAlias = tuple[int, int, int, str, Any]
Resolver: TypeAlias = Callable[[str, int], Sequence[AddressInfo]]

_LOG: Final = logging.getLogger("gateway.transport")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 3
_HEAD_ALLOWANCE_BYTES: Final = 256 * 1024  # headers and chunk sizes, on top of the body's limit
_CHUNK_BYTES: Final = 64 * 1024
_METHOD: Final = re.compile(r"[A-Z]+")
_URL: Final = re.compile(r"[!-\[\]-~]+")  # printable ASCII without space and backslash
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_CONTENT_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_HEADER_DEFECTS: Final = (
    email.errors.MissingHeaderBodySeparatorDefect,
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.InvalidHeaderDefect,
)
_FOLD: Final = re.compile(r"\s*[\r\n]\s*")
# Written by the transport itself, whatever the vendor library thinks of the connection.
_OWN_HEADERS: Final = frozenset(
    [
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
    ]
)
_KEPT_ON_REDIRECT: Final = frozenset({"accept", "range", "if-range", "user-agent"})


class TransportError(Exception):
    """Base of the three. The text names host and cause, never headers, body, query or what the answer said."""


class NotSent(TransportError):
    """No request byte left this machine: the name, TCP or TLS failed, or the request cannot be written as HTTP."""


class OutcomeUnknown(TransportError):
    """Timeout, reset, bad framing or an unusable answer after the first byte was, or may have been, sent."""


class HostRefused(TransportError):
    """The URL is not on the fixed hosts of this transport: nothing was sent."""


class _Malformed(http.client.HTTPException):
    """What is wrong with a request or an answer, in words of ours that may be shown."""


_FAILURES: Final = (OSError, http.client.HTTPException, ValueError)


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
        return _first_header(self.headers, name)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"HttpResponse({self.status}, headers: {names}, body: {len(self.body)} bytes)"


class Transport(Protocol):
    """What an adapter needs of a transport; tests pass their own."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send the request once. Raises NotSent, OutcomeUnknown, HostRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A URL taken apart: where to connect, and what to ask for there (`path` has the query with it)."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> _Target:
        """Read an absolute URL without user, fragment or odd characters, or raise HostRefused."""
        if not _URL.fullmatch(url):
            raise HostRefused("the URL has characters that no URL has")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise HostRefused("the URL cannot be read") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or "#" in url:
            raise HostRefused("the URL is not a plain absolute http(s) URL")
        path = parts.path + ("?" + parts.query if "?" in url else "")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
            path=path,
        )

    @property
    def origin(self) -> tuple[str, str, int]:
        return (self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def moved(self, prefix: _Target, base: _Target) -> _Target | None:
        """Return this target with `prefix` replaced by `base`, or None when it does not lie under `prefix`."""
        stem, rest = prefix.path.rstrip("/"), self.path[len(prefix.path.rstrip("/")) :]
        if self.origin != prefix.origin or not self.path.startswith(stem) or rest[:1] not in ("", "/", "?"):
            return None
        path = base.path.rstrip("/") + rest
        path = path if path.startswith("/") else "/" + path
        return _Target(scheme=base.scheme, host=base.host, port=base.port, path=path)

    def is_encrypted_or_local(self) -> bool:
        if self.scheme == "https" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def system_resolver(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the operating system for the addresses of a host."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    connect_timeout_s: float
    max_body_bytes: int
    tls: ssl.SSLContext | None
    resolve: Resolver = system_resolver


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
        self._routes = _routes(origins, rewrites or {})
        self._total_timeout_s = total_timeout_s
        self._on_request = on_request
        encrypted = any(base.scheme == "https" for _, base in self._routes)
        self._limits = _Limits(
            connect_timeout_s=connect_timeout_s,
            max_body_bytes=max_body_bytes,
            tls=_tls_context(ca_file) if encrypted else None,
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
        with _Exchange(request, target, self._limits, deadline).begin() as answer:
            return HttpResponse(status=answer.status, headers=answer.headers, body=b"".join(answer))

    def rewritten(self, url: str) -> str:
        """Return the URL that a request for `url` really goes to. Raises HostRefused."""
        return self._route(url).url

    def _route(self, url: str) -> _Target:
        target = _Target.of(url)
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
    limits = _Limits(
        connect_timeout_s=connect_timeout_s,
        max_body_bytes=max_bytes,
        tls=_tls_context(ca_file),
        resolve=resolve,
    )
    for _ in range(_MAX_REDIRECTS + 1):
        target = _allowed_target(url, hosts)
        request = HttpRequest(method="GET", url=url, headers=headers)
        answer = _Exchange(request, target, limits, deadline).begin()
        location = answer.header("location")
        if answer.status not in _REDIRECTS or location is None:
            return answer
        answer.close()
        url = urljoin(url, location)
        headers = tuple(header for header in headers if header[0].lower() in _KEPT_ON_REDIRECT)
    raise HostRefused(f"more than {_MAX_REDIRECTS} redirects")


class StreamedResponse:
    """An answer whose body is still on its way. Iterate it once, to the end, or close it (or use `with`)."""

    def __init__(self, exchange: _Exchange, head: http.client.HTTPResponse) -> None:
        self.status = head.status
        self.headers: Headers = tuple((name, _FOLD.sub(" ", value)) for name, value in head.headers.items())
        self._exchange = exchange

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case, or None."""
        return _first_header(self.headers, name)

    def __iter__(self) -> Iterator[bytes]:
        return self._exchange.read()

    def close(self) -> None:
        """Close the connection; what has not been read is gone."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def redact_url(url: str) -> str:
    """Return the URL as a log may show it: ids, numbers and every query value hidden, last four characters kept.

    A path part is shown only when it looks like a word of an API ("Calls.json", "available_phone_numbers", "v2").
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "***"
    path = "/".join(_masked_part(part) for part in parts.path.split("/"))
    query = "&".join(_masked_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
    return f"{parts.scheme}://{host}{path}" + (f"?{query}" if query else "")


_PATH_PART: Final = re.compile(r"(.*?)(\.(?:json|mp3|wav|xml))?", re.DOTALL)
_PATH_WORD: Final = re.compile(
    r"[a-z]+(?:[_-][a-z]+)*|(?:[A-Z][a-z]+)+|[A-Z]{2,3}|v[0-9]{1,2}|[0-9]{4}-[0-9]{2}-[0-9]{2}|"
)
_QUERY_NAME: Final = re.compile(r"[A-Za-z_.<>\[\]-]+")


def _masked_part(part: str) -> str:
    match = _PATH_PART.fullmatch(part)
    stem, suffix = match.groups(default="") if match else (part, "")
    if _PATH_WORD.fullmatch(stem):
        return part
    return "***" + (stem[-4:] if len(stem) > 8 else "") + suffix


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    shown = name if _QUERY_NAME.fullmatch(unquote(name)) else "***"
    return f"{shown}=***" if equals else shown


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


def httpx_client(transport: Transport) -> httpx.Client:
    """Return an `httpx.Client` whose every request goes through `transport`: no redirect, environment or retry.

    NotSent and HostRefused come out as `httpx.ConnectError` (`ConnectTimeout`), OutcomeUnknown as `httpx.ReadError`
    (`ReadTimeout`), the transport's own error as their cause. After the send the request's URL is redacted, because
    httpx logs it at INFO.
    """
    import httpx

    class Bridge(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
            )
            ours = HttpRequest(
                method=request.method, url=str(request.url), headers=headers, body=request.read()
            )
            request.url = httpx.URL(redact_url(ours.url))
            try:
                answer = transport.send(ours)
            except OutcomeUnknown as exc:
                kind = httpx.ReadTimeout if _is_timeout(exc) else httpx.ReadError
                raise kind(str(exc)) from exc
            except TransportError as exc:
                failed = httpx.ConnectTimeout if _is_timeout(exc) else httpx.ConnectError
                raise failed(str(exc)) from exc
            return httpx.Response(answer.status, headers=list(answer.headers), content=answer.body)

    class Client(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            return super().send(request, **{**options, "follow_redirects": False})

    return Client(transport=Bridge(), follow_redirects=False, trust_env=False)


def requests_adapter(transport: Transport) -> BaseAdapter:
    """Return an adapter that carries every request of a `requests.Session` through `transport`.

    Mount it on "https://" and "http://". Its answers are never redirects to the session, which would follow them even
    for a POST, and their `url` is redacted. NotSent and HostRefused come out as `requests.ConnectionError`
    (`ConnectTimeout`), OutcomeUnknown as `requests.ReadTimeout` or `ConnectionError`, with the cause kept.
    """
    import requests
    from requests.adapters import BaseAdapter
    from requests.utils import get_encoding_from_headers

    class FinalResponse(requests.Response):
        @property
        def is_redirect(self) -> bool:
            return False

    def response_of(answer: HttpResponse, request: requests.PreparedRequest, url: str) -> requests.Response:
        response = FinalResponse()
        response.status_code = answer.status
        response.reason = http.client.responses.get(answer.status, "")
        for name, value in answer.headers:
            known = response.headers.get(name)
            response.headers[name] = value if known is None else f"{known}, {value}"
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = io.BytesIO(answer.body)
        response.url, response.request = redact_url(url), request
        return response

    class Bridge(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            ours = _from_prepared(request)
            try:
                answer = transport.send(ours)
            except OutcomeUnknown as exc:
                kind = (
                    requests.exceptions.ReadTimeout
                    if _is_timeout(exc)
                    else requests.exceptions.ConnectionError
                )
                raise kind(str(exc)) from exc
            except TransportError as exc:
                failed = (
                    requests.exceptions.ConnectTimeout
                    if _is_timeout(exc)
                    else requests.exceptions.ConnectionError
                )
                raise failed(str(exc)) from exc
            return response_of(answer, request, ours.url)

        def close(self) -> None:
            """Nothing is kept open."""

    return Bridge()


def requests_session(transport: Transport) -> requests.Session:
    """Return a `requests.Session` with `requests_adapter` mounted; proxies and netrc of the environment are ignored."""
    import requests

    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    for scheme in ("https://", "http://"):
        session.mount(scheme, requests_adapter(transport))
    return session


def _from_prepared(request: requests.PreparedRequest) -> HttpRequest:
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        raise NotSent("a request body must be bytes or text, not a stream")
    headers = tuple((_text(name), _text(value)) for name, value in request.headers.items())
    return HttpRequest(method=request.method or "GET", url=request.url or "", headers=headers, body=body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _is_timeout(error: TransportError) -> bool:
    return isinstance(error.__cause__, TimeoutError)


def _first_header(headers: Headers, name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def _routes(origins: Iterable[str], rewrites: Mapping[str, str]) -> tuple[tuple[_Target, _Target], ...]:
    """Return (prefix, base) pairs, longest prefix first; what is not rewritten goes where it says."""
    moved = [(_base(prefix), _base(base)) for prefix, base in rewrites.items()]
    rewritten = {prefix.origin for prefix, _ in moved}
    kept = [target for target in map(_base, origins) if target.origin not in rewritten]
    bases = [base for _, base in moved if base.origin not in rewritten]
    routes = moved + [(target, target) for target in kept + bases]
    return tuple(sorted(routes, key=lambda route: -len(route[0].path)))


def _base(url: str) -> _Target:
    try:
        target = _Target.of(url)
    except HostRefused as exc:
        raise ValueError(f"{redact_url(url)}: {exc}") from None
    if "?" in target.path:
        raise ValueError(f"{redact_url(url)}: a base URL has no query")
    if not target.is_encrypted_or_local():
        raise ValueError(f"{redact_url(url)}: only https, or http on loopback")
    return target


def _allowed_target(url: str, hosts: Sequence[str]) -> _Target:
    target = _Target.of(url)
    if not target.is_encrypted_or_local() or not any(_is_within(target, host) for host in hosts):
        raise HostRefused(f"{target.scheme}://{target.host}:{target.port} is not on the allowlist")
    return target


def _is_within(target: _Target, allowed: str) -> bool:
    name, _, port = allowed.lower().partition(":")
    if target.port != int(port or _DEFAULT_PORTS[target.scheme]):
        return False
    return bool(name) and (target.host == name or target.host.endswith("." + name))


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Wire(io.RawIOBase):
    """The socket of one exchange, as `http.client` wants one: every send and read gets what is left of the deadline."""

    def __init__(self, sock: socket.socket, *, deadline: float, max_bytes: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._allowance = max_bytes
        self.is_used = False  # a request byte has left, or may have
        self.at_eof = False

    def send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(_left(self._deadline))
            self.is_used = True
            rest = rest[self._sock.send(rest) :]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._sock.settimeout(_left(self._deadline))
        count = self._sock.recv_into(buffer)
        self.at_eof = count == 0
        self._allowance -= count
        if self._allowance < 0:
            raise _Malformed("the answer is too large")
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        self._sock.close()
        super().close()


class _Exchange:
    """One request and its answer on one fresh connection. Every failure closes it and comes out as one of the three."""

    def __init__(self, request: HttpRequest, target: _Target, limits: _Limits, deadline: float) -> None:
        self._request = request
        self._target = target
        self._limits = limits
        self._deadline = deadline
        self._wire: _Wire | None = None
        self._head: http.client.HTTPResponse | None = None

    def begin(self) -> StreamedResponse:
        """Send the request and read the answer's head."""
        limits, target = self._limits, self._target
        with self._told_apart():
            message = _message(self._request, target)
            sock = _connect(target, limits, min(self._deadline, time.monotonic() + limits.connect_timeout_s))
            allowance = limits.max_body_bytes + _HEAD_ALLOWANCE_BYTES
            self._wire = _Wire(sock, deadline=self._deadline, max_bytes=allowance)
            self._wire.send_all(message)
            # of a socket, HTTPResponse uses makefile() and nothing else
            self._head = http.client.HTTPResponse(
                cast("socket.socket", self._wire), method=self._request.method
            )
            self._head.begin()
            _check_head(self._head, self._wire, limits.max_body_bytes)
        _LOG.debug("%s %s: %d", self._request.method, redact_url(target.url), self._head.status)
        return StreamedResponse(self, self._head)

    def read(self) -> Iterator[bytes]:
        """Yield the body; a body that is cut or too long raises OutcomeUnknown in the end."""
        if self._head is None:
            raise ValueError("the exchange has not begun")
        with self._told_apart():
            size = 0
            while chunk := self._head.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > self._limits.max_body_bytes:
                    raise _Malformed("the body is too large")
                yield chunk
            if self._head.length:
                raise _Malformed("the body is cut short")

    def close(self) -> None:
        for part in (self._head, self._wire):
            if part is not None:
                part.close()

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            self.close()
            if not isinstance(exc, _FAILURES):
                raise
            is_used = self._wire is not None and self._wire.is_used
            kind = OutcomeUnknown if is_used else NotSent
            where, why = redact_url(self._target.url), _why(exc)
            _LOG.debug("%s %s: %s, %s", self._request.method, where, kind.__name__, why)
            # the text of a framing error can quote the answer, and with it people's numbers: not kept as the cause
            cause = exc if isinstance(exc, OSError) else None
            raise kind(f"{self._target.host}:{self._target.port}: {why}") from cause


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) if isinstance(error, OSError | _Malformed) else type(error).__name__


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _message(request: HttpRequest, target: _Target) -> bytes:
    """Write the request as HTTP/1.1. Raises ValueError for a method or header that cannot be written."""
    theirs = [header for header in request.headers if header[0].lower() not in _OWN_HEADERS]
    ours = [("Host", target.authority), ("Connection", "close"), ("Accept-Encoding", "identity")]
    if request.body or request.method not in ("GET", "HEAD"):
        ours.append(("Content-Length", str(len(request.body))))
    if not _METHOD.fullmatch(request.method):
        raise _Malformed("the method is not a word in capitals")
    for name, value in theirs:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise _Malformed("a header has characters that no header has")
    lines = [
        f"{request.method} {target.path or '/'} HTTP/1.1",
        *(f"{name}: {value}" for name, value in ours + theirs),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def _connect(target: _Target, limits: _Limits, deadline: float) -> socket.socket:
    """Open a verified connection to the first address that takes one."""
    addresses = _resolve(limits.resolve, target, deadline)
    error: OSError = OSError("the name has no address")
    for index, info in enumerate(addresses):
        try:
            # a dead address must not use up the time of the next
            sock = _opened(info, _left(deadline) / (len(addresses) - index))
        except OSError as exc:
            error = exc
        else:
            return _secured(sock, target, limits.tls, deadline) if target.scheme == "https" else sock
    raise error


def _opened(info: AddressInfo, timeout_s: float) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout_s)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _secured(
    sock: socket.socket, target: _Target, context: ssl.SSLContext | None, deadline: float
) -> ssl.SSLSocket:
    if context is None:
        sock.close()
        raise ValueError("no TLS context")
    secured = context.wrap_socket(
        sock, server_hostname=target.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    try:
        secured.settimeout(_left(deadline))
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


def _resolve(resolve: Resolver, target: _Target, deadline: float) -> Sequence[AddressInfo]:
    """Resolve within the deadline. `getaddrinfo` knows no timeout: a thread asks, and is left behind if need be."""
    answers: queue.SimpleQueue[Sequence[AddressInfo] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(target.host, target.port))
        except (OSError, ValueError) as exc:
            answers.put(exc)

    threading.Thread(target=ask, name="gateway-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _check_head(head: http.client.HTTPResponse, wire: _Wire, max_bytes: int) -> None:
    """Refuse what `http.client` forgives: a dial's answer is whole, plain HTTP/1.1 or none at all."""
    lengths = {value.strip() for value in head.headers.get_all("content-length", [])}
    codings = [value.strip().lower() for value in head.headers.get_all("transfer-encoding", [])]
    encoding = head.headers.get("content-encoding", "").strip().lower()
    faults = (
        (wire.at_eof, "the headers are cut short"),
        (
            any(isinstance(defect, _HEADER_DEFECTS) for defect in head.headers.defects),
            "a header line is malformed",
        ),
        (head.status < 200, "an interim status is not an answer"),
        (codings and (lengths or codings != ["chunked"]), "the transfer encoding is not plain chunked"),
        (
            len(lengths) > 1 or not all(map(_CONTENT_LENGTH.fullmatch, lengths)),
            "the content length is malformed",
        ),
        (encoding not in ("", "identity") and head.length != 0, "the body is compressed"),
        (head.length is not None and head.length > max_bytes, "the body is too large"),
    )
    for is_wrong, text in faults:
        if is_wrong:
            raise _Malformed(text)
