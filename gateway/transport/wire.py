"""One request and its answer on one fresh connection, read strictly and within the deadline."""

from __future__ import annotations

import email.errors
import http.client
import io
import logging
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from gateway.transport.connecting import Resolver, connect, system_resolver, time_left
from gateway.transport.messages import Headers, HttpRequest, NotSent, OutcomeUnknown, first_header
from gateway.transport.redaction import redact_url
from gateway.transport.targets import Target

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LOG: Final = logging.getLogger("gateway.transport")
_HEAD_ALLOWANCE_BYTES: Final = 256 * 1024  # headers and chunk sizes, on top of the body's limit
_CHUNK_BYTES: Final = 64 * 1024
_METHOD: Final = re.compile(r"[A-Z]+")
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


class Malformed(http.client.HTTPException):
    """What is wrong with a request or an answer, in words of ours that may be shown."""


_FAILURES: Final = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds an exchange besides its deadline; `tls` may be None where no target is https."""

    connect_timeout_s: float
    max_body_bytes: int
    tls: ssl.SSLContext | None
    resolve: Resolver = system_resolver


class StreamedResponse:
    """An answer whose body is still on its way. Iterate it once, to the end, or close it (or use `with`)."""

    def __init__(self, exchange: Exchange, head: http.client.HTTPResponse) -> None:
        self.status = head.status
        self.headers: Headers = tuple((name, _FOLD.sub(" ", value)) for name, value in head.headers.items())
        self._exchange = exchange

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case, or None."""
        return first_header(self.headers, name)

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


class Exchange:
    """One request and its answer on one fresh connection. Every failure closes it and comes out as one of the three."""

    def __init__(self, request: HttpRequest, target: Target, limits: Limits, deadline: float) -> None:
        self._request = request
        self._target = target
        self._limits = limits
        self._deadline = deadline
        self._wire: Wire | None = None
        self._head: http.client.HTTPResponse | None = None

    def begin(self) -> StreamedResponse:
        """Send the request and read the answer's head."""
        limits, target = self._limits, self._target
        with self._told_apart():
            message = _message(self._request, target)
            connect_deadline = min(self._deadline, time.monotonic() + limits.connect_timeout_s)
            sock = connect(target, connect_deadline, resolve=limits.resolve, tls=limits.tls)
            allowance = limits.max_body_bytes + _HEAD_ALLOWANCE_BYTES
            self._wire = Wire(sock, deadline=self._deadline, max_bytes=allowance)
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
                    raise Malformed("the body is too large")
                yield chunk
            if self._head.length:
                raise Malformed("the body is cut short")

    def close(self) -> None:
        """Close the connection, whatever is left on it."""
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


class Wire(io.RawIOBase):
    """The socket of one exchange, as `http.client` wants one: every send and read gets what is left of the deadline."""

    def __init__(self, sock: socket.socket, *, deadline: float, max_bytes: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._allowance = max_bytes
        self.is_used = False  # a request byte has left, or may have
        self.at_eof = False

    def send_all(self, data: bytes) -> None:
        """Send everything, or raise."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(time_left(self._deadline))
            self.is_used = True
            rest = rest[self._sock.send(rest) :]

    def readable(self) -> bool:
        """Yes: `BufferedReader` asks."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Receive what is there, 0 at the end."""
        self._sock.settimeout(time_left(self._deadline))
        count = self._sock.recv_into(buffer)
        self.at_eof = count == 0
        self._allowance -= count
        if self._allowance < 0:
            raise Malformed("the answer is too large")
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the reader that `HTTPResponse` asks for, and closes."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
        super().close()


def _check_head(head: http.client.HTTPResponse, wire: Wire, max_bytes: int) -> None:
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
            raise Malformed(text)


def _message(request: HttpRequest, target: Target) -> bytes:
    """Write the request as HTTP/1.1. Raises Malformed for a method or header that cannot be written."""
    theirs = [header for header in request.headers if header[0].lower() not in _OWN_HEADERS]
    ours = [("Host", target.authority), ("Connection", "close"), ("Accept-Encoding", "identity")]
    if request.body or request.method not in ("GET", "HEAD"):
        ours.append(("Content-Length", str(len(request.body))))
    if not _METHOD.fullmatch(request.method):
        raise Malformed("the method is not a word in capitals")
    for name, value in theirs:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise Malformed("a header has characters that no header has")
    lines = [
        f"{request.method} {target.path or '/'} HTTP/1.1",
        *(f"{name}: {value}" for name, value in ours + theirs),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) if isinstance(error, OSError | Malformed) else type(error).__name__
